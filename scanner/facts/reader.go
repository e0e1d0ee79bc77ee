package facts

import (
	"errors"
	"io/fs"

	"picket/scanner"
)

// treeReader reads the files of one table. What is not there is passed over; what is there
// and cannot be read is noted in the table.
type treeReader struct {
	fs    scanner.FS
	table *scanner.Table
}

func newReader(in *scanner.Input, t *scanner.Table) *treeReader {
	return &treeReader{fs: in.Device.FS(), table: t}
}

// file gives a file's content, or nil when it is not there or cannot be read.
func (r *treeReader) file(name string) []byte { return r.upTo(name, maxSmallFile) }

// upTo is file for files of at most limit bytes. Directories that a pattern met are passed over.
func (r *treeReader) upTo(name string, limit int64) []byte {
	if i, err := r.fs.Stat(name); err != nil || i.Mode.IsDir() {
		r.note(err)
		return nil
	}
	b, err := scanner.ReadFile(r.fs, name, limit)
	r.note(err)
	return b
}

// glob lists the names that match the patterns.
func (r *treeReader) glob(patterns ...string) []string {
	var out []string
	for _, p := range patterns {
		names, err := scanner.Glob(r.fs, p)
		r.note(err)
		out = append(out, names...)
	}
	return out
}

// below lists the names that match a pattern inside each of dirs.
func (r *treeReader) below(dirs []string, pattern string) []string {
	var out []string
	for _, d := range dirs {
		out = append(out, r.glob(d+pattern)...)
	}
	return out
}

// exists reports whether any of the names is there, links followed.
func (r *treeReader) exists(names ...string) bool {
	for _, n := range names {
		_, err := r.fs.Stat(n)
		if err == nil {
			return true
		}
		r.note(err)
	}
	return false
}

// note adds what could not be read to the table's gaps, once.
func (r *treeReader) note(err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) || len(r.table.Partial) >= maxGaps {
		return
	}
	why := scanner.Reason(err)
	for _, p := range r.table.Partial {
		if p == why {
			return
		}
	}
	r.table.Partial = append(r.table.Partial, why)
}

const maxGaps = 20 // noted in one table
