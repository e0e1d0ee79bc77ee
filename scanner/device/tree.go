// Package device holds everything that can be scanned: the live machine, trees, archives,
// images and recordings, all behind scanner.Device. It is the only package of the scanner
// that runs commands or imports gopsutil.
package device

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"picket/scanner"
)

// tree is a container's own view of its files, before any link is followed. Names are
// absolute and clean, and no component of them is a link: the resolver sees to that. A tree
// gives an fs.PathError for what it does not have.
type tree interface {
	lstat(name string) (scanner.Info, error)
	// readDir lists a directory, sorted by name.
	readDir(name string) ([]scanner.Info, error)
	readlink(name string) (string, error)
	// open opens a regular file, never blocking on a FIFO or a device.
	open(name string) (scanner.File, error)
	xattr(name, attr string) ([]byte, error)
}

// digester is a tree that knows digests and first bytes of files whose content it did not
// keep. For others the resolver reads the file.
type digester interface {
	head(name string) ([]byte, error)
	digest(name string, algo scanner.Algo) ([]byte, error)
}

const (
	maxLinks  = 40   // as Linux: a chain longer than this is a loop
	headSize  = 64   // bytes of a file that Head gives
	maxName   = 4096 // bytes of a name
	maxLinkTo = 4096 // bytes of a link's target
)

var errLinkLoop = errors.New("too many links")

// rooted makes a scanner.FS of a tree: every link, absolute or full of "..", is resolved as
// if the tree's top were "/".
type rooted struct {
	t tree
	// dirs remembers where directories lead, so that a walk does not resolve /lib anew for
	// each file.
	dirs *dirCache
}

// newFS gives the FS over a tree.
func newFS(t tree) scanner.FS { return &rooted{t: t, dirs: newDirCache()} }

func pathErr(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// splitName gives name's components without empty and "." ones. ".." is kept: what it
// means depends on links.
func splitName(name string) ([]string, error) {
	if len(name) > maxName {
		return nil, errors.New("name too long")
	}
	if strings.IndexByte(name, 0) >= 0 {
		return nil, errors.New("name holds a zero byte")
	}
	parts := strings.Split(name, "/")
	out := parts[:0]
	for _, p := range parts {
		if p != "" && p != "." {
			out = append(out, p)
		}
	}
	return out, nil
}

// resolve gives the link-free name of name. The last component is followed if followLast.
func (r *rooted) resolve(op, name string, followLast bool) (string, error) {
	if i := strings.LastIndexByte(name, '/'); i > 0 && !followLast {
		if dir, ok := r.dirs.get(name[:i]); ok && plain(name[i+1:]) {
			return join(dir, name[i+1:]), nil
		}
	}
	parts, err := splitName(name)
	if err != nil {
		return "", pathErr(op, name, err)
	}
	cur, links := "/", 0
	for len(parts) > 0 {
		p := parts[0]
		parts = parts[1:]
		if p == ".." {
			cur = parent(cur)
			continue
		}
		next := join(cur, p)
		if len(parts) == 0 && !followLast {
			cur = next
			break
		}
		if known, ok := r.dirs.get(next); ok && known == next {
			cur = next
			continue
		}
		info, err := r.t.lstat(next)
		if err != nil {
			return "", rename(err, op, name)
		}
		switch {
		case info.Mode&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", pathErr(op, name, errLinkLoop)
			}
			to, err := r.t.readlink(next)
			if err != nil {
				return "", rename(err, op, name)
			}
			if len(to) > maxLinkTo {
				return "", pathErr(op, name, errors.New("link target too long"))
			}
			rest, err := splitName(to)
			if err != nil {
				return "", pathErr(op, name, err)
			}
			if strings.HasPrefix(to, "/") {
				cur = "/"
			}
			parts = append(append(make([]string, 0, len(rest)+len(parts)), rest...), parts...)
		case info.Mode.IsDir():
			r.dirs.put(next, next)
			cur = next
		case len(parts) > 0:
			return "", pathErr(op, name, fs.ErrNotExist) // a file where a directory is needed
		default:
			cur = next
		}
	}
	if !followLast {
		if i := strings.LastIndexByte(name, '/'); i > 0 && plain(name[i+1:]) {
			r.dirs.put(name[:i], parent(cur))
		}
	}
	return cur, nil
}

// rename puts the name that was asked for in place of the one that failed.
func rename(err error, op, name string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pathErr(op, name, pe.Err)
	}
	return pathErr(op, name, err)
}

