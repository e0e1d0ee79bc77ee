package transport

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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
