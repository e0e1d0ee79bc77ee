package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/transport/stepca"
	"picket/transport/stepca/fakeca"
)

// collector takes OTLP from devices with a certificate of an authority.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	names  map[string]int // requests by the certificate's common name
	bodies bytes.Buffer
}

func newCollector(t *testing.T, ca *fakeca.CA) *collector {
	t.Helper()
	c := &collector{names: map[string]int{}}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // an agent that stops cuts its request
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.names[r.TLS.PeerCertificates[0].Subject.CommonName]++
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			_, err = io.Copy(&c.bodies, z)
		}
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	pool := x509.NewCertPool()
	pool.AddCert(ca.Root)
	c.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS13}
	c.StartTLS()
	t.Cleanup(c.Close)
	return c
}

func (c *collector) took() (from map[string]int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from = map[string]int{}
	for k, v := range c.names {
		from[k] = v
	}
	return from, c.bodies.String()
}

// TestDaemonTakesUpAnEnrolment enrols under a running agent: everything goes upstream under the
// certificate's name, and nothing secret is to be seen anywhere.
func TestDaemonTakesUpAnEnrolment(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 5))
	b.upstream = nil
	ca := fakeca.New(t, time.Now)
	up := newCollector(t, ca)
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, actor{"serve", d.runServe}, actor{"renew", d.runRenew}) }()
	defer func() { stop(); <-done }()
	eventually(t, "a scan", func() bool { return d.summary.Load() != nil })
	eventually(t, "the socket", func() bool { _, err := os.Stat(b.config.Socket); return err == nil })
	if s := d.status(); s.Enrolment.Enrolled {
		t.Fatalf("%+v", s.Enrolment)
	}

	order := orderOf(ca)
	order.place.OTLP = &otlpPlace{URL: up.URL, Roots: string(stepca.EncodeChain(up.Certificate()))}
	e := enroller{dir: b.config.StateDir, now: time.Now}
	id, _, err := e.enrol(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	if running, notice := tellAgent(t.Context(), b.config, "", id); !running || notice != "" {
		t.Fatalf("telling the agent: %v %q", running, notice)
	}
	defer func() {
		if t.Failed() {
			_, text := up.took()
			t.Logf("%s\n%.3000s", b.log, text)
		}
	}()
	eventually(t, "a snapshot upstream", func() bool {
		_, text := up.took()
		return strings.Contains(text, `"snapshot"`) && strings.Contains(text, `"device":{"uid":"`+testDevice+`"`)
	})
	if from, _ := up.took(); len(from) != 1 || from[testDevice] == 0 {
		t.Errorf("requests from %v", from)
	}
	s := d.status()
	if s.Enrolment.Device != testDevice || s.Enrolment.Account != testAccount || s.Enrolment.Key != "file" || s.Enrolment.Renewal == nil {
		t.Errorf("%+v", s.Enrolment)
	}
	if s.Outbox.Upstream != up.URL {
		t.Errorf("events are said to go to %s", s.Outbox.Upstream)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := showStatus(&shown, s, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown.String(), testDevice+" for "+testAccount+", Example, key in a file, certificate until ") {
		t.Errorf("status:\n%s", &shown)
	}
	if _, left, err := e.unenrol(t.Context(), false); err != nil || left != nil {
		t.Fatalf("%v, %v", left, err)
	}
	if running, notice := tellAgent(t.Context(), b.config, "", id); running || !strings.Contains(notice, "has not taken it up: it says none") {
		t.Errorf("an agent that sees no enrolment: running %v, notice %q", running, notice)
	}
	elsewhere := b.config
	elsewhere.StateDir = t.TempDir()
	if err := sameAgent(t.Context(), elsewhere, ""); err == nil || !strings.Contains(err.Error(), "keeps its state in "+b.config.StateDir) {
		t.Errorf("an agent with its state elsewhere: %v", err)
	}
	if running, notice := tellAgent(t.Context(), b.config, "", nil); !running || notice != "" {
		t.Fatalf("telling the agent: %v %q", running, notice)
	}
	if s := d.status(); s.Enrolment.Enrolled {
		t.Errorf("%+v", s.Enrolment)
	}
	_, sent := up.took()
	checkCanaries(t, order.token, id, map[string]string{"log": b.log.String(), "status": string(text) + shown.String(), "events": sent})
}

// checkCanaries looks for the token and the private key where they must not be.
func checkCanaries(t *testing.T, token string, id *identity, places map[string]string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(id.enrolment)
	if err != nil {
		t.Fatal(err)
	}
	places["record"] = string(record)
	for place, text := range places {
		if text == "" {
			t.Errorf("%s is empty", place)
		}
		for what, secret := range map[string]string{"the token": token, "the token's signature": token[strings.LastIndex(token, ".")+1:], "the private key": string(der[36:68])} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", place, what)
			}
		}
		if strings.Contains(text, "PRIVATE KEY") {
			t.Errorf("%s holds a private key in PEM", place)
		}
	}
}

// TestDamagedEnrolmentKeepsEvents: a record that cannot be read is no leave to keep events here.
func TestDamagedEnrolmentKeepsEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 5))
	b.upstream = nil
	if err := os.MkdirAll(b.config.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.config.StateDir, enrolmentName), []byte(`{"version":1,`), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.once(t.Context()); err == nil || !strings.Contains(err.Error(), "the enrolment cannot be used") {
		t.Errorf("%v", err)
	}
	if w := d.warn.all(); len(w) == 0 || w[0].Code != warnEnrolment {
		t.Errorf("warnings %+v", w)
	}
	if len(b.delivered(t)) == 0 {
		t.Error("the file has no events")
	}
}
