package rules

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/vm"

	"picket/scanner"
)

const (
	maxEvidence = 20  // pieces kept in one finding
	maxFindings = 500 // of one rule; a device is not made safer by the 501st
)

// Judge applies every rule to the facts. It implements scanner.Judge.
func (s *Set) Judge(ctx context.Context, f *scanner.Facts) scanner.Verdict {
	return s.Absorb(s.JudgeApart(ctx, f))
}

// JudgeApart applies every rule by itself: what one tells is not yet taken out of another.
// Verdicts on parts of a device can be put together and handed to Absorb.
func (s *Set) JudgeApart(ctx context.Context, f *scanner.Facts) scanner.Verdict {
	var v scanner.Verdict
	machine := &vm.VM{}
	for _, r := range s.rules {
		if ctx.Err() != nil {
			return v
		}
		if s.otherwise(r, f.Device.Platform) {
			continue
		}
		c := &ruleCase{rule: r, set: s, facts: f, vm: machine}
		cov := c.run()
		cov.Rule, cov.Title = r.ID, r.Title
		v.Findings = append(v.Findings, c.findings...)
		v.Coverage = append(v.Coverage, cov)
	}
	return v
}

// otherwise reports whether a rule is for other platforms while one of the same id is for this.
func (s *Set) otherwise(r *Rule, platform string) bool {
	if slices.Contains(r.Platforms, platform) {
		return false
	}
	return slices.ContainsFunc(s.Rule(r.ID), func(o *Rule) bool { return slices.Contains(o.Platforms, platform) })
}

// ruleCase is one rule applied to one device.
type ruleCase struct {
	rule  *Rule
	set   *Set
	facts *scanner.Facts
	vm    *vm.VM

	base     scanner.Severity
	findings []scanner.Finding
	index    map[scanner.Subject]int
	blind    map[string]string // columns that mean nothing on this device, with reasons
	unknown  []string          // reasons why rows could not be judged
	dropped  int               // findings over maxFindings
}

func (c *ruleCase) run() scanner.Coverage {
	r := c.rule
	if why := c.inapplicable(); why != "" {
		return scanner.Coverage{Outcome: scanner.NotApplicable, Why: why}
	}
	t := c.facts.Tables[r.Table]
	if t == nil {
		return scanner.Coverage{Why: "table " + r.Table + " was not collected"}
	}
	switch {
	case t.Inapplicable != "":
		return scanner.Coverage{Outcome: scanner.NotApplicable, Why: t.Inapplicable}
	case t.Absent != "":
		return scanner.Coverage{Why: t.Absent}
	}
	c.blind = map[string]string{}
	for col, why := range t.Unknown {
		c.blind[col] = "column " + col + ": " + why
	}
	rows := reflect.ValueOf(t.Rows)
	n := 0
	if t.Rows != nil {
		n = rows.Len()
	}
	c.index = map[scanner.Subject]int{}
	for i := range n {
		c.judgeRow(rows.Index(i))
	}
	return c.coverage(n, append(slices.Clone(t.Partial), c.hidden(t)...))
}

// hidden says why rows may be left out that the rule would be about.
func (c *ruleCase) hidden(t *scanner.Table) (why []string) {
	if !t.Deviations {
		return nil
	}
	for _, cond := range []*condition{c.rule.where, c.rule.when} {
		if cond == nil {
			continue
		}
		for _, col := range cond.columns {
			if w, ok := c.blind[col]; ok {
				why = append(why, w)
			}
		}
	}
	return why
}

func (c *ruleCase) coverage(rows int, partial []string) scanner.Coverage {
	why := append(partial, c.unknown...)
	if c.dropped > 0 {
		why = append(why, fmt.Sprintf("%d more findings left out", c.dropped))
	}
	cov := scanner.Coverage{Findings: len(c.findings), Why: summary(why)}
	switch {
	case len(c.findings) > 0:
		cov.Outcome = scanner.Failed
	case len(why) > 0:
		cov.Outcome = scanner.Unknown
	case rows == 0 && c.rule.Empty == "not_applicable":
		cov.Outcome, cov.Why = scanner.NotApplicable, "nothing of this kind on the device"
	default:
		cov.Outcome = scanner.Passed
	}
	return cov
}

// summary joins a few reasons and counts the rest.
func summary(reasons []string) string {
	const shown = 3
	var uniq []string
	for _, r := range reasons {
		if !slices.Contains(uniq, r) {
			if len(uniq) == shown {
				return strings.Join(uniq, "; ") + fmt.Sprintf("; and more (%d in all)", len(reasons))
			}
			uniq = append(uniq, r)
		}
	}
	return strings.Join(uniq, "; ")
}

