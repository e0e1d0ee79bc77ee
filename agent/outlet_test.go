package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
	"picket/transport/stepca/fakeca"
	"picket/transport/tuf"
)

// TestNothingLeavesBeforeThePolicy: what was made before a new member's policy is known is never
// sent, and when it is known, it goes by it.
func TestNothingLeavesBeforeThePolicy(t *testing.T) {
	t.Parallel()
	b, f, c := newBench(t, smallSystem(t, 2)), newFleet(t), newSetClock()
	f.publish(nil, "format: picket.policy/1\nsend: level-only\n")
	root, err := os.ReadFile(filepath.Join(f.Dir, "1.root.json"))
	f.must(err)
	order := orderOf(fakeca.New(t, c.now))
	order.place.Updates = &updates{URL: "https://127.0.0.1:1/updates", Root: root}
	_, _, err = enroller{dir: b.config.StateDir, now: c.now}.enrol(t.Context(), order)
	f.must(err)
	synctest.Test(t, func(t *testing.T) {
		sink := &fickle{}
		since := time.Now()
		b.machine.clock.wall = time.Now
		b.machine.clock.awake = func() time.Duration { return time.Since(since) + time.Hour }
		b.machine.clock.boot = b.machine.clock.awake
		b.machine.upstream = func(Config) Sink { return sink }
		d, stop := b.startUpdating(t)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if taken, _ := sink.seen(); len(taken) != 0 {
			t.Errorf("%d events were sent before the policy was known: %s", len(taken), taken[0])
		}
		if !hasWarning(d, warnUpstream) || !hasWarning(d, warnUpdatesUnreachable) {
			t.Errorf("warnings %+v", d.warn.all())
		}
		stick, err := tuf.At(f.Dir, nil)
		if err == nil {
			_, err = fetchUpdates(t.Context(), b.config, stick, time.Now)
		}
		if err == nil {
			_, err = d.reload()
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		taken, _ := sink.seen()
		all := strings.Join(taken, "\n")
		if len(taken) == 0 || !strings.Contains(all, "Device Inventory Info") || hasWarning(d, warnUpstream) {
			t.Errorf("%d events, warnings %+v", len(taken), d.warn.all())
		}
		if strings.Contains(all, "pkg0") || strings.Contains(all, "Finding") {
			t.Errorf("sent: %s", all)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestStricterPolicyWithdraws: with a looser one all stays.
func TestStricterPolicyWithdraws(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, smallSystem(t, 1))
		sink := &fickle{err: errors.New("down")}
		b.machine.upstream = func(Config) Sink { return sink }
		d, err := newDaemon(b.machine)
		if err != nil {
			t.Fatal(err)
		}
		set := func(mode string) {
			now := *d.set.Load()
			crit := *now.criteria
			if crit.policy, err = ParsePolicy("", []byte("format: picket.policy/1\nsend: "+mode)); err != nil {
				t.Fatal(err)
			}
			now.criteria = &crit
			d.settle(now)
		}
		left := func() (n int) {
			err := d.vault.use(func(st *store.Store) error {
				events, err := st.Pending(0, 1000)
				n = len(events)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		up := d.gated(sink)
		for _, step := range []struct {
			mode string
			want int
		}{{sendFull, 1}, {sendNoPersonal, 0}, {sendNoPersonal, 1}, {sendLevelOnly, 0}, {sendLevelOnly, 1}, {sendFull, 2}} {
			set(step.mode)
			queue(t, d.vault, step.mode+time.Now().String())
			time.Sleep(time.Second)
			up.Send(context.Background(), nil)
			if n := left(); n != step.want {
				t.Errorf("%s: %d events wait, want %d", step.mode, n, step.want)
			}
		}
		if err := d.leave(nil); err != nil {
			t.Error(err)
		}
	})
}
