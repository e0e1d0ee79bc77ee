package facts

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

// Origin is what is known of a file by which the device runs something. Tables embed it.
type Origin struct {
	Owned      bool   `expr:"owned" json:"owned" doc:"a package installed the file"`
	Pristine   bool   `expr:"pristine" json:"pristine" doc:"a package installed the file and it still holds what the package put there"`
	WritableBy string `expr:"writable_by" json:"writable_by,omitempty" doc:"who besides root may change the file or put another in its place: everybody, group N or user N; empty for nobody"`
	scanner.Unread
}

// provenance answers where files come from and who may change them.
type provenance struct {
	fs     scanner.FS
	owners *Owners
	modes  string // why modes mean nothing here, "" when they do
	dirs   map[string]string
}

// everyProgram declares that programs anywhere are described (never read): what a command
// starts may lie in any folder.
func everyProgram() []string { return []string{"/**"} }

func newProvenance(in *scanner.Input) *provenance {
	return &provenance{fs: in.Device.FS(), owners: scanner.Aux[*Owners](in, "packages"),
		modes: in.Device.Identity().ModesUntrusted, dirs: map[string]string{}}
}

// origin describes a file; content is what it holds.
func (p *provenance) origin(name string, content []byte) Origin {
	var o Origin
	w, owned, why := p.owner(name)
	o.Owned = owned
	switch {
	case why != "":
		o.MarkUnread("owned", why)
		o.MarkUnread("pristine", why)
	case owned && w.Algo == 0:
		o.MarkUnread("pristine", "the package database holds no digest of "+name)
	case owned:
		o.Pristine = len(w.Digest) > 0 && (bytes.HasPrefix(digestOf(content, w.Algo), w.Digest) || scanner.Held(p.fs, name, w.Algo, w.Digest))
	}
	by, why := p.writableBy(name)
	o.WritableBy = by
	if why != "" {
		o.MarkUnread("writable_by", why)
	}
	return o
}

func digestOf(b []byte, algo scanner.Algo) []byte {
	switch algo {
	case scanner.MD5:
		d := md5.Sum(b)
		return d[:]
	case scanner.SHA1:
		d := sha1.Sum(b)
		return d[:]
	case scanner.SHA256:
		d := sha256.Sum256(b)
		return d[:]
	case scanner.SHA512:
		d := sha512.Sum512(b)
		return d[:]
	}
	return nil
}

// owner says what the package databases know of a file, by the name of the file it links to or
// by its own. why is set when nobody knows.
func (p *provenance) owner(name string) (w Owned, owned bool, why string) {
	if p.owners == nil {
		return w, false, "no package database could be read"
	}
	for _, n := range slices.Compact([]string{p.real(name), name}) {
		if w, ok := p.owners.Owner(n); ok {
			return w, true, ""
		}
	}
	if complete, gaps := p.owners.Complete(); !complete {
		return w, false, strings.Join(gaps, "; ")
	}
	return w, false, ""
}

// real gives the name of the file that name stands for, links followed: one file, one name.
func (p *provenance) real(name string) string {
	if name == "" {
		return ""
	}
	if real, err := p.fs.Resolve(name); err == nil {
		return real
	}
	return path.Clean(name)
}

// writableBy names who besides root may change a file or put another in its place: through
// the file's own mode, or through a folder on the way to it. why is set when that cannot be
// told.
func (p *provenance) writableBy(name string) (by, why string) {
	if p.modes != "" {
		return "", p.modes
	}
	real, err := p.fs.Resolve(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", "" // there is nothing to change
		}
		return "", scanner.Reason(err)
	}
	for _, n := range slices.Compact([]string{path.Clean(name), real}) {
		info, err := p.fs.Lstat(n)
		if err != nil {
			return "", scanner.Reason(err)
		}
		if info.Mode&fs.ModeSymlink == 0 {
			if by := writers(info); by != "" {
				return by, ""
			}
		}
		if by, why := p.dirWritableBy(path.Dir(n)); by != "" || why != "" {
			return by, why
		}
	}
	return "", ""
}

// dirWritableBy judges a folder and those above it. In a sticky folder nobody may replace
// another's file.
func (p *provenance) dirWritableBy(dir string) (by, why string) {
	if by, ok := p.dirs[dir]; ok {
		return by, ""
	}
	info, err := p.fs.Stat(dir)
	if err != nil {
		return "", scanner.Reason(err)
	}
	if info.Mode&fs.ModeSticky == 0 {
		by = writers(info)
	}
	if by == "" && dir != "/" {
		if by, why = p.dirWritableBy(path.Dir(dir)); why != "" {
			return "", why
		}
	}
	p.dirs[dir] = by
	return by, ""
}

// writers names who besides root may write to a file by its mode and owner.
func writers(i scanner.Info) string {
	switch perm := i.Perm(); {
	case perm&0o002 != 0:
		return "everybody"
	case perm&0o020 != 0 && i.GID > 0:
		return fmt.Sprintf("group %d", i.GID)
	case i.UID > 0:
		return fmt.Sprintf("user %d", i.UID)
	}
	return ""
}

// folderWritableBy names who besides root may put files into a folder, or make it where it
// does not exist.
func (p *provenance) folderWritableBy(dir string) (by, why string) {
	if p.modes != "" {
		return "", p.modes
	}
	dir = path.Clean("/" + dir)
	info, err := p.fs.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != "/" {
		dir = path.Dir(dir)
		info, err = p.fs.Stat(dir)
	}
	if err != nil {
		return "", scanner.Reason(err)
	}
	if by := writers(info); by != "" {
		return by, ""
	}
	return p.dirWritableBy(dir)
}
