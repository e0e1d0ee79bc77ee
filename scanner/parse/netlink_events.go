package parse

import (
	"encoding/binary"
	"net"
)

// NetworkEvent is one change that rtnetlink tells: of the four, one is set.
type NetworkEvent struct {
	Gone      bool // RTM_DEL
	Link      *LinkInfo
	Route     *RouteInfo
	Neighbour *NeighbourInfo
	Address   bool // an address came or went
}

// NetworkEvents reads what the multicast groups of rtnetlink(7) send: links, addresses, routes
// and neighbours. Other messages are passed over.
func NetworkEvents(b []byte, order binary.ByteOrder) ([]NetworkEvent, error) {
	var out []NetworkEvent
	err := netlinkMessages(b, order, func(typ uint16, body []byte) {
		// New, deleted and asked-for follow each other: 16 17 18 link, 20 address, 24 route, 28 neighbour.
		e := NetworkEvent{Gone: typ%4 == 1}
		switch {
		case typ/4*4 == rtmNewLink && typ%4 < 2 && len(body) >= 16:
			l := linkBody(body, order)
			e.Link = &l
		case typ/4*4 == rtmNewAddr && typ%4 < 2 && len(body) >= 8:
			e.Address = true
		case typ/4*4 == rtmNewRoute && typ%4 < 2 && len(body) >= 12:
			r := routeBody(body, order)
			e.Route = &r
		case typ/4*4 == rtmNewNeigh && typ%4 < 2 && len(body) >= 12:
			n := neighbourBody(body, order)
			e.Neighbour = &n
		default:
			return
		}
		out = append(out, e)
	})
	return out, err
}

const rtmNewAddr = 20

// GenericFamily is a family of generic netlink.
type GenericFamily struct {
	ID     uint16
	Groups map[string]uint32
}

// GenericFamilies reads the answer to CTRL_CMD_GETFAMILY (linux/genetlink.h).
func GenericFamilies(b []byte, order binary.ByteOrder) (map[string]GenericFamily, error) {
	out := map[string]GenericFamily{}
	err := netlinkMessages(b, order, func(_ uint16, body []byte) {
		if len(body) < 4 || body[0] != 1 { // genlmsghdr; CTRL_CMD_NEWFAMILY
			return
		}
		f, name := GenericFamily{Groups: map[string]uint32{}}, ""
		netlinkAttrs(body[4:], order, func(typ uint16, val []byte) {
			switch {
			case typ == 1 && len(val) >= 2: // CTRL_ATTR_FAMILY_ID
				f.ID = order.Uint16(val)
			case typ == 2: // CTRL_ATTR_FAMILY_NAME
				name = cString(val)
			case typ == 7: // CTRL_ATTR_MCAST_GROUPS
				netlinkAttrs(val, order, func(_ uint16, val []byte) {
					group, id := "", uint32(0)
					netlinkAttrs(val, order, func(typ uint16, val []byte) {
						switch {
						case typ == 1:
							group = cString(val)
						case typ == 2 && len(val) >= 4:
							id = order.Uint32(val)
						}
					})
					f.Groups[group] = id
				})
			}
		})
		out[name] = f
	})
	return out, err
}

// WirelessBSS is an access point that the kernel has heard lately (NL80211_CMD_NEW_SCAN_RESULTS).
type WirelessBSS struct {
	Index      int // of the interface that heard it
	BSSID      string
	SSID       string
	Security   string // open, owe, wep, wpa, wpa2, wpa3 or enterprise, of several the weakest
	Frequency  int    // MHz
	Signal     int    // hundredths of dBm, 0 unknown
	Associated bool   // the interface uses it
}

// WirelessScan reads the answer to an NL80211_CMD_GET_SCAN dump (linux/nl80211.h).
func WirelessScan(b []byte, order binary.ByteOrder) ([]WirelessBSS, error) {
	const newScanResults = 34
	var out []WirelessBSS
	err := netlinkMessages(b, order, func(_ uint16, body []byte) {
		if len(body) < 4 || body[0] != newScanResults {
			return
		}
		var w WirelessBSS
		netlinkAttrs(body[4:], order, func(typ uint16, val []byte) {
			switch {
			case typ == 3 && len(val) >= 4: // NL80211_ATTR_IFINDEX
				w.Index = int(order.Uint32(val))
			case typ == 47: // NL80211_ATTR_BSS
				w.bss(val, order)
			}
		})
		out = append(out, w)
	})
	return out, err
}

