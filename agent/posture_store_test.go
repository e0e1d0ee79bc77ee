package agent

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner"
	"picket/store"
)

// underLow makes a daemon whose policy lets in up to Low.
func underLow(t *testing.T, b *bench) *daemon {
	t.Helper()
	f := newFleet(t)
	f.publish(nil, "format: picket.policy/1\nversion: one\nposture: {max_level: low}\n")
	f.trust(b.config)
	f.fetch(b.config)
	d, err := newDaemon(b.machine)
	f.must(err)
	return d
}

// TestPostureWithoutStore: a device that meets the requirements no more is blocked whatever its store takes,
// and let in again.
func TestPostureWithoutStore(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	d := underLow(t, newBench(t, root))
	scan := func(stored bool) Posture {
		t.Helper()
		if _, err := d.scanWhole(t.Context(), "test", d.set.Load().criteria); (err == nil) != stored {
			t.Fatalf("the store took it: %v", err)
		}
		return d.postureNow()
	}
	if p := scan(true); p.State != accessOpen {
		t.Fatalf("first: %+v", p)
	}
	if err := d.leave(nil); err != nil { // from here on there is no store
		t.Fatal(err)
	}
	replace(t, root, "/etc/shadow", badShadow)
	if p := scan(false); p.State != accessBlocked || p.Level != scanner.LevelHigh || len(p.Findings) == 0 {
		t.Errorf("without a store: %+v", p)
	}
	blind := *d.judging.report()
	blind.Findings, blind.Coverage = nil, slices.Clone(blind.Coverage)
	for i := range blind.Coverage {
		blind.Coverage[i].Outcome, blind.Coverage[i].Why = scanner.Unknown, "may not be read"
	}
	d.takeUnstored(&blind)
	if p := d.postureNow(); p.State != accessBlocked || len(p.Findings) == 0 || !p.Findings[0].Unchecked {
		t.Errorf("what cannot be looked at any more: %+v", p)
	}
	replace(t, root, "/etc/shadow", goodShadow)
	if p := scan(false); p.State != accessOpen {
		t.Errorf("put right: %+v", p)
	}
}

// TestPostureOfAStoreThatTakesNothing has the store be read and not written, as on a full disk.
func TestPostureOfAStoreThatTakesNothing(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	replace(t, root, "/etc/shadow", badShadow)
	d := underLow(t, newBench(t, root))
	defer d.leave(nil)
	if _, err := d.scanWhole(t.Context(), "test", d.set.Load().criteria); err != nil {
		t.Fatal(err)
	}
	for outcome, want := range map[scanner.Outcome]string{scanner.Unknown: accessBlocked, scanner.Passed: accessOpen} {
		r := *d.judging.report()
		r.Findings, r.Coverage = nil, slices.Clone(r.Coverage)
		for i := range r.Coverage {
			r.Coverage[i].Outcome, r.Coverage[i].Why = outcome, ""
		}
		d.takeUnstored(&r)
		if p := d.postureNow(); p.State != want {
			t.Errorf("not found, and %v: %+v", outcome, p)
		}
	}
}

// TestCorrectedClockIsNoGrace: what a wrong clock said before it was set right does not count as time that
// passed, when the power is cut and the device starts anew.
func TestCorrectedClockIsNoGrace(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	replace(t, root, "/etc/shadow", badShadow)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		f := newFleet(t)
		f.publish(nil, "format: picket.policy/1\nversion: one\nposture: {max_level: low, block_after: 3d, wipe_after: 30d}\nresponses: {block: true, wipe: true}\n")
		f.trust(b.config)
		set := b.setsClock()
		set(-400 * day)
		d, stop := b.startGuarded(t)
		time.Sleep(20 * time.Minute)
		set(0)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var kept standing
		err := d.vault.use(func(st *store.Store) error {
			b, err := st.Recall(notesTable, accessNote)
			if err != nil {
				return err
			}
			return json.Unmarshal(b, &kept)
		})
		if err != nil || kept.Bad == nil {
			t.Fatalf("kept: %+v, %v", kept, err)
		}
		now := instant{time.Now().Add(10 * time.Minute), time.Minute, "another"}
		if p, _ := kept.judge(d.set.Load().criteria.policy, now); p.State != accessWarned || p.WipeDue {
			t.Errorf("after another start: %+v", p)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
