package facts

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

// rpmFile is a database of the parsers' tests as a file of a text fixture.
func rpmFile(t *testing.T, name, at string) string {
	t.Helper()
	b, err := os.ReadFile("../parse/testdata/rpm/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("-- %s base64 --\n%s\n", at, base64.StdEncoding.EncodeToString(b))
}

const rpmOS = "-- etc/os-release --\nID=picketos\nVERSION_ID=7\n"

func TestPackagesOfRPM(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, rpmOS+rpmFile(t, "rpmdb.sqlite.gz", "var/lib/rpm/rpmdb.sqlite"))
	rows := packageRows(t, table)
	if len(table.Partial) > 0 {
		t.Errorf("partial: %q", table.Partial)
	}
	i := slices.IndexFunc(rows, func(p Package) bool { return p.Name == "kiosk-app" })
	if len(rows) != 5 || i < 0 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	got := rows[i]
	if got.InstallTime == "" || len(got.Signer) != 16 {
		t.Errorf("install time %q, signer %q", got.InstallTime, got.Signer)
	}
	got.InstallTime, got.Signer = "", ""
	want := Package{
		ID: "kiosk-app-1.4-3.picket.x86_64", Name: "kiosk-app", Version: "2:1.4-3.picket", ShortVersion: "1.4",
		Manager: "rpm", Arch: "x86_64", Source: "kiosk-app", BundleSize: 74, DynamicSize: -1, Origin: "Picket Test",
		Maintainer: "Tester <tester@example.org>", Scope: "system", Status: "installed",
		Summary: "Shows a page on a screen", Where: "/var/lib/rpm/rpmdb.sqlite",
		PURL: "pkg:rpm/picketos/kiosk-app@1.4-3.picket?arch=x86_64&distro=picketos-7&epoch=2&upstream=kiosk-app-1.4-3.picket.src.rpm",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPackagesOfRPMChooseOneDatabase(t *testing.T) {
	t.Parallel()
	full := func(at string) string { return rpmFile(t, "Packages.1234", at) }
	small := func(at string) string { return rpmFile(t, "small.sqlite", at) } // holds two packages
	noise := func(at string) string { return "-- " + at + " --\nnoise, and enough of it\n" }
	for _, c := range []struct {
		name, fixture string
		rows          int
		where         string
		partial       string
	}{
		{"links to one place", full("usr/lib/sysimage/rpm/Packages") + "-- var/lib/rpm link=../../usr/lib/sysimage/rpm --\n",
			5, "/usr/lib/sysimage/rpm/Packages", ""},
		{"rpm's own order", small("var/lib/rpm/rpmdb.sqlite") + full("var/lib/rpm/Packages"),
			2, "/var/lib/rpm/rpmdb.sqlite", "of several rpm databases, /var/lib/rpm/rpmdb.sqlite was read; /var/lib/rpm/Packages not"},
		{"the one in rpm's configuration", small("var/lib/rpm/rpmdb.sqlite") + full("var/lib/rpm/Packages") +
			"-- usr/lib/rpm/macros --\n%_dbpath %{_var}/lib/rpm\n%_db_backend sqlite\n-- etc/rpm/macros.db --\n%_db_backend bdb_ro\n",
			5, "/var/lib/rpm/Packages", ""},
		{"damage is told and the other form read", noise("var/lib/rpm/Packages.db") + full("var/lib/rpm/Packages"),
			5, "/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db: offset 0: not an rpm database: neither sqlite, ndb nor a Berkeley DB hash"},
		{"a log beside it", small("var/lib/rpm/rpmdb.sqlite") + rpmFile(t, "small.sqlite-wal", "var/lib/rpm/rpmdb.sqlite-wal"),
			4, "/var/lib/rpm/rpmdb.sqlite", ""},
		{"a log that may not be read", small("var/lib/rpm/rpmdb.sqlite") + "-- var/lib/rpm/rpmdb.sqlite-wal denied --\nx\n",
			2, "/var/lib/rpm/rpmdb.sqlite", "may not read /var/lib/rpm/rpmdb.sqlite-wal (run as root)"},
		{"an unfinished transaction", small("var/lib/rpm/rpmdb.sqlite") + "-- var/lib/rpm/rpmdb.sqlite-journal base64 --\n2dUF+SChY9cAAAAB\n",
			2, "/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite: an unfinished transaction in the -journal beside it is not undone here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table := packagesOf(t, rpmOS+c.fixture)
			rows := packageRows(t, table)
			if len(rows) != c.rows || rows[0].Where != c.where {
				t.Errorf("%d packages of %s, want %d of %s", len(rows), rows[0].Where, c.rows, c.where)
			}
			if got := strings.Join(table.Partial, "\n"); got != c.partial {
				t.Errorf("partial %q, want %q", got, c.partial)
			}
		})
	}
}

func TestPackagesOfUnreadableRPMAreAbsent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, fixture, absent string }{
		{"noise", "-- var/lib/rpm/Packages --\nnoise, and enough of it\n",
			"/var/lib/rpm/Packages: offset 0: not an rpm database: neither sqlite, ndb nor a Berkeley DB hash"},
		{"denied", "-- var/lib/rpm/rpmdb.sqlite denied --\nx\n", "may not read /var/lib/rpm/rpmdb.sqlite (run as root)"},
		{"cut off", "-- var/lib/rpm/rpmdb.sqlite --\nSQLite format 3\n", "/var/lib/rpm/rpmdb.sqlite: offset 0: not an rpm database: neither sqlite, ndb nor a Berkeley DB hash"},
	} {
		table := packagesOf(t, rpmOS+c.fixture)
		if table.Rows != nil || table.Absent != c.absent {
			t.Errorf("%s: rows %v, absent %q, want %q", c.name, table.Rows, table.Absent, c.absent)
		}
	}
}

