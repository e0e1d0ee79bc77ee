package facts

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// add works out the row of a file that stands out. Every column is worked out for every row,
// whatever made the file stand out: rules must not depend on that.
func (s *fileScan) add(p *place, e *scanner.Info) {
	name := p.path(e.Name)
	f := File{
		Path: name, Dir: p.dir, Name: name[len(name)-len(e.Name):], Group: groupOf(p), Zone: string(p.zone), System: p.system,
		Type: "file", Mode: octalMode(e.Perm()), UID: e.UID, GID: e.GID, Size: e.Size, ModTime: e.ModTime.Unix(),
		Hidden: p.hidden || e.Name[0] == '.', HiddenOwn: e.Name[0] == '.', Noise: p.noise, NoSuid: p.nosuid,
		Deceptive: deceptiveName(e.Name), ParentWritable: p.shared,
		Service: e.UID > 0 && e.UID < 1000 || e.UID == 65534, Where: name,
	}
	f.WorldWritable = e.Mode&0o002 != 0 && e.Mode&fs.ModeSticky == 0
	if e.Mode.IsDir() {
		f.Type = "dir"
		f.InPath = rootPathDir(p, e.Name)
		f.WritableBy = s.writableBy(e)
		s.own(&f)
		s.rows = append(s.rows, f)
		return
	}
	f.WritableBy = s.writableBy(e)
	f.Executable = e.Mode&anyX != 0
	f.Suid = e.Mode&fs.ModeSetuid != 0 && f.Executable
	f.Sgid = e.Mode&fs.ModeSetgid != 0 && f.Executable
	f.Tool = isTool(e.Name)
	kind, content := secretKind(p, e.Name)
	head := s.look(&f, kind != "" && !content)
	s.caps(&f)
	f.Power = power(&f)
	owned := s.own(&f)
	f.MoreThanPkg = moreThanPackaged(&f, owned)
	s.copies(&f)
	if commandPlace(p) {
		f.Shadows = s.commands[e.Name]
		f.ShadowsKey = slices.Contains(sensitiveCommands, e.Name)
	}
	if p.zone == zoneDownload && isDocument(e.Name) {
		f.Lie = lie(&f)
	}
	if p.zone == zoneDownload && f.Deceptive == "" && twoFaced(e.Name) {
		f.Deceptive = deceptiveExtension
	}
	if kind != "" {
		s.secret(p, e, &f, kind, content, head)
	}
	s.rows = append(s.rows, f)
}

// look reads a file's first bytes. What holds nothing but secrets is not looked into.
func (s *fileScan) look(f *File, closed bool) []byte {
	why := "a file of secrets is not looked into"
	if !closed {
		head, err := s.fs.Head(f.Path)
		if err == nil {
			f.ELF, f.Script = isELF(head), isScript(head)
			return head
		}
		why = scanner.Reason(err)
	}
	for _, col := range []string{"elf", "script", "content_lie"} {
		f.MarkUnread(col, why)
	}
	return nil
}

func lie(f *File) string {
	switch {
	case f.ELF:
		return "program"
	case f.Script && f.Executable:
		return "script"
	}
	return ""
}

func (s *fileScan) caps(f *File) {
	if s.noXattr != "" || !f.Executable || f.System != "" {
		return
	}
	b, err := s.fs.Xattr(f.Path, capsAttr)
	if err != nil {
		if !missing(err) {
			f.MarkUnread("caps", scanner.Reason(err))
		}
		return
	}
	c, err := parse.FileCapabilities(b)
	if err != nil {
		f.MarkUnread("caps", f.Path+": "+err.Error())
		return
	}
	f.Caps = c.Permitted
	for _, name := range c.Inheritable {
		if !slices.Contains(f.Caps, name) {
			f.Caps = append(f.Caps, name)
		}
	}
}

// power says in words what running the file gives.
func power(f *File) string {
	var out []string
	if f.Suid && f.UID == 0 {
		out = append(out, "runs as root")
	} else if f.Suid {
		out = append(out, fmt.Sprintf("runs as user %d", f.UID))
	}
	if f.Sgid {
		out = append(out, fmt.Sprintf("runs with group %d", f.GID))
	}
	if len(f.Caps) > 0 {
		out = append(out, "has "+strings.Join(f.Caps, ", "))
	}
	return strings.Join(out, "; ")
}

// own fills what the package databases know of the file.
func (s *fileScan) own(f *File) Owned {
	if f.System != "" {
		f.MarkUnread("owned", f.System+" is another system's tree")
		f.MarkUnread("package", f.System+" is another system's tree")
		return Owned{Mode: -1}
	}
	w, ok := s.owners.owner(f.Path)
	if !ok {
		if why := s.owners.unknown; why != "" {
			f.MarkUnread("owned", why)
			f.MarkUnread("package", why)
		}
		return Owned{Mode: -1}
	}
	f.Owned, f.Package = true, s.owners.owners.Package(w).ID
	if w.Mode >= 0 && !w.Link {
		f.ExpectedMode = octalMode(uint32(w.Mode))
	}
	return w
}

