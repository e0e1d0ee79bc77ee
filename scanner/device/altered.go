package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"picket/scanner"
)

// Altered is base with a change laid over it, and the names of the files that the change touches.
// The change is a text fixture as Txtar reads them, without lines about the device: its files are
// new or take the place of those that were there, its probes are what live sources say now. One
// attribute more says that a file, a directory with all that is in it, or a source is no more:
//
//	-- etc/cron.d/backup gone --
//
// Directories that base has keep their modes and owners. Links on the way to a file are followed
// as base has them. base must stay open, and be a device of this package with a tree.
func Altered(base scanner.Device, change []byte) (dev scanner.Device, touched []string, err error) {
	fsys, ok := base.FS().(*rooted)
	if !ok {
		return nil, nil, errors.New("this kind of device cannot be changed")
	}
	if len(change) > maxTxtar {
		return nil, nil, fmt.Errorf("txtar: %w", &scanner.TooLargeError{Size: int64(len(change)), Limit: maxTxtar})
	}
	over := &recorded{probes: map[scanner.Source]reply{}}
	t := &txtarReader{index: newIndex(), device: over, base: fsys}
	t.index.set(topNode, &entry{mode: typeDir | 0o755, mtime: txtarTime, flags: flagImplied})
	if touched, err = t.change(change); err != nil {
		return nil, nil, err
	}
	if _, err := t.index.addSource(t.contents); err != nil {
		return nil, nil, err
	}
	lower := fsys.t
	merged := &alteredTree{newOverlay(lower, fixtureUpper{t.index}, "/")}
	return &altered{base: base, fs: newFS(merged), probes: over.probes}, touched, nil
}

// change adds the files of a change.
func (t *txtarReader) change(text []byte) (touched []string, err error) {
	about, files := splitTxtar(text)
	for line := range strings.Lines(string(about)) {
		if l := strings.TrimSpace(line); l != "" && l[0] != '#' {
			return nil, errors.New("txtar: line 1: a change begins with a file, as -- NAME --")
		}
	}
	if len(files) == 0 {
		return nil, errors.New("txtar: line 1: holds no file")
	}
	for _, f := range files {
		name, err := t.file(f.header, f.data)
		if err != nil {
			return nil, fmt.Errorf("txtar: line %d: %w", f.line, err)
		}
		if name != "" {
			touched = append(touched, name)
		}
	}
	if err := t.likeBase("/"); err != nil {
		return nil, err
	}
	for _, name := range touched {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if err := t.likeBase(dir); err != nil {
				return nil, err
			}
		}
	}
	return touched, nil
}

// place gives the name that a file of a change has in the base's tree: links before its last
// part lead somewhere there.
func (t *txtarReader) place(name string) (string, error) {
	clean, outside := cleanName(name)
	if outside || clean == "" {
		return "", fmt.Errorf("%s: leaves the device", name)
	}
	rest := path.Base("/" + clean)
	for dir := path.Dir("/" + clean); ; dir = path.Dir(dir) {
		real, err := t.base.Resolve(dir)
		if err == nil {
			return join(real, rest), nil
		}
		if dir == "/" || !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		rest = path.Base(dir) + "/" + rest
	}
}

// gone marks a file as taken away.
func (t *txtarReader) gone(f *txtarFile) error {
	if _, err := t.base.t.lstat(f.name); err != nil {
		return fmt.Errorf("%s: gone: %w", f.name, err)
	}
	f.mode, f.size, f.xattrs = typeReg, 0, []xattr{{"user.overlay.whiteout", "y"}}
	return nil
}

// likeBase describes a directory that the change does not as base has it.
func (t *txtarReader) likeBase(dir string) error {
	id := t.find(dir)
	if dir == "/" {
		id = topNode
	}
	if id == 0 || t.index.node(id).flags&flagImplied == 0 {
		return nil
	}
	info, err := t.base.t.lstat(dir)
	if err != nil || !info.Mode.IsDir() {
		return nil // new, and root's
	}
	e := entry{name: dir, mode: typeDir | uint16(info.Perm()), uid: int64(info.UID), gid: int64(info.GID), mtime: info.ModTime}
	if label, err := t.base.t.xattr(dir, "security.selinux"); err == nil {
		e.xattrs = []xattr{{"security.selinux", string(label)}}
	}
	where := t.index.node(id).where // its children
	t.index.set(id, &e)
	t.index.node(id).where = where
	return nil
}

// fixtureUpper is a change as the upper tree of an overlay. What is gone has an attribute: device
// nodes are device nodes.
type fixtureUpper struct{ *index }

func (fixtureUpper) rdev(string) (uint32, error) { return 1, nil }

// alteredTree is an overlay over a tree that may know digests of what it did not keep.
type alteredTree struct{ *overlayTree }

func (a *alteredTree) head(name string) ([]byte, error) {
	f, err := a.find("open", name)
	if err != nil {
		return nil, err
	}
	return headIn(f.in, f.path)
}

func (a *alteredTree) digest(name string, algo scanner.Algo) ([]byte, error) {
	f, err := a.find("open", name)
	if err != nil {
		return nil, err
	}
	return digestIn(f.in, f.path, algo)
}

// altered is a device with a change laid over it.
type altered struct {
	base   scanner.Device
	fs     scanner.FS
	probes map[scanner.Source]reply
}

func (a *altered) Identity() scanner.Identity {
	id := a.base.Identity()
	id.Live = id.Live || len(a.probes) > 0
	return id
}

func (a *altered) FS() scanner.FS { return a.fs }

func (a *altered) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	if r, ok := a.probes[s]; ok {
		return r.bytes, r.err
	}
	return a.base.Probe(ctx, s)
}

// Close closes the base.
func (a *altered) Close() error {
	if c, ok := a.base.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
