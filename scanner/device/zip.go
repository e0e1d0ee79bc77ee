package device

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sync/atomic"

	"github.com/klauspost/compress/flate"

	"picket/scanner"
)

const (
	maxZipDirectory = 48 << 20 // bytes; an entry takes 46 and its name, and 400 in memory
	maxZipFile      = 64 << 20 // bytes of one file, which is unpacked in memory when opened
)

// isZip tells whether a file starts as a zip archive, an empty one included.
func isZip(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// openZip opens a zip archive of a root filesystem.
func openZip(f io.ReaderAt, name string, size int64, opt OpenOptions) (*recorded, error) {
	z, err := readZipDirectory(f, size)
	if err != nil {
		return nil, err
	}
	x := newIndex()
	source, err := x.addSource(zipSource(z.File))
	if err != nil {
		return nil, err
	}
	why := ""
	for n, f := range z.File {
		lost, err := x.addZip(f, source|uint64(n))
		if errors.Is(err, errIndexFull) {
			x.incomplete = err
			x.notes.add(err.Error(), f.Name)
			break
		}
		if err != nil {
			return nil, fmt.Errorf("zip: %s: %w", f.Name, err)
		}
		if lost != "" {
			why = lost
		}
	}
	where, err := x.chooseTop(opt.Root)
	if err != nil {
		return nil, err
	}
	if !hasRootMark(newFS(x)) {
		return nil, nothingRecognised("the zip archive holds no root filesystem")
	}
	d := x.device("zip", "zip "+filepath.Base(name))
	d.startsAt(where)
	if why != "" {
		d.identity.ModesUntrusted = why
	}
	return d, nil
}

// readZipDirectory lists what a zip archive holds.
func readZipDirectory(f io.ReaderAt, size int64) (*zip.Reader, error) {
	budget := &zipBudget{ReaderAt: f}
	budget.left.Store(maxZipDirectory)
	z, err := zip.NewReader(budget, size)
	budget.left.Store(math.MaxInt64)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("zip: %w", err)
	}
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) }) // twice as fast
	return z, nil
}

// addZip puts one file in the index. It tells what the archive does not say of it.
func (x *index) addZip(f *zip.File, where uint64) (lost string, err error) {
	e := entry{name: f.Name, size: int64(f.UncompressedSize64), mtime: f.Modified, where: where}
	if f.UncompressedSize64 > 1<<62 {
		return "", errors.New("size is out of range")
	}
	const unix, darwin = 3, 19
	if by := f.CreatorVersion >> 8; by == unix || by == darwin {
		e.mode = uint16(f.ExternalAttrs >> 16)
	}
	switch e.mode & typeMask {
	case typeDir, typeReg, typeLink, typeFIFO, typeChar, typeBlock, typeSocket:
	default:
		lost = "the zip archive does not keep modes"
		e.mode = typeReg | 0o644
		if f.Mode().IsDir() {
			e.mode = typeDir | 0o755
		}
	}
	var ok bool
	if e.uid, e.gid, ok = zipOwner(f.Extra); !ok && lost == "" {
		lost = "the zip archive does not keep owners"
	}
	if e.mode&typeMask == typeLink {
		if f.UncompressedSize64 > maxLinkTo {
			x.notes.add(noteLongLink, f.Name)
			return lost, nil
		}
		b, err := readZip(f)
		if err != nil {
			return "", err
		}
		e.link = string(b)
	}
	return lost, x.add(&e)
}

// zipOwner reads Info-ZIP's extra field of owners: version 1, then a length and a
// little-endian number, twice.
func zipOwner(extra []byte) (uid, gid int64, ok bool) {
	const infoZipUnix = 0x7875
	for len(extra) >= 4 {
		tag, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if n > len(extra) {
			break
		}
		field := extra[:n]
		extra = extra[n:]
		if tag != infoZipUnix || n < 1 || field[0] != 1 {
			continue
		}
		ids, rest := [2]int64{}, field[1:]
		for i := range ids {
			if len(rest) == 0 || int(rest[0]) > min(8, len(rest)-1) {
				return -1, -1, false
			}
			n := int(rest[0])
			for k := n; k >= 1; k-- {
				ids[i] = ids[i]<<8 | int64(rest[k])
			}
			rest = rest[1+n:]
		}
		return ids[0], ids[1], true
	}
	return -1, -1, false
}

// zipBudget bounds how much archive/zip reads of an archive's directory, all of whose
// entries it keeps whatever number the archive claims.
type zipBudget struct {
	io.ReaderAt
	left atomic.Int64
}

func (b *zipBudget) ReadAt(p []byte, off int64) (int, error) {
	if b.left.Add(-int64(len(p))) < 0 {
		return 0, fmt.Errorf("directory of more than %d bytes", maxZipDirectory)
	}
	return b.ReaderAt.ReadAt(p, off)
}

// zipSource finds content by its number in the directory.
type zipSource []*zip.File

func (s zipSource) file(off, size int64) (scanner.File, error) {
	b, err := readZip(s[off])
	if err != nil {
		return nil, fmt.Errorf("%w: zip: %w", scanner.ErrUnavailable, err)
	}
	return newBytesFile(b, size), nil
}

// readZip unpacks one file. The size that the archive claims is not believed.
func readZip(f *zip.File) ([]byte, error) {
	if f.UncompressedSize64 > maxZipFile {
		return nil, &scanner.TooLargeError{Size: int64(f.UncompressedSize64), Limit: maxZipFile}
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxZipFile))
	if err != nil {
		return nil, err
	}
	return b, nil
}
