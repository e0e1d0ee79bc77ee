package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

var (
	idPattern     = regexp.MustCompile(`^(APP|OS|CFG|NET|AGT)-[0-9]{3}[a-z]?$`)
	attackPattern = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)
	placeholder   = regexp.MustCompile(`\{([a-z0-9_]+)(?:\|([a-z0-9_]+))?\}`)
	unknownName   = regexp.MustCompile(`unknown name (\w+)`)

	categories = []string{"app", "network", "os", "config", "agent"}
	profiles   = []string{"phone", "handheld", "kiosk", "router", "iot", "workstation", "server", "container-image"}
)

// Categories gives the categories that a rule may have.
func Categories() []string { return slices.Clone(categories) }

// Profiles gives the device roles that a rule may grade by.
func Profiles() []string { return slices.Clone(profiles) }

// check validates a decoded rule and compiles its conditions.
func (l *Loader) check(r *Rule, root *yaml.Node) error {
	if r.Maturity == "" {
		r.Maturity = "stable"
	}
	if r.Empty == "" {
		r.Empty = "passed"
	}
	for _, text := range []*string{&r.Means, &r.Fix, &r.FalsePositives} {
		*text = strings.Join(strings.Fields(*text), " ") // line ends are those of the file
	}
	for _, c := range []struct {
		key, got string
		ok       bool
		want     string
	}{
		{"id", r.ID, idPattern.MatchString(r.ID), "an id like OS-030"},
		{"title", r.Title, r.Title != "", "a short title"},
		{"category", r.Category, slices.Contains(categories, r.Category), strings.Join(categories, ", ")},
		{"severity", r.Severity.String(), r.Severity != 0, "info, low, medium, high or critical"},
		{"fp_risk", r.FPRisk, slices.Contains([]string{"low", "medium", "high"}, r.FPRisk), "low, medium or high"},
		{"maturity", r.Maturity, slices.Contains([]string{"experimental", "stable", "deprecated"}, r.Maturity), "experimental, stable or deprecated"},
		{"empty", r.Empty, slices.Contains([]string{"passed", "not_applicable"}, r.Empty), "passed or not_applicable"},
		{"when", r.When, strings.TrimSpace(r.When) != "", "a condition"},
		{"means", r.Means, strings.TrimSpace(r.Means) != "", "what the finding means for the person"},
		{"fix", r.Fix, strings.TrimSpace(r.Fix) != "", "the step that clears it"},
		{"false_positives", r.FalsePositives, strings.TrimSpace(r.FalsePositives) != "", "a note on when it may be wrong"},
		{"platforms", "", len(r.Platforms) > 0, "at least one of linux, android"},
	} {
		if !c.ok {
			return errAt(at(root, c.key), "%s: got %q, want %s", c.key, c.got, c.want)
		}
	}
	if r.MinEngine > EngineVersion {
		return errAt(at(root, "min_engine"), "needs engine %d, this one is %d", r.MinEngine, EngineVersion)
	}
	if err := checkLists(r, root); err != nil {
		return err
	}
	r.row = l.rows[r.Table]
	if r.row == nil {
		return errAt(at(root, "table"), "unknown table %q%s", r.Table, DidYouMean(r.Table, l.tables()))
	}
	if err := l.compileAll(r, root); err != nil {
		return err
	}
	return checkColumns(r, root)
}

func checkLists(r *Rule, root *yaml.Node) error {
	for _, p := range r.Platforms {
		if p != "linux" && p != "android" {
			return errAt(at(root, "platforms"), "platform %q is none of linux, android", p)
		}
	}
	for p, s := range r.Profiles {
		var sev scanner.Severity
		if !slices.Contains(profiles, p) {
			return errAt(at(root, "profiles"), "unknown profile %q%s", p, DidYouMean(p, profiles))
		}
		if s != "off" && sev.UnmarshalText([]byte(s)) != nil {
			return errAt(at(root, "profiles"), "profile %s: %q is neither a severity nor off", p, s)
		}
	}
	for _, a := range r.Attack {
		if !attackPattern.MatchString(a) {
			return errAt(at(root, "attack"), "%q is no ATT&CK technique id", a)
		}
	}
	return nil
}

func (l *Loader) compileAll(r *Rule, root *yaml.Node) error {
	var err error
	if strings.TrimSpace(r.Where) != "" {
		if r.where, err = l.compile(r, r.Where, at(root, "where")); err != nil {
			return err
		}
	}
	if r.when, err = l.compile(r, r.When, at(root, "when")); err != nil {
		return err
	}
	for i, g := range r.Grades {
		n := at(at(root, "grades").Content[i], "when")
		if strings.TrimSpace(g.When) == "" || g.Severity == 0 {
			return errAt(n, "a grade needs when and severity")
		}
		c, err := l.compile(r, g.When, n)
		if err != nil {
			return err
		}
		r.grades = append(r.grades, c)
	}
	return nil
}

