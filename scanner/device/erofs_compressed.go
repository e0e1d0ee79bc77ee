package device

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
)

// Compressed erofs files are cut into logical clusters. An index says of each cluster
// whether a compressed extent starts in it, where in the cluster, and where its data lies.

const (
	maxErofsExtent   = 32 << 20 // unpacked bytes of one extent
	maxErofsCluster  = 1 << 20  // packed bytes of one extent, as Linux
	maxErofsClusters = 1 << 20  // logical clusters of one file

	// kinds of clusters
	erofsPlain = 0 // an extent starts, not compressed
	erofsHead  = 1 // an extent starts
	erofsNone  = 2 // no extent starts
	erofsHead2 = 3 // an extent starts, in the second compression method

	// h_advise
	erofsCompact2B    = 0x01
	erofsBigClusters  = 0x02
	erofsBigClusters2 = 0x04
	erofsInlineTail   = 0x08
	erofsInterlaced   = 0x10
	erofsTailFragment = 0x20

	erofsBlockCount = 0x800 // in a cluster without a start: the extent before has so many blocks
)

// erofsIndex is a compressed file's index, unfolded.
type erofsIndex struct {
	extents    []erofsExtent
	algorithms [2]byte
	interlaced bool
	fragment   int64 // where in the packed inode the last extent, or the file, lies; -1 without
	whole      bool  // the whole file is a fragment
}

// erofsExtent is a piece of a file that is unpacked as one.
type erofsExtent struct {
	from int64 // byte of the file; it ends where the next starts
	at   int64 // byte of the volume
	size int64 // packed bytes
	kind byte
}

func (e *erofs) compressed(n erofsInode) (io.ReaderAt, error) {
	x, ok := e.indexes.get(n.id)
	if !ok {
		var err error
		if x, err = e.readIndex(n); err != nil {
			return nil, fmt.Errorf("inode %d: %w", n.id, err)
		}
		e.indexes.put(n.id, x, 32*len(x.extents)+128)
	}
	if x.whole {
		return e.fragment(n, x.fragment, n.size)
	}
	return contentReader(func(b []byte, off int64) (int, error) {
		done := 0
		for done < len(b) {
			pos := off + int64(done)
			if pos >= n.size {
				return done, io.EOF
			}
			i := sort.Search(len(x.extents), func(i int) bool { return x.extents[i].from > pos }) - 1
			end := n.size
			if i+1 < len(x.extents) {
				end = x.extents[i+1].from
			}
			from := x.extents[i].from
			var c int
			var err error
			if i == len(x.extents)-1 && x.fragment >= 0 {
				c, err = e.readFragment(n, x.fragment, end-from, b[done:], pos-from)
			} else {
				var data []byte
				data, err = e.extentData(x, x.extents[i], end-from)
				if err == nil {
					c = copy(b[done:], data[pos-from:])
				}
			}
			done += c
			if err != nil {
				return done, fmt.Errorf("inode %d: %w", n.id, err)
			}
		}
		return done, nil
	}), nil
}

// fragment is content inside the packed inode, an inode of the image that holds the tails
// of others.
func (e *erofs) fragment(n erofsInode, start, size int64) (io.ReaderAt, error) {
	if e.packed == 0 || n.id == e.packed {
		return nil, e.win.bad(n.at, "inode %d is in a packed inode, but there is none", n.id)
	}
	p, info, err := e.inode(e.packed)
	if err != nil {
		return nil, fmt.Errorf("packed inode: %w", err)
	}
	if start < 0 || start > info.Size || size > info.Size-start {
		return nil, e.win.bad(n.at, "inode %d at %d of a packed inode of %d bytes", n.id, start, info.Size)
	}
	r, err := e.content(p)
	if err != nil {
		return nil, fmt.Errorf("packed inode: %w", err)
	}
	return io.NewSectionReader(r, start, size), nil
}

func (e *erofs) readFragment(n erofsInode, start, size int64, b []byte, off int64) (int, error) {
	r, err := e.fragment(n, start, size)
	if err != nil {
		return 0, err
	}
	return r.ReadAt(b[:min(int64(len(b)), size-off)], off)
}

