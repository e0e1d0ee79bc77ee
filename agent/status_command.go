package agent

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/report"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show how the agent is, what it found and what it costs", Args: noArgs,
		Example: "  picket status\n  picket status --json",
	}
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (s Status, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "status"}, nil, &s)
		return s, err
	}, func(w io.Writer, s Status) error { return showStatus(w, s, time.Now()) })
}

// showStatus writes a status for people.
func showStatus(w io.Writer, s Status, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, report.Clean(fmt.Sprintf(format, args...)))
	}
	row("level", "%s", s.Level)
	if s.Access != "" {
		row("access", "%s: 'picket posture' says why", s.Access)
	}
	row("findings", "%s", findingsText(s))
	if s.NotChecked > 0 {
		row("not checked", "%d rules: 'picket scan' says why", s.NotChecked)
	}
	row("packages", "%s", packagesText(s.Packages))
	if s.LastScan != nil {
		row("last scan", "%s, %s ago, %s of CPU", timeText(s.LastScan.Finished), agoText(now.Sub(s.LastScan.Finished)), secondsText(s.LastScan.CPUSeconds))
	} else {
		row("last scan", "none yet")
	}
	if s.NextScan != nil {
		row("next scan", "%s", timeText(*s.NextScan))
	} else {
		row("next scan", "one is running")
	}
	row("agent", "picket %s, process %d, for %s", s.Version, s.PID, agoText(now.Sub(s.Since)))
	row("runs as", "%s", privilegesText(s.Privileges))
	row("config", "%s", configUseText(s.Config))
	row("enrolment", "%s", enrolmentText(&s.Enrolment, now))
	row("updates", "%s", updatesText(s.Updates, now))
	if text := wipeText(s.Responses); text != "" {
		row("work data", "%s", text)
	}
	row("outbox", "%s", outboxText(s.Outbox, now))
	row("store", "%s, %s", s.Store.File, bytesText(s.Store.Bytes))
	row("costs", "%s", ownText(s.Own))
	if err := tw.Flush(); err != nil {
		return err
	}
	return showWarnings(w, s.Warnings, now)
}

