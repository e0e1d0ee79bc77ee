package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

const (
	maxDirEntries = 1 << 18  // names in one directory
	maxXattr      = 64 << 10 // bytes of an extended attribute, the kernel's own limit
)

// rootMarks are names of which a root filesystem, of whatever distribution, has at least one.
var rootMarks = []string{
	"/etc/os-release", "/usr/lib/os-release", "/etc/passwd", "/etc/openwrt_release",
	"/etc/alpine-release", "/etc/debian_version", "/bin/sh", "/usr/bin", "/sbin/init",
	"/var/lib/dpkg", "/lib/apk/db", "/usr/lib/apk/db", "/var/lib/rpm", "/usr/lib/sysimage/rpm",
	"/usr/share/rpm", "/usr/lib/opkg", "/var/lib/opkg", "/var/lib/pacman/local",
	"/system/build.prop", "/system/system/build.prop", "/build.prop", "/data/system/packages.xml", "/data/system/packages.list",
}

// androidMarks are names of which a tree of an Android device has one.
var androidMarks = []string{"/system/build.prop", "/system/system/build.prop", "/build.prop", "/data/system/packages.xml", "/data/system/packages.list"}

// Directory opens a root filesystem that lies unpacked in a directory. Links are resolved
// inside it, and no rename underneath leads out of it. A directory that holds nothing a root
// filesystem has is an error.
func Directory(path string) (scanner.Device, error) {
	t, err := openTree(path)
	if err != nil {
		return nil, err
	}
	d := &directory{tree: t, fsys: newFS(t)}
	if !hasRootMark(d.fsys) {
		t.close()
		return nil, fmt.Errorf("%s: %w", path, nothingRecognised("the directory holds no root filesystem"))
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	d.id = scanner.Identity{
		Origin:   "directory " + abs,
		Kind:     "directory",
		Platform: platformOf(d.fsys),
		Root:     unix.Geteuid() == 0,

		ModesUntrusted: untrustedModes(d.fsys),
	}
	d.id.Acquired = acquiredAsImage(d.id.Platform)
	if whole, notes := wholeAndroid(t, "directory"); len(notes) > 0 {
		d.fsys, d.id.Notes = newFS(whole), notes
	}
	return d, nil
}

// directory is a root filesystem in a directory.
type directory struct {
	id   scanner.Identity
	tree *dirTree
	fsys scanner.FS
}

func (d *directory) Identity() scanner.Identity { return d.id }
func (d *directory) FS() scanner.FS             { return d.fsys }

// Close gives back the directory's descriptors.
func (d *directory) Close() error {
	d.tree.close()
	return nil
}

// Probe says that a directory has no live sources.
func (d *directory) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	return nil, fmt.Errorf("%s of a directory: %w", s, scanner.ErrUnavailable)
}

func hasRootMark(fsys scanner.FS) bool {
	for _, name := range rootMarks {
		if _, err := fsys.Lstat(name); err == nil {
			return true
		}
	}
	return false
}

func platformOf(fsys scanner.FS) string {
	for _, name := range androidMarks {
		if _, err := fsys.Stat(name); err == nil {
			return "android"
		}
	}
	return "linux"
}

// dirTree is the tree below an open directory. All lookups are relative to descriptors.
type dirTree struct {
	dirs  *dirHandles
	lists sync.Pool // of *lister
}

func openTree(path string) (*dirTree, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, pathErr("open", path, err)
	}
	return &dirTree{dirs: newDirHandles(fd)}, nil
}

// close gives back the descriptors of a tree that nothing reads any more.
func (t *dirTree) close() {
	t.dirs.mu.Lock()
	defer t.dirs.mu.Unlock()
	t.dirs.drop()
	unix.Close(t.dirs.root.fd)
}

// at calls do with name's open parent directory and last component.
func (t *dirTree) at(op, name string, do func(dir int, last string) error) error {
	dir, last, err := splitLast(name)
	if err != nil {
		return pathErr(op, name, err)
	}
	h, err := t.dirs.acquire(dir)
	if err != nil {
		return pathErr(op, name, errno(err))
	}
	defer t.dirs.release(h)
	if err := do(h.fd, last); err != nil {
		return pathErr(op, name, errno(err))
	}
	return nil
}

func fstatat(dir int, name string, st *unix.Stat_t) error {
	for {
		err := unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (t *dirTree) lstat(name string) (scanner.Info, error) {
	var st unix.Stat_t
	err := t.at("lstat", name, func(dir int, last string) error { return fstatat(dir, last, &st) })
	if err != nil {
		return scanner.Info{}, err
	}
	return infoOf(base(name), &st), nil
}

func (t *dirTree) readlink(name string) (string, error) {
	var text string
	err := t.at("readlink", name, func(dir int, last string) error {
		var buf [maxLinkTo + 1]byte
		n, err := unix.Readlinkat(dir, last, buf[:])
		if err != nil {
			return err
		}
		text = string(buf[:n])
		return nil
	})
	return text, err
}

// open refuses what is not a regular file before it opens, because opening a FIFO or a
// device already does something, and again after, because the name may lead elsewhere by
// then.
func (t *dirTree) open(name string) (scanner.File, error) {
	var f *fdFile
	err := t.at("open", name, func(dir int, last string) error {
		var st unix.Stat_t
		if err := fstatat(dir, last, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			return errNotRegular
		}
		fd, err := openQuiet(dir, last, 0)
		if err != nil {
			return err
		}
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			unix.Close(fd)
			return errNotRegular
		}
		f = &fdFile{fd: fd, size: st.Size, name: name}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

var errNotRegular = errors.New("not a regular file")

func (t *dirTree) xattr(name, attr string) ([]byte, error) {
	if attr == scanner.FlagsAttr {
		return t.flags(name)
	}
	var value []byte
	err := t.at("xattr", name, func(dir int, last string) error {
		// There is no lgetxattrat before Linux 6.13. The descriptor's own link in /proc
		// stands for the directory, so that nothing above it is looked up again.
		path := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + last
		var buf [256]byte
		n, err := unix.Lgetxattr(path, attr, buf[:])
		if errors.Is(err, unix.ERANGE) {
			value = make([]byte, maxXattr)
			n, err = unix.Lgetxattr(path, attr, value)
			value = value[:max(n, 0)]
		} else if err == nil {
			value = slices.Clone(buf[:n])
		}
		switch {
		case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
			return fs.ErrNotExist
		case errors.Is(err, unix.ENOENT):
			var st unix.Stat_t
			if fstatat(dir, last, &st) == nil {
				return fmt.Errorf("no /proc to read attributes through: %w", scanner.ErrUnavailable)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (t *dirTree) readDir(name string) ([]scanner.Info, error) {
	var infos []scanner.Info
	var fd int
	err := t.at("readdir", name, func(dir int, last string) error {
		var err error
		if fd, err = openQuiet(dir, last, unix.O_DIRECTORY); err != nil {
			return err
		}
		if infos, err = t.list(fd); err != nil {
			unix.Close(fd)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	// A walk looks into this directory next: the descriptor serves for that too.
	t.dirs.release(t.dirs.keep(name, fd))
	return infos, nil
}

func unixTime(t unix.Timespec) time.Time {
	sec, nsec := t.Unix()
	return time.Unix(sec, nsec).UTC()
}
