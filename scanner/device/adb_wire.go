package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The adb server listens on this computer and passes requests on to phones. A request is four
// hex digits of length and a text; the answer is OKAY, or FAIL and a text with its length as
// before. (packages/modules/adb: OVERVIEW.TXT and SERVICES.TXT of AOSP.)

const (
	adbDefault  = "127.0.0.1:5037"
	adbDialTime = 5 * time.Second
	adbWait     = 15 * time.Second // longest that the server is silent while it owes bytes
	adbTalkTime = time.Minute      // longest that a short exchange takes
	maxADBName  = 1 << 10          // bytes of a request: what the oldest phones take
)

// HintError is an error with the step that helps.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }
func (e *HintError) Unwrap() error { return e.Err }

// ADBServer finds where the adb server listens from the environment, as adb does: in
// ADB_SERVER_SOCKET (tcp:PORT, tcp:HOST:PORT, localfilesystem:PATH, localabstract:NAME), else
// ANDROID_ADB_SERVER_ADDRESS and ANDROID_ADB_SERVER_PORT. The answer is a HOST:PORT, or a
// path of a local socket, or "@" and an abstract one's name.
func ADBServer(getenv func(string) string) (string, error) {
	if socket := getenv("ADB_SERVER_SOCKET"); socket != "" {
		kind, rest, _ := strings.Cut(socket, ":")
		switch {
		case kind == "tcp" && !strings.Contains(rest, ":"):
			return adbAddress("127.0.0.1", rest, "ADB_SERVER_SOCKET")
		case kind == "tcp":
			host, port, err := net.SplitHostPort(rest)
			if err != nil {
				return "", fmt.Errorf("ADB_SERVER_SOCKET: %w", err)
			}
			return adbAddress(host, port, "ADB_SERVER_SOCKET")
		case kind == "localfilesystem" && strings.HasPrefix(rest, "/"):
			return rest, nil
		case kind == "localabstract" && rest != "":
			return "@" + rest, nil
		}
		return "", fmt.Errorf("ADB_SERVER_SOCKET %q is none of tcp:PORT, tcp:HOST:PORT, localfilesystem:/PATH, localabstract:NAME", socket)
	}
	host, port := getenv("ANDROID_ADB_SERVER_ADDRESS"), getenv("ANDROID_ADB_SERVER_PORT")
	defaultHost, defaultPort, _ := net.SplitHostPort(adbDefault)
	if host == "" || host == "localhost" {
		host = defaultHost
	}
	if port == "" {
		port = defaultPort
	}
	return adbAddress(host, port, "ANDROID_ADB_SERVER_PORT")
}

func adbAddress(host, port, variable string) (string, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%s: %q is no port", variable, port)
	}
	return net.JoinHostPort(host, port), nil
}

// adbServer is where an adb server listens.
type adbServer struct {
	address string
	wait    time.Duration // adbWait
	output  int           // maxPhoneOutput
}

// adbFail is a refusal of the server or of a phone, in its words.
type adbFail struct{ text string }

func (e *adbFail) Error() string { return "adb: " + e.text }

// adbConn is one connection to the server. Reading it never waits longer than adbWait for a
// byte, nor past end, nor beyond the context that it was made with.
type adbConn struct {
	net.Conn
	in   *bufio.Reader
	wait time.Duration
	end  time.Time
	stop func() bool
}

func (s *adbServer) dial(ctx context.Context) (*adbConn, error) {
	network := "tcp"
	if strings.HasPrefix(s.address, "/") || strings.HasPrefix(s.address, "@") {
		network = "unix"
	}
	d := net.Dialer{Timeout: adbDialTime}
	conn, err := d.DialContext(ctx, network, s.address)
	if err != nil {
		return nil, &HintError{fmt.Errorf("no adb server answers: %w", err), "start it with 'adb start-server' (adb is in Android's platform-tools), and connect the phone"}
	}
	c := &adbConn{Conn: conn, wait: s.wait}
	c.in = bufio.NewReaderSize(deadlineReader{c}, 64<<10)
	c.stop = context.AfterFunc(ctx, func() { conn.Close() })
	c.within(adbTalkTime)
	return c, nil
}

// within sets when what follows must have ended.
func (c *adbConn) within(d time.Duration) { c.end = time.Now().Add(d) }

func (c *adbConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// deadlineReader reads a connection under its limits.
type deadlineReader struct{ c *adbConn }

func (r deadlineReader) Read(p []byte) (int, error) {
	until := time.Now().Add(r.c.wait)
	if r.c.end.Before(until) {
		until = r.c.end
	}
	if err := r.c.SetReadDeadline(until); err != nil {
		return 0, err
	}
	n, err := r.c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the adb server or the phone stopped answering: %w", err)
	}
	return n, err
}

// request sends a request and reads whether it is granted.
func (c *adbConn) request(text string) error {
	if len(text) > maxADBName {
		return fmt.Errorf("adb: a request of %d bytes, over the limit of %d", len(text), maxADBName)
	}
	if err := c.write(fmt.Sprintf("%04x%s", len(text), text)); err != nil {
		return err
	}
	return readADBStatus(c.in)
}

func (c *adbConn) write(text string) error {
	if err := c.SetWriteDeadline(time.Now().Add(c.wait)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.Conn, text); err != nil {
		return fmt.Errorf("adb: %w", err)
	}
	return nil
}

// readADBStatus reads OKAY, or FAIL and its reason.
func readADBStatus(r io.Reader) error {
	var word [4]byte
	if _, err := io.ReadFull(r, word[:]); err != nil {
		return fmt.Errorf("adb: reading the server's answer: %w", cutOff(err))
	}
	switch string(word[:]) {
	case "OKAY":
		return nil
	case "FAIL":
		text, err := readADBText(r)
		if err != nil {
			return err
		}
		return &adbFail{shown(text, 300)}
	}
	return fmt.Errorf("adb: the server answered %q, which is neither OKAY nor FAIL: is it an adb server?", word[:])
}

// readADBText reads a text with its length before it.
func readADBText(r io.Reader) (string, error) {
	var digits [4]byte
	if _, err := io.ReadFull(r, digits[:]); err != nil {
		return "", fmt.Errorf("adb: reading a length: %w", cutOff(err))
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil || digits[0] == '+' {
		return "", fmt.Errorf("adb: length %q is not four hex digits", digits[:])
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("adb: reading %d bytes that were promised: %w", n, cutOff(err))
	}
	return string(b), nil
}

// ask asks the server itself and gives its answer.
func (s *adbServer) ask(ctx context.Context, request string) (string, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.request(request); err != nil {
		return "", err
	}
	return readADBText(c.in)
}

// connect starts a service on a phone.
func (s *adbServer) connect(ctx context.Context, serial, service string) (*adbConn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.request("host:transport:" + serial); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.request(service); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
