package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
)

// schemaFiles are OCSF's schemas by class. They are not part of this repository:
// PICKET_SHARED_DATA names the folder that has them as ocsf-1.8.0.
var schemaFiles = map[int]string{
	report.ClassCompliance: "compliance_finding", report.ClassDetection: "detection_finding", report.ClassDevice: "inventory_info", report.ClassPatch: "patch_state",
	report.ClassConfigState: "device_config_state_change", report.ClassInventory: "software_info", report.ClassLifecycle: "application_lifecycle",
}

// sharedSchemas is the folder of OCSF's schemas, "" where there is none.
func sharedSchemas() string {
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(data, "ocsf-1.8.0")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// schema compiles a class's schema, or skips the test where there is none.
func schema(t *testing.T, class int) *jsonschema.Schema {
	t.Helper()
	dir := sharedSchemas()
	if dir == "" {
		t.Skip("PICKET_SHARED_DATA names no folder with ocsf-1.8.0")
	}
	f, err := os.Open(filepath.Join(dir, schemaFiles[class]+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("event.json")
}

func validate(s *jsonschema.Schema, body []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// allEvents gives an event of every kind: every rule's finding with every activity, and the
// other classes with everything and with as little as there may be.
func allEvents(t *testing.T) []report.Event {
	t.Helper()
	var out []report.Event
	add := func(e report.Event, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	findings := append(catalogueFindings(t), sample().Findings...)
	findings = append(findings, scanner.Finding{Category: "os"}, scanner.Finding{Category: "config"})
	for i := range findings {
		for _, a := range []report.Activity{report.Created, report.Updated, report.Closed} {
			add(report.FindingEvent(meta(), seen(a), &findings[i]))
		}
	}
	ignored := report.FindingState{Activity: report.Updated, Ignored: "ours"}
	add(report.FindingEvent(meta(), ignored, &findings[0]))

	lost := meta()
	lost.Time, lost.Latest = seenAt.AddDate(10, 0, 0), seenAt
	bare := meta()
	bare.Version, bare.Device.Info = "", scanner.DeviceInfo{}
	r := sample()
	old := facts.Package{}
	for _, m := range []report.EventMeta{meta(), lost, bare} {
		for level := scanner.Unjudged; level <= scanner.LevelHigh; level++ {
			add(report.DeviceEvent(m, report.DeviceState{Level: level, SetBy: r.SetBy, Coverage: r.Coverage}))
			for before := scanner.Unjudged; before <= scanner.LevelHigh; before++ {
				add(report.PostureEvent(m, report.PostureOf(before, nil), report.PostureOf(level, r.Findings)))
			}
		}
		add(report.DeviceEvent(m, report.DeviceState{}))
		many := manyPackages(150)
		many[0].Scope = "user:alice"
		many[1].App = &facts.App{Signature: "verified"}
		out = append(out, inventory(t, m, report.Inventory{Packages: append(many, r.Packages.([]facts.Package)...), Partial: []string{"rpm: page 3"}})...)
		out = append(out, inventory(t, m, report.Inventory{Packages: []facts.Package{{}}})...)
		out = append(out, inventory(t, m, report.Inventory{Absent: "no package database found"})...)
		for _, a := range []report.AgentActivity{report.AgentStarted, report.AgentStopped, report.AgentTold} {
			add(report.AgentEvent(m, report.AgentState{Activity: a, Severity: scanner.Low, Message: "Picket was not running", Failed: a == report.AgentTold,
				Rest: map[string]any{"gap": map[string]string{"why": "killed"}}}))
		}
		part := m
		part.Snapshot = &report.SnapshotPart{UID: "s", Why: "due", Part: 1, Last: true}
		add(report.FindingEvent(part, seen(report.Updated), &findings[0]))
		out = append(out, inventory(t, part, report.Inventory{Packages: many[:3]})...)
		add(report.PackageEvent(m, nil, &many[0]))
		add(report.PackageEvent(m, &many[1], nil))
		add(report.PackageEvent(m, &old, &many[2]))
		add(report.PatchEvent(m, report.PatchState{Android: &facts.AndroidSystem{Release: "14", Patch: "2024-01-05", VendorPatch: "2024-01-05", Mainline: "2024-01-01", Exploited: []string{"CVE-2024-1"}},
			Updates: []facts.UpdateState{{Manager: "apt", Pending: 1, PendingNames: []string{"openssl"}}}, Unread: "x"}))
		add(report.PatchEvent(m, report.PatchState{Android: &facts.AndroidSystem{Release: "14"}}))
	}
	return out
}

// TestEventsFollowTheirSchemas holds every kind of event, and every rule of the catalogue with
// every activity, against OCSF's own schemas.
func TestEventsFollowTheirSchemas(t *testing.T) {
	t.Parallel()
	events := map[int][]report.Event{}
	for _, e := range allEvents(t) {
		events[e.Class] = append(events[e.Class], e)
	}
	for class, name := range schemaFiles {
		t.Run(name, func(t *testing.T) {
			if len(events[class]) == 0 {
				t.Fatal("no event of this class")
			}
			s := schema(t, class)
			for _, e := range events[class] {
				consistent(t, e)
				if err := validate(s, e.Body); err != nil {
					t.Fatalf("%v\n%s", err, e.Body)
				}
			}
			t.Logf("%d events", len(events[class]))
		})
	}
}

// TestHugeEventsFollowTheirSchemas: what was cut is still valid.
func TestHugeEventsFollowTheirSchemas(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("\x01é", 100_000)
	f := scanner.Finding{Key: "k", Rule: huge, Title: huge, Category: "os", Subject: scanner.Subject{Kind: huge, Name: huge}, Means: huge, Fix: huge, Attack: []string{huge}}
	for range 20 {
		f.Evidence = append(f.Evidence, scanner.Evidence{Source: "/" + huge, Fields: map[string]string{"a": huge, "b": huge}})
	}
	if err := validate(schema(t, report.ClassDetection), mustFinding(t, meta(), seen(report.Created), &f).Body); err != nil {
		t.Error(err)
	}
}

// TestSchemasRefuse shows that the schemas hold events to anything.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	events := allEvents(t)
	for class, name := range schemaFiles {
		t.Run(name, func(t *testing.T) {
			s := schema(t, class)
			for _, e := range events {
				if e.Class != class {
					continue
				}
				for _, c := range [][2]string{{`"device":{`, `"devise":{`}, {`"metadata":{"version":"1.8.0"`, `"metadata":{"versions":"1.8.0"`}, {`"type_uid":`, `"type_uid":9`}, {`"severity_id":`, `"severity_id":7`}} {
					spoiled := bytes.Replace(e.Body, []byte(c[0]), []byte(c[1]), 1)
					if bytes.Equal(spoiled, e.Body) || validate(s, spoiled) == nil {
						t.Errorf("%s instead of %s is accepted", c[1], c[0])
					}
				}
				return
			}
		})
	}
}

// TestScanEventsFollowTheirSchemas validates what `scan --format ocsf` writes.
func TestScanEventsFollowTheirSchemas(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := sample()
	r.Facts = &scanner.Facts{Ref: time.Unix(1700000000, 0), Tables: map[string]*scanner.Table{
		"updates": {Rows: []facts.UpdateState{{Manager: "apt", Pending: 1, PendingNames: []string{"openssl"}}}, Partial: []string{"a list is damaged"}},
		"android": {Inapplicable: "linux has no such table"}}}
	if err := report.OCSF(&b, r, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	classes := map[int]int{}
	for line := range bytes.Lines(b.Bytes()) {
		class := int(at(plain(t, report.Event{Body: line}), "class_uid").(float64))
		classes[class]++
		if err := validate(schema(t, class), line); err != nil {
			t.Errorf("%v\n%s", err, line)
		}
	}
	if classes[report.ClassPatch] != 1 || classes[report.ClassDevice] != 1 || classes[report.ClassInventory] != 1 || classes[report.ClassCompliance]+classes[report.ClassDetection] != 3 {
		t.Errorf("events by class: %v", classes)
	}
}
