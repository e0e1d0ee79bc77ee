package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// Android's super partition holds logical partitions, each a list of extents. Format:
// fs_mgr/liblp/include/liblp/metadata_format.h of the Android platform, versions 10.0 to 10.2.
// Two copies of a geometry lie at 4096 and 8192; behind them one table of metadata for each slot,
// and then backups of these.

const (
	superGeometryMagic = 0x616c4467
	superHeaderMagic   = 0x414c5030
	superGeometryAt    = 4096 // what is before is reserved
	superGeometrySize  = 4096
	superGeometryBytes = 52
	superTablesAt      = superGeometryAt + 2*superGeometrySize

	maxSuperMetadata = 1 << 20 // bytes of one table; Android makes 64 KiB
	maxSuperSlots    = 8       // Android makes 2 or 3
	maxSuperExtents  = 1 << 15 // of all partitions of a table
	maxSuperSectors  = 1 << 40 // of one partition
)

// superExtent is a run of a logical partition. Bytes of a zero extent are on no disk.
type superExtent struct {
	from, size int64 // bytes of the logical partition
	at         int64 // byte of the super partition; -1 for zeros
}

// superPartition is a logical partition, as a table of metadata describes it.
type superPartition struct {
	name      string
	extents   []superExtent
	size      int64
	off       bool   // Android must not map it
	elsewhere string // another disk that part of it lies on
}

// isSuper tells a super partition by either copy of its geometry.
func isSuper(head []byte) bool {
	for _, at := range []int{superGeometryAt, superGeometryAt + superGeometrySize} {
		if len(head) >= at+8 && binary.LittleEndian.Uint32(head[at:]) == superGeometryMagic && binary.LittleEndian.Uint32(head[at+4:]) == superGeometryBytes {
			return true
		}
	}
	return false
}

type superGeometry struct {
	tableSize, slots int64
}

// openSuper gives the logical partitions that have content, from the slot's table that maps most
// of them.
func openSuper(win *window) ([]partition, []string, error) {
	geo, notes, err := readSuperGeometry(win)
	if err != nil {
		return nil, nil, err
	}
	best, bestSlot, mapped := []superPartition(nil), -1, 0
	layouts := map[string]bool{}
	var failed []error
	for slot := range geo.slots {
		table, note, err := superSlot(win, geo, slot)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if note != "" {
			notes = append(notes, note)
		}
		layouts[fmt.Sprint(table)] = true
		if n := countMapped(table); bestSlot < 0 || n > mapped {
			best, bestSlot, mapped = table, int(slot), n
		}
	}
	if bestSlot < 0 {
		return nil, nil, errors.Join(failed...)
	}
	for _, err := range failed {
		notes = append(notes, err.Error())
	}
	if len(layouts) > 1 {
		notes = append(notes, fmt.Sprintf("the slots of the super partition differ; that of slot %d is shown, which maps most", bestSlot))
	}
	parts, more := mapSuper(win, best)
	return parts, append(notes, more...), nil
}

func countMapped(table []superPartition) (n int) {
	for _, p := range table {
		if p.size > 0 {
			n++
		}
	}
	return n
}

// mapSuper makes windows of the partitions that can be read.
func mapSuper(win *window, table []superPartition) (parts []partition, notes []string) {
	for _, p := range table {
		switch {
		case p.size == 0: // of the slot that is not in use
		case p.off:
			notes = append(notes, "logical partition "+p.name+" is switched off and left out")
		case p.elsewhere != "":
			notes = append(notes, fmt.Sprintf("logical partition %s lies in part on another disk, %s, and is left out", p.name, p.elsewhere))
		case len(parts) == maxPartitions:
			return parts, append(notes, fmt.Sprintf("more than %d logical partitions; the rest is left out", maxPartitions))
		default:
			parts = append(parts, partition{number: len(parts) + 1, label: p.name, size: p.size, win: p.window(win)})
		}
	}
	labelPartitions(parts)
	return parts, notes
}

func readSuperGeometry(win *window) (superGeometry, []string, error) {
	geo, err := superGeometryOf(win, superGeometryAt)
	if err == nil {
		return geo, nil, nil
	}
	if geo, again := superGeometryOf(win, superGeometryAt+superGeometrySize); again == nil {
		return geo, []string{"the geometry of the super partition is damaged, its copy was used: " + err.Error()}, nil
	}
	return geo, nil, err
}

