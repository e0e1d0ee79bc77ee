package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Tunnel is a way for traffic past the network's own: a VPN, a reverse connection, a relay.
type Tunnel struct {
	Kind     string   `expr:"kind" json:"kind" doc:"wireguard, openvpn, ipsec, vpn, ssh, ngrok, frp, cloudflared, tailscale, zerotier, tor, interface or relay"`
	Name     string   `expr:"name" json:"name" doc:"configuration, unit or interface"`
	Reverse  bool     `expr:"reverse" json:"reverse,omitempty" doc:"lets others in through a connection that the device makes"`
	Relay    bool     `expr:"relay" json:"relay,omitempty" doc:"passes on the traffic of others"`
	Commands []string `expr:"commands" json:"commands,omitempty" doc:"commands that run when it goes up or down"`
	Unowned  []string `expr:"unowned" json:"unowned,omitempty" doc:"programs among them that no package owns"`
	Where    string   `expr:"where" json:"-" doc:"file and line, or interface"`
	scanner.Unread
}

// tunnelFiles are configurations whose presence tells the program.
var tunnelFiles = []struct {
	pattern, kind  string
	reverse, relay bool
}{
	{"/etc/cloudflared/config.y*ml", "cloudflared", true, false},
	{"~/.config/ngrok/ngrok.yml", "ngrok", true, false}, {"~/.ngrok2/ngrok.yml", "ngrok", true, false}, {"/etc/ngrok*/*.yml", "ngrok", true, false},
	{"/etc/frp/frpc.*", "frp", true, false}, {"/etc/frpc.*", "frp", true, false}, {"/var/lib/zerotier-one/networks.d/*.conf", "zerotier", false, false},
	{"/etc/3proxy/3proxy.cfg", "relay", false, true}, {"/etc/3proxy.cfg", "relay", false, true}, {"/etc/danted.conf", "relay", false, true},
	{"/etc/sockd.conf", "relay", false, true}, {"/etc/microsocks.conf", "relay", false, true}, {"/etc/gost/*", "relay", false, true},
}

var tunnelGlobs = []string{"/etc/wireguard/*.conf", "/etc/openvpn/*.conf", "/etc/openvpn/client/*.conf", "/etc/openvpn/server/*.conf",
	"/etc/ipsec.conf", "/etc/swanctl/conf.d/*.conf", "/etc/NetworkManager/system-connections/*", "/etc/tor/torrc", "/etc/systemd/system/*.service",
	"/etc/systemd/system/*.wants/*", "/etc/config/network", "/etc/tinyproxy/tinyproxy.conf"}

func tunnelsCollector() scanner.Collector {
	globs := slices.Clone(tunnelGlobs)
	for _, f := range tunnelFiles {
		globs = append(globs, f.pattern)
	}
	return scanner.Collector{
		Table: "tunnels", Doc: "VPNs, reverse connections and relays", Row: Tunnel{},
		Reads: scanner.Reads{Globs: globs}, Needs: []string{"packages", "users", "interfaces"}, Collect: collectTunnels,
	}
}

type tunnelReader struct {
	*treeReader
	own  ownership
	rows []Tunnel
}

func collectTunnels(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &tunnelReader{treeReader: newReader(in, &t), own: ownershipOf(in), rows: []Tunnel{}}
	users, _ := scanner.Rows[User](in, "users")
	r.presence(homes(users))
	r.wireguard()
	r.openvpn()
	r.others()
	r.units()
	interfaces, _ := scanner.Rows[Interface](in, "interfaces")
	for _, i := range interfaces {
		if slices.Contains([]string{"wireguard", "tun", "gre", "ipip", "sit", "vti", "xfrm"}, i.Kind) && i.Up && !r.named(i.Name) {
			r.rows = append(r.rows, Tunnel{Kind: "interface", Name: i.Name, Where: i.Where})
		}
	}
	t.Rows = r.rows
	return t
}

