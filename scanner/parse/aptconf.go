package parse

import (
	"bytes"
	"strings"
)

// AptConf reads apt.conf(5): KEY "VALUE"; and KEY { ... } in any nesting. Keys come out whole,
// with "::" between their parts; list items have the key of their list.
func AptConf(b []byte) Settings {
	var out Settings
	var scope []string // of open braces; an entry is a whole prefix
	var word string    // key that waits for its value
	prefix := func(k string) string {
		if len(scope) > 0 && scope[len(scope)-1] != "" {
			return strings.Trim(scope[len(scope)-1]+"::"+k, ":")
		}
		return strings.Trim(k, ":")
	}
	t := aptTokens{b: b, line: 1}
	for len(out) < maxSettings {
		kind, text, line := t.next()
		switch kind {
		case 0:
			return out
		case '{':
			if len(scope) < 64 {
				scope = append(scope, prefix(word))
			}
			word = ""
		case '}':
			if len(scope) > 0 {
				scope = scope[:len(scope)-1]
			}
			word = ""
		case ';':
			word = ""
		case '"':
			out = append(out, Setting{Key: prefix(word), Value: text, Line: line})
			word = ""
		case 'w':
			if word != "" { // an unquoted value
				out = append(out, Setting{Key: prefix(word), Value: text, Line: line})
				text = ""
			}
			word = text
		}
	}
	return out
}

// aptTokens takes apt.conf apart: kind 'w' is a word, '"' a quoted text, the rest themselves.
type aptTokens struct {
	b    []byte
	line int
}

func (t *aptTokens) next() (kind byte, text string, line int) {
	for len(t.b) > 0 {
		c := t.b[0]
		switch {
		case c == '\n':
			t.line++
			t.b = t.b[1:]
		case c == ' ' || c == '\t' || c == '\r':
			t.b = t.b[1:]
		case c == '#' || c == '/' && len(t.b) > 1 && t.b[1] == '/':
			t.skipTo("\n", 0)
		case c == '/' && len(t.b) > 1 && t.b[1] == '*':
			t.skipTo("*/", 2)
		case c == '{' || c == '}' || c == ';':
			t.b = t.b[1:]
			return c, "", t.line
		case c == '"':
			line = t.line
			t.b = t.b[1:]
			return '"', t.take("\"", 1), line
		default:
			return 'w', t.take(" \t\r\n{};\"", 0), t.line
		}
	}
	return 0, "", t.line
}

// take cuts the text up to one of stop off, and drop bytes behind it.
func (t *aptTokens) take(stop string, drop int) string {
	i := bytes.IndexAny(t.b[:min(len(t.b), 4096)], stop)
	if i < 0 {
		i = min(len(t.b), 4096)
		drop = 0
	}
	s := string(t.b[:i])
	t.line += strings.Count(s, "\n")
	t.b = t.b[i+drop:]
	return s
}

// skipTo drops everything up to end and drop bytes of it.
func (t *aptTokens) skipTo(end string, drop int) {
	i := bytes.Index(t.b, []byte(end))
	if i < 0 {
		i, drop = len(t.b), 0
	}
	t.line += bytes.Count(t.b[:i+drop], []byte{'\n'})
	t.b = t.b[i+drop:]
}

// AptSource is one source of apt: a line of sources.list or a stanza of a .sources file.
type AptSource struct {
	URIs    []string
	Suites  []string
	Options map[string]string // lower-case names: trusted, signed-by, allow-insecure, ...
	Enabled bool
	Line    int // 1-based
}

// AptList reads one-line sources (sources.list(5)): deb [ option=value ] URI SUITE COMPONENT...
func AptList(b []byte) []AptSource {
	var out []AptSource
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if len(out) >= maxSettings || !strings.HasPrefix(line, "deb ") && !strings.HasPrefix(line, "deb-src ") && !strings.HasPrefix(line, "deb\t") {
			return
		}
		s := AptSource{Options: map[string]string{}, Enabled: true, Line: n}
		_, rest, _ := strings.Cut(line, "deb")
		rest = strings.TrimSpace(strings.TrimPrefix(rest, "-src"))
		if strings.HasPrefix(rest, "[") {
			opts, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return
			}
			for _, o := range strings.Fields(opts) {
				k, v, _ := strings.Cut(o, "=")
				s.Options[strings.ToLower(strings.TrimRight(k, "+-"))] = v
			}
			rest = after
		}
		if f := strings.Fields(rest); len(f) >= 2 {
			s.URIs, s.Suites = f[:1], f[1:2]
			out = append(out, s)
		}
	})
	return out
}

// AptStanzas reads deb822 sources (/etc/apt/sources.list.d/*.sources).
func AptStanzas(b []byte) []AptSource {
	var out []AptSource
	kv, start, last := map[string]string{}, 0, ""
	flush := func() {
		if kv["uris"] != "" && len(out) < maxSettings {
			out = append(out, AptSource{URIs: strings.Fields(kv["uris"]), Suites: strings.Fields(kv["suites"]), Options: kv,
				Enabled: !strings.EqualFold(kv["enabled"], "no") && !strings.EqualFold(kv["enabled"], "false"), Line: start})
		}
		kv, start, last = map[string]string{}, 0, ""
	}
	lines(b, func(n int, line string) {
		switch {
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" && len(kv[last]) < 64<<10 {
				kv[last] += "\n" + strings.TrimSpace(line)
			}
		default:
			if start == 0 {
				start = n
			}
			k, v, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(k))
			kv[last] = strings.TrimSpace(v)
		}
	})
	flush()
	return out
}
