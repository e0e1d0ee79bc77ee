package indicators

import (
	"bytes"
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"picket/scanner"
)

const (
	maxMatches = 64 // of one lookup
	maxBorders = 64 // parts of a path or URL that are looked at
	commLen    = 15 // bytes of a process name that Linux keeps (TASK_COMM_LEN less its end)
)

// Index is a set of indicators: sorted entries over one block of bytes. It does not change once
// loaded and serves any number of goroutines.
type Index struct {
	bytes   []byte
	entries []entry // by kind, key, list
	first   [len(kinds) + 1]int
	labels  []label
	lists   []List
	skipped []string
	// bits are the prefix lengths among the address entries.
	bits []byte
}

// The numbers of the kinds that are looked up from others.
const (
	kindDomain = 3
	kindURL    = 4
	kindIP     = 5
)

// kinds gives each kind its number in an entry.
var kinds = [...]scanner.IndicatorKind{scanner.IndicatorPackage, scanner.IndicatorCertificate, scanner.IndicatorFileHash,
	scanner.IndicatorDomain, scanner.IndicatorURL, scanner.IndicatorIP, scanner.IndicatorProcess, scanner.IndicatorFileName,
	scanner.IndicatorFilePath, scanner.IndicatorProperty, scanner.IndicatorEmail}

// Kinds gives every kind of indicator.
func Kinds() []scanner.IndicatorKind { return slices.Clone(kinds[:]) }

// span is a piece of the index's bytes.
type span struct{ at, len uint32 }

// label is what entries share: what they point to.
type label struct{ name, class string }

type entry struct {
	key, value, id span // value is empty where the key is its text, or gives it
	label          uint32
	from, until    int32 // days since 1970; 0 unknown
	list           uint16
	kind           uint8
	weak           bool
}

func (x *Index) text(s span) []byte { return x.bytes[s.at : s.at+s.len] }

// Len gives the number of entries.
func (x *Index) Len() int {
	n := 0
	for i := range x.lists {
		n += x.lists[i].Total()
	}
	return n
}

// Lists says what was loaded from where.
func (x *Index) Lists() []List { return x.lists }

// Skipped names the files of the folders given that are no lists.
func (x *Index) Skipped() []string { return x.skipped }

// All gives every entry, by kind and value.
func (x *Index) All() iter.Seq[scanner.IndicatorMatch] {
	return func(yield func(scanner.IndicatorMatch) bool) {
		for i := range x.entries {
			if !x.isCut(&x.entries[i]) && !yield(x.match(&x.entries[i])) {
				return
			}
		}
	}
}

// isCut tells the entry for a cut process name, which stands beside the one for the whole.
func (x *Index) isCut(e *entry) bool {
	return e.value.len > e.key.len && kinds[e.kind] == scanner.IndicatorProcess
}

// Match gives the indicators that a value meets; the kinds say what value they expect. A value of
// another form meets none. It allocates only for what it finds.
func (x *Index) Match(kind scanner.IndicatorKind, value string) []scanner.IndicatorMatch {
	k := slices.Index(kinds[:], kind)
	if k < 0 || value == "" || len(value) > 2*maxValue {
		return nil
	}
	var space [512]byte
	buf := space[:0]
	var err error
	switch kind {
	case scanner.IndicatorDomain:
		return x.matchHost(nil, buf, value)
	case scanner.IndicatorURL:
		return x.matchURL(buf, value)
	case scanner.IndicatorIP:
		addr, ok := parseAddr(value)
		if !ok {
			return nil
		}
		return x.matchAddr(nil, buf, addr)
	case scanner.IndicatorCertificate, scanner.IndicatorFileHash:
		buf, err = appendDigest(buf, value)
	case scanner.IndicatorEmail:
		buf, err = appendEmail(buf, value)
	case scanner.IndicatorFilePath:
		if value[0] != '/' {
			return nil
		}
		return x.matchBorders(nil, k, append(buf, strings.TrimRight(value, "/")...), 1)
	case scanner.IndicatorFileName:
		buf = append(buf, value[strings.LastIndexByte(value, '/')+1:]...)
	default:
		buf = append(buf, value...)
	}
	if err != nil {
		return nil
	}
	return x.matchKey(nil, k, buf)
}

