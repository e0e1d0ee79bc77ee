package facts

import (
	"context"
	"errors"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// FirewallState is the one row of the table firewall: what guards the device's own ports.
type FirewallState struct {
	Backend     string   `expr:"backend" json:"backend" doc:"nftables, iptables, ufw, firewalld, OpenWrt or none"`
	Live        bool     `expr:"live" json:"live" doc:"the rules in force were read, not only files"`
	InputPolicy string   `expr:"input_policy" json:"input_policy,omitempty" doc:"what happens to packets that no rule names: drop, reject, accept; empty when nothing looks at them"`
	Guarded     bool     `expr:"guarded" json:"guarded" doc:"what is not allowed by a rule is turned away"`
	Masquerade  bool     `expr:"masquerade" json:"masquerade,omitempty" doc:"the device lends its address to others"`
	Exposed     []string `expr:"exposed" json:"exposed,omitempty" doc:"services that listen for others, beside SSH and the network's own"`
	Where       string   `expr:"where" json:"-" doc:"probe or file"`
	redirects   []located
}

// located is a redirect with the file or probe that tells it.
type located struct {
	parse.Redirect
	where string
}

var firewallGlobs = []string{"/etc/nftables.conf", "/etc/nftables.d/*", "/etc/nftables/*", "/etc/sysconfig/nftables.conf", "/etc/iptables/*",
	"/etc/iptables.rules", "/etc/sysconfig/iptables", "/etc/ufw/ufw.conf", "/etc/config/firewall", "/etc/firewall.user",
	"/etc/systemd/system/*.wants/*", "/etc/runlevels/*/*"}

func firewallCollector() scanner.Collector {
	return scanner.Collector{
		Table: "firewall", Doc: "the packet filter, one row", Row: FirewallState{},
		Reads: scanner.Reads{Globs: firewallGlobs, Probes: []scanner.Source{scanner.SourceNftables, scanner.SourceIptables}},
		Needs: []string{"services", "sockets"}, Collect: collectFirewall,
	}
}

func collectFirewall(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	fw := FirewallState{Backend: "none", Where: "/etc"}
	fw.probes(ctx, in.Device, r)
	if !fw.Live {
		fw.files(r)
	}
	fw.Exposed = exposedServices(in)
	t.Rows = []FirewallState{fw}
	t.Aux = fw.redirects
	return t
}

// probes asks the kernel, by way of nft and iptables-save.
func (fw *FirewallState) probes(ctx context.Context, dev scanner.Device, r *treeReader) {
	b, err := dev.Probe(ctx, scanner.SourceNftables)
	if err == nil {
		p, err := parse.NftablesJSON(b)
		if err != nil {
			r.table.Partial = append(r.table.Partial, err.Error())
		}
		fw.take(p, "nftables", "nft")
		fw.Live = err == nil
	}
	b, iptablesErr := dev.Probe(ctx, scanner.SourceIptables)
	if iptablesErr == nil {
		fw.take(parse.IptablesSave(b), "iptables", "iptables-save")
		fw.Live = true
	}
	if dev.Identity().Live && err != nil && iptablesErr != nil && !errors.Is(err, scanner.ErrUnavailable) {
		r.table.Partial = append(r.table.Partial, "firewall rules: "+scanner.Reason(err))
	}
}

// take adds what one source tells.
func (fw *FirewallState) take(p parse.Firewall, backend, where string) {
	for _, x := range p.Redirects {
		w := where
		if x.Line > 0 {
			w = at(where, x.Line)
		}
		fw.redirects = append(fw.redirects, located{x, w})
	}
	fw.Masquerade = fw.Masquerade || p.Masquerade
	if p.InputPolicy == "" && p.InputRules == 0 {
		return
	}
	if fw.Backend == "none" || !fw.Guarded {
		fw.Backend, fw.Where, fw.InputPolicy = backend, where, p.InputPolicy
	}
	fw.Guarded = fw.Guarded || p.InputPolicy == "drop" || p.InputPolicy == "reject"
}

// files reads what would be loaded at boot.
func (fw *FirewallState) files(r *treeReader) {
	if len(r.glob("/etc/systemd/system/*.wants/nftables.service", "/etc/runlevels/*/nftables")) > 0 {
		for _, name := range r.glob("/etc/nftables.conf", "/etc/nftables.d/*", "/etc/nftables/*", "/etc/sysconfig/nftables.conf") {
			fw.take(parse.NftablesConf(r.file(name)), "nftables", name)
		}
	}
	for _, name := range append(r.glob("/etc/iptables/*"), "/etc/iptables.rules", "/etc/sysconfig/iptables") {
		fw.take(parse.IptablesSave(r.file(name)), "iptables", name)
	}
	if e, ok := parse.Assignments(r.file("/etc/ufw/ufw.conf")).Find("", "ENABLED"); ok && yes(e.Value) {
		fw.Backend, fw.InputPolicy, fw.Guarded, fw.Where = "ufw", "drop", true, at("/etc/ufw/ufw.conf", e.Line)
	}
	if links := r.glob("/etc/systemd/system/*.wants/firewalld.service"); len(links) > 0 {
		fw.Backend, fw.InputPolicy, fw.Guarded, fw.Where = "firewalld", "reject", true, links[0]
	}
	fw.openwrt(parse.UCI(r.file("/etc/config/firewall")))
}

// openwrt takes the strictest input policy of the zones that face others.
func (fw *FirewallState) openwrt(sections []parse.UCISection) {
	for _, s := range sections {
		if s.Type != "zone" || s.Get("name") != "wan" {
			continue
		}
		policy := strings.ToLower(s.Get("input"))
		fw.Backend, fw.InputPolicy, fw.Where = "OpenWrt", policy, at("/etc/config/firewall", s.Line)
		fw.Guarded = policy == "drop" || policy == "reject"
		fw.Masquerade = fw.Masquerade || s.On("masq")
	}
}

// exposedServices names what others can reach: open sockets when they could be read, else the
// services that start by themselves and listen for others by default.
func exposedServices(in *scanner.Input) []string {
	out := []string{}
	seen := map[string]bool{}
	if sockets, why := scanner.Rows[Socket](in, "sockets"); why == "" && in.Tables["sockets"].Inapplicable == "" {
		for _, s := range sockets {
			if name := exposedSocket(s); name != "" && !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
		return out
	}
	services, _ := scanner.Rows[Service](in, "services")
	for _, s := range services {
		if s.Enabled && (s.Class == "network" || s.Class == "cleartext") && !seen[s.Name] {
			seen[s.Name] = true
			out = append(out, s.Name)
		}
	}
	return out
}
