package parse

import (
	"encoding/binary"
	"fmt"
)

const (
	walMagic   = 0x377f0682 // with its last bit set: checksums of big-endian words
	walVersion = 3007000
	walHeader  = 32
	walFrame   = 24
	// maxWAL is the longest write-ahead log read, in bytes.
	maxWAL = 512 << 20
)

// sqliteWAL is an SQLite write-ahead log: for each page written by a committed transaction,
// where its last committed content lies.
type sqliteWAL struct {
	log      RandomAccess
	pageSize int
	pages    map[uint32]int64
	lastPage uint32
	buf      []byte
}

// readSQLiteWAL reads a log as SQLite recovers one: frames count up to the last commit before
// the first frame whose salt or running checksum is wrong. It is nil when there is none or it
// holds nothing committed.
func readSQLiteWAL(log RandomAccess, pageSize int) (*sqliteWAL, error) {
	if log == nil || log.Size() < walHeader {
		return nil, nil
	}
	if log.Size() > maxWAL {
		return nil, fmt.Errorf("write-ahead log of %d bytes, over the limit of %d", log.Size(), maxWAL)
	}
	win := rpmWindow{src: log}
	h, err := win.at(0, walHeader)
	if err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if h[3]&1 != 0 {
		order = binary.BigEndian
	}
	sum := walSum{order: order}
	sum.add(h[:24])
	if binary.BigEndian.Uint32(h)&^1 != walMagic || !sum.is(h[24:]) {
		return nil, nil // never begun, or torn: SQLite overwrites it
	}
	if v := binary.BigEndian.Uint32(h[4:]); v != walVersion {
		return nil, fmt.Errorf("write-ahead log: %w", &Error{Offset: 4, Msg: fmt.Sprintf("version %d", v)})
	}
	if n := binary.BigEndian.Uint32(h[8:]); n != uint32(pageSize) {
		return nil, fmt.Errorf("write-ahead log: %w", &Error{Offset: 8, Msg: fmt.Sprintf("page size %d, the database's is %d", n, pageSize)})
	}
	w := &sqliteWAL{log: log, pageSize: pageSize, pages: map[uint32]int64{}}
	salt := binary.BigEndian.Uint64(h[16:])
	uncommitted := map[uint32]int64{}
	for off := int64(walHeader); off+walFrame+int64(pageSize) <= log.Size(); off += walFrame + int64(pageSize) {
		frame, err := win.at(off, walFrame)
		if err != nil {
			return nil, fmt.Errorf("write-ahead log: %w", err)
		}
		page, commit := binary.BigEndian.Uint32(frame), binary.BigEndian.Uint32(frame[4:])
		sum.add(frame[:8])
		want := [8]byte(frame[16:])
		if page == 0 || page > maxRPMPages || binary.BigEndian.Uint64(frame[8:]) != salt {
			break
		}
		content, err := win.at(off+walFrame, pageSize)
		if err != nil {
			return nil, fmt.Errorf("write-ahead log: %w", err)
		}
		if sum.add(content); !sum.is(want[:]) {
			break
		}
		uncommitted[page] = off + walFrame
		if commit == 0 {
			continue
		}
		for p, at := range uncommitted {
			w.pages[p] = at
			w.lastPage = max(w.lastPage, p)
		}
		clear(uncommitted)
	}
	if len(w.pages) == 0 {
		return nil, nil
	}
	return w, nil
}

// page returns a page that the log holds, valid until the next call; nil for others.
func (w *sqliteWAL) page(page uint32) ([]byte, error) {
	off, ok := w.pages[page]
	if !ok {
		return nil, nil
	}
	if w.buf == nil {
		w.buf = make([]byte, w.pageSize)
	}
	if n, err := readAt(w.log, w.buf, off); err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	} else if n < len(w.buf) {
		return nil, fmt.Errorf("write-ahead log: %w", &Error{Offset: off, Msg: "it shrank while it was read"})
	}
	return w.buf, nil
}

// walSum is the running checksum of a write-ahead log.
type walSum struct {
	order  binary.ByteOrder
	s1, s2 uint32
}

// add takes in b, whose length is a multiple of 8.
func (s *walSum) add(b []byte) {
	s1, s2 := s.s1, s.s2
	if s.order == binary.LittleEndian {
		for ; len(b) >= 8; b = b[8:] {
			s1 += binary.LittleEndian.Uint32(b) + s2
			s2 += binary.LittleEndian.Uint32(b[4:]) + s1
		}
	} else {
		for ; len(b) >= 8; b = b[8:] {
			s1 += binary.BigEndian.Uint32(b) + s2
			s2 += binary.BigEndian.Uint32(b[4:]) + s1
		}
	}
	s.s1, s.s2 = s1, s2
}

// is reports whether the sum is the one stored in 8 bytes.
func (s *walSum) is(b []byte) bool {
	return s.s1 == binary.BigEndian.Uint32(b) && s.s2 == binary.BigEndian.Uint32(b[4:])
}
