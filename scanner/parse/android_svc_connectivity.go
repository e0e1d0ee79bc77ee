package parse

import (
	"net/netip"
	"strconv"
	"strings"
)

// Connectivity is what the connectivity service says of the networks in use.
type Connectivity struct {
	Default  int // number of the default network; 0 for none
	Networks []AndroidNetwork
}

// AndroidNetwork is one network that a transport brought up.
type AndroidNetwork struct {
	ID            int
	Kind          string   // WIFI, MOBILE[LTE], VPN, ...
	Transports    []string // WIFI, CELLULAR, VPN, ETHERNET, ...
	Validated     bool     // a probe reached the internet over it
	CaptivePortal bool     // a probe met a portal
	VPN           bool
	Metered       bool // its capabilities are known, and do not say that it is not
	OwnerUID      int  // app that runs it, for a VPN; -1 when not printed
	WiFi          *WiFiLink
	Link          LinkProperties
	Line          int // 1-based
}

// LinkProperties are the addresses of a network (android.net.LinkProperties).
type LinkProperties struct {
	Interface   string
	Addresses   []netip.Prefix
	Routes      []LinkRoute
	DNS         []netip.Addr
	PrivateDNS  bool   // names are asked over TLS
	PrivateName string // of the private DNS server that the user set; empty in automatic mode
	ProxyHost   string
	ProxyPort   int
	ProxyScript string // where the proxy's script comes from; a secret in it is hidden
}

// LinkRoute is one route of a network.
type LinkRoute struct {
	To        netip.Prefix
	Gateway   netip.Addr // invalid for a direct one
	Interface string
}

const (
	maxNetworks   = 256
	maxLinkValues = 256 // addresses, routes or servers of one network
)

// Connectivities reads dumpsys connectivity of Android 5 to 16. The form of a network's line
// changed with nearly every release; its parts (lp, nc) kept their names.
func Connectivities(b []byte) (Connectivity, error) {
	if err := ServiceRefusal(b); err != nil {
		return Connectivity{}, err
	}
	var c Connectivity
	known, current := false, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(text, "Active default network:"); ok {
			known = true
			c.Default, _ = strconv.Atoi(strings.TrimSpace(id))
			return
		}
		switch {
		case strings.HasPrefix(text, "Current Networks:"), strings.HasPrefix(text, "Current network agents:"):
			known, current = true, true
			c.Networks = nil
		case current && strings.HasPrefix(text, "NetworkAgentInfo"):
			if net, ok := androidNetwork(text); ok && len(c.Networks) < maxNetworks {
				net.Line = n
				c.Networks = append(c.Networks, net)
			}
		case current && indent(line) == 0 && text != "":
			current = false
		}
	})
	if !known {
		return c, ErrOtherFormat
	}
	return c, nil
}

func androidNetwork(line string) (n AndroidNetwork, ok bool) {
	plain := hideQuoted(line) // a network's name may hold anything
	n.OwnerUID = -1
	id, ok := between(plain, "network{", "}")
	if !ok {
		id, ok = between(plain, " - ", "]") // Android 5: NetworkAgentInfo [WIFI () - 100]
	}
	if n.ID, _ = strconv.Atoi(strings.TrimSpace(id)); !ok || n.ID <= 0 {
		return n, false
	}
	n.Kind = networkKind(plain)
	_, lp, _ := strings.Cut(plain, " lp{")
	lp, _, _ = strings.Cut(lp, " nc{")
	n.Link = linkProperties(lp)
	_, nc, _ := strings.Cut(plain+" ", " nc{")
	if list, ok := between(nc, "Transports: ", " "); ok {
		n.Transports = listWords(list, "|&[]{}")
	}
	capabilities, _ := between(nc, "Capabilities: ", " ")
	capabilities = strings.TrimRight(capabilities, "]}")
	n.Metered = capabilities != ""
	for _, c := range listWords(capabilities, "&|") {
		n.Metered = n.Metered && c != "NOT_METERED"
		n.Validated = n.Validated || c == "VALIDATED"
		n.CaptivePortal = n.CaptivePortal || c == "CAPTIVE_PORTAL"
	}
	n.Validated = n.Validated || strings.Contains(plain, "lastValidated{true}")
	n.CaptivePortal = n.CaptivePortal || strings.Contains(plain, "lastCaptivePortalDetected{true}")
	for _, key := range []string{"OwnerUid: ", "EstablishingAppUid: ", "EstablishingVpnAppUid: "} {
		if _, v, ok := strings.Cut(nc, key); ok {
			if uid, ok := leadingInt(v); ok {
				n.OwnerUID = uid
			}
		}
	}
	for _, t := range n.Transports {
		n.VPN = n.VPN || t == "VPN"
		if t == "WIFI" {
			n.WiFi = wifiOfNetwork(line)
		}
	}
	return n, true
}

// hideQuoted blanks what stands between double quotes.
func hideQuoted(s string) string {
	if !strings.Contains(s, `"`) {
		return s
	}
	out, quoted := []byte(s), false
	for i := range out {
		if out[i] == '"' {
			quoted = !quoted
		} else if quoted {
			out[i] = '_'
		}
	}
	return string(out)
}

// networkKind reads ni{[type: WIFI[], state: ...]} of Android 5 to 10, ni{WIFI CONNECTED} of
// later ones, and [WIFI () - 100].
func networkKind(line string) string {
	kind, ok := between(line, "ni{[type: ", ",")
	if !ok {
		kind, ok = between(line, "ni{", " CONNECT")
	}
	if !ok {
		kind, _ = between(line, "NetworkAgentInfo [", " (")
	}
	return clip(strings.TrimSuffix(strings.TrimSpace(kind), "[]"), 40)
}

// listWords splits at any of seps and drops empty and overlong parts.
func listWords(s, seps string) (out []string) {
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(seps, r) }) {
		if len(w) <= 64 && len(out) < 64 {
			out = append(out, strings.Trim(w, "[]{}"))
		}
	}
	return out
}

// linkKeys are the names of fields in the text of android.net.LinkProperties, of every release.
var linkKeys = []string{"InterfaceName: ", "LinkAddresses: ", "DnsAddresses: ", "UsePrivateDns: ", "PrivateDnsServerName: ", "PcscfAddresses: ", "ValidatedPrivateDnsAddresses: ",
	"Domains: ", "MTU: ", "ServerAddress: ", "TcpBufferSizes: ", "Routes: ", "HttpProxy: ", "Nat64Prefix: ", "CaptivePortalApiUrl: ", "CaptivePortalData: ", "Stacked: ", "WakeOnLanSupported: "}

// linkField gives the text of one field, up to the next one.
func linkField(s, key string) string {
	at := strings.Index(s, key)
	for at > 0 && s[at-1] != ' ' && s[at-1] != '{' { // ValidatedPrivateDnsAddresses ends in a field's name
		next := strings.Index(s[at+1:], key)
		if next < 0 {
			return ""
		}
		at += 1 + next
	}
	if at < 0 {
		return ""
	}
	s = s[at+len(key):]
	end := len(s)
	for _, other := range linkKeys {
		if i := strings.Index(s[:end], " "+other); i >= 0 {
			end = i
		}
	}
	return strings.TrimSpace(s[:end])
}

