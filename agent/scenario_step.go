package agent

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// step reads one step: when, and one thing that happens.
func (l *scenarioLoad) step(n *yaml.Node) {
	s := step{line: n.Line, at: l.now}
	did := func(key string, read func(*yaml.Node)) func(*yaml.Node) {
		return func(v *yaml.Node) {
			if s.do != "" {
				l.problem(l.line(v.Line), key, "one step does one thing: this one has %s already", s.do)
				return
			}
			s.do = key
			read(v)
		}
	}
	read := map[string]func(*yaml.Node){
		"at":        func(v *yaml.Node) { s.at = l.span(v, "at", maxSpan) },
		"after":     func(v *yaml.Node) { s.at = l.now + l.span(v, "after", maxSpan) },
		"unnoticed": func(v *yaml.Node) { s.unnoticed = l.word(v, "unnoticed", []string{"yes", "no"}) == "yes" },
		"device":    did("device", func(v *yaml.Node) { s.device = l.deviceOf(v, "device") }),
		"change":    did("change", func(v *yaml.Node) { s.device = l.deviceOf(v, "change") }),
		"clock":     did("clock", func(v *yaml.Node) { l.clock(v, &s) }),
		"sleep":     did("sleep", func(v *yaml.Node) { s.span = l.span(v, "sleep", maxSpan) }),
		"ignore":    did("ignore", func(v *yaml.Node) { s.ignore = l.ignore(v) }),
		"unignore":  did("unignore", func(v *yaml.Node) { s.ignore.finding = l.text(v, "unignore") }),
		"config":    did("config", l.settings),
	}
	for key, words := range scenarioWords {
		read[key] = did(key, func(v *yaml.Node) { s.text = l.word(v, key, words) })
	}
	got := l.fields(n, read)
	if got == nil {
		return
	}
	s.config = l.cfg
	switch {
	case s.do == "" && len(l.problems) == 0:
		l.problem(l.line(n.Line), "", "nothing happens in this step: it needs device, change, upstream, agent, power, clock, sleep, rescan, ignore, unignore or config")
	case got["at"] && got["after"]:
		l.problem(l.line(n.Line), "at", "a step has at or after, not both")
	case s.unnoticed && s.do != "change":
		l.problem(l.line(n.Line), "unnoticed", "unnoticed goes with change")
	case s.at < l.now:
		l.problem(l.line(n.Line), "at", "the step before ends at %s, and this one comes before that", formatDuration(l.now))
	case s.at > maxSpan:
		l.problem(l.line(n.Line), "after", "a scenario goes on for %s at most", formatDuration(maxSpan))
	}
	l.countChanges(s)
	l.now = max(l.now, s.at)
	if s.do == "sleep" {
		l.now += s.span
	}
	l.out.steps = append(l.out.steps, s)
}

func (l *scenarioLoad) countChanges(s step) {
	switch s.do {
	case "device":
		l.changes = 0
	case "change":
		if l.changes++; l.changes == maxChanges+1 {
			l.problem(l.line(s.line), "change", "one device may be changed %d times: give it anew, by device", maxChanges)
		}
	}
}

// word reads a value that is one of some.
func (l *scenarioLoad) word(n *yaml.Node, key string, words []string) string {
	text := l.text(n, key)
	if text != "" && !slices.Contains(words, text) {
		l.problem(l.line(n.Line), key, "%s: %s is none of %s", key, quoted(text), strings.Join(words, ", "))
	}
	return text
}

// clock reads what the wall clock is set to, or by how much: "+10m", "-3650d".
func (l *scenarioLoad) clock(n *yaml.Node, s *step) {
	text := l.text(n, "clock")
	if text == "" {
		return
	}
	const most = 100 * maxSpan
	rest := strings.TrimLeft(text, "+-")
	d, err := parseDuration(rest)
	if len(text)-len(rest) == 1 && err == nil && d <= most {
		if s.span = d; text[0] == '-' {
			s.span = -d
		}
		return
	}
	if s.to, err = time.Parse(time.RFC3339, text); err != nil || s.to.Year() < 1970 || s.to.Year() > 2200 {
		l.problem(l.line(n.Line), "clock", "clock: %s is neither a time like 2036-01-31T12:00:00Z nor a span like +10m or -3650d", quoted(text))
	}
}

func (l *scenarioLoad) ignore(n *yaml.Node) (i scenarioIgnore) {
	got := l.fields(n, map[string]func(*yaml.Node){
		"finding": func(v *yaml.Node) { i.finding = l.text(v, "finding") },
		"for":     func(v *yaml.Node) { i.span = l.span(v, "for", apiIgnoreMax) },
		"why":     func(v *yaml.Node) { i.why = l.text(v, "why") },
	})
	for _, key := range []string{"finding", "for", "why"} {
		if got != nil && !got[key] {
			l.problem(l.line(n.Line), key, "ignore needs %s", key)
		}
	}
	if i.why != "" {
		if err := checkWhy(i.why); err != nil {
			l.problem(l.line(n.Line), "why", "%v", err)
		}
	}
	return i
}

// String says what a step does, in a few words.
func (s step) String() string {
	switch s.do {
	case "device", "change":
		text := s.do + " " + s.device.name
		if s.device.path == "" {
			text = s.do + " in line " + strconv.Itoa(s.device.line)
		}
		if s.unnoticed {
			text += ", unnoticed"
		}
		return text
	case "clock":
		if !s.to.IsZero() {
			return "clock " + stamp(s.to)
		}
		return "clock " + s.span.String()
	case "sleep":
		return "sleep " + formatDuration(s.span)
	case "ignore":
		return "ignore " + s.ignore.finding + " for " + formatDuration(s.ignore.span) + ": " + s.ignore.why
	case "unignore":
		return "unignore " + s.ignore.finding
	case "config", "rescan":
		return s.do
	}
	return s.do + " " + s.text
}
