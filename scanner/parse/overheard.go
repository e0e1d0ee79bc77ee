package parse

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"
)

// Overheard is what one packet of a link tells of who runs it.
type Overheard struct {
	Kind string // dhcp, router or vrrp
	// IP is the DHCP server's identifier, the router's address, or the sender's.
	IP netip.Addr
	// Offer is set for a DHCP answer that other servers give too (DHCPOFFER).
	Offer     bool
	Routers   []string      // that DHCP hands out
	Resolvers []string      // that DHCP or the advertisement hands out
	Proxy     string        // address of proxy rules that DHCP hands out (option 252)
	Lifetime  time.Duration // of a router; 0 when it is none (any more)
	MAC       string        // of a router, where it says so
	Virtual   []string      // addresses that VRRP tells to be shared
}

const maxHanded = 8 // addresses of one kind that are kept

// OverheardPacket reads an IPv4 or IPv6 packet from its network header on: answers of DHCP
// servers (RFC 2131), router advertisements (RFC 4861), VRRP and CARP (RFC 9568). All else is
// not ok.
func OverheardPacket(b []byte) (o Overheard, ok bool) {
	if len(b) < 20 {
		return o, false
	}
	switch b[0] >> 4 {
	case 4:
		head := int(b[0]&15) * 4
		if head < 20 || head > len(b) || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 { // a later fragment
			return o, false
		}
		o.IP, _ = netip.AddrFromSlice(b[12:16])
		switch b[9] {
		case 17:
			return dhcpAnswer(o, b[head:])
		case 112:
			return vrrp(o, b[head:])
		}
	case 6:
		if len(b) < 40 {
			return o, false
		}
		o.IP, _ = netip.AddrFromSlice(b[8:24])
		switch b[6] {
		case 58:
			return routerAdvertisement(o, b[40:], b[7])
		case 112:
			return vrrp(o, b[40:])
		}
	}
	return o, false
}

func dhcpAnswer(o Overheard, udp []byte) (Overheard, bool) {
	const fixed = 8 + 236 + 4 // UDP header, fixed part, magic cookie
	if len(udp) < fixed || binary.BigEndian.Uint16(udp) != 67 || udp[8] != 2 || binary.BigEndian.Uint32(udp[8+236:]) != 0x63825363 {
		return o, false
	}
	o.Kind = "dhcp"
	answer := false
	for rest := udp[fixed:]; len(rest) > 0 && rest[0] != 255; {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			break
		}
		val := rest[2 : 2+int(rest[1])]
		switch rest[0] {
		case 53:
			if len(val) == 1 {
				o.Offer, answer = val[0] == 2, val[0] == 2 || val[0] == 5
			}
		case 54:
			if len(val) == 4 {
				o.IP, _ = netip.AddrFromSlice(val)
			}
		case 3:
			o.Routers = addresses(val, 4)
		case 6:
			o.Resolvers = addresses(val, 4)
		case 252:
			o.Proxy = printable(val)
		}
		rest = rest[2+int(rest[1]):]
	}
	return o, answer
}

func routerAdvertisement(o Overheard, b []byte, hops byte) (Overheard, bool) {
	if len(b) < 16 || b[0] != 134 || hops != 255 || !o.IP.IsLinkLocalUnicast() { // others came from elsewhere
		return o, false
	}
	o.Kind = "router"
	o.Lifetime = time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second
	for rest := b[16:]; len(rest) >= 8; {
		size := int(rest[1]) * 8
		if size == 0 || size > len(rest) {
			break
		}
		switch rest[0] {
		case 1: // source link-layer address
			o.MAC = net.HardwareAddr(rest[2:8]).String()
		case 25: // recursive DNS servers
			o.Resolvers = append(o.Resolvers, addresses(rest[8:size], 16)...)
			o.Resolvers = o.Resolvers[:min(len(o.Resolvers), maxHanded)]
		}
		rest = rest[size:]
	}
	return o, true
}

// vrrp reads the header that versions 2 and 3 share; CARP has the same number and no addresses.
func vrrp(o Overheard, b []byte) (Overheard, bool) {
	if len(b) < 8 || b[0]&15 != 1 {
		return o, false
	}
	o.Kind = "vrrp"
	size := 4
	if o.IP.Is6() {
		size = 16
	}
	o.Virtual = addresses(b[8:min(len(b), 8+size*int(b[3]))], size)
	return o, true
}

func addresses(b []byte, size int) (out []string) {
	for ; len(b) >= size && len(out) < maxHanded; b = b[size:] {
		if a, ok := netip.AddrFromSlice(b[:size]); ok {
			out = append(out, a.String())
		}
	}
	return out
}

// printable keeps what a person may see of a text from the network, at most 200 bytes.
func printable(b []byte) string {
	out := make([]byte, 0, min(len(b), 200))
	for _, c := range b[:min(len(b), 200)] {
		if c > ' ' && c < 0x7f {
			out = append(out, c)
		}
	}
	return string(out)
}
