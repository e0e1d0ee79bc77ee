package agent

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"picket/store"
)

// TestAPIOverTheStore has the store's own methods behind the API, as the agent does.
func TestAPIOverTheStore(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := socketFolder(t)
	s, err := store.Open(filepath.Join(dir, storeName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	encode := func(c store.Change) ([]byte, error) {
		return json.Marshal(map[string]string{"message": c.Kind.String() + " " + c.Key})
	}
	f := newFakeAgent()
	scan := store.Scan{Whole: map[string]bool{"OS-001": true, "CFG-002": true}, Inventory: &store.Inventory{Packages: f.packages, Whole: true}}
	for _, o := range f.findings {
		scan.Findings = append(scan.Findings, o.Finding)
	}
	if _, err := s.Apply(scan, encode); err != nil {
		t.Fatal(err)
	}
	deps := f.deps()
	deps.Now = time.Now // as the store goes
	deps.Findings, deps.Packages, deps.History, deps.Ignores, deps.Pending = s.Findings, s.Packages, s.History, s.Ignores, s.Pending
	deps.Ignore = func(i store.Ignore) error { return s.SetIgnore(i, encode) }
	deps.Unignore = func(key string) error { return s.EndIgnore(key, encode) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	path := filepath.Join(dir, "run", "s")
	go func() { done <- serveLocal(ctx, Config{Socket: path}, deps) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		verifyNone(t, before)
	})
	eventually(t, "an answer", func() bool { _, _, err := ask(t, path, apiRequest{Op: "status"}); return err == nil })

	if _, _, err := ask(t, path, apiRequest{Op: "ignore", Key: "CFG-002", For: "1d", Why: "bench"}); err != nil {
		t.Fatal(err)
	}
	items, end, err := ask(t, path, apiRequest{Op: "threats"})
	if err != nil || len(items) != 3 || !strings.Contains(items[0], `"why":"bench"`) || !strings.Contains(items[0], `"means":"what it means"`) {
		t.Errorf("%v\n%s\n%s", err, items, end)
	}
	for op, n := range map[string]int{"inventory": 3, "history": 3, "ignores": 1} {
		if items, _, err := ask(t, path, apiRequest{Op: op}); err != nil || len(items) != n {
			t.Errorf("%s: %v, %s", op, err, items)
		}
	}
	if _, err := s.Queue("snapshot", 1, func(store.Change) ([]byte, error) { return []byte("{\"part\":1}\n{\"part\":2}"), nil }); err != nil {
		t.Fatal(err)
	}
	items, _, err = ask(t, path, apiRequest{Op: "events"})
	if n := len(items); err != nil || n < 2 || items[n-2] != `{"part":1}` || items[n-1] != `{"part":2}` {
		t.Errorf("a part of a snapshot, several lines: %v\n%s", err, items)
	}
	if err != nil || !strings.Contains(strings.Join(items, "\n"), `{"message":"ignored `+keyC) {
		t.Errorf("%v\n%s", err, items)
	}
	if _, _, err := ask(t, path, apiRequest{Op: "unignore", Key: keyC}); err != nil {
		t.Fatal(err)
	}
	if items, _, err := ask(t, path, apiRequest{Op: "ignores"}); err != nil || len(items) != 0 {
		t.Errorf("%v, %s", err, items)
	}
	if _, _, err := ask(t, path, apiRequest{Op: "unignore", Key: keyC}); codeOf(err) != codeNotFound {
		t.Error(err)
	}
	// Doctor, asked about another socket, sees that somebody has this store open.
	out, _, code := run(t, "doctor", "--set", "state_dir="+dir, "--socket", path+"2")
	if code != exitError || !strings.Contains(out, "has the store open, but nobody answers on "+path+"2") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if err := serveLocal(ctx, Config{Socket: path}, deps); err == nil || !strings.Contains(err.Error(), "somebody answers") {
		t.Errorf("a second agent: %v", err)
	}
}
