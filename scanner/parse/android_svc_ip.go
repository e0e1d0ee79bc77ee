package parse

import (
	"net/netip"
	"strconv"
	"strings"
)

// IPInterface is one interface as "ip addr" and "ip link" print it.
type IPInterface struct {
	Index     int
	Name      string
	Parent    string   // what stands behind "@": the lower interface, or ifN in another namespace
	Flags     []string // UP, LOWER_UP, NOARP, ...
	MTU       int
	State     string // UP, DOWN, UNKNOWN
	Kind      string // ether, loopback, none, ipip, ...: the word behind "link/"
	MAC       string // lower case; empty when it has none
	Addresses []IPAddress
	Line      int // 1-based
}

// IPAddress is one address of an interface.
type IPAddress struct {
	Prefix netip.Prefix // address and network length
	Peer   netip.Addr   // of a point-to-point link; invalid otherwise
	Scope  string       // global, link, host, site
}

// maxIPRows bounds the rows of one command: interfaces, routes, rules, neighbours, sockets, mounts.
const maxIPRows = 20000

// IPAddrs reads what "ip addr" and "ip link" of iproute2 and toybox print, for one or both
// address families. Lines of another form are told in bad.
func IPAddrs(b []byte) (ifs []IPInterface, bad []error) {
	serviceText(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) == 0 {
			return
		}
		if indent(line) == 0 && line[0] != '\t' {
			i, ok := ipInterface(f)
			if !ok {
				bad = badLine(bad, n, "not an interface")
			} else if len(ifs) < maxIPRows {
				i.Line = n
				ifs = append(ifs, i)
			}
			return
		}
		if len(ifs) == 0 {
			return
		}
		i := &ifs[len(ifs)-1]
		switch {
		case strings.HasPrefix(f[0], "link/"):
			i.Kind = clip(f[0][len("link/"):], 20)
			if len(f) > 1 && isMAC(f[1]) && i.Kind != "loopback" {
				i.MAC = strings.ToLower(f[1])
			}
		case f[0] == "inet" || f[0] == "inet6":
			if a, ok := ipAddress(f); ok && len(i.Addresses) < 1024 {
				i.Addresses = append(i.Addresses, a)
			} else if !ok {
				bad = badLine(bad, n, "not an address")
			}
		}
	})
	return ifs, bad
}

// ipInterface reads "3: wlan0@if2: <UP,LOWER_UP> mtu 1500 qdisc mq state UP ...".
func ipInterface(f []string) (i IPInterface, ok bool) {
	if len(f) < 3 || !strings.HasSuffix(f[0], ":") || !strings.HasSuffix(f[1], ":") {
		return i, false
	}
	var err error
	if i.Index, err = strconv.Atoi(strings.TrimSuffix(f[0], ":")); err != nil {
		return i, false
	}
	i.Name, i.Parent, _ = strings.Cut(strings.TrimSuffix(f[1], ":"), "@")
	i.Name = clip(i.Name, 32)
	i.Flags = strings.FieldsFunc(strings.Trim(f[2], "<>"), func(r rune) bool { return r == ',' })
	for k := 3; k+1 < len(f); k++ {
		switch f[k] {
		case "mtu":
			i.MTU, _ = strconv.Atoi(f[k+1])
		case "state":
			i.State = clip(f[k+1], 20)
		}
	}
	return i, i.Name != ""
}

// ipAddress reads "inet 192.0.2.2/24 brd ... scope global wlan0" and "inet 10.0.0.1 peer
// 10.0.0.2/32 scope global ppp0".
func ipAddress(f []string) (a IPAddress, ok bool) {
	if len(f) < 2 {
		return a, false
	}
	addr, err := netip.ParseAddr(strings.Split(f[1], "/")[0])
	if err != nil {
		return a, false
	}
	bits := addr.BitLen()
	if p, err := netip.ParsePrefix(f[1]); err == nil {
		bits = p.Bits()
	}
	for k := 2; k+1 < len(f); k++ {
		switch f[k] {
		case "scope":
			a.Scope = clip(f[k+1], 20)
		case "peer":
			peer, length, _ := strings.Cut(f[k+1], "/")
			a.Peer, _ = netip.ParseAddr(peer)
			if n, err := strconv.Atoi(length); err == nil && n >= 0 && n <= addr.BitLen() {
				bits = n
			}
		}
	}
	a.Prefix = netip.PrefixFrom(addr.WithZone(""), bits)
	return a, a.Prefix.IsValid()
}

// IPRoute is one line of "ip route".
type IPRoute struct {
	Type    string       // unicast, local, broadcast, unreachable, blackhole, prohibit, throw, multicast, anycast
	To      netip.Prefix // 0.0.0.0/0 or ::/0 for default; the family of a bare default follows its gateway
	Default bool
	Gateway netip.Addr // invalid for a direct route
	Dev     string
	Source  netip.Addr
	Table   string // when printed: a number or a name
	Proto   string // kernel, static, ra, ...
	Metric  int64
	Line    int // 1-based
}

// routeTypes may stand in front of a destination.
var routeTypes = map[string]bool{"unicast": true, "local": true, "broadcast": true, "multicast": true, "anycast": true, "unreachable": true,
	"blackhole": true, "prohibit": true, "throw": true, "nat": true}

