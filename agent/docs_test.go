package agent

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"picket/scanner/facts"
	"picket/scanner/rules"
)

var update = flag.Bool("update", false, "write the generated documents anew")

// TestGeneratedDocs keeps the reference pages equal to the code that they describe.
func TestGeneratedDocs(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*bytes.Buffer) error{
		"../docs/tables.md":    tablesPage,
		"../docs/catalogue.md": cataloguePage,
		"../docs/config.md":    configPage,
		"../docs/policy.md":    policyPage,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, b.Bytes()) {
			t.Errorf("%s is out of date; run `make docs`", name)
		}
	}
}

func tablesPage(b *bytes.Buffer) error {
	fmt.Fprintf(b, "# Fact tables\n\nWritten by `make docs` from the collectors. A rule's condition uses these columns; \"reads\" is all that\nthe collector looks at (patterns in parentheses: type, mode, owner, size, first bytes and digest only,\nnever the content).\n")
	for _, c := range facts.Collectors() {
		fmt.Fprintf(b, "\n## %s\n\n%s.\n\n| column | type | meaning |\n| --- | --- | --- |\n", c.Table, strings.TrimSuffix(c.Doc, "."))
		for _, col := range rules.Columns(c) {
			fmt.Fprintf(b, "| %s | %s | %s |\n", col.Name, col.Type, strings.ReplaceAll(col.Doc, "|", `\|`))
		}
		var reads []string
		for _, p := range c.Reads.Probes {
			reads = append(reads, "probe `"+string(p)+"`")
		}
		for _, g := range c.Reads.Globs {
			reads = append(reads, "`"+g+"`")
		}
		for _, g := range c.Reads.Meta {
			reads = append(reads, "(`"+g+"`)")
		}
		for _, n := range c.Needs {
			reads = append(reads, "table "+n)
		}
		fmt.Fprintf(b, "\nReads: %s\n", strings.Join(reads, ", "))
	}
	return nil
}

func cataloguePage(b *bytes.Buffer) error {
	set, err := builtIn()
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "# Rules\n\nWritten by `make docs` from the %d rules of the catalogue. `picket explain ID` tells more.\n\n| id | severity | false alarms | title | table | ATT&CK |\n| --- | --- | --- | --- | --- | --- |\n", len(set.Rules()))
	for _, r := range set.Rules() {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", r.ID, r.Severity, r.FPRisk, r.Title, r.Table, strings.Join(r.Attack, ", "))
	}
	return nil
}