func TestOwnersOfRPM(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, rpmOS+rpmFile(t, "rpmdb.sqlite.gz", "var/lib/rpm/rpmdb.sqlite")+
		"-- etc/passwd --\nroot:x:0:0::/root:/bin/sh\nkiosk:x:801:802::/:/bin/false\n-- etc/group --\nroot:x:0:\nkiosk:x:803:\n")
	owners := table.Aux.(*Owners)
	if ok, why := owners.Complete(); !ok {
		t.Errorf("incomplete: %q", why)
	}
	for _, c := range []struct {
		path           string
		mode, uid, gid int32
		algo           scanner.Algo
		caps           string
		config, link   bool
	}{
		{path: "/usr/bin/kiosk", mode: 0o4755, algo: scanner.SHA256},
		{path: "/usr/bin/kiosk-ping", mode: 0o755, gid: 803, algo: scanner.SHA256, caps: "cap_net_raw=p"},
		{path: "/usr/bin/kiosk-show", mode: -1, link: true},
		{path: "/etc/kiosk", mode: 0o750, uid: 801, gid: 803},
		{path: "/etc/kiosk/kiosk.conf", mode: 0o640, uid: -1, gid: -1, algo: scanner.SHA256, config: true},
		{path: "/var/log/kiosk.log", mode: 0o644}, // made on the device: no digest
	} {
		w, ok := owners.Owner(c.path)
		if !ok || owners.Package(w).Name != "kiosk-app" {
			t.Errorf("%s: %+v, %v", c.path, w, ok)
			continue
		}
		if w.Mode != c.mode || w.UID != c.uid || w.GID != c.gid || w.Algo != c.algo || w.Caps != c.caps ||
			w.Config != c.config || w.Link != c.link || (len(w.Digest) > 0) != (c.algo != 0) {
			t.Errorf("%s: %+v, want %+v", c.path, w, c)
		}
	}
	if _, ok := owners.Owner("/usr/bin/other"); ok {
		t.Error("a path of no package has an owner")
	}
}

// The databases of three distributions, where they are at hand: the numbers are rpm's.
func TestPackagesOfRPMInRecordedTrees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tree     string
		packages int
		bytes    int64
		files    int // files and folders, those of several packages counted once
		where    string
	}{
		{"centos6-many", 326, 878852888, 44869, "/var/lib/rpm/Packages"},
		{"fedora35", 138, 187934553, 8070, "/var/lib/rpm/rpmdb.sqlite"},
		{"sle15-bci", 35, 39681521, 2758, "/var/lib/rpm/Packages.db"}, // beside an sqlite one without packages
	} {
		table := packagesIn(t, sharedTree(t, "rpm-"+c.tree+".tar.gz"))
		rows := packageRows(t, table)
		var size int64
		for _, p := range rows {
			size += p.BundleSize
		}
		owners := table.Aux.(*Owners)
		if ok, why := owners.Complete(); !ok || len(table.Partial) > 0 {
			t.Errorf("%s: partial %q, owners %q", c.tree, table.Partial, why)
		}
		if len(rows) != c.packages || size != c.bytes || rows[0].Where != c.where || owners.Len() != c.files {
			t.Errorf("%s: %d packages of %d bytes with %d files in %s", c.tree, len(rows), size, owners.Len(), rows[0].Where)
		}
	}
}

func sharedTree(t testing.TB, name string) scanner.Device {
	t.Helper()
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of recordings")
	}
	d, err := device.Open(context.Background(), filepath.Join(data, "linux", name), device.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func BenchmarkRPMInventory(b *testing.B) {
	for _, tree := range []string{"centos6-many", "fedora35"} {
		b.Run(tree, func(b *testing.B) {
			d := sharedTree(b, "rpm-"+tree+".tar.gz")
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				t := collectPackages(context.Background(), &scanner.Input{Device: d, Options: &scanner.Options{}})
				n += len(t.Rows.([]Package))
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packages/s")
		})
	}
}
