// Package transport reaches the upstream. What it trusts, whom it asks for addresses and through
// whom it goes is given to it: it takes nothing from the environment, and a device such as a phone
// has neither roots nor a resolver where Go looks for them.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// Options say how the upstream is reached.
type Options struct {
	// Roots alone are trusted. Nil trusts nobody.
	Roots *x509.CertPool
	// Identity gives the certificate to show, anew for each connection; nil shows none.
	Identity func() (*tls.Certificate, error)
	// Resolvers are asked for addresses, one after the other; none asks the system's.
	Resolvers []netip.AddrPort
	// Proxy is gone through; nil goes straight.
	Proxy *url.URL
	// Dial opens connections; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock that certificates are held against; nil is the system's.
	Now func() time.Time
}

// Bounds of a connection. How long a whole request may take is the caller's context to say.
const (
	dialTime      = 15 * time.Second
	handshakeTime = 15 * time.Second
	headerTime    = time.Minute
	idleTime      = 90 * time.Second
	headerBytes   = 64 << 10
)

// NewClient makes a client that speaks TLS 1.3 and nothing below, sends nothing in clear and
// follows no redirect: the answer that redirects is given as it is.
func NewClient(o Options) *http.Client {
	roots := o.Roots
	if roots == nil {
		roots = x509.NewCertPool()
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Time: o.Now}
	if o.Identity != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Identity() }
	}
	return newClient(o, conf)
}

func newClient(o Options, conf *tls.Config) *http.Client {
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTime, Resolver: newResolver(o.Resolvers)}).DialContext
	}
	t := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    handshakeTime,
		ResponseHeaderTimeout:  headerTime,
		IdleConnTimeout:        idleTime,
		MaxIdleConnsPerHost:    1,
		MaxResponseHeaderBytes: headerBytes,
		DisableCompression:     true, // who wants it asks for it, and bounds it
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	return &http.Client{
		Transport:     secureOnly{t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// secureOnly refuses what would go in clear.
type secureOnly struct{ *http.Transport }

func (s secureOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not https, and nothing is sent in clear", r.URL.Redacted())
	}
	return s.untilTold(r)
}

// lostReasons is how often a request whose connection this side's own transport closed is made at most.
const lostReasons = 4

// untilTold gives the server's last word, where it has one, in place of an error of the line. When an
// alert, such as that it does not know our certificate, arrives while the request is being written,
// which of the two errors the standard library gives is chance. The alert stays readable; where not even
// that is so, the line was closed on this side before the request was sent whole, and it is made again.
func (s secureOnly) untilTold(r *http.Request) (*http.Response, error) {
	for n := 1; ; n++ {
		var line atomic.Pointer[httptrace.GotConnInfo]
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { line.Store(&i) }}
		res, err := s.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		cut := errors.Is(err, net.ErrClosed)
		if !cut && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || r.Context().Err() != nil {
			return res, err
		}
		if i := line.Load(); i != nil {
			if _, last := i.Conn.Read(make([]byte, 1)); refusesUs(last) { // it is closed, and cannot block
				return nil, last
			}
		}
		if !cut || n == lostReasons || r.Body != nil && r.GetBody == nil {
			return nil, err
		}
		if r.Body != nil {
			again := r.Clone(r.Context())
			if again.Body, err = r.GetBody(); err != nil {
				return nil, fmt.Errorf("making the request again: %w", err)
			}
			r = again
		}
	}
}

// newResolver asks the given servers in turn; nil, which is the system's, where there are none.
func newResolver(servers []netip.AddrPort) *net.Resolver {
	if len(servers) == 0 {
		return nil
	}
	var turn atomic.Uint32
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := servers[int(turn.Add(1)-1)%len(servers)]
			d := net.Dialer{Timeout: dialTime / 3}
			return d.DialContext(ctx, network, server.String())
		},
	}
}

// Lookup gives the addresses of a host, as a client with these options finds them.
func (o Options) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return newResolver(o.Resolvers).LookupNetIP(ctx, "ip", host)
}

// NewUnverifiedClient makes a client that takes any server for the right one. It is for fetching
// what is then held against a digest that is known already, and for nothing else.
func NewUnverifiedClient(o Options) *http.Client {
	return newClient(o, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Time: o.Now})
}
