package facts

import (
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

// libtool is a library whose digest the package records.
var libtool = "\x7fELF" + strings.Repeat("x", 80) + "\n"

// filesBase is a small dpkg system: package tools owns a shell, ls, su and a library.
var filesBase = `
-- etc/os-release --
ID=debian
-- etc/passwd --
root:x:0:0:root:/root:/bin/sh
ann:x:1000:1000:Ann:/home/ann:/bin/sh
www-data:x:33:33::/var/www:/usr/sbin/nologin
-- etc/shadow mode=0640 gid=42 --
root:$6$x$y:19000::::::
ann:*:19000::::::
-- etc/group --
root:x:0:
shadow:x:42:
users:x:100:ann
ssl-cert:x:109:www-data
-- bin link=usr/bin --
-- lib link=usr/lib --
-- var/lib/dpkg/status --
Package: tools
Status: install ok installed
Version: 1
Architecture: amd64

-- var/lib/dpkg/info/tools.list --
/.
/bin
/bin/sh
/bin/ls
/bin/su
/usr
/usr/lib
/usr/lib/libtool.so.1
/usr/lib/.keep
-- var/lib/dpkg/info/tools.md5sums --
` + fmt.Sprintf("%x", md5.Sum([]byte(libtool))) + `  usr/lib/libtool.so.1
-- usr/bin/sh elf --
a shell
-- usr/bin/ls elf --
ls
-- usr/bin/su elf mode=4755 --
su
-- usr/lib/libtool.so.1 mode=0644 --
` + libtool + `-- usr/lib/.keep mode=0755 --
#!/bin/sh
-- tmp/ mode=1777 --
-- home/ann/ mode=0755 uid=1000 gid=1000 --
`

// tableOf collects one table of a text fixture.
func tableOf(t *testing.T, table, fixture string, opts scanner.Options) *scanner.Table {
	t.Helper()
	d, err := device.Txtar([]byte(fixture))
	if err != nil {
		t.Fatal(err)
	}
	opts.Collectors, opts.Tables = Collectors(), []string{table}
	r, err := scanner.Scan(context.Background(), d, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r.Facts.Tables[table]
}

func fileRows(t *testing.T, fixture string) map[string]File {
	t.Helper()
	table := tableOf(t, "files", fixture, scanner.Options{})
	rows, ok := table.Rows.([]File)
	if !ok {
		t.Fatalf("absent: %s", table.Absent)
	}
	out := map[string]File{}
	for _, r := range rows {
		if _, twice := out[r.Path]; twice {
			t.Errorf("two rows for %s", r.Path)
		}
		out[r.Path] = r
	}
	return out
}

func TestFilesOfCleanDeviceAreItsOwnSetuidPrograms(t *testing.T) {
	t.Parallel()
	rows := fileRows(t, filesBase)
	su, ok := rows["/usr/bin/su"]
	if !ok || !su.Suid || !su.Owned || su.Package != "tools" || su.Power != "runs as root" || su.Tool {
		t.Errorf("su: %+v", su)
	}
	if keep := rows["/usr/lib/.keep"]; !keep.Owned {
		t.Errorf("hidden program of a package: %+v", keep)
	}
	delete(rows, "/usr/bin/su")
	delete(rows, "/usr/lib/.keep")
	for p := range rows {
		t.Errorf("%s stands out", p)
	}
}

func TestFilesThatStandOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, fixture, path string
		want                func(f File) bool
	}{
		{"setuid copy of a shell", "-- tmp/x elf mode=4755 --\na shell\n", "/tmp/x",
			func(f File) bool { return f.Suid && !f.Owned && f.CopyOf == "/usr/bin/sh" && f.Zone == "temp" }},
		{"same name is no other name", "-- opt/tree/sh elf --\na shell\n", "/opt/tree/sh",
			func(f File) bool { return f.CopyOf == "" }},
		{"capability", "-- opt/x elf xattr.security.capability=0100000280000000000000000000000000000000 --\n", "/opt/x",
			func(f File) bool {
				return slices.Equal(f.Caps, []string{"setuid"}) && f.Power == "has setuid" && f.Zone == "local"
			}},
		{"broken capability", "-- opt/x elf xattr.security.capability=0100 --\n", "/opt/x",
			func(f File) bool { return f.Unread.Unread["caps"] != "" }},
		{"world-writable file", "-- etc/rc.local mode=0666 --\n", "/etc/rc.local",
			func(f File) bool { return f.WorldWritable && f.WritableBy == "everyone" && f.Type == "file" }},
		{"world-writable folder", "-- usr/share/x/ mode=0777 --\n", "/usr/share/x",
			func(f File) bool { return f.WorldWritable && f.Type == "dir" }},
		{"command folder of a user", "-- usr/local/bin/ uid=1000 --\n", "/usr/local/bin",
			func(f File) bool { return f.InPath && f.WritableBy == "user 1000" }},
		{"file below /dev", "-- dev/x --\ntext\n", "/dev/x", func(f File) bool { return f.Zone == "dev" }},
		{"library without owner", "-- usr/lib/evil.so elf mode=0644 --\n", "/usr/lib/evil.so",
			func(f File) bool { return f.ELF && !f.Owned && !f.PackagedCopy && f.Group == "/usr/lib" }},
		{"copy of a packaged library", "-- usr/lib/sub/copy.so mode=0644 --\n" + libtool, "/usr/lib/sub/copy.so",
			func(f File) bool { return f.PackagedCopy && f.Group == "/usr/lib/sub" }},
		{"program in /tmp", "-- tmp/d/e/x elf mode=0644 --\n", "/tmp/d/e/x",
			func(f File) bool { return f.ELF && !f.Executable && f.Group == "/tmp/d" }},
		{"script in a shared folder", "-- srv/in/ mode=0777 --\n-- srv/in/x mode=0755 --\n#!/bin/sh\n", "/srv/in/x",
			func(f File) bool { return f.Script && f.ParentWritable }},
		{"daemon's program", "-- var/tmp/x elf uid=33 --\n", "/var/tmp/x", func(f File) bool { return f.Service }},
		{"hidden program", "-- usr/lib/.x mode=0755 --\n#!/bin/sh\n", "/usr/lib/.x", func(f File) bool { return f.HiddenOwn && f.Script }},
		{"folder of dots", "-- var/lib/.../ --\n", "/var/lib/...", func(f File) bool { return f.Deceptive == "dots" }},
		{"shadowing command", "-- home/ann/bin/su mode=0755 --\n#!/bin/sh\n", "/home/ann/bin/su",
			func(f File) bool { return f.Shadows == "/usr/bin/su" && f.ShadowsKey }},
		{"program as document", "-- home/ann/Downloads/a.pdf elf mode=0644 --\n", "/home/ann/Downloads/a.pdf",
			func(f File) bool { return f.Lie == "program" && f.Zone == "download" }},
		{"localized download folder", "-- home/ann/.config/user-dirs.dirs --\nXDG_DOWNLOAD_DIR=\"$HOME/Hämtningar\"\n-- home/ann/Hämtningar/a.jpg elf --\n",
			"/home/ann/Hämtningar/a.jpg", func(f File) bool { return f.Lie == "program" }},
		{"document and program", "-- home/ann/Desktop/photo.jpg.desktop mode=0755 --\n#!/usr/bin/env xdg-open\n", "/home/ann/Desktop/photo.jpg.desktop",
			func(f File) bool { return f.Deceptive == "extension" }},
		{"private key", "-- home/ann/.ssh/id_rsa mode=0644 uid=1000 gid=1000 --\n-----BEGIN RSA PRIVATE KEY-----\n", "/home/ann/.ssh/id_rsa",
			func(f File) bool { return f.Secret == "private key" && f.ReadableBy == "everyone" }},
		{"key open to a group of people", "-- etc/ssl/private/a.key mode=0640 gid=100 --\n-----BEGIN PRIVATE KEY-----\n", "/etc/ssl/private/a.key",
			func(f File) bool { return f.ReadableBy == "group users" }},
		{"backup of shadow", "-- etc/shadow- mode=0640 gid=100 --\nroot:*:\n", "/etc/shadow-",
			func(f File) bool { return f.Secret == "password hashes" && f.ReadableBy == "group users" }},
		{"set-user-ID shell in a chroot", "-- srv/root/etc/os-release --\nID=x\n-- srv/root/usr/bin/x elf mode=4755 --\na shell\n", "/srv/root/usr/bin/x",
			func(f File) bool {
				return f.System == "/srv/root" && f.CopyOf == "/usr/bin/sh" && f.Unread.Unread["owned"] != ""
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rows := fileRows(t, filesBase+c.fixture)
			f, ok := rows[c.path]
			if !ok {
				t.Fatalf("no row for %s", c.path)
			}
			if f.Where != c.path || !c.want(f) {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestFilesThatDoNotStandOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, fixture, path string }{
		{"script without x bit in /tmp", "-- tmp/x.sh --\n#!/bin/sh\n", "/tmp/x.sh"},
		{"program in a home", "-- home/ann/src/prog elf uid=1000 --\n", "/home/ann/src/prog"},
		{"program below /usr/local", "-- usr/local/bin/tool elf --\n", "/usr/local/bin/tool"},
		{"cache beside a library", "-- usr/lib/python3/__pycache__/x.pyc --\n\x16\r\r\n", "/usr/lib/python3/__pycache__/x.pyc"},
		{"lost device node", "-- dev/null --\n", "/dev/null"},
		{"device node", "-- dev/zero type=char mode=0666 --\n", "/dev/zero"},
		{"semaphore", "-- dev/shm/sem.x mode=0600 --\nabcdefgh\n", "/dev/shm/sem.x"},
		{"sticky folder", "-- var/lib/x/ mode=1777 --\n", "/var/lib/x"},
		{"world-writable link", "-- etc/x link=os-release --\n", "/etc/x"},
		{"set-group-ID folder", "-- usr/local/share/ mode=2775 --\n", "/usr/local/share"},
		{"set-user-ID bit without x", "-- opt/x mode=4644 --\n", "/opt/x"},
		{"program in a chroot's /tmp", "-- srv/root/etc/os-release --\nID=x\n-- srv/root/usr/x --\n-- srv/root/tmp/x elf --\n", "/srv/root/tmp/x"},
		{"key behind a closed folder", "-- home/ann/.ssh/ mode=0700 uid=1000 --\n-- home/ann/.ssh/id_rsa mode=0644 uid=1000 --\n-----BEGIN RSA PRIVATE KEY-----\n",
			"/home/ann/.ssh/id_rsa"},
		{"key open to a daemon's group", "-- etc/ssl/private/a.key mode=0640 gid=109 --\n-----BEGIN PRIVATE KEY-----\n", "/etc/ssl/private/a.key"},
		{"public key", "-- home/ann/.ssh/id_rsa.pub --\nssh-rsa AAAA\n", "/home/ann/.ssh/id_rsa.pub"},
		{"certificate", "-- etc/ssl/a.pem --\n-----BEGIN CERTIFICATE-----\n", "/etc/ssl/a.pem"},
		{"test data", "-- home/ann/x/testdata/.../ --\n", "/home/ann/x/testdata/..."},
		{"document", "-- home/ann/Downloads/a.pdf --\n%PDF-1.7\n", "/home/ann/Downloads/a.pdf"},
		{"storage of containers", "-- var/lib/docker/overlay2/a/diff/tmp/x elf mode=4755 --\n", "/var/lib/docker/overlay2/a/diff/tmp/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if f, ok := fileRows(t, filesBase+c.fixture)[c.path]; ok {
				t.Errorf("stands out: %+v", f)
			}
		})
	}
}

func TestFilesWithoutPackageDatabaseHaveUnknownOwners(t *testing.T) {
	t.Parallel()
	rows := fileRows(t, "-- etc/os-release --\nID=x\n-- etc/passwd --\nroot:x:0:0::/root:/bin/sh\n-- usr/bin/x elf mode=4755 --\n")
	f := rows["/usr/bin/x"]
	if !f.Suid || f.Owned || f.Unread.Unread["owned"] != "no package database found" {
		t.Errorf("got %+v", f)
	}
}

func TestFilesOfTreesThatLostTheirModes(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "files", "modes-untrusted: it came through git\n"+filesBase+"-- tmp/x elf mode=4755 --\n", scanner.Options{})
	for _, col := range []string{"suid", "world_writable", "readable_by", "caps"} {
		if table.Unknown[col] != "it came through git" {
			t.Errorf("column %s: %q", col, table.Unknown[col])
		}
	}
	if table.Unknown["elf"] != "" || table.Unknown["path"] != "" {
		t.Error("content needs no modes")
	}
}

