package facts

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io/fs"
	"slices"
	"strings"
	"time"

	"picket/scanner/parse"
)

const (
	dpkgStatus    = "/var/lib/dpkg/status"
	dpkgStatusDir = "/var/lib/dpkg/status.d"
	dpkgUpdates   = "/var/lib/dpkg/updates"
	dpkgInfo      = "/var/lib/dpkg/info/"
)

var dpkgReads = []string{
	dpkgStatus, dpkgStatusDir, dpkgStatusDir + "/*", dpkgUpdates, dpkgUpdates + "/*",
	"/var/lib/dpkg/arch", "/var/lib/dpkg/diversions", "/var/lib/dpkg/statoverride",
	dpkgInfo + "*.list", dpkgInfo + "*.md5sums", "/etc/group",
}

// dpkgReader reads dpkg's database: the status file, the journal of updates that an
// interrupted dpkg left beside it, and the status.d folder of images built without dpkg.
type dpkgReader struct {
	*inventory
	index map[uint64]uint32 // rows by hash of name and architecture
	lists dpkgLists
}

func (inv *inventory) dpkg() {
	d := &dpkgReader{inventory: inv, index: map[uint64]uint32{}}
	first := len(inv.rows)
	d.statusFile(dpkgStatus)
	for _, name := range d.names(dpkgUpdates, allDigits) {
		d.journal = true
		d.statusFile(dpkgUpdates + "/" + name)
	}
	d.statusDir()
	d.dropAbsent(first)
	if len(inv.rows) == first {
		return
	}
	d.findNative(first)
	d.finish(first)
	d.lists.first, d.lists.users = first, inv.users
	inv.owners.add(&d.lists)
}

// names lists a folder's files that a test accepts.
func (d *dpkgReader) names(dir string, accept func(string) bool) []string {
	infos, err := d.fs.ReadDir(dir)
	if err != nil {
		if !missing(err) {
			d.missFile(dir, err)
		}
		return nil
	}
	var out []string
	for _, i := range infos {
		if i.Mode.IsRegular() && accept(i.Name) {
			out = append(out, i.Name)
		}
	}
	return out
}

func allDigits(name string) bool { return strings.Trim(name, "0123456789") == "" }

func (d *dpkgReader) statusFile(name string) {
	if d.taking.before == nil {
		d.reserve(name)
	}
	var c parse.Complaints
	read := func(piece []byte, line int) {
		parse.Stanzas(piece, line, &c, func(s *parse.Stanza) bool {
			d.stanza(name, s, &c)
			return true
		})
	}
	err := paragraphs(d.fs, name, func(piece []byte, line int) {
		if name != dpkgStatus {
			read(piece, line)
			return
		}
		d.taking.eachParagraph(name, piece, line, read)
	})
	if missing(err) {
		return
	}
	d.there(name)
	if err != nil {
		d.missFile(name, err)
	}
	d.complain(name, &c)
}

const (
	leastParagraph = 512     // bytes: those of distributions are longer
	maxReserved    = 1 << 17 // rows
)

// reserve makes room for the packages of a file: a list that grows is there twice while it
// does.
func (d *dpkgReader) reserve(name string) {
	if info, err := d.fs.Stat(name); err == nil {
		n := int(min(max(info.Size, 0)/leastParagraph, maxReserved))
		d.rows, d.lists.files = slices.Grow(d.rows, n), slices.Grow(d.lists.files, n)
	}
}

// statusDir reads one file a package, which has no Status field.
func (d *dpkgReader) statusDir() {
	var buf fileBuffer
	names := d.names(dpkgStatusDir, func(name string) bool { return !strings.HasSuffix(name, ".md5sums") })
	for _, base := range names {
		name := dpkgStatusDir + "/" + base
		b, err := buf.read(d.fs, name)
		if err != nil {
			d.missFile(name, err)
			continue
		}
		if len(b) > 0 && b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
		var c parse.Complaints
		parse.Stanzas(b, 1, &c, func(s *parse.Stanza) bool {
			if s.Status == nil {
				s.Status = []byte("install ok installed")
			}
			d.stanza(name, s, &c)
			return true
		})
		d.complain(name, &c)
	}
	if len(names) > 0 {
		d.there(dpkgStatusDir)
	}
}

