package device

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"picket/scanner"
)

// The erofs reader follows Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of
// the Linux kernel.

const (
	erofsSuperAt = 1024
	erofsMagic   = 0xe0f5e1e2
	maxErofsDir  = 512 << 20 // bytes of a directory
)

// Features (feature_incompat) that the reader knows: zero padding of compressed data, big
// clusters, chunks, other devices, packed tails and fragments with deduplication, long
// attribute prefixes.
const (
	erofsZeroPadding   = 0x1
	erofsKnown         = 0x7f
	erofsPlainPrefixes = 0x10 // feature_compat: long prefixes are not in the packed inode
)

// How a file's content is laid out (bits 1 to 3 of i_format).
const (
	erofsFlat        = 0
	erofsFullIndex   = 1
	erofsInline      = 2
	erofsCompactIdx  = 3
	erofsChunks      = 4
	erofsCompactSize = 32
	erofsLongSize    = 64
)

// erofs is a volume. An inode's number is its place in units of 32 bytes.
type erofs struct {
	win       *window
	bits      uint // log2 of the block size
	blockSize int64
	dirBlock  int64
	rootNid   int64
	metaAt    int64
	xattrAt   int64
	packed    int64 // inode that holds packed tails; 0 without
	compat    uint32
	incompat  uint32
	buildTime time.Time
	prefixAt  int64
	prefixes  int
	pages     *blockCache[[]byte]
	unpacked  *blockCache[[]byte]
	indexes   *blockCache[*erofsIndex]
}

// erofsInode is a decoded inode.
type erofsInode struct {
	id     int64
	at     int64 // bytes from the start of the volume
	end    int64 // where the inode with its attributes ends
	xattrs int64 // bytes of attributes
	layout uint16
	size   int64
	data   uint32 // i_u: first block, or the format of chunks
	dir    bool
}

// openErofs reads the superblock.
func openErofs(win *window) (*erofs, error) {
	var b [128]byte
	if err := win.read(erofsSuperAt, b[:]); err != nil {
		return nil, fmt.Errorf("erofs superblock: %w", err)
	}
	le := binary.LittleEndian
	e := &erofs{
		win: win, bits: uint(b[12]), rootNid: int64(le.Uint16(b[14:])), compat: le.Uint32(b[8:]), incompat: le.Uint32(b[80:]),
		buildTime: time.Unix(int64(le.Uint64(b[24:])), int64(le.Uint32(b[32:]))),
		prefixes:  int(b[91]), prefixAt: int64(le.Uint32(b[92:])) * 4, packed: int64(le.Uint64(b[96:])),
		pages: newBlockCache[[]byte](4 << 20), unpacked: newBlockCache[[]byte](8 << 20), indexes: newBlockCache[*erofsIndex](8 << 20),
	}
	if e.incompat&^erofsKnown != 0 {
		return nil, win.bad(erofsSuperAt+80, "erofs with features %#x, which Picket cannot read", e.incompat&^erofsKnown)
	}
	if e.bits < 9 || e.bits > 16 {
		return nil, win.bad(erofsSuperAt+12, "erofs block size of 2^%d", e.bits)
	}
	e.blockSize = 1 << e.bits
	if b[90] > 4 {
		return nil, win.bad(erofsSuperAt+90, "erofs directory blocks of 2^%d blocks", b[90])
	}
	e.dirBlock = e.blockSize << b[90]
	e.metaAt, e.xattrAt = int64(le.Uint32(b[40:]))<<e.bits, int64(le.Uint32(b[44:]))<<e.bits
	if blocks := int64(le.Uint32(b[36:])); blocks<<e.bits > win.size {
		return nil, win.bad(erofsSuperAt+36, "erofs of %d blocks of %d bytes in %d bytes of image: cut off or damaged", blocks, e.blockSize, win.size)
	}
	return e, nil
}

func (e *erofs) root() int64 { return e.rootNid }

func (e *erofs) rdev(n erofsInode) uint32 { return n.data }

