package parse

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
)

var le = binary.LittleEndian

// message writes a netlink message of a body and attributes.
func message(typ uint16, body []byte, attrs ...[]byte) []byte {
	for _, a := range attrs {
		body = append(body, a...)
	}
	b := make([]byte, 16, 16+len(body))
	le.PutUint32(b, uint32(16+len(body)))
	le.PutUint16(b[4:], typ)
	b = append(b, body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func attribute(typ uint16, val []byte) []byte {
	b := make([]byte, 4, 8+len(val))
	le.PutUint16(b, uint16(4+len(val)))
	le.PutUint16(b[2:], typ)
	b = append(b, val...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func u32(n uint32) []byte { return le.AppendUint32(nil, n) }

func done() []byte { return message(3, u32(0)) }

func linkDump() []byte {
	head := make([]byte, 16)
	le.PutUint16(head[2:], 1)
	le.PutUint32(head[4:], 7)
	le.PutUint32(head[8:], 0x1003)
	return append(message(16, head, attribute(3, []byte("br0\x00")), attribute(1, []byte{2, 0, 0, 0, 0, 1}), attribute(4, u32(1500)),
		attribute(10, u32(9)), attribute(30, u32(1)), attribute(18|0x8000, attribute(1, []byte("bridge\x00")))), done()...)
}

func TestNetlinkLinks(t *testing.T) {
	t.Parallel()
	got, err := NetlinkLinks(linkDump(), le)
	want := []LinkInfo{{Index: 7, Name: "br0", Flags: 0x1003, MTU: 1500, MAC: "02:00:00:00:00:01", Kind: "bridge", Master: 9, Promiscuity: 1, LinkType: 1}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func routeDump() []byte {
	head := []byte{2, 0, 0, 0, 254, 16, 0, 1, 0, 0, 0, 0}
	net := []byte{2, 24, 0, 0, 254, 1, 0, 1, 0, 0, 0, 0}
	hop := append([]byte{16, 0, 0, 0, 3, 0, 0, 0}, attribute(5, []byte{10, 0, 0, 9})...)
	b := message(24, head, attribute(5, []byte{192, 0, 2, 1}), attribute(4, u32(2)), attribute(6, u32(100)), attribute(15, u32(254)))
	b = append(b, message(24, net, attribute(1, []byte{10, 1, 2, 0}), attribute(9, hop))...)
	return append(b, done()...)
}

func TestNetlinkRoutes(t *testing.T) {
	t.Parallel()
	got, err := NetlinkRoutes(routeDump(), le)
	want := []RouteInfo{
		{Gateway: netip.MustParseAddr("192.0.2.1"), Index: 2, Table: 254, Protocol: 16, Type: 1, Metric: 100},
		{Dst: netip.MustParsePrefix("10.1.2.0/24"), Gateway: netip.MustParseAddr("10.0.0.9"), Index: 3, Table: 254, Protocol: 1, Type: 1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func neighbourDump() []byte {
	head := []byte{10, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0x80, 1}
	return append(message(28, head, attribute(1, netip.MustParseAddr("fe80::1").AsSlice()), attribute(2, []byte{2, 0, 0, 0, 0, 5})), done()...)
}

func TestNetlinkNeighbours(t *testing.T) {
	t.Parallel()
	got, err := NetlinkNeighbours(neighbourDump(), le)
	want := []NeighbourInfo{{Index: 2, IP: netip.MustParseAddr("fe80::1"), MAC: "02:00:00:00:00:05", State: 2, Type: 1, Router: true, Family: 10}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func socketDump() []byte {
	body := make([]byte, 72)
	body[0], body[1] = 2, 10
	binary.BigEndian.PutUint16(body[4:], 31337)
	copy(body[8:], []byte{127, 0, 0, 1})
	le.PutUint32(body[64:], 1000)
	le.PutUint32(body[68:], 4711)
	return append(message(20, body), done()...)
}

func TestNetlinkSockets(t *testing.T) {
	t.Parallel()
	got, err := NetlinkSockets(socketDump(), le)
	want := []DiagSocket{{State: 10, Local: netip.MustParseAddrPort("127.0.0.1:31337"), UID: 1000, Inode: 4711}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNetlinkDamage(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"truncated head":    routeDump()[:10],
		"longer than given": routeDump()[:40],
		"shorter than head": {4, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"error answer":      message(2, u32(0xfffffffe)),
	} {
		if got, err := NetlinkRoutes(b, le); err == nil {
			t.Errorf("%s gave %+v", name, got)
		}
	}
}

func FuzzNetlink(f *testing.F) {
	f.Add(linkDump())
	f.Add(routeDump())
	f.Add(neighbourDump())
	f.Add(socketDump())
	f.Fuzz(func(t *testing.T, b []byte) {
		links, _ := NetlinkLinks(b, le)
		routes, _ := NetlinkRoutes(b, le)
		neighbours, _ := NetlinkNeighbours(b, le)
		socks, _ := NetlinkSockets(b, le)
		if n := len(links) + len(routes) + len(neighbours) + len(socks); n > len(b)/16 {
			t.Errorf("%d objects in %d bytes", n, len(b))
		}
		for _, r := range routes {
			if r.Dst != (netip.Prefix{}) && !r.Dst.IsValid() {
				t.Errorf("%+v", r)
			}
		}
	})
}
