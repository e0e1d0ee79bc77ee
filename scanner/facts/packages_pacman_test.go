package facts

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const zlibMtree = `#mtree
/set type=file uid=0 gid=0 mode=644
./.PKGINFO time=1.0 size=1 sha256digest=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
./etc time=1.0 mode=755 type=dir
./etc/zlib.conf time=1.0 size=1 sha256digest=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
./usr/bin/zip time=1.0 mode=4755 size=1 md5digest=d41d8cd98f00b204e9800998ecf8427e sha256digest=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
./usr/lib/libz.so time=1.0 mode=777 type=link link=libz.so.1
`

// archTree is a fixture with one package whose mtree file is the given bytes.
func archTree(mtree []byte) string {
	return `
-- etc/os-release --
ID=arch
-- lib link=usr/lib --
-- var/lib/pacman/local/ALPM_DB_VERSION --
9
-- var/lib/pacman/local/zlib-1:1.3.1-2/desc --
%NAME%
zlib

%VERSION%
1:1.3.1-2

%DESC%
Compression

%ARCH%
x86_64

%INSTALLDATE%
1700000000

%PACKAGER%
Some One <some@example.org>

%SIZE%
345678

-- var/lib/pacman/local/zlib-1:1.3.1-2/files --
%FILES%
etc/
etc/zlib.conf
usr/
usr/bin/zip
usr/lib/libz.so

%BACKUP%
etc/zlib.conf	d41d8cd98f00b204e9800998ecf8427e
-- var/lib/pacman/local/zlib-1:1.3.1-2/mtree base64 --
` + base64.StdEncoding.EncodeToString(mtree) + "\n"
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPacmanInventoryAndOwners(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, archTree(gzipped(t, zlibMtree)))
	rows := packageRows(t, table)
	want := Package{ID: "zlib", Name: "zlib", Version: "1:1.3.1-2", ShortVersion: "1.3.1", Manager: "pacman", Arch: "x86_64",
		Source: "zlib", BundleSize: 345678, DynamicSize: -1, Maintainer: "Some One <some@example.org>",
		InstallTime: "2023-11-14T22:13:20Z", Scope: "system", Status: "installed", Summary: "Compression",
		PURL: "pkg:alpm/arch/zlib@1:1.3.1-2?arch=x86_64&distro=arch", Where: "/var/lib/pacman/local/zlib-1:1.3.1-2/desc:1"}
	if len(rows) != 1 || rows[0] != want {
		t.Errorf("got  %+v\nwant %+v", rows, want)
	}
	o := table.Aux.(*Owners)
	for path, want := range map[string]string{
		"/etc":           "unknown 0 755 0 false false",
		"/etc/zlib.conf": "sha256 32 644 0 false true",
		"/usr/bin/zip":   "sha256 32 4755 0 false false",
		"/lib/libz.so":   "unknown 0 777 0 true false",
		"/usr":           "unknown 0 -1 -1 false false",
	} {
		w, ok := o.Owner(path)
		if got := fmt.Sprintf("%s %d %o %d %v %v", w.Algo, len(w.Digest), w.Mode, w.UID, w.Link, w.Config); !ok || got != want {
			t.Errorf("%s: got %s, %v; want %s", path, got, ok, want)
		}
	}
	if ok, why := o.Complete(); !ok {
		t.Errorf("not complete: %q", why)
	}
}

func TestPacmanDamagedMtreeKeepsTheFilesList(t *testing.T) {
	t.Parallel()
	whole := gzipped(t, zlibMtree)
	for name, mtree := range map[string][]byte{"cut": whole[:len(whole)/2], "noise": []byte("noise"), "empty": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := packagesOf(t, archTree(mtree)).Aux.(*Owners)
			if _, ok := o.Owner("/usr/bin/zip"); !ok {
				t.Error("/usr/bin/zip has no owner")
			}
			ok, why := o.Complete()
			if ok || !strings.HasPrefix(why[0], "/var/lib/pacman/local/zlib-1:1.3.1-2/mtree: ") {
				t.Errorf("complete %v, %q", ok, why)
			}
		})
	}
}

func TestPacmanDamagedPackageLeavesTheOthers(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, archTree(gzipped(t, zlibMtree))+"-- var/lib/pacman/local/bad-1/desc --\nrubbish\n-- var/lib/pacman/local/empty-1/ --\n")
	same(t, "packages", packageIDs(t, table), []string{"zlib 1:1.3.1-2 installed"})
	for _, want := range []string{
		"/var/lib/pacman/local/bad-1/desc: line 1: a value outside a section",
		"/var/lib/pacman/local/bad-1/desc: line 1: no name or no version",
		"/var/lib/pacman/local/empty-1/desc does not exist",
	} {
		if !slices.Contains(table.Partial, want) {
			t.Errorf("partial %q lacks %q", table.Partial, want)
		}
	}
}
