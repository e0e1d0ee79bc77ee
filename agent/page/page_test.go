package page

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/scanner"
)

const address = "127.0.0.1:4567"

const hostile = "<script>alert(1)</script>\"'><img src=x onerror=y>\x1b[31mred\u202egnp\x00"

// world is an agent for tests.
type world struct {
	mu      sync.Mutex
	now     time.Time
	view    View
	apps    []App
	checked []string
	hold    chan struct{} // a check lasts until it is closed
	broken  error         // nothing can be read
	fails   error         // no check ends well
}

func newWorld() *world {
	key := strings.Repeat("ab", 16)
	return &world{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), view: View{Device: "Phone", Level: scanner.LevelHigh, Scanned: time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC),
		Threats: []Threat{{Finding: scanner.Finding{Key: key, Rule: "APP-001", Title: "A bad app", Severity: scanner.High, Subject: scanner.Subject{Kind: "package", Name: hostile},
			Means: "It means " + hostile, Fix: "Remove " + hostile, Evidence: []scanner.Evidence{{Source: hostile, Fields: map[string]string{"label": hostile}}}, FalsePositives: "low"}}},
		NotChecked: []NotChecked{{"APP-002", "Another", "not root"}}, Networks: []Network{{hostile, []Fact{{"interface", hostile, false}, {"security", "wpa2", true}, {"security", hostile, true}}}}, Delivery: Delivery{Where: hostile}},
		apps: []App{{Name: hostile, ID: "org.example", Version: hostile, From: hostile, BundleSize: 12345678, DynamicSize: -1}}}
}

func (w *world) source() Source {
	return Source{
		View: func(context.Context) (*View, error) { v := w.view; return &v, w.broken },
		Apps: func(context.Context) ([]App, error) { return w.apps, w.broken },
		Events: func(context.Context, int) (sent, waiting []Event, err error) {
			return []Event{{w.now, `{"a":"` + hostile + `"}`}}, nil, nil
		},
		Check: func(ctx context.Context, key string) error {
			w.mu.Lock()
			w.checked = append(w.checked, key)
			hold := w.hold
			w.mu.Unlock()
			if hold != nil {
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
			return w.fails
		},
		Title: func(lang, rule string) (string, bool) { return "Een andere", rule == "APP-002" && lang == "nl" },
		Text: func(lang string, f *scanner.Finding) (string, string, string, bool) {
			return "Een slechte app", "Het betekent dit", "Verwijder hem", f.Rule == "APP-001" && lang == "nl"
		},
	}
}

func serve(t *testing.T, w *world) *Server {
	t.Helper()
	s, err := New(address, w.source(), func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// browser keeps its session as a browser does.
type browser struct {
	t      *testing.T
	s      *Server
	base   string
	cookie *http.Cookie
}

func (b *browser) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://"+address+"/", strings.NewReader(body))
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
	r.Host = address
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+address)
	}
	if b.cookie != nil {
		r.AddCookie(&http.Cookie{Name: b.cookie.Name, Value: b.cookie.Value})
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, r)
	return w
}

// open enters with a token.
func open(t *testing.T, s *Server, g Grant) *browser {
	t.Helper()
	b := &browser{t: t, s: s}
	w := b.do("POST", "/enter", url.Values{"token": {s.Token(g)}}.Encode())
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
		t.Fatalf("entering: %d %s", w.Code, w.Body)
	}
	b.base, b.cookie = w.Header().Get("Location"), w.Result().Cookies()[0]
	if c := b.cookie; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != b.base {
		t.Errorf("the cookie is %v", c)
	}
	return b
}

var pages = []string{"", "threats/" + strings.Repeat("ab", 16), "threats/" + strings.Repeat("cd", 16), "apps", "network", "unchecked", "sent", "nothing"}

