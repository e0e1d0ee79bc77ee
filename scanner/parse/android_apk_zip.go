package parse

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	zipLocalLen     = 30
	zipCentralLen   = 46
	zipEndLen       = 22
	zipMaxComment   = 1<<16 - 1
	zipStored       = 0
	zipDeflated     = 8
	maxZipDirectory = 16 << 20
	maxAPKProblems  = 32
)

// APKEntry is one file of an APK, as its central directory has it.
type APKEntry struct {
	Name             string
	Method           uint16 // 0 stored, 8 deflated; Android takes any other for stored when it maps an asset
	CompressedSize   int64
	UncompressedSize int64 // as claimed; reading stops there
	flags            uint16
	crc              uint32
	header           int64 // offset of its local header
}

// apkZip is the ZIP container of an APK, read by the rules of Android's libziparchive: the
// central directory alone says what there is.
type apkZip struct {
	r         io.ReaderAt
	size      int64
	directory int64  // offset of the central directory
	end       int64  // offset of the end record
	eocd      []byte // the end record with its comment
	entries   []APKEntry
	index     map[string]int // name to entry; the first of several
	problems  apkProblems
}

// apkProblems gathers what is wrong with an APK though it could be read.
type apkProblems struct {
	list []string
	more int
}

func (p *apkProblems) add(format string, args ...any) {
	if len(p.list) >= maxAPKProblems {
		p.more++
		return
	}
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

func (p *apkProblems) texts() []string {
	if p.more == 0 {
		return p.list
	}
	return append(p.list[:len(p.list):len(p.list)], fmt.Sprintf("%d more problems", p.more))
}

// readFullAt reads exactly n bytes at off; n has been held against a limit by the caller.
func readFullAt(r io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, off, int64(n)), b); err != nil {
		return nil, fmt.Errorf("%w: %d bytes at offset %d: %w", errReading, n, off, err)
	}
	return b, nil
}

func openAPKZip(r io.ReaderAt, size int64) (*apkZip, error) {
	z := &apkZip{r: r, size: size, index: map[string]int{}}
	if err := z.findEnd(); err != nil {
		return nil, err
	}
	return z, z.readDirectory()
}

// findEnd looks for the end record whose comment reaches exactly to the end of the file, from
// the end backwards. An end record's mark inside that comment stops libziparchive, which takes
// the last one there is, but not the reader of the signing block.
func (z *apkZip) findEnd() error {
	tail := min(z.size, zipEndLen+zipMaxComment)
	if tail < zipEndLen {
		return &Error{Offset: 0, Msg: fmt.Sprintf("%d bytes are no ZIP file", z.size)}
	}
	b, err := readFullAt(z.r, z.size-tail, int(tail))
	if err != nil {
		return err
	}
	for i := len(b) - zipEndLen; i >= 0; i-- {
		if !bytes.HasPrefix(b[i:], []byte("PK\x05\x06")) {
			continue
		}
		if int(binary.LittleEndian.Uint16(b[i+20:])) != len(b)-i-zipEndLen {
			z.problems.add("offset %d: end of central directory whose comment does not end the file", z.size-tail+int64(i))
			continue
		}
		z.end, z.eocd = z.size-tail+int64(i), bytes.Clone(b[i:])
		return nil
	}
	return &Error{Offset: z.size - tail, Msg: "no end of a ZIP central directory"}
}

