package facts

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// SSHServer is what an SSH server lets in: one row for everybody, and one for each Match of
// sshd_config with what it changes.
type SSHServer struct {
	Server        string   `expr:"server" json:"server" doc:"openssh or dropbear"`
	Match         string   `expr:"match" json:"match,omitempty" doc:"whom the row is about; empty for everybody"`
	Path          string   `expr:"path" json:"path" doc:"its main configuration file"`
	Installed     bool     `expr:"installed" json:"installed" doc:"the server's program is there"`
	Enabled       bool     `expr:"enabled" json:"enabled" doc:"the server starts by itself"`
	RootLogin     string   `expr:"root_login" json:"root_login" doc:"yes, prohibit-password, forced-commands-only or no"`
	PasswordLogin bool     `expr:"password_login" json:"password_login" doc:"passwords are accepted"`
	Empty         bool     `expr:"empty_passwords" json:"empty_passwords" doc:"accounts without a password are let in"`
	RootPassword  string   `expr:"root_password" json:"root_password,omitempty" doc:"state of root's password: set, empty or locked"`
	Interface     string   `expr:"interface" json:"interface,omitempty" doc:"dropbear on OpenWrt: the only network that it listens on"`
	UserEnv       string   `expr:"user_environment" json:"user_environment,omitempty" doc:"PermitUserEnvironment when it is not no"`
	LaxModes      bool     `expr:"lax_modes" json:"lax_modes,omitempty" doc:"StrictModes is off: keys in files that others may write are accepted"`
	HostBased     bool     `expr:"host_based" json:"host_based,omitempty" doc:"logins are accepted because of the client's name"`
	GatewayPorts  string   `expr:"gateway_ports" json:"gateway_ports,omitempty" doc:"GatewayPorts when it is not no: forwarded ports are open to the network"`
	Tunnel        string   `expr:"tunnel" json:"tunnel,omitempty" doc:"PermitTunnel when it is not no"`
	MaxAuthTries  int      `expr:"max_auth_tries" json:"max_auth_tries,omitempty" doc:"tries per connection"`
	Legacy        []string `expr:"legacy" json:"legacy,omitempty" doc:"broken algorithms that are switched on"`
	// Settings shows where the values come from.
	Settings []string `expr:"settings" json:"settings,omitempty" doc:"the settings in force that are not defaults, each with file and line"`
	Where    string   `expr:"where" json:"where" doc:"file and line"`
	scanner.Unread
}

var dropbearGlobs = []string{"/etc/config/dropbear", "/etc/default/dropbear", "/etc/conf.d/dropbear"}

var sshEnabling = []string{"/etc/systemd/system/*.wants/*", "/etc/rc?.d/S*", "/etc/rc.d/S*", "/etc/runlevels/*/*"}

func sshServersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "ssh_servers", Doc: "what SSH servers let in", Row: SSHServer{},
		Reads: scanner.Reads{Globs: concat(sshdGlobs, dropbearGlobs),
			Meta: concat(sshEnabling, []string{"/usr/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear", "/sbin/dropbear", "/bin/dropbear", "/etc/systemd/system/sshd.service"})},
		Needs: []string{"users"}, Collect: collectSSHServers,
	}
}

type sshServers struct {
	*treeReader
	root *User
	rows []SSHServer
}

func collectSSHServers(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	s := &sshServers{treeReader: newReader(in, t)}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, why)
	}
	if i := slices.IndexFunc(users, func(u User) bool { return u.UID == 0 }); i >= 0 {
		s.root = &users[i]
	}
	s.openssh()
	s.dropbear()
	t.Rows = s.rows
	return *t
}

// enabled reports whether a link starts one of the services.
func (s *sshServers) enabled(names ...string) bool {
	for _, link := range s.glob(sshEnabling...) {
		base := link[strings.LastIndexByte(link, '/')+1:]
		stem := strings.TrimSuffix(strings.TrimSuffix(base, ".service"), ".socket")
		if slices.Contains(names, stem) || len(base) > 1 && base[0] == 'S' && slices.Contains(names, strings.TrimLeft(base[1:], "0123456789")) {
			return true
		}
	}
	return false
}

// fill adds what is known of root's password.
func (s *sshServers) fill(row SSHServer) SSHServer {
	if s.root == nil {
		row.MarkUnread("root_password", "root's account is not known")
		return row
	}
	row.RootPassword = s.root.Password
	if why := s.root.UnreadColumns()["password"]; why != "" {
		row.MarkUnread("root_password", why)
	}
	return row
}

func (s *sshServers) openssh() {
	lines := readSSHD(s.treeReader)
	installed := s.exists("/usr/sbin/sshd", "/usr/bin/sshd")
	if len(lines) == 0 && !installed {
		return
	}
	enabled := s.enabled("ssh", "sshd") || s.exists("/etc/systemd/system/sshd.service")
	matches := []string{""}
	for _, l := range lines {
		if !slices.Contains(matches, l.Match) && len(matches) < 100 {
			matches = append(matches, l.Match)
		}
	}
	for _, m := range matches {
		row := SSHServer{Server: "openssh", Match: shown(m), Path: "/etc/ssh/sshd_config", Installed: installed, Enabled: enabled, Where: "/etc/ssh/sshd_config"}
		effective(&row, lines, m)
		s.rows = append(s.rows, s.fill(row))
	}
}

