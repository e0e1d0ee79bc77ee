package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
	"picket/transport"
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

// fleetServer is an upstream of many devices.
type fleetServer struct {
	mu    sync.Mutex
	down  bool
	began time.Time
	tries [240]int // by minute
	bytes int64
	got   map[string]int
}

func (f *fleetServer) send(_ context.Context, records []transport.Record) transport.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := int(time.Since(f.began) / time.Minute); m < len(f.tries) {
		f.tries[m]++
	}
	if f.down {
		return transport.Answer{Verdict: transport.Busy, Err: errors.New("the upstream answered 503 Service Unavailable")}
	}
	for _, r := range records {
		f.got[r.UID]++
		f.bytes += int64(len(r.Body))
	}
	return transport.Answer{Verdict: transport.Taken}
}

// TestFleet has devices with stores of their own start at once, lose their upstream for an hour
// and get it back, in virtual time. PICKET_FLEET is their number.
func TestFleet(t *testing.T) {
	t.Parallel()
	n := 200
	if v, err := strconv.Atoi(os.Getenv("PICKET_FLEET")); err == nil {
		n = v
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fleetServer{began: time.Now(), got: map[string]int{}}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		dir, base := t.TempDir(), newBench(t, "/")
		var ships []*shipper
		var vaults []*vault
		queued := 0
		add := func(i int, severity uint8) {
			err := vaults[i].use(func(st *store.Store) error {
				_, err := st.Queue("k", severity, func(c store.Change) ([]byte, error) {
					return fmt.Appendf(nil, `{"metadata":{"uid":"%d-%s"}}`, i, c.ID), nil
				})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			queued++
			ships[i].more()
		}
		for i := range n {
			warn := newWarnings(base.log0(), time.Now)
			v := &vault{dir: fmt.Sprintf("%s/%d", dir, i), log: base.log0(), warn: warn, opts: store.Options{Uptime: base.clock.awake}}
			if err := v.open(); err != nil {
				t.Fatal(err)
			}
			ship := newShipper(v, warn, base.machine)
			vaults, ships = append(vaults, v), append(ships, ship)
			add(i, 1)
			up := &upstreamSink{close: func() {}, send: f.send, limit: batchBytes, now: base.clock.boot}
			all.Go(func() { _ = ship.run(ctx, &fickle{}, up) })
		}
		minutes := func(from, to int, do func(minute int)) {
			for m := from; m < to; m++ {
				do(m)
				time.Sleep(time.Minute)
			}
		}
		minutes(0, 30, func(int) {})
		f.mu.Lock()
		f.down = true
		f.mu.Unlock()
		minutes(30, 90, func(int) { // an hour in which each sees something grave at some time
			for i := range n {
				if rand.N(60) == 0 {
					add(i, 4)
				}
			}
		})
		f.mu.Lock()
		f.down = false
		f.mu.Unlock()
		minutes(90, 240, func(int) {})
		synctest.Wait()
		stop()
		all.Wait()
		for _, v := range vaults {
			if err := v.close(); err != nil {
				t.Error(err)
			}
		}
		if len(f.got) != queued {
			t.Errorf("%d of %d events arrived", len(f.got), queued)
		}
		most := 0
		for m, tries := range f.tries {
			most = max(most, tries)
			if m >= 90 && tries > max(n/5, 20) {
				t.Errorf("%d requests in minute %d, after the outage", tries, m)
			}
		}
		t.Logf("%d devices, %d events, at most %d requests in a minute (%.2f a second)\n%s", n, queued, most, float64(most)/60, plot(f.tries[:]))
	})
}

// plot draws requests by minute, five to a line.
func plot(tries []int) string {
	var b strings.Builder
	most := 1
	var sums []int
	for i := 0; i < len(tries); i += 5 {
		sum := 0
		for _, t := range tries[i:min(i+5, len(tries))] {
			sum += t
		}
		sums, most = append(sums, sum), max(most, sum)
	}
	for i, sum := range sums {
		fmt.Fprintf(&b, "%3d min %7.2f/s %s\n", i*5, float64(sum)/300, strings.Repeat("#", sum*60/most))
	}
	return b.String()
}
