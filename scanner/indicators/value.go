package indicators

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
)

// A value is compared in one form, its key. The functions here make it, for indicators and for
// what is looked up alike, appending to a buffer that the caller may keep on its stack.

const (
	maxValue = 4096 // bytes of a value
	maxHost  = 253  // bytes of a host name (RFC 1035)
	ipKey    = 17   // bytes of an address key: the address and the length of its prefix
)

var (
	errEmpty = errors.New("empty")
	errLong  = errors.New("too long")
	errHost  = errors.New("no host name")
	errHex   = errors.New("no digest in hexadecimal")
	errLen   = errors.New("no digest of 16, 20, 32 or 64 bytes")
	errIP    = errors.New("no address")
)

// appendHost adds a host name in lower case, without the dot of the root.
func appendHost(buf []byte, s string) ([]byte, error) {
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return buf, errEmpty
	}
	if len(s) > maxHost {
		return buf, errLong
	}
	label := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '.':
			if label == 0 {
				return buf, errHost
			}
			label = -1
		case c >= 'a' && c <= 'z' || isDigit(c) || c == '-' || c == '_':
		default:
			return buf, errHost
		}
		if label++; label > 63 {
			return buf, errLong
		}
		buf = append(buf, c)
	}
	if label == 0 {
		return buf, errHost
	}
	return buf, nil
}

// appendDigest adds a digest's bytes from hexadecimal, with or without colons.
func appendDigest(buf []byte, s string) ([]byte, error) {
	start := len(buf)
	high, half := byte(0), false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ':' || c == ' ':
			continue
		case isDigit(c):
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return buf, errHex
		}
		if half {
			buf = append(buf, high<<4|c)
		}
		high, half = c, !half
		if len(buf)-start > 64 {
			return buf, errLen
		}
	}
	switch n := len(buf) - start; {
	case half, n != 16 && n != 20 && n != 32 && n != 64:
		return buf, errLen
	}
	return buf, nil
}

// appendPrefix adds an address or network: its first bits, and how many count. IPv4 is mapped
// into IPv6.
func appendPrefix(buf []byte, addr netip.Addr, bits int) []byte {
	a := addr.As16()
	for i := range a {
		switch keep := bits - 8*i; {
		case keep <= 0:
			a[i] = 0
		case keep < 8:
			a[i] &= 0xff << (8 - keep)
		}
	}
	return append(append(buf, a[:]...), byte(bits))
}

// parseAddr reads an address. What cannot be one is told without the error that netip would
// allocate: a host name ends in no digit and holds no colon.
func parseAddr(s string) (netip.Addr, bool) {
	if s == "" || !isDigit(s[len(s)-1]) && strings.IndexByte(s, ':') < 0 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	return addr.WithZone(""), err == nil
}

// parsePrefix reads an address, or a network in CIDR form. bits counts from the start of the IPv6
// form.
func parsePrefix(s string) (addr netip.Addr, bits int, err error) {
	if strings.IndexByte(s, '/') >= 0 {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return addr, 0, errIP
		}
		addr, bits = p.Addr(), p.Bits()
		if addr.Is4() {
			bits += 96
		}
		return addr, bits, nil
	}
	addr, ok := parseAddr(s)
	if !ok {
		return addr, 0, errIP
	}
	return addr, 128, nil
}

// prefixText gives the text of an address key.
func prefixText(key []byte) string {
	addr, bits := netip.AddrFrom16([16]byte(key[:16])), int(key[16])
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	if bits == addr.BitLen() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, bits).String()
}

// splitURL cuts a URL into host, port ("" for the scheme's own) and the rest from the path on,
// without scheme, user and fragment. The host of an IPv6 literal is without brackets.
func splitURL(s string) (host, port, rest string, err error) {
	scheme, after, ok := strings.Cut(s, "://")
	if !ok {
		scheme, after = "", s
	} else if len(scheme) > 20 || strings.ContainsAny(scheme, "/?#.") {
		return "", "", "", errHost
	}
	after, _, _ = strings.Cut(after, "#")
	authority := after
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", "", "", errHost
		}
		host, port = authority[1:end], strings.TrimPrefix(authority[end+1:], ":")
	} else {
		host, port, _ = strings.Cut(authority, ":")
	}
	if port == "80" || port == "443" {
		port = ""
	}
	if rest == "/" {
		rest = ""
	}
	if len(host)+len(port)+len(rest) > maxValue {
		return "", "", "", errLong
	}
	return host, port, rest, nil
}

// appendURL adds host, port and rest as a URL is compared: the host in lower case, the rest as it
// is.
func appendURL(buf []byte, host, port, rest string) ([]byte, error) {
	start := len(buf)
	var err error
	if addr, ok := parseAddr(host); ok {
		buf = addr.Unmap().AppendTo(buf)
	} else if buf, err = appendHost(buf, host); err != nil {
		return buf, err
	}
	if port != "" {
		for i := range len(port) {
			if !isDigit(port[i]) {
				return buf[:start], errHost
			}
		}
		buf = append(append(buf, ':'), port...)
	}
	return append(buf, rest...), nil
}

// appendEmail adds an address in lower case.
func appendEmail(buf []byte, s string) ([]byte, error) {
	if at := strings.IndexByte(s, '@'); at <= 0 || at == len(s)-1 || len(s) > 320 {
		return buf, errors.New("no e-mail address")
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf, nil
}

// keyText gives the text of a digest's key.
func keyText(key []byte) string { return hex.EncodeToString(key) }
