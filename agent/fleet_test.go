package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner/report"
	"picket/store"
	"picket/transport"
)

// What a fleet lives through, since its start: everything at once, an hour without an upstream,
// and the rest of a day and a half, in which each device once says that nothing has changed.
const (
	fleetDown = 30 * time.Minute
	fleetBack = 90 * time.Minute
	fleetDay  = 12 * time.Hour // from here on a day is counted
	fleetEnd  = fleetDay + 24*time.Hour
)

// fleetStores is how many devices of a fleet have their store open at once. One that waits has
// it closed, so that descriptors and memory are not what bounds a fleet.
const fleetStores = 64

// fleetHandshake is what a request costs on the wire beside its body: TLS with two certificates
// and headers, as TestUnchangedDeviceCostsLittle counts it.
const fleetHandshake = 4300

// simFleet is many devices in one process, each with a store of its own.
type simFleet struct {
	t     *testing.T
	dir   string
	log   *slog.Logger
	base  machine
	up    http.RoundTripper
	slots chan struct{}
	began time.Time

	mu     sync.Mutex
	tries  []int // requests by second
	bytes  int   // of bodies of requests, in the day that is counted
	counts int   // requests in that day
	queued map[string]bool
}

// RoundTrip counts a request and hands it on.
func (f *simFleet) RoundTrip(r *http.Request) (*http.Response, error) {
	at := time.Since(f.began)
	f.mu.Lock()
	if s := int(at / time.Second); s < len(f.tries) {
		f.tries[s]++
	}
	if at >= fleetDay {
		f.counts++
		f.bytes += int(r.ContentLength)
	}
	f.mu.Unlock()
	return f.up.RoundTrip(r)
}

// simDevice is a shipper with its store and its exporter.
type simDevice struct {
	f     *simFleet
	vault *vault
	ship  *shipper
	mu    sync.Mutex // held while the store is open
}

func (d *simDevice) enter() {
	d.mu.Lock()
	d.f.slots <- struct{}{}
	if err := d.vault.open(); err != nil {
		d.f.t.Error(err)
	}
}

func (d *simDevice) leave() {
	if err := d.vault.close(); err != nil {
		d.f.t.Error(err)
	}
	<-d.f.slots
	d.mu.Unlock()
}

// wait is a clock's: the store is closed meanwhile.
func (d *simDevice) wait(ctx context.Context, most time.Duration, wake <-chan struct{}) bool {
	d.leave()
	defer d.enter()
	return pause(ctx, most, wake)
}

// tell queues an event.
func (d *simDevice) tell(severity uint8, body func(uid string) ([]byte, error)) {
	d.enter()
	err := d.vault.use(func(st *store.Store) error {
		ev, err := st.Queue("k", severity, func(c store.Change) ([]byte, error) { return body(c.ID) })
		d.f.mu.Lock()
		d.f.queued[ev.ID] = true
		d.f.mu.Unlock()
		return err
	})
	d.leave()
	if err != nil {
		d.f.t.Error(err)
	}
	d.ship.more()
}

// live is what the device has to tell: that it started, something grave while the upstream is
// away, and, by the first scan after a day, that nothing else has changed.
func (d *simDevice) live(ctx context.Context, scanEvery Config) {
	began := d.f.base.clock.boot()
	until := func(at time.Duration) bool {
		pause(ctx, began+at-d.f.base.clock.boot(), nil)
		return ctx.Err() == nil
	}
	d.tell(1, d.f.says(nil))
	if !until(fleetDown + part(fleetBack-fleetDown, rand.Float64())) {
		return
	}
	d.tell(4, d.f.says(map[string]any{"grave": strings.Repeat("evidence ", 150)}))
	s := schedule{chance: rand.Float64}
	s.begin(began, part(startDelay, rand.Float64()))
	at := s.due(scanEvery)
	for at < began+24*time.Hour {
		s.scanned(at)
		at = s.due(scanEvery)
	}
	if until(at - began) {
		open := make([]assertedOpen, 6)
		for i := range open {
			open[i] = assertedOpen{fmt.Sprintf("%032x", rand.Uint64()), "CFG-015", 3, time.Now()}
		}
		d.tell(1, d.f.says(map[string]any{"assertion": assertion{Snapshot: "0190c9a2-7c1e-7000-8000-000000000000", Findings: 6, Packages: 1500, Open: open}}))
	}
}

