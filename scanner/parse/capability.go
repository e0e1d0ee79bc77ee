package parse

import (
	"encoding/binary"
	"fmt"
)

// FileCaps are the capabilities that a program file gives to whoever runs it: the extended
// attribute security.capability (struct vfs_cap_data of linux/capability.h).
type FileCaps struct {
	// Permitted and Inheritable are names without cap_, in the kernel's order.
	Permitted, Inheritable []string
	// Effective means that the program starts with the permitted ones switched on.
	Effective bool
	// RootID is the user namespace's root for which they count; 0 for all.
	RootID uint32
}

// The revisions of vfs_cap_data and their sizes.
const (
	capRevisionMask = 0xff000000
	capRevision1    = 0x01000000
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000
	capEffective    = 1
)

// FileCapabilities reads the value of security.capability.
func FileCapabilities(b []byte) (FileCaps, error) {
	if len(b) < 12 {
		return FileCaps{}, &Error{Offset: int64(len(b)), Msg: "file capabilities have at least 12 bytes"}
	}
	magic := binary.LittleEndian.Uint32(b)
	want := map[uint32]int{capRevision1: 12, capRevision2: 20, capRevision3: 24}[magic&capRevisionMask]
	if want != len(b) {
		return FileCaps{}, &Error{Offset: 0, Msg: fmt.Sprintf("file capabilities of revision %d with %d bytes", magic>>24, len(b))}
	}
	permitted := uint64(binary.LittleEndian.Uint32(b[4:]))
	inheritable := uint64(binary.LittleEndian.Uint32(b[8:]))
	c := FileCaps{Effective: magic&capEffective != 0}
	if want >= 20 {
		permitted |= uint64(binary.LittleEndian.Uint32(b[12:])) << 32
		inheritable |= uint64(binary.LittleEndian.Uint32(b[16:])) << 32
	}
	if want == 24 {
		c.RootID = binary.LittleEndian.Uint32(b[20:])
	}
	c.Permitted, c.Inheritable = Capabilities(permitted), Capabilities(inheritable)
	return c, nil
}
