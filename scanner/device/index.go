package device

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"time"
)

// Limits of one index. A hostile archive can claim any number of anything.
const (
	maxEntries    = 4 << 20  // files, links and directories
	maxComponent  = 255      // bytes between two slashes, as Linux
	maxOwners     = 1 << 18  // distinct sets of owner and extended attributes
	maxXattrs     = 64 << 10 // bytes of one file's extended attributes
	maxXattrTotal = 32 << 20 // bytes of all distinct sets of extended attributes
	nameChunk     = 32 << 10 // bytes
	nodeChunk     = 1 << 10  // nodes
)

// errIndexFull says that an archive holds more than the index takes.
var errIndexFull = fmt.Errorf("more than %d entries or %d bytes of names", maxEntries, maxNames)

// node is one file of an index, small because there may be millions. A node is named by its
// number; 0 is none and 1 the top.
type node struct {
	parent uint32
	next   uint32 // the sibling added before it
	name   uint32 // in index.names
	owner  uint32 // in index.owners: uid, gid and extended attributes
	prog   uint32 // in index.programs: first bytes and digests of what was not kept
	mode   uint16 // as st_mode
	flags  uint16
	mtime  uint64 // seconds since 1970 << 30 | nanoseconds; unknownTime
	size   int64
	// where is, by type: a directory's newest child; a link's target in names; a hard link's
	// node; a file's content as source number << 48 | offset.
	where uint64
}

const (
	flagDead     = 1 << iota // replaced or removed: no longer in the tree
	flagHardlink             // where is the node that has everything but the name
	flagImplied              // a directory that no entry describes
	flagDenied               // may be described but not read
)

const (
	unknownTime = ^uint64(0)
	typeMask    = 0o170000
	typeDir     = 0o040000
	typeReg     = 0o100000
	typeLink    = 0o120000
	typeFIFO    = 0o010000
	typeChar    = 0o020000
	typeBlock   = 0o060000
	typeSocket  = 0o140000
	topNode     = 1
)

// owner is what many files share.
type owner struct {
	uid, gid int64 // -1 unknown
	xattrs   string
}

// entry is one file as a container describes it, on its way into an index.
type entry struct {
	name     string // any form; made absolute and clean
	mode     uint16 // as st_mode
	uid, gid int64  // -1 unknown
	size     int64
	mtime    time.Time // zero: unknown
	link     string    // target of a symbolic link
	xattrs   []xattr
	where    uint64 // of a regular file: source and offset
	prog     uint32
	flags    uint16
}

type xattr struct{ name, value string }

// index is a compact tree of files: about 80 bytes for each, its name included.
type index struct {
	nodes  [][]node // chunks, so that growing copies nothing
	count  uint32   // nodes in use, the unused 0 included
	limit  uint32   // of count
	names  arena
	table  []uint32 // open addressing over parent and name
	tags   []uint8  // eight bits of the hash for each slot of table
	live   uint32   // filled slots of table
	seed   maphash.Seed
	owners []owner
	byWho  map[owner]uint32
	xbytes int
	nlinks map[uint32]uint32 // names of a file that has several
	// programs holds first bytes and digests of files whose content was not kept.
	programs []program
	sources  []contentSource
	// layer is the first node of the layer being added: older ones are of lower layers.
	layer   uint32
	touched map[uint32]struct{} // directories of lower layers that this layer has too
	// incomplete says why files may be missing; what is not found is then unknown.
	incomplete error
	notes      noteList
	// lastDir and lastNode are the directory of the entry added last.
	lastDir  string
	lastNode uint32
	// top is what "/" shows, another node than topNode for an archive with a leading folder.
	top uint32
}

func newIndex() *index {
	x := &index{
		seed:   maphash.MakeSeed(),
		byWho:  map[owner]uint32{},
		nlinks: map[uint32]uint32{},
		table:  make([]uint32, 1<<8),
		tags:   make([]uint8, 1<<8),
		// Number 0 of each is "none".
		programs: make([]program, 1),
		sources:  make([]contentSource, 1),
		count:    1,
		limit:    maxEntries,
		top:      topNode,
	}
	x.nodes = append(x.nodes, make([]node, nodeChunk))
	id, _ := x.alloc()
	*x.node(id) = node{mode: typeDir | 0o755, flags: flagImplied, mtime: unknownTime, owner: x.own(owner{uid: -1, gid: -1})}
	return x
}

func (x *index) node(id uint32) *node { return &x.nodes[id/nodeChunk][id%nodeChunk] }

func (x *index) alloc() (uint32, error) {
	if x.count > x.limit || x.names.full() {
		return 0, errIndexFull
	}
	if int(x.count/nodeChunk) == len(x.nodes) {
		x.nodes = append(x.nodes, make([]node, nodeChunk))
	}
	x.count++
	return x.count - 1, nil
}

// slot finds where (parent, name) is or belongs in the table, and its tag.
func (x *index) slot(parent uint32, name string) (int, uint8) {
	h := mix(maphash.String(x.seed, name), parent)
	mask, tag := len(x.table)-1, uint8(h>>56)
	for i := int(h) & mask; ; i = (i + 1) & mask {
		id := x.table[i]
		if id == 0 {
			return i, tag
		}
		if x.tags[i] != tag {
			continue
		}
		if n := x.node(id); n.parent == parent && string(x.names.get(n.name)) == name {
			return i, tag
		}
	}
}

