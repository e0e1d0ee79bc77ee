package parse

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// packet4 is an IPv4 packet with a payload.
func packet4(protocol byte, from string, payload []byte) []byte {
	b := make([]byte, 20)
	b[0], b[8], b[9] = 0x45, 64, protocol
	copy(b[12:], netip.MustParseAddr(from).AsSlice())
	return append(b, payload...)
}

func packet6(next byte, from string, payload []byte) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, next, 255
	copy(b[8:], netip.MustParseAddr(from).AsSlice())
	return append(b, payload...)
}

// dhcp is an answer of a DHCP server with options.
func dhcp(options ...byte) []byte {
	b := make([]byte, 8+236)
	binary.BigEndian.PutUint16(b, 67)
	binary.BigEndian.PutUint16(b[2:], 68)
	b[8] = 2
	b = append(b, 0x63, 0x82, 0x53, 0x63)
	return append(append(b, options...), 255)
}

func dhcpOffer() []byte {
	return packet4(17, "10.9.0.66", dhcp(53, 1, 2, 54, 4, 10, 9, 0, 66, 0, 3, 4, 10, 9, 0, 1, 6, 8, 10, 9, 0, 53, 8, 8, 8, 8, 252, 7, 'h', 't', 't', 'p', ':', '\n', 'x'))
}