// extentData unpacks an extent of size bytes.
func (e *erofs) extentData(x *erofsIndex, ext erofsExtent, size int64) ([]byte, error) {
	key := ext.at<<20 ^ ext.from // two files may share packed data from different starts on
	if data, ok := e.unpacked.get(key); ok && int64(len(data)) == size {
		return data, nil
	}
	if size > maxErofsExtent {
		return nil, e.win.bad(ext.at, "extent of %d bytes", size)
	}
	raw := make([]byte, ext.size)
	if err := e.win.read(ext.at, raw); err != nil {
		return nil, err
	}
	var data []byte
	var err error
	if ext.kind == erofsPlain {
		data, err = e.plainExtent(x, ext, raw, size)
	} else {
		data, err = e.unpackExtent(x, ext, raw, size)
	}
	if err != nil {
		return nil, err
	}
	e.unpacked.put(key, data, len(data)+64)
	return data, nil
}

// plainExtent gives an extent that is not compressed. Interlaced, its bytes stand at the
// offset in their block that they have in the file's, and go on at the block's start.
func (e *erofs) plainExtent(x *erofsIndex, ext erofsExtent, raw []byte, size int64) ([]byte, error) {
	if size > int64(len(raw)) {
		return nil, e.win.bad(ext.at, "extent of %d bytes in %d", size, len(raw))
	}
	if x.interlaced {
		skip := ext.from & (e.blockSize - 1)
		if skip >= int64(len(raw)) {
			return nil, e.win.bad(ext.at, "extent at %d of %d bytes", skip, len(raw))
		}
		raw = append(raw[skip:len(raw):len(raw)], raw[:skip]...)
	}
	return raw[:size], nil
}

func (e *erofs) unpackExtent(x *erofsIndex, ext erofsExtent, raw []byte, size int64) ([]byte, error) {
	algorithm := x.algorithms[0]
	if ext.kind == erofsHead2 {
		algorithm = x.algorithms[1]
	}
	if algorithm != 0 {
		names := [...]string{1: "LZMA", 2: "DEFLATE", 3: "zstd"}
		name := fmt.Sprint("method ", algorithm)
		if int(algorithm) < len(names) {
			name = names[algorithm]
		}
		return nil, e.win.bad(ext.at, "compressed with %s, which Picket cannot read in erofs", name)
	}
	if e.incompat&erofsZeroPadding != 0 { // the data stands at the end of its blocks
		for len(raw) > 0 && raw[0] == 0 {
			raw = raw[1:]
		}
	}
	out := make([]byte, size)
	n, err := unpackLZ4(out, raw)
	if err == nil && int64(n) != size {
		err = fmt.Errorf("%w: %d bytes of %d", errLZ4, n, size)
	}
	if err != nil {
		return nil, e.win.bad(ext.at, "extent: %w", err)
	}
	return out, nil
}

// readIndex unfolds a compressed file's index.
func (e *erofs) readIndex(n erofsInode) (*erofsIndex, error) {
	le := binary.LittleEndian
	at := (n.end + 7) &^ 7
	var head [8]byte // fragment or size of the tail, advise, algorithms, cluster size
	if err := e.read(at, head[:]); err != nil {
		return nil, fmt.Errorf("compression header: %w", err)
	}
	if head[7]&0x80 != 0 {
		return &erofsIndex{whole: true, fragment: int64(le.Uint64(head[:]) &^ (1 << 63))}, nil
	}
	advise := le.Uint16(head[4:])
	x := &erofsIndex{
		algorithms: [2]byte{head[6] & 15, head[6] >> 4}, interlaced: advise&erofsInterlaced != 0, fragment: -1,
	}
	shift := e.bits + uint(head[7]&7)
	clusters := (n.size + 1<<shift - 1) >> shift
	if clusters > maxErofsClusters {
		return nil, e.win.bad(n.at, "%d bytes: more than %d clusters", n.size, maxErofsClusters)
	}
	b := indexBuilder{e: e, n: n, x: x, shift: shift, big: advise&(erofsBigClusters|erofsBigClusters2) != 0, size: n.size}
	var end int64
	var err error
	if n.layout == erofsFullIndex {
		end, err = b.full(at+16, int(clusters))
	} else {
		end, err = b.compact(at+8, int(clusters), advise&erofsCompact2B != 0)
	}
	if err != nil {
		return nil, err
	}
	if len(x.extents) == 0 && n.size > 0 || len(x.extents) > 0 && x.extents[0].from != 0 {
		return nil, e.win.bad(at, "no extent at the file's start")
	}
	if len(x.extents) == 0 {
		return x, nil
	}
	last := &x.extents[len(x.extents)-1]
	switch {
	case advise&erofsTailFragment != 0:
		x.fragment = int64(le.Uint32(head[:]))
		if n.layout == erofsFullIndex {
			x.fragment |= last.at >> e.bits << 32
		}
	case advise&erofsInlineTail != 0:
		last.at, last.size = end, int64(le.Uint16(head[2:]))
	}
	return x, nil
}
