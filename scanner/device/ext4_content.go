package device

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
)

const (
	ext4ExtentMagic = 0xf30a
	maxExtentDepth  = 5       // as Linux
	unwrittenBit    = 1 << 15 // an extent longer than this is allocated but reads as zeros
)

// ext4Run says where a run of a file's blocks lies.
type ext4Run struct {
	at  int64 // block of the volume; 0 for a hole
	len int64 // blocks
}

func (e *ext4) content(n ext4Inode) (io.ReaderAt, error) {
	if n.flags&ext4Encrypted != 0 {
		return nil, e.win.bad(n.at, "inode %d is encrypted", n.id)
	}
	if n.flags&ext4InlineData != 0 {
		return e.inlineContent(n)
	}
	return contentReader(func(b []byte, off int64) (int, error) {
		done := 0
		for done < len(b) {
			pos := off + int64(done)
			if pos >= n.size {
				return done, io.EOF
			}
			run, err := e.run(&n, pos/e.blockSize)
			if err != nil {
				return done, fmt.Errorf("inode %d: %w", n.id, err)
			}
			in := pos % e.blockSize
			part := b[done:]
			part = part[:min(int64(len(part)), n.size-pos, run.len*e.blockSize-in)]
			if run.at == 0 {
				clear(part)
			} else if err := e.win.read(run.at*e.blockSize+in, part); err != nil {
				return done, fmt.Errorf("inode %d: %w", n.id, err)
			}
			done += len(part)
		}
		return done, nil
	}), nil
}

// inlineContent reads a file that fits into its inode: the first 60 bytes where the block
// list would be, the rest in the attribute system.data. A file longer than that ends in
// zeros, as for Linux: mke2fs makes such ones of files that are nothing but holes.
func (e *ext4) inlineContent(n ext4Inode) (io.ReaderAt, error) {
	data := append([]byte(nil), n.raw[40:100]...)
	more, err := e.xattr(n, "system.data")
	if err != nil {
		return nil, err
	}
	data = append(data, more...)
	return contentReader(func(b []byte, off int64) (int, error) {
		if off >= n.size {
			return 0, io.EOF
		}
		part := b[:min(int64(len(b)), n.size-off)]
		done := 0
		if off < int64(len(data)) {
			done = copy(part, data[off:])
		}
		clear(part[done:])
		if len(part) < len(b) {
			return len(part), io.EOF
		}
		return len(part), nil
	}), nil
}

// run finds a file's block, and how many follow it in a row.
func (e *ext4) run(n *ext4Inode, block int64) (ext4Run, error) {
	if n.flags&ext4Extents == 0 {
		return e.mapped(n, block)
	}
	run, err := e.extent(n, block)
	if err == nil && run.at != 0 && (run.at < 0 || run.at+run.len > e.blocks) {
		err = e.win.bad(n.at, "file block %d in blocks %d to %d of %d", block, run.at, run.at+run.len, e.blocks)
	}
	return run, err
}

// extent walks the extent tree down to a block. Each node is a header of twelve bytes and
// as many entries, sorted by the file block that they start with.
func (e *ext4) extent(n *ext4Inode, block int64) (ext4Run, error) {
	le := binary.LittleEndian
	node, at := n.raw[40:100], n.at+40
	end := int64(1) << 32 // the file block where the next entry of an upper node starts
	for depth := maxExtentDepth; ; {
		count, level := int(le.Uint16(node[2:])), int(le.Uint16(node[6:]))
		if le.Uint16(node) != ext4ExtentMagic || level > depth || 12+12*count > len(node) {
			return ext4Run{}, e.win.bad(at, "inode %d: damaged extent tree", n.id)
		}
		entry := func(i int) []byte { return node[12+12*i : 24+12*i] }
		// the last entry that starts at or before the block
		i := sort.Search(count, func(i int) bool { return int64(le.Uint32(entry(i))) > block }) - 1
		if i+1 < count {
			end = min(end, int64(le.Uint32(entry(i+1))))
		}
		if i < 0 {
			return ext4Run{len: max(end-block, 1)}, nil
		}
		b := entry(i)
		start := int64(le.Uint32(b))
		if level == 0 {
			length := int64(le.Uint16(b[4:]))
			unwritten := length > unwrittenBit
			if unwritten {
				length -= unwrittenBit
			}
			switch {
			case block >= start+length:
				return ext4Run{len: max(end-block, 1)}, nil
			case unwritten:
				return ext4Run{len: start + length - block}, nil
			}
			first := int64(le.Uint32(b[8:])) | int64(le.Uint16(b[6:]))<<32
			if first == 0 {
				return ext4Run{}, e.win.bad(at, "inode %d: extent at block 0", n.id)
			}
			return ext4Run{at: first + block - start, len: start + length - block}, nil
		}
		depth = level - 1
		next := int64(le.Uint32(b[4:])) | int64(le.Uint16(b[8:]))<<32
		var err error
		if node, err = e.block(next); err != nil {
			return ext4Run{}, fmt.Errorf("inode %d: extent tree: %w", n.id, err)
		}
		at = next * e.blockSize
	}
}

// mapped finds a block as ext2 and ext3 keep them: twelve in the inode, then one, two and
// three levels of blocks full of block numbers.
func (e *ext4) mapped(n *ext4Inode, block int64) (ext4Run, error) {
	le := binary.LittleEndian
	per := e.blockSize / 4
	slot, span, rest := int64(0), int64(1), block
	switch {
	case rest < 12:
		slot, rest = rest, 0
	case rest-12 < per:
		slot, span, rest = 12, per, rest-12
	case rest-12-per < per*per:
		slot, span, rest = 13, per*per, rest-12-per
	case rest-12-per-per*per < per*per*per:
		slot, span, rest = 14, per*per*per, rest-12-per-per*per
	default:
		return ext4Run{}, e.win.bad(n.at, "inode %d: block %d is beyond what a file can hold", n.id, block)
	}
	at := int64(le.Uint32(n.raw[40+4*slot:]))
	for span > 1 && at != 0 {
		span /= per
		var b [4]byte
		if at >= e.blocks {
			return ext4Run{}, e.win.bad(n.at, "inode %d: block %d of %d", n.id, at, e.blocks)
		}
		if err := e.read(at*e.blockSize+rest/span*4, b[:]); err != nil {
			return ext4Run{}, err
		}
		at, rest = int64(le.Uint32(b[:])), rest%span
	}
	if at >= e.blocks {
		return ext4Run{}, e.win.bad(n.at, "inode %d: block %d of %d", n.id, at, e.blocks)
	}
	if at == 0 {
		return ext4Run{len: span - rest}, nil
	}
	return ext4Run{at: at, len: 1}, nil
}
