package agent

import (
	"fmt"
	"sync"
	"time"
)

const (
	// farAhead is how much later than when the agent last saw it the clock may be and still be
	// believed at once: few devices lie in a drawer for longer.
	farAhead = 2 * 365 * day
	// believed is how long a clock that is far ahead has to go on before it counts as right.
	believed = day
)

// calendar tells what time it is, as far as the wall clock can be believed. A clock that is far
// ahead must not end what people set to end some day, nor make everything on the device look old.
type calendar struct {
	clock clock
	built time.Time

	mu    sync.Mutex
	ran   time.Time     // when the agent last ran, before this start
	seen  time.Time     // what the clock said when it was last believed; zero when it never was
	at    time.Duration // since boot, then
	doubt string        // why it is not believed; "" when it is
	ahead bool          // it is not believed because it is far ahead
}

// begin learns when the agent last ran.
func (c *calendar) begin(ran time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ran, c.seen, c.at = ran, ran, c.clock.boot()
}

// check compares the clock with what is known, and says why it cannot be right, or "".
func (c *calendar) check() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.look()
	c.doubt, c.ahead = clockWrong(now.wall, c.built, c.ran), false
	if !c.seen.IsZero() && now.wall.After(c.expected(now).Add(farAhead)) && now.boot-c.at < believed {
		c.ahead = true
		c.doubt = fmt.Sprintf("the clock says %s, and it was %s when the agent last saw a time that it believes", stamp(now.wall), stamp(c.seen))
	}
	if c.doubt == "" {
		c.seen, c.at = now.wall, now.boot
	}
	return c.doubt
}

// expected is the last time that was believed, and what has passed since then while the device
// was on.
func (c *calendar) expected(now moment) time.Time { return c.seen.Add(now.boot - c.at) }

// now is the clock's time, or what it should be about where it is far ahead.
func (c *calendar) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.clock.look(); c.ahead {
		return c.expected(now)
	}
	return c.clock.wall()
}

// doubts tells whether the clock is known to be wrong, and the latest that it can be by what is
// known otherwise; zero for no bound.
func (c *calendar) doubts() (wrong bool, latest time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ahead {
		latest = c.expected(c.clock.look())
	}
	return c.doubt != "", latest
}
