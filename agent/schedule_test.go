package agent

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner/device"
)

func TestClockJumps(t *testing.T) {
	t.Parallel()
	at := moment{time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), 100 * time.Second, 150 * time.Second}
	for _, c := range []struct {
		name             string
		wall, awake, run time.Duration // passed, by each clock
		slept, set       time.Duration
	}{
		{"nothing", time.Minute, time.Minute, time.Minute, 0, 0},
		{"slew", time.Minute + time.Second, time.Minute, time.Minute, 0, 0},
		{"sleep", time.Hour, time.Minute, time.Hour, 59 * time.Minute, 0},
		{"set ahead", 10 * 365 * 24 * time.Hour, time.Minute, time.Minute, 0, 10*365*24*time.Hour - time.Minute},
		{"set back", -time.Hour, time.Minute, time.Minute, 0, -61 * time.Minute},
		{"sleep and set", 2 * time.Hour, 0, time.Hour, time.Hour, time.Hour},
	} {
		slept, set := at.jumps(moment{at.wall.Add(c.wall), at.awake + c.awake, at.boot + c.run})
		if slept != c.slept || set != c.set {
			t.Errorf("%s: slept %v, set %v", c.name, slept, set)
		}
	}
}

func TestClockWrong(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		built, seen time.Time
		want        string
	}{
		{time.Time{}, time.Time{}, ""},
		{now.Add(-time.Hour), now.Add(time.Hour), ""},
		{now.Add(time.Hour), time.Time{}, "this program was built at 2026-05-01T13:00:00Z"},
		{time.Time{}, now.Add(48 * time.Hour), "the agent ran at 2026-05-03T12:00:00Z already"},
	} {
		got := clockWrong(now, c.built, c.seen)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestScheduleSpreads(t *testing.T) {
	t.Parallel()
	c := Config{ScanInterval: 10 * time.Hour, ScanJitter: 10}
	s := schedule{chance: rand.Float64}
	least, most := 100*time.Hour, time.Duration(0)
	for range 500 {
		s.scanned(time.Hour)
		d := s.due(c) - time.Hour
		least, most = min(least, d), max(most, d)
	}
	if least < 9*time.Hour || most > 11*time.Hour || most-least < 90*time.Minute {
		t.Errorf("from %v to %v", least, most)
	}
	s.begin(time.Hour, time.Minute)
	if s.due(c) != time.Hour+time.Minute {
		t.Errorf("the first is due at %v", s.due(c))
	}
	s.failed(2 * time.Hour)
	if s.due(c) != 2*time.Hour+retryScan {
		t.Errorf("after a first that failed the next is due at %v", s.due(c))
	}
}

// TestDaemonNoticesSleepAndClocks moves the clocks apart under a running daemon.
func TestDaemonNoticesSleepAndClocks(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		base := time.Now()
		var slept, set atomic.Int64 // nanoseconds
		b.clock = clock{
			wall:  func() time.Time { return time.Now().Add(time.Duration(slept.Load() + set.Load())) },
			awake: func() time.Duration { return time.Since(base) },
			boot:  func() time.Duration { return time.Since(base) + time.Duration(slept.Load()) },
			wait:  pause,
		}
		b.built = base.Add(-24 * time.Hour)
		d, stop := b.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		scans := d.scans.Load()

		slept.Store(int64(8 * time.Hour)) // longer than the interval: a scan fell due
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := d.scans.Load(); n != scans+1 {
			t.Errorf("%d scans after the sleep, want 1\n%s", n-scans, b.log)
		}
		set.Store(int64(-10 * 365 * 24 * time.Hour))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := d.scans.Load(); n != scans+1 {
			t.Error("setting the clock made the agent scan")
		}
		if w := d.warn.all(); !slices.ContainsFunc(w, func(w Warning) bool { return w.Code == warnClock }) {
			t.Errorf("warnings %+v", w)
		}
		if !containsText(b.news(t), "The clock was set by -876") {
			t.Errorf("events %q", b.news(t))
		}
		for _, e := range b.delivered(t) {
			if at := time.UnixMilli(e.Time); at.Before(b.built.Truncate(time.Millisecond)) {
				t.Errorf("%s is of %v, before the program was built", e.Message, at)
			}
		}
		set.Store(0)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if w := d.warn.all(); slices.ContainsFunc(w, func(w Warning) bool { return w.Code == warnClock }) {
			t.Errorf("still %+v", w)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSampleNoticesWhatComesAndGoes shows that what runs is looked at only when it differs.
func TestSampleNoticesWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.SampleInterval = 30 * time.Second
		var now atomic.Pointer[device.Glimpse]
		now.Store(&device.Glimpse{Listening: map[string]bool{"tcp 0:22": true}, Programs: map[string]bool{"/bin/sh": true}})
		b.glance = func() (device.Glimpse, error) { return *now.Load(), nil }
		d, stop := b.start(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := d.looks.Load(); n != 0 {
			t.Errorf("%d looks while nothing changed", n)
		}
		now.Store(&device.Glimpse{Listening: map[string]bool{"tcp 0:22": true, "tcp 0:4444": true}, Programs: now.Load().Programs})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := d.looks.Load(); n != 1 {
			t.Errorf("%d looks after a new listener", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	before := device.Glimpse{Programs: map[string]bool{"/a": true}}
	if got := sampled(before, device.Glimpse{Programs: map[string]bool{"/b": true}}); !slices.Contains(got, "processes") || slices.Contains(got, "sockets") {
		t.Errorf("another program: %q", got)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(5, awakeSince(time.Now()))
		if b.wait() != 0 {
			t.Error("a new budget is empty")
		}
		b.spend(180 * time.Second) // all that an hour brings
		wait := b.wait()
		if wait != 6*time.Minute {
			t.Errorf("wait %v, want a tenth of an hour", wait)
		}
		time.Sleep(wait)
		if b.wait() != 0 {
			t.Error("it does not fill")
		}
		time.Sleep(100 * time.Hour)
		b.spend(181 * time.Second)
		if b.wait() == 0 {
			t.Error("it holds more than an hour's worth")
		}
	})
}
