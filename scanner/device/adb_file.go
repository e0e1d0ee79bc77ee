package device

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"picket/scanner"
)

const (
	adbFileTime  = 10 * time.Minute // that a file may take to come
	maxADBFile   = 4 << 30          // bytes of a file that are read
	spoolInCore  = 1 << 20          // bytes of a file that are kept in memory; more go to a file
	smallADBFile = maxSyncMsg       // bytes that come in one part
	largeADBFile = 1 << 20          // bytes of a file whose digest the phone computes

	adbDigestTime = 2 * time.Minute // that it may take for one
)

// open asks for a file. It comes as it is read, in order; what came is kept until the file is
// closed, so that it can be read at any place.
func (t *adbTree) open(name string) (scanner.File, error) { return t.openFile(name) }

func (t *adbTree) openFile(name string) (*adbFile, error) {
	info, err := t.lstat(name)
	if err != nil {
		return nil, rename(err, "open", name)
	}
	if !info.Mode.IsRegular() {
		return nil, pathErr("open", name, errNotRegular)
	}
	request, err := syncRequest("RECV", name)
	if err != nil {
		return nil, err
	}
	f := &adbFile{phone: t.phone, name: name, size: info.Size}
	var part []byte
	f.conn, err = t.phone.begin(request, func(r io.Reader) error {
		var err error
		if part, err = readSyncData(r); err == io.EOF {
			f.end, err = io.EOF, nil
		}
		return err
	})
	if err != nil {
		return nil, pathErr("open", name, err)
	}
	f.conn.within(adbFileTime)
	if err := f.kept.add(part); err != nil {
		f.Close()
		return nil, pathErr("open", name, err)
	}
	return f, nil
}

// head gives a file's first bytes, without waiting for the rest of a large one.
func (t *adbTree) head(name string) ([]byte, error) {
	f, err := t.openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readHead(f)
	if err == nil && f.size <= smallADBFile {
		f.fetch(f.kept.size + 1) // the mark of the end, so that the connection can be used again
	}
	return b, err
}

// digest lets the phone compute the digest of a large file, and reads the file where it does
// not: hashing all apps here would move some gigabytes over a cable.
func (t *adbTree) digest(name string, algo scanner.Algo) ([]byte, error) {
	if info, err := t.lstat(name); err == nil && info.Mode.IsRegular() && info.Size > largeADBFile {
		if sum, ok := t.phoneDigest(name, algo); ok {
			return sum, nil
		}
	}
	f, err := t.openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	f.once = true
	return readDigest(f, name, algo)
}

// phoneDigest runs md5sum and the like, which Android has since version 6.
func (t *adbTree) phoneDigest(name string, algo scanner.Algo) ([]byte, bool) {
	h, err := newHash(algo)
	if err != nil {
		return nil, false
	}
	r, err := t.shell(algo.String()+"sum "+quoted(name), adbDigestTime)
	text, _, _ := strings.Cut(string(r.out), " ")
	if err != nil || r.status != 0 || len(text) != 2*h.Size() {
		return nil, false
	}
	sum, err := hex.DecodeString(text)
	return sum, err == nil
}

// adbFile is a file of a phone.
type adbFile struct {
	phone *phone
	name  string
	size  int64 // as described
	once  bool  // read once and in order: nothing is kept

	mu   sync.Mutex
	conn *adbConn
	kept spool
	off  int64 // of Read
	end  error // why nothing more comes; io.EOF after the last part
}

func (f *adbFile) Size() int64 { return f.size }

func (f *adbFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		if f.end == io.EOF {
			f.phone.release(f.conn)
		} else {
			f.conn.Close()
		}
		f.conn = nil
	}
	f.end = os.ErrClosed
	return f.kept.close()
}

// fetch reads parts until the first n bytes of the file are there, or all of it.
func (f *adbFile) fetch(n int64) {
	for f.kept.size < n && f.end == nil {
		part, err := readSyncData(f.conn.in)
		if err == nil && f.kept.size+int64(len(part)) > maxADBFile {
			err = &scanner.TooLargeError{Size: f.kept.size + int64(len(part)), Limit: maxADBFile}
		}
		if err == nil {
			err = f.kept.add(part)
		}
		var no *adbFail
		if err != nil && err != io.EOF && !errors.As(err, &no) {
			f.phone.count(err)
			err = f.phone.unavailable(err)
		}
		f.end = err
	}
}

func (f *adbFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if f.once && f.off == f.kept.size {
		f.kept.drop()
	}
	f.fetch(f.off + 1)
	n, err := f.readAt(p[:min(int64(len(p)), max(f.kept.size-f.off, 1))], f.off)
	f.off += int64(n)
	return n, err
}

func (f *adbFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 {
		return 0, pathErr("read", f.name, errors.New("negative offset"))
	}
	f.fetch(min(off, maxADBFile) + int64(len(p)))
	return f.readAt(p, off)
}

// readAt reads of what came. Past it there is nothing more, or the reason why.
func (f *adbFile) readAt(p []byte, off int64) (int, error) {
	n := f.kept.readAt(p, off)
	switch {
	case n == len(p):
		return n, nil
	case f.end == io.EOF:
		return n, io.EOF
	case f.end != nil:
		return n, pathErr("read", f.name, f.end)
	}
	return n, pathErr("read", f.name, errors.New("content was not kept"))
}

// spool keeps what came of a file, the beginning in memory and all of a large one in a file
// that has no name any more.
type spool struct {
	core  []byte
	start int64 // of core in the file, when nothing is kept
	file  *os.File
	size  int64
}

func (s *spool) add(b []byte) error {
	s.size += int64(len(b))
	if s.file == nil && len(s.core)+len(b) <= spoolInCore {
		s.core = append(s.core, b...)
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "picket-adb-")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil {
			f.Close()
			return err
		}
		s.file = f
		if _, err := f.Write(s.core); err != nil {
			return err
		}
		s.core = nil
	}
	_, err := s.file.Write(b)
	return err
}

// drop forgets what is in memory.
func (s *spool) drop() { s.core, s.start = s.core[:0], s.size }

func (s *spool) readAt(p []byte, off int64) int {
	if s.file != nil {
		n, _ := s.file.ReadAt(p, off)
		return n
	}
	if off < s.start || off >= s.size {
		return 0
	}
	return copy(p, s.core[off-s.start:])
}

func (s *spool) close() error {
	s.core = nil
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
