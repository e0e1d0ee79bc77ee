package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Service is one thing that the device starts by itself and that Picket knows by name.
type Service struct {
	Name    string `expr:"name" json:"name" doc:"what it is, in plain words: telnet server, ..."`
	Class   string `expr:"class" json:"class" doc:"cleartext (remote login or files without encryption), debug, remote-control, network (listens for others), local (listens on the device alone by default)"`
	Unit    string `expr:"unit" json:"unit" doc:"unit, script or configuration entry that starts it"`
	Manager string `expr:"manager" json:"manager" doc:"systemd, sysv, openrc, procd, runit, inetd, xinetd, inittab or script"`
	Enabled bool   `expr:"enabled" json:"enabled" doc:"started at boot or on demand"`
	Where   string `expr:"where" json:"-" doc:"file and line"`
}

// knownServices are services by the base name of their program, unit or script, without
// suffixes. In names, a * at the end stands for anything.
var knownServices = []struct{ names, name, class string }{
	{"telnetd in.telnetd utelnetd telnet inetutils-telnetd busybox-telnetd", "telnet server", "cleartext"},
	{"rshd in.rshd rsh rlogind in.rlogind rlogin rexecd in.rexecd rexec shell login exec", "rsh, rlogin or rexec server", "cleartext"},
	{"ftpd in.ftpd ftp vsftpd proftpd pure-ftpd* wu-ftpd bftpd uftpd inetutils-ftpd tnftpd", "FTP server", "cleartext"},
	{"tftpd in.tftpd tftp tftpd-hpa atftpd utftpd", "TFTP server", "cleartext"},
	{"adbd android-tools-adbd", "Android debug bridge", "debug"},
	{"gdbserver", "gdb remote debugger", "debug"},
	{"lldb-server", "lldb remote debugger", "debug"},
	{"tcf-agent", "TCF debug agent", "debug"},
	{"frida-server frida", "Frida instrumentation server", "debug"},
	{"anydesk", "AnyDesk", "remote-control"}, {"teamviewerd", "TeamViewer", "remote-control"},
	{"rustdesk", "RustDesk", "remote-control"}, {"x11vnc", "x11vnc", "remote-control"},
	{"vncserver* tigervncserver* vncserver-x11-serviced wayvnc", "VNC server", "remote-control"}, {"xrdp", "xrdp", "remote-control"},
	{"dwagent dwagsvc", "DWService agent", "remote-control"}, {"meshagent", "MeshCentral agent", "remote-control"},
	{"nxserver", "NoMachine", "remote-control"}, {"chrome-remote-desktop*", "Chrome Remote Desktop", "remote-control"},
	{"gnome-remote-desktop", "GNOME remote desktop", "remote-control"}, {"screenconnect* connectwisecontrol*", "ScreenConnect", "remote-control"},
	{"splashtop-streamer srstreamer", "Splashtop", "remote-control"}, {"tmate", "tmate", "remote-control"},
	{"remotely-agent remotely_agent", "Remotely agent", "remote-control"}, {"tacticalagent tacticalrmm", "Tactical RMM agent", "remote-control"},
	{"apache2 httpd", "Apache web server", "network"}, {"nginx", "nginx web server", "network"}, {"lighttpd", "lighttpd web server", "network"},
	{"uhttpd", "uHTTPd web server", "network"}, {"smbd samba samba-ad-dc smb", "Samba file server", "network"}, {"nmbd", "NetBIOS name server", "network"},
	{"nfs-server nfs-kernel-server nfsd", "NFS server", "network"}, {"rpcbind portmap", "RPC port mapper", "network"},
	{"named bind9", "DNS server BIND", "network"}, {"dnsmasq", "dnsmasq", "network"}, {"rsync rsyncd", "rsync server", "network"},
	{"minidlna minidlnad", "media server", "network"}, {"slapd", "LDAP server", "network"}, {"dovecot", "mail server Dovecot", "network"},
	{"xinetd inetd openbsd-inetd inetutils-inetd", "inetd", "network"}, {"squid", "Squid proxy", "network"}, {"mosquitto", "MQTT broker", "local"},
	{"redis-server redis", "Redis", "local"}, {"memcached", "memcached", "local"}, {"mysql mariadb mysqld", "MySQL or MariaDB", "local"},
	{"postgresql", "PostgreSQL", "local"}, {"mongod mongodb", "MongoDB", "local"}, {"cups cupsd", "printing", "local"}, {"snmpd", "SNMP agent", "local"},
	{"exim4 postfix sendmail", "mail transport", "local"},
}

