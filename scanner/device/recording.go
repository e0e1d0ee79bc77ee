package device

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"picket/scanner"
)

const (
	maxRecordingHead = 16 << 20 // bytes of picket-recording.json
	maxRecordedProbe = 64 << 20 // bytes of what one live source said
	maxRecordingLine = 1 << 20  // bytes of a line of the table
)

// isRecording tells whether a tar archive is a Picket recording.
func isRecording(block []byte) bool {
	return isTar(block) && tarText(block[:100]) == recordingHeader
}

// openRecording reads a recording. Every answer in it was given to the scan that made it;
// what it does not hold is an error wrapping scanner.ErrNotRecorded.
func openRecording(in *tarInput, name string) (*recorded, error) {
	s := newStore()
	r := &recordingReader{in: in, tar: &tarReader{in: in}, store: s,
		device: &recorded{fs: newFS(&recordTree{s: s}), probes: map[scanner.Source]reply{}, missing: scanner.ErrNotRecorded}}
	if err := r.read(); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	s.bodies.finish()
	s.index.byWho = nil
	r.device.identity.Origin = fmt.Sprintf("recording %s of %s", filepath.Base(name), r.device.identity.Origin)
	return r.device, nil
}

type recordingReader struct {
	in     *tarInput
	tar    *tarReader
	store  *store
	device *recorded
	table  bool // was there
	fields []string
	bodies int // that the table promises
}

func (r *recordingReader) read() error {
	var h tarHeader
	for first := true; ; first = false {
		err := r.tar.next(&h)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.part(&h, first)
		}
		if err != nil {
			return r.in.error(r.tar.last, err)
		}
	}
	switch {
	case !r.tar.ended:
		return r.in.error(r.tar.last, io.ErrUnexpectedEOF)
	case !r.table:
		return errors.New("holds no " + recordingTable)
	case r.bodies != 0:
		return fmt.Errorf("the content of %d files is missing", r.bodies)
	}
	if err := r.in.drain(); err != nil {
		return r.in.error(r.tar.last, err)
	}
	return nil
}

// part reads one part of the recording.
func (r *recordingReader) part(h *tarHeader, first bool) error {
	end := r.in.off + h.size + padding(h.size)
	if h.kind != '0' || h.sparse {
		return errors.New("holds something that is no plain file")
	}
	var err error
	switch name := h.name; {
	case first:
		err = r.head(h)
	case strings.HasPrefix(name, recordingProbes):
		var b []byte
		b, err = r.bytes(h, maxRecordedProbe)
		r.device.probes[scanner.Source(strings.TrimPrefix(name, recordingProbes))] = reply{bytes: b}
	case name == recordingTable && !r.table:
		r.table = true
		err = r.readTable(io.LimitReader(r.in, h.size))
	case strings.HasPrefix(name, recordingBodies+"/"):
		err = r.body(h)
	default:
		err = errors.New("is no part of a recording")
	}
	if err != nil {
		return err
	}
	return r.in.skip(end - r.in.off)
}

func (r *recordingReader) bytes(h *tarHeader, limit int64) ([]byte, error) {
	if h.size > limit {
		return nil, &scanner.TooLargeError{Size: h.size, Limit: limit}
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r.in, h.size); err != nil {
		return nil, cutOff(err)
	}
	return b.Bytes(), nil
}

func (r *recordingReader) head(h *tarHeader) error {
	b, err := r.bytes(h, maxRecordingHead)
	if err != nil {
		return err
	}
	var head recordingHead
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	if head.Schema != recordingSchema {
		return fmt.Errorf("schema is %.40q, this version of Picket reads %s", head.Schema, recordingSchema)
	}
	if len(head.Errors) > maxRecordedErrors {
		return fmt.Errorf("more than %d different errors", maxRecordedErrors)
	}
	for _, e := range head.Errors {
		if e == nil {
			return errors.New("an error is null")
		}
	}
	r.device.identity = scanner.Identity(head.Identity)
	r.store.errs.list = head.Errors
	for s, e := range head.Probes {
		if e != nil {
			r.device.probes[s] = reply{err: e}
		}
	}
	return nil
}

// readTable reads the table of all names.
func (r *recordingReader) readTable(text io.Reader) error {
	lines := bufio.NewReaderSize(text, maxRecordingLine)
	for n := 1; ; n++ {
		l, err := lines.ReadSlice('\n')
		if err == io.EOF && len(l) == 0 {
			return nil
		}
		if err == bufio.ErrBufferFull {
			err = fmt.Errorf("longer than %d bytes", maxRecordingLine)
		}
		if err == nil {
			r.fields = r.fields[:0]
			for f := range strings.SplitSeq(string(l[:len(l)-1]), "\t") {
				r.fields = append(r.fields, f)
			}
			err = r.line(r.fields)
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", recordingTable, n, cutOff(err))
		}
	}
}

func (r *recordingReader) line(fields []string) error {
	name, err := unescape(fields[0])
	if err != nil {
		return err
	}
	if name == "" || name[0] != '/' || !isClean(name[1:]) || len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("%q is no clean absolute name", fields[0])
	}
	s := r.store
	id, err := s.make(name)
	if err != nil {
		return err
	}
	if more := s.extra(id); more.state != 0 || more.lstat != 0 {
		return fmt.Errorf("%q is listed twice", fields[0])
	}
	if len(fields) < 2 {
		return errors.New("too few fields")
	}
	rest := fields[2:]
	if fields[1] != "-" {
		if rest, err = s.parseInfo(id, fields[1:]); err != nil {
			return err
		}
	}
	for _, f := range rest {
		key, value, hasValue := strings.Cut(f, "=")
		if err := r.answer(id, key, value, hasValue); err != nil {
			return fmt.Errorf("%.60q: %w", f, err)
		}
	}
	return nil
}