func (r *tunnelReader) named(name string) bool {
	return slices.ContainsFunc(r.rows, func(t Tunnel) bool { return t.Name == name })
}

func (r *tunnelReader) presence(homes []string) {
	for _, f := range tunnelFiles {
		names := []string(nil)
		if rest, ok := strings.CutPrefix(f.pattern, "~"); ok {
			names = r.below(homes, rest)
		} else {
			names = r.glob(f.pattern)
		}
		for _, n := range names {
			if own, _, _ := r.own.of(n); own == "" { // a package's sample is no configuration
				r.rows = append(r.rows, Tunnel{Kind: f.kind, Name: path.Base(n), Reverse: f.reverse, Relay: f.relay, Where: n})
			}
		}
	}
	for _, d := range parse.Directives(r.file("/etc/tor/torrc")) {
		switch strings.ToLower(d.Words[0]) {
		case "hiddenservicedir":
			r.rows = append(r.rows, Tunnel{Kind: "tor", Name: d.Arg(0), Reverse: true, Where: at("/etc/tor/torrc", d.Line)})
		case "orport":
			r.rows = append(r.rows, Tunnel{Kind: "tor", Name: "ORPort " + d.Arg(0), Relay: true, Where: at("/etc/tor/torrc", d.Line)})
		}
	}
}

func (r *tunnelReader) wireguard() {
	for _, name := range r.glob("/etc/wireguard/*.conf") {
		t := Tunnel{Kind: "wireguard", Name: strings.TrimSuffix(path.Base(name), ".conf"), Where: name}
		for _, e := range parse.INI(r.file(name)) {
			switch e.Key {
			case "PostUp", "PreUp", "PostDown", "PreDown":
				t.Commands = append(t.Commands, cut(e.Value, maxEvidenceText))
				t.Where = at(name, e.Line)
			}
		}
		r.rows = append(r.rows, t)
	}
	for _, s := range parse.UCI(r.file("/etc/config/network")) {
		if p := s.Get("proto"); s.Type == "interface" && slices.Contains([]string{"wireguard", "gre", "ipip", "vxlan", "l2tp", "pptp", "openconnect"}, p) {
			r.rows = append(r.rows, Tunnel{Kind: p, Name: s.Name, Where: at("/etc/config/network", s.Line)})
		}
	}
}

// openvpnHooks are directives that run a program.
var openvpnHooks = []string{"up", "down", "route-up", "route-pre-down", "ipchange", "client-connect", "client-disconnect", "learn-address",
	"auth-user-pass-verify", "tls-verify", "plugin"}

func (r *tunnelReader) openvpn() {
	for _, name := range r.glob("/etc/openvpn/*.conf", "/etc/openvpn/client/*.conf", "/etc/openvpn/server/*.conf") {
		t := Tunnel{Kind: "openvpn", Name: strings.TrimSuffix(path.Base(name), ".conf"), Where: name}
		for _, d := range parse.Directives(r.file(name)) {
			if !slices.Contains(openvpnHooks, d.Words[0]) {
				continue
			}
			t.Commands = append(t.Commands, cut(strings.Join(d.Words[1:], " "), maxEvidenceText))
			t.Where = at(name, d.Line)
			r.owned(&t, strings.Fields(d.Arg(0)+" "))
		}
		r.rows = append(r.rows, t)
	}
}

// owned notes a program that no package owns.
func (r *tunnelReader) owned(t *Tunnel, command []string) {
	if len(command) == 0 || !strings.HasPrefix(command[0], "/") {
		return
	}
	_, yes, unknown := r.own.of(command[0])
	switch {
	case yes:
	case unknown != "":
		t.MarkUnread("unowned", unknown)
	default:
		t.Unowned = append(t.Unowned, command[0])
	}
}