func (z *apkZip) readDirectory() error {
	count := int(binary.LittleEndian.Uint16(z.eocd[10:]))
	size := int64(binary.LittleEndian.Uint32(z.eocd[12:]))
	z.directory = int64(binary.LittleEndian.Uint32(z.eocd[16:]))
	if binary.LittleEndian.Uint16(z.eocd[8:]) != uint16(count) || z.eocd[4]|z.eocd[5]|z.eocd[6]|z.eocd[7] != 0 {
		return &Error{Offset: z.end, Msg: "ZIP file in several parts"}
	}
	if z.directory == 1<<32-1 || size == 1<<32-1 {
		return &Error{Offset: z.end, Msg: "ZIP64, which APKs may not be"}
	}
	if z.directory+size > z.end || size > maxZipDirectory {
		return &Error{Offset: z.end, Msg: fmt.Sprintf("central directory of %d bytes at %d does not fit before its end at %d", size, z.directory, z.end)}
	}
	if z.directory+size != z.end {
		z.problems.add("offset %d: %d bytes between central directory and its end", z.directory+size, z.end-z.directory-size)
	}
	b, err := readFullAt(z.r, z.directory, int(size))
	if err != nil {
		return fmt.Errorf("reading the central directory: %w", err)
	}
	for i := range count {
		at := size - int64(len(b))
		if len(b) < zipCentralLen || !bytes.HasPrefix(b, []byte("PK\x01\x02")) {
			return &Error{Offset: z.directory + at, Msg: fmt.Sprintf("no central directory entry, though %d of %d are missing", count-i, count)}
		}
		name := int(binary.LittleEndian.Uint16(b[28:]))
		whole := zipCentralLen + name + int(binary.LittleEndian.Uint16(b[30:])) + int(binary.LittleEndian.Uint16(b[32:]))
		if whole > len(b) {
			return &Error{Offset: z.directory + at, Msg: "central directory entry is cut off"}
		}
		z.addEntry(APKEntry{
			Name:             string(b[zipCentralLen : zipCentralLen+name]),
			Method:           binary.LittleEndian.Uint16(b[10:]),
			CompressedSize:   int64(binary.LittleEndian.Uint32(b[20:])),
			UncompressedSize: int64(binary.LittleEndian.Uint32(b[24:])),
			flags:            binary.LittleEndian.Uint16(b[8:]),
			crc:              binary.LittleEndian.Uint32(b[16:]),
			header:           int64(binary.LittleEndian.Uint32(b[42:])),
		})
		b = b[whole:]
	}
	if len(b) > 0 {
		z.problems.add("offset %d: %d bytes after the last entry of the central directory", z.directory+size-int64(len(b)), len(b))
	}
	return nil
}

func (z *apkZip) addEntry(e APKEntry) {
	i := len(z.entries)
	z.entries = append(z.entries, e)
	switch first, twice := z.index[e.Name]; {
	case twice:
		z.problems.add("%q: entries %d and %d have this name", quotable(e.Name), first, i)
	default:
		z.index[e.Name] = i
	}
	switch {
	case e.Name == "" || strings.IndexByte(e.Name, 0) >= 0 || !utf8.ValidString(e.Name):
		z.problems.add("%q: not a name that Android accepts", quotable(e.Name))
	case climbs(e.Name):
		z.problems.add("%q: name leads out of the archive", quotable(e.Name))
	}
	if e.Method != zipStored && e.Method != zipDeflated {
		z.problems.add("%q: compression method %d, which Android takes for none", quotable(e.Name), e.Method)
	}
	if e.flags&1 != 0 {
		z.problems.add("%q: marked as encrypted, which Android ignores", quotable(e.Name))
	}
	if e.header >= z.directory {
		z.problems.add("%q: local header at %d, beyond the files' part", quotable(e.Name), e.header)
	}
}

