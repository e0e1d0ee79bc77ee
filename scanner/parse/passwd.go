package parse

import (
	"bytes"
	"strconv"
	"strings"
)

// PasswdEntry is one line of /etc/passwd (passwd(5)).
type PasswdEntry struct {
	Name, Password, Home, Shell string
	UID, GID                    int
	Line                        int // 1-based
}

// Passwd reads /etc/passwd. Lines that are no account ("+::::::" of NIS, comments, damage) are
// told in bad, one error each; the rest is still read.
func Passwd(b []byte) (entries []PasswdEntry, bad []error) {
	lines(b, func(n int, line string) {
		f := strings.Split(line, ":")
		if line == "" || line[0] == '#' || line[0] == '+' || line[0] == '-' {
			return
		}
		if len(f) < 7 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "an account has seven fields"})
			return
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "user or group id is no number"})
			return
		}
		entries = append(entries, PasswdEntry{Name: f[0], Password: f[1], UID: uid, GID: gid, Home: f[5], Shell: f[6], Line: n})
	})
	return entries, bad
}

// ShadowEntry is what Picket keeps of one line of /etc/shadow (shadow(5)): never the hash.
type ShadowEntry struct {
	Name       string
	State      PasswordState
	Scheme     string // "yescrypt", "sha512", "md5", "des", ...; "" unless State is PasswordSet
	LastChange int    // days since 1970-01-01; -1 unknown
	Line       int    // 1-based
}

// PasswordState says what a password field allows.
type PasswordState string

// The states of a password field.
const (
	PasswordSet    PasswordState = "set"    // a hash
	PasswordEmpty  PasswordState = "empty"  // no password is asked for
	PasswordLocked PasswordState = "locked" // no password matches
)

// Shadow reads /etc/shadow.
func Shadow(b []byte) (entries []ShadowEntry, bad []error) {
	lines(b, func(n int, line string) {
		if line == "" || line[0] == '#' || line[0] == '+' || line[0] == '-' {
			return
		}
		f := strings.Split(line, ":")
		if len(f) < 2 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "a shadow entry has at least two fields"})
			return
		}
		e := ShadowEntry{Name: f[0], LastChange: -1, Line: n}
		e.State, e.Scheme = PasswordField(f[1])
		if len(f) > 2 {
			if d, err := strconv.Atoi(f[2]); err == nil {
				e.LastChange = d
			}
		}
		entries = append(entries, e)
	})
	return entries, bad
}

// PasswordField judges a password field of passwd or shadow (crypt(5)) without keeping it.
func PasswordField(s string) (PasswordState, string) {
	switch {
	case s == "":
		return PasswordEmpty, ""
	case s[0] == '!' || s[0] == '*' || s == "x" || s[0] != '$' && s[0] != '_' && len(s) != 13:
		return PasswordLocked, ""
	case s[0] == '_':
		return PasswordSet, "bsdi-des"
	case s[0] != '$':
		return PasswordSet, "des"
	}
	id, _, _ := strings.Cut(s[1:], "$")
	names := map[string]string{"1": "md5", "2": "bcrypt", "2a": "bcrypt", "2b": "bcrypt", "2x": "bcrypt", "2y": "bcrypt",
		"5": "sha256", "6": "sha512", "7": "scrypt", "y": "yescrypt", "gy": "gost-yescrypt", "sha1": "sha1", "md5": "sun-md5", "3": "nt"}
	if n, ok := names[id]; ok {
		return PasswordSet, n
	}
	return PasswordSet, "unknown"
}

// GroupEntry is one line of /etc/group (group(5)).
type GroupEntry struct {
	Name    string
	GID     int
	Members []string
	Line    int // 1-based
}

// Group reads /etc/group.
func Group(b []byte) (entries []GroupEntry, bad []error) {
	lines(b, func(n int, line string) {
		if line == "" || line[0] == '#' || line[0] == '+' || line[0] == '-' {
			return
		}
		f := strings.Split(line, ":")
		if len(f) < 3 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "a group has four fields"})
			return
		}
		gid, err := strconv.Atoi(f[2])
		if err != nil {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "group id is no number"})
			return
		}
		g := GroupEntry{Name: f[0], GID: gid, Line: n}
		if len(f) > 3 {
			for _, m := range strings.Split(f[3], ",") {
				if m = strings.TrimSpace(m); m != "" {
					g.Members = append(g.Members, m)
				}
			}
		}
		entries = append(entries, g)
	})
	return entries, bad
}

// lines calls f for each line of b, numbered from 1, without its end.
func lines(b []byte, f func(n int, line string)) {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		f(n, strings.TrimSuffix(string(line), "\r"))
		b = rest
	}
}
