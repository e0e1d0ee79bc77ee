package parse

import (
	"bytes"
	"net/netip"
	"strings"
	"time"
)

// Lease is what a DHCP client was told by its server.
type Lease struct {
	Interface string // where the file says it
	Server    string
	Routers   []string
	Resolvers []string
	Proxy     string    // address of proxy rules (option 252)
	Portal    string    // address at which the network says whether one has to sign in (option 114, RFC 8910)
	Expires   time.Time // zero when not told
}

const maxLeases = 1000

// KeyLease reads the lease of systemd-networkd and of NetworkManager: KEY=value lines.
func KeyLease(b []byte) (l Lease, ok bool) {
	for line := range bytes.Lines(b) {
		key, value, found := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !found {
			continue
		}
		switch key {
		case "SERVER_ADDRESS":
			l.Server = firstAddress(value)
		case "ROUTER":
			l.Routers = leaseAddresses(value)
		case "DNS":
			l.Resolvers = leaseAddresses(value)
		case "OPTION_252":
			l.Proxy = printable([]byte(value))
		}
	}
	return l, l.Server != ""
}

// LinkPortal reads what systemd-networkd, from version 254 on, keeps of a link: its leases have no
// option 114, but the link's state has what DHCP or a router advertisement gave.
func LinkPortal(b []byte) string {
	for line := range bytes.Lines(b) {
		if value, found := strings.CutPrefix(strings.TrimSpace(string(line)), "CAPTIVE_PORTAL="); found {
			return portal(strings.Trim(value, `"`))
		}
	}
	return ""
}

// noPortal is what a network gives that has none (RFC 8910, section 2).
const noPortal = "urn:ietf:params:capport:unrestricted"

func portal(s string) string {
	if s == noPortal {
		return ""
	}
	return printable([]byte(s))
}

func leaseAddresses(s string) (out []string) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if a, err := netip.ParseAddr(f); err == nil && len(out) < maxHanded {
			out = append(out, a.String())
		}
	}
	return out
}

func firstAddress(s string) string {
	if list := leaseAddresses(s); len(list) > 0 {
		return list[0]
	}
	return ""
}

// ClientLeases reads dhclient.leases(5), in which the last lease of an interface counts.
func ClientLeases(b []byte) []Lease {
	var out []Lease
	var l *Lease
	for line := range bytes.Lines(b) {
		text := strings.TrimSuffix(strings.TrimSpace(string(line)), ";")
		if strings.HasPrefix(text, "lease {") || strings.HasPrefix(text, "lease{") {
			l = &Lease{}
			continue
		}
		if l == nil {
			continue
		}
		if text == "}" {
			if l.Server != "" {
				if len(out) >= maxLeases {
					out = out[1:]
				}
				out = append(out, *l)
			}
			l = nil
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		if word == "option" {
			word, rest, _ = strings.Cut(rest, " ")
		}
		switch word {
		case "interface":
			l.Interface = strings.Trim(rest, `"`)
		case "dhcp-server-identifier":
			l.Server = firstAddress(rest)
		case "routers":
			l.Routers = leaseAddresses(rest)
		case "domain-name-servers":
			l.Resolvers = leaseAddresses(rest)
		case "wpad", "wpad-url", "unknown-252", "auto-proxy-config":
			l.Proxy = printable([]byte(strings.Trim(rest, `"`)))
		case "default-url", "captive-portal", "unknown-114": // the first is what ISC's dhclient calls it
			l.Portal = portal(strings.Trim(rest, `"`))
		case "expire":
			if _, date, ok := strings.Cut(rest, " "); ok { // behind the day of the week
				l.Expires, _ = time.Parse("2006/01/02 15:04:05", date)
			}
		}
	}
	return out
}
