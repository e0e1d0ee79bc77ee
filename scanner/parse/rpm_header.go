package parse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Tags of an rpm header (include/rpm/rpmtag.h of rpm).
const (
	rpmTagSigPGP          = 259
	rpmTagSigGPG          = 262
	rpmTagDSAHeader       = 267
	rpmTagRSAHeader       = 268
	rpmTagName            = 1000
	rpmTagVersion         = 1001
	rpmTagRelease         = 1002
	rpmTagEpoch           = 1003
	rpmTagSummary         = 1004
	rpmTagInstallTime     = 1008
	rpmTagSize            = 1009
	rpmTagVendor          = 1011
	rpmTagPackager        = 1015
	rpmTagArch            = 1022
	rpmTagOldFileNames    = 1027
	rpmTagFileStates      = 1029
	rpmTagFileModes       = 1030
	rpmTagFileDigests     = 1035
	rpmTagFileLinkTos     = 1036
	rpmTagFileFlags       = 1037
	rpmTagFileUserName    = 1039
	rpmTagFileGroupName   = 1040
	rpmTagSourceRPM       = 1044
	rpmTagFileVerifyFlags = 1045
	rpmTagDirIndexes      = 1116
	rpmTagBaseNames       = 1117
	rpmTagDirNames        = 1118
	rpmTagLongSize        = 5009
	rpmTagFileCaps        = 5010
	rpmTagFileDigestAlgo  = 5011
	rpmTagModularityLabel = 5096
)

// Types of a header's entries.
const (
	rpmChar        = 1
	rpmInt8        = 2
	rpmInt16       = 3
	rpmInt32       = 4
	rpmInt64       = 5
	rpmString      = 6
	rpmBinary      = 7
	rpmStringArray = 8
	rpmI18nString  = 9
)

const (
	rpmEntryLen   = 16
	maxRPMEntries = 1 << 16
)

// RPMHeader is a package's header as a database holds it. It refers to the bytes it was
// parsed from; what its methods return does not, where not said otherwise.
type RPMHeader struct {
	index []byte // entries of 16 bytes: tag, type, offset in data, count; big-endian
	data  []byte
}

// RPMPackage is what a header says of the package itself. Strings are empty when the header
// has none.
type RPMPackage struct {
	Name, Version, Release, Arch string
	Epoch                        string // digits
	Summary, Vendor, Packager    string
	SourceRPM                    string // file name of the source package
	Modularity                   string // NAME:STREAM:VERSION:CONTEXT of the module it came with
	Size                         int64  // bytes installed; -1 unknown
	InstallTime                  int64  // seconds since 1970; 0 unknown
	KeyID                        string // of the signing key: 16 hexadecimal digits
}

// ParseRPMHeader checks a header's index against its data. The blob is as databases store it:
// without the magic number that a package file has before it.
func ParseRPMHeader(blob []byte) (RPMHeader, error) {
	if len(blob) < 8 {
		return RPMHeader{}, &Error{Offset: 0, Msg: fmt.Sprintf("rpm header of %d bytes", len(blob))}
	}
	entries, size := int64(binary.BigEndian.Uint32(blob)), int64(binary.BigEndian.Uint32(blob[4:]))
	if entries == 0 || entries > maxRPMEntries || 8+entries*rpmEntryLen+size != int64(len(blob)) {
		return RPMHeader{}, &Error{Offset: 0, Msg: fmt.Sprintf("rpm header of %d bytes claims %d entries and %d bytes of data", len(blob), entries, size)}
	}
	dataStart := 8 + entries*rpmEntryLen
	h := RPMHeader{index: blob[8:dataStart], data: blob[dataStart:]}
	for i := 0; i < len(h.index); i += rpmEntryLen {
		if e := rpmEntryAt(h.index[i:]); !e.fits(len(h.data)) {
			return RPMHeader{}, &Error{Offset: int64(8 + i), Msg: fmt.Sprintf("rpm header: tag %d, type %d, claims %d values at %d of %d bytes", e.tag, e.kind, e.count, e.offset, len(h.data))}
		}
	}
	if h.first(rpmTagName) == nil || h.first(rpmTagVersion) == nil || h.first(rpmTagRelease) == nil {
		return RPMHeader{}, &Error{Offset: 0, Msg: "rpm header without name, version and release"}
	}
	return h, nil
}

