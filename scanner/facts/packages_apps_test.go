package facts

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"
)

const appUsers = `
-- etc/os-release --
ID=debian
-- etc/passwd --
root:x:0:0:root:/root:/bin/sh
ann:x:1000:1000::/home/ann:/bin/sh
bob:x:1001:1001::/home/bob:/bin/sh
-- etc/shadow mode=0600 --
`

// deployFile is a deployed Flatpak's "deploy" file as a fixture's base64 text.
func deployFile(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../parse/testdata/flatpak-deploy")
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b) + "\n"
}

func TestFlatpakInventoryAndOwners(t *testing.T) {
	t.Parallel()
	deploy := deployFile(t)
	const app, runtime = "var/lib/flatpak/app/org.example.Editor/x86_64/stable", "var/lib/flatpak/runtime/org.example.Platform/x86_64/23.08"
	const user = "home/ann/.local/share/flatpak/app/org.example.Own/x86_64/master"
	table := packagesOf(t, appUsers+
		"-- "+app+"/active link=abc --\n-- "+app+"/abc/deploy base64 mtime=2024-02-03T04:05:06Z --\n"+deploy+
		"-- "+app+"/abc/metadata --\n[Application]\nname=org.example.Editor\nruntime=org.example.Platform/x86_64/23.08\n"+
		"-- "+app+"/abc/files/bin/editor elf --\n-- "+app+"/old/deploy base64 --\n"+deploy+
		"-- "+runtime+"/active link=def --\n-- "+runtime+"/def/deploy base64 --\n"+deploy+"-- "+runtime+"/def/metadata --\n[Runtime]\nname=org.example.Platform\n"+
		"-- "+user+"/active link=012 --\n-- "+user+"/012/deploy --\nnoise\n-- "+user+"/012/metadata --\n[Application]\nname=org.example.Own\n"+
		"-- var/lib/flatpak/repo/config --\n[core]\nmode=bare\n[remote \"flathub\"]\nurl=https://flatpak.example.org/repo/\n"+
		"-- home/ann/.var/app/org.example.Editor/data/a --\n12345\n-- home/bob/.var/app/org.example.Editor/b --\n123\n")
	same(t, "packages", packageIDs(t, table), []string{
		"app/org.example.Editor/x86_64/stable 1.2.3 installed",
		"runtime/org.example.Platform/x86_64/23.08 1.2.3 installed",
		"app/org.example.Own/x86_64/master master damaged",
	})
	rows := packageRows(t, table)
	want := Package{ID: "app/org.example.Editor/x86_64/stable", Name: "org.example.Editor", Version: "1.2.3", ShortVersion: "1.2.3",
		Manager: "flatpak", Arch: "x86_64", Source: "org.example.Editor", BundleSize: 123456789, DynamicSize: 10,
		Installer: "flathub", Origin: "https://flatpak.example.org/repo/", InstallTime: "2024-02-03T04:05:06Z",
		Scope: "system", Status: "installed", Summary: "Edit examples",
		PURL: "pkg:flatpak/org.example.Editor@1.2.3?arch=x86_64&branch=stable", Where: "/" + app + "/abc/deploy"}
	if rows[0] != want {
		t.Errorf("got  %+v\nwant %+v", rows[0], want)
	}
	if rows[1].DynamicSize != -1 || rows[2].Scope != "user:ann" || rows[2].BundleSize != -1 {
		t.Errorf("runtime %+v\nuser's %+v", rows[1], rows[2])
	}
	if len(table.Partial) != 1 || !strings.HasPrefix(table.Partial[0], "/"+user+"/012/deploy: offset 0") {
		t.Errorf("partial %q", table.Partial)
	}
	o := table.Aux.(*Owners)
	for path, want := range map[string]int{
		"/" + app + "/abc/files/bin/editor": 0, "/" + runtime + "/def/files/lib/x.so": 1, "/" + user + "/012/files/x": 2,
		"/" + app + "/old/files/bin/editor": -1, "/" + app + "/abcd/x": -1, "/var": -1,
	} {
		w, ok := o.Owner(path)
		if ok != (want >= 0) || ok && w.Package != want {
			t.Errorf("%s: %+v, %v; want %d", path, w, ok, want)
		}
	}
}

