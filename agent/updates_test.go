package agent

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/store"
	"picket/transport/stepca/fakeca"
	"picket/transport/tuf"
)

// fleet publishes for devices.
type fleet struct {
	*tuf.Repository
	t               testing.TB
	offline, online tuf.Key
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, Repository: &tuf.Repository{Dir: t.TempDir(), Now: time.Now}}
	var public [2]tuf.PublicKey
	for i, k := range []*tuf.Key{&f.offline, &f.online} {
		private, pub, err := tuf.NewKey()
		if err == nil {
			*k, err = tuf.ParseKey(private)
		}
		if err == nil {
			public[i], err = tuf.ParsePublicKey(pub)
		}
		f.must(err)
	}
	f.must(f.StageRoot(tuf.RootChange{Root: public[:1], Targets: public[:1], Online: public[1:], Lasts: 365 * day}))
	f.sign("root")
	return f
}

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) sign(role string) {
	f.t.Helper()
	_, _, err := tuf.SignFile(f.Staged(role), f.offline)
	f.must(err)
}

// publish signs what it is given, right or wrong: rules by file name, and a policy.
func (f *fleet) publish(ruleFiles map[string]string, policy string) {
	f.t.Helper()
	files := map[string][]byte{}
	if policy != "" {
		files[tuf.Policy] = []byte(policy)
	}
	if ruleFiles != nil {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, src := range ruleFiles {
			w, err := z.Create(name)
			if err == nil {
				_, err = w.Write([]byte(src))
			}
			f.must(err)
		}
		f.must(z.Close())
		files[tuf.Rules] = b.Bytes()
	}
	f.must(f.StageTargets(files, 90*day))
	f.sign("targets")
	f.must(f.Refresh(f.online, 7*day))
}

// trust has a device take what the fleet publishes.
func (f *fleet) trust(c Config) {
	f.t.Helper()
	root, err := os.ReadFile(filepath.Join(f.Dir, "1.root.json"))
	f.must(err)
	f.must(os.MkdirAll(c.StateDir, 0o700))
	f.must(tuf.Pin(updatesDir(c), root, f.Dir, false, time.Now()))
}

// fetch has a device that trusts it take what is published now.
func (f *fleet) fetch(c Config) tuf.Result {
	f.t.Helper()
	src, err := updatesSource(c, time.Now)
	f.must(err)
	r, err := fetchUpdates(f.t.Context(), c, src, time.Now)
	f.must(err)
	return r
}

// startUpdating runs a daemon that looks for updates.
func (b *bench) startUpdating(t testing.TB) (d *daemon, stop func() error) {
	t.Helper()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, actor{"updates", d.runUpdates}) }()
	return d, func() error { cancel(); return <-done }
}

func hasWarning(d *daemon, code string) bool {
	return slices.ContainsFunc(d.warn.all(), func(w Warning) bool { return w.Code == code })
}

const ruleOfFleet = `id: OS-901
title: A second root
category: os
severity: high
fp_risk: low
platforms: [linux]
table: users
when: uid == 0 && name != "root"
subject: {kind: account, name: "{name}"}
evidence: [name]
means: somebody else is root
fix: remove {name}
false_positives: none
tests:
  - name: fires
    fires: [{name: toor, uid: 0}]
  - name: quiet
    quiet: [{name: root, uid: 0}]
`

const noPassword = "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n"

