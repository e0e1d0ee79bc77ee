package facts

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"picket/scanner"
)

// PackagedFile is a packaged program, library or kernel module that is not as its package
// recorded it.
type PackagedFile struct {
	Path         string `expr:"path" json:"path" doc:"absolute path; links in the parents are resolved"`
	Package      string `expr:"package" json:"package" doc:"package that owns it"`
	Manager      string `expr:"manager" json:"manager" doc:"package manager that knows it"`
	Kind         string `expr:"kind" json:"kind" doc:"program, library, module, kernel, or file list for the package manager's own record"`
	Missing      bool   `expr:"missing" json:"missing,omitempty" doc:"it is not there"`
	Changed      bool   `expr:"changed" json:"changed,omitempty" doc:"its content has another digest than the package recorded"`
	Retyped      bool   `expr:"retyped" json:"retyped,omitempty" doc:"something else than a regular file stands in its place"`
	LinkTo       string `expr:"link_to" json:"link_to,omitempty" doc:"where a link that stands in its place leads"`
	Opened       bool   `expr:"opened" json:"opened,omitempty" doc:"its mode lets more accounts write to it than the package recorded"`
	Reowned      bool   `expr:"reowned" json:"reowned,omitempty" doc:"it belongs to another account than the package recorded"`
	Mode         string `expr:"mode" json:"mode,omitempty" doc:"permission bits in octal"`
	ExpectedMode string `expr:"expected_mode" json:"expected_mode,omitempty" doc:"permission bits that the package recorded, or empty"`
	UID          int    `expr:"uid" json:"uid" doc:"owner"`
	ModTime      int64  `expr:"mtime" json:"mtime,omitempty" doc:"content changed last, Unix seconds"`
	Where        string `expr:"where" json:"-" doc:"its path"`
	scanner.Unread
}

const (
	maxPackagedRows    = 20_000
	maxPackagedDigest  = 4 << 30 // bytes of a file that is hashed
	packagedHashers    = 2       // a scan shall not take the whole device
	maxPackagedCompare = 1 << 21 // packaged programs and libraries
)

func packagedFilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "packaged_files", Doc: "packaged programs, libraries and kernel modules that differ from the package database",
		Row: PackagedFile{},
		Reads: scanner.Reads{Meta: []string{"/bin/**", "/sbin/**", "/lib*/**", "/usr/bin/**", "/usr/sbin/**", "/usr/games/**",
			"/usr/lib*/**", "/usr/libexec/**", "/boot/vmlinuz*", path.Clean(dpkgInfo)}},
		Needs:   []string{"packages"},
		Collect: collectPackagedFiles,
	}
}

func collectPackagedFiles(ctx context.Context, in *scanner.Input) scanner.Table {
	x := ownershipOf(in)
	if x.owners == nil {
		return scanner.Table{Absent: x.unknown}
	}
	c := &packagedCheck{ctx: ctx, fs: in.Device.FS(), owners: x, known: in.Options.Compared, now: in.Options.Now, digests: in.Options.Digests != scanner.DigestsNone && in.Options.Digests != scanner.DigestsLater}
	jobs, more := packagedPrograms(x.owners)
	rows := make([]*PackagedFile, len(jobs))
	var next atomic.Int64
	parallel(min(packagedHashers, runtime.GOMAXPROCS(0)), func() {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(jobs) {
				return
			}
			rows[i] = c.check(&jobs[i])
		}
	})
	t := scanner.Table{Unknown: map[string]string{}, Deviations: true}
	var out []PackagedFile
	alone := databaseAlone(rows, jobs)
	if alone {
		t.Partial = append(t.Partial, "most packaged programs are not in this tree: it holds a package database without its files")
	}
	for _, r := range rows {
		if r != nil && len(out) < maxPackagedRows && !(alone && r.Missing) {
			out = append(out, *r)
		}
	}
	if x.owners.lacksLists() {
		out = append(out, missingLists(in, &t)...)
	}
	slices.SortFunc(out, func(a, b PackagedFile) int { return strings.Compare(a.Path, b.Path) })
	t.Rows = out
	if out == nil {
		t.Rows = []PackagedFile{}
	}
	if more {
		t.Partial = append(t.Partial, fmt.Sprintf("more than %d packaged programs", maxPackagedCompare))
	}
	if x.unknown != "" {
		t.Partial = append(t.Partial, x.unknown)
	}
	if in.Device.Identity().ModesUntrusted != "" {
		t.Unknown["opened"], t.Unknown["reowned"] = in.Device.Identity().ModesUntrusted, in.Device.Identity().ModesUntrusted
	}
	switch {
	case in.Options.Digests == scanner.DigestsLater:
		t.Unknown["changed"] = "digests are compared after the first scan"
	case !c.digests:
		t.Unknown["changed"] = noDigests
	case len(jobs) > 0 && c.compared.Load() == 0:
		t.Unknown["changed"] = "the package databases record no digests of programs"
	}
	return t
}

