package parse

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
)

// Numbers of rtnetlink(7) and sock_diag(7) messages and attributes used here.
const (
	nlmsgError = 2
	nlmsgDone  = 3

	rtmNewLink  = 16
	rtmNewRoute = 24
	rtmNewNeigh = 28
	sockDiag    = 20
)

// netlinkMessages calls yield for each message of a dump until its end. Truncated messages
// end it.
func netlinkMessages(b []byte, order binary.ByteOrder, yield func(typ uint16, body []byte)) error {
	for off := 0; off < len(b); {
		rest := b[off:]
		if len(rest) < 16 {
			return &Error{Offset: int64(off), Msg: "truncated netlink message"}
		}
		size := order.Uint32(rest)
		if size < 16 || uint64(size) > uint64(len(rest)) {
			return &Error{Offset: int64(off), Msg: "netlink message longer than the answer"}
		}
		switch typ := order.Uint16(rest[4:]); typ {
		case nlmsgDone:
			return nil
		case nlmsgError:
			return &Error{Offset: int64(off), Msg: "netlink answered with an error"}
		default:
			yield(typ, rest[16:size])
		}
		off += int(size+3) &^ 3
	}
	return nil
}

// netlinkAttrs calls yield for each attribute; nested ones are left whole.
func netlinkAttrs(b []byte, order binary.ByteOrder, yield func(typ uint16, val []byte)) {
	for len(b) >= 4 {
		size := int(order.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		yield(order.Uint16(b[2:])&0x3fff, b[4:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

// LinkInfo is what RTM_NEWLINK tells of an interface.
type LinkInfo struct {
	Index       int
	Name        string
	Flags       uint32 // IFF_ bits
	MTU         int
	MAC         string
	Kind        string // bridge, veth, wireguard, tun, vlan, ...; empty for hardware
	Master      int    // index of the bridge or bond that it is a port of, 0 none
	Promiscuity int    // how many listeners asked for all frames; -1 not told
	LinkType    int    // ARPHRD_ number: 1 Ethernet, 772 loopback
	// CarrierChanges counts how often the carrier came and went since the interface was made.
	CarrierChanges int
}

// NetlinkLinks reads the answer to an RTM_GETLINK dump.
func NetlinkLinks(b []byte, order binary.ByteOrder) ([]LinkInfo, error) {
	var out []LinkInfo
	err := netlinkMessages(b, order, func(typ uint16, body []byte) {
		if typ == rtmNewLink && len(body) >= 16 {
			out = append(out, linkBody(body, order))
		}
	})
	return out, err
}

func linkBody(body []byte, order binary.ByteOrder) LinkInfo {
	l := LinkInfo{Index: int(order.Uint32(body[4:])), Flags: order.Uint32(body[8:]),
		LinkType: int(order.Uint16(body[2:])), Promiscuity: -1}
	netlinkAttrs(body[16:], order, func(typ uint16, val []byte) {
		switch {
		case typ == 1 && len(val) <= 32: // IFLA_ADDRESS
			l.MAC = net.HardwareAddr(val).String()
		case typ == 3: // IFLA_IFNAME
			l.Name = cString(val)
		case typ == 4 && len(val) >= 4:
			l.MTU = int(order.Uint32(val))
		case typ == 10 && len(val) >= 4:
			l.Master = int(order.Uint32(val))
		case typ == 18: // IFLA_LINKINFO
			netlinkAttrs(val, order, func(typ uint16, val []byte) {
				if typ == 1 { // IFLA_INFO_KIND
					l.Kind = cString(val)
				}
			})
		case typ == 30 && len(val) >= 4: // IFLA_PROMISCUITY
			l.Promiscuity = int(order.Uint32(val))
		case typ == 35 && len(val) >= 4: // IFLA_CARRIER_CHANGES
			l.CarrierChanges = int(order.Uint32(val))
		}
	})
	return l
}

// RouteInfo is what RTM_NEWROUTE tells of a route.
type RouteInfo struct {
	Dst      netip.Prefix // invalid for the default route of a family
	IPv6     bool
	Gateway  netip.Addr // zero when on the link
	Index    int        // of the interface, 0 none
	Table    int        // 254 main, 255 local
	Protocol int        // who made it: 1 redirect, 2 kernel, 3 boot, 4 static, 16 dhcp, 9 router advertisement, ...
	Type     int        // 1 unicast, 2 local, 6 blackhole, 7 unreachable
	Metric   int
	// Redirected is set for routes of the cache that an ICMP redirect made.
	Redirected bool
}

// NetlinkRoutes reads the answer to an RTM_GETROUTE dump.
func NetlinkRoutes(b []byte, order binary.ByteOrder) ([]RouteInfo, error) {
	var out []RouteInfo
	err := netlinkMessages(b, order, func(typ uint16, body []byte) {
		if typ == rtmNewRoute && len(body) >= 12 {
			out = append(out, routeBody(body, order))
		}
	})
	return out, err
}

func routeBody(body []byte, order binary.ByteOrder) RouteInfo {
	r := RouteInfo{IPv6: body[0] == 10, Table: int(body[4]), Protocol: int(body[5]), Type: int(body[7]),
		Redirected: order.Uint32(body[8:])&0x40000 != 0}
	bits := int(body[1])
	netlinkAttrs(body[12:], order, func(typ uint16, val []byte) {
		switch typ {
		case 1: // RTA_DST
			if a, ok := netip.AddrFromSlice(val); ok && bits <= a.BitLen() {
				r.Dst = netip.PrefixFrom(a, bits)
			}
		case 5: // RTA_GATEWAY
			r.Gateway, _ = netip.AddrFromSlice(val)
		case 4, 6, 15: // RTA_OIF, RTA_PRIORITY, RTA_TABLE
			if len(val) < 4 {
				return
			}
			n := int(order.Uint32(val))
			switch typ {
			case 4:
				r.Index = n
			case 6:
				r.Metric = n
			default:
				r.Table = n
			}
		case 9: // RTA_MULTIPATH: rtnexthop, then its attributes; the first hop stands for all
			if len(val) < 8 || r.Index != 0 {
				return
			}
			r.Index = int(order.Uint32(val[4:]))
			size := min(int(order.Uint16(val)), len(val))
			netlinkAttrs(val[min(8, size):size], order, func(typ uint16, val []byte) {
				if typ == 5 {
					r.Gateway, _ = netip.AddrFromSlice(val)
				}
			})
		case 18: // RTA_VIA: family, then address
			if len(val) > 2 {
				r.Gateway, _ = netip.AddrFromSlice(val[2:])
			}
		}
	})
	return r
}

// NeighbourInfo is what RTM_NEWNEIGH tells of a neighbour.
type NeighbourInfo struct {
	Index  int
	IP     netip.Addr
	MAC    string
	State  int // NUD_ bits: 2 reachable, 4 stale, 64 no ARP, 128 permanent
	Type   int // as of routes: 1 unicast, 5 multicast
	Router bool
	Family int // 2 IPv4, 10 IPv6, 7 bridge
}

// NetlinkNeighbours reads the answer to an RTM_GETNEIGH dump.
func NetlinkNeighbours(b []byte, order binary.ByteOrder) ([]NeighbourInfo, error) {
	var out []NeighbourInfo
	err := netlinkMessages(b, order, func(typ uint16, body []byte) {
		if typ == rtmNewNeigh && len(body) >= 12 {
			out = append(out, neighbourBody(body, order))
		}
	})
	return out, err
}

func neighbourBody(body []byte, order binary.ByteOrder) NeighbourInfo {
	n := NeighbourInfo{Family: int(body[0]), Index: int(order.Uint32(body[4:])), State: int(order.Uint16(body[8:])),
		Router: body[10]&0x80 != 0, Type: int(body[11])}
	netlinkAttrs(body[12:], order, func(typ uint16, val []byte) {
		switch {
		case typ == 1: // NDA_DST
			n.IP, _ = netip.AddrFromSlice(val)
		case typ == 2 && len(val) <= 32: // NDA_LLADDR
			n.MAC = net.HardwareAddr(val).String()
		}
	})
	return n
}

// DiagSocket is what inet_diag tells of a socket.
type DiagSocket struct {
	State int
	Local netip.AddrPort
	UID   int
	Inode uint64
}

// NetlinkSockets reads the answer to a SOCK_DIAG_BY_FAMILY dump of inet sockets.
func NetlinkSockets(b []byte, order binary.ByteOrder) ([]DiagSocket, error) {
	var out []DiagSocket
	err := netlinkMessages(b, order, func(typ uint16, body []byte) {
		if typ != sockDiag || len(body) < 72 {
			return
		}
		size := 4
		if body[0] == 10 {
			size = 16
		}
		addr, _ := netip.AddrFromSlice(body[8 : 8+size])
		out = append(out, DiagSocket{State: int(body[1]), Local: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(body[4:])),
			UID: int(order.Uint32(body[64:])), Inode: uint64(order.Uint32(body[68:]))})
	})
	return out, err
}

func cString(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
