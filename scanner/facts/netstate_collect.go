package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/probe"
)

func interfacesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "interfaces", Doc: "network interfaces", Row: Interface{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceInterfaces}},
		Collect: func(ctx context.Context, in *scanner.Input) scanner.Table {
			rows, absent := probed[[]Interface](ctx, in, scanner.SourceInterfaces)
			if absent != "" {
				return scanner.Table{Absent: absent}
			}
			for i := range rows {
				rows[i].Where = "/sys/class/net/" + rows[i].Name
			}
			return scanner.Table{Rows: rows}
		},
	}
}

func routesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "routes", Doc: "routes, but for those of the machine's own addresses", Row: Route{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceRoutes}},
		Collect: func(ctx context.Context, in *scanner.Input) scanner.Table {
			rows, absent := probed[[]Route](ctx, in, scanner.SourceRoutes)
			if absent != "" {
				return scanner.Table{Absent: absent}
			}
			for i := range rows {
				rows[i].Where = "routing table"
			}
			return scanner.Table{Rows: rows}
		},
	}
}

func neighboursCollector() scanner.Collector {
	return scanner.Collector{
		Table: "neighbours", Doc: "hosts on the link (ARP and NDP)", Row: Neighbour{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceNeighbours, scanner.SourceNetworkHeard}},
		Needs: []string{"routes"}, Collect: collectNeighbours,
	}
}

func collectNeighbours(ctx context.Context, in *scanner.Input) scanner.Table {
	rows, absent := probed[[]Neighbour](ctx, in, scanner.SourceNeighbours)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	t := scanner.Table{Rows: rows}
	routes, noRoutes := scanner.Rows[Route](in, "routes")
	if noRoutes != "" {
		t.Unknown = map[string]string{"gateway": noRoutes}
	}
	type link struct {
		family     int
		iface, mac string
	}
	heard, _ := told[probe.Heard](ctx, in, scanner.SourceNetworkHeard) // what was not heard explains nothing
	byMAC := map[link][]string{}
	for _, n := range rows {
		if n.MAC != "" {
			l := link{n.Family, n.Interface, n.MAC}
			byMAC[l] = append(byMAC[l], n.IP)
		}
	}
	for i := range rows {
		n := &rows[i]
		n.Where, n.Static = "neighbour table", n.State == "permanent"
		n.Gateway = slices.ContainsFunc(routes, func(r Route) bool {
			return r.Default && r.Gateway == n.IP && (r.Interface == n.Interface || r.Interface == "")
		})
		for _, ip := range byMAC[link{n.Family, n.Interface, n.MAC}] {
			// A host has an address of its own for the link, and others beside it.
			if ip != n.IP && n.MAC != "" && (n.Family != 6 || linkLocal(ip) == linkLocal(n.IP)) {
				n.SameMAC = append(n.SameMAC, ip)
			}
		}
		n.Redundant = redundantAddress(slices.DeleteFunc(slices.Clone(heard.Claims), func(c probe.Claim) bool { return c.Interface != n.Interface }), n.IP, n.MAC)
	}
	return t
}

func linkLocal(ip string) bool { return strings.HasPrefix(ip, "fe80:") }
