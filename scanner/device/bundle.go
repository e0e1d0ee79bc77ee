package device

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"picket/scanner"
)

const (
	maxBundleFiles = 200_000  // of one folder or zip archive that holds an acquisition
	maxBundleDepth = 12       // folders inside each other
	maxUnpacked    = 64 << 20 // bytes of a compressed file that has to be held in memory whole
)

// bundle is a set of files that was taken from a device: a folder, a zip archive or one file.
type bundle struct {
	name  string // of the container, for people
	files []bundleFile
	notes noteList
}

// bundleFile is one file of a bundle.
type bundleFile struct {
	name  string // relative and clean
	size  int64
	mtime time.Time
	// open reads it from its start. What it gives is a scanner.File where the container allows
	// reading at any place.
	open func() (io.ReadCloser, error)
}

// bytes reads a file that must be held whole.
func (f *bundleFile) bytes(limit int64) ([]byte, error) {
	if f.size > limit {
		return nil, fmt.Errorf("%s: %w", f.name, &scanner.TooLargeError{Size: f.size, Limit: limit})
	}
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := readUpTo(r, f.size, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return b, nil
}

// readUpTo reads all, size bytes as far as is known, and refuses more than limit.
func readUpTo(r io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(size, 0), limit)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, &scanner.TooLargeError{Size: int64(b.Len()), Limit: limit}
	}
	return b.Bytes(), nil
}

// head gives a file's first bytes.
func (f *bundleFile) head(n int) []byte {
	r, err := f.open()
	if err != nil {
		return nil
	}
	defer r.Close()
	b := make([]byte, n)
	n, _ = io.ReadFull(r, b)
	return b[:n]
}

// random gives a file to read at any place; a compressed one is unpacked in memory.
func (f *bundleFile) random() (scanner.File, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	if file, ok := r.(scanner.File); ok {
		return file, nil
	}
	defer r.Close()
	b, err := readUpTo(r, f.size, maxUnpacked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return newBytesFile(b, int64(len(b))), nil
}

// zipBundle lists a zip archive. Names that lead out of it, and more of the same name, are left out.
func zipBundle(f io.ReaderAt, name string, size int64) (*bundle, error) {
	z, err := readZipDirectory(f, size)
	if err != nil {
		return nil, err
	}
	b := &bundle{name: name}
	seen := map[string]bool{}
	for _, e := range z.File {
		clean, outside := cleanName(e.Name)
		switch {
		case outside:
			b.notes.add("names that lead out of the archive are left out", e.Name)
			continue
		case clean == "" || e.Mode()&fs.ModeType != 0 || strings.HasSuffix(e.Name, "/"):
			continue
		case seen[clean]:
			b.notes.add("of several files of one name the first is read", e.Name)
			continue
		case len(b.files) >= maxBundleFiles:
			b.notes.add(fmt.Sprintf("more than %d files; the rest is left out", maxBundleFiles), e.Name)
			return b.sorted(), nil
		}
		seen[clean] = true
		b.files = append(b.files, bundleFile{name: clean, size: int64(min(e.UncompressedSize64, 1<<62)), mtime: e.Modified, open: openZipEntry(f, size, e)})
	}
	return b.sorted(), nil
}

// openZipEntry opens an entry of an archive of size bytes: for reading at any place where it is
// stored as it is.
func openZipEntry(f io.ReaderAt, size int64, e *zip.File) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if e.Method == zip.Store && e.CompressedSize64 == e.UncompressedSize64 {
			off, err := e.DataOffset()
			if err != nil {
				return nil, fmt.Errorf("zip: %s: %w", e.Name, err)
			}
			if off > size || e.UncompressedSize64 > uint64(size-off) {
				return nil, fmt.Errorf("zip: %s: %d bytes at %d of %d", e.Name, e.UncompressedSize64, off, size)
			}
			return sectionFile{io.NewSectionReader(f, off, int64(e.UncompressedSize64))}, nil
		}
		r, err := e.Open()
		if err != nil {
			return nil, fmt.Errorf("zip: %s: %w", e.Name, err)
		}
		return r, nil
	}
}

// folderBundle lists a folder. Links inside are not followed: an acquisition has none.
func folderBundle(fsys scanner.FS, name string) (*bundle, error) {
	b := &bundle{name: name}
	if err := b.addFolder(fsys, "", 0); err != nil {
		return nil, err
	}
	return b.sorted(), nil
}

var errTooManyFiles = fmt.Errorf("more than %d files", maxBundleFiles)

func (b *bundle) addFolder(fsys scanner.FS, dir string, depth int) error {
	entries, err := fsys.ReadDir("/" + dir)
	if err != nil {
		if dir == "" {
			return err
		}
		b.notes.add("folders that could not be listed: "+scanner.Reason(err), dir)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Mode.IsDir() && depth >= maxBundleDepth:
			b.notes.add(fmt.Sprintf("folders more than %d deep are left out", maxBundleDepth), name)
		case e.Mode.IsDir():
			if err := b.addFolder(fsys, name, depth+1); err != nil {
				return err
			}
		case e.Mode.IsRegular() && len(b.files) >= maxBundleFiles:
			return errTooManyFiles
		case e.Mode.IsRegular():
			b.files = append(b.files, bundleFile{name: name, size: e.Size, mtime: e.ModTime, open: func() (io.ReadCloser, error) { return fsys.Open("/" + name) }})
		}
	}
	return nil
}

// fileBundle is one file on its own.
func fileBundle(f io.ReaderAt, name string, size int64) *bundle {
	return &bundle{name: name, files: []bundleFile{{name: name, size: size, open: func() (io.ReadCloser, error) {
		return sectionFile{io.NewSectionReader(f, 0, size)}, nil
	}}}}
}

func (b *bundle) sorted() *bundle {
	slices.SortFunc(b.files, func(x, y bundleFile) int { return strings.Compare(x.name, y.name) })
	return b
}

// below gives the files below a folder, with names relative to it.
func (b *bundle) below(dir string) *bundle {
	if dir == "" {
		return b
	}
	out := &bundle{name: b.name}
	for _, f := range b.files {
		if rest, ok := strings.CutPrefix(f.name, dir+"/"); ok {
			f.name = rest
			out.files = append(out.files, f)
		}
	}
	return out
}

// get finds a file by its name, of any case.
func (b *bundle) get(names ...string) *bundleFile {
	for _, n := range names {
		for i := range b.files {
			if strings.EqualFold(b.files[i].name, n) {
				return &b.files[i]
			}
		}
	}
	return nil
}

// matching gives the files whose names match a pattern (path.Match), of any case.
func (b *bundle) matching(pattern string) []*bundleFile {
	var out []*bundleFile
	for i := range b.files {
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(b.files[i].name)); ok && err == nil {
			out = append(out, &b.files[i])
		}
	}
	return out
}

// file makes a bundle a source of content of an index: a file's number is its offset.
func (b *bundle) file(off, _ int64) (scanner.File, error) {
	f, err := b.files[off].random()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", scanner.ErrUnavailable, err)
	}
	return f, nil
}
