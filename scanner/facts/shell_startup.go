package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// ShellLine is one thing in a file that shells read at their start: a command, a search path,
// or a command of the system that is given another meaning.
type ShellLine struct {
	Kind string `expr:"kind" json:"kind" doc:"system, skel or home"`
	What string `expr:"what" json:"what" doc:"command, path (a search path is set) or redefinition (of a command that takes passwords)"`
	Path string `expr:"path" json:"path" doc:"the file"`
	User string `expr:"user" json:"user,omitempty" doc:"whose home it is in"`
	Name string `expr:"name" json:"name,omitempty" doc:"the command that is redefined"`
	// SearchPath is the first entry: the one that wins.
	SearchPath string `expr:"search_path" json:"search_path,omitempty" doc:"first folder of the search path that is set; a dot for the current folder"`
	Where      string `expr:"where" json:"where" doc:"file and line"`
	CommandLine
	Origin
}

var (
	systemStartup = []string{"/etc/profile", "/etc/profile.d/*", "/etc/bash.bashrc", "/etc/bashrc", "/etc/bash.bash_logout", "/etc/bash/bashrc", "/etc/bash/bashrc.d/*",
		"/etc/zshrc", "/etc/zshenv", "/etc/zprofile", "/etc/zlogin", "/etc/zsh/*", "/etc/mkshrc", "/etc/ksh.kshrc", "/etc/shinit",
		"/etc/fish/config.fish", "/etc/fish/conf.d/*", "/etc/X11/Xsession", "/etc/X11/Xsession.d/*", "/etc/csh.cshrc", "/etc/csh.login"}
	skelStartup = []string{"/etc/skel/.*"}
	homeStartup = []string{"/.profile", "/.bashrc", "/.bash_profile", "/.bash_login", "/.bash_logout", "/.bash_aliases", "/.zshrc", "/.zshenv", "/.zprofile", "/.zlogin",
		"/.zlogout", "/.kshrc", "/.mkshrc", "/.shrc", "/.ashrc", "/.shinit", "/.cshrc", "/.tcshrc", "/.login", "/.xinitrc", "/.xsession", "/.xsessionrc", "/.xprofile",
		"/.config/fish/config.fish"}

	// passwordCommands are those whose imitation collects passwords.
	passwordCommands = []string{"sudo", "su", "doas", "pkexec", "ssh", "scp", "sftp", "passwd", "login", "gpg", "kinit", "cryptsetup", "sudoedit"}
)

func shellStartupCollector() scanner.Collector {
	globs := concat(systemStartup, skelStartup)
	for _, f := range homeStartup {
		globs = append(globs, "~"+f)
	}
	return scanner.Collector{
		Table: "shell_startup", Doc: "what shells do at their start: commands, search paths and redefined commands", Row: ShellLine{},
		Reads: scanner.Reads{Globs: globs, Meta: everyProgram()}, Needs: []string{"users", "packages"}, Collect: collectShellStartup,
	}
}

type startupReader struct {
	*treeReader
	p    *provenance
	rows []ShellLine
}

func collectShellStartup(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	s := &startupReader{treeReader: newReader(in, t), p: newProvenance(in)}
	for _, name := range s.glob(systemStartup...) {
		if !skipped(name) {
			s.read("system", name, "")
		}
	}
	for _, name := range s.glob(skelStartup...) {
		s.read("skel", name, "")
	}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	for _, u := range accountHomes(users) {
		for _, f := range homeStartup {
			s.read("home", u.Home+f, u.Name)
		}
	}
	t.Rows = s.rows
	return *t
}

func (s *startupReader) read(kind, name, user string) {
	info, err := s.fs.Stat(name)
	if err != nil || !info.Mode.IsRegular() {
		s.note(err)
		return
	}
	b := s.file(name)
	o := s.p.origin(name, b)
	if o.Pristine {
		return
	}
	for _, p := range parse.Shell(string(b)) {
		for i := range p.Commands {
			s.assignments(kind, name, user, &p.Commands[i], p, o)
			s.redefinitions(kind, name, user, &p.Commands[i], p, o)
		}
		if p.Commands[0].Function == "" {
			s.add(ShellLine{Kind: kind, What: "command", Path: name, User: user, Where: at(name, p.Line)}, p.Text, o)
		}
	}
}

func (s *startupReader) add(row ShellLine, text string, o Origin) {
	row.Origin = o.clone()
	if row.What == "command" {
		row.CommandLine = s.p.commandOf(text, &row.Unread)
	} else {
		row.Command, row.Text = text, shown(text)
	}
	s.rows = append(s.rows, row)
}

// assignments adds the search paths that a command sets: PATH=..., export PATH=..., and fish's set.
func (s *startupReader) assignments(kind, name, user string, c *parse.ShellCommand, p parse.ShellPipeline, o Origin) {
	words := c.Assign
	switch c.Program() {
	case "export", "declare", "typeset", "readonly":
		words = c.Words[1:]
	case "":
	default:
		return // for one command only
	}
	for _, w := range words {
		if value, ok := strings.CutPrefix(w, "PATH="); ok {
			first, _, _ := strings.Cut(value, ":")
			if first == "" {
				first = "." // an empty entry is the current folder
			}
			s.add(ShellLine{Kind: kind, What: "path", Path: name, User: user, SearchPath: shown(first), Where: at(name, p.Line)}, p.Text, o)
		}
	}
}

// redefinitions adds functions and aliases that stand for a command that takes passwords. An
// alias of a command for itself with options is none.
func (s *startupReader) redefinitions(kind, name, user string, c *parse.ShellCommand, p parse.ShellPipeline, o Origin) {
	row := ShellLine{Kind: kind, What: "redefinition", Path: name, User: user, Where: at(name, p.Line)}
	if slices.Contains(passwordCommands, c.Function) {
		row.Name = c.Function
		s.add(row, p.Text, o)
		return
	}
	if c.Program() != "alias" {
		return
	}
	for _, w := range c.Words[1:] {
		alias, value, ok := strings.Cut(w, "=")
		if ok && slices.Contains(passwordCommands, alias) && !passesOn(value, alias) {
			row.Name = alias
			s.add(row, p.Text, o)
		}
	}
}

// passesOn reports whether a command line starts the program of the given name, from a
// folder of the system or by its bare name, and nothing else.
func passesOn(line, name string) bool {
	if value := strings.TrimSpace(line); value == name {
		return true
	}
	runs := parse.ShellRuns(line)
	if len(runs) != 1 || len(runs[0].Commands) != 1 || strings.ContainsAny(line, "$`") {
		return false
	}
	raw := parse.Shell(line)[0].Commands[0]
	for _, program := range []string{raw.Program(), runs[0].Commands[0].Program()} {
		if program == name || path.Base(program) == name && slices.Contains(searchPath, path.Dir(program)) {
			return true
		}
	}
	return false
}
