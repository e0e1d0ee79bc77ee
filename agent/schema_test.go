package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/report"
)

func reportSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("../docs/report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("report.json")
}

// TestReportsFollowTheirSchema holds the JSON of real scans, of this machine and of every
// planted scenario, against the published schema.
func TestReportsFollowTheirSchema(t *testing.T) {
	t.Parallel()
	schema := reportSchema(t)
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, dev scanner.Device) {
		t.Helper()
		r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Judge: set, Tables: []string{"packages"}, Digests: scanner.DigestsNone})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := report.JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Error(err)
		}
		checkEvents(t, r)
	}
	t.Run("live", func(t *testing.T) {
		t.Parallel()
		dev, err := device.Live(t.Context(), device.LiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, dev)
	})
	files, err := filepath.Glob("testdata/planted/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := readScenario(t, file)
			check(t, fixture(t, overlay(cleanDevice(t, s.live), s.planted)))
		})
	}
}

func TestSchemaRefusesWhatIsNoReport(t *testing.T) {
	t.Parallel()
	schema := reportSchema(t)
	for _, s := range []string{`{}`, `{"schema":"picket.report/2"}`, `[]`,
		`{"schema":"picket.report/1","device":{"origin":"x","platform":"linux","live":true,"root":true,"judged_as_of":"2026-01-01T00:00:00Z","profile":""},"level":"Green","packages":[],"findings":[],"coverage":[],"tables":[]}`} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("%s was accepted", s)
		}
	}
}
