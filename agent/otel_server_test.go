package agent

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"picket/transport"
)

// authority makes certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	made := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate, self-signed where there is no authority yet.
func (a *authority) issue(t testing.TB, c *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(10, 0, 0)
	}
	c.NotBefore = c.NotAfter.AddDate(-20, 0, 0)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

const upstreamHost = "otel.example.org"

// otelServer is an upstream on connections inside the process, which takes logs by OTLP as a
// Collector does, until it is made to behave otherwise.
type otelServer struct {
	t    testing.TB
	ca   *authority
	conf *tls.Config

	mu     sync.Mutex
	bodies []string          // of all records, in the order they came
	uids   map[string]string // body by log.record.uid
	host   string            // host.id
	clear  bytes.Buffer      // the first of what was sent, as it was on the wire
	wire   int               // bytes on the wire, both ways

	dial   func(context.Context) error                  // before there is a connection
	raw    func(net.Conn)                               // in place of TLS
	answer func(w io.Writer, r *http.Request) (ok bool) // in place of that of a Collector; false closes
}

func newOtelServer(t testing.TB) *otelServer {
	c := &otelServer{t: t, ca: newAuthority(t), uids: map[string]string{}}
	c.conf = &tls.Config{Certificates: []tls.Certificate{*c.serverCert(t, upstreamHost, time.Time{})},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: c.ca.pool()}
	return c
}

func (c *otelServer) serverCert(t testing.TB, name string, until time.Time) *tls.Certificate {
	return c.ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (c *otelServer) deviceCert(t testing.TB) *tls.Certificate {
	return c.ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "device-1"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// exporter gives one of a device that is enrolled here.
func (c *otelServer) exporter(t testing.TB) *transport.Exporter {
	t.Helper()
	mine := c.deviceCert(t)
	client := transport.NewClient(transport.Options{Roots: c.ca.pool(), Dial: c.connect,
		Identity: func() (*tls.Certificate, error) { return mine, nil }})
	e, err := transport.NewExporter(client, "https://"+upstreamHost, transport.Resource{HostID: "device-1", Version: "test", OS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (c *otelServer) sink(t testing.TB) *upstreamSink {
	began := time.Now()
	return newUpstreamSink(c.exporter(t), nil, func() time.Duration { return time.Since(began) + time.Hour })
}

// behave changes how it behaves from the next connection or request on.
func (c *otelServer) behave(do func(c *otelServer)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do(c)
}

func (c *otelServer) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	c.mu.Lock()
	dial, raw, conf := c.dial, c.raw, c.conf
	c.mu.Unlock()
	if dial != nil {
		if err := dial(ctx); err != nil {
			return nil, err
		}
	}
	mine, theirs := newWire()
	go func() {
		defer theirs.Close()
		if raw != nil {
			raw(theirs)
			return
		}
		c.serve(tls.Server(theirs, conf))
	}()
	return &tapped{Conn: mine, c: c}, nil
}

// tapped keeps what the device sends, as it is on the wire.
type tapped struct {
	net.Conn
	c *otelServer
}

func (t *tapped) Write(p []byte) (int, error) {
	t.c.mu.Lock()
	t.c.wire += len(p)
	if t.c.clear.Len() < 1<<20 {
		t.c.clear.Write(p)
	}
	t.c.mu.Unlock()
	return t.Conn.Write(p)
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.c.mu.Lock()
	t.c.wire += n
	t.c.mu.Unlock()
	return n, err
}

func (c *otelServer) serve(conn *tls.Conn) {
	if conn.Handshake() != nil {
		// What was said about it is heard before the line is cut, as with a server that lingers.
		conn.NetConn().SetReadDeadline(time.Now().Add(10 * time.Second))
		io.Copy(io.Discard, conn.NetConn())
		return
	}
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		c.mu.Lock()
		answer := c.answer
		c.mu.Unlock()
		if answer == nil {
			answer = c.take
		}
		if !answer(conn, req) {
			return
		}
	}
}

// take does as a Collector does.
func (c *otelServer) take(w io.Writer, r *http.Request) bool {
	_, err := c.read(r, false)
	if err != nil {
		return reply(w, 400, "text/plain", []byte(err.Error()))
	}
	return reply(w, 200, "application/x-protobuf", nil)
}

// read reads a request's records, and keeps them unless told not to.
func (c *otelServer) read(r *http.Request, only bool) ([]string, error) {
	if r.Method != "POST" || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	var logs logspb.LogsData
	if err := proto.Unmarshal(b, &logs); err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	var bodies []string
	for _, rl := range logs.ResourceLogs {
		for _, a := range rl.Resource.Attributes {
			if a.Key == "host.id" {
				c.host = a.Value.GetStringValue()
			}
		}
		for _, sl := range rl.ScopeLogs {
			for _, l := range sl.LogRecords {
				body := l.Body.GetStringValue()
				bodies = append(bodies, body)
				if only {
					continue
				}
				c.bodies = append(c.bodies, body)
				for _, a := range l.Attributes {
					if a.Key == "log.record.uid" {
						c.uids[a.Value.GetStringValue()] = body
					}
				}
			}
		}
	}
	return bodies, err
}

func (c *otelServer) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.bodies)
}

// reply writes an answer; headers are "Name: value".
func reply(w io.Writer, status int, media string, body []byte, headers ...string) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	if media != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", media)
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	_, err := w.Write(b.Bytes())
	return err == nil
}

var errNoRoute = errors.New("no route to host")