func (d *dpkgReader) stanza(file string, s *parse.Stanza, c *parse.Complaints) {
	status, ok := parse.ParseDpkgStatus(s.Status)
	switch {
	case !parse.IsPackageName(s.Package):
		c.Add(s.Line, "no valid package name")
		return
	case !ok:
		c.Add(s.Line, "package "+string(s.Package)+" has no valid Status")
		return
	}
	p := Package{
		Name: string(s.Package), Version: text(s.Version), Manager: "dpkg",
		Arch: d.word(s.Architecture), Source: d.sourceOf(s), BundleSize: -1, DynamicSize: -1,
		Origin: d.word(s.Origin), Maintainer: d.word(s.Maintainer), Scope: "system",
		Status: status.State, Summary: text(s.Description), Where: at(file, s.Line),
	}
	if s.InstalledSize != nil {
		if kib, ok := parse.Decimal(s.InstalledSize); ok && kib < 1<<50 {
			p.BundleSize = kib * 1024
		} else {
			c.Add(s.Line, "package "+p.Name+": Installed-Size is not a number")
		}
	}
	if p.Version == "" && p.Status == "installed" {
		c.Add(s.Line, "package "+p.Name+" has no version")
	}
	if p.Origin == "" {
		p.Origin = originOf(p.Maintainer)
	}
	p.ShortVersion = parse.ShortVersion("dpkg", p.Version)
	d.put(p, dpkgFiles{same: string(s.MultiArch) == "same", statusDir: strings.HasPrefix(file, dpkgStatusDir),
		file: file, conffiles: bytes.Clone(s.Conffiles)}, c, s.Line)
}

// put adds a package, or replaces what an earlier file said of it.
func (d *dpkgReader) put(p Package, files dpkgFiles, c *parse.Complaints, line int) {
	key := maphash.Comparable(d.owners.seed, [2]string{p.Name, p.Arch})
	if i, ok := d.index[key]; ok && d.rows[i].Name == p.Name && d.rows[i].Arch == p.Arch {
		old := int(i)
		n := old - (len(d.rows) - len(d.lists.files))
		if d.lists.files[n].file == files.file {
			c.Add(line, "package "+p.Name+" is listed twice")
		}
		d.rows[old], d.lists.files[n] = p, files
		return
	}
	if i, ok := d.add(p); ok {
		d.index[key] = uint32(i)
		d.lists.files = append(d.lists.files, files)
	}
}

func (d *dpkgReader) sourceOf(s *parse.Stanza) string {
	source, _, _ := bytes.Cut(s.Source, []byte(" ("))
	if len(source) == 0 {
		return d.word(s.Package)
	}
	return d.word(source)
}

// dropAbsent takes out what dpkg remembers but has not installed anything of.
func (d *dpkgReader) dropAbsent(first int) {
	rows, files := d.rows[:first], d.lists.files[:0]
	for i, p := range d.rows[first:] {
		if p.Status != "not-installed" {
			rows, files = append(rows, p), append(files, d.lists.files[i])
		}
	}
	d.rows, d.lists.files = rows, files
}

// findNative tells the tree's own architecture: the first line of dpkg's arch file, else that
// of the package dpkg itself.
func (d *dpkgReader) findNative(first int) {
	if d.native = firstLine(d.fs, "/var/lib/dpkg/arch"); d.native != "" {
		return
	}
	if before := d.taking.before; before != nil {
		d.native = before.native
		return
	}
	for i := range d.rows[first:] {
		if p := &d.rows[first+i]; p.Name == "dpkg" {
			d.native = p.Arch
			return
		}
	}
}

// finish fills what needs the native architecture or the info folder.
func (d *dpkgReader) finish(first int) {
	var last time.Time // many packages are installed in one second
	var text string
	for i := range d.rows[first:] {
		p, f := &d.rows[first+i], &d.lists.files[i]
		p.ID = p.Name
		foreign := d.native != "" && p.Arch != d.native && p.Arch != "all" && p.Arch != ""
		if f.same || foreign {
			p.ID += ":" + p.Arch
		}
		p.PURL = parse.PURL{Type: "deb", Namespace: d.vendor, Name: p.Name, Version: p.Version,
			Qualifiers: [][2]string{{"arch", p.Arch}, {"distro", d.distro}}}.String()
		f.name = p.Name
		if f.same {
			f.name += ":" + p.Arch
		}
		if f.statusDir {
			continue
		}
		info, err := d.fs.Lstat(dpkgInfo + f.name + ".list")
		if missing(err) && f.same { // a database from before multi-arch
			f.name = p.Name
			info, err = d.fs.Lstat(dpkgInfo + f.name + ".list")
		}
		f.noList = err != nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.missFile(dpkgInfo+f.name+".list", err)
		}
		if t := info.ModTime.Truncate(time.Second); !t.Equal(last) {
			last, text = t, when(t)
		}
		p.InstallTime = text
	}
}

// dpkgFiles says where the file list of one row is.
type dpkgFiles struct {
	name      string // base name in the info folder, without suffix
	file      string // status file that lists the package
	conffiles []byte // the Conffiles field
	same      bool   // Multi-Arch: same
	statusDir bool
	noList    bool
}
