package parse

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// nextText moves through text XML. encoding/xml refuses XML 1.1 and foreign encodings, and
// takes ten times as long for packages.xml.
func (x *xmlReader) nextText() xmlKind {
	if x.closed {
		x.closed = false
		return xmlEnd
	}
	for x.pos < len(x.in) {
		rest := x.in[x.pos:]
		switch {
		case rest[0] != '<':
			end := bytes.IndexByte(rest, '<')
			if end < 0 {
				end = len(rest)
			}
			x.raw = xmlValue{kind: attrText, raw: rest[:end], at: x.pos}
			x.pos += end
			return xmlText
		case bytes.HasPrefix(rest, []byte("<?")):
			x.skipPast("?>")
		case bytes.HasPrefix(rest, []byte("<!--")):
			x.skipPast("-->")
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			at := x.pos + len("<![CDATA[")
			if !x.skipPast("]]>") {
				return xmlEOF
			}
			if at > x.pos-3 {
				continue
			}
			x.raw = xmlValue{kind: attrCDATA, raw: x.in[at : x.pos-3], at: at}
			return xmlText
		case bytes.HasPrefix(rest, []byte("<!")):
			x.skipDoctype()
		case bytes.HasPrefix(rest, []byte("</")):
			return x.endTag()
		default:
			return x.startTag()
		}
	}
	return xmlEOF
}

// skipPast moves behind the next mark.
func (x *xmlReader) skipPast(mark string) bool {
	end := bytes.Index(x.in[x.pos:], []byte(mark))
	if end < 0 {
		x.fail(x.pos, strconv.Quote(mark)+" is missing")
		return false
	}
	x.pos += end + len(mark)
	return true
}

// skipDoctype passes over <!DOCTYPE ...> with what its brackets hold.
func (x *xmlReader) skipDoctype() {
	depth := 0
	for i, c := range x.in[x.pos:] {
		switch {
		case c == '<', c == '[':
			depth++
		case c == ']':
			depth--
		case c == '>':
			if depth--; depth == 0 {
				x.pos += i + 1
				return
			}
		}
	}
	x.fail(x.pos, "document type does not end")
}

func (x *xmlReader) endTag() xmlKind {
	at := x.pos
	x.pos += 2
	x.name = x.readName()
	x.skipBlank()
	if x.pos >= len(x.in) || x.in[x.pos] != '>' {
		x.fail(at, "end tag does not end")
		return xmlEOF
	}
	x.pos++
	return xmlEnd
}

func (x *xmlReader) startTag() xmlKind {
	at := x.pos
	x.pos++
	x.attrs = x.attrs[:0]
	if x.name = x.readName(); x.name == "" {
		x.fail(at, "tag without a name")
		return xmlEOF
	}
	for {
		x.skipBlank()
		rest := x.in[x.pos:]
		switch {
		case len(rest) > 0 && rest[0] == '>':
			x.pos++
			return xmlStart
		case len(rest) > 1 && rest[0] == '/' && rest[1] == '>':
			x.pos += 2
			x.closed = true
			return xmlStart
		case len(x.attrs) >= maxXMLAttrs:
			x.fail(at, "element has more than 1000 attributes")
			return xmlEOF
		case !x.readAttr():
			return xmlEOF
		}
	}
}

// readAttr reads NAME="VALUE" or NAME='VALUE'.
func (x *xmlReader) readAttr() bool {
	at := x.pos
	name := x.readName()
	x.skipBlank()
	if name == "" || x.pos >= len(x.in) || x.in[x.pos] != '=' {
		x.fail(at, "start tag does not end, or holds something else than attributes")
		return false
	}
	x.pos++
	x.skipBlank()
	if x.pos >= len(x.in) || x.in[x.pos] != '"' && x.in[x.pos] != '\'' {
		x.fail(at, "value of an attribute is not quoted")
		return false
	}
	value := x.in[x.pos+1:]
	end := bytes.IndexByte(value, x.in[x.pos])
	if end < 0 {
		x.fail(at, "value of an attribute does not end")
		return false
	}
	x.pos += end + 2
	x.attrs = append(x.attrs, xmlValue{name: name, kind: attrText, raw: value[:end], at: at})
	return true
}

func (x *xmlReader) skipBlank() {
	for x.pos < len(x.in) && blank(x.in[x.pos]) {
		x.pos++
	}
}

// readName reads a name of at most a thousand bytes; "" when there is none. The same few
// names come over and over, so each is kept once.
func (x *xmlReader) readName() string {
	start := x.pos
	for x.pos < len(x.in) && x.pos-start < maxXMLNameSize && !endsName(x.in[x.pos]) {
		x.pos++
	}
	name := x.in[start:x.pos]
	if s, ok := x.names[string(name)]; ok {
		return s
	}
	s := strings.ToValidUTF8(string(name), "\uFFFD")
	if len(x.names) < maxXMLNames {
		x.names[string(name)] = s
	}
	return s
}

func endsName(c byte) bool {
	return c <= ' ' || c == '=' || c == '/' || c == '>' || c == '<' || c == '"' || c == '\'' || c == '&'
}

// unescapeXML resolves the entities of XML and characters by number. Halves of a character
// beyond 16 bits that were written one by one are joined; what is no entity stays as it is.
func unescapeXML(raw []byte) string {
	amp := bytes.IndexByte(raw, '&')
	if amp < 0 {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	out := make([]byte, 0, len(raw))
	high := rune(0) // the first half of a pair
	flush := func() {
		if high != 0 {
			out = utf8.AppendRune(out, utf8.RuneError)
			high = 0
		}
	}
	for len(raw) > 0 {
		if raw[0] != '&' {
			flush()
			n := bytes.IndexByte(raw, '&')
			if n < 0 {
				n = len(raw)
			}
			out, raw = append(out, raw[:n]...), raw[n:]
			continue
		}
		r, size := entity(raw)
		switch {
		case high != 0 && utf16.IsSurrogate(r) && utf16.DecodeRune(high, r) != utf8.RuneError:
			out = utf8.AppendRune(out, utf16.DecodeRune(high, r))
			high = 0
		case r >= 0xd800 && r < 0xdc00:
			flush()
			high = r
		case size == 0:
			flush()
			out, size = append(out, '&'), 1
		default:
			flush()
			out = utf8.AppendRune(out, r)
		}
		raw = raw[size:]
	}
	flush()
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// entity reads &NAME; or &#NUMBER; at the start of b; size is 0 when there is none.
func entity(b []byte) (r rune, size int) {
	end := bytes.IndexByte(b[:min(len(b), 12)], ';')
	if end < 2 {
		return 0, 0
	}
	switch name := string(b[1:end]); {
	case name == "lt":
		return '<', end + 1
	case name == "gt":
		return '>', end + 1
	case name == "amp":
		return '&', end + 1
	case name == "apos":
		return '\'', end + 1
	case name == "quot":
		return '"', end + 1
	case name[0] == '#':
		digits, base := name[1:], 10
		if digits != "" && (digits[0] == 'x' || digits[0] == 'X') {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseUint(digits, base, 21); err == nil {
			return rune(n), end + 1
		}
	}
	return 0, 0
}
