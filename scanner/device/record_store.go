package device

import (
	"strings"
	"sync"

	"picket/scanner"
)

// store holds the answers that a device gave about its tree: those of a scan as it goes, or
// those of a recording. An answer is kept once and then given again.
type store struct {
	mu     sync.Mutex
	index  *index // names; descriptions in nodes
	more   [][]nodeMore
	rare   map[uint32]*rare
	errs   errorList
	devs   []uint64 // device numbers
	bodies *contentStore
	shown  map[uint32]string // names that stand in the place of others where a recording is written
}

// nodeMore is what a recording knows of a node besides what an index does.
type nodeMore struct {
	ctime uint64 // as node.mtime
	ino   uint64
	nlink uint32
	dev   uint16 // in store.devs
	lstat uint16 // number of the error that lstat gave
	state uint16
}

const (
	stateKnown  = 1 << iota // described
	stateListed             // a directory whose entries are all there
	stateEntry              // one of the entries of its directory
)

// rare is what few nodes have.
type rare struct {
	link    string
	head    []byte
	digests [scanner.SHA512 + 1][]byte
	body    body
	have    uint16 // operations answered, by bit
	errs    []opError
}

// body is a file's content.
type body struct {
	claimed int64 // File.Size
	off     int64 // in store.bodies
	size    int64
	kept    bool
}

// The operations that may have been answered. Those of a digest follow, by algorithm.
const (
	opLstat uint8 = iota
	opReadDir
	opReadlink
	opOpen
	opHead
)

type opError struct {
	op  uint8
	err uint16
}

func newStore() *store {
	s := &store{index: newIndex(), rare: map[uint32]*rare{}, bodies: &contentStore{}}
	s.index.node(topNode).mode = 0
	return s
}

// extra gives what goes with a node.
func (s *store) extra(id uint32) *nodeMore {
	for int(id/nodeChunk) >= len(s.more) {
		s.more = append(s.more, make([]nodeMore, nodeChunk))
	}
	return &s.more[id/nodeChunk][id%nodeChunk]
}

func (s *store) rareOf(id uint32) *rare {
	r := s.rare[id]
	if r == nil {
		r = &rare{}
		s.rare[id] = r
	}
	return r
}

// find gives the node of a clean absolute name, 0 when nothing is known of it.
func (s *store) find(name string) uint32 {
	id := uint32(topNode)
	for rest := strings.TrimPrefix(name, "/"); rest != "" && id != 0; {
		var p string
		p, rest, _ = strings.Cut(rest, "/")
		id = s.index.child(id, p)
	}
	return id
}

// make gives the node of a clean absolute name, new or old. Links in it mean nothing here.
func (s *store) make(name string) (uint32, error) {
	id := uint32(topNode)
	for rest := strings.TrimPrefix(name, "/"); rest != ""; {
		var p string
		p, rest, _ = strings.Cut(rest, "/")
		next, err := s.entry(id, p)
		if err != nil {
			return 0, pathErr("record", name, err)
		}
		id = next
	}
	return id, nil
}

// entry gives the node of a name in a directory, new or old.
func (s *store) entry(dir uint32, name string) (uint32, error) {
	if id := s.index.child(dir, name); id != 0 {
		return id, nil
	}
	if len(name) > maxName {
		return 0, errIndexFull
	}
	return s.index.link(dir, name)
}

// describe keeps a file's description unless one is there.
func (s *store) describe(id uint32, in *scanner.Info) {
	more := s.extra(id)
	if more.state&stateKnown != 0 {
		return
	}
	n := s.index.node(id)
	n.mode, n.size, n.mtime = unixMode(in.Mode), in.Size, packTime(in.ModTime)
	xattrs := s.index.owners[n.owner].xattrs
	n.owner = s.index.own(owner{uid: packID(int64(in.UID)), gid: packID(int64(in.GID)), xattrs: xattrs})
	more.ctime, more.ino, more.nlink = packTime(in.ChangeTime), in.Ino, uint32(min(in.Nlink, 1<<32-1))
	more.dev = s.device(in.Dev)
	more.state |= stateKnown
}

// device numbers a device number. Few devices have more than some dozens of filesystems.
func (s *store) device(dev uint64) uint16 {
	for i, d := range s.devs {
		if d == dev {
			return uint16(i)
		}
	}
	if len(s.devs) < 1<<12 {
		s.devs = append(s.devs, dev)
	}
	return uint16(len(s.devs) - 1)
}

func (s *store) info(id uint32, name string) scanner.Info {
	n, more := s.index.node(id), s.extra(id)
	o := &s.index.owners[n.owner]
	return scanner.Info{Name: name, Mode: scanner.ModeOf(uint32(n.mode)), Size: n.size, UID: int(o.uid), GID: int(o.gid),
		ModTime: unpackTime(n.mtime), ChangeTime: unpackTime(more.ctime), Nlink: uint64(more.nlink), Dev: s.devs[more.dev], Ino: more.ino}
}

// failed keeps an operation's error.
func (s *store) failed(id uint32, op uint8, err error) {
	n := s.errs.number(err)
	if op == opLstat {
		s.extra(id).lstat = n
		return
	}
	r := s.rareOf(id)
	r.have |= 1 << op
	r.errs = append(r.errs, opError{op, n})
}

// answered tells whether an operation was, and with which error.
func (s *store) answered(id uint32, op uint8, name string) (bool, error) {
	if op == opLstat {
		more := s.extra(id)
		if more.lstat != 0 {
			return true, s.errs.get(more.lstat, name)
		}
		return more.state&stateKnown != 0, nil
	}
	if op == opReadDir && s.extra(id).state&stateListed != 0 {
		return true, nil
	}
	r := s.rare[id]
	if r == nil || r.have&(1<<op) == 0 {
		return false, nil
	}
	for _, e := range r.errs {
		if e.op == op {
			return true, s.errs.get(e.err, name)
		}
	}
	return true, nil
}

// listing gives the entries of a directory whose listing is known.
func (s *store) listing(id uint32) []scanner.Info {
	var list []scanner.Info
	for c := uint32(s.index.node(id).where); c != 0; c = s.index.node(c).next {
		if s.extra(c).state&stateEntry != 0 {
			list = append(list, s.info(c, string(s.index.names.get(s.index.node(c).name))))
		}
	}
	sortByName(list)
	return list
}

// The answers about extended attributes of a file are one string, shared by all files with
// the same: name and '=' and value, or '!' and an error's number.

func (s *store) xattr(id uint32, attr, name string) (value []byte, ok bool, err error) {
	unpackXattrs(s.index.owners[s.index.node(id).owner].xattrs, func(k, v string) bool {
		if k != attr {
			return true
		}
		if ok = true; v[0] == '=' {
			value = []byte(v[1:])
		} else {
			err = s.errs.get(uint16(v[1])<<8|uint16(v[2]), name)
		}
		return false
	})
	return value, ok, err
}

func (s *store) keepXattr(id uint32, attr string, value []byte, err error) {
	v := "=" + string(value)
	if err != nil {
		n := s.errs.number(err)
		v = string([]byte{'!', byte(n >> 8), byte(n)})
	}
	n := s.index.node(id)
	o := s.index.owners[n.owner]
	if len(o.xattrs)+len(v) > maxXattrs {
		return // the next one who asks asks the device again
	}
	o.xattrs += packXattr(attr, v)
	n.owner = s.index.own(o)
}
