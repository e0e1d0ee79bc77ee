package device

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// lister is the memory in which one directory after the other is listed. A walk lists some
// ten thousand: new memory for each would be most of what a scan asks for.
type lister struct {
	entries [32 << 10]byte // as the kernel gives them
	text    []byte         // names of one buffer of entries
	ends    []int          // where each of them ends in text
	names   []string
}

// list describes all entries of an open directory, sorted by name. Entries that vanish
// meanwhile are left out; of those that the kernel does not describe (a mount of another
// user's) the name alone is told, with fs.ModeIrregular.
func (t *dirTree) list(fd int) ([]scanner.Info, error) {
	l, _ := t.lists.Get().(*lister)
	if l == nil {
		l = &lister{}
	}
	defer t.lists.Put(l)
	defer l.forget()
	if err := l.read(fd); err != nil {
		return nil, err
	}
	infos := make([]scanner.Info, 0, len(l.names))
	var refused error
	described := len(l.names) == 0
	var st unix.Stat_t
	for _, name := range l.names {
		switch err := fstatat(fd, name, &st); {
		case err == nil:
			described = true
			infos = append(infos, infoOf(name, &st))
		case !errors.Is(err, unix.ENOENT):
			refused = err
			infos = append(infos, scanner.Info{Name: name, Mode: fs.ModeIrregular, UID: -1, GID: -1})
		}
	}
	if !described && refused != nil { // a directory that may be listed and not searched
		return nil, refused
	}
	return infos, nil
}

// maxKeptNames bounds the memory that a lister keeps after a large directory, in names.
const maxKeptNames = 1 << 12

// forget lets go of the names: those who were given them may not keep them.
func (l *lister) forget() {
	if cap(l.names) > maxKeptNames {
		l.names = nil
		return
	}
	clear(l.names)
	l.names = l.names[:0]
}

// read gathers the names in an open directory, sorted.
func (l *lister) read(fd int) error {
	for {
		n, err := unix.Getdents(fd, l.entries[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			break
		}
		if l.take(l.entries[:n]); len(l.names) > maxDirEntries {
			return &scanner.TooLargeError{Size: int64(len(l.names)), Limit: maxDirEntries}
		}
	}
	slices.Sort(l.names)
	return nil
}

// The parts of a struct linux_dirent64.
const (
	direntLength = 16 // offset of the entry's length, 16 bits
	direntName   = 19 // offset of the name, which ends with a zero byte
)

// take adds the names of a buffer of entries. They share one string: a name that somebody
// keeps holds no more than the buffer's others.
func (l *lister) take(entries []byte) {
	l.text, l.ends = l.text[:0], l.ends[:0]
	for len(entries) > direntName {
		size := int(binary.NativeEndian.Uint16(entries[direntLength:]))
		if size <= direntName || size > len(entries) {
			break
		}
		name, inode := entries[direntName:size], binary.NativeEndian.Uint64(entries)
		entries = entries[size:]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if inode != 0 && len(name) > 0 && string(name) != "." && string(name) != ".." {
			l.text = append(l.text, name...)
			l.ends = append(l.ends, len(l.text))
		}
	}
	text, from := string(l.text), 0
	for _, end := range l.ends {
		l.names = append(l.names, text[from:end])
		from = end
	}
}

// entryNames gives the names in an open directory, sorted.
func entryNames(fd int) ([]string, error) {
	var l lister
	if err := l.read(fd); err != nil {
		return nil, err
	}
	return l.names, nil
}
