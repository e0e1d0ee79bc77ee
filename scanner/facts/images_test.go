package facts

import (
	"testing"

	"picket/scanner"
)

func TestIdentityFiles(t *testing.T) {
	t.Parallel()
	const fixture = `
-- etc/os-release --
ID=openwrt
-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- etc/ssh/ssh_host_rsa_key mode=0600 --
-----BEGIN RSA PRIVATE KEY-----
-- etc/ssh/ssh_host_dsa_key mode=0600 --
-- etc/uhttpd.key mode=0600 --
binary
-- rom/etc/machine-id --
uninitialized
-- rom/etc/dropbear/dropbear_rsa_host_key mode=0600 --
key
`
	table := tableOf(t, "identity_files", fixture, scanner.Options{})
	got := map[string]string{}
	for _, r := range table.Rows.([]IdentityFile) {
		got[r.Path] = r.Kind + "|" + r.Image
	}
	want := map[string]string{
		"/etc/machine-id":                         "machine id|",
		"/etc/ssh/ssh_host_rsa_key":               "SSH host key|",
		"/rom/etc/dropbear/dropbear_rsa_host_key": "SSH host key|read-only layer /rom",
	}
	for p, w := range want {
		if got[p] != w {
			t.Errorf("%s: got %q, want %q", p, got[p], w)
		}
		delete(got, p)
	}
	if len(got) > 0 || len(table.Partial) > 0 {
		t.Errorf("more: %v, partial %q", got, table.Partial)
	}
}

func TestOverlayFiles(t *testing.T) {
	t.Parallel()
	const fixture = `
-- etc/os-release --
ID=openwrt
-- usr/lib/opkg/status --
Package: dropbear
Version: 1
Status: install user installed
Architecture: all

Package: busybox
Version: 1
Status: install user installed
Architecture: all

-- usr/lib/opkg/info/dropbear.list --
/usr/sbin/dropbear
-- usr/lib/opkg/info/busybox.list --
/bin/busybox
-- rom/bin/busybox elf --
-- rom/usr/sbin/dropbear elf --
-- rom/usr/sbin/old elf --
-- overlay/upper/bin/busybox elf --
changed
-- overlay/upper/usr/sbin/dropbear elf --
newer
-- overlay/upper/usr/lib/opkg/info/dropbear.list --
/usr/sbin/dropbear
-- overlay/upper/usr/sbin/old type=char --
-- overlay/upper/usr/sbin/added elf --
-- overlay/upper/etc/passwd --
`
	table := tableOf(t, "overlay_files", fixture, scanner.Options{})
	got := map[string]OverlayFile{}
	for _, r := range table.Rows.([]OverlayFile) {
		got[r.Path] = r
	}
	if len(got) != 3 || got["/bin/busybox"].Upgraded || !got["/usr/sbin/dropbear"].Upgraded || !got["/usr/sbin/old"].Deleted {
		t.Errorf("got %+v", got)
	}
	if got["/bin/busybox"].Package != "busybox" {
		t.Errorf("busybox belongs to %q", got["/bin/busybox"].Package)
	}
}

func TestOverlayFilesNeedTwoLayers(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "overlay_files", "-- etc/os-release --\nID=debian\n", scanner.Options{})
	if table.Inapplicable == "" {
		t.Errorf("got %+v", table)
	}
}

func TestInstalledKernels(t *testing.T) {
	t.Parallel()
	fixture := func(running string) string {
		return "live: yes\n-- etc/os-release --\nID=debian\n-- probe/uname --\n{\"release\":\"" + running + "\"}\n" +
			"-- lib/modules/6.1.0-18-amd64/modules.dep --\n-- lib/modules/6.1.0-30-amd64/modules.dep --\n-- lib/modules/6.8.0-1-rt/modules.dep --\n"
	}
	table := tableOf(t, "installed_kernels", fixture("6.1.0-18-amd64"), scanner.Options{})
	var newer []string
	for _, k := range table.Rows.([]InstalledKernel) {
		if k.Newer {
			newer = append(newer, k.Release)
		}
	}
	same(t, "newer", newer, []string{"6.1.0-30-amd64"})
	if own := tableOf(t, "installed_kernels", fixture("6.9.0-mine"), scanner.Options{}); own.Inapplicable == "" {
		t.Errorf("a kernel of one's own: %+v", own)
	}
}

func TestNewerKernel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"6.1.0-30-amd64", "6.1.0-18-amd64", true},
		{"6.1.0-9-amd64", "6.1.0-18-amd64", false},
		{"6.1.0-18-amd64", "6.1.0-18-amd64", false},
		{"6.8.0-31-lowlatency", "6.1.0-18-generic", false},
		{"6.6.14-0-lts", "6.1.9-3-lts", true},
		{"6.8.5-301.fc40.x86_64", "6.8.4-300.fc40.x86_64", true},
		{"5.15.0-1053-raspi", "5.15.0-999-raspi", true},
		{"", "6.1", false},
	} {
		if got := newerKernel(c.a, c.b); got != c.want {
			t.Errorf("%s newer than %s: %v", c.a, c.b, got)
		}
	}
}
