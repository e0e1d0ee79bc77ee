package facts

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Resolver is one server that the device asks for addresses.
type Resolver struct {
	Address   string `expr:"address" json:"address" doc:"server"`
	Source    string `expr:"source" json:"source" doc:"resolv.conf, systemd-resolved, dnsmasq or OpenWrt"`
	Loopback  bool   `expr:"loopback" json:"loopback" doc:"a program of this device"`
	Private   bool   `expr:"private" json:"private" doc:"an address of a private network, as routers have"`
	Known     bool   `expr:"known" json:"known" doc:"one of the large public resolvers"`
	ByHand    bool   `expr:"by_hand" json:"by_hand" doc:"written by a person or a program, not learnt from the network"`
	Encrypted string `expr:"encrypted" json:"encrypted,omitempty" doc:"yes, opportunistic or no, where it is known"`
	Where     string `expr:"where" json:"-" doc:"file and line"`
}

// publicResolvers are the address ranges of the large public resolvers.
var publicResolvers = []string{"1.1.1.", "1.0.0.", "8.8.8.8", "8.8.4.4", "9.9.9.", "149.112.112.", "208.67.222.", "208.67.220.", "94.140.14.", "94.140.15.",
	"185.228.168.", "185.228.169.", "76.76.2.", "76.76.10.", "193.110.81.", "185.253.5.", "45.90.28.", "45.90.30.", "194.242.2.",
	"2606:4700:4700:", "2001:4860:4860:", "2620:fe:", "2620:119:", "2a10:50c0:", "2a07:a8c"}

func resolversCollector() scanner.Collector {
	return scanner.Collector{
		Table: "resolvers", Doc: "servers that the device asks for addresses", Row: Resolver{},
		Reads:   scanner.Reads{Globs: []string{"/etc/resolv.conf", "/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf", "/etc/dnsmasq.conf", "/etc/dnsmasq.d/*", "/etc/config/network", "/etc/config/dhcp"}},
		Collect: collectResolvers,
	}
}

type resolverReader struct {
	*treeReader
	rows []Resolver
}

func collectResolvers(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &resolverReader{treeReader: newReader(in, &t), rows: []Resolver{}}
	r.resolvConf()
	for _, name := range r.glob("/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf") {
		set := parse.INI(r.file(name))
		for _, e := range set {
			if e.Key == "DNS" || e.Key == "FallbackDNS" {
				for _, a := range strings.Fields(e.Value) {
					a, _, _ = strings.Cut(a, "#")
					r.add(Resolver{Address: a, Source: "systemd-resolved", ByHand: true, Encrypted: set.Get("Resolve", "DNSOverTLS"), Where: at(name, e.Line)})
				}
			}
		}
	}
	for _, name := range r.glob("/etc/dnsmasq.conf", "/etc/dnsmasq.d/*") {
		for _, e := range parse.Assignments(r.file(name)) {
			if e.Key == "server" && !strings.HasPrefix(e.Value, "/") {
				a, _, _ := strings.Cut(e.Value, "#")
				r.add(Resolver{Address: a, Source: "dnsmasq", ByHand: true, Where: at(name, e.Line)})
			}
		}
	}
	for _, name := range []string{"/etc/config/network", "/etc/config/dhcp"} {
		for _, s := range parse.UCI(r.file(name)) {
			for _, a := range append(slices.Clone(s.Options["dns"]), s.Options["server"]...) {
				r.add(Resolver{Address: a, Source: "OpenWrt", ByHand: true, Where: at(name, s.Line)})
			}
		}
	}
	t.Rows = r.rows
	return t
}

// resolvConf reads /etc/resolv.conf. A link is kept by a program that learns from the network;
// so is a file that names such a program in its comments. A link out of the tree (a recorded
// tree has no /run) tells nothing and is no gap.
func (r *resolverReader) resolvConf() {
	const name = "/etc/resolv.conf"
	i, err := r.fs.Lstat(name)
	if err != nil {
		r.note(err)
		return
	}
	b, err := scanner.ReadFile(r.fs, name, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	r.note(err)
	byHand := i.Mode.IsRegular() && !strings.Contains(strings.ToLower(string(b)), "generated")
	for _, d := range parse.Directives(b) {
		if d.Words[0] == "nameserver" {
			r.add(Resolver{Address: d.Arg(0), Source: "resolv.conf", ByHand: byHand, Where: at(name, d.Line)})
		}
	}
}

func (r *resolverReader) add(row Resolver) {
	addr, err := netip.ParseAddr(row.Address)
	if err != nil {
		return
	}
	row.Loopback = addr.IsLoopback()
	row.Private = addr.IsPrivate() || addr.IsLinkLocalUnicast()
	row.Known = slices.ContainsFunc(publicResolvers, func(p string) bool { return strings.HasPrefix(row.Address, p) })
	if len(r.rows) < maxHostRows {
		r.rows = append(r.rows, row)
	}
}
