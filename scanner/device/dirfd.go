package device

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// maxOpenDirs bounds the directory descriptors that a dirTree keeps.
const maxOpenDirs = 96

// dirHandle is an open directory. Several goroutines may look names up in it at once.
type dirHandle struct {
	fd   int
	refs int
}

// dirHandles keeps the directories that were used last open, by their link-free name, so
// that a file costs one lookup in its parent and not one in each directory above it. Each is
// opened from its parent's descriptor without following a link: whatever is renamed
// meanwhile, no lookup leaves the root.
type dirHandles struct {
	mu   sync.Mutex
	root *dirHandle
	m    map[string]*dirHandle
}

func newDirHandles(root int) *dirHandles {
	return &dirHandles{root: &dirHandle{fd: root}, m: map[string]*dirHandle{}}
}

// acquire gives the open directory name, which is absolute and clean. The caller releases it.
func (d *dirHandles) acquire(name string) (*dirHandle, error) {
	d.mu.Lock()
	if h := d.find(name); h != nil {
		h.refs++
		d.mu.Unlock()
		return h, nil
	}
	d.mu.Unlock()
	up, err := d.acquire(parent(name))
	if err != nil {
		return nil, err
	}
	defer d.release(up)
	fd, err := openat(up.fd, base(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return d.keep(name, fd), nil
}

func (d *dirHandles) find(name string) *dirHandle {
	if name == "/" {
		return d.root
	}
	return d.m[name]
}

// keep takes over a descriptor of directory name, and acquires it.
func (d *dirHandles) keep(name string, fd int) *dirHandle {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.find(name); h != nil { // another goroutine was faster
		unix.Close(fd)
		h.refs++
		return h
	}
	if len(d.m) >= maxOpenDirs {
		d.drop()
	}
	h := &dirHandle{fd: fd, refs: 1}
	d.m[name] = h
	return h
}

// drop closes every directory that nobody uses now.
func (d *dirHandles) drop() {
	for name, h := range d.m {
		if h.refs == 0 {
			unix.Close(h.fd)
			delete(d.m, name)
		}
	}
}

func (d *dirHandles) release(h *dirHandle) {
	d.mu.Lock()
	h.refs--
	d.mu.Unlock()
}

func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// openQuiet opens for reading without setting the access time where the kernel lets us
// (owner or root).
func openQuiet(dir int, name string, flags int) (int, error) {
	flags |= unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY
	fd, err := openat(dir, name, flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		fd, err = openat(dir, name, flags)
	}
	return fd, err
}

// fdFile is a regular file read through its descriptor, with none of the poller's system
// calls that os.File makes.
type fdFile struct {
	fd   int
	size int64
	name string
}

func (f *fdFile) Size() int64 { return f.size }

func (f *fdFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(f.fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, pathErr("read", f.name, errno(err))
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f *fdFile) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(f.fd, p[done:], off+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return done, pathErr("read", f.name, errno(err))
		case n == 0:
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

func (f *fdFile) Close() error { return unix.Close(f.fd) }

// errno puts what the kernel answers in the terms of scanner.FS.
func errno(err error) error {
	switch {
	case errors.Is(err, unix.ENOTDIR): // a file, or by now a link, where a directory is needed
		return fs.ErrNotExist
	case errors.Is(err, unix.ESRCH): // the process of a /proc file has ended
		return fs.ErrNotExist
	}
	return err
}

// splitLast gives the parent and the last component of an absolute clean name.
func splitLast(name string) (dir, last string, err error) {
	last = base(name)
	if !strings.HasPrefix(name, "/") || last == ".." || last == "." {
		return "", "", errors.New("not an absolute clean name")
	}
	if last == "" {
		return "/", ".", nil
	}
	return parent(name), last, nil
}

// infoOf turns a stat into an Info.
func infoOf(name string, st *unix.Stat_t) scanner.Info {
	return scanner.Info{
		Name:       name,
		Mode:       scanner.ModeOf(st.Mode),
		Size:       st.Size,
		UID:        int(st.Uid),
		GID:        int(st.Gid),
		ModTime:    unixTime(st.Mtim),
		ChangeTime: unixTime(st.Ctim),
		Nlink:      uint64(st.Nlink),
		Dev:        uint64(st.Dev),
		Ino:        st.Ino,
	}
}
