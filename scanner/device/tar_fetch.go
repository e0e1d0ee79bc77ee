package device

import (
	"io"
	"strings"

	"picket/scanner"
)

// maxFollowed bounds how many files are looked at behind links to directories.
const maxFollowed = 1 << 22

// chooseBehindLinks finds the files that were not kept under their own name but should be
// under one that a link gives them: /etc/os-release leads to /usr/lib/os-release. Links may
// come after what they name, so this takes a second pass over the archive, by ordinal.
func (l *tarLoader) chooseBehindLinks() {
	l.want = map[uint64]uint32{}
	fsys, budget := newFS(l.index), maxFollowed
	for id := uint32(topNode + 1); id < l.index.count && budget > 0; id++ {
		n := l.index.node(id)
		if n.flags&flagDead != 0 || n.mode&typeMask != typeLink && n.flags&flagHardlink == 0 {
			continue
		}
		if name, ok := l.index.path(id); ok {
			budget--
			l.chooseBehind(fsys, name, &budget)
		}
	}
}

// chooseBehind chooses what the link at name leads to.
func (l *tarLoader) chooseBehind(fsys scanner.FS, name string, budget *int) {
	real, err := fsys.Resolve(name)
	if err != nil {
		return
	}
	id, err := l.index.find("", real)
	if err != nil {
		return
	}
	if l.index.node(id).mode&typeMask != typeDir {
		if l.keep.content(name, 0) {
			l.choose(id)
		}
		return
	}
	if isMerged(real) && real == "/usr"+name {
		return // keeperOf asks for these
	}
	l.chooseIn(fsys, id, real, name, budget)
}

// chooseIn chooses from the directory real, which is known as alias too.
func (l *tarLoader) chooseIn(fsys scanner.FS, dir uint32, real, alias string, budget *int) {
	type place struct {
		dir         uint32
		real, alias string
	}
	for todo := []place{{dir, real, alias}}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if len(p.alias) > maxName {
			continue
		}
		for id := uint32(l.index.node(p.dir).where); id != 0 && *budget > 0; id = l.index.node(id).next {
			*budget--
			n := l.index.node(id)
			if n.flags&flagDead != 0 {
				continue
			}
			name := string(l.index.names.get(n.name))
			real, alias := join(p.real, name), join(p.alias, name)
			switch kind := n.mode & typeMask; {
			case kind == typeDir:
				todo = append(todo, place{id, real, alias})
			case !l.keep.content(alias, 0):
			case kind == typeReg:
				l.choose(id)
			case kind == typeLink:
				if to, err := fsys.Resolve(real); err == nil {
					if id, err := l.index.find("", to); err == nil {
						l.choose(id)
					}
				}
			}
		}
	}
}

func (l *tarLoader) choose(id uint32) {
	id = l.index.inode(id)
	if n := l.index.node(id); n.mode&typeMask == typeReg && !n.kept() && n.size > 0 && n.where != 0 {
		l.want[n.where] = id
	}
}

// path gives a node's name in the tree, and whether the tree has it there.
func (x *index) path(id uint32) (string, bool) {
	var parts []string
	length := 0
	for n := id; n != x.top; n = x.node(n).parent {
		if n == 0 || x.node(n).flags&flagDead != 0 {
			return "", false
		}
		part := string(x.names.get(x.node(n).name))
		if length += len(part) + 1; length > maxName {
			return "", false
		}
		parts = append(parts, part)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(parts[i])
	}
	return b.String(), true
}

// fetch reads an archive again for the content of the files in want. ordinal is the
// loader's count when the archive was read first.
func (l *tarLoader) fetch(in *tarInput, ordinal uint64) error {
	r := &tarReader{in: in}
	var h tarHeader
	for len(l.want) > 0 {
		err := r.next(&h)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return in.error(r.last, err)
		}
		end := in.off + h.size + padding(h.size)
		if h.kind == '0' {
			ordinal++
			if id, ok := l.want[ordinal]; ok {
				delete(l.want, ordinal)
				if err := l.fetchFile(in, &h, id); err != nil {
					return in.error(r.last, err)
				}
			}
		}
		if err := in.skip(end - in.off); err != nil {
			return in.error(r.last, err)
		}
	}
	return nil
}

func (l *tarLoader) fetchFile(in *tarInput, h *tarHeader, id uint32) error {
	n := l.index.node(id)
	e := entry{name: h.name, size: n.size}
	keep := l.keep
	defer func() { l.keep = keep }()
	l.keep.content = func(string, int64) bool { return true }
	if h.sparse {
		if err := l.sparse(in, h, &e); err != nil {
			return err
		}
	} else if err := l.stream(io.LimitReader(in, h.size), &e); err != nil {
		return err
	}
	if e.size == n.size && e.where != 0 {
		n.where = e.where
	}
	return nil
}
