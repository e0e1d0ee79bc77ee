package device

import (
	"encoding/binary"
	"fmt"
	"io"
)

// erofsXattrPrefixes are the name spaces of name indexes 1 to 6.
var erofsXattrPrefixes = [...]string{
	0: "", 1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security.",
}

// xattr looks through a file's attributes: a header of twelve bytes, the places of shared
// ones, then the file's own.
func (e *erofs) xattr(n erofsInode, attr string) ([]byte, error) {
	if n.xattrs == 0 {
		return nil, nil
	}
	area := make([]byte, n.xattrs) // at most 256 KiB
	at := n.end - n.xattrs
	if err := e.read(at, area); err != nil {
		return nil, fmt.Errorf("attributes of inode %d: %w", n.id, err)
	}
	le := binary.LittleEndian
	shared := int(area[4])
	if 12+4*shared > len(area) {
		return nil, e.win.bad(at, "inode %d with %d shared attributes", n.id, shared)
	}
	for i := range shared {
		place := e.xattrAt + 4*int64(le.Uint32(area[12+4*i:]))
		var head [4]byte
		if err := e.read(place, head[:]); err != nil {
			return nil, fmt.Errorf("attributes of inode %d: %w", n.id, err)
		}
		b := make([]byte, 4+int(head[0])+int(le.Uint16(head[2:])))
		if err := e.read(place, b); err != nil {
			return nil, fmt.Errorf("attributes of inode %d: %w", n.id, err)
		}
		v, _, err := e.xattrEntry(b, place, attr)
		if v != nil || err != nil {
			return v, err
		}
	}
	for off := 12 + 4*shared; off+4 <= len(area); {
		v, size, err := e.xattrEntry(area[off:], at+int64(off), attr)
		if v != nil || err != nil {
			return v, err
		}
		off += (size + 3) &^ 3
	}
	return nil, nil
}

// xattrEntry gives the value of the attribute at the start of b if it has that name, and
// the attribute's length.
func (e *erofs) xattrEntry(b []byte, at int64, attr string) (v []byte, size int, err error) {
	nameLen, index := int(b[0]), int(b[1])
	end := 4 + nameLen
	size = end + int(binary.LittleEndian.Uint16(b[2:]))
	if size > len(b) {
		return nil, 0, e.win.bad(at, "attribute of %d bytes where %d are left", size, len(b))
	}
	var prefix string
	switch {
	case index&0x80 != 0:
		if prefix, err = e.longPrefix(index & 0x7f); err != nil {
			return nil, 0, err
		}
	case index < len(erofsXattrPrefixes):
		prefix = erofsXattrPrefixes[index]
	}
	if nameLen == 0 && size == 4 || prefix+string(b[4:end]) != attr {
		return nil, size, nil
	}
	return append([]byte{}, b[end:size]...), size, nil
}

// longPrefix reads one of the prefixes that the image defines for itself: a length of two
// bytes, the index of the name space that it continues, and its text. They stand in the
// packed inode where there is one.
func (e *erofs) longPrefix(i int) (string, error) {
	if i >= e.prefixes {
		return "", e.win.bad(erofsSuperAt+91, "attribute prefix %d of %d", i, e.prefixes)
	}
	read := e.read
	if e.packed != 0 && e.compat&erofsPlainPrefixes == 0 {
		n, info, err := e.inode(e.packed)
		if err != nil {
			return "", err
		}
		r, err := e.content(n)
		if err != nil {
			return "", err
		}
		section := io.NewSectionReader(r, 0, info.Size)
		read = func(off int64, b []byte) error {
			_, err := section.ReadAt(b, off)
			return err
		}
	}
	at := e.prefixAt
	for {
		var head [2]byte
		if err := read(at, head[:]); err != nil {
			return "", fmt.Errorf("attribute prefixes: %w", err)
		}
		size := int64(binary.LittleEndian.Uint16(head[:]))
		if i == 0 {
			b := make([]byte, size)
			if err := read(at+2, b); err != nil {
				return "", fmt.Errorf("attribute prefixes: %w", err)
			}
			if size < 1 || int(b[0]) >= len(erofsXattrPrefixes) {
				return "", e.win.bad(erofsSuperAt+92, "attribute prefix of %d bytes", size)
			}
			return erofsXattrPrefixes[b[0]] + string(b[1:]), nil
		}
		at += (2 + size + 3) &^ 3
		i--
	}
}
