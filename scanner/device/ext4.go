package device

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"picket/scanner"
)

// The reader of ext2, ext3 and ext4 follows Documentation/filesystems/ext4 of the Linux
// kernel.

const (
	ext4SuperAt   = 1024
	ext4Magic     = 0xef53
	ext4RootInode = 2
	ext4CacheSize = 4 << 20
	maxExt4Dir    = 512 << 20 // bytes of a directory
)

// Features that change how a filesystem is read (s_feature_incompat).
const (
	ext4FileType   = 0x2
	ext4Recover    = 0x4
	ext4JournalDev = 0x8
	ext4MetaBG     = 0x10
	ext464Bit      = 0x80
	ext4LargeDir   = 0x4000
	// file types, recovery, meta_bg, extents, 64bit, multi-mount, flex_bg, attribute inodes,
	// dirdata, checksum seed, large_dir, inline data, encryption, case folding
	ext4Known = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
)

// Inode flags.
const (
	ext4Immutable   = 0x10
	ext4Append      = 0x20
	ext4Encrypted   = 0x800
	ext4Extents     = 0x80000
	ext4InlineData  = 0x10000000
	ext4SparseSuper = 0x1 // s_feature_ro_compat
)

// ext4 is a volume of ext2, ext3 or ext4.
type ext4 struct {
	win            *window
	kind           string
	blockSize      int64
	blocks         int64
	inodes         uint32
	inodesPerGroup uint32
	blocksPerGroup int64
	inodeSize      int64
	descSize       int64
	firstBlock     int64
	firstMetaBG    int64
	incompat       uint32
	roCompat       uint32
	notes          []string
	pages          *blockCache[[]byte]
}

// ext4Inode is a decoded inode.
type ext4Inode struct {
	id       int64
	at       int64 // bytes from the start of the volume
	raw      []byte
	size     int64
	flags    uint32
	aclBlock int64
	extra    int64 // bytes of the inode after the first 128 that are in use
}

// openExt4 reads the superblock.
func openExt4(win *window) (*ext4, error) {
	b := make([]byte, 1024)
	if err := win.read(ext4SuperAt, b); err != nil {
		return nil, fmt.Errorf("ext4 superblock: %w", err)
	}
	le := binary.LittleEndian
	e := &ext4{
		win: win, inodes: le.Uint32(b), blocks: int64(le.Uint32(b[4:])), firstBlock: int64(le.Uint32(b[20:])),
		blocksPerGroup: int64(le.Uint32(b[32:])), inodesPerGroup: le.Uint32(b[40:]), inodeSize: 128, descSize: 32,
		firstMetaBG: int64(le.Uint32(b[0x104:])), pages: newBlockCache[[]byte](ext4CacheSize),
	}
	if le.Uint32(b[76:]) >= 1 { // dynamic revision
		e.inodeSize, e.incompat, e.roCompat = int64(le.Uint16(b[88:])), le.Uint32(b[96:]), le.Uint32(b[100:])
	}
	e.kind = ext4Kind(le.Uint32(b[92:]), e.incompat)
	if e.incompat&ext464Bit != 0 {
		e.blocks |= int64(le.Uint32(b[0x150:])) << 32
		e.descSize = max(32, int64(le.Uint16(b[0xfe:])))
	}
	shift := le.Uint32(b[24:])
	switch {
	case e.incompat&ext4JournalDev != 0:
		return nil, win.bad(ext4SuperAt+96, "an ext4 journal, which holds no files")
	case e.incompat&^ext4Known != 0:
		return nil, win.bad(ext4SuperAt+96, "ext4 with features %#x, which Picket cannot read", e.incompat&^ext4Known)
	case shift > 6:
		return nil, win.bad(ext4SuperAt+24, "ext4 block size of 1024 << %d", shift)
	case e.inodeSize < 128 || e.inodeSize > 1024<<shift || e.inodeSize&(e.inodeSize-1) != 0:
		return nil, win.bad(ext4SuperAt+88, "ext4 inodes of %d bytes", e.inodeSize)
	case e.descSize > 1024 || e.descSize&(e.descSize-1) != 0:
		return nil, win.bad(ext4SuperAt+0xfe, "ext4 group descriptors of %d bytes", e.descSize)
	case e.inodesPerGroup == 0 || e.blocksPerGroup == 0:
		return nil, win.bad(ext4SuperAt+32, "ext4 groups of %d inodes and %d blocks", e.inodesPerGroup, e.blocksPerGroup)
	}
	e.blockSize = 1024 << shift
	if e.blocks <= 0 || e.blocks > 1<<48 || e.blocks*e.blockSize > win.size {
		return nil, win.bad(ext4SuperAt+4, "ext4 of %d blocks of %d bytes in %d bytes of image: cut off or damaged", e.blocks, e.blockSize, win.size)
	}
	if e.incompat&ext4Recover != 0 {
		e.notes = append(e.notes, "was not unmounted: the last changes are in its journal and are not seen")
	}
	return e, nil
}

