package agent

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"picket/scanner"
	"picket/scanner/rules"
)

const ruleTable = "testdata/android/rules-by-recording.golden"

// TestRulesByRecording keeps a table of what each rule says of each clean phone, read over adb and
// from a bugreport, and which scenarios fire it. `go test ./agent -run RulesByRecording -update`
// writes it anew; the difference is what a change to a rule or collector does.
func TestRulesByRecording(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	opt := scanner.Options{Indicators: testIndicators(t)}
	outcomes := make([]map[string]string, 2*len(phones))
	var wait sync.WaitGroup
	for i, name := range phones {
		about, parts := phone(t, name)
		at := strings.NewReplacer("T", " ", "Z", "").Replace(aboutValue(about, "recorded-at"))
		report, err := openPhone(t, zipOf(t, t.TempDir(), "report.zip", bugreportFiles(parts, dumpstateText(parts, at))))
		if err != nil {
			t.Fatal(err)
		}
		for j, dev := range []scanner.Device{phoneDevice(t, about, parts), report} {
			wait.Go(func() { outcomes[j*len(phones)+i] = marks(scanPhone(t, set, dev, opt)) })
		}
	}
	fires := map[string][]string{}
	for _, s := range phoneScenarios(t) {
		for _, id := range s.fires {
			fires[id] = append(fires[id], s.name)
		}
	}
	wait.Wait()
	got := writeRuleTable(set, outcomes, fires)
	if *update {
		if err := os.WriteFile(ruleTable, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(ruleTable)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	have := strings.Split(string(want), "\n")
	for _, line := range strings.Split(got, "\n") {
		if !slices.Contains(have, line) {
			t.Errorf("%s does not have:\n%s", ruleTable, line)
		}
	}
	for _, line := range have {
		if !slices.Contains(strings.Split(got, "\n"), line) {
			t.Errorf("%s has no longer right:\n%s", ruleTable, line)
		}
	}
}

// marks gives each rule's outcome as one letter.
func marks(r *scanner.Report) map[string]string {
	out := map[string]string{}
	for _, c := range r.Coverage {
		out[c.Rule] = map[scanner.Outcome]string{scanner.Unknown: "?", scanner.Passed: ".", scanner.Failed: "F", scanner.NotApplicable: "-"}[c.Outcome]
	}
	return out
}

func writeRuleTable(set *rules.Set, outcomes []map[string]string, fires map[string][]string) string {
	var b strings.Builder
	b.WriteString("# What each rule for Android says of each clean phone, and the scenarios that fire it.\n")
	b.WriteString("# F found something, . nothing to find, ? could not tell, - does not concern it.\n")
	b.WriteString("# Phones: " + strings.Join(phones, ", ") + "; first as read over adb, then from a bugreport.\n\n")
	for _, r := range set.Rules() {
		if !slices.Contains(r.Platforms, "android") {
			continue
		}
		row := ""
		for i, o := range outcomes {
			if i == len(phones) {
				row += "  "
			}
			row += o[r.ID]
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-9s %s  %s", r.ID, row, strings.Join(fires[r.ID], ", ")), " ") + "\n")
	}
	return b.String()
}