// IPRoutes reads what "ip route show" prints, of one table or all. A line that hangs below
// another (nexthop of a multipath route) is passed over.
func IPRoutes(b []byte) (routes []IPRoute, bad []error) {
	serviceText(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) == 0 || indent(line) > 0 {
			return
		}
		r, ok := ipRoute(f)
		if !ok {
			bad = badLine(bad, n, "not a route")
		} else if len(routes) < maxIPRows {
			r.Line = n
			routes = append(routes, r)
		}
	})
	return routes, bad
}

func ipRoute(f []string) (r IPRoute, ok bool) {
	r.Type = "unicast"
	if routeTypes[f[0]] {
		r.Type, f = f[0], f[1:]
	}
	if len(f) == 0 {
		return r, false
	}
	r.Default = f[0] == "default"
	if !r.Default {
		if r.To, ok = prefixOrAddr(f[0]); !ok {
			return r, false
		}
		r.Default = r.To.Bits() == 0
	}
	for k := 1; k+1 < len(f); k++ {
		v := f[k+1]
		switch f[k] {
		case "via":
			if (v == "inet6" || v == "inet") && k+2 < len(f) {
				v = f[k+2]
			}
			r.Gateway, _ = netip.ParseAddr(v)
		case "dev":
			r.Dev = clip(v, 32)
		case "src":
			r.Source, _ = netip.ParseAddr(v)
		case "table":
			r.Table = clip(v, 40)
		case "proto":
			r.Proto = clip(v, 20)
		case "metric":
			r.Metric, _ = strconv.ParseInt(v, 10, 64)
		default:
			continue
		}
		k++
	}
	if !r.To.IsValid() {
		r.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if r.Gateway.Is6() || r.Source.Is6() {
			r.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	return r, true
}

func prefixOrAddr(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		// Old iproute2 leaves out zero bytes at the end: 10/8.
		addr, bits, ok := strings.Cut(s, "/")
		if !ok || strings.Count(addr, ".") > 2 || strings.Contains(addr, ":") {
			return netip.Prefix{}, false
		}
		addr += strings.Repeat(".0", 3-strings.Count(addr, "."))
		p, err := netip.ParsePrefix(addr + "/" + bits)
		return p, err == nil
	}
	return netip.PrefixFrom(a.WithZone(""), a.BitLen()), true
}

// IPRule is one line of "ip rule".
type IPRule struct {
	Priority int64
	From, To string // "all" or a prefix
	IIf, OIf string
	Mark     string // value, or value/mask
	UIDs     string // first-last
	Action   string // lookup, unreachable, blackhole, prohibit, goto, ...
	Table    string // for lookup
	Not      bool
	Line     int // 1-based
}

// IPRules reads what "ip rule show" prints.
func IPRules(b []byte) (rules []IPRule, bad []error) {
	serviceText(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) == 0 {
			return
		}
		prio, err := strconv.ParseInt(strings.TrimSuffix(f[0], ":"), 10, 64)
		if err != nil || prio < 0 || !strings.HasSuffix(f[0], ":") || len(f) < 3 {
			bad = badLine(bad, n, "not a rule")
			return
		}
		r := IPRule{Priority: prio, Line: n}
		for k := 1; k < len(f); k++ {
			value := ""
			if k+1 < len(f) {
				value = clip(f[k+1], 64)
			}
			switch f[k] {
			case "not":
				r.Not = true
				continue
			case "from":
				r.From = value
			case "to":
				r.To = value
			case "iif", "dev":
				r.IIf = value
			case "oif":
				r.OIf = value
			case "fwmark":
				r.Mark = value
			case "uidrange":
				r.UIDs = value
			case "lookup", "table":
				r.Action, r.Table = "lookup", value
			case "goto":
				r.Action = "goto"
			case "unreachable", "blackhole", "prohibit", "nop":
				r.Action = f[k]
				continue
			default:
				continue
			}
			k++
		}
		if len(rules) < maxIPRows {
			rules = append(rules, r)
		}
	})
	return rules, bad
}

// IPNeighbour is one line of "ip neigh".
type IPNeighbour struct {
	Addr   netip.Addr
	Dev    string
	MAC    string // empty when the neighbour did not answer
	Router bool
	Proxy  bool
	State  string // REACHABLE, STALE, DELAY, PERMANENT, FAILED, ...
	Line   int    // 1-based
}

// IPNeighbours reads what "ip neigh show" prints.
func IPNeighbours(b []byte) (all []IPNeighbour, bad []error) {
	serviceText(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) == 0 {
			return
		}
		addr, err := netip.ParseAddr(f[0])
		if err != nil || len(f) < 3 {
			bad = badLine(bad, n, "not a neighbour")
			return
		}
		e := IPNeighbour{Addr: addr, Line: n, State: clip(f[len(f)-1], 20)}
		for k := 1; k < len(f); k++ {
			switch f[k] {
			case "dev", "lladdr":
				if k+1 < len(f) && f[k] == "dev" {
					e.Dev = clip(f[k+1], 32)
				} else if k+1 < len(f) && isMAC(f[k+1]) {
					e.MAC = strings.ToLower(f[k+1])
				}
				k++
			case "router":
				e.Router = true
			case "proxy":
				e.Proxy = true
			}
		}
		if len(all) < maxIPRows {
			all = append(all, e)
		}
	})
	return all, bad
}