func (w *WirelessBSS) bss(b []byte, order binary.ByteOrder) {
	var elements []byte
	private := false
	netlinkAttrs(b, order, func(typ uint16, val []byte) {
		switch {
		case typ == 1 && len(val) == 6: // NL80211_BSS_BSSID
			w.BSSID = net.HardwareAddr(val).String()
		case typ == 2 && len(val) >= 4: // FREQUENCY
			w.Frequency = int(order.Uint32(val))
		case typ == 5 && len(val) >= 2: // CAPABILITY; bit 4 is privacy
			private = order.Uint16(val)&0x10 != 0
		case typ == 6, typ == 11 && elements == nil: // INFORMATION_ELEMENTS, BEACON_IES
			elements = val
		case typ == 7 && len(val) >= 4: // SIGNAL_MBM
			w.Signal = int(int32(order.Uint32(val)))
		case typ == 9 && len(val) >= 4: // STATUS: 0 authenticated, 1 associated, 2 IBSS
			w.Associated = order.Uint32(val) >= 1
		}
	})
	var rsn, wpa []byte
	for len(elements) >= 2 { // IEEE 802.11: id, length, content
		id, size := elements[0], int(elements[1])
		if size > len(elements)-2 {
			break
		}
		val := elements[2 : 2+size]
		switch {
		case id == 0 && size <= 32:
			w.SSID = string(val)
		case id == 48:
			rsn = val
		case id == 221 && size > 4 && string(val[:4]) == "\x00\x50\xf2\x01":
			wpa = val[4:]
		}
		elements = elements[2+size:]
	}
	w.Security = wirelessSecurity(rsn, wpa, private)
}

// wirelessSecurity names the weakest way in that an access point offers.
func wirelessSecurity(rsn, wpa []byte, private bool) string {
	switch {
	case wpa != nil:
		return "wpa"
	case rsn == nil && private:
		return "wep"
	case rsn == nil:
		return "open"
	}
	weakest := ""
	for _, suite := range keySuites(rsn) {
		name := ""
		switch suite {
		case 2, 4, 6, 19, 20: // PSK, with fast transition, SHA-256, SHA-384
			name = "wpa2"
		case 8, 9, 24, 25: // SAE
			name = "wpa3"
		case 18:
			name = "owe"
		case 1, 3, 5, 11, 12, 13, 22, 23: // 802.1X
			name = "enterprise"
		}
		if name != "" && (weakest == "" || WirelessStrength(name) < WirelessStrength(weakest)) {
			weakest = name
		}
	}
	if weakest == "" {
		return "wpa2" // what the standard has where no suite is named
	}
	return weakest
}

// WirelessStrength orders kinds of protection, the weakest first; 0 for one that is not known.
func WirelessStrength(security string) int {
	for i, s := range [...]string{"open", "wep", "owe", "wpa", "wpa2", "wpa3", "enterprise"} {
		if s == security {
			return i + 1
		}
	}
	return 0
}

// keySuites gives the numbers of the standard's key management suites of an RSN element.
func keySuites(rsn []byte) []byte {
	if len(rsn) < 8 { // version, group cipher, count of pairwise ciphers
		return nil
	}
	rest := rsn[6:]
	skip := 2 + 4*int(binary.LittleEndian.Uint16(rest))
	if skip+2 > len(rest) {
		return nil
	}
	rest = rest[skip:]
	n := int(binary.LittleEndian.Uint16(rest))
	var out []byte
	for rest = rest[2:]; n > 0 && len(rest) >= 4; n, rest = n-1, rest[4:] {
		if string(rest[:3]) == "\x00\x0f\xac" {
			out = append(out, rest[3])
		}
	}
	return out
}
