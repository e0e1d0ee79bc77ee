package agent

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// wire is one end of a connection inside the process. It holds some data on the way, as a
// socket does; net.Pipe holds none. Nothing of it waits for a mutex, so that virtual time goes on.
type wire struct {
	in, out *stream
	rest    []byte

	mu   sync.Mutex
	late time.Time // of writes
}

type stream struct {
	chunks chan []byte
	closed chan struct{} // by the writer
	broken chan struct{} // by the reader
	once   [2]sync.Once
}

func newWire() (a, b *wire) {
	one, two := newStream(), newStream()
	return &wire{in: one, out: two}, &wire{in: two, out: one}
}

func newStream() *stream {
	return &stream{chunks: make(chan []byte, 16), closed: make(chan struct{}), broken: make(chan struct{})}
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		select { // what came before the end counts
		case w.rest = <-w.in.chunks:
		default:
			select {
			case w.rest = <-w.in.chunks:
			case <-w.in.closed:
				select {
				case w.rest = <-w.in.chunks:
				default:
					return 0, io.EOF
				}
			case <-w.in.broken:
				return 0, net.ErrClosed
			}
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	late := w.late
	w.mu.Unlock()
	var timeout <-chan time.Time
	if !late.IsZero() {
		timeout = time.After(time.Until(late))
	}
	select {
	case <-w.out.closed:
		return 0, net.ErrClosed
	case <-w.out.broken:
		return 0, io.ErrClosedPipe
	default:
	}
	select {
	case w.out.chunks <- append([]byte(nil), p...):
		return len(p), nil
	case <-w.out.closed:
		return 0, net.ErrClosed
	case <-w.out.broken:
		return 0, io.ErrClosedPipe
	case <-timeout:
		return 0, os.ErrDeadlineExceeded
	}
}

func (w *wire) Close() error {
	w.out.once[0].Do(func() { close(w.out.closed) })
	w.in.once[1].Do(func() { close(w.in.broken) })
	return nil
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = t
	return nil
}

func (w *wire) LocalAddr() net.Addr             { return &net.TCPAddr{} }
func (w *wire) RemoteAddr() net.Addr            { return &net.TCPAddr{} }
func (w *wire) SetDeadline(t time.Time) error   { return w.SetWriteDeadline(t) }
func (w *wire) SetReadDeadline(time.Time) error { return nil }
