package device

import "strings"

// Remarks on entries, counted in the index's notes.
const (
	noteOutside  = "names with .. that would leave the tree were put inside it"
	noteBadName  = "entries left out: name empty, too long or with a zero byte"
	noteLongLink = "links left out: target too long or with a zero byte"
	noteNotDir   = "a file where later entries need a directory was replaced by one"
	noteKeptDir  = "a file in place of a directory that is not empty was left out"
	noteLinkLoop = "a link that leads nowhere, where later entries need a directory, was replaced by one"
	noteNoTarget = "hard links to a file that is not in the archive"
)

// add puts an entry in the tree. Of two with the same name the later one counts. What an
// entry has wrong is noted and bent into the tree; the error is errIndexFull alone.
func (x *index) add(e *entry) error {
	if len(e.link) > maxLinkTo || strings.IndexByte(e.link, 0) >= 0 {
		x.notes.add(noteLongLink, e.name)
		return nil
	}
	id, err := x.place(e.name, e.mode&typeMask == typeDir)
	if err != nil || id == 0 {
		return err
	}
	x.set(id, e)
	return nil
}

// hardlink gives a second name to the file at target, and tells whether there was one.
func (x *index) hardlink(name, target string) (bool, error) {
	dir, base, ok := x.split(target)
	if !ok {
		return false, nil
	}
	parent, err := x.dir(dir, false)
	if err != nil || parent == 0 {
		return false, err
	}
	to := x.child(parent, base)
	if to == 0 || x.node(to).mode&typeMask == typeDir {
		return false, nil
	}
	if x.node(to).flags&flagHardlink != 0 {
		to = uint32(x.node(to).where)
	}
	id, err := x.place(name, false)
	if err != nil || id == 0 || id == to {
		return true, err
	}
	n := x.node(id)
	n.flags, n.mode, n.where = flagHardlink, x.node(to).mode, uint64(to)
	x.nlinks[to] = max(x.nlinks[to], 1) + 1
	return true, nil
}

// place makes the node for a name, or finds the directory that is there when one is wanted.
// It gives 0 for an entry that is left out.
func (x *index) place(name string, isDir bool) (uint32, error) {
	dir, base, ok := x.split(name)
	if !ok {
		return 0, nil
	}
	if base == "" { // the top itself
		if isDir {
			return topNode, nil
		}
		x.notes.add(noteKeptDir, name)
		return 0, nil
	}
	parent := x.lastNode
	if dir != x.lastDir || parent == 0 {
		var err error
		if parent, err = x.dir(dir, true); err != nil {
			return 0, err
		}
		x.lastDir, x.lastNode = dir, parent
	}
	if old := x.child(parent, base); old != 0 && x.node(old).mode&typeMask == typeDir {
		if isDir {
			x.touch(old)
			return old, nil
		}
		// A lower layer's directory is replaced as a whole. Within one archive a file cannot
		// take the place of a directory that something was put in.
		if old >= x.layer && x.node(old).where != 0 {
			x.notes.add(noteKeptDir, name)
			return 0, nil
		}
	}
	return x.link(parent, base)
}

// split cleans a name and cuts it into directory and base, both without outer slashes. It
// notes and refuses a name that Linux would not have.
func (x *index) split(name string) (dir, base string, ok bool) {
	if name == "" || len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
		x.notes.add(noteBadName, name[:min(len(name), 64)])
		return "", "", false
	}
	clean, outside := cleanName(name)
	if outside {
		x.notes.add(noteOutside, name)
	}
	if i := strings.LastIndexByte(clean, '/'); i >= 0 {
		dir, base = clean[:i], clean[i+1:]
	} else {
		base = clean
	}
	for rest := clean; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if len(part) > maxComponent {
			x.notes.add(noteBadName, name[:64])
			return "", "", false
		}
	}
	return dir, base, true
}

// cleanName takes empty, "." and ".." components out of a name, and the slashes around it.
// It tells whether the name would have left the tree.
func cleanName(name string) (clean string, outside bool) {
	name = strings.Trim(strings.TrimPrefix(name, "./"), "/")
	if isClean(name) {
		return name, false
	}
	var parts []string
	for p := range strings.SplitSeq(name, "/") {
		switch {
		case p == "" || p == ".":
		case p != "..":
			parts = append(parts, p)
		case len(parts) == 0:
			outside = true
		default:
			parts = parts[:len(parts)-1]
		}
	}
	return strings.Join(parts, "/"), outside
}

// isClean tells whether a name without outer slashes has no empty, "." or ".." component.
func isClean(name string) bool {
	for rest, more := name, name != ""; more; {
		var p string
		if p, rest, more = strings.Cut(rest, "/"); !plain(p) {
			return false
		}
	}
	return true
}

// dir gives the directory of a clean name, following links inside the tree as extracting
// would. What is missing is made if create, else 0 is given.
func (x *index) dir(name string, create bool) (uint32, error) {
	cur, links := uint32(topNode), 0
	for rest := name; rest != ""; {
		var p string
		p, rest, _ = strings.Cut(rest, "/")
		switch p {
		case "", ".":
			continue
		case "..":
			if cur != topNode {
				cur = x.node(cur).parent
			}
			continue
		}
		id := x.child(cur, p)
		if id == 0 && !create || len(p) > maxComponent {
			return 0, nil
		}
		kind := uint16(0)
		if id != 0 {
			kind = x.node(id).mode & typeMask
		}
		if kind == typeDir {
			x.touch(id)
			cur = id
			continue
		}
		if kind == typeLink {
			if links++; links <= maxLinks {
				to := string(x.names.get(uint32(x.node(x.inode(id)).where)))
				if strings.HasPrefix(to, "/") {
					cur = topNode
				}
				rest = to + "/" + rest
				continue
			}
		}
		if !create {
			return 0, nil
		}
		switch kind {
		case 0:
		case typeLink:
			x.notes.add(noteLinkLoop, name)
		default:
			x.notes.add(noteNotDir, name)
		}
		id, err := x.implied(cur, p)
		if err != nil {
			return 0, err
		}
		cur = id
	}
	return cur, nil
}

// implied makes a directory that no entry describes (yet).
func (x *index) implied(parent uint32, name string) (uint32, error) {
	id, err := x.link(parent, name)
	if err != nil {
		return 0, err
	}
	n := x.node(id)
	top := x.node(topNode)
	n.mode, n.flags, n.mtime, n.owner = typeDir|0o755, flagImplied, top.mtime, top.owner
	return id, nil
}

// inode gives the node that describes a file, which is another one for a hard link.
func (x *index) inode(id uint32) uint32 {
	if n := x.node(id); n.flags&flagHardlink != 0 {
		return uint32(n.where)
	}
	return id
}
