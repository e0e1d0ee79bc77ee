package facts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// SSHKey is one public key that lets its holder in, or one command that tells sshd which
// keys do. The key itself is not kept.
type SSHKey struct {
	Kind        string   `expr:"kind" json:"kind" doc:"key, or command for AuthorizedKeysCommand of sshd_config"`
	Account     string   `expr:"account" json:"account" doc:"account that the key opens"`
	UID         int      `expr:"uid" json:"uid" doc:"its user id"`
	LoginShell  bool     `expr:"login_shell" json:"login_shell" doc:"its shell lets a person in"`
	Human       bool     `expr:"human" json:"human" doc:"its uid is one of people (1000 to 59999)"`
	Path        string   `expr:"path" json:"path" doc:"the file"`
	Type        string   `expr:"type" json:"type,omitempty" doc:"key type, such as ssh-ed25519"`
	Bits        int      `expr:"bits" json:"bits,omitempty" doc:"size of an RSA or DSA key, 0 for others"`
	Fingerprint string   `expr:"fingerprint" json:"fingerprint,omitempty" doc:"SHA256:... as ssh-keygen -l prints it"`
	Comment     string   `expr:"comment" json:"comment,omitempty" doc:"comment behind the key"`
	Options     []string `expr:"options" json:"options,omitempty" doc:"names of the options before the key"`
	Forced      string   `expr:"command" json:"command,omitempty" doc:"the only command that the key may run, at most 200 bytes; for kind command the program"`
	Environment string   `expr:"environment" json:"environment,omitempty" doc:"names of variables that the key sets"`
	Owned       bool     `expr:"owned" json:"owned,omitempty" doc:"for kind command: a package installed the program"`
	WritableBy  string   `expr:"writable_by" json:"writable_by,omitempty" doc:"who besides root and the account may change the file, or put another in its place"`
	Where       string   `expr:"where" json:"where" doc:"file and line"`
	scanner.Unread
}

var (
	homeKeyFiles   = []string{"/.ssh/authorized_keys", "/.ssh/authorized_keys2"}
	systemKeyFiles = []string{"/etc/ssh/authorized_keys/*", "/etc/ssh/authorized_keys.d/*", "/etc/ssh/*/authorized_keys"}
)

const dropbearKeys = "/etc/dropbear/authorized_keys"

func sshKeysCollector() scanner.Collector {
	return scanner.Collector{
		Table: "ssh_keys", Doc: "SSH keys that open an account", Row: SSHKey{},
		Reads: scanner.Reads{Globs: concat([]string{"~" + homeKeyFiles[0], "~" + homeKeyFiles[1], dropbearKeys}, systemKeyFiles, sshdGlobs), Meta: everyProgram()},
		Needs: []string{"users", "packages"}, Collect: collectSSHKeys,
	}
}

type sshKeyReader struct {
	*treeReader
	p     *provenance
	users []User
	rows  []SSHKey
}

func collectSSHKeys(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	k := &sshKeyReader{treeReader: newReader(in, t), p: newProvenance(in), users: users}
	for _, u := range sshHomes(users) {
		for _, f := range homeKeyFiles {
			k.keys(path.Clean(u.Home+f), u)
		}
	}
	for _, name := range k.glob(systemKeyFiles...) {
		account := path.Base(name)
		if account == "authorized_keys" {
			account = path.Base(path.Dir(name))
		}
		k.keys(name, k.account(account))
	}
	k.keys(dropbearKeys, k.account("root"))
	k.configured()
	t.Rows = k.rows
	return *t
}

// sshHomes gives the accounts whose home may hold keys: each one, with "/" too, for a key
// there opens the account all the same. Accounts that share a home are told by the first of
// them that may log in.
func sshHomes(users []User) []User {
	var out []User
	for _, u := range users {
		h := path.Clean(u.Home)
		if u.Home == "" || !strings.HasPrefix(h, "/") || h == "/nonexistent" {
			continue
		}
		u.Home = strings.TrimSuffix(h, "/")
		i := slices.IndexFunc(out, func(o User) bool { return o.Home == u.Home })
		switch {
		case i < 0:
			out = append(out, u)
		case u.LoginShell && !out[i].LoginShell:
			out[i] = u
		}
	}
	return out
}

func (k *sshKeyReader) account(name string) User {
	for _, u := range k.users {
		if u.Name == name {
			return u
		}
	}
	return User{Name: name, UID: -1}
}

// keys adds the keys of one file.
func (k *sshKeyReader) keys(name string, u User) {
	if info, err := k.fs.Stat(name); err != nil || !info.Mode.IsRegular() {
		k.note(err)
		return
	}
	keys, bad := parse.AuthorizedKeys(k.file(name))
	k.table.Partial = append(k.table.Partial, damaged(name, bad)...)
	by, why := k.p.writableBy(name)
	if by == fmt.Sprintf("user %d", u.UID) || by == fmt.Sprintf("group %d", u.GID) && u.Human {
		by = ""
	}
	for _, key := range keys {
		row := SSHKey{Kind: "key", Account: u.Name, UID: u.UID, LoginShell: u.LoginShell, Human: u.Human, Path: name, Type: key.Type, Bits: key.Bits,
			Fingerprint: key.Fingerprint, Comment: shown(key.Comment), WritableBy: by, Where: at(name, key.Line)}
		if why != "" {
			row.MarkUnread("writable_by", why)
		}
		for _, o := range key.Options {
			n, _, _ := strings.Cut(o, "=")
			row.Options = append(row.Options, strings.ToLower(n))
		}
		if c := key.Option("command"); len(c) > 0 {
			row.Forced = shown(c[0])
		}
		var names []string
		for _, e := range key.Option("environment") {
			n, _, _ := strings.Cut(e, "=")
			names = append(names, n)
		}
		row.Environment = shown(strings.Join(names, ", "))
		k.rows = append(k.rows, row)
	}
}

// configured reads from sshd_config where else keys come from.
func (k *sshKeyReader) configured() {
	for _, l := range readSSHD(k.treeReader) {
		switch l.Keyword {
		case "authorizedkeyscommand":
			program, _, _ := strings.Cut(l.Value, " ")
			if program == "none" || !strings.HasPrefix(program, "/") {
				continue
			}
			row := SSHKey{Kind: "command", Account: "every account", UID: -1, Path: l.File, Forced: shown(program), Where: at(l.File, l.Line)}
			var why string
			if _, row.Owned, why = k.p.owner(program); why != "" {
				row.MarkUnread("owned", why)
			}
			k.rows = append(k.rows, row)
		case "authorizedkeysfile":
			for _, f := range strings.Fields(l.Value) {
				if !k.known(f) {
					k.table.Partial = append(k.table.Partial, at(l.File, l.Line)+": keys are also in "+shown(f)+", which Picket does not read")
				}
			}
		}
	}
}

// known reports whether a value of AuthorizedKeysFile is among the files that are read.
func (k *sshKeyReader) known(f string) bool {
	switch strings.TrimPrefix(f, "%h/") {
	case "none", ".ssh/authorized_keys", ".ssh/authorized_keys2", "/root/.ssh/authorized_keys",
		"/etc/ssh/authorized_keys/%u", "/etc/ssh/authorized_keys.d/%u", "/etc/ssh/%u/authorized_keys":
		return true
	}
	return false
}
