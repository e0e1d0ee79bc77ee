package facts

import (
	"fmt"
	"slices"
	"testing"
)

const openwrtTree = `
-- etc/os-release --
ID="openwrt"
VERSION_ID="23.05.3"
-- usr/lib/opkg/status --
Package: busybox
Version: 1.36.1-1
Depends: libc
Status: install user installed
Architecture: mips_24kc
Conffiles:
 /etc/syslog.conf e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
Installed-Time: 1711066000

Package: gone
Version: 1
Status: deinstall ok not-installed

Package: trimmed
Version: 2-1
Status: install ok installed
Architecture: all

-- usr/lib/opkg/info/busybox.control --
Package: busybox
Version: 1.36.1-1
Source: package/utils/busybox
Maintainer: Some One <some@example.org>
Installed-Size: 245760
Description: Small tools
-- usr/lib/opkg/info/busybox.list --
/bin/busybox	0104755
/bin/sh	0120777	busybox
/etc/syslog.conf
`

func TestOpkgInventoryAndOwners(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, openwrtTree)
	same(t, "packages", packageIDs(t, table), []string{"busybox 1.36.1-1 installed", "trimmed 2-1 installed"})
	rows := packageRows(t, table)
	want := Package{ID: "busybox", Name: "busybox", Version: "1.36.1-1", ShortVersion: "1.36.1", Manager: "opkg",
		Arch: "mips_24kc", Source: "package/utils/busybox", BundleSize: 245760, DynamicSize: -1,
		Maintainer: "Some One <some@example.org>", InstallTime: "2024-03-22T00:06:40Z", Scope: "system",
		Status: "installed", Summary: "Small tools",
		PURL: "pkg:opkg/openwrt/busybox@1.36.1-1?arch=mips_24kc&distro=openwrt-23.05.3", Where: "/usr/lib/opkg/status:1"}
	if rows[0] != want {
		t.Errorf("got  %+v\nwant %+v", rows[0], want)
	}
	o := table.Aux.(*Owners)
	for path, want := range map[string]string{
		"/bin/busybox":     "unknown 0 4755 false false",
		"/bin/sh":          "unknown 0 777 true false",
		"/etc/syslog.conf": "sha256 32 -1 false true",
	} {
		w, ok := o.Owner(path)
		if got := fmt.Sprintf("%s %d %o %v %v", w.Algo, len(w.Digest), w.Mode, w.Link, w.Config); !ok || got != want {
			t.Errorf("%s: got %s, %v; want %s", path, got, ok, want)
		}
	}
	if ok, why := o.Complete(); ok || !slices.Equal(why, []string{"no file list of package trimmed"}) {
		t.Errorf("complete %v, %q", ok, why)
	}
}

func TestOpkgInVar(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, "-- etc/os-release --\nID=poky\n-- var/lib/opkg/status --\nPackage: base-files\nVersion: 1:3.0-r0\nStatus: install ok installed\nArchitecture: qemuarm\n\n-- var/lib/opkg/info/base-files.list --\n/etc/motd\n")
	same(t, "packages", packageIDs(t, table), []string{"base-files 1:3.0-r0 installed"})
	if p := packageRows(t, table)[0]; p.ShortVersion != "3.0" || p.BundleSize != -1 || p.Where != "/var/lib/opkg/status:1" {
		t.Errorf("%+v", p)
	}
}
