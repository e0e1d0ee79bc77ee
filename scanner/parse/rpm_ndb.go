package parse

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
)

// ndb files (rpm on SUSE): pages of slots, each slot naming one package's blob by its first
// 16-byte block and its number of blocks; a blob is a head, the header, padding and a tail
// with a checksum. All numbers are little-endian. Format: lib/backend/ndb/rpmpkg.c of rpm.
const (
	ndbMagic    = 'R' | 'p'<<8 | 'm'<<16 | 'P'<<24
	ndbSlot     = 'S' | 'l'<<8 | 'o'<<16 | 't'<<24
	ndbBlobHead = 'B' | 'l'<<8 | 'b'<<16 | 'S'<<24
	ndbBlobTail = 'B' | 'l'<<8 | 'b'<<16 | 'E'<<24
	ndbPage     = 4096
	ndbBlock    = 16
	ndbHeadLen  = 16
	ndbTailLen  = 12
	// maxNDBSlotPages makes room for 262,144 packages.
	maxNDBSlotPages = 1 << 10
)

type ndbReader struct {
	db   RandomAccess
	blob []byte
	// read counts the bytes of blobs, which together are no longer than the file unless two
	// slots share one.
	read int64
	out  *rpmOutput
}

func readNDB(db RandomAccess, out *rpmOutput) {
	head := make([]byte, 32)
	if n, err := readAt(db, head, 0); err != nil {
		out.fail(err)
		return
	} else if n < len(head) {
		out.fail(&Error{Offset: int64(n), Msg: "ndb: the file ends within its header"})
		return
	}
	version, pages := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
	if version != 0 {
		out.fail(&Error{Offset: 4, Msg: fmt.Sprintf("ndb: version %d is not 0", version)})
		return
	}
	if pages == 0 || pages > maxNDBSlotPages {
		out.fail(&Error{Offset: 12, Msg: fmt.Sprintf("ndb: %d pages of slots", pages)})
		return
	}
	r := &ndbReader{db: db, out: out}
	seen := map[uint32]bool{}
	slots := make([]byte, ndbPage)
	for page := range int64(pages) {
		n, err := readAt(db, slots, page*ndbPage)
		if err != nil {
			out.fail(err)
			return
		}
		if n < ndbPage {
			out.fail(&Error{Offset: page*ndbPage + int64(n), Msg: fmt.Sprintf("ndb: the file ends within slot page %d of %d", page+1, pages)})
			return
		}
		at := 0
		if page == 0 {
			at = len(head)
		}
		for ; at < ndbPage && !out.done; at += ndbBlock {
			slot := slots[at : at+ndbBlock]
			offset := page*ndbPage + int64(at)
			pkg := binary.LittleEndian.Uint32(slot[4:])
			switch {
			case binary.LittleEndian.Uint32(slot) != ndbSlot:
				out.fail(&Error{Offset: offset, Msg: "ndb: no slot where one should be"})
				return
			case pkg == 0:
				continue // free
			case seen[pkg]:
				out.fail(&Error{Offset: offset, Msg: fmt.Sprintf("ndb: package %d has two slots", pkg)})
				continue
			}
			seen[pkg] = true
			r.readBlob(pkg, binary.LittleEndian.Uint32(slot[8:]), binary.LittleEndian.Uint32(slot[12:]))
		}
	}
}

func (r *ndbReader) readBlob(pkg, block, blocks uint32) {
	start, length := int64(block)*ndbBlock, int64(blocks)*ndbBlock
	fail := func(at int64, format string, args ...any) {
		r.out.fail(&Error{Offset: start + at, Msg: "ndb: " + fmt.Sprintf(format, args...)})
	}
	if length < ndbHeadLen+ndbTailLen || start < ndbPage || start+length > r.db.Size() {
		fail(0, "blob of package %d, %d bytes long, lies outside the file", pkg, length)
		return
	}
	if length > maxRPMHeader {
		fail(0, "blob of package %d has %d bytes, over the limit of %d", pkg, length, maxRPMHeader)
		return
	}
	if r.read += length; r.read > r.db.Size() {
		fail(0, "blobs overlap")
		return
	}
	if int64(cap(r.blob)) < length {
		r.blob = make([]byte, length+length/4)
	}
	b := r.blob[:length]
	if n, err := readAt(r.db, b, start); err != nil {
		r.out.fail(err)
		return
	} else if n < len(b) {
		fail(int64(n), "the file ends within the blob of package %d", pkg)
		return
	}
	size := int64(binary.LittleEndian.Uint32(b[12:]))
	tail := b[length-ndbTailLen:]
	switch {
	case binary.LittleEndian.Uint32(b) != ndbBlobHead || binary.LittleEndian.Uint32(b[4:]) != pkg:
		fail(0, "no blob of package %d where its slot says", pkg)
	case ndbHeadLen+size+ndbTailLen > length:
		fail(12, "header of package %d has %d bytes, more than its blob", pkg, size)
	case binary.LittleEndian.Uint32(tail[8:]) != ndbBlobTail || int64(binary.LittleEndian.Uint32(tail[4:])) != size:
		fail(length-ndbTailLen, "blob of package %d has no proper end", pkg)
	case binary.LittleEndian.Uint32(tail) != adler32.Checksum(b[:length-ndbTailLen]):
		fail(length-ndbTailLen, "blob of package %d does not match its checksum", pkg)
	default:
		r.out.header(b[ndbHeadLen : ndbHeadLen+size])
	}
}
