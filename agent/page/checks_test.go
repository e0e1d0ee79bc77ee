package page

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestCheckAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.hold = make(chan struct{})
	s := serve(t, w)
	b := open(t, s, Grant{Act: true})
	key := strings.Repeat("ab", 16)
	server := httptest.NewServer(s)
	defer server.Close()
	s.hosts = append(s.hosts, server.Listener.Addr().String())
	for range 3 { // pressing thrice is asking once
		if got := b.do("POST", b.base+"check", url.Values{"key": {key}}.Encode()); got.Code != 303 || got.Header().Get("Location") != b.base+"threats/"+key {
			t.Fatalf("%d %v", got.Code, got.Header())
		}
	}
	if body := b.do("GET", b.base, "").Body.String(); !strings.Contains(body, "is being checked") || !strings.Contains(body, " disabled") || !strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("the page does not say that a check goes on")
	}
	r, err := http.NewRequest("GET", server.URL+b.base+"progress", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: b.cookie.Name, Value: b.cookie.Value})
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line := make([]byte, 256)
	n, _ := resp.Body.Read(line)
	if !strings.Contains(string(line[:n]), `{"checking":true}`) {
		t.Errorf("told %q", line[:n])
	}
	close(w.hold)
	n, _ = resp.Body.Read(line)
	if !strings.Contains(string(line[:n]), `{"checking":false}`) {
		t.Errorf("told %q", line[:n])
	}
	if !slices.Equal(w.checked, []string{key}) {
		t.Errorf("checked %v", w.checked)
	}
}

// What came of a check is told while it is so, and not when the finding has come back since.
func TestWhatCameOfACheck(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := serve(t, w)
	b := open(t, s, Grant{Act: true})
	key := strings.Repeat("ab", 16)
	found := w.view.Threats
	look := func() string {
		t.Helper()
		b.do("POST", b.base+"check", url.Values{"key": {key}}.Encode())
		for {
			on, changed := s.checks.any()
			if !on {
				return b.do("GET", b.base+"threats/"+key, "").Body.String()
			}
			<-changed
		}
	}
	if body := look(); !strings.Contains(body, "it is still there") {
		t.Error("still there: the page does not say so")
	}
	w.view.Threats = nil
	if body := look(); !strings.Contains(body, "it is gone") {
		t.Error("gone: the page does not say so")
	}
	w.view.Threats = found
	if body := b.do("GET", b.base+"threats/"+key, "").Body.String(); strings.Contains(body, "Checked again") {
		t.Error("come back: the page tells of the check before")
	}
	w.fails = errors.New("no such device \x1b[31m")
	if body := look(); !strings.Contains(body, "without a result") || !strings.Contains(body, `no such device \x1b[31m`) {
		t.Error("failed: the page does not say so")
	}
	w.mu.Lock()
	w.now = w.now.Add(doneTime)
	w.mu.Unlock()
	if body := b.do("GET", b.base+"threats/"+key, "").Body.String(); strings.Contains(body, "without a result") {
		t.Error("long ago: the page still tells of it")
	}
}