// read reads metadata through a cache of pages.
func (e *erofs) read(off int64, b []byte) error { return readPaged(e.win, e.pages, off, b) }

func (e *erofs) inode(id int64) (erofsInode, scanner.Info, error) {
	n := erofsInode{id: id, at: e.metaAt + id*32}
	if id < 0 || id > e.win.size/32 {
		return n, scanner.Info{}, fmt.Errorf("image %s: inode %d is outside", e.win.image, id)
	}
	var b [erofsLongSize]byte
	if err := e.read(n.at, b[:erofsCompactSize]); err != nil {
		return n, scanner.Info{}, fmt.Errorf("inode %d: %w", id, err)
	}
	le := binary.LittleEndian
	format := le.Uint16(b[:])
	n.layout, n.data = format>>1&7, le.Uint32(b[16:])
	if count := int64(le.Uint16(b[2:])); count > 0 {
		n.xattrs = 12 + 4*(count-1)
	}
	info := scanner.Info{Mode: scanner.ModeOf(uint32(le.Uint16(b[4:]))), Ino: uint64(le.Uint32(b[20:]))}
	if format&1 == 0 {
		n.size, n.end = int64(le.Uint32(b[8:])), n.at+erofsCompactSize+n.xattrs
		info.Nlink, info.UID, info.GID = uint64(le.Uint16(b[6:])), int(le.Uint16(b[24:])), int(le.Uint16(b[26:]))
		info.ModTime = e.buildTime
	} else {
		if err := e.read(n.at+erofsCompactSize, b[erofsCompactSize:]); err != nil {
			return n, scanner.Info{}, fmt.Errorf("inode %d: %w", id, err)
		}
		n.size, n.end = int64(le.Uint64(b[8:])), n.at+erofsLongSize+n.xattrs
		info.UID, info.GID, info.Nlink = int(le.Uint32(b[24:])), int(le.Uint32(b[28:])), uint64(le.Uint32(b[44:]))
		info.ModTime = time.Unix(int64(le.Uint64(b[32:])), int64(min(le.Uint32(b[40:]), 999_999_999)))
	}
	if n.size < 0 || n.layout > erofsChunks {
		return n, info, e.win.bad(n.at, "inode %d of %d bytes in layout %d", id, uint64(n.size), n.layout)
	}
	n.dir = info.Mode.IsDir()
	info.Size = n.size
	if info.Ino == 0 {
		info.Ino = uint64(id)
	}
	return n, info, nil
}

// list reads a directory. Each block starts with entries of twelve bytes, whose number
// follows from the place of the first name, and ends with the names.
func (e *erofs) list(n erofsInode, add func(name []byte, id int64) error) error {
	if n.size > maxErofsDir {
		return e.win.bad(n.at, "directory inode %d of %d bytes", n.id, n.size)
	}
	r, err := e.content(n)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	buf := make([]byte, min(e.dirBlock, n.size))
	for off := int64(0); off < n.size; off += e.dirBlock {
		b := buf[:min(e.dirBlock, n.size-off)]
		if _, err := r.ReadAt(b, off); err != nil {
			return err
		}
		if len(b) < 12 {
			return e.win.bad(n.at, "directory inode %d ends in the middle of an entry", n.id)
		}
		names := int(le.Uint16(b[8:]))
		if names < 12 || names%12 != 0 || names > len(b) {
			return e.win.bad(n.at, "directory inode %d with names at %d", n.id, names)
		}
		for i := 0; i < names; i += 12 {
			from, to := int(le.Uint16(b[i+8:])), len(b)
			if i+12 < names {
				to = int(le.Uint16(b[i+20:]))
			}
			if from < names || to < from || to > len(b) {
				return e.win.bad(n.at, "directory inode %d with a name from %d to %d", n.id, from, to)
			}
			name := b[from:to]
			for j, c := range name {
				if c == 0 {
					name = name[:j] // only the last name of a block is padded
					break
				}
			}
			if s := string(name); s == "." || s == ".." {
				continue
			}
			if err := add(name, int64(le.Uint64(b[i:]))); err != nil {
				return e.win.bad(n.at, "%w", err)
			}
		}
	}
	return nil
}

