package page

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// large is a device with 5,000 apps and 200 findings.
func large() *world {
	w := newWorld()
	w.apps, w.view.Threats = nil, nil
	for i := range 5000 {
		w.apps = append(w.apps, App{Name: fmt.Sprintf("Application %d", i), ID: fmt.Sprintf("com.example.vendor%d.app%d", i%37, i), Version: fmt.Sprintf("%d.%d.%d", i%9, i%13, i), From: "com.android.vending", BundleSize: int64(i) * 7919 * 1000, DynamicSize: int64(i) * 104729})
	}
	for i := range 200 {
		f := scanner.Finding{Key: fmt.Sprintf("%032x", i), Rule: "APP-001", Title: fmt.Sprintf("Finding %d", i), Severity: scanner.Severity(2 + i%4), Subject: scanner.Subject{Kind: "package", Name: fmt.Sprintf("com.example.app%d", i*7)},
			Means: strings.Repeat("what it means ", 20), Fix: strings.Repeat("what to do ", 20), FalsePositives: "low"}
		w.view.Threats = append(w.view.Threats, Threat{Finding: f})
	}
	return w
}

func TestLargeDeviceStaysSmallOnTheWire(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, large()), Grant{})
	for _, p := range []string{"", "apps", "apps?n=25", "apps?q=vendor3"} {
		w := b.do("GET", b.base+p, "", "Accept-Encoding", "gzip")
		if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 100<<10 {
			t.Errorf("%q: %d bytes, encoding %q", p, w.Body.Len(), w.Header().Get("Content-Encoding"))
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := io.ReadAll(z); err != nil || !strings.HasSuffix(strings.TrimSpace(string(whole)), "</html>") {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func BenchmarkOverview(b *testing.B) { benchmark(b, "") }
func BenchmarkApps(b *testing.B)     { benchmark(b, "apps") }

func benchmark(b *testing.B, path string) {
	w := large()
	s, err := New(address, w.source(), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	in, _ := s.sessions.enter(s.Token(Grant{}), english)
	size := 0
	for b.Loop() {
		r := httptest.NewRequest("GET", "http://"+address+in.path()+path, nil)
		r.Host = address
		r.AddCookie(&http.Cookie{Name: cookieName, Value: in.secret})
		r.Header.Set("Accept-Encoding", "gzip")
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		size = rec.Body.Len()
	}
	b.ReportMetric(float64(size), "bytes")
}
