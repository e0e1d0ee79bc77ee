package device

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// imageHead is how much of a file's start isImage needs to know every image.
const imageHead = 68 << 10

// imageRoot is a tree found in an image.
type imageRoot struct {
	label string // of the partition: its name, or "p2", or "" for an image without partitions
	kind  string // squashfs, ext2, ext3, ext4, erofs, overlay
	t     tree
	notes []string

	android bool  // it is Android, put together of images
	system  bool  // the system is among them
	parts   []int // which roots are in it
}

// isImage tells from a file's first bytes whether it is an image that openImage has an
// answer for, be it only that Picket cannot read it.
func isImage(head []byte) bool {
	return isSparse(head) || knownFilesystem(head) != "" || isSuper(head) || foreign(head) != "" || hasPartitions(head)
}

// openImage finds the roots of a raw image: of its one filesystem, or of those in its
// partitions. A filesystem that cannot be read is an error if it is the only one, and a note
// of the others if not. The notes are given with each root.
func openImage(name string, r io.ReaderAt, size int64) ([]imageRoot, error) {
	win := &window{image: name, r: r, size: size}
	head, err := headOf(win)
	if err != nil {
		return nil, err
	}
	var notes []string
	if isSparse(head) {
		if win, err = openSparse(win); err != nil {
			return nil, err
		}
		if head, err = headOf(win); err != nil {
			return nil, err
		}
		notes = append(notes, "an Android sparse image")
	}
	table := partitions
	switch {
	case knownFilesystem(head) != "":
		return openWhole(win, head, notes)
	case isSuper(head):
		table = openSuper
	case !hasPartitions(head):
		return openWhole(win, head, notes)
	}
	parts, more, err := table(win)
	if err != nil {
		return nil, err
	}
	return openPartitions(win, parts, append(notes, more...))
}

// openWhole opens an image that one filesystem fills.
func openWhole(win *window, head []byte, notes []string) ([]imageRoot, error) {
	root, err := openFilesystem(win, head, 1)
	if err != nil {
		return nil, err
	}
	roots := []imageRoot{root}
	if up, ok, note := behindSquashfs(win, root, 2); ok {
		roots = append(roots, up)
	} else if note != "" {
		notes = append(notes, note)
	}
	return addNotes(overlaid(roots), notes), nil
}

// openPartitions opens what can be read in each partition. Labels tell partitions of the
// same name apart by their number.
func openPartitions(win *window, parts []partition, notes []string) ([]imageRoot, error) {
	var roots []imageRoot
	var failed []error
	super := false
	for i := 0; i < len(parts); i++ { // a super partition adds to them
		p, dev := parts[i], uint64(2*i+2)
		if p.start < 0 || p.start >= win.size {
			notes = append(notes, fmt.Sprintf("partition %s starts beyond the end of the image", p.label))
			continue
		}
		w := p.win
		if w == nil {
			w = win.sub(p.start, p.size)
		}
		head, err := headOf(w)
		if err != nil {
			failed = append(failed, fmt.Errorf("partition %s: %w", p.label, err))
			continue
		}
		if p.win == nil && !super && isSuper(head) && knownFilesystem(head) == "" {
			logical, more, err := openSuper(w)
			if err != nil {
				failed = append(failed, fmt.Errorf("partition %s: %w", p.label, err))
			}
			super, parts, notes = true, append(parts, logical...), append(notes, more...)
			continue
		}
		root, err := openFilesystem(w, head, dev)
		if errors.Is(err, errNoFilesystem) {
			continue // boot loaders, raw data, empty space
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("partition %s: %w", p.label, err))
			continue
		}
		root.label = p.label
		roots = append(roots, root)
		if up, ok, note := behindSquashfs(w, root, dev+1); ok {
			up.label = p.label + "-data"
			roots = append(roots, up)
		} else if note != "" {
			notes = append(notes, fmt.Sprintf("partition %s: %s", p.label, note))
		}
	}
	if len(roots) == 0 && len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("image %s: %w in any of %d partitions", win.image, errNoFilesystem, len(parts))
	}
	for _, err := range failed {
		notes = append(notes, err.Error())
	}
	return addNotes(overlaid(roots), notes), nil
}

