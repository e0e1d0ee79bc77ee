package device

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/anchore/go-lzo"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// blockUnpacker decodes one compressed block into dst and gives the number of bytes written.
// It never writes or holds more than dst and a dictionary of maxSquashBlock.
type blockUnpacker func(dst, src []byte) (int, error)

// newUnpacker gives the decoder for a squashfs compression id. The decoders of xz and lzo
// are other people's code that runs on hostile bytes: a panic in one becomes an error.
func newUnpacker(id uint16) (blockUnpacker, error) {
	switch id {
	case 1:
		return unpackZlib(), nil
	case 3:
		return guarded(func(dst, src []byte) (int, error) { return lzo.Decompress(src, dst) }), nil
	case 4:
		return guarded(unpackXZ), nil
	case 5:
		return unpackLZ4, nil
	case 6:
		return unpackZstd()
	}
	return nil, fmt.Errorf("compression method %d (2 is LZMA), which Picket cannot read", id)
}

func guarded(u blockUnpacker) blockUnpacker {
	return func(dst, src []byte) (n int, err error) {
		defer func() {
			if p := recover(); p != nil {
				n, err = 0, fmt.Errorf("decoder failed: %v", p)
			}
		}()
		return u(dst, src)
	}
}

func unpackZlib() blockUnpacker {
	var pool sync.Pool
	return func(dst, src []byte) (int, error) {
		in := bytes.NewReader(src)
		z, ok := pool.Get().(io.ReadCloser)
		var err error
		if ok {
			err = z.(zlib.Resetter).Reset(in, nil)
		} else {
			z, err = zlib.NewReader(in)
		}
		if err != nil {
			return 0, err
		}
		defer pool.Put(z)
		return fill(z, dst)
	}
}

func unpackXZ(dst, src []byte) (int, error) {
	r, err := xz.NewReader(bytes.NewReader(src), maxSquashBlock)
	if err != nil {
		return 0, err
	}
	return fill(r, dst)
}

func unpackZstd() (blockUnpacker, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxSquashBlock), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	return func(dst, src []byte) (int, error) {
		out, err := d.DecodeAll(src, dst[:0:len(dst)])
		return len(out), err
	}, nil
}

// fill reads r to its end into dst, and refuses what does not fit.
func fill(r io.Reader, dst []byte) (int, error) {
	n, err := io.ReadFull(r, dst)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	var more [1]byte
	if m, _ := r.Read(more[:]); m > 0 {
		return n, fmt.Errorf("unpacks to more than %d bytes", len(dst))
	}
	return n, nil
}
