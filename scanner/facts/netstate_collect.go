package facts

import (
	"context"
	"slices"

	"picket/scanner"
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
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceNeighbours}},
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
			if ip != n.IP && n.MAC != "" {
				n.SameMAC = append(n.SameMAC, ip)
			}
		}
	}
	return t
}