func superGeometryOf(win *window, at int64) (superGeometry, error) {
	var b [superGeometryBytes]byte
	if err := win.read(at, b[:]); err != nil {
		return superGeometry{}, fmt.Errorf("super partition: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint32(b[:]) != superGeometryMagic || le.Uint32(b[4:]) != superGeometryBytes {
		return superGeometry{}, win.bad(at, "no geometry of a super partition")
	}
	if !sumMatches(b[:], 8) {
		return superGeometry{}, win.bad(at, "geometry of a super partition whose checksum is wrong")
	}
	geo := superGeometry{int64(le.Uint32(b[40:])), int64(le.Uint32(b[44:]))}
	if geo.tableSize == 0 || geo.tableSize > maxSuperMetadata || geo.tableSize%sector != 0 || geo.slots == 0 || geo.slots > maxSuperSlots {
		return superGeometry{}, win.bad(at+40, "super partition with %d slots of %d bytes", geo.slots, geo.tableSize)
	}
	return geo, nil
}

// sumMatches checks the SHA-256 that lies at a place of b and is counted as zero there.
func sumMatches(b []byte, at int) bool {
	c := bytes.Clone(b)
	clear(c[at : at+sha256.Size])
	sum := sha256.Sum256(c)
	return bytes.Equal(sum[:], b[at:at+sha256.Size])
}

// superSlot reads a slot's table, or its backup.
func superSlot(win *window, geo superGeometry, slot int64) ([]superPartition, string, error) {
	table, err := superTable(win, geo, superTablesAt+slot*geo.tableSize, slot)
	if err == nil {
		return table, "", nil
	}
	table, again := superTable(win, geo, superTablesAt+(geo.slots+slot)*geo.tableSize, slot)
	if again != nil {
		return nil, "", err
	}
	return table, "a table of the super partition is damaged, its backup was used: " + err.Error(), nil
}

// superHead is the head of a table of metadata, and the bytes of its lists.
type superHead struct {
	win    *window
	at     int64 // of the lists
	tables []byte
	head   []byte
}

func superTable(win *window, geo superGeometry, at, slot int64) ([]superPartition, error) {
	h, err := readSuperHead(win, geo, at)
	if err != nil {
		return nil, err
	}
	parts, err := h.list(80, 52)
	if err != nil {
		return nil, err
	}
	extents, err := h.list(92, 24)
	if err != nil {
		return nil, err
	}
	disks, err := h.list(116, 64)
	if err != nil {
		return nil, err
	}
	if len(extents) > maxSuperExtents || len(disks) == 0 {
		return nil, win.bad(h.at, "super partition of %d extents on %d disks", len(extents), len(disks))
	}
	var out []superPartition
	used := int64(0)
	for _, p := range parts {
		one, err := h.partition(p, extents, disks, slot)
		if err != nil {
			return nil, err
		}
		// Each extent is of one partition. Thousands that share thousands would take gigabytes.
		if used += int64(binary.LittleEndian.Uint32(p[44:])); used > int64(len(extents)) {
			return nil, win.bad(h.at, "super partition whose partitions have more than its %d extents", len(extents))
		}
		out = append(out, one)
	}
	return out, nil
}

func readSuperHead(win *window, geo superGeometry, at int64) (*superHead, error) {
	raw := make([]byte, geo.tableSize)
	if err := win.read(at, raw); err != nil {
		return nil, fmt.Errorf("super partition: %w", err)
	}
	le := binary.LittleEndian
	if geo.tableSize < 256 || le.Uint32(raw) != superHeaderMagic {
		return nil, win.bad(at, "no table where the super partition should have one")
	}
	if major, minor := le.Uint16(raw[4:]), le.Uint16(raw[6:]); major != 10 || minor > 2 {
		return nil, win.bad(at+4, "super partition of version %d.%d", major, minor)
	}
	size, tables := int64(le.Uint32(raw[8:])), int64(le.Uint32(raw[44:]))
	if size < 128 || size > geo.tableSize || tables > geo.tableSize-size {
		return nil, win.bad(at+8, "super partition with a head of %d and lists of %d bytes in %d", size, tables, geo.tableSize)
	}
	h := &superHead{win: win, at: at + size, head: raw[:size], tables: raw[size : size+tables]}
	if !sumMatches(h.head, 12) {
		return nil, win.bad(at+12, "table of a super partition whose checksum is wrong")
	}
	if sum := sha256.Sum256(h.tables); !bytes.Equal(sum[:], raw[48:80]) {
		return nil, win.bad(h.at, "lists of a super partition whose checksum is wrong")
	}
	return h, nil
}

// list gives the entries of the list that is described at a place of the head. A newer version
// may make entries longer.
func (h *superHead) list(at, least int) ([][]byte, error) {
	le := binary.LittleEndian
	from, count, size := int64(le.Uint32(h.head[at:])), int64(le.Uint32(h.head[at+4:])), int64(le.Uint32(h.head[at+8:]))
	room := int64(len(h.tables)) - from
	if size < int64(least) || from < 0 || room < 0 || count > room/size {
		return nil, h.win.bad(h.at, "super partition with a list of %d entries of %d bytes at %d of %d", count, size, from, len(h.tables))
	}
	out := make([][]byte, count)
	for i := range out {
		out[i] = h.tables[from+int64(i)*size:][:size]
	}
	return out, nil
}

// Attributes of a logical partition.
const (
	superSlotSuffixed = 1 << 1 // the name lacks the slot's suffix
	superDisabled     = 1 << 3
)

func (h *superHead) partition(b []byte, extents, disks [][]byte, slot int64) (superPartition, error) {
	le := binary.LittleEndian
	attributes, first, count := le.Uint32(b[36:]), int64(le.Uint32(b[40:])), int64(le.Uint32(b[44:]))
	p := superPartition{name: superName(b[:36]), off: attributes&superDisabled != 0}
	if p.name == "" {
		return p, h.win.bad(h.at, "logical partition without a name")
	}
	if attributes&superSlotSuffixed != 0 {
		p.name += [...]string{"_a", "_b"}[slot%2]
	}
	if first > int64(len(extents)) || count > int64(len(extents))-first {
		return p, h.win.bad(h.at, "logical partition %s of extents %d to %d of %d", p.name, first, first+count, len(extents))
	}
	for _, e := range extents[first : first+count] {
		sectors, kind, at, disk := le.Uint64(e), le.Uint32(e[8:]), le.Uint64(e[12:]), le.Uint32(e[20:])
		if sectors > maxSuperSectors || at > maxSuperSectors || p.size/sector+int64(sectors) > maxSuperSectors || kind > 1 {
			return p, h.win.bad(h.at, "logical partition %s with an extent of kind %d, %d sectors at %d", p.name, kind, sectors, at)
		}
		x := superExtent{from: p.size, size: int64(sectors) * sector, at: -1}
		if kind == 0 {
			x.at = int64(at) * sector
			if int64(disk) >= int64(len(disks)) {
				return p, h.win.bad(h.at, "logical partition %s on disk %d of %d", p.name, disk, len(disks))
			}
			if disk != 0 {
				p.elsewhere = superName(disks[disk][24:60])
			}
		}
		if x.size > 0 {
			p.extents = append(p.extents, x)
		}
		p.size += x.size
	}
	return p, nil
}

// superName decodes a name, without what a terminal should not get.
func superName(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}, s)
}

// window gives the logical partition as an image of its own.
func (p *superPartition) window(win *window) *window {
	extents := slices.Clone(p.extents)
	r := contentReader(func(b []byte, off int64) (int, error) {
		done := 0
		i := max(sort.Search(len(extents), func(i int) bool { return extents[i].from > off })-1, 0)
		for ; done < len(b) && i < len(extents); i++ {
			x, in := extents[i], off+int64(done)-extents[i].from
			if in < 0 || in >= x.size {
				return done, io.EOF
			}
			part := b[done:]
			part = part[:min(int64(len(part)), x.size-in)]
			if x.at < 0 {
				clear(part)
			} else if err := win.read(x.at+in, part); err != nil {
				return done, err
			}
			done += len(part)
		}
		if done < len(b) {
			return done, io.EOF
		}
		return done, nil
	})
	return &window{image: win.image + ":" + p.name, r: r, size: p.size}
}
