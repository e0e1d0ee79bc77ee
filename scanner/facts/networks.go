package facts

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

// Network is a network that the device is on, as it is now and beside what is remembered of it.
type Network struct {
	Transport     string   `expr:"transport" json:"transport" doc:"wifi, ethernet, cellular, vpn, ..."`
	Name          string   `expr:"name" json:"name,omitempty" doc:"SSID of a Wi-Fi network where it was told, else the interface"`
	Interface     string   `expr:"interface" json:"interface,omitempty" doc:"network interface"`
	BSSID         string   `expr:"bssid" json:"bssid,omitempty" doc:"address of the access point"`
	Security      string   `expr:"security" json:"security,omitempty" doc:"open, owe, wep, wpa, wpa2, wpa3 or enterprise; empty when it is no Wi-Fi"`
	Captive       bool     `expr:"captive" json:"captive,omitempty" doc:"asks for a sign-in first"`
	Portal        string   `expr:"portal" json:"portal,omitempty" doc:"where the network says that one signs in, as its DHCP server or router told; without query"`
	Validated     bool     `expr:"validated" json:"validated,omitempty" doc:"the system reached the internet through it"`
	Gateway       string   `expr:"gateway" json:"gateway,omitempty" doc:"address of the router"`
	Resolvers     []string `expr:"resolvers" json:"resolvers,omitempty" doc:"resolvers that the network gave"`
	DHCP          []string `expr:"dhcp_servers" json:"dhcp_servers,omitempty" doc:"DHCP servers: of the lease, and others that were heard to answer"`
	Routers       []string `expr:"routers" json:"routers,omitempty" doc:"sources of IPv6 router advertisements"`
	Proxy         string   `expr:"proxy" json:"proxy,omitempty" doc:"proxy or address of its rules that the network gave"`
	WeakerNearby  []string `expr:"weaker_nearby" json:"weaker_nearby,omitempty" doc:"access points of the same name with weaker protection"`
	Remembered    bool     `expr:"remembered" json:"remembered,omitempty" doc:"the device was on it before"`
	OpenLately    bool     `expr:"open_lately" json:"open_lately,omitempty" doc:"in the last 7 days, before the device last left it, it was told that the network is open"`
	StrongBefore  string   `expr:"security_before" json:"security_before,omitempty" doc:"the strongest protection that a network of this name had, where it was stronger"`
	ResolversNew  []string `expr:"resolvers_new" json:"resolvers_new,omitempty" doc:"resolvers that it did not give before"`
	ResolversWere []string `expr:"resolvers_before" json:"resolvers_before,omitempty" doc:"those that it gave before, where there are new ones"`
	DHCPNew       []string `expr:"dhcp_new" json:"dhcp_new,omitempty" doc:"DHCP servers that it did not have before"`
	DHCPLeads     []string `expr:"dhcp_leads" json:"dhcp_leads,omitempty" doc:"routers, resolvers and proxies that only the new DHCP servers hand out"`
	RoutersNew    []string `expr:"routers_new" json:"routers_new,omitempty" doc:"sources of router advertisements that it did not have before"`
	RoutersShared bool     `expr:"routers_redundant" json:"routers_redundant,omitempty" doc:"a protocol for redundant routers explains the new sources"`
	ProxyNew      bool     `expr:"proxy_new" json:"proxy_new,omitempty" doc:"the proxy was not there before"`
	Where         string   `expr:"where" json:"-" doc:"source"`
	scanner.Unread

	ID      string              `expr:"-" json:"-"` // as NetworkSeen; empty for what is not remembered
	Session string              `expr:"-" json:"-"`
	Same    bool                `expr:"-" json:"-"` // the same link or the same router as remembered
	Values  map[string][]string `expr:"-" json:"-"` // by kind, as NetworkSeen.Known
	claims  []probe.Claim
	hops    []string // next hops of its default routes
}

// Kinds of values that are remembered of a network.
const (
	kindGateway  = "gateway"
	kindResolver = "resolver"
	kindDHCP     = "dhcp"
	kindRouter   = "router"
	kindProxy    = "proxy"
	kindSecurity = "security"
)

