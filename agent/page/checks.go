package page

import (
	"sync"
	"time"
)

// checks are the looks that people asked for, one at a time for each finding.
type checks struct {
	mu      sync.Mutex
	running map[string]bool
	done    map[string]checked // the last of each finding
	changed chan struct{}      // closed and made anew with each change
}

// checked is when a look ended, whether the finding was there then, and why it failed if it did.
type checked struct {
	at    time.Time
	there bool
	err   error
}

// What came of looks is told for doneTime, of doneMax findings at most.
const (
	doneTime = 5 * time.Minute
	doneMax  = 256
)

func newChecks() *checks {
	return &checks{running: map[string]bool{}, done: map[string]checked{}, changed: make(chan struct{})}
}

// begin says whether a check of key may start: it may not while there is one.
func (c *checks) begin(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[key] || len(c.running) >= 4 {
		return false
	}
	c.running[key] = true
	c.tell()
	return true
}

func (c *checks) end(key string, came checked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, key)
	if len(c.done) >= doneMax {
		clear(c.done)
	}
	c.done[key] = came
	c.tell()
}

// last gives what came of the last look at a finding, while that is news.
func (c *checks) last(key string, now time.Time) (checked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	came, there := c.done[key]
	age := now.Sub(came.at)
	return came, there && age >= 0 && age < doneTime
}

func (c *checks) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// any says whether something is being checked, and gives what ends when that changes.
func (c *checks) any() (bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running) > 0, c.changed
}
