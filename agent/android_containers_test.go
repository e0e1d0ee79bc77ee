package agent

import (
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

// infested are scenarios that are planted on one phone together.
var infested = []string{"banking-trojan", "unlocked", "old-patch", "wireless-adb", "play-protect", "root-magisk", "open-wifi", "gateway-mac", "selinux", "spyware-process", "no-lock",
	"frida", "downgrade", "hosts"}

// infestedPhone gives the phone with all of them on it: the lines about it, and its files.
func infestedPhone(t testing.TB, skip ...string) (about []string, parts []txtarFile) {
	t.Helper()
	about, parts = phone(t, "upside")
	for _, name := range infested {
		if slices.Contains(skip, name) {
			continue
		}
		s := readPhoneScenario(t, "testdata/android/scenarios/"+name+".txtar")
		if s.base != "upside" {
			t.Fatalf("%s is not on that phone", name)
		}
		parts = altered(t, parts, s.planted)
	}
	return about, parts
}

// TestOnePhoneInManyContainers takes one phone as every tool takes it. What a container shows
// leads to the same findings; what it cannot show is unknown, never passed.
func TestOnePhoneInManyContainers(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	about, parts := infestedPhone(t)
	opt := scanner.Options{Indicators: testIndicators(t)}
	whole := scanPhone(t, set, phoneDevice(t, about, parts), opt)
	if len(whole.Findings) < 15 {
		t.Errorf("the phone itself has %v", told(whole.Findings))
	}
	dir := t.TempDir()
	dump := dumpstateText(parts, "2024-05-16 10:02:00")
	for name, c := range map[string]struct {
		path string
		kind string
		// shows are rules that must not be lost in this container.
		shows []string
	}{
		"bugreport zip": {zipOf(t, dir, "report.zip", bugreportFiles(parts, dump)), "bugreport",
			[]string{"APP-038", "OS-003", "OS-017", "CFG-002", "CFG-008", "CFG-009", "OS-001", "NET-001b", "NET-008", "APP-001b"}},
		"bugreport text": {fileOf(t, dir, "report.txt", dump), "bugreport",
			[]string{"APP-038", "OS-003", "OS-017", "CFG-002", "CFG-008", "CFG-009", "OS-001", "NET-001b", "NET-008", "APP-001b"}},
		"AndroidQF folder": {folderOf(t, dir, "qf", qfFiles(t, parts, "")), "androidqf",
			[]string{"APP-038", "OS-003", "OS-005", "OS-017", "CFG-002", "CFG-008", "OS-001", "NET-001b", "APP-001b"}},
		"AndroidQF zip": {zipOf(t, dir, "qf.zip", qfFiles(t, parts, "0b6e5c1a-1111-4222-8333-444455556666/")), "androidqf",
			[]string{"APP-038", "OS-003", "OS-005", "OS-017", "CFG-002", "CFG-008", "OS-001", "NET-001b", "APP-001b"}},
		"properties":        {fileOf(t, dir, "props.txt", content(t, parts, "probe/getprop")), "getprop", []string{"OS-003"}},
		"package service":   {fileOf(t, dir, "package.txt", content(t, parts, "probe/dumpsys/package")), "dumpsys package", []string{"APP-028"}},
		"process list":      {fileOf(t, dir, "ps.txt", content(t, parts, "probe/ps")), "ps", []string{"APP-001b"}},
		"a folder of those": {folderOf(t, dir, "loose", map[string]string{"a.txt": content(t, parts, "probe/getprop"), "b.txt": content(t, parts, "probe/ps"), "c.txt": content(t, parts, "probe/dumpsys/package")}), "android-files", []string{"OS-003", "OS-001"}},
		"Picket recording":  {recordDevice(t, phoneDevice(t, about, parts)), "txtar", ruleIDs(whole.Findings)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev, err := openPhone(t, c.path)
			if err != nil {
				t.Fatal(err)
			}
			if id := dev.Identity(); id.Kind != c.kind || id.Platform != "android" {
				t.Errorf("recognised as %q on %q", id.Kind, id.Platform)
			}
			at := opt
			at.Now = whole.Facts.Ref // properties alone have no date
			r := scanPhone(t, set, dev, at)
			t.Logf("%d findings of %d: %v", len(r.Findings), len(whole.Findings), told(r.Findings))
			agrees(t, whole, r)
			got := ruleIDs(r.Findings)
			for _, id := range c.shows {
				if !slices.Contains(got, id) && !absorbedIn(r, id) {
					t.Errorf("%s is lost; coverage: %s", id, outcomeOf(r, id))
				}
			}
		})
	}
}