func TestFilesSayWhatCouldNotBeListed(t *testing.T) {
	t.Parallel()
	fixture := filesBase
	for i := range 5 {
		fixture += fmt.Sprintf("-- srv/d%d/ denied mode=0700 --\n", i)
	}
	table := tableOf(t, "files", fixture, scanner.Options{})
	want := "5 directories could not be listed: /srv/d0, /srv/d1, /srv/d2, ..."
	if !slices.Equal(table.Partial, []string{want}) {
		t.Errorf("partial %q", table.Partial)
	}
}

func TestFilesSayWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "files", filesBase+"-- srv/root/etc/os-release --\nID=x\n-- srv/root/usr/x --\n-- var/lib/docker/x --\n", scanner.Options{})
	want := []string{"/srv/root is another system's tree: scan it with --image", "/var/lib/docker: storage of containers, not looked into"}
	if !slices.Equal(table.Notes, want) {
		t.Errorf("notes %q", table.Notes)
	}
}

func TestFilesStayOutOfKernelAndNetworkFileSystems(t *testing.T) {
	t.Parallel()
	mounts := strings.Join([]string{
		"27 1 254:0 / / rw - ext4 /dev/vda rw",
		"30 27 0:30 / /mnt/nfs rw - nfs4 host:/x rw",
		"31 27 0:31 / /mnt/cg rw - cgroup2 none rw",
		"32 27 254:0 /opt /mnt/bind rw - ext4 /dev/vda rw",
		"33 27 8:1 / /mnt/usb rw,nosuid - vfat /dev/sda1 rw",
	}, "\n")
	fixture := "live: yes\n" + filesBase + "-- proc/self/mountinfo --\n" + mounts + "\n"
	for _, d := range []string{"nfs", "cg", "bind", "usb"} {
		fixture += "-- mnt/" + d + "/x elf mode=4755 --\n"
	}
	rows := fileRows(t, fixture)
	if f, ok := rows["/mnt/usb/x"]; !ok || !f.NoSuid {
		t.Errorf("usb: %+v", f)
	}
	for _, d := range []string{"nfs", "cg", "bind"} {
		if _, ok := rows["/mnt/"+d+"/x"]; ok {
			t.Errorf("walked into %s", d)
		}
	}
}

