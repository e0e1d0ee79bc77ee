package device

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"picket/scanner"
)

const (
	storeBlock = 256 << 10 // bytes compressed together
	storeCache = 4         // blocks kept unpacked
	maxStore   = 256 << 20 // compressed bytes that one device keeps in memory
)

// contentStore keeps the content of many files in memory, compressed, one after the other.
// It is written first and then read, by any number of readers.
type contentStore struct {
	blocks [][]byte // compressed; each holds storeBlock bytes, the last one less
	tail   []byte   // of the block being filled
	size   int64
	packed int64
	enc    *zstd.Encoder
	dec    *zstd.Decoder

	mu    sync.Mutex
	cache [storeCache]struct {
		block int // plus one
		data  []byte
	}
	turn int
}

// full tells that no more content should be put in.
func (s *contentStore) full() bool { return s.packed >= maxStore }

// Write appends content. It does not fail.
func (s *contentStore) Write(p []byte) (int, error) {
	written := len(p)
	s.size += int64(written)
	for len(p) > 0 {
		n := min(len(p), storeBlock-len(s.tail))
		s.tail = append(s.tail, p[:n]...)
		p = p[n:]
		if len(s.tail) == storeBlock {
			s.seal()
		}
	}
	return written, nil
}

func (s *contentStore) seal() {
	b := s.encoder().EncodeAll(s.tail, make([]byte, 0, len(s.tail)/4))
	if cap(b)-len(b) > len(b)/8 {
		b = append(make([]byte, 0, len(b)), b...)
	}
	s.blocks = append(s.blocks, b)
	s.packed += int64(len(b))
	s.tail = s.tail[:0]
}

// encoder makes the encoder when there is something to compress. Its options are right, so
// it does not fail; nor does the decoder.
func (s *contentStore) encoder() *zstd.Encoder {
	if s.enc == nil {
		s.enc, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(storeBlock),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	}
	return s.enc
}

func (s *contentStore) decoder() *zstd.Decoder {
	if s.dec == nil {
		s.dec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*storeBlock), zstd.WithDecoderLowmem(true))
	}
	return s.dec
}

// finish ends writing.
func (s *contentStore) finish() {
	if len(s.tail) > 0 {
		s.seal()
	}
	s.tail, s.enc = nil, nil
}

// file gives the content of size bytes that was written at off.
func (s *contentStore) file(off, size int64) (scanner.File, error) {
	return sectionFile{io.NewSectionReader(s, off, size)}, nil
}

// ReadAt reads what was written.
func (s *contentStore) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(p) && off+int64(n) < s.size {
		at := off + int64(n)
		b, err := s.block(int(at / storeBlock))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b[at%storeBlock:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *contentStore) block(i int) ([]byte, error) {
	if i == len(s.blocks) {
		return s.tail, nil
	}
	for k := range s.cache {
		if s.cache[k].block == i+1 {
			return s.cache[k].data, nil
		}
	}
	c := &s.cache[s.turn]
	s.turn = (s.turn + 1) % storeCache
	c.block = 0
	b, err := s.decoder().DecodeAll(s.blocks[i], c.data[:0])
	if err != nil {
		return nil, fmt.Errorf("kept content: %w", err)
	}
	c.block, c.data = i+1, b
	return b, nil
}
