package parse

import (
	"encoding/hex"
	"slices"
	"strings"
)

// SavedNetwork is a Wi-Fi network that an Android device knows, without its secrets and
// without the identity that it logs in with.
type SavedNetwork struct {
	SSID     string
	BSSID    string // when the network is bound to one access point
	Security string // open, owe, wep, wpa, wpa2, wpa3, enterprise or wapi: the weakest that the device accepts; "" unknown
	WPA3     bool   // WPA3 is accepted as well as, or instead of, the older
	Hidden   bool
	PMF      bool // management frames must be protected
	Secret   bool // a key or password is stored

	AutoJoin         bool
	EverConnected    bool
	MACRandomization int // 0 none, 1 one address for the network, 2 changing, 3 automatic; -1 not written (before Android 10)
	Creator          string
	CreatorUID       int // -1 unknown
	LastUpdater      string

	Proxy     string // none, static, pac, unassigned; "" unknown
	ProxyHost string
	ProxyPort int
	ProxyPAC  string // address without user, password and query
	StaticIP  bool
	DNS       []string // servers of a static configuration

	EAP         string // peap, tls, ttls, pwd, sim, aka, aka', ...; "" none
	Phase2      string // pap, mschap, mschapv2, gtc, sim, aka, aka'; "" none
	CA          bool   // a CA certificate, or the system's, is set
	ServerName  bool   // the server's name is checked
	ClientCert  bool
	Identity    bool // is stored
	AnonymousID bool // another one is shown to who listens
}

// WifiConfigXML reads WifiConfigStore.xml: of /data/misc/wifi from Android 8, of
// /data/misc/apexdata/com.android.wifi from 11, and of users in misc_ce (WifiConfigurationXmlUtil).
// Only text that is named here is ever taken out of the file.
func WifiConfigXML(b []byte) ([]SavedNetwork, error) {
	x := newXMLReader(b)
	var out []SavedNetwork
	if x.root("WifiConfigStoreData", "WifiBackupData") {
		for section := range x.children() {
			if section != "NetworkList" {
				continue
			}
			for name := range x.children() {
				if name == "Network" {
					out = keepXML(x, out, savedNetwork(x))
				}
			}
		}
	}
	return out, x.end()
}

func savedNetwork(x *xmlReader) SavedNetwork {
	n := SavedNetwork{AutoJoin: true, MACRandomization: -1, CreatorUID: -1}
	var s savedSecurity
	for section := range x.children() {
		switch section {
		case "WifiConfiguration":
			for name := range x.children() {
				if name == "SecurityParamsList" {
					s.params(x)
					continue
				}
				n.configuration(x, &s)
			}
		case "NetworkStatus":
			for range x.children() {
				if x.attr("name") == "HasEverConnected" {
					n.EverConnected = x.bool("value", false)
				}
			}
		case "IpConfiguration":
			for range x.children() {
				n.address(x)
			}
		case "WifiEnterpriseConfiguration":
			for range x.children() {
				n.enterprise(x)
			}
		}
	}
	n.Security, n.WPA3 = s.class()
	return n
}

// configuration reads one value of <WifiConfiguration>.
func (n *SavedNetwork) configuration(x *xmlReader, s *savedSecurity) {
	if x.name == "null" {
		return
	}
	if x.name == "PreSharedKey" { // encrypted, in parts of its own
		n.Secret = true
		return
	}
	switch x.attr("name") {
	case "SSID":
		n.SSID = androidSSID(x.text())
	case "BSSID":
		n.BSSID = x.text()
	case "PreSharedKey":
		n.Secret = n.Secret || x.filled()
	case "WEPKeys":
		for range x.children() {
			s.wep = s.wep || x.attr("value") != ""
		}
		n.Secret = n.Secret || s.wep
	case "AllowedKeyMgmt":
		s.keys, s.known = x.bits(), true
	case "AllowedProtocols":
		s.protocols = x.bits()
	case "HiddenSSID":
		n.Hidden = x.bool("value", false)
	case "RequirePMF":
		n.PMF = x.bool("value", false)
	case "AutoJoinEnabled":
		n.AutoJoin = x.bool("value", true)
	case "MacRandomizationSetting":
		n.MACRandomization = x.uid("value")
	case "CreatorName":
		n.Creator = x.text()
	case "CreatorUid":
		n.CreatorUID = x.uid("value")
	case "LastUpdateName":
		n.LastUpdater = x.text()
	}
}

// address reads one value of <IpConfiguration>.
func (n *SavedNetwork) address(x *xmlReader) {
	if x.name == "null" {
		return
	}
	switch x.attr("name") {
	case "IpAssignment":
		n.StaticIP = x.text() == "STATIC"
	case "ProxySettings":
		n.Proxy = strings.ToLower(x.text())
	case "ProxyHost":
		n.ProxyHost = x.text()
	case "ProxyPort":
		n.ProxyPort = x.uid("value")
	case "ProxyPac":
		n.ProxyPAC = bareURL(x.text())
	case "DNSServers":
		for range x.children() {
			n.DNS = keepXML(x, n.DNS, x.attr("value"))
		}
	}
}