// mix folds a parent into the hash of a name.
func mix(h uint64, parent uint32) uint64 { return h ^ uint64(parent)*0x9e3779b97f4a7c15 }

// child gives the node of a name in a directory, 0 when there is none.
func (x *index) child(parent uint32, name string) uint32 {
	i, _ := x.slot(parent, name)
	id := x.table[i]
	if id != 0 && x.node(id).flags&flagDead != 0 {
		return 0
	}
	return id
}

func (x *index) grow() {
	old := x.table
	x.table, x.tags = make([]uint32, 2*len(old)), make([]uint8, 2*len(old))
	mask := len(x.table) - 1
	for _, id := range old {
		if id == 0 {
			continue
		}
		n := x.node(id)
		h := mix(maphash.Bytes(x.seed, x.names.get(n.name)), n.parent)
		i := int(h) & mask
		for x.table[i] != 0 {
			i = (i + 1) & mask
		}
		x.table[i], x.tags[i] = id, uint8(h>>56)
	}
}

// link makes a new node of a name in a directory, in place of one that is there.
func (x *index) link(parent uint32, name string) (uint32, error) {
	id, err := x.alloc()
	if err != nil {
		return 0, err
	}
	if 4*x.live >= 3*uint32(len(x.table)) {
		x.grow()
	}
	slot, tag := x.slot(parent, name)
	text := uint32(0)
	if old := x.table[slot]; old != 0 {
		x.node(old).flags |= flagDead
		text = x.node(old).name
	} else {
		x.live++
		text = x.names.put(name)
	}
	x.table[slot], x.tags[slot] = id, tag
	p := x.node(parent)
	*x.node(id) = node{parent: parent, name: text, next: uint32(p.where)}
	p.where = uint64(id)
	return id, nil
}

// own gives the number of an owner.
func (x *index) own(o owner) uint32 {
	if i, ok := x.byWho[o]; ok {
		return i
	}
	if len(x.owners) >= maxOwners {
		x.notes.add("owners and attributes left out: too many different ones", "")
		return 0
	}
	if x.xbytes += len(o.xattrs); x.xbytes > maxXattrTotal {
		x.notes.add("extended attributes left out: too many", "")
		o.xattrs = ""
	}
	i := uint32(len(x.owners))
	x.owners = append(x.owners, o)
	x.byWho[o] = i
	return i
}

// set fills a node from an entry.
func (x *index) set(id uint32, e *entry) {
	n := x.node(id)
	n.mode, n.size, n.prog, n.mtime = e.mode, max(e.size, 0), e.prog, packTime(e.mtime)
	n.flags = n.flags&^flagImplied | e.flags
	n.owner = x.own(owner{uid: packID(e.uid), gid: packID(e.gid), xattrs: x.packXattrs(e)})
	switch e.mode & typeMask {
	case typeDir:
		n.size = 0
	case typeLink:
		n.where, n.size = uint64(x.names.put(e.link)), int64(len(e.link))
	case typeReg:
		n.where = e.where
	default:
		n.size = 0
	}
}

// packID makes what is no user or group id unknown, and what scanner.Info cannot hold.
func packID(id int64) int64 {
	if id < 0 || id > min(1<<32-1, math.MaxInt) {
		return -1
	}
	return id
}

func packTime(t time.Time) uint64 {
	if t.IsZero() {
		return unknownTime
	}
	s := min(max(t.Unix(), 0), 1<<34-2)
	return uint64(s)<<30 | uint64(t.Nanosecond())
}

func unpackTime(v uint64) time.Time {
	if v == unknownTime {
		return time.Time{}
	}
	return time.Unix(int64(v>>30), int64(v&(1<<30-1))).UTC()
}

// packXattrs makes one string of a file's attributes, so that files can share it.
func (x *index) packXattrs(e *entry) string {
	if len(e.xattrs) == 0 {
		return ""
	}
	var b strings.Builder
	for _, a := range e.xattrs {
		if b.Len()+len(a.name)+len(a.value)+8 > maxXattrs || len(a.name) > maxComponent {
			x.notes.add("extended attributes too long", e.name)
			continue
		}
		b.WriteString(packXattr(a.name, a.value))
	}
	return b.String()
}

func packXattr(name, value string) string {
	return fmt.Sprintf("%d %d %s%s", len(name), len(value), name, value)
}

// unpackXattrs is the other way of packXattrs; it stops when yield is false.
func unpackXattrs(s string, yield func(name, value string) bool) {
	for s != "" {
		n, rest := packedLen(s)
		v, rest := packedLen(rest)
		if !yield(rest[:n], rest[n:n+v]) {
			return
		}
		s = rest[n+v:]
	}
}

func packedLen(s string) (int, string) {
	n, i := 0, 0
	for ; s[i] != ' '; i++ {
		n = 10*n + int(s[i]-'0')
	}
	return n, s[i+1:]
}
