package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"picket/scanner/rules"
)

// Limits of a scenario. It may come from anybody.
const (
	maxSteps   = 10_000
	maxSpan    = 366 * day
	maxChanges = 256 // laid over one device
)

// scenarioFile is what `picket replay` plays; docs/replay.md describes the file.
type scenarioFile struct {
	file   string
	start  time.Time
	end    time.Duration // since start
	seed   string
	device scenarioDevice
	config Config
	steps  []step
}

// scenarioDevice is a device, or a change of one: a file, or text in the scenario itself.
type scenarioDevice struct {
	path string // whole; "" for text
	name string // as the scenario has it
	text []byte
	line int
}

// step is one thing that happens.
type step struct {
	line int
	at   time.Duration // since start, sleep included
	do   string        // the key that says what
	text string        // its value, checked

	device    scenarioDevice // of device and change
	unnoticed bool           // of change: nothing gives notice of it
	span      time.Duration  // of sleep and clock
	to        time.Time      // of clock; zero when it is set by span
	ignore    scenarioIgnore
	config    Config // after config
}

// scenarioIgnore sets a finding aside.
type scenarioIgnore struct {
	finding string // key, start of it, or rule
	span    time.Duration
	why     string
}

// scenarioKeys are those of the configuration that mean something in a replay.
var scenarioKeys = []string{"profile", "rules_dir", "allow", "indicators", "digests", "scan_interval", "scan_jitter", "watch", "sample_interval",
	"outbox_size", "outbox_age", "snapshot_interval", "log_level"}

// scenarioWords are the values that steps may have which are words.
var scenarioWords = map[string][]string{
	"upstream": {"up", "down", "refuse", "mute"},
	"agent":    {"start", "stop", "kill"},
	"power":    {"off", "on"},
	"rescan":   {"yes"},
}

// scenarioLoad reads a scenario. Where files are concerned it says the same of the same mistake
// as a configuration's reader does.
type scenarioLoad struct {
	*configLoad
	dir     string
	out     *scenarioFile
	now     time.Duration
	changes int // of the present device
}

// loadScenario reads a scenario's file. The error is a *ConfigError, with all that is wrong.
func loadScenario(file string) (*scenarioFile, error) {
	src, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("reading the scenario: %w", err)
	}
	return parseScenario(file, src)
}

