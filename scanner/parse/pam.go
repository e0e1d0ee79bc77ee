package parse

import "strings"

// PAMLine is one line of a PAM configuration (pam.conf(5)).
type PAMLine struct {
	Service string // only in /etc/pam.conf
	Type    string // auth, account, password, session; "" for @include
	Control string // required, sufficient, ..., include, or "[success=1 default=ignore]"
	Module  string // module or, for include, substack and @include, the other file
	Args    []string
	Line    int // 1-based
}

// PAM reads a file of /etc/pam.d or, withService, /etc/pam.conf. Lines that are neither are
// told in bad.
func PAM(b []byte, withService bool) (entries []PAMLine, bad []error) {
	held, heldLine := "", 0
	lines(b, func(n int, line string) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		if held == "" {
			heldLine = n
		}
		if strings.HasSuffix(line, `\`) && len(held) < maxUnitLine {
			held += line[:len(line)-1] + " "
			return
		}
		line, held = strings.TrimSpace(held+line), ""
		if line == "" || len(entries) >= maxSettings {
			return
		}
		e := PAMLine{Line: heldLine}
		if file, ok := strings.CutPrefix(line, "@include"); ok {
			e.Control, e.Module = "include", strings.TrimSpace(file)
			entries = append(entries, e)
			return
		}
		if withService {
			e.Service, line = cutBlank(line)
		}
		e.Type, line = cutBlank(line)
		e.Type = strings.ToLower(strings.TrimPrefix(e.Type, "-"))
		if strings.HasPrefix(line, "[") {
			i := strings.IndexByte(line, ']')
			if i < 0 {
				bad = append(bad, &Error{Offset: -1, Line: heldLine, Msg: "a control in brackets has no end"})
				return
			}
			e.Control, line = line[:i+1], strings.TrimSpace(line[i+1:])
		} else {
			e.Control, line = cutBlank(line)
			e.Control = strings.ToLower(e.Control)
		}
		if e.Module, line = cutBlank(line); e.Module == "" {
			bad = append(bad, &Error{Offset: -1, Line: heldLine, Msg: "a PAM line has a type, a control and a module"})
			return
		}
		e.Args = strings.Fields(line)
		entries = append(entries, e)
	})
	return entries, bad
}

// cutBlank cuts the first word off a line that has no blank at its start.
func cutBlank(s string) (word, rest string) {
	word, rest = cutField(s)
	return word, strings.TrimSpace(rest)
}

// NSSLine is one line of nsswitch.conf(5).
type NSSLine struct {
	Database string
	Sources  []string // without the [actions]
	Line     int      // 1-based
}

// NSSwitch reads nsswitch.conf.
func NSSwitch(b []byte) (entries []NSSLine) {
	lines(b, func(n int, line string) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		db, rest, ok := strings.Cut(line, ":")
		if !ok || len(entries) >= maxSettings {
			return
		}
		e := NSSLine{Database: strings.TrimSpace(db), Line: n}
		depth := 0
		for _, f := range strings.Fields(strings.NewReplacer("[", " [ ", "]", " ] ").Replace(rest)) {
			switch {
			case f == "[":
				depth++
			case f == "]":
				depth = max(depth-1, 0)
			case depth == 0:
				e.Sources = append(e.Sources, f)
			}
		}
		entries = append(entries, e)
	})
	return entries
}
