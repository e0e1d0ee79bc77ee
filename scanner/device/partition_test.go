package device

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// disk puts images into a disk of sectors, each at its sector.
func disk(sectors int, at map[int][]byte) []byte {
	b := make([]byte, sectors*sector)
	for s, data := range at {
		copy(b[s*sector:], data)
	}
	return b
}

// mbrTable writes an entry of a boot record's table.
func mbrTable(b []byte, i int, kind byte, start, size int) {
	e := b[446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], uint32(start))
	binary.LittleEndian.PutUint32(e[12:], uint32(size))
	b[510], b[511] = 0x55, 0xaa
}

type gptPart struct {
	name       string
	start, end int
}

// gptDisk writes a protective boot record and both copies of a GPT into a disk.
func gptDisk(b []byte, parts []gptPart) {
	le := binary.LittleEndian
	sectors := len(b) / sector
	mbrTable(b, 0, mbrProtective, 1, sectors-1)
	table := make([]byte, 128*128)
	for i, p := range parts {
		e := table[i*128:]
		e[0] = 0xaf // any kind
		le.PutUint64(e[32:], uint64(p.start))
		le.PutUint64(e[40:], uint64(p.end))
		for j, c := range utf16.Encode([]rune(p.name)) {
			le.PutUint16(e[56+2*j:], c)
		}
	}
	for _, c := range []struct{ header, table int }{{1, 2}, {sectors - 1, sectors - 33}} {
		h := make([]byte, sector)
		copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		le.PutUint64(h[24:], uint64(c.header))
		le.PutUint64(h[72:], uint64(c.table))
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(table))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		copy(b[c.header*sector:], h)
		copy(b[c.table*sector:], table)
	}
}

func labels(roots []imageRoot) string {
	var out []string
	for _, r := range roots {
		out = append(out, r.label+" "+r.kind)
	}
	return strings.Join(out, ", ")
}

func TestGPTImageGivesARootForEachSlot(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	b := disk(6000, map[int][]byte{100: images["ext4"], 2000: images["erofs-lz4"], 3000: images["squashfs-xz"]})
	gptDisk(b, []gptPart{{"boot", 40, 80}, {"system a", 100, 1999}, {"system", 2000, 2999}, {"system", 3000, 3999}, {"beyond", 1 << 30, 1<<31 - 1}})
	check := func(t *testing.T, b []byte) []imageRoot {
		t.Helper()
		roots, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := labels(roots); got != "system_a ext4, system-p3 erofs, system-p4 squashfs" {
			t.Errorf("roots %s", got)
		}
		for _, r := range roots {
			fixtureTree(t, newFS(r.t))
			if notes := strings.Join(r.notes, "\n"); !strings.Contains(notes, "partition beyond starts beyond the end") {
				t.Errorf("%s: notes %q", r.label, notes)
			}
		}
		return roots
	}
	check(t, b)
	t.Run("with its first table damaged", func(t *testing.T) {
		b := bytes.Clone(b)
		b[2*sector+40] ^= 1
		if notes := strings.Join(check(t, b)[0].notes, "\n"); !strings.Contains(notes, "its copy at the end was used") {
			t.Errorf("notes %q", notes)
		}
	})
	t.Run("with both tables damaged", func(t *testing.T) {
		b := bytes.Clone(b)
		b[2*sector+40] ^= 1
		b[len(b)-33*sector+40] ^= 1
		if _, err := openBytes(b); err == nil || !strings.Contains(err.Error(), "checksum is wrong") {
			t.Errorf("error %v", err)
		}
	})
}

func TestDamagedSlotIsANoteOfTheOthers(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	bad := bytes.Clone(images["squashfs-xz"])
	bad[28] = 9 // version
	b := disk(3000, map[int][]byte{100: images["erofs"], 1000: bad})
	gptDisk(b, []gptPart{{"a", 100, 999}, {"b", 1000, 1999}})
	roots, err := openBytes(b)
	if err != nil || len(roots) != 1 {
		t.Fatalf("roots %s, %v", labels(roots), err)
	}
	want := fmt.Sprintf("partition b: image test.img at byte %d: squashfs version 9", 1000*sector+28)
	if notes := strings.Join(roots[0].notes, "\n"); !strings.Contains(notes, want) {
		t.Errorf("notes %q, want %q", notes, want)
	}
}

