package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a report with hostile text in every place that a device fills.
func sample() *scanner.Report {
	evil := "evil\x1b[31m\u202e<script>alert(1)</script>\xff"
	account := scanner.Subject{Kind: "account", Name: "support"}
	return &scanner.Report{
		Schema: scanner.ReportSchema,
		Device: scanner.DeviceInfo{Origin: "directory /mnt/device", Platform: "linux", Root: true,
			RecordedAt: time.Unix(1700000000, 0).UTC().Format(time.RFC3339), JudgedAsOf: time.Unix(1700000000, 0).UTC().Format(time.RFC3339),
			OS: &scanner.OS{ID: "debian", Name: "Debian GNU/Linux 12 (bookworm)", Version: "12.4"}, Profile: "router", Notes: []string{"one of two roots: " + evil}},
		Level: scanner.LevelHigh,
		SetBy: []string{scanner.FindingKey("CFG-028", account)},
		Packages: []facts.Package{
			{ID: "bash", Name: "bash", Version: "5.2.15-2+b2", ShortVersion: "5.2.15", Manager: "dpkg", Arch: "amd64", BundleSize: 7340032, DynamicSize: -1, Scope: "system", Status: "installed", PURL: "pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64"},
			{ID: evil, Name: evil, Version: "1", ShortVersion: "1", Manager: "apk", BundleSize: -1, DynamicSize: 2048, Scope: "system", Status: "installed"},
		},
		Findings: []scanner.Finding{
			{Key: scanner.FindingKey("CFG-028", account), Rule: "CFG-028", Title: "Second account with user id 0", Category: "config", Severity: scanner.Critical, FalsePositives: "low",
				Subject: account, Evidence: []scanner.Evidence{{Source: "/etc/passwd:3", Fields: map[string]string{"uid": "0", "shell": evil}}},
				Means: "Somebody else is root.", Fix: "Remove it: `userdel support`.", Attack: []string{"T1136.001"},
				Absorbed: []scanner.Absorbed{{Rule: "CFG-025", Subject: account}}},
			{Key: scanner.FindingKey("CFG-027", account), Rule: "CFG-027", Title: "Account with an empty password", Category: "config", Severity: scanner.Medium, FalsePositives: "high",
				Subject: account, Evidence: []scanner.Evidence{{Source: "/etc/shadow:3"}, {Source: "processes"}}, MoreEvidence: 4,
				Means: "Nobody is asked for a password. " + strings.Repeat("Long text wraps at the width of the terminal. ", 3), Fix: "Set one."},
			{Key: scanner.FindingKey("OS-030", scanner.Subject{Kind: "file", Name: evil}), Rule: "OS-030", Title: "Loader hijack", Category: "os", Severity: scanner.Low, FalsePositives: "low",
				Subject: scanner.Subject{Kind: "file", Name: evil}, Evidence: []scanner.Evidence{{Source: "/etc/ld.so.preload:1"}}, Means: "m", Fix: "f"},
		},
		Coverage: []scanner.Coverage{
			{Rule: "CFG-027", Title: "Account with an empty password", Outcome: scanner.Failed, Findings: 1, Why: "may not read /etc/shadow (run as root)"},
			{Rule: "CFG-028", Title: "Second account with user id 0", Outcome: scanner.Failed, Findings: 1},
			{Rule: "OS-012", Title: "Shell wired to a network socket", Outcome: scanner.Unknown, Why: "needs a live device"},
			{Rule: "OS-030", Title: "Loader hijack", Outcome: scanner.Failed, Findings: 1},
			{Rule: "OS-034", Title: "Hidden process", Outcome: scanner.Unknown, Why: "needs a live device"},
			{Rule: "OS-044", Title: "Regular file below /dev", Outcome: scanner.Passed},
			{Rule: "NET-001", Title: "Open Wi-Fi", Outcome: scanner.NotApplicable, Why: "nothing of this kind on the device"},
		},
		Tables: []scanner.TableInfo{{Table: "users", Rows: 3, Partial: []string{"/etc/passwd: line 9: an account has seven fields"}}, {Table: "processes", Absent: "needs a live device"}},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	style := func(s report.Style, f func(io.Writer, *scanner.Report, report.Style) error) func(io.Writer) error {
		return func(w io.Writer) error { return f(w, sample(), s) }
	}
	for name, write := range map[string]func(io.Writer) error{
		"table.txt":          style(report.Style{}, report.Table),
		"table-colour.txt":   style(report.Style{Colour: true, Width: 60}, report.Table),
		"table-ascii.txt":    style(report.Style{ASCII: true, Long: true, Width: 100}, report.Table),
		"inventory.txt":      style(report.Style{}, report.InventoryTable),
		"report.json":        func(w io.Writer) error { return report.JSON(w, sample()) },
		"report.ndjson":      func(w io.Writer) error { return report.NDJSON(w, sample()) },
		"report.html":        func(w io.Writer) error { return report.HTML(w, sample()) },
		"report.sarif":       func(w io.Writer) error { return report.SARIF(w, sample(), "1.2.3") },
		"inventory.cdx.json": func(w io.Writer) error { return report.CycloneDX(w, sample(), "1.2.3") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and read the diff. Got:\n%s", file, got)
	}
}

func TestHostileTextIsInertEverywhere(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(io.Writer) error{
		"table":     func(w io.Writer) error { return report.Table(w, sample(), report.Style{Long: true}) },
		"inventory": func(w io.Writer) error { return report.InventoryTable(w, sample(), report.Style{}) },
		"html":      func(w io.Writer) error { return report.HTML(w, sample()) },
		"json":      func(w io.Writer) error { return report.JSON(w, sample()) },
		"ndjson":    func(w io.Writer) error { return report.NDJSON(w, sample()) },
		"sarif":     func(w io.Writer) error { return report.SARIF(w, sample(), "v") },
		"cyclonedx": func(w io.Writer) error { return report.CycloneDX(w, sample(), "v") },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(b.Bytes(), '\x1b') {
			t.Errorf("%s holds a terminal escape", name)
		}
		if name == "html" && bytes.Contains(b.Bytes(), []byte("<script")) {
			t.Errorf("the page holds a script")
		}
		if (name == "html" || name == "table" || name == "inventory") && bytes.ContainsRune(b.Bytes(), '\u202e') {
			t.Errorf("%s holds a character that reorders text", name)
		}
	}
}

func TestASCIIHoldsNothingElse(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Findings[0].Means = "naïve – \U0001F600 text"
	var b bytes.Buffer
	if err := report.Table(&b, r, report.Style{ASCII: true, Long: true}); err != nil {
		t.Fatal(err)
	}
	for i, c := range b.Bytes() {
		if c >= 0x80 || c < 0x20 && c != '\n' {
			t.Fatalf("byte %#x at %d", c, i)
		}
	}
	if !strings.Contains(b.String(), `na\u00efve \u2013 \U0001f600 text`) {
		t.Error("other characters are not written as escapes")
	}
}

func TestNDJSONIsOneObjectALine(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.NDJSON(&b, sample()); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, line := range bytes.Split(bytes.TrimSpace(b.Bytes()), []byte("\n")) {
		var v struct{ Type string }
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		count[v.Type]++
	}
	if count["device"] != 1 || count["package"] != 2 || count["finding"] != 3 || count["coverage"] != 7 {
		t.Errorf("got %v", count)
	}
}