// Package reads the tags about the package itself.
func (h RPMHeader) Package() RPMPackage {
	p := RPMPackage{
		Name:       h.text(rpmTagName),
		Version:    h.text(rpmTagVersion),
		Release:    h.text(rpmTagRelease),
		Arch:       h.text(rpmTagArch),
		Summary:    h.text(rpmTagSummary),
		Vendor:     h.text(rpmTagVendor),
		Packager:   h.text(rpmTagPackager),
		SourceRPM:  h.text(rpmTagSourceRPM),
		Modularity: h.text(rpmTagModularityLabel),
		Size:       -1,
	}
	if p.SourceRPM == "(none)" { // of public keys
		p.SourceRPM = ""
	}
	if e := h.ints(rpmTagEpoch); e.count > 0 {
		p.Epoch = strconv.FormatUint(e.at(0), 10)
	}
	if t := h.ints(rpmTagInstallTime); t.count > 0 {
		p.InstallTime = int64(t.at(0))
	}
	for _, tag := range [...]uint32{rpmTagLongSize, rpmTagSize} {
		if s := h.ints(tag); s.count > 0 && int64(s.at(0)) >= 0 {
			p.Size = int64(s.at(0))
			break
		}
	}
	for _, tag := range [...]uint32{rpmTagDSAHeader, rpmTagRSAHeader, rpmTagSigGPG, rpmTagSigPGP} {
		if e, ok := h.find(tag); ok && e.kind == rpmBinary {
			p.KeyID = signatureKeyID(h.data[e.offset : e.offset+e.count])
			break
		}
	}
	return p
}

// EVR is the version as rpm writes it: [epoch:]version-release.
func (p RPMPackage) EVR() string {
	s := p.Version + "-" + p.Release
	if p.Epoch != "" {
		s = p.Epoch + ":" + s
	}
	return s
}

// NVRA names the package as rpm -qa lists it: name-version-release.arch, without the
// architecture for the public keys that rpm keeps among its packages.
func (p RPMPackage) NVRA() string {
	s := p.Name + "-" + p.Version + "-" + p.Release
	if p.Arch != "" {
		s += "." + p.Arch
	}
	return s
}

// SourceName is the source package's name: SourceRPM without version, release and suffix.
func (p RPMPackage) SourceName() string {
	name := p.SourceRPM
	for range 2 {
		i := strings.LastIndexByte(name, '-')
		if i < 0 {
			return p.SourceRPM
		}
		name = name[:i]
	}
	return name
}

// rpmEntry is one entry of a header's index.
type rpmEntry struct {
	tag, kind     uint32
	offset, count int
}

func rpmEntryAt(b []byte) rpmEntry {
	return rpmEntry{
		tag:    binary.BigEndian.Uint32(b),
		kind:   binary.BigEndian.Uint32(b[4:]),
		offset: int(int32(binary.BigEndian.Uint32(b[8:]))),
		count:  int(int32(binary.BigEndian.Uint32(b[12:]))),
	}
}

// fits reports whether the entry's values can lie within size bytes of data.
func (e rpmEntry) fits(size int) bool {
	return e.kind <= rpmI18nString && e.offset >= 0 && e.offset <= size &&
		e.count >= 0 && e.count <= (size-e.offset)/max(1, e.width())
}

// width is the bytes of one value; of a string, the least it can have.
func (e rpmEntry) width() int {
	switch e.kind {
	case rpmInt16:
		return 2
	case rpmInt32:
		return 4
	case rpmInt64:
		return 8
	}
	return 1
}

// find returns the last entry of a tag: what rpm adds at installation (the folders of a
// relocated package) comes after what it replaces.
func (h RPMHeader) find(tag uint32) (rpmEntry, bool) {
	for i := len(h.index) - rpmEntryLen; i >= 0; i -= rpmEntryLen {
		if binary.BigEndian.Uint32(h.index[i:]) == tag {
			return rpmEntryAt(h.index[i:]), true
		}
	}
	return rpmEntry{}, false
}

// first returns a tag's first string as it lies in the header, nil when it has none.
func (h RPMHeader) first(tag uint32) []byte {
	s := h.strings(tag)
	b, _ := s.next()
	return b
}

func (h RPMHeader) text(tag uint32) string { return string(h.first(tag)) }

// strings returns a tag's strings.
func (h RPMHeader) strings(tag uint32) rpmStrings {
	e, ok := h.find(tag)
	if !ok || e.kind != rpmString && e.kind != rpmStringArray && e.kind != rpmI18nString {
		return rpmStrings{}
	}
	return rpmStrings{data: h.data[e.offset:], count: e.count}
}

// ints returns a tag's numbers.
func (h RPMHeader) ints(tag uint32) rpmInts {
	e, ok := h.find(tag)
	if !ok || e.kind < rpmChar || e.kind > rpmInt64 {
		return rpmInts{}
	}
	w := e.width()
	return rpmInts{data: h.data[e.offset : e.offset+e.count*w], width: w, count: e.count}
}

// rpmStrings reads strings that lie one after the other, each with a NUL behind it.
type rpmStrings struct {
	data  []byte
	count int // left
}

func (s *rpmStrings) next() ([]byte, bool) {
	if s.count <= 0 {
		return nil, false
	}
	i := bytes.IndexByte(s.data, 0)
	if i < 0 {
		s.count = 0
		return nil, false
	}
	b := s.data[:i:i]
	s.data = s.data[i+1:]
	s.count--
	return b, true
}

// rpmInts is an array of unsigned numbers.
type rpmInts struct {
	data         []byte
	width, count int
}

func (a rpmInts) at(i int) uint64 {
	b := a.data[i*a.width:]
	switch a.width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}