// says makes events as the agent words them.
func (f *simFleet) says(rest map[string]any) func(string) ([]byte, error) {
	return func(uid string) ([]byte, error) {
		e, err := report.AgentEvent(report.EventMeta{UID: uid, Time: time.Now(), Version: f.base.version, Device: report.DeviceRef{UID: "0190c9a2-7c1e-7000-8000-000000000000"}}, report.AgentState{Activity: report.AgentTold, Message: "All is as the last snapshot has it", Rest: rest})
		return e.Body, err
	}
}

// fleetSize is as PICKET_FLEET says, or small. Thousands of compressors would be kept for a
// collection or two, and the collector would wait ever longer: it is held to a limit.
func fleetSize(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("PICKET_FLEET"))
	if err != nil {
		return 50
	}
	before := debug.SetMemoryLimit(1 << 30)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	return n
}

// runFleet has devices live through it all, in virtual time; set has the upstream away or back. It
// holds their requests against what a fleet may do, and gives the uids of all that they had to tell.
func runFleet(t *testing.T, n int, up http.RoundTripper, set func(down bool)) (queued map[string]bool) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		f := &simFleet{t: t, dir: dir, log: slog.New(slog.DiscardHandler), base: b.machine, up: up, slots: make(chan struct{}, fleetStores), began: time.Now(),
			tries: make([]int, fleetEnd/time.Second), queued: map[string]bool{}}
		f.base.log = f.log
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range n {
			name := fmt.Sprint("device-", i)
			m := f.base
			warn := newWarnings(f.log, time.Now)
			d := &simDevice{f: f, vault: &vault{dir: dir + "/" + name, log: f.log, warn: warn, opts: store.Options{Uptime: m.clock.awake, Volatile: true}}}
			m.clock.wait = d.wait
			d.ship = newShipper(d.vault, warn, m)
			e, err := transport.NewExporter(&http.Client{Transport: f}, "https://"+upstreamHost, transport.Resource{HostID: name, Version: m.version, OS: "linux"})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { d.live(ctx, b.config) })
			all.Go(func() {
				d.enter()
				defer d.leave()
				if err := d.ship.run(ctx, nowhere{}, newUpstreamSink(e, nil, m.clock.boot)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(fleetDown)
		set(true)
		time.Sleep(fleetBack - fleetDown)
		set(false)
		time.Sleep(fleetEnd - fleetBack)
		synctest.Wait()
		stop()
		all.Wait()
		queued = f.queued
		f.judge(t, n)
	})
	return queued
}

// nowhere is a file that takes everything.
type nowhere struct{}

func (nowhere) Send(context.Context, []store.Event) Receipt { return Receipt{} }

