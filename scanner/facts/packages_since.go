package facts

import (
	"bytes"
	"hash/maphash"
	"slices"

	"picket/scanner"
)

// Stock is what the one database of a device's packages was like when it was read: the length
// and a hash of each paragraph, by which the next look tells what is another now without parsing
// or even searching the rest. It knows dpkg's status file and apk's database.
type Stock struct {
	seed       maphash.Seed
	file       string      // the database
	native     string      // dpkg's own architecture
	paragraphs []paragraph // in the order of the file
	spare      []paragraph // room for the next
}

// paragraph is one of a database, without its text.
type paragraph struct {
	hash  uint64
	size  uint32 // bytes, with the empty line behind it
	lines uint32
	id    string // of the package, empty for what is no row
}

// Since is Table.Aux of a look at what changed since a Stock was taken. The rows are those of the
// paragraphs that are new.
type Since struct {
	Gone []string // ids of packages of the database that are not there any more
	// Stock is the one that was given, brought up to date.
	Stock *Stock
}

// stockTaking hashes the paragraphs of a database while it is read.
type stockTaking struct {
	before *Stock // when set, what it knows is not parsed
	seed   maphash.Seed
	file   string
	odd    bool // two databases, two paragraphs that are the same, or one that does not begin where it should

	paragraphs []paragraph // as they are now; those that were known with their ids
	// seen are hashes of paragraphs: of all without a stock, of those that it does not know with one.
	seen   map[uint64]bool
	met    []bool // paragraphs of the stock that are there still
	next   int    // the one of the stock that is expected
	places map[uint64]int
	sought int
}

// fewSought is how many paragraphs are sought in the stock one by one before an index of it is made.
const fewSought = 50

// eachParagraph hands on the paragraphs of a piece that have to be parsed.
func (s *stockTaking) eachParagraph(file string, piece []byte, line int, do func(paragraph []byte, line int)) {
	s.odd = s.odd || s.file != "" && s.file != file
	s.file = file
	for len(piece) > 0 {
		s.odd = s.odd || piece[0] == '\n'
		p, known := s.expected(piece)
		if !known {
			p, known = s.found(piece)
		}
		if !known {
			s.odd = s.odd || s.seen[p.hash]
			s.seen[p.hash] = true
			do(piece[:p.size], line)
		}
		s.paragraphs = append(s.paragraphs, p)
		line += int(p.lines)
		piece = piece[p.size:]
	}
}

// expected tells whether a piece begins with the paragraph that followed the last one before.
func (s *stockTaking) expected(piece []byte) (p paragraph, known bool) {
	if s.before == nil {
		return p, false
	}
	for s.next < len(s.met) && s.met[s.next] {
		s.next++
	}
	if s.next == len(s.met) {
		return p, false
	}
	p = s.before.paragraphs[s.next]
	// What is the same ends with the same empty line. The last of a file may have none, and then
	// goes on when there is more behind it.
	n := int(p.size)
	if n > len(piece) || n < len(piece) && !bytes.HasSuffix(piece[:n], []byte("\n\n")) || maphash.Bytes(s.seed, piece[:n]) != p.hash {
		return p, false
	}
	s.met[s.next] = true
	s.next++
	return p, true
}

// found takes the first paragraph of a piece, and looks whether the stock has it anywhere.
func (s *stockTaking) found(piece []byte) (p paragraph, known bool) {
	n := len(piece)
	if end := bytes.Index(piece, []byte("\n\n")); end >= 0 {
		n = end + 2
	}
	p = paragraph{hash: maphash.Bytes(s.seed, piece[:n]), size: uint32(n), lines: uint32(bytes.Count(piece[:n], []byte{'\n'}))}
	if s.before == nil {
		return p, false
	}
	at, known := s.placeOf(p.hash)
	if !known {
		return p, false
	}
	s.odd = s.odd || s.met[at]
	s.met[at], s.next = true, at+1
	return s.before.paragraphs[at], true
}

// placeOf finds a paragraph in the stock.
func (s *stockTaking) placeOf(hash uint64) (at int, known bool) {
	if s.sought++; s.sought <= fewSought {
		at = slices.IndexFunc(s.before.paragraphs, func(p paragraph) bool { return p.hash == hash })
		return at, at >= 0
	}
	if s.places == nil {
		s.places = make(map[uint64]int, len(s.before.paragraphs))
		for i, p := range s.before.paragraphs {
			s.places[p.hash] = i
		}
	}
	at, known = s.places[hash]
	return at, known
}

// name gives the paragraphs that were parsed the ids of the rows that they became, and reports
// whether no two have the same.
func (s *stockTaking) name(rows []Package) bool {
	ids := make(map[string]string, len(rows))
	for i := range rows {
		ids[rows[i].Where] = rows[i].ID
	}
	named := make(map[string]bool, len(rows))
	line := 1
	for i := range s.paragraphs {
		p := &s.paragraphs[i]
		if s.seen[p.hash] {
			p.id = ids[at(s.file, line)]
			if p.id != "" && named[p.id] {
				return false
			}
			named[p.id] = true
		}
		line += int(p.lines)
	}
	return true
}

// stock is what the reading amounts to; nil where one cannot go by it.
func (s *stockTaking) stock(native string, rows []Package) *Stock {
	if s.file == "" || s.odd || !s.name(rows) {
		return nil
	}
	return &Stock{seed: s.seed, file: s.file, native: native, paragraphs: slices.Clip(s.paragraphs)}
}

// since reads the database of an earlier look again, and gives a table of what changed in it.
// There is none where nothing did, or where all has to be read to tell.
func (inv *inventory) since(before *Stock) (scanner.Table, bool) {
	s := &stockTaking{before: before, seed: before.seed, seen: map[uint64]bool{}, met: make([]bool, len(before.paragraphs)),
		paragraphs: before.spare[:0]}
	inv.taking = s
	if before.file == dpkgStatus {
		inv.dpkg()
	} else {
		inv.apk()
	}
	if s.file != before.file || s.odd || len(inv.partial) > 0 {
		return scanner.Table{}, false
	}
	here := make(map[string]bool, len(inv.rows))
	for i := range inv.rows {
		here[inv.rows[i].ID] = true
	}
	out := &Since{Stock: before}
	for i, p := range before.paragraphs {
		switch {
		case !s.met[i]:
			if p.id != "" && !here[p.id] {
				out.Gone = append(out.Gone, p.id)
			}
		case here[p.id] && !inv.journal:
			return scanner.Table{}, false // a package twice
		}
	}
	if len(inv.rows) == 0 && len(out.Gone) == 0 {
		return scanner.Table{}, false
	}
	if !inv.journal { // what dpkg noted beside the file is not in it yet
		if !s.name(inv.rows) {
			return scanner.Table{}, false
		}
		before.paragraphs, before.spare = s.paragraphs, before.paragraphs
	}
	slices.Sort(out.Gone)
	return scanner.Table{Rows: inv.rows, Aux: out}, true
}

// manager is the package manager whose database it is of.
func (s *Stock) manager() string {
	if s.file == dpkgStatus {
		return "dpkg"
	}
	return "apk"
}

// Of names the package manager of what is gone.
func (s *Since) Of() string { return s.Stock.manager() }
