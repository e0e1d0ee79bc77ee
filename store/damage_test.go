package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// filled gives the bytes of a store's file with records in every table, some thousand of
// them, branches, free pages, and a node that flows over.
func filled(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "filled.db")
	c := newClock()
	s, err := Open(path, c.options())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var list []Package
	for i := range 1200 {
		list = append(list, Package{ID: fmt.Sprintf("package-%04d", i*7919%1200), Body: []byte(strings.Repeat("v", i%200))})
	}
	_, err = s.Apply(Scan{Inventory: &Inventory{Packages: list, Whole: true}}, say)
	must(err)
	for round := range 4 {
		var scan Scan
		for i := range 60 {
			scan.Findings = append(scan.Findings, finding(fmt.Sprintf("key%d", i*(round+1)), "R", uint8(i%5), fmt.Sprintf("%d%s", round, strings.Repeat("b", i*5))))
		}
		scan.Whole = map[string]bool{"R": true}
		_, err = s.Apply(scan, say)
		must(err)
		must(s.Remember("agent", fmt.Sprint("n", round), bytes.Repeat([]byte("n"), round*3000), 9))
	}
	must(s.SetIgnore(Ignore{Key: "key1", Why: "w", Until: c.wall.Add(time.Hour)}, say))
	evs, err := s.Peek(20, 1<<20)
	must(err)
	for i, ev := range evs {
		if i%2 == 0 {
			must(s.Ack(ev.ID))
		}
	}
	must(s.Quarantine(evs[1].ID, "why"))
	must(s.Close())
	content, err := os.ReadFile(path)
	must(err)
	return content
}

