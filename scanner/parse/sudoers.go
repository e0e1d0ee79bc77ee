package parse

import (
	"strings"
)

// SudoRule is one grant of sudoers(5) or doas.conf(5), or one of its settings that widen all
// grants.
type SudoRule struct {
	Who        string // user, %group, +netgroup or alias as written; for doas user or :group
	RunAs      string // as written, "" for root
	Commands   string // as written, ALL for everything
	NoPassword bool
	KeepsEnv   string // variables that load code and are kept (LD_PRELOAD, PYTHONPATH, ...), or "setenv"
	Default    bool   // a Defaults line: holds for every grant that its scope names
	Line       int    // 1-based, of the line where it begins
}

// SudoInclude is a file or folder that sudoers goes on in.
type SudoInclude struct {
	Path string
	Dir  bool
}

const maxSudoLine = 64 << 10 // bytes of a line with its continuations

// Sudoers reads a sudoers file: grants with user, host and command lists as written, aliases of
// commands and users not resolved.
func Sudoers(b []byte) (rules []SudoRule, includes []SudoInclude) {
	var text string
	first := 0
	lines(b, func(n int, line string) {
		if text == "" {
			first = n
		}
		if cut, more := strings.CutSuffix(line, `\`); more && len(text) < maxSudoLine {
			text += cut + " "
			return
		}
		text += line
		whole := strings.TrimSpace(text)
		text = ""
		if inc, ok := sudoInclude(whole); ok {
			includes = append(includes, inc)
			return
		}
		if whole = stripHash(whole); whole != "" {
			rules = append(rules, sudoLine(whole, first)...)
		}
	})
	return rules, includes
}

func sudoInclude(line string) (SudoInclude, bool) {
	for _, verb := range []string{"include", "includedir"} {
		for _, mark := range []string{"#", "@"} {
			if rest, ok := strings.CutPrefix(line, mark+verb); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
				return SudoInclude{Path: strings.Trim(strings.TrimSpace(rest), `"`), Dir: verb == "includedir"}, true
			}
		}
	}
	return SudoInclude{}, false
}

// stripHash takes a comment off; "#0" stands for a user id and is none.
func stripHash(line string) string {
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if line[i] == '#' && (i+1 == len(line) || line[i+1] < '0' || line[i+1] > '9') {
			return strings.TrimSpace(line[:i])
		}
	}
	return line
}

func sudoLine(line string, n int) []SudoRule {
	word, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	switch {
	case strings.HasPrefix(word, "Defaults"):
		return sudoDefaults(word, rest, n)
	case strings.HasSuffix(word, "_Alias"):
		return nil
	}
	who, spec, ok := strings.Cut(line, "=")
	if !ok {
		return nil
	}
	f := strings.Fields(who)
	if len(f) < 2 {
		return nil
	}
	r := SudoRule{Who: strings.Join(f[:len(f)-1], " "), Line: n}
	spec = strings.TrimSpace(spec)
	if strings.HasPrefix(spec, "(") {
		if i := strings.IndexByte(spec, ')'); i > 0 {
			r.RunAs, spec = strings.TrimSpace(spec[1:i]), strings.TrimSpace(spec[i+1:])
		}
	}
	return sudoCommands(r, spec)
}

// sudoCommands cuts a command list into what needs a password and what does not: a tag holds
// for its command and those behind it.
func sudoCommands(r SudoRule, spec string) []SudoRule {
	groups := map[bool][]string{}
	noPassword, setenv := false, false
	for _, cmd := range strings.Split(spec, ",") {
		cmd = strings.TrimSpace(cmd)
		for {
			tag, rest, ok := strings.Cut(cmd, ":")
			if !ok || strings.ContainsAny(tag, " /") || tag != strings.ToUpper(tag) {
				break
			}
			switch tag {
			case "NOPASSWD":
				noPassword = true
			case "PASSWD":
				noPassword = false
			case "SETENV":
				setenv = true
			}
			cmd = strings.TrimSpace(rest)
		}
		if cmd != "" {
			groups[noPassword] = append(groups[noPassword], cmd)
		}
	}
	var out []SudoRule
	for _, np := range []bool{false, true} {
		if len(groups[np]) > 0 {
			g := r
			g.NoPassword, g.Commands = np, strings.Join(groups[np], ", ")
			if setenv {
				g.KeepsEnv = "setenv"
			}
			out = append(out, g)
		}
	}
	return out
}

// loadingVariables make programs load code.
var loadingVariables = []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_*", "PYTHONPATH", "PERL5LIB", "PERL5OPT", "RUBYLIB", "NODE_OPTIONS", "BASH_ENV"}

func sudoDefaults(word, rest string, n int) []SudoRule {
	r := SudoRule{Who: strings.TrimLeft(strings.TrimPrefix(word, "Defaults"), ":@>!"), Default: true, Line: n}
	if r.Who == "" {
		r.Who = "ALL"
	}
	var kept []string
	for _, set := range strings.Split(rest, ",") {
		set = strings.TrimSpace(set)
		if set == "!authenticate" {
			r.NoPassword = true
		}
		if key, value, ok := strings.Cut(set, "="); ok && strings.HasPrefix(strings.TrimSpace(key), "env_keep") {
			for _, v := range strings.Fields(strings.Trim(strings.TrimSpace(value), `"`)) {
				for _, l := range loadingVariables {
					if v == l {
						kept = append(kept, v)
					}
				}
			}
		}
		if set == "!env_reset" {
			kept = append(kept, "everything")
		}
	}
	r.KeepsEnv = strings.Join(kept, " ")
	if !r.NoPassword && r.KeepsEnv == "" {
		return nil
	}
	return []SudoRule{r}
}

// Doas reads doas.conf: permit lines.
func Doas(b []byte) []SudoRule {
	var out []SudoRule
	lines(b, func(n int, line string) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "permit" {
			return
		}
		r := SudoRule{Commands: "ALL", Line: n}
		for i := 1; i < len(f); i++ {
			switch {
			case f[i] == "nopass":
				r.NoPassword = true
			case f[i] == "keepenv":
				r.KeepsEnv = "everything"
			case f[i] == "as" && i+1 < len(f):
				i++
				r.RunAs = f[i]
			case f[i] == "cmd" && i+1 < len(f):
				r.Commands = strings.Join(f[i+1:], " ")
				i = len(f)
			case r.Who == "" && f[i] != "persist" && f[i] != "nolog" && !strings.HasPrefix(f[i], "setenv") && !strings.ContainsAny(f[i], "{}="):
				r.Who = f[i]
			}
		}
		if r.Who != "" {
			out = append(out, r)
		}
	})
	return out
}
