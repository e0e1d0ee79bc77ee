package parse

import (
	"path"
	"slices"
	"strings"
)

const (
	maxShellRuns    = 5000    // pipelines that one text leads to
	maxShellStrings = 4       // strings given to shells within one another
	maxStringBytes  = 1 << 18 // of all such strings of one text
)

// Program is the name of the program that the command starts, "" when it starts none.
func (c *ShellCommand) Program() string {
	if len(c.Words) == 0 {
		return ""
	}
	return c.Words[0]
}

// ShellRuns gives every pipeline that running the text may start, in order: those of Shell,
// those whose output they use, and those in strings handed to a shell (sh -c, eval, su -c,
// trap). Of each command what only passes another one on (sudo, env, nohup, exec, timeout, busybox, ...)
// is taken off, so that its first word is the program that does the work.
func ShellRuns(src string) []ShellPipeline {
	r := shellRunner{bytes: maxStringBytes}
	r.add(Shell(src), 0)
	return r.out
}

type shellRunner struct {
	out   []ShellPipeline
	bytes int // of strings that may still be read
}

func (r *shellRunner) add(pipelines []ShellPipeline, depth int) {
	for _, p := range pipelines {
		if len(r.out) >= maxShellRuns {
			return
		}
		at := len(r.out)
		r.out = append(r.out, ShellPipeline{Text: p.Text, Line: p.Line, Commands: slices.Clone(p.Commands)})
		for i := range p.Commands {
			c := p.Commands[i]
			c.Assign = slices.Clip(c.Assign)
			script := c.unwrap()
			r.out[at].Commands[i] = c
			r.add(c.Inner, depth)
			if script != "" && depth < maxShellStrings && len(script) <= r.bytes {
				r.bytes -= len(script)
				r.add(Shell(script), depth+1)
			}
		}
	}
}

// wrapper describes a program that runs the command in its own arguments.
type wrapper struct {
	values string // one-letter options that take a value
	long   string // long options that take a value as the next word, with a blank around each
	skip   int    // arguments before the command
	script string // one-letter option whose value is shell text
}

// wrapperOf knows the programs that run the command in their arguments.
func wrapperOf(name string) (w wrapper, ok bool) {
	switch name {
	case "exec":
		return wrapper{values: "a"}, true
	case "nohup", "setsid", "builtin", "command", "busybox", "toybox", "catchsegv", "eatmydata", "fakeroot", "dbus-run-session", "setarch", "linux32", "linux64":
		return wrapper{}, true
	case "env":
		return wrapper{values: "uC", long: " --unset --chdir "}, true
	case "sudo":
		return wrapper{values: "ugpChDRrtTU", long: " --user --group --host --prompt --chdir "}, true
	case "doas":
		return wrapper{values: "uC"}, true
	case "nice":
		return wrapper{values: "n", long: " --adjustment "}, true
	case "ionice":
		return wrapper{values: "cnpPu", long: " --class --classdata "}, true
	case "chrt":
		return wrapper{values: "TPD", skip: 1}, true
	case "taskset":
		return wrapper{skip: 1}, true
	case "timeout":
		return wrapper{values: "ks", long: " --signal --kill-after ", skip: 1}, true
	case "stdbuf":
		return wrapper{values: "ioe", long: " --input --output --error "}, true
	case "unshare", "nsenter":
		return wrapper{values: "tSGRw", long: " --target --root --wd "}, true
	case "chroot":
		return wrapper{skip: 1, long: " --userspec --groups "}, true
	case "flock":
		return wrapper{values: "wE", long: " --timeout --wait ", skip: 1, script: "c"}, true
	case "setpriv":
		return wrapper{long: " --reuid --regid --groups --inh-caps --bounding-set "}, true
	case "systemd-run", "systemd-inhibit", "systemd-cat":
		return wrapper{values: "pEuHMtP", long: " --unit --property --description --slice --uid --gid --setenv --on-active --on-boot --on-calendar --timer-property --what --who --why --mode "}, true
	case "xargs":
		return wrapper{values: "aEIiLlnPsd", long: " --arg-file --delimiter --max-args --max-procs --replace "}, true
	case "strace", "ltrace", "gosu", "su-exec", "tini", "dumb-init", "ts", "chpst", "softlimit", "setuidgid":
		return wrapper{values: "eopsu", skip: map[string]int{"gosu": 1, "su-exec": 1, "setuidgid": 1}[name]}, true
	case "su", "runuser":
		return wrapper{values: "sgGw", long: " --shell --group --supp-group ", script: "c"}, true
	case "script":
		return wrapper{values: "tIOBEm", script: "c"}, true
	case "screen":
		return wrapper{values: "SchstTe", long: " "}, true
	case "watch":
		return wrapper{values: "n"}, true
	}
	return wrapper{}, false
}

// unwrap takes wrappers off the command's front and gives the shell text that it hands to a
// shell, "" when it hands none.
func (c *ShellCommand) unwrap() (script string) {
	for range 8 {
		if len(c.Words) == 0 {
			return ""
		}
		name := path.Base(c.Words[0])
		switch name {
		case "eval":
			return strings.Join(c.Words[1:], " ")
		case "trap":
			if len(c.Words) > 2 {
				return c.Words[1]
			}
			return ""
		case "start-stop-daemon":
			c.Words = startStop(c.Words)
			return ""
		}
		if IsShell(name) {
			return dashC(c.Words)
		}
		w, ok := wrapperOf(name)
		if !ok {
			return ""
		}
		rest, text := w.peel(c)
		if text != "" {
			return text
		}
		if len(rest) == 0 {
			return ""
		}
		c.Words = rest
	}
	return ""
}

