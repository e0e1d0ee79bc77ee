package facts

import (
	"context"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

var udevGlobs = []string{"/etc/udev/rules.d/*.rules", "/run/udev/rules.d/*.rules", "/usr/local/lib/udev/rules.d/*.rules", "/usr/lib/udev/rules.d/*.rules", "/lib/udev/rules.d/*.rules"}

func udevCollector() scanner.Collector {
	return scanner.Collector{
		Table: "udev_rules", Doc: "rules of udev and mdev, and the programs that they run", Row: Autorun{},
		Reads: scanner.Reads{Globs: concat(udevGlobs, []string{"/etc/mdev.conf"}), Meta: everyProgram()}, Needs: []string{"packages"},
		Collect: collectUdev,
	}
}

func collectUdev(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := newAutoruns(in, t)
	seen := map[string]bool{}
	for _, name := range a.glob(udevGlobs...) {
		if real := a.p.real(name); !seen[real] {
			seen[real] = true
			a.udev(name)
		}
	}
	a.mdev("/etc/mdev.conf")
	return a.done(t)
}

func (a *autoruns) udev(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file("udev", name, "root", b, info)
	if o.Pristine {
		return
	}
	for _, p := range parse.UdevPrograms(b) {
		command := p.Command
		if !strings.HasPrefix(command, "/") && command != "" { // a name is looked for in udev's own folder
			if own := "/usr/lib/udev/" + command; a.exists(strings.Fields(own)[0]) {
				command = own
			}
		}
		a.command("udev", name, "root", command, p.Line, o)
	}
}

// mdev adds the commands of busybox's mdev.conf: pattern, owner, mode, and at will a command
// behind @, $ or *.
func (a *autoruns) mdev(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file("mdev", name, "root", b, info)
	if o.Pristine {
		return
	}
	for _, l := range parse.ListFile(b, "") {
		if i := strings.IndexAny(l.Text, "@$*"); i > 0 && l.Text[i-1] == ' ' || i > 0 && l.Text[i-1] == '\t' {
			a.command("mdev", name, "root", strings.TrimSpace(l.Text[i+1:]), l.Line, o)
		}
	}
}
