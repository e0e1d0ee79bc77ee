package rules

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"picket/scanner"
)

// Override is what a policy says of a rule, or of those of its rows that match.
type Override struct {
	Rule     string
	Match    map[string]string // column -> value; * stands for any run of bytes; empty for all rows
	Severity scanner.Severity  // regrades; 0 accepts: the finding stays visible and does not count
	Why      string
	Expires  string // the last day, YYYY-MM-DD; "" for none
}

// WithPolicy gives the set with what a policy says; the first override that fits a row counts.
// Overrides of rules or columns that are not there say nothing, and are given back: a policy may
// be for several versions of the rules.
func (s *Set) WithPolicy(list []Override, levels scanner.Levels) (out *Set, idle []string) {
	out = s.with(s.rules)
	out.policy, out.levels = nil, levels
	for _, o := range list {
		variants := s.Rule(o.Rule)
		if len(variants) == 0 {
			idle = append(idle, "there is no rule "+o.Rule)
			continue
		}
		unknown := ""
		for col := range o.Match {
			if !slices.ContainsFunc(variants, func(r *Rule) bool { return r.has(col) }) {
				unknown = col
			}
		}
		if unknown != "" {
			idle = append(idle, fmt.Sprintf("the table of rule %s has no column %q", o.Rule, unknown))
			continue
		}
		out.policy = append(out.policy, o)
	}
	return out, idle
}

// note says what the policy makes of a firing row.
func (s *Set) note(r *Rule, row reflect.Value, sev scanner.Severity, ref time.Time) (scanner.Severity, *scanner.PolicyNote) {
	for _, o := range s.policy {
		if o.Rule != r.ID || o.Expires != "" && ref.UTC().Format(time.DateOnly) > o.Expires || !r.matches(o.Match, row) {
			continue
		}
		n := &scanner.PolicyNote{Accepted: o.Severity == 0, Why: o.Why, Expires: o.Expires}
		if o.Severity != 0 && o.Severity != sev {
			n.Was, sev = sev, o.Severity
		}
		return sev, n
	}
	return sev, nil
}
