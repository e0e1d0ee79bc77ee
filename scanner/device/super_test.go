package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// superPart is a logical partition to write: pieces of its image, each followed by a gap on the
// disk, and zeros behind them.
type superPart struct {
	name       string
	data       []byte
	pieces     int
	zeros      int // sectors
	attributes uint32
	disk       uint32
}

const superTestTable = 8192 // bytes of a table

// superList are the tables of a slot's metadata.
func superLists(parts []superPart, at int, put func(at int, b []byte)) (lists [4][]byte) {
	le := binary.LittleEndian
	extents := 0
	for _, p := range parts {
		entry := make([]byte, 52)
		copy(entry, p.name)
		le.PutUint32(entry[36:], p.attributes)
		le.PutUint32(entry[40:], uint32(extents))
		add := func(sectors, kind, from int) {
			e := make([]byte, 24)
			le.PutUint64(e, uint64(sectors))
			le.PutUint32(e[8:], uint32(kind))
			le.PutUint64(e[12:], uint64(from))
			le.PutUint32(e[20:], p.disk)
			lists[1] = append(lists[1], e...)
			extents++
		}
		first := extents
		for i, rest := 0, p.data; len(rest) > 0; i++ {
			n := len(rest)
			if i < p.pieces-1 {
				n = len(p.data) / p.pieces / sector * sector
			}
			sectors := (n + sector - 1) / sector
			put(at, rest[:n])
			add(sectors, 0, at/sector)
			rest, at = rest[n:], at+(sectors+3)*sector
		}
		if p.zeros > 0 {
			add(p.zeros, 1, 0)
		}
		le.PutUint32(entry[44:], uint32(extents-first))
		lists[0] = append(lists[0], entry...)
	}
	group, disk := make([]byte, 48), make([]byte, 64)
	copy(group, "default")
	le.PutUint64(disk, 2048)
	copy(disk[24:], "super")
	other := bytes.Clone(disk)
	copy(other[24:], "vendor\x00")
	lists[2], lists[3] = group, append(disk, other...)
	return lists
}

// superTableOf writes a table of metadata of version 10.minor.
func superTableOf(lists [4][]byte, minor int) []byte {
	le := binary.LittleEndian
	headSize := 128
	if minor >= 2 {
		headSize = 256
	}
	b := make([]byte, headSize, superTestTable)
	le.PutUint32(b, superHeaderMagic)
	le.PutUint16(b[4:], 10)
	le.PutUint16(b[6:], uint16(minor))
	le.PutUint32(b[8:], uint32(headSize))
	var tables []byte
	for i, size := range []int{52, 24, 48, 64} {
		d := b[80+12*i:]
		le.PutUint32(d, uint32(len(tables)))
		le.PutUint32(d[4:], uint32(len(lists[i])/size))
		le.PutUint32(d[8:], uint32(size))
		tables = append(tables, lists[i]...)
	}
	le.PutUint32(b[44:], uint32(len(tables)))
	sum := sha256.Sum256(tables)
	copy(b[48:], sum[:])
	sum = sha256.Sum256(b)
	copy(b[12:], sum[:])
	return append(b, tables...)
}

func superGeometryOfTest(slots int) []byte {
	le := binary.LittleEndian
	b := make([]byte, superGeometryBytes)
	le.PutUint32(b, superGeometryMagic)
	le.PutUint32(b[4:], superGeometryBytes)
	le.PutUint32(b[40:], superTestTable)
	le.PutUint32(b[44:], uint32(slots))
	le.PutUint32(b[48:], 4096)
	sum := sha256.Sum256(b)
	copy(b[8:], sum[:])
	return b
}

// superImage writes a super partition with the partitions of each slot.
func superImage(minor int, slots ...[]superPart) []byte {
	b := make([]byte, superTablesAt+2*len(slots)*superTestTable)
	for _, at := range []int{4096, 8192} {
		copy(b[at:], superGeometryOfTest(len(slots)))
	}
	for i, parts := range slots {
		start := (len(b) + 4095) &^ 4095
		lists := superLists(parts, start, func(at int, data []byte) {
			if need := (at + len(data) + sector - 1) &^ (sector - 1); need > len(b) {
				b = append(b, make([]byte, need-len(b))...)
			}
			copy(b[at:], data)
		})
		table := superTableOf(lists, minor)
		copy(b[superTablesAt+i*superTestTable:], table)
		copy(b[superTablesAt+(len(slots)+i)*superTestTable:], table)
	}
	return append(b, make([]byte, (4096-len(b)%4096)%4096)...)
}

