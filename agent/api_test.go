package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"picket/scanner"
	"picket/store"
)

const (
	keyA = "aaaaaa11111111111111111111111111"
	keyB = "aaaaaa22222222222222222222222222"
	keyC = "cccccc33333333333333333333333333"
)

// fakeAgent gives the API's functions without an agent.
type fakeAgent struct {
	mu       sync.Mutex
	ignored  []store.Ignore
	findings []store.OpenFinding
	packages []store.Package
	history  []store.Entry
	events   []store.Event
	warnings []Warning
	feed     feed
	rescan   func(context.Context, bool) (scanSummary, error)
	reload   func(context.Context) ([]string, error)
	config   ConfigUse
}

// at is when everything in the fake happened.
func at() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func newFakeAgent() *fakeAgent {
	f := &fakeAgent{
		rescan: func(_ context.Context, wait bool) (scanSummary, error) {
			if !wait {
				return scanSummary{}, nil
			}
			return scanSummary{Why: "asked", Started: at(), Finished: at().Add(time.Second), Level: scanner.LevelHigh, Opened: 2}, nil
		},
		reload: func(context.Context) ([]string, error) { return []string{"watch: 250ms -> off"}, nil },
	}
	for i, key := range []string{keyA, keyB, keyC} {
		rule := []string{"OS-001", "OS-001", "CFG-002"}[i]
		s := []scanner.Severity{scanner.Low, scanner.Medium, scanner.High}[i]
		body, err := json.Marshal(scanner.Finding{Key: key, Rule: rule, Title: "title of " + rule, Severity: s, Category: "os",
			Subject: scanner.Subject{Kind: "file", Name: "/etc/<x>\x1b[31m"}, Means: "what it means", Fix: "what clears it",
			Evidence: []scanner.Evidence{{Source: "/etc/x:1", Fields: map[string]string{"mode": "0777"}}}})
		if err != nil {
			panic(err)
		}
		f.findings = append(f.findings, store.OpenFinding{Finding: store.Finding{Key: key, Rule: rule, Title: "title of " + rule, Severity: uint8(s), Body: body}, Since: at(), Changed: at()})
		f.history = append(f.history, store.Entry{At: at().Add(-time.Duration(i) * time.Hour), Kind: store.Opened, Key: key, Rule: rule, Title: "t", Severity: uint8(s)})
	}
	for i := range 3 {
		id := "p" + strconv.Itoa(i)
		f.packages = append(f.packages, store.Package{ID: id, Body: []byte(`{"id":"` + id + `","name":"` + id + `","version":"1.0","manager":"dpkg"}`)})
		f.events = append(f.events, store.Event{ID: id, Seq: uint64(i*10 + 1), Body: []byte(`{"message":"<b>&` + id + `","time":1}`)})
	}
	return f
}

func (f *fakeAgent) deps() apiDeps {
	return apiDeps{
		Status: func() Status {
			return Status{Version: version(), PID: 7, Since: at(), Level: scanner.LevelHigh, NotChecked: 4, Findings: map[string]int{"high": 1, "low": 1},
				LastScan: &scanSummary{Finished: at()}, Packages: InventoryState{Partial: []string{"/var/lib/snapd"}}, Warnings: f.warnings,
				Privileges: Privileges{UID: os.Geteuid(), Root: true}, Device: &scanner.DeviceInfo{Platform: "linux"}, Config: f.config}
		},
		Now:      at,
		Findings: func() ([]store.OpenFinding, error) { return slices.Clone(f.findings), nil },
		Packages: func() ([]store.Package, error) { return f.packages, nil },
		History: func(key string, limit int) ([]store.Entry, error) {
			var out []store.Entry
			for _, e := range f.history {
				if len(out) < limit && (key == "" || key == e.Key) {
					out = append(out, e)
				}
			}
			return out, nil
		},
		Ignores: func() ([]store.Ignore, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.ignored), nil
		},
		Ignore: func(i store.Ignore) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.ignored = append(f.ignored, i)
			return nil
		},
		Unignore: func(key string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.ignored = slices.DeleteFunc(f.ignored, func(i store.Ignore) bool { return i.Key == key })
			return nil
		},
		Pending: func(after uint64, n int) ([]store.Event, error) {
			var out []store.Event
			for _, e := range f.events {
				if e.Seq > after && len(out) < min(n, 2) {
					out = append(out, e)
				}
			}
			return out, nil
		},
		Subscribe: f.feed.subscribe,
		Rescan:    func(ctx context.Context, wait bool) (scanSummary, error) { return f.rescan(ctx, wait) },
		Reload:    func(ctx context.Context) ([]string, error) { return f.reload(ctx) },
	}
}

