package page

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"picket/agent/page/chromium"
)

// TestElsewhere shows what a browser that has the page open lets others do: pages of another port of this machine, which
// get its cookies, and of another name; names of the device that are HTML; who comes with a link that was used, or goes back after leaving.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	w := newWorld()
	s, origin := listening(t, w)
	wide := chromium.Looks()[0]
	tab := browser.Tab(t, wide)
	link := origin + "/#" + s.Token(Grant{Act: true, Language: english})
	base := tab.Enter(link)

	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><title>elsewhere</title><iframe name=sink></iframe><iframe id=framed src=%q></iframe>
<form id=f method=post action=%q target=sink><input name=key value=""></form><script src=%q></script><link rel=stylesheet href=%q>`, base, base+"check", origin+"/page.js", origin+"/page.css")
	}))
	defer evil.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(evil.URL, "http://"), ":")
	for _, from := range []string{evil.URL, "http://localhost:" + port} {
		tab := browser.Tab(t, wide)
		tab.Visit(from)
		chromium.Ask[bool](tab, "document.querySelector('#f').submit() || new Promise(r => setTimeout(() => r(true), 300))")
		got := chromium.Ask[[]string](tab, fmt.Sprintf(`Promise.all([
			fetch(%[1]q, {credentials: 'include'}).then(r => r.text(), () => 'refused'),
			fetch(%[1]q + 'check', {method: 'POST', credentials: 'include', body: new URLSearchParams({key: ''})}).then(r => r.text(), () => 'refused'),
			fetch(%[1]q + 'check', {method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams({key: ''})}).then(r => r.type, () => 'refused'),
			fetch(%[1]q + 'progress', {mode: 'no-cors', credentials: 'include'}).then(r => r.type, () => 'refused'),
		])`, base))
		for i, want := range []string{"refused", "refused", "", "refused"} {
			if want != "" && got[i] != want {
				t.Errorf("from %s: request %d: %q", from, i, got[i])
			}
		}
		if margin := chromium.Ask[string](tab, "getComputedStyle(document.body).marginTop"); margin != "8px" {
			t.Errorf("from %s: it got the page's style", from)
		}
		if said := strings.Join(tab.Complaints(), "\n"); !strings.Contains(said, "frame") {
			t.Errorf("from %s: the page was framed: %s", from, said)
		}
	}
	w.mu.Lock()
	if len(w.checked) > 0 {
		t.Errorf("another page had %q checked", w.checked)
	}
	w.mu.Unlock()

	tab.Submit(base+"check", url.Values{"key": {""}}) // the page itself may
	w.mu.Lock()
	if len(w.checked) != 1 {
		t.Errorf("the page had %q checked", w.checked)
	}
	w.mu.Unlock()

	for _, p := range pages {
		tab.Visit(base + p)
		if n := chromium.Ask[int](tab, "document.querySelectorAll('script:not([src=\"/page.js\"]), img, iframe, object, embed, [onerror]').length"); n > 0 {
			t.Errorf("%q: names of the device became %d elements", p, n)
		}
	}
	if got := chromium.Ask[bool](tab, "new Promise(r => {const i = document.createElement('script'); i.textContent = 'window.ran = true'; document.head.append(i); setTimeout(() => r(Boolean(window.ran)), 100)})"); got {
		t.Error("an inline script runs")
	}

	again := browser.Tab(t, wide)
	for name, used := range map[string]string{"used": link, "wrong": origin + "/#AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		again.Visit("about:blank")
		again.Visit(used)
		again.Await("the refusal of a "+name+" token", "document.querySelector('[role=alert]')")
		if hash := chromium.Ask[string](again, "location.hash + location.search"); hash != "" {
			t.Errorf("%s token: it stays in the address: %s", name, hash)
		}
	}

	// Without script all can be read, and checked again: the page loads itself anew until it is done.
	plain := browser.Tab(t, wide)
	in := plain.Enter(origin + "/#" + s.Token(Grant{Act: true, Language: english}))
	chromium.Call(plain, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, p := range pages[:7] {
		plain.Visit(in + p)
		if !strings.Contains(plain.Text(), "Picket") || strings.Contains(plain.Text(), "undefined") {
			t.Errorf("%q without script: %s", p, plain.Text())
		}
	}

	tab.Visit(base)
	tab.Submit(base+"leave", url.Values{})
	chromium.Ask[bool](tab, "history.back() || true")
	tab.Await("what is there after leaving", "document.readyState === 'complete' && document.querySelector('#token')")
	if text := tab.Text(); strings.Contains(text, "A bad app") {
		t.Errorf("after leaving, back shows %s", text)
	}
}

// A page that waits for a slow disk holds up no other.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	w := newWorld()
	source, asked, release := w.source(), make(chan struct{}), make(chan struct{})
	view := source.View
	source.View = func(ctx context.Context) (*View, error) {
		close(asked)
		<-release
		return view(ctx)
	}
	s := serve(t, w)
	s.source = source
	b := open(t, s, Grant{})
	slow := make(chan int, 1)
	go func() { slow <- b.do("GET", b.base, "").Code }()
	<-asked
	for _, p := range []string{b.base + "apps", "/page.css", "/"} {
		if c := b.do("GET", p, "").Code; c != http.StatusOK {
			t.Errorf("%q meanwhile: %d", p, c)
		}
	}
	close(release)
	if c := <-slow; c != http.StatusOK {
		t.Errorf("the slow page: %d", c)
	}
}
