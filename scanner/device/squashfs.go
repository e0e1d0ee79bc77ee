package device

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"picket/scanner"
)

// The squashfs reader follows Documentation/filesystems/squashfs.rst of the Linux kernel,
// version 4.0, little-endian. Older versions are refused by name.

const (
	squashMagic     = 0x73717368
	squashUsedAt    = 40      // in the superblock: bytes in use
	squashMetaSize  = 8 << 10 // unpacked bytes of a metadata block
	maxSquashBlock  = 1 << 20 // unpacked bytes of a data block, the format's own limit
	maxSquashBlocks = 1 << 20 // data blocks of one file
	maxXattrCount   = 1 << 10 // attributes of one file; Linux lists 64 KiB of names at most
	noIndex         = 0xffffffff
	squashMetaCache = 4 << 20
	squashDataCache = 8 << 20
	noTable         = ^uint64(0)
)

// squashfs is a volume. An inode's number is its place in the inode table: the byte where
// its metadata block starts << 16 | the offset in the unpacked block.
type squashfs struct {
	win       *window
	unpack    blockUnpacker
	blockSize int64
	rootRef   int64
	ids       uint32
	fragments uint32

	inodeTable, dirTable, idTable, fragTable, xattrTable int64 // bytes; xattrTable is -1 without

	meta *blockCache[metaBlock]
	data *blockCache[[]byte]
}

type metaBlock struct {
	data []byte
	next int64 // where the next block starts
}

// squashInode is an inode with the fields of all types.
type squashInode struct {
	at     metaCursor // after the fixed part: a file's block list, a link's text
	xattrs uint32

	dirBlock  int64 // directories: start and length of the listing
	dirOffset int
	dirSize   int64

	size      int64 // files
	start     int64
	fragment  uint32
	fragStart uint32
	linkSize  uint32
	dev       uint32
}

// openSquashfs reads the superblock.
func openSquashfs(win *window) (*squashfs, error) {
	var b [96]byte
	if err := win.read(0, b[:]); err != nil {
		return nil, fmt.Errorf("squashfs superblock: %w", err)
	}
	le := binary.LittleEndian
	if major := le.Uint16(b[28:]); major != 4 {
		return nil, win.bad(28, "squashfs version %d, which Picket cannot read (4 is the one since Linux 2.6.29)", major)
	}
	unpack, err := newUnpacker(le.Uint16(b[20:]))
	if err != nil {
		return nil, win.bad(20, "squashfs with %w", err)
	}
	s := &squashfs{
		win: win, unpack: unpack,
		blockSize: int64(le.Uint32(b[12:])), fragments: le.Uint32(b[16:]), ids: uint32(le.Uint16(b[26:])),
		rootRef: int64(le.Uint64(b[32:])), idTable: int64(le.Uint64(b[48:])), xattrTable: -1,
		inodeTable: int64(le.Uint64(b[64:])), dirTable: int64(le.Uint64(b[72:])), fragTable: int64(le.Uint64(b[80:])),
		meta: newBlockCache[metaBlock](squashMetaCache), data: newBlockCache[[]byte](squashDataCache),
	}
	if s.blockSize < 4096 || s.blockSize > maxSquashBlock || s.blockSize&(s.blockSize-1) != 0 {
		return nil, win.bad(12, "squashfs block size of %d", s.blockSize)
	}
	if used := int64(le.Uint64(b[squashUsedAt:])); used < 96 || used > win.size {
		return nil, win.bad(squashUsedAt, "squashfs of %d bytes in %d bytes of image: cut off or damaged", used, win.size)
	}
	if t := le.Uint64(b[56:]); t != noTable {
		s.xattrTable = int64(t)
	}
	return s, nil
}

func (s *squashfs) root() int64 { return s.rootRef }

func (s *squashfs) rdev(n squashInode) uint32 { return n.dev }