// effective works out the options for a Match: of the lines below it, then of those that hold
// for everybody, the first of each keyword counts.
func effective(row *SSHServer, lines []sshdLine, match string) {
	first := map[string]sshdLine{}
	for _, scope := range []string{match, ""} {
		for _, l := range lines {
			if _, set := first[l.Keyword]; !set && l.Match == scope {
				first[l.Keyword] = l
			}
		}
	}
	value := func(keyword, otherwise string) string {
		l, ok := first[keyword]
		if !ok {
			return otherwise
		}
		if v := strings.ToLower(l.Value); v != otherwise {
			if row.Where == row.Path {
				row.Where = at(l.File, l.Line)
			}
			row.Settings = append(row.Settings, fmt.Sprintf("%s %s (%s:%d)", l.Keyword, shown(l.Value), l.File, l.Line))
			return v
		}
		return otherwise
	}
	unless := func(v, usual string) string {
		if v == usual {
			return ""
		}
		return v
	}
	if row.RootLogin = value("permitrootlogin", "prohibit-password"); row.RootLogin == "without-password" {
		row.RootLogin = "prohibit-password"
	}
	row.Empty = value("permitemptypasswords", "no") == "yes"
	row.PasswordLogin = value("passwordauthentication", "yes") == "yes"
	interactive := value("kbdinteractiveauthentication", value("challengeresponseauthentication", "yes")) == "yes"
	row.PasswordLogin = row.PasswordLogin || interactive && value("usepam", "no") == "yes"
	row.UserEnv = unless(value("permituserenvironment", "no"), "no")
	row.LaxModes = value("strictmodes", "yes") == "no"
	row.HostBased = value("hostbasedauthentication", "no") == "yes"
	row.GatewayPorts = unless(value("gatewayports", "no"), "no")
	row.Tunnel = unless(value("permittunnel", "no"), "no")
	row.MaxAuthTries, _ = strconv.Atoi(value("maxauthtries", "6"))
	for _, k := range []string{"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes"} {
		if l, ok := first[k]; ok {
			if broken := brokenAlgorithms(l.Value); len(broken) > 0 {
				row.Legacy = append(row.Legacy, broken...)
				value(k, "")
			}
		}
	}
}

// brokenAlgorithms gives those of a list that should not be used any more. A list that
// starts with "-" takes algorithms away.
func brokenAlgorithms(list string) []string {
	if strings.HasPrefix(list, "-") {
		return nil
	}
	var out []string
	for _, a := range strings.Split(strings.TrimLeft(list, "+^"), ",") {
		a = strings.TrimSpace(a)
		if strings.HasPrefix(a, "arcfour") || strings.HasSuffix(a, "-cbc") || strings.HasPrefix(a, "hmac-md5") || a == "ssh-rsa" || a == "ssh-dss" ||
			a == "diffie-hellman-group1-sha1" || a == "diffie-hellman-group-exchange-sha1" || strings.HasPrefix(a, "rijndael-cbc") {
			out = append(out, shown(a))
		}
	}
	return out
}

func (s *sshServers) dropbear() {
	installed := s.exists("/usr/sbin/dropbear", "/usr/bin/dropbear", "/sbin/dropbear", "/bin/dropbear")
	if !installed {
		return
	}
	enabled := s.enabled("dropbear")
	base := SSHServer{Server: "dropbear", Installed: true, Enabled: enabled, RootLogin: "yes", PasswordLogin: true, MaxAuthTries: 10}
	told := false
	for _, section := range parse.UCI(s.file("/etc/config/dropbear")) {
		if section.Type != "dropbear" || section.Get("enable") != "" && !section.On("enable") {
			continue
		}
		told = true
		row := base
		row.Path, row.Where = "/etc/config/dropbear", at("/etc/config/dropbear", section.Line)
		on := func(option string) bool { return section.Get(option) == "" || section.On(option) }
		row.PasswordLogin = on("PasswordAuth")
		if !on("RootLogin") {
			row.RootLogin = "no"
		} else if !on("RootPasswordAuth") {
			row.RootLogin = "prohibit-password"
		}
		row.Interface = section.Get("Interface") + section.Get("DirectInterface")
		s.rows = append(s.rows, s.fill(row))
	}
	for _, name := range dropbearGlobs[1:] {
		for _, a := range parse.Assignments(s.file(name)) {
			if a.Key == "DROPBEAR_EXTRA_ARGS" || a.Key == "DROPBEAR_OPTS" || a.Key == "OPTIONS" {
				told = true
				row := base
				row.Path, row.Where = name, at(name, a.Line)
				dropbearOptions(&row, a.Value)
				s.rows = append(s.rows, s.fill(row))
			}
		}
	}
	if !told {
		base.Path, base.Where = "/usr/sbin/dropbear", "/usr/sbin/dropbear"
		s.rows = append(s.rows, s.fill(base))
	}
}

// dropbearOptions reads command-line options of dropbear(8).
func dropbearOptions(row *SSHServer, options string) {
	for _, w := range strings.Fields(options) {
		if len(w) < 2 || w[0] != '-' {
			continue
		}
		for _, c := range w[1:] {
			switch c {
			case 'B':
				row.Empty = true
			case 's':
				row.PasswordLogin = false
			case 'w':
				row.RootLogin = "no"
			case 'g':
				if row.RootLogin == "yes" {
					row.RootLogin = "prohibit-password"
				}
			}
		}
	}
	row.Settings = append(row.Settings, shown(options))
}
