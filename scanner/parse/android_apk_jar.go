package parse

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	maxJARSections = 1 << 16 // an APK has no more files
	maxJARAttrs    = 100     // of one section
)

// jarDigests are the digests that Android takes in manifests, the first that is there counts.
var jarDigests = [...]struct {
	name string
	hash crypto.Hash
}{{"sha-512", crypto.SHA512}, {"sha-384", crypto.SHA384}, {"sha-256", crypto.SHA256}, {"sha1", crypto.SHA1}}

// jarSection is one section of a manifest or signature file: its attributes, and the bytes
// that a digest of it is over.
type jarSection struct {
	attrs []jarAttr
	raw   []byte
}

type jarAttr struct{ name, value string } // the name in lower case

func (s jarSection) attr(name string) (string, bool) {
	for _, a := range s.attrs {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// jarManifest is a MANIFEST.MF or .SF file.
type jarManifest struct {
	raw      []byte
	main     jarSection
	sections map[string]jarSection
}

// parseJARManifest reads sections that end with an empty line each; the first is about the
// whole. Lines end in CR LF, LF or CR; one that begins with a space goes on with the one before.
func parseJARManifest(b []byte) (jarManifest, error) {
	m := jarManifest{raw: b, sections: map[string]jarSection{}}
	for first := true; len(b) > 0; first = false {
		if !first {
			if line, rest := jarLine(b); len(line) == 0 {
				b = rest
				continue
			}
		}
		s, rest, err := readJARSection(b)
		if err != nil {
			return m, &Error{Offset: int64(len(m.raw) - len(b)), Msg: err.Error()}
		}
		name, named := s.attr("name")
		switch _, twice := m.sections[name]; {
		case first:
			m.main = s
		case !named:
			return m, &Error{Offset: int64(len(m.raw) - len(b)), Msg: "section without a name"}
		case twice:
			return m, &Error{Offset: int64(len(m.raw) - len(b)), Msg: fmt.Sprintf("second section for %q", quotable(name))}
		case len(m.sections) == maxJARSections:
			return m, &Error{Offset: int64(len(m.raw) - len(b)), Msg: fmt.Sprintf("more than %d sections", maxJARSections)}
		default:
			m.sections[name] = s
		}
		b = rest
	}
	return m, nil
}

func readJARSection(b []byte) (s jarSection, rest []byte, err error) {
	rest = b
	var key string
	var value []byte
	keep := func() error {
		if key == "" {
			return nil
		}
		if _, twice := s.attr(key); twice || len(s.attrs) == maxJARAttrs {
			return fmt.Errorf("attribute %q is there twice or one too many", quotable(key))
		}
		s.attrs = append(s.attrs, jarAttr{key, string(value)})
		return nil
	}
	for len(rest) > 0 {
		var line []byte
		if line, rest = jarLine(rest); len(line) == 0 {
			break
		}
		if line[0] == ' ' {
			if key == "" {
				return s, nil, errors.New("continuation of nothing")
			}
			value = append(value, line[1:]...)
			continue
		}
		if err := keep(); err != nil {
			return s, nil, err
		}
		k, v, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(k) == 0 {
			return s, nil, errors.New("line without a name")
		}
		key, value = strings.ToLower(string(k)), append([]byte(nil), bytes.TrimPrefix(v, []byte(" "))...)
	}
	err = keep()
	s.raw = b[:len(b)-len(rest)]
	return s, rest, err
}

func jarLine(b []byte) (line, rest []byte) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0:
		return b, nil
	case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return b[:i], b[i+2:]
	}
	return b[:i], b[i+1:]
}

// holds compares b with the strongest digest that the section has under the suffix.
func (s jarSection) holds(suffix string, b []byte) (found, good bool) {
	h, want, found := s.digest(suffix)
	return found, found && bytes.Equal(want, sum(h, b))
}

func (s jarSection) digest(suffix string) (h crypto.Hash, want []byte, found bool) {
	for _, d := range jarDigests {
		text, ok := s.attr(d.name + suffix)
		if !ok {
			continue
		}
		want, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			want = nil // no digest equals it
		}
		return d.hash, want, true
	}
	return 0, nil, false
}
