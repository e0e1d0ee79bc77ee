package parse

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const apkSample = `C:Q1yyMWoYnr7lKCxKm9mHlMwkd6dMY=
P:busybox
V:1.36.1-r2
A:aarch64
S:507134
I:962560
T:Small tools
o:busybox
m:Some One <some@example.org>
t:1579084582
F:bin
R:busybox
a:0:0:4755
Z:Q1AAECAwQFBgcICQoLDA0ODxAREhM=
R:sh
a:0:0:777
Z:Q1AAECAwQFBgcICQoLDA0ODxAREhM=
F:etc/init.d
M:0:42:01770
R:rcS
a:0:0:0755
Z:Q2AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

P:short
V:1
f:S
s:edge
F:
M:0:0:755
R:top
Z:Q1AAECAwQFBgcICQoLDA0ODxAREhM=

P:.build-deps
V:20240101.120000
f:fs

`

func TestApkInstalledReadsPackagesAndFiles(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	ApkInstalled([]byte(apkSample), 1, &c, func(p *ApkPackage) bool {
		got = append(got, fmt.Sprintf("%d %s %s %s %d %s %s %v %v", p.Line, p.Name, p.Version, p.Arch, p.InstalledSize,
			p.Origin, p.RepositoryTag, p.BrokenFiles, p.BrokenScript))
		return true
	}, func(f *ApkFile) {
		got = append(got, fmt.Sprintf("  %s %v %o %d:%d %s %d", f.Path, f.Dir, f.Mode, f.UID, f.GID, f.Algo, len(f.Digest)))
	})
	want := []string{
		"1 busybox 1.36.1-r2 aarch64 962560 busybox  false false",
		"  /bin true 755 0:0  0",
		"  /bin/busybox false 4755 0:0 sha1 20",
		"  /bin/sh false 777 0:0 sha1 20",
		"  /etc/init.d true 1770 0:42  0",
		"  /etc/init.d/rcS false 755 0:0 sha256 32",
		"24 short 1  -1  edge false false",
		"  /top false 644 0:0 sha256 20",
		"33 .build-deps 20240101.120000  -1   true true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.List) > 0 {
		t.Errorf("complaints %v", c.List)
	}
}

func TestApkInstalledSkipsFilesOfPackagesNotWanted(t *testing.T) {
	t.Parallel()
	var files []string
	ApkInstalled([]byte(apkSample), 1, nil, func(p *ApkPackage) bool { return string(p.Name) == "short" },
		func(f *ApkFile) { files = append(files, string(f.Path)) })
	if !slices.Equal(files, []string{"/top"}) {
		t.Errorf("files %q", files)
	}
}

func TestApkInstalledComplainsOfDamage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, complaint string }{
		{"cut", "P:a\nV:1", "line 2: file ends in the middle of a line"},
		{"noise", "\x00\x01\x02\n", "line 1: not a field"},
		{"size", "P:a\nI:big\n\n", "line 2: I: not a size"},
		{"file without folder", "P:a\nR:x\n\n", "line 2: R: not a file in a folder"},
		{"slash in a name", "P:a\nF:b\nR:../x\n\n", "line 3: R: not a file in a folder"},
		{"mode", "P:a\nF:b\nM:0:0:9\n\n", "line 3: M: not an owner and mode"},
		{"mode of a file on a folder", "P:a\nF:b\na:0:0:755\n\n", "line 3: a: not an owner and mode"},
		{"digest of unknown kind", "P:a\nF:b\nR:c\nZ:Q3AAAA\n\n", "line 4: Z: not a digest"},
		{"digest cut", "P:a\nF:b\nR:c\nZ:Q1AAEC\n\n", "line 4: Z: not a digest"},
		{"digest too long", "P:a\nF:b\nR:c\nZ:Q2" + strings.Repeat("A", 4000) + "\n\n", "line 4: Z: not a digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got Complaints
			ApkInstalled([]byte(c.text), 1, &got, func(*ApkPackage) bool { return true }, func(*ApkFile) {})
			if len(got.List) != 1 || got.List[0].Error() != c.complaint {
				t.Errorf("complaints %v, want %q", got.List, c.complaint)
			}
		})
	}
}

func TestApkTaggedRepository(t *testing.T) {
	t.Parallel()
	b := []byte("https://example.org/main\n@edge https://example.org/edge/main\n@broken\n")
	for tag, want := range map[string]string{
		"edge": "https://example.org/edge/main", "broken": "@broken", "none": "@none",
	} {
		if got := ApkTaggedRepository(b, tag); got != want {
			t.Errorf("%s: got %q, want %q", tag, got, want)
		}
	}
}

func FuzzApkInstalled(f *testing.F) {
	f.Add([]byte(apkSample))
	f.Add([]byte("P:a\nV:1\nF:\nR:b\na:0:0:\n"))
	f.Add([]byte("F:x\nM:1\n\nZ:Q1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		heads, packages := 0, 0
		ApkInstalled(b, 1, nil, func(*ApkPackage) bool { heads++; return true }, nil)
		ApkInstalled(b, 1, &Complaints{}, func(*ApkPackage) bool { packages++; return true }, func(f *ApkFile) {
			if packages == 0 || len(f.Path) < 2 || f.Path[0] != '/' || bytes.IndexByte(f.Path, '\n') >= 0 {
				t.Fatalf("file %+v of package %d", f, packages)
			}
			if f.Mode < 0 || f.Mode > 0o7777 || f.UID < 0 || f.GID < 0 {
				t.Fatalf("owner and mode of %+v", f)
			}
			if n := len(f.Digest); n != 0 && n != 20 && n != 32 || (n == 0) != (f.Algo == "") {
				t.Fatalf("digest of %+v", f)
			}
		})
		if heads != packages {
			t.Fatalf("%d packages without files, %d with", heads, packages)
		}
	})
}
