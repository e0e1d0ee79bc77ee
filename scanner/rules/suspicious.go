package rules

import (
	"path"
	"slices"
	"strings"

	"picket/scanner/parse"
)

// suspicious says in a few words why a command line looks like what intruders leave behind,
// or "" when it does not. It judges programs at command position only: what a command merely
// names among its arguments (find /tmp -mtime, [ -e /tmp/x ]) is no ground.
func suspicious(cmd string) string {
	for _, p := range parse.ShellRuns(cmd) {
		if why := suspiciousPipeline(p); why != "" {
			return why
		}
	}
	return ""
}

func suspiciousPipeline(p parse.ShellPipeline) string {
	for i := range p.Commands {
		c := &p.Commands[i]
		for _, test := range []func(*parse.ShellCommand) string{dropped, preloads, networkShell, inlineSocket, substituted} {
			if why := test(c); why != "" {
				return why
			}
		}
	}
	return piped(p.Commands)
}

// writableDirs are folders that every program may write to.
var writableDirs = []string{"/tmp", "/var/tmp", "/dev/shm", "/run/user", "/run/lock", "/var/lock", "/var/run/user", "/dev/mqueue"}

func anyoneWrites(p string) bool {
	for _, d := range writableDirs {
		if len(p) > len(d) && under(p, d) {
			return true
		}
	}
	return false
}

// dropped judges where the program, or the script that an interpreter is given, lies.
func dropped(c *parse.ShellCommand) string {
	program, sourced := c.Program(), false
	if in, ok := c.Interpreted(); ok {
		if why := placed(program); why != "" {
			return why
		}
		if in.File == "" {
			return ""
		}
		sourced = program == "." || path.Base(program) == "source"
		program = in.File
	}
	if sourced && homeDotFile(program) {
		return ""
	}
	return placed(program)
}

// placed judges the place of a program file.
func placed(program string) string {
	if !strings.Contains(program, "/") {
		return ""
	}
	clean := program
	if strings.HasPrefix(program, "/") {
		clean = path.Clean(program)
	}
	if anyoneWrites(clean) {
		return "runs a file from a folder that every program may write to"
	}
	if !strings.Contains(program, "$(") && !strings.Contains(program, "`") && hiddenProgram(clean) {
		return "runs a hidden file"
	}
	return ""
}

// hiddenProgram reports whether a program's file is hidden, or lies in a hidden folder of the
// system. Hidden folders of homes are where many honest programs live.
func hiddenProgram(p string) bool {
	if hiddenName(path.Base(p)) {
		return true
	}
	if !under(p, "/usr") && !under(p, "/etc") && !under(p, "/bin") && !under(p, "/sbin") && !under(p, "/dev") &&
		!strings.HasPrefix(p, "/lib") {
		return false
	}
	return slices.ContainsFunc(strings.Split(p, "/"), hiddenName)
}

func hiddenName(name string) bool {
	return len(name) > 1 && name[0] == '.' && name != ".."
}

// homeDotFile reports whether p is a file that people have their start-up files read: any one
// named from the home, and those of usual names.
func homeDotFile(p string) bool {
	name := path.Base(p)
	for _, home := range []string{"~/", "$HOME/", "${HOME}/", "$ZDOTDIR/"} {
		if p == home+name {
			return true
		}
	}
	for _, prefix := range []string{".bash", ".zsh", ".profile", ".sh", ".ksh", ".mksh", ".alias", ".env", ".export", ".func",
		".git-", ".fzf", ".p10k", ".iterm2", ".local", ".login", ".xinitrc", ".xprofile", ".xsession", ".Xsession", ".dircolors",
		".extra", ".path", ".selected_editor", ".cshrc", ".tcsh", ".travis"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// preloads finds libraries pushed into the programs that follow.
func preloads(c *parse.ShellCommand) string {
	vars := c.Assign
	if name := c.Program(); name == "export" || name == "setenv" || name == "declare" || name == "typeset" {
		vars = append(slices.Clip(vars), c.Words[1:]...)
	}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case value == "":
		case name == "LD_PRELOAD" || name == "LD_AUDIT":
			return "pushes a library into other programs (" + name + ")"
		case name == "LD_LIBRARY_PATH" && slices.ContainsFunc(strings.Split(value, ":"), func(d string) bool { return anyoneWrites(d + "/x") }):
			return "lets programs load libraries from a folder that every program may write to"
		}
	}
	return ""
}