func advertisement(lifetime byte) []byte {
	ra := append([]byte{134, 0, 0, 0, 64, 0, 0, lifetime, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 1, 2, 0, 0, 0, 9, 3)
	ra = append(append(ra, 25, 3, 0, 0, 0, 0, 0, 60), netip.MustParseAddr("2001:db8::53").AsSlice()...)
	return packet6(58, "fe80::ff:fe00:903", ra)
}

func vrrpAdvertisement() []byte {
	return packet4(112, "10.9.0.2", append([]byte{0x21, 7, 100, 1, 0, 1, 0, 0}, 10, 9, 0, 254, 0, 0, 0, 0, 0, 0, 0, 0))
}

func TestOverheardPacket(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		packet []byte
		want   Overheard
	}{
		"offer": {dhcpOffer(), Overheard{Kind: "dhcp", IP: netip.MustParseAddr("10.9.0.66"), Offer: true, Routers: []string{"10.9.0.1"},
			Resolvers: []string{"10.9.0.53", "8.8.8.8"}, Proxy: "http:x"}},
		"router": {advertisement(30), Overheard{Kind: "router", IP: netip.MustParseAddr("fe80::ff:fe00:903"), Lifetime: 30 * time.Second,
			MAC: "02:00:00:00:09:03", Resolvers: []string{"2001:db8::53"}}},
		"router that leaves": {advertisement(0), Overheard{Kind: "router", IP: netip.MustParseAddr("fe80::ff:fe00:903"),
			MAC: "02:00:00:00:09:03", Resolvers: []string{"2001:db8::53"}}},
		"VRRP": {vrrpAdvertisement(), Overheard{Kind: "vrrp", IP: netip.MustParseAddr("10.9.0.2"), Virtual: []string{"10.9.0.254"}}},
	} {
		if got, ok := OverheardPacket(c.packet); !ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	far := advertisement(30)
	far[7] = 64
	fragment := dhcpOffer()
	fragment[7] = 1
	for name, b := range map[string][]byte{
		"nothing": nil, "cut short": dhcpOffer()[:100], "a fragment": fragment, "a router elsewhere": far,
		"a question": packet4(17, "10.9.0.5", dhcp(53, 1, 1)), "another protocol": packet4(6, "10.9.0.5", make([]byte, 20)),
	} {
		if got, ok := OverheardPacket(b); ok {
			t.Errorf("%s gave %+v", name, got)
		}
	}
}

func FuzzOverheardPacket(f *testing.F) {
	f.Add(dhcpOffer())
	f.Add(advertisement(9))
	f.Add(vrrpAdvertisement())
	f.Fuzz(func(t *testing.T, b []byte) {
		o, ok := OverheardPacket(b)
		if ok && o.Kind == "" || max(len(o.Routers), len(o.Resolvers), len(o.Virtual)) > maxHanded || len(o.Proxy) > 200 {
			t.Errorf("%+v, %v", o, ok)
		}
	})
}

const networkdLease = "# This is private data. Do not parse.\nADDRESS=10.9.0.107\nNETMASK=255.255.255.0\nROUTER=10.9.0.1\nSERVER_ADDRESS=10.9.0.1\nDNS=10.9.0.53 9.9.9.9\nOPTION_252=http://10.9.0.1/wpad.dat\n"

const clientLeases = `lease {
  interface "eth0";
  fixed-address 10.9.0.107;
  option routers 10.9.0.1;
  option domain-name-servers 10.9.0.53,9.9.9.9;
  option dhcp-server-identifier 10.9.0.1;
  expire 2 2026/11/24 23:00:00;
}
lease {
  interface "eth0";
  option dhcp-server-identifier 10.9.0.66;
  option wpad "http://10.9.0.66/wpad.dat";
  option default-url "https://portal.example.net/api?client=1";
}
lease {
  interface "wlan0";
  option dhcp-server-identifier 10.9.0.67;
  option default-url "urn:ietf:params:capport:unrestricted";
}
lease {
  interface "eth1";
`

func TestLeases(t *testing.T) {
	t.Parallel()
	want := Lease{Server: "10.9.0.1", Routers: []string{"10.9.0.1"}, Resolvers: []string{"10.9.0.53", "9.9.9.9"}, Proxy: "http://10.9.0.1/wpad.dat"}
	if got, ok := KeyLease([]byte(networkdLease)); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, ok)
	}
	list := []Lease{
		{Interface: "eth0", Server: "10.9.0.1", Routers: []string{"10.9.0.1"}, Resolvers: []string{"10.9.0.53", "9.9.9.9"}, Expires: time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC)},
		{Interface: "eth0", Server: "10.9.0.66", Proxy: "http://10.9.0.66/wpad.dat", Portal: "https://portal.example.net/api?client=1"},
		{Interface: "wlan0", Server: "10.9.0.67"},
	}
	if got := ClientLeases([]byte(clientLeases)); !reflect.DeepEqual(got, list) {
		t.Errorf("%+v", got)
	}
	if got, ok := KeyLease([]byte("ADDRESS=10.9.0.5\nSERVER_ADDRESS=nobody\n")); ok {
		t.Errorf("no server, and yet %+v", got)
	}
	for text, want := range map[string]string{
		"# This is private data. Do not parse.\nADMIN_STATE=configured\nDNS=10.9.0.53\nCAPTIVE_PORTAL=https://portal.example.net/api\nDOMAINS=\n": "https://portal.example.net/api",
		"ADMIN_STATE=configured\nDNS=10.9.0.53\n":               "",
		"CAPTIVE_PORTAL=urn:ietf:params:capport:unrestricted\n": "",
	} {
		if got := LinkPortal([]byte(text)); got != want {
			t.Errorf("%q of %q", got, text)
		}
	}
}

func FuzzLeases(f *testing.F) {
	f.Add([]byte(networkdLease))
	f.Add([]byte(clientLeases))
	f.Add([]byte("CAPTIVE_PORTAL=https://portal.example.net/api\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p := LinkPortal(b); len(p) > 200 {
			t.Errorf("a portal of %d bytes", len(p))
		}
		list := ClientLeases(b)
		if l, ok := KeyLease(b); ok {
			list = append(list, l)
		}
		for _, l := range list {
			if l.Server == "" || max(len(l.Routers), len(l.Resolvers)) > maxHanded || max(len(l.Proxy), len(l.Portal)) > 200 {
				t.Errorf("%+v", l)
			}
		}
	})
}
