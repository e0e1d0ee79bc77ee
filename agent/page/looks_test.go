package page

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/agent/page/chromium"
)

// axeFile is what `make page-tools` fetches.
const axeFile = "../../bin/page/axe.min.js"

// listening serves a world's page on a port of its own and gives where.
func listening(t *testing.T, w *world) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(l.Addr().String(), w.source(), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
	return s, "http://" + l.Addr().String()
}

// axeSource gives axe-core; nil, with a word in the log, where it is not there.
func axeSource(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(axeFile)
	if err != nil {
		t.Log("accessibility is not looked at, as axe-core is not there (make page-tools)")
	}
	return string(b)
}

// TestLooks shows every state of every page in Chromium, wide and narrow, light and dark, in both languages: nothing may
// be cut off, no script and no style may be refused, and axe-core must find nothing that keeps anybody from reading or from
// using it. PICKET_PICTURES names a folder that gets a picture of each.
func TestLooks(t *testing.T) {
	t.Parallel()
	axe, browser, pictures := axeSource(t), chromium.Start(t), os.Getenv("PICKET_PICTURES")
	for _, st := range states() {
		t.Run(st.name, func(t *testing.T) {
			s, origin := listening(t, st.world)
			if st.world.hold != nil {
				defer close(st.world.hold)
			}
			for _, l := range chromium.Looks() {
				tab := browser.Tab(t, l)
				base := tab.Enter(origin + "/#" + s.Token(Grant{Act: st.act, Language: l.Language}))
				if st.check != "" {
					tab.Submit(base+"check", url.Values{"key": {st.check}})
					if st.wait {
						tab.Await("the check's end", "!document.querySelector('[data-progress]')")
					}
				}
				for _, p := range append(slices.Clone(st.pages), "door") {
					where := st.name + " /" + p + " in " + l.String()
					if p != "door" {
						tab.Visit(base + p)
					} else if tab.Visit(origin + "/"); st.name != "high" {
						break // it is the same in all
					}
					if lang := chromium.Ask[string](tab, "document.documentElement.lang"); lang != l.Language {
						t.Errorf("%s: its language is %q", where, lang)
					}
					if over := chromium.Ask[float64](tab, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
						t.Errorf("%s: %v pixels are cut off", where, over)
					}
					if axe != "" {
						for _, v := range tab.Axe(axe) {
							t.Errorf("%s: %s", where, v)
						}
					}
					if pictures != "" {
						tab.Picture(pictures+"/"+strings.NewReplacer(" ", "-", "/", "_", "?", "_").Replace(st.name+"_"+p+"_"+l.String())+".png", true)
					}
				}
				for _, said := range tab.Complaints() {
					if !strings.Contains(said, "the server responded with a status") { // which the page says too
						t.Errorf("%s in %s: the browser says %s", st.name, l, said)
					}
				}
			}
		})
	}
	t.Run("what is wrong is found", func(t *testing.T) {
		if axe == "" {
			t.Skip("axe-core is not there")
		}
		s, origin := listening(t, newWorld())
		tab := browser.Tab(t, chromium.Looks()[0])
		tab.Enter(origin + "/#" + s.Token(Grant{}))
		chromium.Ask[bool](tab, "document.querySelector('h1').style.color = '#eee'; document.documentElement.lang = ''; document.querySelector('main').append(document.createElement('input')); true")
		got := strings.Join(tab.Axe(axe), "\n")
		for _, rule := range []string{"color-contrast", "html-has-lang", "label"} {
			if !strings.Contains(got, rule+" ") {
				t.Errorf("axe does not find %s in %s", rule, got)
			}
		}
	})
}
