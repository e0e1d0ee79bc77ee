package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
)

// Gateway is a next hop of a default route.
type Gateway struct {
	Network   string   `expr:"network" json:"network" doc:"SSID or interface of the network"`
	Interface string   `expr:"interface" json:"interface" doc:"network interface"`
	IP        string   `expr:"ip" json:"ip" doc:"address"`
	MAC       string   `expr:"mac" json:"mac,omitempty" doc:"hardware address; empty while it is not known"`
	Before    []string `expr:"mac_before" json:"mac_before,omitempty" doc:"hardware addresses that it had on this link, where none of them is the one it has"`
	Contested []string `expr:"contested" json:"contested,omitempty" doc:"hardware addresses between which it went to and fro within a minute"`
	SameMAC   []string `expr:"same_mac" json:"same_mac,omitempty" doc:"other hosts on the link with its hardware address"`
	Redundant bool     `expr:"redundant" json:"redundant,omitempty" doc:"routers share the address by VRRP, CARP, HSRP or GLBP"`
	Where     string   `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

func gatewaysCollector() scanner.Collector {
	return scanner.Collector{
		Table: "gateways", Doc: "routers that the device sends its traffic to, beside what is remembered of them", Row: Gateway{}, Platforms: onBoth,
		Needs: []string{"networks", "neighbours", "android_neighbours"}, Collect: collectGateways,
	}
}

func collectGateways(_ context.Context, in *scanner.Input) scanner.Table {
	networks, absent := scanner.Rows[Network](in, "networks")
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	memory := scanner.Aux[networkMemory](in, "networks")
	rows := []Gateway{}
	var none string
	if in.Device.Identity().Platform == "android" {
		var list []AndroidNeighbour
		list, none = scanner.Rows[AndroidNeighbour](in, "android_neighbours")
		for _, n := range list {
			if n.Gateway {
				rows = append(rows, Gateway{Interface: n.Interface, IP: n.Address, MAC: n.MAC, SameMAC: n.SameMAC, Where: n.Where})
			}
		}
	} else {
		var list []Neighbour
		list, none = scanner.Rows[Neighbour](in, "neighbours")
		for _, n := range list {
			if n.Gateway {
				rows = append(rows, Gateway{Interface: n.Interface, IP: n.IP, MAC: n.MAC, SameMAC: n.SameMAC, Redundant: n.Redundant, Where: n.Where})
			}
		}
	}
	if none != "" {
		return scanner.Table{Absent: none}
	}
	t := scanner.Table{Rows: rows}
	if memory.noPast != "" {
		t.Unknown = map[string]string{"mac_before": "nothing is remembered: " + memory.noPast}
	}
	for i := range rows {
		rows[i].compare(networks, &memory)
	}
	return t
}

// compare holds a gateway against what is remembered and what was overheard.
func (g *Gateway) compare(networks []Network, memory *networkMemory) {
	i := slices.IndexFunc(networks, func(n Network) bool { return n.Interface == g.Interface })
	if i < 0 {
		g.MarkUnread("mac_before", "of no network")
		return
	}
	n := &networks[i]
	g.Network = n.Name
	g.Redundant = g.Redundant || redundantAddress(n.claims, g.IP, g.MAC)
	for _, c := range n.claims {
		if c.Kind == "neighbour" && c.IP == g.IP && c.Turns > 1 {
			g.Contested = c.MACs
		}
	}
	old := seen(&memory.history, n.ID)
	if old == nil || !n.Same || g.MAC == "" {
		return
	}
	g.Before = macsBefore(old, g.IP, g.MAC)
}

// macsBefore gives the hardware addresses that an address is known by, unless the one it has is
// among them.
func macsBefore(old *NetworkSeen, ip, mac string) (out []string) {
	for _, known := range old.Known[kindGateway] {
		at, was, _ := strings.Cut(known, " ")
		if at != ip {
			continue
		}
		if was == mac {
			return nil
		}
		out = append(out, was)
	}
	return out
}
