package parse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// SQLite files, as far as rpm needs them: the B-tree of one table, its payloads with their
// overflow pages, and the write-ahead log. Format: "Database File Format" of sqlite.org.
const (
	sqliteMagic         = "SQLite format 3\x00"
	sqliteHeader        = 100
	sqliteTableInterior = 0x05 // page types
	sqliteTableLeaf     = 0x0d
	sqliteMaxDepth      = 20
)

type sqliteReader struct {
	db       RandomAccess
	wal      *sqliteWAL
	win      rpmWindow
	pageSize int
	usable   int
	pages    uint32
	seen     rpmPageSet
	level    [sqliteMaxDepth][]byte // the pages from the root to the one at work
	payload  bytes.Buffer
	out      *rpmOutput
}

// readRPMSQLite yields the column blob of the table Packages.
func readRPMSQLite(db, log RandomAccess, out *rpmOutput) {
	r := &sqliteReader{db: db, win: rpmWindow{src: db}, out: out}
	if err := r.open(log); err != nil {
		out.fail(err)
		return
	}
	var root uint32
	r.walk(1, 0, func(record []byte) {
		// The columns of the schema table: type, name, tbl_name, rootpage, sql.
		kind, name := sqliteColumn(record, 0), sqliteColumn(record, 1)
		if string(kind.data) == "table" && string(name.data) == "Packages" {
			root = uint32(sqliteColumn(record, 3).integer())
		}
	})
	if root == 0 {
		if out.errors == 0 {
			out.fail(&Error{Offset: 0, Msg: "sqlite: holds no table Packages"})
		}
		return
	}
	r.walk(root, 0, func(record []byte) {
		// hnum is the row's number and stored as null; blob is the second column.
		if c := sqliteColumn(record, 1); c.kind >= 12 && c.kind%2 == 0 {
			out.header(c.data)
			return
		}
		out.fail(&Error{Offset: 0, Msg: "sqlite: a row of Packages without a header"})
	})
}

func (r *sqliteReader) open(log RandomAccess) error {
	head, err := r.win.at(0, sqliteHeader)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 1 << 16
	}
	if size < 512 || size&(size-1) != 0 {
		return &Error{Offset: 16, Msg: fmt.Sprintf("sqlite: page size %d", size)}
	}
	r.pageSize = size
	if r.wal, err = readSQLiteWAL(log, size); err != nil {
		return err
	}
	r.pages = uint32(min(r.db.Size()/int64(size), maxRPMPages))
	if r.wal != nil {
		r.pages = max(r.pages, r.wal.lastPage)
	}
	first, err := r.readPage(1)
	if err != nil {
		return err
	}
	r.usable = size - int(first[20])
	if r.usable < 480 {
		return &Error{Offset: 20, Msg: fmt.Sprintf("sqlite: %d of a page's %d bytes are reserved", first[20], size)}
	}
	r.seen = nil
	return nil
}

// walk calls record with each row of the table whose B-tree begins at page, in the order of
// the rows' numbers. The record is valid during the call.
func (r *sqliteReader) walk(page uint32, depth int, record func([]byte)) {
	if r.out.done {
		return
	}
	if depth == sqliteMaxDepth {
		r.out.fail(r.complain(page, 0, "tree is too deep"))
		return
	}
	b, err := r.readPage(page)
	if err != nil {
		r.out.fail(err)
		return
	}
	b = append(r.level[depth][:0], b...)
	r.level[depth] = b
	start := 0
	if page == 1 {
		start = sqliteHeader
	}
	kind, cells := b[start], int(binary.BigEndian.Uint16(b[start+3:]))
	pointers := start + 8
	if kind == sqliteTableInterior {
		pointers = start + 12
	} else if kind != sqliteTableLeaf {
		r.out.fail(r.complain(page, start, fmt.Sprintf("page of type %d in a table", kind)))
		return
	}
	// Cells lie between the pointers and the page's end and do not overlap, so that what
	// they hold together is no more than the page.
	room := r.usable - pointers - 2*cells
	if room < 0 {
		r.out.fail(r.complain(page, start+3, fmt.Sprintf("%d cells do not fit", cells)))
		return
	}
	for i := range cells {
		if r.out.done {
			return
		}
		at := int(binary.BigEndian.Uint16(b[pointers+2*i:]))
		if at < pointers+2*cells || at+4 > r.usable {
			r.out.fail(r.complain(page, pointers+2*i, fmt.Sprintf("cell %d begins at %d", i, at)))
			return
		}
		if kind == sqliteTableInterior {
			r.walk(binary.BigEndian.Uint32(b[at:]), depth+1, record)
			continue
		}
		n, err := r.readCell(page, b[:r.usable], at)
		if room -= n; err == nil && room < 0 {
			err = r.complain(page, at, fmt.Sprintf("cell %d overlaps others", i))
		}
		if err != nil {
			r.out.fail(err)
			continue
		}
		record(r.payload.Bytes())
	}
	if kind == sqliteTableInterior {
		r.walk(binary.BigEndian.Uint32(b[start+8:]), depth+1, record)
	}
}