// databaseAlone tells a tree that has a package database and hardly any of the programs in it, as
// when the database was all that was taken. That says nothing about the device.
func databaseAlone(rows []*PackagedFile, jobs []packagedProgram) bool {
	missing, programs := 0, 0
	for i, r := range rows {
		if jobs[i].sure {
			programs++
		}
		if r != nil && r.Missing {
			missing++
		}
	}
	return missing >= 20 && missing*4 > programs*3
}

// packagedProgram is a packaged file to be checked.
type packagedProgram struct {
	path string
	kind string
	// sure means that path tells that this is a program; of others the content has to.
	sure  bool
	owned Owned
}

// packagedPrograms picks what to check from everything that packages own.
func packagedPrograms(owners *Owners) (jobs []packagedProgram, more bool) {
	owners.eachProgram(func(p string, w Owned) bool {
		kind, sure := programKind(p)
		if w.Config || w.Link {
			return true
		}
		if more = len(jobs) == maxPackagedCompare; !more {
			jobs = append(jobs, packagedProgram{p, kind, sure, w})
		}
		return !more
	})
	return jobs, more
}

// programPlace is the quick test of programKind: most paths of packages lie elsewhere.
func programPlace(p []byte) bool {
	for _, start := range []string{"/usr/lib", "/usr/bin/", "/usr/sbin/", "/lib", "/bin/", "/sbin/", "/usr/games/", "/boot/"} {
		if len(p) > len(start) && string(p[:len(start)]) == start {
			return true
		}
	}
	return false
}

// programKind tells by its path what a packaged file is, as far as it can matter here.
func programKind(p string) (kind string, sure bool) {
	if len(p) < 5 || p[0] != '/' {
		return "", false
	}
	dir, base := path.Split(p)
	switch dir {
	case "/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/games/":
		return "program", true
	case "/boot/":
		if strings.HasPrefix(base, "vmlinuz") {
			return "kernel", true
		}
		return "", false
	}
	if !strings.HasPrefix(p, "/usr/lib") && !strings.HasPrefix(p, "/lib") {
		return "", false
	}
	switch {
	case strings.HasSuffix(base, ".so"), strings.Contains(base, ".so."):
		return "library", true
	case strings.HasSuffix(base, ".ko"), strings.Contains(base, ".ko."):
		return "module", true
	case !strings.Contains(base, "."):
		return "program", false
	}
	return "", false
}

type packagedCheck struct {
	ctx      context.Context
	fs       scanner.FS
	owners   ownership
	digests  bool
	known    *scanner.Compared
	now      time.Time
	compared atomic.Int64
}