func TestPagesInEveryLanguage(t *testing.T) {
	t.Parallel()
	s := serve(t, newWorld())
	for lang := range s.words {
		b := open(t, s, Grant{Act: true, Language: lang})
		for _, p := range pages {
			w := b.do("GET", b.base+p, "")
			body := w.Body.String()
			want := http.StatusOK
			if p == "nothing" {
				want = http.StatusNotFound
			}
			if w.Code != want || !strings.Contains(body, `<html lang="`+lang+`">`) {
				t.Errorf("%s %q: %d", lang, p, w.Code)
			}
			// A name that no language has shows in brackets.
			if m := regexp.MustCompile(`\[[a-z]+[.a-zA-Z]*\]`).FindString(body); m != "" {
				t.Errorf("%s %q: says %s", lang, p, m)
			}
			if regexp.MustCompile(`\{[0-9]\}`).MatchString(body) {
				t.Errorf("%s %q: something was not put in", lang, p)
			}
		}
		if body := b.do("GET", b.base+pages[1], "").Body.String(); strings.Contains(body, "Een slechte app") != (lang == "nl") {
			t.Errorf("%s: the threat is told in another language", lang)
		}
	}
}

// TestWordsAreComplete: every language has every text, with the same things to put in.
func TestWordsAreComplete(t *testing.T) {
	t.Parallel()
	s := serve(t, newWorld())
	if len(s.words) < 2 || s.words[english] == nil {
		t.Fatalf("languages: %v", slices.Collect(maps.Keys(s.words)))
	}
	holes := regexp.MustCompile(`\{[0-9]\}`)
	for lang, words := range s.words {
		for name, text := range s.words[english] {
			there, ok := words[name]
			if !ok || strings.TrimSpace(there) == "" {
				t.Errorf("%s has no %s", lang, name)
			}
			a, b := holes.FindAllString(text, -1), holes.FindAllString(there, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %s puts in %v, English %v", lang, name, b, a)
			}
		}
		for name := range words {
			if _, ok := s.words[english][name]; !ok {
				t.Errorf("%s says %s, which English does not", lang, name)
			}
		}
	}
}

