package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	maxFileRows = 50_000
	// maxIdleHeads bounds how many files without an x bit are looked into, in places where a
	// program has no business.
	maxIdleHeads = 50_000
)

func filesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "files", Doc: "files that stand out by mode, place, name or content", Row: File{},
		Reads: scanner.Reads{
			Globs: []string{"/proc/self/mountinfo", "/etc/group", "~/.config/user-dirs.dirs"},
			Meta:  []string{"/**"},
		},
		Needs:   []string{"packages", "users"},
		Collect: collectFiles,
	}
}

func collectFiles(ctx context.Context, in *scanner.Input) scanner.Table {
	s := newFileScan(in)
	w := &treeWalk{ctx: ctx, fs: s.fs, zones: newZoneMap(s.homes, s.downloadDirs()), mounts: readWalkMounts(s.fs), visit: s.visit}
	s.findCommands()
	w.run()
	if w.files == 0 {
		return scanner.Table{Absent: "the tree cannot be listed"}
	}
	slices.SortFunc(s.rows, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	t := scanner.Table{Rows: s.rows, Partial: append(w.partial(), s.partial()...), Notes: w.notes(), Unknown: map[string]string{}}
	if why := in.Device.Identity().ModesUntrusted; why != "" {
		for _, col := range []string{"mode", "uid", "gid", "suid", "sgid", "caps", "power", "world_writable", "in_path",
			"writable_by", "parent_writable", "service_owner", "readable_by", "more_than_packaged"} {
			t.Unknown[col] = why
		}
	} else if s.noXattr != "" {
		t.Unknown["caps"] = s.noXattr
	}
	return t
}

// fileScan picks the files that stand out and works out their rows.
type fileScan struct {
	fs     scanner.FS
	live   bool
	owners ownership
	homes  []string
	users  []User
	groups map[int]string // names of all groups
	people map[int]bool   // groups that list people as members
	hashes bool           // some account has a password
	// commands are the names in the system's bin directories, with a path of each.
	commands map[string]string
	// interpreters are packaged programs that get copied under other names, by size.
	interpreters map[int64][]string
	digests      bool
	known        map[string][]byte // digests of interpreters

	rows    []File
	dropped int
	heads   int    // of files without an x bit
	unread  int    // heads left out
	noXattr string // why capabilities cannot be read here at all
}

func newFileScan(in *scanner.Input) *fileScan {
	s := &fileScan{fs: in.Device.FS(), live: in.Device.Identity().Live, owners: ownershipOf(in),
		commands: map[string]string{}, interpreters: map[int64][]string{}, known: map[string][]byte{},
		digests: in.Options.Digests != scanner.DigestsNone}
	s.users, _ = scanner.Rows[User](in, "users")
	s.homes = homes(s.users)
	if !slices.Contains(s.homes, "/root") {
		s.homes = append(s.homes, "/root")
	}
	s.readGroups()
	return s
}

// partial says what was not looked at for being too much.
func (s *fileScan) partial() []string {
	var out []string
	if s.dropped > 0 {
		out = append(out, fmt.Sprintf("%d more files that stand out, over the limit of %d", s.dropped, maxFileRows))
	}
	if s.unread > 0 {
		out = append(out, fmt.Sprintf("%d files without an x bit in temporary places were not looked into", s.unread))
	}
	return out
}

// commandDirs hold the system's commands.
var commandDirs = []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"}

// findCommands lists the packaged commands and the interpreters among them.
func (s *fileScan) findCommands() {
	for i, dir := range commandDirs {
		if real, err := s.fs.Resolve(dir); err != nil || real != dir && slices.Contains(commandDirs[:i], real) {
			continue
		}
		entries, err := s.fs.ReadDir(dir)
		if err != nil {
			continue // the walk says so
		}
		for j := range entries {
			e := &entries[j]
			path := dir + "/" + e.Name
			if s.commands[e.Name] == "" {
				s.commands[e.Name] = path
			}
			if e.Mode.IsRegular() && e.Mode&0o111 != 0 && isInterpreter(e.Name) {
				if _, owned := s.owners.owner(path); owned {
					s.interpreters[e.Size] = append(s.interpreters[e.Size], path)
				}
			}
		}
	}
}

// visit looks at all files of one directory.
func (s *fileScan) visit(p *place, entries []scanner.Info) {
	bin := commandPlace(p)
	for i := range entries {
		e := &entries[i]
		if !s.stands(p, e, bin) {
			continue
		}
		if len(s.rows) == maxFileRows {
			s.dropped++
			continue
		}
		s.add(p, e)
	}
}

// commandPlace tells directories that come before the system's own in somebody's PATH.
func commandPlace(p *place) bool {
	switch p.dir {
	case "/usr/local/bin", "/usr/local/sbin", "/opt/bin", "/opt/sbin":
		return true
	}
	return p.home != "" && (p.dir == p.home+"/bin" || p.dir == p.home+"/.local/bin")
}

const anyX = fs.FileMode(0o111)

// stands tells whether a file stands out. It runs for every file of the device: cheap tests
// first.
func (s *fileScan) stands(p *place, e *scanner.Info, bin bool) bool {
	m := e.Mode
	regular := m.IsRegular()
	x := regular && m&anyX != 0
	if m&(fs.ModeSetuid|fs.ModeSetgid) != 0 && x {
		return true
	}
	if p.system != "" {
		return false
	}
	dir := m.IsDir()
	if !regular && !dir {
		return false // links lead elsewhere, and devices and sockets run nothing
	}
	if m&0o002 != 0 && m&fs.ModeSticky == 0 && !p.shared && systemZone(p, e) {
		return true
	}
	if dir {
		return rootPathDir(p, e.Name) && e.UID > 0 || !p.noise && !plainName(e.Name) && deceptiveName(e.Name) != ""
	}
	if e.Size == 0 && !s.live {
		return false // device nodes become empty files in archives that cannot hold them
	}
	if !p.noise && !plainName(e.Name) && s.badName(p, e, x) {
		return true
	}
	switch p.zone {
	case zoneDev:
		return true
	case zoneTemp, zoneCache:
		if s.isDropped(p, e, x) {
			return true
		}
	case zoneDownload:
		if !p.noise && (isDocument(e.Name) || twoFaced(e.Name) && x || x) && s.isDropped(p, e, true) {
			return true
		}
	case zoneBin, zoneLib:
		if !p.noise && s.foreign(p, e, x) {
			return true
		}
	}
	if p.shared && s.isDropped(p, e, x) {
		return true
	}
	if m&0o044 != 0 && s.readableBy(p, e) != "" {
		if kind, content := secretKind(p, e.Name); kind != "" && (!content || s.holdsKey(p, e)) {
			return true
		}
	}
	if !x {
		return false
	}
	if bin && s.commands[e.Name] != "" {
		return true
	}
	if _, like := s.interpreters[e.Size]; like && p.zone != zoneBin {
		return true
	}
	return s.hasCaps(p.path(e.Name))
}

// systemZone tells places that no account but root may change.
func systemZone(p *place, e *scanner.Info) bool {
	switch p.zone {
	case zoneBin, zoneLib, zoneUsr, zoneLocal, zoneBoot, zoneEtc:
		return true
	case zoneOther:
		return p.dir == "/" && (e.Name == "etc" || e.Name == "usr" || e.Name == "boot" || e.Name == "opt" ||
			e.Name == "bin" || e.Name == "sbin" || e.Name == "lib" || e.Name == "root")
	}
	return false
}

// rootPathDir tells directories of root's usual PATH.
func rootPathDir(p *place, name string) bool {
	return (name == "bin" || name == "sbin") && (p.dir == "/" || p.dir == "/usr" || p.dir == "/usr/local")
}

// badName looks at a name that is not plain.
func (s *fileScan) badName(p *place, e *scanner.Info, x bool) bool {
	if deceptiveName(e.Name) != "" {
		return x || s.program(p.path(e.Name), false)
	}
	switch p.zone {
	case zoneBin, zoneLib, zoneUsr, zoneBoot:
		return e.Name[0] == '.' && (x || p.zone != zoneUsr && s.program(p.path(e.Name), false))
	}
	return false
}

// isDropped tells whether a file in a place for temporary or downloaded files is a program.
func (s *fileScan) isDropped(p *place, e *scanner.Info, x bool) bool {
	if e.Size < 4 {
		return false
	}
	if !x {
		if p.noise || p.zone == zoneCache {
			return false
		}
		if s.heads++; s.heads > maxIdleHeads {
			s.unread++
			return false
		}
	}
	return s.program(p.path(e.Name), x)
}

// foreign tells whether a file in a directory of programs or libraries is a program that no
// package owns.
func (s *fileScan) foreign(p *place, e *scanner.Info, x bool) bool {
	path := p.path(e.Name)
	if _, owned := s.owners.owner(path); owned {
		return false
	}
	if !x && (e.Size < 64 || dataFile(e.Name)) {
		return false
	}
	return s.program(path, x && p.zone == zoneBin)
}

// dataFile tells caches and indexes that tools make beside packaged files. Only such names
// are trusted, and only without an x bit.
func dataFile(name string) bool {
	switch extension(name) {
	case "pyc", "cache", "elc", "db", "json", "mo", "hwdb", "bin":
		return true
	}
	return false
}

// program tells whether a file starts as a compiled program or, where scripts count, with #!.
func (s *fileScan) program(path string, scripts bool) bool {
	head, err := s.fs.Head(path)
	if err != nil {
		return !missing(err) // let the row say that it could not be read
	}
	return isELF(head) || scripts && isScript(head)
}

func isELF(head []byte) bool    { return bytes.HasPrefix(head, []byte("\x7fELF")) }
func isScript(head []byte) bool { return bytes.HasPrefix(head, []byte("#!")) }

func (s *fileScan) holdsKey(p *place, e *scanner.Info) bool {
	head, err := s.fs.Head(p.path(e.Name))
	if err != nil {
		return !missing(err)
	}
	key, _ := isPrivateKey(head)
	return key
}

// hasCaps tells whether a program file has capabilities. That most have none is the answer
// expected; any trouble is told by the row.
func (s *fileScan) hasCaps(path string) bool {
	if s.noXattr != "" {
		return false
	}
	_, err := s.fs.Xattr(path, capsAttr)
	if errors.Is(err, scanner.ErrUnavailable) {
		s.noXattr = scanner.Reason(err)
		return false
	}
	return err == nil
}

const capsAttr = "security.capability"

// readGroups reads /etc/group.
func (s *fileScan) readGroups() {
	s.groups, s.people = map[int]string{}, map[int]bool{}
	b, err := scanner.ReadFile(s.fs, "/etc/group", maxAccountFile)
	if err != nil {
		return
	}
	human := map[string]bool{}
	for _, u := range s.users {
		human[u.Name] = u.Human
		_, unread := u.Unread.Unread["password"]
		s.hashes = s.hashes || unread || u.Password == string(parse.PasswordSet)
	}
	entries, _ := parse.Group(b)
	for _, g := range entries {
		s.groups[g.GID] = g.Name
		for _, m := range g.Members {
			s.people[g.GID] = s.people[g.GID] || human[m]
		}
	}
}
