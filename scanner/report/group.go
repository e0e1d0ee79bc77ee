package report

import (
	"fmt"
	"sort"

	"picket/scanner"
)

// group is all findings of one subject, the gravest first.
type group struct {
	Subject  scanner.Subject
	Findings []scanner.Finding
}

// bySubject groups findings; they are sorted by severity already, and so are the groups.
func bySubject(fs []scanner.Finding) []group {
	var out []group
	index := map[scanner.Subject]int{}
	for _, f := range fs {
		i, ok := index[f.Subject]
		if !ok {
			i = len(out)
			index[f.Subject] = i
			out = append(out, group{Subject: f.Subject})
		}
		out[i].Findings = append(out[i].Findings, f)
	}
	return out
}

// outcomes counts coverage by outcome.
func outcomes(cs []scanner.Coverage) map[scanner.Outcome]int {
	n := map[scanner.Outcome]int{}
	for _, c := range cs {
		n[c.Outcome]++
	}
	return n
}

// caution says how much of the level rests on what could not be seen: "" when most rules came
// to a verdict.
func caution(cs []scanner.Coverage) string {
	n := outcomes(cs)
	judged := n[scanner.Passed] + n[scanner.Failed]
	if n[scanner.Unknown] <= judged {
		return ""
	}
	return fmt.Sprintf("as far as could be seen: %d of %d checks could not be made", n[scanner.Unknown], n[scanner.Unknown]+judged)
}

// notChecked groups the rules that ended unknown by their reason.
type notChecked struct {
	Why   string
	Rules []string
}

func unknowns(cs []scanner.Coverage) []notChecked {
	index := map[string]int{}
	var out []notChecked
	for _, c := range cs {
		if c.Outcome != scanner.Unknown && (c.Outcome != scanner.Failed || c.Why == "") {
			continue
		}
		i, ok := index[c.Why]
		if !ok {
			i = len(out)
			index[c.Why] = i
			out = append(out, notChecked{Why: c.Why})
		}
		out[i].Rules = append(out[i].Rules, c.Rule)
	}
	sort.SliceStable(out, func(i, j int) bool { return len(out[i].Rules) > len(out[j].Rules) })
	return out
}

// fields gives an evidence's fields in the order of their names.
func fields(e scanner.Evidence) [][2]string {
	out := make([][2]string, 0, len(e.Fields))
	for k, v := range e.Fields {
		out = append(out, [2]string{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i][0] < out[j][0] })
	return out
}

// deviceLine describes the device in one line: system, profile, kernel.
func deviceLine(d scanner.DeviceInfo) []string {
	var out []string
	if d.OS != nil {
		out = append(out, d.OS.Name)
		if d.OS.Version != "" && d.OS.ID != "" {
			out = append(out, d.OS.ID+" "+d.OS.Version)
		}
		if d.OS.Kernel != "" {
			out = append(out, "kernel "+d.OS.Kernel)
		}
		if d.OS.Arch != "" {
			out = append(out, d.OS.Arch)
		}
		if d.OS.Model != "" {
			out = append(out, d.OS.Model)
		}
	} else {
		out = append(out, "unknown operating system")
	}
	if d.Profile != "" {
		out = append(out, "profile "+d.Profile)
	}
	return out
}

// judgedLine says as of when and with which rights the device was judged.
func judgedLine(d scanner.DeviceInfo) string {
	s := "judged as of " + d.JudgedAsOf
	if d.RecordedAt == "" {
		s += " (the recording has no date of its own)"
	}
	if d.Live && !d.Root {
		s += ", read without root rights"
	}
	return s
}