func (r *tunnelReader) others() {
	for _, name := range r.glob("/etc/NetworkManager/system-connections/*") {
		set := parse.INI(r.file(name))
		if t := set.Get("connection", "type"); t == "vpn" || t == "wireguard" || t == "ip-tunnel" {
			r.rows = append(r.rows, Tunnel{Kind: t, Name: set.Get("connection", "id"), Where: name})
		}
	}
	for _, d := range parse.Directives(r.file("/etc/ipsec.conf")) {
		if d.Words[0] == "conn" && d.Arg(0) != "%default" {
			r.rows = append(r.rows, Tunnel{Kind: "ipsec", Name: d.Arg(0), Where: at("/etc/ipsec.conf", d.Line)})
		}
	}
	for _, name := range r.glob("/etc/swanctl/conf.d/*.conf") {
		r.rows = append(r.rows, Tunnel{Kind: "ipsec", Name: path.Base(name), Where: name})
	}
	r.tinyproxy()
}

// tinyproxy relays for everyone unless it is told for whom.
func (r *tunnelReader) tinyproxy() {
	const name = "/etc/tinyproxy/tinyproxy.conf"
	limited, ds := false, parse.Directives(r.file(name))
	for _, d := range ds {
		k := strings.ToLower(d.Words[0])
		limited = limited || k == "allow" || k == "basicauth" || k == "listen" && !everywhere(d.Arg(0))
	}
	if len(ds) > 0 && !limited {
		r.rows = append(r.rows, Tunnel{Kind: "relay", Name: "tinyproxy", Relay: true, Where: name})
	}
}

// units reads what the administrator's own units start.
func (r *tunnelReader) units() {
	for _, unit := range []string{"tailscaled", "zerotier-one", "cloudflared"} {
		if links := r.glob("/etc/systemd/system/*.wants/" + unit + ".service"); len(links) > 0 && r.exists("/etc/systemd/system/"+unit+".service") {
			r.rows = append(r.rows, Tunnel{Kind: strings.TrimSuffix(strings.TrimSuffix(unit, "d"), "-one"), Name: unit, Where: links[0]})
		}
	}
	for _, name := range r.glob("/etc/systemd/system/*.service") {
		if i, err := r.fs.Lstat(name); err != nil || !i.Mode.IsRegular() {
			continue
		}
		for _, e := range parse.INI(r.file(name)) {
			f := strings.Fields(e.Value)
			if e.Key != "ExecStart" || len(f) == 0 {
				continue
			}
			program := path.Base(strings.TrimLeft(f[0], "-@:+!"))
			if program == "ssh" || program == "autossh" {
				r.ssh(f, path.Base(name), at(name, e.Line))
			}
			if slices.Contains([]string{"ngrok", "frpc", "chisel", "bore", "gost", "microsocks", "rathole", "cloudflared"}, program) && !r.named(path.Base(name)) {
				relay := program == "microsocks" || program == "gost"
				kind := program
				if relay {
					kind = "relay"
				}
				r.rows = append(r.rows, Tunnel{Kind: kind, Name: path.Base(name), Reverse: !relay, Relay: relay, Where: at(name, e.Line)})
			}
		}
	}
}

// ssh takes a command with -R (lets others in) or -D (a relay).
func (r *tunnelReader) ssh(words []string, name, where string) {
	t := Tunnel{Kind: "ssh", Name: name, Where: where}
	for i, w := range words {
		t.Reverse = t.Reverse || strings.HasPrefix(w, "-R")
		if strings.HasPrefix(w, "-D") {
			spec := strings.TrimPrefix(w, "-D")
			if spec == "" && i+1 < len(words) {
				spec = words[i+1]
			}
			j := strings.LastIndexByte(spec, ':')
			t.Relay = t.Relay || j > 0 && everywhere(spec[:j])
		}
	}
	if t.Reverse || t.Relay {
		r.rows = append(r.rows, t)
	}
}

const maxEvidenceText = 200 // bytes of a line that is shown

// cut shortens a text to n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
