package facts

import (
	"bytes"
	"hash/maphash"
	"slices"

	"picket/scanner"
)

// Stock is what the one database of a device's packages was like when it was read: a hash of
// each paragraph, by which the next look tells what is another now without parsing the rest. It
// knows dpkg's status file and apk's database.
type Stock struct {
	seed       maphash.Seed
	file       string            // the database
	native     string            // dpkg's own architecture
	paragraphs map[uint64]string // id of the package, empty for what is no row
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
	seen   map[uint64]int // line of each paragraph
	file   string
	twice  bool // two databases, or two paragraphs that are the same
}

// fresh tells whether a paragraph has to be parsed.
func (s *stockTaking) fresh(file string, paragraph []byte, line int) bool {
	hash := maphash.Bytes(s.seed, paragraph)
	if _, there := s.seen[hash]; there || s.file != "" && s.file != file {
		s.twice = true
	}
	s.file, s.seen[hash] = file, line
	if s.before == nil {
		return true
	}
	_, known := s.before.paragraphs[hash]
	return !known
}

// eachParagraph hands on the paragraphs of a piece that have to be parsed.
func (s *stockTaking) eachParagraph(file string, piece []byte, line int, do func(paragraph []byte, line int)) {
	for len(piece) > 0 {
		n := len(piece)
		if end := bytes.Index(piece, []byte("\n\n")); end >= 0 {
			n = end + 2
		}
		if s.fresh(file, piece[:n], line) {
			do(piece[:n], line)
		}
		line += bytes.Count(piece[:n], []byte{'\n'})
		piece = piece[n:]
	}
}

// stock is what the reading amounts to; nil where one cannot go by it.
func (s *stockTaking) stock(native string, rows []Package) *Stock {
	if s.file == "" || s.twice {
		return nil
	}
	out := &Stock{seed: s.seed, file: s.file, native: native, paragraphs: make(map[uint64]string, len(s.seen))}
	ids := byPlace(rows)
	has := make(map[string]bool, len(rows))
	for hash, line := range s.seen {
		id := ids[at(s.file, line)]
		if id != "" && has[id] {
			return nil
		}
		has[id] = true
		out.paragraphs[hash] = id
	}
	return out
}

func byPlace(rows []Package) map[string]string {
	ids := make(map[string]string, len(rows))
	for i := range rows {
		ids[rows[i].Where] = rows[i].ID
	}
	return ids
}

// since reads the database of an earlier look again, and gives a table of what changed in it.
// There is none where nothing did, or where all has to be read to tell.
func (inv *inventory) since(before *Stock) (scanner.Table, bool) {
	s := &stockTaking{before: before, seed: before.seed, seen: make(map[uint64]int, len(before.paragraphs))}
	inv.taking = s
	if before.file == dpkgStatus {
		inv.dpkg()
	} else {
		inv.apk()
	}
	if s.file != before.file || s.twice || len(inv.partial) > 0 {
		return scanner.Table{}, false
	}
	here := make(map[string]bool, len(inv.rows))
	for i := range inv.rows {
		here[inv.rows[i].ID] = true
	}
	out := &Since{Stock: before}
	var old []uint64 // paragraphs that are there no more
	for hash, id := range before.paragraphs {
		_, there := s.seen[hash]
		switch {
		case !there:
			old = append(old, hash)
			if id != "" && !here[id] {
				out.Gone = append(out.Gone, id)
			}
		case here[id] && !inv.journal:
			return scanner.Table{}, false // a package twice
		}
	}
	if len(inv.rows) == 0 && len(out.Gone) == 0 {
		return scanner.Table{}, false
	}
	if !inv.journal { // what dpkg noted beside the file is not in it yet
		for _, hash := range old {
			delete(before.paragraphs, hash)
		}
		ids := byPlace(inv.rows)
		for hash, line := range s.seen {
			if _, known := before.paragraphs[hash]; !known {
				before.paragraphs[hash] = ids[at(s.file, line)]
			}
		}
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
