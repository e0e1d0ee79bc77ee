package agent

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestVirtualTellsWhoIsStuck has a part wait for what nobody sends, in its first turn and in a
// later one: that is an error with its name, and not a replay that hangs.
func TestVirtualTellsWhoIsStuck(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			sent := make(chan struct{})
			v := newVirtual(time.Unix(0, 0))
			v.begin("honest", func() { v.wait(ctx, forever, nil) })
			v.begin("stubborn", func() {
				if later {
					v.wait(ctx, time.Hour, nil)
				}
				<-sent
			})
			err := v.until(ctx, 2*time.Hour)
			if err == nil || !strings.Contains(err.Error(), "stubborn has worked for 15m0s") {
				t.Errorf("later %v: %v", later, err)
			}
			begun := false
			v.begin("late", func() { begun = true })
			if err := v.settle(); err == nil || begun {
				t.Errorf("later %v: it went on: %v, %v", later, err, begun)
			}

			stop() // and all of them end
			close(sent)
			<-v.turn
			v.stuck = nil
			if err := v.settle(); err != nil || len(v.waiting) > 0 {
				t.Errorf("%v, %d wait", err, len(v.waiting))
			}
		})
	}
}