// enterprise reads one value of <WifiEnterpriseConfiguration>, of most only whether it is set.
func (n *SavedNetwork) enterprise(x *xmlReader) {
	if x.name == "null" {
		return
	}
	if x.name == "Password" { // encrypted, in parts of its own
		n.Secret = true
		return
	}
	switch x.attr("name") {
	case "Identity":
		n.Identity = x.filled()
	case "AnonIdentity":
		n.AnonymousID = x.filled()
	case "Password":
		n.Secret = n.Secret || x.filled()
	case "CaCert", "CaPath":
		n.CA = n.CA || x.filled()
	case "ClientCert":
		n.ClientCert = x.filled()
	case "SubjectMatch", "AltSubjectMatch", "DomSuffixMatch":
		n.ServerName = n.ServerName || x.filled()
	case "EapMethod":
		n.EAP = enumName(x.int("value", -1), "peap", "tls", "ttls", "pwd", "sim", "aka", "aka'", "unauth-tls", "wapi")
	case "Phase2Method":
		n.Phase2 = enumName(x.int("value", 0)-1, "pap", "mschap", "mschapv2", "gtc", "sim", "aka", "aka'")
	}
}

func enumName(n int64, names ...string) string {
	if n >= 0 && n < int64(len(names)) {
		return names[n]
	}
	return ""
}

// filled tells whether the current element has text that is more than quotes or a null.
func (x *xmlReader) filled() bool {
	t := strings.Trim(x.text(), "\" \n")
	return t != "" && t != "null" && t != "NULL"
}

// bits reads a set of small numbers: hexadecimal bytes, the least significant first.
func (x *xmlReader) bits() uint64 {
	at := x.at
	b, err := hex.DecodeString(strings.TrimSpace(x.text()))
	if err != nil {
		x.complain(at, "bit set is not hexadecimal")
	}
	var set uint64
	for i, c := range b[:min(len(b), 8)] {
		set |= uint64(c) << (8 * i)
	}
	return set
}

// androidSSID reads an SSID in quotes, or as hexadecimal digits when it is no text.
func androidSSID(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	if b, err := hex.DecodeString(s); err == nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return s
}

// bareURL cuts user, password, query and fragment off an address.
func bareURL(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	host, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if slash {
		host += "/" + path
	}
	return scheme + "://" + host
}

// savedSecurity gathers what a network says of its security.
type savedSecurity struct {
	keys, protocols uint64 // WifiConfiguration.KeyMgmt and Protocol
	known           bool   // keys was there
	wep             bool   // a WEP key is set
	types           []int  // WifiConfiguration.SECURITY_TYPE_* (Android 12 on)
}

// params reads <SecurityParamsList>. What is switched off does not count.
func (s *savedSecurity) params(x *xmlReader) {
	for range x.children() {
		kind, on := -1, true
		for range x.children() {
			switch x.attr("name") {
			case "SecurityType":
				kind = x.uid("value")
			case "IsEnabled":
				on = x.bool("value", true)
			}
		}
		if on {
			s.types = keepXML(x, s.types, kind)
		}
	}
}

// class gives the weakest security that is accepted, and whether WPA3 is.
func (s *savedSecurity) class() (weakest string, wpa3 bool) {
	var all []string
	for _, t := range s.types {
		all = append(all, enumName(int64(t), "open", "wep", "wpa2", "enterprise", "wpa3", "enterprise", "owe", "wapi", "wapi",
			"enterprise", "enterprise", "enterprise", "enterprise", "wpa3"))
		wpa3 = wpa3 || t == 4 || t == 5 || t == 9
	}
	if len(all) == 0 && s.known {
		all = s.byKeys()
		wpa3 = s.keys&(1<<8|1<<10) != 0
	}
	for _, class := range []string{"open", "wep", "owe", "wpa2", "wapi", "wpa3", "enterprise"} {
		if !slices.Contains(all, class) {
			continue
		}
		if class == "wpa2" && s.protocols != 0 && s.protocols&2 == 0 {
			return "wpa", wpa3 // RSN is not allowed
		}
		return class, wpa3
	}
	return "", wpa3
}

// byKeys reads the bits of WifiConfiguration.KeyMgmt.
func (s *savedSecurity) byKeys() (all []string) {
	const psk, enterprise = 1<<1 | 1<<4 | 1<<6 | 1<<11, 1<<2 | 1<<3 | 1<<5 | 1<<7 | 1<<10 | 1<<12 | 1<<15 | 1<<16
	if s.keys&1 != 0 || s.keys == 0 {
		if s.wep {
			all = append(all, "wep")
		} else if s.keys != 0 {
			all = append(all, "open")
		}
	}
	if s.keys&psk != 0 {
		all = append(all, "wpa2")
	}
	if s.keys&enterprise != 0 {
		all = append(all, "enterprise")
	}
	if s.keys&(1<<8) != 0 {
		all = append(all, "wpa3")
	}
	if s.keys&(1<<9) != 0 {
		all = append(all, "owe")
	}
	if s.keys&(1<<13|1<<14) != 0 {
		all = append(all, "wapi")
	}
	return all
}
