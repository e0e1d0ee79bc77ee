// Package indicators reads public lists of indicators of compromise (STIX bundles, Echap's
// stalkerware lists) into one index and matches what a device shows with it. docs/indicators.md
// tells the formats and what is matched how.
package indicators

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"picket/scanner"
)

const (
	maxSTIX  = 256 << 20 // bytes of a bundle; it is streamed
	maxCSV   = 64 << 20  // bytes of a CSV or hosts file
	maxYAML  = 4 << 20   // bytes of a YAML file
	maxFiles = 10_000    // in all folders together
)

var errNone = errors.New("no list of indicators found")

// Load reads lists: files, and folders with everything below them. A file that is named must be
// a list; in a folder what is well formed and no list is skipped (Index.Skipped). The index holds
// all that could be read, even when the error names files that could not.
func Load(paths ...string) (*Index, error) {
	return LoadWith(nil, "", paths...)
}

// LoadWith reads the lists in a tree that is called name, and then those of paths, as Load does.
// A nil tree has none.
func LoadWith(tree fs.FS, name string, paths ...string) (*Index, error) {
	b := newBuilder()
	var errs []error
	if tree != nil {
		errs = b.files(name, func() ([]file, error) { return treeFiles(tree, name) })
	}
	for _, p := range paths {
		errs = append(errs, b.files(p, func() ([]file, error) { return listFiles(p) })...)
	}
	return b.finish(), errors.Join(errs...)
}

// files adds the lists of one place, of which there must be one at least.
func (b *builder) files(place string, list func() ([]file, error)) (errs []error) {
	lists := len(b.x.lists)
	files, err := list()
	if err != nil {
		errs = append(errs, err)
	}
	for _, f := range files {
		err := b.file(f)
		switch {
		case errors.Is(err, errOtherFormat) && !f.named:
			b.x.skipped = append(b.x.skipped, f.path)
		case err != nil:
			errs = append(errs, fmt.Errorf("reading indicators from %s: %w", f.path, err))
		}
	}
	if len(b.x.lists) == lists && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: %w", place, errNone))
	}
	return errs
}

// file is one to read.
type file struct {
	path  string
	name  string // of its list
	named bool   // given by itself, not found in a folder
	tree  fs.FS  // that name is in; nil for a path of this system
}

// open opens the file, or one beside it whose name is longer by a suffix.
func (f file) open(suffix string) (fs.File, error) {
	if f.tree != nil {
		return f.tree.Open(f.name + suffix)
	}
	return os.Open(f.path + suffix)
}

// treeFiles gives the files of a tree in the order of their names.
func treeFiles(tree fs.FS, place string) ([]file, error) {
	var files []file
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() || formatOf(p) == "" || !d.Type().IsRegular():
			return nil
		case len(files) == maxFiles:
			return fmt.Errorf("%s: more than %d files", place, maxFiles)
		}
		files = append(files, file{path: place + "/" + p, name: p, tree: tree})
		return nil
	})
	return files, err
}

// listFiles gives the file, or the files of a folder in the order of their names. Links to
// folders are not followed.
func listFiles(root string) ([]file, error) {
	st, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("reading indicators: %w", err)
	}
	switch {
	case st.IsDir():
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a folder", root)
	default:
		return []file{{path: root, name: filepath.Base(root), named: true}}, nil
	}
	var files []file
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || formatOf(p) == "":
			return nil
		case len(files) == maxFiles:
			return fmt.Errorf("%s: more than %d files", root, maxFiles)
		}
		if st, err := os.Stat(p); err != nil {
			return err
		} else if !st.Mode().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, file{path: p, name: filepath.ToSlash(rel)})
		return err
	})
	return files, err
}

// formatOf guesses a file's format from its name; "" is none of them.
func formatOf(p string) string {
	base := strings.ToLower(filepath.Base(p))
	switch filepath.Ext(base) {
	case ".json", ".stix", ".stix2":
		return "stix"
	case ".yaml", ".yml":
		return "echap"
	case ".csv":
		return "csv"
	case ".txt", ".hosts":
		return "hosts"
	}
	if base == "hosts" || base == "hosts_full" {
		return "hosts"
	}
	return ""
}

// file adds one list.
func (b *builder) file(f file) error {
	format := formatOf(f.path)
	if format == "" {
		return fmt.Errorf("%w: its name ends in none of .json, .stix2, .yaml, .csv, .txt, .hosts", errOtherFormat)
	}
	if len(b.x.lists) == math.MaxUint16 {
		return errors.New("too many lists")
	}
	h, err := f.open("")
	if err != nil {
		return err
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil {
		return err
	}
	limit := map[string]int64{"stix": maxSTIX, "echap": maxYAML, "csv": maxCSV, "hosts": maxCSV}[format]
	if !st.Mode().IsRegular() || st.Size() > limit {
		return fmt.Errorf("no regular file of at most %d bytes", limit)
	}
	licence, err := f.licence()
	if err != nil {
		return err
	}
	return b.load(List{Name: f.name, File: f.path, Format: format, Licence: licence}, io.LimitReader(h, limit))
}

// load adds the list that r gives. When it fails nothing of the list is kept.
func (b *builder) load(list List, r io.Reader) error {
	list.Entries, list.Troubles = map[scanner.IndicatorKind]int{}, map[Trouble]int{}
	number, start, size := uint16(len(b.x.lists)), len(b.x.entries), len(b.x.bytes)
	br := bufio.NewReaderSize(r, 64<<10)
	if mark, _ := br.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		if _, err := br.Discard(3); err != nil {
			return err
		}
	}
	err := b.read(&list, number, br)
	if err != nil {
		b.x.entries, b.x.bytes = b.x.entries[:start], b.x.bytes[:size]
		return err
	}
	b.x.lists = append(b.x.lists, list)
	return nil
}

func (b *builder) read(list *List, number uint16, r io.Reader) error {
	if list.Format == "stix" {
		return loadSTIX(b, list, number, r)
	}
	src, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if list.Licence == "" {
		list.Licence = header(src, "SPDX-License-Identifier")
	}
	switch list.Format {
	case "echap":
		return loadEchap(b, list, number, src)
	case "csv":
		return loadCSV(b, list, number, src)
	}
	return loadHosts(b, list, number, src)
}

// licence reads the licence of a list from NAME.licence beside it: the first line. "" when there is
// no such file.
func (f file) licence() (string, error) {
	h, err := f.open(".licence")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer h.Close()
	if st, err := h.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s.licence is no regular file", f.path)
	}
	src, err := io.ReadAll(io.LimitReader(h, 4096))
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(src)), "\n")
	return clip(strings.TrimSpace(first), 200), nil
}
