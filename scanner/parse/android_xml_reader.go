package parse

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Bounds of one XML file of Android's system server. The largest real one, packages.xml, has
// a few megabytes and some ten thousand entries.
const (
	maxAndroidXML  = 32 << 20 // bytes of input, and bytes decoded out of attribute values
	maxXMLDepth    = 100
	maxXMLAttrs    = 1000 // of one element; a user's restrictions are a hundred
	maxXMLItems    = 200000
	maxXMLText     = 1 << 20 // of one element
	maxXMLNames    = 10000   // different names that are kept once
	maxXMLNameSize = 1000
)

// xmlKind says what an xmlReader stands on.
type xmlKind int

const (
	xmlEnd   xmlKind = iota // of an element
	xmlStart                // of an element: name and attributes are set
	xmlText                 // raw is set
	xmlEOF                  // of the file, or of what can be read of it
)

// xmlReader pulls elements out of a file of Android's system server, be it text or ABX, the
// binary form that Android 12 introduced. What it refuses stops it with an error; what it had
// before stays good, so a damaged file is read up to the damage.
//
// Text is read more leniently than the standard demands, as these files need: several roots,
// XML 1.1, any declared encoding (all are UTF-8). Document types are passed over and no
// entity is resolved but the five of XML and characters by number.
type xmlReader struct {
	in     []byte
	pos    int
	binary bool
	err    *Error // the first one
	items  int    // taken by keepXML
	work   int    // bytes decoded by bytes

	open   []string // names of the elements around, outermost first
	name   string   // of the element that starts or ends
	attrs  []xmlValue
	at     int      // offset of the start that was read last
	raw    xmlValue // the text that xmlText stands on
	closed bool     // text: the start that was read ends itself

	names   map[string]string // text: names already seen
	strings []string          // ABX: the pool that references point into
}

func newXMLReader(b []byte) *xmlReader {
	x := &xmlReader{in: b, names: map[string]string{}}
	switch {
	case len(b) > maxAndroidXML:
		x.fail(0, "file is larger than 32 MiB")
	case bytes.HasPrefix(b, []byte(abxHeader)):
		x.binary, x.pos = true, len(abxHeader)
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		x.pos = 3
	}
	return x
}

// fail stops the reader.
func (x *xmlReader) fail(offset int, msg string) {
	x.complain(offset, msg)
	x.pos = len(x.in)
	x.closed = false
}

// complain notes what is wrong with the file and reads on.
func (x *xmlReader) complain(offset int, msg string) {
	if x.err == nil {
		x.err = &Error{Offset: int64(offset), Msg: msg}
	}
}

// next moves to the next start, end or text. It alone keeps the stack of open elements.
func (x *xmlReader) next() xmlKind {
	at := x.pos
	var kind xmlKind
	if x.binary {
		kind = x.nextBinary()
	} else {
		kind = x.nextText()
	}
	switch kind {
	case xmlStart:
		if len(x.open) >= maxXMLDepth {
			x.fail(at, "elements nest more than 100 deep")
			return xmlEOF
		}
		x.open, x.at = append(x.open, x.name), at
	case xmlEnd:
		if len(x.open) == 0 || x.open[len(x.open)-1] != x.name {
			x.fail(at, "end of "+quoteXMLName(x.name)+", which is not open")
			return xmlEOF
		}
		x.open = x.open[:len(x.open)-1]
	case xmlText:
		if len(x.open) == 0 && strings.TrimSpace(x.raw.value()) != "" {
			x.fail(at, "text outside the elements")
			return xmlEOF
		}
	case xmlEOF:
		if len(x.open) > 0 {
			x.complain(len(x.in), "file ends inside "+quoteXMLName(x.open[len(x.open)-1]))
		}
	}
	return kind
}

// root moves to the first element, which must have one of these names.
func (x *xmlReader) root(names ...string) bool {
	for name := range x.children() {
		return x.named(name, names)
	}
	x.complain(len(x.in), "no element "+strconv.Quote(names[0]))
	return false
}

// roots moves through the outermost elements of a file that may have several. There must be
// one, and each must have one of these names.
func (x *xmlReader) roots(names ...string) iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := false
		for name := range x.children() {
			seen = true
			if !x.named(name, names) || !yield(name) {
				return
			}
		}
		if !seen {
			x.complain(len(x.in), "no element "+strconv.Quote(names[0]))
		}
	}
}

func (x *xmlReader) named(name string, names []string) bool {
	if slices.Contains(names, name) {
		return true
	}
	x.fail(x.at, "root element "+quoteXMLName(name)+" instead of "+strconv.Quote(names[0]))
	return false
}

// children moves through the starts of the elements directly inside the current one. The body may read a child's own children or leave
// them; attributes are those of the child until it does.
func (x *xmlReader) children() iter.Seq[string] {
	return func(yield func(string) bool) {
		depth := len(x.open)
		for {
			switch x.next() {
			case xmlStart:
				if len(x.open) == depth+1 && !yield(x.name) {
					return
				}
			case xmlEnd:
				if len(x.open) < depth {
					return
				}
			case xmlEOF:
				return
			}
		}
	}
}

// end reads the rest of the file, so that damage behind the last element used is told too,
// and gives the first error.
func (x *xmlReader) end() error {
	for x.next() != xmlEOF {
	}
	if x.err == nil {
		return nil
	}
	return x.err
}