// readCell gathers the payload of the leaf cell at offset at of a page, and returns how many
// bytes the cell has on the page.
func (r *sqliteReader) readCell(page uint32, b []byte, at int) (int, error) {
	cell := b[at:]
	length, n := sqliteVarint(cell)
	_, m := sqliteVarint(cell[n:])
	if n == 0 || m == 0 {
		return len(cell), r.complain(page, at, "cell is cut off")
	}
	cell = cell[n+m:]
	local, overflows := r.localPayload(length)
	end := local
	if overflows {
		end += 4
	}
	switch {
	case length > maxRPMHeader:
		return n + m, r.complain(page, at, fmt.Sprintf("row of %d bytes, over the limit of %d", length, maxRPMHeader))
	case end > len(cell):
		return len(b) - at, r.complain(page, at, "cell reaches beyond its page")
	}
	growFor(&r.payload, int64(length), r.db)
	r.payload.Write(cell[:local])
	if !overflows {
		return n + m + end, nil
	}
	next := binary.BigEndian.Uint32(cell[local:])
	for left := int(length) - local; left > 0; {
		if next == 0 {
			return n + m + end, r.complain(page, at, fmt.Sprintf("row ends %d bytes early", left))
		}
		over, err := r.readPage(next)
		if err != nil {
			return n + m + end, err
		}
		take := min(left, r.usable-4)
		r.payload.Write(over[4 : 4+take])
		left -= take
		next = binary.BigEndian.Uint32(over)
	}
	return n + m + end, nil
}

// localPayload says how many bytes of a leaf cell's payload lie on the page itself.
func (r *sqliteReader) localPayload(length uint64) (local int, overflows bool) {
	u := uint64(r.usable)
	if length <= u-35 {
		return int(length), false
	}
	least := (u-12)*32/255 - 23
	k := least + (length-least)%(u-4)
	if k <= u-35 {
		return int(k), true
	}
	return int(least), true
}

// readPage returns a page as of the last commit, valid until the next call.
func (r *sqliteReader) readPage(page uint32) ([]byte, error) {
	if page == 0 || page > r.pages {
		return nil, r.complain(page, 0, fmt.Sprintf("page %d of %d", page, r.pages))
	}
	if !r.seen.add(page) {
		return nil, r.complain(page, 0, fmt.Sprintf("page %d is used twice", page))
	}
	if r.wal != nil {
		if b, err := r.wal.page(page); b != nil || err != nil {
			return b, err
		}
	}
	return r.win.at(int64(page-1)*int64(r.pageSize), r.pageSize)
}

func (r *sqliteReader) complain(page uint32, at int, msg string) error {
	return &Error{Offset: max(0, int64(page)-1)*int64(r.pageSize) + int64(at), Msg: "sqlite: " + msg}
}

// sqliteValue is one column of a record; kind is its serial type, zero (null) when the record
// does not hold it.
type sqliteValue struct {
	kind uint64
	data []byte
}

// sqliteColumn finds a column in a record.
func sqliteColumn(record []byte, column int) sqliteValue {
	headLen, n := sqliteVarint(record)
	if n == 0 || headLen > uint64(len(record)) || headLen < uint64(n) {
		return sqliteValue{}
	}
	head, body := record[n:headLen], record[headLen:]
	for {
		kind, n := sqliteVarint(head)
		size := sqliteLength(kind)
		if n == 0 || size > uint64(len(body)) {
			return sqliteValue{}
		}
		if column == 0 {
			return sqliteValue{kind: kind, data: body[:size]}
		}
		head, body = head[n:], body[size:]
		column--
	}
}

// sqliteLength is the length in bytes of a value of a serial type.
func sqliteLength(kind uint64) uint64 {
	switch kind {
	case 1, 2, 3, 4:
		return kind
	case 5:
		return 6
	case 6, 7:
		return 8
	case 0, 8, 9:
		return 0
	case 10, 11: // reserved
		return math.MaxUint64
	}
	return (kind - 12) / 2
}

// integer is the value of an integer column, 0 for all others.
func (v sqliteValue) integer() int64 {
	if v.kind == 9 {
		return 1
	}
	if v.kind == 0 || v.kind > 6 {
		return 0
	}
	n := int64(int8(v.data[0]))
	for _, c := range v.data[1:] {
		n = n<<8 | int64(c)
	}
	return n
}

// sqliteVarint reads a variable-length integer and says how many bytes it has, 0 when b ends
// within it.
func sqliteVarint(b []byte) (uint64, int) {
	var v uint64
	for i, c := range b {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}
