package facts

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func androidNeighboursCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_neighbours", Doc: "machines seen on the network", Row: AndroidNeighbour{}, Platforms: onAndroid,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.SourceIPNeigh, scanner.SourceNeighbours, scanner.SourceIPRoute, scanner.Dumpsys("connectivity")}},
		Collect: collectAndroidNeighbours,
	}
}

func collectAndroidNeighbours(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := &powers{ctx: ctx, in: in, t: &t}
	rows := []AndroidNeighbour{}
	b, err := in.Device.Probe(ctx, scanner.SourceIPNeigh)
	if err == nil {
		list, bad := parse.IPNeighbours(b)
		for _, n := range list {
			rows = append(rows, AndroidNeighbour{Address: n.Addr.String(), MAC: n.MAC, Interface: n.Dev, State: n.State, Where: at(string(scanner.SourceIPNeigh), n.Line)})
		}
		t.Partial = append(t.Partial, lineErrors(scanner.SourceIPNeigh, bad)...)
	} else {
		list, absent := probed[[]Neighbour](ctx, in, scanner.SourceNeighbours)
		if absent != "" {
			return scanner.Table{Absent: unavailable(err)}
		}
		for _, n := range list {
			rows = append(rows, AndroidNeighbour{Address: n.IP, MAC: n.MAC, Interface: n.Interface, State: strings.ToUpper(n.State), Where: string(scanner.SourceNeighbours)})
		}
	}
	gateways := defaultGateways(p)
	byMAC := map[string][]string{}
	family := func(address string) string {
		if strings.Contains(address, ":") {
			return "6"
		}
		return "4"
	}
	for i := range rows {
		r := &rows[i]
		r.Gateway = gateways[r.Interface+" "+bareAddress(r.Address)]
		if r.MAC != "" && r.MAC != "00:00:00:00:00:00" {
			k := r.Interface + " " + r.MAC + " " + family(r.Address)
			byMAC[k] = append(byMAC[k], r.Address)
		}
	}
	for i := range rows {
		r := &rows[i]
		same := byMAC[r.Interface+" "+r.MAC+" "+family(r.Address)]
		for _, a := range same[:min(len(same), 64)] {
			if a != r.Address && !slices.Contains(r.SameMAC, a) {
				r.SameMAC = append(r.SameMAC, a)
			}
		}
	}
	t.Rows = rows
	return t
}

// bareAddress is an address without its zone.
func bareAddress(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.WithZone("").String()
	}
	return s
}

// defaultGateways gives "interface address" of the next hops of default routes, from the routing
// tables or else the connectivity service.
func defaultGateways(p *powers) map[string]bool {
	out := map[string]bool{}
	if b, err := p.in.Device.Probe(p.ctx, scanner.SourceIPRoute); err == nil {
		routes, _ := parse.IPRoutes(b)
		for _, r := range routes {
			if r.Default && r.Gateway.IsValid() {
				out[r.Dev+" "+r.Gateway.WithZone("").String()] = true
			}
		}
	}
	c, err := asked(p, "connectivity", parse.Connectivities)
	if err != nil && len(out) == 0 {
		p.t.Partial = append(p.t.Partial, "which machine is the gateway is not told: "+unavailable(err))
	}
	for i := range c.Networks {
		l := &c.Networks[i].Link
		for _, r := range l.Routes {
			if r.To.Bits() == 0 && r.Gateway.IsValid() {
				out[or(r.Interface, l.Interface)+" "+r.Gateway.WithZone("").String()] = true
			}
		}
	}
	return out
}

// lineErrors tell the first few lines that were not understood.
func lineErrors(s scanner.Source, bad []error) []string {
	var out []string
	for _, e := range bad[:min(len(bad), 5)] {
		out = append(out, string(s)+": "+e.Error())
	}
	return out
}
