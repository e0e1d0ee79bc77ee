package facts

import (
	"bytes"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// opkgFolders are the places of opkg's database: OpenWrt keeps it in /usr/lib because its
// /var is lost at each boot.
var opkgFolders = []string{"/usr/lib/opkg", "/var/lib/opkg"}

var opkgReads = []string{
	"/usr/lib/opkg/status", "/usr/lib/opkg/info/*.control", "/usr/lib/opkg/info/*.list",
	"/var/lib/opkg/status", "/var/lib/opkg/info/*.control", "/var/lib/opkg/info/*.list",
}

func (inv *inventory) opkg() {
	read := map[string]bool{}
	for _, dir := range opkgFolders {
		status := dir + "/status"
		real, err := inv.fs.Resolve(status)
		if err != nil && !missing(err) {
			inv.there(status)
			inv.missFile(status, err)
		}
		if err != nil || read[real] {
			continue
		}
		read[real] = true
		inv.opkgFolder(dir)
	}
}

func (inv *inventory) opkgFolder(dir string) {
	status := dir + "/status"
	var c parse.Complaints
	lists := &opkgLists{dir: dir}
	err := paragraphs(inv.fs, status, func(piece []byte, line int) {
		parse.Stanzas(piece, line, &c, func(s *parse.Stanza) bool {
			if p, ok := inv.opkgRow(dir, s, &c); ok {
				if row, ok := inv.add(p); ok {
					lists.files = append(lists.files, opkgFiles{row, p.Name, bytes.Clone(s.Conffiles)})
				}
			}
			return true
		})
	})
	inv.there(status)
	inv.complain(status, &c)
	if err != nil {
		inv.missFile(status, err)
	}
	inv.owners.add(lists)
}

// opkgRow joins what the status file and the package's control file say. ok is false for what
// is not installed.
func (inv *inventory) opkgRow(dir string, s *parse.Stanza, c *parse.Complaints) (p Package, ok bool) {
	status, ok := parse.ParseDpkgStatus(s.Status)
	switch {
	case !parse.IsPackageName(s.Package):
		c.Add(s.Line, "no valid package name")
		return p, false
	case !ok:
		c.Add(s.Line, "package "+string(s.Package)+" has no valid Status")
		return p, false
	case status.State == "not-installed":
		return p, false
	}
	p = Package{
		ID: string(s.Package), Name: string(s.Package), Version: text(s.Version), Manager: "opkg",
		Arch: inv.word(s.Architecture), BundleSize: -1, DynamicSize: -1, Scope: "system",
		Status: status.State, Where: at(dir+"/status", s.Line),
	}
	if seconds, ok := parse.Decimal(s.InstalledTime); ok {
		p.InstallTime = when(time.Unix(seconds, 0))
	}
	p.ShortVersion = parse.ShortVersion("opkg", p.Version)
	inv.opkgControl(dir, &p)
	p.PURL = parse.PURL{Type: "opkg", Namespace: inv.vendor, Name: p.Name, Version: p.Version,
		Qualifiers: [][2]string{{"arch", p.Arch}, {"distro", inv.distro}}}.String()
	return p, true
}

// opkgControl adds what only the control file says. Without one, as in trimmed images, the
// columns stay empty.
func (inv *inventory) opkgControl(dir string, p *Package) {
	name := dir + "/info/" + p.Name + ".control"
	b, err := scanner.ReadFile(inv.fs, name, maxSmallFile)
	if err != nil {
		if !missing(err) {
			inv.missFile(name, err)
		}
		return
	}
	b = append(b, '\n')
	var c parse.Complaints
	parse.Stanzas(b, 1, &c, func(s *parse.Stanza) bool {
		p.Source, p.Maintainer, p.Summary = inv.word(s.Source), inv.word(s.Maintainer), text(s.Description)
		if p.Origin = inv.word(s.Origin); p.Origin == "" {
			p.Origin = originOf(p.Maintainer)
		}
		if s.InstalledSize != nil {
			if size, ok := parse.Decimal(s.InstalledSize); ok {
				p.BundleSize = size
			} else {
				c.Add(s.Line, "Installed-Size is not a number")
			}
		}
		return false
	})
	inv.complain(name, &c)
}

// opkgLists is opkg's share of the ownership index: one unit a package.
type opkgLists struct {
	dir   string
	files []opkgFiles
}

type opkgFiles struct {
	row       int
	name      string
	conffiles []byte // the Conffiles field
}

func (l *opkgLists) prepare(*Owners) (int, []string) { return len(l.files), nil }

func (l *opkgLists) read(r *listReader, unit int, emit emitFunc) []string {
	f := &l.files[unit]
	config := map[string][]byte{}
	parse.Conffiles(f.conffiles, nil, func(c parse.Conffile) bool {
		config[string(c.Path)] = bytes.Clone(c.Digest)
		return true
	})
	name := l.dir + "/info/" + f.name + ".list"
	b, err := r.buf.read(r.fs, name)
	if missing(err) {
		return []string{"no file list of package " + f.name}
	}
	if err != nil {
		return []string{scanner.Reason(err)}
	}
	var c parse.Complaints
	parse.OpkgList(b, &c, func(o parse.OpkgFile) bool {
		own := claim{pkg: f.row, mode: o.Mode, uid: -1, gid: -1, link: o.Link}
		if sum, ok := config[string(o.Path)]; ok {
			own.config, own.digest, own.algo = true, sum, confAlgo(sum)
		}
		return emit(o.Path, &own)
	})
	return complaints(name, &c)
}

// confAlgo tells the algorithm of a conffile's digest by its length: opkg can be built with
// either.
func confAlgo(sum []byte) scanner.Algo {
	switch len(sum) {
	case 16:
		return scanner.MD5
	case 32:
		return scanner.SHA256
	}
	return 0
}
