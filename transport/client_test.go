package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func poolOf(c *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c)
	return p
}

func TestClientTrustsWhatItIsToldTo(t *testing.T) {
	t.Parallel()
	redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	s := httptest.NewTLSServer(http.HandlerFunc(redirect))
	defer s.Close()
	old := httptest.NewUnstartedServer(http.HandlerFunc(redirect))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	plain := httptest.NewServer(http.HandlerFunc(redirect))
	defer plain.Close()
	trusted := NewClient(Options{Roots: poolOf(s.Certificate())})
	for _, c := range []struct {
		name   string
		client *http.Client
		url    string
		want   string // of the error; "" is none
	}{
		{"trusted", trusted, s.URL, ""},
		{"no roots", NewClient(Options{}), s.URL, "unknown authority"},
		{"in clear", trusted, plain.URL, "nothing is sent in clear"},
		{"TLS 1.2", NewClient(Options{Roots: poolOf(old.Certificate())}), old.URL, "protocol version"},
		{"too late", NewClient(Options{Roots: poolOf(s.Certificate()), Now: func() time.Time { return time.Now().AddDate(100, 0, 0) }}), s.URL, "expired"},
		{"unverified", NewUnverifiedClient(Options{}), s.URL, ""},
		{"proxy", NewClient(Options{Roots: poolOf(s.Certificate()), Proxy: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}), s.URL, "127.0.0.1:1"},
	} {
		res, err := c.client.Get(c.url)
		if err == nil {
			res.Body.Close()
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "" && res.StatusCode != http.StatusFound:
			t.Errorf("%s: a redirect was followed: %s", c.name, res.Status)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", c.name, err)
		}
		c.client.CloseIdleConnections()
	}
}

// slowEar fails to write the request once it has heard the server's word about the handshake, and passes
// that on only later, or not at all.
type slowEar struct {
	net.Conn
	lost   bool
	writes atomic.Int32
	heard  chan struct{}
	once   sync.Once
}

func (c *slowEar) Write(p []byte) (int, error) {
	if c.writes.Add(1) <= 2 { // the hello, and what answers the server's
		return c.Conn.Write(p)
	}
	<-c.heard
	return 0, net.ErrClosed
}

func (c *slowEar) Read(p []byte) (int, error) {
	after := c.writes.Load() >= 2
	n, err := c.Conn.Read(p)
	if after {
		c.once.Do(func() { close(c.heard) })
		time.Sleep(10 * time.Millisecond)
	}
	if after && c.lost {
		return 0, net.ErrClosed
	}
	return n, err
}

// TestRefusalIsHeard has a server refuse the device's certificate while the request is being
// written, as it does on a busy machine.
func TestRefusalIsHeard(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	mine := s.TLS.Certificates[0]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				tls.Server(conn, &tls.Config{Certificates: s.TLS.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}).Handshake()
				io.Copy(io.Discard, conn) // it lingers: a reset could overtake its word
			}()
		}
	}()
	for _, c := range []struct {
		name string
		slow int32 // connections
		lost bool
		want Verdict
	}{
		{"at once", 0, false, Denied},
		{"late", 100, false, Denied},
		{"lost once", 1, true, Denied},
		{"lost each time", 100, true, Busy},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var dialled atomic.Int32
			client := NewClient(Options{Roots: poolOf(s.Certificate()), Identity: func() (*tls.Certificate, error) { return &mine, nil },
				Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
					if err == nil && dialled.Add(1) <= c.slow {
						conn = &slowEar{Conn: conn, lost: c.lost, heard: make(chan struct{})}
					}
					return conn, err
				}})
			e, err := NewExporter(client, "https://"+l.Addr().String(), Resource{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if a := e.Send(t.Context(), []Record{{Body: []byte("{}")}}); a.Verdict != c.want {
				t.Errorf("%v: %v", a.Verdict, a.Err)
			}
			if n := dialled.Load(); n > lostReasons {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}
