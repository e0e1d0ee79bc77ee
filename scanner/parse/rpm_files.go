package parse

import (
	"encoding/hex"
	"fmt"
)

// RPMFile is one file of a package as its header records it. Path and Digest are valid during
// the call that hands it over.
type RPMFile struct {
	Path        []byte
	Mode        uint16 // as in stat(2), the type included; 0 unknown
	User, Group string // names, "" unknown
	Digest      []byte // of a regular file's content; nil when there is none
	DigestAlgo  int    // RPMDigestMD5 and so on
	Caps        string // file capabilities as cap_to_text(3) writes them
	Flags       uint32 // RPMFileConfig and so on
	Verify      uint32 // what may be compared with the header: RPMVerifyDigest and so on
	State       uint8  // RPMFileNormal and so on
}

// Digest algorithms (the hash ids of OpenPGP).
const (
	RPMDigestMD5    = 1
	RPMDigestSHA1   = 2
	RPMDigestSHA256 = 8
	RPMDigestSHA512 = 10
)

// Bits of RPMFile.Flags.
const (
	RPMFileConfig uint32 = 1 << 0
	RPMFileDoc    uint32 = 1 << 1
	RPMFileGhost  uint32 = 1 << 6 // not in the package: its content is made on the device
)

// Bits of RPMFile.Verify.
const (
	RPMVerifyDigest uint32 = 1 << 0
	RPMVerifyUser   uint32 = 1 << 3
	RPMVerifyGroup  uint32 = 1 << 4
	RPMVerifyMode   uint32 = 1 << 6
	RPMVerifyCaps   uint32 = 1 << 8
)

// Values of RPMFile.State.
const (
	RPMFileNormal       uint8 = 0
	RPMFileReplaced     uint8 = 1 // by another package's file
	RPMFileNotInstalled uint8 = 2
	RPMFileNetShared    uint8 = 3
	RPMFileWrongColor   uint8 = 4 // of the other architecture of two
)

// maxRPMPath is the longest path in bytes, as the kernel has it.
const maxRPMPath = 4096

// Files yields the package's files, folders and links in the header's order until yield
// returns false. The error says what about the lists is wrong; files before it were yielded.
func (h RPMHeader) Files(yield func(RPMFile) bool) error {
	paths, err := h.paths()
	if err != nil {
		return err
	}
	count := paths.count()
	modes, modesOK := h.fileInts(rpmTagFileModes, count)
	flags, flagsOK := h.fileInts(rpmTagFileFlags, count)
	verify, verifyOK := h.fileInts(rpmTagFileVerifyFlags, count)
	states, statesOK := h.fileInts(rpmTagFileStates, count)
	users, usersOK := h.fileStrings(rpmTagFileUserName, count)
	groups, groupsOK := h.fileStrings(rpmTagFileGroupName, count)
	digests, digestsOK := h.fileStrings(rpmTagFileDigests, count)
	caps, capsOK := h.fileStrings(rpmTagFileCaps, count)
	if !(modesOK && flagsOK && verifyOK && statesOK && usersOK && groupsOK && digestsOK && capsOK) {
		return &Error{Msg: fmt.Sprintf("rpm header: a list about files has not one value for each of %d", count)}
	}
	file := RPMFile{DigestAlgo: RPMDigestMD5, Verify: ^uint32(0)}
	if a := h.ints(rpmTagFileDigestAlgo); a.count > 0 {
		file.DigestAlgo = int(a.at(0))
	}
	var digest [64]byte
	for i := range count {
		if file.Path, err = paths.next(i); err != nil {
			return err
		}
		file.Mode = uint16(modes.or(i, 0))
		file.Flags = uint32(flags.or(i, 0))
		file.Verify = uint32(verify.or(i, 0xffffffff))
		file.State = uint8(states.or(i, 0))
		file.User = nextSame(&users, file.User)
		file.Group = nextSame(&groups, file.Group)
		file.Digest = nil
		if b, _ := digests.next(); len(b) > 0 && len(b) <= 2*len(digest) {
			if n, err := hex.Decode(digest[:], b); err == nil {
				file.Digest = digest[:n]
			}
		}
		b, _ := caps.next()
		file.Caps = string(b)
		if !yield(file) {
			return nil
		}
	}
	return nil
}

// nextSame returns the next string, and the one before it again when they are equal: owners
// seldom change from file to file.
func nextSame(s *rpmStrings, before string) string {
	b, _ := s.next()
	if string(b) == before {
		return before
	}
	return string(b)
}

// fileInts returns a list that must have one number a file, or none.
func (h RPMHeader) fileInts(tag uint32, files int) (rpmInts, bool) {
	a := h.ints(tag)
	return a, a.count == 0 || a.count == files
}

// fileStrings returns a list that must have one string a file, or none.
func (h RPMHeader) fileStrings(tag uint32, files int) (rpmStrings, bool) {
	s := h.strings(tag)
	return s, s.count == 0 || s.count == files
}

// or is at for a list that may be absent.
func (a rpmInts) or(i int, absent uint64) uint64 {
	if a.count == 0 {
		return absent
	}
	return a.at(i)
}

// rpmPaths joins a header's file names, which are base names with the numbers of their
// folders, or whole names in headers written before rpm 4.
type rpmPaths struct {
	names   rpmStrings
	dirs    []string
	indexes rpmInts
	whole   bool
	room    int // bytes of paths that the header can honestly stand for
	buf     []byte
}

func (h RPMHeader) paths() (*rpmPaths, error) {
	p := &rpmPaths{names: h.strings(rpmTagBaseNames), room: 16*len(h.data) + maxRPMPath}
	if p.names.count == 0 {
		p.names, p.whole = h.strings(rpmTagOldFileNames), true
		return p, nil
	}
	p.indexes = h.ints(rpmTagDirIndexes)
	if p.indexes.count != p.names.count {
		return nil, &Error{Msg: fmt.Sprintf("rpm header: %d file names with %d folder numbers", p.names.count, p.indexes.count)}
	}
	dirs := h.strings(rpmTagDirNames)
	for {
		d, ok := dirs.next()
		if !ok {
			return p, nil
		}
		p.dirs = append(p.dirs, string(d))
	}
}

func (p *rpmPaths) count() int { return p.names.count }

// next returns the path of file i, valid until the next call; calls go from 0 upwards.
func (p *rpmPaths) next(i int) ([]byte, error) {
	base, ok := p.names.next()
	if !ok {
		return nil, &Error{Msg: fmt.Sprintf("rpm header: the names end at file %d", i)}
	}
	dir := ""
	if !p.whole {
		d := p.indexes.at(i)
		if d >= uint64(len(p.dirs)) {
			return nil, &Error{Msg: fmt.Sprintf("rpm header: file %d is in folder %d of %d", i, d, len(p.dirs))}
		}
		dir = p.dirs[d]
	}
	n := len(dir) + len(base)
	if p.room -= n; n > maxRPMPath || p.room < 0 {
		return nil, &Error{Msg: fmt.Sprintf("rpm header: the path of file %d is too long, or all together are", i)}
	}
	p.buf = append(append(p.buf[:0], dir...), base...)
	return p.buf, nil
}
