package store

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var makeFormat = flag.Bool("make-format", false, "write testdata for the present format, where there is none")

// fillOld puts a record of every kind into a store.
func fillOld(t *testing.T, s *Store, c *clock) {
	t.Helper()
	apply(t, s, Scan{
		Findings:  []Finding{finding("finding one", "APP-001", 4, "body one"), finding("finding two", "OS-002", 2, "body two")},
		Inventory: &Inventory{Packages: pkgs("bash=5.2", "curl=8.9"), Whole: true},
	})
	c.pass(time.Hour)
	apply(t, s, Scan{Whole: map[string]bool{"OS-002": true}, Inventory: &Inventory{Packages: pkgs("bash=5.3", "curl=8.9"), Whole: true}})
	evs := peek(t, s, 10, 1<<20)
	err := errors.Join(
		s.Ack(evs[0].ID),
		s.Quarantine(evs[1].ID, "no such device"),
		s.SetIgnore(Ignore{Key: "finding one", Why: "known", By: "root", Until: c.wall.Add(7 * 24 * time.Hour)}, say),
		s.Remember("networks", "home", []byte("gateway"), 10),
		s.change(func(t *tx) error { return t.drop("noted", 3) }),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryFormatOpens opens a file of each format that there ever was.
func TestEveryFormatOpens(t *testing.T) {
	t.Parallel()
	if want := uint64(len(migrations()) + 1); formatVersion != want {
		t.Fatalf("format %d, and migrations lead to %d", formatVersion, want)
	}
	const v1 = "testdata/v1.db"
	if _, err := os.Stat(v1); *makeFormat && errors.Is(err, os.ErrNotExist) {
		c := newClock()
		path := filepath.Join(t.TempDir(), "v1.db")
		s := open(t, path, c.options())
		fillOld(t, s, c)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err := errors.Join(err, os.WriteFile(v1, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(v1)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	c.pass(time.Hour)
	s := open(t, writeTemp(t, content), c.options())
	if s.Damage() != nil {
		t.Fatalf("%+v", s.Damage())
	}
	fs, err := s.Findings()
	if err != nil || len(fs) != 1 || fs[0].Key != "finding one" || fs[0].Rule != "APP-001" || fs[0].Title != "title of finding one" || fs[0].Severity != 4 ||
		string(fs[0].Body) != "body one" || !fs[0].Since.Equal(c.wall.Add(-time.Hour)) || len(fs[0].ID) != 36 {
		t.Errorf("findings %+v, %v", fs, err)
	}
	ps, err := s.Packages()
	if err != nil || len(ps) != 2 || ps[0].ID != "bash" || string(ps[0].Body) != "5.3" {
		t.Errorf("packages %+v, %v", ps, err)
	}
	held, err := s.Quarantined()
	if err != nil || len(held) != 1 || held[0].Why != "no such device" || held[0].Key != "finding two" {
		t.Errorf("quarantine %+v, %v", held, err)
	}
	ig, err := s.Ignores()
	if err != nil || len(ig) != 1 || ig[0].Key != "finding one" || ig[0].Why != "known" || ig[0].By != "root" {
		t.Errorf("ignores %+v, %v", ig, err)
	}
	h, err := s.History("", 10)
	if err != nil || len(h) != 3 || h[0].Kind != Resolved || h[0].Rule != "OS-002" {
		t.Errorf("history %+v, %v", h, err)
	}
	if b, err := s.Recall("networks", "home"); string(b) != "gateway" || err != nil {
		t.Errorf("note %q, %v", b, err)
	}
	if l, err := s.Losses(); !reflect.DeepEqual(l.Dropped, map[string]uint64{"noted": 3}) || err != nil {
		t.Errorf("losses %+v, %v", l, err)
	}
	if why, err := s.NeedSnapshot(time.Hour); why != "dropped" || err != nil {
		t.Errorf("snapshot %q, %v", why, err)
	}
	wantEvents(t, s, "resolved finding two: body two", "package_updated package bash: 5.3 was 5.2", "ignored finding one: known")
	if ch := apply(t, s, Scan{Findings: []Finding{finding("finding one", "APP-001", 4, "body one")}}); ch != (Changes{}) {
		t.Errorf("%+v", ch)
	}
}

func TestNewerFormatIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	// Whatever else is new in it.
	err := s.change(func(t *tx) error {
		t.dirty = true
		return putFormat(t.b, formatVersion+1)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	_, err = Open(path, Options{})
	after, _ := os.ReadFile(path)
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "format 2") || !bytes.Equal(before, after) {
		t.Errorf("%v", err)
	}
}

func TestMigrationsRunOnceEachInOneTransaction(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{})
	apply(t, s, Scan{Findings: []Finding{finding("a", "R", 1, "x")}})
	ran := ""
	step := func(name string, err error) func(*tx) error {
		return func(t *tx) error {
			ran += name
			return errors.Join(t.put(notes, []byte(name), encodeNote(0, 0, nil)), err)
		}
	}
	if err := s.migrate([]func(*tx) error{step("a", nil), step("b", errors.New("no"))}); err == nil || !strings.Contains(err.Error(), "from format 2 to 3") {
		t.Errorf("%v", err)
	}
	if err := s.migrate([]func(*tx) error{step("never", nil), step("c", nil)}); err != nil || ran != "abc" {
		t.Errorf("ran %q, %v", ran, err)
	}
	names := ""
	_ = s.view(func(t *tx) error {
		return t.each(notes, nil, func(key, _ []byte) error { names += string(key); return nil })
	})
	if names != "ac" {
		t.Errorf("the file holds the work of %q", names)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_123).UTC()
	f := OpenFinding{Finding: Finding{Key: "k", Rule: "r", Title: "t", Severity: 3, Digest: []byte("d"), Body: []byte("b")}, Since: at, Changed: at.Add(time.Second), rawID: [16]byte{1, 15: 2}}
	f.ID = formatID(f.rawID)
	if got, err := decodeFinding([]byte("k"), f.encode()); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
	e := Event{ID: f.ID, rawID: f.rawID, Seq: 7, Kind: Resolved, Key: "k", Severity: 9, At: at, Body: []byte("b"), born: time.Hour}
	if got, err := decodeEvent(seqKey(7), e.encode()); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v", got, err)
	}
	st := state{seq: 1, age: time.Minute, changed: 2, snapshot: -3, need: needDropped, baseline: true}
	st.tally[outbox] = tally{1, 2, 3}
	st.queued[Noted] = 4
	if got, err := decodeState(st.encode()); err != nil || got != st {
		t.Errorf("%+v, %v", got, err)
	}
	// A file of this format made when there were fewer kinds and tables.
	var old encoder
	for range 3 {
		old.uint(1)
	}
	old.milli(0)
	old.uint(0)
	old.uint(0)
	old.uint(1)
	old.uint(5)
	old.uint(6)
	old.uint(7)
	old.uint(2)
	old.uint(0)
	old.uint(8)
	if _, err := decodeState(old.buf); err != nil {
		t.Error(err)
	}
}

func TestSealCoversTableKeyAndBody(t *testing.T) {
	t.Parallel()
	frame := seal("t", []byte("key"), []byte("body"))
	for name, bad := range map[string]func() ([]byte, error){
		"table": func() ([]byte, error) { return unseal("u", []byte("key"), frame) },
		"key":   func() ([]byte, error) { return unseal("t", []byte("kez"), frame) },
		"shift": func() ([]byte, error) { return unseal("tk", []byte("ey"), frame) },
		"body": func() ([]byte, error) {
			return unseal("t", []byte("key"), append(frame[:len(frame)-1:len(frame)-1], 'z'))
		},
		"short": func() ([]byte, error) { return unseal("t", []byte("key"), frame[:4]) },
		"way":   func() ([]byte, error) { return unseal("t", []byte("key"), append([]byte{9}, frame[1:]...)) },
	} {
		if body, err := bad(); err == nil {
			t.Errorf("%s: %q", name, body)
		}
	}
}

// FuzzRecords: no bytes make a decoder panic or hand out more than was given, and what
// decodes is encoded to what decodes the same.
func FuzzRecords(f *testing.F) {
	e := Event{Kind: Opened, Key: "k", Severity: 1, At: time.UnixMilli(5), Body: []byte("b")}
	o := OpenFinding{Finding: Finding{Rule: "r", Title: "t", Digest: []byte("d"), Body: []byte("b")}}
	p := Package{Digest: []byte("d"), Body: []byte("b")}
	i := Ignore{Why: "w", By: "b"}
	st := state{seq: 1}
	for _, b := range [][]byte{nil, e.encode(), o.encode(), p.encode(), i.encode(), st.encode(), encodeNote(1, 2, []byte("n")),
		bytes.Repeat([]byte{0xff}, 40), {0x80}, append(make([]byte, 16), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeEvent(seqKey(1), b); err == nil {
			if again, err := decodeEvent(seqKey(1), e.encode()); err != nil || !reflect.DeepEqual(again, e) || len(e.Body)+len(e.Key) > len(b) {
				t.Errorf("event %+v, then %+v, %v", e, again, err)
			}
		}
		if o, err := decodeFinding([]byte("k"), b); err == nil {
			if again, err := decodeFinding([]byte("k"), o.encode()); err != nil || !reflect.DeepEqual(again, o) {
				t.Errorf("finding %+v, then %+v, %v", o, again, err)
			}
		}
		if st, err := decodeState(b); err == nil {
			if again, err := decodeState(st.encode()); err != nil || again != st {
				t.Errorf("state %+v, then %+v, %v", st, again, err)
			}
		}
		_, _ = decodePackage([]byte("k"), b)
		_, _ = decodeIgnore([]byte("k"), b)
		_, _ = decodeEntry(b)
		_, _ = decodeNote("n", b)
		_, _ = unseal("t", []byte("k"), b)
	})
}