func (e *erofs) link(n erofsInode) (string, error) {
	r, err := e.content(n)
	if err != nil {
		return "", err
	}
	b := make([]byte, n.size) // the caller has bounded it
	if _, err := r.ReadAt(b, 0); err != nil && n.size > 0 {
		return "", err
	}
	return string(b), nil
}

func (e *erofs) content(n erofsInode) (io.ReaderAt, error) {
	switch n.layout {
	case erofsFlat, erofsInline:
		return e.flat(n)
	case erofsChunks:
		return e.chunks(n)
	}
	return e.compressed(n)
}

// flat is content in one run of blocks. With a tail inline, what does not fill a block
// stands after the inode.
func (e *erofs) flat(n erofsInode) (io.ReaderAt, error) {
	whole := n.size
	if n.layout == erofsInline && n.size > 0 {
		whole = (n.size - 1) &^ (e.blockSize - 1)
	}
	start := int64(n.data) << e.bits
	if start+whole > e.win.size && whole > 0 {
		return nil, e.win.bad(n.at, "inode %d of %d bytes from byte %d: beyond the end", n.id, n.size, start)
	}
	return e.pieces(n, func(pos int64) (int64, int64, error) {
		if pos < whole {
			return start + pos, whole - pos, nil
		}
		return n.end + pos - whole, n.size - pos, nil
	}), nil
}

// chunks is content in chunks of equal size, each with its place, or none for a hole.
func (e *erofs) chunks(n erofsInode) (io.ReaderAt, error) {
	shift := e.bits + uint(n.data&0x1f)
	if n.data&0xffff&^0x3f != 0 || shift > 40 {
		return nil, e.win.bad(n.at, "inode %d with chunks of format %#x", n.id, n.data)
	}
	entry := int64(4)
	if n.data&0x20 != 0 {
		entry = 8
	}
	table := (n.end + entry - 1) &^ (entry - 1)
	le := binary.LittleEndian
	return e.pieces(n, func(pos int64) (int64, int64, error) {
		var b [8]byte
		at := table + pos>>shift*entry
		if err := e.read(at, b[8-entry:]); err != nil {
			return 0, 0, fmt.Errorf("inode %d: chunk table: %w", n.id, err)
		}
		in := pos & (1<<shift - 1)
		rest := min(1<<shift-in, n.size-pos)
		block := le.Uint32(b[4:])
		if entry == 8 && block != 0xffffffff && le.Uint16(b[2:]) != 0 {
			return 0, 0, fmt.Errorf("inode %d: content is on another device: %w", n.id, scanner.ErrUnavailable)
		}
		if block == 0xffffffff {
			return -1, rest, nil
		}
		return int64(block)<<e.bits + in, rest, nil
	}), nil
}

// pieces reads content that is not compressed. where gives the byte of the volume at which
// a position of the file lies, -1 for a hole, and for how many bytes that holds.
func (e *erofs) pieces(n erofsInode, where func(pos int64) (at, size int64, err error)) io.ReaderAt {
	return contentReader(func(b []byte, off int64) (int, error) {
		done := 0
		for done < len(b) {
			pos := off + int64(done)
			if pos >= n.size {
				return done, io.EOF
			}
			at, size, err := where(pos)
			if err != nil {
				return done, err
			}
			part := b[done:]
			part = part[:min(int64(len(part)), size)]
			switch {
			case at < 0:
				clear(part)
			case n.dir || len(part) < int(e.blockSize):
				err = e.read(at, part)
			default:
				err = e.win.read(at, part)
			}
			if err != nil {
				return done, fmt.Errorf("inode %d: %w", n.id, err)
			}
			done += len(part)
		}
		return done, nil
	})
}