// ext4Kind names the filesystem as blkid would: extents and the like make it ext4, a
// journal ext3.
func ext4Kind(compat, incompat uint32) string {
	switch {
	case incompat&^(ext4FileType|ext4Recover|ext4JournalDev|ext4MetaBG) != 0:
		return "ext4"
	case compat&0x4 != 0:
		return "ext3"
	}
	return "ext2"
}

func (e *ext4) root() int64 { return ext4RootInode }

// rdev is in the first two block numbers: the old short form, or 0 and the long one.
func (e *ext4) rdev(n ext4Inode) uint32 {
	return binary.LittleEndian.Uint32(n.raw[40:]) | binary.LittleEndian.Uint32(n.raw[44:])
}

// read reads metadata through a cache of pages.
func (e *ext4) read(off int64, b []byte) error { return readPaged(e.win, e.pages, off, b) }

// block reads a block of metadata.
func (e *ext4) block(n int64) ([]byte, error) {
	if n <= 0 || n >= e.blocks {
		return nil, fmt.Errorf("image %s: block %d of %d", e.win.image, n, e.blocks)
	}
	b := make([]byte, e.blockSize)
	return b, e.read(n*e.blockSize, b)
}

// descriptor gives where a group's descriptor lies: all in a row after the superblock, or,
// with meta_bg, each run of groups' at its own start.
func (e *ext4) descriptor(group int64) int64 {
	perBlock := e.blockSize / e.descSize
	meta := group / perBlock
	if e.incompat&ext4MetaBG == 0 || meta < e.firstMetaBG {
		return (ext4SuperAt/e.blockSize+1)*e.blockSize + group*e.descSize
	}
	first := meta * perBlock
	at := e.firstBlock + first*e.blocksPerGroup
	if first == 0 {
		at = ext4SuperAt / e.blockSize
	}
	if e.hasSuper(first) {
		at++
	}
	return at*e.blockSize + group%perBlock*e.descSize
}

// hasSuper tells whether a group starts with a copy of the superblock.
func (e *ext4) hasSuper(group int64) bool {
	if e.roCompat&ext4SparseSuper == 0 || group <= 1 {
		return true
	}
	for _, p := range []int64{3, 5, 7} {
		n := p
		for n < group {
			n *= p
		}
		if n == group {
			return true
		}
	}
	return false
}

func (e *ext4) inode(id int64) (ext4Inode, scanner.Info, error) {
	n, err := e.rawInode(id)
	if err != nil {
		return n, scanner.Info{}, fmt.Errorf("inode %d: %w", id, err)
	}
	le, b := binary.LittleEndian, n.raw
	mode := uint32(le.Uint16(b))
	info := scanner.Info{
		Mode: scanner.ModeOf(mode), Size: n.size, Ino: uint64(id), Nlink: uint64(le.Uint16(b[26:])),
		UID:        int(le.Uint16(b[2:])) | int(le.Uint16(b[0x78:]))<<16,
		GID:        int(le.Uint16(b[24:])) | int(le.Uint16(b[0x7a:]))<<16,
		ModTime:    n.time(0x10, 0x88),
		ChangeTime: n.time(0x0c, 0x84),
	}
	if mode == 0 || info.Nlink == 0 {
		return n, info, e.win.bad(n.at, "inode %d is in use by no file", id)
	}
	if n.size < 0 {
		return n, info, e.win.bad(n.at, "inode %d of %d bytes", id, uint64(n.size))
	}
	return n, info, nil
}

func (e *ext4) rawInode(id int64) (ext4Inode, error) {
	n := ext4Inode{id: id}
	if id < 1 || id > int64(e.inodes) {
		return n, fmt.Errorf("image %s: there are only %d inodes", e.win.image, e.inodes)
	}
	group, index := (id-1)/int64(e.inodesPerGroup), (id-1)%int64(e.inodesPerGroup)
	var desc [64]byte
	if err := e.read(e.descriptor(group), desc[:min(e.descSize, 64)]); err != nil {
		return n, fmt.Errorf("group descriptor: %w", err)
	}
	le := binary.LittleEndian
	table := int64(le.Uint32(desc[8:]))
	if e.descSize >= 64 {
		table |= int64(le.Uint32(desc[0x28:])) << 32
	}
	if table <= 0 || table >= e.blocks {
		return n, e.win.bad(e.descriptor(group), "inode table of group %d at block %d of %d", group, table, e.blocks)
	}
	n.at = table*e.blockSize + index*e.inodeSize
	n.raw = make([]byte, e.inodeSize)
	if err := e.read(n.at, n.raw); err != nil {
		return n, err
	}
	b := n.raw
	n.flags, n.size = le.Uint32(b[32:]), int64(le.Uint32(b[4:]))
	if t := le.Uint16(b) & 0o170000; t == 0o100000 || t == 0o040000 && e.incompat&ext4LargeDir != 0 {
		n.size |= int64(le.Uint32(b[0x6c:])) << 32
	}
	n.aclBlock = int64(le.Uint32(b[0x68:])) | int64(le.Uint16(b[0x76:]))<<32
	if e.inodeSize > 128 {
		n.extra = int64(le.Uint16(b[0x80:]))
		if n.extra > e.inodeSize-128 || n.extra%4 != 0 {
			return n, e.win.bad(n.at+0x80, "inode with %d extra bytes", n.extra)
		}
	}
	return n, nil
}

