package parse

import (
	"reflect"
	"testing"
)

func eventsSent() []byte {
	link := make([]byte, 16)
	le.PutUint16(link[2:], 1)
	le.PutUint32(link[4:], 2)
	le.PutUint32(link[8:], 0x11043)
	b := message(16, link, attribute(3, []byte("eth0\x00")), attribute(35, u32(4)))
	b = append(b, message(17, link, attribute(3, []byte("eth0\x00")))...)
	b = append(b, message(20, []byte{2, 24, 0, 0, 2, 0, 0, 0}, attribute(1, []byte{10, 9, 0, 5}))...)
	b = append(b, message(25, []byte{2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, attribute(5, []byte{10, 9, 0, 1}), attribute(4, u32(2)))...)
	b = append(b, message(28, []byte{2, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 1}, attribute(1, []byte{10, 9, 0, 1}), attribute(2, []byte{2, 0, 0, 0, 9, 1}))...)
	return append(b, message(68, []byte{0, 0, 0, 0, 0, 0, 0, 0})...) // RTM_NEWNDUSEROPT: passed over
}

func TestNetworkEvents(t *testing.T) {
	t.Parallel()
	got, err := NetworkEvents(eventsSent(), le)
	if err != nil || len(got) != 5 {
		t.Fatalf("%+v, %v", got, err)
	}
	if l := got[0].Link; l == nil || l.Name != "eth0" || l.CarrierChanges != 4 || got[0].Gone {
		t.Errorf("link %+v", got[0])
	}
	if got[1].Link == nil || !got[1].Gone || !got[2].Address || got[2].Gone {
		t.Errorf("%+v", got[1:3])
	}
	if r := got[3].Route; r == nil || !got[3].Gone || r.Gateway.String() != "10.9.0.1" || r.Index != 2 {
		t.Errorf("route %+v", got[3])
	}
	if n := got[4].Neighbour; n == nil || n.MAC != "02:00:00:00:09:01" || n.State != 4 {
		t.Errorf("neighbour %+v", got[4])
	}
}

func genericFamily() []byte {
	group := attribute(1, append(attribute(1, []byte("mlme\x00")), attribute(2, u32(9))...))
	return append(message(16, []byte{1, 2, 0, 0}, attribute(1, []byte{28, 0}), attribute(2, []byte("nl80211\x00")), attribute(7, group)), done()...)
}

func TestGenericFamilies(t *testing.T) {
	t.Parallel()
	got, err := GenericFamilies(genericFamily(), le)
	want := map[string]GenericFamily{"nl80211": {ID: 28, Groups: map[string]uint32{"mlme": 9}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// rsn is an RSN element with one pairwise cipher and some key management suites.
func rsn(suites ...byte) []byte {
	b := []byte{1, 0, 0, 0x0f, 0xac, 4, 1, 0, 0, 0x0f, 0xac, 4, byte(len(suites)), 0}
	for _, s := range suites {
		b = append(b, 0, 0x0f, 0xac, s)
	}
	return b
}

func element(id byte, val []byte) []byte { return append([]byte{id, byte(len(val))}, val...) }

func accessPoint(private bool, elements ...[]byte) []byte {
	capability := []byte{1, 4}
	if private {
		capability[0] |= 0x10
	}
	ies := element(0, []byte("Free Coffee"))
	for _, e := range elements {
		ies = append(ies, e...)
	}
	bss := append(attribute(1, []byte{2, 0, 0, 0, 0, 7}), attribute(2, u32(2412))...)
	bss = append(append(bss, attribute(5, capability)...), attribute(6, ies)...)
	bss = append(append(bss, attribute(7, u32(0xffffea84))...), attribute(9, u32(1))...)
	return append(message(28, []byte{34, 1, 0, 0}, attribute(3, u32(4)), attribute(47|0x8000, bss)), done()...)
}

func TestWirelessScan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dump []byte
		want string
	}{
		"open":       {accessPoint(false), "open"},
		"WEP":        {accessPoint(true), "wep"},
		"WPA2":       {accessPoint(true, element(48, rsn(2))), "wpa2"},
		"both":       {accessPoint(true, element(48, rsn(8, 2))), "wpa2"},
		"WPA3":       {accessPoint(true, element(48, rsn(8))), "wpa3"},
		"OWE":        {accessPoint(true, element(48, rsn(18))), "owe"},
		"enterprise": {accessPoint(true, element(48, rsn(1, 3))), "enterprise"},
		"old WPA":    {accessPoint(true, element(221, []byte{0, 0x50, 0xf2, 1, 1, 0}), element(48, rsn(2))), "wpa"},
		"cut short":  {accessPoint(true, []byte{48, 200, 1, 0}), "wep"},
	} {
		got, err := WirelessScan(c.dump, le)
		want := []WirelessBSS{{Index: 4, BSSID: "02:00:00:00:00:07", SSID: "Free Coffee", Security: c.want, Frequency: 2412, Signal: -5500, Associated: true}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzNetworkEvents(f *testing.F) {
	f.Add(eventsSent())
	f.Add(genericFamily())
	f.Add(accessPoint(true, element(48, rsn(2, 8))))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, _ := NetworkEvents(b, le)
		families, _ := GenericFamilies(b, le)
		heard, _ := WirelessScan(b, le)
		if n := len(events) + len(families) + len(heard); n > len(b)/8 {
			t.Errorf("%d objects in %d bytes", n, len(b))
		}
		for _, w := range heard {
			if len(w.SSID) > 32 || WirelessStrength(w.Security) == 0 && w.Security != "" {
				t.Errorf("%+v", w)
			}
		}
	})
}
