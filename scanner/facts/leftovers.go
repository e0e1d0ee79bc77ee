package facts

import (
	"context"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Leftover is one file that set the device up once. Of a secret in it only the kind is kept.
type Leftover struct {
	Path   string `expr:"path" json:"path" doc:"the file"`
	Origin string `expr:"origin" json:"origin" doc:"what it is from: raspberry-pi, cloud-init, installer, ansible or backup"`
	Holds  string `expr:"holds" json:"holds" doc:"what the first secret in it is: passphrase, password, hash, key or token; empty for none"`
	Public bool   `expr:"public" json:"public" doc:"every account may read it"`
	Where  string `expr:"where" json:"where" doc:"file and line"`
	scanner.Unread
}

var leftoverSets = []struct {
	origin string
	globs  []string
}{
	{"raspberry-pi", []string{"/boot/wpa_supplicant.conf", "/boot/userconf.txt", "/boot/userconf", "/boot/firstrun.sh", "/boot/custom.toml",
		"/boot/firmware/wpa_supplicant.conf", "/boot/firmware/userconf.txt", "/boot/firmware/userconf", "/boot/firmware/firstrun.sh", "/boot/firmware/custom.toml"}},
	{"cloud-init", []string{"/boot/user-data", "/boot/network-config", "/boot/firmware/user-data", "/boot/firmware/network-config",
		"/var/lib/cloud/instance/user-data.txt", "/var/lib/cloud/instances/*/user-data.txt", "/var/lib/cloud/seed/*/user-data"}},
	{"installer", []string{"/root/preseed.cfg", "/preseed.cfg", "/root/anaconda-ks.cfg", "/root/original-ks.cfg", "/root/*.ks", "/var/log/installer/autoinstall-user-data",
		"/root/archinstall/user_credentials.json", "/var/log/archinstall/user_credentials.json"}},
	{"ansible", []string{"~/.vault_pass", "~/.vault_pass.txt", "/etc/ansible/.vault_pass", "/etc/ansible/vault_pass.txt"}},
}

// backupGlobs are archives of a router's settings, passwords included, in folders where others
// may take them.
var backupGlobs = []string{"/tmp/backup-*.tar.gz", "/www/backup-*.tar.gz", "/www/*.tar.gz"}

func leftoversCollector() scanner.Collector {
	var globs []string
	for _, s := range leftoverSets {
		globs = append(globs, s.globs...)
	}
	return scanner.Collector{
		Table: "setup_leftovers", Doc: "files that set the device up, and whether they hold a secret", Row: Leftover{},
		Reads: scanner.Reads{Globs: globs, Meta: backupGlobs}, Needs: []string{"users"}, Collect: collectLeftovers,
	}
}

type leftoverReader struct {
	*treeReader
	modes string
	rows  []Leftover
}

func collectLeftovers(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	l := &leftoverReader{treeReader: newReader(in, t), modes: in.Device.Identity().ModesUntrusted}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	for _, s := range leftoverSets {
		for _, g := range s.globs {
			if rest, ok := strings.CutPrefix(g, "~"); ok {
				for _, u := range accountHomes(users) {
					l.look(s.origin, u.Home+rest)
				}
				continue
			}
			for _, name := range l.glob(g) {
				l.look(s.origin, name)
			}
		}
	}
	for _, name := range l.glob(backupGlobs...) {
		l.add(Leftover{Path: name, Origin: "backup", Holds: "password", Where: name})
	}
	t.Rows = l.rows
	return *t
}

// look adds a file, with the kind of the first secret in it.
func (l *leftoverReader) look(origin, name string) {
	info, err := l.fs.Stat(name)
	if err != nil || !info.Mode.IsRegular() {
		l.note(err)
		return
	}
	row := Leftover{Path: name, Origin: origin, Where: name}
	b := l.file(name)
	if holds, line := parse.FindSecret(b); holds != "" {
		row.Holds, row.Where = holds, at(name, line)
	} else if origin == "ansible" && len(b) > 0 { // the file is the password
		row.Holds = "password"
	}
	l.add(row)
}

func (l *leftoverReader) add(row Leftover) {
	if l.modes != "" {
		row.MarkUnread("public", l.modes)
	} else if info, err := l.fs.Stat(row.Path); err == nil {
		row.Public = info.Perm()&0o004 != 0
	}
	l.rows = append(l.rows, row)
}
