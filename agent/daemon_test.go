package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
)

func TestDaemonScansRemembersAndDelivers(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n") // no password
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		d, stop := b.start(t)
		synctest.Wait()
		first := b.news(t)
		if !containsText(first, "Finding Create") {
			t.Fatalf("no finding was told: %q\n%s", first, b.log)
		}
		if got := d.judging.report(); got == nil || len(packagesOf(got)) != 3 {
			t.Errorf("the report is %+v", got)
		}
		// A day and a half of nothing: scans come, and tell nothing but a snapshot.
		time.Sleep(36 * time.Hour)
		synctest.Wait()
		if n := d.scans.Load(); n < 6 || n > 8 {
			t.Errorf("%d scans in 36 hours of 6 each", n)
		}
		if again := b.news(t); len(again) != len(first) {
			t.Errorf("without a change there are new events: %q", again[len(first):])
		}
		// The root account gets a password, a package comes and another goes.
		replace(t, root, "/etc/shadow", "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
		replace(t, root, "/var/lib/dpkg/status", stanza("pkg0", "1.0-1")+stanza("pkg1", "2.0-1")+stanza("new", "1"))
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		last := b.news(t)[len(first):]
		for _, want := range []string{"Finding Close", "Application Lifecycle Install: new 1 installed", "Application Lifecycle Update: pkg1 2.0-1 updated", "Application Lifecycle Remove: pkg2 1.0-1 removed"} {
			if !containsText(last, want) {
				t.Errorf("no %q in %q", want, last)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		ids, uid := map[string]bool{}, ""
		for _, e := range b.delivered(t) {
			if ids[e.Metadata.UID] {
				t.Errorf("%s was delivered twice", e.Metadata.UID)
			}
			ids[e.Metadata.UID] = true
			if uid == "" {
				uid = e.Device.UID
			}
			if len(e.Device.UID) != 32 || e.Device.UID != uid {
				t.Errorf("device %q after %q", e.Device.UID, uid)
			}
		}
	})
}

// Who asks the agent is in another folder than it.
func TestStatusNamesTheWholePath(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1))
	load := b.load
	b.load = func() (Config, Origins, error) {
		c, from, err := load()
		from.File = "c.yaml"
		return c, from, err
	}
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.vault.close()
	if file := d.status().Config.File; !filepath.IsAbs(file) || filepath.Base(file) != "c.yaml" {
		t.Errorf("%s", file)
	}
}

func TestDaemonTellsGaps(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		run := func() {
			t.Helper()
			_, stop := b.start(t)
			time.Sleep(time.Minute)
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		run()
		stopped := time.Now()
		time.Sleep(3 * time.Hour)
		run()
		time.Sleep(time.Hour)
		b.boot = "boot-2"
		run()
		var gaps []Gap
		for _, e := range b.delivered(t) {
			if e.Unmapped.Gap != nil {
				gaps = append(gaps, *e.Unmapped.Gap)
			}
		}
		if len(gaps) != 2 {
			t.Fatalf("gaps %+v\n%s", gaps, b.log)
		}
		if g := gaps[0]; g.Why != "stopped" || !g.From.Equal(stopped.Truncate(time.Millisecond)) || g.To.Sub(g.From) != 3*time.Hour {
			t.Errorf("first gap %+v", g)
		}
		if g := gaps[1]; g.Why != "device-off" || g.To.Sub(g.From) != time.Hour {
			t.Errorf("second gap %+v", g)
		}
	})
}

func TestGapReasons(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	now := runNote{At: at.Add(time.Hour), Boot: "a", Version: "2"}
	for want, last := range map[string]runNote{
		"stopped":        {At: at, Boot: "a", Version: "2", Stopped: "asked to"},
		"killed":         {At: at, Boot: "a", Version: "2"},
		"updated":        {At: at, Boot: "a", Version: "1", Stopped: "asked to"},
		"device-off":     {At: at, Boot: "b", Version: "2"},
		"clock-set-back": {At: at.Add(2 * time.Hour), Boot: "a", Version: "2"},
	} {
		if got := gapAfter(last, time.Time{}, now); got.Why != want {
			t.Errorf("%+v: %s, want %s", last, got.Why, want)
		}
	}
	// One that was killed ran at least until it last wrote.
	if got := gapAfter(runNote{At: at, Boot: "a", Version: "2"}, at.Add(time.Minute), now); !got.From.Equal(at.Add(time.Minute)) {
		t.Errorf("from %v", got.From)
	}
}

