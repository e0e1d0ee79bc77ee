package facts

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

const debianTree = `root: yes
-- etc/os-release --
ID=debian
VERSION_ID="12"
-- etc/passwd --
root:x:0:0:root:/root:/bin/bash
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
-- etc/group --
root:x:0:
crontab:x:101:
-- bin link=usr/bin --
-- sbin link=usr/sbin --
-- lib link=usr/lib --
-- usr/bin/dash elf --
-- var/lib/dpkg/status --
Package: cron
Status: install ok installed
Installed-Size: 267
Maintainer: Cron Maintainers <cron@example.org>
Architecture: amd64
Source: cron-source (3.0)
Version: 3.0pl1-162
Conffiles:
 /etc/crontab 8f111d100ea459f68d333d63a8ef2205
 /etc/gone 0123456789abcdef0123456789abcdef obsolete
Description: process scheduling daemon
 Long text.

Package: dash
Status: install ok installed
Installed-Size: 191
Architecture: amd64
Version: 0.5.12-2

Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: libc6
Status: install ok installed
Multi-Arch: same
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u10

Package: libc6
Status: hold ok installed
Multi-Arch: same
Architecture: i386
Source: glibc
Version: 2.36-9+deb12u10

Package: wine
Status: install ok installed
Architecture: i386
Origin: Example Vendor
Version: 1:8.0~repack-4

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: halfway
Status: install reinstreq half-installed
Architecture: all
Version: 2.0

Package: never
Status: unknown ok not-installed
Architecture: amd64

-- var/lib/dpkg/info/cron.list mtime=2024-03-01T10:00:00Z --
/.
/usr
/usr/bin
/usr/bin/crontab
/etc
/etc/crontab
/sbin/cron
/usr/lib/taken
-- var/lib/dpkg/info/cron.md5sums --
00112233445566778899aabbccddeeff  usr/bin/crontab
ffeeddccbbaa99887766554433221100  sbin/cron
-- var/lib/dpkg/info/dash.list --
/.
/bin
/bin/dash
/bin/sh
-- var/lib/dpkg/info/dash.md5sums --
0123456789abcdef0123456789abcdef  bin/dash
-- var/lib/dpkg/info/dpkg.list --
/.
/bin/sh
/usr/bin/dpkg
-- var/lib/dpkg/info/dpkg.md5sums --
11111111111111111111111111111111  bin/sh
22222222222222222222222222222222  usr/lib/taken
-- var/lib/dpkg/info/libc6:amd64.list mtime=2024-03-02T10:00:00Z --
/lib/x86_64-linux-gnu/libc.so.6
-- var/lib/dpkg/info/libc6:i386.list --
/lib/i386-linux-gnu/libc.so.6
-- var/lib/dpkg/info/wine.list --
/usr/bin/wine
-- var/lib/dpkg/info/halfway.list --
/usr/bin/halfway
-- var/lib/dpkg/diversions --
/bin/sh
/bin/sh.distrib
dash
-- var/lib/dpkg/statoverride --
root crontab 2755 /usr/bin/crontab
-- var/lib/dpkg/updates/0001 --
Package: dash
Status: install ok unpacked
Installed-Size: 192
Architecture: amd64
Version: 0.5.12-3

`

