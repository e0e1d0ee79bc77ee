package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"picket/scanner"
)

// Style says how text for people is written.
type Style struct {
	Colour bool // ANSI colours
	ASCII  bool // nothing but ASCII
	Width  int  // columns; 0 means 80
	Long   bool // every rule's outcome, not only those that failed or are unknown
}

const (
	red    = "31"
	yellow = "33"
	green  = "32"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

func severityColour(s scanner.Severity) string {
	switch s {
	case scanner.Critical, scanner.High:
		return red
	case scanner.Medium:
		return yellow
	case scanner.Low:
		return cyan
	}
	return dim
}

func levelColour(l scanner.Level) string {
	switch l {
	case scanner.LevelHigh:
		return red
	case scanner.LevelMedium:
		return yellow
	case scanner.LevelLow:
		return cyan
	case scanner.Secured:
		return green
	}
	return dim
}

// printer writes lines in a style and keeps the first error.
type printer struct {
	w     *bufio.Writer
	style Style
}

func newPrinter(w io.Writer, s Style) *printer {
	if s.Width < 40 {
		s.Width = 80
	}
	return &printer{bufio.NewWriter(w), s}
}

// text makes a device's text safe and, if asked, ASCII.
func (p *printer) text(s string) string {
	s = Clean(s)
	if p.style.ASCII {
		s = ascii(s)
	}
	return s
}

func (p *printer) paint(code, s string) string {
	if !p.style.Colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

// para writes wrapped text behind a head ("Fix:  "), later lines below the first's text.
// Lines that are commands (in backquotes) are kept whole by the wrapping at blanks only.
func (p *printer) para(indent, head, s string) {
	pad := indent + strings.Repeat(" ", len(head))
	for i, l := range wrap(p.text(strings.ReplaceAll(s, "\n", " ")), p.style.Width-len(pad)) {
		if i == 0 {
			p.line("%s%s%s", indent, p.paint(bold, head), l)
		} else {
			p.line("%s%s", pad, l)
		}
	}
}

// Table writes the report for people: level, findings by subject, what was not checked.
func Table(w io.Writer, r *scanner.Report, s Style) error {
	p := newPrinter(w, s)
	p.line("%s  %s", p.paint(bold, "Picket"), p.text(r.Device.Origin))
	p.line("  %s", p.text(strings.Join(deviceLine(r.Device), ", ")))
	p.line("  %s", p.text(judgedLine(r.Device)))
	if r.Device.ModesUntrusted != "" {
		p.para("  ", "modes not trusted: ", r.Device.ModesUntrusted)
	}
	for _, n := range r.Device.Notes {
		p.para("  ", "note: ", n)
	}
	p.line("")
	p.line("THREAT LEVEL  %s%s", p.paint(levelColour(r.Level), strings.ToUpper(r.Level.String())), setBy(r))
	if c := caution(r.Coverage); c != "" {
		p.para("", "  ", c)
	}
	p.line("")
	for _, g := range bySubject(r.Findings) {
		p.group(g)
	}
	p.coverage(r)
	return p.w.Flush()
}

func setBy(r *scanner.Report) string {
	if len(r.SetBy) == 0 {
		return ""
	}
	set := map[string]bool{}
	for _, k := range r.SetBy {
		set[k] = true
	}
	var names []string
	for _, f := range r.Findings {
		if set[f.Key] {
			names = append(names, f.Rule)
		}
	}
	const shown = 6
	if len(names) > shown {
		return fmt.Sprintf("  set by %s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return "  set by " + strings.Join(names, ", ")
}

func (p *printer) group(g group) {
	p.line("%s", p.paint(bold, p.text(g.Subject.Kind+" "+g.Subject.Name)))
	for _, f := range g.Findings {
		p.finding(f)
	}
	p.line("")
}

func (p *printer) finding(f scanner.Finding) {
	sev := strings.ToUpper(f.Severity.String())
	p.line("  %s  %s  %s", p.paint(severityColour(f.Severity), fmt.Sprintf("%-8s", sev)), f.Rule, p.text(f.Title))
	p.para("    ", "Means:    ", f.Means)
	for i, e := range f.Evidence {
		head := "          "
		if i == 0 {
			head = "Evidence: "
		}
		p.para("    ", head, evidenceText(e))
	}
	if f.MoreEvidence > 0 {
		p.line("              and %d more", f.MoreEvidence)
	}
	p.para("    ", "Fix:      ", f.Fix)
	if len(f.Attack) > 0 {
		p.para("    ", "ATT&CK:   ", strings.Join(f.Attack, ", "))
	}
	for _, a := range f.Absorbed {
		p.para("    ", "Also:     ", a.Rule+" on "+a.Subject.Kind+" "+a.Subject.Name)
	}
	if note := PolicyText(f.Policy); note != "" {
		p.para("    ", "Policy:   ", note)
	}
	if f.FalsePositives == "high" {
		p.para("    ", "Note:     ", "a sign that is often harmless; it does not set the level alone")
	}
}

// PolicyText says for people what a policy made of a finding; "" for nothing.
func PolicyText(n *scanner.PolicyNote) string {
	if n == nil {
		return ""
	}
	text := "the policy grades it so: "
	switch {
	case n.Accepted:
		text = "accepted by policy, does not set the level: "
	case n.Was != 0:
		text = "graded by policy, was " + n.Was.String() + ": "
	}
	text += n.Why
	if n.Expires != "" {
		text += " (until " + n.Expires + ")"
	}
	return text
}

func evidenceText(e scanner.Evidence) string {
	parts := []string{e.Source}
	for _, kv := range fields(e) {
		parts = append(parts, kv[0]+"="+kv[1])
	}
	return strings.Join(parts, "  ")
}

func (p *printer) coverage(r *scanner.Report) {
	n := outcomes(r.Coverage)
	p.line("%s %d rules: %d passed, %d failed, %d unknown, %d not applicable", p.paint(bold, "Coverage"), len(r.Coverage),
		n[scanner.Passed], n[scanner.Failed], n[scanner.Unknown], n[scanner.NotApplicable])
	if p.style.Long {
		for _, c := range r.Coverage {
			p.para("  ", fmt.Sprintf("%-8s %-14s ", c.Rule, c.Outcome), c.Title+why(c.Why)+toldUnder(c.ToldUnder))
		}
		return
	}
	if us := unknowns(r.Coverage); len(us) > 0 {
		p.line("Not checked, or not wholly:")
		for _, u := range us {
			p.para("  ", "- ", u.Why+": "+strings.Join(u.Rules, ", "))
		}
	}
	for _, t := range r.Tables {
		if len(t.Partial) > 0 {
			p.para("  ", "- ", "table "+t.Table+" in part: "+strings.Join(t.Partial, "; "))
		}
	}
}

func toldUnder(rules []string) string {
	if len(rules) == 0 {
		return ""
	}
	return " (told under " + strings.Join(rules, ", ") + ")"
}

func why(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
