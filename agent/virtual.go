package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// virtual is time that stands still while any part works, and goes on to what is due next when
// all wait. One part works at a time, the others wait for their turn: what they do comes in the
// same order each time. It belongs to the goroutine that made it; parts touch it in their turn.
type virtual struct {
	start   time.Time
	awake   time.Duration // since start
	slept   time.Duration // of the device
	set     time.Duration // by which the wall clock is wrong
	waiting []*waiting    // longest first
	turn    chan struct{} // the part whose turn it was waits, or has ended
	part    string        // whose turn it is
	stuck   error         // a part did not end its turn: nothing goes on
}

// waiting is a part that waits.
type waiting struct {
	part string
	ctx  context.Context
	due  time.Duration
	wake <-chan struct{}
	call chan bool // its turn, and whether wake called
}

const (
	// mostTurns is how often parts may have their turn without time going on.
	mostTurns = 1 << 20
	// longestTurn is how long, in real time, a part may have its turn: far longer than the scan of
	// the largest image takes.
	longestTurn = 15 * time.Minute
)

var errNoRest = errors.New("the parts of the agent do not come to rest")

func newVirtual(start time.Time) *virtual {
	return &virtual{start: start, turn: make(chan struct{})}
}

func (v *virtual) boot() time.Duration { return v.awake + v.slept }

// onBefore is how long the device was on when it begins.
const onBefore = time.Hour

// clock is what the agent gets to see of it.
func (v *virtual) clock() clock {
	return clock{
		wall:  func() time.Time { return v.start.Add(v.boot() + v.set) },
		awake: func() time.Duration { return onBefore + v.awake },
		boot:  func() time.Duration { return onBefore + v.boot() },
		wait:  v.wait,
	}
}

// wait ends a part's turn until something calls it.
func (v *virtual) wait(ctx context.Context, most time.Duration, wake <-chan struct{}) (woken bool) {
	w := &waiting{part: v.part, ctx: ctx, due: forever, wake: wake, call: make(chan bool)}
	if most < forever-v.awake {
		w.due = v.awake + max(0, most)
	}
	v.waiting = append(v.waiting, w)
	v.turn <- struct{}{}
	return <-w.call
}

// begin gives a new part its first turn.
func (v *virtual) begin(name string, part func()) {
	if v.stuck != nil {
		return
	}
	v.part = name
	go func() {
		part()
		v.turn <- struct{}{}
	}()
	v.endOfTurn()
}

// endOfTurn waits until the part whose turn it is waits, or has ended. One that waits for anything
// else than this time would wait for ever: that is told, and its goroutine is left behind.
func (v *virtual) endOfTurn() {
	late := time.NewTimer(longestTurn)
	defer late.Stop()
	select {
	case <-v.turn:
	case <-late.C:
		v.stuck = fmt.Errorf("%s has worked for %v, or waits for something that is not on the virtual clock", v.part, longestTurn)
	}
}

// settle gives turns to all that have something to do now.
func (v *virtual) settle() error {
	for range mostTurns {
		if v.stuck != nil {
			return v.stuck
		}
		if !v.next() {
			return nil
		}
	}
	return errNoRest
}

// next gives the one that has waited longest of those that have something to do its turn.
func (v *virtual) next() bool {
	for i, w := range v.waiting {
		woken := false
		switch {
		case w.ctx.Err() != nil, w.due <= v.awake:
		case len(w.wake) > 0:
			<-w.wake
			woken = true
		default:
			continue
		}
		v.waiting = append(v.waiting[:i:i], v.waiting[i+1:]...)
		v.part = w.part
		w.call <- woken
		v.endOfTurn()
		return true
	}
	return false
}

// until has time go on to a time since boot, through all that is due before and at that.
func (v *virtual) until(ctx context.Context, end time.Duration) error {
	for {
		if err := v.settle(); err != nil {
			return err
		}
		next := end - v.slept
		if v.awake >= next {
			return nil
		}
		for _, w := range v.waiting {
			next = min(next, w.due)
		}
		v.awake = next
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
