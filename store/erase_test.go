package store

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// TestForgottenIsGone has what was forgotten gone from the store, and after Rewrite from the bytes
// of its file too.
func TestForgottenIsGone(t *testing.T) {
	t.Parallel()
	c, path := newClock(), tempPath(t)
	s := open(t, path, c.options())
	apply(t, s, Scan{Findings: []Finding{finding("key1", "OS-001", 3, "body one")}, Whole: map[string]bool{"OS-001": true}})
	c.pass(time.Hour)
	apply(t, s, Scan{Findings: []Finding{finding("key2", "OS-001", 3, "body two")}, Whole: map[string]bool{"OS-001": true}})
	for _, n := range []string{"canary-net-1", "canary-net-2"} {
		if err := s.Remember("networks", n, []byte("canary of "+n), 9); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remember("agent", "run", []byte("stays"), 9); err != nil {
		t.Fatal(err)
	}
	if tables, err := s.NoteTables(); err != nil || len(tables) != 2 || tables[0] != "agent" || tables[1] != "networks" {
		t.Errorf("tables %q, %v", tables, err)
	}
	first, err := s.Peek(1, 1<<20)
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	if err := s.Quarantine(first[0].ID, "canary-why"); err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]struct {
		do   func() (uint64, error)
		want uint64
	}{
		"history until then": {func() (uint64, error) { return s.ForgetHistory(c.wall.Add(-time.Minute)) }, 1},
		"networks":           {func() (uint64, error) { return s.ForgetNotes("networks") }, 2},
		"no such table":      {func() (uint64, error) { return s.ForgetNotes("nothing") }, 0},
		"refused":            {s.ForgetRefused, 1},
		"waiting":            {s.ForgetWaiting, 2},
	} {
		if n, err := step.do(); err != nil || n != step.want {
			t.Errorf("%s: %d, %v; want %d", name, n, err, step.want)
		}
	}
	if _, err := s.ForgetNotes("_store"); !errors.Is(err, ErrRefused) {
		t.Errorf("the store's own notes: %v", err)
	}
	if why, err := s.NeedSnapshot(time.Hour); err != nil || why == "" {
		t.Errorf("no snapshot is due: %q, %v", why, err)
	}
	stats, err := s.Stats()
	if err != nil || stats.Outbox != 0 || stats.Quarantined != 0 || stats.Findings != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	if h, err := s.History("", 10); err != nil || len(h) != 2 {
		t.Errorf("history %+v, %v", h, err)
	}
	if err := Rewrite(path, c.options()); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Contains(b, []byte("canary")) {
		t.Logf("nothing of it was left even before: %v", err)
	}
	if err := Rewrite(path, c.options()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte("canary")) || bytes.Contains(b, []byte("body one")) {
		t.Errorf("it is still in the file, %v", err)
	}
	s = open(t, path, c.options())
	if got, err := s.Recall("agent", "run"); err != nil || string(got) != "stays" {
		t.Errorf("%q, %v", got, err)
	}
	if again, err := s.Stats(); err != nil || again.Findings != 1 || again.Known != stats.Known {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestForgetDamaged(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	for _, name := range []string{path + ".damaged-1", path + ".damaged-2"} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path+".damaged-folder", 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := ForgetDamaged(path); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