// moreThanPackaged tells whether a packaged file has rights that its package does not give it.
func moreThanPackaged(f *File, w Owned) bool {
	if !f.Owned {
		return false
	}
	if w.Mode >= 0 {
		if f.Suid && w.Mode&0o4000 == 0 || f.Sgid && w.Mode&0o2000 == 0 {
			return true
		}
	}
	if w.Caps == "" {
		return false
	}
	for _, c := range f.Caps {
		if !strings.Contains(w.Caps, "cap_"+c) {
			return true
		}
	}
	return false
}

// maxCopyDigest bounds the files that are compared with packaged ones.
const maxCopyDigest = 512 << 20

// copies compares a file without owner with packaged files.
func (s *fileScan) copies(f *File) {
	if f.Owned || f.Size > maxCopyDigest {
		return
	}
	inSystem := f.System == "" && (f.Zone == string(zoneBin) || f.Zone == string(zoneLib) || f.Zone == string(zoneUsr) || f.Zone == string(zoneBoot))
	if !s.digests {
		f.MarkUnread("packaged_copy", noDigests)
		f.MarkUnread("copy_of", noDigests)
		return
	}
	if inSystem {
		ok, err := s.owners.knownBytes(s.fs, f.Path)
		if err != nil {
			f.MarkUnread("packaged_copy", scanner.Reason(err))
		}
		f.PackagedCopy = ok
	}
	for _, tool := range s.interpreters[f.Size] {
		if family(path.Base(tool)) == family(f.Name) {
			continue
		}
		same, err := s.sameBytes(f.Path, tool)
		if err != nil {
			f.MarkUnread("copy_of", scanner.Reason(err))
		}
		if same {
			f.CopyOf = tool
			return
		}
	}
}

const noDigests = "digests are switched off"

func (s *fileScan) sameBytes(name, tool string) (bool, error) {
	want, ok := s.known[tool]
	if !ok {
		var err error
		if want, err = s.fs.Digest(tool, scanner.SHA256); err != nil {
			return false, err
		}
		s.known[tool] = want
	}
	got, err := s.fs.Digest(name, scanner.SHA256)
	return err == nil && bytes.Equal(got, want), err
}

// secret fills what secret of a kind the file holds; where content tells, head decides.
func (s *fileScan) secret(p *place, e *scanner.Info, f *File, kind string, content bool, head []byte) {
	if kind == passwordHashes && !s.hashes {
		return
	}
	if content {
		if head == nil {
			f.MarkUnread("secret", "its first bytes could not be read")
			return
		}
		key, encrypted := isPrivateKey(head)
		if !key {
			return
		}
		if encrypted {
			kind = "private key with passphrase"
		}
	}
	f.Secret = kind
	f.ReadableBy = s.readableBy(p, e)
}

func (s *fileScan) readableBy(p *place, e *scanner.Info) string {
	if p.open && e.Mode&0o004 != 0 {
		return "everyone"
	}
	if e.Mode&0o040 != 0 {
		if p.dir == "/etc" && e.GID != 0 && s.groups[e.GID] != "shadow" { // hashes are for no other group
			return "group " + s.groupName(e.GID)
		}
		if s.people[e.GID] && e.GID != 0 && !s.privateGroup(e) {
			return "group " + s.groupName(e.GID)
		}
	}
	return ""
}

func (s *fileScan) groupName(gid int) string {
	if n := s.groups[gid]; n != "" {
		return n
	}
	return strconv.Itoa(gid)
}

// privateGroup tells a group that is only its owner's own.
func (s *fileScan) privateGroup(e *scanner.Info) bool {
	for _, u := range s.users {
		if u.UID == e.UID && u.GID == e.GID {
			return true
		}
	}
	return false
}

func (s *fileScan) writableBy(e *scanner.Info) string {
	switch {
	case e.Mode&0o002 != 0 && e.Mode&fs.ModeSticky == 0:
		return "everyone"
	case e.UID > 0:
		return fmt.Sprintf("user %d", e.UID)
	}
	return ""
}

// groupOf gives the folder that findings about a file are told under: the first one below
// its zone's own folder.
func groupOf(p *place) string {
	top := p.zoneTop
	if top == "" || len(p.dir) <= len(top) {
		return p.dir
	}
	rest := p.dir[len(top):]
	if top == "/" {
		rest = p.dir
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	return path.Join(top, first)
}

func octalMode(perm uint32) string { return fmt.Sprintf("%04o", perm) }
