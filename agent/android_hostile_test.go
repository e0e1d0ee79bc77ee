package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
)

// wellFormed writes a report in every form and sees that nothing of a device's text breaks it.
func wellFormed(t *testing.T, r *scanner.Report) {
	t.Helper()
	for _, style := range []report.Style{{Long: true}, {ASCII: true, Width: 60}} {
		var b bytes.Buffer
		if err := report.Table(&b, r, style); err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(b.Bytes()) {
			t.Error("the table is not UTF-8")
		}
		for _, c := range b.String() {
			if c < ' ' && c != '\n' || c == 0x7f || c >= 0x80 && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || style.ASCII && c > 0x7f {
				t.Errorf("the table holds %q", c)
				break
			}
		}
	}
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("JSON: %v", err)
	}
	b.Reset()
	if err := report.HTML(&b, r); err != nil || strings.Contains(b.String(), "<script>alert") {
		t.Errorf("HTML: %v, or it runs what the device says", err)
	}
	seen := map[string]bool{}
	for _, f := range r.Findings {
		if seen[f.Key] {
			t.Errorf("%s on %s %s stands twice", f.Rule, f.Subject.Kind, f.Subject.Name)
		}
		seen[f.Key] = true
	}
}

// TestCutBugreports cuts a bugreport where a cable may be pulled. What is left is judged, and what
// is gone is unknown.
func TestCutBugreports(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	opt := scanner.Options{Indicators: testIndicators(t)}
	_, parts := infestedPhone(t)
	dump := dumpstateText(parts, "2024-05-16 10:02:00")
	whole := scanText(t, set, dump, opt)
	known := subjects(whole)
	cuts := []int{1, 57, 120, 300}
	for i := 1; i <= 40; i++ { // all over it, at odd places
		cuts = append(cuts, len(dump)*i/41+i%7)
	}
	for _, mark := range []string{"DUMP OF SERVICE package", "    Package [com.video.codec", "Enabled services:{", "DUMP OF SERVICE settings", "== dumpstate: done"} {
		if at := strings.Index(dump, mark); at > 0 {
			cuts = append(cuts, at, at+len(mark), at+len(mark)+1)
		}
	}
	for _, at := range cuts {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			dev, err := openPhone(t, fileOf(t, t.TempDir(), "report.txt", dump[:at]))
			if err != nil { // too little is left to tell what it was: said, with what it might be
				if at > 400 {
					t.Errorf("not recognised: %v", err)
				}
				return
			}
			r := scanPhone(t, set, dev, opt)
			wellFormed(t, r)
			for _, f := range r.Findings {
				if f.Severity > scanner.Low && !known[f.Subject.Name] {
					t.Errorf("%s %s on %s %s, of which the whole report knows nothing: %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
				}
			}
		})
	}
}

// subjects are the names of all that a report tells of.
func subjects(r *scanner.Report) map[string]bool {
	out := map[string]bool{}
	for _, f := range r.Findings {
		out[f.Subject.Name] = true
		for _, a := range f.Absorbed {
			out[a.Subject.Name] = true
		}
	}
	return out
}

func scanText(t *testing.T, set scanner.Judge, text string, opt scanner.Options) *scanner.Report {
	t.Helper()
	dev, err := openPhone(t, fileOf(t, t.TempDir(), "report.txt", text))
	if err != nil {
		t.Fatal(err)
	}
	opt.Collectors, opt.Judge, opt.Tables, opt.Digests = facts.Collectors(), set, []string{"packages"}, scanner.DigestsAll
	r, err := scanner.Scan(t.Context(), dev, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestShuffledBugreports has sections twice and in another order.
func TestShuffledBugreports(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	opt := scanner.Options{Indicators: testIndicators(t)}
	_, parts := infestedPhone(t)
	want := told(scanText(t, set, dumpstateText(parts, "2024-05-16 10:02:00"), opt).Findings)
	back := slices.Clone(parts)
	slices.Reverse(back)
	for name, files := range map[string][]txtarFile{"twice": append(slices.Clone(parts), parts...), "backwards": back, "backwards and twice": append(slices.Clone(back), parts...)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := scanText(t, set, dumpstateText(files, "2024-05-16 10:02:00"), opt)
			wellFormed(t, r)
			if got := told(r.Findings); !slices.Equal(got, want) {
				t.Errorf("finds\n%v, want\n%v", got, want)
			}
		})
	}
}