func TestMBRImageWithLogicalPartitions(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	b := disk(6000, map[int][]byte{64: images["squashfs-zstd"], 1010: images["ext2"], 3010: images["erofs"]})
	mbrTable(b, 0, 0x83, 64, 500)
	mbrTable(b, 2, 5, 1000, 4000)
	mbrTable(b[1000*sector:], 0, 0x83, 10, 1900)
	mbrTable(b[1000*sector:], 1, 5, 2000, 2000)
	mbrTable(b[3000*sector:], 0, 0x83, 10, 900)
	roots, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := labels(roots); got != "p1 squashfs, p5 ext2, p6 erofs" {
		t.Errorf("roots %s", got)
	}
	mbrTable(b[3000*sector:], 1, 5, 2000, 2000) // back to itself
	roots, err = openBytes(b)
	if err != nil || !strings.Contains(strings.Join(roots[0].notes, "\n"), "loop") {
		t.Errorf("a loop: %s, %v", labels(roots), err)
	}
}

func TestSgdiskImageIsRead(t *testing.T) {
	t.Parallel()
	img := filepath.Join(t.TempDir(), "disk")
	blank(t, img, 8<<20)
	run(t, "sgdisk", "-n", "1:2048:6143", "-c", "1:rootfs", "-n", "2:8192:12287", img)
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	images := fixtures(t)
	for at, b := range map[int64][]byte{2048: images["ext4"], 8192: images["squashfs-gzip"]} {
		if _, err := f.WriteAt(b, at*sector); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	roots, err := openImg(t, img)
	if err != nil || labels(roots) != "rootfs ext4, p2 squashfs" {
		t.Errorf("roots %s, %v", labels(roots), err)
	}
}

// sparseImage folds an image: runs of one value and of nothing are left out.
func sparseImage(b []byte) []byte {
	const block = 4096
	le := binary.LittleEndian
	var body []byte
	count := 0
	chunk := func(kind uint16, blocks int, data []byte) {
		var h [12]byte
		le.PutUint16(h[:], kind)
		le.PutUint32(h[4:], uint32(blocks))
		le.PutUint32(h[8:], uint32(12+len(data)))
		body = append(append(body, h[:]...), data...)
		count++
	}
	for at := 0; at < len(b); at += block {
		part := b[at : at+block]
		switch {
		case bytes.Equal(part, make([]byte, block)) && at%8192 == 0:
			chunk(0xcac3, 1, nil)
		case bytes.Equal(part, bytes.Repeat(part[:4], block/4)):
			chunk(0xcac2, 1, part[:4])
		default:
			chunk(0xcac1, 1, part)
		}
	}
	chunk(0xcac4, 0, []byte{1, 2, 3, 4})
	h := make([]byte, 28)
	copy(h, sparseMagic)
	le.PutUint16(h[4:], 1)
	le.PutUint16(h[8:], 28)
	le.PutUint16(h[10:], 12)
	le.PutUint32(h[12:], block)
	le.PutUint32(h[16:], uint32(len(b)/block))
	le.PutUint32(h[20:], uint32(count))
	return append(h, body...)
}

func TestSparseImageIsUnfolded(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	b := disk(1024, map[int][]byte{0: images["ext4"]})
	folded := sparseImage(b)
	if len(folded) > len(b)/2 {
		t.Fatalf("not folded: %d of %d bytes", len(folded), len(b))
	}
	roots, err := openBytes(folded)
	if err != nil {
		t.Fatal(err)
	}
	fixtureTree(t, newFS(roots[0].t))
	if !isImage(folded) {
		t.Error("not told as an image")
	}
	for _, cut := range []int{10, 30, 100, len(folded) / 2} {
		if roots, err := openBytes(folded[:cut]); err == nil || !strings.Contains(err.Error(), "test.img at byte") {
			t.Errorf("cut at %d: %s, %v", cut, labels(roots), err)
		}
	}
	huge := bytes.Clone(folded)
	binary.LittleEndian.PutUint32(huge[20:], 1<<31)
	if _, err := openBytes(huge); err == nil {
		t.Error("2^31 chunks: no error")
	}
}

func FuzzPartitions(f *testing.F) {
	image := fixtures(f)["squashfs-xz"][:4096]
	gpt := disk(200, map[int][]byte{70: image})
	gptDisk(gpt, []gptPart{{"a", 70, 100}})
	mbr := disk(100, map[int][]byte{30: image})
	mbrTable(mbr, 0, 5, 10, 50)
	mbrTable(mbr, 1, 0x83, 30, 50)
	mbrTable(mbr[10*sector:], 1, 5, 20, 50)
	disks := [][]byte{gpt, mbr, sparseImage(disk(64, map[int][]byte{0: image}))}
	for i := range disks {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{0xc6, 1, 0, 0, 0xff, 16, 0, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		roots, err := openBytes(changed(disks[int(which)%len(disks)], changes))
		if (err == nil) == (len(roots) == 0) {
			t.Fatalf("%d roots, %v", len(roots), err)
		}
		if err != nil {
			namesImage(t, err)
		}
	})
}