func addNotes(roots []imageRoot, notes []string) []imageRoot {
	for i := range roots {
		roots[i].notes = append(roots[i].notes, notes...)
	}
	return roots
}

func headOf(win *window) ([]byte, error) {
	head := make([]byte, min(imageHead, win.size))
	return head, win.read(0, head)
}

var errNoFilesystem = errors.New("no filesystem that Picket knows")

// openFilesystem opens the filesystem that starts with head.
func openFilesystem(win *window, head []byte, dev uint64) (imageRoot, error) {
	root := imageRoot{kind: knownFilesystem(head)}
	var err error
	switch root.kind {
	case "squashfs":
		var s *squashfs
		if s, err = openSquashfs(win); err == nil {
			root.t, err = newImageTree(s, win.image, dev)
		}
	case "ext4":
		var e *ext4
		if e, err = openExt4(win); err == nil {
			root.kind, root.notes = e.kind, e.notes
			root.t, err = newImageTree(e, win.image, dev)
		}
	case "erofs":
		var e *erofs
		if e, err = openErofs(win); err == nil {
			root.t, err = newImageTree(e, win.image, dev)
		}
	default:
		if what := foreign(head); what != "" {
			return root, win.bad(0, "this is %s, which Picket cannot read", what)
		}
		return root, win.bad(0, "%w", errNoFilesystem)
	}
	if errors.Is(err, fs.ErrNotExist) { // the root inode is no directory
		err = win.bad(0, "the %s has no root directory", root.kind)
	}
	return root, err
}

// knownFilesystem names the filesystem that starts with head, if Picket reads it.
func knownFilesystem(head []byte) string {
	switch {
	case isSquashfs(head):
		return "squashfs"
	case len(head) >= 2048 && binary.LittleEndian.Uint32(head[erofsSuperAt:]) == erofsMagic:
		return "erofs"
	case len(head) >= 2048 && binary.LittleEndian.Uint16(head[ext4SuperAt+56:]) == ext4Magic:
		return "ext4"
	}
	return ""
}

// foreign names what starts with head, if it is something that Picket cannot read.
func foreign(head []byte) string {
	for _, f := range [...]struct {
		at          int
		magic, name string
	}{
		{1024, "\x10\x20\xf5\xf2", "an f2fs image"},
		{0x10040, "_BHRfS_M", "a btrfs image"},
		{0, "XFSB", "an XFS image"},
		{0, "UBI#", "a UBI image"},
		{0, "\x31\x18\x10\x06", "a UBIFS image"},
		{0, "\x85\x19\x01\x20", "a JFFS2 image"}, {0, "\x85\x19\x02\xe0", "a JFFS2 image"}, {0, "\x85\x19\x03\x20", "a JFFS2 image"},
		{0, "\x19\x85\x20\x01", "a JFFS2 image"}, {0, "\x19\x85\xe0\x02", "a JFFS2 image"}, {0, "\x19\x85\x20\x03", "a JFFS2 image"},
		{0, "\x45\x3d\xcd\x28", "a cramfs image"},
		{0, "-rom1fs-", "a romfs image"},
		{0, "LUKS\xba\xbe", "an encrypted (LUKS) image"},
		{512, "LABELONE", "an LVM volume"},
		{0x8001, "CD001", "an ISO 9660 image"},
		{4086, "SWAPSPACE2", "swap space"},
		{3, "NTFS    ", "an NTFS image"},
		{3, "EXFAT   ", "an exFAT image"},
		{54, "FAT", "a FAT image"}, {82, "FAT32", "a FAT image"},
		{0, "QFI\xfb", "a qcow2 disk (qemu-img convert -O raw makes a raw one)"},
		{0, "KDMV", "a VMDK disk (qemu-img convert -O raw makes a raw one)"},
		{0, "vhdxfile", "a VHDX disk (qemu-img convert -O raw makes a raw one)"},
		{0, "ANDROID!", "an Android boot image"},
	} {
		if len(head) > f.at && bytes.HasPrefix(head[f.at:], []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}