// unread gives the columns that cannot be told for a row, with reasons.
func (c *ruleCase) unread(row reflect.Value) map[string]string {
	own := unread(row)
	if len(c.blind) == 0 {
		return own
	}
	all := maps.Clone(c.blind)
	maps.Copy(all, own)
	return all
}

// inapplicable tells why the rule does not concern this device, and sets the base severity.
func (c *ruleCase) inapplicable() string {
	r, profile := c.rule, c.facts.Device.Profile
	if !slices.Contains(r.Platforms, c.facts.Device.Platform) {
		return "for " + strings.Join(r.Platforms, ", ") + " only"
	}
	c.base = r.Severity
	if p, ok := r.Profiles[profile]; ok {
		if p == "off" {
			return "off for profile " + profile
		}
		_ = c.base.UnmarshalText([]byte(p)) // checked at load
		return ""
	}
	if profile == "" {
		for _, p := range r.Profiles {
			var s scanner.Severity
			if s.UnmarshalText([]byte(p)) == nil {
				c.base = min(c.base, s)
			}
		}
	}
	return ""
}

// holds evaluates a condition on a row; known is false when the row could not tell. Where a
// column is unread, what can be said without it is said: one true side makes a disjunction
// true, one false side a conjunction false.
func (c *ruleCase) holds(cond *condition, row reflect.Value, unread map[string]string) (yes, known bool) {
	why := ""
	for _, col := range cond.columns {
		if w, ok := unread[col]; ok {
			why = w
			break
		}
	}
	if why == "" {
		got, err := c.vm.Run(cond.program, row.Addr().Interface())
		if err != nil {
			c.unknown = append(c.unknown, "condition failed: "+strings.SplitN(err.Error(), "\n", 2)[0])
			return false, false
		}
		return got.(bool), true
	}
	before, parts, settles := len(c.unknown), cond.any, true
	if cond.all != nil {
		parts, settles = cond.all, false
	}
	all := len(parts) > 0 // every part could tell
	for _, part := range parts {
		yes, known := c.holds(part, row, unread)
		if known && yes == settles {
			c.unknown = c.unknown[:before]
			return yes, true
		}
		all = all && known
	}
	if all {
		return !settles, true
	}
	if len(c.unknown) == before {
		c.unknown = append(c.unknown, why)
	}
	return false, false
}

func (c *ruleCase) judgeRow(row reflect.Value) {
	r, un := c.rule, c.unread(row)
	if r.where != nil {
		reasons := len(c.unknown)
		yes, known := c.holds(r.where, row, un)
		if !known { // a row that would not fire anyway leaves nothing open
			open := slices.Clone(c.unknown)
			if yes, known := c.holds(r.when, row, un); known && !yes {
				open = open[:reasons]
			}
			c.unknown = open
		}
		if !known || !yes {
			return
		}
	}
	if yes, known := c.holds(r.when, row, un); !known || !yes {
		return
	}
	if r.allowed(row) || c.set.allowed(r, row, c.facts.Ref) {
		return
	}
	sev, reasons := c.base, len(c.unknown)
	for i, g := range r.grades {
		if yes, known := c.holds(g, row, un); known && yes {
			sev = r.Grades[i].Severity
			break
		}
	}
	c.unknown = c.unknown[:reasons] // a grade that cannot be told leaves the severity as it is
	sev, note := c.set.note(r, row, sev, c.facts.Ref)
	c.add(row, sev, note)
}

// add puts a firing row into the finding of its subject.
func (c *ruleCase) add(row reflect.Value, sev scanner.Severity, note *scanner.PolicyNote) {
	r := c.rule
	subject := scanner.Subject{Kind: r.fill(r.Subject.Kind, row), Name: r.fill(r.Subject.Name, row)}
	i, ok := c.index[subject]
	if !ok {
		if len(c.findings) >= maxFindings {
			c.dropped++
			return
		}
		i = len(c.findings)
		c.index[subject] = i
		words := r.words(row)
		c.findings = append(c.findings, scanner.Finding{
			Key: scanner.FindingKey(r.ID, subject), Rule: r.ID, Title: r.Title, Category: r.Category,
			FalsePositives: r.FPRisk, Subject: subject, Means: fill(r.Means, words),
			Fix: fill(r.Fix, words), Words: words, Attack: r.Attack, Discreet: r.Discreet,
		})
	}
	f := &c.findings[i]
	accepted := note != nil && note.Accepted
	switch before := f.Policy != nil && f.Policy.Accepted; {
	case !ok:
		f.Policy = note
	case before && !accepted: // one row that nobody accepted is a finding, without the others
		f.Severity, f.Evidence, f.MoreEvidence, f.Paths, f.Policy = 0, nil, 0, nil, note
		f.Means, f.Fix = r.fill(r.Means, row), r.fill(r.Fix, row)
	case !before && accepted:
		return
	case sev > f.Severity:
		f.Policy = note
	}
	f.Severity = max(f.Severity, sev)
	for _, col := range r.Paths {
		for _, p := range r.row.values(row, col) {
			if p != "" && !slices.Contains(f.Paths, p) && len(f.Paths) < maxEvidence {
				f.Paths = append(f.Paths, p)
			}
		}
	}
	if len(f.Evidence) >= maxEvidence {
		f.MoreEvidence++
		return
	}
	e := scanner.Evidence{Source: r.row.value(row, "where"), Fields: map[string]string{}}
	for _, col := range r.Evidence {
		if v := r.row.value(row, col); v != "" {
			e.Fields[col] = v
		}
	}
	f.Evidence = append(f.Evidence, e)
}

