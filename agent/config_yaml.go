package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"picket/scanner/report"
	"picket/scanner/rules"
)

// configLoad gathers a configuration and what is wrong with it.
type configLoad struct {
	all      []setting
	cfg      Config
	from     Origins
	problems []ConfigProblem
}

func (l *configLoad) problem(at Origin, key, format string, args ...any) {
	if len(l.problems) == maxConfigProblems {
		return
	}
	p := at.problem(key, report.Clean(fmt.Sprintf(format, args...)))
	if len(p.Message) > maxConfigMessage {
		p.Message = strings.ToValidUTF8(p.Message[:maxConfigMessage], "") + "..."
	}
	if len(l.problems) == maxConfigProblems-1 {
		p.Key, p.Message = "", "and more, not told here"
	}
	l.problems = append(l.problems, p)
}

// line is an origin in the file.
func (l *configLoad) line(n int) Origin { return Origin{File: l.from.File, Line: n} }

// defaults sets what the tags say. The paths that depend on the place are set by places.
func (l *configLoad) defaults() {
	for _, s := range l.all {
		if s.list() {
			continue
		}
		v, err := s.parse(s.def)
		if err != nil {
			l.problem(Origin{}, s.key, "%s: default: %v", s.key, err)
			continue
		}
		s.field(&l.cfg).Set(reflect.ValueOf(v))
	}
}

// keys are the names that a file may use.
func (l *configLoad) keys() []string {
	var out []string
	for _, s := range l.all {
		out = append(out, s.key)
	}
	return out
}

func (l *configLoad) find(key string) (setting, bool) {
	i := slices.IndexFunc(l.all, func(s setting) bool { return s.key == key })
	if i < 0 {
		return setting{}, false
	}
	return l.all[i], true
}

// document reads the file's content. One without any value is right: everything has a default.
func (l *configLoad) document(src []byte) {
	if root := l.parse(src); root != nil {
		l.mapping(root)
	}
}

// parse gives what is at the top of a file's only document; nil when there is nothing, or when
// that is a problem.
func (l *configLoad) parse(src []byte) *yaml.Node {
	if line, what := badText(src); what != "" {
		l.problem(l.line(line), "", "%s", what)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		line, msg := yamlProblem(src, err)
		l.problem(l.line(line), "", "%s", msg)
		return nil
	}
	if err := dec.Decode(&next); err == nil {
		l.problem(l.line(next.Line), "", "a second document begins; one is wanted")
		return nil
	} else if !errors.Is(err, io.EOF) {
		line, msg := yamlProblem(src, err)
		l.problem(l.line(line), "", "%s", msg)
		return nil
	}
	if len(doc.Content) != 1 {
		return nil
	}
	return doc.Content[0]
}

// keyPattern is what a misspelt key may look like. Anything else is not shown: the file may be
// another one, and hold secrets that would end up in a log.
var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)

func (l *configLoad) mapping(root *yaml.Node) {
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" && root.Value == "" {
		return
	}
	if l.fancy(root, "") {
		return
	}
	if root.Kind != yaml.MappingNode {
		l.problem(l.line(root.Line), "", "lines of the form \"key: value\" are needed here")
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(root.Content) && len(l.problems) < maxConfigProblems; i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if l.fancy(key, "") {
			continue
		}
		s, known := l.find(key.Value)
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			l.problem(l.line(key.Line), "", "a key must be a plain name, not %s", shape(key))
		case !known && !keyPattern.MatchString(key.Value):
			l.problem(l.line(key.Line), "", "what stands before the : is no key")
		case !known:
			l.problem(l.line(key.Line), "", "unknown key %s%s", quoted(key.Value), rules.DidYouMean(key.Value, l.keys()))
		case twice:
			l.problem(l.line(key.Line), s.key, "%s is on line %d already", s.key, line)
		default:
			first[s.key] = key.Line
			l.value(s, key.Line, value)
		}
	}
}

// value reads the value of a key that is on a line.
func (l *configLoad) value(s setting, line int, n *yaml.Node) {
	if l.fancy(n, s.key) {
		return
	}
	nodes := []*yaml.Node{n}
	switch {
	case s.list() && n.Kind == yaml.SequenceNode:
		nodes = n.Content
	case s.list() || n.Kind != yaml.ScalarNode:
		l.problem(l.line(n.Line), s.key, "%s needs %s, not %s", s.key, s.wants(), shape(n))
		return
	}
	if len(nodes) > maxListed {
		l.problem(l.line(nodes[maxListed].Line), s.key, "%s has more than %d entries", s.key, maxListed)
		return
	}
	texts := make([]configText, 0, len(nodes))
	for _, e := range nodes {
		if l.fancy(e, s.key) {
			return
		}
		if e.Kind != yaml.ScalarNode || e.ShortTag() == "!!null" {
			l.problem(l.line(e.Line), s.key, "%s needs %s, not %s", s.key, s.wants(), shape(e))
			return
		}
		texts = append(texts, configText{e.Value, l.line(e.Line)})
	}
	l.take(s, l.line(line), texts)
}

