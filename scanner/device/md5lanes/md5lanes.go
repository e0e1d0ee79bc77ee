// Package md5lanes works out the MD5 digests of many files, sixteen at a time in the lanes of
// vector registers. One digest cannot be sped up: each step needs the one before. dpkg records
// MD5 alone, so that on a Debian system it is most of what a scan costs.
package md5lanes

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"math"
)

const (
	lanes     = 16
	blockSize = 64
	laneSize  = 32 << 10 // bytes of a file that are read at a time
	padding   = 2 * blockSize

	// few is how many lanes are no faster than hashing one file after the other.
	few = 3
)

// Next gives the next file to digest and who wants to know, or a nil file when there is none
// left. The file is closed before done is called, with the digest or the error of reading.
type Next func() (file io.ReadCloser, done func(sum []byte, err error))

// Sum digests the files that next gives, sixteen at a time. Available must have said that it can.
// One Sum reads in one goroutine; done is called in it too.
func Sum(next Next) {
	s := &summer{next: next, table: roundTable()}
	defer s.close()
	for i := range s.lanes {
		s.lanes[i].buf = make([]byte, laneSize+padding)
		s.start(i)
	}
	for s.step() {
	}
}

type summer struct {
	next  Next
	over  bool // next has no more files
	table [64]uint32
	state [4][lanes]uint32
	lanes [lanes]lane
}

// lane is one file being digested: buf[pos:whole] are blocks to hash, buf[whole:n] is less
// than one.
type lane struct {
	file          io.ReadCloser // nil: no file left
	done          func(sum []byte, err error)
	buf           []byte
	pos, whole, n int
	length        uint64 // bytes read
	padded        bool   // the blocks hold the end of the message
}

// start gives lane i its next file that can be read. A lane without one hashes what lies in its
// buffer, for nobody.
func (s *summer) start(i int) {
	l := &s.lanes[i]
	for {
		l.pos, l.whole, l.n, l.length, l.padded = 0, 0, 0, 0, false
		if !s.over {
			l.file, l.done = s.next()
		}
		if l.file == nil {
			s.over = true
			return
		}
		for word, v := range [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476} {
			s.state[word][i] = v
		}
		err := l.fill()
		if err == nil {
			return
		}
		l.end(nil, err)
	}
}

func (l *lane) end(sum []byte, err error) {
	f := l.file
	l.file = nil
	f.Close()
	l.done(sum, err)
}

// close closes what is open when something panicked.
func (s *summer) close() {
	for i := range s.lanes {
		if f := s.lanes[i].file; f != nil {
			f.Close()
		}
	}
}

// fill reads on when all whole blocks are hashed, and pads the message at its end.
func (l *lane) fill() error {
	l.n, l.pos = copy(l.buf, l.buf[l.whole:l.n]), 0
	for l.n < laneSize && !l.padded {
		m, err := l.file.Read(l.buf[l.n:laneSize])
		l.n += m
		l.length += uint64(m)
		if errors.Is(err, io.EOF) {
			l.pad()
		} else if err != nil {
			return err
		}
	}
	l.whole = l.n / blockSize * blockSize
	return nil
}

// pad ends the message in the buffer as RFC 1321 says: a one, zeros, and the length in bits.
func (l *lane) pad() {
	end := (l.n + 1 + 8 + blockSize - 1) / blockSize * blockSize
	clear(l.buf[l.n:end])
	l.buf[l.n] = 0x80
	binary.LittleEndian.PutUint64(l.buf[end-8:], l.length*8)
	l.n, l.padded = end, true
}

// step hashes as many blocks as every lane has, then reads on or starts the next file where
// there are no more. It is false when all files are done.
func (s *summer) step() bool {
	var from [lanes]*byte
	blocks := math.MaxInt
	for i := range s.lanes {
		l := &s.lanes[i]
		from[i] = &l.buf[l.pos]
		if l.file != nil {
			blocks = min(blocks, (l.whole-l.pos)/blockSize)
		}
	}
	if blocks == math.MaxInt {
		return false
	}
	blocks16(&s.state, &from, &s.table, blocks)
	for i := range s.lanes {
		if l := &s.lanes[i]; l.file != nil {
			l.pos += blocks * blockSize
			if l.pos == l.whole {
				s.refill(i)
			}
		}
	}
	return true
}

// refill reads on in lane i, or ends its file and starts the next.
func (s *summer) refill(i int) {
	l := &s.lanes[i]
	if l.padded {
		l.end(s.sum(i), nil)
		s.start(i)
		return
	}
	if s.over && s.active() <= few {
		if h := s.resume(i); h != nil {
			l.end(l.alone(h))
			return
		}
	}
	if err := l.fill(); err != nil {
		l.end(nil, err)
		s.start(i)
	}
}

// active is the number of files being digested.
func (s *summer) active() (n int) {
	for i := range s.lanes {
		if s.lanes[i].file != nil {
			n++
		}
	}
	return n
}

// resume gives a hash of crypto/md5 that goes on where lane i is, all its whole blocks being
// hashed. It is nil if crypto/md5 keeps its state in another form than it used to.
func (s *summer) resume(i int) hash.Hash {
	l := &s.lanes[i]
	state := []byte("md5\x01")
	for word := range s.state {
		state = binary.BigEndian.AppendUint32(state, s.state[word][i])
	}
	var rest [blockSize]byte
	copy(rest[:], l.buf[l.whole:l.n])
	state = binary.BigEndian.AppendUint64(append(state, rest[:]...), l.length)
	h := md5.New()
	if u, ok := h.(encoding.BinaryUnmarshaler); !ok || u.UnmarshalBinary(state) != nil {
		return nil
	}
	return h
}

// alone digests the rest of a file.
func (l *lane) alone(h hash.Hash) ([]byte, error) {
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{l.file}, l.buf); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

func (s *summer) sum(i int) []byte {
	sum := make([]byte, 0, 16)
	for word := range s.state {
		sum = binary.LittleEndian.AppendUint32(sum, s.state[word][i])
	}
	return sum
}

// roundTable gives the constants of the 64 rounds.
func roundTable() (t [64]uint32) {
	for i := range t {
		t[i] = uint32(math.Floor(math.Abs(math.Sin(float64(i+1))) * (1 << 32)))
	}
	return t
}
