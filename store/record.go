package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// formatVersion is the version of the file. A change of any record's encoding is a new
// version and a step in migrations.
const formatVersion = 1

// A record's value is a byte for the way it is sealed, a CRC-32C over table, key and body,
// and the body. bbolt keeps no checksum of its pages, so this is what finds a changed bit.
const (
	sealVersion = 1
	sealSize    = 5
)

func checksum(tableName string, key, body []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(uint32(len(key)), t, []byte(tableName))
	sum = crc32.Update(sum, t, key)
	return crc32.Update(sum, t, body)
}

func seal(tableName string, key, body []byte) []byte {
	out := make([]byte, sealSize, sealSize+len(body))
	out[0] = sealVersion
	binary.LittleEndian.PutUint32(out[1:], checksum(tableName, key, body))
	return append(out, body...)
}

func unseal(tableName string, key, frame []byte) ([]byte, error) {
	if len(frame) < sealSize {
		return nil, fmt.Errorf("%d bytes are no record", len(frame))
	}
	if frame[0] != sealVersion {
		return nil, fmt.Errorf("sealed in unknown way %d", frame[0])
	}
	body := frame[sealSize:len(frame):len(frame)]
	if binary.LittleEndian.Uint32(frame[1:]) != checksum(tableName, key, body) {
		return nil, errors.New("checksum does not match")
	}
	return body, nil
}

// tally is a table's count and sum of checksums. Kept with every change, it shows at open
// that a record is missing, which no record's own checksum can.
type tally struct{ count, sum, bytes uint64 }

func (a *tally) add(key, frame []byte) {
	a.count++
	a.sum += frameSum(frame)
	a.bytes += uint64(len(key) + len(frame))
}

func (a *tally) remove(key, frame []byte) {
	a.count--
	a.sum -= frameSum(frame)
	a.bytes -= uint64(len(key) + len(frame))
}

func frameSum(frame []byte) uint64 {
	if len(frame) < sealSize {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(frame[1:]))
}

// encoder and decoder write and read the fields of a record one after the other: unsigned
// numbers as varints, texts with their length before them.
type encoder struct{ buf []byte }

func (e *encoder) uint(v uint64)        { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) milli(t int64)        { e.buf = binary.AppendVarint(e.buf, t) }
func (e *encoder) bytes(b []byte)       { e.uint(uint64(len(b))); e.buf = append(e.buf, b...) }
func (e *encoder) text(s string)        { e.uint(uint64(len(s))); e.buf = append(e.buf, s...) }
func (e *encoder) span(d time.Duration) { e.uint(uint64(max(d, 0) / time.Second)) }

// decoder gives zero values after its first error, which finish returns.
type decoder struct {
	buf []byte
	err error
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.buf)
	return number(d, v, n)
}

func (d *decoder) milli() int64 {
	v, n := binary.Varint(d.buf)
	return number(d, v, n)
}

func number[T int64 | uint64](d *decoder, v T, n int) T {
	if d.err == nil && n <= 0 {
		d.err = errors.New("a number is cut short")
	}
	if d.err != nil {
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

// bytes gives a copy.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if d.err == nil && n > uint64(len(d.buf)) {
		d.err = errors.New("a text is cut short")
	}
	if d.err != nil {
		return nil
	}
	out := append([]byte{}, d.buf[:n]...)
	d.buf = d.buf[n:]
	return out
}

// atMost reads how many there are of what this version knows n of. Fewer are an older file.
func (d *decoder) atMost(n int) int {
	v := d.uint()
	if d.err == nil && v > uint64(n) {
		d.err = fmt.Errorf("%d of at most %d", v, n)
	}
	if d.err != nil {
		return 0
	}
	return int(v)
}

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) span() time.Duration {
	return time.Duration(min(d.uint(), math.MaxInt64/uint64(time.Second))) * time.Second
}

func (d *decoder) id() (id [16]byte) {
	if d.err == nil && len(d.buf) < len(id) {
		d.err = errors.New("an id is cut short")
	}
	if d.err == nil {
		d.buf = d.buf[copy(id[:], d.buf):]
	}
	return id
}

