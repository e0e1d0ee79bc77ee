package parse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Berkeley DB hash files (rpm before 4.16): page 0 describes the table; a bucket is a chain
// of pages of sorted or unsorted key and value items; a value too large for its page is a
// chain of overflow pages. All numbers are in the byte order of the machine that wrote them.
// Format: dbinc/db_page.h of Berkeley DB 4.3 to 5.3, hash versions 7 to 10.
const (
	bdbMagic       = 0x00061561
	bdbPageHeader  = 26
	bdbMetaHash    = 8  // page types
	bdbHash        = 13 //
	bdbHashOld     = 2  // unsorted, written before Berkeley DB 4.6
	bdbOverflow    = 7
	bdbItemKeyData = 1 // item types
	bdbItemOffPage = 3
	bdbSpares      = 32
)

type bdbReader struct {
	win      rpmWindow
	order    binary.ByteOrder
	pageSize int
	lastPage uint32
	seen     rpmPageSet
	page     []byte // the hash page at work; overflow pages are read while it is
	blob     bytes.Buffer
	out      *rpmOutput
}

// bdbOrder gives the byte order of a Berkeley DB hash by its first 16 bytes, nil when it is
// none.
func bdbOrder(head []byte) binary.ByteOrder {
	switch {
	case binary.LittleEndian.Uint32(head[12:]) == bdbMagic:
		return binary.LittleEndian
	case binary.BigEndian.Uint32(head[12:]) == bdbMagic:
		return binary.BigEndian
	}
	return nil
}

func readBDB(db RandomAccess, out *rpmOutput) {
	meta := make([]byte, 512)
	if n, err := readAt(db, meta, 0); err != nil {
		out.fail(err)
		return
	} else if n < len(meta) {
		out.fail(&Error{Offset: int64(n), Msg: "the file ends within its first page"})
		return
	}
	order := bdbOrder(meta)
	r := &bdbReader{win: rpmWindow{src: db}, order: order, out: out}
	size := order.Uint32(meta[20:])
	if size < 512 || size > 1<<16 || size&(size-1) != 0 {
		out.fail(&Error{Offset: 20, Msg: fmt.Sprintf("page size %d", size)})
		return
	}
	r.pageSize = int(size)
	r.lastPage = uint32(min(db.Size()/int64(size), maxRPMPages)) - 1
	switch version := order.Uint32(meta[16:]); {
	case version < 7 || version > 10:
		out.fail(&Error{Offset: 16, Msg: fmt.Sprintf("hash version %d is not one of 7 to 10", version)})
		return
	case meta[24] != 0 || meta[26] != 0:
		out.fail(&Error{Offset: 24, Msg: "encrypted or checksummed pages, which rpm does not write"})
		return
	case meta[25] != bdbMetaHash:
		out.fail(&Error{Offset: 25, Msg: fmt.Sprintf("first page is of type %d, not a hash's", meta[25])})
		return
	}
	maxBucket := order.Uint32(meta[72:])
	if maxBucket > r.lastPage {
		out.fail(&Error{Offset: 72, Msg: fmt.Sprintf("%d buckets in %d pages", uint64(maxBucket)+1, r.lastPage+1)})
		return
	}
	var spares [bdbSpares]uint32
	for i := range spares {
		spares[i] = order.Uint32(meta[96+4*i:])
	}
	r.seen.add(0)
	for bucket := uint32(0); bucket <= maxBucket && !out.done; bucket++ {
		// Buckets were added in doublings, and each doubling lies together.
		r.readBucket(bucket + spares[bits.Len32(bucket)])
	}
}

func (r *bdbReader) readBucket(page uint32) {
	for !r.out.done {
		b, err := r.readPage(page)
		if err != nil {
			r.out.fail(err)
			return
		}
		r.page = append(r.page[:0], b...)
		if t := r.page[25]; t != bdbHash && t != bdbHashOld {
			r.out.fail(r.complain(page, 25, fmt.Sprintf("page of type %d in a bucket", t)))
			return
		}
		r.readItems(page)
		page = r.order.Uint32(r.page[16:])
		if page == 0 {
			return
		}
	}
}

