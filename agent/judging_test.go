package agent

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/store"
)

// judgingOver judges a clean device with what is planted on it.
func judgingOver(t *testing.T, scenarios ...string) (*judging, *criteria) {
	t.Helper()
	files := cleanDevice(t, true)
	for _, name := range scenarios {
		files = overlay(files, readScenario(t, "testdata/planted/"+name+".txtar").planted)
	}
	dev := fixture(t, files)
	c, err := loadCriteria(Config{Digests: "all"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &judging{open: func(context.Context) (scanner.Device, error) { return dev, nil }, collectors: facts.Collectors(),
		now: time.Now, meter: newLedger(usageNow).meter}, c
}

// TestPartsAgreeWithTheWhole judges a device with several faults in whole, then every table by
// itself again, and compacts: the report stays the same, absorbed findings and level included.
func TestPartsAgreeWithTheWhole(t *testing.T) {
	t.Parallel()
	j, c := judgingOver(t, "unit", "cron-download", "empty-password", "live-listener", "copied-shell", "trojaned-sshd", "setuid-shell")
	o, err := j.whole(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := asJSON(t, o.report)
	if len(o.report.Findings) < 6 || !o.stocks {
		t.Fatalf("%d findings, stocks %v", len(o.report.Findings), o.stocks)
	}
	if !slices.ContainsFunc(o.report.Findings, func(f scanner.Finding) bool { return len(f.Absorbed) > 0 }) {
		t.Error("nothing is absorbed: this shows less than it should")
	}
	for _, table := range c.rules.Tables("linux") {
		if _, err := j.part(t.Context(), c, []string{table}); err != nil {
			t.Fatal(err)
		}
		if got := asJSON(t, j.report()); !reflect.DeepEqual(got["findings"], want["findings"]) || !reflect.DeepEqual(got["coverage"], want["coverage"]) || got["level"] != want["level"] {
			t.Fatalf("after %s was judged again the report is another:\n%v\n%v", table, got["findings"], want["findings"])
		}
	}
	if err := j.compact(c); err != nil {
		t.Fatal(err)
	}
	if got := asJSON(t, j.report()); !reflect.DeepEqual(got, want) {
		t.Errorf("compacted:\n%v\nnot\n%v", got, want)
	}
	if _, err := j.part(t.Context(), c, []string{"files"}); err != nil { // absorbs by paths, which are no part of the JSON
		t.Fatal(err)
	}
	if got := asJSON(t, j.report()); !reflect.DeepEqual(got["findings"], want["findings"]) {
		t.Error("a look after compaction absorbs otherwise")
	}
}

func asJSON(t *testing.T, r *scanner.Report) (out map[string]any) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestScanDoesNotTakeNewsBack reads the packages alone while a scan is under way: what the scan
// read before must not count against it.
func TestScanDoesNotTakeNewsBack(t *testing.T) {
	t.Parallel()
	j, c := judgingOver(t)
	if _, err := j.whole(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	open := j.open
	meanwhile := true
	j.open = func(ctx context.Context) (scanner.Device, error) {
		if meanwhile {
			meanwhile = false
			if _, _, err := j.inventory(ctx, c); err != nil {
				t.Error(err)
			}
		}
		return open(ctx)
	}
	o, err := j.whole(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if o.stocks {
		t.Error("a scan that began before the packages were read alone tells its own")
	}
	if o, err = j.whole(t.Context(), c); err != nil || !o.stocks {
		t.Errorf("the next scan does not tell the packages: %v", err)
	}
}

// TestKeepDoesNotTakeNewsBack reads the packages alone between the end of a scan and its being
// remembered: the older inventory must not become the newest.
func TestKeepDoesNotTakeNewsBack(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	b := newBench(t, root)
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.vault.close()
	if _, err := d.scanWhole(t.Context(), "first", d.set.Load().criteria); err != nil {
		t.Fatal(err)
	}
	o, err := d.judging.whole(t.Context(), d.set.Load().criteria)
	if err != nil || !o.stocks {
		t.Fatalf("%+v, %v", o, err)
	}
	replace(t, root, "/var/lib/dpkg/status", stanza("pkg0", "2.0-1"))
	if err := d.inventory(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.keep(o); err != nil {
		t.Fatal(err)
	}
	known, err := fromStore(d.vault, (*store.Store).Packages)
	if err != nil || len(known) != 1 || !strings.Contains(string(known[0].Body), "2.0-1") {
		t.Errorf("%s, %v", known, err)
	}
}

func TestWholeVerdicts(t *testing.T) {
	t.Parallel()
	r := &scanner.Report{Coverage: []scanner.Coverage{
		{Rule: "passed", Outcome: scanner.Passed}, {Rule: "failed", Outcome: scanner.Failed},
		{Rule: "failed-partly", Outcome: scanner.Failed, Why: "/etc/x: permission denied"},
		{Rule: "unknown", Why: "table x was not collected"}, {Rule: "nothing", Outcome: scanner.NotApplicable, Why: "nothing of this kind on the device"},
	}, Tables: []scanner.TableInfo{{Table: "packages", Absent: "no database"}}}
	s, err := toStore(r, []string{"no-more", "unknown"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"passed": true, "failed": true, "failed-partly": false, "unknown": false, "nothing": true, "no-more": true}
	if !reflect.DeepEqual(s.Whole, want) {
		t.Errorf("whole %v, want %v", s.Whole, want)
	}
	if inv, err := toInventory(r); inv != nil || err != nil {
		t.Error("packages that could not be read became an inventory")
	}
	r.Tables[0] = scanner.TableInfo{Table: "packages", Partial: []string{"one database is damaged"}}
	r.Packages = []facts.Package{{ID: "a", Manager: "dpkg"}, {ID: "a", Manager: "dpkg"}, {ID: "a", Manager: "flatpak", Scope: "user:ann"}}
	inv, err := toInventory(r)
	if err != nil || inv == nil || inv.Whole || len(inv.Packages) != 3 {
		t.Fatalf("inventory %+v, %v", inv, err)
	}
	var ids []string
	for _, p := range inv.Packages {
		ids = append(ids, p.ID)
	}
	if want := []string{"dpkg a", "dpkg a #2", "flatpak a user:ann"}; !slices.Equal(ids, want) {
		t.Errorf("ids %q", ids)
	}
}

func TestDigestsKeepStill(t *testing.T) {
	t.Parallel()
	f := scanner.Finding{Title: "x", Evidence: []scanner.Evidence{
		{Source: "/proc/12", Fields: map[string]string{"exe": "/tmp/a", "pid": "12", "started": "5"}}, {Source: "/etc/passwd:3", Fields: map[string]string{"name": "ann", "age_days": "4"}}}}
	later := f
	later.Means = "another text"
	later.Evidence = []scanner.Evidence{
		{Source: "/etc/passwd:4", Fields: map[string]string{"name": "ann", "age_days": "5"}}, {Source: "/proc/99", Fields: map[string]string{"exe": "/tmp/a", "pid": "99", "started": "7"}}}
	if string(findingDigest(&f)) != string(findingDigest(&later)) {
		t.Error("another process id, line or age made the finding another one")
	}
	for _, change := range []func(*scanner.Finding){
		func(f *scanner.Finding) { f.Severity = scanner.High },
		func(f *scanner.Finding) { f.Evidence = f.Evidence[:1] },
		func(f *scanner.Finding) {
			f.Evidence = []scanner.Evidence{f.Evidence[1], {Source: "/proc/12", Fields: map[string]string{"exe": "/tmp/b"}}}
		},
		func(f *scanner.Finding) { f.Absorbed = []scanner.Absorbed{{Rule: "APP-001"}} },
	} {
		other := f
		change(&other)
		if string(findingDigest(&f)) == string(findingDigest(&other)) {
			t.Errorf("%+v counts as the same as before", other)
		}
	}
	p := facts.Package{ID: "a", Version: "1", DynamicSize: 5, Summary: "x"}
	grown, upgraded := p, p
	grown.DynamicSize, upgraded.Version = 9, "2"
	if string(packageDigest(&p)) != string(packageDigest(&grown)) || string(packageDigest(&p)) == string(packageDigest(&upgraded)) {
		t.Error("digests of packages")
	}
}
