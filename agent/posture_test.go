package agent

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner"
	"picket/store"
)

func policyOfPosture(p PolicyPosture) *Policy {
	return &Policy{Version: "1", Posture: p, Responses: PolicyResponses{Block: true, Wipe: p.WipeAfter > 0}}
}

func codesOf(p Posture) (out []string) {
	for _, r := range p.Reasons {
		out = append(out, r.Code)
	}
	return out
}

func TestPosture(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := instant{wall: at, up: 100 * time.Hour, boot: "a"}
	ago := func(d time.Duration) *span { return &span{0, "a", now.up - d, at.Add(-d)} }
	low := PolicyPosture{MaxLevel: "low", MaxAge: day, BlockAfter: 2 * time.Hour, WipeAfter: 3 * time.Hour}
	for _, c := range []struct {
		name    string
		policy  *Policy
		is      standing
		state   string
		reasons []string
		next    string
		in      time.Duration // until then
		due     bool
	}{
		{name: "no policy", is: standing{Level: scanner.LevelHigh, Scanned: ago(0)}},
		{name: "a policy that asks for nothing", policy: policyOfPosture(PolicyPosture{MaxLevel: "high", MaxAge: day}), is: standing{}, state: accessOpen},
		{name: "good", policy: policyOfPosture(low), is: standing{Level: scanner.LevelLow, Scanned: ago(time.Hour)}, state: accessOpen},
		{name: "no scan", policy: policyOfPosture(low), is: standing{}, state: accessWarned, reasons: []string{reasonUnknown}, next: accessBlocked, in: 2 * time.Hour},
		{name: "a level of which no scan is known", policy: policyOfPosture(low), is: standing{Level: scanner.Secured}, state: accessWarned, reasons: []string{reasonUnknown}, next: accessBlocked, in: 2 * time.Hour},
		{name: "level", policy: policyOfPosture(low), is: standing{Level: scanner.LevelMedium, Scanned: ago(0), Bad: ago(time.Hour)}, state: accessWarned, reasons: []string{reasonLevel}, next: accessBlocked, in: time.Hour},
		{name: "no grace", policy: policyOfPosture(PolicyPosture{MaxLevel: "secured", MaxAge: day}), is: standing{Level: scanner.LevelLow, Scanned: ago(0)}, state: accessBlocked, reasons: []string{reasonLevel}},
		{name: "blocked", policy: policyOfPosture(low), is: standing{Level: scanner.LevelHigh, Scanned: ago(0), Bad: ago(2 * time.Hour)}, state: accessBlocked, reasons: []string{reasonLevel}, next: accessWiped, in: 3 * time.Hour},
		{name: "wipe", policy: policyOfPosture(low), is: standing{Level: scanner.LevelHigh, Scanned: ago(0), Bad: ago(5 * time.Hour)}, state: accessBlocked, reasons: []string{reasonLevel}, due: true},
		{name: "stale", policy: policyOfPosture(low), is: standing{Level: scanner.Secured, Scanned: ago(day)}, state: accessWarned, reasons: []string{reasonStale}, next: accessBlocked, in: 2 * time.Hour},
		{name: "stale where no level is asked for", policy: policyOfPosture(PolicyPosture{MaxLevel: "high", MaxAge: day}), is: standing{Level: scanner.Secured, Scanned: ago(2 * day)}, state: accessOpen},
		{name: "offline", policy: policyOfPosture(PolicyPosture{MaxLevel: "high", MaxAge: day, Offline: day, BlockAfter: time.Hour}), is: standing{Contact: ago(25 * time.Hour)}, state: accessWarned, reasons: []string{reasonOffline}, next: accessBlocked, in: time.Hour},
		{name: "never in touch", policy: policyOfPosture(PolicyPosture{MaxLevel: "high", MaxAge: day, Offline: day}), is: standing{}, state: accessOpen},
		{name: "all at once", policy: policyOfPosture(PolicyPosture{MaxLevel: "low", MaxAge: day, Offline: day}), is: standing{Level: scanner.LevelHigh, Scanned: ago(2 * day), Contact: ago(2 * day)}, state: accessBlocked, reasons: []string{reasonLevel, reasonStale, reasonOffline}},
	} {
		p, _ := c.is.judge(c.policy, now)
		if p.State != c.state || !slices.Equal(codesOf(p), c.reasons) || p.Next != c.next || p.WipeDue != c.due || c.next != "" && p.At.Sub(at) != c.in {
			t.Errorf("%s: %+v", c.name, p)
		}
		if (c.is.Bad != nil) != (len(c.reasons) > 0) {
			t.Errorf("%s: since %+v", c.name, c.is.Bad)
		}
	}
}

