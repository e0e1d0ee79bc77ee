package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a wall clock and an uptime that a test moves.
type clock struct {
	wall time.Time
	up   time.Duration
}

func newClock() *clock { return &clock{wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) pass(d time.Duration) { c.wall, c.up = c.wall.Add(d), c.up+d }

func (c *clock) options() Options {
	return Options{Now: func() time.Time { return c.wall }, Uptime: func() time.Duration { return c.up }}
}

func tempPath(t *testing.T) string { return filepath.Join(t.TempDir(), "state", "picket.db") }

func open(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// say encodes an event so that a test can read it.
func say(c Change) ([]byte, error) {
	what := ""
	switch {
	case c.Part != nil:
		what = fmt.Sprintf("%s %d last=%v", c.Part.Why, c.Part.Index, c.Part.Last)
		for _, f := range c.Part.Findings {
			what += " " + f.Key
		}
		for _, p := range c.Part.Packages {
			what += " " + p.ID
		}
	case c.Losses != nil:
		what = fmt.Sprint(c.Losses.Dropped, len(c.Losses.Damage))
	case c.Ignore != nil:
		what = c.Ignore.Why
	case c.Package != nil:
		what = string(c.Package.Body)
		if c.WasPackage != nil {
			what += " was " + string(c.WasPackage.Body)
		}
	case c.Finding != nil:
		what = string(c.Finding.Body)
		if c.Was != nil {
			what += " was " + string(c.Was.Body)
		}
	}
	return fmt.Appendf(nil, "%s %s: %s", c.Kind, c.Key, what), nil
}

func finding(key, rule string, severity uint8, body string) Finding {
	return Finding{Key: key, Rule: rule, Title: "title of " + key, Severity: severity, Body: []byte(body)}
}

func apply(t *testing.T, s *Store, scan Scan) Changes {
	t.Helper()
	ch, err := s.Apply(scan, say)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// drain takes everything out of the outbox, in order, and gives the bodies.
func drain(t *testing.T, s *Store) (out []string) {
	t.Helper()
	for {
		evs, err := s.Peek(100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(evs) == 0 {
			return out
		}
		for _, ev := range evs {
			out = append(out, string(ev.Body))
			if err := s.Ack(ev.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func wantEvents(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if got := drain(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFindingsOpenChangeAndResolve(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, tempPath(t), c.options())
	a, b := finding("a", "R1", 3, "a1"), finding("b", "R2", 2, "b1")
	if ch := apply(t, s, Scan{Findings: []Finding{a, b, a}}); ch != (Changes{Opened: 2}) {
		t.Errorf("%+v", ch)
	}
	wantEvents(t, s, "opened a: a1", "opened b: b1")
	first, err := s.Findings()
	if err != nil || len(first) != 2 || first[0].ID == "" || !first[0].Since.Equal(c.wall) {
		t.Fatalf("%+v, %v", first, err)
	}

	c.pass(time.Hour)
	a.Body = []byte("a2")
	b.Severity = 4
	if ch := apply(t, s, Scan{Findings: []Finding{a, b}}); ch != (Changes{Updated: 2}) {
		t.Errorf("%+v", ch)
	}
	wantEvents(t, s, "updated a: a2 was a1", "updated b: b1 was b1")
	again, _ := s.Findings()
	if again[0].ID != first[0].ID || !again[0].Since.Equal(first[0].Since) || !again[0].Changed.Equal(c.wall) {
		t.Errorf("an update changed more than it should: %+v, before %+v", again[0], first[0])
	}

	// Only a whole verdict resolves, and only its own rule's findings.
	if ch := apply(t, s, Scan{Whole: map[string]bool{"R3": true, "R1": false}}); ch != (Changes{}) {
		t.Errorf("%+v", ch)
	}
	apply(t, s, Scan{Whole: map[string]bool{"R1": true}})
	wantEvents(t, s, "resolved a: a2")
	apply(t, s, Scan{Gone: []string{"b", "none"}})
	wantEvents(t, s, "resolved b: b1")

	apply(t, s, Scan{Findings: []Finding{a}})
	reopened, _ := s.Findings()
	if len(reopened) != 1 || reopened[0].ID == first[0].ID {
		t.Errorf("a finding that came back has the id of its first opening: %+v", reopened)
	}
	h, err := s.History("", 10)
	if err != nil || len(h) != 5 || h[0].Kind != Opened || h[1].Key != "b" || h[1].Kind != Resolved || h[4].Title != "title of a" {
		t.Errorf("history %+v, %v", h, err)
	}
	if h, _ := s.History("a", 2); len(h) != 2 || h[1].Kind != Resolved {
		t.Errorf("history of a: %+v", h)
	}
}

func TestDigestDecidesWhatIsNew(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	f := finding("a", "R", 1, "seen at 1")
	f.Digest = []byte("same")
	apply(t, s, Scan{Findings: []Finding{f}})
	f.Body = []byte("seen at 2")
	if ch := apply(t, s, Scan{Findings: []Finding{f}}); ch != (Changes{}) {
		t.Errorf("%+v", ch)
	}
}

func pkgs(list ...string) (out []Package) {
	for _, p := range list {
		id, version, _ := strings.Cut(p, "=")
		out = append(out, Package{ID: id, Body: []byte(version)})
	}
	return out
}

func TestInventoryIsToldAsDifferences(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	whole := func(list ...string) Changes {
		return apply(t, s, Scan{Inventory: &Inventory{Packages: pkgs(list...), Whole: true}})
	}
	if ch := whole("curl=1", "bash=1", "zsh=1"); ch != (Changes{Baseline: 3}) {
		t.Errorf("first inventory: %+v", ch)
	}
	wantEvents(t, s)
	if ch := whole("bash=2", "apt=1", "zsh=1"); ch != (Changes{Added: 1, Changed: 1, Removed: 1}) {
		t.Errorf("%+v", ch)
	}
	wantEvents(t, s, "package_added package apt: 1", "package_updated package bash: 2 was 1", "package_removed package curl: 1")

	ch := apply(t, s, Scan{Inventory: &Inventory{Packages: pkgs("curl=3", "bash=2"), Removed: []string{"zsh", "bash", "none", "zsh", ""}}})
	if ch != (Changes{Added: 1, Removed: 1}) {
		t.Errorf("partial inventory: %+v", ch)
	}
	wantEvents(t, s, "package_added package curl: 3", "package_removed package zsh: 1")
	var ids []string
	all, err := s.Packages()
	for _, p := range all {
		ids = append(ids, p.ID+"="+string(p.Body))
	}
	if got := strings.Join(ids, " "); err != nil || got != "apt=1 bash=2 curl=3" {
		t.Errorf("inventory %s, %v", got, err)
	}
}

func TestNothingChangedWritesNothing(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	scan := Scan{
		Findings:  []Finding{finding("a", "R", 1, "x")},
		Whole:     map[string]bool{"R": true, "S": true},
		Inventory: &Inventory{Packages: pkgs("curl=1", "bash=1"), Whole: true},
	}
	apply(t, s, scan)
	drain(t, s)
	if err := s.Remember("agent", "boot", []byte("id"), 10); err != nil {
		t.Fatal(err)
	}
	before, _ := s.Stats()
	info, _ := os.Stat(path)
	content, _ := os.ReadFile(path)

	for range 20 {
		apply(t, s, scan)
		if evs, err := s.Peek(10, 1000); err != nil || len(evs) != 0 {
			t.Fatal(evs, err)
		}
		told, err := s.TellLosses(say)
		err = errors.Join(err, s.Ack("no-such-id"), s.Remember("agent", "boot", []byte("id"), 10), s.Forget("agent", "none"), s.Tend(say), s.EndIgnore("a", say))
		if err != nil || told {
			t.Fatal(told, err)
		}
	}
	after, _ := s.Stats()
	now, _ := os.Stat(path)
	nowContent, _ := os.ReadFile(path)
	if before.Writes != after.Writes || !info.ModTime().Equal(now.ModTime()) || !bytes.Equal(content, nowContent) {
		t.Errorf("an idle agent wrote: %d writes, then %d", before.Writes, after.Writes)
	}
}

func TestRefusedValuesDoNotStopOthers(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	apply(t, s, Scan{Inventory: &Inventory{Packages: pkgs("bash=1"), Whole: true}})
	picky := func(c Change) ([]byte, error) {
		switch c.Key {
		case "bad":
			return nil, errors.New("cannot say it")
		case "panics":
			var none *Finding
			return none.Body, nil
		case "long":
			return make([]byte, maxBody+1), nil
		}
		return say(c)
	}
	scan := Scan{
		Findings: []Finding{finding("bad", "R", 1, ""), finding("panics", "R", 1, ""), finding("long", "R", 1, ""), finding("", "R", 1, ""),
			finding(strings.Repeat("k", maxKey+1), "R", 1, ""), finding("good", "R", 1, "x")},
		Inventory: &Inventory{Packages: append(pkgs("=1", "bash=1"), Package{ID: "big", Body: make([]byte, maxBody+1)}), Whole: true},
	}
	ch, err := s.Apply(scan, picky)
	if !errors.Is(err, ErrRefused) || ch != (Changes{Opened: 1}) {
		t.Fatalf("%+v, %v", ch, err)
	}
	for _, part := range []string{"cannot say it", "panic:", "1048577 bytes", "a key of 0 bytes", "a key of 1025 bytes"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	wantEvents(t, s, "opened good: x")
	// What was refused was not taken as known: the next scan opens it.
	ch, err = s.Apply(Scan{Findings: scan.Findings[:3]}, say)
	if err != nil || ch.Opened != 3 {
		t.Errorf("%+v, %v", ch, err)
	}
}

func TestIgnoresEndByTimeAndByHand(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, tempPath(t), c.options())
	apply(t, s, Scan{Findings: []Finding{finding("a", "R", 3, "x")}})
	drain(t, s)
	for _, key := range []string{"a", "b"} {
		if err := s.SetIgnore(Ignore{Key: key, Why: "known", By: "uid 0", Until: c.wall.Add(48 * time.Hour)}, say); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetIgnore(Ignore{Key: "c", Until: c.wall}, say); !errors.Is(err, ErrRefused) {
		t.Errorf("an ignore without a future: %v", err)
	}
	if err := s.EndIgnore("b", say); err != nil {
		t.Fatal(err)
	}
	list, err := s.Ignores()
	if err != nil || len(list) != 1 || list[0].Why != "known" || list[0].By != "uid 0" || !list[0].Since.Equal(c.wall) {
		t.Errorf("%+v, %v", list, err)
	}
	wantEvents(t, s, "ignored a: known", "ignored b: known", "ignore_ended b: known")
	c.pass(48 * time.Hour)
	if list, _ := s.Ignores(); len(list) != 0 {
		t.Errorf("ended, and listed: %+v", list)
	}
	if err := s.Tend(say); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, s, "ignore_ended a: known")
}

func TestNotesAreBoundedByTable(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	for i := range 6 {
		if err := s.Remember("networks", fmt.Sprintf("net%d", i%5), []byte{byte(i)}, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remember("networks2", "x", []byte("other"), 3); err != nil {
		t.Fatal(err)
	}
	list, err := s.Notes("networks")
	if err != nil || len(list) != 3 || list[0].Name != "net0" || list[0].Body[0] != 5 || list[2].Name != "net4" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, bad := range [][2]string{{"", "a"}, {"a\x00b", "c"}, {"_store", "losses"}, {"a", strings.Repeat("n", maxKey)}} {
		if err := s.Remember(bad[0], bad[1], nil, 1); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := s.Forget("networks", "net0"); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Recall("networks", "net0"); b != nil || err != nil {
		t.Errorf("forgotten, and there: %q, %v", b, err)
	}
	if b, err := s.Recall("networks2", "x"); string(b) != "other" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Apply(Scan{}, say)
	_, errPeek := s.Peek(1, 1)
	if !errors.Is(err, ErrClosed) || !errors.Is(errPeek, ErrClosed) {
		t.Errorf("%v; %v", err, errPeek)
	}
}

func TestStatsCount(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	apply(t, s, Scan{Findings: []Finding{finding("a", "R", 1, "x")}, Inventory: &Inventory{Packages: pkgs("bash=1"), Whole: true}})
	st, err := s.Stats()
	if err != nil || st.Findings != 1 || st.Packages != 1 || st.Outbox != 1 || st.Queued["opened"] != 1 || st.OutboxBytes == 0 || st.FileBytes == 0 || st.Changed.IsZero() {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestManyGoroutines is for the race detector, and for a deadlock between readers and a file
// that grows.
func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	var wg sync.WaitGroup
	run := func(n int, fn func(i int) error) {
		wg.Go(func() {
			for i := range n {
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	run(40, func(i int) error {
		_, err := s.Apply(Scan{Findings: []Finding{finding(fmt.Sprint(i), "R", 1, strings.Repeat("x", 9000))}}, say)
		return err
	})
	run(60, func(i int) error {
		evs, err := s.Peek(3, 1<<20)
		if err != nil || len(evs) == 0 {
			return err
		}
		if i%7 == 0 {
			return s.Quarantine(evs[0].ID, "why")
		}
		return s.Ack(evs[0].ID)
	})
	run(40, func(i int) error {
		_, err := s.QueueSnapshot(say)
		return errors.Join(err, s.Remember("t", fmt.Sprint(i), []byte("v"), 5), s.AskSnapshot())
	})
	run(100, func(int) error {
		_, err := s.Findings()
		_, err2 := s.Stats()
		_, err3 := s.History("", 10)
		_, err4 := s.Pending(0, 10)
		_, err5 := s.Losses()
		return errors.Join(err, err2, err3, err4, err5)
	})
	wg.Wait()
	if l, err := s.Losses(); err != nil || l.Any() {
		t.Errorf("%+v, %v", l, err)
	}
}
