package facts

import (
	"context"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// UpdateState is the one row of the table updates.
type UpdateState struct {
	Manager     string `expr:"manager" json:"manager" doc:"package manager or image updater that keeps the system up to date; empty unknown"`
	RefreshDays int    `expr:"refresh_days" json:"refresh_days" doc:"days since the lists of software were fetched, at the reference time; -1 unknown"`
	InstallDays int    `expr:"install_days" json:"install_days" doc:"days since a package was installed or the image was built, at the reference time; -1 unknown"`
	Automatic   bool   `expr:"automatic" json:"automatic" doc:"security updates are installed without anybody's doing"`
	Mechanism   string `expr:"mechanism" json:"mechanism,omitempty" doc:"what installs them"`
	// Pending counts what the fetched lists have newer, PendingNames names some of it.
	Pending        int      `expr:"pending" json:"pending" doc:"installed packages of which the fetched lists have a newer version: apt's security suites, or opkg's feeds; -1 no such list is there"`
	PendingNames   []string `expr:"pending_names" json:"pending_names,omitempty" doc:"the first of them, sorted"`
	RebootRequired bool     `expr:"reboot_required" json:"reboot_required,omitempty" doc:"an installed update waits for a restart"`
	Held           bool     `expr:"held" json:"held,omitempty" doc:"automatic updates are there and were switched off"`
	Where          string   `expr:"where" json:"-" doc:"file that tells"`
	scanner.Unread
}

// updateManagers are the managers by their databases, with the places that change when lists
// are fetched and when something is installed.
var updateManagers = []struct {
	name             string
	database         []string
	refresh, install []string
}{
	{"apt", []string{"/var/lib/dpkg/status"}, []string{"/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/lists/*InRelease", "/var/lib/apt/lists/partial"}, []string{"/var/lib/dpkg/status", "/var/log/dpkg.log"}},
	{"apk", []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}, []string{"/var/cache/apk/APKINDEX.*", "/etc/apk/cache/APKINDEX.*"}, []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}},
	{"opkg", []string{"/usr/lib/opkg/status", "/var/lib/opkg/status"}, []string{"/var/opkg-lists"}, []string{"/usr/lib/opkg/status", "/var/lib/opkg/status"}},
	{"rpm", []string{"/var/lib/rpm/Packages", "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages.db"},
		[]string{"/var/cache/dnf/*.solv", "/var/cache/libdnf5", "/var/cache/zypp/solv"}, []string{"/var/lib/rpm/Packages", "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages.db"}},
	{"pacman", []string{"/var/lib/pacman/local"}, []string{"/var/lib/pacman/sync/*.db"}, []string{"/var/lib/pacman/local"}},
}

// autoUnits install updates by themselves when something starts them.
var autoUnits = []string{"dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer", "rpm-ostreed-automatic.timer", "transactional-update.timer",
	"mender-updated.service", "mender-client.service", "rauc-hawkbit-updater.service", "swupdate.service", "bootc-fetch-apply-updates.timer", "yum-cron.service"}

func updatesCollector() scanner.Collector {
	globs := []string{"/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*", "/etc/dnf/automatic.conf", "/etc/systemd/system/*.wants/*", "/etc/crontabs/root", "/etc/periodic/*/*"}
	meta := []string{"/usr/bin/unattended-upgrade", "/usr/bin/unattended-upgrades", "/run/reboot-required", "/var/run/reboot-required", "/usr/bin/snap", "/ostree/repo",
		"/etc/systemd/system/apt-daily-upgrade.timer", "/usr/lib/systemd/systemd"}
	for _, m := range updateManagers {
		meta = append(meta, concat(m.database, m.refresh, m.install)...)
	}
	globs, meta = concat(globs, pendingLists), concat(meta, packedLists)
	return scanner.Collector{
		Table: "updates", Doc: "how fresh the system is and what keeps it so, one row", Row: UpdateState{},
		Reads: scanner.Reads{Globs: globs, Meta: meta}, Needs: []string{"packages"}, Collect: collectUpdates,
	}
}

func collectUpdates(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	u := UpdateState{RefreshDays: -1, InstallDays: -1, Where: "/etc"}
	for _, m := range updateManagers {
		if !r.exists(m.database...) {
			continue
		}
		u.Manager, u.Where = m.name, m.database[0]
		u.RefreshDays, u.InstallDays = r.age(in.Options.Now, m.refresh), r.age(in.Options.Now, m.install)
		break
	}
	if u.Manager == "" {
		return scanner.Table{Absent: "no package manager or updater was found"}
	}
	u.automatic(r)
	u.pending(in, r)
	u.RebootRequired = r.exists("/run/reboot-required", "/var/run/reboot-required")
	t.Rows = []UpdateState{u}
	return t
}

// age gives the days since the newest of some files changed, -1 when none tells. Dates before
// 2001 are those of builds without a clock.
func (r *treeReader) age(now time.Time, patterns []string) int {
	var newest time.Time
	for _, name := range r.glob(patterns...) {
		if i, err := r.fs.Stat(name); err == nil && i.ModTime.After(newest) {
			newest = i.ModTime
		}
	}
	if newest.Year() < 2001 {
		return -1
	}
	return max(0, int(now.Sub(newest).Hours())/24)
}

func (u *UpdateState) automatic(r *treeReader) {
	for _, unit := range autoUnits {
		if links := r.glob("/etc/systemd/system/*.wants/" + unit); len(links) > 0 {
			u.Automatic, u.Mechanism = true, unit
			return
		}
	}
	for _, name := range append(r.glob("/etc/periodic/*/*"), "/etc/crontabs/root") {
		for _, d := range parse.Directives(r.file(name)) {
			line := strings.Join(d.Words, " ")
			if strings.Contains(line, "apk upgrade") || strings.Contains(line, "apk -U upgrade") || strings.Contains(line, "sysupgrade") {
				u.Automatic, u.Mechanism = true, name
				return
			}
		}
	}
	u.unattended(r)
}

// unattended reads what Debian and its children do: a program, a switch, and a timer.
func (u *UpdateState) unattended(r *treeReader) {
	if !r.exists("/usr/bin/unattended-upgrade", "/usr/bin/unattended-upgrades") {
		return
	}
	on := false
	for _, name := range r.glob("/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*") {
		for _, e := range parse.AptConf(r.file(name)) {
			if strings.EqualFold(e.Key, "APT::Periodic::Unattended-Upgrade") {
				on = e.Value != "0" && e.Value != ""
				u.Where = at(name, e.Line)
			}
		}
	}
	timer := !r.exists("/usr/lib/systemd/systemd") || len(r.glob("/etc/systemd/system/*.wants/apt-daily-upgrade.timer")) > 0
	u.Automatic, u.Held = on && timer, !(on && timer)
	if u.Automatic {
		u.Mechanism = "unattended-upgrades"
	}
}

// wanted reports whether systemd starts any of the units at boot.
func (r *treeReader) wanted(units ...string) bool {
	return slices.ContainsFunc(units, func(u string) bool { return len(r.glob("/etc/systemd/system/*.wants/"+u)) > 0 })
}
