package parse

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// WiFi is what is kept of one Wi-Fi profile or access point: never its secrets.
type WiFi struct {
	SSID        string
	Mode        string // sta, ap, adhoc or mesh
	Security    string // open, owe, wep, wpa, wpa2, wpa3 or enterprise
	WPA1        bool   // the old WPA is accepted (TKIP generation)
	TKIP        bool   // TKIP is accepted
	CCMP        bool   // CCMP (or a newer cipher) is accepted
	EAP         []string
	CA          bool // a CA certificate or the system's store is set
	ServerName  bool // the server's name is checked
	AutoConnect bool
	Passphrase  Passphrase
	PMF         string // protected management frames: off, optional, required; "" default
	WPS         bool
	Isolated    bool // clients of an access point cannot reach each other
	Line        int  // 1-based; 0 when the whole file is one profile
}

// Passphrase is what is kept of a secret.
type Passphrase struct {
	Length int  // bytes; 0 when there is none or it is not stored; 64 is a raw key
	Common bool // one of the best known ones, or nothing but digits and short
}

// commonPassphrases are among the first that everybody tries.
var commonPassphrases = []string{"12345678", "123456789", "1234567890", "87654321", "password", "password1", "passw0rd", "qwertyui",
	"qwerty123", "11111111", "00000000", "88888888", "12341234", "abcd1234", "1q2w3e4r", "iloveyou", "internet", "changeme",
	"administrator", "adminadmin", "admin123", "admin1234", "wireless", "sunshine", "football", "letmein1", "goodlife", "raspberry"}

func passphrase(s string) Passphrase {
	if s == "" {
		return Passphrase{}
	}
	low := strings.ToLower(s)
	return Passphrase{Length: len(s), Common: slices.Contains(commonPassphrases, low) || len(s) <= 8 && strings.Trim(s, "0123456789") == ""}
}

// NMConnection reads a NetworkManager keyfile (nm-settings-keyfile(5)); ok is false when it
// describes no Wi-Fi.
func NMConnection(b []byte) (w WiFi, ok bool) {
	s := INI(b)
	wifi := "wifi"
	if _, ok := s.Find("802-11-wireless", "ssid"); ok {
		wifi = "802-11-wireless"
	}
	if t := s.Get("connection", "type"); t != "wifi" && t != "802-11-wireless" {
		return w, false
	}
	security := wifi + "-security"
	w = WiFi{SSID: nmSSID(s.Get(wifi, "ssid")), Mode: "sta", AutoConnect: s.Get("connection", "autoconnect") != "false"}
	switch s.Get(wifi, "mode") {
	case "ap", "adhoc", "mesh":
		w.Mode = s.Get(wifi, "mode")
	}
	w.Passphrase = passphrase(s.Get(security, "psk"))
	w.WPA1 = s.Get(security, "proto") != "" && !strings.Contains(s.Get(security, "proto"), "rsn")
	pairwise := s.Get(security, "pairwise")
	w.TKIP, w.CCMP = strings.Contains(pairwise, "tkip"), pairwise == "" || strings.Contains(pairwise, "ccmp")
	w.PMF = map[string]string{"1": "off", "2": "optional", "3": "required"}[s.Get(security, "pmf")]
	switch key := s.Get(security, "key-mgmt"); key {
	case "":
		w.Security = "open"
	case "none":
		w.Security = "wep"
	case "owe", "wpa-psk":
		w.Security = map[string]string{"owe": "owe", "wpa-psk": "wpa2"}[key]
	case "sae":
		w.Security = "wpa3"
	default: // wpa-eap, wpa-eap-suite-b-192, ieee8021x
		w.Security = "enterprise"
		w.EAP = strings.FieldsFunc(s.Get("802-1x", "eap"), func(r rune) bool { return r == ';' || r == ',' })
		w.CA = s.Get("802-1x", "ca-cert") != "" || s.Get("802-1x", "ca-path") != "" || s.Get("802-1x", "system-ca-certs") == "true"
		w.ServerName = s.Get("802-1x", "domain-suffix-match") != "" || s.Get("802-1x", "domain-match") != "" ||
			s.Get("802-1x", "altsubject-matches") != "" || s.Get("802-1x", "subject-match") != ""
	}
	if w.Security == "wpa2" && w.WPA1 {
		w.Security = "wpa"
	}
	return w, true
}

// nmSSID reads an SSID that is written as text or as "65;66;".
func nmSSID(v string) string {
	if !strings.HasSuffix(v, ";") {
		return v
	}
	var out []byte
	for _, n := range strings.Split(strings.TrimSuffix(v, ";"), ";") {
		c, err := strconv.ParseUint(n, 10, 8)
		if err != nil {
			return v
		}
		out = append(out, byte(c))
	}
	return strings.ToValidUTF8(string(out), "?")
}

