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
	var b strings.Builder
	b.Grow(32 + len(p.Namespace) + len(p.Name) + len(p.Version))
	b.WriteString("pkg:")
	b.WriteString(p.Type)
	for part := range strings.SplitSeq(p.Namespace, "/") {
		if part != "" {
			b.WriteByte('/')
			percentEncode(&b, part)
		}
	}
	b.WriteByte('/')
	percentEncode(&b, p.Name)
	if p.Version != "" {
		b.WriteByte('@')
		percentEncode(&b, p.Version)
	}
	sep := byte('?')
	for _, q := range p.Qualifiers {
		if q[1] == "" {
			continue
		}
		b.WriteByte(sep)
		b.WriteString(q[0])
		b.WriteByte('=')
		percentEncode(&b, q[1])
		sep = '&'
	}
	return b.String()
}

// percentEncode writes s with every byte encoded but letters, digits and ".-_~:".
func percentEncode(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '.', c == '-', c == '_', c == '~', c == ':':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}
