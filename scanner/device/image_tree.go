package device

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"picket/scanner"
)

// volume is a filesystem of numbered inodes inside an image. N is its decoded inode.
type volume[N any] interface {
	root() int64
	// inode decodes an inode. The Info has no name.
	inode(id int64) (N, scanner.Info, error)
	// list gives a directory's entries, without "." and "..".
	list(n N, add func(name []byte, id int64) error) error
	// link gives a symbolic link's text.
	link(n N) (string, error)
	// content reads a regular file.
	content(n N) (io.ReaderAt, error)
	// xattr gives an attribute by its full name, nil when the file has none of it.
	xattr(n N, attr string) ([]byte, error)
	// rdev is a device node's number, as the filesystem stores it: 0 stands for 0,0.
	rdev(n N) uint32
}

// What a hostile image can make an imageTree hold or do.
const (
	maxImageDir     = 1 << 20 // names in one directory
	maxDirs         = 1 << 20 // directories in an image
	maxTreeEntries  = 1 << 24 // names in all directories together
	maxDirCacheSize = 8 << 20 // bytes of listings kept
)

// imageTree is the tree of a volume. A directory is listed once and kept while there is room.
type imageTree[N any] struct {
	vol   volume[N]
	image string
	dev   uint64 // sets files of one volume apart from those of another
	paths *pathCache
	lists *blockCache[[]dirent]
	seed  maphash.Seed

	mu    sync.Mutex
	seen  map[int64]dirPlace
	total int // entries of all directories listed so far
}

type dirent struct {
	name string
	id   int64
}

// dirPlace is where a directory hangs. Filesystems have no hard links to directories, so one
// that hangs in two places is a loop, or a small image that unfolds into an endless tree.
type dirPlace struct {
	parent int64
	name   uint64 // hash
}

// pathCache remembers the inodes of directories.
type pathCache struct {
	mu sync.Mutex
	m  map[string]int64
}

func (c *pathCache) get(name string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.m[name]
	return id, ok
}

func (c *pathCache) put(name string, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) < maxCachedDirs {
		c.m[name] = id
	}
}

// newImageTree checks that a volume's root is a directory that can be listed.
func newImageTree[N any](vol volume[N], image string, dev uint64) (upperTree, error) {
	t := &imageTree[N]{
		vol: vol, image: image, dev: dev,
		paths: &pathCache{m: map[string]int64{"/": vol.root()}},
		lists: newBlockCache[[]dirent](maxDirCacheSize),
		seed:  maphash.MakeSeed(),
		seen:  map[int64]dirPlace{vol.root(): {parent: -1}},
	}
	if _, err := t.entries("/"); err != nil {
		return nil, fmt.Errorf("root directory: %w", err)
	}
	return t, nil
}

// find gives a name's inode number.
func (t *imageTree[N]) find(name string) (int64, error) {
	if name == "/" {
		return t.vol.root(), nil
	}
	list, err := t.entries(parent(name))
	if err != nil {
		return 0, err
	}
	i, ok := slices.BinarySearchFunc(list, base(name), func(e dirent, name string) int { return strings.Compare(e.name, name) })
	if !ok {
		return 0, fs.ErrNotExist
	}
	return list[i].id, nil
}

// entries lists a directory, sorted by name.
func (t *imageTree[N]) entries(dir string) ([]dirent, error) {
	id, ok := t.paths.get(dir)
	if !ok {
		var err error
		if id, err = t.find(dir); err != nil {
			return nil, err
		}
	}
	if list, hit := t.lists.get(id); hit && ok {
		return list, nil
	}
	n, info, err := t.vol.inode(id)
	if err != nil {
		return nil, err
	}
	if !info.Mode.IsDir() {
		return nil, fs.ErrNotExist
	}
	list, cost, err := t.read(n)
	if err != nil {
		return nil, err
	}
	if err := t.hang(dir, id, len(list)); err != nil {
		return nil, err
	}
	t.lists.put(id, list, cost)
	t.paths.put(dir, id)
	return list, nil
}

