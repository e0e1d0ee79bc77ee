package store

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// mappedPages is how much of a file's map is resident in this process, in bytes.
func mappedPages(t *testing.T, path string) (resident int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	_, rest, found := strings.Cut(string(maps), " "+path+"\n")
	if !found {
		t.Fatalf("%s is not mapped", path)
	}
	for line := range strings.Lines(rest) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "Rss:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("its map has no size")
	return 0
}

// TestAReadOutboxDoesNotStayResident: of a large file only what was used last is in the process.
func TestAReadOutboxDoesNotStayResident(t *testing.T) {
	t.Parallel()
	const file = 5 * restAfter
	path := tempPath(t)
	s := open(t, path, Options{MaxBytes: 2 * file, Volatile: true})
	body := bytes.Repeat([]byte("x"), 8<<10)
	for i := range 20 {
		scan := Scan{Inventory: &Inventory{}}
		for n := range file / 20 / len(body) {
			scan.Inventory.Packages = append(scan.Inventory.Packages, Package{ID: fmt.Sprint(i, "-", n), Digest: []byte("d"), Body: []byte("{}")})
		}
		if _, err := s.Apply(scan, func(Change) ([]byte, error) { return body, nil }); err != nil {
			t.Fatal(err)
		}
	}
	looked := 0
	for seq := uint64(0); ; {
		events, err := s.Pending(seq, 64)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			looked += len(e.Body)
		}
		seq = events[len(events)-1].Seq
		if got := mappedPages(t, path); got > 2*restAfter {
			t.Fatalf("%d bytes are resident after %d were looked at", got, looked)
		}
	}
	if looked < file/10*9 {
		t.Fatalf("the outbox had %d bytes", looked)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
