package facts

import (
	"bytes"
	"encoding/binary"

	"picket/scanner"
)

// maxOwnedPaths bounds the index of a hostile device to some 150 MB; a desktop has 150,000 paths.
const maxOwnedPaths = 3 << 20

const digestBlock = 1 << 18 // bytes

// ownerTable maps hashes of paths to what is known of the path: open addressing, linear
// probing, at most three quarters full. Two paths of a million share a 64-bit hash with a
// chance of one in ten million, and the seed is not known to who made the device.
type ownerTable struct {
	hashes []uint64 // 0 marks a free place
	values []ownerValue
	n      int
	full   bool
	// digests holds the digests one after the other, in blocks of digestBlock bytes.
	digests [][]byte
	// attrs are the distinct modes and owners.
	attrs     []ownerAttr
	attrIndex map[ownerAttr]uint16
	last      uint16 // the attr of the last claim: the next one is likely the same
}

type ownerValue struct {
	pkg    uint32
	digest uint32 // place in digests, in units of 4 bytes, all blocks counted as full
	attr   uint16
	algo   scanner.Algo
	flags  uint8
}

type ownerAttr struct {
	mode, uid, gid int32
	caps           string
}

const (
	flagConfig   = 1 << iota
	flagLink     // a symbolic link
	flagDigest   // there is a digest
	flagShortSum // a SHA-256 cut to 20 bytes
)

// digestSize is the stored length of a digest, or 0 for one of another length.
func digestSize(algo scanner.Algo, short bool) int {
	switch algo {
	case scanner.MD5:
		return 16
	case scanner.SHA1:
		return 20
	case scanner.SHA256:
		if short {
			return 20
		}
		return 32
	case scanner.SHA512:
		return 64
	}
	return 0
}

// add enters a claim. Of several on one path the package that comes first has it, whatever
// the order of the calls.
func (t *ownerTable) add(hash uint64, c *claim) {
	if 4*(t.n+1) > 3*len(t.hashes) {
		if t.n >= maxOwnedPaths {
			t.full = true
			return
		}
		t.resize(max(2*len(t.hashes), 1<<12))
	}
	i := t.slot(hash)
	if t.hashes[i] == hash {
		if int(t.values[i].pkg) <= c.pkg {
			return
		}
	} else {
		t.hashes[i] = hash
		t.n++
	}
	t.values[i] = t.value(c)
}

func (t *ownerTable) value(c *claim) ownerValue {
	v := ownerValue{pkg: uint32(c.pkg), attr: t.attr(ownerAttr{c.mode, c.uid, c.gid, c.caps})}
	if c.config {
		v.flags |= flagConfig
	}
	if c.link {
		v.flags |= flagLink
	}
	if short := len(c.digest) == 20; len(c.digest) > 0 && len(c.digest) == digestSize(c.algo, short) {
		v.algo, v.digest = c.algo, t.keep(c.digest)
		v.flags |= flagDigest
		if c.algo == scanner.SHA256 && short {
			v.flags |= flagShortSum
		}
	}
	return v
}

// keep stores a digest and gives its place.
func (t *ownerTable) keep(digest []byte) uint32 {
	last := len(t.digests) - 1
	if last < 0 || len(t.digests[last])+len(digest) > digestBlock {
		t.digests = append(t.digests, make([]byte, 0, digestBlock))
		last++
	}
	place := uint32((last*digestBlock + len(t.digests[last])) / 4)
	t.digests[last] = append(t.digests[last], digest...)
	return place
}

// attr gives the number of a mode and owner. A database with more than 65,535 different ones
// is not honest; what is over counts as unknown.
func (t *ownerTable) attr(a ownerAttr) uint16 {
	if int(t.last) < len(t.attrs) && t.attrs[t.last] == a {
		return t.last
	}
	if i, ok := t.attrIndex[a]; ok {
		t.last = i
		return i
	}
	if t.attrIndex == nil {
		t.attrIndex = map[ownerAttr]uint16{}
		t.attr(ownerAttr{mode: -1, uid: -1, gid: -1}) // number 0: nothing known
		return t.attr(a)
	}
	if len(t.attrs) == 1<<16 {
		return 0
	}
	t.attrs = append(t.attrs, a)
	t.attrIndex[a] = uint16(len(t.attrs) - 1)
	return t.attrIndex[a]
}

