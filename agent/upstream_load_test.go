package agent

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"picket/store"
)

// BenchmarkDrain drains an outbox into a local upstream with TLS, through the file as well.
// PICKET_DRAIN is the number of events.
func BenchmarkDrain(b *testing.B) {
	n := 100_000
	if v, err := strconv.Atoi(os.Getenv("PICKET_DRAIN")); err == nil {
		n = v
	}
	bench := newBench(b, "/")
	warn := newWarnings(bench.log0(), time.Now)
	v := &vault{dir: bench.config.StateDir, log: bench.log0(), warn: warn, opts: store.Options{Uptime: bench.clock.awake, MaxBytes: 1 << 30, MaxSize: 1 << 30}}
	if err := v.open(); err != nil {
		b.Fatal(err)
	}
	defer v.close()
	body := strings.Repeat(`,"what":"a package was updated","where":"/usr/lib/somewhere"`, 4)
	scan := store.Scan{Inventory: &store.Inventory{Whole: true}}
	fill := func(turn, count int) {
		scan.Inventory.Packages = nil
		for i := range count {
			scan.Inventory.Packages = append(scan.Inventory.Packages, store.Package{ID: strconv.Itoa(i), Digest: []byte(strconv.Itoa(turn)), Body: []byte("{}")})
		}
		err := v.use(func(st *store.Store) error {
			_, err := st.Apply(scan, func(c store.Change) ([]byte, error) {
				return fmt.Appendf(nil, `{"time":%d,"class_uid":6002,"metadata":{"uid":%q},"n":%q%s}`, c.At.UnixMilli(), c.ID, c.Key, body), nil
			})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	const turn = 50_000
	for i := range (n + turn - 1) / turn {
		fill(i+2, min(turn, n))
	}
	up := newOtelServer(b)
	sink, file := up.sink(b), newFileSink(bench.config.SinkFile, 64<<20)
	defer sink.Close()
	defer file.Close()
	count := 0
	up.answer = func(w io.Writer, r *http.Request) bool {
		size, err := io.Copy(io.Discard, r.Body)
		count += int(size)
		return err == nil && reply(w, 200, "application/x-protobuf", nil)
	}
	s := newShipper(v, warn, bench.machine)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	if err := s.flush(b.Context(), file, sink); err != nil {
		b.Fatal(err)
	}
	took := b.Elapsed()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(n)/took.Seconds(), "events/s")
	b.ReportMetric(float64(count)/float64(n), "wire-B/event")
	b.ReportMetric(float64(after.Sys)/1e6, "MB-from-system")
	if err := v.use(func(st *store.Store) error {
		stats, err := st.Stats()
		if stats.Outbox != 0 {
			b.Errorf("%d events are left", stats.Outbox)
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
}
