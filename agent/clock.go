package agent

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// clock is what the daemon knows of time. Intervals go by boot, which goes on while the device
// sleeps and which nobody can set; wall is for stamps alone.
type clock struct {
	wall  func() time.Time
	awake func() time.Duration // since boot, without sleep
	boot  func() time.Duration // since boot, with sleep
	// wait returns when wake has something, which it takes, when so much time has passed, or when
	// ctx ends. It tells whether it was wake. Actors wait by it alone, so that a replay can have
	// them wait for its own time.
	wait func(ctx context.Context, most time.Duration, wake <-chan struct{}) (woken bool)
}

// forever is the longest wait.
const forever time.Duration = math.MaxInt64

// pause is the wait of real time.
func pause(ctx context.Context, most time.Duration, wake <-chan struct{}) (woken bool) {
	var late <-chan time.Time
	if most < forever {
		t := time.NewTimer(most)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ctx.Done():
	case <-late:
	case <-wake:
		return true
	}
	return false
}

// systemClock is the machine's. A kernel without CLOCK_BOOTTIME gives monotonic time for both.
func systemClock() clock {
	read := func(id int32) func() time.Duration {
		return func() time.Duration {
			var ts unix.Timespec
			if err := unix.ClockGettime(id, &ts); err != nil && unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
				return 0
			}
			return time.Duration(ts.Nano())
		}
	}
	return clock{wall: time.Now, awake: read(unix.CLOCK_MONOTONIC), boot: read(unix.CLOCK_BOOTTIME), wait: pause}
}

// clockSlack is how far clocks may part between two looks before that is worth a word. NTP slews
// by less.
const clockSlack = 5 * time.Second

// moment is the reading of all clocks at one time.
type moment struct {
	wall        time.Time
	awake, boot time.Duration
}

func (c clock) look() moment {
	return moment{c.wall().Round(0), c.awake(), c.boot()}
}

// jumps says how long the device slept between two moments, and by how much the wall clock was
// set; 0 for what is within the slack.
func (m moment) jumps(now moment) (slept, set time.Duration) {
	passed := now.boot - m.boot
	if slept = passed - (now.awake - m.awake); slept < clockSlack {
		slept = 0
	}
	if set = now.wall.Sub(m.wall) - passed; set.Abs() < clockSlack {
		set = 0
	}
	return slept, set
}

// clockWrong says why the wall clock cannot be right, or "".
func clockWrong(now, built, lastSeen time.Time) string {
	switch {
	case now.Before(built):
		return fmt.Sprintf("the clock says %s, and this program was built at %s", stamp(now), stamp(built))
	case now.Add(24 * time.Hour).Before(lastSeen):
		return fmt.Sprintf("the clock says %s, and the agent ran at %s already", stamp(now), stamp(lastSeen))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