// dump gives every record, straight through bbolt.
func dump(t testing.TB, path string) map[string]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	out := map[string]string{}
	err = db.View(func(b *bbolt.Tx) error {
		return b.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				out[fmt.Sprintf("%s/%q", name, k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkDamaged opens a store whose file is content, which is healthy with noise in it. Either
// nothing that the store knows has changed, or it says so, keeps the file, carries over
// nothing that was not there, and works.
func checkDamaged(t testing.TB, healthy map[string]string, content []byte) (reported bool, carried int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	s, err := Open(path, c.options())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	damage := s.Damage()
	l, err := s.Losses()
	if err != nil || damage != nil && (len(l.Damage) != 1 || fmt.Sprint(l.Damage[0]) != fmt.Sprint(*damage)) {
		t.Errorf("losses %+v, %v; damage %+v", l, err, damage)
	}
	if why, err := s.NeedSnapshot(time.Hour); damage != nil && why != "damaged" || err != nil {
		t.Errorf("after damage a snapshot is due for %q, %v", why, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now := dump(t, path)
	if damage == nil {
		if !reflect.DeepEqual(now, healthy) {
			t.Errorf("changed, and not a word of it")
		}
		return false, 0
	}
	for k, v := range now {
		if strings.HasPrefix(k, "meta/") || k == fmt.Sprintf("notes/%q", lossesKey) {
			continue
		}
		if healthy[k] != v {
			t.Errorf("%s was carried over changed", k)
		}
		carried++
	}
	if aside, err := os.ReadFile(filepath.Join(filepath.Dir(path), damage.Aside)); err != nil || !bytes.Equal(aside, content) {
		t.Errorf("the damaged file was not kept: %v", err)
	}
	if len(damage.What) == 0 {
		t.Errorf("no word of what is damaged: %+v", damage)
	}
	works(t, path, c)
	return true, carried
}

// works puts something through a store, and finds it healthy.
func works(t testing.TB, path string, c *clock) {
	t.Helper()
	s, err := Open(path, c.options())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Damage() != nil {
		t.Errorf("damaged again: %+v", s.Damage())
	}
	if _, err := s.Apply(Scan{Findings: []Finding{finding("new key", "R9", 9, "x")}}, say); err != nil {
		t.Error(err)
	}
	_, err = s.QueueSnapshot(say)
	told, err2 := s.TellLosses(say)
	if err != nil || err2 != nil || !told {
		t.Error(err, err2, told)
	}
	for n := 1; n > 0; {
		evs, err := s.Peek(50, 1<<20)
		if err != nil {
			t.Error(err)
			return
		}
		ids := []string{}
		for _, ev := range evs {
			ids = append(ids, ev.ID)
		}
		if err := s.Ack(ids...); err != nil {
			t.Error(err)
		}
		n = len(evs)
	}
	if _, err := s.Packages(); err != nil {
		t.Error(err)
	}
}

func writeTemp(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNoiseIsSetAsideAndNeverSilent(t *testing.T) {
	t.Parallel()
	content := filled(t)
	healthy := dump(t, writeTemp(t, content))
	rng := rand.New(rand.NewPCG(1, 2))
	reported, saved := 0, 0
	for range 256 {
		noisy := bytes.Clone(content)
		at := rng.IntN(len(noisy))
		n := min(1+rng.IntN(64), len(noisy)-at)
		for i := range n {
			noisy[at+i] = byte(rng.Uint32())
		}
		said, carried := checkDamaged(t, healthy, noisy)
		if t.Failed() {
			t.Fatalf("with %d bytes of noise at %d", n, at)
		}
		if said {
			reported++
			saved += carried
		}
	}
	t.Logf("%d of 256 places were reported; %d of %d records saved each time on average", reported, saved/max(reported, 1), len(healthy)-2)
	if reported < 64 {
		t.Errorf("noise was seen %d times of 256: the file is mostly empty, and the test shows little", reported)
	}
}

func TestFilesThatAreNoStore(t *testing.T) {
	t.Parallel()
	content := filled(t)
	for name, bad := range map[string][]byte{
		"empty":       {},
		"text":        []byte("not a database\n"),
		"zeros":       make([]byte, 40_000),
		"cut in page": content[:len(content)/2-100],
		"two pages":   content[:2*pageSize],
		"no meta":     append(make([]byte, 2*pageSize), content[2*pageSize:]...),
	} {
		t.Run(name, func(t *testing.T) {
			if said, _ := checkDamaged(t, dump(t, writeTemp(t, content)), bad); !said {
				t.Error("not a word of it")
			}
		})
	}
}

func TestDamageLosesOnlyWhatItHit(t *testing.T) {
	t.Parallel()
	content := filled(t)
	// One byte of one package's body.
	at := bytes.LastIndex(content, []byte("package-0100"))
	content[at+len("package-0100")+8] ^= 0x40
	path := writeTemp(t, content)
	s := open(t, path, newClock().options())
	d := s.Damage()
	if d == nil || !reflect.DeepEqual(d.Lost, map[string]int64{"packages": 1}) || d.Carried["packages"] != 1199 {
		t.Fatalf("%+v", d)
	}
	// The inventory is whole again with the next scan, without telling packages as new that
	// were there all along.
	var list []Package
	all, _ := s.Packages()
	list = append(list, all...)
	list = append(list, Package{ID: "package-0100", Body: []byte("v")})
	if ch := apply(t, s, Scan{Inventory: &Inventory{Packages: list, Whole: true}}); ch != (Changes{Baseline: 1}) {
		t.Errorf("%+v", ch)
	}
}

func TestDamagedFilesAreKeptInBoundedNumber(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	c := newClock()
	for range 6 {
		s, err := Open(path, c.options())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("noise"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, _ := filepath.Glob(path + ".damaged-*")
	if len(old) != keepAside {
		t.Errorf("%q", old)
	}
}

func TestStoreTakenAwayIsReported(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	if s.Damage() != nil {
		t.Fatalf("the first start: %+v", s.Damage())
	}
	if err := errors.Join(s.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	if d := s.Damage(); d == nil || !strings.Contains(d.What[0], "gone") {
		t.Errorf("%+v", d)
	}
}

// TestFileCutShortWhileOpen: reading a map beyond its file is a signal, not an error.
func TestFileCutShortWhileOpen(t *testing.T) {
	t.Parallel()
	path := writeTemp(t, filled(t))
	s := open(t, path, Options{})
	if err := os.Truncate(path, 2*pageSize); err != nil {
		t.Fatal(err)
	}
	_, errRead := s.Packages()
	_, errWrite := s.Apply(Scan{Findings: []Finding{finding("n", "R", 1, "x")}}, say)
	if !errors.Is(errRead, ErrDamaged) || !errors.Is(errWrite, ErrDamaged) {
		t.Fatalf("read: %v; write: %v", errRead, errWrite)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s := open(t, path, Options{}); s.Damage() == nil {
		t.Error("not a word of it")
	}
}

func TestCompactionOnOpen(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	apply(t, s, Scan{Findings: []Finding{finding("a", "R", 1, "x")}})
	for range 40 {
		if _, err := s.Queue("big", 1, func(Change) ([]byte, error) { return make([]byte, 100<<10), nil }); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, s)
	before, _ := s.Findings()
	st, _ := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	after, _ := s.Findings()
	info, _ := os.Stat(path)
	if info.Size() > 128<<10 || info.Mode().Perm() != 0o600 || !reflect.DeepEqual(before, after) || s.Damage() != nil {
		t.Errorf("%d bytes, before %d; %+v", info.Size(), st.FileBytes, s.Damage())
	}
	if now, _ := s.Stats(); now.LastSeq != st.LastSeq {
		t.Errorf("sequence went from %d to %d", st.LastSeq, now.LastSeq)
	}
	apply(t, s, Scan{Findings: []Finding{finding("b", "R", 1, "y")}})
	wantEvents(t, s, "opened b: y")
}
