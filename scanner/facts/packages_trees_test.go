package facts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

// TestInventoryEqualsDpkgQuery compares whole root filesystems, such as debootstrap makes, with
// what dpkg itself says of them. PICKET_TREES names the folder they lie in.
func TestInventoryEqualsDpkgQuery(t *testing.T) {
	t.Parallel()
	if os.Getenv("PICKET_TREES") == "" {
		t.Skip("PICKET_TREES names no folder of root filesystems")
	}
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip(err)
	}
	databases, err := filepath.Glob(os.Getenv("PICKET_TREES") + "/*/var/lib/dpkg/status")
	if err != nil || len(databases) == 0 {
		t.Fatalf("no tree with a dpkg database: %v", err)
	}
	for _, status := range databases {
		tree := strings.TrimSuffix(status, "/var/lib/dpkg/status")
		t.Run(filepath.Base(tree), func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command("dpkg-query", "--admindir="+filepath.Dir(status), "-W", "-f",
				"${binary:Package}|${Package}|${Version}|${Architecture}|${Installed-Size}|${db:Status-Status}|${source:Package}|${Maintainer}|${binary:Summary}\n").Output()
			if err != nil {
				t.Fatal(err)
			}
			d, err := device.Directory(tree)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range packageRows(t, packagesIn(t, d)) {
				if p.Manager == "dpkg" {
					got = append(got, strings.TrimSpace(fmt.Sprintf("%s|%s|%s|%s|%s|%s|%s|%s|%s", p.ID, p.Name, p.Version, p.Arch,
						kib(p.BundleSize), p.Status, p.Source, p.Maintainer, p.Summary)))
				}
			}
			var want []string
			for line := range strings.Lines(string(out)) {
				want = append(want, strings.TrimSpace(line))
			}
			slices.Sort(got)
			slices.Sort(want)
			if len(got) != len(want) {
				t.Errorf("%d packages, dpkg-query has %d", len(got), len(want))
			}
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("got  %s\nwant %s", got[i], want[i])
				}
			}
		})
	}
}

func kib(size int64) string {
	if size < 0 {
		return ""
	}
	return fmt.Sprint(size / 1024)
}

// TestSharedTreesHaveTheirPackages counts what the Alpine and the distroless image list.
func TestSharedTreesHaveTheirPackages(t *testing.T) {
	t.Parallel()
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of recordings")
	}
	for _, c := range []struct{ file, glob, field string }{
		{"trivy-alpine-311.tar.gz", "/lib/apk/db/installed", "P:"},
		{"trivy-distroless.tar.gz", "/var/lib/dpkg/status.d/*", "Package: "},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			d, err := device.Open(t.Context(), filepath.Join(data, "linux", c.file), device.OpenOptions{Keep: Keep(Collectors())})
			if err != nil {
				t.Fatal(err)
			}
			want := fieldsIn(t, d.FS(), c.glob, c.field)
			var got []string
			for _, p := range packageRows(t, packagesIn(t, d)) {
				if p.Manager != "unpackaged" {
					got = append(got, p.Name)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			same(t, "packages", got, want)
		})
	}
}

// fieldsIn gives the values of all lines that begin with field.
func fieldsIn(t *testing.T, fsys scanner.FS, glob, field string) (out []string) {
	t.Helper()
	files := []string{glob}
	if dir, ok := strings.CutSuffix(glob, "/*"); ok {
		infos, err := fsys.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		files = nil
		for _, i := range infos {
			files = append(files, dir+"/"+i.Name)
		}
	}
	for _, f := range files {
		b, err := scanner.ReadFile(fsys, f, 1<<26)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			if v, ok := bytes.CutPrefix(line, []byte(field)); ok {
				out = append(out, string(bytes.TrimSpace(v)))
			}
		}
	}
	return out
}

// FuzzPackageDatabases feeds one text to every reader of a database and its lists: what comes
// out must be consistent whatever goes in.
func FuzzPackageDatabases(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nVersion: 1\nConffiles:\n /etc/a d41d8cd98f00b204e9800998ecf8427e\n\n"),
		[]byte("/.\n/usr\n/usr/a\n/bin/a\n"))
	f.Add([]byte(alpineDatabase), []byte("d41d8cd98f00b204e9800998ecf8427e  usr/a\n"))
	f.Add([]byte("%NAME%\na\n\n%VERSION%\n1\n\n%FILES%\nusr/a\n"), []byte("/usr/a\t0755\n"))
	f.Fuzz(func(t *testing.T, database, list []byte) {
		var tree strings.Builder
		tree.WriteString("-- etc/os-release --\nID=x\n-- bin link=usr/bin --\n")
		put := func(content []byte, names ...string) {
			for _, n := range names {
				fmt.Fprintf(&tree, "-- %s base64 --\n%s\n", n, encode(content))
			}
		}
		put(database, "var/lib/dpkg/status", "var/lib/dpkg/status.d/x", "lib/apk/db/installed", "usr/lib/opkg/status",
			"var/lib/pacman/local/a/desc", "var/lib/pacman/local/a/files", "var/lib/snapd/state.json",
			"var/lib/flatpak/app/a/b/c/d/deploy", "var/lib/flatpak/app/a/b/c/d/metadata", "var/lib/flatpak/repo/config")
		put(list, "var/lib/dpkg/info/a.list", "var/lib/dpkg/info/a.md5sums", "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride",
			"usr/lib/opkg/info/a.list", "usr/lib/opkg/info/a.control", "var/lib/pacman/local/a/mtree")
		tree.WriteString("-- var/lib/flatpak/app/a/b/c/active link=d --\n")
		table := packagesOf(t, tree.String())
		if (table.Rows == nil) == (table.Absent == "") {
			t.Fatalf("rows %v, absent %q", table.Rows, table.Absent)
		}
		rows, _ := table.Rows.([]Package)
		for _, p := range rows {
			if p.ID == "" || p.Name == "" || p.Manager == "" || p.BundleSize < -1 || p.DynamicSize < -1 || p.Where == "" {
				t.Fatalf("%+v", p)
			}
		}
		o := table.Aux.(*Owners)
		seen := map[string]bool{}
		o.All(func(path string, w Owned) bool {
			if again, ok := o.Owner(path); !ok || again.Package != w.Package || w.Package >= len(rows) {
				t.Fatalf("%q: %+v, then %+v, %v", path, w, again, ok)
			}
			seen[path] = true
			return true
		})
		if len(seen) != o.Len() {
			t.Fatalf("All lists %d paths, the index has %d", len(seen), o.Len())
		}
	})
}
