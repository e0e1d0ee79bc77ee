package parse

import (
	"strconv"
	"strings"
)

// WiFiState is what the Wi-Fi service says: the network in use, and what the kept ones accept.
type WiFiState struct {
	Enabled bool
	Known   bool        // the output said whether Wi-Fi is enabled
	Current *WiFiLink   // nil when not connected
	Saved   []SavedWiFi // without their names: where someone has been is no concern of a rule
}

// WiFiLink is the connection to one access point.
type WiFiLink struct {
	SSID      string // without quotes; empty when the device hides it
	BSSID     string // of the access point; empty when hidden
	Security  string // open, owe, wep, wpa2, wpa3, enterprise, ...; empty when not printed
	Standard  string // 11n, 11ac, ...; empty when not printed
	Frequency int    // MHz, 0 when not printed
	RSSI      int    // dBm, 0 when not printed
	NetworkID int    // -1 when not printed
}

// SavedWiFi is a network that the device joins by itself.
type SavedWiFi struct {
	ID       int
	Security string // as WiFiLink; several joined by "+"
	Hidden   bool   // its name is sent out wherever the device is
	Current  bool
	Proxy    string // NONE, STATIC, PAC, UNASSIGNED; empty when not printed
	Line     int    // 1-based
}

// wifiSecurity names android.net.wifi.WifiInfo.SECURITY_TYPE_*, from 0 on.
var wifiSecurity = []string{"open", "wep", "wpa2", "enterprise", "wpa3", "enterprise", "owe", "wapi", "wapi", "enterprise", "osen", "passpoint", "passpoint", "dpp"}

// WiFiDump reads dumpsys wifi (Android 4.4 to 16) and cmd wifi status (11 on).
func WiFiDump(b []byte) (WiFiState, error) {
	if err := ServiceRefusal(b); err != nil {
		return WiFiState{}, err
	}
	var p wifiReader
	serviceText(b, p.line)
	if !p.out.Known && p.out.Current == nil && !p.saved {
		return WiFiState{}, ErrOtherFormat
	}
	p.join()
	return p.out, nil
}

type wifiReader struct {
	out   WiFiState
	saved bool // in, or behind, the list of configured networks
	in    bool
}

// maxSavedWiFi bounds the list; Android keeps far fewer.
const maxSavedWiFi = 4096

func (p *wifiReader) line(n int, line string) {
	text := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(text, "Wi-Fi is "), strings.HasPrefix(text, "Wifi is enabled"), strings.HasPrefix(text, "Wifi is disabled"):
		p.out.Known, p.out.Enabled = true, strings.HasSuffix(text, "enabled")
	case strings.HasPrefix(text, "mWifiInfo SSID:"), strings.HasPrefix(text, "mWifiInfo [SSID:"), strings.HasPrefix(text, "WifiInfo: SSID:"):
		if c := p.out.Current; c == nil || c.SSID == "" && c.BSSID == "" { // a second radio may be the one in use
			p.out.Current = wifiLink(text)
		}
	case strings.Contains(text, "Configured networks Begin"), text == "Latest configured networks:", text == "Configured networks":
		p.saved, p.in = true, true
	case strings.Contains(text, "Configured networks End"):
		p.in = false
	case p.in:
		p.network(n, text)
	}
}