var servicesGlobs = []string{"/etc/systemd/system/*.wants/*", "/etc/systemd/system/*.requires/*",
	"/etc/rc2.d/S*", "/etc/rc3.d/S*", "/etc/rc5.d/S*", "/etc/rc.d/S*", "/etc/rc.d/rc3.d/S*", "/etc/rc.d/rc5.d/S*", "/etc/runlevels/*/*", "/etc/service/*", "/var/service/*",
	"/etc/inetd.conf", "/etc/inetd.d/*", "/etc/xinetd.conf", "/etc/xinetd.d/*", "/etc/inittab", "/etc/rc.local", "/etc/init.d/rcS", "/etc/rcS.d/S*"}

var serviceMeta = []string{"/usr/sbin/inetd", "/usr/sbin/xinetd", "/usr/sbin/inetutils-inetd", "/bin/busybox", "/usr/bin/busybox",
	"/etc/systemd/system/*", "/usr/lib/systemd/system/*", "/lib/systemd/system/*", "/etc/init.d/*", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"}

func servicesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "services", Doc: "known network, debug and remote-control services that start by themselves", Row: Service{},
		Reads: scanner.Reads{Globs: servicesGlobs, Meta: serviceMeta}, Collect: collectServices,
	}
}

// serviceReader gathers rows.
type serviceReader struct {
	*treeReader
	rows []Service
}

func collectServices(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	s := &serviceReader{treeReader: newReader(in, &t), rows: []Service{}}
	s.systemd()
	s.scripts()
	s.inetd()
	s.xinetd()
	s.commands()
	t.Rows = s.rows
	return t
}

// add makes a row for a name that is known. The same service under the same unit is told once.
func (s *serviceReader) add(program, unit, manager, where string) {
	name, class := knownService(program)
	if name == "" {
		return
	}
	for _, r := range s.rows {
		if r.Name == name && r.Unit == unit && r.Manager == manager {
			return
		}
	}
	s.rows = append(s.rows, Service{Name: name, Class: class, Unit: unit, Manager: manager, Enabled: true, Where: where})
}

func knownService(program string) (name, class string) {
	for _, k := range knownServices {
		for _, n := range strings.Fields(k.names) {
			if n == program || strings.HasSuffix(n, "*") && strings.HasPrefix(program, n[:len(n)-1]) {
				return k.name, k.class
			}
		}
	}
	return "", ""
}

// systemd reads which units something wants. A masked unit, or one that is not there, does
// not start.
func (s *serviceReader) systemd() {
	for _, link := range s.glob("/etc/systemd/system/*.wants/*", "/etc/systemd/system/*.requires/*") {
		unit := path.Base(link)
		stem := strings.TrimSuffix(strings.TrimSuffix(unit, ".service"), ".socket")
		stem, _, _ = strings.Cut(stem, "@")
		if name, _ := knownService(stem); name == "" || s.masked(unit) || !s.there(link, unit) {
			continue
		}
		s.add(stem, unit, "systemd", link)
	}
}

func (s *serviceReader) masked(unit string) bool {
	to, err := s.fs.Readlink("/etc/systemd/system/" + unit)
	return err == nil && to == "/dev/null"
}

// there reports whether the unit behind a link exists; a template's link points to unit@.service.
func (s *serviceReader) there(link, unit string) bool {
	if i := strings.IndexByte(unit, '@'); i > 0 {
		unit = unit[:i+1] + path.Ext(unit)
	}
	return s.exists("/etc/systemd/system/"+unit, "/usr/lib/systemd/system/"+unit, "/lib/systemd/system/"+unit)
}