// block gives the metadata block at a byte of the image.
func (s *squashfs) block(at int64) (metaBlock, error) {
	if b, ok := s.meta.get(at); ok {
		return b, nil
	}
	var head [2]byte
	if err := s.win.read(at, head[:]); err != nil {
		return metaBlock{}, fmt.Errorf("metadata block: %w", err)
	}
	size := int64(binary.LittleEndian.Uint16(head[:]))
	plain := size&0x8000 != 0
	size &^= 0x8000
	if size == 0 || size > squashMetaSize {
		return metaBlock{}, s.win.bad(at, "metadata block of %d bytes", size)
	}
	raw := make([]byte, size)
	if err := s.win.read(at+2, raw); err != nil {
		return metaBlock{}, fmt.Errorf("metadata block: %w", err)
	}
	b := metaBlock{data: raw, next: at + 2 + size}
	if !plain {
		out := make([]byte, squashMetaSize)
		n, err := s.unpack(out, raw)
		if err != nil {
			return metaBlock{}, s.win.bad(at, "metadata block: %w", err)
		}
		b.data = out[:n:n]
	}
	if len(b.data) == 0 {
		return metaBlock{}, s.win.bad(at, "empty metadata block")
	}
	s.meta.put(at, b, squashMetaSize)
	return b, nil
}

// metaCursor reads on through metadata blocks.
type metaCursor struct {
	s     *squashfs
	block int64
	off   int
}

func (c *metaCursor) read(b []byte) error {
	for len(b) > 0 {
		m, err := c.s.block(c.block)
		if err != nil {
			return err
		}
		if c.off > len(m.data) {
			return c.s.win.bad(c.block, "metadata wanted at %d of a block of %d bytes", c.off, len(m.data))
		}
		n := copy(b, m.data[c.off:])
		b = b[n:]
		c.off += n
		if c.off == len(m.data) {
			c.block, c.off = m.next, 0
		}
	}
	return nil
}

// cursor goes to a place in one of the two-level tables (inodes, directories, attributes).
func (s *squashfs) cursor(table, ref int64) metaCursor {
	return metaCursor{s: s, block: table + ref>>16, off: int(ref & 0xffff)}
}

// indexed reads entry i, of size bytes, of a table whose metadata blocks are found through
// a list of their places (ids, fragments, attributes).
func (s *squashfs) indexed(table int64, i uint32, b []byte) error {
	at := int64(i) * int64(len(b))
	var pos [8]byte
	if err := s.win.read(table+at/squashMetaSize*8, pos[:]); err != nil {
		return err
	}
	c := metaCursor{s: s, block: int64(binary.LittleEndian.Uint64(pos[:])), off: int(at % squashMetaSize)}
	return c.read(b)
}

func (s *squashfs) id(i uint16) (int, error) {
	if uint32(i) >= s.ids {
		return 0, s.win.bad(s.idTable, "owner %d of %d", i, s.ids)
	}
	var b [4]byte
	if err := s.indexed(s.idTable, uint32(i), b[:]); err != nil {
		return 0, fmt.Errorf("owner table: %w", err)
	}
	return int(binary.LittleEndian.Uint32(b[:])), nil
}

// squashTypes are the file types of inode types 1 to 7; 8 to 14 are their long forms.
var squashTypes = [...]uint32{1: 0o040000, 0o100000, 0o120000, 0o060000, 0o020000, 0o010000, 0o140000}

// squashSizes are the bytes of the inode types' fixed parts after the common 16.
var squashSizes = [...]int{1: 16, 16, 8, 8, 8, 4, 4, 24, 40, 8, 12, 12, 8, 8}