// What a device calls itself is text, wherever it stands.
func TestHostileNamesAreInert(t *testing.T) {
	t.Parallel()
	b := open(t, serve(t, newWorld()), Grant{Act: true})
	for _, p := range append(pages, "apps?q=%3Cscript%3E%22%3Ealert(1)") {
		body := b.do("GET", b.base+p, "").Body.String()
		for _, bad := range []string{"<script>", "<img", "\x1b", "\u202e", "\x00", `">alert`} {
			if strings.Contains(body, bad) {
				t.Errorf("%q: the page has %q", p, bad)
			}
		}
	}
}

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := serve(t, w)
	in := open(t, s, Grant{Act: true})
	other := open(t, s, Grant{})
	stranger := &browser{t: t, s: s}
	used := s.Token(Grant{})
	if c := stranger.do("POST", "/enter", url.Values{"token": {used}}.Encode()).Code; c != http.StatusSeeOther {
		t.Fatalf("a good token: %d", c)
	}
	old := s.Token(Grant{})
	check := url.Values{"key": {""}}.Encode()
	for _, c := range []struct {
		name string
		got  *httptest.ResponseRecorder
		want int
	}{
		{"no session", stranger.do("GET", in.base, ""), 403},
		{"another session's cookie", (&browser{t: t, s: s, cookie: other.cookie}).do("GET", in.base, ""), 403},
		{"a path without its cookie", stranger.do("GET", in.base+"sent", ""), 403},
		{"no token", stranger.do("POST", "/enter", ""), 403},
		{"wrong token", stranger.do("POST", "/enter", "token=AAAAAAAAAAAAAAAAAAAAAAAAAA"), 403},
		{"used token", stranger.do("POST", "/enter", url.Values{"token": {used}}.Encode()), 403},
		{"token in a query", stranger.do("GET", "/enter?token="+old, ""), 303},
		{"other host", in.do("GET", in.base, "", "Host", "evil.example:4567"), 421},
		{"other port", in.do("GET", in.base, "", "Host", "127.0.0.1:80"), 421},
		{"no host", in.do("GET", in.base, "", "Host", ""), 421},
		{"by name", in.do("GET", in.base, "", "Host", "localhost:4567"), 200},
		{"other origin", in.do("POST", in.base+"check", check, "Origin", "https://evil.example"), 403},
		{"origin null", in.do("POST", in.base+"check", check, "Origin", "null"), 403},
		{"no origin", in.do("POST", in.base+"check", check, "Origin", ""), 403},
		{"another port's page", in.do("POST", in.base+"check", check, "Origin", "http://127.0.0.1:9999"), 403},
		{"fetched by another site", in.do("GET", in.base, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"), 403},
		{"may only read", other.do("POST", other.base+"check", check), 403},
		{"method", in.do("PUT", in.base, ""), 405},
		{"path up", in.do("GET", in.base+"../../etc/passwd", ""), 404},
		{"file outside", stranger.do("GET", "/page.css/../../words/en.yaml", ""), 403},
		{"no key", in.do("POST", in.base+"check", url.Values{"key": {"../../x"}}.Encode()), 404},
		{"form without end", in.do("POST", in.base+"check", "key="+strings.Repeat("a", 1<<20)), 400},
	} {
		if c.got.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got.Code, c.want)
		}
		if c.got.Code != 303 && c.got.Code != 200 && strings.Contains(c.got.Body.String(), "A bad app") {
			t.Errorf("%s: tells what was found", c.name)
		}
		h := c.got.Header()
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.name, h)
		}
	}
	if len(w.checked) != 0 {
		t.Errorf("somebody had %v checked", w.checked)
	}
	w.mu.Lock()
	w.now = w.now.Add(tokenTime + time.Second)
	w.mu.Unlock()
	if c := stranger.do("POST", "/enter", url.Values{"token": {old}}.Encode()).Code; c != 403 {
		t.Errorf("an old token: %d", c)
	}
	if c := in.do("GET", in.base, "").Code; c != 200 {
		t.Errorf("the session: %d", c)
	}
	if c := in.do("POST", in.base+"leave", "").Code; c != 200 {
		t.Errorf("leaving: %d", c)
	}
	if c := in.do("GET", in.base, "").Code; c != 403 {
		t.Errorf("after leaving: %d", c)
	}
	w.mu.Lock()
	w.now = w.now.Add(sessionIdle + time.Second)
	w.mu.Unlock()
	if c := other.do("GET", other.base, "").Code; c != 403 {
		t.Errorf("an idle session: %d", c)
	}
}

// A scanned name goes into no header and no link of another kind.
func TestNoPageHasScriptOfItsOwn(t *testing.T) {
	t.Parallel()
	w := large()
	w.view.Networks, w.view.Delivery.Where = nil, ""
	b := open(t, serve(t, w), Grant{})
	for _, p := range []string{"", "threats/" + w.view.Threats[0].Key, "apps", "network", "unchecked", "nothing"} {
		body := b.do("GET", b.base+p, "").Body.String()
		if n := strings.Count(body, "<script"); n != 1 || !strings.Contains(body, `<script src="/page.js" defer></script>`) {
			t.Errorf("%q has %d scripts", p, n)
		}
		if m := regexp.MustCompile(`(?i)\son[a-z]+=|\sstyle=|javascript:|https?://`).FindString(body); m != "" {
			t.Errorf("%q has %q", p, m)
		}
	}
}

// Tokens and sessions are bounded, whoever asks.
func TestBounds(t *testing.T) {
	t.Parallel()
	s := serve(t, newWorld())
	for range 10 * tokensMax {
		s.Token(Grant{})
	}
	var last *browser
	for range 3 * sessionsMax {
		last = open(t, s, Grant{})
	}
	if len(s.sessions.open) > sessionsMax || len(s.sessions.tokens) > tokensMax {
		t.Errorf("%d sessions, %d tokens", len(s.sessions.open), len(s.sessions.tokens))
	}
	if c := last.do("GET", last.base, "").Code; c != 200 {
		t.Errorf("the newest session: %d", c)
	}
}
