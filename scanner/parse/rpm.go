package parse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// The three forms of an rpm package database are read here and not by a library: the ones
// that exist open files by an operating-system path (a recorded device has none), load or
// trust what the file claims (an overflow page of the wrong kind is an endless loop, an item
// offset a panic), and the sqlite form would need a whole SQL engine. What rpm keeps in them
// is one table of header blobs, and that takes a page reader each.

// RandomAccess is the content of a file whose length is known.
type RandomAccess interface {
	io.ReaderAt
	Size() int64
}

const (
	// maxRPMHeader is the largest header read, in bytes. Headers of packages with some
	// hundred thousand files reach 30 MB.
	maxRPMHeader = 64 << 20
	// maxRPMPages bounds the pages of a database: 2 GiB of the smallest, 16 GiB of usual ones.
	maxRPMPages = 1 << 22
	// maxRPMErrors is how many complaints about one database are worth reading on for.
	maxRPMErrors = 100
)

// RPMDatabase yields the header of every package in an rpm database of any of its three
// forms, told by content: sqlite (rpmdb.sqlite), ndb (Packages.db), Berkeley DB hash
// (Packages). The log is the rpmdb.sqlite-wal beside an sqlite database, nil where there is
// none.
//
// A header is what ParseRPMHeader takes and is valid until the next one. Memory is bounded by
// the largest header. An error (*Error, the offset in the file; or one of reading) stands for
// a header or page that could not be read; others may follow it.
func RPMDatabase(db, log RandomAccess) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		out := &rpmOutput{yield: yield}
		head := make([]byte, 16)
		if n, err := readAt(db, head, 0); err != nil {
			out.fail(err)
			return
		} else if n < len(head) {
			out.fail(&Error{Msg: fmt.Sprintf("not an rpm database: only %d bytes long", n)})
			return
		}
		switch {
		case string(head) == sqliteMagic:
			readRPMSQLite(db, log, out)
		case binary.LittleEndian.Uint32(head) == ndbMagic:
			readNDB(db, out)
		case bdbOrder(head) != nil:
			readBDB(db, out)
		default:
			out.fail(&Error{Msg: "not an rpm database: neither sqlite, ndb nor a Berkeley DB hash"})
		}
	}
}

// rpmOutput hands headers and complaints on until the reader has enough of either.
type rpmOutput struct {
	yield  func([]byte, error) bool
	errors int
	done   bool
}

func (o *rpmOutput) header(b []byte) {
	if !o.done && !o.yield(b, nil) {
		o.done = true
	}
}

func (o *rpmOutput) fail(err error) {
	if o.done {
		return
	}
	o.errors++
	if o.errors == maxRPMErrors {
		err = fmt.Errorf("%w (and no further: %d errors)", err, o.errors)
	}
	if !o.yield(nil, err) || o.errors == maxRPMErrors {
		o.done = true
	}
}

// readAt is ReadAt for which the end of the file is no error.
func readAt(r io.ReaderAt, b []byte, off int64) (int, error) {
	n, err := r.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// rpmWindow reads a database through one buffer: pages that follow each other cost few reads,
// and those that do not cost no more than themselves.
type rpmWindow struct {
	src   RandomAccess
	buf   []byte
	start int64
	valid int
}

const rpmWindowSize = 128 << 10

// at returns n bytes (at most 64 KiB) at off, valid until the next call.
func (w *rpmWindow) at(off int64, n int) ([]byte, error) {
	if end := w.start + int64(w.valid); off < w.start || off+int64(n) > end {
		want := n
		if off == end {
			want = max(n, min(2*w.valid, rpmWindowSize))
		}
		if len(w.buf) < want {
			w.buf = make([]byte, want)
		}
		got, err := readAt(w.src, w.buf[:want], off)
		w.start, w.valid = off, got
		if err != nil {
			w.valid = 0
			return nil, err
		}
		if got < n {
			return nil, &Error{Offset: off, Msg: fmt.Sprintf("the file ends within %d bytes that should be here", n)}
		}
	}
	i := int(off - w.start)
	return w.buf[i : i+n], nil
}

// rpmPageSet remembers which pages of a database were read: none is read twice, so that a
// loop of pages ends and the work is bounded by the file's length.
type rpmPageSet []byte

// add reports whether page was new.
func (s *rpmPageSet) add(page uint32) bool {
	i, bit := int(page/8), byte(1)<<(page%8)
	if i >= len(*s) {
		*s = append(*s, make([]byte, i+1-len(*s))...)
	}
	if (*s)[i]&bit != 0 {
		return false
	}
	(*s)[i] |= bit
	return true
}

// growFor empties b and makes room for n bytes of db at once, unless db cannot hold so many.
func growFor(b *bytes.Buffer, n int64, db RandomAccess) {
	b.Reset()
	b.Grow(int(min(n, db.Size())))
}
