package device

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"picket/scanner"
)

// mountTree shows several trees as one, as mounts do. What lies below a mount point in the tree
// underneath is not seen.
type mountTree struct {
	mounts []mountedTree // those inside others before them; the last is at "/"
}

type mountedTree struct {
	at string // clean; its parent is a folder of the tree underneath, or "/"
	t  tree
}

func newMountTree(top tree) *mountTree { return &mountTree{mounts: []mountedTree{{"/", top}}} }

// mount puts a tree at a name. The same name is mounted once.
func (m *mountTree) mount(at string, t tree) {
	m.mounts = append(m.mounts, mountedTree{at, t})
	slices.SortStableFunc(m.mounts, func(a, b mountedTree) int { return len(b.at) - len(a.at) })
}

// find gives the tree that a name lies in, its name there, and a number that tells the tree from
// the others.
func (m *mountTree) find(name string) (t tree, inner string, number int) {
	for i, mt := range m.mounts {
		switch rest, ok := strings.CutPrefix(name, mt.at); {
		case mt.at == "/":
			return mt.t, name, i
		case ok && rest == "":
			return mt.t, "/", i
		case ok && rest[0] == '/':
			return mt.t, rest, i
		}
	}
	return nil, "", 0 // there is a mount at "/"
}

// told sets the files of one tree apart from those of another, whose numbers may be the same.
func told(info scanner.Info, number int) scanner.Info {
	info.Dev += uint64(number+1) << 32
	return info
}

func (m *mountTree) lstat(name string) (scanner.Info, error) {
	t, inner, number := m.find(name)
	info, err := t.lstat(inner)
	if err != nil {
		return info, rename(err, "lstat", name)
	}
	info.Name = base(name)
	return told(info, number), nil
}

func (m *mountTree) readDir(name string) ([]scanner.Info, error) {
	t, inner, number := m.find(name)
	infos, err := t.readDir(inner)
	if err != nil {
		return nil, rename(err, "readdir", name)
	}
	out := make([]scanner.Info, len(infos), len(infos)+len(m.mounts))
	for i := range infos {
		out[i] = told(infos[i], number)
	}
	for _, mt := range m.mounts {
		if mt.at == "/" || parent(mt.at) != name {
			continue
		}
		info, err := m.lstat(mt.at)
		if err != nil {
			return nil, rename(err, "readdir", name)
		}
		i, there := slices.BinarySearchFunc(out, info.Name, func(e scanner.Info, name string) int { return strings.Compare(e.Name, name) })
		if there {
			out[i] = info
		} else {
			out = slices.Insert(out, i, info)
		}
	}
	return out, nil
}

func (m *mountTree) readlink(name string) (string, error) {
	t, inner, _ := m.find(name)
	to, err := t.readlink(inner)
	if err != nil {
		return "", rename(err, "readlink", name)
	}
	return to, nil
}

func (m *mountTree) open(name string) (scanner.File, error) {
	t, inner, _ := m.find(name)
	f, err := t.open(inner)
	if err != nil {
		return nil, rename(err, "open", name)
	}
	return f, nil
}

func (m *mountTree) xattr(name, attr string) ([]byte, error) {
	t, inner, _ := m.find(name)
	v, err := t.xattr(inner, attr)
	if err != nil {
		return nil, rename(err, "xattr", name)
	}
	return v, nil
}

// head and digest ask a tree that keeps them, and read the file of others.
func (m *mountTree) head(name string) ([]byte, error) {
	t, inner, _ := m.find(name)
	if d, ok := t.(digester); ok {
		b, err := d.head(inner)
		if err != nil {
			return nil, rename(err, "open", name)
		}
		return b, nil
	}
	f, err := m.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readHead(f)
}

func (m *mountTree) digest(name string, algo scanner.Algo) ([]byte, error) {
	t, inner, _ := m.find(name)
	if d, ok := t.(digester); ok {
		b, err := d.digest(inner, algo)
		if err != nil {
			return nil, rename(err, "open", name)
		}
		return b, nil
	}
	f, err := m.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDigest(f, name, algo)
}

// bareTree is a folder that holds links alone, "/" of a device of which no image has one.
type bareTree struct{ links map[string]string }

func (b bareTree) lstat(name string) (scanner.Info, error) {
	if name == "/" {
		return scanner.Info{Name: "/", Mode: fs.ModeDir | 0o755, Nlink: 2, Ino: 1}, nil
	}
	to, ok := b.links[name[1:]]
	if !ok {
		return scanner.Info{}, pathErr("lstat", name, fs.ErrNotExist)
	}
	return scanner.Info{Name: name[1:], Mode: fs.ModeSymlink | 0o777, Size: int64(len(to)), Nlink: 1}, nil
}

func (b bareTree) readDir(name string) ([]scanner.Info, error) {
	if name != "/" {
		return nil, pathErr("readdir", name, fs.ErrNotExist)
	}
	var out []scanner.Info
	for link := range b.links {
		info, err := b.lstat("/" + link)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(x, y scanner.Info) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

func (b bareTree) readlink(name string) (string, error) {
	if to, ok := b.links[name[1:]]; ok {
		return to, nil
	}
	return "", pathErr("readlink", name, fs.ErrNotExist)
}

func (b bareTree) open(name string) (scanner.File, error) {
	if _, err := b.lstat(name); err != nil {
		return nil, rename(err, "open", name)
	}
	return nil, pathErr("open", name, errNotRegular)
}

func (b bareTree) xattr(name, _ string) ([]byte, error) {
	if _, err := b.lstat(name); err != nil {
		return nil, rename(err, "xattr", name)
	}
	return nil, pathErr("xattr", name, fmt.Errorf("a folder that stands for one that is in no image: %w", scanner.ErrUnavailable))
}

// unseenTree stands where something is mounted of which there is no image: nobody knows what it
// holds.
type unseenTree struct{ what string }

func (u unseenTree) err(op, name string) error {
	return pathErr(op, name, fmt.Errorf("nothing of %s came along: %w", u.what, scanner.ErrUnavailable))
}

func (u unseenTree) lstat(name string) (scanner.Info, error) {
	if name == "/" {
		return scanner.Info{Name: "/", Mode: fs.ModeDir | 0o755, UID: -1, GID: -1, Nlink: 2, Ino: 1}, nil
	}
	return scanner.Info{}, u.err("lstat", name)
}

func (u unseenTree) readDir(name string) ([]scanner.Info, error) { return nil, u.err("readdir", name) }
func (u unseenTree) readlink(name string) (string, error)        { return "", u.err("readlink", name) }
func (u unseenTree) open(name string) (scanner.File, error)      { return nil, u.err("open", name) }
func (u unseenTree) xattr(name, _ string) ([]byte, error)        { return nil, u.err("xattr", name) }
