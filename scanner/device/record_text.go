package device

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The text forms of a recording's table, each way.

func appendTime(b []byte, t uint64) []byte {
	if t == unknownTime {
		return append(b, '-')
	}
	b = strconv.AppendUint(b, t>>30, 10)
	if ns := t & (1<<30 - 1); ns != 0 {
		b = append(b, strings.TrimRight(fmt.Sprintf(".%09d", ns), "0")...)
	}
	return b
}

// appendEscaped writes a name as text without tabs and line breaks: a backslash, a control
// character and a byte that is not UTF-8 become \xHH.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r < ' ' || r == 0x7f || r == '\\' || r == utf8.RuneError && n == 1 {
			b = fmt.Appendf(b, `\x%02x`, s[i])
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

// unixMode is the other way of scanner.ModeOf.
func unixMode(m fs.FileMode) uint16 {
	v := uint16(m.Perm())
	for _, bit := range []struct {
		go1  fs.FileMode
		unix uint16
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&bit.go1 != 0 {
			v |= bit.unix
		}
	}
	switch m.Type() {
	case 0:
		return v | typeReg
	case fs.ModeDir:
		return v | typeDir
	case fs.ModeSymlink:
		return v | typeLink
	case fs.ModeNamedPipe:
		return v | typeFIFO
	case fs.ModeSocket:
		return v | typeSocket
	case fs.ModeDevice:
		return v | typeBlock
	case fs.ModeDevice | fs.ModeCharDevice:
		return v | typeChar
	}
	return v
}

// unescape is the other way of appendEscaped.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for {
		plain, rest, ok := strings.Cut(s, `\x`)
		b.WriteString(plain)
		if !ok {
			break
		}
		if len(rest) < 2 {
			return "", fmt.Errorf("%.60q: an escape is cut off", s)
		}
		c, err := strconv.ParseUint(rest[:2], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%.60q: an escape is not hex", s)
		}
		b.WriteByte(byte(c))
		s = rest[2:]
	}
	return b.String(), nil
}

// parseTime is the other way of appendTime.
func parseTime(s string) (uint64, error) {
	if s == "-" {
		return unknownTime, nil
	}
	t, err := paxTime(s)
	if err != nil {
		return 0, err
	}
	return packTime(t), nil
}