func showWarnings(w io.Writer, all []Warning, now time.Time) error {
	for _, x := range all {
		_, err := fmt.Fprintf(w, "\nwarning: %s (%s, for %s)\n", report.Clean(x.Text), report.Clean(x.Code), agoText(now.Sub(x.Since)))
		if err == nil && x.Fix != "" {
			_, err = fmt.Fprintf(w, "         %s\n", report.Clean(x.Fix))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func findingsText(s Status) string {
	var parts []string
	for v := scanner.Critical; v >= scanner.Informational; v-- {
		if n := s.Findings[v.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	if len(parts) == 0 {
		parts = []string{"none open"}
	}
	if s.Ignored > 0 {
		parts = append(parts, fmt.Sprintf("of them %d ignored", s.Ignored))
	}
	return strings.Join(parts, ", ")
}

func packagesText(p InventoryState) string {
	text := fmt.Sprintf("%d", p.Count)
	if p.Absent != "" {
		text = "not known: " + p.Absent
	}
	if len(p.Partial) > 0 {
		text += "; not wholly read: " + strings.Join(p.Partial, "; ")
	}
	return text
}

func privilegesText(p Privileges) string {
	text := "root"
	if !p.Root {
		text = fmt.Sprintf("user %d, who does not see everything", p.UID)
	}
	if len(p.Missing) > 0 {
		text += "; without " + strings.Join(p.Missing, ", ")
	}
	return text
}

func configUseText(c ConfigUse) string {
	text := c.File
	if !c.Read {
		text = "defaults: there is no " + c.File
	}
	if c.Refused != "" {
		text += "; the last reload was refused: " + c.Refused
	}
	return text
}

func updatesText(u UpdateState, now time.Time) string {
	rules := u.Rules + " rules"
	if u.RulesVersion != "" {
		rules += " " + u.RulesVersion
	}
	if u.From == "" || u.Checked == nil || u.Fresh == nil {
		return rules + ", no updates"
	}
	text := fmt.Sprintf("%s, targets %d from %s, looked %s ago", rules, u.Targets, u.From, agoText(now.Sub(*u.Checked)))
	if u.PolicyVersion != "" {
		text += ", policy " + u.PolicyVersion
	}
	if u.Stale {
		return text + "; old since " + timeText(*u.Fresh)
	}
	return text + ", good until " + timeText(*u.Fresh)
}

func outboxText(o OutboxState, now time.Time) string {
	text := fmt.Sprintf("%d events, %s of %s", o.Events, bytesText(o.Bytes), bytesText(o.Limit))
	if o.Oldest != nil {
		text += ", the oldest from " + agoText(now.Sub(*o.Oldest)) + " ago"
	}
	if o.Quarantined > 0 {
		text += fmt.Sprintf(", %d refused for good", o.Quarantined)
	}
	if o.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped", o.Dropped)
	}
	if o.Upstream != "" {
		text += ", to " + o.Upstream
	}
	if m := o.Metered; m != nil {
		text += fmt.Sprintf("; %s of %s sent today over a metered network", bytesText(m.Bytes), bytesText(m.Daily))
		if m.Held != nil {
			text += ", and what is not grave waits for another network or day"
		}
	}
	return text
}

func ownText(u OwnUse) string {
	text := fmt.Sprintf("%s of CPU, %s of memory, %d files", secondsText(u.CPUSeconds), bytesText(u.Resident), u.Files)
	if len(u.Days) > 0 {
		d := u.Days[0]
		text += fmt.Sprintf("; on %s %s, %d wake-ups, %s written", d.Day, secondsText(d.CPUSeconds), d.WakeUps, bytesText(d.BytesWritten))
	}
	if len(u.Collectors) > 0 {
		top := slices.MaxFunc(u.Collectors, func(a, b CollectorUse) int { return cmp.Compare(a.CPUSeconds, b.CPUSeconds) })
		text += fmt.Sprintf("; most by %s, %s", top.Table, secondsText(top.CPUSeconds))
	}
	return text
}

func secondsText(s float64) string { return fmt.Sprintf("%.2f s", s) }

func bytesText(n int64) string {
	for _, u := range []struct {
		name string
		n    int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.n {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.n), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// agoText shows a span of time by its two largest units. One that is negative comes of a clock
// that was set.
func agoText(d time.Duration) string {
	if d < 0 {
		return "-" + agoText(-d)
	}
	switch {
	case d >= day:
		d = d.Truncate(time.Hour)
	case d >= time.Hour:
		d = d.Truncate(time.Minute)
	default:
		d = d.Truncate(time.Second)
	}
	return formatDuration(d)
}

// threatList is what `picket threats --json` writes.
type threatList struct {
	threatsEnd
	Findings []threat `json:"findings"`
}

func threatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "threats", Short: "List what is wrong: the open findings, what each means and the step that clears it", Args: noArgs,
		Example: "  picket threats\n  picket threats --json",
	}
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (out threatList, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "threats"}, collect(&out.Findings), &out.threatsEnd)
		return out, err
	}, showThreats)
}

func showThreats(w io.Writer, l threatList) error {
	for _, t := range l.Findings {
		if err := showThreat(w, t); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("level %s, %d open", l.Level, l.Count)
	if l.LastScan == nil {
		text += "; the agent has not scanned since it started"
	} else {
		text += ", last scan " + timeText(*l.LastScan)
	}
	if l.NotChecked > 0 {
		text += fmt.Sprintf("; %d rules could not be judged", l.NotChecked)
	}
	if l.Unkept != "" {
		text += "\nwhat that scan found may not all be here: " + report.Clean(l.Unkept)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func showThreat(w io.Writer, t threat) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s  %s  %s\n", strings.ToUpper(t.Severity.String()), report.Clean(t.Rule), report.Clean(t.Title))
	para := func(head, text string) {
		for i, line := range wrap(report.Clean(text), 84) {
			if i > 0 {
				head = ""
			}
			fmt.Fprintf(&b, "  %-9s %s\n", head, line)
		}
	}
	if t.Subject.Kind != "" {
		para("subject", t.Subject.Kind+" "+t.Subject.Name)
	}
	para("key", fmt.Sprintf("%s, since %s", t.Key, timeText(t.Since)))
	if note := report.PolicyText(t.Policy); note != "" {
		para("policy", note)
	}
	if i := t.Ignored; i != nil {
		para("ignored", fmt.Sprintf("until %s by %s: %s", timeText(i.Until), i.By, i.Why))
	}
	if t.Unread != "" {
		para("unread", "the stored finding cannot be read: "+t.Unread)
	}
	for _, e := range t.Evidence {
		para("shown by", evidenceText(e))
	}
	if t.MoreEvidence > 0 {
		para("shown by", fmt.Sprintf("%d more", t.MoreEvidence))
	}
	if t.Means != "" {
		para("means", t.Means)
	}
	if t.Fix != "" {
		para("fix", t.Fix)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func evidenceText(e scanner.Evidence) string {
	text := e.Source
	for _, k := range slices.Sorted(maps.Keys(e.Fields)) {
		text += " " + k + "=" + e.Fields[k]
	}
	return text
}