func TestDaemonTakesUpdates(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	replace(t, root, "/etc/shadow", noPassword)
	synctest.Test(t, func(t *testing.T) {
		b, f := newBench(t, root), newFleet(t)
		f.publish(nil, "format: picket.policy/1\nversion: one\nrules: [{rule: CFG-027, action: off, why: it is in a box}]\nintervals: {scan_max: 2h}\n")
		f.trust(b.config)
		d, stop := b.startUpdating(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := d.config().ScanInterval; got != 2*time.Hour {
			t.Errorf("the policy's scan_interval is %v", got)
		}
		r := d.judging.report()
		i := slices.IndexFunc(r.Findings, func(f scanner.Finding) bool { return f.Rule == "CFG-027" })
		if i < 0 || r.Findings[i].Policy == nil || !r.Findings[i].Policy.Accepted || slices.Contains(r.SetBy, r.Findings[i].Key) {
			t.Fatalf("what the policy accepts: %+v", r.Findings)
		}
		suppressed := slices.ContainsFunc(b.delivered(t), func(e event) bool {
			return e.Metadata.Code == "CFG-027" && bytes.Contains(e.raw, []byte(`"status":"Suppressed"`)) && bytes.Contains(e.raw, []byte("it is in a box"))
		})
		if !suppressed || !containsText(b.news(t), "Updates in effect: targets 1") {
			t.Errorf("not told upstream: %q", b.news(t))
		}
		if u := d.status().Updates; u.PolicyVersion != "one" || u.Rules != "built-in" || u.Targets != 1 || u.Fresh == nil {
			t.Errorf("status: %+v", u)
		}
		// Rules that come in the place of all take their findings with them.
		f.publish(map[string]string{"OS-901.yaml": ruleOfFleet, "pack.yaml": "name: Fleet\nversion: two\nmin_engine: 1\n"}, "format: picket.policy/1\n")
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		if ids := d.set.Load().criteria.rules.IDs(); !slices.Equal(ids, []string{"OS-901"}) {
			t.Errorf("rules %q", ids)
		}
		if got := d.config().ScanInterval; got != 6*time.Hour {
			t.Errorf("without the policy's bound the scan_interval is %v", got)
		}
		// Nobody signs any more.
		time.Sleep(8 * day)
		synctest.Wait()
		if !hasWarning(d, warnRulesStale) || !hasWarning(d, warnUpdatesRefused) {
			t.Errorf("warnings %+v", d.warn.all())
		}
		f.must(f.Refresh(f.online, 7*day))
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		if len(d.warn.all()) > 0 && (hasWarning(d, warnRulesStale) || hasWarning(d, warnUpdatesRefused)) {
			t.Errorf("warnings after a refresh: %+v", d.warn.all())
		}
		// The place is gone.
		f.must(os.Rename(f.Dir, f.Dir+".away"))
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		if !hasWarning(d, warnUpdatesUnreachable) {
			t.Errorf("warnings without a repository: %+v", d.warn.all())
		}
		f.must(os.Rename(f.Dir+".away", f.Dir))
		if err := stop(); err != nil {
			t.Error(err)
		}
		// What was accepted is there after a restart, without a look.
		again, err := newDaemon(b.machine)
		if err != nil {
			t.Fatal(err)
		}
		if ids := again.set.Load().criteria.rules.IDs(); !slices.Equal(ids, []string{"OS-901"}) {
			t.Errorf("rules after a restart %q", ids)
		}
		if err := again.leave(nil); err != nil {
			t.Error(err)
		}
	})
}

// refusedWhole checks that a daemon with good updates keeps all of them when it is offered these.
func refusedWhole(t *testing.T, why string, ruleFiles map[string]string, policy string) {
	t.Helper()
	b, f := newBench(t, smallSystem(t, 1)), newFleet(t)
	f.publish(map[string]string{"OS-901.yaml": ruleOfFleet}, "format: picket.policy/1\nversion: good\n")
	f.trust(b.config)
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { f.must(d.leave(nil)) }()
	if !d.update(t.Context()) {
		t.Fatalf("good updates are refused: %+v", d.warn.all())
	}
	f.publish(ruleFiles, policy)
	if d.update(t.Context()) || !hasWarning(d, warnUpdatesRefused) {
		t.Fatalf("taken, or no warning: %+v", d.warn.all())
	}
	if got := d.warn.all()[slices.IndexFunc(d.warn.all(), func(w Warning) bool { return w.Code == warnUpdatesRefused })]; !strings.Contains(got.Text, why) {
		t.Errorf("the warning says %q, want %q", got.Text, why)
	}
	crit := d.set.Load().criteria
	if crit.policy.Version != "good" || !slices.Equal(crit.rules.IDs(), []string{"OS-901"}) || crit.updates.Targets != 1 {
		t.Errorf("in effect: policy %q, rules %q", crit.policy.Version, crit.rules.IDs())
	}
	if crit, lost, err := criteriaNow(b.config); err != nil || lost != nil || crit.policy.Version != "good" {
		t.Errorf("kept: %v, %v", lost, err)
	}
}

const nextPolicy = "format: picket.policy/1\nversion: next\n"

func TestPackWithFailingTestIsRefusedWhole(t *testing.T) {
	t.Parallel()
	bad := strings.Replace(ruleOfFleet, "&& name != \"root\"", "", 1)
	refusedWhole(t, `OS-901.yaml:18: test "quiet": the row should be quiet and fires`, map[string]string{"OS-901.yaml": bad}, nextPolicy)
}

func TestPackForNewerEngineIsRefusedWhole(t *testing.T) {
	t.Parallel()
	refusedWhole(t, "pack.yaml:1: needs engine 99", map[string]string{"OS-901.yaml": ruleOfFleet, "pack.yaml": "min_engine: 99\n"}, nextPolicy)
}

func TestBadPolicyIsRefusedWhole(t *testing.T) {
	t.Parallel()
	refusedWhole(t, `policy.yaml:2: send: "everything" is none of`, map[string]string{"OS-901.yaml": strings.ReplaceAll(ruleOfFleet, "901", "902")}, "format: picket.policy/1\nsend: everything\n")
}

func TestLostUpdates(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"rules", "policy", "record"} {
		b, f := newBench(t, smallSystem(t, 1)), newFleet(t)
		f.publish(map[string]string{"OS-901.yaml": ruleOfFleet}, "format: picket.policy/1\nsend: no-personal-apps\n")
		f.trust(b.config)
		r := f.fetch(b.config)
		dir := updatesDir(b.config)
		name := map[string]string{"rules": filepath.Join(dir, "packs", r.Set.Files[tuf.Rules].SHA256), "policy": filepath.Join(dir, "packs", r.Set.Files[tuf.Policy].SHA256),
			"record": filepath.Join(dir, "current.json")}[damage]
		b0, err := os.ReadFile(name)
		f.must(err)
		b0[0] ^= 1 // of the same length
		f.must(os.WriteFile(name, b0, 0o600))
		crit, lost, err := criteriaNow(b.config)
		if err != nil || lost == nil {
			t.Errorf("%s: lost %v, %v", damage, lost, err)
			continue
		}
		if want := map[string]string{"rules": sendNoPersonal, "policy": sendLevelOnly, "record": sendLevelOnly}[damage]; crit.policy.send() != want || len(crit.rules.IDs()) < 10 {
			t.Errorf("%s damaged: sends %q, want %q, with %d rules", damage, crit.policy.send(), want, len(crit.rules.IDs()))
		}
		d, err := newDaemon(b.machine)
		f.must(err)
		// Nobody knows what was asked for: access is not open by it, and what was done for it stays.
		if p := d.postureNow(); damage != "rules" && (p.State != accessBlocked || p.WipeDue || len(p.Reasons) == 0 || p.Reasons[len(p.Reasons)-1].Code != reasonPolicy || d.lookAtResponses(t.Context()) != forever || d.respond.at.Load() != nil) {
			t.Errorf("%s damaged: %+v", damage, p)
		}
		f.must(d.leave(nil))
		// The next fetch heals it.
		f.fetch(b.config)
		if crit, lost, err := criteriaNow(b.config); err != nil || lost != nil || crit.policy.send() != sendNoPersonal {
			t.Errorf("%s damaged, after another fetch: %v, %v", damage, lost, err)
		}
	}
}

