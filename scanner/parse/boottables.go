package parse

import "strings"

// InittabEntry is one line of /etc/inittab: of sysvinit and busybox, which mean different
// things by the first two fields.
type InittabEntry struct {
	ID, Runlevels, Action, Command string
	Line                           int // 1-based
}

// Inittab reads /etc/inittab. Entries that are switched off are left out.
func Inittab(b []byte) []InittabEntry {
	var out []InittabEntry
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if f := strings.SplitN(line, ":", 4); line != "" && line[0] != '#' && len(f) == 4 && f[2] != "off" && len(out) < maxSettings {
			out = append(out, InittabEntry{f[0], f[1], f[2], f[3], n})
		}
	})
	return out
}

// XinetdService is one service block of xinetd.conf(5).
type XinetdService struct {
	Name, Server string
	Disabled     bool
	Line         int // 1-based
}

// Xinetd reads the service blocks of an xinetd configuration.
func Xinetd(b []byte) []XinetdService {
	var out []XinetdService
	inside := false
	lines(b, func(n int, line string) {
		f := strings.Fields(strings.ReplaceAll(line, "=", " = "))
		switch {
		case len(f) == 0 || f[0][0] == '#':
		case f[0] == "service" && len(f) > 1 && len(out) < maxSettings:
			out = append(out, XinetdService{Name: f[1], Line: n})
			inside = true
		case f[0] == "}":
			inside = false
		case inside && len(f) > 2 && f[0] == "disable":
			out[len(out)-1].Disabled = strings.EqualFold(f[2], "yes")
		case inside && len(f) > 2 && f[0] == "server":
			out[len(out)-1].Server = f[2]
		}
	})
	return out
}
