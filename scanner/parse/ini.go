package parse

import "strings"

const maxSettings = 20000 // of one file; more is no configuration

// Setting is one key of a configuration file.
type Setting struct {
	Section, Key, Value string
	Line                int // 1-based
}

// Settings are the keys of a file in their order.
type Settings []Setting

// Find gives the last setting of that section and key; both are compared without case.
func (s Settings) Find(section, key string) (Setting, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if strings.EqualFold(s[i].Key, key) && strings.EqualFold(s[i].Section, section) {
			return s[i], true
		}
	}
	return Setting{}, false
}

// Get gives the value of a key, or "".
func (s Settings) Get(section, key string) string {
	f, _ := s.Find(section, key)
	return f.Value
}

// Sections lists the sections in their order, each once.
func (s Settings) Sections() []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range s {
		if !seen[e.Section] {
			seen[e.Section] = true
			out = append(out, e.Section)
		}
	}
	return out
}

// INI reads files of [section] and key=value lines: NetworkManager and systemd files, flatpak
// metadata, yum repositories, pacman.conf, smb.conf, WireGuard. Keys before the first section have
// the section "". A key without "=" has the value "". Lines that start with # or ; are
// comments; quotes around a value are taken off.
func INI(b []byte) Settings {
	var out Settings
	section := ""
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';' || len(out) >= maxSettings:
		case line[0] == '[':
			if name, _, ok := strings.Cut(line[1:], "]"); ok {
				section = strings.TrimSpace(name)
			}
		default:
			k, v, _ := strings.Cut(line, "=")
			out = append(out, Setting{section, strings.TrimSpace(k), unquote(strings.TrimSpace(v)), n})
		}
	})
	return out
}

// Assignments reads KEY=VALUE lines in shell quoting, with an optional "export":
// /etc/environment, /etc/default files, hostapd.conf, vsftpd.conf.
func Assignments(b []byte) Settings {
	var out Settings
	lines(b, func(n int, line string) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if line == "" || line[0] == '#' || len(out) >= maxSettings {
			return
		}
		if k, v, ok := strings.Cut(line, "="); ok {
			out = append(out, Setting{"", strings.TrimSpace(k), unquote(strings.TrimSpace(v)), n})
		}
	})
	return out
}

// Directive is one line of words.
type Directive struct {
	Words []string // at least one
	Line  int      // 1-based
}

// Arg gives the word after the i-th, or "": Arg(0) is the first argument.
func (d Directive) Arg(i int) string {
	if i+1 < len(d.Words) {
		return d.Words[i+1]
	}
	return ""
}

// Directives reads files of one directive a line, words parted by blanks and quoted with " or ':
// resolv.conf, hosts, redis.conf, mosquitto.conf, torrc, snmpd.conf, cupsd.conf. A # starts a
// comment at the start of a word.
func Directives(b []byte) []Directive {
	var out []Directive
	lines(b, func(n int, line string) {
		if len(out) < maxSettings {
			if w := words(line); len(w) > 0 {
				out = append(out, Directive{w, n})
			}
		}
	})
	return out
}

// words splits a line at blanks; quotes keep blanks, a word that starts with # ends the line.
func words(line string) []string {
	const blanks = " \t\r\f\v"
	var out []string
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" || line[0] == '#' {
			return out
		}
		if i := strings.IndexAny(line, blanks+`"'`); i < 0 {
			return append(out, line)
		} else if line[i] != '"' && line[i] != '\'' {
			out, line = append(out, line[:i]), line[i:]
			continue
		}
		word, rest := quotedWord(line, blanks)
		out, line = append(out, word), rest
	}
}

// quotedWord takes a word with quotes in it off the start of a line.
func quotedWord(line, blanks string) (word, rest string) {
	var w strings.Builder
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && strings.IndexByte(blanks, c) >= 0:
			return w.String(), line[i:]
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		default:
			w.WriteByte(c)
		}
	}
	return w.String(), ""
}
