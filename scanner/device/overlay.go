package device

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"picket/scanner"
)

// upperTree is a tree that can be the upper one of an overlay.
type upperTree interface {
	tree
	// rdev is a device node's number; 0 stands for 0,0, overlayfs's whiteout.
	rdev(name string) (uint32, error)
}

// overlayTree is what overlayfs shows of a lower and an upper tree. Format: the kernel's
// Documentation/filesystems/overlayfs.rst, with whiteouts, opaque directories, redirects and
// files of which the upper tree has the metadata alone.
type overlayTree struct {
	lower tree
	upper upperTree
	top   string // where in upper the tree is

	mu   sync.Mutex
	dirs map[string]overlayDir
}

// overlayDir is where a directory is in each layer, "" where it is not.
type overlayDir struct{ low, up string }

// overlayFile is where a name's description comes from.
type overlayFile struct {
	in   tree
	path string
	info scanner.Info
}

func newOverlay(lower tree, upper upperTree, top string) *overlayTree {
	return &overlayTree{lower: lower, upper: upper, top: top, dirs: map[string]overlayDir{"/": {low: "/", up: top}}}
}

// dir finds a directory in the layers.
func (o *overlayTree) dir(name string) (overlayDir, error) {
	o.mu.Lock()
	d, ok := o.dirs[name]
	o.mu.Unlock()
	if ok {
		return d, nil
	}
	up, err := o.dir(parent(name))
	if err != nil {
		return overlayDir{}, err
	}
	f, err := o.child(up, base(name))
	if err != nil {
		return overlayDir{}, err
	}
	if !f.info.Mode.IsDir() {
		return overlayDir{}, fs.ErrNotExist
	}
	if d, err = o.layers(up, base(name), f); err != nil {
		return overlayDir{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.dirs) < maxCachedDirs {
		o.dirs[name] = d
	}
	return d, nil
}

// layers finds where else a directory is that was found in one layer.
func (o *overlayTree) layers(up overlayDir, name string, f overlayFile) (overlayDir, error) {
	if f.in == o.lower {
		return overlayDir{low: f.path}, nil
	}
	d := overlayDir{up: f.path}
	opaque, err := o.mark(f.path, "opaque")
	if err != nil || opaque == "y" {
		return d, err
	}
	low, err := o.below(up, name, f.path)
	if err != nil || low == "" {
		return d, err
	}
	info, err := o.lower.lstat(low)
	if err == nil && info.Mode.IsDir() {
		d.low = low
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	return d, nil
}

// below gives the lower name of what is at path in the upper tree: the same, unless it was
// moved and says from where.
func (o *overlayTree) below(up overlayDir, name, path string) (string, error) {
	from, err := o.mark(path, "redirect")
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(from, "/"):
		return redirectName(from)
	case from != "":
		name = from
	}
	if up.low == "" {
		return "", nil
	}
	if !plain(name) || strings.Contains(name, "/") {
		return "", fmt.Errorf("overlay redirect to %q", name)
	}
	return join(up.low, name), nil
}

func redirectName(name string) (string, error) {
	parts, err := splitName(name)
	if err != nil || slices.Contains(parts, "..") {
		return "", fmt.Errorf("overlay redirect to %q", name)
	}
	return "/" + strings.Join(parts, "/"), nil
}

// mark reads one of overlayfs's attributes of an upper file, "" if it has none.
func (o *overlayTree) mark(path, attr string) (string, error) {
	for _, space := range [...]string{"trusted.overlay.", "user.overlay."} {
		v, err := o.upper.xattr(path, space+attr)
		if err == nil && attr == "metacopy" {
			return "y", nil // its value may be empty
		}
		if err == nil {
			return string(v), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

// child finds a name in a directory.
func (o *overlayTree) child(d overlayDir, name string) (overlayFile, error) {
	if d.up != "" {
		path := join(d.up, name)
		info, err := o.upper.lstat(path)
		if err == nil {
			if gone, err := o.whiteout(path, info); gone || err != nil {
				return overlayFile{}, errors.Join(err, fs.ErrNotExist)
			}
			return overlayFile{o.upper, path, info}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return overlayFile{}, err
		}
	}
	if d.low == "" {
		return overlayFile{}, fs.ErrNotExist
	}
	path := join(d.low, name)
	info, err := o.lower.lstat(path)
	return overlayFile{o.lower, path, info}, err
}

// whiteout tells whether an upper file says that there is none: device 0,0, or an empty
// file with a mark.
func (o *overlayTree) whiteout(path string, info scanner.Info) (bool, error) {
	if info.Mode&fs.ModeCharDevice != 0 {
		dev, err := o.upper.rdev(path)
		return dev == 0, err
	}
	if info.Mode.IsRegular() && info.Size == 0 {
		for _, space := range [...]string{"trusted.overlay.", "user.overlay."} {
			if _, err := o.upper.xattr(path, space+"whiteout"); err == nil {
				return true, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
	}
	return false, nil
}

func (o *overlayTree) find(op, name string) (overlayFile, error) {
	if name == "/" {
		info, err := o.upper.lstat(o.top)
		info.Name = base(name)
		return overlayFile{o.upper, o.top, info}, err
	}
	d, err := o.dir(parent(name))
	if err != nil {
		return overlayFile{}, rename(err, op, name)
	}
	f, err := o.child(d, base(name))
	if err != nil {
		return f, rename(err, op, name)
	}
	return f, nil
}

func (o *overlayTree) lstat(name string) (scanner.Info, error) {
	f, err := o.find("lstat", name)
	return f.info, err
}

func (o *overlayTree) readlink(name string) (string, error) {
	f, err := o.find("readlink", name)
	if err != nil {
		return "", err
	}
	to, err := f.in.readlink(f.path)
	if err != nil {
		return "", rename(err, "readlink", name)
	}
	return to, nil
}

func (o *overlayTree) xattr(name, attr string) ([]byte, error) {
	f, err := o.find("xattr", name)
	if err != nil {
		return nil, err
	}
	v, err := f.in.xattr(f.path, attr)
	if err != nil {
		return nil, rename(err, "xattr", name)
	}
	return v, nil
}

func (o *overlayTree) open(name string) (scanner.File, error) {
	f, err := o.find("open", name)
	if err != nil {
		return nil, err
	}
	if f.in == o.upper && f.info.Mode.IsRegular() {
		if f, err = o.dataOf(name, f); err != nil {
			return nil, rename(err, "open", name)
		}
	}
	file, err := f.in.open(f.path)
	if err != nil {
		return nil, rename(err, "open", name)
	}
	return file, nil
}

// dataOf gives the file that holds an upper file's content: itself, or the lower one if the
// upper has the metadata alone.
func (o *overlayTree) dataOf(name string, f overlayFile) (overlayFile, error) {
	if mark, err := o.mark(f.path, "metacopy"); mark == "" || err != nil {
		return f, err
	}
	d, err := o.dir(parent(name))
	if err != nil {
		return f, err
	}
	path, err := o.below(d, base(name), f.path)
	if err == nil && path == "" {
		err = errors.New("the overlay has no content for it")
	}
	return overlayFile{in: o.lower, path: path}, err
}

func (o *overlayTree) readDir(name string) ([]scanner.Info, error) {
	d, err := o.dir(name)
	if err != nil {
		return nil, rename(err, "readdir", name)
	}
	var out []scanner.Info
	upper := map[string]bool{}
	if d.up != "" {
		infos, err := o.upper.readDir(d.up)
		if err != nil {
			return nil, rename(err, "readdir", name)
		}
		for _, info := range infos {
			upper[info.Name] = true
			gone, err := o.whiteout(join(d.up, info.Name), info)
			if err != nil {
				return nil, rename(err, "readdir", name)
			}
			if !gone {
				out = append(out, info)
			}
		}
	}
	if d.low != "" {
		infos, err := o.lower.readDir(d.low)
		if err != nil {
			return nil, rename(err, "readdir", name)
		}
		for _, info := range infos {
			if !upper[info.Name] {
				out = append(out, info)
			}
		}
	}
	slices.SortFunc(out, func(a, b scanner.Info) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
