package facts

import (
	"crypto/md5"
	"fmt"
	"testing"

	"picket/scanner"
)

// packagedBase is a dpkg package whose three programs have recorded digests.
func packagedBase(files string) string {
	sum := func(content string) string { return fmt.Sprintf("%x", md5.Sum([]byte(content))) }
	return `
-- etc/os-release --
ID=debian
-- bin link=usr/bin --
-- var/lib/dpkg/status --
Package: tools
Status: install ok installed
Version: 1
Architecture: amd64
Conffiles:
 /usr/bin/conf ` + sum("old\n") + `

-- var/lib/dpkg/info/tools.list --
/.
/usr/bin/ls
/usr/bin/conf
/usr/lib/libx.so.1
/usr/share/doc/tools/copyright
-- var/lib/dpkg/info/tools.md5sums --
` + sum("#!/bin/ls\n") + `  usr/bin/ls
` + sum("lib\n") + `  usr/lib/libx.so.1
` + sum("text\n") + `  usr/share/doc/tools/copyright
` + files
}

const (
	goodLs   = "-- usr/bin/ls mode=0755 --\n#!/bin/ls\n"
	goodLibx = "-- usr/lib/libx.so.1 --\nlib\n"
	conf     = "-- usr/bin/conf --\nnew\n"
)

func packagedRows(t *testing.T, fixture string, mode scanner.DigestMode) (*scanner.Table, []PackagedFile) {
	t.Helper()
	table := tableOf(t, "packaged_files", fixture, scanner.Options{Digests: mode})
	rows, ok := table.Rows.([]PackagedFile)
	if !ok {
		t.Fatalf("absent: %s", table.Absent)
	}
	return table, rows
}

func TestPackagedFilesThatAreAsInstalledHaveNoRow(t *testing.T) {
	t.Parallel()
	// The missing document and the edited conffile are nobody's business here.
	table, rows := packagedRows(t, packagedBase(goodLs+goodLibx+conf), scanner.DigestsAll)
	if len(rows) != 0 || len(table.Partial) != 0 || len(table.Unknown) != 0 {
		t.Errorf("rows %+v, partial %q, unknown %q", rows, table.Partial, table.Unknown)
	}
}

func TestPackagedFilesThatDiffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, files string
		want        func(f PackagedFile) bool
	}{
		{"changed program", "-- usr/bin/ls mode=0755 --\n#!/bin/LS\n" + goodLibx,
			func(f PackagedFile) bool { return f.Path == "/usr/bin/ls" && f.Changed && f.Kind == "program" }},
		{"changed library", goodLs + "-- usr/lib/libx.so.1 --\nLIB\n",
			func(f PackagedFile) bool { return f.Path == "/usr/lib/libx.so.1" && f.Changed && f.Kind == "library" }},
		{"missing library", goodLs, func(f PackagedFile) bool { return f.Path == "/usr/lib/libx.so.1" && f.Missing && !f.Changed }},
		{"link in its place", "-- usr/bin/ls link=/opt/ls --\n" + goodLibx,
			func(f PackagedFile) bool { return f.Retyped && f.LinkTo == "/opt/ls" && !f.Changed }},
		{"directory in its place", "-- usr/bin/ls/ --\n" + goodLibx, func(f PackagedFile) bool { return f.Retyped && f.LinkTo == "" }},
		{"may not be read", "-- usr/bin/ls mode=0711 denied --\nx\n" + goodLibx,
			func(f PackagedFile) bool { return !f.Changed && f.Unread.Unread["changed"] != "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, rows := packagedRows(t, packagedBase(c.files+conf), scanner.DigestsAll)
			if len(rows) != 1 || rows[0].Package != "tools" || !c.want(rows[0]) {
				t.Errorf("got %+v", rows)
			}
		})
	}
}

func TestPackagesWithoutFileList(t *testing.T) {
	t.Parallel()
	status := func(names ...string) string {
		out := "-- etc/os-release --\nID=debian\n-- var/lib/dpkg/status --\n"
		for _, n := range names {
			out += "Package: " + n + "\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
		}
		return out
	}
	_, rows := packagedRows(t, status("a", "b")+"-- var/lib/dpkg/info/a.list --\n/.\n", scanner.DigestsAll)
	if len(rows) != 1 || rows[0].Package != "b" || rows[0].Kind != "file list" || !rows[0].Missing {
		t.Errorf("one list is gone: %+v", rows)
	}
	if _, rows := packagedRows(t, status("a", "b"), scanner.DigestsAll); len(rows) != 0 {
		t.Errorf("made without lists: %+v", rows)
	}
}