// scripts reads which init scripts are started. Where systemd runs, a script counts only when
// no unit has its name.
func (s *serviceReader) scripts() {
	systemd := s.exists("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
	for _, link := range s.glob("/etc/rc2.d/S*", "/etc/rc3.d/S*", "/etc/rc5.d/S*", "/etc/rc.d/rc3.d/S*", "/etc/rc.d/rc5.d/S*", "/etc/rcS.d/S*") {
		name := strings.TrimLeft(path.Base(link)[1:], "0123456789")
		if known, _ := knownService(name); known == "" || systemd && s.exists("/usr/lib/systemd/system/"+name+".service", "/lib/systemd/system/"+name+".service", "/etc/systemd/system/"+name+".service") {
			continue
		}
		s.add(name, "/etc/init.d/"+name, "sysv", link)
	}
	for _, link := range s.glob("/etc/rc.d/S*") {
		name := strings.TrimLeft(path.Base(link)[1:], "0123456789")
		s.add(name, "/etc/init.d/"+name, "procd", link)
	}
	for _, link := range s.glob("/etc/runlevels/*/*") {
		s.add(path.Base(link), "/etc/init.d/"+path.Base(link), "openrc", link)
	}
	for _, link := range s.glob("/etc/service/*", "/var/service/*") {
		s.add(path.Base(link), path.Base(link), "runit", link)
	}
}

// inetd reads inetd.conf, where there is a program to read it.
func (s *serviceReader) inetd() {
	if !s.exists("/usr/sbin/inetd", "/usr/sbin/inetutils-inetd", "/bin/busybox", "/usr/bin/busybox") {
		return
	}
	for _, name := range s.glob("/etc/inetd.conf", "/etc/inetd.d/*") {
		for _, d := range parse.Directives(s.file(name)) {
			if len(d.Words) < 6 {
				continue
			}
			service, program := d.Words[0], path.Base(d.Words[5])
			if program == "tcpd" || program == "busybox" {
				program = path.Base(d.Arg(5))
			}
			if _, class := knownService(program); class == "" {
				program = service
			}
			s.add(program, name+" "+service, "inetd", at(name, d.Line))
		}
	}
}

// xinetd reads services that are not disabled.
func (s *serviceReader) xinetd() {
	if !s.exists("/usr/sbin/xinetd") {
		return
	}
	for _, name := range s.glob("/etc/xinetd.conf", "/etc/xinetd.d/*") {
		for _, x := range parse.Xinetd(s.file(name)) {
			program := path.Base(x.Server)
			if _, class := knownService(program); class == "" {
				program = x.Name
			}
			if !x.Disabled {
				s.add(program, name+" "+x.Name, "xinetd", at(name, x.Line))
			}
		}
	}
}

// commands looks for servers that boot scripts start by command.
func (s *serviceReader) commands() {
	for _, d := range parse.Inittab(s.file("/etc/inittab")) {
		s.command(d.Command, "/etc/inittab", "inittab", d.Line)
	}
	for _, name := range append(s.glob("/etc/rcS.d/S*"), "/etc/rc.local", "/etc/init.d/rcS") {
		for _, d := range parse.Directives(s.file(name)) {
			s.command(strings.Join(d.Words, " "), name, "script", d.Line)
		}
	}
}

// starters run the word behind them.
var starters = []string{"busybox", "exec", "nohup", "setsid", "start-stop-daemon", "sudo", "env", "/bin/busybox"}

func (s *serviceReader) command(line, file, manager string, n int) {
	for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(";&|`()", r) }) {
		f := strings.Fields(part)
		for len(f) > 1 && slices.Contains(starters, f[0]) {
			f = f[1:]
		}
		if len(f) == 0 {
			continue
		}
		program := path.Base(f[0])
		if _, class := knownService(program); class == "cleartext" || class == "debug" || class == "remote-control" {
			if strings.HasSuffix(program, "d") || strings.Contains(program, "server") || class == "remote-control" {
				s.add(program, file, manager, at(file, n))
			}
		}
	}
}