// time decodes seconds at one place of the inode and, where the inode is long enough, two
// more bits of them and the nanoseconds at another.
func (n *ext4Inode) time(at, extraAt int64) time.Time {
	le := binary.LittleEndian
	sec, nsec := int64(int32(le.Uint32(n.raw[at:]))), int64(0)
	if 128+n.extra >= extraAt+4 {
		extra := le.Uint32(n.raw[extraAt:])
		sec += int64(extra&3) << 32
		nsec = min(int64(extra>>2), 999_999_999)
	}
	return time.Unix(sec, nsec)
}

func (e *ext4) list(n ext4Inode, add func(name []byte, id int64) error) error {
	switch {
	case n.flags&ext4Encrypted != 0:
		return e.win.bad(n.at, "directory inode %d is encrypted", n.id)
	case n.flags&ext4InlineData != 0:
		return e.listInline(n, add)
	case n.size > maxExt4Dir:
		return e.win.bad(n.at, "directory inode %d of %d bytes", n.id, n.size)
	}
	b := make([]byte, e.blockSize)
	for off := int64(0); off < n.size; off += e.blockSize {
		run, err := e.run(&n, off/e.blockSize)
		if err != nil {
			return err
		}
		if run.at == 0 {
			return e.win.bad(n.at, "directory inode %d has a hole", n.id)
		}
		if err := e.read(run.at*e.blockSize, b); err != nil {
			return err
		}
		if err := e.listBlock(run.at*e.blockSize, b, add); err != nil {
			return err
		}
	}
	return nil
}

// listInline reads a directory that fits into its inode: the parent's number, entries in
// what follows it, and more in the attribute system.data.
func (e *ext4) listInline(n ext4Inode, add func(name []byte, id int64) error) error {
	if err := e.listBlock(n.at+44, n.raw[44:100], add); err != nil {
		return err
	}
	more, err := e.xattr(n, "system.data")
	if err != nil || len(more) == 0 {
		return err
	}
	return e.listBlock(n.at, more, add)
}

// listBlock reads the entries of one block. The blocks of a hash tree's inner nodes look
// like one unused entry, so that nothing need be known of the tree.
func (e *ext4) listBlock(at int64, b []byte, add func(name []byte, id int64) error) error {
	le := binary.LittleEndian
	for off := 0; off < len(b); {
		if len(b)-off < 8 {
			return e.win.bad(at+int64(off), "directory entry of %d bytes", len(b)-off)
		}
		id, size, nameLen := le.Uint32(b[off:]), int(le.Uint16(b[off+4:])), int(b[off+6])
		if e.incompat&ext4FileType == 0 {
			nameLen = int(le.Uint16(b[off+6:]))
		}
		if len(b) == 64<<10 && (size == 0xffff || size == 0) {
			size = len(b) // of blocks that long the size does not fit
		}
		if size < 8 || size%4 != 0 || size > len(b)-off || nameLen > size-8 && id != 0 {
			return e.win.bad(at+int64(off), "directory entry of %d bytes with a name of %d", size, nameLen)
		}
		if id != 0 && nameLen > 0 {
			name := b[off+8 : off+8+nameLen]
			if s := string(name); s != "." && s != ".." {
				if err := add(name, int64(id)); err != nil {
					return e.win.bad(at+int64(off), "%w", err)
				}
			}
		}
		off += size
	}
	return nil
}

func (e *ext4) link(n ext4Inode) (string, error) {
	if n.flags&ext4Encrypted != 0 {
		return "", e.win.bad(n.at, "link inode %d is encrypted", n.id)
	}
	if n.size < 60 && n.flags&(ext4Extents|ext4InlineData) == 0 {
		return string(n.raw[40 : 40+n.size]), nil
	}
	r, err := e.content(n)
	if err != nil {
		return "", err
	}
	b := make([]byte, n.size) // the caller has bounded it
	if _, err := r.ReadAt(b, 0); err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\x00"), nil
}