func (p *wifiReader) network(n int, text string) {
	text = strings.TrimLeft(text, "* ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "- "), "DSBLE ")
	if rest, ok := strings.CutPrefix(text, "ID: "); ok && len(p.out.Saved) < maxSavedWiFi {
		id, _ := leadingInt(rest)
		p.out.Saved = append(p.out.Saved, SavedWiFi{ID: id, Hidden: strings.HasSuffix(text, "HIDDEN: true") || strings.Contains(hideQuoted(text), "HIDDEN: true"), Line: n})
		return
	}
	if len(p.out.Saved) == 0 {
		return
	}
	s := &p.out.Saved[len(p.out.Saved)-1]
	if keys, ok := strings.CutPrefix(text, "KeyMgmt: "); ok {
		// From Android 12 on the ways come first one by one, then all of them with the protocols.
		keys, _, all := strings.Cut(keys, "Protocols:")
		if name := keyManagement(strings.Fields(keys)); all || s.Security == "" {
			s.Security = name
		}
	}
	if text == "WEP Keys:" || strings.HasPrefix(text, "WEPKey") || strings.HasPrefix(text, "wepTxKeyIndex") {
		if s.Security == "open" {
			s.Security = "wep"
		}
	}
	if proxy, ok := strings.CutPrefix(text, "Proxy settings: "); ok {
		s.Proxy = clip(proxy, 20)
	}
}

// keyManagement names the ways to join that a saved network accepts.
func keyManagement(keys []string) string {
	var names []string
	has := map[string]bool{}
	for _, k := range keys {
		name := ""
		switch {
		case k == "NONE":
			name = "open"
		case strings.Contains(k, "SAE"):
			name = "wpa3"
		case strings.Contains(k, "OWE"):
			name = "owe"
		case strings.Contains(k, "EAP"), strings.Contains(k, "8021X"), strings.Contains(k, "SUITE_B"):
			name = "enterprise"
		case strings.Contains(k, "PSK"):
			name = "wpa2"
		}
		if name != "" && !has[name] {
			has[name] = true
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// join gives the current link what only its saved network says.
func (p *wifiReader) join() {
	c := p.out.Current
	if c == nil {
		return
	}
	if c.NetworkID < 0 && c.BSSID == "" && c.SSID == "" {
		p.out.Current = nil
		return
	}
	for i := range p.out.Saved {
		s := &p.out.Saved[i]
		if s.ID == c.NetworkID && c.NetworkID >= 0 {
			s.Current = true
			if c.Security == "" {
				c.Security = s.Security
			}
		}
	}
}

// wifiLink reads android.net.wifi.WifiInfo: "SSID: name, BSSID: 02:..., MAC: ..., Security type:
// 2, ...". The name is in quotes from Android 11 on and may hold anything, so what follows it is
// sought from the end.
func wifiLink(text string) *WiFiLink {
	at := strings.LastIndex(text, ", BSSID: ")
	if at < 0 {
		return nil
	}
	_, name, _ := strings.Cut(text[:at], "SSID: ")
	l := &WiFiLink{NetworkID: -1, SSID: wifiName(name)}
	rest, _, _ := strings.Cut(text[at+2:], ">") // where a network's line has more
	for _, part := range strings.Split(rest, ", ") {
		key, value, _ := strings.Cut(part, ": ")
		value = strings.TrimRight(value, "]})")
		switch strings.TrimSpace(key) {
		case "BSSID":
			if isMAC(value) && value != "02:00:00:00:00:00" && value != "00:00:00:00:00:00" {
				l.BSSID = strings.ToLower(value)
			}
		case "Security type":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < len(wifiSecurity) {
				l.Security = wifiSecurity[n]
			}
		case "Wi-Fi standard":
			l.Standard = wifiStandard(value)
		case "RSSI":
			l.RSSI, _ = strconv.Atoi(value)
		case "Frequency":
			l.Frequency, _ = leadingInt(value)
		case "Net ID":
			if n, err := strconv.Atoi(value); err == nil {
				l.NetworkID = n
			}
		}
	}
	if l.RSSI < -126 || l.RSSI > 0 { // the invalid -127
		l.RSSI = 0
	}
	return l
}

// wifiOfNetwork finds the Wi-Fi part of a network's line of dumpsys connectivity (Android 12 on).
func wifiOfNetwork(line string) *WiFiLink {
	at := strings.LastIndex(line, "TransportInfo: <SSID: ")
	if at < 0 {
		return nil
	}
	return wifiLink(line[at:])
}

func wifiName(s string) string {
	s = strings.TrimSpace(s)
	if s == "<unknown ssid>" || s == "<none>" || s == "null" || s == "0x" {
		return ""
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return clip(s, 64)
}

func wifiStandard(s string) string {
	switch s {
	case "1", "legacy":
		return "legacy"
	case "4", "11n":
		return "11n"
	case "5", "11ac":
		return "11ac"
	case "6", "11ax":
		return "11ax"
	case "7", "11ad":
		return "11ad"
	case "8", "11be":
		return "11be"
	}
	return ""
}

func isMAC(s string) bool {
	if len(s) != 17 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if i%3 == 2 {
			if s[i] != ':' {
				return false
			}
		} else if nibble(s[i]) > 15 {
			return false
		}
	}
	return true
}
