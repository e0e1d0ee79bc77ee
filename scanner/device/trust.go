package device

import (
	"fmt"
	"io/fs"
	"strings"

	"picket/scanner"
)

// untrustedModes tells why a tree's modes and owners mean nothing, "" when they do. Trees
// lose them on the way through git, zip, a foreign filesystem or an extraction by a plain
// user, and no single sign of that is enough: distroless images have no setuid program, and
// hardened ones none on purpose.
//
// Two signs settle it alone: every file has the same owner who is not root, or no program may
// be executed. Otherwise anything that only a tree with its modes can have speaks for it: a
// setuid or setgid file, a sticky directory, a shadow file closed to others, files of
// different groups. Where nothing does, a git checkout's .git or two of the lesser signs
// speak against it.
func untrustedModes(fsys scanner.FS) string {
	var s modeSample
	s.take(fsys)
	switch {
	case s.files >= 4 && s.oneOwner && s.uid > 0:
		return fmt.Sprintf("every file belongs to uid %d: owners were lost on the way", s.uid)
	case s.programs >= 4 && s.executable == 0:
		return "no program may be executed: modes were lost on the way"
	case s.special:
		return ""
	case s.git:
		return "the tree is a git checkout, which keeps neither modes nor owners"
	case len(s.signs) >= 2:
		return "modes seem lost on the way: " + strings.Join(s.signs, ", ")
	}
	return ""
}

// modeSample is what a look at a few telling places shows.
type modeSample struct {
	files                int // anything with an owner
	programs, executable int
	uid, gid             int
	oneOwner             bool
	special              bool // something that only a tree with its modes has
	git                  bool
	signs                []string
}

func (s *modeSample) take(fsys scanner.FS) {
	s.oneOwner = true
	top, _ := fsys.Lstat("/")
	s.uid, s.gid = top.UID, top.GID
	for _, dir := range []string{"/", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/etc", "/var", "/var/lib"} {
		list, _ := fsys.ReadDir(dir)
		for _, in := range list {
			s.look(in, strings.HasSuffix(dir, "bin"))
		}
	}
	if _, err := fsys.Lstat("/.git"); err == nil {
		s.git = true
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		if in, err := fsys.Lstat(dir); err == nil && in.Mode.IsDir() {
			if in.Mode&fs.ModeSticky != 0 {
				s.special = true
			} else {
				s.signs = append(s.signs, dir+" is not sticky")
			}
		}
	}
	shadow, err := fsys.Lstat("/etc/shadow")
	passwd, err2 := fsys.Lstat("/etc/passwd")
	if err == nil && err2 == nil {
		if shadow.Mode&0o004 != 0 {
			s.signs = append(s.signs, "/etc/shadow may be read by all")
		} else if passwd.Mode&0o004 != 0 {
			s.special = true
		}
	}
	for _, name := range []string{"/usr/bin/su", "/usr/bin/sudo", "/usr/bin/passwd", "/bin/su", "/bin/mount"} {
		if in, err := fsys.Lstat(name); err == nil && in.Mode.IsRegular() && in.Mode&fs.ModeSetuid == 0 {
			s.signs = append(s.signs, name+" is not setuid")
			break
		}
	}
	list, _ := fsys.ReadDir("/dev")
	for _, in := range list {
		if in.Mode.IsRegular() && in.Size == 0 {
			s.signs = append(s.signs, "/dev/"+in.Name+" is an empty file")
			break
		}
	}
}

// look takes one file into account.
func (s *modeSample) look(in scanner.Info, inBin bool) {
	s.files++
	s.oneOwner = s.oneOwner && in.UID == s.uid
	if in.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 || in.GID >= 0 && in.GID != s.gid && s.gid >= 0 {
		s.special = true
	}
	if inBin && in.Mode.IsRegular() {
		s.programs++
		if in.Mode&0o111 != 0 {
			s.executable++
		}
	}
}
