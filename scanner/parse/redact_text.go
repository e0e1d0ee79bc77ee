package parse

import (
	"bytes"
	"slices"
	"strings"
)

// TextKind is how a text is written, for that decides where a value ends.
type TextKind int

// The kinds of text.
const (
	CommandText TextKind = iota // what a shell runs, and single lines of any text
	SettingText                 // lines of names and values: a value goes to the end of its line
	JudgedText                  // settings whose secrets are judged by length and by being common
	CodeText                    // programs: a value is a word in quotes
)

// hiddenValue stands in the place of a secret in a text that is parsed again: nothing gives
// letters a meaning, and all secrets look the same.
const hiddenValue = "xxxxxxxx"

const (
	maxContinued = 64 // lines that one line may go on for
	maxLooks     = 8  // at one line
)

// RedactText takes secrets out of a text: values whose names say that they are some (DB_PASSWORD=x,
// "api_key": "x", <token>x</token>), options of commands (--password x, mysql -px, curl -u name:x),
// what follows Bearer, passwords in addresses, well-known forms of tokens and hashes, and private
// keys. Lines stay lines. What it cannot know is a secret whose name and form say nothing. Content
// that is no text stays as it is, but for private keys.
func RedactText(b []byte, kind TextKind) []byte {
	const looked = 8 << 10
	if bytes.IndexByte(b[:min(len(b), looked)], 0) >= 0 {
		return RedactPEM(b)
	}
	r := &textRedactor{kind: kind, mark: hiddenValue, forms: formsIn(b)}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		n := logicalLine(b)
		line := string(b[:n])
		b = b[n:]
		out = append(out, r.line(line)...)
	}
	return RedactPEM(out)
}

// RedactLine takes secrets out of one line for a person to see. What RedactText hid looks the same.
func RedactLine(line string) string {
	r := &textRedactor{kind: CommandText, mark: Hidden, forms: formsIn([]byte(line))}
	return r.line(line)
}

// logicalLine is the length of a line with those that it goes on in, by a backslash at the end.
func logicalLine(b []byte) int {
	end := 0
	for range maxContinued {
		i := bytes.IndexByte(b[end:], '\n')
		if i < 0 {
			return len(b)
		}
		end += i + 1
		if body := bytes.TrimSuffix(b[:end-1], []byte{'\r'}); !bytes.HasSuffix(body, []byte{'\\'}) {
			break
		}
	}
	return end
}

// hit is a part of a line that is hidden.
type hit struct {
	from, to int
	with     string
	form     bool // known by its own form, of which something is left
}

type textRedactor struct {
	kind  TextKind
	mark  string
	forms []secretForm
	hits  []hit
	// State between lines: the depth from which lines belong to a secret above them, the depth of what
	// is below cloud-init's chpasswd, and the mark that ends OpenVPN's inline file. Zero is none.
	block, accounts int
	inline          string
}

// line gives a line, or several that are one, without its secrets.
func (r *textRedactor) line(line string) string {
	if r.inBlock(line) || r.kind == JudgedText && r.inInline(line) {
		body := strings.TrimLeft(line, " ")
		end := strings.TrimRight(body, "\r\n")
		return line[:len(line)-len(body)] + r.mark + body[len(end):]
	}
	// What a secret's own signs hid from view shows once it is gone, so that a second look finds
	// nothing that the first did not.
	for range maxLooks {
		safe := r.look(line)
		if safe == line {
			break
		}
		line = safe
	}
	return line
}

// look hides what is seen in a line.
func (r *textRedactor) look(line string) string {
	r.hits = r.hits[:0]
	r.addresses(line)
	r.pairs(line)
	r.leading(line)
	r.options(line, 0, 0)
	for i := range r.forms {
		r.form(&r.forms[i], line)
	}
	if r.kind == JudgedText {
		r.judged(line)
	}
	return r.apply(line)
}

