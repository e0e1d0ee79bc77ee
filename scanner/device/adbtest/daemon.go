package adbtest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// Daemon puts a phone where a real adb server can connect to it over TCP, with the protocol
// that adb servers speak to phones (packages/modules/adb: protocol.txt of AOSP), so that the
// server between is not ours. It gives the phone's address, HOST:PORT, which is the serial
// number that the server calls it by.
func Daemon(t testing.TB, p *Phone) string {
	t.Helper()
	s := Start(t, p)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.wg.Go(func() { (&transport{server: s, phone: p, conn: c, streams: map[uint32]*stream{}}).run() })
		}
	})
	return l.Addr().String()
}

// The messages: a word, two numbers, and data with its length and the sum of its bytes.
const (
	msgConnect = 0x4e584e43 // CNXN
	msgOpen    = 0x4e45504f
	msgOkay    = 0x59414b4f
	msgWrite   = 0x45545257 // WRTE
	msgClose   = 0x45534c43 // CLSE

	transportVersion = 0x01000001
	transportMax     = 64 << 10
)

// transport is one adb server's connection to a phone, with many streams on it.
type transport struct {
	server *Server
	phone  *Phone
	conn   net.Conn

	mu      sync.Mutex // of writing, and of streams
	streams map[uint32]*stream
}

// stream is one service: what it writes goes to the server piece by piece, each acknowledged.
type stream struct {
	theirs uint32
	near   net.Conn
	acks   chan struct{}
}

func (t *transport) send(word, arg0, arg1 uint32, data []byte) error {
	sum := uint32(0)
	for _, c := range data {
		sum += uint32(c)
	}
	var b []byte
	for _, v := range []uint32{word, arg0, arg1, uint32(len(data)), sum, ^word} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.conn.Write(append(b, data...))
	return err
}

func (t *transport) run() {
	defer func() {
		t.conn.Close()
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, s := range t.streams {
			s.near.Close()
			close(s.acks)
		}
		t.streams = nil
	}()
	for {
		var head [24]byte
		if _, err := io.ReadFull(t.conn, head[:]); err != nil {
			return
		}
		word, arg0, arg1 := le.Uint32(head[0:]), le.Uint32(head[4:]), le.Uint32(head[8:])
		data := make([]byte, le.Uint32(head[12:]))
		if _, err := io.ReadFull(t.conn, data); err != nil {
			return
		}
		switch word {
		case msgConnect:
			banner := "device::ro.product.name=p;ro.product.model=" + t.phone.Model + ";ro.product.device=d;"
			if !t.phone.Old {
				banner += "features=shell_v2,cmd,stat_v2,ls_v2"
			}
			t.send(msgConnect, transportVersion, transportMax, []byte(banner))
		case msgOpen:
			t.open(arg0, string(data[:max(len(data)-1, 0)]))
		default:
			t.stream(word, arg1, data)
		}
	}
}

// open starts a service. Ours have the server's number of the stream.
func (t *transport) open(theirs uint32, request string) {
	near, far := net.Pipe()
	s := &stream{theirs: theirs, near: near, acks: make(chan struct{}, 1)}
	t.mu.Lock()
	t.streams[theirs] = s
	t.mu.Unlock()
	t.server.wg.Go(func() {
		t.server.service(far, t.phone, request)
		far.Close()
	})
	t.server.wg.Go(func() {
		var word [4]byte
		if _, err := io.ReadFull(near, word[:]); err != nil || string(word[:]) != "OKAY" {
			near.Close()
			t.send(msgClose, 0, theirs, nil)
			return
		}
		t.send(msgOkay, theirs, theirs, nil)
		b := make([]byte, transportMax)
		for {
			n, err := near.Read(b)
			if err != nil || t.send(msgWrite, theirs, theirs, b[:n]) != nil {
				break
			}
			if _, ok := <-s.acks; !ok {
				break
			}
		}
		near.Close()
		t.send(msgClose, theirs, theirs, nil)
	})
}

// stream handles what comes for one service.
func (t *transport) stream(word, ours uint32, data []byte) {
	t.mu.Lock()
	s := t.streams[ours]
	if word == msgClose && s != nil {
		delete(t.streams, ours)
		s.near.Close()
		close(s.acks)
	}
	t.mu.Unlock()
	switch {
	case s == nil:
	case word == msgOkay:
		select {
		case s.acks <- struct{}{}:
		default:
		}
	case word == msgWrite:
		t.server.wg.Go(func() {
			if _, err := s.near.Write(data); err == nil {
				t.send(msgOkay, ours, s.theirs, nil)
			}
		})
	}
}
