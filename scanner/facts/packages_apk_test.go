package facts

import (
	"fmt"
	"slices"
	"testing"
)

const alpineDatabase = `P:busybox
V:1.36.1-r2
A:x86_64
I:962560
T:Small tools
o:busybox-source
m:Some One <some@example.org>
F:bin
R:busybox
a:0:0:4755
Z:Q1AAECAwQFBgcICQoLDA0ODxAREhM=
R:sh
a:0:0:777
Z:Q1AAECAwQFBgcICQoLDA0ODxAREhM=
F:etc
M:0:0:1755
R:motd
Z:Q2AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

P:tool
V:2-r0
A:x86_64
f:f
s:edge

P:.deps
V:20240101.120000

`

func TestApkInventoryAndOwners(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, `
-- etc/os-release --
ID=alpine
VERSION_ID=3.19.1
-- etc/apk/repositories --
https://example.org/v3.19/main
@edge https://example.org/edge/testing
-- lib/apk/db/installed --
`+alpineDatabase)
	same(t, "packages", packageIDs(t, table), []string{"busybox 1.36.1-r2 installed", "tool 2-r0 broken", ".deps 20240101.120000 installed"})
	rows := packageRows(t, table)
	want := Package{ID: "busybox", Name: "busybox", Version: "1.36.1-r2", ShortVersion: "1.36.1", Manager: "apk",
		Arch: "x86_64", Source: "busybox-source", BundleSize: 962560, DynamicSize: -1, Maintainer: "Some One <some@example.org>",
		Scope: "system", Status: "installed", Summary: "Small tools",
		PURL: "pkg:apk/alpine/busybox@1.36.1-r2?arch=x86_64&distro=alpine-3.19.1", Where: "/lib/apk/db/installed:1"}
	if rows[0] != want {
		t.Errorf("got  %+v\nwant %+v", rows[0], want)
	}
	if rows[1].Installer != "https://example.org/edge/testing" {
		t.Errorf("tool comes from %q", rows[1].Installer)
	}

	o := table.Aux.(*Owners)
	for path, want := range map[string]string{
		"/bin":         "0 unknown 0 755 link=false",
		"/bin/busybox": "0 sha1 20 4755 link=false",
		"/bin/sh":      "0 sha1 20 777 link=true",
		"/etc":         "0 unknown 0 1755 link=false",
		"/etc/motd":    "0 sha256 32 644 link=false",
	} {
		w, ok := o.Owner(path)
		if got := fmt.Sprintf("%d %s %d %o link=%v", w.Package, w.Algo, len(w.Digest), w.Mode, w.Link); !ok || got != want {
			t.Errorf("%s: got %s, %v; want %s", path, got, ok, want)
		}
	}
	if ok, why := o.Complete(); !ok {
		t.Errorf("index not complete: %q", why)
	}
}

func TestApkDatabaseBehindALinkIsReadOnce(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, "-- etc/os-release --\nID=alpine\n-- lib link=usr/lib --\n-- usr/lib/apk/db/installed --\n"+alpineDatabase)
	same(t, "packages", packageIDs(t, table), []string{"busybox 1.36.1-r2 installed", "tool 2-r0 broken", ".deps 20240101.120000 installed"})
}

func TestApkDamagedDatabaseGivesTheRest(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, "-- etc/os-release --\nID=alpine\n-- lib/apk/db/installed --\nP:a\nV:1\nrubbish\nF:x\nR:y\nZ:bad\n\nV:2\n\nP:b\nV:3\n\n")
	same(t, "packages", packageIDs(t, table), []string{"a 1 installed", "b 3 installed"})
	want := []string{
		"/lib/apk/db/installed: line 3: not a field",
		"/lib/apk/db/installed: line 8: a package without a name",
	}
	same(t, "partial", table.Partial, want)
	o := table.Aux.(*Owners)
	if w, ok := o.Owner("/x/y"); !ok || w.Package != 0 || w.Digest != nil {
		t.Errorf("/x/y: %+v %v", w, ok)
	}
	if ok, why := o.Complete(); ok || !slices.Contains(why, "/lib/apk/db/installed: line 6: Z: not a digest") {
		t.Errorf("complete %v, %q", ok, why)
	}
}
