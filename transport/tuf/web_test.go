package tuf

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// server serves a repository; wrap may get in the way.
func server(t *testing.T, p *publisher, wrap func(http.Handler) http.Handler) Source {
	t.Helper()
	h := http.Handler(http.FileServer(http.Dir(p.Dir)))
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	s, err := At(srv.URL, srv.Client())
	must(t, err)
	return s
}

func TestWeb(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.Source = server(t, p, nil)
	d.take("one")
	p.pack("two")
	d.take("two")
}

// bigPublisher has a rule file that is large enough to be cut off.
func bigPublisher(t *testing.T) (*publisher, *device) {
	t.Helper()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	must(t, p.StageTargets(map[string][]byte{Rules: []byte(strings.Repeat("rules ", 100_000)), Policy: []byte("two policy")}, 90*day))
	p.sign("targets", p.targets)
	p.refresh()
	return p, d
}

func TestInterruptedDownloadGoesOn(t *testing.T) {
	t.Parallel()
	p, d := bigPublisher(t)
	var cut atomic.Bool
	var sent, ranges atomic.Int64
	cut.Store(true)
	d.Source = server(t, p, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, Rules) {
				h.ServeHTTP(w, r)
				return
			}
			if cut.Load() {
				w.Header().Set("Content-Length", "600000")
				fmt.Fprint(w, strings.Repeat("rules ", 50_000))
				panic(http.ErrAbortHandler)
			}
			if r.Header.Get("Range") != "" {
				ranges.Add(1)
			}
			h.ServeHTTP(&countingWriter{w, &sent}, r)
		})
	})
	if _, err := d.fetch(); err == nil || errors.As(err, new(*Refused)) {
		t.Fatalf("cut off: %v", err)
	}
	d.has("one")
	cut.Store(false)
	if _, err := d.fetch(); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(d.Dir); err != nil || s.Targets != 2 {
		t.Errorf("in effect: %+v, %v", s, err)
	}
	if ranges.Load() != 1 || sent.Load() >= 600_000 || sent.Load() == 0 {
		t.Errorf("%d requests for the rest, %d bytes sent: it did not go on where it was cut off", ranges.Load(), sent.Load())
	}
}

// countingWriter counts what is sent before it is: whoever has it finds it counted.
type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

// TestRestOfAnother: what was kept of an interrupted download is not the beginning of what is served.
func TestRestOfAnother(t *testing.T) {
	t.Parallel()
	for _, ranges := range []bool{true, false} {
		p, d := bigPublisher(t)
		d.Source = server(t, p, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !ranges {
					r.Header.Del("Range")
				}
				h.ServeHTTP(w, r)
			})
		})
		names, err := filepath.Glob(filepath.Join(p.Dir, "targets", "*."+Rules))
		must(t, err)
		for _, name := range names {
			if b := readFile(t, name); len(b) > 1000 {
				must(t, os.WriteFile(packPath(d.Dir, sumOf(b))+".part", []byte("something else"), 0o600))
			}
		}
		if _, err := d.fetch(); err != nil {
			t.Errorf("ranges %v: %v", ranges, err)
		}
	}
}

// TestRestThatIsNotThere: where the server has no such rest, the whole file is asked for.
func TestRestThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	src := server(t, p, nil)
	body, from, err := src.open(t.Context(), "timestamp.json", 1<<30)
	if err != nil || from != 0 {
		t.Fatalf("from %d: %v", from, err)
	}
	defer body.Close()
	if _, err := io.ReadAll(body); err != nil {
		t.Error(err)
	}
}

func TestServersThatMisbehave(t *testing.T) {
	t.Parallel()
	answer := func(do func(http.ResponseWriter)) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { do(w) })
		}
	}
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want string // in the error
	}{
		"error":         {answer(func(w http.ResponseWriter) { w.WriteHeader(500) }), "500"},
		"nothing there": {answer(func(w http.ResponseWriter) { w.WriteHeader(404) }), "404"},
		"no content":    {answer(func(w http.ResponseWriter) { w.WriteHeader(204) }), "204"},
		"other part": {answer(func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 5-9/10")
			w.WriteHeader(206)
		}), "another part"},
		"to http": {answer(func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(302)
		}), "not https"},
		"round and round": {answer(func(w http.ResponseWriter) {
			w.Header().Set("Location", "/again")
			w.WriteHeader(302)
		}), "points on more than"},
		"endless": {answer(func(w http.ResponseWriter) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), "refused (too-large)"},
		"a page": {answer(func(w http.ResponseWriter) { fmt.Fprint(w, "<html>please sign in</html>") }), "refused (malformed)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			d := p.device()
			d.take("one")
			d.Source = server(t, p, c.wrap)
			if _, err := d.fetch(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			d.has("one")
		})
	}
}

func TestServerThatSendsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, err := At("https://updates.example/", &http.Client{Transport: silent{}})
		must(t, err)
		if _, _, err := w.open(t.Context(), "timestamp.json", 0); !errors.Is(err, errStalled) {
			t.Errorf("got %v, want %v", err, errStalled)
		}
		began := time.Now()
		r, _, err := w.open(t.Context(), "body", 0)
		must(t, err)
		defer r.Close()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errStalled) || time.Since(began) != stall {
			t.Errorf("a body that does not come: %v after %v", err, time.Since(began))
		}
	})
}

// silent answers nothing, or the beginning of an answer.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "body") {
		return &http.Response{StatusCode: 200, Body: silentBody{r}}, nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

type silentBody struct{ r *http.Request }

func (b silentBody) Read([]byte) (int, error) {
	<-b.r.Context().Done()
	return 0, b.r.Context().Err()
}

func (silentBody) Close() error { return nil }

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://updates.example/picket": "https://updates.example/picket",
		"file:///media/stick":            "/media/stick",
		"/media/stick/../stick":          "/media/stick",
		"http://updates.example":         "",
		"ftp://updates.example":          "",
		"https://":                       "",
		"https://me:secret@host/":        "",
		"https://host/?x":                "",
		"file://host/stick":              "",
	} {
		s, err := At(address, http.DefaultClient)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is taken", address)
		case want != "" && (err != nil || s.String() != want):
			t.Errorf("%s: %v, %v, want %s", address, s, err, want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	p := newPublisher(t)
	must(t, p.StageTargets(map[string][]byte{Rules: []byte(strings.Repeat("rules ", 200_000)), Policy: []byte("two policy")}, 90*day))
	p.sign("targets", p.targets)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	defer unix.Unmount(small, unix.MNT_DETACH)
	d := p.device()
	root := readFile(t, filepath.Join(p.Dir, "1.root.json"))
	d.Dir = filepath.Join(small, "updates")
	must(t, Pin(d.Dir, root, p.Dir, false, p.now))
	d.take("one")
	p.refresh()
	for range 2 {
		if _, err := d.fetch(); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("on a full disk: %v", err)
		}
		d.has("one")
	}
	left, err := filepath.Glob(filepath.Join(d.Dir, packs, "*.part"))
	if err != nil || len(left) != 0 {
		t.Errorf("the full disk stays full of %v, %v", left, err)
	}
	must(t, unix.Mount("", small, "", unix.MS_REMOUNT, "size=8m"))
	if _, err := d.fetch(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