// judge looks for a herd, and prints what the fleet cost.
func (f *simFleet) judge(t *testing.T, n int) {
	most := func(from, to time.Duration) (most, at, sum int) {
		for s := int(from / time.Second); s < int(to/time.Second); s++ {
			sum += f.tries[s]
			if f.tries[s] > most {
				most, at = f.tries[s], s
			}
		}
		return most, at, sum
	}
	for _, span := range []struct {
		name     string
		from, to time.Duration
		may      int // requests in any second
	}{
		{"after the start", 0, fleetDown, n/50 + 20},
		{"during the outage", fleetDown, fleetBack, n/200 + 20},
		{"after the outage", fleetBack, fleetDay, n/200 + 20},
		{"on the next day", fleetDay, fleetEnd, n/500 + 20},
	} {
		got, at, sum := most(span.from, span.to)
		t.Logf("%-17s %7d requests, at most %d in a second", span.name, sum, got)
		if got > span.may {
			t.Errorf("%s: %d requests in second %d, of %d devices", span.name, got, at, n)
		}
	}
	per := func(x int) float64 { return float64(x) / float64(n) }
	wire := f.bytes + f.counts*fleetHandshake
	t.Logf("a day on which nothing changes costs the upstream, for each of %d devices: %.2f requests, %.2f kB of bodies, about %.1f kB on the wire", n, per(f.counts), per(f.bytes)/1000, per(wire)/1000)
	minute := func(from, to time.Duration) (worst int) { // requests in the worst minute
		for at := from; at < to; at += time.Minute {
			_, _, sum := most(at, at+time.Minute)
			worst = max(worst, sum)
		}
		return worst
	}
	t.Logf("for 1,000,000 devices: %.0f requests a second and %.1f GB a day on the wire; in the worst minute %.0f a second when all start at once, %.0f when they come back, %.0f a day later",
		per(f.counts)*1e6/86400, per(wire)/1000, per(minute(0, fleetDown))*1e6/60, per(minute(fleetBack, fleetDay))*1e6/60, per(minute(fleetDay, fleetEnd))*1e6/60)
	t.Logf("requests a second:\n%s", f.plot(0, 4*time.Hour, 5*time.Minute)+f.plot(24*time.Hour, 33*time.Hour, 30*time.Minute))
}

// plot draws requests a second over a time: the mean of each step, and its worst second.
func (f *simFleet) plot(from, to, step time.Duration) string {
	var b strings.Builder
	type row struct{ sum, worst int }
	var rows []row
	most := 1
	for at := from; at < to; at += step {
		r := row{}
		for s := at / time.Second; s < (at+step)/time.Second; s++ {
			r.sum += f.tries[s]
			r.worst = max(r.worst, f.tries[s])
		}
		rows, most = append(rows, r), max(most, r.sum)
	}
	for i, r := range rows {
		at := from + time.Duration(i)*step
		fmt.Fprintf(&b, "%02d:%02d %8.2f, worst %4d %s\n", int(at.Hours()), int(at.Minutes())%60, float64(r.sum)/step.Seconds(), r.worst, strings.Repeat("#", r.sum*60/most))
	}
	return b.String()
}

// fleetServer takes logs in this process.
type fleetServer struct {
	mu   sync.Mutex
	down bool
	got  map[string]int
}

func (f *fleetServer) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	answer := func(status int) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-protobuf"}}, Body: io.NopCloser(&bytes.Buffer{}), Request: r}, nil
	}
	f.mu.Lock()
	down := f.down
	f.mu.Unlock()
	if down {
		return answer(http.StatusServiceUnavailable)
	}
	bodies, err := (&otelServer{}).read(r, true)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, body := range bodies {
		var says struct{ Metadata struct{ UID string } }
		if err := json.Unmarshal([]byte(body), &says); err != nil {
			return nil, err
		}
		f.got[says.Metadata.UID]++
	}
	return answer(http.StatusOK)
}

// TestFleet has devices start at once, lose their upstream for an hour and get it back.
// PICKET_FLEET is their number.
func TestFleet(t *testing.T) {
	t.Parallel()
	n, up := fleetSize(t), &fleetServer{got: map[string]int{}}
	queued := runFleet(t, n, up, func(down bool) {
		up.mu.Lock()
		defer up.mu.Unlock()
		up.down = down
	})
	twice := 0
	for uid := range queued {
		switch n := up.got[uid]; {
		case n == 0:
			t.Fatalf("%s did not arrive", uid)
		case n > 1:
			twice++
		}
	}
	if want := 3 * n; len(queued) != want || len(up.got) != want || twice > 0 {
		t.Errorf("%d events, want %d; %d arrived, %d of them more than once", len(queued), want, len(up.got), twice)
	}
}