// fill puts a row's columns in the place of {column}; of {one|other} the first that is not empty.
func (r *Rule) fill(s string, row reflect.Value) string {
	return placeholder.ReplaceAllStringFunc(s, func(m string) string { return r.word(m[1:len(m)-1], row) })
}

func (r *Rule) word(columns string, row reflect.Value) string {
	first, other, both := strings.Cut(columns, "|")
	if v := r.row.value(row, first); v != "" || !both {
		return v
	}
	return r.row.value(row, other)
}

// words gives what the rule's texts have in the place of their columns; nil when they have none.
func (r *Rule) words(row reflect.Value) map[string]string {
	if len(r.named) == 0 {
		return nil
	}
	words := make(map[string]string, len(r.named))
	for _, columns := range r.named {
		words[columns] = r.word(columns, row)
	}
	return words
}

// fill puts words in the place of what they are named by.
func fill(s string, words map[string]string) string {
	if len(words) == 0 {
		return s
	}
	return placeholder.ReplaceAllStringFunc(s, func(m string) string { return words[m[1:len(m)-1]] })
}

// Absorb takes out findings whose cause another finding tells. It works on the verdict's own
// slices.
func (s *Set) Absorb(v scanner.Verdict) scanner.Verdict {
	v.Levels = s.levels
	byRule := map[string][]int{}
	for i, f := range v.Findings {
		byRule[f.Rule] = append(byRule[f.Rule], i)
	}
	gone := map[int]bool{}
	absorbedBy := map[string][]string{}
	for _, r := range s.rules {
		for _, i := range byRule[r.ID] {
			if gone[i] {
				continue
			}
			for _, id := range r.Absorbs {
				for _, j := range byRule[id] {
					if !gone[j] && sameCause(&v.Findings[i], &v.Findings[j]) {
						gone[j] = true
						v.Findings[i].Discreet = v.Findings[i].Discreet || v.Findings[j].Discreet
						v.Findings[i].Absorbed = append(v.Findings[i].Absorbed, scanner.Absorbed{Rule: id, Subject: v.Findings[j].Subject})
						absorbedBy[id] = append(absorbedBy[id], r.ID)
					}
				}
			}
		}
	}
	if len(gone) == 0 {
		return v
	}
	kept := v.Findings[:0]
	for i, f := range v.Findings {
		if !gone[i] {
			kept = append(kept, f)
		}
	}
	v.Findings = kept
	for i := range v.Coverage {
		c := &v.Coverage[i]
		if told := absorbedBy[c.Rule]; told != nil {
			c.Findings -= len(told)
			slices.Sort(told)
			c.ToldUnder = slices.Compact(told)
		}
	}
	return v
}

// sameCause reports whether finding a tells all of b: they have the same subject, b is about a
// file that a names, or every file that b concerns is one of a's. A finding that groups the
// files of a folder is about them, not about the folder, and stays when a concerns only some.
func sameCause(a, b *scanner.Finding) bool {
	if a.Policy != nil && a.Policy.Accepted && (b.Policy == nil || !b.Policy.Accepted) {
		return false // nobody has accepted b
	}
	aboutFile := len(b.Paths) == 0 || slices.Contains(b.Paths, b.Subject.Name)
	if a.Subject == b.Subject || aboutFile && slices.Contains(a.Paths, b.Subject.Name) {
		return true
	}
	for _, p := range b.Paths {
		if p != a.Subject.Name && !slices.Contains(a.Paths, p) {
			return false
		}
	}
	return len(b.Paths) > 0 && len(b.Paths) < maxEvidence && b.MoreEvidence == 0 // at the limit there may be more
}
