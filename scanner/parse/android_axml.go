package parse

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Chunks of Android's binary resources (ResourceTypes.h of frameworks/base/libs/androidfw).
const (
	resStringPool  = 0x0001
	resTable       = 0x0002
	resXML         = 0x0003
	resXMLStart    = 0x0102
	resXMLEnd      = 0x0103
	resXMLMap      = 0x0180
	resPackage     = 0x0200
	resType        = 0x0201
	resHeaderLen   = 8
	resNoIndex     = 1<<32 - 1
	maxAXMLDepth   = 100
	maxResText     = 32 << 10 // bytes of one text
	utf8Pool       = 1 << 8
	xmlNodeLen     = 16
	xmlElementLen  = 20
	xmlAttrLen     = 20
	stringPoolLen  = 28
	maxAXMLStarts  = 100_000
	maxAXMLAttrs   = 4096
	maxAXMLMembers = 1 << 20  // attributes of all elements together
	maxAXMLText    = 64 << 20 // bytes decoded
)

// Types of a resource value (Res_value).
const (
	resReference    = 0x01
	resString       = 0x03
	resFloat        = 0x04
	resDynReference = 0x07
	resFirstInt     = 0x10
	resBoolean      = 0x12
	resLastInt      = 0x1f
)

// resChunk is one chunk: its header and what the header's size spans.
type resChunk struct {
	kind   uint16
	header int    // length of its header
	b      []byte // header and body
	at     int    // its offset in the input
}

func (c resChunk) body() []byte { return c.b[c.header:] }

func (c resChunk) errorf(format string, args ...any) error {
	return &Error{Offset: int64(c.at), Msg: fmt.Sprintf(format, args...)}
}

// chunkAt reads the chunk that b[at:] begins with, by the framework's own checks.
func chunkAt(b []byte, at, base int) (resChunk, error) {
	c := resChunk{at: base + at}
	if len(b)-at < resHeaderLen {
		return c, c.errorf("chunk is cut off")
	}
	c.kind = binary.LittleEndian.Uint16(b[at:])
	c.header = int(binary.LittleEndian.Uint16(b[at+2:]))
	size := int64(binary.LittleEndian.Uint32(b[at+4:]))
	if c.header < resHeaderLen || int64(c.header) > size || size > int64(len(b)-at) || (int64(c.header)|size)&3 != 0 {
		return c, c.errorf("chunk %#04x claims a header of %d and %d bytes in all, of %d", c.kind, c.header, size, len(b)-at)
	}
	c.b = b[at : at+int(size)]
	return c, nil
}

// resStrings is a string pool: texts are decoded when asked for.
type resStrings struct {
	offsets []byte // four bytes each
	data    []byte
	utf8    bool
}

func parseResStrings(c resChunk) (resStrings, error) {
	if c.header < stringPoolLen {
		return resStrings{}, c.errorf("string pool with a header of %d bytes", c.header)
	}
	count := int64(binary.LittleEndian.Uint32(c.b[8:]))
	start := int64(binary.LittleEndian.Uint32(c.b[20:]))
	if count == 0 {
		return resStrings{}, nil
	}
	if count > int64(len(c.body())/4) || start > int64(len(c.b)) {
		return resStrings{}, c.errorf("string pool of %d bytes claims %d texts at %d", len(c.b), count, start)
	}
	return resStrings{
		offsets: c.body()[:4*count],
		data:    c.b[start:],
		utf8:    binary.LittleEndian.Uint32(c.b[16:])&utf8Pool != 0,
	}, nil
}

