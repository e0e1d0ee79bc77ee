// Package adbtest is an adb server for tests: it speaks the published protocol over loopback
// for phones whose commands and files are a scanner.Device, and can be told to misbehave.
package adbtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/scanner"
)

// Phone is what the server has connected.
type Phone struct {
	Serial string
	State  string // "device" when empty
	Model  string
	// Old is a phone before Android 7: no features at all, and an exec service unless Terminal.
	Old, Terminal bool
	// UID is the user that commands run as: 0, or 2000 for the shell.
	UID int
	// Files are the phone's.
	Files scanner.FS
	// Run runs what is no question about a file, without a shell's quotes.
	Run func(line string) Output
	// Clock is the phone's time; now when zero.
	Clock time.Time
}

// Output is what a command does.
type Output struct {
	Stdout, Stderr string
	Status         int
}

// Fault is a way to misbehave.
type Fault int

// The faults.
const (
	Stall   Fault = iota + 1 // say nothing any more
	Close                    // close the connection
	Lie                      // promise more bytes than there are, or more than anyone may
	Fail                     // answer FAIL
	Endless                  // never stop
	Garbage                  // something that is not the protocol
)

// Server is a running adb server.
type Server struct {
	listener net.Listener
	phones   []*Phone
	done     chan struct{}
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	asked  []string
	faults map[string]Fault
}

// Start starts a server for as long as a test runs.
func Start(t testing.TB, phones ...*Phone) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{listener: l, phones: phones, done: make(chan struct{}), conns: map[net.Conn]bool{}, faults: map[string]Fault{}}
	s.wg.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// Address is where the server listens, HOST:PORT.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Break makes the server misbehave at all requests that begin with a text: a service
// ("host:version", "shell,v2,raw:/system/bin/dumpsys"), or "sync:" and the word of a request
// of the sync service ("sync:LST2").
func (s *Server) Break(request string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[request] = f
}

// Asked lists all requests so far.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.asked...)
}

// Stop ends the server and all its connections.
func (s *Server) Stop() {
	s.mu.Lock()
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// fault notes a request and gives how to misbehave at it.
func (s *Server) fault(request string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, request)
	for prefix, f := range s.faults {
		if strings.HasPrefix(request, prefix) {
			return f
		}
	}
	return 0
}

// serve answers one connection: questions to the server, or one that is handed to a phone.
func (s *Server) serve(c net.Conn) {
	var phone *Phone
	for {
		request, err := readRequest(c)
		if err != nil {
			return
		}
		if f := s.fault(request); f != 0 {
			s.misbehave(c, f, "FAIL0007go away", "OKAYffffabc", "OKAY")
			return
		}
		serial, isTransport := strings.CutPrefix(request, "host:transport:")
		switch {
		case isTransport:
			if phone = s.find(serial); phone == nil || phone.state() != "device" {
				refuse(c, "device '"+serial+"' not found")
				return
			}
			io.WriteString(c, "OKAY")
		case phone != nil:
			s.service(c, phone, request)
			return
		default:
			s.host(c, request)
			return
		}
	}
}

func (p *Phone) state() string {
	if p.State == "" {
		return "device"
	}
	return p.State
}

func (s *Server) find(serial string) *Phone {
	for _, p := range s.phones {
		if p.Serial == serial {
			return p
		}
	}
	return nil
}

func readRequest(r io.Reader) (string, error) {
	var digits [4]byte
	if _, err := io.ReadFull(r, digits[:]); err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

func refuse(w io.Writer, why string) { fmt.Fprintf(w, "FAIL%04x%s", len(why), why) }

// host answers a question to the server itself.
func (s *Server) host(w io.Writer, request string) {
	answer := func(text string) { fmt.Fprintf(w, "OKAY%04x%s", len(text), text) }
	switch {
	case request == "host:version":
		answer("0029")
	case request == "host:devices-l":
		var b strings.Builder
		for i, p := range s.phones {
			fmt.Fprintf(&b, "%-22s %s usb:1-%d product:p model:%s device:d transport_id:%d\n", p.Serial, p.state(), i+1, p.Model, i+1)
		}
		answer(b.String())
	case strings.HasPrefix(request, "host-serial:") && strings.HasSuffix(request, ":features"):
		p := s.find(strings.TrimSuffix(strings.TrimPrefix(request, "host-serial:"), ":features"))
		switch {
		case p == nil:
			refuse(w, "device not found")
		case p.Old:
			answer("")
		default:
			answer("shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir,apex,sendrecv_v2")
		}
	default:
		refuse(w, "unknown host service")
	}
}

// service runs one service of a phone.
func (s *Server) service(c net.Conn, p *Phone, request string) {
	if request == "sync:" {
		io.WriteString(c, "OKAY")
		s.sync(c, p)
		return
	}
	kind, line, _ := strings.Cut(request, ":")
	switch {
	case kind == "shell,v2,raw" && !p.Old:
		io.WriteString(c, "OKAY")
		out := p.shell(line)
		packet(c, 2, out.Stderr)
		for len(out.Stdout) > 0 {
			n := min(len(out.Stdout), 1000)
			packet(c, 1, out.Stdout[:n])
			out.Stdout = out.Stdout[n:]
		}
		packet(c, 3, string([]byte{byte(out.Status)}))
	case kind == "exec" && p.Old && !p.Terminal:
		io.WriteString(c, "OKAY")
		io.WriteString(c, p.shell(line).Stdout)
	case kind == "shell" && p.Old:
		io.WriteString(c, "OKAY")
		io.WriteString(c, strings.ReplaceAll(p.shell(line).Stdout, "\n", "\r\n"))
	default:
		refuse(c, "closed")
	}
}

func packet(w io.Writer, kind byte, data string) error {
	_, err := w.Write(append(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...))
	return err
}

// misbehave does one of the faults.
func (s *Server) misbehave(c net.Conn, f Fault, fail, lie, start string) {
	switch f {
	case Fail:
		io.WriteString(c, fail)
	case Lie:
		io.WriteString(c, lie)
	case Garbage:
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"+strings.Repeat("x", 4096))
	case Stall:
		<-s.done
	case Endless:
		io.WriteString(c, start)
		for {
			var err error
			if start == "OKAY" { // a shell, printing
				err = packet(c, 1, strings.Repeat("y\n", 32<<10))
			} else {
				_, err = io.WriteString(c, start)
			}
			if err != nil {
				return
			}
		}
	}
}