func TestDpkgInventory(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, debianTree)
	same(t, "packages", packageIDs(t, table), []string{
		"cron 3.0pl1-162 installed",
		"dash 0.5.12-3 unpacked",
		"dpkg 1.21.22 installed",
		"libc6:amd64 2.36-9+deb12u10 installed",
		"libc6:i386 2.36-9+deb12u10 installed",
		"wine:i386 1:8.0~repack-4 installed",
		"removed 1.0 config-files",
		"halfway 2.0 half-installed",
	})
	if len(table.Partial) > 0 {
		t.Errorf("partial %q", table.Partial)
	}
	rows := packageRows(t, table)
	want := Package{ID: "cron", Name: "cron", Version: "3.0pl1-162", ShortVersion: "3.0pl1", Manager: "dpkg",
		Arch: "amd64", Source: "cron-source", BundleSize: 267 * 1024, DynamicSize: -1,
		Maintainer: "Cron Maintainers <cron@example.org>", InstallTime: "2024-03-01T10:00:00Z", Scope: "system",
		Status: "installed", Summary: "process scheduling daemon",
		PURL: "pkg:deb/debian/cron@3.0pl1-162?arch=amd64&distro=debian-12", Where: "/var/lib/dpkg/status:1"}
	if rows[0] != want {
		t.Errorf("got  %+v\nwant %+v", rows[0], want)
	}
	if w := rows[5]; w.Origin != "Example Vendor" || w.ShortVersion != "8.0~repack" || w.BundleSize != -1 {
		t.Errorf("wine: %+v", w)
	}
	if rows[3].InstallTime != "2024-03-02T10:00:00Z" {
		t.Errorf("libc6:amd64 installed %q", rows[3].InstallTime)
	}
}

func TestDpkgOwners(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, debianTree)
	rows, o := packageRows(t, table), table.Aux.(*Owners)
	describe := func(path string) string {
		w, ok := o.Owner(path)
		if !ok {
			return "nobody"
		}
		return fmt.Sprintf("%s %s %s mode=%o uid=%d gid=%d config=%v", rows[w.Package].ID, w.Algo,
			hex.EncodeToString(w.Digest), w.Mode, w.UID, w.GID, w.Config)
	}
	const plain = " mode=-1 uid=-1 gid=-1 config=false"
	for path, want := range map[string]string{
		"/usr/bin/crontab":              "cron md5 00112233445566778899aabbccddeeff mode=2755 uid=0 gid=101 config=false",
		"/bin/crontab":                  "cron md5 00112233445566778899aabbccddeeff mode=2755 uid=0 gid=101 config=false",
		"/usr/sbin/cron":                "cron md5 ffeeddccbbaa99887766554433221100" + plain,
		"/sbin/cron":                    "cron md5 ffeeddccbbaa99887766554433221100" + plain,
		"/etc/crontab":                  "cron md5 8f111d100ea459f68d333d63a8ef2205 mode=-1 uid=-1 gid=-1 config=true",
		"/bin/sh":                       "dash unknown " + plain,
		"/bin/sh.distrib":               "dpkg md5 11111111111111111111111111111111" + plain,
		"/usr/lib/taken":                "cron unknown " + plain,
		"/usr/bin":                      "cron unknown " + plain,
		"/lib/i386-linux-gnu/libc.so.6": "libc6:i386 unknown " + plain,
		"/usr/bin/halfway":              "halfway unknown " + plain,
		"/usr/bin/unowned":              "nobody",
		"/etc/gone":                     "nobody",
		"":                              "nobody",
	} {
		if got := describe(path); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", path, got, want)
		}
	}
	if ok, why := o.Complete(); !ok {
		t.Errorf("index not complete: %q", why)
	}
}

func TestOwnersKnowDigests(t *testing.T) {
	t.Parallel()
	o := packagesOf(t, debianTree).Aux.(*Owners)
	digest := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if !o.KnownDigest(scanner.MD5, digest("0123456789abcdef0123456789abcdef")) {
		t.Error("dash's digest is not known")
	}
	if o.KnownDigest(scanner.MD5, digest("0123456789abcdef0123456789abcdee")) {
		t.Error("a digest that no package has is known")
	}
	if o.KnownDigest(scanner.SHA256, digest("0123456789abcdef0123456789abcdef")) {
		t.Error("an MD5 passes for a SHA-256")
	}
	if got := o.DigestAlgos(); !slices.Equal(got, []scanner.Algo{scanner.MD5}) {
		t.Errorf("algorithms %v", got)
	}
}