// at gives text i; ok is false when the pool has none or it is damaged.
func (s resStrings) at(i uint32) (text string, ok bool) {
	if int64(i) >= int64(len(s.offsets)/4) {
		return "", false
	}
	offset := int64(binary.LittleEndian.Uint32(s.offsets[4*int(i):]))
	if offset >= int64(len(s.data)) {
		return "", false
	}
	b := s.data[offset:]
	if s.utf8 {
		_, b, ok = poolLength8(b) // in UTF-16 units
		if !ok {
			return "", false
		}
		n, b, ok := poolLength8(b)
		if !ok || n >= len(b) || b[n] != 0 {
			return "", false
		}
		return strings.ToValidUTF8(string(b[:min(n, maxResText)]), "\uFFFD"), true
	}
	if len(b) < 2 {
		return "", false
	}
	n := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	if n&0x8000 != 0 {
		if len(b) < 2 {
			return "", false
		}
		n = n&0x7fff<<16 | int(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if n > len(b)/2-1 || b[2*n]|b[2*n+1] != 0 {
		return "", false
	}
	units := make([]uint16, min(n, maxResText/3))
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units)), true
}

func poolLength8(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) >= 1 && b[0]&0x80 == 0:
		return int(b[0]), b[1:], true
	case len(b) >= 2:
		return int(b[0]&0x7f)<<8 | int(b[1]), b[2:], true
	}
	return 0, nil, false
}

// resValue is a typed value; text is set for strings.
type resValue struct {
	kind byte
	data uint32
	text string
}

// axmlElement is one start tag. Attributes are found by the resource id of their name, as the
// framework finds them: obfuscators blank the names, and a name alone means nothing to it.
type axmlElement struct {
	name  string
	doc   *axmlDocument
	attrs []byte // stride bytes each
	size  int    // of one attribute
}

type axmlDocument struct {
	strings  resStrings
	ids      []byte // resource ids of the first texts, four bytes each
	decoded  int    // bytes of text
	problems apkProblems
}

// text decodes text i. Texts may overlap or be asked for again and again, so there is an end.
func (doc *axmlDocument) text(i uint32) (string, bool) {
	if doc.decoded > maxAXMLText {
		return "", false
	}
	s, ok := doc.strings.at(i)
	doc.decoded += len(s)
	return s, ok
}

// readAXML walks a binary XML file. start is called with the names of the elements around an
// element (the root's list is empty) and returns false to stop. The chunks are taken as the
// framework takes them: unknown ones are skipped, the first chunk's type is not looked at.
func readAXML(b []byte, start func(around []string, e axmlElement) bool) (problems []string, err error) {
	doc := &axmlDocument{}
	root, err := axmlRoot(b, doc)
	if err != nil {
		return nil, err
	}
	var around []string
	elements, members := 0, 0
	for at := root.header; len(root.b)-at >= resHeaderLen; {
		c, err := chunkAt(root.b, at, 0)
		if err != nil {
			if elements > 0 && len(around) == 0 {
				doc.problems.add("%v, after the root element", err)
				break
			}
			return doc.problems.texts(), err
		}
		at += len(c.b)
		switch c.kind {
		case resStringPool:
			if doc.strings, err = parseResStrings(c); err != nil {
				return doc.problems.texts(), err
			}
		case resXMLMap:
			doc.ids = c.body()
		case resXMLStart:
			e, err := doc.element(c)
			if err != nil {
				return doc.problems.texts(), err
			}
			elements++
			members += len(e.attrs) / e.size
			if len(around) >= maxAXMLDepth || elements > maxAXMLStarts || members > maxAXMLMembers || doc.decoded > maxAXMLText {
				return doc.problems.texts(), c.errorf("more elements, attributes, text or depth than any manifest has")
			}
			if !start(around, e) {
				return doc.problems.texts(), nil
			}
			around = append(around, e.name)
		case resXMLEnd:
			if len(around) == 0 {
				return doc.problems.texts(), c.errorf("end of an element that has not begun")
			}
			around = around[:len(around)-1]
		}
	}
	switch {
	case elements == 0:
		return doc.problems.texts(), &Error{Offset: int64(len(b)), Msg: "binary XML without an element"}
	case len(around) > 0:
		return doc.problems.texts(), &Error{Offset: int64(len(b)), Msg: fmt.Sprintf("binary XML ends inside <%s>", quotable(around[len(around)-1]))}
	}
	return doc.problems.texts(), nil
}

