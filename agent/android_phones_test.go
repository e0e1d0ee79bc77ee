package agent

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/indicators"
	"picket/scanner/rules"
)

// phones are the clean ones below testdata/android/base, oldest first. Each is what an adb scan of a
// phone of its time reads, written for these tests.
var phones = []string{"kitkat", "nougat", "pie", "eleven", "upside", "baklava"}

// phoneFindings are all that a scan of a clean phone says, with the reason for each.
var phoneFindings = map[string][]string{
	"kitkat": {},
	"nougat": {"CFG-001 info"}, // it was read over adb
	"pie":    {"CFG-001 info"},
	"eleven": {
		"CFG-001 info",
		"CFG-003 info", // the computer that read it; Android told of keys from 10 on
	},
	"upside": {"CFG-001 info", "CFG-003 info"},
	"baklava": {
		"CFG-001 info", "CFG-003 info",
		"CFG-024 info", // a mode for people who may be targets, off unless they turn it on
	},
}

// phone reads a clean phone: the lines about it, and its files.
func phone(t testing.TB, name string) (about []string, parts []txtarFile) {
	t.Helper()
	return splitParts(t, "testdata/android/base/"+name+".txtar")
}

// altered lays a scenario's files over a phone. The name alone gives a whole new file; what stands
// behind it says how the text gets into the file that is there:
//
//	gone            the file is taken away
//	set             lines that take the place of those with the same key, or are added
//	append          at the end
//	after LINE      behind the first line that is LINE, or begins with it
//	before LINE     the same, in front of it
//	instead LINE    in its place
func altered(t testing.TB, base, over []txtarFile) []txtarFile {
	t.Helper()
	out := slices.Clone(base)
	for _, f := range over {
		i := slices.IndexFunc(out, func(b txtarFile) bool { return b.name == f.name })
		how, where, _ := strings.Cut(f.attrs, " ")
		switch how {
		case "set", "append", "after", "before", "instead":
			if i < 0 {
				t.Fatalf("%s %s: the phone has no such file", f.name, f.attrs)
			}
			out[i].data = put(t, f, out[i].data, how, where)
			continue
		}
		if i >= 0 {
			out = slices.Delete(out, i, i+1)
		}
		if how != "gone" {
			out = append(out, f)
		}
	}
	return out
}

func put(t testing.TB, f txtarFile, text, how, where string) string {
	t.Helper()
	switch how {
	case "append":
		return text + f.data
	case "set":
		for line := range strings.Lines(f.data) {
			text = setLine(text, line)
		}
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) == where })
	if i < 0 {
		i = slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), where) })
	}
	if i < 0 {
		t.Fatalf("%s: no line %q", f.name, where)
	}
	to := i
	if how == "after" || how == "instead" {
		to = i + 1
	}
	if how == "instead" {
		lines[i] = ""
	}
	return strings.Join(lines[:to], "") + f.data + strings.Join(lines[to:], "")
}

// setLine gives a text of "key=value" or "[key]: [value]" lines one of them anew.
func setLine(text, line string) string {
	end := "="
	if strings.HasPrefix(line, "[") {
		end = "]:"
	}
	key, _, _ := strings.Cut(line, end)
	var out strings.Builder
	found := false
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, key+end) {
			l, found = line, true
		}
		out.WriteString(l)
	}
	if !found {
		out.WriteString(line)
	}
	return out.String()
}

// phoneDevice makes a device of a phone's text.
func phoneDevice(t testing.TB, about []string, parts []txtarFile) scanner.Device {
	t.Helper()
	return openTxtar(t, phoneBytes(about, parts))
}

func phoneBytes(about []string, parts []txtarFile) []byte {
	var b bytes.Buffer
	for _, line := range about {
		b.WriteString(line + "\n")
	}
	for _, f := range parts {
		fmt.Fprintf(&b, "-- %s --\n%s", strings.TrimSpace(f.name+" "+f.attrs), f.data)
	}
	return b.Bytes()
}

func catalogue(t testing.TB) *rules.Set {
	t.Helper()
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// testIndicators are lists of our own below testdata/android/indicators, in the published formats.
func testIndicators(t testing.TB) *indicators.Index {
	t.Helper()
	x, err := indicators.Load("testdata/android/indicators")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// scanPhone scans a device as the command does, as of the time that it was seen.
func scanPhone(t testing.TB, set *rules.Set, dev scanner.Device, opt scanner.Options) *scanner.Report {
	t.Helper()
	opt.Collectors, opt.Judge, opt.Tables, opt.Digests = facts.Collectors(), set, []string{"packages"}, scanner.DigestsAll
	r, err := scanner.Scan(t.Context(), dev, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told lists findings as "RULE severity", sorted.
func told(fs []scanner.Finding) []string {
	out := []string{}
	for _, f := range fs {
		if s := f.Rule + " " + f.Severity.String(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func TestCleanPhones(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, name := range phones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			about, parts := phone(t, name)
			r := scanPhone(t, set, phoneDevice(t, about, parts), scanner.Options{Indicators: testIndicators(t)})
			if got := told(r.Findings); !slices.Equal(got, phoneFindings[name]) {
				for _, f := range r.Findings {
					t.Logf("%s %s on %s %s: %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
				}
				t.Errorf("finds %v, want %v", got, phoneFindings[name])
			}
			if r.Level != scanner.Secured {
				t.Errorf("level %v", r.Level)
			}
			apps := 0
			for _, f := range parts {
				if f.name == "probe/dumpsys/package" {
					before, _, _ := strings.Cut(f.data, "Hidden system packages:")
					apps = strings.Count(before, "\n  Package [")
				}
			}
			if got := len(r.Facts.Tables["packages"].Rows.([]facts.Package)); got != apps || apps < 15 {
				t.Errorf("%d packages in the inventory, %d in the dump", got, apps)
			}
		})
	}
}
