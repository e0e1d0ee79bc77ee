package device

import "encoding/binary"

// indexBuilder unfolds the index of a compressed erofs file into extents.
type indexBuilder struct {
	e     *erofs
	n     erofsInode
	x     *erofsIndex
	shift uint // log2 of the cluster size
	big   bool // extents may have several blocks
	size  int64
}

// add takes a cluster in which an extent starts, at offset, with its data in a block.
func (b *indexBuilder) add(cluster int, offset, block int64, kind byte) error {
	from := int64(cluster)<<b.shift + offset
	if k := len(b.x.extents); offset > 1<<b.shift || from > b.size || k > 0 && from <= b.x.extents[k-1].from {
		return b.e.win.bad(b.n.at, "cluster %d: extent starts at %d", cluster, from)
	}
	if from == b.size {
		return nil // the rest of the last cluster is not used
	}
	b.x.extents = append(b.x.extents, erofsExtent{from: from, at: block << b.e.bits, size: b.e.blockSize, kind: kind})
	return nil
}

// blocks takes the number of blocks of the extent that was added last.
func (b *indexBuilder) blocks(n int64) error {
	if len(b.x.extents) == 0 || n == 0 || n<<b.e.bits > maxErofsCluster {
		return b.e.win.bad(b.n.at, "extent of %d blocks", n)
	}
	b.x.extents[len(b.x.extents)-1].size = n << b.e.bits
	return nil
}

// full reads the plain form of an index, eight bytes for each cluster: kind, offset, and
// the block or the distance to the start. It gives where the index ends.
func (b *indexBuilder) full(at int64, clusters int) (end int64, err error) {
	le := binary.LittleEndian
	for i := range clusters {
		var rec [8]byte
		if err := b.e.read(at, rec[:]); err != nil {
			return 0, err
		}
		at += 8
		kind := byte(le.Uint16(rec[:]) & 3)
		if kind != erofsNone {
			err = b.add(i, int64(le.Uint16(rec[2:])), int64(le.Uint32(rec[4:])), kind)
		} else if back := le.Uint16(rec[4:]); b.big && back&erofsBlockCount != 0 {
			err = b.blocks(int64(back &^ erofsBlockCount))
		}
		if err != nil {
			return 0, err
		}
	}
	return at, nil
}

// compact reads the packed form. Clusters come in packs: two in eight bytes, or sixteen in
// 32. A pack holds for each cluster its offset and kind as a bit field, and in its last four
// bytes a block number from which the blocks of its extents are counted on. Packs of sixteen
// start where they are aligned, so that some of two come before them, and the rest after.
func (b *indexBuilder) compact(at int64, clusters int, sixteens bool) (end int64, err error) {
	before := int((32-at%32)/4) & 7
	middle := 0
	if sixteens && before < clusters {
		middle = (clusters - before) &^ 15
	}
	if b.shift > 14 || middle > 0 && b.shift > 12 {
		return 0, b.e.win.bad(b.n.at, "packed index for clusters of 2^%d bytes", b.shift)
	}
	first, last := clusters, 0
	if sixteens && middle > 0 {
		first, last = before, clusters-before-middle
	}
	done := 0
	for _, part := range [...]struct{ clusters, perPack, bytes int }{{first, 2, 8}, {middle, 16, 32}, {last, 2, 8}} {
		for left := part.clusters; left > 0; left -= part.perPack {
			var pack [32]byte
			if err := b.e.read(at, pack[:part.bytes]); err != nil {
				return 0, err
			}
			if err := b.pack(pack[:part.bytes], done, min(left, part.perPack), part.perPack); err != nil {
				return 0, err
			}
			done += min(left, part.perPack)
			at += int64(part.bytes)
		}
	}
	return at, nil
}

// pack reads count clusters, the first of them number first of the file, from a pack made
// for perPack.
func (b *indexBuilder) pack(p []byte, first, count, perPack int) error {
	fieldBits := uint(len(p)*8-32) / uint(perPack)
	lowBits := max(b.shift, 12)
	le := binary.LittleEndian
	field := func(i int) (low int64, kind byte) {
		bit := uint(i) * fieldBits
		var word [8]byte
		copy(word[:], p[bit/8:])
		v := uint32(le.Uint64(word[:]) >> (bit % 8))
		return int64(v & (1<<lowBits - 1)), byte(v >> lowBits & 3)
	}
	block := int64(le.Uint32(p[len(p)-4:]))
	if !b.big {
		block++ // it is the block before
	}
	for i := range count {
		low, kind := field(i)
		if kind != erofsNone {
			if err := b.add(first+i, low, block, kind); err != nil {
				return err
			}
			// A number of blocks follows in the next cluster. In another pack, that one
			// counts from this extent's block again.
			counted := false
			if b.big && i+1 < perPack {
				next, nextKind := field(i + 1)
				counted = nextKind == erofsNone && next&erofsBlockCount != 0
			}
			if !counted {
				block++
			}
		} else if b.big && low&erofsBlockCount != 0 {
			n := low &^ erofsBlockCount
			if err := b.blocks(n); err != nil {
				return err
			}
			block += n
		}
	}
	return nil
}