func TestLevelOnly(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	replace(t, root, "/etc/shadow", noPassword)
	synctest.Test(t, func(t *testing.T) {
		b, f := newBench(t, root), newFleet(t)
		f.publish(nil, "format: picket.policy/1\nsend: level-only\n")
		f.trust(b.config)
		f.fetch(b.config)
		d, stop := b.startUpdating(t)
		time.Sleep(26 * time.Hour)
		replace(t, root, "/etc/shadow", "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
		replace(t, root, "/var/lib/dpkg/status", stanza("pkg0", "1.0-1")+stanza("secretapp", "1"))
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		levels := 0
		for _, e := range b.delivered(t) {
			if strings.Contains(e.Class, "Finding") || bytes.Contains(e.raw, []byte("pkg0")) || bytes.Contains(e.raw, []byte("secretapp")) || bytes.Contains(e.raw, []byte("CFG-")) {
				t.Errorf("sent: %s", e.raw)
			}
			if e.Class == "Device Config State Change" {
				levels++
			}
		}
		if levels == 0 {
			t.Errorf("the level was not sent: %q", b.news(t))
		}
		if len(d.judging.report().Packages.([]facts.Package)) != 2 {
			t.Error("the person's own report is not whole")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNoPersonalApps(t *testing.T) {
	t.Parallel()
	own := facts.Package{ID: "com.example.dating", Name: "com.example.dating", Manager: "android", App: &facts.App{OnData: true}}
	system := facts.Package{ID: "com.android.settings", Name: "com.android.settings", Manager: "android", App: &facts.App{}}
	flatpak := facts.Package{ID: "org.example.Diary", Scope: "user:ann"}
	s, err := sendingBy(sendFull, nil, nil)
	if err != nil || s.mode != sendFull {
		t.Fatal(s, err)
	}
	s = sending{mode: sendNoPersonal, names: []string{"com.example.dating", "org.example.Diary"}, public: map[string]bool{"com.android.settings": true}, salt: []byte("salt")}
	for p, want := range map[*facts.Package]bool{&own: true, &system: false, &flatpak: true, nil: false} {
		if got := s.holdsPackage(p); got != want {
			t.Errorf("%v is held: %v", p, got)
		}
	}
	finding := func(name string) *scanner.Finding {
		subject := scanner.Subject{Kind: "app", Name: name}
		return &scanner.Finding{Key: scanner.FindingKey("APP-001", subject), Rule: "APP-001", Title: "An app", Subject: subject, Means: name + " reads all", Fix: "remove " + name,
			Evidence: []scanner.Evidence{{Source: "/data/app/" + name + "/base.apk"}}}
	}
	for _, resolved := range []bool{false, true} {
		f := finding("com.example.dating")
		out, err := s.finding(f, resolved)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%+v", *out); strings.Contains(text, "dating") || strings.Contains(text, f.Key) || out.MoreEvidence != 1 {
			t.Errorf("resolved %v: %s", resolved, text)
		}
		if f.Subject.Name != "com.example.dating" {
			t.Error("the person's own finding was changed")
		}
	}
	// Open, it is named; the identity is the same as when it is resolved.
	open, err := s.finding(finding("com.android.settings"), false)
	if err != nil || open.Subject.Name != "com.android.settings" || len(open.Evidence) != 1 {
		t.Errorf("of the system: %+v, %v", open, err)
	}
	if gone, err := s.finding(finding("com.android.settings"), true); err != nil || gone.Key != open.Key || gone.Subject.Name != notNamed {
		t.Errorf("resolved: %+v, %v", gone, err)
	}
}

// What JSON writes otherwise is found all the same, and an app that is no longer there is nobody
// else's.
func TestNoPersonalAppsByOtherWays(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/")
	v, _ := b.vault(t)
	var s sending
	err := v.use(func(st *store.Store) (err error) {
		s, err = sendingBy(sendNoPersonal, st, []facts.Package{
			{ID: "com.example.tj", Name: "Tom & \"Jerry\" <3", Manager: "android", App: &facts.App{OnData: true}},
			{ID: "com.example.secretive", Name: "com.example.secretive", Manager: "android", App: &facts.App{OnData: true}},
			{ID: "com.android.settings", Name: "com.android.settings", Manager: "android", App: &facts.App{}},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []scanner.Finding{
		{Title: "A notification", Subject: scanner.Subject{Kind: "setting", Name: "listeners"}, Evidence: []scanner.Evidence{{Source: "dumpsys", Fields: map[string]string{"label": "Tom & \"Jerry\" <3"}}}},
		{Title: "A process", Subject: scanner.Subject{Kind: "process", Name: "ample.secretive"}, Evidence: []scanner.Evidence{{Source: "/proc/7/comm"}}},
		{Title: "Dating Pro was here", Means: "com.gone.dating was removed", Fix: "forget com.gone.dating", Subject: scanner.Subject{Kind: "app", Name: "com.gone.dating"}, Words: map[string]string{"label": "Dating Pro"}},
	} {
		out, err := s.finding(&f, false)
		if err != nil {
			t.Fatal(err)
		}
		out.Words = nil // which no event has
		text := fmt.Sprintf("%+v", *out)
		if strings.Contains(text, "Jerry") || strings.Contains(strings.ToLower(text), "dating") || strings.Contains(text, "secretive") || out.Subject.Name != notNamed {
			t.Errorf("%s", text)
		}
	}
	whole := scanner.Finding{Title: "An app", Subject: scanner.Subject{Kind: "app", Name: "com.android.settings"}, Evidence: []scanner.Evidence{{Source: "x"}}}
	if out, err := s.finding(&whole, false); err != nil || out.Subject.Name != "com.android.settings" || len(out.Evidence) != 1 {
		t.Errorf("of the system: %+v, %v", out, err)
	}
}

func TestUpdatesOfTheEnrolment(t *testing.T) {
	t.Parallel()
	f, c := newFleet(t), newSetClock()
	f.publish(nil, "format: picket.policy/1\n")
	ca := fakeca.New(t, c.now)
	dir := filepath.Join(t.TempDir(), "state")
	root, err := os.ReadFile(filepath.Join(f.Dir, "1.root.json"))
	f.must(err)
	order := orderOf(ca)
	order.place.Updates = &updates{URL: "https://127.0.0.1:1/updates", Root: root}
	_, _, err = enroller{dir: dir, now: c.now}.enrol(t.Context(), order)
	f.must(err)
	conf := Config{StateDir: dir}
	src, err := updatesSource(conf, time.Now)
	if err != nil || src.String() != "https://127.0.0.1:1/updates" {
		t.Fatalf("enrolled: %v, %v", src, err)
	}
	// A stick has the same files, of those whom the enrolment names.
	stick, err := tuf.At(f.Dir, nil)
	f.must(err)
	_, err = fetchUpdates(t.Context(), conf, stick, time.Now)
	f.must(err)
	if _, err := commandSource(conf, filepath.Join(f.Dir, "1.root.json"), f.Dir); err == nil || !strings.Contains(err.Error(), "the enrolment says whose") {
		t.Errorf("another root beside the enrolment: %v", err)
	}
	// Enrolled no more, nothing of it stays.
	f.must(os.Remove(filepath.Join(dir, enrolmentName)))
	if src, err := updatesSource(conf, time.Now); src != nil || err != nil {
		t.Errorf("no longer enrolled: %v, %v", src, err)
	}
	if set, err := tuf.Load(updatesDir(conf)); set != nil || err != nil {
		t.Errorf("no longer enrolled, and in effect: %+v, %v", set, err)
	}
}

// TestWorkedExample holds the commands in docs/updates.md to the script that runs them.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/updates.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../testdata/script/updates.txtar")
	if err != nil {
		t.Fatal(err)
	}
	ran, at, lines := 0, 0, strings.Split(string(script), "\n")
	for _, line := range strings.Split(string(page), "\n") {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok || !strings.HasPrefix(command, "picket ") {
			continue
		}
		ran++
		i := slices.Index(lines[at:], command)
		if i < 0 {
			t.Errorf("no script runs %q after what comes before it", command)
			continue
		}
		at += i
	}
	if ran < 10 {
		t.Errorf("%d commands in the example", ran)
	}
}
