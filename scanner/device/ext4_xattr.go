package device

import (
	"encoding/binary"
	"fmt"

	"picket/scanner"
)

const (
	ext4XattrMagic = 0xea020000
	ext4XattrInode = 0x200000 // inode flag: holds the value of an attribute
)

// ext4XattrPrefixes are the name spaces of name indexes 1 to 8.
var ext4XattrPrefixes = [...]string{
	0: "", 1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.",
	6: "security.", 7: "system.", 8: "system.richacl",
}

// xattr looks into the rest of the inode first, then into the attribute block.
func (e *ext4) xattr(n ext4Inode, attr string) ([]byte, error) {
	if attr == scanner.FlagsAttr {
		return fileFlags(n.flags&ext4Immutable != 0, n.flags&ext4Append != 0), nil
	}
	le := binary.LittleEndian
	if start := 128 + n.extra; n.extra > 0 && start+4 <= e.inodeSize && le.Uint32(n.raw[start:]) == ext4XattrMagic {
		area := n.raw[start+4:]
		v, err := e.findXattr(area, area, n.at+start+4, attr)
		if v != nil || err != nil {
			return v, err
		}
	}
	if n.aclBlock == 0 {
		return nil, nil
	}
	b, err := e.block(n.aclBlock)
	if err != nil {
		return nil, fmt.Errorf("attributes of inode %d: %w", n.id, err)
	}
	if le.Uint32(b) != ext4XattrMagic {
		return nil, e.win.bad(n.aclBlock*e.blockSize, "inode %d: no attribute block", n.id)
	}
	return e.findXattr(b[32:], b, n.aclBlock*e.blockSize+32, attr)
}

// findXattr goes through a list of attributes. Places of values count from the start of
// values.
func (e *ext4) findXattr(list, values []byte, at int64, attr string) ([]byte, error) {
	le := binary.LittleEndian
	for off := 0; off+4 <= len(list) && le.Uint32(list[off:]) != 0; {
		if len(list)-off < 16 || len(list)-off < 16+int(list[off]) {
			return nil, e.win.bad(at+int64(off), "attribute list that is cut off")
		}
		b := list[off:]
		name, index := b[16:16+int(b[0])], int(b[1])
		start, inode, size := int64(le.Uint16(b[2:])), int64(le.Uint32(b[4:])), int64(le.Uint32(b[8:]))
		off += (16 + len(name) + 3) &^ 3
		if index >= len(ext4XattrPrefixes) || ext4XattrPrefixes[index]+string(name) != attr {
			continue
		}
		if inode != 0 {
			return e.xattrInode(inode, size)
		}
		if start+size > int64(len(values)) {
			return nil, e.win.bad(at+int64(off), "attribute value of %d bytes at %d", size, start)
		}
		return append([]byte{}, values[start:start+size]...), nil
	}
	return nil, nil
}

// xattrInode reads a value that has an inode of its own.
func (e *ext4) xattrInode(id, size int64) ([]byte, error) {
	n, err := e.rawInode(id)
	if err != nil {
		return nil, fmt.Errorf("attribute inode %d: %w", id, err)
	}
	if n.flags&ext4XattrInode == 0 || n.flags&ext4InlineData != 0 || size > maxXattr || size > n.size {
		return nil, e.win.bad(n.at, "inode %d is no attribute value of %d bytes", id, size)
	}
	r, err := e.content(n)
	if err != nil {
		return nil, err
	}
	v := make([]byte, size)
	if _, err := r.ReadAt(v, 0); err != nil {
		return nil, err
	}
	return v, nil
}
