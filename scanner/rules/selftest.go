package rules

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

// SelfTest runs the tests inside the rule. Rows that fire and rows that do not are both
// required: a rule that was never seen quiet is not finished.
func (r *Rule) SelfTest() error {
	fires, quiet := 0, 0
	var errs []error
	for _, t := range r.Tests {
		for i := range t.Fires {
			fires++
			errs = append(errs, r.testRow(&t, &t.Fires[i], true))
		}
		for i := range t.Quiet {
			quiet++
			errs = append(errs, r.testRow(&t, &t.Quiet[i], false))
		}
	}
	if fires == 0 || quiet == 0 {
		errs = append(errs, fmt.Errorf("%s: tests need at least one row that fires and one that is quiet (have %d and %d)", r.File, fires, quiet))
	}
	return errors.Join(errs...)
}

func (r *Rule) testRow(t *Test, n *yaml.Node, want bool) error {
	row, err := r.row.decode(n)
	if err != nil {
		return fmt.Errorf("%s:%w", r.File, err)
	}
	rows := reflect.MakeSlice(reflect.SliceOf(r.row.typ), 0, 1)
	rows = reflect.Append(rows, row)
	c := &ruleCase{rule: r, set: &Set{}, vm: &vm.VM{}, base: r.Severity, facts: &scanner.Facts{Ref: time.Unix(0, 0)}}
	c.index = map[scanner.Subject]int{}
	c.judgeRow(rows.Index(0))
	got := len(c.findings) > 0
	switch {
	case len(c.unknown) > 0 && want:
		return fmt.Errorf("%s:%d: test %q: the row should fire but is unknown: %s", r.File, n.Line, t.Name, c.unknown[0])
	case got != want && want:
		return fmt.Errorf("%s:%d: test %q: the row should fire and does not", r.File, n.Line, t.Name)
	case got != want:
		return fmt.Errorf("%s:%d: test %q: the row should be quiet and fires", r.File, n.Line, t.Name)
	case got && t.Severity != 0 && c.findings[0].Severity != t.Severity:
		return fmt.Errorf("%s:%d: test %q: graded %s, want %s", r.File, n.Line, t.Name, c.findings[0].Severity, t.Severity)
	}
	return nil
}