// matchKey adds the entries of a kind with exactly this key.
func (x *Index) matchKey(out []scanner.IndicatorMatch, kind int, key []byte) []scanner.IndicatorMatch {
	lo, hi := x.first[kind], x.first[kind+1]
	end := hi
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(x.text(x.entries[mid].key), key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < end && len(out) < maxMatches && bytes.Equal(x.text(x.entries[lo].key), key); lo++ {
		out = append(out, x.match(&x.entries[lo]))
	}
	return out
}

// matchHost adds what a host name meets, itself or through a parent domain.
func (x *Index) matchHost(out []scanner.IndicatorMatch, buf []byte, host string) []scanner.IndicatorMatch {
	if addr, ok := parseAddr(host); ok {
		return x.matchAddr(out, buf, addr)
	}
	name, err := appendHost(buf[:0], host)
	if err != nil {
		return out
	}
	for {
		out = x.matchKey(out, kindDomain, name)
		dot := bytes.IndexByte(name, '.')
		if dot < 0 {
			return out
		}
		name = name[dot+1:]
	}
}

// matchAddr adds what an address meets, itself or through a network.
func (x *Index) matchAddr(out []scanner.IndicatorMatch, buf []byte, addr netip.Addr) []scanner.IndicatorMatch {
	for _, bits := range x.bits {
		out = x.matchKey(out, kindIP, appendPrefix(buf[:0], addr, int(bits)))
	}
	return out
}

// matchURL adds what a URL meets: the indicators for the start of it, then those for its host.
func (x *Index) matchURL(buf []byte, s string) (out []scanner.IndicatorMatch) {
	host, port, rest, err := splitURL(s)
	if err != nil {
		return nil
	}
	key, err := appendURL(buf[:0], host, "", rest)
	if err != nil {
		return nil
	}
	out = x.matchBorders(nil, kindURL, key, len(key)-len(rest))
	if port != "" {
		if key, err = appendURL(buf[:0], host, port, rest); err == nil {
			out = x.matchBorders(out, kindURL, key, len(key)-len(rest))
		}
	}
	return x.matchHost(out, buf, host)
}

// matchBorders adds the entries whose key is this one, or the start of it up to where a part of
// its path or query ends. The path begins at start.
func (x *Index) matchBorders(out []scanner.IndicatorMatch, kind int, key []byte, start int) []scanner.IndicatorMatch {
	query := len(key)
	if kind == kindURL {
		if i := bytes.IndexByte(key, '?'); i >= 0 {
			query = i
		}
	}
	parts := 0
	for i := start; i < len(key) && parts < maxBorders; i++ {
		if i < query && key[i] == '/' || i == query || i > query && key[i] == '&' {
			parts++
			out = x.matchKey(out, kind, key[:i])
		}
	}
	return x.matchKey(out, kind, key)
}

func (x *Index) match(e *entry) scanner.IndicatorMatch {
	l, list := x.labels[e.label], &x.lists[e.list]
	return scanner.IndicatorMatch{Kind: kinds[e.kind], Value: x.value(e), Name: l.name, Class: l.class, List: list.Name,
		Date: day(e.from), Until: day(e.until), Licence: list.Licence, ID: string(x.text(e.id)), Weak: e.weak}
}

func (x *Index) value(e *entry) string {
	key := x.text(e.key)
	switch kinds[e.kind] {
	case scanner.IndicatorCertificate, scanner.IndicatorFileHash:
		return keyText(key)
	case scanner.IndicatorIP:
		return prefixText(key)
	}
	if e.value.len > 0 {
		return string(x.text(e.value))
	}
	return string(key)
}

// order sorts entries by kind, key, list and, last, their place.
func (x *Index) order(a, b entry) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), bytes.Compare(x.text(a.key), x.text(b.key)), cmp.Compare(a.list, b.list), cmp.Compare(a.label, b.label), cmp.Compare(a.key.at, b.key.at))
}
