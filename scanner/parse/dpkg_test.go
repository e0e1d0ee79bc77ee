package parse

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func TestDpkgListGivesPaths(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	DpkgList([]byte("/.\n/usr\n/usr/bin/a b\nrelative\n\n/usr/share/x/\n/last"), &c, func(p []byte) bool {
		got = append(got, string(p))
		return true
	})
	if want := []string{"/usr", "/usr/bin/a b", "/usr/share/x", "/last"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c.List) != 2 || c.List[0].Line != 4 {
		t.Errorf("complaints %v, want lines 4 and 5", c.List)
	}
}

func TestDpkgMD5SumsGivesDigests(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	DpkgMD5Sums([]byte("d41d8cd98f00b204e9800998ecf8427e  usr/bin/a\n"+
		"D41D8CD98F00B204E9800998ECF8427E *./usr/b c\n"+
		"d41d8cd98f00b204e9800998ecf8427  short\n"+
		"0cc175b9c0f1b6a831c399e269772661  /abs"), &c, func(p []byte, sum [16]byte) bool {
		got = append(got, fmt.Sprintf("%x %s", sum, p))
		return true
	})
	want := []string{"d41d8cd98f00b204e9800998ecf8427e usr/bin/a", "d41d8cd98f00b204e9800998ecf8427e usr/b c",
		"0cc175b9c0f1b6a831c399e269772661 abs"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c.List) != 1 || c.List[0].Line != 3 {
		t.Errorf("complaints %v, want line 3", c.List)
	}
}

func TestConffilesForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{" /etc/a d41d8cd98f00b204e9800998ecf8427e", "/etc/a 16 false"},
		{" /etc/with blank d41d8cd98f00b204e9800998ecf8427e obsolete", "/etc/with blank 16 true"},
		{" /etc/a d41d8cd98f00b204e9800998ecf8427e remove-on-upgrade", "/etc/a 16 false"},
		{" /etc/new newconffile", "/etc/new 0 false"},
		{" /etc/owrt e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "/etc/owrt 32 false"},
		{" etc/a d41d8cd98f00b204e9800998ecf8427e", "line 1: Conffiles: not a path and a digest"},
		{" /etc/a xyz", "line 1: Conffiles: not a digest"},
		{" obsolete", ""},
	} {
		var bad Complaints
		got := ""
		Conffiles([]byte(c.text), &bad, func(f Conffile) bool {
			got = fmt.Sprintf("%s %d %v", f.Path, len(f.Digest), f.Obsolete)
			return true
		})
		if len(bad.List) > 0 {
			got = bad.List[0].Error()
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestDpkgDiversions(t *testing.T) {
	t.Parallel()
	var c Complaints
	got := DpkgDiversions([]byte("/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\nrelative\n/c\nx\n/cut\n"), &c)
	want := []Diversion{{"/bin/sh", "/bin/sh.distrib", "dash"}, {"/a", "/b", ":"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(c.List) != 2 {
		t.Errorf("complaints %v, want two", c.List)
	}
}

func TestDpkgStatOverrides(t *testing.T) {
	t.Parallel()
	var c Complaints
	got := DpkgStatOverrides([]byte("root crontab 2755 /usr/bin/crontab\n#0 #8 640 /etc/a b\n\nroot root 99 /x\nroot root 755\n"), &c)
	want := []StatOverride{{"root", "crontab", 0o2755, "/usr/bin/crontab"}, {"#0", "#8", 0o640, "/etc/a b"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(c.List) != 2 || c.List[0].Line != 4 || c.List[1].Line != 5 {
		t.Errorf("complaints %v, want lines 4 and 5", c.List)
	}
}

func TestIsPackageName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"libstdc++6": true, "0ad": true, "python3.11": true, "kmod-usb_net": true, "R": true,
		"": false, "../x": false, "a/b": false, ".hidden": false, "a b": false, "a\x00": false,
	} {
		if got := IsPackageName([]byte(name)); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func FuzzDpkgInfo(f *testing.F) {
	f.Add([]byte("/.\n/usr\n/usr/bin/x\n"))
	f.Add([]byte("d41d8cd98f00b204e9800998ecf8427e  usr/bin/a\n"))
	f.Add([]byte("/bin/sh\n/bin/sh.distrib\ndash\n"))
	f.Add([]byte("root crontab 2755 /usr/bin/crontab\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		DpkgList(b, &Complaints{}, func(p []byte) bool {
			if len(p) < 2 && string(p) != "/" || p[0] != '/' || bytes.ContainsAny(p, "\n\x00") {
				t.Fatalf("path %q", p)
			}
			return true
		})
		DpkgMD5Sums(b, &Complaints{}, func(p []byte, _ [16]byte) bool {
			if bytes.IndexByte(p, '\n') >= 0 {
				t.Fatalf("path %q", p)
			}
			return true
		})
		for _, d := range DpkgDiversions(b, &Complaints{}) {
			if d.From[0] != '/' || d.To[0] != '/' || d.By == "" {
				t.Fatalf("diversion %+v", d)
			}
		}
		for _, s := range DpkgStatOverrides(b, &Complaints{}) {
			if s.Path[0] != '/' || s.Mode < 0 || s.Mode > 0o7777 {
				t.Fatalf("override %+v", s)
			}
		}
	})
}
