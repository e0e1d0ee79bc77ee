package parse

import (
	"bytes"
	"strings"
)

// HostsEntry is one line of hosts(5).
type HostsEntry struct {
	Addr  string
	Names []string
	Line  int // 1-based
}

// Hosts reads /etc/hosts. Lines that lead one name to nowhere (0.0.0.0) other than localhost are
// kept as all others; a file of them has a line for each name.
func Hosts(b []byte) []HostsEntry {
	var out []HostsEntry
	for n := 1; len(b) > 0 && len(out) < maxHostsEntries; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		if f := strings.Fields(string(line)); len(f) >= 2 {
			out = append(out, HostsEntry{f[0], f[1:], n})
		}
	}
	return out
}

const maxHostsEntries = 1 << 20
