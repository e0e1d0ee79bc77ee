package agent

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
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
	scan = store.Scan{}
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
	tuned(b)
	runtime.GC()         // empties pools into their second chance
	debug.FreeOSMemory() // what making them took
	m := watchMemory()
	b.ResetTimer()
	err := s.flush(b.Context(), file, sink)
	took := b.Elapsed()
	heap, anon, mapped := m.stop()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/took.Seconds(), "events/s")
	b.ReportMetric(float64(count)/float64(n), "wire-B/event")
	b.ReportMetric(float64(heap)/1e6, "MB-heap")
	b.ReportMetric(float64(anon)/1e6, "MB-anon")
	b.ReportMetric(float64(mapped)/1e6, "MB-file")
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

// tuned has the collector work as in the agent.
func tuned(b *testing.B) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	tuneMemory()
	b.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
}

// memoryWatch looks at the process's memory many times a second. What is mapped of files is the
// kernel's cache, which it takes back when it likes.
type memoryWatch struct {
	end                chan struct{}
	done               sync.WaitGroup
	heap, anon, mapped uint64 // the most that was seen, bytes
}

func watchMemory() *memoryWatch {
	w := &memoryWatch{end: make(chan struct{})}
	w.done.Go(func() {
		for every := time.NewTicker(10 * time.Millisecond); ; {
			in := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
			metrics.Read(in)
			w.heap = max(w.heap, in[0].Value.Uint64()+in[1].Value.Uint64())
			w.anon, w.mapped = max(w.anon, resident("RssAnon")), max(w.mapped, resident("RssFile"))
			select {
			case <-w.end:
				every.Stop()
				return
			case <-every.C:
			}
		}
	})
	return w
}

func (w *memoryWatch) stop() (heap, anon, mapped uint64) {
	close(w.end)
	w.done.Wait()
	return w.heap, w.anon, w.mapped
}

// resident is a line of /proc/self/status, in bytes.
func resident(name string) uint64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), name+":")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kb, _ := strconv.ParseUint(f[0], 10, 64)
	return kb << 10
}
