package indicators

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"picket/scanner"
)

// sharedLists is the folder of real lists, which is not in the repository.
func sharedLists(tb testing.TB) string {
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		tb.Skip("PICKET_SHARED_DATA names no folder of recordings")
	}
	return filepath.Join(data, "indicators")
}

// TestRealLists holds the loader to understanding all that real lists say.
func TestRealLists(t *testing.T) {
	t.Parallel()
	dir := sharedLists(t)
	x, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range x.Lists() {
		t.Logf("%-70s %5d indicators %5d entries %4d duplicates %v %v", l.Name, l.Indicators, l.Total(), l.Duplicates, l.Entries, l.Troubles)
		for _, n := range l.Notes {
			t.Logf("    %s %s line %d: %s: %s (%s)", n.ID, n.What, n.Line, n.Value, n.Why, l.Name)
		}
		if n := l.Troubles[NotUnderstood]; n > 0 {
			t.Errorf("%s: %d not understood", l.Name, n)
		}
	}
	for m := range x.All() {
		found := false
		for _, got := range x.Match(m.Kind, m.Value) {
			found = found || got == m
		}
		if !found {
			t.Errorf("%+v is not found by its own value", m)
		}
	}
	if got := x.Match(scanner.IndicatorPackage, "com.thetruth"); len(got) != 1 || got[0].Name != "TheTruthSpy" || got[0].Class != scanner.ClassStalkerware {
		t.Errorf("com.thetruth: %+v", got)
	}
}

func BenchmarkLoadRealLists(b *testing.B) {
	dir := sharedLists(b)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x, err := Load(dir)
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(kept), "kept-B")
	b.ReportMetric(float64(x.Len()), "entries")
}
