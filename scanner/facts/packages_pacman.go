package facts

import (
	"bytes"
	"compress/gzip"
	"io"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

const pacmanLocal = "/var/lib/pacman/local"

var pacmanReads = []string{pacmanLocal, pacmanLocal + "/*/desc", pacmanLocal + "/*/files", pacmanLocal + "/*/mtree"}

func (inv *inventory) pacman() {
	dirs, err := inv.fs.ReadDir(pacmanLocal)
	if missing(err) {
		return
	}
	inv.there(pacmanLocal)
	if err != nil {
		inv.missFile(pacmanLocal, err)
		return
	}
	lists := &pacmanLists{}
	for _, d := range dirs {
		if !d.Mode.IsDir() {
			continue
		}
		dir := pacmanLocal + "/" + d.Name
		b, err := scanner.ReadFile(inv.fs, dir+"/desc", maxSmallFile)
		if err != nil {
			inv.missFile(dir+"/desc", err)
			continue
		}
		if row, ok := inv.pacmanPackage(dir+"/desc", b); ok {
			lists.dirs = append(lists.dirs, pacmanDir{row, dir})
		}
	}
	inv.owners.add(lists)
}

func (inv *inventory) pacmanPackage(file string, b []byte) (row int, ok bool) {
	var c parse.Complaints
	d := parse.PacmanDesc(b, &c)
	if d.Name == "" || d.Version == "" {
		c.Add(1, "no name or no version")
	}
	inv.complain(file, &c)
	if d.Name == "" {
		return 0, false
	}
	p := Package{
		ID: d.Name, Name: d.Name, Version: d.Version, ShortVersion: parse.ShortVersion("pacman", d.Version),
		Manager: "pacman", Arch: d.Arch, Source: d.Base, BundleSize: d.Size, DynamicSize: -1,
		Maintainer: d.Packager, Origin: originOf(d.Packager), InstallTime: when(time.Unix(d.InstallDate, 0)), Scope: "system",
		Status: "installed", Summary: d.Description, Where: at(file, 1),
	}
	if p.Source == "" {
		p.Source = p.Name
	}
	p.PURL = parse.PURL{Type: "alpm", Namespace: inv.vendor, Name: d.Name, Version: d.Version,
		Qualifiers: [][2]string{{"arch", d.Arch}, {"distro", inv.distro}}}.String()
	return inv.add(p)
}

// pacmanLists is pacman's share of the ownership index: one unit a package. A package's mtree
// has modes and digests; its files list has neither, but says what is configuration.
type pacmanLists struct{ dirs []pacmanDir }

type pacmanDir struct {
	row  int
	name string
}

func (l *pacmanLists) prepare(*Owners) (int, []string) { return len(l.dirs), nil }

func (l *pacmanLists) read(r *listReader, unit int, emit emitFunc) []string {
	dir := l.dirs[unit]
	files, err := r.buf.read(r.fs, dir.name+"/files")
	if err != nil {
		return []string{scanner.Reason(err)}
	}
	files = bytes.Clone(files)
	var c parse.Complaints
	config := map[string]bool{}
	parse.PacmanFiles(files, &c, func(f parse.PacmanFile) bool {
		if f.Backup {
			config[string(f.Path)] = true
		}
		return true
	})
	problems := complaints(dir.name+"/files", &c)

	entries := map[string]claim{}
	tree, err := r.gunzip(dir.name + "/mtree")
	if err != nil && !missing(err) {
		problems = append(problems, scanner.Reason(err))
	}
	c = parse.Complaints{}
	parse.Mtree(tree, &c, func(e *parse.MtreeEntry) bool {
		entries[string(e.Path[1:])] = claim{algo: algoOf(e.Algo), digest: bytes.Clone(e.Digest), mode: e.Mode,
			uid: e.UID, gid: e.GID, link: e.Type == "link"}
		return true
	})
	problems = append(problems, complaints(dir.name+"/mtree", &c)...)

	parse.PacmanFiles(files, nil, func(f parse.PacmanFile) bool {
		if f.Backup {
			return true
		}
		own, known := entries[string(f.Path)]
		if !known {
			own = claim{mode: -1, uid: -1, gid: -1}
		}
		own.pkg, own.config = dir.row, config[string(f.Path)]
		return emit(r.absolute(f.Path), &own)
	})
	return problems
}

// gunzip reads a gzip file, as much of it as may be a list of files.
func (r *listReader) gunzip(name string) ([]byte, error) {
	f, err := r.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, &readError{name, err}
	}
	b, err := io.ReadAll(io.LimitReader(z, maxListFile+1))
	if err == nil && len(b) > maxListFile {
		err = &scanner.TooLargeError{Size: maxListFile + 1, Limit: maxListFile}
	}
	if err != nil {
		return nil, &readError{name, err}
	}
	return b, nil
}

// readError names the file that could not be read.
type readError struct {
	name string
	err  error
}

func (e *readError) Error() string { return e.name + ": " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }
