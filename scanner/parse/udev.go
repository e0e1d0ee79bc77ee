package parse

import "strings"

// UdevProgram is one assignment of a udev rule that runs a program (udev(7)).
type UdevProgram struct {
	Key     string // RUN, PROGRAM or IMPORT
	Command string
	Line    int // 1-based
}

// UdevPrograms reads a udev rules file and gives what its rules run. Built-in commands are left
// out: they are udev's own.
func UdevPrograms(b []byte) []UdevProgram {
	var out []UdevProgram
	held, heldLine := "", 0
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if held == "" {
			heldLine = n
			if line == "" || line[0] == '#' {
				return
			}
		}
		if strings.HasSuffix(line, `\`) && len(held) < maxUnitLine {
			held += line[:len(line)-1]
			return
		}
		line, held = held+line, ""
		for line != "" && len(out) < maxSettings {
			var t udevToken
			if t, line = cutUdev(line); t.key == "" {
				return
			}
			key, attr, _ := strings.Cut(t.key, "{")
			attr = strings.TrimSuffix(attr, "}")
			switch {
			case key == "RUN" && attr != "builtin" && t.op != "==" && t.op != "!=",
				key == "PROGRAM",
				key == "IMPORT" && attr == "program":
				if t.value != "" {
					out = append(out, UdevProgram{key, t.value, heldLine})
				}
			}
		}
	})
	return out
}

type udevToken struct{ key, op, value string }

// cutUdev cuts one KEY OP "VALUE" off a rule.
func cutUdev(s string) (t udevToken, rest string) {
	s = strings.TrimLeft(s, " \t,")
	i := strings.IndexAny(s, "=!+-:")
	if i <= 0 {
		return t, ""
	}
	t.key = strings.TrimSpace(s[:i])
	s = s[i:]
	i = strings.IndexByte(s, '"')
	if i < 0 {
		return udevToken{}, ""
	}
	t.op = strings.TrimRight(strings.TrimSpace(s[:i]), "ei ")
	s = s[i+1:]
	for i = 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '"' {
			i++
		}
	}
	t.value = strings.ReplaceAll(s[:min(i, len(s))], `\"`, `"`)
	return t, s[min(i+1, len(s)):]
}
