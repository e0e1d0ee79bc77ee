package parse

import "strings"

// Unit reads a systemd unit file or drop-in (systemd.syntax(7)): values as written, lines that
// end in a backslash joined. An empty value, which resets a list, is kept.
func Unit(b []byte) Settings {
	var out Settings
	section, held, heldLine := "", "", 0
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if held == "" {
			heldLine = n
		}
		if len(out) >= maxSettings || line == "" && held == "" || line != "" && (line[0] == '#' || line[0] == ';') {
			return
		}
		if strings.HasSuffix(line, `\`) && len(held) < maxUnitLine {
			held += line[:len(line)-1] + " "
			return
		}
		line, held = held+line, ""
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			return
		}
		if k, v, ok := strings.Cut(line, "="); ok {
			out = append(out, Setting{section, strings.TrimSpace(k), strings.TrimSpace(v), heldLine})
		}
	})
	return out
}

const maxUnitLine = 64 << 10 // bytes of one setting with its continuations

// UnitCommand gives the command of an Exec line without systemd's own prefixes
// (systemd.service(5)), and whether a prefix asks for full privileges.
func UnitCommand(value string) (command string, privileged bool) {
	rest := strings.TrimLeft(value, "-@:+!| ")
	return rest, strings.ContainsAny(value[:len(value)-len(rest)], "+!")
}
