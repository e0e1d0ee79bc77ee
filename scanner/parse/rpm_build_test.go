package parse

import (
	"encoding/binary"
	"hash/adler32"
)

// The databases that these functions lay out are as small as the formats allow: fuzzing is
// quick on them, and a mistake can be put where a test wants it.

// ndbFile lays headers out as rpm's ndb does: one page of slots, then the blobs.
func ndbFile(headers ...[]byte) []byte {
	le := binary.LittleEndian
	file := make([]byte, ndbPage)
	copy(file, "RpmP")
	le.PutUint32(file[12:], 1)
	le.PutUint32(file[16:], uint32(len(headers)+1))
	for i := 32; i < ndbPage; i += ndbBlock {
		copy(file[i:], "Slot")
	}
	for i, h := range headers {
		start := len(file)
		blocks := (ndbHeadLen + len(h) + ndbTailLen + ndbBlock - 1) / ndbBlock
		slot := file[32+i*ndbBlock:]
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(start/ndbBlock))
		le.PutUint32(slot[12:], uint32(blocks))
		blob := make([]byte, blocks*ndbBlock)
		copy(blob, "BlbS")
		le.PutUint32(blob[4:], uint32(i+1))
		le.PutUint32(blob[12:], uint32(len(h)))
		copy(blob[ndbHeadLen:], h)
		tail := blob[len(blob)-ndbTailLen:]
		le.PutUint32(tail, adler32.Checksum(blob[:len(blob)-ndbTailLen]))
		le.PutUint32(tail[4:], uint32(len(h)))
		copy(tail[8:], "BlbE")
		file = append(file, blob...)
	}
	return file
}

const buildPage = 512 // bytes of a page in the files below

// bdbFile lays headers out in one bucket, each in a chain of overflow pages.
func bdbFile(order binary.ByteOrder, headers ...[]byte) []byte {
	file := make([]byte, 2*buildPage)
	order.PutUint32(file[12:], bdbMagic)
	order.PutUint32(file[16:], 9)
	order.PutUint32(file[20:], buildPage)
	file[25] = bdbMetaHash
	order.PutUint32(file[96:], 1) // bucket 0 is page 1
	bucket, items := buildPage, 0
	item := func(b ...byte) {
		bucket -= len(b)
		copy(file[buildPage+bucket:], b)
		order.PutUint16(file[buildPage+bdbPageHeader+2*items:], uint16(bucket))
		items++
	}
	for i, h := range headers {
		first, length := uint32(len(file)/buildPage), len(h)
		for len(h) > 0 {
			n := min(len(h), buildPage-bdbPageHeader)
			page := make([]byte, buildPage)
			number := uint32(len(file) / buildPage)
			order.PutUint32(page[8:], number)
			order.PutUint16(page[22:], uint16(n))
			page[25] = bdbOverflow
			copy(page[bdbPageHeader:], h[:n])
			if h = h[n:]; len(h) > 0 {
				order.PutUint32(page[16:], number+1)
			}
			file = append(file, page...)
		}
		item(bdbItemKeyData, byte(i+1), 0, 0, 0)
		off := make([]byte, 12)
		off[0] = bdbItemOffPage
		order.PutUint32(off[4:], first)
		order.PutUint32(off[8:], uint32(length))
		item(off...)
	}
	page := file[buildPage:]
	order.PutUint32(page[8:], 1)
	order.PutUint16(page[20:], uint16(items))
	order.PutUint16(page[22:], uint16(bucket))
	page[25] = bdbHash
	order.PutUint32(file[32:], uint32(len(file)/buildPage-1))
	return file
}

// sqliteFile lays headers out in a table Packages of one leaf page, the parts that do not fit
// in overflow pages.
func sqliteFile(headers ...[]byte) []byte {
	be := binary.BigEndian
	file := make([]byte, 2*buildPage)
	copy(file, sqliteMagic)
	be.PutUint16(file[16:], buildPage)
	r := &sqliteReader{usable: buildPage}
	leaf := func(start int, rows [][]byte, at int) {
		file[at+start] = sqliteTableLeaf
		be.PutUint16(file[at+start+3:], uint16(len(rows)))
		end := buildPage
		for i, row := range rows {
			cell := append(varint(len(row)), byte(i+1))
			local, over := r.localPayload(uint64(len(row)))
			cell = append(cell, row[:local]...)
			if over {
				cell = be.AppendUint32(cell, uint32(len(file)/buildPage+1))
			}
			for row = row[local:]; len(row) > 0; {
				n := min(len(row), buildPage-4)
				page := make([]byte, buildPage)
				copy(page[4:], row[:n])
				if row = row[n:]; len(row) > 0 {
					be.PutUint32(page, uint32(len(file)/buildPage+2))
				}
				file = append(file, page...)
			}
			end -= len(cell)
			copy(file[at+end:], cell)
			be.PutUint16(file[at+start+8+2*i:], uint16(end))
		}
	}
	text := func(s string) byte { return byte(13 + 2*len(s)) }
	const kind, name, sql = "table", "Packages", ""
	leaf(sqliteHeader, [][]byte{append([]byte{6, text(kind), text(name), text(name), 1, text(sql)},
		kind+name+name+"\x02"+sql...)}, 0)
	var rows [][]byte
	for _, h := range headers {
		blob := varint(12 + 2*len(h))
		rows = append(rows, append(append([]byte{byte(2 + len(blob)), 0}, blob...), h...))
	}
	leaf(0, rows, buildPage)
	return file
}

// varint writes a number below 2,097,152 as SQLite does.
func varint(n int) []byte {
	switch {
	case n < 1<<7:
		return []byte{byte(n)}
	case n < 1<<14:
		return []byte{byte(n>>7) | 0x80, byte(n & 0x7f)}
	}
	return []byte{byte(n>>14) | 0x80, byte(n>>7) | 0x80, byte(n & 0x7f)}
}
