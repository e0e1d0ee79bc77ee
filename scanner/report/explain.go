package report

import (
	"io"
	"strings"

	"picket/scanner/rules"
)

// Explain writes a rule for people. reads lists what its table is read from.
func Explain(w io.Writer, r *rules.Rule, reads []string, s Style) error {
	p := newPrinter(w, s)
	p.line("%s  %s", p.paint(bold, r.ID), r.Title)
	p.line("%s, %s, false alarms: %s, for %s", p.paint(severityColour(r.Severity), r.Severity.String()), r.Category, r.FPRisk, strings.Join(r.Platforms, ", "))
	p.line("")
	p.para("", "Means:      ", unfilled(r.Means))
	p.line("")
	p.para("", "Fix:        ", unfilled(r.Fix))
	p.line("")
	p.para("", "Not always: ", r.FalsePositives)
	p.line("")
	cond := strings.TrimSpace(r.When)
	if strings.TrimSpace(r.Where) != "" {
		cond = strings.TrimSpace(r.Where) + " AND " + cond
	}
	p.para("", "Fires on:   ", "a row of "+r.Table+" where "+cond)
	for _, a := range r.Allow {
		p.para("", "Allows:     ", a.Why)
	}
	p.line("")
	p.para("", "Reads:      ", strings.Join(reads, "  "))
	if len(r.Attack) > 0 {
		p.line("")
		p.para("", "ATT&CK:     ", strings.Join(r.Attack, ", "))
	}
	return p.w.Flush()
}

// unfilled shows placeholders in a way that people read: {name} as NAME, {one|other} as ONE.
func unfilled(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '{')
		j := strings.IndexByte(s[max(i, 0):], '}')
		if i < 0 || j < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		column, _, _ := strings.Cut(s[i+1:i+j], "|")
		b.WriteString(strings.ToUpper(column))
		s = s[i+j+1:]
	}
}