// peel gives the words behind a wrapper's own options and arguments, or the text that an
// option holds. Assignments among them become the command's.
func (w wrapper) peel(c *ShellCommand) (rest []string, text string) {
	words, skip := c.Words[1:], w.skip
	for len(words) > 0 {
		word := words[0]
		switch {
		case word == "--":
			words = words[1:]
			for len(words) > 0 && skip > 0 {
				words, skip = words[1:], skip-1
			}
			return words, ""
		case w.script != "" && (word == "-"+w.script || word == "--command") && len(words) > 1:
			return nil, words[1]
		case strings.HasPrefix(word, "--command="):
			return nil, word[len("--command="):]
		case strings.HasPrefix(word, "--"):
			words = words[1:]
			if strings.Contains(w.long, " "+word+" ") && len(words) > 0 {
				words = words[1:]
			}
		case len(word) > 1 && word[0] == '-':
			words = words[1:]
			last := word[len(word)-1]
			attached := len(word) > 2 && strings.IndexByte(w.values, word[1]) >= 0
			if strings.IndexByte(w.values, last) >= 0 && !attached && len(words) > 0 {
				words = words[1:]
			}
		case isAssignment(word):
			c.Assign = append(c.Assign, word)
			words = words[1:]
		case skip > 0:
			words, skip = words[1:], skip-1
		case w.script != "" && w.skip == 0:
			words = words[1:] // su's user; its -c may follow
		default:
			return words, ""
		}
	}
	return nil, ""
}

// startStop gives the command that start-stop-daemon starts.
func startStop(words []string) []string {
	program, args := "", []string(nil)
	for i := 1; i < len(words); i++ {
		value, has := "", false
		key := words[i]
		if k, v, ok := strings.Cut(key, "="); ok && strings.HasPrefix(k, "--") {
			key, value, has = k, v, true
		} else if i+1 < len(words) {
			value, has = words[i+1], true
		}
		switch key {
		case "--exec", "-x", "-a", "--startas":
			if has {
				program = value
			}
		case "--":
			args = words[i+1:]
			i = len(words)
		}
	}
	if program == "" {
		return words
	}
	return append([]string{program}, args...)
}

// IsShell reports whether a program of this name takes shell text.
func IsShell(name string) bool {
	switch name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "rbash", "fish":
		return true
	}
	return false
}

// dashC gives the text of sh -c TEXT, also where -c is in a cluster (bash -lc).
func dashC(words []string) string {
	for i := 1; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-o" || w == "+o" || w == "-O" || w == "+O" || w == "--rcfile" || w == "--init-file":
			i++
		case strings.HasPrefix(w, "--"):
		case len(w) > 1 && w[0] == '-':
			if strings.Contains(w, "c") {
				for _, text := range words[i+1:] {
					if !strings.HasPrefix(text, "-") {
						return text
					}
				}
				return ""
			}
		default:
			return ""
		}
	}
	return ""
}

// Interpreted says what an interpreter's command line tells it to run.
type Interpreted struct {
	Kind string // family of the interpreter, as InterpreterKind names it
	File string // the script file
	Code string // the program in an option (python -c CODE)
	// Input is true when the program comes on standard input.
	Input bool
}

// codeOptions and valueOptions are, by interpreter family, the one-letter options that hold
// program text and those that take another value.
var (
	codeOptions  = map[string]string{"sh": "c", "python": "cm", "perl": "eE", "ruby": "e", "php": "rBRE", "node": "ep", "lua": "e"}
	valueOptions = map[string]string{"sh": "oO", "python": "WX", "perl": "MmI", "ruby": "rIC", "php": "dcz", "node": "r", "lua": "l"}
)

// Interpreted tells what the command runs when its program is an interpreter, or is the
// shell's own "." or source.
func (c *ShellCommand) Interpreted() (in Interpreted, ok bool) {
	if len(c.Words) == 0 {
		return in, false
	}
	name := path.Base(c.Words[0])
	if c.Words[0] == "." || name == "source" {
		if len(c.Words) > 1 {
			in.File = c.Words[1]
		}
		in.Kind = "sh"
		return in, in.File != ""
	}
	if in.Kind = InterpreterKind(name); in.Kind == "" {
		return in, false
	}
	code, values := codeOptions[in.Kind], valueOptions[in.Kind]
	for i := 1; i < len(c.Words); i++ {
		w := c.Words[i]
		switch {
		case w == "-" || in.Kind == "sh" && w == "-s":
			in.Input = true
			return in, true
		case w == "--" || w == "-f" && in.Kind == "php":
		case strings.HasPrefix(w, "--") || w == "":
		case w[0] != '-' && (w[0] != '+' || in.Kind != "sh"):
			in.File = w
			return in, true
		case len(w) > 1 && strings.IndexByte(values, w[1]) >= 0:
			if len(w) == 2 {
				i++
			}
		case strings.ContainsAny(w[1:], code):
			in.Code = strings.Join(c.Words[i+1:], " ")
			if at := strings.IndexAny(w[1:], code); len(w) > at+2 && in.Kind != "sh" {
				in.Code = w[at+2:] + " " + in.Code
			}
			return in, true
		}
	}
	in.Input = true
	return in, true
}

// InterpreterKind names the family of an interpreter program ("sh", "python", "perl", "ruby",
// "php", "node", "lua"), "" for other programs.
func InterpreterKind(name string) string {
	if IsShell(name) {
		return "sh"
	}
	stem := strings.TrimRight(name, "0123456789.-")
	switch stem {
	case "python", "perl", "ruby", "php", "node", "lua":
		return stem
	case "nodejs":
		return "node"
	case "luajit", "texlua":
		return "lua"
	case "pypy", "micropython":
		return "python"
	}
	return ""
}
