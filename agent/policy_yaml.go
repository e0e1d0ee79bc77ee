package agent

import (
	"fmt"
	"net/mail"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"picket/scanner"
	"picket/scanner/rules"
)

const (
	maxPolicyList = 1000 // entries of one list
	maxPolicyText = 300  // bytes of one text
)

// policyLoad gathers a policy and what is wrong with it.
type policyLoad struct {
	configLoad
	lines map[string]int // of the keys that were given
}

// ParsePolicy reads a policy. Everything that is wrong is told at once, each with its line, and
// nothing is taken from a document that has anything wrong in it.
func ParsePolicy(name string, src []byte) (*Policy, error) {
	l := &policyLoad{lines: map[string]int{}}
	l.from.File = name
	p := &Policy{}
	l.defaultsOf(reflect.ValueOf(p).Elem())
	switch root := l.parse(src); {
	case root != nil:
		l.fill(root, reflect.ValueOf(p).Elem(), "")
		l.agree(p)
	case len(l.problems) == 0:
		l.problem(l.line(1), "", "the policy is empty")
	}
	if len(l.problems) > 0 {
		return nil, &ConfigError{l.problems}
	}
	return p, nil
}

func (l *policyLoad) defaultsOf(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type.Kind() == reflect.Struct {
			l.defaultsOf(v.Field(i))
		} else if def := f.Tag.Get("default"); def != "" {
			l.scalar(v.Field(i), f, f.Tag.Get("key"), def, Origin{})
		}
	}
}

// fill reads a mapping into a struct.
func (l *policyLoad) fill(n *yaml.Node, v reflect.Value, path string) {
	if l.fancy(n, path) {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.problem(l.line(n.Line), path, "lines of the form \"key: value\" are needed here, not %s", shape(n))
		return
	}
	fields, names := map[string]int{}, []string{}
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("key")
		fields[key] = i
		names = append(names, key)
	}
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content) && len(l.problems) < maxConfigProblems; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if l.fancy(key, path) {
			continue
		}
		at, known := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			l.problem(l.line(key.Line), path, "a key must be a plain name, not %s", shape(key))
		case !known:
			l.problem(l.line(key.Line), path, "unknown key %s%s", quoted(key.Value), rules.DidYouMean(key.Value, names))
		case given[key.Value]:
			l.problem(l.line(key.Line), path, "%s is there twice", join(path, key.Value))
		default:
			given[key.Value] = true
			l.lines[join(path, key.Value)] = key.Line
			l.value(value, v.Field(at), v.Type().Field(at), join(path, key.Value))
		}
	}
	for i := range v.NumField() {
		if t := v.Type().Field(i).Tag; t.Get("need") != "" && !given[t.Get("key")] {
			l.problem(l.line(n.Line), path, "%s is missing", join(path, t.Get("key")))
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (l *policyLoad) value(n *yaml.Node, v reflect.Value, f reflect.StructField, path string) {
	if l.fancy(n, path) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		l.fill(n, v, path)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode || len(n.Content) > maxPolicyList {
			l.problem(l.line(n.Line), path, "%s needs a list of at most %d entries", path, maxPolicyList)
			return
		}
		for i, e := range n.Content {
			one := reflect.New(v.Type().Elem()).Elem()
			l.fill(e, one, fmt.Sprintf("%s[%d]", path, i))
			v.Set(reflect.Append(v, one))
		}
	case reflect.Map:
		l.matches(n, v, path)
	default:
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			l.problem(l.line(n.Line), path, "%s needs one value, not %s", path, shape(n))
			return
		}
		l.scalar(v, f, path, n.Value, l.line(n.Line))
	}
}

// matches reads columns and what they must be.
func (l *policyLoad) matches(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		l.problem(l.line(n.Line), path, "%s needs columns and their values", path)
		return
	}
	out := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch _, twice := out[key.Value]; {
		case l.fancy(key, path) || l.fancy(value, path):
		case key.Kind != yaml.ScalarNode || value.Kind != yaml.ScalarNode || len(value.Value) > maxPolicyText:
			l.problem(l.line(key.Line), path, "%s needs columns and their values, of at most %d bytes", path, maxPolicyText)
		case twice:
			l.problem(l.line(key.Line), path, "%s: %s is there twice", path, quoted(key.Value))
		default:
			out[key.Value] = value.Value
		}
	}
	if len(out) > 0 && !slices.ContainsFunc(mapValues(out), func(s string) bool { return strings.Trim(s, "*") != "" }) {
		l.problem(l.line(n.Line), path, "%s fits every row: switch the rule off in rules, if that is meant", path)
	}
	v.Set(reflect.ValueOf(out))
}