// TestCleanPhonesInBugreports sees that a clean phone of any age is clean in a bugreport too.
func TestCleanPhonesInBugreports(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, name := range phones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			about, parts := phone(t, name)
			at := strings.NewReplacer("T", " ", "Z", "").Replace(aboutValue(about, "recorded-at"))
			dev, err := openPhone(t, zipOf(t, t.TempDir(), "report.zip", bugreportFiles(parts, dumpstateText(parts, at))))
			if err != nil {
				t.Fatal(err)
			}
			opt := scanner.Options{Indicators: testIndicators(t)}
			r := scanPhone(t, set, dev, opt)
			agrees(t, scanPhone(t, set, phoneDevice(t, about, parts), opt), r)
			if r.Level != scanner.Secured {
				tell(t, r)
				t.Errorf("level %v", r.Level)
			}
		})
	}
}

func aboutValue(about []string, key string) string {
	for _, line := range about {
		if rest, ok := strings.CutPrefix(line, key+": "); ok {
			return rest
		}
	}
	return ""
}

// agrees holds the report of a container against that of the phone itself.
func agrees(t *testing.T, whole, part *scanner.Report) {
	t.Helper()
	known := map[string]bool{}
	for _, f := range whole.Findings {
		known[f.Key] = true
		for _, a := range f.Absorbed {
			known[scanner.FindingKey(a.Rule, a.Subject)] = true
		}
	}
	for _, f := range part.Findings {
		if f.Severity > scanner.Informational && !known[f.Key] {
			t.Errorf("finds %s %s on %s %s, which the phone does not have: %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
		}
	}
	here := map[string]bool{}
	for _, f := range part.Findings {
		here[f.Key] = true
		for _, a := range f.Absorbed {
			here[scanner.FindingKey(a.Rule, a.Subject)] = true
		}
	}
	for _, f := range whole.Findings {
		if here[f.Key] || outcomeOf(part, f.Rule) == "unknown" {
			continue
		}
		// Without the dates of its installation, or with another rule at its side, one and the same
		// app may be told under another rule: what it absorbed there has to be here or be unknown.
		if len(f.Absorbed) > 0 && slices.ContainsFunc(f.Absorbed, func(a scanner.Absorbed) bool { return here[scanner.FindingKey(a.Rule, a.Subject)] }) {
			continue
		}
		t.Errorf("loses %s on %s %s: %s", f.Rule, f.Subject.Kind, f.Subject.Name, outcomeOf(part, f.Rule))
	}
}

func outcomeOf(r *scanner.Report, rule string) string {
	for _, c := range r.Coverage {
		if c.Rule == rule {
			return c.Outcome.String()
		}
	}
	return "no such rule"
}

func absorbedIn(r *scanner.Report, rule string) bool {
	return slices.ContainsFunc(r.Findings, func(f scanner.Finding) bool {
		return slices.ContainsFunc(f.Absorbed, func(a scanner.Absorbed) bool { return a.Rule == rule })
	})
}

func content(t testing.TB, parts []txtarFile, name string) string {
	t.Helper()
	for _, f := range parts {
		if f.name == name {
			return f.data
		}
	}
	t.Fatalf("the phone has no %s", name)
	return ""
}