// configText is a value as it was written, and where.
type configText struct {
	text string
	at   Origin
}

// take sets a key from its texts: one, or those of a list.
func (l *configLoad) take(s setting, at Origin, texts []configText) {
	var (
		list []string
		v    any
		err  error
	)
	for _, t := range texts {
		if v, err = s.parse(t.text); err != nil {
			l.problem(t.at, s.key, "%s: %v", s.key, err)
			return
		}
		if text, _ := v.(string); s.list() && slices.Contains(list, text) {
			l.problem(t.at, s.key, "%s: %s is listed twice", s.key, quoted(text))
			return
		} else if s.list() {
			list = append(list, text)
		}
	}
	if s.list() {
		v = list
	}
	s.field(&l.cfg).Set(reflect.ValueOf(v))
	l.from.Keys[s.key] = at
}

// flag takes a KEY=VALUE of the command line. Commas part the entries of a list.
func (l *configLoad) flag(text string) {
	at := Origin{Flag: true}
	key, value, ok := strings.Cut(text, "=")
	s, known := l.find(key)
	switch {
	case !ok:
		l.problem(at, "", "%s is not KEY=VALUE", quoted(text))
		return
	case !known:
		l.problem(at, "", "unknown key %s%s", quoted(key), rules.DidYouMean(key, l.keys()))
		return
	}
	texts := []configText{{value, at}}
	if s.list() {
		texts = nil
		for _, t := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
			texts = append(texts, configText{t, at})
		}
	}
	if len(texts) > maxListed {
		l.problem(at, s.key, "%s has more than %d entries", s.key, maxListed)
		return
	}
	l.take(s, at, texts)
}

// fancy refuses what lets a short file mean a long one, or not what it seems to.
func (l *configLoad) fancy(n *yaml.Node, key string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		l.problem(l.line(n.Line), key, "aliases (*%s) are not taken here: write the value", n.Value)
	case n.Anchor != "":
		l.problem(l.line(n.Line), key, "anchors (&%s) are not taken here", n.Anchor)
	case n.ShortTag() == "!!merge":
		l.problem(l.line(n.Line), key, "merges (<<) are not taken here")
	case n.Style&yaml.TaggedStyle != 0:
		l.problem(l.line(n.Line), key, "tags (%s) are not taken here", n.Tag)
	default:
		return false
	}
	return true
}

// shape names what stands where something else was needed.
func shape(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	return quoted(n.Value)
}

// badText finds bytes that are no text, and line ends that an editor does not count as such. The
// YAML library does not say where the former are.
func badText(src []byte) (line int, what string) {
	line = 1
	for rest := src; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			return line, fmt.Sprintf("byte 0x%02x is no UTF-8", rest[0])
		case r == '\n':
			line++
		case r == '\t' || r == '\r' && bytes.HasPrefix(rest, []byte("\r\n")):
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return line, fmt.Sprintf("control character U+%04X", r)
		}
		rest = rest[n:]
	}
	return 0, ""
}

var (
	yamlLine   = regexp.MustCompile(`^line ([0-9]+): `)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '([^']*)' referenced$`)
)

// yamlProblem gives the line and the text of an error of the YAML library. It counts lines from 0
// in what its parser says ("did not find ..."), leaves a 0 out, counts one more at the end of the
// file, and names no line for an alias of nothing.
func yamlProblem(src []byte, err error) (line int, msg string) {
	msg = strings.TrimPrefix(err.Error(), "yaml: ")
	line = 1
	if m := yamlAnchor.FindStringSubmatch(msg); m != nil {
		before, _, _ := bytes.Cut(src, []byte("*"+m[1]))
		return 1 + bytes.Count(before, []byte("\n")), "aliases (*" + m[1] + ") are not taken here: write the value"
	}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
		if strings.HasPrefix(msg, "did not find expected") {
			line++
		}
	}
	last := 1 + bytes.Count(bytes.TrimSuffix(src, []byte("\n")), []byte("\n"))
	return min(max(line, 1), last), "this is no YAML: " + msg
}
