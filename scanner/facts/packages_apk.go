package facts

import (
	"fmt"

	"picket/scanner"
	"picket/scanner/parse"
)

// apkDatabases are the places of apk-tools' installed database: apk-tools 3 moves it where
// /lib is a link to usr/lib.
var apkDatabases = []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}

const apkRepositories = "/etc/apk/repositories"

var apkReads = concat(apkDatabases, []string{apkRepositories})

func (inv *inventory) apk() {
	read := map[string]bool{}
	for _, name := range apkDatabases {
		real, err := inv.fs.Resolve(name)
		if err != nil && !missing(err) {
			inv.there(name)
			inv.missFile(name, err)
		}
		if err != nil || read[real] {
			continue
		}
		read[real] = true
		inv.apkDatabase(name)
	}
}

func (inv *inventory) apkDatabase(name string) {
	var c parse.Complaints
	list := &apkLists{name: name}
	read := func(piece []byte, line int) {
		parse.ApkInstalled(piece, line, &c, func(p *parse.ApkPackage) bool {
			row := -1
			if len(p.Name) == 0 {
				c.Add(p.Line, "a package without a name")
			} else if n, ok := inv.add(inv.apkRow(name, p)); ok {
				row = n
			}
			list.rows = append(list.rows, row)
			return false
		}, nil)
	}
	err := paragraphs(inv.fs, name, func(piece []byte, line int) { inv.taking.eachParagraph(name, piece, line, read) })
	inv.there(name)
	inv.complain(name, &c)
	if err != nil {
		inv.missFile(name, err)
		list.broken = scanner.Reason(err)
	}
	inv.owners.add(list)
}

func (inv *inventory) apkRow(file string, p *parse.ApkPackage) Package {
	row := Package{
		Name: text(p.Name), Version: text(p.Version), Manager: "apk", Arch: inv.word(p.Arch),
		Source: inv.word(p.Origin), BundleSize: p.InstalledSize, DynamicSize: -1,
		Maintainer: inv.word(p.Maintainer), Installer: inv.apkRepository(p.RepositoryTag),
		Scope: "system", Status: "installed", Summary: text(p.Description), Where: at(file, p.Line),
	}
	row.ID = row.Name
	if row.Source == "" {
		row.Source = row.Name
	}
	if p.BrokenFiles || p.BrokenScript {
		row.Status = "broken"
	}
	row.Origin = originOf(row.Maintainer)
	row.ShortVersion = parse.ShortVersion("apk", row.Version)
	row.PURL = parse.PURL{Type: "apk", Namespace: inv.vendor, Name: row.Name, Version: row.Version,
		Qualifiers: [][2]string{{"arch", row.Arch}, {"distro", inv.distro}}}.String()
	return row
}

// apkRepository gives the address of the repository that a package was pinned to. Of others the
// database does not say where they came from.
func (inv *inventory) apkRepository(tag []byte) string {
	if len(tag) == 0 {
		return ""
	}
	b, err := scanner.ReadFile(inv.fs, apkRepositories, maxSmallFile)
	if err != nil && !missing(err) {
		inv.missFile(apkRepositories, err)
	}
	return parse.ApkTaggedRepository(b, string(tag))
}

// apkLists is the share of one apk database in the ownership index.
type apkLists struct {
	name   string
	rows   []int  // row of each package in the database, -1 for what is no row
	broken string // why the database could not be read to its end
}

func (l *apkLists) prepare(*Owners) (int, []string) {
	if l.broken != "" {
		return 1, []string{l.broken}
	}
	return 1, nil
}

func (l *apkLists) read(r *listReader, _ int, emit emitFunc) []string {
	var c parse.Complaints
	n := -1
	more := true
	err := paragraphs(r.fs, l.name, func(piece []byte, line int) {
		if !more {
			return
		}
		parse.ApkInstalled(piece, line, &c, func(*parse.ApkPackage) bool {
			n++
			return n < len(l.rows) && l.rows[n] >= 0
		}, func(f *parse.ApkFile) {
			own := claim{pkg: l.rows[n], mode: f.Mode, uid: f.UID, gid: f.GID, digest: f.Digest, algo: algoOf(f.Algo),
				link: !f.Dir && f.Mode == 0o777 && len(f.Digest) > 0}
			more = more && emit(f.Path, &own)
		})
	})
	problems := complaints(l.name, &c)
	if err != nil {
		problems = append(problems, scanner.Reason(err))
	}
	if n+1 != len(l.rows) {
		problems = append(problems, fmt.Sprintf("%s changed while it was read", l.name))
	}
	return problems
}

// algoOf turns the parsers' names of digest algorithms into the scanner's.
func algoOf(name string) scanner.Algo {
	switch name {
	case "md5":
		return scanner.MD5
	case "sha1":
		return scanner.SHA1
	case "sha256":
		return scanner.SHA256
	}
	return 0
}