func TestPackagedFilesWithoutDigestsAreUnknownNotFine(t *testing.T) {
	t.Parallel()
	table, rows := packagedRows(t, packagedBase("-- usr/bin/ls mode=0755 --\nchanged\n"+goodLibx+conf), scanner.DigestsNone)
	if len(rows) != 0 || table.Unknown["changed"] != noDigests {
		t.Errorf("rows %+v, unknown %q", rows, table.Unknown)
	}
}

func TestPackagedFilesOfADatabaseWithModes(t *testing.T) {
	t.Parallel()
	apk := `-- etc/alpine-release --
3.20.0
-- etc/os-release --
ID=alpine
-- lib/apk/db/installed --
P:tools
V:1-r0
A:x86_64
F:bin
M:0:0:0755
R:ls
a:0:0:755
R:su
a:0:0:4755

`
	rows := func(files string) []PackagedFile {
		_, rows := packagedRows(t, apk+files, scanner.DigestsAll)
		return rows
	}
	if got := rows("-- bin/ls elf mode=0755 --\n-- bin/su elf mode=4755 --\n"); len(got) != 0 {
		t.Errorf("as packaged: %+v", got)
	}
	if got := rows("-- bin/ls elf mode=0777 --\n-- bin/su elf mode=4755 --\n"); len(got) != 1 || !got[0].Opened || got[0].ExpectedMode != "0755" {
		t.Errorf("opened: %+v", got)
	}
	if got := rows("-- bin/ls elf uid=1000 --\n-- bin/su elf mode=4755 --\n"); len(got) != 1 || !got[0].Reowned || got[0].UID != 1000 {
		t.Errorf("given away: %+v", got)
	}
}

func TestProgramKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, kind string
		sure       bool
	}{
		{"/usr/bin/ls", "program", true},
		{"/sbin/init", "program", true},
		{"/usr/lib/x86_64-linux-gnu/libc.so.6", "library", true},
		{"/usr/lib/modules/6.1/kernel/fs/ext4.ko.xz", "module", true},
		{"/usr/lib/openssh/sftp-server", "program", false},
		{"/boot/vmlinuz-6.1", "kernel", true},
		{"/boot/grub/grub.cfg", "", false},
		{"/usr/lib/python3/os.py", "", false},
		{"/usr/share/doc/x", "", false},
		{"/usr/bin/sub/x", "", false},
		{"relative", "", false},
		{"", "", false},
	} {
		if kind, sure := programKind(c.path); kind != c.kind || sure != c.sure {
			t.Errorf("%s: got %q %v", c.path, kind, sure)
		}
	}
}

func TestADatabaseAloneAccusesNobody(t *testing.T) {
	t.Parallel()
	tree := func(programs, there int) string {
		list, files := "", ""
		for i := range programs {
			list += fmt.Sprintf("/usr/bin/program-%d\n", i)
			if i < there {
				files += fmt.Sprintf("-- usr/bin/program-%d elf --\nx\n", i)
			}
		}
		return "-- var/lib/dpkg/status --\nPackage: tools\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDescription: x\n\n" +
			"-- var/lib/dpkg/info/tools.list --\n/.\n/usr\n/usr/bin\n" + list + files
	}
	for name, c := range map[string]struct{ programs, there, missing int }{
		"the database alone":        {40, 2, 0},
		"parts of a system missing": {40, 30, 10},
		"a small package missing":   {5, 0, 5},
	} {
		packages := collectFrom(t, packagesCollector(), tree(c.programs, c.there))
		packages.Name = "packages"
		tab := collectFrom(t, packagedFilesCollector(), tree(c.programs, c.there), &packages)
		missing := 0
		for _, r := range tab.Rows.([]PackagedFile) {
			if r.Missing {
				missing++
			}
		}
		if missing != c.missing || (len(tab.Partial) > 0) != (name == "the database alone") {
			t.Errorf("%s: %d missing, partial %q", name, missing, tab.Partial)
		}
	}
}
