package agent

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
)

// clockBench is a bench whose wall clock can be set.
func clockBench(t *testing.T, root string) (b *bench, set func(by time.Duration)) {
	b = newBench(t, root)
	b.machine.built = time.Now().Add(-30 * day)
	return b, b.setsClock()
}

const tenYears = 10 * 365 * day

// TestClockIsWrongByTenYears sets the clock ten years ahead and behind, while the agent runs and
// between two runs. It warns, ends no ignore, drops nothing, and marks its events; when the clock is
// right again all is as before.
func TestClockIsWrongByTenYears(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by      time.Duration
		running bool
	}{"ahead, at start": {tenYears, false}, "ahead, while it runs": {tenYears, true}, "behind, at start": {-tenYears, false}, "behind, while it runs": {-tenYears, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := smallSystem(t, 2)
			replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
			synctest.Test(t, func(t *testing.T) {
				b, set := clockBench(t, root)
				d, stop := b.start(t)
				time.Sleep(time.Minute)
				open, err := fromStore(d.vault, (*store.Store).Findings)
				if err != nil || len(open) == 0 {
					t.Fatalf("%v: nothing is open", err)
				}
				now := time.Now()
				err = d.vault.use(func(st *store.Store) error {
					m, err := d.maker(st)
					if err != nil {
						return err
					}
					return st.SetIgnore(store.Ignore{Key: open[0].Key, Since: now, Until: now.Add(7 * day), Why: "known"}, m.encode)
				})
				if err != nil {
					t.Fatal(err)
				}
				if !c.running {
					if err := stop(); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Hour)
				set(c.by)
				if !c.running {
					d, stop = b.start(t)
				}
				time.Sleep(2 * time.Minute)
				replace(t, root, "/var/lib/dpkg/status", stanza("pkg0", "1.0-1")+stanza("pkg1", "1.0-1")+stanza("late", "1"))
				time.Sleep(8 * time.Hour)
				synctest.Wait()
				if !warns(d, warnClock) {
					t.Errorf("warnings %+v\n%s", d.warn.all(), b.log)
				}
				ignores := func() int {
					list, err := fromStore(d.vault, (*store.Store).Ignores)
					if err != nil {
						t.Fatal(err)
					}
					return len(list)
				}
				if ignores() != 1 {
					t.Error("the ignore has ended")
				}
				news := b.news(t)
				for _, bad := range []string{"dropped", "ignore_ended", "Finding Close"} {
					if containsText(news, bad) {
						t.Errorf("%q in %q", bad, news)
					}
				}
				i := slices.IndexFunc(b.delivered(t), func(e event) bool { return strings.Contains(e.Message, "late 1 installed") })
				if i < 0 {
					t.Fatalf("what came is not told: %q", news)
				}
				at := time.UnixMilli(b.delivered(t)[i].Time)
				if off := time.Until(at); off > day || off < -31*day {
					t.Errorf("it is told of %v", at)
				}
				if line := lineWith(t, b, "late 1 installed"); !bytes.Contains(line, []byte(`"clock_wrong":true`)) {
					t.Errorf("it is not marked: %s", line)
				}
				set(0)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if warns(d, warnClock) || ignores() != 1 {
					t.Errorf("with the clock right: %+v, %d ignores", d.warn.all(), ignores())
				}
				time.Sleep(8 * day)
				synctest.Wait()
				if ignores() != 0 {
					t.Error("the ignore does not end when it should")
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// lineWith gives the delivered line that has a text.
func lineWith(t *testing.T, b *bench, text string) []byte {
	t.Helper()
	for line := range bytes.Lines([]byte(read(t, b.config.SinkFile))) {
		if bytes.Contains(line, []byte(text)) && !bytes.Contains(line, []byte(`"snapshot"`)) {
			return line
		}
	}
	return nil
}

// TestClockFarAheadIsBelievedInTheEnd: a device may have lain in a drawer for years.
func TestClockFarAheadIsBelievedInTheEnd(t *testing.T) {
	t.Parallel()
	at := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	boot := time.Hour
	c := &calendar{clock: clock{wall: func() time.Time { return at }, boot: func() time.Duration { return boot }, awake: func() time.Duration { return boot }}}
	c.begin(at.Add(-tenYears))
	if c.check() == "" || !c.now().Equal(at.Add(-tenYears)) {
		t.Errorf("believed at once: %v", c.now())
	}
	at, boot = at.Add(25*time.Hour), boot+25*time.Hour
	if text := c.check(); text != "" || !c.now().Equal(at) {
		t.Errorf("not believed after a day: %s", text)
	}
}
