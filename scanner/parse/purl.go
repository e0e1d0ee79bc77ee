package parse

import "strings"

// PURL is a package URL as github.com/package-url/purl-spec defines it.
type PURL struct {
	Type      string // deb, apk, rpm, alpm, ...
	Namespace string // vendor; may have several parts set off by "/"; "" for none
	Name      string
	Version   string // "" for none
	// Qualifiers are key and value pairs in the keys' alphabetical order; empty values are
	// left out.
	Qualifiers [][2]string
}

// String is the canonical form.
func (p PURL) String() string {
	var buf [256]byte // an inventory keeps many: the text is copied out in its own length
	b := append(append(buf[:0], "pkg:"...), p.Type...)
	for part := range strings.SplitSeq(p.Namespace, "/") {
		if part != "" {
			b = append(b, '/')
			b = percentEncode(b, part)
		}
	}
	b = append(b, '/')
	b = percentEncode(b, p.Name)
	if p.Version != "" {
		b = append(b, '@')
		b = percentEncode(b, p.Version)
	}
	sep := byte('?')
	for _, q := range p.Qualifiers {
		if q[1] == "" {
			continue
		}
		b = append(b, sep)
		b = append(append(b, q[0]...), '=')
		b = percentEncode(b, q[1])
		sep = '&'
	}
	return string(b)
}

// percentEncode appends s with every byte encoded but letters, digits and ".-_~:".
func percentEncode(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '.', c == '-', c == '_', c == '~', c == ':':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}