// TestGraceGoesByNoClockThatCanBeSet sets the clock, restarts the agent and the device.
func TestGraceGoesByNoClockThatCanBeSet(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := begin(instant{at, time.Hour, "a"})
	for _, c := range []struct {
		name string
		now  instant
		want time.Duration
	}{
		{"within a boot", instant{at.Add(time.Hour), 2 * time.Hour, "a"}, time.Hour},
		{"the clock set back", instant{at.Add(-day), 2 * time.Hour, "a"}, time.Hour},
		{"the clock set ahead", instant{at.Add(300 * day), 2 * time.Hour, "a"}, time.Hour},
		{"another boot", instant{at.Add(time.Hour), time.Minute, "b"}, time.Hour},
		{"another boot, the clock set back", instant{at.Add(-day), 10 * time.Minute, "b"}, 10 * time.Minute},
		{"no id of the boot, and less time since it", instant{at.Add(time.Hour), time.Minute, "a"}, time.Hour},
	} {
		if got := s.length(c.now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := s.marked(c.now).length(instant{c.now.wall.Add(-day), c.now.up + time.Hour, c.now.boot}); got != c.want+time.Hour {
			t.Errorf("%s, marked: %v", c.name, got)
		}
	}
}

// TestPostureOfADaemon blocks a device after its grace, over a restart and a clock that is set back, and lets it in
// again once it is put right. Upstream is told each time.
func TestPostureOfADaemon(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n") // no password
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		f := newFleet(t)
		f.publish(nil, "format: picket.policy/1\nversion: one\nposture: {max_level: low, block_after: 2h, wipe_after: 3h}\nresponses: {block: true, wipe: true}\norganisation: {name: Example BV, url: https://example.org/help}\n")
		f.trust(b.config)
		set := b.setsClock()
		d, stop := b.startGuarded(t)
		told := 0
		defer d.access.changed.tell(func() { told++ })()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		p := d.postureNow()
		if p.State != accessWarned || p.Level != scanner.LevelHigh || p.Next != accessBlocked || len(p.Findings) == 0 || p.Organisation != "Example BV" || told == 0 {
			t.Fatalf("after half an hour, told %d times: %+v\n%s", told, p, b.log)
		}
		v, err := d.pageView(t.Context())
		if err != nil || v.Access.State != accessWarned || v.Access.Next != accessBlocked || !slices.Equal(v.Access.Reasons, []string{p.Findings[0].Key}) || v.Member.Organisation != "Example BV" || v.Member.Support != "https://example.org/help" {
			t.Errorf("the page has %+v, %+v, %v", v.Access, v.Member, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		set(-24 * time.Hour) // nobody's grace is longer for that
		time.Sleep(time.Hour)
		d, stop = b.startGuarded(t)
		synctest.Wait()
		if p := d.postureNow(); p.State != accessWarned || p.At.Sub(b.clock.wall()) < 30*time.Minute || p.At.Sub(b.clock.wall()) > 35*time.Minute {
			t.Errorf("after a restart: %+v at %v", p, b.clock.wall())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if p := d.postureNow(); p.State != accessBlocked || p.Next != accessWiped {
			t.Errorf("after two and a half hours: %+v", p)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if p := d.postureNow(); p.State != accessBlocked || !p.WipeDue {
			t.Errorf("after five and a half hours: %+v", p)
		}
		replace(t, root, "/etc/shadow", "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
		if _, err := d.rescan(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if p := d.postureNow(); p.State != accessOpen || p.Since != nil || len(p.Reasons) > 0 {
			t.Errorf("put right: %+v", p)
		}
		synctest.Wait()
		var access []string
		for _, e := range b.news(t) {
			if _, after, ok := strings.Cut(e, ", access "); ok {
				access = append(access, after)
			}
		}
		if !slices.Equal(slices.Compact(access), []string{"warned", "blocked", "open"}) {
			t.Errorf("told: %q", access)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// startGuarded runs a daemon that looks for updates and follows its access.
func (b *bench) startGuarded(t testing.TB) (d *daemon, stop func() error) {
	t.Helper()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, actor{"updates", d.runUpdates}, actor{"posture", d.runPosture}) }()
	return d, func() error { cancel(); return <-done }
}

// TestUnknownIsNotPutRight: what was found and cannot be looked at any more counts on.
func TestUnknownIsNotPutRight(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	replace(t, root, "/etc/shadow", badShadow)
	d, err := newDaemon(newBench(t, root).machine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.leave(nil)
	if _, err := d.scanWhole(t.Context(), "test", d.set.Load().criteria); err != nil {
		t.Fatal(err)
	}
	if p := d.postureNow(); p.Level != scanner.LevelHigh || len(p.Findings) != 1 || p.Findings[0].Unchecked {
		t.Fatalf("first: %+v", p)
	}
	// The next scan sees nothing of it, and does not know why.
	blind := *d.judging.report()
	blind.Level, blind.SetBy, blind.Findings, blind.Coverage = scanner.Secured, nil, nil, slices.Clone(blind.Coverage)
	for i := range blind.Coverage {
		blind.Coverage[i].Outcome, blind.Coverage[i].Why = scanner.Unknown, "may not be read"
	}
	if _, err := d.keep(outcome{report: &blind}); err != nil {
		t.Fatal(err)
	}
	if p := d.postureNow(); p.Level != scanner.LevelHigh || len(p.Findings) != 1 || !p.Findings[0].Unchecked {
		t.Errorf("after a blind scan: %+v", p)
	}
	seeing := blind
	seeing.Coverage = slices.Clone(blind.Coverage)
	for i := range seeing.Coverage {
		seeing.Coverage[i].Outcome, seeing.Coverage[i].Why = scanner.Passed, ""
	}
	if _, err := d.keep(outcome{report: &seeing}); err != nil {
		t.Fatal(err)
	}
	if p := d.postureNow(); p.Level != scanner.Secured || len(p.Findings) != 0 {
		t.Errorf("once it is seen to be gone: %+v", p)
	}
}

// TestOffline blocks a device that reaches nobody, over a restart, and lets it in when it does.
func TestOffline(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		f := newFleet(t)
		f.publish(nil, "format: picket.policy/1\nposture: {offline: 8h, block_after: 1h}\n")
		f.trust(b.config)
		d, stop := b.startGuarded(t)
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		if p := d.postureNow(); p.State != accessOpen {
			t.Fatalf("in touch: %+v\n%s", p, b.log)
		}
		away := f.Dir + "-away"
		f.must(os.Rename(f.Dir, away))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		d, stop = b.startGuarded(t)
		time.Sleep(9 * time.Hour)
		synctest.Wait()
		p := d.postureNow()
		if p.State != accessBlocked || !slices.Equal(codesOf(p), []string{reasonOffline}) {
			t.Errorf("out of touch for half a day: %+v", p)
		}
		if v, err := d.pageView(t.Context()); err != nil || !slices.Equal(v.Access.Why, []string{reasonOffline}) {
			t.Errorf("the page has %+v, %v", v.Access, err)
		}
		var shown strings.Builder
		wiped := p
		wiped.Next, wiped.At = accessWiped, &time.Time{}
		if err := showPosture(&shown, wiped, time.Now()); err != nil || !strings.Contains(shown.String(), "work data can be removed from ") {
			t.Errorf("shown: %v\n%s", err, &shown)
		}
		if err := showPosture(&shown, p, time.Now()); err != nil || !strings.Contains(shown.String(), "the organisation has not been reached for 8h") {
			t.Errorf("shown: %v\n%s", err, &shown)
		}
		f.must(os.Rename(away, f.Dir))
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if p := d.postureNow(); p.State != accessOpen {
			t.Errorf("in touch again: %+v", p)
		}
		// Without a policy nothing is left of it.
		f.publish(map[string]string{"OS-901.yaml": ruleOfFleet, "pack.yaml": "name: Fleet\nversion: two\nmin_engine: 1\n"}, "")
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if p := d.postureNow(); p.State != "" {
			t.Errorf("without a policy: %+v", p)
		}
		note, err := fromStore(d.vault, func(st *store.Store) ([]byte, error) { return st.Recall(notesTable, accessNote) })
		if err != nil || note != nil {
			t.Errorf("its note: %q, %v", note, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
