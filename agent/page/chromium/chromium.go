// Package chromium is a headless browser for tests of the page. Nothing but tests imports it.
package chromium

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait for the browser, on machines that are slow too.
const patience = 5 * time.Minute

// Browser is one headless Chromium, with a profile of its own.
type Browser struct{ ctx context.Context }

// Start starts a browser, which ends with the test, or skips the test where none is installed.
func Start(t *testing.T) *Browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			program = p
			break
		}
	}
	if program == "" {
		t.Skip("no Chromium is installed")
	}
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.WSURLReadTimeout(patience)}
	for _, name := range []string{"headless", "no-sandbox", "disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync",
		"disable-dev-shm-usage", "disable-extensions", "hide-scrollbars"} {
		opts = append(opts, chromedp.Flag(name, true))
	}
	all, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, end := chromedp.NewContext(all)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser's end, so that its folder can go
		end()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return &Browser{ctx}
}

// Look is how a tab shows a page.
type Look struct {
	Width    int64
	Dark     bool
	Language string
}

func (l Look) String() string {
	theme := "light"
	if l.Dark {
		theme = "dark"
	}
	return fmt.Sprintf("%s %d %s", l.Language, l.Width, theme)
}

// Looks are those in which every page is held to its rules.
func Looks() []Look {
	return []Look{{1280, false, "en"}, {320, true, "en"}, {1280, true, "nl"}, {320, false, "nl"}}
}

// Tab is a tab of the browser.
type Tab struct {
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	said []string // what the browser complained of
}

// Tab opens a tab, which is closed when the test ends.
func (b *Browser) Tab(t *testing.T, l Look) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	tab := &Tab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // without a time limit, which would be the tab's
		t.Fatalf("opening a tab: %v", err)
	}
	if err := chromedp.Listen(ctx, tab.hear); err != nil {
		t.Fatal(err)
	}
	Call(tab, log.Enable, cdp.Empty{})
	tab.Wear(l)
	return tab
}

// hear keeps what the browser complains of: scripts and styles that the page's policy refuses, above all.
func (tab *Tab) hear(ev any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Level == "error" {
			tab.said = append(tab.said, ev.Entry.Text+" "+ev.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		tab.said = append(tab.said, ev.ExceptionDetails.Text)
	}
}

// Complaints are the errors that the browser told of.
func (tab *Tab) Complaints() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.Clone(tab.said)
}

// Wear gives the tab another look.
func (tab *Tab) Wear(l Look) {
	tab.t.Helper()
	theme := "light"
	if l.Dark {
		theme = "dark"
	}
	Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.Width, Height: 800, DeviceScaleFactor: 1, Mobile: l.Width < 600})
	Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	Call(tab, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0 (X11; Linux x86_64) Chrome", AcceptLanguage: l.Language})
}

// run gives what an action gives.
func run[T any](tab *Tab, a chromedp.Action[T]) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		tab.t.Fatalf("in the browser: %v", err)
	}
	return v
}

// Call sends a command of the DevTools protocol.
func Call[P, R any](tab *Tab, c cdp.Command[P, R], params P) R {
	tab.t.Helper()
	return run(tab, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
}

// Ask evaluates a script, which the page's own policy does not bind.
func Ask[T any](tab *Tab, script string) T {
	tab.t.Helper()
	return run(tab, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Visit goes to a page, until all of it is there.
func (tab *Tab) Visit(to string) {
	tab.t.Helper()
	run(tab, chromedp.Navigate(to))
}

// Enter opens the page by a link with its token, and gives where the session's pages are.
func (tab *Tab) Enter(link string) string {
	tab.t.Helper()
	tab.Visit("about:blank") // so that another token behind the # is another page
	tab.Visit(link)
	tab.Await("the session", "location.pathname.startsWith('/s/') && document.readyState === 'complete'")
	return Ask[string](tab, "location.origin + location.pathname")
}

// Await waits until a script says true. The page may be replaced meanwhile.
func (tab *Tab) Await(what, script string) {
	tab.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		yes, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool]("Boolean("+script+")"))
		if err == nil && yes {
			return
		}
		if time.Now().After(end) || tab.ctx.Err() != nil {
			text, _ := chromedp.Run(tab.ctx, chromedp.Evaluate[string]("location.href + ' ' + document.body.innerText"))
			tab.t.Fatalf("%s: does not come: %v; the page says %s", what, err, text)
		}
	}
}

// Press presses keys one after the other, as a person who has no mouse does.
func (tab *Tab) Press(keys ...string) {
	tab.t.Helper()
	for _, k := range keys {
		run(tab, chromedp.KeyEvent(k))
	}
}

// Submit sends a form as the page itself would, and waits for what comes of it.
func (tab *Tab) Submit(to string, form url.Values) {
	tab.t.Helper()
	script := fmt.Sprintf("const f = document.createElement('form'); f.method = 'post'; f.action = %q;", to)
	for name := range form {
		script += fmt.Sprintf("{const i = document.createElement('input'); i.name = %q; i.value = %q; f.append(i)}", name, form.Get(name))
	}
	run(tab, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Evaluate[chromedp.Void]("{"+script+"document.body.append(f); f.submit()}")))
}

// Text is what the page says.
func (tab *Tab) Text() string { tab.t.Helper(); return Ask[string](tab, "document.body.innerText") }

// Picture writes what the tab shows as PNG, the whole page where whole.
func (tab *Tab) Picture(name string, whole bool) {
	tab.t.Helper()
	shot := page.CaptureScreenshotParams{}
	if whole {
		beyond := true
		shot.CaptureBeyondViewport = &beyond
		shot.Clip = &page.Viewport{Width: Ask[float64](tab, "innerWidth"), Height: min(Ask[float64](tab, "document.documentElement.scrollHeight"), 6000), Scale: 1}
	}
	png := Call(tab, page.CaptureScreenshot, shot).Data
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(name, png, 0o644); err != nil {
		tab.t.Fatal(err)
	}
}

// Axe gives what axe-core, whose source is given, finds wrong with the page as it is: for each place its rule and why.
func (tab *Tab) Axe(source string) []string {
	tab.t.Helper()
	run(tab, chromedp.Evaluate[chromedp.Void](source+";undefined"))
	return Ask[[]string](tab, `axe.run(document, {resultTypes: ['violations'], runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}}).then(r =>
		r.violations.flatMap(v => v.nodes.map(n => v.id + ' ' + n.html.slice(0, 120) + ' ' + (n.failureSummary || '').replace(/\s+/g, ' ').slice(0, 200))))`)
}
