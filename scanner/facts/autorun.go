package facts

import (
	"bytes"
	"io/fs"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const maxScript = 1 << 20 // bytes of a script that is read

// Autorun is one file by which the device runs something at an event (a time, the start, a
// login, a device plugged in), or one command in it. Several tables have this row.
type Autorun struct {
	Kind       string `expr:"kind" json:"kind" doc:"the mechanism, such as crontab, rc.local, init.d, udev, dispatcher"`
	What       string `expr:"what" json:"what" doc:"file, or command for one command of it; the commands of a pristine file are left out"`
	Path       string `expr:"path" json:"path" doc:"the file"`
	User       string `expr:"user" json:"user,omitempty" doc:"account that it runs as; empty where the mechanism alone decides"`
	Executable bool   `expr:"executable" json:"executable,omitempty" doc:"the file may be executed"`
	Where      string `expr:"where" json:"where" doc:"file and line"`
	CommandLine
	Origin
}

// autoruns gathers the rows of one table.
type autoruns struct {
	*treeReader
	p    *provenance
	rows []Autorun
}

func newAutoruns(in *scanner.Input, t *scanner.Table) *autoruns {
	return &autoruns{treeReader: newReader(in, t), p: newProvenance(in)}
}

// done puts the rows into the table.
func (a *autoruns) done(t *scanner.Table) scanner.Table {
	t.Rows = a.rows
	return *t
}

// content gives what a regular file holds, or false for what is no file, is not there, or
// cannot be read.
func (a *autoruns) content(name string) ([]byte, scanner.Info, bool) {
	info, err := a.fs.Stat(name)
	if err != nil {
		a.note(err)
		return nil, info, false
	}
	if !info.Mode.IsRegular() {
		return nil, info, false
	}
	b, err := scanner.ReadFile(a.fs, name, maxScript)
	if err != nil {
		a.note(err)
		return nil, info, false
	}
	return b, info, true
}

// file adds the row of a file and gives its origin.
func (a *autoruns) file(kind, name, user string, content []byte, info scanner.Info) Origin {
	o := a.p.origin(name, content)
	a.rows = append(a.rows, Autorun{Kind: kind, What: "file", Path: name, User: user, Where: name, Origin: o,
		Executable: info.Mode&0o111 != 0})
	return o
}

// command adds the row of one command of a file.
func (a *autoruns) command(kind, name, user, line string, number int, o Origin) {
	row := Autorun{Kind: kind, What: "command", Path: name, User: user, Where: at(name, number), Origin: o.clone()}
	row.CommandLine = a.p.commandOf(line, &row.Unread)
	a.rows = append(a.rows, row)
}

// clone gives an origin whose marks can be added to.
func (o Origin) clone() Origin {
	marks := o.Unread.Unread
	o.Unread = scanner.Unread{}
	for col, why := range marks {
		o.MarkUnread(col, why)
	}
	return o
}

// script adds a script: its file and, unless it is as its package put it there, its commands.
func (a *autoruns) script(kind, name, user string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file(kind, name, user, b, info)
	if o.Pristine || !isShellText(b) {
		return
	}
	for _, p := range parse.Shell(string(b)) {
		a.command(kind, name, user, p.Text, p.Line, o)
	}
}

// scripts adds every file that matches the patterns as a script.
func (a *autoruns) scripts(kind, user string, patterns ...string) {
	for _, name := range a.glob(patterns...) {
		if !skipped(name) {
			a.script(kind, name, user)
		}
	}
}

// isShellText reports whether a file reads as shell text: text that names no other interpreter.
func isShellText(b []byte) bool {
	if bytes.IndexByte(b[:min(len(b), 512)], 0) >= 0 {
		return false
	}
	line, ok := bytes.CutPrefix(b, []byte("#!"))
	if !ok {
		return true
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	for len(words) > 0 {
		name := path.Base(words[0])
		words = words[1:]
		if name != "env" && !strings.HasPrefix(name, "-") {
			return parse.IsShell(name) || name == "openrc-run" || name == "runscript" || name == "rc.common" ||
				name == "init-d-script" || name == "busybox" || name == "su-exec"
		}
	}
	return true
}

// executable reports whether a file may be executed by someone.
func executable(i scanner.Info) bool { return i.Mode.IsRegular() && i.Mode&fs.FileMode(0o111) != 0 }