func superOfFixtures(t testing.TB, minor int) []byte {
	images := fixtures(t)
	return superImage(minor,
		[]superPart{{name: "system_a", data: images["ext4"], pieces: 5, zeros: 8}, {name: "system_b"}, {name: "vendor_a", data: images["erofs-lz4"], pieces: 1}},
		[]superPart{{name: "system_a"}, {name: "system_b"}})
}

func TestSuperImageGivesARootForEachLogicalPartition(t *testing.T) {
	t.Parallel()
	for minor := range 3 {
		b := superOfFixtures(t, minor)
		if !isImage(b[:imageHead]) {
			t.Error("not told as an image")
		}
		for what, b := range map[string][]byte{"plain": b, "sparse": sparseImage(b)} {
			roots, err := openBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := labels(roots); got != "system_a ext4, vendor_a erofs" {
				t.Errorf("10.%d %s: roots %s", minor, what, got)
			}
			for _, r := range roots {
				fixtureTree(t, newFS(r.t))
				if notes := strings.Join(r.notes, "\n"); !strings.Contains(notes, "the slots of the super partition differ; that of slot 0 is shown") {
					t.Errorf("notes %q", notes)
				}
			}
		}
	}
}

func TestSuperPartitionOfADiskIsOpened(t *testing.T) {
	t.Parallel()
	super := superOfFixtures(t, 2)
	b := disk(len(super)/sector+3000, map[int][]byte{100: super, 100 + len(super)/sector: fixtures(t)["squashfs-xz"]})
	gptDisk(b, []gptPart{{"super", 100, 99 + len(super)/sector}, {"userdata", 100 + len(super)/sector, len(b)/sector - 100}})
	roots, err := openBytes(b)
	if err != nil || labels(roots) != "userdata squashfs, system_a ext4, vendor_a erofs" {
		t.Fatalf("roots %s, %v", labels(roots), err)
	}
	for _, r := range roots {
		fixtureTree(t, newFS(r.t))
	}
}

func TestDamagedSuperIsReadByItsCopies(t *testing.T) {
	t.Parallel()
	good := superOfFixtures(t, 1)
	table := superTablesAt
	for what, c := range map[string]struct {
		at         []int
		note, fail string
	}{
		"first geometry":           {at: []int{4096 + 44}, note: "its copy was used"},
		"both geometries":          {at: []int{4096 + 44, 8192 + 44}, fail: "byte 4096: geometry of a super partition whose checksum is wrong"},
		"first table's head":       {at: []int{table + 44}, note: "its backup was used"},
		"first table's lists":      {at: []int{table + 130}, note: "its backup was used"},
		"a slot's two tables":      {at: []int{table + superTestTable + 90, table + 3*superTestTable + 90}, note: "checksum is wrong"},
		"all tables of both slots": {at: []int{table + 90, table + superTestTable + 90, table + 2*superTestTable + 90, table + 3*superTestTable + 90}, fail: fmt.Sprintf("byte %d: table of a super", table+12)},
	} {
		b := bytes.Clone(good)
		for _, at := range c.at {
			b[at] ^= 1
		}
		roots, err := openBytes(b)
		switch {
		case c.fail != "":
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: %v", what, err)
			}
		case err != nil || labels(roots) != "system_a ext4, vendor_a erofs" || !strings.Contains(strings.Join(roots[0].notes, "\n"), c.note):
			t.Errorf("%s: %s, %v", what, labels(roots), err)
		}
	}
}