func TestFilesDigestsSwitchedOff(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "files", filesBase+"-- usr/lib/sub/copy.so mode=0644 --\n"+libtool, scanner.Options{Digests: scanner.DigestsNone})
	for _, f := range table.Rows.([]File) {
		if f.Path == "/usr/lib/sub/copy.so" && f.Unread.Unread["packaged_copy"] == "" {
			t.Errorf("a copy that was not compared: %+v", f)
		}
	}
}

func TestFilesOfADeepTree(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", maxWalkDepth+5)
	table := tableOf(t, "files", filesBase+"-- srv/"+deep+"x elf mode=4755 --\n-- srv/d/x elf mode=4755 --\n", scanner.Options{})
	if len(table.Partial) != 1 || !strings.HasPrefix(table.Partial[0], "1 directories could not be listed: /srv/d/d") {
		t.Errorf("partial %q", table.Partial)
	}
	if !slices.ContainsFunc(table.Rows.([]File), func(f File) bool { return f.Path == "/srv/d/x" }) {
		t.Error("what lies higher up is missing")
	}
}

func TestFilesStopWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	d, err := device.Txtar([]byte(filesBase))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &treeWalk{ctx: ctx, fs: d.FS(), zones: newZoneMap(nil, nil), visit: func(*place, []scanner.Info) { t.Error("visited") }}
	w.run()
	if got := w.partial(); len(got) != 1 || !strings.Contains(got[0], "out of time") {
		t.Errorf("partial %q", got)
	}
}
