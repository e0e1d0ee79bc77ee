package facts

import (
	"context"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

var (
	aptHookGlobs  = []string{"/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*"}
	dpkgHookGlobs = []string{"/etc/dpkg/dpkg.cfg", "/etc/dpkg/dpkg.cfg.d/*"}
	hookGlobs     = []string{"/etc/apk/commit_hooks.d/*", "/etc/pacman.d/hooks/*", "/usr/share/libalpm/hooks/*.hook", "/etc/dnf/plugins/*", "/etc/yum/pluginconf.d/*",
		"/etc/dnf/libdnf5-plugins/*", "/usr/lib/zypp/plugins/*/*", "/usr/lib/opkg/intercept/*"}
)

func packageHooksCollector() scanner.Collector {
	return scanner.Collector{
		Table: "package_hooks", Doc: "commands and files that package managers run when packages change", Row: Autorun{},
		Reads: scanner.Reads{Globs: concat(aptHookGlobs, dpkgHookGlobs, hookGlobs), Meta: everyProgram()}, Needs: []string{"packages"},
		Collect: collectPackageHooks,
	}
}

func collectPackageHooks(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := newAutoruns(in, t)
	for _, name := range a.glob(aptHookGlobs...) {
		a.aptHooks(name)
	}
	for _, name := range a.glob(dpkgHookGlobs...) {
		a.dpkgHooks(name)
	}
	a.scripts("hook", "root", hookGlobs...)
	return a.done(t)
}

func (a *autoruns) aptHooks(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.p.origin(name, b)
	told := false
	for _, s := range parse.AptConf(b) {
		key := strings.ToLower(s.Key)
		if !strings.Contains(key, "-invoke") && !strings.HasSuffix(key, "pre-install-pkgs") && !strings.Contains(key, "pre-install-pkgs::") {
			continue
		}
		if !told {
			told = true
			a.file("apt", name, "root", b, info)
		}
		a.command("apt", name, "root", s.Value, s.Line, o)
	}
}

func (a *autoruns) dpkgHooks(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.p.origin(name, b)
	told := false
	for _, l := range parse.ListFile(b, "") {
		key, value, ok := strings.Cut(l.Text, "=")
		switch key = strings.TrimSpace(key); {
		case !ok || key != "pre-invoke" && key != "post-invoke" && key != "status-logger":
			continue
		case !told:
			told = true
			a.file("dpkg", name, "root", b, info)
		}
		a.command("dpkg", name, "root", strings.Trim(strings.TrimSpace(value), `"'`), l.Line, o)
	}
}
