package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// RouterOpening is one way from the outer network into a router or through it.
type RouterOpening struct {
	Kind   string `expr:"kind" json:"kind" doc:"zone (the outer zone accepts what no rule names), management (a rule opens an administration port) or forward (a port is passed on)"`
	Name   string `expr:"name" json:"name" doc:"zone, rule or forward"`
	Ports  string `expr:"ports" json:"ports,omitempty" doc:"ports that it opens"`
	Target string `expr:"target" json:"target,omitempty" doc:"address that a port is passed on to"`
	Where  string `expr:"where" json:"-" doc:"file and line"`
}

func routerOpeningsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "router_openings", Doc: "ways from the outer network into a router or through it (OpenWrt)", Row: RouterOpening{},
		Reads: scanner.Reads{Globs: []string{"/etc/config/firewall"}}, Collect: collectRouterOpenings,
	}
}

// managementPorts are those of administration: SSH, telnet, web, TR-069.
var managementPorts = []int{22, 23, 80, 443, 8080, 8443, 7547}

func collectRouterOpenings(_ context.Context, in *scanner.Input) scanner.Table {
	const name = "/etc/config/firewall"
	var t scanner.Table
	rows := []RouterOpening{}
	r := newReader(in, &t)
	if !r.exists(name) && len(t.Partial) == 0 {
		return scanner.Table{Inapplicable: "no router configuration on this device"}
	}
	for _, s := range parse.UCI(r.file(name)) {
		where, off := at(name, s.Line), s.Options["enabled"] != nil && !s.On("enabled")
		switch {
		case off:
		case s.Type == "zone" && strings.HasPrefix(s.Get("name"), "wan") && strings.EqualFold(s.Get("input"), "ACCEPT"):
			rows = append(rows, RouterOpening{Kind: "zone", Name: s.Get("name"), Where: where})
		case s.Type == "rule" && strings.HasPrefix(s.Get("src"), "wan") && s.Get("dest") == "" && strings.EqualFold(s.Get("target"), "ACCEPT"):
			if ports := portsOf(s.Get("dest_port")); slices.ContainsFunc(ports, func(p int) bool { return slices.Contains(managementPorts, p) }) {
				rows = append(rows, RouterOpening{Kind: "management", Name: s.Get("name"), Ports: s.Get("dest_port"), Where: where})
			}
		case s.Type == "redirect" && strings.HasPrefix(s.Get("src"), "wan") && !strings.EqualFold(s.Get("target"), "SNAT"):
			rows = append(rows, RouterOpening{Kind: "forward", Name: s.Get("name"), Ports: s.Get("src_dport"), Target: strings.Trim(s.Get("dest_ip")+":"+s.Get("dest_port"), ":"), Where: where})
		}
	}
	t.Rows = rows
	return t
}
