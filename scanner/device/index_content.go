package device

import (
	"bytes"
	"io"

	"picket/scanner"
)

// bytesFile is a file whose content is in memory. Its size may be claimed to be another.
type bytesFile struct {
	bytes.Reader
	all  []byte
	size int64
}

func newBytesFile(b []byte, size int64) *bytesFile {
	f := &bytesFile{all: b, size: size}
	f.Reset(b)
	return f
}

// part gives bytes of the content without copying them; what lies outside of it is left off.
func (f *bytesFile) part(off, size int64) []byte {
	n := int64(len(f.all))
	off = min(max(off, 0), n)
	end := min(max(off+size, off), n)
	return f.all[off:end:end]
}

func (f *bytesFile) Size() int64  { return f.size }
func (f *bytesFile) Close() error { return nil }

// readerAtSource finds content at its offset in an uncompressed archive.
type readerAtSource struct{ r io.ReaderAt }

func (s readerAtSource) file(off, size int64) (scanner.File, error) {
	return sectionFile{io.NewSectionReader(s.r, off, size)}, nil
}

type sectionFile struct{ *io.SectionReader }

func (sectionFile) Close() error { return nil }

// bytesSource finds content by its number in a list.
type bytesSource [][]byte

func (s bytesSource) file(off, size int64) (scanner.File, error) {
	return newBytesFile(s[off], size), nil
}
