package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its file: a damaged page is a panic, a bad memory access or an endless walk.
// So before bbolt sees the file it is read here, page by page, with every number checked.
//
// The format (bbolt's internal/common): pages of one size; 0 and 1 are copies of the meta
// page, of which the valid one with the higher transaction counts; the others are nodes of
// B+ trees, one tree of buckets and one for each bucket, or free. Numbers have the byte order
// of the machine.
const (
	pageHeader  = 16 // id u64, flags u16, count u16, overflow u32
	elementSize = 16 // branch: pos u32, ksize u32, page u64; leaf: flags u32, pos u32, ksize u32, vsize u32
	metaSize    = 64 // magic, version, page size, flags u32; root, sequence, freelist, pages, tx u64; checksum u64
	branchFlag  = 1
	leafFlag    = 2
	metaFlag    = 4
	bucketFlag  = 1 // of a leaf's element
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)

	maxDepth    = 24      // of a tree: with 4 KiB pages even a thin one of 1 GiB has fewer
	maxOverflow = 4 << 20 // bytes of one node: a record and its neighbours
	maxFaults   = 6       // told; all are counted
)

// found is what survey saw of a file.
type found struct {
	faults []string // the first few
	bad    int      // how many there are
	live   int64    // pages in use
	format uint64   // 0 where the record cannot be read
	state  *state   // nil where the record cannot be read
	tally  [tables]tally
}

func (f *found) fault(format string, args ...any) {
	if f.bad++; len(f.faults) < maxFaults {
		f.faults = append(f.faults, fmt.Sprintf(format, args...))
	}
}

func (f *found) healthy() bool { return f.bad == 0 }

// meta is what a meta page says.
type meta struct{ root, freelist, pages, tx uint64 }

func readMeta(page []byte, id uint64) (meta, error) {
	ne := binary.NativeEndian
	b := page[pageHeader : pageHeader+metaSize]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	switch {
	case ne.Uint32(b) != boltMagic || ne.Uint32(b[4:]) != boltVersion:
		return meta{}, errors.New("not a meta page")
	case h.Sum64() != ne.Uint64(b[metaSize-8:]):
		return meta{}, errors.New("checksum does not match")
	case ne.Uint32(b[8:]) != pageSize:
		return meta{}, fmt.Errorf("pages of %d bytes", ne.Uint32(b[8:]))
	case ne.Uint64(page) != id || ne.Uint16(page[8:]) != metaFlag:
		return meta{}, errors.New("its header is not a meta page's")
	}
	return meta{root: ne.Uint64(b[16:]), freelist: ne.Uint64(b[32:]), pages: ne.Uint64(b[40:]), tx: ne.Uint64(b[48:])}, nil
}

// walker reads the trees of one file.
type walker struct {
	r     io.ReaderAt
	found *found
	pages uint64
	seen  []uint64 // a bit a page
	visit func(tb table, key, frame []byte) error
	err   error // visit's
}

// survey reads a whole file and gives every record that holds to visit, which may be nil.
// It stops at visit's first error, which it returns as the only fault.
func survey(r io.ReaderAt, size int64, visit func(tb table, key, frame []byte) error) *found {
	f := &found{}
	best, err := newestMeta(r, f)
	if err != nil {
		f.fault("%v", err)
		return f
	}
	if best.freelist != noFreelist {
		f.fault("a list of free pages, which we keep none of")
	}
	pages := best.pages
	if have := uint64(size / pageSize); pages > have {
		f.fault("cut short: %d of %d pages", have, pages)
		pages = have
	}
	w := &walker{r: r, found: f, pages: pages, seen: make([]uint64, pages/64+1), visit: visit}
	w.buckets(best.root)
	if f.format == 0 {
		f.fault("no version of the format")
	}
	if f.state == nil {
		f.fault("no state record")
	} else {
		for tb := range tables {
			if want := f.state.tally[tb]; want != f.tally[tb] {
				f.fault("%s: %d records, and the state says %d", tableNames[tb], f.tally[tb].count, want.count)
			}
		}
	}
	return f
}