// serveAPI runs a server until the test ends, which it does with no goroutine left. What is not the
// point of a test has all the time that a busy machine needs. The tests that use it run one after the
// other: what others leave would be counted.
func serveAPI(t *testing.T, f *fakeAgent, group string, change func(*apiLimits)) (path string, server *apiServer) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	path = filepath.Join(socketFolder(t), "s")
	socket, err := listenSocket(path, group)
	if err != nil {
		t.Fatal(err)
	}
	limits := defaultLimits()
	limits.Request, limits.Write, limits.Answer = patience, patience, patience
	if change != nil {
		change(&limits)
	}
	server = newAPIServer(socket, f.deps(), limits)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is left behind")
		}
		verifyNone(t, before)
	})
	return path, server
}

// socketFolder is a folder of ours that others may look into.
func socketFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "picket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ask makes one request and gives items and end as text.
func ask(t *testing.T, path string, req apiRequest) (items []string, end string, err error) {
	t.Helper()
	var raw json.RawMessage
	err = callAPI(t.Context(), path, req, func(b json.RawMessage) error {
		items = append(items, string(b))
		return nil
	}, &raw)
	return items, string(raw), err
}

// codeOf is the code of the API's error, "" for none.
func codeOf(err error) string {
	if e := (*apiError)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func mustAnswer(t *testing.T, path string) {
	t.Helper()
	if _, end, err := ask(t, path, apiRequest{Op: "status"}); err != nil || !strings.Contains(end, `"pid":7`) {
		t.Fatalf("the server does not go on: %v, %s", err, end)
	}
}

func TestAPIAnswers(t *testing.T) {
	f := newFakeAgent()
	f.warnings = []Warning{{Code: "watch-limit", Dependency: "inotify", Since: at(), Text: "few", Fix: "more"}}
	f.findings[0].Body = []byte("no json")
	f.packages[1].Body = []byte("no json")
	path, _ := serveAPI(t, f, "", nil)
	for _, tt := range []struct {
		req   apiRequest
		items int
		end   string
		has   string // in the items
	}{
		{apiRequest{Op: "status"}, 0, `"version":"` + version() + `"`, ""},
		{apiRequest{Op: "health"}, 1, `{"ok":false}`, `{"code":"watch-limit","dependency":"inotify","since":"2026-03-01T12:00:00Z","text":"few","fix":"more"}`},
		{apiRequest{Op: "threats"}, 3, `{"count":3,"level":"High","not_checked":4,"last_scan":"2026-03-01T12:00:00Z"}`, `"key":"` + keyC + `","rule":"CFG-002"`},
		{apiRequest{Op: "threats"}, 3, "", `"severity":"low"`},
		{apiRequest{Op: "threats"}, 3, "", `"unread":"invalid character`},
		{apiRequest{Op: "inventory"}, 3, `{"count":3,"partial":["/var/lib/snapd"],"device":{`, string(f.packages[0].Body) + "\n" + `{"unread":"p1"}`},
		{apiRequest{Op: "history"}, 3, `{"count":3}`, `"kind":"opened"`},
		{apiRequest{Op: "history", Limit: 2}, 2, `{"count":2}`, ""},
		{apiRequest{Op: "history", Since: "2026-03-01T10:30:00Z"}, 2, `{"count":2}`, ""},
		{apiRequest{Op: "history", Key: keyB}, 1, `{"count":1}`, keyB},
		{apiRequest{Op: "history", Key: keyB[:7]}, 1, `{"count":1}`, keyB},
		{apiRequest{Op: "history", Key: "OS-001"}, 2, `{"count":2}`, ""},
		{apiRequest{Op: "history", Key: "OS-001", Limit: 1}, 1, `{"count":1}`, keyA},
		{apiRequest{Op: "history", Key: "aaaa"}, 0, `{"count":0}`, ""},
		{apiRequest{Op: "events"}, 3, `{"count":3}`, string(f.events[0].Body) + "\n" + string(f.events[1].Body) + "\n" + string(f.events[2].Body)},
		{apiRequest{Op: "rescan"}, 0, `{"queued":true}`, ""},
		{apiRequest{Op: "rescan", Wait: true}, 0, `"opened":2`, ""},
		{apiRequest{Op: "reload"}, 0, `{"changes":["watch: 250ms -> off"]}`, ""},
		{apiRequest{Op: "ignores"}, 0, `{"count":0}`, ""},
	} {
		items, end, err := ask(t, path, tt.req)
		if err != nil || len(items) != tt.items || !strings.Contains(end, tt.end) || !strings.Contains(strings.Join(items, "\n"), tt.has) {
			t.Errorf("%+v: %v\n%s\nend %s", tt.req, err, strings.Join(items, "\n"), end)
		}
	}
	if items, _, _ := ask(t, path, apiRequest{Op: "threats"}); !strings.Contains(items[0], keyC) || !strings.Contains(items[2], keyA) {
		t.Errorf("the gravest is not first: %s", items)
	}
}

func TestAPIIgnores(t *testing.T) {
	f := newFakeAgent()
	path, _ := serveAPI(t, f, "", nil)
	_, end, err := ask(t, path, apiRequest{Op: "ignore", Key: "CFG-002", For: "7d", Why: "the bench"})
	if err != nil || !strings.Contains(end, keyC) {
		t.Fatal(err, end)
	}
	got := f.ignored[0]
	if d := got.Until.Sub(got.Since); got.Key != keyC || got.Why != "the bench" || got.By == "" || d != 7*day || !got.Since.Equal(at()) {
		t.Errorf("%+v", got)
	}
	items, _, _ := ask(t, path, apiRequest{Op: "threats"})
	if !strings.Contains(items[0], `"ignored":{"key":"`+keyC) {
		t.Errorf("not told of the threat: %s", items[0])
	}
	for _, tt := range []struct{ req, code string }{
		{`"key":"aaaaaa","for":"1d","why":"x"`, codeAmbiguous},
		{`"key":"OS-001","for":"1d","why":"x"`, codeAmbiguous},
		{`"key":"aaaaa","for":"1d","why":"x"`, codeNotFound},
		{`"key":"dddddd","for":"1d","why":"x"`, codeNotFound},
		{`"key":"","for":"1d","why":"x"`, codeInvalid},
		{`"key":"` + keyA + `","for":"1d"`, codeInvalid},
		{`"key":"` + keyA + `","for":"1d","why":"  "`, codeInvalid},
		{`"key":"` + keyA + `","for":"1d","why":"` + strings.Repeat("x", apiWhyMax+1) + `"`, codeInvalid},
		{`"key":"` + keyA + `","for":"1d","why":"a\u001b[2Jb"`, codeInvalid},
		{`"key":"` + keyA + `","for":"","why":"x"`, codeInvalid},
		{`"key":"` + keyA + `","for":"367d","why":"x"`, codeInvalid},
		{`"key":"` + keyA + `","for":"1s","why":"x"`, codeInvalid},
		{`"key":"` + keyA + `","for":"-1d","why":"x"`, codeInvalid},
	} {
		if l := rawAsk(t, path, `{"v":1,"op":"ignore",`+tt.req+"}\n"); l.Error == nil || l.Error.Code != tt.code {
			t.Errorf("%s: %+v", tt.req, l.Error)
		}
	}
	if len(f.ignored) != 1 {
		t.Errorf("ignored: %+v", f.ignored)
	}
	if _, _, err := ask(t, path, apiRequest{Op: "unignore", Key: keyA}); codeOf(err) != codeNotFound {
		t.Error(err)
	}
	if _, end, err := ask(t, path, apiRequest{Op: "unignore", Key: "cccccc"}); err != nil || !strings.Contains(end, keyC) || len(f.ignored) != 0 {
		t.Error(err, end, f.ignored)
	}
}

// rawAsk sends bytes and gives the first line of the answer.
// lastLine reads an answer to its end.
// bigInventory is far more than socket buffers hold.
func TestAPIFollow(t *testing.T) {
	f := newFakeAgent()
	path, server := serveAPI(t, f, "", nil)
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		done <- callAPI(ctx, path, apiRequest{Op: "events", Follow: true}, func(b json.RawMessage) error {
			got <- string(b)
			return nil
		}, nil)
	}()
	eventually(t, "a follower", func() bool { return f.feed.followers() == 1 })
	for _, body := range []string{`{"a":"<>&\u2028"}`, `{"b":1.0}`} {
		f.feed.publish([]byte(body))
		if g := <-got; g != body {
			t.Errorf("%s became %s", body, g)
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "no follower", func() bool { return f.feed.followers() == 0 })
	server.rests(t)
}

func TestAPIRescanEndsWithItsClient(t *testing.T) {
	f := newFakeAgent()
	waiting, ended := make(chan bool, 1), make(chan error, 1)
	f.rescan = func(ctx context.Context, _ bool) (scanSummary, error) {
		waiting <- true
		<-ctx.Done()
		ended <- ctx.Err()
		return scanSummary{}, ctx.Err()
	}
	path, _ := serveAPI(t, f, "", func(l *apiLimits) { l.Answer = time.Millisecond }) // which is not for this
	c := dial(t, path)
	c.Write([]byte(`{"v":1,"op":"rescan","wait":true}` + "\n"))
	<-waiting
	c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAPIRescanFails(t *testing.T) {
	f := newFakeAgent()
	f.rescan = func(ctx context.Context, _ bool) (scanSummary, error) {
		<-ctx.Done()
		return scanSummary{}, ctx.Err()
	}
	path, _ := serveAPI(t, f, "", func(l *apiLimits) { l.Rescan = 50 * time.Millisecond })
	if _, _, err := ask(t, path, apiRequest{Op: "rescan", Wait: true}); codeOf(err) != codeTimeout || !strings.Contains(err.Error(), "goes on") {
		t.Error(err)
	}
	f = newFakeAgent()
	path, _ = serveAPI(t, f, "", nil)
	f.rescan = func(context.Context, bool) (scanSummary, error) { return scanSummary{}, errors.New("no device") }
	for _, wait := range []bool{true, false} {
		if _, _, err := ask(t, path, apiRequest{Op: "rescan", Wait: wait}); codeOf(err) != codeFailed || !strings.Contains(err.Error(), "no device") {
			t.Error(err)
		}
	}
}

func TestAPIFaultsAreAnswered(t *testing.T) {
	f := newFakeAgent()
	f.reload = func(context.Context) ([]string, error) { panic("a bug") }
	path, _ := serveAPI(t, f, "", nil)
	if _, _, err := ask(t, path, apiRequest{Op: "reload"}); codeOf(err) != codeInternal || !strings.Contains(err.Error(), "a bug") {
		t.Error(err)
	}
	f.reload = func(context.Context) ([]string, error) {
		return nil, &hinted{errors.New("config.yaml:1: no"), "correct it"}
	}
	_, _, err := ask(t, path, apiRequest{Op: "reload"})
	if h := (*hinted)(nil); codeOf(err) != codeFailed || !errors.As(err, &h) || h.hint != "correct it" {
		t.Error(err)
	}
	mustAnswer(t, path)
}

// TestAPIStops stops a server with every kind of client under way; serveAPI waits for it.
// asUser runs f in a thread that has the rights of another user, and then is gone.
// manyGroups is more than the first guess at their number.
// TestAPIClientDistrusts has an agent that does not keep to the protocol.
// TestAPIPage keeps the reference page to the code.
func TestAPIPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for op := range apiOps() {
		if !strings.Contains(string(page), "\n## "+op+"\n") {
			t.Errorf("op %s is not described", op)
		}
	}
	for _, code := range []string{codeMalformed, codeTooLarge, codeVersion, codeUnknownOp, codeInvalid, codeDenied, codeBusy, codeTimeout,
		codeNotFound, codeAmbiguous, codeFailed, codeLagged, codeStopping, codeInternal,
		warnStoreDamaged, warnOutboxDropping, warnUpstream, warnRulesStale, warnProbeDenied, warnWatchLimit, warnClock, warnOverBudget, warnConfigRefused, warnSocket} {
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("code %s is not described", code)
		}
	}
	l := defaultLimits()
	for _, n := range []any{l.Conns, l.Readers, l.Lists, l.Request, l.Write, l.Answer, l.Rescan, apiRequestMax >> 10, apiLineMax >> 20, apiHistoryMax, apiWhyMax, apiKeyMin} {
		text := fmt.Sprint(n)
		if d, ok := n.(time.Duration); ok {
			text = formatDuration(d)
		}
		if !strings.Contains(string(page), text) {
			t.Errorf("limit %s is not told", text)
		}
	}
}