// networkShell finds a shell or a program bound to a network connection.
func networkShell(c *parse.ShellCommand) string {
	duplicates := 0
	for _, r := range c.Redirects {
		if strings.HasPrefix(r.Target, "/dev/tcp/") || strings.HasPrefix(r.Target, "/dev/udp/") {
			return "connects the shell to the network (/dev/tcp)"
		}
		if (r.Op == ">&" || r.Op == "<&") && r.Target != "1" && r.Target != "2" && r.Target != "-" {
			duplicates++
		}
	}
	args := c.Words
	if len(args) == 0 {
		return ""
	}
	args = args[1:]
	switch name := path.Base(c.Program()); {
	case name == "nc" || name == "ncat" || name == "netcat" || strings.HasPrefix(name, "nc."):
		if slices.ContainsFunc(args, netcatRuns) {
			return "hands a program to the network (" + name + ")"
		}
	case name == "socat" || name == "socat1":
		if slices.ContainsFunc(args, func(a string) bool {
			kind, _, _ := strings.Cut(strings.ToUpper(a), ":")
			return kind == "EXEC" || kind == "SYSTEM" || kind == "SHELL"
		}) {
			return "hands a program to the network (socat)"
		}
	case parse.IsShell(name):
		if duplicates > 0 && slices.ContainsFunc(args, func(a string) bool { return len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Contains(a, "i") }) {
			return "starts an interactive shell on another program's connection"
		}
	}
	return ""
}

// netcatRuns reports whether an argument of netcat tells it to run a program.
func netcatRuns(a string) bool {
	switch {
	case a == "--exec" || a == "--sh-exec" || strings.HasPrefix(a, "--exec=") || strings.HasPrefix(a, "--sh-exec="):
		return true
	case len(a) < 2 || a[0] != '-' || a[1] == '-':
		return false
	}
	return strings.ContainsAny(a, "ec")
}

// inlineSocket finds program text on the command line that talks to the network or unpacks
// more program text.
func inlineSocket(c *parse.ShellCommand) string {
	in, ok := c.Interpreted()
	code := in.Code
	if !ok && strings.HasSuffix(path.Base(c.Program()), "awk") {
		if code = strings.Join(c.Words[1:], " "); strings.Contains(code, "/inet/tcp/") || strings.Contains(code, "/inet/udp/") {
			return "opens a network connection from a program on the command line"
		}
		return ""
	}
	if in.Kind == "sh" || code == "" {
		return ""
	}
	if in.Kind == "perl" {
		code = strings.Join(c.Words[1:], " ") // -MIO::Socket stands before -e
	}
	for _, word := range []string{"socket", "Socket", "fsockopen", "TCPServer", "net.connect", "'net'", "\"net\"", "pty.spawn", "stream_socket"} {
		if strings.Contains(code, word) {
			return "opens a network connection from a program on the command line"
		}
	}
	if (strings.Contains(code, "exec(") || strings.Contains(code, "eval(")) &&
		(strings.Contains(code, "b64decode") || strings.Contains(code, "base64") || strings.Contains(code, "unhexlify") || strings.Contains(code, "urlopen")) {
		return "unpacks a hidden program and runs it"
	}
	return ""
}

// substituted judges a shell whose program is what other commands print: eval "$(curl ...)",
// sh -c "$(...)", source <(...).
func substituted(c *parse.ShellCommand) string {
	name := path.Base(c.Program())
	runs := c.Program() != "" && (name == "eval" || parse.IsShell(name) || name == "." || name == "source")
	if !runs {
		return ""
	}
	for _, inner := range c.Inner {
		for i := range inner.Commands {
			if why := feeds(&inner.Commands[i]); why != "" {
				return why
			}
		}
	}
	return ""
}

// piped judges a pipeline as a whole: what is downloaded or decoded and then run, and a shell
// that talks to the network.
func piped(cs []parse.ShellCommand) string {
	if len(cs) < 2 {
		return ""
	}
	fed, shell, netcat := "", false, false
	for i := range cs {
		in, ok := cs[i].Interpreted()
		if ok && in.Input {
			if fed != "" {
				return fed
			}
			shell = shell || in.Kind == "sh"
		}
		switch path.Base(cs[i].Program()) {
		case "nc", "ncat", "netcat", "telnet", "socat":
			netcat = true
		case "openssl":
			netcat = netcat || len(cs[i].Words) > 1 && cs[i].Words[1] == "s_client"
		}
		if why := feeds(&cs[i]); why != "" {
			fed = why
		}
	}
	if shell && netcat {
		return "gives a shell to the network"
	}
	return ""
}

// feeds says what is wrong with running what the command prints, or "".
func feeds(c *parse.ShellCommand) string {
	has := func(options ...string) bool {
		return slices.ContainsFunc(c.Words, func(w string) bool { return slices.Contains(options, w) })
	}
	switch name := path.Base(c.Program()); name {
	case "curl", "wget", "fetch", "uclient-fetch", "aria2c", "lynx", "ftpget", "tftp", "GET", "lwp-download":
		return "downloads a program and runs it at once"
	case "base64", "base32", "basenc":
		if has("-d", "-D", "--decode", "-di", "-id") {
			return "unpacks a hidden program and runs it"
		}
	case "xxd":
		if has("-r", "-p -r", "-rp", "-pr") {
			return "unpacks a hidden program and runs it"
		}
	case "uudecode":
		return "unpacks a hidden program and runs it"
	case "openssl":
		if has("-d") {
			return "unpacks a hidden program and runs it"
		}
	}
	return ""
}