// newestMeta faults the one that does not hold: the last change may be lost with it.
func newestMeta(r io.ReaderAt, f *found) (meta, error) {
	var best meta
	ok := false
	page := make([]byte, pageSize)
	for id := range uint64(2) {
		_, err := r.ReadAt(page, int64(id)*pageSize)
		var m meta
		if err == nil {
			m, err = readMeta(page, id)
		}
		if err != nil {
			f.fault("meta page %d: %v: the last change may be lost", id, err)
			continue
		}
		if !ok || m.tx > best.tx {
			best, ok = m, true
		}
	}
	if !ok {
		return best, errors.New("no meta page holds")
	}
	return best, nil
}

// claim marks pages as read and tells whether all of them are new and inside the file.
func (w *walker) claim(id, n uint64) bool {
	if id < 2 || id >= w.pages || n > w.pages-id {
		return false
	}
	for p := id; p < id+n; p++ {
		if w.seen[p/64]&(1<<(p%64)) != 0 {
			return false
		}
	}
	for p := id; p < id+n; p++ {
		w.seen[p/64] |= 1 << (p % 64)
	}
	w.found.live += int64(n)
	return true
}

// page reads a node with the pages that it flows over into.
func (w *walker) page(id uint64) ([]byte, bool) {
	ne := binary.NativeEndian
	if !w.claim(id, 1) {
		w.found.fault("page %d: outside the file, or used twice", id)
		return nil, false
	}
	buf := make([]byte, pageSize)
	if _, err := w.r.ReadAt(buf, int64(id)*pageSize); err != nil {
		w.found.fault("page %d: %v", id, err)
		return nil, false
	}
	if got := ne.Uint64(buf); got != id {
		w.found.fault("page %d: its header says %d", id, got)
		return nil, false
	}
	if flags := ne.Uint16(buf[8:]); flags != branchFlag && flags != leafFlag {
		w.found.fault("page %d: of kind %#x", id, flags)
		return nil, false
	}
	over := uint64(ne.Uint32(buf[12:]))
	if over == 0 {
		return buf, true
	}
	if over > maxOverflow/pageSize || !w.claim(id+1, over) {
		w.found.fault("page %d: flows over into %d pages", id, over)
		return nil, false
	}
	buf = append(buf, make([]byte, over*pageSize)...)
	if _, err := w.r.ReadAt(buf[pageSize:], int64(id+1)*pageSize); err != nil {
		w.found.fault("page %d: %v", id, err)
		return nil, false
	}
	return buf, true
}

// tree is one B+ tree being read: keys grow from its left to its right, and what a branch
// says of a child's first key is no more than that key.
type tree struct {
	name string
	low  []byte // the nearest branch's key
	prev []byte // the last leaf key
	leaf func(flags uint32, key, value []byte)
}

func (w *walker) walk(t *tree, id uint64, depth int) {
	if depth > maxDepth {
		w.found.fault("%s: deeper than %d pages", t.name, maxDepth)
		return
	}
	page, ok := w.page(id)
	if !ok {
		return
	}
	w.node(t, page, fmt.Sprintf("page %d of %s", id, t.name), depth)
}

