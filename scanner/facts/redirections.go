package facts

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Redirection is a name or a port that is led elsewhere than it should go.
type Redirection struct {
	Kind          string `expr:"kind" json:"kind" doc:"hosts, dnsmasq or nat"`
	Name          string `expr:"name" json:"name" doc:"name that is led elsewhere, or the ports of a nat rule"`
	Target        string `expr:"target" json:"target" doc:"address that it is led to"`
	Protected     bool   `expr:"protected" json:"protected" doc:"the name serves updates or security: a configured repository or one of a short list"`
	Localhost     bool   `expr:"localhost" json:"localhost,omitempty" doc:"localhost itself is led off the device"`
	Blocked       bool   `expr:"blocked" json:"blocked,omitempty" doc:"led to nowhere (0.0.0.0, loopback)"`
	Router        bool   `expr:"router" json:"router,omitempty" doc:"a nat rule on a device that forwards for others"`
	ListenerOwned bool   `expr:"listener_owned" json:"listener_owned,omitempty" doc:"a nat rule that leads to a program of a package"`
	Where         string `expr:"where" json:"-" doc:"file and line, or probe"`
	scanner.Unread
}

const maxHosts = 64 << 20 // bytes of a hosts file; lists that block advertisements are long

var redirectionGlobs = []string{"/etc/hosts", "/etc/hostname", "/etc/dnsmasq.conf", "/etc/dnsmasq.d/*", "/etc/NetworkManager/dnsmasq.d/*", "/etc/config/dhcp",
	"/etc/config/firewall"}

// protectedNames serve updates and security for whole distributions or many devices.
var protectedNames = []string{"deb.debian.org", "security.debian.org", "ftp.debian.org", "archive.ubuntu.com", "security.ubuntu.com",
	"ports.ubuntu.com", "archive.raspberrypi.org", "archive.raspberrypi.com", "raspbian.raspberrypi.org", "dl-cdn.alpinelinux.org",
	"downloads.openwrt.org", "mirrors.fedoraproject.org", "mirrorlist.centos.org", "cdn.redhat.com", "download.opensuse.org",
	"updates.suse.com", "geo.mirror.pkgbuild.com", "mirror.postmarketos.org", "dl.flathub.org", "flathub.org", "api.snapcraft.io",
	"fwupd.org", "cdn.fwupd.org", "database.clamav.net", "www.virustotal.com", "virustotal.com", "keys.openpgp.org", "keyserver.ubuntu.com"}

func redirectionsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "redirections", Doc: "names and ports that are led elsewhere", Row: Redirection{},
		Reads: scanner.Reads{Globs: redirectionGlobs},
		Needs: []string{"os", "package_sources", "firewall", "sockets"}, Collect: collectRedirections,
	}
}

type redirectionReader struct {
	*treeReader
	protected []string
	rows      []Redirection
}

func collectRedirections(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &redirectionReader{treeReader: newReader(in, &t), protected: slices.Clone(protectedNames), rows: []Redirection{}}
	sources, _ := scanner.Rows[PackageSource](in, "package_sources")
	for _, s := range sources {
		if s.Enabled && strings.Contains(s.Host, ".") {
			r.protected = append(r.protected, s.Host)
		}
	}
	r.hosts()
	r.dnsmasq()
	r.nat(in)
	t.Rows = r.rows
	return t
}

// add keeps a name that is protected, or localhost led off the device. An address that names
// the device itself is its own business.
func (r *redirectionReader) add(kind, name, target, where string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	addr, err := netip.ParseAddr(target)
	if err != nil {
		return
	}
	row := Redirection{Kind: kind, Name: name, Target: target, Where: where, Protected: slices.Contains(r.protected, name),
		Blocked: addr.IsLoopback() || addr.IsUnspecified()}
	row.Localhost = (name == "localhost" || name == "localhost.localdomain") && !row.Blocked && !addr.IsMulticast()
	if (row.Protected || row.Localhost) && len(r.rows) < maxHostRows {
		r.rows = append(r.rows, row)
	}
}

const maxHostRows = 1000