func (d *decoder) finish() error {
	if d.err == nil && len(d.buf) > 0 {
		d.err = fmt.Errorf("%d bytes too many", len(d.buf))
	}
	return d.err
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// need is why a full snapshot is due, gravest first.
type need uint64

const (
	noNeed need = iota
	needFirst
	needAsked
	needDropped
	needDamaged
)

func (n need) String() string {
	return [...]string{"", "first", "asked", "dropped", "damaged"}[min(n, needDamaged)]
}

// state is the record that every change writes.
type state struct {
	seq      uint64        // of the newest event
	age      time.Duration // for how long an agent has run with this store
	changed  int64         // last write, Unix milliseconds
	snapshot int64         // when the last snapshot was queued; 0 for never
	need     need
	baseline bool // the next whole inventory is not told as additions
	tally    [tables]tally
	queued   [kinds]uint64
}

func (st *state) encode() []byte {
	var e encoder
	e.uint(st.seq)
	e.span(st.age)
	e.milli(st.changed)
	e.milli(st.snapshot)
	e.uint(uint64(st.need))
	if st.baseline {
		e.uint(1)
	} else {
		e.uint(0)
	}
	e.uint(uint64(len(st.tally)))
	for _, a := range st.tally {
		e.uint(a.count)
		e.uint(a.sum)
		e.uint(a.bytes)
	}
	e.uint(uint64(len(st.queued)))
	for _, n := range st.queued {
		e.uint(n)
	}
	return e.buf
}

func decodeState(b []byte) (state, error) {
	d := decoder{buf: b}
	st := state{seq: d.uint(), age: d.span(), changed: d.milli(), snapshot: d.milli(), need: need(d.uint()), baseline: d.uint() == 1}
	for i := range d.atMost(len(st.tally)) {
		st.tally[i] = tally{d.uint(), d.uint(), d.uint()}
	}
	for i := range d.atMost(len(st.queued)) {
		st.queued[i] = d.uint()
	}
	return st, d.finish()
}

// encode and decode of the public records follow their types' order of fields.

func (f *OpenFinding) encode() []byte {
	var e encoder
	e.buf = append(e.buf, f.rawID[:]...)
	e.milli(f.Since.UnixMilli())
	e.milli(f.Changed.UnixMilli())
	e.text(f.Rule)
	e.text(f.Title)
	e.uint(uint64(f.Severity))
	e.bytes(f.Digest)
	e.bytes(f.Body)
	return e.buf
}

func decodeFinding(key, b []byte) (OpenFinding, error) {
	d := decoder{buf: b}
	f := OpenFinding{rawID: d.id()}
	f.ID = formatID(f.rawID)
	f.Since, f.Changed = fromMilli(d.milli()), fromMilli(d.milli())
	f.Finding = Finding{Key: string(key), Rule: d.text(), Title: d.text(), Severity: uint8(d.uint()), Digest: d.bytes(), Body: d.bytes()}
	return f, d.finish()
}

func (p *Package) encode() []byte {
	var e encoder
	e.bytes(p.Digest)
	e.bytes(p.Body)
	return e.buf
}

func decodePackage(key, b []byte) (Package, error) {
	d := decoder{buf: b}
	p := Package{ID: string(key), Digest: d.bytes(), Body: d.bytes()}
	return p, d.finish()
}

func (e *Event) encode() []byte {
	var w encoder
	w.buf = append(w.buf, e.rawID[:]...)
	w.uint(uint64(e.Kind))
	w.uint(uint64(e.Severity))
	w.milli(e.At.UnixMilli())
	w.span(e.born)
	w.text(e.Key)
	w.bytes(e.Body)
	return w.buf
}

func decodeEvent(key, b []byte) (Event, error) {
	if len(key) != 8 {
		return Event{}, fmt.Errorf("a sequence of %d bytes", len(key))
	}
	d := decoder{buf: b}
	e := Event{Seq: binary.BigEndian.Uint64(key), rawID: d.id()}
	e.ID = formatID(e.rawID)
	kind := d.uint()
	if d.err == nil && (kind == 0 || kind >= uint64(kinds)) {
		d.err = fmt.Errorf("unknown kind %d", kind)
	}
	e.Kind, e.Severity, e.At, e.born = Kind(kind), uint8(d.uint()), fromMilli(d.milli()), d.span()
	e.Key, e.Body = d.text(), d.bytes()
	return e, d.finish()
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
