package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// scriptSet is a folder, or several, whose scripts one mechanism runs.
type scriptSet struct {
	kind     string
	user     string // account that they run as
	patterns []string
}

var networkScripts = []scriptSet{
	{"dispatcher", "root", []string{"/etc/NetworkManager/dispatcher.d/*", "/etc/NetworkManager/dispatcher.d/*/*", "/etc/networkd-dispatcher/*/*"}},
	{"if-up", "root", []string{"/etc/network/if-up.d/*", "/etc/network/if-down.d/*", "/etc/network/if-pre-up.d/*", "/etc/network/if-post-down.d/*"}},
	{"dhcp", "root", []string{"/etc/dhcp/dhclient-enter-hooks.d/*", "/etc/dhcp/dhclient-exit-hooks.d/*", "/etc/dhcp/dhclient-enter-hooks", "/etc/dhcp/dhclient-exit-hooks",
		"/etc/dhcpcd.exit-hook", "/etc/dhcpcd.enter-hook", "/etc/udhcpc/*", "/etc/udhcpc.user", "/usr/share/udhcpc/*"}},
	{"ppp", "root", []string{"/etc/ppp/ip-up", "/etc/ppp/ip-down", "/etc/ppp/ip-up.d/*", "/etc/ppp/ip-down.d/*", "/etc/ppp/ipv6-up.d/*", "/etc/ppp/ipv6-down.d/*"}},
	{"hotplug", "root", []string{"/etc/hotplug.d/*/*"}},
	{"firewall", "root", []string{"/etc/firewall.user", "/etc/firewall4.user"}},
	{"wpa", "root", []string{"/etc/wpa_supplicant/*.sh", "/etc/wpa_action*"}},
}

var loginScripts = []scriptSet{
	{"motd", "root", []string{"/etc/update-motd.d/*"}},
	{"sshrc", "", []string{"/etc/ssh/sshrc", "~/.ssh/rc"}},
	{"xinit", "", []string{"/etc/X11/xinit/xinitrc", "/etc/X11/xinit/xinitrc.d/*", "/etc/X11/xinit/xserverrc"}},
	{"display-manager", "root", []string{"/etc/gdm3/Init/*", "/etc/gdm3/PostLogin/*", "/etc/gdm3/PreSession/*", "/etc/gdm3/PostSession/*",
		"/etc/gdm/Init/*", "/etc/gdm/PostLogin/*", "/etc/gdm/PreSession/*", "/etc/gdm/PostSession/*", "/usr/share/sddm/scripts/*", "/etc/sddm/scripts/*"}},
	{"security", "root", []string{"/etc/security/*.sh", "/etc/security/namespace.init"}},
}

var bootHooks = []scriptSet{
	{"initramfs", "root", []string{"/etc/initramfs-tools/hooks/*", "/etc/initramfs-tools/scripts/*", "/etc/initramfs-tools/scripts/*/*",
		"/usr/share/initramfs-tools/hooks/*", "/usr/share/initramfs-tools/scripts/*", "/usr/share/initramfs-tools/scripts/*/*",
		"/etc/mkinitfs/*", "/etc/mkinitcpio.d/*", "/etc/initcpio/hooks/*", "/etc/initcpio/install/*"}},
	{"dracut", "root", []string{"/usr/lib/dracut/modules.d/*/*.sh", "/etc/dracut.conf.d/*.conf"}},
	{"grub", "root", []string{"/etc/grub.d/*"}},
	{"kernel", "root", []string{"/etc/kernel/postinst.d/*", "/etc/kernel/postrm.d/*", "/etc/kernel/preinst.d/*", "/etc/kernel/prerm.d/*", "/etc/kernel/install.d/*"}},
}

var initScripts = []scriptSet{
	{"rc.local", "root", []string{"/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/rc.local"}},
	{"init.d", "root", []string{"/etc/init.d/*", "/etc/rc.d/init.d/*"}},
	{"local.d", "root", []string{"/etc/local.d/*.start", "/etc/local.d/*.stop"}},
	{"uci-defaults", "root", []string{"/etc/uci-defaults/*"}},
}

func globsOf(sets []scriptSet) []string {
	var out []string
	for _, s := range sets {
		out = append(out, s.patterns...)
	}
	return out
}

// sets adds the scripts of every set. A pattern that starts with ~ is looked for in every home.
func (a *autoruns) sets(sets []scriptSet, users []User) {
	for _, s := range sets {
		for _, p := range s.patterns {
			rest, inHome := strings.CutPrefix(p, "~")
			if !inHome {
				a.scripts(s.kind, s.user, p)
				continue
			}
			for _, u := range accountHomes(users) {
				a.scripts(s.kind, u.Name, u.Home+rest)
			}
		}
	}
}

func networkScriptsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "network_scripts", Doc: "scripts and commands that run when a network comes or goes", Row: Autorun{},
		Reads: scanner.Reads{Globs: concat(globsOf(networkScripts), []string{"/etc/network/interfaces", "/etc/network/interfaces.d/*"}), Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectNetworkScripts,
	}
}

func collectNetworkScripts(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := newAutoruns(in, t)
	a.sets(networkScripts, nil)
	for _, name := range a.glob("/etc/network/interfaces", "/etc/network/interfaces.d/*") {
		a.interfaces(name)
	}
	return a.done(t)
}

// interfaces adds the commands of /etc/network/interfaces (interfaces(5)).
func (a *autoruns) interfaces(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file("interfaces", name, "root", b, info)
	for _, l := range parse.ListFile(b, "") {
		key, command, _ := strings.Cut(l.Text, " ")
		switch key {
		case "up", "pre-up", "post-up", "down", "pre-down", "post-down":
			a.command("interfaces", name, "root", strings.TrimSpace(command), l.Line, o)
		}
	}
}

func bootHooksCollector() scanner.Collector {
	return scanner.Collector{
		Table: "boot_hooks", Doc: "scripts that build or run in the boot loader's menu and the initramfs", Row: Autorun{},
		Reads: scanner.Reads{Globs: globsOf(bootHooks), Meta: everyProgram()}, Needs: []string{"packages"},
		Collect: func(_ context.Context, in *scanner.Input) scanner.Table {
			t := &scanner.Table{}
			a := newAutoruns(in, t)
			a.sets(bootHooks, nil)
			return a.done(t)
		},
	}
}

var loginEnvironments = []string{"/.ssh/environment", "/.pam_environment"}

func loginScriptsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "login_scripts", Doc: "scripts and environment files that take effect when somebody logs in, besides the shell's own", Row: Autorun{},
		Reads: scanner.Reads{Globs: concat(globsOf(loginScripts), []string{"~" + loginEnvironments[0], "~" + loginEnvironments[1]}), Meta: everyProgram()},
		Needs: []string{"users", "packages"}, Collect: collectLoginScripts,
	}
}

func collectLoginScripts(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := newAutoruns(in, t)
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	a.sets(loginScripts, users)
	for _, u := range accountHomes(users) {
		for _, f := range loginEnvironments {
			a.environment(u.Home+f, u.Name)
		}
	}
	return a.done(t)
}

// environment adds the search paths and loader variables of an environment file. In
// pam_env.conf's form the value stands behind DEFAULT= or OVERRIDE=.
func (a *autoruns) environment(name, user string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file("environment", name, user, b, info)
	for _, l := range parse.ListFile(b, "") {
		key := l.Text[:strings.IndexFunc(l.Text+" ", func(r rune) bool { return r == '=' || r == ' ' || r == '\t' })]
		if key == "PATH" || strings.HasPrefix(key, "LD_") {
			value := strings.TrimLeft(l.Text[len(key):], "= \t")
			for _, prefix := range []string{"DEFAULT=", "OVERRIDE="} {
				value = strings.TrimPrefix(value, prefix)
			}
			a.command("environment", name, user, key+"="+strings.Trim(value, `"'`), l.Line, o)
		}
	}
}

func initScriptsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "init_scripts", Doc: "scripts and commands of the boot: rc.local, init.d, local.d, inittab, first-boot defaults", Row: Autorun{},
		Reads: scanner.Reads{Globs: concat(globsOf(initScripts), []string{"/etc/rc?.d/S*", "/etc/rc.d/S*", "/etc/inittab"}), Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectInitScripts,
	}
}

func collectInitScripts(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := newAutoruns(in, t)
	a.sets(initScripts, nil)
	for _, name := range a.glob("/etc/rc?.d/S*", "/etc/rc.d/S*") {
		// Links lead to init.d, whose scripts are read above.
		if info, err := a.fs.Lstat(name); err == nil && info.Mode.IsRegular() {
			a.script("rc.d", name, "root")
		}
	}
	a.inittab("/etc/inittab")
	return a.done(t)
}

func (a *autoruns) inittab(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file("inittab", name, "root", b, info)
	if o.Pristine {
		return
	}
	for _, e := range parse.Inittab(b) {
		a.command("inittab", name, "root", strings.TrimLeft(e.Command, "-@+"), e.Line, o)
	}
}

// skipped are names in folders of scripts that no mechanism runs.
func skipped(name string) bool {
	base := path.Base(name)
	return base == "README" || base == ".placeholder" || strings.HasPrefix(base, ".") || strings.Contains(base, ".dpkg-") ||
		strings.HasSuffix(base, "~") || strings.HasSuffix(base, ".apk-new")
}
