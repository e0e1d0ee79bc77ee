package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const maxAccountFile = 8 << 20 // bytes of passwd, shadow or group

// User is one account of /etc/passwd with what /etc/shadow allows it.
type User struct {
	Name       string `expr:"name" json:"name" doc:"login name"`
	UID        int    `expr:"uid" json:"uid" doc:"user id"`
	GID        int    `expr:"gid" json:"gid" doc:"primary group id"`
	Home       string `expr:"home" json:"home" doc:"home directory"`
	Shell      string `expr:"shell" json:"shell" doc:"login shell; empty means /bin/sh"`
	LoginShell bool   `expr:"login_shell" json:"login_shell" doc:"the shell lets a person in (not nologin, false, sync, halt, shutdown)"`
	Password   string `expr:"password" json:"password" doc:"set, empty or locked"`
	Scheme     string `expr:"scheme" json:"scheme" doc:"hash scheme when a password is set: yescrypt, sha512, md5, des, ..."`
	InPasswd   bool   `expr:"hash_in_passwd" json:"hash_in_passwd" doc:"the hash stands in passwd, readable by all"`
	Human      bool   `expr:"human" json:"human" doc:"uid from 1000 to 59999"`
	Where      string `expr:"where" json:"where" doc:"file and line"`
	scanner.Unread
}

// noLogin are programs that, as a shell, let nobody in.
var noLogin = []string{"nologin", "false", "sync", "halt", "shutdown", "true", "git-shell", "uucico"}

func usersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "users", Doc: "accounts of /etc/passwd", Row: User{},
		Reads:   scanner.Reads{Globs: []string{"/etc/passwd", "/etc/shadow"}},
		Collect: collectUsers,
	}
}

func collectUsers(_ context.Context, in *scanner.Input) scanner.Table {
	b, err := scanner.ReadFile(in.Device.FS(), "/etc/passwd", maxAccountFile)
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	accounts, bad := parse.Passwd(b)
	t := scanner.Table{Partial: damaged("/etc/passwd", bad)}
	shadow, noShadow := readShadow(in, &t)
	rows := make([]User, 0, len(accounts))
	for _, a := range accounts {
		u := User{Name: a.Name, UID: a.UID, GID: a.GID, Home: a.Home, Shell: a.Shell,
			LoginShell: !slices.Contains(noLogin, path.Base(a.Shell)), Human: a.UID >= 1000 && a.UID < 60000,
			Where: fmt.Sprintf("/etc/passwd:%d", a.Line)}
		state, scheme := parse.PasswordField(a.Password)
		s, ok := shadow[a.Name]
		switch {
		case a.Password != "x":
			u.InPasswd = state == parse.PasswordSet
		case noShadow != "":
			u.MarkUnread("password", noShadow)
			u.MarkUnread("scheme", noShadow)
		case ok:
			state, scheme = s.State, s.Scheme
		}
		u.Password, u.Scheme = string(state), scheme
		rows = append(rows, u)
	}
	t.Rows = rows
	return t
}

// readShadow gives /etc/shadow by name, or why it could not be read. A device without the
// file keeps its hashes in passwd.
func readShadow(in *scanner.Input, t *scanner.Table) (map[string]parse.ShadowEntry, string) {
	b, err := scanner.ReadFile(in.Device.FS(), "/etc/shadow", maxAccountFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	if err != nil {
		return nil, scanner.Reason(err)
	}
	entries, bad := parse.Shadow(b)
	t.Partial = append(t.Partial, damaged("/etc/shadow", bad)...)
	out := make(map[string]parse.ShadowEntry, len(entries))
	for _, e := range entries {
		if _, dup := out[e.Name]; !dup { // the first line counts
			out[e.Name] = e
		}
	}
	return out, ""
}

// damaged says which lines of a file could not be understood, the first few in words.
func damaged(file string, bad []error) []string {
	const shown = 3
	var out []string
	for i, err := range bad {
		if i == shown {
			return append(out, fmt.Sprintf("%s: %d more damaged lines", file, len(bad)-shown))
		}
		out = append(out, file+": "+err.Error())
	}
	return out
}

// homes gives every account's home directory that is worth looking into, without doubles.
func homes(users []User) []string {
	var out []string
	for _, u := range users {
		h := path.Clean(u.Home)
		if u.Home == "" || h == "/" || h == "/nonexistent" || !strings.HasPrefix(h, "/") || slices.Contains(out, h) {
			continue
		}
		out = append(out, h)
	}
	return out
}