// inBlock tells whether a line belongs to a secret that goes over several lines (YAML's | and >).
func (r *textRedactor) inBlock(line string) bool {
	if r.block == 0 || strings.TrimSpace(line) == "" {
		return false
	}
	if indent(line) >= r.block {
		return true
	}
	r.block = 0
	return false
}

// inlineFiles are those that OpenVPN's configuration may hold, and that are secret.
var inlineFiles = []string{"auth-user-pass", "http-proxy-user-pass", "secret", "tls-auth", "tls-crypt", "tls-crypt-v2", "pkcs12"}

// inInline tells whether a line is of an inline file of OpenVPN.
func (r *textRedactor) inInline(line string) bool {
	text := strings.TrimSpace(line)
	switch {
	case r.inline != "" && text == r.inline:
		r.inline = ""
	case r.inline != "":
		return text != ""
	case strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">") && slices.Contains(inlineFiles, text[1:len(text)-1]):
		r.inline = "</" + text[1:]
	}
	return false
}

// hide notes a part of a line.
func (r *textRedactor) hide(from, to int) {
	if to > from {
		r.hits = append(r.hits, hit{from: from, to: to, with: r.mark})
	}
}

// apply writes a line anew. Of parts that overlap the first decides, and what is known by its form.
func (r *textRedactor) apply(line string) string {
	if len(r.hits) == 0 {
		return line
	}
	slices.SortStableFunc(r.hits, func(a, b hit) int {
		switch {
		case a.from != b.from:
			return a.from - b.from
		case a.form == b.form:
			return b.to - a.to
		case a.form:
			return -1
		}
		return 1
	})
	var out strings.Builder
	at := 0
	for _, h := range r.hits {
		if h.to <= at {
			continue
		}
		if h.from >= at {
			out.WriteString(line[at:h.from])
			out.WriteString(h.with)
		}
		out.WriteString(breaksIn(line[max(at, h.from):h.to]))
		at = h.to
	}
	out.WriteString(line[at:])
	return out.String()
}

// breaksIn gives the ends of lines in a text, each with the backslash that makes it go on: lines stay
// lines.
func breaksIn(s string) string {
	out := ""
	for i := range len(s) {
		switch {
		case s[i] != '\n':
		case i > 0 && s[i-1] == '\\':
			out += "\\\n"
		default:
			out += "\n"
		}
	}
	return out
}

// judged masks what RedactSettings does in its own way, and nothing else within it.
func (r *textRedactor) judged(line string) {
	start, end := secretValue([]byte(line))
	if start >= end {
		return
	}
	kept := r.hits[:0]
	for _, h := range r.hits {
		if h.form && h.from >= start && h.to <= end {
			return // the kind of a hash or token tells more than its length
		}
		if h.to <= start || h.from >= end {
			kept = append(kept, h)
		}
	}
	r.hits = append(kept, hit{from: start, to: end, with: string(mask([]byte(line[start:end])))})
}

// addresses hides the password of scheme://name:password@host, and a token in the place of a name.
func (r *textRedactor) addresses(line string) {
	const tokenLength = 20
	for at := 0; ; {
		i := strings.Index(line[at:], "://")
		if i < 0 {
			return
		}
		start := at + i + len("://")
		at = start
		end := start + len(line[start:])
		if n := strings.IndexAny(line[start:], "/?# \t\r\n\"'<>`"); n >= 0 {
			end = start + n
		}
		host := strings.LastIndexByte(line[start:end], '@')
		if host < 0 {
			continue
		}
		login := line[start : start+host]
		colon := strings.IndexByte(login, ':')
		switch {
		case colon >= 0 && login[colon+1:] != Hidden && login[colon+1:] != "" && !isReference(login[colon+1:], CommandText, 0):
			r.hide(start+colon+1, start+host)
		case colon < 0 && len(login) >= tokenLength && strings.ContainsAny(login, "0123456789"):
			r.hide(start, start+host)
		}
	}
}