const noProxy = "none" // remembered of a network that gives no proxy, so that one that comes is seen

var leaseGlobs = []string{"/run/systemd/netif/leases/*", "/var/lib/NetworkManager/*.lease", "/var/lib/dhcp/*.leases", "/var/lib/dhclient/*.leases"}

const linkStates = "/run/systemd/netif/links/" // of systemd-networkd, by index

const resolvedConf = "/run/systemd/resolve/resolv.conf" // what is behind the stub

func networksCollector() scanner.Collector {
	return scanner.Collector{
		Table: "networks", Doc: "networks that the device is on, beside what is remembered of them", Row: Network{}, Platforms: onBoth,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceNetworkHistory, scanner.SourceNetworkHeard, scanner.SourceWiFi, scanner.SourceInterfaces},
			Globs: append(slices.Clone(leaseGlobs), linkStates+"*", resolvedConf)},
		Needs:   []string{"interfaces", "routes", "neighbours", "resolvers", "android_networks", "android_neighbours"},
		Collect: collectNetworks,
	}
}

// networkReader gathers what is known of the networks.
type networkReader struct {
	*treeReader
	ctx     context.Context
	in      *scanner.Input
	history NetworkHistory
	noPast  string // why nothing is remembered
	heard   probe.Heard
	deaf    string // why nothing was overheard
	macs    map[[2]string]string
	links   map[string]Interface
}

// networkMemory is shared with the table gateways.
type networkMemory struct {
	history NetworkHistory
	noPast  string
	heard   probe.Heard
	deaf    string
}

// seen gives what is remembered of a network, nil for nothing.
func seen(h *NetworkHistory, id string) *NetworkSeen {
	i := slices.IndexFunc(h.Networks, func(n NetworkSeen) bool { return n.ID == id })
	if i < 0 || id == "" {
		return nil
	}
	return &h.Networks[i]
}

