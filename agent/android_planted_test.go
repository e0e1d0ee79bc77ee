package agent

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/rules"
)

// phoneScenario is one small change to a clean phone, and its benign twin. Its comment holds
// `base: PHONE`, `fires: ID, ID`, and at will `benign-low: ID`, rules that may say something of
// the twin that does not move the level above low, `benign-unknown: ID`, rules that cannot tell
// on the twin, and `discreet: yes`, for what must not be shown on a lock screen. Its files stand below planted/ and benign/; a file `about` holds lines about the recording.
type phoneScenario struct {
	name, base       string
	fires, benignLow []string
	benignUnknown    []string
	discreet         bool
	planted, benign  []txtarFile
}

func phoneScenarios(t testing.TB) []phoneScenario {
	t.Helper()
	files, err := filepath.Glob("testdata/android/scenarios/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	out := make([]phoneScenario, 0, len(files))
	for _, file := range files {
		out = append(out, readPhoneScenario(t, file))
	}
	return out
}

func readPhoneScenario(t testing.TB, file string) phoneScenario {
	t.Helper()
	comment, parts := splitParts(t, file)
	s := phoneScenario{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
	for _, line := range comment {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "base":
			s.base = value
		case "fires":
			s.fires = strings.Split(value, ", ")
			slices.Sort(s.fires)
		case "benign-low":
			s.benignLow = strings.Split(value, ", ")
		case "benign-unknown":
			s.benignUnknown = strings.Split(value, ", ")
		case "discreet":
			s.discreet = value == "yes"
		default:
			if line != "" && !strings.HasPrefix(line, "#") {
				t.Fatalf("%s: unknown line %q", file, line)
			}
		}
	}
	s.planted, s.benign = twins(t, file, parts)
	if s.base == "" || len(s.fires) == 0 || len(s.planted) == 0 || len(s.benign) == 0 {
		t.Fatalf("%s: a scenario has base, fires, planted and benign", file)
	}
	return s
}

// on gives the phone with files laid over it.
func (s *phoneScenario) on(t testing.TB, over []txtarFile) scanner.Device {
	t.Helper()
	about, parts := phone(t, s.base)
	head := []txtarFile{{name: "about", data: strings.Join(about, "\n") + "\n"}}
	var lines, files []txtarFile
	for _, f := range over {
		if f.name == "about" {
			f.data = aboutLines(f.data)
			lines = append(lines, f)
		} else {
			files = append(files, f)
		}
	}
	text := head[0].data
	for _, f := range lines {
		for line := range strings.Lines(f.data) {
			key, _, _ := strings.Cut(line, ":")
			var kept strings.Builder
			for l := range strings.Lines(text) {
				if !strings.HasPrefix(l, key+":") {
					kept.WriteString(l)
				}
			}
			text = kept.String() + line
		}
	}
	if strings.Contains(text, "root: yes") { // nothing is denied to root
		for i := range parts {
			parts[i].attrs = strings.TrimSuffix(parts[i].attrs, " denied")
		}
	}
	return phoneDevice(t, strings.Split(strings.TrimSpace(text), "\n"), altered(t, parts, files))
}

func aboutLines(s string) string {
	var out strings.Builder
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			out.WriteString(l + "\n")
		}
	}
	return out.String()
}

// news gives the findings of a report above informational that the clean phone does not have.
func news(r *scanner.Report, clean map[string]scanner.Severity) []scanner.Finding {
	var out []scanner.Finding
	for _, f := range r.Findings {
		if f.Severity > max(scanner.Informational, clean[f.Key]) {
			out = append(out, f)
		}
	}
	return out
}

// cleanKeys are the findings of each clean phone.
func cleanKeys(t testing.TB, set *rules.Set) map[string]map[string]scanner.Severity {
	t.Helper()
	out := map[string]map[string]scanner.Severity{}
	for _, name := range phones {
		about, parts := phone(t, name)
		keys := map[string]scanner.Severity{}
		for _, f := range scanPhone(t, set, phoneDevice(t, about, parts), scanner.Options{Indicators: testIndicators(t)}).Findings {
			keys[f.Key] = f.Severity
		}
		out[name] = keys
	}
	return out
}

func ruleIDs(fs []scanner.Finding) []string {
	var out []string
	for _, f := range fs {
		if !slices.Contains(out, f.Rule) {
			out = append(out, f.Rule)
		}
	}
	slices.Sort(out)
	return out
}

// TestPlantedOnPhones proves, one small change at a time, that what is planted on a clean phone is
// found by exactly the rules that the scenario names, and that its benign twin is not.
func TestPlantedOnPhones(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	clean := cleanKeys(t, set)
	all := phoneScenarios(t)
	if len(all) < 35 {
		t.Errorf("%d scenarios, want 35 at least", len(all))
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			opt := scanner.Options{Indicators: testIndicators(t)}
			r := scanPhone(t, set, s.on(t, s.planted), opt)
			found := news(r, clean[s.base])
			if got := ruleIDs(found); !slices.Equal(got, s.fires) {
				tell(t, r)
				t.Errorf("planted: fires %v, want %v", got, s.fires)
			}
			if i := slices.IndexFunc(found, func(f scanner.Finding) bool { return f.Discreet }); (i >= 0) != s.discreet {
				t.Errorf("planted: discreet %v, want %v", i >= 0, s.discreet)
			}
			b := scanPhone(t, set, s.on(t, s.benign), opt)
			for _, f := range news(b, clean[s.base]) {
				moves := f.Severity > scanner.Low && f.FalsePositives != "high"
				if moves || !slices.Contains(s.benignLow, f.Rule) {
					t.Errorf("benign twin: %s %s on %s %s: %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
				}
			}
			for _, id := range s.fires {
				if why := unsure(b, id); why != "" && !slices.Contains(s.benignUnknown, id) {
					t.Errorf("benign twin: %s is unknown: %s", id, why)
				}
			}
		})
	}
}

// unsure says why a rule could not tell.
func unsure(r *scanner.Report, rule string) string {
	for _, c := range r.Coverage {
		if c.Rule == rule && c.Outcome == scanner.Unknown {
			return c.Why
		}
	}
	return ""
}

// tell logs what a report says above informational, and what it could not tell.
func tell(t *testing.T, r *scanner.Report) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Severity > scanner.Informational {
			t.Logf("%s %s on %s %s: %v, absorbs %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0], f.Absorbed)
		}
	}
	for _, c := range r.Coverage {
		if c.Outcome == scanner.Unknown {
			t.Logf("%s unknown: %s", c.Rule, c.Why)
		}
	}
}