func parseScenario(file string, src []byte) (*scenarioFile, error) {
	l := &scenarioLoad{
		configLoad: &configLoad{all: settings(), from: Origins{File: file, Keys: map[string]Origin{}}},
		dir:        filepath.Dir(file),
		out:        &scenarioFile{file: file, start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	l.defaults()
	if root := l.parse(src); root != nil {
		l.scenario(root)
	} else if len(l.problems) == 0 {
		l.problem(l.line(1), "", "there is nothing in this scenario")
	}
	if len(l.problems) > 0 {
		return nil, &ConfigError{l.problems}
	}
	return l.out, nil
}

func (l *scenarioLoad) scenario(root *yaml.Node) {
	var steps, end *yaml.Node
	got := l.fields(root, map[string]func(*yaml.Node){
		"title":  func(n *yaml.Node) { l.text(n, "title") },
		"seed":   func(n *yaml.Node) { l.out.seed = l.text(n, "seed") },
		"start":  func(n *yaml.Node) { l.out.start = l.time(n, "start") },
		"device": func(n *yaml.Node) { l.out.device = l.deviceOf(n, "device") },
		"config": l.settings,
		"steps":  func(n *yaml.Node) { steps = n },
		"end":    func(n *yaml.Node) { end = n },
	})
	l.out.config = l.cfg
	for _, key := range []string{"device", "end"} {
		if got != nil && !got[key] {
			l.problem(l.line(root.Line), key, "%s is missing", key)
		}
	}
	switch {
	case steps == nil || l.fancy(steps, "steps"):
	case steps.Kind != yaml.SequenceNode:
		l.problem(l.line(steps.Line), "steps", "steps needs a list, not %s", shape(steps))
	case len(steps.Content) > maxSteps:
		l.problem(l.line(steps.Content[maxSteps].Line), "steps", "there are more than %d steps", maxSteps)
	default:
		for _, n := range steps.Content {
			l.step(n)
		}
	}
	if end == nil {
		return
	}
	if l.out.end = l.span(end, "end", maxSpan); l.out.end < l.now && len(l.problems) == 0 {
		l.problem(l.line(end.Line), "end", "the end comes before the last step, which ends at %s", formatDuration(l.now))
	}
}

// fields hands the values of a mapping to those who read them, and tells which there were. It
// gives nil where there is no mapping.
func (l *scenarioLoad) fields(n *yaml.Node, read map[string]func(*yaml.Node)) map[string]bool {
	if l.fancy(n, "") {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		l.problem(l.line(n.Line), "", "lines of the form \"key: value\" are needed here, not %s", shape(n))
		return nil
	}
	var known []string
	for key := range read {
		known = append(known, key)
	}
	slices.Sort(known)
	got := map[string]bool{}
	for i := 0; i+1 < len(n.Content) && len(l.problems) < maxConfigProblems; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		do := read[key.Value]
		switch {
		case l.fancy(key, "") || l.fancy(value, key.Value):
		case key.Kind != yaml.ScalarNode || do == nil:
			l.problem(l.line(key.Line), "", "unknown key %s%s", quoted(key.Value), rules.DidYouMean(key.Value, known))
		case got[key.Value]:
			l.problem(l.line(key.Line), key.Value, "%s is there already", key.Value)
		default:
			got[key.Value] = true
			do(value)
		}
	}
	return got
}

// text reads a value that is not empty.
func (l *scenarioLoad) text(n *yaml.Node, key string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || n.Value == "" {
		l.problem(l.line(n.Line), key, "%s needs a value, not %s", key, shape(n))
		return ""
	}
	return n.Value
}

func (l *scenarioLoad) time(n *yaml.Node, key string) time.Time {
	text := l.text(n, key)
	t, err := time.Parse(time.RFC3339, text)
	if text != "" && (err != nil || t.Year() < 1980 || t.Year() > 2200) {
		l.problem(l.line(n.Line), key, "%s: %s is no time like 2026-01-31T12:00:00Z from 1980 to 2200", key, quoted(text))
	}
	return t.UTC()
}

func (l *scenarioLoad) span(n *yaml.Node, key string, most time.Duration) time.Duration {
	text := l.text(n, key)
	d, err := parseDuration(text)
	if text != "" && (err != nil || d > most) {
		l.problem(l.line(n.Line), key, "%s: %s is no duration like 90s, 12h or 7d, up to %s", key, quoted(text), formatDuration(most))
		return 0
	}
	return d
}

// settings takes keys of the configuration, over those that were set before.
func (l *scenarioLoad) settings(n *yaml.Node) {
	read := map[string]func(*yaml.Node){}
	for _, key := range scenarioKeys {
		s, _ := l.find(key)
		read[key] = func(v *yaml.Node) {
			if s.kind == "path" && !l.paths(v, key) {
				return
			}
			l.value(s, v.Line, v)
		}
	}
	l.fields(n, read)
}

// paths makes the names of files in a value whole.
func (l *scenarioLoad) paths(n *yaml.Node, key string) bool {
	for _, e := range append([]*yaml.Node{n}, n.Content...) {
		if e.Kind != yaml.ScalarNode || e.Value == "" {
			continue
		}
		path, ok := l.inside(e.Value, e.Line, key)
		if !ok {
			return false
		}
		e.Value = path
	}
	return true
}

// inside gives the whole path of a file in the scenario's folder or below it. Links do not lead
// out of it.
func (l *scenarioLoad) inside(name string, line int, key string) (string, bool) {
	fail := func(why string) (string, bool) {
		l.problem(l.line(line), key, "%s: %s %s", key, quoted(name), why)
		return "", false
	}
	if !filepath.IsLocal(name) || len(name) > maxPath {
		return fail("is no path below the scenario's folder")
	}
	dir, err := filepath.Abs(l.dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return fail("cannot be found: " + plainPathError(err).Error())
	}
	path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
	if err != nil {
		return fail("cannot be read: " + plainPathError(err).Error())
	}
	if rel, err := filepath.Rel(dir, path); err != nil || !filepath.IsLocal(rel) {
		return fail("leads out of the scenario's folder")
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return fail("is neither a file nor a folder")
	}
	return path, true
}

// deviceOf reads a device or a change: the name of a file, or what would be in it.
func (l *scenarioLoad) deviceOf(n *yaml.Node, key string) scenarioDevice {
	d := scenarioDevice{name: l.text(n, key), line: n.Line}
	if d.name == "" {
		return d
	}
	if strings.Contains(d.name, "\n") || strings.HasPrefix(d.name, "-- ") {
		d.name, d.text = "", []byte(d.name)
		return d
	}
	d.path, _ = l.inside(d.name, n.Line, key)
	return d
}
