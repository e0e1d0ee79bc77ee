package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// SudoRule is one grant of sudo or doas, a setting that holds for many, or the file itself.
type SudoRule struct {
	What     string `expr:"what" json:"what" doc:"grant, default (a Defaults line) or file"`
	Tool     string `expr:"tool" json:"tool" doc:"sudo or doas"`
	Who      string `expr:"who" json:"who,omitempty" doc:"user, %group or alias as written; for doas user or :group"`
	RunAs    string `expr:"run_as" json:"run_as,omitempty" doc:"whom the commands run as, as written; empty is root"`
	Commands string `expr:"commands" json:"commands,omitempty" doc:"the commands as written, their first 200 bytes; ALL for everything"`
	// Everything and Escape tell what a grant is worth to an attacker.
	Everything bool   `expr:"everything" json:"everything,omitempty" doc:"any command may be run"`
	Escape     string `expr:"escape" json:"escape,omitempty" doc:"a granted command that gives a shell or writes any file, such as vi, find, python, tar"`
	NoPassword bool   `expr:"no_password" json:"no_password,omitempty" doc:"no password is asked for"`
	KeepsEnv   string `expr:"keeps_env" json:"keeps_env,omitempty" doc:"variables that load code and survive, or everything"`
	Path       string `expr:"path" json:"path" doc:"the file"`
	Where      string `expr:"where" json:"where" doc:"file and line"`
	Origin
}

// escapes are programs which, run as root by somebody's choice of arguments, give a shell or
// write any file.
var escapes = []string{"sh", "bash", "dash", "zsh", "ash", "busybox", "vi", "vim", "nano", "emacs", "less", "more", "man", "find", "awk", "gawk",
	"perl", "python", "python3", "ruby", "lua", "node", "php", "env", "nmap", "tar", "zip", "cp", "mv", "dd", "tee", "chmod", "chown", "mount",
	"su", "docker", "podman", "git", "gdb", "strace", "rsync", "scp", "ssh", "ed", "sed", "nsenter", "chroot", "unshare", "systemd-run", "socat"}

const maxSudoFiles = 200

func sudoCollector() scanner.Collector {
	return scanner.Collector{
		Table: "sudo_rules", Doc: "who may run what as another user, by sudo and doas", Row: SudoRule{},
		Reads: scanner.Reads{Globs: []string{"/etc/sudoers", "/etc/sudoers.d/*", "/etc/doas.conf", "/etc/doas.d/*.conf"}, Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectSudo,
	}
}

func collectSudo(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	s := &sudoReader{treeReader: newReader(in, &t), p: newProvenance(in), rows: []SudoRule{}}
	s.sudoers("/etc/sudoers")
	for _, name := range s.glob("/etc/doas.conf", "/etc/doas.d/*.conf") {
		if b := s.file(name); b != nil {
			s.add("doas", name, b, parse.Doas(b))
		}
	}
	t.Rows = s.rows
	return t
}

type sudoReader struct {
	*treeReader
	p    *provenance
	rows []SudoRule
	seen []string
}

// sudoers reads a file and what it includes. Includes elsewhere than in /etc/sudoers.d are
// said to be unread: they were not declared.
func (s *sudoReader) sudoers(name string) {
	if slices.Contains(s.seen, name) || len(s.seen) >= maxSudoFiles {
		return
	}
	s.seen = append(s.seen, name)
	b := s.file(name)
	if b == nil {
		return
	}
	rules, includes := parse.Sudoers(b)
	s.add("sudo", name, b, rules)
	for _, i := range includes {
		files := []string{i.Path}
		if i.Dir {
			files = s.glob(i.Path + "/*")
		}
		if i.Path != "/etc/sudoers.d" && path.Dir(i.Path) != "/etc/sudoers.d" {
			s.table.Partial = append(s.table.Partial, name+" includes "+shown(i.Path)+", which Picket does not read")
			continue
		}
		for _, f := range files {
			if base := path.Base(f); !i.Dir || !strings.Contains(base, ".") && !strings.HasSuffix(base, "~") {
				s.sudoers(f)
			}
		}
	}
}

func (s *sudoReader) add(tool, name string, b []byte, rules []parse.SudoRule) {
	o := s.p.origin(name, b)
	s.rows = append(s.rows, SudoRule{What: "file", Tool: tool, Path: name, Where: name, Origin: o})
	for _, r := range rules {
		row := SudoRule{What: "grant", Tool: tool, Who: r.Who, RunAs: r.RunAs, Commands: shown(r.Commands), NoPassword: r.NoPassword,
			KeepsEnv: r.KeepsEnv, Path: name, Where: at(name, r.Line), Origin: o.clone()}
		if r.Default {
			row.What = "default"
		}
		row.Everything, row.Escape = reach(r.Commands)
		s.rows = append(s.rows, row)
	}
}

// reach tells what a list of commands allows.
func reach(commands string) (everything bool, escape string) {
	for _, c := range strings.Split(commands, ",") {
		f := strings.Fields(c)
		if len(f) == 0 || strings.HasPrefix(f[0], "!") {
			continue
		}
		if f[0] == "ALL" {
			everything = true
		}
		// With arguments fixed a program is as good as its arguments; "" fixes none at all.
		open := len(f) == 1 || strings.ContainsAny(strings.Join(f[1:], " "), "*?[")
		if escape == "" && open && slices.Contains(escapes, strings.TrimRight(path.Base(f[0]), "0123456789.")) {
			escape = f[0]
		}
	}
	return everything, escape
}