func (r *redirectionReader) hosts() {
	own := firstLine(r.fs, "/etc/hostname")
	for _, d := range parse.Hosts(r.upTo("/etc/hosts", maxHosts)) {
		for _, name := range d.Names {
			if name != own {
				r.add("hosts", name, d.Addr, at("/etc/hosts", d.Line))
			}
		}
	}
}

func (r *redirectionReader) dnsmasq() {
	for _, file := range r.glob("/etc/dnsmasq.conf", "/etc/dnsmasq.d/*", "/etc/NetworkManager/dnsmasq.d/*") {
		for _, e := range parse.Assignments(r.file(file)) {
			switch e.Key {
			case "address":
				r.slashed(e.Value, at(file, e.Line))
			case "host-record":
				f := strings.Split(e.Value, ",")
				r.add("dnsmasq", f[0], f[len(f)-1], at(file, e.Line))
			}
		}
	}
	for _, s := range parse.UCI(r.file("/etc/config/dhcp")) {
		where := at("/etc/config/dhcp", s.Line)
		for _, v := range s.Options["address"] {
			r.slashed(v, where)
		}
		if s.Type == "domain" {
			r.add("dnsmasq", s.Get("name"), s.Get("ip"), where)
		}
	}
}

// slashed reads dnsmasq's /name/name/address.
func (r *redirectionReader) slashed(v, where string) {
	f := strings.Split(strings.TrimPrefix(v, "/"), "/")
	for _, name := range f[:len(f)-1] {
		r.add("dnsmasq", strings.TrimPrefix(name, "."), f[len(f)-1], where)
	}
}

// engineChains belong to programs that lead published ports to their guests.
var engineChains = []string{"DOCKER", "KUBE-", "CNI-", "NETAVARK", "LIBVIRT", "LXC", "cali-"}

// nat takes rules that lead names, web or mail traffic elsewhere.
func (r *redirectionReader) nat(in *scanner.Input) {
	found := slices.Clone(scanner.Aux[[]located](in, "firewall"))
	for _, s := range parse.UCI(r.file("/etc/config/firewall")) {
		if s.Type == "redirect" && s.Get("src") != "wan" && !(s.Options["enabled"] != nil && !s.On("enabled")) {
			to := s.Get("dest_ip") + ":" + s.Get("dest_port")
			found = append(found, located{parse.Redirect{Chain: s.Get("src"), Ports: portsOf(s.Get("src_dport")), To: to}, at("/etc/config/firewall", s.Line)})
		}
	}
	sockets, _ := scanner.Rows[Socket](in, "sockets")
	router := false
	if rows, _ := scanner.Rows[scanner.OS](in, "os"); len(rows) > 0 {
		router = rows[0].Profile == "router"
	}
	for _, x := range found {
		if !takesNames(x.Ports) || slices.ContainsFunc(engineChains, func(p string) bool { return strings.HasPrefix(x.Chain, p) }) {
			continue
		}
		row := Redirection{Kind: "nat", Name: portNames(x.Ports), Target: x.To, Router: router, Where: x.where}
		row.ListenerOwned = ownedListener(sockets, x.To)
		r.rows = append(r.rows, row)
	}
}

// takesNames reports whether a rule takes DNS, web or encrypted web traffic.
func takesNames(ports []int) bool {
	return slices.ContainsFunc(ports, func(p int) bool { return p == 53 || p == 80 || p == 443 || p == 853 })
}

func portsOf(s string) []int {
	var out []int
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		if n, err := strconv.Atoi(f); err == nil && len(out) < 64 {
			out = append(out, n)
		}
	}
	return out
}

func portNames(ports []int) string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = strconv.Itoa(p)
	}
	return "port " + strings.Join(out, ", ")
}

// ownedListener reports whether the port at the end of target is held by a program of a package.
func ownedListener(sockets []Socket, target string) bool {
	port, err := strconv.Atoi(target[strings.LastIndexAny(target, ": ")+1:])
	if err != nil {
		return false
	}
	for _, s := range sockets {
		if s.Listening && s.LocalPort == port && s.ExeOwned {
			return true
		}
	}
	return false
}
