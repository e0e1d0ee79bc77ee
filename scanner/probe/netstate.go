package probe

import "picket/scanner"

// Interface is one network interface.
type Interface struct {
	Index    int      `expr:"index" json:"index" doc:"interface index"`
	Name     string   `expr:"name" json:"name" doc:"name"`
	Kind     string   `expr:"kind" json:"kind,omitempty" doc:"bridge, bond, veth, wireguard, tun, vlan, gre, ipip, vxlan, ...; empty for hardware"`
	MAC      string   `expr:"mac" json:"mac,omitempty" doc:"hardware address"`
	MTU      int      `expr:"mtu" json:"mtu" doc:"bytes"`
	Flags    []string `expr:"flags" json:"flags,omitempty" doc:"up, broadcast, loopback, pointtopoint, multicast"`
	Addrs    []string `expr:"addrs" json:"addrs,omitempty" doc:"addresses with prefix length"`
	Master   string   `expr:"master" json:"master,omitempty" doc:"bridge or bond that it is a port of"`
	Up       bool     `expr:"up" json:"up,omitempty" doc:"switched on"`
	Loopback bool     `expr:"loopback" json:"loopback,omitempty" doc:"the loopback interface"`
	Wireless bool     `expr:"wireless" json:"wireless,omitempty" doc:"a Wi-Fi interface"`
	// Promiscuous is true for bridge and bond ports too; see Master.
	Promiscuous    bool `expr:"promiscuous" json:"promiscuous,omitempty" doc:"takes frames meant for others; ports of a bridge or bond do so by design"`
	CarrierChanges int  `expr:"carrier_changes" json:"carrier_changes,omitempty" doc:"times that the link came or went since the interface was made"`
	scanner.Unread
}

// Route is one route of the main routing table.
type Route struct {
	Family    int    `expr:"family" json:"family" doc:"4 or 6"`
	Dst       string `expr:"dst" json:"dst" doc:"destination with prefix length; 0.0.0.0/0 or ::/0 is the default route"`
	Default   bool   `expr:"default" json:"default,omitempty" doc:"the default route"`
	Gateway   string `expr:"gateway" json:"gateway,omitempty" doc:"next hop, empty when on the link"`
	Interface string `expr:"interface" json:"interface,omitempty" doc:"interface name"`
	Protocol  string `expr:"protocol" json:"protocol" doc:"who made it: kernel, boot, static, dhcp, ra, redirect, ..."`
	Type      string `expr:"type" json:"type" doc:"unicast, blackhole, unreachable, prohibit, ..."`
	Table     int    `expr:"table" json:"table" doc:"254 main; others are policy routing"`
	Metric    int    `expr:"metric" json:"metric,omitempty" doc:"lower wins"`
	Redirect  bool   `expr:"redirect" json:"redirect,omitempty" doc:"learnt by an ICMP redirect"`
}

// Neighbour is one entry of the neighbour tables (ARP and NDP).
type Neighbour struct {
	Family    int    `expr:"family" json:"family" doc:"4 or 6"`
	IP        string `expr:"ip" json:"ip" doc:"address"`
	MAC       string `expr:"mac" json:"mac,omitempty" doc:"hardware address, empty when not resolved"`
	Interface string `expr:"interface" json:"interface" doc:"interface name"`
	State     string `expr:"state" json:"state" doc:"reachable, stale, delay, probe, failed, permanent, incomplete"`
	Router    bool   `expr:"router" json:"router,omitempty" doc:"says of itself that it is a router (IPv6)"`
}
