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
	b := newBuilder()
	var errs []error
	for _, p := range paths {
		lists, failed := len(b.x.lists), len(errs)
		files, err := listFiles(p)
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
		if len(b.x.lists) == lists && len(errs) == failed {
			errs = append(errs, fmt.Errorf("%s: %w", p, errNone))
		}
	}
	return b.finish(), errors.Join(errs...)
}

// file is one to read.
type file struct {
	path  string
	name  string // of its list
	named bool   // given by itself, not found in a folder
}

// listFiles gives the file, or the files of a folder in the order of their names. Links to
// folders are not followed.
func listFiles(root string) ([]file, error) {
	st, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a folder", root)
	default:
		return []file{{root, filepath.Base(root), true}}, nil
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
	h, err := os.Open(f.path)
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
	licence, err := beside(f.path)
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

// beside reads the licence of a list from NAME.licence beside it: the first line. "" when there is
// no such file.
func beside(p string) (string, error) {
	h, err := os.Open(p + ".licence")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer h.Close()
	if st, err := h.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s.licence is no regular file", p)
	}
	src, err := io.ReadAll(io.LimitReader(h, 4096))
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(src)), "\n")
	return clip(strings.TrimSpace(first), 200), nil
}
