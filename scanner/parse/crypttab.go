package parse

import "strings"

// CrypttabLine is one line of crypttab(5).
type CrypttabLine struct {
	Name, Source string
	KeyFile      string // "none" or "-" when a person is asked
	Line         int    // 1-based
}

// Crypttab reads /etc/crypttab.
func Crypttab(b []byte) []CrypttabLine {
	var out []CrypttabLine
	lines(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0][0] == '#' {
			return
		}
		c := CrypttabLine{Name: f[0], Source: f[1], KeyFile: "none", Line: n}
		if len(f) > 2 {
			c.KeyFile = f[2]
		}
		out = append(out, c)
	})
	return out
}
