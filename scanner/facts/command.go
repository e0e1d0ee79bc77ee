package facts

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	maxShown    = 200 // bytes of a line shown as evidence
	maxPrograms = 32  // that one command line names
)

// CommandLine is a command line that the device runs by itself. Tables embed it.
type CommandLine struct {
	Command string `expr:"command" json:"-" doc:"the command line as written; for conditions, shown only as text"`
	Text    string `expr:"text" json:"text,omitempty" doc:"the first 200 bytes of the command line"`
	// Programs are found without running anything: by absolute path, by name in the usual
	// folders, and the script that an interpreter is given.
	Programs  []string `expr:"programs" json:"programs,omitempty" doc:"paths of the programs and scripts that it starts and that exist"`
	Missing   []string `expr:"missing" json:"missing,omitempty" doc:"absolute paths of programs that it starts and that do not exist"`
	Unowned   []string `expr:"unowned" json:"unowned,omitempty" doc:"those of programs that no package installed"`
	Exposed   []string `expr:"exposed" json:"exposed,omitempty" doc:"those of programs that others than root may change or replace"`
	ExposedTo []string `expr:"exposed_to" json:"exposed_to,omitempty" doc:"who may: everybody, group N or user N"`
}

// commandOf describes a command line; what could not be told is marked in u.
func (p *provenance) commandOf(line string, u *scanner.Unread) CommandLine {
	c := CommandLine{Command: line, Text: shown(line)}
	for _, name := range programs(line) {
		real, exists, why := p.find(name)
		if why != "" {
			for _, col := range []string{"programs", "missing", "unowned", "exposed", "exposed_to"} {
				u.MarkUnread(col, why)
			}
			continue
		}
		if !exists {
			if strings.HasPrefix(name, "/") {
				c.Missing = append(c.Missing, name)
			}
			continue
		}
		if slices.Contains(c.Programs, real) {
			continue
		}
		c.Programs = append(c.Programs, real)
		if _, owned, why := p.owner(real); why != "" {
			u.MarkUnread("unowned", why)
		} else if !owned {
			c.Unowned = append(c.Unowned, real)
		}
		if by, why := p.writableBy(real); why != "" {
			u.MarkUnread("exposed", why)
			u.MarkUnread("exposed_to", why)
		} else if by != "" {
			c.Exposed = append(c.Exposed, real)
			if !slices.Contains(c.ExposedTo, by) {
				c.ExposedTo = append(c.ExposedTo, by)
			}
		}
	}
	return c
}

// shown cuts a line to what a report shows of it, secrets among its words taken out.
func shown(line string) string {
	line = parse.RedactLine(text([]byte(strings.TrimSpace(line))))
	words := append([]string{""}, strings.Fields(line)...) // the first is taken for the program's name
	if safe := parse.RedactArgs(words); !slices.Equal(safe, words) {
		line = strings.Join(safe[1:], " ")
	}
	if len(line) <= maxShown {
		return line
	}
	return strings.ToValidUTF8(line[:maxShown], "") + "..."
}

// programs names what a command line starts: absolute paths, and bare names where a search in
// the usual folders decides.
func programs(line string) []string {
	var out []string
	add := func(name string) {
		if name != "" && !strings.ContainsAny(name, "$`*?") && len(out) < maxPrograms && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, pipeline := range parse.ShellRuns(line) {
		for i := range pipeline.Commands {
			c := &pipeline.Commands[i]
			if name := c.Program(); strings.HasPrefix(name, "/") || !strings.Contains(name, "/") {
				add(name)
			}
			if in, ok := c.Interpreted(); ok && strings.HasPrefix(in.File, "/") {
				add(in.File)
			}
		}
	}
	return out
}

// searchPath is where a bare program name is looked for.
var searchPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// find gives a program's path. A bare name that is in none of the usual folders is the
// shell's own, or nothing.
func (p *provenance) find(name string) (real string, exists bool, why string) {
	if strings.HasPrefix(name, "/") {
		info, err := p.fs.Stat(name)
		switch {
		case err == nil:
			return p.real(name), info.Mode.IsRegular(), ""
		case errors.Is(err, fs.ErrNotExist):
			return "", false, ""
		}
		return "", false, scanner.Reason(err)
	}
	for _, dir := range searchPath {
		if info, err := p.fs.Stat(dir + "/" + name); err == nil && info.Mode.IsRegular() {
			return p.real(dir + "/" + name), true, ""
		}
	}
	return "", false, ""
}