// slot finds a hash's place, or the free one it belongs in.
func (t *ownerTable) slot(hash uint64) int {
	mask := len(t.hashes) - 1
	i := int(hash) & mask
	for t.hashes[i] != 0 && t.hashes[i] != hash {
		i = (i + 1) & mask
	}
	return i
}

func (t *ownerTable) get(hash uint64) *ownerValue {
	if t.n == 0 {
		return nil
	}
	if i := t.slot(hash); t.hashes[i] == hash {
		return &t.values[i]
	}
	return nil
}

// reserve makes room for about n paths.
func (t *ownerTable) reserve(n int) {
	size := 1 << 12
	for 3*size < 4*n && size < 1<<20 {
		size *= 2
	}
	t.resize(size)
}

// resize gives the table size places, a power of two.
func (t *ownerTable) resize(size int) {
	hashes, values := t.hashes, t.values
	t.hashes, t.values = make([]uint64, size), make([]ownerValue, size)
	for i, h := range hashes {
		if h != 0 {
			j := t.slot(h)
			t.hashes[j], t.values[j] = h, values[i]
		}
	}
}

// digest gives the digest of a value, nil when there is none.
func (t *ownerTable) digest(v *ownerValue) []byte {
	if v.flags&flagDigest == 0 {
		return nil
	}
	block, from := t.digests[v.digest/(digestBlock/4)], int(v.digest%(digestBlock/4))*4
	to := from + digestSize(v.algo, v.flags&flagShortSum != 0)
	return block[from:to:to]
}

func (t *ownerTable) owned(v *ownerValue) Owned {
	a := t.attrs[v.attr]
	return Owned{Package: int(v.pkg), Algo: v.algo, Digest: t.digest(v), Mode: a.mode, UID: a.uid, GID: a.gid,
		Caps: a.caps, Config: v.flags&flagConfig != 0, Link: v.flags&flagLink != 0}
}

// digestSet finds values by digest: open addressing over the table's places.
type digestSet struct {
	places []uint32 // place in the table plus 1; 0 is free
	algos  [scanner.SHA512 + 1]bool
}

// KnownDigest says whether some packaged file has this content: whether a digest of it is in
// a package database. Digest it with each of DigestAlgos.
func (o *Owners) KnownDigest(algo scanner.Algo, digest []byte) bool {
	o.once.Do(o.build)
	o.digestsOnce.Do(o.buildDigests)
	if len(digest) != digestSize(algo, false) || len(o.digests.places) == 0 {
		return false
	}
	mask := len(o.digests.places) - 1
	for i := digestHash(digest) & mask; o.digests.places[i] != 0; i = (i + 1) & mask {
		v := &o.table.values[o.digests.places[i]-1]
		if v.algo == algo && bytes.HasPrefix(digest, o.table.digest(v)) {
			return true
		}
	}
	return false
}

// DigestAlgos lists the algorithms of the digests that the package databases hold.
func (o *Owners) DigestAlgos() []scanner.Algo {
	o.once.Do(o.build)
	o.digestsOnce.Do(o.buildDigests)
	var out []scanner.Algo
	for a, used := range o.digests.algos {
		if used {
			out = append(out, scanner.Algo(a))
		}
	}
	return out
}

func (o *Owners) buildDigests() {
	t := &o.table
	size := 1 << 10
	for size < 2*t.n {
		size *= 2
	}
	places := make([]uint32, size)
	for i := range t.values {
		v := &t.values[i]
		// A link's digest is that of its target's name.
		if v.flags&flagDigest == 0 || v.flags&flagLink != 0 {
			continue
		}
		j := digestHash(t.digest(v)) & (size - 1)
		for places[j] != 0 {
			j = (j + 1) & (size - 1)
		}
		places[j] = uint32(i + 1)
		o.digests.algos[v.algo] = true
	}
	o.digests.places = places
}

func digestHash(digest []byte) int { return int(binary.LittleEndian.Uint64(digest) >> 1) }
