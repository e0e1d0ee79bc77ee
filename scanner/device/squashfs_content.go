package device

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	squashPlain    = 1 << 24 // a data block's size has this bit when it is not compressed
	squashSizeMask = squashPlain - 1
)

// squashFile is where a file's content lies: whole blocks one after the other, and a tail
// inside a block shared with other files' tails.
type squashFile struct {
	s      *squashfs
	size   int64
	blocks []squashBlock
	tail   squashBlock
	tailAt int // where the tail starts in its block; -1 without
}

type squashBlock struct {
	at   int64
	size uint32 // on disk, with squashPlain; 0 for a hole
}

func (s *squashfs) content(n squashInode) (io.ReaderAt, error) {
	f := &squashFile{s: s, size: n.size, tailAt: -1}
	count := n.size / s.blockSize
	if n.fragment == noIndex {
		count = (n.size + s.blockSize - 1) / s.blockSize
	}
	if count > maxSquashBlocks || count < 0 {
		return nil, s.win.bad(n.at.block, "file of %d bytes: more than %d blocks", n.size, maxSquashBlocks)
	}
	if err := f.readBlocks(n, int(count)); err != nil {
		return nil, fmt.Errorf("block list: %w", err)
	}
	if n.fragment == noIndex || n.size%s.blockSize == 0 {
		return contentReader(f.readAt), nil
	}
	if n.fragment >= s.fragments {
		return nil, s.win.bad(n.at.block, "fragment %d of %d", n.fragment, s.fragments)
	}
	var b [16]byte
	if err := s.indexed(s.fragTable, n.fragment, b[:]); err != nil {
		return nil, fmt.Errorf("fragment table: %w", err)
	}
	le := binary.LittleEndian
	f.tail = squashBlock{at: int64(le.Uint64(b[:])), size: le.Uint32(b[8:])}
	if int64(n.fragStart)+n.size%s.blockSize > s.blockSize {
		return nil, s.win.bad(n.at.block, "tail at %d of a fragment", n.fragStart)
	}
	f.tailAt = int(n.fragStart)
	return contentReader(f.readAt), nil
}

// readBlocks reads the sizes of count blocks. The list grows as they are read: the file
// may claim more blocks than the image has bytes for.
func (f *squashFile) readBlocks(n squashInode, count int) error {
	c, at := n.at, n.start
	var b [4 * 256]byte
	for count > 0 {
		part := b[:4*min(count, 256)]
		if err := c.read(part); err != nil {
			return err
		}
		for i := 0; i < len(part); i += 4 {
			size := binary.LittleEndian.Uint32(part[i:])
			f.blocks = append(f.blocks, squashBlock{at, size})
			at += int64(size & squashSizeMask)
		}
		count -= len(part) / 4
	}
	return nil
}

func (f *squashFile) readAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		pos := off + int64(done)
		if pos >= f.size {
			return done, io.EOF
		}
		i, in := pos/f.s.blockSize, pos%f.s.blockSize
		want := min(f.size-i*f.s.blockSize, f.s.blockSize)
		var data []byte
		var err error
		switch {
		case i < int64(len(f.blocks)) && f.blocks[i].size == 0:
			n := min(int64(len(b)-done), want-in)
			clear(b[done : done+int(n)])
			done += int(n)
			continue
		case i < int64(len(f.blocks)):
			data, err = f.s.dataBlock(f.blocks[i], int(want))
			if err == nil && len(data) != int(want) {
				err = f.s.win.bad(f.blocks[i].at, "data block of %d bytes, %d wanted", len(data), want)
			}
		default:
			end := f.tailAt + int(want)
			data, err = f.s.dataBlock(f.tail, int(f.s.blockSize))
			if err == nil && end > len(data) {
				err = f.s.win.bad(f.tail.at, "fragment of %d bytes, %d wanted", len(data), end)
			}
			if err == nil {
				data = data[f.tailAt:end]
			}
		}
		if err != nil {
			return done, err
		}
		done += copy(b[done:], data[in:])
	}
	return done, nil
}

// dataBlock unpacks a block of at most limit bytes.
func (s *squashfs) dataBlock(b squashBlock, limit int) ([]byte, error) {
	if data, ok := s.data.get(b.at); ok {
		return data, nil
	}
	size := int(b.size & squashSizeMask)
	if b.size&^(squashPlain|squashSizeMask) != 0 || size == 0 || size > maxSquashBlock {
		return nil, s.win.bad(b.at, "data block of %#x bytes", b.size)
	}
	raw := make([]byte, size)
	if err := s.win.read(b.at, raw); err != nil {
		return nil, fmt.Errorf("data block: %w", err)
	}
	if b.size&squashPlain == 0 {
		out := make([]byte, limit)
		n, err := s.unpack(out, raw)
		if err != nil {
			return nil, s.win.bad(b.at, "data block: %w", err)
		}
		raw = out[:n]
	}
	s.data.put(b.at, raw, len(raw)+64)
	return raw, nil
}
