package parse

import "strings"

// Binfmt is an interpreter for foreign programs (the kernel's admin-guide/binfmt-misc).
type Binfmt struct {
	Name, Interpreter string
	Flags             string // P, O, C, F
	Enabled           bool
	Line              int // 1-based, of a file of binfmt.d
}

// BinfmtEntry reads a file of /proc/sys/fs/binfmt_misc: "enabled", then "interpreter PATH",
// "flags: FLAGS" and the pattern.
func BinfmtEntry(b []byte) Binfmt {
	var e Binfmt
	lines(b, func(n int, line string) {
		if n == 1 {
			e.Enabled = line == "enabled"
		}
		if v, ok := strings.CutPrefix(line, "interpreter "); ok {
			e.Interpreter = v
		}
		if v, ok := strings.CutPrefix(line, "flags:"); ok {
			e.Flags = strings.TrimSpace(v)
		}
	})
	return e
}

// BinfmtFile reads a file of binfmt.d(5): lines of ":name:type:offset:magic:mask:interpreter:flags",
// with any byte in place of the colon.
func BinfmtFile(b []byte) (entries []Binfmt, bad []error) {
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			return
		}
		f := strings.Split(line[1:], line[:1])
		if len(f) < 6 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not a binfmt line"})
			return
		}
		e := Binfmt{Name: f[0], Interpreter: f[5], Enabled: true, Line: n}
		if len(f) > 6 {
			e.Flags = f[6]
		}
		entries = append(entries, e)
	})
	return entries, bad
}
