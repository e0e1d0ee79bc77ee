package device

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
)

// Android sparse images leave out what is not used: a header and chunks, each raw data, a
// fill value, or nothing. Format: libsparse/sparse_format.h of the Android platform.

var sparseMagic = []byte{0x3a, 0xff, 0x26, 0xed}

const maxSparseChunks = 1 << 20

func isSparse(head []byte) bool { return bytes.HasPrefix(head, sparseMagic) }

// sparseChunk is a run of the unfolded image.
type sparseChunk struct {
	from, size int64 // bytes of the unfolded image
	at         int64 // byte of the sparse image where raw data lies; -1 for a fill
	fill       [4]byte
}

// openSparse gives the unfolded image. Nothing is copied: a table of chunks stands over the
// file.
func openSparse(win *window) (*window, error) {
	var h [28]byte
	if err := win.read(0, h[:]); err != nil {
		return nil, fmt.Errorf("sparse image: %w", err)
	}
	le := binary.LittleEndian
	headSize, chunkHead := int64(le.Uint16(h[8:])), int64(le.Uint16(h[10:]))
	block, blocks, count := int64(le.Uint32(h[12:])), int64(le.Uint32(h[16:])), le.Uint32(h[20:])
	if le.Uint16(h[4:]) != 1 || headSize < 28 || chunkHead < 12 || block == 0 || block > 1<<20 || block%4 != 0 || count > maxSparseChunks {
		return nil, win.bad(4, "sparse image of version %d with %d chunks in blocks of %d bytes", le.Uint16(h[4:]), count, block)
	}
	var chunks []sparseChunk
	at, from := headSize, int64(0)
	for range count {
		var c [16]byte
		if err := win.read(at, c[:12]); err != nil {
			return nil, fmt.Errorf("sparse image: %w", err)
		}
		size, stored := int64(le.Uint32(c[4:]))*block, int64(le.Uint32(c[8:]))-chunkHead
		chunk := sparseChunk{from: from, size: size, at: -1}
		kind := le.Uint16(c[:])
		switch {
		case kind == 0xcac1 && stored == size:
			chunk.at = at + chunkHead
		case kind == 0xcac2 && stored == 4:
			if err := win.read(at+chunkHead, chunk.fill[:]); err != nil {
				return nil, fmt.Errorf("sparse image: %w", err)
			}
		case kind == 0xcac3 && stored == 0:
		case kind == 0xcac4 && stored <= 4 && stored >= 0: // a checksum
			size, chunk.size = 0, 0
		default:
			return nil, win.bad(at, "sparse chunk of kind %#x with %d bytes for %d", kind, stored, size)
		}
		if chunk.size > 0 {
			chunks = append(chunks, chunk)
		}
		at += chunkHead + stored
		from += size
	}
	if from != blocks*block {
		return nil, win.bad(16, "sparse image of %d bytes whose chunks make %d", blocks*block, from)
	}
	return &window{image: win.image, r: sparseReader(win, chunks), size: from}, nil
}

func sparseReader(win *window, chunks []sparseChunk) io.ReaderAt {
	return contentReader(func(b []byte, off int64) (int, error) {
		done := 0
		i := sort.Search(len(chunks), func(i int) bool { return chunks[i].from > off }) - 1
		for done < len(b) {
			for i >= 0 && i < len(chunks) && off+int64(done) >= chunks[i].from+chunks[i].size {
				i++
			}
			if i < 0 || i >= len(chunks) {
				return done, io.EOF
			}
			c, in := chunks[i], off+int64(done)-chunks[i].from
			part := b[done:]
			part = part[:min(int64(len(part)), c.size-in)]
			if c.at < 0 {
				for j := range part {
					part[j] = c.fill[(in+int64(j))%4]
				}
			} else if err := win.read(c.at+in, part); err != nil {
				return done, err
			}
			done += len(part)
		}
		return done, nil
	})
}