func TestSnapInventoryAndOwners(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, appUsers+`
-- var/lib/snapd/state.json --
{"data":{"snaps":{
"hello":{"type":"app","sequence":[{"name":"hello","snap-id":"ID1","revision":"29"}],"active":true,"current":"29","tracking-channel":"latest/stable"},
"mine":{"type":"app","sequence":[{"name":"mine","revision":"x1"}],"current":"x1"},
"../evil":{"current":"1"}}}}
-- var/lib/snapd/snaps/hello_29.snap mtime=2024-02-03T04:05:06Z --
1234567
-- var/lib/snapd/assertions/asserts-v0/snap-declaration/16/ID1/active --
type: snap-declaration
publisher-id: canonical
sign-key-sha3-384: KEYID

signature
-- snap/hello/29/meta/snap.yaml --
name: hello
version: '2.10'
summary: Says hello
architectures:
- amd64
-- var/snap/hello/29/a --
123
-- home/bob/snap/hello/common/b --
12345
`)
	same(t, "packages", packageIDs(t, table), []string{"hello 2.10 installed", "mine revision x1 disabled"})
	rows := packageRows(t, table)
	want := Package{ID: "hello", Name: "hello", Version: "2.10", ShortVersion: "2.10", Manager: "snap", Arch: "amd64", Source: "hello",
		BundleSize: 8, DynamicSize: 10, Installer: "snap store (latest/stable)", Origin: "canonical", Signer: "KEYID",
		InstallTime: "2024-02-03T04:05:06Z", Scope: "system", Status: "installed", Summary: "Says hello",
		PURL: "pkg:snap/hello@2.10?arch=amd64&channel=latest%2Fstable&revision=29", Where: "/var/lib/snapd/state.json"}
	if rows[0] != want {
		t.Errorf("got  %+v\nwant %+v", rows[0], want)
	}
	if m := rows[1]; m.Installer != "local file" || m.BundleSize != -1 || m.DynamicSize != 0 || m.ShortVersion != "" {
		t.Errorf("mine: %+v", m)
	}
	same(t, "partial", table.Partial, []string{"/var/lib/snapd/state.json: not a snap: ../evil"})
	if w, ok := table.Aux.(*Owners).Owner("/snap/hello/29/bin/hello"); !ok || w.Package != 0 {
		t.Errorf("/snap/hello/29/bin/hello: %+v, %v", w, ok)
	}
}

func TestSnapDamagedState(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, "-- etc/os-release --\nID=x\n-- var/lib/snapd/state.json --\n{\"data\":{\"snaps\":\n")
	if table.Rows != nil || !strings.HasPrefix(table.Absent, "/var/lib/snapd/state.json: offset ") {
		t.Errorf("rows %v, absent %q", table.Rows, table.Absent)
	}
}

const ownedProgram = `-- var/lib/dpkg/status --
Package: vendor-app
Status: install ok installed
Architecture: all
Version: 1

-- var/lib/dpkg/info/vendor-app.list --
/opt/vendor/bin/app
-- opt/vendor/bin/app elf --
`

func TestUnpackagedPrograms(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, appUsers+ownedProgram+`
-- opt/other/lib/deep/helper elf mtime=2024-02-03T04:05:06Z --
1234
-- opt/other/run mode=0755 --
#!/bin/sh
-- opt/other/readme mode=0755 --
text
-- opt/other/data mode=0644 --
#!/bin/sh
-- usr/local/bin/tool elf --
-- usr/local/go/bin/go elf --
-- usr/local/share/notlooked elf --
-- usr/local/lib/libx.so.1 elf mode=0644 --
-- home/ann/Downloads/Krita-5.2-x86_64.AppImage base64 mode=0755 --
f0VMRgIBAQBBSQIAAAAAAA==
-- home/ann/Downloads/letter.txt --
-- home/ann/Downloads/sub/tool elf --
-- home/bob/.local/bin/x link=/usr/bin/true --
`)
	same(t, "packages", packageIDs(t, table), []string{
		"vendor-app 1 installed",
		"/opt/other  installed",
		"/usr/local/bin  installed",
		"/usr/local/go/bin  installed",
		"/usr/local/lib  installed",
		"/home/ann/Downloads/Krita-5.2-x86_64.AppImage 5.2 installed",
	})
	rows := packageRows(t, table)
	if p := rows[1]; p.Summary != "2 programs that no package owns: helper, run" || p.Manager != "unpackaged" || p.Scope != "system" ||
		p.BundleSize <= 10 || p.InstallTime != "2024-02-03T04:05:06Z" {
		t.Errorf("/opt/other: %+v", p)
	}
	if p := rows[5]; p.Name != "Krita" || p.Arch != "x86_64" || p.Scope != "user:ann" || p.Summary != "AppImage" ||
		p.PURL != "pkg:generic/Krita@5.2?arch=x86_64" || p.BundleSize != 16 {
		t.Errorf("AppImage: %+v", p)
	}
}

func TestUnpackagedWithoutFileListsIsDoubtful(t *testing.T) {
	t.Parallel()
	tree := strings.Replace(ownedProgram, "info/vendor-app.list", "info/other.list", 1)
	table := packagesOf(t, appUsers+tree)
	same(t, "packages", packageIDs(t, table), []string{"vendor-app 1 installed", "/opt/vendor  owner unknown"})
}

func TestUnpackagedAloneSaysThatNoDatabaseWasFound(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, appUsers+"-- usr/local/bin/tool elf --\n")
	same(t, "packages", packageIDs(t, table), []string{"/usr/local/bin  installed"})
	if !slices.Equal(table.Partial, []string{"no package database found"}) {
		t.Errorf("partial %q", table.Partial)
	}
}

func TestUnreadableHomeIsNoGapInTheIndex(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, appUsers+ownedProgram+"-- home/bob/bin/ mode=0700 denied --\n")
	if !slices.Equal(table.Partial, []string{"may not read /home/bob/bin (run as root)"}) {
		t.Errorf("partial %q", table.Partial)
	}
	if ok, why := table.Aux.(*Owners).Complete(); !ok {
		t.Errorf("index not complete: %q", why)
	}
}