// read lists a directory's inode, and says about how many bytes the list takes.
func (t *imageTree[N]) read(n N) (list []dirent, cost int, err error) {
	err = t.vol.list(n, func(name []byte, id int64) error {
		if len(list) == maxImageDir {
			return fmt.Errorf("directory with more than %d entries", maxImageDir)
		}
		s := string(name)
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\x00") {
			return fmt.Errorf("directory with an entry named %q", s)
		}
		list = append(list, dirent{s, id})
		cost += len(s) + 32
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(list, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(list); i++ {
		if list[i].name == list[i-1].name {
			return nil, 0, fmt.Errorf("image %s: directory with two entries named %q", t.image, list[i].name)
		}
	}
	return list, cost, nil
}

// hang notes where a directory hangs and refuses it in a second place.
func (t *imageTree[N]) hang(dir string, id int64, entries int) error {
	at := dirPlace{parent: -1}
	if dir != "/" {
		up, ok := t.paths.get(parent(dir))
		if !ok {
			var err error
			if up, err = t.find(parent(dir)); err != nil {
				return err
			}
		}
		at = dirPlace{parent: up, name: maphash.String(t.seed, base(dir))}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if was, ok := t.seen[id]; ok && was != at {
		return fmt.Errorf("image %s: directory inode %d hangs in two places, a loop", t.image, id)
	} else if ok {
		return nil
	}
	if len(t.seen) == maxDirs || t.total+entries > maxTreeEntries {
		return fmt.Errorf("image %s: more than %d directories or %d files", t.image, maxDirs, maxTreeEntries)
	}
	t.seen[id] = at
	t.total += entries
	return nil
}

func (t *imageTree[N]) inode(op, name string) (N, scanner.Info, error) {
	var none N
	id, err := t.find(name)
	if err != nil {
		return none, scanner.Info{}, pathErr(op, name, err)
	}
	n, info, err := t.vol.inode(id)
	if err != nil {
		return none, scanner.Info{}, pathErr(op, name, err)
	}
	info.Name, info.Dev = base(name), t.dev
	return n, info, nil
}

func (t *imageTree[N]) lstat(name string) (scanner.Info, error) {
	_, info, err := t.inode("lstat", name)
	return info, err
}

// readDir tells of entries whose inode is damaged the name alone, with fs.ModeIrregular:
// lstat says what is wrong with it.
func (t *imageTree[N]) readDir(name string) ([]scanner.Info, error) {
	list, err := t.entries(name)
	if err != nil {
		return nil, pathErr("readdir", name, err)
	}
	out := make([]scanner.Info, len(list))
	for i, e := range list {
		_, info, err := t.vol.inode(e.id)
		if err != nil {
			info = scanner.Info{Mode: fs.ModeIrregular, UID: -1, GID: -1}
		}
		info.Name, info.Dev = e.name, t.dev
		out[i] = info
	}
	return out, nil
}

func (t *imageTree[N]) readlink(name string) (string, error) {
	n, info, err := t.inode("readlink", name)
	if err != nil {
		return "", err
	}
	if info.Mode&fs.ModeSymlink == 0 {
		return "", pathErr("readlink", name, errors.New("not a link"))
	}
	if info.Size > maxLinkTo {
		return "", pathErr("readlink", name, &scanner.TooLargeError{Size: info.Size, Limit: maxLinkTo})
	}
	to, err := t.vol.link(n)
	if err != nil {
		return "", pathErr("readlink", name, err)
	}
	return to, nil
}

func (t *imageTree[N]) open(name string) (scanner.File, error) {
	n, info, err := t.inode("open", name)
	if err != nil {
		return nil, err
	}
	if !info.Mode.IsRegular() {
		return nil, pathErr("open", name, errNotRegular)
	}
	r, err := t.vol.content(n)
	if err != nil {
		return nil, pathErr("open", name, err)
	}
	return imageFile{io.NewSectionReader(r, 0, info.Size)}, nil
}

func (t *imageTree[N]) xattr(name, attr string) ([]byte, error) {
	n, _, err := t.inode("xattr", name)
	if err != nil {
		return nil, err
	}
	v, err := t.vol.xattr(n, attr)
	if err != nil {
		return nil, pathErr("xattr", name, err)
	}
	if v == nil {
		return nil, pathErr("xattr", name, fs.ErrNotExist)
	}
	return v, nil
}

func (t *imageTree[N]) rdev(name string) (uint32, error) {
	n, _, err := t.inode("lstat", name)
	if err != nil {
		return 0, err
	}
	return t.vol.rdev(n), nil
}
