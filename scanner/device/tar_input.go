package device

import (
	"context"
	"fmt"
	"io"
)

const (
	blockSize  = 512
	inputSpace = 256 << 10 // bytes read at once, a multiple of blockSize
	firstRead  = 4 << 10   // bytes read after a jump: often a header is all that is wanted
)

// tarInput reads an archive in blocks, from a file that can be jumped about in or from a
// stream.
type tarInput struct {
	ctx context.Context
	buf []byte // read, not used yet
	off int64  // of buf in the archive
	// next gives the stream's next bytes: a multiple of blockSize but at the end.
	next func() ([]byte, error)
	// at is the file when there is no stream.
	at    io.ReaderAt
	size  int64
	space []byte
	ahead int
}

// fileInput reads an uncompressed archive without what is skipped.
func fileInput(ctx context.Context, r io.ReaderAt, size int64) *tarInput {
	in := &tarInput{ctx: ctx, at: r, size: size, space: make([]byte, max(blockSize, min(inputSpace, size))), ahead: firstRead}
	in.next = in.readFile
	return in
}

func (in *tarInput) readFile() ([]byte, error) {
	left := in.size - in.off
	if left <= 0 {
		return nil, io.EOF
	}
	n, err := in.at.ReadAt(in.space[:min(int64(in.ahead), int64(len(in.space)), left)], in.off)
	if n == 0 && err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // the file has shrunk
	}
	if n > 0 {
		err = nil
	}
	in.ahead = min(2*in.ahead, len(in.space))
	return in.space[:n], err
}

// more makes sure that buf holds something. At the end of the archive it gives io.EOF.
func (in *tarInput) more() error {
	for len(in.buf) == 0 {
		if err := in.ctx.Err(); err != nil {
			return err
		}
		b, err := in.next()
		if err != nil {
			return err
		}
		in.buf = b
	}
	return nil
}

func (in *tarInput) used(n int) {
	in.buf = in.buf[n:]
	in.off += int64(n)
}

// block gives the next block, valid until the next call. At the end it gives io.EOF.
func (in *tarInput) block() ([]byte, error) {
	if err := in.more(); err != nil {
		return nil, err
	}
	if len(in.buf) < blockSize { // the end; the stream says why
		in.used(len(in.buf))
		_, err := in.next()
		return nil, first(cutOff(err), io.ErrUnexpectedEOF)
	}
	b := in.buf[:blockSize]
	in.used(blockSize)
	return b, nil
}

// chunk gives up to max next bytes, at least one, valid until the next call.
func (in *tarInput) chunk(max int64) ([]byte, error) {
	if err := in.more(); err != nil {
		return nil, cutOff(err)
	}
	b := in.buf[:min(int64(len(in.buf)), max)]
	in.used(len(b))
	return b, nil
}

func (in *tarInput) Read(p []byte) (int, error) {
	b, err := in.chunk(int64(len(p)))
	return copy(p, b), err
}

// skip passes over n bytes.
func (in *tarInput) skip(n int64) error {
	if in.at != nil && n > int64(len(in.buf)) {
		if n > in.size-in.off {
			in.off = in.size
			return io.ErrUnexpectedEOF
		}
		in.off += n
		in.buf, in.ahead = nil, firstRead
		return nil
	}
	for n > 0 {
		b, err := in.chunk(n)
		if err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// drain reads what follows the archive's end, so that a stream's checksums are looked at.
func (in *tarInput) drain() error {
	if in.at != nil {
		return nil
	}
	for {
		if err := in.more(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		in.used(len(in.buf))
	}
}

// cutOff is err where an archive may not end.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// padding is what fills n bytes up to a whole block.
func padding(n int64) int64 { return -n & (blockSize - 1) }

// tarError says where in which archive something is wrong.
func (in *tarInput) error(last string, err error) error {
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("cut off: %w", err)
	}
	if last != "" {
		return fmt.Errorf("tar: at byte %d, after %q: %w", in.off, last, err)
	}
	return fmt.Errorf("tar: at byte %d: %w", in.off, err)
}
