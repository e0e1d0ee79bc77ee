package facts

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Suppression is one thing that keeps the device from remembering what happened on it.
type Suppression struct {
	Kind    string `expr:"kind" json:"kind" doc:"null-link (a log that leads to /dev/null), journal, masked (a logger that may not start), audit, history (of a shell), erased (login records filled with zeros)"`
	Path    string `expr:"path" json:"path" doc:"the file"`
	Account string `expr:"account" json:"account,omitempty" doc:"whose shell history it is"`
	Text    string `expr:"text" json:"text" doc:"the setting, at most 200 bytes"`
	Count   int    `expr:"count" json:"count,omitempty" doc:"erased login records"`
	Where   string `expr:"where" json:"where" doc:"file and line"`
	Origin
}

var (
	historyFiles = []string{"/.bash_history", "/.zsh_history", "/.ash_history", "/.sh_history", "/.ksh_history", "/.history", "/.mysql_history", "/.python_history"}
	logLinks     = []string{"/var/log/*", "/var/run/utmp", "/run/utmp"}
	loginRecords = []string{"/var/log/wtmp", "/var/log/btmp"}
	journalConf  = []string{"/etc/systemd/journald.conf", "/etc/systemd/journald.conf.d/*.conf", "/run/systemd/journald.conf.d/*.conf", "/usr/lib/systemd/journald.conf.d/*.conf"}
	auditRules   = []string{"/etc/audit/audit.rules", "/etc/audit/rules.d/*.rules"}
	loggers      = []string{"rsyslog.service", "auditd.service", "systemd-journald.service", "syslog-ng.service", "systemd-journald.socket", "syslog.socket"}
)

const maxLoginRecords = 16 << 20 // bytes of wtmp that are read

func loggingCollector() scanner.Collector {
	var homes []string
	for _, f := range historyFiles {
		homes = append(homes, "~"+f)
	}
	return scanner.Collector{
		Table: "log_suppression", Doc: "what keeps logs, login records and shell histories from being written", Row: Suppression{},
		Reads: scanner.Reads{Globs: concat(loginRecords, journalConf, auditRules), Meta: append(concat(homes, logLinks), everyProgram()...)},
		Needs: []string{"users", "systemd_units", "shell_startup", "packages"}, Collect: collectLogging,
	}
}

type loggingReader struct {
	*treeReader
	p    *provenance
	rows []Suppression
}

func collectLogging(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	l := &loggingReader{treeReader: newReader(in, t), p: newProvenance(in)}
	for _, name := range l.glob(logLinks...) {
		l.nullLink(name, "")
	}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	for _, u := range accountHomes(users) {
		for _, f := range historyFiles {
			l.nullLink(u.Home+f, u.Name)
		}
	}
	for _, name := range l.glob(journalConf...) {
		l.journal(name)
	}
	for _, name := range l.glob(auditRules...) {
		l.audit(name)
	}
	for _, name := range loginRecords {
		if n := parse.ErasedRecords(l.upTo(name, maxLoginRecords)); n > 0 {
			l.rows = append(l.rows, Suppression{Kind: "erased", Path: name, Count: n, Text: "records filled with zeros", Where: name})
		}
	}
	l.masked(in)
	l.histories(in)
	t.Rows = l.rows
	return *t
}

func (l *loggingReader) nullLink(name, account string) {
	info, err := l.fs.Lstat(name)
	if err != nil || info.Mode&fs.ModeSymlink == 0 {
		l.note(err)
		return
	}
	if to, err := l.fs.Readlink(name); err == nil && path.Clean(path.Join(path.Dir(name), to)) == "/dev/null" || to == "/dev/null" {
		kind := "null-link"
		if account != "" {
			kind = "history"
		}
		l.rows = append(l.rows, Suppression{Kind: kind, Path: name, Account: account, Text: "leads to /dev/null", Where: name})
	}
}

func (l *loggingReader) journal(name string) {
	b := l.file(name)
	if s, ok := parse.INI(b).Find("Journal", "Storage"); ok && strings.EqualFold(s.Value, "none") {
		l.rows = append(l.rows, Suppression{Kind: "journal", Path: name, Text: "Storage=none", Where: at(name, s.Line), Origin: l.p.origin(name, b)})
	}
}

// audit adds rules that switch the kernel's audit off.
func (l *loggingReader) audit(name string) {
	b := l.file(name)
	for _, d := range parse.Directives(b) {
		if d.Words[0] == "-e" && d.Arg(0) == "0" || d.Words[0] == "-e0" {
			l.rows = append(l.rows, Suppression{Kind: "audit", Path: name, Text: shown(strings.Join(d.Words, " ")), Where: at(name, d.Line), Origin: l.p.origin(name, b)})
		}
	}
}

func (l *loggingReader) masked(in *scanner.Input) {
	units, why := scanner.Rows[SystemdUnit](in, "systemd_units")
	if why != "" {
		l.table.Partial = append(l.table.Partial, "systemd units: "+why)
	}
	for i := range units {
		if u := &units[i]; u.Kind == "masked" && u.Scope == "system" && slices.Contains(loggers, u.Unit) {
			l.rows = append(l.rows, Suppression{Kind: "masked", Path: u.Path, Text: u.Unit + " is masked", Where: u.Where})
		}
	}
}

// histories adds lines of start-up files that switch the shell's history off.
func (l *loggingReader) histories(in *scanner.Input) {
	lines, why := scanner.Rows[ShellLine](in, "shell_startup")
	if why != "" {
		l.table.Partial = append(l.table.Partial, "shell start-up files: "+why)
	}
	for i := range lines {
		s := &lines[i]
		if s.What != "command" || !noHistory(s.Command) {
			continue
		}
		account := s.User
		if account == "" {
			account = "every account"
		}
		l.rows = append(l.rows, Suppression{Kind: "history", Path: s.Path, Account: account, Text: s.Text, Where: s.Where, Origin: s.Origin.clone()})
	}
}

// noHistory reports whether a command switches the shell's history off.
func noHistory(command string) bool {
	for _, p := range parse.Shell(command) {
		for i := range p.Commands {
			c := &p.Commands[i]
			words := c.Assign
			switch c.Program() {
			case "unset":
				if slices.Contains(c.Words, "HISTFILE") {
					return true
				}
			case "set":
				if len(c.Words) == 3 && c.Words[1] == "+o" && c.Words[2] == "history" {
					return true
				}
			case "export", "declare", "typeset", "readonly":
				words = c.Words
			}
			for _, w := range words {
				if w == "HISTFILE=" || w == "HISTFILE=/dev/null" || w == "HISTSIZE=0" || w == "HISTFILESIZE=0" {
					return true
				}
			}
		}
	}
	return false
}