func TestSuperThatCannotBeSo(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	part := superPart{name: "system_a", data: images["ext4"], pieces: 2}
	build := func(change func(lists [4][]byte) [4][]byte) []byte {
		b := superImage(2, []superPart{part})
		at := superTablesAt + 2*superTestTable
		table := superTableOf(change(superLists([]superPart{part}, at, func(int, []byte) {})), 2)
		copy(b[superTablesAt:], table)
		copy(b[superTablesAt+superTestTable:], table)
		return b
	}
	le := binary.LittleEndian
	for want, change := range map[string]func(lists [4][]byte) [4][]byte{
		"of extents 0 to 4294967295 of 2":                    func(l [4][]byte) [4][]byte { le.PutUint32(l[0][44:], 1<<32-1); return l },
		"of extents 4294967295 to 4294967297 of 2":           func(l [4][]byte) [4][]byte { le.PutUint32(l[0][40:], 1<<32-1); return l },
		"without a name":                                     func(l [4][]byte) [4][]byte { clear(l[0][:36]); return l },
		"18446744073709551615 sectors":                       func(l [4][]byte) [4][]byte { le.PutUint64(l[1], 1<<64-1); return l },
		"more than its 2 extents":                            func(l [4][]byte) [4][]byte { l[0] = append(l[0], l[0]...); return l },
		"kind 7":                                             func(l [4][]byte) [4][]byte { le.PutUint32(l[1][8:], 7); return l },
		"on disk 4294967295 of 2":                            func(l [4][]byte) [4][]byte { le.PutUint32(l[1][20:], 1<<32-1); return l },
		"on 0 disks":                                         func(l [4][]byte) [4][]byte { l[3] = nil; return l },
		"but only 0 are there: cut off or damaged":           func(l [4][]byte) [4][]byte { le.PutUint64(l[1][12:], 1<<30); return l },
		"no filesystem that Picket knows in any of 1 partit": func(l [4][]byte) [4][]byte { le.PutUint32(l[1][8:], 1); return l }, // zeros
	} {
		if roots, err := openBytes(build(change)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.img") {
			t.Errorf("%s: %s, %v", want, labels(roots), err)
		}
	}
	same := build(func(l [4][]byte) [4][]byte { return l })
	if roots, err := openBytes(same); err != nil || labels(roots) != "system_a ext4" {
		t.Errorf("unchanged: %s, %v", labels(roots), err)
	}
}

func TestLogicalPartitionsThatAndroidDoesNotMapAreLeftOut(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	b := superImage(2, []superPart{
		{name: "system", data: images["ext4"], pieces: 3, attributes: superSlotSuffixed},
		{name: "off_a", data: images["erofs"], pieces: 1, attributes: superDisabled},
		{name: "odm_a", data: images["erofs"], pieces: 1, disk: 1},
	})
	roots, err := openBytes(b)
	if err != nil || labels(roots) != "system_a ext4" {
		t.Fatalf("roots %s, %v", labels(roots), err)
	}
	notes := strings.Join(roots[0].notes, "\n")
	for _, want := range []string{"off_a is switched off", "odm_a lies in part on another disk, vendor"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q lack %q", notes, want)
		}
	}
}

// FuzzSuper changes bytes of lists and of the head, and signs them anew, so that the reader gets
// behind the checksums.
func FuzzSuper(f *testing.F) {
	image := fixtures(f)["erofs-lz4"]
	part := []superPart{{name: "system_a", data: image, pieces: 3, zeros: 1}, {name: "vendor_a", data: image, pieces: 1}}
	base := superImage(2, part)
	lists := superLists(part, superTablesAt+2*superTestTable, func(int, []byte) {})
	head := superTableOf(lists, 2)
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0, 0, 0, 44, 0xff}, []byte{})
	f.Add([]byte{}, []byte{0, 0, 0, 92, 0xff, 0, 0, 0, 8, 1})
	f.Fuzz(func(t *testing.T, inLists, inHead []byte) {
		table := bytes.Clone(head)
		tables := changed(table[256:], inLists)
		top := changed(table[:256], inHead)
		sum := sha256.Sum256(tables)
		copy(top[48:], sum[:])
		clear(top[12:44])
		sum = sha256.Sum256(top)
		copy(top[12:], sum[:])
		b := bytes.Clone(base)
		copy(b[superTablesAt:], append(top, tables...))
		copy(b[superTablesAt+superTestTable:], b[superTablesAt:][:len(table)])
		roots, err := openBytes(b)
		if (err == nil) == (len(roots) == 0) {
			t.Fatalf("%d roots, %v", len(roots), err)
		}
		if err != nil {
			namesImage(t, err)
		}
		for _, r := range roots {
			walkHostile(t, r.t)
		}
	})
}