// told decodes what whoever runs the scan knows.
func told[T any](ctx context.Context, in *scanner.Input, s scanner.Source) (v T, why string) {
	b, err := in.Device.Probe(ctx, s)
	if err != nil {
		return v, unavailable(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, string(s) + ": " + err.Error()
	}
	return v, ""
}

func collectNetworks(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &networkReader{treeReader: newReader(in, &t), ctx: ctx, in: in, macs: map[[2]string]string{}, links: map[string]Interface{}}
	r.history, r.noPast = told[NetworkHistory](ctx, in, scanner.SourceNetworkHistory)
	r.heard, r.deaf = told[probe.Heard](ctx, in, scanner.SourceNetworkHeard)
	r.deaf = cmp.Or(r.deaf, r.heard.Deaf["packets"])
	var rows []Network
	var absent string
	if in.Device.Identity().Platform == "android" {
		rows, absent = r.android()
	} else {
		rows, absent = r.linux()
	}
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	for i := range rows {
		r.overheard(&rows[i])
		r.compare(&rows[i])
	}
	if r.noPast != "" {
		t.Unknown = map[string]string{}
		for _, column := range []string{"remembered", "security_before", "resolvers_new", "resolvers_before", "dhcp_new", "dhcp_leads", "routers_new", "routers_redundant", "proxy_new"} {
			t.Unknown[column] = "nothing is remembered: " + r.noPast
		}
	}
	t.Rows = rows
	t.Aux = networkMemory{r.history, r.noPast, r.heard, r.deaf}
	return t
}

// linux makes a network of each interface that leads somewhere, or that has an access point.
func (r *networkReader) linux() ([]Network, string) {
	routes, absent := scanner.Rows[Route](r.in, "routes")
	if absent != "" {
		return nil, absent
	}
	interfaces, noInterfaces := scanner.Rows[Interface](r.in, "interfaces")
	if noInterfaces != "" {
		return nil, noInterfaces
	}
	for _, i := range interfaces {
		r.links[i.Name] = i
	}
	neighbours, noNeighbours := scanner.Rows[Neighbour](r.in, "neighbours")
	for _, n := range neighbours {
		r.macs[[2]string{n.Interface, n.IP}] = n.MAC
	}
	air, noAir := probed[[]probe.WiFi](r.ctx, r.in, scanner.SourceWiFi)
	leases := r.leases()
	rows := []Network{}
	for _, i := range interfaces {
		gateways := defaultsOf(routes, i.Name)
		row := Network{Transport: transportOfLink(&i), Name: i.Name, Interface: i.Name, Where: "routing table"}
		row.MarkUnread("captive", "only a probe can tell")
		row.MarkUnread("validated", "only a probe can tell")
		r.accessPoint(&row, air, noAir)
		if i.Loopback || len(gateways) == 0 && row.BSSID == "" {
			continue
		}
		for _, g := range gateways {
			row.Gateway = cmp.Or(row.Gateway, g.Gateway)
			row.hops = appendNew(row.hops, g.Gateway)
			if g.Family == 6 && g.Protocol == "ra" && g.Gateway != "" && !slices.Contains(row.Routers, g.Gateway) {
				row.Routers = append(row.Routers, g.Gateway)
			}
		}
		for _, l := range leases {
			if l.Interface == i.Name || l.Interface == strconv.Itoa(i.Index) {
				row.lease(l)
			}
		}
		if noNeighbours != "" {
			row.MarkUnread("gateway", noNeighbours)
		}
		rows = append(rows, row)
	}
	r.hostResolvers(rows)
	for i := range rows {
		r.identify(&rows[i])
	}
	return rows, ""
}

// defaultsOf gives the default routes of an interface, IPv4 before IPv6 and then the preferred.
func defaultsOf(routes []Route, name string) (out []Route) {
	for _, r := range routes {
		if r.Default && r.Interface == name && r.Type == "unicast" {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Route) int { return cmp.Or(a.Family-b.Family, a.Metric-b.Metric) })
	return out
}

// transportOfLink names what an interface is. Virtual links of a machine in a machine count as
// wires.
func transportOfLink(i *Interface) string {
	switch i.Kind {
	case "wireguard", "tun", "ppp", "ipip", "gre", "sit", "vti", "xfrm", "ip6tnl":
		return "vpn"
	}
	switch {
	case i.Wireless:
		return "wifi"
	case slices.Contains(i.Flags, "pointtopoint"):
		return "vpn"
	}
	return "ethernet"
}

// accessPoint adds what a wireless interface is joined to, and who calls itself the same.
func (r *networkReader) accessPoint(row *Network, air []probe.WiFi, noAir string) {
	if row.Transport != "wifi" {
		return
	}
	if noAir != "" {
		for _, column := range []string{"name", "bssid", "security", "weaker_nearby", "security_before"} {
			row.MarkUnread(column, noAir)
		}
		return
	}
	for _, w := range air {
		if w.Interface == row.Interface && w.Associated {
			row.Name, row.BSSID, row.Security = w.SSID, w.BSSID, w.Security
		}
	}
	for _, w := range air {
		if w.Interface == row.Interface && row.BSSID != "" && w.SSID == row.Name && weakerThan(w.Security, row.Security) {
			row.WeakerNearby = append(row.WeakerNearby, w.BSSID)
		}
	}
}

func weakerThan(a, b string) bool {
	x, y := parse.WirelessStrength(a), parse.WirelessStrength(b)
	return x > 0 && y > 0 && x < y
}

func (n *Network) lease(l parse.Lease) {
	n.DHCP = appendNew(n.DHCP, l.Server)
	n.Resolvers = appendNew(n.Resolvers, l.Resolvers...)
	n.Proxy = cmp.Or(n.Proxy, WithoutLogin(l.Proxy))
	n.Portal = cmp.Or(n.Portal, WithoutLogin(l.Portal))
}

func appendNew(list []string, more ...string) []string {
	for _, m := range more {
		if m != "" && !slices.Contains(list, m) && len(list) < MaxNetworkList {
			list = append(list, m)
		}
	}
	return list
}

// leases reads what DHCP clients keep. Those of dhclient pile up: of one interface the last counts.
func (r *networkReader) leases() (out []parse.Lease) {
	for _, name := range r.glob(leaseGlobs...) {
		if strings.HasSuffix(name, ".leases") {
			last := map[string]parse.Lease{}
			for _, l := range parse.ClientLeases(r.file(name)) {
				last[l.Interface] = l
			}
			for _, l := range last {
				if l.Expires.IsZero() || l.Expires.After(r.in.Options.Now) {
					out = append(out, l)
				}
			}
			continue
		}
		l, ok := parse.KeyLease(r.file(name))
		if !ok {
			continue
		}
		l.Interface = strings.TrimSuffix(name[strings.LastIndexAny(name, "/-")+1:], ".lease") // INDEX, or internal-UUID-NAME.lease
		out = append(out, l)
	}
	for _, name := range r.glob(linkStates + "*") {
		if portal := parse.LinkPortal(r.file(name)); portal != "" {
			out = append(out, parse.Lease{Interface: strings.TrimPrefix(name, linkStates), Portal: portal})
		}
	}
	slices.SortFunc(out, func(a, b parse.Lease) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Server, b.Server))
	})
	return out
}