// WPASupplicant reads the network blocks of wpa_supplicant.conf(5).
func WPASupplicant(b []byte) []WiFi {
	var out []WiFi
	var kv map[string]string
	start := 0
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case kv == nil && strings.HasPrefix(line, "network=") && strings.HasSuffix(line, "{"):
			kv, start = map[string]string{}, n
		case kv != nil && line[0] == '}':
			if len(out) < maxSettings {
				w := wpaNetwork(kv)
				w.Line = start
				out = append(out, w)
			}
			kv = nil
		case kv != nil:
			if k, v, ok := strings.Cut(line, "="); ok && len(kv) < 200 {
				kv[strings.TrimSpace(k)] = strings.TrimSpace(v)
			}
		}
	})
	return out
}

func wpaNetwork(kv map[string]string) WiFi {
	w := WiFi{SSID: wpaText(kv["ssid"]), Mode: "sta", AutoConnect: kv["disabled"] != "1"}
	switch kv["mode"] {
	case "1":
		w.Mode = "adhoc"
	case "2":
		w.Mode = "ap"
	case "5":
		w.Mode = "mesh"
	}
	w.Passphrase = passphrase(strings.Trim(kv["psk"], `"`))
	w.PMF = map[string]string{"0": "off", "1": "optional", "2": "required"}[kv["ieee80211w"]]
	pairwise, proto, key := kv["pairwise"], kv["proto"], kv["key_mgmt"]
	w.TKIP, w.CCMP = strings.Contains(pairwise, "TKIP"), pairwise == "" || strings.Contains(pairwise, "CCMP") || strings.Contains(pairwise, "GCMP")
	w.WPA1 = proto != "" && !strings.Contains(proto, "RSN") && !strings.Contains(proto, "WPA2")
	switch {
	case strings.Contains(key, "EAP") || strings.Contains(key, "IEEE8021X") || key == "" && kv["eap"] != "":
		w.Security = "enterprise"
		w.EAP = strings.Fields(strings.ToLower(kv["eap"]))
		w.CA = kv["ca_cert"] != "" || kv["ca_path"] != ""
		w.ServerName = kv["domain_suffix_match"] != "" || kv["domain_match"] != "" || kv["subject_match"] != "" || kv["altsubject_match"] != ""
	case strings.Contains(key, "OWE"):
		w.Security = "owe"
	case strings.Contains(key, "PSK") || key == "" && kv["psk"] != "":
		w.Security = "wpa2"
		if w.WPA1 {
			w.Security = "wpa"
		}
	case strings.Contains(key, "SAE"):
		w.Security = "wpa3"
		w.Passphrase = passphrase(strings.Trim(kv["sae_password"]+kv["psk"], `"`))
	case kv["wep_key0"]+kv["wep_key1"]+kv["wep_key2"]+kv["wep_key3"] != "":
		w.Security = "wep"
	case key == "" || strings.Contains(key, "NONE"):
		w.Security = "open"
		if key == "" { // the default asks for WPA; without a passphrase it cannot join
			w.Security = "wpa2"
		}
	default:
		w.Security = "wpa2"
	}
	return w
}

// wpaText reads a quoted text, or the hex form of one.
func wpaText(v string) string {
	v = strings.TrimPrefix(v, "P")
	if strings.HasPrefix(v, `"`) {
		return strings.Trim(v, `"`)
	}
	if b, err := hex.DecodeString(v); err == nil {
		return strings.ToValidUTF8(string(b), "?")
	}
	return v
}

// IWDProfile reads a network file of iwd (iwd.network(5)). Its name carries the SSID and the
// kind of security: NAME.open, NAME.psk, NAME.8021x.
func IWDProfile(base string, b []byte) (w WiFi, ok bool) {
	i := strings.LastIndexByte(base, '.')
	if i <= 0 {
		return w, false
	}
	s := INI(b)
	w = WiFi{SSID: base[:i], Mode: "sta", CCMP: true, AutoConnect: s.Get("Settings", "AutoConnect") != "false"}
	if rest, ok := strings.CutPrefix(w.SSID, "="); ok {
		if name, err := hex.DecodeString(rest); err == nil {
			w.SSID = strings.ToValidUTF8(string(name), "?")
		}
	}
	switch base[i+1:] {
	case "open":
		w.Security = "open"
	case "psk":
		w.Security = "wpa2"
		w.Passphrase = passphrase(s.Get("Security", "Passphrase"))
	case "8021x":
		w.Security = "enterprise"
		w.EAP = []string{strings.ToLower(s.Get("Security", "EAP-Method"))}
		for _, e := range s {
			w.CA = w.CA || strings.HasSuffix(e.Key, "CACert") && e.Value != ""
			w.ServerName = w.ServerName || strings.HasSuffix(e.Key, "ServerDomainMask") && e.Value != ""
		}
	default:
		return w, false
	}
	return w, true
}
