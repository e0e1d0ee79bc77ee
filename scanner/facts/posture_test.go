package facts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

// gap fails unless the table says that a file could not be read.
func gap(t *testing.T, tab scanner.Table, file string) {
	t.Helper()
	if !strings.Contains(strings.Join(tab.Partial, "; "), file) {
		t.Errorf("gaps %q do not name %s", tab.Partial, file)
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	// The time of reference is 2026-01-01.
	const apt = "-- etc/os-release --\nID=debian\n-- var/lib/dpkg/status mtime=2025-12-12T00:00:00Z --\n-- var/lib/apt/lists/deb_dists_trixie_InRelease mtime=2025-12-29T00:00:00Z --\n"
	for name, tc := range map[string]struct{ tree, want string }{
		"apt, by itself": {apt + "-- usr/bin/unattended-upgrade --\n-- etc/apt/apt.conf.d/20auto --\nAPT::Periodic::Unattended-Upgrade \"1\";\n",
			"apt 3 20 auto=true unattended-upgrades reboot=false held=false /etc/apt/apt.conf.d/20auto:1"},
		"apt, switched off later": {apt + "-- usr/bin/unattended-upgrade --\n-- etc/apt/apt.conf.d/20auto --\nAPT::Periodic::Unattended-Upgrade \"1\";\n" +
			"-- etc/apt/apt.conf.d/99off --\nAPT::Periodic { Unattended-Upgrade \"0\"; };\n",
			"apt 3 20 auto=false  reboot=false held=true /etc/apt/apt.conf.d/99off:1"},
		"apt, nothing to start it": {apt + "-- usr/bin/unattended-upgrade --\n-- usr/lib/systemd/systemd --\n-- etc/apt/apt.conf.d/20auto --\nAPT::Periodic::Unattended-Upgrade \"1\";\n",
			"apt 3 20 auto=false  reboot=false held=true /etc/apt/apt.conf.d/20auto:1"},
		"apt, by hand": {apt + "-- run/reboot-required --\n", "apt 3 20 auto=false  reboot=true held=false /var/lib/dpkg/status"},
		"apk, by cron": {"-- lib/apk/db/installed mtime=2025-06-15T00:00:00Z --\n-- etc/crontabs/root --\n# apk upgrade\n0 3 * * * apk -U upgrade\n",
			"apk -1 200 auto=true /etc/crontabs/root reboot=false held=false /lib/apk/db/installed"},
		"a clock that stood still": {"-- usr/lib/opkg/status mtime=1970-01-02T00:00:00Z --\n", "opkg -1 -1 auto=false  reboot=false held=false /usr/lib/opkg/status"},
		"dnf":                      {"-- var/lib/rpm/rpmdb.sqlite mtime=2025-12-31T00:00:00Z --\n-- etc/systemd/system/timers.target.wants/dnf-automatic.timer link=/usr/lib/x --\n", "rpm -1 1 auto=true dnf-automatic.timer reboot=false held=false /var/lib/rpm/Packages"},
	} {
		tab := collectLive(t, "updates", tc.tree)
		if len(tab.Rows.([]UpdateState)) != 1 || len(tab.Partial) > 0 {
			t.Errorf("%s: %+v", name, tab)
			continue
		}
		u := tab.Rows.([]UpdateState)[0]
		if got := fmt.Sprintf("%s %d %d auto=%v %s reboot=%v held=%v %s", u.Manager, u.RefreshDays, u.InstallDays, u.Automatic, u.Mechanism, u.RebootRequired, u.Held, u.Where); got != tc.want {
			t.Errorf("%s: %s\nwant %s", name, got, tc.want)
		}
	}
	gap(t, collectLive(t, "updates", apt+"-- usr/bin/unattended-upgrade --\n-- etc/apt/apt.conf.d/20auto denied --\n"), "/etc/apt/apt.conf.d/20auto")
	if tab := collectLive(t, "updates", "-- etc/passwd --\n"); tab.Absent == "" {
		t.Errorf("without any manager: %+v", tab)
	}
}

func TestRepoKeys(t *testing.T) {
	t.Parallel()
	tree := packaged + "/etc/apt/trusted.gpg.d/debian.asc\n-- etc/apt/trusted.gpg.d/debian.asc --\nabc\n-- etc/apt/trusted.gpg.d/vendor.gpg --\nabc\n" +
		"-- etc/apt/trusted.gpg.d/vendor.gpg~ --\nabc\n-- etc/apt/trusted.gpg --\n-- etc/apt/keyrings/one-source.gpg --\nabc\n-- etc/apk/keys/a.rsa.pub --\nabc\n"
	rows := rowsBy(t, collectLive(t, "repo_keys", tree), func(k *RepoKey) string { return k.Manager + " " + k.Path })
	const sum = "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb"
	if len(rows) != 3 || !rows["apt /etc/apt/trusted.gpg.d/debian.asc"].Owned || rows["apt /etc/apt/trusted.gpg.d/vendor.gpg"].Owned || rows["apk /etc/apk/keys/a.rsa.pub"].SHA256 != sum {
		t.Errorf("%v", rows)
	}
	tab := collectLive(t, "repo_keys", packaged+"-- etc/apt/trusted.gpg.d/v.gpg denied --\nabc\n")
	gap(t, tab, "/etc/apt/trusted.gpg.d/v.gpg")
	if rows := tab.Rows.([]RepoKey); len(rows) != 1 || rows[0].Unread.Unread["sha256"] == "" {
		t.Errorf("a key that nobody could read: %+v", rows)
	}
	for _, k := range collectLive(t, "repo_keys", "-- etc/apk/keys/a.rsa.pub --\nabc\n").Rows.([]RepoKey) {
		if k.Unread.Unread["owned"] == "" {
			t.Errorf("without packages nobody knows an owner: %+v", k)
		}
	}
}

func TestProtections(t *testing.T) {
	t.Parallel()
	tree := `-- usr/lib/systemd/system/auditd.service --
-- etc/systemd/system/auditd.service link=/dev/null --
-- usr/lib/systemd/system-preset/90.preset --
enable auditd.service
disable firewalld.service
enable usbguard.service
-- etc/systemd/system-preset/10.preset --
disable usbguard.service
-- lib/systemd/system/ufw.service --
-- var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants/ufw.service --
-- usr/lib/systemd/system/firewalld.service --
-- usr/lib/systemd/system/usbguard.service --
-- usr/lib/systemd/system/apparmor.service --
-- etc/systemd/system/sysinit.target.wants/apparmor.service link=/usr/lib/systemd/system/apparmor.service --
-- usr/lib/systemd/system/cups.service --
`
	got := map[string]string{}
	for name, p := range rowsBy(t, collectLive(t, "protections", tree), func(p *Protection) string { return p.Name }) {
		got[name] = fmt.Sprint(p.State, " ", p.Preset, " ", p.Where)
	}
	want := map[string]string{
		"auditd.service":    "masked true /etc/systemd/system/auditd.service",
		"ufw.service":       "disabled true /lib/systemd/system/ufw.service",
		"firewalld.service": "disabled false /usr/lib/systemd/system/firewalld.service",
		"usbguard.service":  "disabled false /usr/lib/systemd/system/usbguard.service",
		"apparmor.service":  "enabled false /usr/lib/systemd/system/apparmor.service",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	gap(t, collectLive(t, "protections", tree+"-- etc/systemd/system-preset/05.preset denied --\n"), "/etc/systemd/system-preset/05.preset")
}

func TestMACSettings(t *testing.T) {
	t.Parallel()
	const live = "live: yes\n-- probe/uname --\n{\"release\":\"6.1\"}\n-- proc/sys/kernel/tainted --\n0\n-- proc/cmdline --\nquiet\n-- proc/modules --\n-- proc/sys/kernel/modules_disabled --\n0\n" +
		"-- sys/kernel/security/lockdown --\n[none]\n-- sys/devices/system/cpu/vulnerabilities/mds --\nNot affected\n"
	for name, tc := range map[string]struct{ tree, want string }{
		"debian, running": {live + "-- etc/os-release --\nID=debian\n-- sys/kernel/security/lsm --\nlockdown,apparmor\n-- sys/module/apparmor/parameters/enabled --\nY\n",
			"[lsm apparmor on false true /sys/kernel/security/lsm]"},
		"debian, off at boot": {"-- etc/os-release --\nID=debian\n-- etc/default/grub --\n# apparmor=0\nGRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet apparmor=0\"\n",
			"[cmdline apparmor=0 off true true /etc/default/grub:3]"},
		"fedora, watching": {"-- etc/os-release --\nID=fedora\n-- etc/selinux/config --\n# SELINUX=disabled\nSELINUX=permissive\n", "[config SELINUX permissive true true /etc/selinux/config:2]"},
		"fedora, on":       {"-- etc/os-release --\nID=fedora\n-- etc/selinux/config --\nSELINUX=enforcing\n", "[config SELINUX enforcing false true /etc/selinux/config:1]"},
		"alpine, none":     {"-- etc/os-release --\nID=alpine\n-- boot/extlinux/extlinux.conf --\nLABEL x\n  APPEND root=/dev/sda1 security=none\n", "[cmdline security=none off true false /boot/extlinux/extlinux.conf:2]"},
		"debian, its file": {"-- etc/os-release --\nID=debian\n-- etc/selinux/config --\nSELINUX=disabled\n", ""},
	} {
		tab := collectLive(t, "mac_settings", tc.tree)
		var got []string
		for _, s := range tab.Rows.([]MACSetting) {
			got = append(got, fmt.Sprint("[", s.Kind, " ", s.Name, " ", s.State, " ", s.Weak, " ", s.DefaultOn, " ", s.Where, "]"))
		}
		if strings.Join(got, " ") != tc.want || len(tab.Partial) > 0 {
			t.Errorf("%s: %v, %v\nwant %s", name, got, tab.Partial, tc.want)
		}
	}
	gap(t, collectLive(t, "mac_settings", "-- etc/os-release --\nID=fedora\n-- etc/selinux/config denied --\n"), "/etc/selinux/config")
	gap(t, collectLive(t, "mac_settings", "live: yes\n-- etc/os-release --\nID=debian\n-- probe/uname --\n{\"release\":\"6.1\"}\n-- sys/kernel/security/lsm denied --\n"), "security modules")
}

func TestMACProfiles(t *testing.T) {
	t.Parallel()
	tree := packaged + "/etc/apparmor.d/disable/usr.bin.man\n-- etc/apparmor.d/disable/usr.bin.man link=/etc/apparmor.d/usr.bin.man --\n" +
		"-- etc/apparmor.d/disable/usr.sbin.rsyslogd link=/etc/apparmor.d/usr.sbin.rsyslogd --\n-- etc/apparmor.d/disable/usr.sbin.cupsd link=/etc/apparmor.d/usr.sbin.cupsd --\n" +
		"-- etc/apparmor.d/force-complain/usr.sbin.sshd link=/etc/apparmor.d/usr.sbin.sshd --\n-- etc/apparmor.d/usr.sbin.sshd --\n"
	got := map[string]string{}
	for name, p := range rowsBy(t, collectLive(t, "mac_profiles", tree), func(p *MACProfile) string { return p.Name }) {
		got[name] = fmt.Sprint(p.Change, " ", p.Weakened, " ", p.Path)
	}
	want := map[string]string{
		"usr.bin.man":       "disabled false /etc/apparmor.d/disable/usr.bin.man",
		"usr.sbin.rsyslogd": "disabled false /etc/apparmor.d/disable/usr.sbin.rsyslogd",
		"usr.sbin.cupsd":    "disabled true /etc/apparmor.d/disable/usr.sbin.cupsd",
		"usr.sbin.sshd":     "complain true /etc/apparmor.d/force-complain/usr.sbin.sshd",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	gap(t, collectLive(t, "mac_profiles", packaged+"-- etc/apparmor.d/disable/ denied --\n"), "/etc/apparmor.d/disable")
	for _, p := range collectLive(t, "mac_profiles", "-- etc/apparmor.d/disable/x link=/etc/apparmor.d/x --\n").Rows.([]MACProfile) {
		if p.Unread.Unread["weakened"] == "" {
			t.Errorf("without packages nobody knows who did it: %+v", p)
		}
	}
}

func TestCAOverrides(t *testing.T) {
	t.Parallel()
	tree := strings.Replace(packaged, "root:x:0:0::/root:/bin/sh\n", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/bash\n", 1) + `/usr/share/corp/ca.pem
-- usr/share/corp/ca.pem --
x
-- etc/environment --
SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
REQUESTS_CA_BUNDLE=/usr/share/corp/ca.pem
PATH=/bin
-- home/ann/.bashrc --
# export NODE_TLS_REJECT_UNAUTHORIZED=0
export NODE_EXTRA_CA_CERTS=/home/ann/.cache/ca.pem
export NODE_TLS_REJECT_UNAUTHORIZED=0
export GIT_SSL_NO_VERIFY=false
CURL_CA_BUNDLE=
`
	got := map[string]string{}
	for where, o := range rowsBy(t, collectLive(t, "ca_overrides", tree), func(o *CAOverride) string { return o.Where }) {
		got[where] = fmt.Sprint(o.Variable, " ", o.Path, " ", o.Owned, " ", o.Disables, " ", o.Scope)
	}
	want := map[string]string{
		"/etc/environment:1":  "SSL_CERT_FILE /etc/ssl/certs/ca-certificates.crt true false system",
		"/etc/environment:2":  "REQUESTS_CA_BUNDLE /usr/share/corp/ca.pem true false system",
		"/home/ann/.bashrc:2": "NODE_EXTRA_CA_CERTS /home/ann/.cache/ca.pem false false /home/ann",
		"/home/ann/.bashrc:3": "NODE_TLS_REJECT_UNAUTHORIZED 0 false true /home/ann",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	gap(t, collectLive(t, "ca_overrides", tree+"-- home/ann/.profile denied --\n"), "/home/ann/.profile")
	if rows := collectLive(t, "ca_overrides", "-- etc/passwd --\n-- etc/environment --\nPIP_CERT=/x.pem\n").Rows.([]CAOverride); len(rows) != 1 || rows[0].Unread.Unread["owned"] == "" {
		t.Errorf("%+v", rows)
	}
}

func openWays(t *testing.T, tab scanner.Table) (open, closed []string) {
	t.Helper()
	for _, l := range tab.Rows.([]Lockdown) {
		if l.Open {
			open = append(open, l.Name)
		} else {
			closed = append(closed, l.Name)
		}
	}
	return open, closed
}

func TestLockdown(t *testing.T) {
	t.Parallel()
	const kiosk = `-- etc/os-release --
ID=debian
-- usr/bin/cage --
-- usr/lib/systemd/systemd --
-- usr/bin/Xorg --
-- lib/modules/6.1/kernel/drivers/usb/storage/usb-storage.ko --
-- boot/grub/grub.cfg --
set timeout=5
`
	open, closed := openWays(t, collectLive(t, "lockdown", kiosk+`-- usr/bin/xterm --
-- etc/sysctl.d/a.conf --
kernel.sysrq = 1
-- etc/systemd/system/rescue.service.d/x.conf --
[Service]
Environment=SYSTEMD_SULOGIN_FORCE=1
`))
	if got := strings.Join(open, ","); got != "USB devices,boot menu,rescue shell without password,Ctrl-Alt-Del restarts,text consoles,switch away from the screen,SysRq keys,terminal xterm" || len(closed) > 0 {
		t.Errorf("open: %s; closed %v", got, closed)
	}
	shut := kiosk + `password_pbkdf2 root grub.pbkdf2.sha512.1
-- etc/modprobe.d/usb.conf --
install usb-storage /bin/false
-- etc/systemd/system/ctrl-alt-del.target link=/dev/null --
-- etc/systemd/logind.conf.d/k.conf --
[Login]
NAutoVTs=0
-- etc/X11/xorg.conf.d/10.conf --
Section "ServerFlags"
	Option "DontVTSwitch" "true"
EndSection
-- etc/sysctl.d/a.conf --
kernel.sysrq = 0
`
	tab := collectLive(t, "lockdown", shut)
	if open, closed = openWays(t, tab); len(open) > 0 || len(closed) != 6 || tab.Rows.([]Lockdown)[0].Profile != "kiosk" {
		t.Errorf("open: %v; closed %v; %+v", open, closed, tab.Rows)
	}
	// What could close a way and cannot be read leaves the way unjudged.
	for file, way := range map[string]string{"boot/grub/grub.cfg": "boot menu", "etc/modprobe.d/usb.conf": "USB devices", "etc/systemd/logind.conf.d/k.conf": "text consoles",
		"etc/X11/xorg.conf.d/10.conf": "switch away from the screen", "etc/sysctl.d/a.conf": "SysRq keys"} {
		tab := collectLive(t, "lockdown", strings.Replace(shut, file+" --", file+" denied --", 1))
		gap(t, tab, "/"+file)
		if open, closed := openWays(t, tab); slices.Contains(open, way) || slices.Contains(closed, way) {
			t.Errorf("%s unreadable: open %v, closed %v", file, open, closed)
		}
	}
}

func TestImageState(t *testing.T) {
	t.Parallel()
	clean := packaged + "-- bin/sh elf --\nx\n"
	s := collectLive(t, "image_state", clean).Rows.([]ImageState)[0]
	if len(s.Markers)+len(s.TestKeys)+len(s.Mismatches) > 0 || s.VerityExpected != "" || s.Unread.Unread["verity_active"] == "" {
		t.Errorf("clean: %+v", s)
	}
	dev := `live: yes
-- etc/os-release --
ID=debian
VERSION_ID=1-SNAPSHOT
VARIANT_ID=dev
-- etc/passwd --
root::0:0::/root:/bin/sh
-- etc/build --
IMAGE_FEATURES = debug-tweaks
-- etc/default/dropbear --
DROPBEAR_EXTRA_ARGS="-w -B"
-- lib/apk/db/installed --
P:alpine-baselayout
V:3.4-r0
A:x86_64

P:gdbserver
V:1
A:x86_64

-- etc/rauc/ca.cert.pem --
` + certificatePEM(t, "Test Org Root CA", true) + `-- etc/veritytab --
# roots
root /dev/sda1 /dev/sda2 abc
-- proc/cmdline --
quiet
-- sys/class/block/dm-0/dm/uuid --
CRYPT-LUKS2-1
`
	s = collectLive(t, "image_state", dev).Rows.([]ImageState)[0]
	for _, m := range []string{"root has no password", "dropbear lets empty passwords in", "built with debug-tweaks", "os-release says variant dev", "a snapshot build", "package gdbserver"} {
		if !slices.Contains(s.Markers, m) {
			t.Errorf("%q is not among %q", m, s.Markers)
		}
	}
	if len(s.TestKeys) != 1 || len(s.Mismatches) != 1 || s.VerityExpected != "/etc/veritytab:2" || s.VerityActive || s.Where != "/etc/rauc/ca.cert.pem:1" {
		t.Errorf("%+v", s)
	}
	if s = collectLive(t, "image_state", strings.Replace(dev, "CRYPT-LUKS2", "CRYPT-VERITY", 1)).Rows.([]ImageState)[0]; !s.VerityActive {
		t.Errorf("%+v", s)
	}
	gap(t, collectLive(t, "image_state", strings.Replace(dev, "etc/veritytab --", "etc/veritytab denied --", 1)), "/etc/veritytab")
}

func TestSandboxOverrides(t *testing.T) {
	t.Parallel()
	tree := `-- etc/passwd --
ann:x:1000:1000::/home/ann:/bin/bash
-- var/lib/flatpak/overrides/global --
[Context]
filesystems=host;!home;xdg-music:ro;
devices=dri;
-- home/ann/.local/share/flatpak/overrides/org.x.Game --
[Context]
sockets=session-bus;wayland
[Session Bus Policy]
org.freedesktop.Flatpak=talk
org.x.Other=talk
[Environment]
A=1
`
	var got []string
	for _, o := range collectLive(t, "sandbox_overrides", tree).Rows.([]SandboxOverride) {
		got = append(got, fmt.Sprint(o.App, " ", o.Permission, " ", o.Broad, " ", o.Scope, " ", o.Where))
	}
	const mine = "/home/ann/.local/share/flatpak/overrides/org.x.Game:"
	want := []string{
		"global filesystems=host true system /var/lib/flatpak/overrides/global:2", "global filesystems=xdg-music:ro false system /var/lib/flatpak/overrides/global:2",
		"global devices=dri false system /var/lib/flatpak/overrides/global:3", "org.x.Game sockets=session-bus true /home/ann " + mine + "2",
		"org.x.Game sockets=wayland false /home/ann " + mine + "2", "org.x.Game org.freedesktop.Flatpak talk true /home/ann " + mine + "4",
		"org.x.Game org.x.Other talk false /home/ann " + mine + "5", "org.x.Game A=1 false /home/ann " + mine + "7",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	gap(t, collectLive(t, "sandbox_overrides", strings.Replace(tree, "overrides/global --", "overrides/global denied --", 1)), "/var/lib/flatpak/overrides/global")
}

func TestBrowserSettings(t *testing.T) {
	t.Parallel()
	policies := packaged + "/etc/chromium/policies/managed/distro.json\n-- etc/chromium/policies/managed/distro.json --\n{\"ExtensionSettings\":{}, \"ShowHomeButton\":true}\n" +
		"-- etc/opt/chrome/policies/managed/x.json --\n{\"ProxySettings\":{},\"ExtensionInstallForcelist\":[\"a\"]}\n" +
		"-- etc/firefox/policies/policies.json --\n{\"policies\":{\"Certificates\":{\"Install\":[\"/x.pem\"]},\"DisableTelemetry\":true}}\n"
	tree := strings.Replace(processTree("", process(10, `,"exe":"/usr/bin/chromium","args":["chromium","--no-sandbox","--remote-debugging-port=9222","--lang=de"]`),
		process(11, `,"exe":"/usr/bin/chromium","args":["chromium","--type=renderer","--no-sandbox"]`),
		process(12, `,"exe":"/usr/bin/firefox","args":["firefox"]`)), packaged, policies, 1)
	var got []string
	for _, b := range collectLive(t, "browser_settings", tree).Rows.([]BrowserSetting) {
		got = append(got, fmt.Sprint(b.Kind, " ", b.Name, " ", b.Browser, " ", b.Owned))
	}
	want := []string{"policy ExtensionInstallForcelist /etc/opt/chrome/policies/managed false", "policy ProxySettings /etc/opt/chrome/policies/managed false",
		"policy ExtensionSettings /etc/chromium/policies/managed true", "policy Certificates /etc/firefox/policies false",
		"flag --no-sandbox chromium false", "flag --remote-debugging-port chromium false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	gap(t, collectLive(t, "browser_settings", strings.Replace(tree, "policies/policies.json --", "policies/policies.json denied --", 1)), "/etc/firefox/policies/policies.json")
	gap(t, collectLive(t, "browser_settings", strings.Replace(tree, `{"ProxySettings"`, `[{"ProxySettings"`, 1)), "/etc/opt/chrome/policies/managed/x.json")
	gap(t, collectLive(t, "browser_settings", "live: yes\n"+policies), "processes")
}
