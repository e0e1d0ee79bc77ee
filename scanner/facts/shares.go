package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Share is one directory that the device offers to others.
type Share struct {
	Protocol string `expr:"protocol" json:"protocol" doc:"nfs, smb, rsync, ftp or media"`
	Name     string `expr:"name" json:"name" doc:"share or exported directory"`
	Clients  string `expr:"clients" json:"clients,omitempty" doc:"who is let in, where it is limited; * is everyone"`
	Guest    bool   `expr:"guest" json:"guest" doc:"nobody has to log in"`
	Writable bool   `expr:"writable" json:"writable" doc:"files can be changed"`
	RootOpen bool   `expr:"root_open" json:"root_open,omitempty" doc:"root of another machine is root here (no_root_squash)"`
	Where    string `expr:"where" json:"-" doc:"file and line"`
}

var shareGlobs = []string{"/etc/exports", "/etc/exports.d/*.exports", "/etc/samba/smb.conf", "/var/lib/samba/usershares/*",
	"/etc/rsyncd.conf", "/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf", "/etc/proftpd/proftpd.conf", "/etc/config/samba4", "/etc/config/samba"}

func sharesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "shares", Doc: "directories that the device offers to others", Row: Share{},
		Reads: scanner.Reads{Globs: shareGlobs}, Collect: collectShares,
	}
}

type shareReader struct {
	*treeReader
	rows []Share
}

func collectShares(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	s := &shareReader{treeReader: newReader(in, &t), rows: []Share{}}
	s.nfs()
	s.samba()
	s.rsync()
	s.ftp()
	for _, name := range s.glob("/etc/config/samba4", "/etc/config/samba") {
		for _, x := range parse.UCI(s.file(name)) {
			if x.Type == "sambashare" {
				s.rows = append(s.rows, Share{Protocol: "smb", Name: x.Get("name"), Guest: yes(x.Get("guest_ok")), Writable: !yes(x.Get("read_only")), Where: at(name, x.Line)})
			}
		}
	}
	t.Rows = s.rows
	return t
}

// nfs reads exports(5): DIRECTORY CLIENT(option,...)...
func (s *shareReader) nfs() {
	for _, name := range s.glob("/etc/exports", "/etc/exports.d/*.exports") {
		for _, d := range parse.Directives(s.file(name)) {
			clients := d.Words[1:]
			if len(clients) == 0 {
				clients = []string{"*"}
			}
			for _, c := range clients {
				host, opts, _ := strings.Cut(strings.TrimSuffix(c, ")"), "(")
				if strings.HasPrefix(host, "-") {
					continue
				}
				row := Share{Protocol: "nfs", Name: d.Words[0], Clients: host, Guest: host == "" || host == "*", Where: at(name, d.Line)}
				for _, o := range strings.Split(opts, ",") {
					row.Writable = row.Writable || o == "rw"
					row.RootOpen = row.RootOpen || o == "no_root_squash"
					row.Guest = row.Guest && !strings.HasPrefix(o, "sec=krb5")
				}
				s.rows = append(s.rows, row)
			}
		}
	}
}

// smbKey writes a key of smb.conf as Samba compares them: without blanks and case.
func smbKey(k string) string { return strings.ToLower(strings.ReplaceAll(k, " ", "")) }

func (s *shareReader) samba() {
	for _, name := range append(s.glob("/etc/samba/smb.conf"), s.glob("/var/lib/samba/usershares/*")...) {
		set := parse.INI(s.file(name))
		global := map[string]string{}
		for _, e := range set {
			if strings.EqualFold(e.Section, "global") {
				global[smbKey(e.Key)] = strings.ToLower(e.Value)
			}
		}
		for _, section := range set.Sections() {
			if !strings.EqualFold(section, "global") && !strings.EqualFold(section, "printers") {
				s.smbShare(name, section, set, global)
			}
		}
		s.usershare(name, set)
	}
}

func (s *shareReader) smbShare(file, section string, set parse.Settings, global map[string]string) {
	row := Share{Protocol: "smb", Name: section, Where: file}
	found := false
	for _, e := range set {
		if e.Section != section {
			continue
		}
		if !found {
			row.Where, found = at(file, e.Line), true
		}
		switch smbKey(e.Key) {
		case "guestok", "public":
			row.Guest = yes(e.Value)
		case "writable", "writeable", "writeok":
			row.Writable = yes(e.Value)
		case "readonly":
			row.Writable = no(e.Value)
		case "printable":
			if yes(e.Value) {
				return
			}
		case "hostsallow", "allowhosts":
			row.Clients = cut(e.Value, maxEvidenceText)
		}
	}
	row.Guest = row.Guest || yes(global["guestok"]) && global["maptoguest"] != "" && global["maptoguest"] != "never"
	if section != "" {
		s.rows = append(s.rows, row)
	}
}

// usershare reads a file of net usershare: keys without a section.
func (s *shareReader) usershare(file string, set parse.Settings) {
	if set.Get("", "usershare_acl") == "" {
		return
	}
	acl := set.Get("", "usershare_acl")
	s.rows = append(s.rows, Share{Protocol: "smb", Name: path.Base(file), Guest: set.Get("", "guest_ok") == "y", Writable: strings.Contains(acl, "Everyone:F"), Where: file})
}

func (s *shareReader) rsync() {
	const name = "/etc/rsyncd.conf"
	set := parse.INI(s.file(name))
	readOnly := set.Get("", "read only")
	for _, module := range set.Sections() {
		if module == "" {
			continue
		}
		ro := set.Get(module, "read only")
		if ro == "" {
			ro = readOnly
		}
		where, _ := set.Find(module, "path")
		clients := set.Get(module, "hosts allow")
		s.rows = append(s.rows, Share{Protocol: "rsync", Name: module, Clients: cut(clients, maxEvidenceText),
			Guest: set.Get(module, "auth users") == "" && set.Get("", "auth users") == "" && clients == "", Writable: no(ro), Where: at(name, where.Line)})
	}
}

func (s *shareReader) ftp() {
	for _, name := range s.glob("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf") {
		set := parse.Assignments(s.file(name))
		anonymous, ok := set.Find("", "anonymous_enable")
		if ok && yes(anonymous.Value) {
			s.rows = append(s.rows, Share{Protocol: "ftp", Name: "anonymous", Guest: true,
				Writable: yes(set.Get("", "anon_upload_enable")) && yes(set.Get("", "write_enable")), Where: at(name, anonymous.Line)})
		}
	}
	for _, d := range parse.Directives(s.file("/etc/proftpd/proftpd.conf")) {
		if strings.EqualFold(d.Words[0], "<Anonymous") {
			s.rows = append(s.rows, Share{Protocol: "ftp", Name: "anonymous", Guest: true, Where: at("/etc/proftpd/proftpd.conf", d.Line)})
		}
	}
}
