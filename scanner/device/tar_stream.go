package device

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Limits of decompression.
const (
	// A stream that has grown past bombFloor bytes may not be more than bombRatio times as
	// long as what it was unpacked from.
	bombFloor = 1 << 30
	bombRatio = 100
	// maxWindow bounds the memory that a zstd or xz stream asks for.
	maxWindow = 128 << 20
)

// compression tells how a file is compressed from its first bytes, "" when it is not.
func compression(head []byte) string {
	for name, magic := range map[string]string{"gz": "\x1f\x8b\x08", "xz": "\xfd7zXZ\x00", "zst": "\x28\xb5\x2f\xfd"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return name
		}
	}
	// A zstd file may start with a frame to be skipped (pzstd, seekable format).
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte("\x2a\x4d\x18")) {
		return "zst"
	}
	return ""
}

// unpacker is a decompressing stream that knows how far it has come.
type unpacker struct {
	r     io.Reader
	close func()
	in    atomic.Int64 // compressed bytes read
	out   int64
	kind  string
}

// unpack decompresses r.
func unpack(r io.Reader, kind string) (*unpacker, error) {
	u := &unpacker{kind: kind, close: func() {}}
	src := bufio.NewReaderSize(&countingReader{r, &u.in}, 128<<10)
	var err error
	switch kind {
	case "gz":
		u.r, err = gzip.NewReader(src)
	case "xz":
		u.r, err = xz.NewReader(src, maxWindow)
	case "zst":
		var d *zstd.Decoder
		d, err = zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err == nil {
			u.r, u.close = d, d.Close
		}
	default:
		u.r = src
	}
	if err != nil {
		return nil, fmt.Errorf("%s: at byte %d: %w", kind, u.in.Load(), cutOff(err))
	}
	return u, nil
}

// Read gives decompressed bytes; the error names the place in the compressed file. A decoder's
// panic is one: nobody else could catch it, for readAhead reads in a goroutine of its own.
func (u *unpacker) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("%s: near byte %d: decoder failed: %v", u.kind, u.in.Load(), r)
		}
	}()
	n, err = u.r.Read(p)
	u.out += int64(n)
	if in := u.in.Load(); u.kind != "" && u.out > bombFloor && u.out/bombRatio > in {
		return n, fmt.Errorf("%s: at byte %d: %w (%d bytes from %d)", u.kind, in, errBomb, u.out, in)
	}
	if err != nil && err != io.EOF && u.kind != "" {
		err = fmt.Errorf("%s: near byte %d: %w", u.kind, u.in.Load(), err)
	}
	return n, err
}

var errBomb = errors.New("unpacks to far too much")

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// readAhead runs a reader in its own goroutine, so that unpacking and what is done with the
// result share the work of two processors.
type readAhead struct {
	full chan aheadBuffer
	free chan []byte
	stop chan struct{}
	last []byte
	err  error
}

type aheadBuffer struct {
	b   []byte
	err error
}

func newReadAhead(r io.Reader) *readAhead {
	const buffers = 3
	a := &readAhead{full: make(chan aheadBuffer, buffers), free: make(chan []byte, buffers+1), stop: make(chan struct{})}
	for range buffers {
		a.free <- nil
	}
	go func() {
		defer close(a.full)
		for {
			var b []byte
			select {
			case b = <-a.free:
			case <-a.stop:
				return
			}
			if b == nil {
				b = make([]byte, inputSpace)
			}
			n, err := io.ReadFull(r, b)
			if err == io.ErrUnexpectedEOF { // ReadFull's own: a reader's comes wrapped
				err = io.EOF
			}
			select {
			case a.full <- aheadBuffer{b[:n], err}:
			case <-a.stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return a
}

// next gives the next bytes, valid until the next call.
func (a *readAhead) next() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	if a.last != nil {
		a.free <- a.last[:cap(a.last)]
	}
	buf := <-a.full
	a.last, a.err = buf.b, buf.err
	if len(buf.b) == 0 {
		return nil, buf.err
	}
	return buf.b, nil
}

// close ends the goroutine and waits for it.
func (a *readAhead) close() {
	close(a.stop)
	for range a.full {
	}
}

// streamInput reads a decompressed archive.
func streamInput(ctx context.Context, a *readAhead) *tarInput {
	return &tarInput{ctx: ctx, next: a.next}
}