// Names that apps, networks and computers give themselves reach no terminal and no page raw.
func TestNamesThatAttackTheReader(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	const evil = "\x1b[2J\x1b]0;owned\x07\u202egpj.exe\u009b31m<script>alert(1)</script>"
	about, parts := phone(t, "upside")
	s := readPhoneScenario(t, "testdata/android/scenarios/open-wifi.txtar")
	for i := range s.planted {
		s.planted[i].data = strings.ReplaceAll(s.planted[i].data, "Cafe", evil)
	}
	parts = altered(t, parts, s.planted)
	parts = altered(t, parts, []txtarFile{
		{name: "probe/settings/global", attrs: "set", data: "http_proxy=" + evil + ":8080\n"},
		{name: "probe/ps", attrs: "append", data: "root          4100     1   12000    900 S u:r:su:s0                      " + evil + " /data/local/tmp/" + evil + "\n"},
		{name: "probe/getprop", attrs: "set", data: "[ro.product.model]: [" + evil + "]\n[ro.build.display.id]: [" + evil + "]\n[wrap.com.whatsapp]: [" + evil + "]\n"},
		{name: "probe/dumpsys/adb", attrs: "after user_keys=", data: "    QAAAAHBpY2tldCEhcGlja2V0ISFwaWNrZXQhIQ== " + evil + "\n"},
		{name: "system/etc/hosts", data: "203.0.113.9 " + evil + "\n203.0.113.9 www.example.com\n"},
	})
	r := scanPhone(t, set, phoneDevice(t, about, parts), scanner.Options{Indicators: testIndicators(t)})
	wellFormed(t, r)
	if got := ruleIDs(r.Findings); !slices.Contains(got, "NET-001b") || !slices.Contains(got, "OS-030") {
		t.Errorf("what was planted is not found: %v", got)
	}

	// A label comes from an app's own file.
	label := readPhoneScenario(t, "testdata/android/hostile/label.txtar")
	r = scanPhone(t, set, label.on(t, label.planted), scanner.Options{})
	wellFormed(t, r)
	if got := ruleIDs(news(r, nil)); !slices.Equal(got, label.fires) {
		t.Errorf("fires %v, want %v", got, label.fires)
	}
	if i := slices.IndexFunc(r.Findings, func(f scanner.Finding) bool { return strings.Contains(f.Means, "gpj.exe") }); i < 0 {
		t.Error("the label is in no finding")
	}
}

// An app's version may hold line ends, and so lines of the dump.
func TestVersionsThatImitateTheDump(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, name := range []string{"pie", "upside"} {
		file := map[string]string{"pie": "adb-app-of-2019", "upside": "adb-app"}[name]
		s := readPhoneScenario(t, "testdata/android/scenarios/"+file+".txtar")
		for what, lines := range map[string]string{
			"a store":         "1.0\n    installerPackageName=com.android.vending\n",
			"the system":      "1.0\n    flags=[ SYSTEM HAS_CODE ]\n    pkgFlags=[ SYSTEM HAS_CODE ]\n    codePath=/system/app/X\n",
			"the platform":    "1.0\n    signatures=PackageSignatures{1 version:3, signatures:[a1d5c0de], past signatures:[]}\n",
			"another package": "1.0\n\n  Package [com.android.systemui] (1):\n    flags=[ SYSTEM ]\n",
			"the end":         "1.0\n\nShared users:\n\nPackages:\n",
			"an old thing":    "1.0\n    firstInstallTime=2009-01-01 00:00:00\n    User 0: ceDataInode=0 installed=false hidden=false suspended=false stopped=true notLaunched=true enabled=0\n",
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				over := slices.Clone(s.planted)
				for i := range over {
					over[i].data = strings.Replace(over[i].data, "    versionName=1.0.7\n", "    versionName="+lines, 1)
				}
				r := scanPhone(t, set, s.on(t, over), scanner.Options{})
				wellFormed(t, r)
				loud := slices.ContainsFunc(r.Findings, func(f scanner.Finding) bool {
					return f.Severity > scanner.Low // under its name, or one that it took
				})
				// Found, or said to be in doubt: never passed in silence.
				if !loud && outcomeOf(r, "APP-016") != "unknown" {
					t.Errorf("nothing is said of it: %v, APP-016 %s", told(r.Findings), outcomeOf(r, "APP-016"))
				}
			})
		}
	}
}
