package device

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

const sampleTxtar = `# a small device
recorded-at: 2024-05-06T07:08:09Z
root: no
profile: router
-- etc/passwd --
root:x:0:0::/root:/bin/sh
-- etc/shadow mode=0640 gid=42 mtime=2024-01-02T03:04:05.5Z --
root:*:1::::::
-- bin link=usr/bin --
-- lib64 link=/usr/bin/../lib64/ --
-- usr/bin/tool elf mode=4755 xattr.security.capability=0100000200200000 --
more
-- usr/bin/same hardlink=usr/bin/tool --
-- usr/lib64/x --
x
-- tmp/ mode=1777 --
-- run/pipe type=fifo mode=600 --
-- var/blob base64 --
AAEC
/w==
-- var/huge size=10000000000 --
-- root/secret denied --
-- name-hex=746d702fff66 --
-- probe/nftables --
{}
-- probe/processes denied --
`

func TestTxtarGivesWhatItsLinesSay(t *testing.T) {
	t.Parallel()
	d, err := Txtar([]byte(sampleTxtar))
	if err != nil {
		t.Fatal(err)
	}
	id := d.Identity()
	if id.Kind != "txtar" || !id.Live || id.Root || id.Profile != "router" || !id.RecordedAt.Equal(time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)) {
		t.Errorf("identity %+v", id)
	}
	fsys := d.FS()
	for name, want := range map[string]string{
		"/etc/passwd":      "root:x:0:0::/root:/bin/sh\n",
		"/bin/tool":        elfHeader + "more\n",
		"/bin/same":        elfHeader + "more\n",
		"/lib64/x":         "x\n",
		"/var/blob":        "\x00\x01\x02\xff",
		"/tmp/\xfff":       "",
		"/../etc/./passwd": "root:x:0:0::/root:/bin/sh\n",
	} {
		if b, err := scanner.ReadFile(fsys, name, 1<<20); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for name, want := range map[string]scanner.Info{
		"/etc/shadow":   {Name: "shadow", Mode: 0o640, Size: 15, GID: 42, Nlink: 1},
		"/bin":          {Name: "bin", Mode: fs.ModeSymlink | 0o777, Size: 7, Nlink: 1},
		"/tmp":          {Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777, Nlink: 1},
		"/usr":          {Name: "usr", Mode: fs.ModeDir | 0o755, Nlink: 1},
		"/":             {Name: "/", Mode: fs.ModeDir | 0o755, Nlink: 1},
		"/run/pipe":     {Name: "pipe", Mode: fs.ModeNamedPipe | 0o600, Nlink: 1},
		"/usr/bin/same": {Name: "same", Mode: fs.ModeSetuid | 0o755, Size: 69, Nlink: 2},
		"/var/huge":     {Name: "huge", Mode: 0o644, Size: 10000000000, Nlink: 1},
	} {
		got, err := fsys.Lstat(name)
		if err != nil {
			t.Error(err)
		}
		got.Ino, got.ModTime = 0, time.Time{}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	if i, _ := fsys.Lstat("/etc/shadow"); !i.ModTime.Equal(time.Date(2024, 1, 2, 3, 4, 5, 5e8, time.UTC)) {
		t.Errorf("mtime %v", i.ModTime)
	}
	if v, err := fsys.Xattr("/bin/tool", "security.capability"); err != nil || len(v) != 8 {
		t.Errorf("xattr %x, %v", v, err)
	}
	if _, err := fsys.Xattr("/etc/passwd", "security.capability"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent xattr: %v", err)
	}
	if _, err := scanner.ReadFile(fsys, "/var/huge", 1<<20); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("huge: %v", err)
	}
	if _, err := fsys.Open("/root/secret"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("denied: %v", err)
	}
	if _, err := fsys.Open("/run/pipe"); err == nil {
		t.Error("FIFO was opened")
	}
	if b, err := d.Probe(context.Background(), scanner.SourceNftables); err != nil || string(b) != "{}\n" {
		t.Errorf("probe %q, %v", b, err)
	}
	if _, err := d.Probe(context.Background(), scanner.SourceProcesses); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("denied probe: %v", err)
	}
	if _, err := d.Probe(context.Background(), scanner.SourceBPF); !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("absent probe: %v", err)
	}
}

func TestTxtarNamesTheLineOfAMistake(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                         "line 1: holds no file",
		"# x\nrecorded: y\n-- a --\n":              "line 2: recorded: unknown; known are",
		"recorded-at: noon\n-- a --\n":             "line 1: recorded-at: parsing time",
		"live: maybe\n-- a --\n":                   "want yes or no",
		"platform: plan9\n-- a --\n":               "want linux or android",
		"modes-untrusted:\n-- a --\n":              "want the reason",
		"-- a --\n1\n2\n-- b mode=9 --\n":          "line 4: b: mode=9: want octal",
		"-- a mode=10000 --\n":                     "want octal",
		"-- a mode --\n":                           "want octal",
		"-- a uid=-x --\n":                         "want a number",
		"-- a elf=1 --\n":                          "elf takes no value",
		"-- a link= --\n":                          "want where it leads",
		"-- a link=b --\ntext\n":                   "only a regular file has content",
		"-- a/ --\ntext\n":                         "only a regular file has content",
		"-- a type=pipe --\n":                      "want fifo, char",
		"-- a size=-1 --\n":                        "want bytes",
		"-- a mtime=1 --\n":                        "want a time",
		"-- a xattr.x=zz --\n":                     "want hex",
		"-- a colour=red --\n":                     "unknown attribute \"colour\"",
		"-- a base64 --\n!\n":                      "base64",
		"-- a hardlink=b --\n":                     "no such file above",
		"-- a --\n-- a --\n":                       "line 2: a: is there already",
		"-- name-hex=6 --\n":                       "want the bytes of a name",
		"-- a\xff --\n":                            "name-hex=61ff",
		"-- ../../a --\n":                          "would leave the tree",
		"-- a --\n-- a/b --\n":                     "line 2: a/b: a file where later entries need a directory",
		"-- probe/disks --\n":                      "unknown source; known are processes",
		"-- " + strings.Repeat("a", 256) + " --\n": "name empty, too long",
	} {
		if _, err := Txtar([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "txtar: ") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzTxtar(f *testing.F) {
	f.Add([]byte(sampleTxtar))
	f.Add([]byte("-- --\n-- x --"))
	f.Add([]byte("-- a --\n-- b link=\x80\x00 --\n-- b/0 --"))
	f.Add([]byte("-- a link=b --\n-- b link=a --\n-- a/c --\nx\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Txtar(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "txtar: ") {
				t.Errorf("error does not say where: %v", err)
			}
			return
		}
		checkTree(t, d.FS())
	})
}