// node reads one node, which is a page or lies inside a bucket's element.
func (w *walker) node(t *tree, page []byte, where string, depth int) {
	ne := binary.NativeEndian
	count := int(ne.Uint16(page[10:]))
	if pageHeader+count*elementSize > len(page) {
		w.found.fault("%s: %d elements", where, count)
		return
	}
	branch := ne.Uint16(page[8:]) == branchFlag
	if branch && count == 0 {
		w.found.fault("%s: a branch to nothing", where)
	}
	dataAt := uint64(pageHeader + count*elementSize)
	part := func(from, n uint64) []byte {
		if from < dataAt || n > uint64(len(page)) || from > uint64(len(page))-n {
			return nil
		}
		return page[from : from+n : from+n]
	}
	for i := range count {
		if w.err != nil {
			return
		}
		at := pageHeader + i*elementSize
		e := page[at : at+elementSize]
		if branch {
			key := part(uint64(at)+uint64(ne.Uint32(e)), uint64(ne.Uint32(e[4:])))
			if len(key) == 0 || t.prev != nil && bytes.Compare(key, t.prev) <= 0 || bytes.Compare(key, t.low) < 0 {
				w.found.fault("%s: key of branch %d", where, i)
			} else {
				t.low = key
			}
			w.walk(t, ne.Uint64(e[8:]), depth+1)
			continue
		}
		start := uint64(at) + uint64(ne.Uint32(e[4:]))
		ksize, vsize := uint64(ne.Uint32(e[8:])), uint64(ne.Uint32(e[12:]))
		key, value := part(start, ksize), part(start+ksize, vsize)
		if len(key) == 0 || value == nil {
			w.found.fault("%s: element %d lies outside", where, i)
			continue
		}
		if t.prev != nil && bytes.Compare(key, t.prev) <= 0 || bytes.Compare(key, t.low) < 0 {
			w.found.fault("%s: key of element %d is out of order", where, i)
			t.low = nil // it may be the branch's that is wrong: said once
		}
		t.prev = key
		t.leaf(ne.Uint32(e), key, value)
	}
}

// buckets reads the tree of buckets, and each of them.
func (w *walker) buckets(root uint64) {
	have := map[string]bool{}
	t := &tree{name: "the tree of buckets"}
	t.leaf = func(flags uint32, key, value []byte) {
		if flags != bucketFlag || len(value) < 16 {
			w.found.fault("%.40q: no bucket", key)
			return
		}
		have[string(key)] = true
		w.bucket(string(key), value)
	}
	w.walk(t, root, 0)
	for _, name := range append([]string{metaName}, tableNames[:]...) {
		if !have[name] {
			w.found.fault("no bucket %q", name)
		}
	}
}

// bucket reads a bucket's records. value is its root page and a sequence, and, where the
// page is 0, the only node itself.
func (w *walker) bucket(name string, value []byte) {
	t := &tree{name: name}
	tb := table(-1)
	for i, n := range tableNames {
		if n == name {
			tb = table(i)
		}
	}
	switch {
	case name == metaName:
		t.leaf = w.metaRecord
	case tb < 0:
		w.found.fault("unknown bucket %.40q", name)
		return
	default:
		t.leaf = func(flags uint32, key, frame []byte) { w.record(tb, flags, key, frame) }
	}
	ne := binary.NativeEndian
	if root := ne.Uint64(value); root != 0 {
		w.walk(t, root, 0)
		return
	}
	node := value[16:]
	if len(node) < pageHeader || ne.Uint16(node[8:]) != leafFlag {
		w.found.fault("%s: the node inside its element", name)
		return
	}
	w.node(t, node, name, 0)
}

func (w *walker) metaRecord(flags uint32, key, frame []byte) {
	body, err := unseal(metaName, key, frame)
	d := decoder{buf: body}
	switch {
	case err != nil || flags != 0:
		w.found.fault("meta %.40q: %v", key, err)
	case bytes.Equal(key, formatKey):
		w.found.format = d.uint()
	case bytes.Equal(key, stateKey):
		st, err := decodeState(body)
		if err != nil {
			w.found.fault("state record: %v", err)
			return
		}
		w.found.state = &st
	}
}

func (w *walker) record(tb table, flags uint32, key, frame []byte) {
	if _, err := unseal(tableNames[tb], key, frame); err != nil || flags != 0 {
		w.found.fault("%s %.40q: %v", tableNames[tb], key, err)
		return
	}
	w.found.tally[tb].add(key, frame)
	if w.visit == nil || w.err != nil {
		return
	}
	if w.err = w.visit(tb, key, frame); w.err != nil {
		w.found.fault("%v", w.err)
	}
}