func mapValues(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// scalar sets a field from a text.
func (l *policyLoad) scalar(v reflect.Value, f reflect.StructField, path, text string, at Origin) {
	kind := f.Tag.Get("kind")
	if v.Kind() == reflect.Bool {
		if text != "true" && text != "false" {
			l.problem(at, path, "%s: %s is neither true nor false", path, quoted(text))
			return
		}
		v.SetBool(text == "true")
		return
	}
	if kind == "severity" {
		var s scanner.Severity
		if err := s.UnmarshalText([]byte(text)); err != nil {
			l.problem(at, path, "%s: %s is none of info, low, medium, high, critical", path, quoted(text))
			return
		}
		v.Set(reflect.ValueOf(s))
		return
	}
	if check := policyKinds[kind]; check != nil {
		if why := check(text); why != "" {
			l.problem(at, path, "%s: %s %s", path, quoted(text), why)
			return
		}
		v.SetString(text)
		return
	}
	got, err := setting{key: path, kind: kind, min: f.Tag.Get("min"), max: f.Tag.Get("max"), def: f.Tag.Get("default"), of: f.Type}.parse(text)
	if err != nil {
		l.problem(at, path, "%s: %v", path, err)
		return
	}
	v.Set(reflect.ValueOf(got))
}

var (
	phonePattern = regexp.MustCompile(`^\+?[0-9][0-9 ()/.-]{2,30}$`)
	agePattern   = regexp.MustCompile(`^age1[02-9ac-hj-np-z]{58}$`)
	clockPattern = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	wipePattern  = regexp.MustCompile(`^[0-9a-f]{16}$`)
	rulePattern  = regexp.MustCompile(`^(APP|OS|CFG|NET|AGT)-[0-9]{3}[a-z]?$`)
)

// policyKinds check texts, and say what is wrong with them.
var policyKinds = map[string]func(string) string{
	"text": func(s string) string {
		switch {
		case strings.TrimSpace(s) == "":
			return "says nothing"
		case len(s) > maxPolicyText:
			return fmt.Sprintf("has more than %d bytes", maxPolicyText)
		case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
			return "has characters that do not show"
		}
		return ""
	},
	"email": func(s string) string {
		if a, err := mail.ParseAddress(s); err != nil || a.Address != s || len(s) > maxPolicyText {
			return "is no address of mail such as help@example.org"
		}
		return ""
	},
	"url": func(s string) string {
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(s) > maxPolicyText {
			return "is no address such as https://example.org/help"
		}
		return ""
	},
	"phone": func(s string) string { return unless(phonePattern, s, "is no number such as +31 20 123 4567") },
	"age":   func(s string) string { return unless(agePattern, s, "is no age key such as age1...") },
	"clock": func(s string) string { return unless(clockPattern, s, "is no time such as 22:00") },
	"wipe":  func(s string) string { return unless(wipePattern, s, "is no wipe's id such as 3f9a0c51d2e47b86") },
	"rule":  func(s string) string { return unless(rulePattern, s, "is no rule's id such as OS-030") },
	"date": func(s string) string {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return "is no date such as 2027-01-31"
		}
		return ""
	},
}

func unless(p *regexp.Regexp, s, why string) string {
	if p.MatchString(s) {
		return ""
	}
	return why
}

// agree checks values that hang together.
func (l *policyLoad) agree(p *Policy) {
	for _, c := range []struct {
		key   string
		wrong bool
		text  string
	}{
		{"levels", p.Levels.Low > p.Levels.Medium || p.Levels.Medium > p.Levels.High, "levels: low may not be above medium, nor medium above high"},
		{"intervals.scan_max", p.Intervals.ScanMax > 0 && p.Intervals.ScanMin > p.Intervals.ScanMax, "intervals.scan_max is less than scan_min"},
		{"responses.wipe", p.Responses.Wipe && !p.Responses.Block, "responses.wipe needs responses.block"},
		{"responses.wipe", p.Responses.Wipe && p.Posture.WipeAfter == 0, "responses.wipe needs posture.wipe_after"},
		{"responses.confirmed", len(p.Responses.Confirmed) > 0 && !p.Responses.Wipe, "responses.confirmed needs responses.wipe"},
		{"posture.wipe_after", p.Posture.WipeAfter > 0 && p.Posture.WipeAfter < p.Posture.BlockAfter, "posture.wipe_after is less than block_after"},
		{"notifications", (p.Notifications.From == "") != (p.Notifications.To == ""), "notifications: quiet hours need both quiet_from and quiet_to"},
	} {
		if c.wrong {
			line := l.lines[c.key]
			l.problem(l.line(max(line, 1)), c.key, "%s", c.text)
		}
	}
}