// axmlRoot reads the chunk that is the whole file.
func axmlRoot(b []byte, doc *axmlDocument) (resChunk, error) {
	c := resChunk{}
	if len(b) < resHeaderLen {
		return c, c.errorf("binary XML of %d bytes", len(b))
	}
	c.kind, c.header = binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if c.header < resHeaderLen || int64(c.header) > size || size > int64(len(b)) {
		return c, c.errorf("binary XML of %d bytes claims a header of %d and %d bytes in all", len(b), c.header, size)
	}
	if c.kind != resXML {
		doc.problems.add("offset 0: type %#04x instead of binary XML, which Android does not mind", c.kind)
	}
	if size < int64(len(b)) {
		doc.problems.add("offset %d: %d bytes after the binary XML", size, int64(len(b))-size)
	}
	c.b = b[:size]
	return c, nil
}

func (doc *axmlDocument) element(c resChunk) (axmlElement, error) {
	if c.header < xmlNodeLen || len(c.body()) < xmlElementLen {
		return axmlElement{}, c.errorf("element with a header of %d of %d bytes", c.header, len(c.b))
	}
	ext := c.body()
	name, ok := doc.text(binary.LittleEndian.Uint32(ext[4:]))
	if !ok {
		doc.problems.add("offset %d: element without a readable name", c.at)
	}
	start, size, count := int(binary.LittleEndian.Uint16(ext[8:])), int(binary.LittleEndian.Uint16(ext[10:])), int(binary.LittleEndian.Uint16(ext[12:]))
	e := axmlElement{name: name, doc: doc, size: max(size, 1)}
	if count == 0 {
		return e, nil
	}
	if size < xmlAttrLen || count > maxAXMLAttrs || start+size*count > len(ext) {
		return axmlElement{}, c.errorf("element claims %d attributes of %d bytes at %d of %d", count, size, start, len(ext))
	}
	e.attrs = ext[start : start+size*count]
	return e, nil
}

// attr finds the attribute whose name has this resource id.
func (e axmlElement) attr(id uint32) (resValue, bool) {
	for b := e.attrs; len(b) >= e.size && e.size >= xmlAttrLen; b = b[e.size:] {
		name := binary.LittleEndian.Uint32(b[4:])
		if int64(name) < int64(len(e.doc.ids)/4) && binary.LittleEndian.Uint32(e.doc.ids[4*int(name):]) == id {
			return e.value(b), true
		}
	}
	return resValue{}, false
}

// plain gives the text of an attribute without namespace, which goes by its name.
func (e axmlElement) plain(name string) (string, bool) {
	for b := e.attrs; len(b) >= e.size && e.size >= xmlAttrLen; b = b[e.size:] {
		if binary.LittleEndian.Uint32(b) != resNoIndex {
			continue
		}
		if n, _ := e.doc.text(binary.LittleEndian.Uint32(b[4:])); n == name {
			v := e.value(b)
			if raw, ok := e.doc.text(binary.LittleEndian.Uint32(b[8:])); ok {
				return raw, true
			}
			return v.String(), true
		}
	}
	return "", false
}

func (e axmlElement) value(b []byte) resValue {
	v := resValue{kind: b[15], data: binary.LittleEndian.Uint32(b[16:])}
	if v.kind == resString {
		v.text, _ = e.doc.text(v.data)
	}
	return v
}

// String is the value as a person would write it.
func (v resValue) String() string {
	switch {
	case v.kind == resString:
		return v.text
	case v.kind == resReference || v.kind == resDynReference:
		return fmt.Sprintf("@0x%08x", v.data)
	case v.kind == resBoolean:
		return fmt.Sprint(v.data != 0)
	case v.kind == 0x11:
		return fmt.Sprintf("0x%x", v.data)
	case v.kind >= resFirstInt && v.kind <= resLastInt:
		return fmt.Sprint(int32(v.data))
	case v.kind == resFloat:
		return floatText(v.data)
	}
	return ""
}
