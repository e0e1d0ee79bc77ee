package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Protection is an installed service that guards the device.
type Protection struct {
	Name   string `expr:"name" json:"name" doc:"unit"`
	State  string `expr:"state" json:"state" doc:"enabled, disabled or masked"`
	Preset bool   `expr:"preset" json:"preset" doc:"its package or the vendor's preset switches it on"`
	Where  string `expr:"where" json:"-" doc:"unit file, or link that masks it"`
}

var protectionUnits = []string{"auditd.service", "apparmor.service", "usbguard.service", "fail2ban.service", "clamav-daemon.service", "clamav-freshclam.service",
	"ufw.service", "firewalld.service", "nftables.service", "dailyaidecheck.timer", "aidecheck.timer", "falcon-sensor.service", "mdatp.service",
	"wazuh-agent.service", "osqueryd.service", "opensnitch.service", "crowdsec.service", "suricata.service", "sssd-kcm.service", "picket.service"}

func protectionsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "protections", Doc: "installed services that guard the device", Row: Protection{},
		Reads: scanner.Reads{
			Globs: []string{"/usr/lib/systemd/system-preset/*.preset", "/etc/systemd/system-preset/*.preset", "/etc/systemd/system/*.wants/*",
				"/var/lib/systemd/deb-systemd-helper-enabled/*.wants/*"},
			Meta: []string{"/usr/lib/systemd/system/*", "/lib/systemd/system/*", "/etc/systemd/system/*"},
		},
		Collect: collectProtections,
	}
}

func collectProtections(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	rows := []Protection{}
	presets := r.presets()
	for _, unit := range protectionUnits {
		places := []string{"/usr/lib/systemd/system/" + unit, "/lib/systemd/system/" + unit}
		i := slices.IndexFunc(places, func(p string) bool { return r.exists(p) })
		if i < 0 {
			continue
		}
		p := Protection{Name: unit, State: "disabled", Where: places[i]}
		if to, err := r.fs.Readlink("/etc/systemd/system/" + unit); err == nil && to == "/dev/null" {
			p.State, p.Where = "masked", "/etc/systemd/system/"+unit
		} else if r.wanted(unit) || r.exists("/etc/systemd/system/"+unit) {
			p.State = "enabled"
		}
		// Debian notes which links its packages made; a link that was taken away since was
		// taken away by somebody. Elsewhere the presets tell.
		p.Preset = len(r.glob("/var/lib/systemd/deb-systemd-helper-enabled/*.wants/"+unit)) > 0 || presets[unit]
		rows = append(rows, p)
	}
	t.Rows = rows
	return t
}

// presets tells the units that preset files switch on by name.
func (r *treeReader) presets() map[string]bool {
	on := map[string]bool{}
	decided := map[string]bool{}
	for _, name := range append(r.glob("/etc/systemd/system-preset/*.preset"), r.glob("/usr/lib/systemd/system-preset/*.preset")...) {
		for _, d := range parse.Directives(r.file(name)) {
			unit := d.Arg(0)
			if !decided[unit] && !strings.Contains(unit, "*") { // the first line counts
				decided[unit], on[unit] = true, d.Words[0] == "enable"
			}
		}
	}
	return on
}
