package parse

import "strings"

// ShortVersion gives the upstream version: full without the epoch and the revision that the
// package manager's packagers add. A suffix that belongs to the upstream part (Debian's
// "+dfsg" and "~rc1", Alpine's "_git20200101") stays.
func ShortVersion(manager, full string) string {
	switch manager {
	case "dpkg", "opkg", "rpm", "pacman":
		v := full
		if i := strings.IndexByte(v, ':'); i >= 0 && digits(v[:i]) {
			v = v[i+1:]
		}
		if i := strings.LastIndexByte(v, '-'); i > 0 {
			v = v[:i]
		}
		return v
	case "apk":
		if i := strings.LastIndex(full, "-r"); i > 0 && digits(full[i+2:]) {
			return full[:i]
		}
	}
	return full
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
