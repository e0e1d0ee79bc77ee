package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryHeaderIsChecked damages what the pages are made of: each header, the first
// elements, and the meta pages, with values that lead bbolt astray.
func TestEveryHeaderIsChecked(t *testing.T) {
	t.Parallel()
	content := filled(t)
	healthy := dump(t, writeTemp(t, content))
	used := usedPages(t, content)
	tried := 0
	try := func(page, off int, noisy []byte) {
		t.Helper()
		tried++
		// A survey is quick; the whole way through files is gone where it finds nothing, and
		// now and then.
		f := survey(bytes.NewReader(noisy), int64(len(noisy)), nil)
		if f.healthy() || tried%50 == 0 {
			checkDamaged(t, healthy, noisy)
		}
		if t.Failed() {
			t.Fatalf("page %d, offset %d", page, off)
		}
	}
	for page := range len(content) / pageSize {
		if page >= 2 && !used[page] {
			continue
		}
		for i, off := range []int{0, 8, 10, 12, 16, 20, 24, 28, 32, 36} {
			noisy := bytes.Clone(content)
			for j := range 2 {
				noisy[page*pageSize+off+j] ^= byte(0x11 << (i % 3))
			}
			try(page, off, noisy)
		}
		noisy := bytes.Clone(content)
		clear(noisy[page*pageSize : (page+1)*pageSize])
		if survey(bytes.NewReader(noisy), int64(len(noisy)), nil).healthy() {
			t.Fatalf("page %d was cleared, and nothing said", page)
		}
	}
	t.Logf("%d headers", tried)
}

func usedPages(t testing.TB, content []byte) map[int]bool {
	t.Helper()
	f := &found{}
	m, err := newestMeta(bytes.NewReader(content), f)
	if err != nil {
		t.Fatal(err)
	}
	w := &walker{r: bytes.NewReader(content), found: f, pages: m.pages, seen: make([]uint64, m.pages/64+1)}
	w.buckets(m.root)
	used := map[int]bool{}
	for p := range m.pages {
		used[int(p)] = w.seen[p/64]&(1<<(p%64)) != 0
	}
	return used
}

// TestFewerElementsAreMissed lowers the count in a page's header: every record left is whole.
func TestFewerElementsAreMissed(t *testing.T) {
	t.Parallel()
	content := filled(t)
	healthy := dump(t, writeTemp(t, content))
	tried := 0
	for page := range usedPages(t, content) {
		if page < 2 || content[page*pageSize+10] < 2 || tried > 20 {
			continue
		}
		noisy := bytes.Clone(content)
		noisy[page*pageSize+10]--
		tried++
		if used := usedPages(t, content); !used[page] {
			continue
		}
		said, _ := checkDamaged(t, healthy, noisy)
		if !said {
			t.Errorf("page %d lost an element", page)
		}
	}
}

// TestBranchesThatMislead: bbolt goes where a branch's keys and pages say. A key beyond its
// child's first hides that record from a search, though a walk through all finds it; a page
// that leads back to itself never ends.
func TestBranchesThatMislead(t *testing.T) {
	t.Parallel()
	content := filled(t)
	ne := binary.NativeEndian
	branches := 0
	for page := range usedPages(t, content) {
		at := page * pageSize
		if page < 2 || !usedPages(t, content)[page] || ne.Uint64(content[at:]) != uint64(page) || ne.Uint16(content[at+8:]) != branchFlag {
			continue
		}
		branches++
		last := at + pageHeader + (int(ne.Uint16(content[at+10:]))-1)*elementSize
		keyEnd := last + int(ne.Uint32(content[last:])+ne.Uint32(content[last+4:]))
		for name, change := range map[string]func(b []byte){
			"a key beyond its child's first": func(b []byte) { b[keyEnd-1]++ },
			"a way back to itself":           func(b []byte) { ne.PutUint64(b[last+8:], uint64(page)) },
			"a child twice":                  func(b []byte) { copy(b[last+8:last+16], b[last-elementSize+8:]) },
		} {
			bad := bytes.Clone(content)
			change(bad)
			f := survey(bytes.NewReader(bad), int64(len(bad)), nil)
			if f.healthy() {
				t.Errorf("branch %d: %s, and not a word of it", page, name)
			}
			if name != "a key beyond its child's first" && !strings.Contains(strings.Join(f.faults, ";"), "used twice") {
				t.Errorf("branch %d: %s: %q", page, name, f.faults)
			}
		}
	}
	if branches < 2 {
		t.Fatalf("%d branches", branches)
	}
}

// FuzzSurvey: whatever the file, reading it ends without a fault of its own; and where it
// says healthy, bbolt reads the same.
func FuzzSurvey(f *testing.F) {
	path := filepath.Join(f.TempDir(), "small.db")
	s, err := Open(path, Options{})
	if err != nil {
		f.Fatal(err)
	}
	_, err = s.Apply(Scan{Findings: []Finding{finding("a", "R", 1, "x")}}, say)
	if err = errors.Join(err, s.Close()); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), []byte{})
	f.Add(uint16(3*pageSize+10), []byte{1})
	f.Add(uint16(16), []byte("noise"))
	f.Add(uint16(4*pageSize), []byte{4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, at uint16, noise []byte) {
		content := bytes.Clone(whole)
		copy(content[min(int(at), len(content)):], noise)
		records := 0
		found := survey(bytes.NewReader(content), int64(len(content)), func(table, []byte, []byte) error {
			records++
			return nil
		})
		if !found.healthy() {
			return
		}
		path := filepath.Join(t.TempDir(), "f.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := dump(t, path); len(got) != records+2 {
			t.Errorf("bbolt has %d records, the survey saw %d", len(got), records+2)
		}
	})
}
