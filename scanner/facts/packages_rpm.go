package facts

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// rpmFolders are the places of rpm's database: SUSE and newer Fedora, most others, ostree.
// Usually all but one are missing or links to it.
var rpmFolders = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"}

// rpmForms are the database's three forms in the order in which rpm looks for them, with the
// backend that rpm's configuration calls each by.
var rpmForms = []struct{ file, backend string }{
	{"rpmdb.sqlite", "sqlite"}, {"Packages.db", "ndb"}, {"Packages", "bdb"},
}

// rpmMacroFiles say which database rpm uses; later ones win.
var rpmMacroFiles = []string{"/usr/lib/rpm/macros", "/usr/lib/rpm/macros.d/macros.*", "/etc/rpm/macros.*", "/etc/rpm/macros"}

var rpmReads = rpmGlobs()

func rpmGlobs() []string {
	globs := concat(rpmMacroFiles, rpmAccountFiles)
	for _, dir := range rpmFolders {
		for _, f := range rpmForms {
			globs = append(globs, dir+"/"+f.file)
		}
		globs = append(globs, dir+"/rpmdb.sqlite-wal", dir+"/rpmdb.sqlite-journal")
	}
	return globs
}

// rpm lists the packages of the rpm database. Where a device has several (rpm left an old form
// behind, or made an empty new one), the one that rpm is configured to use counts, else the
// first in rpm's own order that holds packages.
func (inv *inventory) rpm() {
	names, configured := inv.rpmDatabases()
	first := len(inv.rows)
	var used string
	var others []string
	for _, name := range names {
		db := rpmDatabase{fs: inv.fs, name: name}
		switch {
		case len(inv.rows) == first:
			inv.there(name)
			inv.rpmRows(db)
			used = name
		case !configured && db.holdsPackages():
			others = append(others, name)
		}
	}
	if len(inv.rows) > first {
		inv.owners.add(&rpmLists{db: rpmDatabase{fs: inv.fs, name: used}, first: first, last: len(inv.rows)})
	}
	if len(others) > 0 {
		inv.miss(fmt.Sprintf("of several rpm databases, %s was read; %s not", used, strings.Join(others, ", ")))
	}
}

// rpmDatabases names the databases there are, the one rpm uses first, and says whether there
// is no doubt about which that is.
func (inv *inventory) rpmDatabases() (names []string, configured bool) {
	var files []string // what the names resolve to
	for _, dir := range rpmFolders {
		for _, form := range rpmForms {
			name := dir + "/" + form.file
			file, err := inv.fs.Resolve(name)
			if missing(err) || err == nil && slices.Contains(files, file) {
				continue
			}
			if err != nil {
				inv.there(name)
				inv.missFile(name, err)
				continue
			}
			names, files = append(names, name), append(files, file)
		}
	}
	if len(names) < 2 {
		return names, true
	}
	m := inv.rpmMacros()
	if !slices.Contains(rpmFolders, m.DBPath) {
		return names, false
	}
	for _, form := range rpmForms {
		if m.Backend == "" || !strings.HasPrefix(m.Backend, form.backend) {
			continue
		}
		file, err := inv.fs.Resolve(m.DBPath + "/" + form.file)
		if i := slices.Index(files, file); err == nil && i >= 0 {
			names[0], names[i] = names[i], names[0]
			return names, true
		}
	}
	return names, false
}

func (inv *inventory) rpmMacros() (m parse.RPMMacros) {
	for _, pattern := range rpmMacroFiles {
		names := []string{pattern}
		if dir, base := path.Split(pattern); strings.Contains(base, "*") {
			infos, err := inv.fs.ReadDir(path.Clean(dir))
			if err != nil && !missing(err) {
				inv.missFile(dir, err)
			}
			names = nil
			for _, i := range infos {
				if scanner.MatchName(base, i.Name) {
					names = append(names, dir+i.Name)
				}
			}
		}
		for _, name := range names {
			b, err := scanner.ReadFile(inv.fs, name, maxSmallFile)
			if err != nil && !missing(err) {
				inv.missFile(name, err)
			}
			m.Read(b)
		}
	}
	return m
}

func (inv *inventory) rpmRows(db rpmDatabase) {
	problems := db.headers(func(h parse.RPMHeader) bool {
		p := h.Package()
		row := Package{
			ID: valid(p.NVRA()), Name: valid(p.Name), Version: valid(p.EVR()), ShortVersion: valid(p.Version),
			Manager: "rpm", Arch: inv.word([]byte(p.Arch)), Source: inv.word([]byte(p.SourceName())),
			BundleSize: p.Size, DynamicSize: -1, Origin: inv.word([]byte(p.Vendor)),
			Maintainer: inv.word([]byte(p.Packager)), Signer: p.KeyID, Scope: "system", Status: "installed",
			Summary: valid(p.Summary), Where: db.name,
		}
		if p.InstallTime > 0 {
			row.InstallTime = when(time.Unix(p.InstallTime, 0))
		}
		row.PURL = parse.PURL{Type: "rpm", Namespace: inv.vendor, Name: p.Name, Version: p.Version + "-" + p.Release,
			Qualifiers: [][2]string{{"arch", p.Arch}, {"distro", inv.distro}, {"epoch", p.Epoch},
				{"rpmmod", p.Modularity}, {"upstream", p.SourceRPM}}}.String()
		_, ok := inv.add(row)
		return ok
	})
	for _, p := range problems {
		inv.miss(p)
	}
}

// valid puts text into UTF-8, which headers of old packages are not.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// rpmDatabase is one database file.
type rpmDatabase struct {
	fs   scanner.FS
	name string
}

// headers calls each with the database's headers until it returns false, and gives what could
// not be read.
func (db rpmDatabase) headers(each func(parse.RPMHeader) bool) (problems []string) {
	problem := func(err error) {
		reason := scanner.Reason(err)
		if !strings.Contains(reason, db.name) {
			reason = db.name + ": " + reason
		}
		problems = append(problems, reason)
	}
	defer func() { problems = shorten(problems) }()
	f, err := db.fs.Open(db.name)
	if err != nil {
		problem(err)
		return
	}
	defer f.Close()
	log, err := db.openLog()
	if err != nil {
		problem(err)
	}
	if log != nil {
		defer log.Close()
	}
	n := 0
	for blob, err := range parse.RPMDatabase(f, log) {
		if err != nil {
			problem(err)
			continue
		}
		n++
		h, err := parse.ParseRPMHeader(blob)
		if err != nil {
			problem(fmt.Errorf("package %d: %w", n, err))
		} else if !each(h) {
			return
		}
	}
	return
}

// openLog opens the write-ahead log of an sqlite database; nil when there is none. A
// transaction that a crash left in the older kind of journal is an error: sqlite would undo it.
func (db rpmDatabase) openLog() (scanner.File, error) {
	const journalMagic = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
	if path.Base(db.name) != "rpmdb.sqlite" {
		return nil, nil
	}
	if b, err := db.fs.Head(db.name + "-journal"); err == nil && strings.HasPrefix(string(b), journalMagic) {
		return nil, errors.New("an unfinished transaction in the -journal beside it is not undone here")
	}
	log, err := db.fs.Open(db.name + "-wal")
	if missing(err) {
		return nil, nil
	}
	return log, err
}

// holdsPackages reports whether there is at least one package.
func (db rpmDatabase) holdsPackages() (found bool) {
	db.headers(func(parse.RPMHeader) bool {
		found = true
		return false
	})
	return found
}