// hostResolvers gives the resolvers of the whole host to its network where it has one alone: with
// a VPN up nobody knows whose they are.
func (r *networkReader) hostResolvers(rows []Network) {
	if len(rows) != 1 || rows[0].Transport == "vpn" {
		for i := range rows {
			if len(rows[i].Resolvers) == 0 {
				rows[i].MarkUnread("resolvers", "the host is on several networks")
			}
		}
		return
	}
	list, absent := scanner.Rows[Resolver](r.in, "resolvers")
	if absent != "" {
		rows[0].MarkUnread("resolvers", absent)
		return
	}
	var out []string
	stub := false
	for _, s := range list {
		if s.Source == "resolv.conf" && !s.Loopback {
			out = appendNew(out, s.Address)
		}
		stub = stub || s.Source == "resolv.conf" && s.Loopback
	}
	if len(out) == 0 && stub {
		for _, d := range parse.Directives(r.file(resolvedConf)) {
			if a := net.ParseIP(d.Arg(0)); d.Words[0] == "nameserver" && a != nil {
				out = appendNew(out, a.String())
			}
		}
	}
	rows[0].Resolvers = appendNew(rows[0].Resolvers, out...)
}

// android takes the networks that the connectivity service tells.
func (r *networkReader) android() ([]Network, string) {
	list, absent := scanner.Rows[AndroidNetwork](r.in, "android_networks")
	if absent != "" {
		return nil, absent
	}
	r.table.Partial = append(r.table.Partial, r.in.Tables["android_networks"].Partial...)
	neighbours, _ := scanner.Rows[AndroidNeighbour](r.in, "android_neighbours")
	for _, n := range neighbours {
		r.macs[[2]string{n.Interface, bareAddress(n.Address)}] = n.MAC
	}
	if links, why := probed[[]Interface](r.ctx, r.in, scanner.SourceInterfaces); why == "" {
		for _, l := range links {
			r.links[l.Name] = l
		}
	}
	rows := []Network{}
	for _, n := range list {
		row := Network{Transport: n.Transport, Name: n.Name, Interface: n.Interface, BSSID: n.BSSID, Security: n.Security, Captive: n.Captive, Validated: n.Validated,
			Gateway: n.Gateway, Resolvers: n.DNS, Proxy: n.Proxy, Where: n.Where}
		row.Unread.Unread, row.hops = maps.Clone(n.Unread.Unread), appendNew(nil, bareAddress(n.Gateway))
		row.MarkUnread("weaker_nearby", "is not told")
		row.MarkUnread("dhcp_new", "is not told")
		row.MarkUnread("routers_new", "is not told")
		r.identify(&row)
		rows = append(rows, row)
	}
	return rows, ""
}