// text reads the text of the current element up to its end, without that of elements inside.
func (x *xmlReader) text() string {
	depth := len(x.open)
	var text strings.Builder
	for {
		switch x.next() {
		case xmlText:
			if len(x.open) != depth {
				continue
			}
			if text.WriteString(x.raw.value()); text.Len() > maxXMLText {
				x.fail(x.pos, "text of an element is longer than 1 MiB")
				return ""
			}
		case xmlEnd:
			if len(x.open) < depth {
				return text.String()
			}
		case xmlEOF:
			return text.String()
		}
	}
}

// keepXML appends to a list, up to a number of entries over all lists of the file.
func keepXML[T any](x *xmlReader, list []T, v T) []T {
	if x.items >= maxXMLItems {
		x.fail(x.at, "more than 200000 entries")
		return list
	}
	x.items++
	return append(list, v)
}

// quoteXMLName quotes a name of the file for an error.
func quoteXMLName(name string) string {
	if len(name) > 100 {
		name = name[:100]
	}
	return strconv.Quote(name)
}

// xmlValue is an attribute as the file has it. Values are decoded when asked for.
type xmlValue struct {
	name string
	kind byte   // attrText, attrCDATA, or a type of ABX
	raw  []byte // of text, strings and bytes; part of the input
	str  string // of interned strings
	num  int64  // of numbers; bits of floating ones
	at   int    // offset
}

// attrText and attrCDATA are the kinds that only text XML has.
const (
	attrText  byte = 1 // escaped
	attrCDATA byte = 2
)

// value gives an attribute as text XML has it. Numbers are written as Java's toString does.
func (a *xmlValue) value() string {
	switch a.kind {
	case attrText:
		return unescapeXML(a.raw)
	case attrCDATA:
		return strings.ToValidUTF8(string(a.raw), "\uFFFD")
	case abxInterned:
		return a.str
	case abxString:
		return modifiedUTF8(a.raw)
	case abxBytesHex:
		return hex.EncodeToString(a.raw)
	case abxBytesBase64:
		return base64.StdEncoding.EncodeToString(a.raw)
	case abxInt, abxLong:
		return strconv.FormatInt(a.num, 10)
	case abxIntHex, abxLongHex:
		return strconv.FormatInt(a.num, 16)
	case abxFloat, abxDouble:
		return floatValue(a.kind, a.num)
	case abxTrue:
		return "true"
	case abxFalse:
		return "false"
	}
	return ""
}

func (x *xmlReader) find(name string) *xmlValue {
	for i := range x.attrs {
		if x.attrs[i].name == name && x.attrs[i].kind != abxNull {
			return &x.attrs[i]
		}
	}
	return nil
}

// has tells whether the current element has an attribute.
func (x *xmlReader) has(name string) bool { return x.find(name) != nil }

// attr gives an attribute of the current element; "" when it is missing.
func (x *xmlReader) attr(name string) string {
	if a := x.find(name); a != nil {
		return a.value()
	}
	return ""
}

// int gives a number that text XML has in decimal; otherwise when it is missing.
func (x *xmlReader) int(name string, otherwise int64) int64 { return x.number(name, otherwise, 10) }

// hex gives a number that text XML has in hexadecimal, with a sign as Java's toString(n, 16)
// writes it or without as toHexString does.
func (x *xmlReader) hex(name string, otherwise int64) int64 { return x.number(name, otherwise, 16) }

// uid gives a user's or another number that Java has as an int; -1 when it is missing.
func (x *xmlReader) uid(name string) int {
	n := x.int(name, -1)
	if n != int64(int32(n)) {
		x.complain(x.at, "attribute "+strconv.Quote(name)+" does not fit 32 bits")
		return -1
	}
	return int(n)
}

func (x *xmlReader) number(name string, otherwise int64, base int) int64 {
	a := x.find(name)
	if a == nil {
		return otherwise
	}
	switch a.kind {
	case abxInt, abxIntHex, abxLong, abxLongHex:
		return a.num
	}
	v := a.value()
	n, err := strconv.ParseInt(v, base, 64)
	if err != nil && base == 16 {
		var u uint64
		u, err = strconv.ParseUint(v, base, 64)
		n = int64(u)
	}
	if err != nil {
		x.complain(a.at, "attribute "+strconv.Quote(name)+" is not a number")
		return otherwise
	}
	return n
}

// bool gives a truth value; otherwise when it is missing.
func (x *xmlReader) bool(name string, otherwise bool) bool {
	a := x.find(name)
	if a == nil {
		return otherwise
	}
	switch v := a.value(); {
	case strings.EqualFold(v, "true"), v == "1":
		return true
	case strings.EqualFold(v, "false"), v == "0":
		return false
	}
	x.complain(a.at, "attribute "+strconv.Quote(name)+" is neither true nor false")
	return otherwise
}

// bytes gives bytes that text XML has in hexadecimal; nil when they are missing or damaged.
// References make a long value cheap to repeat in ABX, so the work is bounded for the file.
func (x *xmlReader) bytes(name string) []byte {
	a := x.find(name)
	if a == nil {
		return nil
	}
	var b []byte
	switch a.kind {
	case abxBytesHex, abxBytesBase64:
		b = a.raw
	default:
		v := a.value()
		b = make([]byte, len(v)/2)
		if !unhex(b, []byte(v)) {
			x.complain(a.at, "attribute "+strconv.Quote(name)+" is not hexadecimal")
			return nil
		}
	}
	if x.work += len(b); x.work > maxAndroidXML {
		x.fail(a.at, "attributes decode to more than 32 MiB")
		return nil
	}
	return b
}
