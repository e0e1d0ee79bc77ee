package device

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode/utf16"
)

const (
	sector         = 512
	maxPartitions  = 128 // read of a table
	maxGPTEntry    = 4096
	mbrProtective  = 0xee // the disk has a GPT
	gptHeaderBytes = 92
)

// partition is a part of a disk image.
type partition struct {
	number      int
	label       string
	start, size int64   // bytes
	win         *window // of a logical partition, which lies in pieces; nil for others
}

// hasPartitions tells whether a disk starts with a partition table: the boot signature, and
// four entries that can be ones. A FAT filesystem has the signature too.
func hasPartitions(head []byte) bool {
	if len(head) < sector || head[510] != 0x55 || head[511] != 0xaa {
		return false
	}
	used := 0
	for i := 446; i < 510; i += 16 {
		e := head[i : i+16]
		if e[0]&0x7f != 0 {
			return false
		}
		if e[4] != 0 && binary.LittleEndian.Uint32(e[8:]) != 0 {
			used++
		}
	}
	return used > 0
}

// partitions reads the table of a disk.
func partitions(win *window) (parts []partition, notes []string, err error) {
	var mbr [sector]byte
	if err := win.read(0, mbr[:]); err != nil {
		return nil, nil, fmt.Errorf("partition table: %w", err)
	}
	for i := 446; i < 510; i += 16 {
		if mbr[i+4] == mbrProtective {
			parts, notes, err = gptPartitions(win)
			labelPartitions(parts)
			return parts, notes, err
		}
	}
	for i := range 4 {
		e := mbr[446+16*i:]
		p := mbrEntry(e, i+1, 0)
		switch {
		case e[4] == 0 || p.size == 0:
		case isExtended(e[4]):
			more, err := logicalPartitions(win, p)
			if err != nil {
				notes = append(notes, err.Error())
			}
			parts = append(parts, more...)
		default:
			parts = append(parts, p)
		}
	}
	labelPartitions(parts)
	return parts, notes, nil
}

func isExtended(kind byte) bool { return kind == 5 || kind == 0xf || kind == 0x85 }

// mbrEntry decodes an entry. Its start counts from base.
func mbrEntry(e []byte, number int, base int64) partition {
	le := binary.LittleEndian
	return partition{number: number, start: base + int64(le.Uint32(e[8:]))*sector, size: int64(le.Uint32(e[12:])) * sector}
}

// logicalPartitions follows the chain of tables in an extended partition: each has one
// partition and the place of the next table, counted from the extended partition's start.
func logicalPartitions(win *window, extended partition) ([]partition, error) {
	var parts []partition
	at := extended.start
	for number := 5; number < maxPartitions; number++ {
		var b [sector]byte
		if err := win.read(at, b[:]); err != nil {
			return parts, fmt.Errorf("logical partition %d: %w", number, err)
		}
		if b[510] != 0x55 || b[511] != 0xaa {
			return parts, win.bad(at, "logical partition %d has no table", number)
		}
		if p := mbrEntry(b[446:], number, at); b[450] != 0 && p.size > 0 {
			parts = append(parts, p)
		}
		next := mbrEntry(b[462:], 0, extended.start).start
		if !isExtended(b[466]) || next == extended.start {
			return parts, nil
		}
		if next <= at {
			return parts, win.bad(at, "logical partitions in a loop")
		}
		at = next
	}
	return parts, win.bad(at, "more than %d partitions", maxPartitions)
}

// gptPartitions reads the GUID partition table (UEFI specification, chapter 5), or its copy
// at the end of the disk if the first is damaged.
func gptPartitions(win *window) ([]partition, []string, error) {
	var firstErr error
	for _, size := range []int64{sector, 4096} {
		parts, err := gptAt(win, size, size)
		if err == nil {
			return parts, nil, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	for _, size := range []int64{sector, 4096} {
		if parts, err := gptAt(win, win.size-size, size); err == nil {
			return parts, []string{"the partition table is damaged, its copy at the end was used: " + firstErr.Error()}, nil
		}
	}
	return nil, nil, firstErr
}

func gptAt(win *window, at, sectorSize int64) ([]partition, error) {
	var h [gptHeaderBytes]byte
	if err := win.read(at, h[:]); err != nil {
		return nil, fmt.Errorf("GPT: %w", err)
	}
	le := binary.LittleEndian
	if !bytes.HasPrefix(h[:], []byte("EFI PART")) {
		return nil, win.bad(at, "no GPT where the MBR says there is one")
	}
	sum := le.Uint32(h[16:])
	clear(h[16:20])
	if le.Uint32(h[12:]) != gptHeaderBytes || crc32.ChecksumIEEE(h[:]) != sum {
		return nil, win.bad(at, "GPT header whose checksum is wrong")
	}
	count, entrySize := int64(le.Uint32(h[80:])), int64(le.Uint32(h[84:]))
	if entrySize < 128 || entrySize > maxGPTEntry || count > 4*maxPartitions {
		return nil, win.bad(at, "GPT of %d entries of %d bytes", count, entrySize)
	}
	table, first := make([]byte, count*entrySize), int64(le.Uint64(h[72:]))
	if first < 0 || first > win.size/sectorSize {
		return nil, win.bad(at, "GPT whose entries start in sector %d", uint64(first))
	}
	if err := win.read(first*sectorSize, table); err != nil {
		return nil, fmt.Errorf("GPT: %w", err)
	}
	if crc32.ChecksumIEEE(table) != le.Uint32(h[88:]) {
		return nil, win.bad(first*sectorSize, "GPT entries whose checksum is wrong")
	}
	var parts []partition
	for i := range count {
		e := table[i*entrySize:]
		from, to := int64(le.Uint64(e[32:])), int64(le.Uint64(e[40:]))
		if bytes.Equal(e[:16], make([]byte, 16)) {
			continue
		}
		if from < 0 || to < from || to > 1<<40 {
			return nil, win.bad(first*sectorSize+i*entrySize, "partition from sector %d to %d", uint64(from), uint64(to))
		}
		parts = append(parts, partition{
			number: int(i) + 1, label: gptName(e[56:128]), start: from * sectorSize, size: (to - from + 1) * sectorSize,
		})
	}
	return parts, nil
}

// gptName decodes a partition's name, without what a terminal should not get.
func gptName(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}, string(utf16.Decode(u)))
}

// labelPartitions gives a label to those without a name, and makes labels unique.
func labelPartitions(parts []partition) {
	count := map[string]int{"": 2}
	for _, p := range parts {
		count[p.label]++
	}
	for i, p := range parts {
		if count[p.label] > 1 {
			parts[i].label = strings.TrimPrefix(fmt.Sprintf("%s-p%d", p.label, p.number), "-")
		}
	}
}