// readItems takes the values from the hash page at work. Items are written from the page's
// end downwards, so that one ends where the one before it begins.
func (r *bdbReader) readItems(page uint32) {
	n := int(r.order.Uint16(r.page[20:]))
	if n%2 != 0 || bdbPageHeader+2*n > r.pageSize {
		r.out.fail(r.complain(page, 20, fmt.Sprintf("%d items, which are no pairs that fit", n)))
		return
	}
	end := r.pageSize
	for i := 0; i < n && !r.out.done; i++ {
		at := bdbPageHeader + 2*i
		start := int(r.order.Uint16(r.page[at:]))
		if start < bdbPageHeader+2*n || start >= end {
			r.out.fail(r.complain(page, at, fmt.Sprintf("item %d begins at %d", i, start)))
			return
		}
		item := r.page[start:end]
		end = start
		if i%2 == 0 {
			continue // a key: the number of a header
		}
		switch {
		case item[0] == bdbItemKeyData && len(item) <= 1+4:
			// Under key 0: the number that the next header gets.
		case item[0] == bdbItemKeyData:
			r.out.header(item[1:])
		case item[0] == bdbItemOffPage && len(item) >= 12:
			if err := r.readOverflow(r.order.Uint32(item[4:]), r.order.Uint32(item[8:])); err != nil {
				r.out.fail(err)
				continue
			}
			r.out.header(r.blob.Bytes())
		default:
			r.out.fail(r.complain(page, start, fmt.Sprintf("item of type %d and %d bytes", item[0], len(item))))
		}
	}
}

// readOverflow gathers a value of length bytes from the chain that begins at page.
func (r *bdbReader) readOverflow(page, length uint32) error {
	if length > maxRPMHeader {
		return r.complain(page, 0, fmt.Sprintf("header of %d bytes, over the limit of %d", length, maxRPMHeader))
	}
	growFor(&r.blob, int64(length), r.win.src)
	for page != 0 {
		b, err := r.readPage(page)
		if err != nil {
			return err
		}
		n := int(r.order.Uint16(b[22:]))
		if b[25] != bdbOverflow || bdbPageHeader+n > len(b) {
			return r.complain(page, 22, fmt.Sprintf("page of type %d with %d bytes in a header's chain", b[25], n))
		}
		if r.blob.Len()+n > int(length) {
			return r.complain(page, 22, fmt.Sprintf("chain is longer than its header's %d bytes", length))
		}
		r.blob.Write(b[bdbPageHeader : bdbPageHeader+n])
		page = r.order.Uint32(b[16:])
	}
	if r.blob.Len() != int(length) {
		return r.complain(page, 0, fmt.Sprintf("chain ends after %d of its header's %d bytes", r.blob.Len(), length))
	}
	return nil
}

// readPage returns a page, valid until the next call.
func (r *bdbReader) readPage(page uint32) ([]byte, error) {
	if page > r.lastPage {
		return nil, r.complain(page, 0, fmt.Sprintf("page %d is beyond the last, %d", page, r.lastPage))
	}
	if !r.seen.add(page) {
		return nil, r.complain(page, 0, fmt.Sprintf("page %d is used twice", page))
	}
	b, err := r.win.at(int64(page)*int64(r.pageSize), r.pageSize)
	if err != nil {
		return nil, err
	}
	if n := r.order.Uint32(b[8:]); n != page {
		return nil, r.complain(page, 8, fmt.Sprintf("page %d says that it is page %d", page, n))
	}
	return b, nil
}

func (r *bdbReader) complain(page uint32, at int, msg string) error {
	return &Error{Offset: int64(page)*int64(r.pageSize) + int64(at), Msg: "Berkeley DB: " + msg}
}