func plain(p string) bool { return p != "" && p != "." && p != ".." }

func join(dir, base string) string {
	if dir == "/" {
		return "/" + base
	}
	return dir + "/" + base
}

func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i <= 0 {
		return "/"
	}
	return name[:i]
}

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func (r *rooted) Resolve(name string) (string, error) { return r.resolve("resolve", name, true) }

func (r *rooted) Lstat(name string) (scanner.Info, error) {
	p, err := r.resolve("lstat", name, false)
	if err != nil {
		return scanner.Info{}, err
	}
	return r.t.lstat(p)
}

func (r *rooted) Stat(name string) (scanner.Info, error) {
	p, err := r.resolve("stat", name, true)
	if err != nil {
		return scanner.Info{}, err
	}
	return r.t.lstat(p)
}

func (r *rooted) ReadDir(name string) ([]scanner.Info, error) {
	if infos, ok := r.readKnown(name); ok {
		return infos, nil
	}
	p, err := r.resolve("readdir", name, true)
	if err != nil {
		return nil, err
	}
	return r.t.readDir(p)
}

// readKnown lists a directory in one that was resolved before, without looking whether it is
// a link: the kernel refuses to list those. It saves a walk a lookup for each directory.
func (r *rooted) readKnown(name string) ([]scanner.Info, bool) {
	t, ok := r.t.(*dirTree)
	if !ok || !strings.HasPrefix(name, "/") || !plain(base(name)) {
		return nil, false
	}
	dir, ok := r.dirs.get(parent(name))
	if !ok {
		return nil, false
	}
	real := join(dir, base(name))
	infos, err := t.readDir(real)
	if err != nil {
		return nil, false
	}
	r.dirs.put(name, real)
	return infos, true
}

func (r *rooted) Readlink(name string) (string, error) {
	p, err := r.resolve("readlink", name, false)
	if err != nil {
		return "", err
	}
	return r.t.readlink(p)
}

func (r *rooted) Xattr(name, attr string) ([]byte, error) {
	p, err := r.resolve("xattr", name, false)
	if err != nil {
		return nil, err
	}
	return r.t.xattr(p, attr)
}

func (r *rooted) Open(name string) (scanner.File, error) {
	p, err := r.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	return r.t.open(p)
}

func (r *rooted) Head(name string) ([]byte, error) {
	p, err := r.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	return headIn(r.t, p)
}

// headIn asks a tree that keeps first bytes, and reads the file of others.
func headIn(t tree, name string) ([]byte, error) {
	if d, ok := t.(digester); ok {
		return d.head(name)
	}
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readHead(f)
}

// readHead gives the first bytes of a file.
func readHead(r io.Reader) ([]byte, error) {
	b := make([]byte, headSize)
	n, err := io.ReadFull(r, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return b[:n], nil
}

func (r *rooted) Digest(name string, algo scanner.Algo) ([]byte, error) {
	p, err := r.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	return digestIn(r.t, p, algo)
}

// Held is scanner.Held.
func (r *rooted) Held(name string, algo scanner.Algo, digest []byte) bool {
	t, ok := r.t.(*recordTree)
	if !ok {
		return false // content is shown as it is
	}
	p, err := r.resolve("open", name, true)
	return err == nil && t.held(p, algo, digest)
}

// digestIn is headIn for digests.
func digestIn(t tree, name string, algo scanner.Algo) ([]byte, error) {
	if d, ok := t.(digester); ok {
		return d.digest(name, algo)
	}
	f, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDigest(f, name, algo)
}

// readDigest gives the digest of all that f holds.
func readDigest(f io.Reader, name string, algo scanner.Algo) ([]byte, error) {
	h, err := newHash(algo)
	if err != nil {
		return nil, pathErr("digest", name, err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, make([]byte, 128<<10)); err != nil {
		return nil, pathErr("digest", name, err)
	}
	return h.Sum(nil), nil
}

// newHash makes the hash of an algorithm. MD5 and SHA-1 are what package databases hold;
// nothing here relies on them against an attacker who made the package.
func newHash(algo scanner.Algo) (hash.Hash, error) {
	switch algo {
	case scanner.MD5:
		return md5.New(), nil
	case scanner.SHA1:
		return sha1.New(), nil
	case scanner.SHA256:
		return sha256.New(), nil
	case scanner.SHA512:
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("digest algorithm %d: %w", algo, errors.ErrUnsupported)
}