func linkProperties(s string) (l LinkProperties) {
	s, _, _ = strings.Cut(s, " Stacked: ") // those of a translation on top
	name, _, _ := strings.Cut(linkField(s, "InterfaceName: "), " ")
	if name = strings.Trim(name, "{}"); name != "null" {
		l.Interface = clip(name, 32)
	}
	for _, w := range listWords(linkField(s, "LinkAddresses: "), "[], ") {
		if p, err := netip.ParsePrefix(w); err == nil && len(l.Addresses) < maxLinkValues {
			l.Addresses = append(l.Addresses, p)
		}
	}
	for _, w := range listWords(linkField(s, "DnsAddresses: "), "[], ") {
		if a, err := netip.ParseAddr(strings.TrimPrefix(w, "/")); err == nil && len(l.DNS) < maxLinkValues {
			l.DNS = append(l.DNS, a)
		}
	}
	for _, text := range strings.Split(linkField(s, "Routes: "), ",") {
		if r, ok := linkRoute(text); ok && len(l.Routes) < maxLinkValues {
			l.Routes = append(l.Routes, r)
		}
	}
	l.PrivateDNS = strings.HasPrefix(linkField(s, "UsePrivateDns: "), "true")
	if name, _, _ := strings.Cut(linkField(s, "PrivateDnsServerName: "), " "); name != "null" {
		l.PrivateName = clip(name, 253)
	}
	l.proxy(linkField(s, "HttpProxy: "))
	return l
}

// linkRoute reads "0.0.0.0/0 -> 192.0.2.1 wlan0 mtu 1500".
func linkRoute(s string) (r LinkRoute, ok bool) {
	to, via, ok := strings.Cut(strings.Trim(s, "[] "), " -> ")
	if !ok {
		return r, false
	}
	var err error
	if r.To, err = netip.ParsePrefix(strings.TrimSpace(to)); err != nil {
		return r, false
	}
	f := strings.Fields(via)
	if len(f) > 0 {
		if gw, err := netip.ParseAddr(f[0]); err == nil && !gw.IsUnspecified() {
			r.Gateway = gw
		}
	}
	if len(f) > 1 {
		r.Interface = clip(strings.Trim(f[1], "[]{}"), 32)
	}
	return r, true
}

// proxy reads android.net.ProxyInfo: "[host] 8080 xl=a,b", "PAC Script: url", or both.
func (l *LinkProperties) proxy(s string) {
	if _, script, ok := strings.Cut(s, "PAC Script: "); ok {
		script, s = cutField(script)
		l.ProxyScript = clip(RedactLine(strings.Trim(script, "[]{}")), 500)
	}
	s = strings.TrimPrefix(s, "[[")
	s = strings.TrimPrefix(s, "[")
	host, rest, ok := strings.Cut(s, "]")
	if !ok || host == "" || host == "null" || strings.ContainsAny(host, " {}") {
		return
	}
	l.ProxyHost = clip(host, 253)
	l.ProxyPort, _ = leadingInt(strings.TrimSpace(rest))
}

// AndroidVPN is the VPN slot of one user, from dumpsys vpn_management (Android 12 on).
// Whether it is always on is a setting: always_on_vpn_app.
type AndroidVPN struct {
	User    int
	Package string // empty when no app holds the slot, or the system's own client does
	Active  bool   // a VPN of some kind is up or is being brought up
	Line    int    // 1-based
}

// VPNManagement reads dumpsys vpn_management.
func VPNManagement(b []byte) ([]AndroidVPN, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var vpns []AndroidVPN
	known := false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		if slot := strings.HasPrefix(text, "Active package name:"); slot || strings.HasPrefix(text, "VPNs:") {
			known = true
			if slot && len(vpns) == 0 { // a list without its users
				vpns = append(vpns, AndroidVPN{Line: n})
			}
		}
		if !known {
			return
		}
		if user, pkg, ok := strings.Cut(text, ": "); ok && len(vpns) < 1024 {
			if id, err := strconv.Atoi(user); err == nil && indent(line) <= 2 {
				v := AndroidVPN{User: id, Line: n}
				if isPackage(pkg) && pkg != "null" {
					v.Package = pkg
				}
				vpns = append(vpns, v)
				return
			}
		}
		if len(vpns) == 0 {
			return
		}
		v := &vpns[len(vpns)-1]
		key, value, _ := strings.Cut(text, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Active package name":
			if isPackage(value) && value != "null" {
				v.Package = value
			}
		case "Active vpn type":
			kind, err := strconv.Atoi(value)
			v.Active = err == nil && kind >= 0
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return vpns, nil
}
