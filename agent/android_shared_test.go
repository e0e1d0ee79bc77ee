package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/facts"
)

// TestSharedPhones scans recordings that are not in the repository, prints what each rule says of
// them (-v), and holds what is known of them.
func TestSharedPhones(t *testing.T) {
	t.Parallel()
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of recordings")
	}
	set := catalogue(t)
	var files []string
	for _, pattern := range []string{"android/bugreports/*", "android/dumpstate/*"} {
		some, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	if len(files) < 4 {
		t.Fatalf("%d recordings below %s", len(files), data)
	}
	table := map[string][]string{}
	for _, file := range files {
		dev, err := openPhone(t, file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		r := scanPhone(t, set, dev, scanner.Options{Indicators: testIndicators(t)})
		for rule, mark := range marks(r) {
			table[rule] = append(table[rule], mark)
		}
		t.Logf("%s: level %v, %v", filepath.Base(file), r.Level, told(r.Findings))
		switch filepath.Base(file) {
		case "emulator-a9-bugreport.zip":
			emulatorReport(t, r)
		default: // parts of a report: nothing in them tells of apps
			for _, id := range []string{"APP-002", "APP-004", "APP-016", "APP-038", "CFG-008"} {
				if got := outcomeOf(r, id); got != "unknown" {
					t.Errorf("%s: %s is %s", file, id, got)
				}
			}
			for _, f := range r.Findings { // the oldest was recorded years after the end of its release
				if f.Severity > scanner.Low && f.Rule != "OS-018" {
					t.Errorf("%s: %s on %s: %v", file, f.Rule, f.Subject.Name, f.Evidence[0])
				}
			}
		}
	}
	var b strings.Builder
	for _, r := range set.Rules() {
		if slices.Contains(r.Platforms, "android") {
			fmt.Fprintf(&b, "%-9s %s\n", r.ID, strings.Join(table[r.ID], ""))
		}
	}
	t.Logf("%v\n%s", files, b.String())
}

// emulatorReport holds what is known of an emulator of Android 9 with two apps under development.
func emulatorReport(t *testing.T, r *scanner.Report) {
	t.Helper()
	if n := len(r.Facts.Tables["packages"].Rows.([]facts.Package)); n != 110 {
		t.Errorf("%d packages, want 110", n)
	}
	want := []string{
		"APP-016 medium com.jeanboy.app.gitman", "APP-016 medium com.jeanboy.app.training", // debuggable, and installed over adb
		"OS-003 high boot chain",              // verified boot says orange
		"CFG-007 medium verify apps over USB", // off in emulators
		"OS-023 medium com.android.chrome",    // 69, when 76 was out
		"CFG-003 low 1C:00:DD:53:61:52:AD:11:CE:92:1E:75:4A:C1:FD:4F", "NET-001b low AndroidWifi", "OS-017 low security patches",
	}
	var got []string
	for _, f := range r.Findings {
		if f.Severity > scanner.Informational {
			got = append(got, fmt.Sprintf("%s %s %s", f.Rule, f.Severity, f.Subject.Name))
		}
		if f.Rule == "APP-016" && f.Evidence[0].Fields["debuggable"] != "true" {
			t.Errorf("%s is not said to be debuggable: %v", f.Subject.Name, f.Evidence)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the emulator: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
