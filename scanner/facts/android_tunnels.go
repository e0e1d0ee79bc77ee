package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func androidTunnelsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_tunnels", Doc: "tunnel interfaces", Row: AndroidTunnel{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceIPAddr, scanner.SourceIPLink, scanner.SourceInterfaces, scanner.Dumpsys("connectivity")}},
		Needs: []string{"vpns"}, Collect: collectAndroidTunnels,
	}
}

// tunnelNames tell a tunnel's kind by how its interface's name starts, in front of a number.
var tunnelNames = []struct{ prefix, kind string }{
	{"tun", "tun"}, {"tap", "tap"}, {"ppp", "ppp"}, {"wg", "wireguard"}, {"ipsec", "ipsec"}, {"xfrm", "ipsec"}, {"ip_vti", "ipsec"}, {"ip6_vti", "ipsec"}, {"epdg", "ipsec"}, {"gretap", "gre"}, {"gre", "gre"},
	{"ip6gretap", "gre"}, {"ip6gre", "gre"}, {"erspan", "gre"}, {"ip6erspan", "gre"}, {"sit", "sit"}, {"ip6tnl", "sit"}, {"tunl", "sit"}, {"clat", "tun"}, {"v4-", "tun"}, {"vpn", "tun"}, {"tailscale", "tun"}, {"zt", "tap"},
}

// tunnelLinks are the words behind "link/" that name a tunnel of the kernel.
var tunnelLinks = map[string]string{"ipip": "sit", "sit": "sit", "tunnel6": "sit", "gre": "gre", "gre6": "gre", "ppp": "ppp"}

// tunnelKind gives the kind of a tunnel by its interface; "" for what is none.
func tunnelKind(name, link string) string {
	for _, t := range tunnelNames {
		rest, ok := strings.CutPrefix(name, t.prefix)
		if ok && (strings.HasSuffix(t.prefix, "-") || strings.Trim(rest, "0123456789") == "" || t.prefix == "zt" && len(rest) >= 8 || t.prefix == "clat") {
			return t.kind
		}
	}
	return tunnelLinks[link]
}

// carrierTunnel tells interfaces that the kernel makes by itself (number 0 of its own kinds), the
// translation of IPv4 over mobile data (clat), and those of calls over Wi-Fi.
func carrierTunnel(name string) bool {
	switch name {
	case "sit0", "ip6tnl0", "tunl0", "gre0", "gretap0", "erspan0", "ip6gre0", "ip6gretap0", "ip_vti0", "ip6_vti0", "ip6erspan0":
		return true
	}
	for _, p := range []string{"clat", "v4-", "ipsec", "epdg", "rmnet", "ccmni", "xfrm"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func collectAndroidTunnels(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := &powers{ctx: ctx, in: in, t: &t}
	rows := []AndroidTunnel{}
	add := func(name, link string, up, addressed bool, where string) {
		i := slices.IndexFunc(rows, func(r AndroidTunnel) bool { return r.Interface == name })
		if i < 0 {
			kind := tunnelKind(name, link)
			if kind == "" {
				return
			}
			rows = append(rows, AndroidTunnel{Interface: name, Kind: kind, Carrier: carrierTunnel(name), Where: where})
			i = len(rows) - 1
		}
		rows[i].Up, rows[i].Addressed = rows[i].Up || up, rows[i].Addressed || addressed
	}
	var err error
	printed := 0 // a bugreport has the addresses of those that have one, and the links of all, apart
	for _, source := range []scanner.Source{scanner.SourceIPAddr, scanner.SourceIPLink} {
		b, probeErr := in.Device.Probe(ctx, source)
		if probeErr != nil {
			if source == scanner.SourceIPAddr {
				err = probeErr
			}
			continue
		}
		printed++
		list, bad := parse.IPAddrs(b)
		for _, i := range list {
			add(i.Name, i.Kind, slices.Contains(i.Flags, "UP"), len(i.Addresses) > 0, at(string(source), i.Line))
		}
		t.Partial = append(t.Partial, lineErrors(source, bad)...)
	}
	if printed > 0 {
		for i := range rows {
			if err != nil && strings.HasPrefix(rows[i].Where, string(scanner.SourceIPLink)) && !rows[i].Addressed {
				rows[i].MarkUnread("addressed", unavailable(err))
			}
		}
	} else if list, absent := probed[[]Interface](ctx, in, scanner.SourceInterfaces); absent == "" {
		for _, i := range list {
			add(i.Name, "", i.Up, len(i.Addrs) > 0, string(scanner.SourceInterfaces))
		}
	} else {
		c, connErr := asked(p, "connectivity", parse.Connectivities)
		if connErr != nil {
			return scanner.Table{Absent: why(err, connErr)}
		}
		for _, n := range c.Networks {
			add(n.Link.Interface, "", true, len(n.Link.Addresses) > 0, at("dumpsys/connectivity", n.Line))
		}
		t.Partial = append(t.Partial, "only interfaces of networks that Android knows: "+unavailable(err))
	}
	vpns, noVPNs := scanner.Rows[VPN](in, "vpns")
	active := false // a VPN whose interface is not told
	for _, v := range vpns {
		active = active || v.Active && v.Interface == ""
	}
	for i := range rows {
		r := &rows[i]
		r.ByVPN = slices.ContainsFunc(vpns, func(v VPN) bool { return v.Active && v.Interface == r.Interface })
		if noVPNs != "" {
			r.MarkUnread("by_vpn", noVPNs)
		} else if active && !r.ByVPN {
			r.MarkUnread("by_vpn", "a VPN is on whose interface is not told")
		}
	}
	t.Rows = rows
	return t
}
