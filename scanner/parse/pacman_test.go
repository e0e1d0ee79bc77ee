package parse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const pacmanDescSample = `%NAME%
zlib

%VERSION%
1:1.3.1-2

%BASE%
zlib-base

%DESC%
Compression library

%ARCH%
x86_64

%INSTALLDATE%
1700000000

%PACKAGER%
Some One <some@example.org>

%SIZE%
345678

%DEPENDS%
glibc
%odd%

`

func TestPacmanDesc(t *testing.T) {
	t.Parallel()
	var c Complaints
	got := PacmanDesc([]byte(pacmanDescSample), &c)
	want := PacmanPackage{Name: "zlib", Version: "1:1.3.1-2", Base: "zlib-base", Arch: "x86_64", Description: "Compression library",
		Packager: "Some One <some@example.org>", Size: 345678, InstallDate: 1700000000}
	if got != want || len(c.List) > 0 {
		t.Errorf("got  %+v, %v\nwant %+v", got, c.List, want)
	}
}

func TestPacmanDescComplainsOfDamage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"%NAME%\na\n\n%SIZE%\nbig\n": "line 5: not a number",
		"rubbish\n":                  "line 1: a value outside a section",
		"%NAME%\n\x00\x00\n":         "line 2: holds a zero byte",
	} {
		var c Complaints
		PacmanDesc([]byte(text), &c)
		if len(c.List) != 1 || c.List[0].Error() != want {
			t.Errorf("%q: %v, want %q", text, c.List, want)
		}
	}
}

func TestPacmanFiles(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	PacmanFiles([]byte("%FILES%\netc/\netc/a.conf\nusr/bin/x y\n\n%BACKUP%\netc/a.conf\td41d8cd98f00b204e9800998ecf8427e\netc/b\t(null)\netc/c\tbad\n"), &c,
		func(f PacmanFile) bool {
			got = append(got, fmt.Sprintf("%s %v %d", f.Path, f.Backup, len(f.MD5)))
			return true
		})
	want := []string{"etc false 0", "etc/a.conf false 0", "usr/bin/x y false 0", "etc/a.conf true 16", "etc/b true 0", "etc/c true 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c.List) != 1 || c.List[0].Line != 9 {
		t.Errorf("complaints %v, want line 9", c.List)
	}
}

const mtreeSample = `#mtree
/set type=file uid=0 gid=0 mode=644
./.PKGINFO time=1700000000.0 size=541 md5digest=d41d8cd98f00b204e9800998ecf8427e
./usr time=1700000000.0 mode=755 type=dir
./usr/bin/su time=1.0 mode=4755 size=3 md5digest=d41d8cd98f00b204e9800998ecf8427e sha256digest=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
./usr/a\040b time=1.0 size=0 gid=12 sha256digest=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
./usr/lib/x.so time=1.0 mode=777 type=link link=x.so.1
./last sha256digest=short
`

func TestMtree(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	Mtree([]byte(mtreeSample), &c, func(e *MtreeEntry) bool {
		got = append(got, fmt.Sprintf("%s %s %o %d:%d %s %d", e.Path, e.Type, e.Mode, e.UID, e.GID, e.Algo, len(e.Digest)))
		return true
	})
	want := []string{
		"/.PKGINFO file 644 0:0 md5 16",
		"/usr dir 755 0:0  0",
		"/usr/bin/su file 4755 0:0 sha256 32",
		"/usr/a b file 644 0:12 sha256 32",
		"/usr/lib/x.so link 777 0:0  0",
		"/last file 644 0:0  0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.List) != 1 || c.List[0].Error() != "line 8: keyword sha256digest has no valid value" {
		t.Errorf("complaints %v", c.List)
	}
}

func TestMtreeComplainsOfDamage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"usr/bin\n":          "line 1: not an entry",
		"./a\\04\n":          "line 1: not a path",
		"./a\\000b\n":        "line 1: not a path",
		"./\n":               "line 1: not a path",
		"./a mode=99\n":      "line 1: keyword mode has no valid value",
		"/set uid=-1\n./a\n": "line 1: keyword uid has no valid value",
	} {
		var c Complaints
		Mtree([]byte(text), &c, func(*MtreeEntry) bool { return true })
		if len(c.List) != 1 || c.List[0].Error() != want {
			t.Errorf("%q: %v, want %q", text, c.List, want)
		}
	}
}

func FuzzPacman(f *testing.F) {
	f.Add([]byte(pacmanDescSample))
	f.Add([]byte("%FILES%\netc/\netc/a\n\n%BACKUP%\netc/a\td41d8cd98f00b204e9800998ecf8427e\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := PacmanDesc(b, &Complaints{})
		if p.Size < 0 || p.InstallDate < 0 || strings.Contains(p.Name, "\n") {
			t.Fatalf("%+v", p)
		}
		PacmanFiles(b, &Complaints{}, func(f PacmanFile) bool {
			if len(f.Path) == 0 || len(f.MD5) != 0 && len(f.MD5) != 16 {
				t.Fatalf("%+v", f)
			}
			return true
		})
	})
}

func FuzzMtree(f *testing.F) {
	f.Add([]byte(mtreeSample))
	f.Add([]byte("/set mode=\n/unset x\n..\n./\\303\\274 type=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		Mtree(b, &Complaints{}, func(e *MtreeEntry) bool {
			if len(e.Path) < 2 || e.Path[0] != '/' || e.Mode < -1 || e.Mode > 0o7777 || e.UID < -1 || e.GID < -1 {
				t.Fatalf("%+v", e)
			}
			if n := len(e.Digest); n != map[string]int{"": 0, "md5": 16, "sha256": 32}[e.Algo] {
				t.Fatalf("%+v", e)
			}
			return true
		})
	})
}
