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
	ready chan struct{} // has room for one

	mu     sync.Mutex
	whole  string
	asked  []chan<- scanned
	tables map[string]wanted
}

// wanted says since when a table is to be looked at again, and not before when.
type wanted struct{ since, at time.Time }

// longestRest is how long what goes on changing is put off.
const longestRest = 30 * time.Second

func newBacklog() *backlog {
	return &backlog{ready: make(chan struct{}, 1), tables: map[string]wanted{}}
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

// some asks for tables to be looked at again, not before a time: the later one counts, so that
// what goes on changing is looked at when it rests, within bounds.
func (b *backlog) some(tables []string, notBefore time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, t := range tables {
		w, there := b.tables[t]
		if !there {
			w.since = now
		}
		if notBefore.After(w.at) {
			w.at = notBefore
		}
		if last := w.since.Add(longestRest); w.at.After(last) {
			w.at = last
		}
		b.tables[t] = w
	}
	b.wake()
}

func (b *backlog) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// next waits for something to do. Tables that are due together are one job.
func (b *backlog) next(ctx context.Context) (job, error) {
	for {
		j, due, ok := b.take(time.Now())
		if ok {
			return j, nil
		}
		var timer *time.Timer
		var late <-chan time.Time
		if !due.IsZero() {
			timer = time.NewTimer(time.Until(due))
			late = timer.C
		}
		select {
		case <-ctx.Done():
		case <-b.ready:
		case <-late:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return job{}, ctx.Err()
		}
	}
}

// take gives what is due, or when something will be. A whole scan takes all tables with it.
func (b *backlog) take(now time.Time) (j job, due time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole != "" {
		j = job{whole: b.whole, asked: b.asked}
		b.whole, b.asked = "", nil
		clear(b.tables)
		return j, due, true
	}
	for _, t := range slices.Sorted(maps.Keys(b.tables)) {
		switch at := b.tables[t].at; {
		case !at.After(now):
			j.tables = append(j.tables, t)
			delete(b.tables, t)
		case due.IsZero() || at.Before(due):
			due = at
		}
	}
	return j, due, len(j.tables) > 0
}
