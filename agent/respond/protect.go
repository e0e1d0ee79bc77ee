package respond

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Folders that are never work data: neither they, nor what holds them, nor anything in them.
func systemFolders() []string {
	return []string{"/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/nix", "/proc", "/run/systemd", "/sbin", "/snap", "/sys", "/usr",
		"/var/lib/dpkg", "/var/lib/apt", "/var/lib/rpm", "/var/lib/apk", "/var/lib/pacman", "/var/lib/systemd", "/lib/apk",
		"/apex", "/system", "/system_ext", "/vendor", "/product", "/odm", "/oem", "/metadata", "/persist", "/init",
		"/data/adb", "/data/app", "/data/system", "/data/system_ce", "/data/system_de", "/data/misc", "/data/misc_ce", "/data/misc_de", "/data/vendor", "/data/property", "/data/apex", "/data/dalvik-cache", "/data/unencrypted"}
}

// Folders of which only a part may be work data: neither they nor what holds them.
func sharedFolders() []string {
	return []string{"/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/run/user", "/run/media", "/srv", "/tmp", "/var", "/var/home", "/var/lib", "/var/log", "/var/cache", "/var/tmp", "/var/spool", "/var/mail", "/var/opt",
		"/data", "/data/data", "/data/user", "/data/user_de", "/data/media", "/data/media/0", "/data/user/0", "/data/user_de/0", "/sdcard", "/storage", "/storage/emulated", "/storage/emulated/0", "/cache", "/overlay", "/rom"}
}

// Folders whose every entry is the whole of a person's data.
func homeParents() []string {
	return []string{"/home", "/var/home", "/run/user", "/data/user", "/data/user_de", "/data/media", "/storage/emulated"}
}

// checkFolder refuses what cannot be meant.
func checkFolder(name string, keep []string) error {
	switch {
	case !filepath.IsAbs(name) || filepath.Clean(name) != name || len(name) > maxArgument || strings.ContainsRune(name, 0):
		return fmt.Errorf("%q is no full path in its shortest form", name)
	case slices.Contains(homeParents(), filepath.Dir(name)):
		return fmt.Errorf("%s is all that a person has, not work data", name)
	}
	for _, p := range slices.Concat(systemFolders(), keep) {
		if within(name, p) || within(p, name) {
			return fmt.Errorf("%s is not work data: %s is kept", name, p)
		}
	}
	for _, p := range sharedFolders() {
		if within(p, name) {
			return fmt.Errorf("%s holds more than work data", name)
		}
	}
	return nil
}

// within tells whether a path is a folder or lies in it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}

// checkSame refuses a folder that is, by another name, one of those that are kept: a bind mount.
func checkSame(name string, keep []string) error {
	st, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is no folder", name)
	}
	kept := slices.Concat(systemFolders(), sharedFolders(), keep)
	for _, k := range keep {
		for k != "/" && k != "." {
			k = filepath.Dir(k)
			kept = append(kept, k)
		}
	}
	for _, parent := range homeParents() {
		homes, _ := filepath.Glob(parent + "/*")
		kept = append(kept, homes...)
	}
	for _, k := range kept {
		if other, err := os.Stat(k); err == nil && os.SameFile(st, other) {
			return fmt.Errorf("%s is %s by another name", name, k)
		}
	}
	return nil
}

// maxLinks is how many links one path may lead over.
const maxLinks = 40

// Trusted tells why a file is not one that root, or the agent's own user, alone can write or
// replace: by its owner and mode, and those of every folder above it. No part of it may be a link.
func Trusted(name string) error {
	where, err := trusted(name)
	if err == nil && where != filepath.Clean(name) {
		err = fmt.Errorf("%s is not used: a part of it is a link", name)
	}
	return err
}

// trusted is Trusted for a path with links that root made, and gives where it leads.
func trusted(name string) (string, error) {
	if !filepath.IsAbs(name) {
		return "", fmt.Errorf("%s is no full path", name)
	}
	at, rest, links := "/", strings.Split(filepath.Clean(name), "/")[1:], 0
	for i := -1; i < len(rest); i++ {
		next := at
		if i >= 0 {
			next = filepath.Join(at, rest[i])
		}
		var st unix.Stat_t
		if err := unix.Lstat(next, &st); err != nil {
			return "", &os.PathError{Op: "lstat", Path: next, Err: err}
		}
		if why := whoElse(&st); why != "" && !(next == "/data" && st.Uid == androidSystem && onAndroid()) {
			return "", fmt.Errorf("%s is not used: %s: %s", name, next, why)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			if last := i == len(rest)-1; last != (st.Mode&unix.S_IFMT == unix.S_IFREG) {
				return "", fmt.Errorf("%s is not used: %s is no %s", name, next, map[bool]string{true: "regular file", false: "folder"}[last])
			}
			at = next
			continue
		}
		to, err := os.Readlink(next)
		if links++; err == nil && links > maxLinks {
			err = fmt.Errorf("%s: more than %d links", name, maxLinks)
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(at, to)
		}
		at, rest, i = "/", append(strings.Split(filepath.Clean(to), "/")[1:], rest[i+1:]...), -1
	}
	return at, nil
}

// androidSystem is the user of Android's own services, which owns /data and is trusted with all in it.
const androidSystem = 1000

// onAndroid tells where this runs: a program built for Linux runs on Android too.
func onAndroid() bool {
	st, err := os.Lstat("/system/build.prop")
	return err == nil && st.Mode().IsRegular()
}

// whoElse says who else can write or replace something.
func whoElse(st *unix.Stat_t) string {
	kind := st.Mode & unix.S_IFMT
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Sprintf("it belongs to user %d", st.Uid)
	case kind == unix.S_IFLNK: // whose mode says nothing
		return ""
	case kind == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0: // others cannot replace what is not theirs
		return ""
	case st.Mode&unix.S_IWOTH != 0:
		return "everybody can write it"
	case st.Mode&unix.S_IWGRP != 0 && st.Gid != 0:
		return fmt.Sprintf("group %d can write it", st.Gid)
	}
	return ""
}

// program gives where a program is after its links, if root alone can write it.
func program(name string) (string, error) {
	where, err := trusted(name)
	if err != nil {
		return "", err
	}
	if st, err := os.Stat(where); err != nil {
		return "", err
	} else if st.Mode()&0o111 == 0 {
		return "", errors.New(where + " cannot be run: it has no x")
	}
	return where, nil
}