func TestDaemonReload(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		d, stop := b.start(t)
		synctest.Wait()
		old := b.config
		b.config.ScanInterval, b.config.OutboxAge = time.Hour, 2*time.Hour
		changes, err := d.reload()
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"scan_interval: 6h -> 1h", "outbox_age: 90d -> 2h (when the agent starts anew)"}; !slices.Equal(changes, want) {
			t.Errorf("changes %q", changes)
		}
		synctest.Wait()
		before := d.scans.Load()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if n := d.scans.Load() - before; n < 4 {
			t.Errorf("%d scans in 5 hours", n)
		}
		good := d.config()
		b.config.RulesDir = filepath.Join(old.StateDir, "nowhere")
		if _, err := d.reload(); err == nil || !strings.Contains(err.Error(), "the old configuration stays") {
			t.Errorf("got %v", err)
		}
		if len(Changes(good, d.config())) > 0 {
			t.Error("a refused configuration is in effect")
		}
		if w := d.warn.all(); len(w) == 0 || w[0].Code != warnConfigRefused {
			t.Errorf("warnings %+v", w)
		}
		b.config = good
		if _, err := d.reload(); err != nil {
			t.Error(err)
		}
		for _, w := range d.warn.all() {
			if w.Code == warnConfigRefused {
				t.Errorf("still %+v", w)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDaemonRefusesASecond(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1))
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.vault.close()
	_, err = newDaemon(b.machine)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("got %v, want the first one's process id", err)
	}
}

// TestDaemonWithoutAStore shows that the agent goes on without a state folder, says so, and
// remembers once it has one.
func TestDaemonWithoutAStore(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		if err := os.WriteFile(b.config.StateDir, []byte("in the way"), 0o600); err != nil {
			t.Fatal(err)
		}
		d, stop := b.start(t)
		synctest.Wait()
		if d.judging.report() == nil {
			t.Fatalf("no report without a store\n%s", b.log)
		}
		if w := d.warn.all(); !slices.ContainsFunc(w, func(w Warning) bool { return w.Dependency == "store" && w.Fix != "" }) {
			t.Errorf("warnings %+v", w)
		}
		if err := os.Remove(b.config.StateDir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		if got := b.delivered(t); len(got) == 0 {
			t.Errorf("nothing was delivered once there was a place\n%s", b.log)
		}
		if w := d.warn.all(); slices.ContainsFunc(w, func(w Warning) bool { return w.Dependency == "store" }) {
			t.Errorf("still %+v", w)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestDaemonAfterDamage spoils the store between two runs: the agent starts, says what happened,
// and what is open is told anew.
func TestDaemonAfterDamage(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		_, stop := b.start(t)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		file := filepath.Join(b.config.StateDir, storeName)
		content := []byte(read(t, file))
		for i := range content {
			if i%512 < 200 {
				content[i] ^= 0x5a
			}
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(b.delivered(t))
		d, stop := b.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if w := d.warn.all(); !slices.ContainsFunc(w, func(w Warning) bool { return w.Code == warnStoreDamaged }) {
			t.Errorf("warnings %+v", w)
		}
		if got := b.news(t); !containsText(got, "the store was damaged") {
			t.Errorf("the damage is no event: %q", got)
		}
		if len(b.delivered(t)) <= before {
			t.Error("nothing is told after the damage")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestIdleWritesNothing counts the store's writes between two scans.
func TestIdleWritesNothing(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		d, stop := b.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		writes := func() (n int64) {
			if err := d.vault.use(func(st *store.Store) error {
				s, err := st.Stats()
				n = s.Writes
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := writes()
		time.Sleep(5 * time.Hour) // less than scan_interval and its jitter
		synctest.Wait()
		if n := writes() - before; n != 0 {
			t.Errorf("%d writes in five idle hours", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
