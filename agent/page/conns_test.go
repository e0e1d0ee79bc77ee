package page

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose clients are in this process.
type pipes struct {
	come chan net.Conn
	gone chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.gone); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.come <- server
	return client
}

// piped serves a world's page to clients of this process, in a bubble of the test's.
func piped(t *testing.T) (*Server, *pipes) {
	t.Helper()
	s, p := serve(t, newWorld()), &pipes{make(chan net.Conn), make(chan struct{})}
	s.sessions.now = time.Now
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, p) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, p
}

// closed tells whether the page ended a connection by now.
func closed(c net.Conn) bool {
	synctest.Wait()
	c.SetReadDeadline(time.Now())
	_, err := c.Read(make([]byte, 1))
	return err == io.EOF
}

// Who opens connections without end has no more of the agent than those of a browser, and keeps nobody out.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p := piped(t)
		var open []net.Conn
		for range connsMax {
			open = append(open, p.dial())
		}
		if closed(open[0]) {
			t.Fatal("a connection was closed that there is room for")
		}
		open[1].Close()
		synctest.Wait()
		p.dial()
		if closed(open[0]) {
			t.Error("the place of one that has ended was not free")
		}
		last := p.dial()
		if !closed(open[0]) || closed(open[2]) {
			t.Error("the one that was open longest has to make room, and no other")
		}
		go io.WriteString(last, "GET /page.css HTTP/1.1\r\nHost: "+address+"\r\n\r\n")
		last.SetReadDeadline(time.Time{})
		resp, err := http.ReadResponse(bufio.NewReader(last), nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

// A client that takes nothing of its answer is left, and one that follows a check is not.
func TestWhoTakesNoAnswerIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := piped(t)
		idle := p.dial()
		io.WriteString(idle, "GET /page.css HTTP/1.1\r\nHost: "+address+"\r\n\r\n")
		b := open(t, s, Grant{})
		follower := p.dial()
		io.WriteString(follower, "GET "+b.base+"progress HTTP/1.1\r\nHost: "+address+"\r\nCookie: "+b.cookie.Name+"="+b.cookie.Value+"\r\n\r\n")
		told, begun := bufio.NewReader(follower), time.Now()
		for time.Since(begun) < 2*writeTime {
			line, err := told.ReadString('\n')
			if err != nil {
				t.Fatalf("after %v: %q, %v", time.Since(begun), line, err)
			}
			if strings.HasPrefix(line, "HTTP/1.1 ") && !strings.Contains(line, " 200 ") {
				t.Fatal(line)
			}
		}
		if !closed(idle) {
			t.Error("it is waited for without end")
		}
	})
}