func (s *squashfs) inode(ref int64) (squashInode, scanner.Info, error) {
	n := squashInode{at: s.cursor(s.inodeTable, ref), xattrs: noIndex, fragment: noIndex}
	fail := func(err error) (squashInode, scanner.Info, error) {
		return n, scanner.Info{}, fmt.Errorf("inode at %#x: %w", ref, err)
	}
	var buf [16 + 40]byte
	if err := n.at.read(buf[:16]); err != nil {
		return fail(err)
	}
	le := binary.LittleEndian
	kind := le.Uint16(buf[:])
	if kind == 0 || int(kind) >= len(squashSizes) {
		return fail(s.win.bad(s.inodeTable+ref>>16, "inode of type %d", kind))
	}
	b := buf[16 : 16+squashSizes[kind]]
	if err := n.at.read(b); err != nil {
		return fail(err)
	}
	info := scanner.Info{
		Mode:    scanner.ModeOf(uint32(le.Uint16(buf[2:]))&0o7777 | squashTypes[(kind-1)%7+1]),
		ModTime: time.Unix(int64(le.Uint32(buf[8:])), 0), Ino: uint64(le.Uint32(buf[12:])), Nlink: 1,
	}
	switch kind {
	case 1:
		n.dirBlock, n.dirSize, n.dirOffset = int64(le.Uint32(b)), int64(le.Uint16(b[8:])), int(le.Uint16(b[10:]))
		info.Nlink, info.Size = uint64(le.Uint32(b[4:])), n.dirSize
	case 8:
		n.dirBlock, n.dirSize, n.dirOffset = int64(le.Uint32(b[8:])), int64(le.Uint32(b[4:])), int(le.Uint16(b[18:]))
		info.Nlink, info.Size, n.xattrs = uint64(le.Uint32(b)), n.dirSize, le.Uint32(b[20:])
	case 2:
		n.start, n.fragment, n.fragStart, n.size = int64(le.Uint32(b)), le.Uint32(b[4:]), le.Uint32(b[8:]), int64(le.Uint32(b[12:]))
		info.Size = n.size
	case 9:
		n.start, n.size, n.fragment, n.fragStart = int64(le.Uint64(b)), int64(le.Uint64(b[8:])), le.Uint32(b[28:]), le.Uint32(b[32:])
		info.Nlink, info.Size, n.xattrs = uint64(le.Uint32(b[24:])), n.size, le.Uint32(b[36:])
		if n.size < 0 {
			return fail(s.win.bad(s.inodeTable+ref>>16, "file of %d bytes", uint64(n.size)))
		}
	case 3, 10:
		n.linkSize = le.Uint32(b[4:])
		info.Nlink, info.Size = uint64(le.Uint32(b)), int64(n.linkSize)
	default:
		info.Nlink = uint64(le.Uint32(b))
		if len(b) >= 8 && (kind-1)%7 < 5 { // device nodes
			n.dev = le.Uint32(b[4:])
		}
		if kind > 7 {
			n.xattrs = le.Uint32(b[len(b)-4:])
		}
	}
	var err error
	if info.UID, err = s.id(le.Uint16(buf[4:])); err != nil {
		return fail(err)
	}
	if info.GID, err = s.id(le.Uint16(buf[6:])); err != nil {
		return fail(err)
	}
	if kind == 10 && n.linkSize <= maxLinkTo {
		if n.xattrs, err = n.linkXattrs(); err != nil {
			return fail(err)
		}
	}
	return n, info, nil
}

// linkXattrs reads the attribute index, which stands after a link's text.
func (n *squashInode) linkXattrs() (uint32, error) {
	b := make([]byte, n.linkSize+4)
	c := n.at
	if err := c.read(b); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[n.linkSize:]), nil
}

func (s *squashfs) link(n squashInode) (string, error) {
	b := make([]byte, n.linkSize) // the caller has bounded it
	c := n.at
	if err := c.read(b); err != nil {
		return "", err
	}
	return string(b), nil
}

// list reads a directory: runs of entries, each run with a header that names the inode
// block they share. The size counts three bytes for "." and "..".
func (s *squashfs) list(n squashInode, add func(name []byte, id int64) error) error {
	c := metaCursor{s: s, block: s.dirTable + n.dirBlock, off: n.dirOffset}
	left := n.dirSize - 3
	le := binary.LittleEndian
	var buf [256]byte
	for left > 0 {
		at := c.block
		if err := c.read(buf[:12]); err != nil {
			return fmt.Errorf("directory: %w", err)
		}
		left -= 12
		count, block := le.Uint32(buf[:]), int64(le.Uint32(buf[4:]))
		if count > 255 {
			return s.win.bad(at, "directory with a run of %d entries", int64(count)+1)
		}
		for range count + 1 {
			if err := c.read(buf[:8]); err != nil {
				return fmt.Errorf("directory: %w", err)
			}
			id := block<<16 | int64(le.Uint16(buf[:]))
			size := int(le.Uint16(buf[6:])) + 1
			if size > len(buf) {
				return s.win.bad(at, "directory with a name of %d bytes", size)
			}
			if err := c.read(buf[:size]); err != nil {
				return fmt.Errorf("directory: %w", err)
			}
			left -= int64(8 + size)
			if left < 0 {
				return s.win.bad(at, "directory whose entries are longer than itself")
			}
			if err := add(buf[:size], id); err != nil {
				return s.win.bad(at, "%w", err)
			}
		}
	}
	return nil
}

