// Package rules holds the rule engine. A rule is one YAML file: text for people, a typed
// condition over the rows of one fact table, and its own tests. The catalogue is the folder
// catalogue/, embedded in the binary.
package rules

import (
	"slices"

	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

// EngineVersion grows when a rule file can say something that older engines do not
// understand; a rule's min_engine is compared with it.
const EngineVersion = 2

// Rule is one compiled rule.
type Rule struct {
	ID        string           `yaml:"id"`
	Title     string           `yaml:"title"`
	Category  string           `yaml:"category"`
	Severity  scanner.Severity `yaml:"severity"`
	FPRisk    string           `yaml:"fp_risk"`
	Maturity  string           `yaml:"maturity"`
	MinEngine int              `yaml:"min_engine"`
	Platforms []string         `yaml:"platforms"`
	// Profiles grades the rule by the device's role: a severity, or "off". A device whose
	// role is unknown gets the lowest of them and of Severity.
	Profiles map[string]string `yaml:"profiles"`

	// Table is what the rule ranges over; Where chooses rows, When is true for a row that is
	// a problem. Both are expr-lang conditions over the row's columns.
	Table string `yaml:"table"`
	Where string `yaml:"where"`
	When  string `yaml:"when"`
	// Grades regrade single rows: the first whose condition holds gives the severity.
	Grades []Grade `yaml:"grades"`
	// Empty is the outcome on a readable table without rows: passed (default) or not_applicable.
	Empty string `yaml:"empty"`

	Subject SubjectText `yaml:"subject"`
	// Evidence names the columns that are shown.
	Evidence []string `yaml:"evidence"`
	// Paths names columns that hold paths which the finding concerns; absorption goes by them.
	Paths []string `yaml:"paths"`
	// Discreet marks what tells of somebody who watches the person: it must not be shown where
	// others may see it.
	Discreet bool `yaml:"discreet"`
	// Absorbs names rules whose findings on the same subject or path have the same cause.
	Absorbs []string `yaml:"absorbs"`
	// Allow lists rows that are known to be fine.
	Allow []Allow `yaml:"allow"`

	Means          string   `yaml:"means"`
	Fix            string   `yaml:"fix"`
	Attack         []string `yaml:"attack"`
	FalsePositives string   `yaml:"false_positives"`
	Tests          []Test   `yaml:"tests"`

	// File is where the rule was read; BuiltIn says that it is of the embedded catalogue.
	File    string `yaml:"-"`
	BuiltIn bool   `yaml:"-"`

	where, when *condition // where is nil when every row is judged
	grades      []*condition
	row         *rowType
	named       []string // what means and fix name in braces, each once
}

// SubjectText makes the subject: texts with {column} in them.
type SubjectText struct {
	Kind string `yaml:"kind"`
	Name string `yaml:"name"`
}

// Grade is a severity for rows that meet a condition.
type Grade struct {
	When     string           `yaml:"when"`
	Severity scanner.Severity `yaml:"severity"`
}

// Allow is a list entry: a row all of whose named columns match is no finding. In values, *
// stands for any run of bytes.
type Allow struct {
	Match map[string]string `yaml:"match"`
	Why   string            `yaml:"why"`
}

// Test is a case inside the rule file.
type Test struct {
	Name string `yaml:"name"`
	// Each row of Fires must give a finding, none of Quiet may.
	Fires []yaml.Node `yaml:"fires"`
	Quiet []yaml.Node `yaml:"quiet"`
	// Severity, when given, is what each firing row must be graded.
	Severity scanner.Severity `yaml:"severity"`
}

// condition is a compiled expression and the columns that it uses.
type condition struct {
	program *vm.Program
	columns []string
	// any are the sides of a disjunction, all those of a conjunction; both are empty for
	// other expressions.
	any, all []*condition
}

// Set is a whole rule set. It is immutable; a new pack replaces it as a whole.
type Set struct {
	rules  []*Rule
	allow  []AllowEntry
	pack   Pack
	policy []Override
	levels scanner.Levels
	texts  map[string]map[string]Text // by language and rule file
}

// with gives the set with other rules.
func (s *Set) with(rules []*Rule) *Set {
	out := *s
	out.rules = rules
	return &out
}

// Rules gives the rules, sorted by id.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule finds a rule by id: one, or one for each platform where these are told in different ways.
func (s *Set) Rule(id string) []*Rule {
	var out []*Rule
	for _, r := range s.rules {
		if r.ID == id {
			out = append(out, r)
		}
	}
	return out
}

// IDs names the rules, sorted.
func (s *Set) IDs() []string {
	ids := make([]string, len(s.rules))
	for i, r := range s.rules {
		ids[i] = r.ID
	}
	return slices.Compact(ids)
}

// Only keeps the rules of the given categories.
func (s *Set) Only(categories []string) *Set {
	return s.with(slices.DeleteFunc(slices.Clone(s.rules), func(r *Rule) bool { return !slices.Contains(categories, r.Category) }))
}

// OnlyTables keeps the rules for a platform that range over the given tables.
func (s *Set) OnlyTables(platform string, tables []string) *Set {
	return s.with(slices.DeleteFunc(slices.Clone(s.rules), func(r *Rule) bool {
		return !slices.Contains(r.Platforms, platform) || !slices.Contains(tables, r.Table)
	}))
}

// Tables names the tables that the rules for a platform range over.
func (s *Set) Tables(platform string) []string {
	var out []string
	for _, r := range s.rules {
		if slices.Contains(r.Platforms, platform) && !slices.Contains(out, r.Table) {
			out = append(out, r.Table)
		}
	}
	return out
}