// parseInfo reads a description's nine fields.
func (s *store) parseInfo(id uint32, f []string) (rest []string, err error) {
	const fields = 9
	if len(f) < fields {
		return nil, errors.New("too few fields")
	}
	number := func(text string, base int, lo, hi int64) int64 {
		v, e := strconv.ParseInt(text, base, 64)
		if e != nil || v < lo || v > hi {
			err = first(err, fmt.Errorf("%.40q is out of range or no number", text))
		}
		return v
	}
	unsigned := func(text string) uint64 {
		v, e := strconv.ParseUint(text, 10, 64)
		err = first(err, e)
		return v
	}
	n, more := s.index.node(id), s.extra(id)
	mode := number(f[0], 8, 0, 1<<16-1)
	uid, gid := number(f[1], 10, -1, 1<<32-1), number(f[2], 10, -1, 1<<32-1)
	size := number(f[3], 10, math.MinInt64, math.MaxInt64)
	mtime, e1 := parseTime(f[4])
	ctime, e2 := parseTime(f[5])
	nlink, dev, ino := number(f[6], 10, 0, 1<<32-1), unsigned(f[7]), unsigned(f[8])
	if err = first(err, first(e1, e2)); err != nil {
		return nil, err
	}
	n.mode, n.size, n.mtime = uint16(mode), size, mtime
	n.owner = s.index.own(owner{uid: uid, gid: gid})
	more.ctime, more.nlink, more.ino, more.dev = ctime, uint32(nlink), ino, s.device(dev)
	more.state |= stateKnown
	return f[fields:], nil
}

// answer reads one answer about a file: KEY, KEY=VALUE or KEY=!ERROR.
func (r *recordingReader) answer(id uint32, key, value string, hasValue bool) error {
	s := r.store
	more := s.extra(id)
	switch {
	case key == "listed" && !hasValue:
		more.state |= stateListed
		return nil
	case key == "entry" && !hasValue:
		if more.state&stateKnown == 0 {
			return errors.New("an entry without a description")
		}
		more.state |= stateEntry
		return nil
	}
	failed := uint16(0)
	if number, ok := strings.CutPrefix(value, "!"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || int(n) > len(s.errs.list) {
			return errors.New("no such error")
		}
		failed = uint16(n)
	}
	if attr, ok := strings.CutPrefix(key, "xattr."); ok {
		return s.parseXattr(id, attr, value, failed)
	}
	for op := opLstat; op <= opHead+uint8(scanner.SHA512); op++ {
		if key != opWord(op) {
			continue
		}
		if failed == 0 {
			return r.value(id, op, value)
		}
		if op == opLstat {
			more.lstat = failed
			return nil
		}
		rr := s.rareOf(id)
		if rr.have&(1<<op) != 0 {
			return errors.New("answered twice")
		}
		rr.have |= 1 << op
		rr.errs = append(rr.errs, opError{op, failed})
		return nil
	}
	return errors.New("is no known answer")
}

func (s *store) parseXattr(id uint32, attr, value string, failed uint16) error {
	attr, err := unescape(attr)
	if err != nil {
		return err
	}
	packed := string([]byte{'!', byte(failed >> 8), byte(failed)})
	if failed == 0 {
		b, err := hex.DecodeString(value)
		if err != nil {
			return err
		}
		packed = "=" + string(b)
	}
	n := s.index.node(id)
	o := s.index.owners[n.owner]
	if o.xattrs += packXattr(attr, packed); len(o.xattrs) > 2*maxXattrs {
		return errors.New("too many extended attributes")
	}
	n.owner = s.index.own(o)
	return nil
}

// value reads the answer to one operation.
func (r *recordingReader) value(id uint32, op uint8, value string) (err error) {
	rr := r.store.rareOf(id)
	if rr.have&(1<<op) != 0 {
		return errors.New("answered twice")
	}
	rr.have |= 1 << op
	switch op {
	case opLstat, opReadDir:
		return errors.New("holds no error")
	case opReadlink:
		rr.link, err = unescape(value)
	case opOpen:
		size, unread := strings.CutSuffix(value, ",unread")
		if rr.body.claimed, err = strconv.ParseInt(size, 10, 64); !unread {
			r.bodies++
		}
	case opHead:
		if rr.head, err = hex.DecodeString(value); len(rr.head) > headSize {
			err = errors.New("too long")
		}
	default:
		var h interface{ Size() int }
		if h, err = newHash(scanner.Algo(op - opHead)); err != nil {
			return err
		}
		if rr.digests[op-opHead], err = hex.DecodeString(value); err == nil && len(value) != 2*h.Size() {
			err = errors.New("wrong length")
		}
	}
	return err
}

// body reads a file's content.
func (r *recordingReader) body(h *tarHeader) error {
	s := r.store
	name := strings.TrimPrefix(h.name, recordingBodies)
	id := s.find(name)
	if id == 0 {
		return errors.New("content of a file that the table does not have")
	}
	rr := s.rare[id]
	if rr == nil || rr.have&(1<<opOpen) == 0 || rr.body.kept {
		return errors.New("content of a file that was not opened, or twice")
	}
	if s.bodies.full() {
		return fmt.Errorf("more than %d bytes of compressed content", maxStore)
	}
	rr.body.off, rr.body.size, rr.body.kept = s.bodies.size, h.size, true
	r.bodies--
	_, err := io.CopyN(s.bodies, r.in, h.size)
	return cutOff(err)
}