// check compares one file with its record. It gives a row when they differ or when it could
// not be compared.
func (c *packagedCheck) check(j *packagedProgram) *PackagedFile {
	pkg := c.owners.owners.Package(j.owned)
	row := &PackagedFile{Path: j.path, Package: pkg.ID, Manager: pkg.Manager, Kind: j.kind, UID: -1, Where: j.path}
	info, err := c.fs.Lstat(j.path)
	if missing(err) {
		row.Missing = true
		return keepIf(row, j.sure)
	}
	if err != nil {
		for _, col := range []string{"missing", "changed", "retyped", "opened", "reowned"} {
			row.MarkUnread(col, scanner.Reason(err))
		}
		return keepIf(row, j.sure)
	}
	row.Mode, row.UID, row.ModTime = octalMode(info.Perm()), info.UID, info.ModTime.Unix()
	if !info.Mode.IsRegular() {
		// Without a digest the database may well mean a link or a directory.
		if row.Retyped = len(j.owned.Digest) > 0; info.Mode&fs.ModeSymlink != 0 {
			row.LinkTo, _ = c.fs.Readlink(j.path)
		}
		return keepIf(row, row.Retyped && j.sure)
	}
	if !j.sure && !c.isProgram(j.path, &info) {
		return nil
	}
	if j.owned.Mode >= 0 {
		row.ExpectedMode = octalMode(uint32(j.owned.Mode))
		row.Opened = info.Perm()&^uint32(j.owned.Mode)&0o022 != 0
	}
	row.Reowned = j.owned.UID >= 0 && info.UID >= 0 && info.UID != int(j.owned.UID)
	c.digest(j, &info, row)
	return keepIf(row, row.Changed || row.Opened || row.Reowned || row.Unread.Unread != nil)
}

func keepIf(row *PackagedFile, yes bool) *PackagedFile {
	if yes {
		return row
	}
	return nil
}

// isProgram tells whether a file below the library directories is a compiled program.
func (c *packagedCheck) isProgram(name string, info *scanner.Info) bool {
	if info.Mode&anyX == 0 {
		return false
	}
	head, err := c.fs.Head(name)
	return err != nil || isELF(head)
}

func (c *packagedCheck) digest(j *packagedProgram, info *scanner.Info, row *PackagedFile) {
	if !c.digests || len(j.owned.Digest) == 0 {
		return
	}
	if info.Size > maxPackagedDigest {
		row.MarkUnread("changed", fmt.Sprintf("%s: %s", j.path, &scanner.TooLargeError{Size: info.Size, Limit: maxPackagedDigest}))
		return
	}
	if c.known.Has(j.path, info, j.owned.Digest) {
		c.compared.Add(1)
		return
	}
	got, err := c.fs.Digest(j.path, j.owned.Algo)
	if err != nil {
		row.MarkUnread("changed", scanner.Reason(err))
		return
	}
	c.compared.Add(1)
	if row.Changed = !bytes.HasPrefix(got, j.owned.Digest); !row.Changed {
		c.known.Add(j.path, info, j.owned.Digest, c.now)
	}
}

// missingLists finds packages of dpkg whose file list is gone while others have theirs.
func missingLists(in *scanner.Input, t *scanner.Table) []PackagedFile {
	packages, _ := scanner.Rows[Package](in, "packages")
	r := newReader(in, t)
	entries, err := r.fs.ReadDir(dpkgInfo)
	r.note(err)
	there := map[string]bool{}
	for i := range entries {
		if name, ok := strings.CutSuffix(entries[i].Name, ".list"); ok {
			there[name] = true
		}
	}
	if len(there) == 0 {
		return nil // made without them: small images
	}
	var out []PackagedFile
	for i := range packages {
		p := &packages[i]
		if p.Manager != "dpkg" || p.Status != "installed" || !strings.HasPrefix(p.Where, "/var/lib/dpkg/status:") {
			continue
		}
		if !there[p.ID] && !there[p.Name] && !there[p.Name+":"+p.Arch] && len(out) < maxPackagedRows {
			name := dpkgInfo + p.ID + ".list"
			out = append(out, PackagedFile{Path: name, Package: p.ID, Manager: p.Manager, Kind: "file list", Missing: true, UID: -1, Where: p.Where})
		}
	}
	return out
}