// climbs says whether a path has a ".." part or begins at the root.
func climbs(name string) bool {
	if strings.HasPrefix(name, "/") {
		return true
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(name, `\`, "/"), "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// zipLie is how a local header contradicts the central directory; readers that go by it are
// led astray. Android refuses to read the entry when it is fatal.
type zipLie struct {
	text  string
	fatal bool
}

// data finds where an entry's content begins; lie has no text when the headers agree.
func (z *apkZip) data(e *APKEntry) (start int64, lie zipLie, err error) {
	if e.header > z.directory-zipLocalLen {
		return 0, lie, &Error{Offset: e.header, Msg: fmt.Sprintf("%q: local header beyond the files' part", quotable(e.Name))}
	}
	head, err := readFullAt(z.r, e.header, zipLocalLen)
	if err != nil {
		return 0, lie, err
	}
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return 0, lie, &Error{Offset: e.header, Msg: fmt.Sprintf("%q: no local header", quotable(e.Name))}
	}
	nameLen := int(binary.LittleEndian.Uint16(head[26:]))
	start = e.header + zipLocalLen + int64(nameLen) + int64(binary.LittleEndian.Uint16(head[28:]))
	if length := e.stored(); start > z.directory || length > z.directory-start {
		return 0, lie, &Error{Offset: e.header, Msg: fmt.Sprintf("%q: %d bytes at %d do not fit before the central directory", quotable(e.Name), length, start)}
	}
	name, err := readFullAt(z.r, e.header+zipLocalLen, nameLen)
	if err != nil {
		return 0, lie, err
	}
	lie = e.compare(head, string(name))
	return start, lie, nil
}

// compare holds the local header against the entry, as libziparchive does.
func (e *APKEntry) compare(head []byte, name string) zipLie {
	flags, method := binary.LittleEndian.Uint16(head[6:]), binary.LittleEndian.Uint16(head[8:])
	described := flags&8 != 0 // sizes and checksum follow the content
	switch {
	case name != e.Name:
		return zipLie{fmt.Sprintf("%q: its local header has the name %q; Android does not read it", quotable(e.Name), quotable(name)), true}
	case !described && (binary.LittleEndian.Uint32(head[14:]) != e.crc ||
		int64(binary.LittleEndian.Uint32(head[18:])) != e.CompressedSize || int64(binary.LittleEndian.Uint32(head[22:])) != e.UncompressedSize):
		return zipLie{fmt.Sprintf("%q: local header and central directory have other sizes or checksums; Android does not read it", quotable(e.Name)), true}
	case method != e.Method:
		return zipLie{fmt.Sprintf("%q: local header has method %d, central directory %d", quotable(e.Name), method, e.Method), false}
	case (flags^e.flags)&1 != 0:
		return zipLie{fmt.Sprintf("%q: marked as encrypted in one of its two headers", quotable(e.Name)), false}
	}
	return zipLie{}
}

// stored is how many bytes of the file the entry takes, as Android reads it.
func (e *APKEntry) stored() int64 {
	if e.Method == zipDeflated {
		return e.CompressedSize
	}
	return e.UncompressedSize
}

// errInflated ends an entry that is longer than its directory entry says.
var errInflated = errors.New("content is longer than the central directory says")

// apkInflater reads entries one after another with the same buffers.
type apkInflater struct{ flate io.ReadCloser }

// open gives the content of an entry, exactly as long as it claims to be or with an error.
func (f *apkInflater) open(z *apkZip, e *APKEntry, start int64) (io.Reader, error) {
	raw := io.NewSectionReader(z.r, start, e.stored())
	if e.Method != zipDeflated {
		return raw, nil
	}
	if f.flate == nil {
		f.flate = flate.NewReader(raw)
	} else if err := f.flate.(flate.Resetter).Reset(raw, nil); err != nil {
		return nil, err
	}
	return &exactReader{r: f.flate, left: e.UncompressedSize}, nil
}

// exactReader fails when r ends before left bytes or goes on after them.
type exactReader struct {
	r    io.Reader
	left int64
}

func (x *exactReader) Read(b []byte) (int, error) {
	if x.left == 0 {
		var one [1]byte
		if n, err := io.ReadFull(x.r, one[:]); n != 0 {
			return 0, errInflated
		} else {
			return 0, err // io.EOF when all is well
		}
	}
	n, err := x.r.Read(b[:min(int64(len(b)), x.left)])
	x.left -= int64(n)
	if err == io.EOF && x.left > 0 {
		return n, io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil // said by the next call
	}
	return n, err
}

// read gives the whole content of the entry of that name, up to limit bytes.
func (z *apkZip) read(name string, limit int64) ([]byte, error) {
	i, ok := z.index[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errNoEntry)
	}
	e := &z.entries[i]
	if e.UncompressedSize > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, more than the %d that are read", name, errSkipped, e.UncompressedSize, limit)
	}
	start, _, err := z.data(e)
	if err != nil {
		return nil, err
	}
	var f apkInflater
	r, err := f.open(z, e, start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// No deflated byte becomes more than 1032, whatever the entry claims.
	b := bytes.NewBuffer(make([]byte, 0, min(e.UncompressedSize, 1032*e.stored())+bytes.MinRead))
	if _, err := b.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, inflating(err))
	}
	return b.Bytes(), nil
}

// inflating tells damaged content from content that could not be read.
func inflating(err error) error {
	var damaged flate.CorruptInputError
	if errors.As(err, &damaged) || errors.Is(err, errInflated) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("inflating: %w", err)
	}
	return fmt.Errorf("%w: %w", errReading, err)
}

var errNoEntry = errors.New("no such file in the APK")

// quotable shortens a hostile text for a message.
func quotable(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