// squashXattrPrefixes are the name spaces of attribute types 0 to 2.
var squashXattrPrefixes = [...]string{"user.", "trusted.", "security."}

func (s *squashfs) xattr(n squashInode, attr string) ([]byte, error) {
	if n.xattrs == noIndex || s.xattrTable < 0 {
		return nil, nil
	}
	var head [16]byte // start of the lists, number of lists, unused
	if err := s.win.read(s.xattrTable, head[:]); err != nil {
		return nil, fmt.Errorf("attribute table: %w", err)
	}
	le := binary.LittleEndian
	lists := int64(le.Uint64(head[:]))
	if n.xattrs >= le.Uint32(head[8:]) {
		return nil, s.win.bad(s.xattrTable, "attribute list %d of %d", n.xattrs, le.Uint32(head[8:]))
	}
	var entry [16]byte // place, number of attributes, bytes
	if err := s.indexed(s.xattrTable+16, n.xattrs, entry[:]); err != nil {
		return nil, fmt.Errorf("attribute table: %w", err)
	}
	count := le.Uint32(entry[8:])
	if count > maxXattrCount {
		return nil, s.win.bad(s.xattrTable, "file with %d attributes", count)
	}
	c := s.cursor(lists, int64(le.Uint64(entry[:])))
	for range count {
		var b [4]byte
		if err := c.read(b[:]); err != nil {
			return nil, fmt.Errorf("attribute: %w", err)
		}
		kind, name := le.Uint16(b[:]), make([]byte, le.Uint16(b[2:]))
		if err := c.read(name); err != nil {
			return nil, fmt.Errorf("attribute: %w", err)
		}
		space := int(kind & 0xff)
		match := space < len(squashXattrPrefixes) && attr == squashXattrPrefixes[space]+string(name)
		v, err := s.xattrValue(&c, kind&0x100 != 0)
		if err != nil || match {
			return v, err
		}
	}
	return nil, nil
}

// xattrValue reads a value that stands here, or elsewhere with its place here.
func (s *squashfs) xattrValue(c *metaCursor, elsewhere bool) ([]byte, error) {
	at := c.block
	var b [4]byte
	if err := c.read(b[:]); err != nil {
		return nil, fmt.Errorf("attribute value: %w", err)
	}
	size := binary.LittleEndian.Uint32(b[:])
	if size > maxXattr {
		return nil, s.win.bad(at, "attribute value of %d bytes", size)
	}
	v := make([]byte, size)
	if err := c.read(v); err != nil {
		return nil, fmt.Errorf("attribute value: %w", err)
	}
	if !elsewhere {
		return v, nil
	}
	if len(v) != 8 {
		return nil, s.win.bad(at, "attribute value's place in %d bytes", len(v))
	}
	var head [16]byte
	if err := s.win.read(s.xattrTable, head[:]); err != nil {
		return nil, fmt.Errorf("attribute table: %w", err)
	}
	le := binary.LittleEndian
	there := s.cursor(int64(le.Uint64(head[:])), int64(le.Uint64(v)))
	return s.xattrValue(&there, false)
}

// isSquashfs tells a squashfs of either byte order, by its first bytes.
func isSquashfs(head []byte) bool {
	return bytes.HasPrefix(head, []byte("hsqs")) || bytes.HasPrefix(head, []byte("sqsh"))
}
