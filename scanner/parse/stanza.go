package parse

import (
	"bytes"
)

// Stanza is one paragraph of a control file as dpkg (deb822, dpkg-query(1)) and opkg keep in
// their status files. The slices point into the input, without surrounding blanks.
type Stanza struct {
	Line int // of its first field, 1-based

	Package, Version, Architecture, MultiArch []byte
	Source, Maintainer, Origin                []byte
	Description                               []byte // first line only
	Status                                    []byte // three words: want, flag, state
	InstalledSize                             []byte // KiB for dpkg, bytes for opkg
	InstalledTime                             []byte // opkg: seconds since 1970
	Conffiles                                 []byte // lines of " PATH DIGEST [obsolete]"
	multi                                     *[]byte
}

// maxFieldName bounds the field names that are looked at; known ones are far shorter.
const maxFieldName = 32

// Stanzas hands each paragraph of b to yield until it says stop. b must hold whole
// paragraphs; line is the number of b's first line. The Stanza is only good during the call.
//
// What is no field is complained of and skipped. A paragraph that nothing could be read of is
// not handed on.
func Stanzas(b []byte, line int, c *Complaints, yield func(*Stanza) bool) {
	var s Stanza
	for len(b) > 0 {
		var text []byte
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			c.Add(line, "file ends in the middle of a line")
			break
		}
		text, b = b[:end], b[end+1:]
		switch {
		case len(text) == 0:
			if s.Line > 0 && !yield(&s) {
				return
			}
			s = Stanza{}
		case text[0] == ' ' || text[0] == '\t':
			if s.multi != nil {
				*s.multi = extend(*s.multi, text)
			} else if s.Line == 0 {
				c.Add(line, "continuation line outside a paragraph")
			}
		default:
			s.field(text, line, c)
		}
		line++
	}
	if s.Line > 0 {
		yield(&s)
	}
}

// extend lengthens a slice of the input to reach the end of line, which follows it.
func extend(value, line []byte) []byte {
	n := len(value) + 1 + len(line)
	if n > cap(value) {
		return value
	}
	return value[:n]
}

func (s *Stanza) field(text []byte, line int, c *Complaints) {
	s.multi = nil
	colon := bytes.IndexByte(text, ':')
	if colon <= 0 || bytes.IndexByte(text, 0) >= 0 {
		c.Add(line, "not a field")
		return
	}
	if s.Line == 0 {
		s.Line = line
	}
	if colon > maxFieldName {
		return
	}
	dst := s.known(text[:colon])
	if dst == nil {
		return
	}
	if *dst != nil {
		c.Add(line, "field "+string(text[:colon])+" twice in one paragraph")
		return
	}
	if dst == &s.Conffiles {
		// The value starts on the next line; keep the place so that it can be extended.
		*dst, s.multi = text[len(text):], dst
		return
	}
	*dst = bytes.TrimSpace(text[colon+1:])
}

// known gives the place of a field that is kept, or nil. Field names ignore case.
func (s *Stanza) known(name []byte) *[]byte {
	var buf [maxFieldName]byte
	low := buf[:copy(buf[:], name)]
	for i, ch := range low {
		if 'A' <= ch && ch <= 'Z' {
			low[i] = ch + 'a' - 'A'
		}
	}
	switch string(low) {
	case "package":
		return &s.Package
	case "version":
		return &s.Version
	case "architecture":
		return &s.Architecture
	case "multi-arch":
		return &s.MultiArch
	case "source":
		return &s.Source
	case "maintainer":
		return &s.Maintainer
	case "origin":
		return &s.Origin
	case "description":
		return &s.Description
	case "status":
		return &s.Status
	case "installed-size":
		return &s.InstalledSize
	case "installed-time":
		return &s.InstalledTime
	case "conffiles":
		return &s.Conffiles
	}
	return nil
}
