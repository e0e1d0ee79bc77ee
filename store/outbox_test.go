package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func bodies(evs []Event) (out []string) {
	for _, ev := range evs {
		out = append(out, string(ev.Body))
	}
	return out
}

func peek(t *testing.T, s *Store, n, maxBytes int) []Event {
	t.Helper()
	evs, err := s.Peek(n, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	return evs
}

func TestPeekKeepsTheOrderOfASubject(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	for i := range 3 {
		apply(t, s, Scan{Findings: []Finding{finding("a", "R", 1, fmt.Sprint(i)), finding("b", "R", 1, fmt.Sprint(i))}})
	}
	evs := peek(t, s, 10, 1<<20)
	if got := bodies(evs); !reflect.DeepEqual(got, []string{"opened a: 0", "opened b: 0"}) {
		t.Errorf("%q", got)
	}
	if err := s.Ack(evs[1].ID, evs[1].ID); err != nil {
		t.Fatal(err)
	}
	if got := bodies(peek(t, s, 10, 1<<20)); !reflect.DeepEqual(got, []string{"opened a: 0", "updated b: 1 was 0"}) {
		t.Errorf("%q", got)
	}
	if got := peek(t, s, 10, 1); len(got) != 1 {
		t.Errorf("a small batch holds %d events", len(got))
	}
	if got := peek(t, s, 1, 1<<20); len(got) != 1 {
		t.Errorf("a batch of one holds %d events", len(got))
	}
	// An id of an earlier Peek, and of an earlier process, still counts.
	if err := s.Ack(evs[0].ID); err != nil {
		t.Fatal(err)
	}
	id := peek(t, s, 1, 1)[0].ID
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	if got := peek(t, s, 1, 1)[0].ID; got != id {
		t.Errorf("an event has two ids: %s, then %s", id, got)
	}
	if err := s.Ack(id); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, s, "updated b: 1 was 0", "updated a: 2 was 1", "updated b: 2 was 1")
}

