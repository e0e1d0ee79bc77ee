package agent

import (
	"context"
	"sync"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

const (
	tick        = time.Minute      // longest time between two looks at the clocks
	upkeepEvery = time.Hour        // between two looks at what time alone brings
	retryScan   = 5 * time.Minute  // after a first scan that failed
	tellClock   = 2 * time.Minute  // a wall clock set by more is an event
	afterSleep  = 10 * time.Second // before a scan that fell due while the device slept
)

// schedule knows when the next whole scan is due, in time since boot: sleep counts, and
// nobody can set it.
type schedule struct {
	chance func() float64 // from 0 to below 1

	mu     sync.Mutex
	last   time.Duration // of the last scan, or of the start
	spread float64       // -1 to 1: where in the jitter the next one comes
	first  time.Duration // when the first comes; 0 once there was one
}

func (s *schedule) begin(now, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.first = now, now+delay
}

func (s *schedule) scanned(now time.Duration) { s.next(now, 0) }

// failed has the first scan tried again.
func (s *schedule) failed(now time.Duration) { s.next(now, now+retryScan) }

func (s *schedule) next(now, first time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.first, s.spread = now, first, 2*s.chance()-1
}

// due says when the next whole scan comes.
func (s *schedule) due(c Config) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != 0 {
		return s.first
	}
	return s.last + time.Duration(float64(c.ScanInterval)*(1+s.spread*float64(c.ScanJitter)/100))
}

// part gives a share of a span: how far into it something comes by chance.
func part(span time.Duration, share float64) time.Duration {
	return time.Duration(share * float64(span))
}

// runSchedule has all scanned at the start and in intervals, and watches the clocks.
func (d *daemon) runSchedule(ctx context.Context) error {
	changed, leave := d.reloads.news()
	defer leave()
	before := d.clock.look()
	d.when.begin(before.boot, part(d.delay, d.chance()))
	d.ticked.Store(int64(before.boot))
	kept := before.boot
	for {
		d.clock.wait(ctx, min(tick, max(0, d.when.due(d.config())-d.clock.boot())), changed)
		if ctx.Err() != nil {
			return nil
		}
		now := d.clock.look()
		d.ticked.Store(int64(now.boot))
		d.ledger.enter(now.wall)
		d.member.poll()
		slept := d.noticeJumps(before, now)
		before = now
		if slept && d.when.due(d.config()) <= now.boot {
			d.when.next(now.boot, now.boot+part(afterSleep, d.chance())) // devices that wake together do not scan together
		}
		if d.when.due(d.config()) <= now.boot {
			d.when.scanned(now.boot) // so that it is asked for once
			d.todo.all("schedule", nil)
		}
		d.recover()
		if now.boot-kept >= upkeepEvery {
			kept = now.boot
			if r := d.judging.report(); r != nil {
				d.upkeep(r)
			}
		}
	}
}

// checkClock warns while the clock cannot be right.
func (d *daemon) checkClock() {
	if text := d.calendar.check(); text != "" {
		// The text has the time in it: it is another one each minute, and worth a line once.
		d.warn.put(warnClock, "clock", text, "set the clock, or switch on time synchronisation", !d.warn.stands(warnClock))
	} else {
		d.warn.clear(warnClock)
	}
}

// noticeJumps says that the device slept or that somebody set the clock.
func (d *daemon) noticeJumps(before, now moment) (sleptAny bool) {
	d.checkClock()
	slept, set := before.jumps(now)
	if slept > 0 {
		d.log.Info("the device slept", "for", slept.Round(time.Second))
	}
	if set == 0 {
		return slept > 0
	}
	d.log.Warn("the clock was set", "by", set.Round(time.Second), "to", stamp(now.wall))
	// What passes while the device is off goes by the wall clock, and must not go by what it said before.
	d.note(func(st *store.Store) error { return d.keepAccess(st, true) })
	if set.Abs() < tellClock {
		return slept > 0
	}
	d.note(func(st *store.Store) error {
		m, err := d.maker(st)
		if err != nil {
			return err
		}
		_, err = st.Queue("clock", uint8(scanner.Informational), m.own(func(meta report.EventMeta) (report.Event, error) {
			return report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: scanner.Informational,
				Message: "The clock was set by " + set.Round(time.Second).String(), Rest: map[string]any{"clock_set_seconds": int64(set / time.Second)}})
		}))
		if err == nil {
			d.publish(m)
			d.ship.more()
		}
		return err
	})
	return slept > 0
}
