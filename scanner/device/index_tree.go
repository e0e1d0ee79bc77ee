package device

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"picket/scanner"
)

// contentSource gives the content of regular files that an index refers to.
type contentSource interface {
	file(off, size int64) (scanner.File, error)
}

// program is what is kept of a file whose content is not.
type program struct {
	head   [headSize]byte
	length uint8 // of head
	hashed bool
	md5    [16]byte
	sha1   [20]byte
	sha256 [32]byte
}

const (
	sourceShift = 48
	offsetMask  = 1<<sourceShift - 1
	maxSources  = 1<<16 - 1
)

const (
	errNotKept   = notKept("content was not kept when the archive was read")
	errNoAlgo    = notKept("digest was not taken when the archive was read")
	errNotListed = notKept("may be missing, the archive was not read to its end")
)

// kept tells whether a regular file's content is to be had: source 0 has none.
func (n *node) kept() bool { return n.where>>sourceShift != 0 }

// notKept is an error for what an archive had and the index has not.
type notKept string

func (e notKept) Error() string { return string(e) }

// Is makes it an error of a device that cannot give something.
func (e notKept) Is(target error) bool { return target == scanner.ErrUnavailable }

// addSource makes a source known and gives its number, shifted to its place in node.where.
func (x *index) addSource(s contentSource) (uint64, error) {
	if len(x.sources) > maxSources {
		return 0, fmt.Errorf("more than %d layers", maxSources)
	}
	x.sources = append(x.sources, s)
	return uint64(len(x.sources)-1) << sourceShift, nil
}

// find gives the node of a clean name without links in it.
func (x *index) find(op, name string) (uint32, error) {
	id := x.top
	for rest := strings.TrimPrefix(name, "/"); rest != ""; {
		var p string
		p, rest, _ = strings.Cut(rest, "/")
		if x.node(id).flags&flagDenied != 0 {
			return 0, pathErr(op, name, fs.ErrPermission)
		}
		if id = x.child(id, p); id == 0 {
			if x.incomplete != nil {
				return 0, pathErr(op, name, fmt.Errorf("%w: %w", errNotListed, x.incomplete))
			}
			return 0, pathErr(op, name, fs.ErrNotExist)
		}
	}
	return id, nil
}

func (x *index) info(id uint32, name string) scanner.Info {
	in := x.inode(id)
	n := x.node(in)
	o := &x.owners[n.owner]
	return scanner.Info{
		Name:    name,
		Mode:    scanner.ModeOf(uint32(n.mode)),
		Size:    n.size,
		UID:     int(o.uid),
		GID:     int(o.gid),
		ModTime: unpackTime(n.mtime),
		Nlink:   uint64(max(x.nlinks[in], 1)),
		Ino:     uint64(in),
	}
}

func (x *index) lstat(name string) (scanner.Info, error) {
	id, err := x.find("lstat", name)
	if err != nil {
		return scanner.Info{}, err
	}
	b := base(name)
	if b == "" {
		b = "/"
	}
	return x.info(id, b), nil
}

func (x *index) readDir(name string) ([]scanner.Info, error) {
	id, err := x.find("readdir", name)
	if err != nil {
		return nil, err
	}
	n := x.node(id)
	if n.mode&typeMask != typeDir {
		return nil, pathErr("readdir", name, errors.New("not a directory"))
	}
	if n.flags&flagDenied != 0 {
		return nil, pathErr("readdir", name, fs.ErrPermission)
	}
	count := 0
	for id := uint32(n.where); id != 0; id = x.node(id).next {
		count++
	}
	list := make([]scanner.Info, 0, count)
	for id := uint32(n.where); id != 0; id = x.node(id).next {
		if c := x.node(id); c.flags&flagDead == 0 {
			list = append(list, x.info(id, string(x.names.get(c.name))))
		}
	}
	sortByName(list)
	if x.incomplete != nil {
		return list, pathErr("readdir", name, fmt.Errorf("%w: %w", errNotListed, x.incomplete))
	}
	return list, nil
}

func sortByName(list []scanner.Info) {
	slices.SortFunc(list, func(a, b scanner.Info) int { return strings.Compare(a.Name, b.Name) })
}

func (x *index) readlink(name string) (string, error) {
	id, err := x.find("readlink", name)
	if err != nil {
		return "", err
	}
	n := x.node(x.inode(id))
	if n.mode&typeMask != typeLink {
		return "", pathErr("readlink", name, fs.ErrInvalid)
	}
	return string(x.names.get(uint32(n.where))), nil
}

// regular finds a regular file that may be read.
func (x *index) regular(op, name string) (*node, error) {
	id, err := x.find(op, name)
	if err != nil {
		return nil, err
	}
	n := x.node(x.inode(id))
	if n.mode&typeMask != typeReg {
		return nil, pathErr(op, name, errNotRegular)
	}
	if n.flags&flagDenied != 0 {
		return nil, pathErr(op, name, fs.ErrPermission)
	}
	return n, nil
}

func (x *index) open(name string) (scanner.File, error) {
	n, err := x.regular("open", name)
	if err != nil {
		return nil, err
	}
	return x.content("open", name, n)
}

func (x *index) content(op, name string, n *node) (scanner.File, error) {
	if n.size == 0 {
		return &bytesFile{}, nil
	}
	if !n.kept() {
		return nil, pathErr(op, name, errNotKept)
	}
	f, err := x.sources[n.where>>sourceShift].file(int64(n.where&offsetMask), n.size)
	if err != nil {
		return nil, pathErr(op, name, err)
	}
	return f, nil
}

func (x *index) xattr(name, attr string) ([]byte, error) {
	id, err := x.find("getxattr", name)
	if err != nil {
		return nil, err
	}
	n := x.node(x.inode(id))
	var value []byte
	unpackXattrs(x.owners[n.owner].xattrs, func(k, v string) bool {
		if k == attr {
			value = []byte(v)
		}
		return value == nil
	})
	if value == nil && attr == scanner.FlagsAttr {
		return nil, pathErr("read flags of", name, scanner.ErrUnavailable) // archives do not keep them
	}
	if value == nil {
		return nil, pathErr("getxattr", name, fs.ErrNotExist)
	}
	return value, nil
}

func (x *index) head(name string) ([]byte, error) {
	n, err := x.regular("open", name)
	if err != nil {
		return nil, err
	}
	if n.prog != 0 {
		p := &x.programs[n.prog]
		return slices.Clone(p.head[:p.length]), nil
	}
	f, err := x.content("open", name, n)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readHead(f)
}

func (x *index) digest(name string, algo scanner.Algo) ([]byte, error) {
	n, err := x.regular("digest", name)
	if err != nil {
		return nil, err
	}
	if p := &x.programs[n.prog]; p.hashed {
		switch algo {
		case scanner.MD5:
			return slices.Clone(p.md5[:]), nil
		case scanner.SHA1:
			return slices.Clone(p.sha1[:]), nil
		case scanner.SHA256:
			return slices.Clone(p.sha256[:]), nil
		}
		if !n.kept() {
			return nil, pathErr("digest", name, errNoAlgo)
		}
	}
	f, err := x.content("digest", name, n)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDigest(io.LimitReader(f, n.size), name, algo)
}
