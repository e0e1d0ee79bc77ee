package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Console is one way to a shell or a login on the device itself: a screen, a serial port, the
// boot loader.
type Console struct {
	Kind    string `expr:"kind" json:"kind" doc:"inittab, getty, debug-shell (a unit that gives a root shell), cmdline (of the kernel) or ttylogin (OpenWrt)"`
	Path    string `expr:"path" json:"path" doc:"the file"`
	Shell   bool   `expr:"shell" json:"shell" doc:"a root shell without any question"`
	Account string `expr:"account" json:"account,omitempty" doc:"account that is logged in without a password"`
	Unit    string `expr:"unit" json:"unit,omitempty" doc:"systemd unit"`
	Text    string `expr:"text" json:"text" doc:"the line, at most 200 bytes"`
	Where   string `expr:"where" json:"where" doc:"file and line"`
}

var cmdlineFiles = []string{"/proc/cmdline", "/etc/default/grub", "/etc/default/grub.d/*.cfg", "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/cmdline.txt",
	"/boot/firmware/cmdline.txt", "/boot/extlinux/extlinux.conf", "/extlinux/extlinux.conf", "/etc/kernel/cmdline", "/boot/loader/entries/*.conf", "/etc/kernel-cmdline.d/*"}

func consolesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "consoles", Doc: "logins and shells at the device itself: gettys, inittab, debug shells, kernel command line", Row: Console{},
		Reads: scanner.Reads{Globs: concat([]string{"/etc/inittab", "/etc/config/system"}, cmdlineFiles)},
		Needs: []string{"systemd_units"}, Collect: collectConsoles,
	}
}

type consoleReader struct {
	*treeReader
	rows []Console
}

func collectConsoles(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	c := &consoleReader{treeReader: newReader(in, t)}
	for _, e := range parse.Inittab(c.file("/etc/inittab")) {
		c.inittab(e)
	}
	units, why := scanner.Rows[SystemdUnit](in, "systemd_units")
	if why != "" {
		t.Partial = append(t.Partial, "systemd units: "+why)
	}
	c.units(units)
	for _, name := range c.glob(cmdlineFiles...) {
		c.cmdline(name)
	}
	t.Rows = c.rows
	return *t
}

// inittab adds what an entry of inittab starts on a console.
func (c *consoleReader) inittab(e parse.InittabEntry) {
	switch e.Action {
	case "respawn", "askfirst", "respawnlate", "askfirstlate", "askconsole", "askconsolelate", "once", "wait", "ondemand":
	default:
		return
	}
	const name = "/etc/inittab"
	line := strings.TrimLeft(e.Command, "-@+ ")
	row := Console{Kind: "inittab", Path: name, Text: shown(e.Command), Where: at(name, e.Line)}
	for _, p := range parse.ShellRuns(line) {
		cmd := &p.Commands[len(p.Commands)-1]
		program := path.Base(cmd.Program())
		in, interpreter := cmd.Interpreted()
		switch {
		case interpreter && in.Kind == "sh" && in.File == "" && in.Code == "" && e.Action != "once" && e.Action != "wait":
			row.Shell = true
		case program == "login.sh" && strings.HasPrefix(e.Action, "ask"):
			c.ttyLogin(e)
			return
		case program == "login":
			row.Account = optionValue(cmd.Words, "-f", "")
		case strings.HasSuffix(program, "getty"):
			row.Account = autologin(cmd.Words)
			login := optionValue(cmd.Words, "-l", "--login-program")
			row.Shell = parse.IsShell(path.Base(login)) && slices.ContainsFunc(cmd.Words, func(w string) bool { return w == "-n" || w == "--skip-login" || w == "-nl" })
		default:
			continue
		}
		c.rows = append(c.rows, row)
		return
	}
}

// ttyLogin adds OpenWrt's console, which asks for a password only when the option ttylogin
// says so.
func (c *consoleReader) ttyLogin(e parse.InittabEntry) {
	row := Console{Kind: "ttylogin", Path: "/etc/inittab", Shell: true, Text: shown(e.Command), Where: at("/etc/inittab", e.Line)}
	for _, s := range parse.UCI(c.file("/etc/config/system")) {
		if s.Type == "system" && s.On("ttylogin") {
			row.Shell = false
		}
	}
	c.rows = append(c.rows, row)
}

// autologin gives the account that a getty logs in by itself.
func autologin(words []string) string { return optionValue(words, "-a", "--autologin") }

// optionValue gives the value of an option, as the next word or behind "=" or the letter.
func optionValue(words []string, short, long string) string {
	for i, w := range words {
		switch {
		case (w == short || w == long && long != "") && i+1 < len(words):
			return words[i+1]
		case long != "" && strings.HasPrefix(w, long+"="):
			return w[len(long)+1:]
		case strings.HasPrefix(w, short) && len(w) > len(short) && w[1] != '-':
			return w[len(short):]
		}
	}
	return ""
}

// units adds gettys that log somebody in by themselves, and units that give a shell.
func (c *consoleReader) units(units []SystemdUnit) {
	masked := map[string]bool{}
	for i := range units {
		if units[i].Kind == "masked" {
			masked[units[i].Unit] = true
		}
	}
	for i := range units {
		u := &units[i]
		row := Console{Path: u.Path, Unit: u.Unit, Text: u.Text, Where: u.Where}
		switch {
		case u.Scope != "system" || masked[u.Unit]:
		case u.Kind == "enabled" && (u.Unit == "debug-shell.service" || u.Unit == "console-shell.service"):
			row.Kind, row.Shell, row.Text = "debug-shell", true, u.Unit+" is enabled"
			c.rows = append(c.rows, row)
		case u.What == "command" && u.Setting == "ExecStart" && strings.Contains(u.Command, "getty"):
			for _, p := range parse.ShellRuns(u.Command) {
				row.Kind, row.Account = "getty", autologin(p.Commands[0].Words)
				c.rows = append(c.rows, row)
				break
			}
		}
	}
}

// cmdline adds a kernel command line that asks for a shell.
func (c *consoleReader) cmdline(name string) {
	for n, line := range strings.Split(string(c.upTo(name, maxSmallFile)), "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		shell, found := false, false
		for _, word := range strings.FieldsFunc(trimmed, func(r rune) bool { return r == ' ' || r == '\t' || r == '"' || r == '\'' }) {
			switch key, value, _ := strings.Cut(word, "="); {
			case key == "init" || key == "rdinit":
				found = true
				shell = shell || parse.IsShell(path.Base(value)) || path.Base(value) == "busybox"
			case key == "rd.break" || key == "systemd.debug_shell" || key == "systemd.debug-shell":
				found, shell = true, shell || value != "0" && value != "no"
			}
		}
		if found {
			c.rows = append(c.rows, Console{Kind: "cmdline", Path: name, Shell: shell, Text: shown(trimmed), Where: at(name, n+1)})
		}
	}
}
