package report_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/scanner/rules"
)

// catalogueFindings gives the findings that the rules make of their own test rows, and one made
// of the rule's texts for every severity that it may have.
func catalogueFindings(t testing.TB) []scanner.Finding {
	t.Helper()
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	rowTypes := map[string]reflect.Type{}
	for _, c := range facts.Collectors() {
		rowTypes[c.Table] = reflect.TypeOf(c.Row)
	}
	var out []scanner.Finding
	for _, r := range set.Rules() {
		made := judged(t, set, r, rowTypes[r.Table])
		if len(made) == 0 {
			t.Errorf("%s makes no finding of its own test rows", r.File)
		}
		out = append(out, made...)
		severities := []scanner.Severity{r.Severity}
		for _, g := range r.Grades {
			severities = append(severities, g.Severity)
		}
		for _, s := range severities {
			subject := scanner.Subject{Kind: r.Subject.Kind, Name: r.Subject.Name}
			f := scanner.Finding{Key: scanner.FindingKey(r.ID, subject), Rule: r.ID, Title: r.Title, Category: r.Category, Severity: s, FalsePositives: r.FPRisk,
				Subject: subject, Means: r.Means, Fix: r.Fix, Attack: r.Attack, Discreet: r.Discreet, MoreEvidence: 3}
			e := scanner.Evidence{Source: "/etc/x:12", Fields: map[string]string{}}
			for _, column := range r.Evidence {
				e.Fields[column] = "value of " + column
			}
			f.Evidence = []scanner.Evidence{e, {Source: "processes"}}
			for _, id := range r.Absorbs {
				f.Absorbed = append(f.Absorbed, scanner.Absorbed{Rule: id, Subject: subject})
			}
			out = append(out, f)
		}
	}
	return out
}

// judged applies the whole set to the firing rows of one rule, and gives that rule's findings.
func judged(t testing.TB, set *rules.Set, r *rules.Rule, row reflect.Type) []scanner.Finding {
	t.Helper()
	rows := reflect.MakeSlice(reflect.SliceOf(row), 0, 4)
	for _, test := range r.Tests {
		for i := range test.Fires {
			rows = reflect.Append(rows, decodeRow(t, row, &test.Fires[i]))
		}
	}
	var out []scanner.Finding
	for _, profile := range []string{"phone", "router", "server", "kiosk"} {
		v := set.Judge(t.Context(), &scanner.Facts{Ref: seenAt, Device: scanner.DeviceInfo{Platform: r.Platforms[0], Profile: profile},
			Tables: map[string]*scanner.Table{r.Table: {Name: r.Table, Rows: rows.Interface()}}})
		for _, f := range v.Findings {
			if f.Rule == r.ID {
				out = append(out, f)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// decodeRow fills a row's columns, which are named by the expr tag.
func decodeRow(t testing.TB, typ reflect.Type, n *yaml.Node) reflect.Value {
	t.Helper()
	row := reflect.New(typ).Elem()
	for i := 0; i+1 < len(n.Content); i += 2 {
		for _, f := range reflect.VisibleFields(typ) {
			if f.Tag.Get("expr") == n.Content[i].Value {
				if err := n.Content[i+1].Decode(row.FieldByIndex(f.Index).Addr().Interface()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return row
}

func TestEveryRuleHasItsEvents(t *testing.T) {
	t.Parallel()
	classes := map[int]int{}
	for _, f := range catalogueFindings(t) {
		for _, activity := range []report.Activity{report.Created, report.Updated, report.Closed} {
			e := mustFinding(t, meta(), seen(activity), &f)
			again := mustFinding(t, meta(), seen(activity), &f)
			if !bytes.Equal(e.Body, again.Body) {
				t.Fatalf("%s: twice the same finding, two bodies", f.Rule)
			}
			if e.UID != meta().UID || e.Finding != f.Key || e.Class != report.FindingClass(f.Category) || e.Severity != int(f.Severity) {
				t.Errorf("%s: %+v", f.Rule, e)
			}
			consistent(t, e)
			v := plain(t, e)
			wantIn(t, v, f.Rule, "finding_info", "analytic", "uid")
			wantIn(t, v, f.Key, "finding_info", "uid")
			wantIn(t, v, strings.TrimSpace(f.Fix), "remediation", "desc")
			wantIn(t, v, f.Subject.Name, "resources", 0, "name")
			wantIn(t, v, float64(activity), "activity_id")
			if f.Discreet {
				wantIn(t, v, true, "unmapped", "discreet")
			} else {
				wantIn(t, v, nil, "unmapped", "discreet")
			}
			if n := len(at(v, "evidences").([]any)); n != len(f.Evidence) {
				t.Errorf("%s: %d evidences of %d", f.Rule, n, len(f.Evidence))
			}
		}
		classes[report.FindingClass(f.Category)]++
	}
	t.Logf("findings by class: %v", classes)
	if classes[report.ClassCompliance] == 0 || classes[report.ClassDetection] == 0 {
		t.Errorf("findings by class: %v", classes)
	}
}
