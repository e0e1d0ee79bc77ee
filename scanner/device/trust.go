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
	s := sampleModes(fsys)
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

// modeSample is what a look at a few telling files shows.
type modeSample struct {
	files                int // of those looked for
	programs, executable int
	uid, gid             int
	oneOwner             bool
	special              bool // something that only a tree with its modes has
	git                  bool
	signs                []string
}

// Files that most root filesystems have some of. Each is one lookup: opening a device must
// cost nothing beside scanning it.
var (
	sampledPrograms = []string{
		"/bin/sh", "/bin/busybox", "/bin/ls", "/bin/mount", "/bin/cat", "/bin/bash", "/sbin/init", "/usr/bin/env",
		"/usr/bin/awk", "/usr/bin/id", "/usr/bin/find", "/usr/sbin/chroot", "/sbin/ldconfig", "/sbin/apk",
	}
	sampledSetuid = []string{
		"/usr/bin/su", "/bin/su", "/usr/bin/passwd", "/usr/bin/sudo", "/bin/mount", "/usr/bin/chage", "/bin/bbsuid",
		"/usr/bin/newgrp", "/usr/bin/wall", "/usr/sbin/unix_chkpwd",
	}
	sampledFiles = []string{
		"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/os-release", "/usr/lib/os-release", "/etc", "/usr", "/var",
		"/var/lib", "/etc/ssl", "/var/log", "/var/mail", "/var/local", "/run", "/root",
	}
)

func sampleModes(fsys scanner.FS) modeSample {
	s := modeSample{oneOwner: true}
	top, _ := fsys.Lstat("/")
	s.uid, s.gid = top.UID, top.GID
	for _, name := range sampledPrograms {
		if in, err := fsys.Stat(name); err == nil && in.Mode.IsRegular() {
			s.look(in)
			s.programs++
			if in.Mode&0o111 != 0 {
				s.executable++
			}
		}
	}
	for _, name := range sampledFiles {
		if in, err := fsys.Stat(name); err == nil {
			s.look(in)
		}
	}
	plain := ""
	for _, name := range sampledSetuid {
		if in, err := fsys.Lstat(name); err == nil && in.Mode.IsRegular() {
			s.look(in)
			if plain == "" {
				plain = name
			}
		}
	}
	if plain != "" && !s.special {
		s.signs = append(s.signs, plain+" is not setuid")
	}
	s.places(fsys)
	return s
}

// look takes one file into account.
func (s *modeSample) look(in scanner.Info) {
	s.files++
	s.oneOwner = s.oneOwner && in.UID == s.uid
	if in.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 || in.GID >= 0 && in.GID != s.gid && s.gid >= 0 {
		s.special = true
	}
}

// places looks at what is known to have modes of its own.
func (s *modeSample) places(fsys scanner.FS) {
	_, err := fsys.Lstat("/.git")
	s.git = err == nil
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
	for _, name := range []string{"/dev/null", "/dev/console", "/dev/zero"} {
		if in, err := fsys.Lstat(name); err == nil && in.Mode.IsRegular() && in.Size == 0 {
			s.signs = append(s.signs, name+" is an empty file")
			break
		}
	}
}
