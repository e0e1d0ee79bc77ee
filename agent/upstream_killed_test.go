package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
)

// hastyFactor is by how much a device's time runs faster here, so that it does not wait for hours.
const hastyFactor = 60

// storeForgets is longer than what VictoriaLogs has in memory alone.
const storeForgets = 6 * time.Second

// TestKilledUpstreamGetsAll: a device goes on changing and telling it, while HAProxy, the Collector and each of two
// stores are killed at random. What the device has in its own file is in the end in one store or the other, byte for byte.
func TestKilledUpstreamGetsAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 20))
	began := time.Now()
	b.clock.boot = func() time.Duration { return time.Since(began)*hastyFactor + time.Hour }
	b.clock.awake = b.clock.boot
	b.clock.wait = func(ctx context.Context, most time.Duration, wake <-chan struct{}) bool {
		if most < forever {
			most /= hastyFactor
		}
		return pause(ctx, most, wake)
	}
	w := startWhole(t, b, "pair")
	d := w.d
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	end := func() error { stop(); return <-done }
	ended := false
	defer func() {
		if !ended {
			_ = end()
		}
		if t.Failed() {
			t.Logf("agent: %.8000s", b.log)
		}
	}()
	changing, enough := make(chan struct{}), make(chan struct{})
	turns := 0
	go func() { // the load
		defer close(changing)
		for ; ctx.Err() == nil; turns++ {
			select {
			case <-enough:
				return
			default:
			}
			var status strings.Builder
			for i := range 20 {
				status.WriteString(stanza(fmt.Sprintf("pkg%d", i), fmt.Sprintf("%d.0-1", max(1, turns-i%2))))
			}
			replace(t, b.root, "/var/lib/dpkg/status", status.String())
			if _, err := d.rescan(ctx, true); err != nil && ctx.Err() == nil {
				t.Errorf("scanning: %v", err)
				return
			}
			d.ship.hurry()
		}
	}()
	eventually(t, "the first events in a store", func() bool {
		there, _ := storedUpstream(t, w.addresses[0])
		return len(there) > 20
	})
	time.Sleep(storeForgets)
	for _, i := range rand.Perm(12) {
		p := []*program.Program{w.haproxy, w.collector, w.haproxy, w.collector, w.stores[0], w.stores[1]}[i%6]
		p.Kill()
		if i < 6 { // it is away for as long as it takes the agent to see it
			eventually(t, "a warning that events wait", func() bool { return d.warn.stands(warnUpstream) })
		}
		p.Start()
		if i%6 >= 4 {
			time.Sleep(storeForgets) // until the other has what this one lost
		}
	}
	close(enough)
	<-changing
	eventually(t, "an empty outbox", func() bool {
		d.ship.network() // it need not wait for long
		d.ship.hurry()
		return d.status().Outbox.Events == 0
	})
	ended = true
	if err := end(); err != nil {
		t.Error(err)
	}
	own := b.filed(t)
	lacks := func() (uid string) {
		there := map[string]string{}
		for _, store := range w.addresses {
			bodies, _ := storedUpstream(t, store)
			for uid, body := range bodies {
				there[uid] = body
			}
		}
		for uid, body := range own {
			if there[uid] != body {
				return uid
			}
		}
		return ""
	}
	missing := ""
	for range 100 {
		if missing = lacks(); missing == "" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if missing != "" {
		t.Errorf("the device told %.300s, and it is in no store as it was told", own[missing])
	}
	if len(own) < 100 || turns < 3 {
		t.Errorf("%d events of %d changes are no load", len(own), turns)
	}
	t.Logf("12 kills, %d changes of the device, %d events, byte for byte", turns, len(own))
}
