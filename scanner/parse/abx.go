package parse

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ABX is Android's binary XML (BinaryXmlSerializer, since Android 12): the magic, then one
// byte per event, whose lower half is an XmlPull token and whose upper half the type of the
// value that follows. Numbers are big-endian. Strings are modified UTF-8 behind a length of
// two bytes; an interned one is its number in the pool, or 0xffff and the string itself, which
// joins the pool while that has room.
const abxHeader = "ABX\x00"

// Tokens, as XmlPull numbers them, and the attribute, which XmlPull has no token for.
const (
	abxStartDocument = iota
	abxEndDocument
	abxStartTag
	abxEndTag
	abxText
	abxCDATA
	abxEntity
	abxWhitespace
	abxInstruction
	abxComment
	abxDoctype
	abxAttribute = 15
)

// Types of values.
const (
	abxNull        byte = 0x10
	abxString      byte = 0x20
	abxInterned    byte = 0x30
	abxBytesHex    byte = 0x40
	abxBytesBase64 byte = 0x50
	abxInt         byte = 0x60
	abxIntHex      byte = 0x70
	abxLong        byte = 0x80
	abxLongHex     byte = 0x90
	abxFloat       byte = 0xa0
	abxDouble      byte = 0xb0
	abxTrue        byte = 0xc0
	abxFalse       byte = 0xd0
)

const abxNewString = 0xffff

// nextBinary moves through ABX. Like Android it takes the end of the file for the end of the
// document and reads nothing behind a written end; next tells when elements are still open.
func (x *xmlReader) nextBinary() xmlKind {
	for x.pos < len(x.in) {
		at := x.pos
		token, kind := x.in[x.pos]&0x0f, x.in[x.pos]&0xf0
		x.pos++
		switch token {
		case abxStartDocument:
		case abxEndDocument:
			x.pos = len(x.in)
			return xmlEOF
		case abxStartTag:
			if !x.interned(&x.name) || !x.binaryAttrs() {
				return xmlEOF
			}
			return xmlStart
		case abxEndTag:
			if !x.interned(&x.name) {
				return xmlEOF
			}
			return xmlEnd
		case abxText, abxCDATA:
			raw, ok := x.counted()
			if !ok {
				return xmlEOF
			}
			x.raw = xmlValue{kind: abxString, raw: raw, at: at}
			return xmlText
		case abxEntity:
			raw, ok := x.counted()
			if !ok {
				return xmlEOF
			}
			x.raw = xmlValue{kind: abxInterned, str: unescapeXML([]byte("&" + string(raw) + ";")), at: at}
			return xmlText
		case abxWhitespace, abxInstruction, abxComment, abxDoctype:
			if _, ok := x.counted(); !ok {
				return xmlEOF
			}
		case abxAttribute:
			x.fail(at, "attribute outside a start tag")
			return xmlEOF
		default:
			x.fail(at, "unknown token "+strconv.Itoa(int(token))+" of type "+strconv.Itoa(int(kind>>4)))
			return xmlEOF
		}
	}
	return xmlEOF
}

// binaryAttrs reads the attributes that follow a start tag.
func (x *xmlReader) binaryAttrs() bool {
	x.attrs = x.attrs[:0]
	for x.pos < len(x.in) && x.in[x.pos]&0x0f == abxAttribute {
		if len(x.attrs) >= maxXMLAttrs {
			x.fail(x.pos, "element has more than 1000 attributes")
			return false
		}
		a := xmlValue{kind: x.in[x.pos] & 0xf0, at: x.pos}
		x.pos++
		if !x.interned(&a.name) || !x.binaryValue(&a) {
			return false
		}
		x.attrs = append(x.attrs, a)
	}
	return true
}

func (x *xmlReader) binaryValue(a *xmlValue) (ok bool) {
	switch a.kind {
	case abxNull, abxTrue, abxFalse:
		return true
	case abxString, abxBytesHex, abxBytesBase64:
		a.raw, ok = x.counted()
		return ok
	case abxInterned:
		return x.interned(&a.str)
	case abxInt, abxIntHex, abxFloat:
		b, ok := x.take(4)
		if ok {
			a.num = int64(int32(binary.BigEndian.Uint32(b)))
		}
		return ok
	case abxLong, abxLongHex, abxDouble:
		b, ok := x.take(8)
		if ok {
			a.num = int64(binary.BigEndian.Uint64(b))
		}
		return ok
	}
	x.fail(a.at, "attribute of unknown type "+strconv.Itoa(int(a.kind>>4)))
	return false
}

// take cuts off the next n bytes.
func (x *xmlReader) take(n int) ([]byte, bool) {
	if len(x.in)-x.pos < n {
		x.fail(x.pos, "file ends inside a value")
		return nil, false
	}
	b := x.in[x.pos : x.pos+n : x.pos+n]
	x.pos += n
	return b, true
}

// counted reads bytes behind their length.
func (x *xmlReader) counted() ([]byte, bool) {
	b, ok := x.take(2)
	if !ok {
		return nil, false
	}
	return x.take(int(binary.BigEndian.Uint16(b)))
}

// interned reads a string of the pool, or a new one into it.
func (x *xmlReader) interned(s *string) bool {
	at := x.pos
	b, ok := x.take(2)
	if !ok {
		return false
	}
	ref := int(binary.BigEndian.Uint16(b))
	if ref != abxNewString {
		if ref >= len(x.strings) {
			x.fail(at, "string "+strconv.Itoa(ref)+" of a pool of "+strconv.Itoa(len(x.strings)))
			return false
		}
		*s = x.strings[ref]
		return true
	}
	raw, ok := x.counted()
	if !ok {
		return false
	}
	*s = modifiedUTF8(raw)
	if len(x.strings) < abxNewString {
		x.strings = append(x.strings, *s)
	}
	return true
}

// modifiedUTF8 decodes Java's UTF-8: NUL is two bytes, and a character beyond 16 bits may be
// the three bytes of each of its two halves. Real UTF-8 reads the same. What is neither
// becomes U+FFFD.
func modifiedUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size <= 1 {
			r, size = javaRune(b)
		}
		out = utf8.AppendRune(out, r)
		b = b[size:]
	}
	return string(out)
}

// javaRune reads what modified UTF-8 has and UTF-8 has not.
func javaRune(b []byte) (rune, int) {
	if len(b) >= 2 && b[0] == 0xc0 && b[1] == 0x80 {
		return 0, 2
	}
	high, low := half(b), rune(0)
	if len(b) >= 3 {
		low = half(b[3:])
	}
	if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
		return r, 6
	}
	if high != 0 {
		return utf8.RuneError, 3
	}
	return utf8.RuneError, 1
}

// half reads three bytes that carry half of a character; 0 when they do not.
func half(b []byte) rune {
	if len(b) < 3 || b[0] != 0xed || b[1]&0xe0 != 0xa0 || b[2]&0xc0 != 0x80 {
		return 0
	}
	return 0xd000 | rune(b[1]&0x3f)<<6 | rune(b[2]&0x3f)
}

// floatValue writes a floating number; Android keeps none that a check would read.
func floatValue(kind byte, bits int64) string {
	if kind == abxFloat {
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
	}
	return strconv.FormatFloat(math.Float64frombits(uint64(bits)), 'g', -1, 64)
}
