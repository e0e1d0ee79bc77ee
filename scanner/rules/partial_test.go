package rules

import (
	"strings"
	"testing"

	"picket/scanner"
)

type partialRow struct {
	A     bool   `expr:"a" json:"a" doc:"first"`
	B     bool   `expr:"b" json:"b" doc:"second"`
	C     bool   `expr:"c" json:"c" doc:"third"`
	Where string `expr:"where" json:"where" doc:"source"`
	scanner.Unread
}

func TestUnreadColumnsLeaveOnlyOpenWhatTheyDecide(t *testing.T) {
	t.Parallel()
	const head = "id: OS-999\ntitle: t\ncategory: os\nseverity: low\nfp_risk: low\nplatforms: [linux]\ntable: partial\n" +
		"subject: {kind: k, name: n}\nmeans: m\nfix: f\nfalse_positives: none\n"
	for _, c := range []struct {
		when      string // or where, a slash, when
		a, b      bool   // c is unread
		want      scanner.Outcome
		withTable bool // c is unknown for the whole table instead
	}{
		{"a || c", true, false, scanner.Failed, false},
		{"a || c", false, false, scanner.Unknown, false},
		{"a && c", false, false, scanner.Passed, false},
		{"a && c", true, false, scanner.Unknown, false},
		{"a && c || b", false, false, scanner.Passed, false},
		{"a && c || b", false, true, scanner.Failed, false},
		{"(a || c) && b", false, false, scanner.Passed, false},
		{"(a || c) && b", true, true, scanner.Failed, false},
		{"(a or c) and b", false, true, scanner.Unknown, false},
		{"!c", false, false, scanner.Unknown, false},
		{"a ? c : b", true, true, scanner.Unknown, false},
		{"a || c", true, false, scanner.Failed, true},
		{"a || c", false, false, scanner.Unknown, true},
		{"c / a", false, false, scanner.Passed, false},
		{"c / a", true, false, scanner.Unknown, false},
		{"c / a || c", false, false, scanner.Unknown, false},
		{"b / c", false, false, scanner.Passed, false},
		{"b / c", false, true, scanner.Unknown, false},
		{"b || c / a", true, true, scanner.Failed, false},
	} {
		l := NewLoader([]scanner.Collector{{Table: "partial", Row: partialRow{}}})
		r, err := l.Parse("x.yaml", []byte(head+conditions(c.when)))
		if err != nil {
			t.Fatal(err)
		}
		row := partialRow{A: c.a, B: c.b}
		table := &scanner.Table{}
		if c.withTable {
			table.Unknown = map[string]string{"c": "modes mean nothing here"}
		} else {
			row.MarkUnread("c", "nobody looked")
		}
		table.Rows = []partialRow{row}
		v := (&Set{rules: []*Rule{r}}).Judge(t.Context(), &scanner.Facts{
			Tables: map[string]*scanner.Table{"partial": table}, Device: scanner.DeviceInfo{Platform: "linux"}})
		if got := v.Coverage[0]; got.Outcome != c.want || (got.Outcome == scanner.Unknown) != (got.Why != "") {
			t.Errorf("%q with a %v, b %v: %v (%s), want %v", c.when, c.a, c.b, got.Outcome, got.Why, c.want)
		}
	}
}

func conditions(text string) string {
	where, when, both := strings.Cut(text, " / ")
	if !both {
		return "when: '" + text + "'\n"
	}
	return "where: '" + where + "'\nwhen: '" + when + "'\n"
}
