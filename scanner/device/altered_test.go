package device

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

const alteredBase = `
-- bin link=usr/bin --
-- usr/bin/sh elf --
-- etc/os-release --
ID=debian
-- etc/shadow mode=0640 gid=42 --
root:*:1::::::
-- etc/cron.d/ mode=0700 xattr.security.selinux=6c6162656c --
-- etc/cron.d/one --
1
-- etc/cron.d/sub/two --
2
-- tmp/ mode=1777 --
-- probe/sockets --
[]
-- probe/uname --
Linux
`

func alter(t *testing.T, base scanner.Device, change string) (scanner.Device, []string) {
	t.Helper()
	d, touched, err := Altered(base, []byte(change))
	if err != nil {
		t.Fatal(err)
	}
	return d, touched
}

func textOf(t *testing.T, d scanner.Device, name string) string {
	t.Helper()
	b, err := scanner.ReadFile(d.FS(), name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func namesIn(t *testing.T, d scanner.Device, dir string) (names []string) {
	t.Helper()
	list, err := d.FS().ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

func TestAltered(t *testing.T) {
	t.Parallel()
	base, err := Txtar([]byte(alteredBase))
	if err != nil {
		t.Fatal(err)
	}
	d, touched := alter(t, base, `# a listener and a job
-- bin/vi elf --
-- etc/shadow --
root::1::::::
-- etc/cron.d/three --
3
-- etc/cron.d/sub gone --
-- tmp/new/file --
x
-- probe/sockets --
[1]
-- probe/uname gone --
`)
	if want := []string{"/usr/bin/vi", "/etc/shadow", "/etc/cron.d/three", "/etc/cron.d/sub", "/tmp/new/file"}; !slices.Equal(touched, want) {
		t.Errorf("touched %q", touched)
	}
	if got := textOf(t, d, "/etc/shadow"); got != "root::1::::::\n" {
		t.Errorf("shadow %q", got)
	}
	if got := namesIn(t, d, "/etc/cron.d"); !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("cron.d has %q", got)
	}
	if got := namesIn(t, d, "/bin"); !slices.Equal(got, []string{"sh", "vi"}) {
		t.Errorf("bin has %q", got)
	}
	for dir, want := range map[string]uint32{"/tmp": 0o1777, "/etc/cron.d": 0o700, "/tmp/new": 0o755} {
		if info, err := d.FS().Stat(dir); err != nil || info.Perm() != want {
			t.Errorf("%s has mode %o, %v", dir, info.Perm(), err)
		}
	}
	if b, err := d.FS().Xattr("/etc/cron.d", "security.selinux"); err != nil || string(b) != "label" {
		t.Errorf("label %q, %v", b, err)
	}
	if _, err := d.FS().Stat("/etc/cron.d/sub/two"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is in a directory that is gone: %v", err)
	}
	for _, name := range []string{"/usr/bin/vi", "/usr/bin/sh", "/etc/os-release"} {
		if _, err := d.FS().Digest(name, scanner.SHA256); err != nil {
			t.Error(err)
		}
		if _, err := d.FS().Head(name); err != nil {
			t.Error(err)
		}
	}
	if b, err := d.Probe(t.Context(), scanner.SourceSockets); err != nil || string(b) != "[1]\n" {
		t.Errorf("sockets %q, %v", b, err)
	}
	if _, err := d.Probe(t.Context(), scanner.SourceUname); !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("uname %v", err)
	}
	// A change over a change: what was gone comes back, alone.
	again, _ := alter(t, d, "-- etc/cron.d/sub/new --\nn\n-- etc/shadow gone --\n")
	if got := namesIn(t, again, "/etc/cron.d/sub"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("sub has %q", got)
	}
	if _, err := again.FS().Stat("/etc/shadow"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("shadow: %v", err)
	}
	if got := textOf(t, base, "/etc/shadow"); got != "root:*:1::::::\n" {
		t.Errorf("the base changed: %q", got)
	}
}

func TestAlteredRefuses(t *testing.T) {
	t.Parallel()
	base, err := Txtar([]byte(alteredBase))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                               "holds no file",
		"root: no\n-- etc/x --\n":        "a change begins with a file",
		"-- etc/none gone --\n":          "line 1: /etc/none: gone",
		"-- ../etc/x --\n":               "leaves the device",
		"-- probe/what --\n":             "unknown source",
		"-- etc/a --\n1\n-- etc/a --\n2": "line 3: /etc/a: is there already",
	} {
		if _, _, err := Altered(base, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Txtar([]byte("-- etc/x gone --\n")); err == nil {
		t.Error("gone is taken in a whole device")
	}
}

func FuzzAltered(f *testing.F) {
	f.Add("-- bin/vi elf --\n-- etc/cron.d gone --\n-- probe/sockets --\n[1]\n")
	f.Add("-- etc/cron.d/sub/../../x link=/etc --\n-- a/b/c hardlink=a/b/d --\n")
	base, err := Txtar([]byte(alteredBase))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, touched, err := Altered(base, []byte(text))
		if err != nil {
			return
		}
		for _, name := range touched {
			if !strings.HasPrefix(name, "/") {
				t.Errorf("touched %q", name)
			}
			d.FS().Lstat(name)
		}
		d.FS().ReadDir("/")
	})
}
