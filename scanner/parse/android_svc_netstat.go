package parse

import (
	"net/netip"
	"strconv"
	"strings"
)

// NetstatSocket is one internet socket as netstat prints it.
type NetstatSocket struct {
	Proto   string // tcp, tcp6, udp, udp6, raw, raw6, udpl, ...
	Local   netip.AddrPort
	Remote  netip.AddrPort // port 0 for any
	State   string         // LISTEN, ESTABLISHED, ...; empty for udp
	UID     int            // -1 when not printed
	Inode   uint64         // 0 when not printed
	PID     int            // 0 when not printed or not seen
	Program string
	Line    int // 1-based
}

// Netstat reads the internet sockets of toybox's netstat (-nap, -nW, -ne, ...) and of the
// toolbox one of Android 4. Unix sockets are passed over. The error says that no heading of
// netstat was there; a line that is cut or that names hosts and not numbers is told in bad.
func Netstat(b []byte) (socks []NetstatSocket, bad []error, err error) {
	known, part := false, false
	var cols netstatColumns
	serviceText(b, func(n int, line string) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			return
		case strings.HasPrefix(line, "Active "):
			known, part = true, strings.Contains(line, "Internet")
			return
		case f[0] == "Proto":
			known, part = true, !strings.Contains(line, "RefCnt")
			cols = netstatHeading(line)
			return
		case !known || !part:
			return
		}
		s, ok := netstatSocket(f, cols)
		if !ok {
			bad = badLine(bad, n, "not a socket line")
		} else if len(socks) < maxIPRows {
			s.Line = n
			socks = append(socks, s)
		}
	})
	if !known {
		return nil, nil, ErrOtherFormat
	}
	return socks, bad, nil
}

// netstatColumns says which optional columns a heading has.
type netstatColumns struct{ user, inode, program bool }

func netstatHeading(line string) netstatColumns {
	return netstatColumns{user: strings.Contains(line, "User"), inode: strings.Contains(line, "Inode") || strings.Contains(line, "I-Node"), program: strings.Contains(line, "PID/Program")}
}

func netstatSocket(f []string, cols netstatColumns) (s NetstatSocket, ok bool) {
	if len(f) < 5 {
		return s, false
	}
	s = NetstatSocket{Proto: clip(f[0], 8), UID: -1}
	var ok1, ok2 bool
	s.Local, ok1 = netstatAddr(f[3])
	s.Remote, ok2 = netstatAddr(f[4])
	if !ok1 || !ok2 {
		return s, false
	}
	rest := f[5:]
	// The state is missing for most udp sockets: it is the only column in capitals.
	if len(rest) > 0 && strings.Trim(rest[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" && strings.Trim(rest[0], "0123456789") != "" {
		s.State, rest = clip(rest[0], 20), rest[1:]
	}
	if cols.user && len(rest) > 0 {
		if uid, ok := AndroidUID(rest[0]); ok {
			s.UID = uid
		} else if uid, ok := psUID(rest[0]); ok {
			s.UID = uid
		}
		rest = rest[1:]
	}
	if cols.inode && len(rest) > 0 {
		s.Inode, _ = strconv.ParseUint(rest[0], 10, 64)
		rest = rest[1:]
	}
	if cols.program && len(rest) > 0 {
		pid, name, ok := strings.Cut(strings.Join(rest, " "), "/")
		if id, err := strconv.Atoi(pid); ok && err == nil && id > 0 {
			s.PID, s.Program = id, clip(name, 64)
		}
	}
	return s, true
}

// systemUIDs are the names of the uids that own most of what a listing shows, from
// system/core/libcutils/include/private/android_filesystem_config.h.
var systemUIDs = map[string]int{"root": 0, "system": 1000, "radio": 1001, "bluetooth": 1002, "wifi": 1010, "media": 1013, "dhcp": 1014,
	"vpn": 1016, "keystore": 1017, "nfc": 1027, "logd": 1036, "shell": 2000, "dns": 1051, "dns_tether": 1052, "nobody": 9999}

// psUID reads a uid as the C library of Android names it: root, u0_a12, u10_i3.
func psUID(s string) (int, bool) {
	if uid, ok := systemUIDs[s]; ok {
		return uid, true
	}
	user, kind, ok := strings.Cut(s, "_")
	if !ok {
		return 0, false
	}
	return AndroidUID(user + kind)
}

// netstatAddr reads 192.0.2.1:53, 2001:db8::1:53, [::1]:53, :::* and 0.0.0.0:*; the port is
// behind the last colon.
func netstatAddr(s string) (netip.AddrPort, bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return netip.AddrPort{}, false
	}
	host, port := strings.Trim(s[:at], "[]"), s[at+1:]
	if host == "*" {
		host = "0.0.0.0"
	}
	if host == "" || host == ":" {
		host = "::"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	n := uint64(0)
	if port != "*" {
		if n, err = strconv.ParseUint(port, 10, 16); err != nil {
			return netip.AddrPort{}, false
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}