func TestOwnersAllListsEachPathOnce(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, debianTree)
	rows, o := packageRows(t, table), table.Aux.(*Owners)
	var got []string
	o.All(func(path string, w Owned) bool {
		got = append(got, path+" "+rows[w.Package].ID)
		return true
	})
	slices.Sort(got)
	want := []string{"/bin dash", "/etc cron", "/etc/crontab cron", "/usr cron", "/usr/bin cron", "/usr/bin/crontab cron",
		"/usr/bin/dash dash", "/usr/bin/dpkg dpkg", "/usr/bin/halfway halfway", "/usr/bin/sh dash", "/usr/bin/sh.distrib dpkg",
		"/usr/bin/wine wine:i386", "/usr/lib/i386-linux-gnu/libc.so.6 libc6:i386", "/usr/lib/taken cron",
		"/usr/lib/x86_64-linux-gnu/libc.so.6 libc6:amd64", "/usr/sbin/cron cron"}
	same(t, "paths", got, want)
	if o.Len() != len(want) {
		t.Errorf("Len %d, want %d", o.Len(), len(want))
	}
	n := 0
	o.All(func(string, Owned) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("All went on to %d after being told to stop", n)
	}
}

func TestDpkgMissingListMakesIndexIncomplete(t *testing.T) {
	t.Parallel()
	tree := strings.Replace(debianTree, "-- var/lib/dpkg/info/wine.list --", "-- var/lib/dpkg/info/other.list --", 1)
	ok, why := packagesOf(t, tree).Aux.(*Owners).Complete()
	if ok || !slices.Equal(why, []string{"no file list of 1 packages (wine)"}) {
		t.Errorf("complete %v, %q", ok, why)
	}
}

func TestDpkgStatusFolderOfDistroless(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, `
-- etc/os-release --
ID=debian
-- var/lib/dpkg/status.d/base --
Package: base-files
Version: 9.9+deb9u12
Architecture: amd64
Installed-Size: 333
Description: base
-- var/lib/dpkg/status.d/libssl3 --
Package: libssl3
Source: openssl
Version: 3.0.11-1
Architecture: amd64
Multi-Arch: same
-- var/lib/dpkg/status.d/libssl3.md5sums --
00112233445566778899aabbccddeeff  usr/lib/libssl.so.3
`)
	same(t, "packages", packageIDs(t, table), []string{"base-files 9.9+deb9u12 installed", "libssl3:amd64 3.0.11-1 installed"})
	if p := packageRows(t, table)[0]; p.BundleSize != 333*1024 || p.InstallTime != "" || p.Where != "/var/lib/dpkg/status.d/base:1" {
		t.Errorf("base-files: %+v", p)
	}
	o := table.Aux.(*Owners)
	if w, ok := o.Owner("/usr/lib/libssl.so.3"); !ok || w.Package != 1 || len(w.Digest) != 16 {
		t.Errorf("libssl.so.3: %+v, %v", w, ok)
	}
	if ok, why := o.Complete(); ok || !slices.Equal(why, []string{"no file list of 2 packages (base-files, libssl3)"}) {
		t.Errorf("complete %v, %q", ok, why)
	}
}

func TestDpkgDamagedStatusGivesTheRest(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, `
-- etc/os-release --
ID=debian
-- var/lib/dpkg/status --
Package: good
Status: install ok installed
Version: 1
Architecture: all

Package: ../../etc/passwd
Status: install ok installed
Version: 1

Package: nostatus
Version: 1

Package: size
Status: install ok installed
Installed-Size: many
Version: 1

Package: good
Status: install ok installed
Version: 2
Architecture: all

`)
	same(t, "packages", packageIDs(t, table), []string{"good 2 installed", "size 1 installed"})
	const file = "/var/lib/dpkg/status: "
	same(t, "partial", table.Partial, []string{
		file + "line 6: no valid package name",
		file + "line 10: package nostatus has no valid Status",
		file + "line 13: package size: Installed-Size is not a number",
		file + "line 18: package good is listed twice",
	})
	if ok, why := table.Aux.(*Owners).Complete(); ok || !slices.Contains(why, table.Partial[0]) {
		t.Errorf("index complete %v, %q", ok, why)
	}
}
