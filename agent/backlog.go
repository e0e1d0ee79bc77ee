package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// scanned is the answer to who asked for a whole scan.
type scanned struct {
	summary scanSummary
	err     error
}

// job is what is to be scanned.
type job struct {
	whole  string // why all is scanned; "" for tables alone
	tables []string
	asked  []chan<- scanned
}

// backlog is what is still to be scanned. Asking twice is asking once.
type backlog struct {
	clock clock
	ready chan struct{} // has room for one

	mu     sync.Mutex
	whole  string
	asked  []chan<- scanned
	tables map[string]wanted
	// urgent are tables that somebody waits for.
	urgent  []string
	waiting []chan<- scanned
}

// wanted says since when a table is to be looked at again, and not before when.
type wanted struct{ since, at time.Duration }

// longestRest is how long what goes on changing is put off.
const longestRest = 30 * time.Second

func newBacklog(c clock) *backlog {
	return &backlog{clock: c, ready: make(chan struct{}, 1), tables: map[string]wanted{}}
}

// all asks for a whole scan. The answer, where one is wanted, must have room.
func (b *backlog) all(why string, answer chan<- scanned) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole == "" {
		b.whole = why
	}
	if answer != nil {
		b.asked = append(b.asked, answer)
	}
	b.wake()
}

// some asks for tables to be looked at again, not before a time by the clock that stands while the
// device sleeps: the later one counts, so that
// what goes on changing is looked at when it rests, within bounds.
func (b *backlog) some(tables []string, notBefore time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.awake()
	for _, t := range tables {
		w, there := b.tables[t]
		if !there {
			w.since = now
		}
		if notBefore > w.at {
			w.at = notBefore
		}
		w.at = min(w.at, w.since+longestRest)
		b.tables[t] = w
	}
	b.wake()
}

// check asks for tables to be looked at again at once. The answer must have room.
func (b *backlog) check(tables []string, answer chan<- scanned) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.urgent, b.waiting = append(b.urgent, tables...), append(b.waiting, answer)
	b.wake()
}

func (b *backlog) wake() { rouse(b.ready) }

// next waits for something to do. Tables that are due together are one job.
func (b *backlog) next(ctx context.Context) (job, error) {
	for {
		now := b.clock.awake()
		j, due, ok := b.take(now)
		if ok {
			return j, nil
		}
		if due < forever {
			due -= now
		}
		b.clock.wait(ctx, due, b.ready)
		if ctx.Err() != nil {
			return job{}, ctx.Err()
		}
	}
}

// take gives what is due, or when something will be, if ever. A whole scan takes all tables with it.
func (b *backlog) take(now time.Duration) (j job, due time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	due = forever
	if b.whole != "" {
		j = job{whole: b.whole, asked: append(b.asked, b.waiting...)}
		b.whole, b.asked, b.urgent, b.waiting = "", nil, nil, nil
		clear(b.tables)
		return j, due, true
	}
	if len(b.waiting) > 0 {
		slices.Sort(b.urgent)
		j = job{tables: slices.Compact(b.urgent), asked: b.waiting}
		b.urgent, b.waiting = nil, nil
		return j, due, true
	}
	for _, t := range slices.Sorted(maps.Keys(b.tables)) {
		switch at := b.tables[t].at; {
		case at <= now:
			j.tables = append(j.tables, t)
			delete(b.tables, t)
		default:
			due = min(due, at)
		}
	}
	return j, due, len(j.tables) > 0
}