func TestPeekGravePassesOverOthers(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	for i, e := range []struct {
		key      string
		severity uint8
	}{{"a", 1}, {"b", 2}, {"c", 1}, {"b", 4}, {"b", 1}, {"d", 5}} {
		if _, err := s.Queue(e.key, e.severity, func(Change) ([]byte, error) { return fmt.Append(nil, i), nil }); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for range 10 {
		evs, err := s.PeekGrave(4, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range evs {
			ids = append(ids, e.ID)
		}
		got = append(got, strings.Join(bodies(evs), ","))
		if err := s.Ack(ids...); err != nil {
			t.Fatal(err)
		}
		if len(evs) == 0 {
			break
		}
	}
	// What came before the grave one of its key goes first, and what came after it stays.
	if !slices.Equal(got, []string{"1,5", "3", ""}) {
		t.Errorf("%q", got)
	}
	if got := bodies(peek(t, s, 10, 1<<20)); !slices.Equal(got, []string{"0", "2", "4"}) {
		t.Errorf("%q is left", got)
	}
}

func TestIDsAreTimeOrderedUUIDs(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, tempPath(t), c.options())
	var ids []string
	var seq uint64
	for i := range 50 {
		c.pass(time.Microsecond)
		ev, err := s.Queue("agent", 1, func(c Change) ([]byte, error) { return []byte(c.ID), nil })
		if err != nil {
			t.Fatal(err)
		}
		if string(ev.Body) != ev.ID || i > 0 && ev.Seq != seq+1 || ev.Kind != Noted {
			t.Errorf("%+v after %d", ev, seq)
		}
		ids, seq = append(ids, ev.ID), ev.Seq
	}
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 50 || !form.MatchString(ids[0]) {
		t.Errorf("ids %q", ids)
	}
	if want := fmt.Sprintf("%012x", c.wall.UnixMilli()); strings.ReplaceAll(ids[0], "-", "")[:12] != want {
		t.Errorf("id %s does not begin with the time %s", ids[0], want)
	}
	if evs, err := s.Pending(seq-3, 2); err != nil || len(evs) != 2 || evs[0].Seq != seq-2 {
		t.Errorf("%+v, %v", evs, err)
	}
}

// small gives a store whose outbox takes about 40 events of 100 bytes.
func small(t *testing.T, c *clock) *Store {
	o := c.options()
	o.MaxBytes = 6000
	return open(t, tempPath(t), o)
}

func note(t *testing.T, s *Store, key string, severity uint8) {
	t.Helper()
	if _, err := s.Queue(key, severity, func(Change) ([]byte, error) { return []byte(key + strings.Repeat(".", 80)), nil }); err != nil {
		t.Fatal(err)
	}
}

// TestOutboxIsFullBeforeTheFile: however large the outbox may be, it drops, and counts, before the file has no room.
func TestOutboxIsFullBeforeTheFile(t *testing.T) {
	t.Parallel()
	for _, most := range []int64{0, 1, 64 << 20, MaxOutbox, MaxOutbox + 1, 4 << 30} {
		if o := (Options{MaxBytes: most}).withDefaults(); fileFactor*o.MaxBytes+fileRest > o.MaxSize || o.MaxBytes > MaxOutbox {
			t.Errorf("%d: an outbox of %d bytes in a file of %d", most, o.MaxBytes, o.MaxSize)
		}
	}
	// That the factor is enough, with small events of any severity, which leave the most of their pages free.
	const most = 1 << 20
	s := open(t, tempPath(t), Options{MaxBytes: most, MaxSize: fileFactor*most + allocStep, Volatile: true})
	r := rand.New(rand.NewPCG(1, 2))
	const batch, events = 20, 4 * most / 300 / 20 * 20
	for i := range events / batch {
		err := s.change(func(x *tx) error {
			for j := range batch {
				c := Change{Event: Event{Kind: Noted, Key: fmt.Sprint(i*batch + j), Severity: uint8(r.IntN(5))}}
				if _, err := x.queue(c, func(Change) ([]byte, error) { return make([]byte, 300), nil }); err != nil {
					return err
				}
			}
			_, err := x.bound()
			return err
		})
		if err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.Losses(); err != nil || st.Outbox == 0 || st.Outbox+l.Dropped["noted"] != events {
		t.Errorf("of %d events %d are there, and told as lost are %v: %v", events, st.Outbox, l.Dropped, err)
	}
}

func TestFullOutboxDropsTheLeastGraveFirst(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := small(t, c)
	note(t, s, "in flight", 0)
	held := peek(t, s, 1, 1)
	for i := range 30 {
		note(t, s, fmt.Sprintf("low%02d", i), 1)
	}
	for i := range 30 {
		note(t, s, fmt.Sprintf("high%02d", i), 5)
	}
	l, err := s.Losses()
	if err != nil || l.Dropped["noted"] == 0 || !l.Since.Equal(c.wall) {
		t.Fatalf("%+v, %v", l, err)
	}
	st, _ := s.Stats()
	if st.OutboxBytes > 6000 || st.Outbox+l.Dropped["noted"] != 61 || st.Queued["noted"] != st.Outbox {
		t.Errorf("%+v with %+v", st, l)
	}
	if why, err := s.NeedSnapshot(time.Hour); why != "" || err != nil {
		t.Errorf("a snapshot into a full outbox: %q, %v", why, err)
	}
	told, err := s.TellLosses(say)
	again, err2 := s.TellLosses(say)
	if !told || again || err != nil || err2 != nil {
		t.Errorf("told %v, %v; again %v, %v", told, err, again, err2)
	}
	if l, _ := s.Losses(); l.Any() {
		t.Errorf("told, and kept: %+v", l)
	}
	got := drain(t, s)
	if !strings.HasPrefix(got[0], "in flight") || held[0].ID == "" {
		t.Errorf("an event that a sink had was dropped: first is %.20s", got[0])
	}
	lows := slices.IndexFunc(got, func(b string) bool { return strings.HasPrefix(b, "high") }) - 1
	highs := slices.ContainsFunc(got, func(b string) bool { return strings.HasPrefix(b, "high00") })
	if !highs || lows > 0 && !strings.HasPrefix(got[lows], "low29") {
		t.Errorf("%d low ones stayed, first high one %v:\n%s", lows, highs, strings.Join(got, "\n"))
	}
	if want := fmt.Sprintf("losses losses: map[noted:%d] 0", l.Dropped["noted"]); got[len(got)-1] != want {
		t.Errorf("%q, want %q", got[len(got)-1], want)
	}
	if why, _ := s.NeedSnapshot(time.Hour); why != "dropped" {
		t.Errorf("after a drop a snapshot is due for %q", why)
	}
}

func TestOldEventsAreDroppedByTimeRun(t *testing.T) {
	t.Parallel()
	c := newClock()
	o := c.options()
	o.MaxAge = 24 * time.Hour
	path := tempPath(t)
	s := open(t, path, o)
	note(t, s, "old", 5)
	c.wall = c.wall.AddDate(10, 0, 0) // the clock jumps: nothing is old by that
	note(t, s, "after the jump", 5)
	c.wall = c.wall.AddDate(-20, 0, 0)
	if err := s.Tend(say); err != nil {
		t.Fatal(err)
	}
	if st, _ := s.Stats(); st.Outbox != 2 {
		t.Fatalf("%+v", st)
	}
	c.pass(23 * time.Hour)
	note(t, s, "young", 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.pass(1000 * time.Hour) // switched off: nothing could have been sent
	s = open(t, path, o)
	if err := s.Tend(say); err != nil {
		t.Fatal(err)
	}
	if st, _ := s.Stats(); st.Outbox != 3 {
		t.Fatalf("%+v", st)
	}
	c.pass(2 * time.Hour)
	if err := s.Tend(say); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s); len(got) != 1 || !strings.HasPrefix(got[0], "young") {
		t.Errorf("%q", got)
	}
	if l, _ := s.Losses(); l.Dropped["noted"] != 2 {
		t.Errorf("%+v", l)
	}
}

func TestUndecodableEventDoesNotBlock(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	note(t, s, "first", 1)
	err := s.change(func(t *tx) error {
		b, err := t.bucket(outbox)
		if err != nil {
			return err
		}
		t.dirty = true
		t.st.seq += 2
		// One whose seal is broken, and one of a kind that nobody knows.
		broken := seal(tableNames[outbox], seqKey(t.st.seq-1), []byte("noise"))
		broken[len(broken)-1] ^= 1
		t.st.tally[outbox].add(seqKey(t.st.seq-1), broken)
		ev := Event{Kind: kinds, Key: "x"}
		return errors.Join(b.Put(seqKey(t.st.seq-1), broken), t.put(outbox, seqKey(t.st.seq), ev.encode()))
	})
	if err != nil {
		t.Fatal(err)
	}
	note(t, s, "last", 1)
	if got := drain(t, s); len(got) != 2 {
		t.Errorf("%q", got)
	}
	if l, _ := s.Losses(); l.Dropped["undecodable"] != 2 {
		t.Errorf("%+v", l)
	}
}

func TestQuarantineKeepsWithReasonAndBound(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	if _, err := s.QueueSnapshot(func(Change) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		_, err := s.Queue(fmt.Sprint(i), 1, func(Change) ([]byte, error) { return make([]byte, 300<<10), nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, ev := range peek(t, s, 5, 10<<20) {
		if err := s.Quarantine(ev.ID, "the upstream says no"); err != nil {
			t.Fatal(err)
		}
	}
	held, err := s.Quarantined()
	if err != nil || len(held) != 3 || held[0].Key != "2" || held[0].Why != "the upstream says no" || len(held[0].Body) != 300<<10 || held[0].ID == "" {
		t.Errorf("%d held, %v", len(held), err)
	}
	l, _ := s.Losses()
	st, _ := s.Stats()
	if l.Dropped["quarantined"] != 2 || st.Outbox != 0 || st.Quarantined != 3 {
		t.Errorf("%+v, %+v", l, st)
	}
	// The upstream would refuse another snapshot too, and that one's events would be pushed out.
	if why, err := s.NeedSnapshot(24 * time.Hour); err != nil || why != "" {
		t.Errorf("a snapshot is due: %q, %v", why, err)
	}
	if err := s.Quarantine("no such", "x"); err != nil {
		t.Error(err)
	}
}

func TestSnapshotsAreDueAndWhole(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := open(t, tempPath(t), c.options())
	apply(t, s, Scan{Findings: []Finding{finding("a", "R", 1, "x")}, Inventory: &Inventory{Packages: pkgs("bash=1", "curl=1"), Whole: true}})
	drain(t, s)
	due := func(want string) {
		t.Helper()
		if why, err := s.NeedSnapshot(24 * time.Hour); why != want || err != nil {
			t.Errorf("a snapshot is due for %q, %v; want %q", why, err, want)
		}
	}
	queue := func() {
		t.Helper()
		if n, err := s.QueueSnapshot(say); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	due("first")
	queue()
	due("") // one is on its way
	wantEvents(t, s, "snapshot snapshot: first 0 last=true a bash curl")
	due("")
	if err := s.AskSnapshot(); err != nil {
		t.Fatal(err)
	}
	due("asked")
	queue()
	queue() // takes the place of the one before
	wantEvents(t, s, "snapshot snapshot: due 0 last=true a bash curl")
	c.pass(24 * time.Hour)
	due("due")
	queue()
	drain(t, s)
	c.wall = c.wall.AddDate(-10, 0, 0)
	due("due")
}

func TestLargeSnapshotComesInParts(t *testing.T) {
	t.Parallel()
	o := Options{MaxBytes: 400 << 10}
	s := open(t, tempPath(t), o)
	fill := func(n int) {
		var list []Package
		for i := range n {
			list = append(list, Package{ID: fmt.Sprintf("package%05d", i), Body: make([]byte, 200)})
		}
		apply(t, s, Scan{Inventory: &Inventory{Packages: list, Whole: true}})
	}
	fill(3000)
	seen := map[string]bool{}
	id, last, next := "", false, 0
	encode := func(c Change) ([]byte, error) {
		if c.Part.Index != next || id != "" && c.Part.Snapshot != id || last {
			t.Errorf("part %d of %s, last %v", c.Part.Index, c.Part.Snapshot, last)
		}
		next, id, last = next+1, c.Part.Snapshot, c.Part.Last
		for _, p := range c.Part.Packages {
			seen[p.ID] = true
		}
		return make([]byte, 60*len(c.Part.Packages)), nil
	}
	n, err := s.QueueSnapshot(encode)
	if err != nil || n < 3 || n != next || !last || len(seen) != 3000 {
		t.Errorf("%d parts with %d packages, last %v, %v", n, len(seen), last, err)
	}
	// What does not fit is not queued in part, and does not push out what waits.
	before, _ := s.Stats()
	_, err = s.QueueSnapshot(func(c Change) ([]byte, error) { return make([]byte, 250*len(c.Part.Packages)), nil })
	after, _ := s.Stats()
	if !errors.Is(err, ErrFull) || !reflect.DeepEqual(before.Queued, after.Queued) {
		t.Errorf("%v; %v, then %v", err, before.Queued, after.Queued)
	}
}

// TestCostOfOneChange counts what one package's change writes, with few and with many known.
func TestCostOfOneChange(t *testing.T) {
	t.Parallel()
	cost := func(n int) int64 {
		s := open(t, tempPath(t), Options{})
		var list []Package
		for i := range n {
			list = append(list, Package{ID: fmt.Sprintf("package%05d", i), Body: []byte(strings.Repeat("v", 150))})
		}
		apply(t, s, Scan{Inventory: &Inventory{Packages: list, Whole: true}})
		before, _ := s.Stats()
		const changes = 20
		for i := range changes {
			p := Package{ID: list[i*n/changes].ID, Body: fmt.Appendf(nil, "new %d", i)}
			if ch := apply(t, s, Scan{Inventory: &Inventory{Packages: []Package{p}}}); ch.Changed != 1 {
				t.Fatalf("%+v", ch)
			}
			drain(t, s)
		}
		after, _ := s.Stats()
		return (after.Writes - before.Writes) / changes
	}
	few, many := cost(1000), cost(10_000)
	t.Logf("pages written for one change, its delivery included: %d of 1,000 packages, %d of 10,000", few, many)
	if many > 2*few || few > 20 {
		t.Errorf("one change writes %d pages of 1,000 packages and %d of 10,000", few, many)
	}
}

// TestAckThatTheDiskRefuses: what follows is delivered, and the next Ack removes both.
func TestAckThatTheDiskRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	for _, key := range []string{"a", "a", "b", "c"} {
		note(t, s, key, 1)
	}
	first := peek(t, s, 2, 1<<20) // a and b
	// Use up the free pages, which a reader keeps from coming back, in a map that is large
	// enough not to move, and then allow no new ones.
	remember := func(name string, size int) {
		t.Helper()
		if err := s.Remember("t", name, make([]byte, size), 1000); err != nil {
			t.Fatal(err)
		}
	}
	remember("big", 200<<10)
	if err := s.Forget("t", "big"); err != nil {
		t.Fatal(err)
	}
	reader, err := s.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; s.db.Stats().FreePageN > 0 && i < 100; i++ {
		remember(fmt.Sprint(i), 100)
	}
	bound := s.opts.MaxSize
	s.opts.MaxSize = 1 - reserve
	err = s.Ack(first[0].ID, first[1].ID)
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	then := peek(t, s, 5, 1<<20)
	if len(then) != 2 || then[0].Key != "a" || then[0].ID == first[0].ID || then[1].Key != "c" {
		t.Errorf("%+v", then)
	}
	s.opts.MaxSize = bound
	if err := s.Ack(then[1].ID); err != nil {
		t.Fatal(err)
	}
	if left, _ := s.Pending(0, 10); len(left) != 1 || left[0].ID != then[0].ID || len(s.owed) != 0 {
		t.Errorf("%+v, owed %v", left, s.owed)
	}
}
