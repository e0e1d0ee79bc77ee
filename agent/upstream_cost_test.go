package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnchangedDeviceCostsLittle counts the bytes on the wire, with TLS, of a device of 300
// packages on which nothing happens, and has the upstream lose all in between.
func TestUnchangedDeviceCostsLittle(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 300)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n") // no password
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.ScanInterval = 23 * time.Hour
		up := newOtelServer(t)
		sink := up.sink(t)
		b.upstream = func(Config) Sink { return sink }
		_, stop := b.start(t)
		day := func() (wire int, got []string) {
			up.mu.Lock()
			before, had := up.wire, len(up.bodies)
			up.mu.Unlock()
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			up.mu.Lock()
			defer up.mu.Unlock()
			return up.wire - before, up.bodies[had:]
		}
		wire, first := day()
		t.Logf("first day: %d bytes on the wire, %d events", wire, len(first))
		sent := sink.sent()
		for n := 2; n < 7; n++ {
			wire, got := day()
			body := sink.sent() - sent
			sent = sink.sent()
			t.Logf("day %d: %d bytes on the wire, %d of bodies, %d events", n, wire, body, len(got))
			if body > 1000 || wire > 6000 || len(got) < 1 || len(got) > 4 || !containsText(got, `"assertion"`) {
				t.Errorf("day %d: %q", n, got)
			}
			if !containsText(got, `"open":[{"uid":"`) {
				t.Error("the open finding is not named")
			}
		}
		up.behave(func(c *otelServer) { c.bodies = nil }) // it loses what it has acked
		for range 30 {
			day()
		}
		whole := 0
		for _, body := range up.got() {
			if strings.Contains(body, `"snapshot":{`) {
				whole += strings.Count(body, `"purl":`)
			}
		}
		if whole < 300 {
			t.Errorf("after a month the upstream has %d packages again", whole)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
