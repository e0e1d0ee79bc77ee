package page

import (
	"net"
	"slices"
	"sync"
)

// bounded is a listener with so many connections at most. The one that has been open longest makes room for
// another: whoever on this device opens them without end keeps nobody out for long.
type bounded struct {
	net.Listener
	most int

	mu   sync.Mutex
	open []*counted // in the order of their beginning
}

// counted is a connection that has a place.
type counted struct {
	net.Conn
	of *bounded
}

// sendBuffer bounds what the kernel holds for a client that takes none of it, in bytes.
const sendBuffer = 64 << 10

// Accept waits for the next connection.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetWriteBuffer(sendBuffer)
	}
	in := &counted{c, b}
	var out *counted
	b.mu.Lock()
	if len(b.open) >= b.most {
		out = b.open[0]
	}
	b.open = append(b.open, in)
	b.mu.Unlock()
	if out != nil {
		out.reset()
	}
	return in, nil
}

// reset ends a connection and leaves nothing of it to the kernel to send.
func (c *counted) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// Close ends a connection and gives its place back.
func (c *counted) Close() error {
	c.of.mu.Lock()
	c.of.open = slices.DeleteFunc(c.of.open, func(o *counted) bool { return o == c })
	c.of.mu.Unlock()
	return c.Conn.Close()
}
