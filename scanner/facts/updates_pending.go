package facts

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	maxPendingList  = 256 << 20 // bytes of one list, unpacked
	maxPendingNames = 10        // packages named
)

// pendingLists are what the managers last heard of newer packages: apt's of the suites that
// bring security updates alone, and opkg's, whose feeds within a release bring little else.
var pendingLists = []string{"/var/lib/apt/lists/*security*_Packages", "/var/opkg-lists/*"}

// packedLists are those that apt keeps compressed where it is told to, as in container images.
var packedLists = []string{"/var/lib/apt/lists/*security*_Packages.*"}

// pending counts the installed packages of which a fetched list has a newer version.
func (u *UpdateState) pending(in *scanner.Input, r *treeReader) {
	u.Pending = -1
	manager := map[string]string{"apt": "dpkg", "opkg": "opkg"}[u.Manager]
	if manager == "" {
		return
	}
	if packed := r.glob(packedLists...); len(packed) > 0 {
		u.MarkUnread("pending", packed[0]+" is compressed")
		return
	}
	var lists []string
	for _, name := range r.glob(pendingLists...) {
		if i, err := r.fs.Stat(name); err == nil && i.Mode.IsRegular() && !strings.HasSuffix(name, ".sig") && strings.HasPrefix(name, "/var/opkg-lists/") == (manager == "opkg") {
			lists = append(lists, name)
		}
	}
	if len(lists) == 0 {
		return
	}
	packages, why := scanner.Rows[Package](in, "packages")
	if why != "" {
		u.MarkUnread("pending", why)
		return
	}
	installed := map[string]string{}
	for _, p := range packages {
		if p.Manager == manager && p.Status == "installed" {
			installed[p.Name+" "+p.Arch] = p.Version
		}
	}
	newer := map[string]bool{}
	for _, name := range lists {
		var c parse.Complaints
		if err := newerIn(r.fs, name, installed, newer, &c); err != nil {
			u.MarkUnread("pending", fmt.Sprintf("%s: %s", path.Base(name), scanner.Reason(err)))
		}
		r.table.Partial = append(r.table.Partial, complaints(name, &c)...)
	}
	u.Pending = len(newer)
	u.PendingNames = slices.Sorted(maps.Keys(newer))
	u.PendingNames = u.PendingNames[:min(len(u.PendingNames), maxPendingNames)]
}

// wholeReader makes the early end of a compressed file an error that no reader takes for the
// end of what it asked for.
type wholeReader struct{ r io.Reader }

func (w wholeReader) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the compressed file ends early")
	}
	return n, err
}

// newerIn adds the installed packages (by "NAME ARCH") of which a list has a newer version.
func newerIn(fsys scanner.FS, name string, installed map[string]string, newer map[string]bool, c *parse.Complaints) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var list io.Reader = bufio.NewReader(f)
	if magic, _ := list.(*bufio.Reader).Peek(2); string(magic) == "\x1f\x8b" { // opkg keeps lists as it fetched them
		z, err := gzip.NewReader(list)
		if err != nil {
			return err
		}
		list = wholeReader{z}
	}
	limited := &io.LimitedReader{R: list, N: maxPendingList}
	err = paragraphsOf(limited, func(piece []byte, line int) {
		parse.Stanzas(piece, line, c, func(s *parse.Stanza) bool {
			has, ok := installed[string(s.Package)+" "+string(s.Architecture)]
			if ok && parse.CompareVersions(has, string(s.Version)) < 0 {
				newer[string(s.Package)] = true
			}
			return true
		})
	})
	if err == nil && limited.N == 0 {
		err = &scanner.TooLargeError{Size: maxPendingList, Limit: maxPendingList}
	}
	return err
}