// compile type-checks a condition against the table's columns.
func (l *Loader) compile(r *Rule, src string, n *yaml.Node) (*condition, error) {
	v := &columnVisitor{known: r.row.columns}
	p, err := expr.Compile(src, append(l.opts[r.Table], expr.Patch(v))...)
	if err != nil {
		return nil, conditionError(err, r, n)
	}
	if v.ranges {
		return nil, errAt(n, "a range (a..b) is not allowed in a condition: its cost has no bound")
	}
	c := &condition{program: p, columns: v.used}
	if tree, err := parser.Parse(src); err == nil {
		c.any, c.all = l.split(r, tree.Node)
	}
	return c, nil
}

// split compiles the parts of a disjunction, or of a conjunction, on their own. With them the
// condition can be judged for a row some of whose columns are unread.
func (l *Loader) split(r *Rule, n ast.Node) (or, and []*condition) {
	b, ok := n.(*ast.BinaryNode)
	if !ok || !slices.Contains([]string{"||", "or", "&&", "and"}, b.Operator) {
		return nil, nil
	}
	var parts []*condition
	for _, side := range []ast.Node{b.Left, b.Right} {
		v := &columnVisitor{known: r.row.columns}
		p, err := expr.Compile(side.String(), append(l.opts[r.Table], expr.Patch(v))...)
		if err != nil { // it compiled as a part of the whole; then only the whole can be judged
			return nil, nil
		}
		c := &condition{program: p, columns: v.used}
		c.any, c.all = l.split(r, side)
		parts = append(parts, c)
	}
	if b.Operator == "||" || b.Operator == "or" {
		return parts, nil
	}
	return nil, parts
}

// conditionError turns expr's error into ours: the line in the rule file and a near column.
func conditionError(err error, r *Rule, n *yaml.Node) error {
	msg, line := err.Error(), n.Line
	var fe *file.Error
	if errors.As(err, &fe) {
		msg = fmt.Sprintf("%s (at column %d of the condition)", fe.Message, fe.Column+1)
		line += fe.Line - 1
		if n.Style == yaml.LiteralStyle || n.Style == yaml.FoldedStyle {
			line++
		}
	}
	if m := unknownName.FindStringSubmatch(msg); m != nil {
		msg = fmt.Sprintf("table %s has no column %q%s", r.Table, m[1], DidYouMean(m[1], r.row.names))
	}
	return &lineError{line, msg}
}

// columnVisitor lists the columns that a condition uses, and notes what has no bound.
type columnVisitor struct {
	known  map[string][]int
	used   []string
	ranges bool
}

// Visit implements ast.Visitor.
func (v *columnVisitor) Visit(n *ast.Node) {
	if b, ok := (*n).(*ast.BinaryNode); ok && b.Operator == ".." {
		v.ranges = true
	}
	if id, ok := (*n).(*ast.IdentifierNode); ok && v.known[id.Value] != nil && !slices.Contains(v.used, id.Value) {
		v.used = append(v.used, id.Value)
	}
}

// checkColumns sees that every column named outside conditions exists.
func checkColumns(r *Rule, root *yaml.Node) error {
	has := func(key, column string) error {
		if _, ok := r.row.columns[column]; !ok {
			return errAt(at(root, key), "%s: table %s has no column %q%s", key, r.Table, column, DidYouMean(column, r.row.names))
		}
		return nil
	}
	if r.Subject.Kind == "" || r.Subject.Name == "" {
		return errAt(at(root, "subject"), "subject: kind and name are needed")
	}
	for _, t := range []struct{ key, text string }{{"subject", r.Subject.Kind + r.Subject.Name}, {"means", r.Means}, {"fix", r.Fix}} {
		for _, m := range placeholder.FindAllStringSubmatch(t.text, -1) {
			for _, column := range m[1:] {
				if column == "" {
					continue
				}
				if err := has(t.key, column); err != nil {
					return err
				}
			}
		}
	}
	for _, list := range []struct {
		key     string
		columns []string
	}{{"evidence", r.Evidence}, {"paths", r.Paths}, {"table", []string{"where"}}} {
		for _, c := range list.columns {
			if err := has(list.key, c); err != nil {
				return err
			}
		}
	}
	for _, a := range r.Allow {
		if len(a.Match) == 0 || a.Why == "" {
			return errAt(at(root, "allow"), "an allow entry needs match and why")
		}
		for c := range a.Match {
			if err := has("allow", c); err != nil {
				return err
			}
		}
	}
	return nil
}
