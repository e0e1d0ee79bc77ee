package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// MACSetting is one setting of mandatory access control.
type MACSetting struct {
	Kind      string `expr:"kind" json:"kind" doc:"lsm (what the running kernel does), config (a file) or cmdline (boot command line)"`
	Name      string `expr:"name" json:"name" doc:"apparmor, selinux, none, or the setting"`
	State     string `expr:"state" json:"state" doc:"on, off, or the value"`
	Weak      bool   `expr:"weak" json:"weak" doc:"the setting switches it off or makes it only watch"`
	DefaultOn bool   `expr:"default_on" json:"default_on" doc:"the distribution has it on by default"`
	Where     string `expr:"where" json:"-" doc:"file and line"`
}

// MACProfile is one AppArmor profile that was put aside or made only to watch.
type MACProfile struct {
	Name     string `expr:"name" json:"name" doc:"profile"`
	Change   string `expr:"change" json:"change" doc:"disabled or complain"`
	Weakened bool   `expr:"weakened" json:"weakened" doc:"no package made the change"`
	Path     string `expr:"path" json:"path" doc:"link that makes the change"`
	Where    string `expr:"where" json:"-" doc:"link"`
	scanner.Unread
}

// macDefaults are distributions that switch a security module on by default.
var macDefaults = map[string]string{"debian": "apparmor", "ubuntu": "apparmor", "opensuse-leap": "apparmor", "sles": "apparmor", "fedora": "selinux",
	"rhel": "selinux", "centos": "selinux", "rocky": "selinux", "almalinux": "selinux", "ol": "selinux", "amzn": "selinux", "android": "selinux"}

var bootFiles = []string{"/etc/default/grub", "/etc/default/grub.d/*.cfg", "/boot/cmdline.txt", "/boot/firmware/cmdline.txt", "/boot/extlinux/extlinux.conf",
	"/boot/loader/entries/*.conf", "/etc/kernel/cmdline"}

func macSettingsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "mac_settings", Doc: "settings of mandatory access control", Row: MACSetting{},
		Reads: scanner.Reads{Globs: concat([]string{"/etc/selinux/config"}, bootFiles)}, Needs: []string{"os", "kernel"}, Collect: collectMACSettings,
	}
}

func collectMACSettings(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	rows := []MACSetting{}
	usual := ""
	if os, _ := scanner.Rows[scanner.OS](in, "os"); len(os) > 0 {
		usual = macDefaults[os[0].ID]
	}
	if kernel, why := scanner.Rows[Kernel](in, "kernel"); why == "" && len(kernel) > 0 && in.Device.Identity().Live {
		rows = append(rows, runningMAC(kernel[0], usual))
		if len(kernel[0].Unread.Unread) > 0 && rows[0].State == "off" {
			rows = nil
			t.Partial = append(t.Partial, "the kernel's security modules could not be read")
		}
	}
	if e, ok := parse.Assignments(r.file("/etc/selinux/config")).Find("", "SELINUX"); ok && usual == "selinux" {
		rows = append(rows, MACSetting{Kind: "config", Name: "SELINUX", State: e.Value, Weak: e.Value == "disabled" || e.Value == "permissive", DefaultOn: true, Where: at("/etc/selinux/config", e.Line)})
	}
	for _, name := range r.glob(bootFiles...) {
		for _, p := range bootParameters(r.file(name)) {
			if slices.Contains([]string{"apparmor=0", "selinux=0", "enforcing=0", "security=none", "lsm="}, p.Value) {
				rows = append(rows, MACSetting{Kind: "cmdline", Name: p.Value, State: "off", Weak: true, DefaultOn: usual != "", Where: at(name, p.Line)})
			}
		}
	}
	t.Rows = rows
	return t
}

func runningMAC(k Kernel, usual string) MACSetting {
	row := MACSetting{Kind: "lsm", Name: "none", State: "off", DefaultOn: usual != "", Where: "/sys/kernel/security/lsm"}
	switch {
	case k.SELinux == "enforcing":
		row.Name, row.State = "selinux", "on"
	case k.SELinux == "permissive":
		row.Name, row.State, row.Weak = "selinux", "permissive", true
	case k.AppArmor || slices.Contains(k.LSM, "apparmor"):
		row.Name, row.State = "apparmor", "on"
	case slices.Contains(k.LSM, "smack"), slices.Contains(k.LSM, "tomoyo"):
		row.Name, row.State = "smack or tomoyo", "on"
	case usual != "":
		row.Name = usual
	}
	return row
}

// bootParameters takes the words of boot command lines out of the files that hold them.
func bootParameters(b []byte) []parse.Setting {
	var out []parse.Setting
	for _, d := range parse.Directives(b) {
		line := strings.Join(d.Words, " ")
		if k, v, ok := strings.Cut(d.Words[0], "="); ok && strings.HasPrefix(k, "GRUB_CMDLINE_LINUX") {
			line = v
		} else if strings.HasPrefix(d.Words[0], "GRUB_") {
			continue
		}
		for _, w := range strings.Fields(line) {
			out = append(out, parse.Setting{Value: w, Line: d.Line})
		}
	}
	return out
}

func macProfilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "mac_profiles", Doc: "AppArmor profiles that were put aside", Row: MACProfile{},
		Reads: scanner.Reads{Globs: []string{"/etc/apparmor.d/disable/*", "/etc/apparmor.d/force-complain/*"}}, Needs: []string{"packages"}, Collect: collectMACProfiles,
	}
}

// shippedDisabled are profiles that the distribution's own packages put aside when they are set
// up, without listing the link.
var shippedDisabled = []string{"usr.sbin.rsyslogd", "usr.bin.firefox", "usr.bin.thunderbird", "usr.bin.evince"}

func collectMACProfiles(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r, own := newReader(in, &t), ownershipOf(in)
	rows := []MACProfile{}
	for _, name := range r.glob("/etc/apparmor.d/disable/*", "/etc/apparmor.d/force-complain/*") {
		row := MACProfile{Name: path.Base(name), Change: "disabled", Path: name, Where: name}
		if strings.Contains(name, "force-complain") {
			row.Change = "complain"
		}
		_, owned, unknown := own.of(name)
		row.Weakened = !owned && !slices.Contains(shippedDisabled, row.Name)
		if unknown != "" && row.Weakened {
			row.MarkUnread("weakened", unknown)
		}
		rows = append(rows, row)
	}
	t.Rows = rows
	return t
}
