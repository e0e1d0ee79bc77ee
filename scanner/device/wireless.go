package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

// Commands of linux/genetlink.h and linux/nl80211.h. None of them makes the radio do anything.
const (
	ctrlGetFamily   = 3
	nl80211GetScan  = 32
	maxAccessPoints = 1024
)

// nl80211 finds the generic netlink family of Wi-Fi; a kernel without Wi-Fi has none.
func nl80211() (parse.GenericFamily, error) {
	b, err := netlinkDump(unix.NETLINK_GENERIC, unix.GENL_ID_CTRL, []byte{ctrlGetFamily, 1, 0, 0})
	if err != nil {
		return parse.GenericFamily{}, err
	}
	families, err := parse.GenericFamilies(b, binary.NativeEndian)
	if err != nil {
		return parse.GenericFamily{}, err
	}
	f, ok := families["nl80211"]
	if !ok {
		return f, fmt.Errorf("the kernel has no Wi-Fi: %w", scanner.ErrUnavailable)
	}
	return f, nil
}

// wifi lists the access points that wireless interfaces are joined to, and those nearby that call
// themselves the same; others are nobody's business. Without Wi-Fi there is none.
func wifi() ([]probe.WiFi, error) {
	out := []probe.WiFi{}
	family, err := nl80211()
	if errors.Is(err, scanner.ErrUnavailable) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := links()
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		if !isWireless(l.Name) {
			continue
		}
		body := []byte{nl80211GetScan, 0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 0} // header, then NL80211_ATTR_IFINDEX
		binary.NativeEndian.PutUint16(body[4:], 8)
		binary.NativeEndian.PutUint16(body[6:], 3)
		binary.NativeEndian.PutUint32(body[8:], uint32(l.Index))
		b, err := netlinkDump(unix.NETLINK_GENERIC, family.ID, body)
		if err != nil {
			return nil, fmt.Errorf("asking %s what it heard: %w", l.Name, err)
		}
		heard, err := parse.WirelessScan(b, binary.NativeEndian)
		if err != nil {
			return nil, fmt.Errorf("what %s heard: %w", l.Name, err)
		}
		joined := slices.IndexFunc(heard, func(w parse.WirelessBSS) bool { return w.Associated })
		for _, w := range heard {
			if joined >= 0 && w.SSID == heard[joined].SSID && len(out) < maxAccessPoints {
				out = append(out, probe.WiFi{Interface: l.Name, SSID: w.SSID, BSSID: w.BSSID, Security: w.Security,
					Frequency: w.Frequency, Signal: w.Signal, Associated: w.Associated})
			}
		}
	}
	return out, nil
}
