package parse

import "strings"

// ModuleLine is one line of modprobe.d(5) that runs or loads something, or one of
// modules-load.d(5).
type ModuleLine struct {
	Verb    string // install, remove, softdep, blacklist, alias, options, or load
	Module  string
	Command string // of install and remove
	Line    int    // 1-based
}

// Modprobe reads a file of modprobe.d. Lines that end in a backslash go on in the next.
func Modprobe(b []byte) []ModuleLine {
	var out []ModuleLine
	var text string
	first := 0
	lines(b, func(n int, line string) {
		if text == "" {
			first = n
		}
		if cut, more := strings.CutSuffix(line, `\`); more && len(text) < 1<<16 {
			text += cut + " "
			return
		}
		text += line
		f := strings.Fields(text)
		text = ""
		if len(f) < 2 || strings.HasPrefix(f[0], "#") {
			return
		}
		m := ModuleLine{Verb: f[0], Module: f[1], Line: first}
		if f[0] == "install" || f[0] == "remove" {
			m.Command = strings.Join(f[2:], " ")
		}
		out = append(out, m)
	})
	return out
}

// ModulesLoad reads a file of modules-load.d, or /etc/modules: a module a line, perhaps with
// options.
func ModulesLoad(b []byte) []ModuleLine {
	var out []ModuleLine
	lines(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0][0] != '#' && f[0][0] != ';' {
			out = append(out, ModuleLine{Verb: "load", Module: f[0], Line: n})
		}
	})
	return out
}
