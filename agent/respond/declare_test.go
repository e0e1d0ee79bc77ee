package respond

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const whole = `format: picket.responses/1
block:
  hook: [/usr/lib/picket/responses/nftables]
  timeout: 10s
  repeat: 30m
wipe:
  delay: 2d
  confirm: device
  commands:
    - {name: key slots, run: [/sbin/cryptsetup, luksErase, --batch-mode, /dev/vg/work], timeout: 2m}
  folders: [/srv/work, /home/anna/Work]
`

func TestParse(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(whole))
	must(t, err)
	if time.Duration(d.Block.Timeout) != 10*time.Second || time.Duration(d.Wipe.Delay) != 48*time.Hour || d.Wipe.Commands[0].Run[1] != "luksErase" || d.Digest == "" {
		t.Errorf("%+v %+v", d.Block, d.Wipe)
	}
	d, err = Parse([]byte("format: picket.responses/1\nwipe: {folders: [/srv/work]}\n"))
	must(t, err)
	if time.Duration(d.Wipe.Delay) != 24*time.Hour || d.Wipe.Confirm != ByOrganisation {
		t.Errorf("defaults: %+v", d.Wipe)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const head = "format: picket.responses/1\n"
	for src, want := range map[string]string{
		"":                                       "empty",
		"{}":                                     "format",
		"format: picket.responses/2":             "format",
		head + "wipes: {}":                       "not found",
		head + "---\n" + head:                    "more than one document",
		head + "wipe: {}":                        "nothing to remove",
		head + "block: {}":                       "hook",
		head + "block: {hook: [sh]}":             "no full path",
		head + "block: {hook: [/bin/../bin/sh]}": "no full path",
		head + "block: {hook: [/bin/sh], timeout: 1h}":                                  "out of range",
		head + "block: {hook: [/bin/sh], timeout: -1s}":                                 "out of range",
		head + "block: {hook: [/bin/sh], timeout: soon}":                                "no duration",
		head + "block: {hook: [/bin/sh], hook: [/bin/sh]}":                              "already defined",
		head + "wipe: {folders: [/srv/work], delay: 1m}":                                "out of range",
		head + "wipe: {folders: [/srv/work], confirm: nobody}":                          "confirm",
		head + "wipe: {folders: [/srv/work, /srv/work]}":                                "overlap",
		head + "wipe: {folders: [/srv/work/a, /srv/work]}":                              "overlap",
		head + "wipe: {commands: [{name: x, run: []}]}":                                 "program",
		head + "wipe: {commands: [{name: x, run: [/bin/a]}, {name: x, run: [/bin/a]}]}": "once",
		head + "wipe: {commands: [{run: [/bin/a]}]}":                                    "no name",
		head + "wipe: {folders: [" + strings.Repeat("/srv/work,", 65) + "]}":            "more than 64",
		head + "wipe: {folders: [" + strings.Repeat("x", maxDeclaration) + "]}":         "bytes",
	} {
		if d, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %+v, %v; want %s", src, d, err, want)
		}
	}
}

func TestParseRefusesDangerousFolders(t *testing.T) {
	t.Parallel()
	for _, f := range []string{"/", "//", "", ".", "work", "/srv/work/", "/srv/../etc", "/srv/./work", "/etc", "/etc/picket", "/usr", "/usr/local/share/work", "/home", "/home/anna", "/root", "/var", "/var/lib",
		"/var/lib/picket", "/var/lib/picket/responses", "/var/lib/dpkg/info", "/opt", "/srv", "/tmp", "/dev/shm", "/proc/1", "/sys", "/boot", "/run", "/run/user/1000", "/mnt", "/data", "/data/data", "/data/user/0", "/data/user/10", "/data/media/0", "/data/adb/modules", "/system/app", "/apex/x", "/lib64", "/sbin"} {
		if err := checkFolder(f, []string{"/var/lib/picket", "/etc/picket/config.yaml"}); err == nil {
			t.Errorf("%q is taken for work data", f)
		}
	}
	for _, f := range []string{"/srv/work", "/home/anna/Work", "/var/lib/work", "/opt/work/data", "/mnt/work", "/work", "/data/data/org.example.work", "/data/media/0/Work", "/var/lib/picketing"} {
		if err := checkFolder(f, []string{"/var/lib/picket"}); err != nil {
			t.Error(err)
		}
	}
}

// TestAnotherNameOfAKeptFolderIsRefused mounts the state folder in a place that would do.
func TestAnotherNameOfAKeptFolderIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "var/state/keep", "work/")
	for name, from := range map[string]string{"the state folder": "var/state", "what holds it": "var"} {
		if err := unix.Mount(filepath.Join(dir, from), filepath.Join(dir, "work"), "", unix.MS_BIND, ""); err != nil {
			t.Skip(err)
		}
		err := checkSame(filepath.Join(dir, "work"), []string{filepath.Join(dir, "var/state")})
		must(t, unix.Unmount(filepath.Join(dir, "work"), unix.MNT_DETACH))
		if err == nil {
			t.Errorf("%s is taken for work data", name)
		}
	}
}

func TestLoadWantsAFileThatRootAloneCanWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	t.Parallel()
	for name, tc := range map[string]struct {
		do   func(dir, file string) error
		want string // "" is taken
	}{
		"as it should be":     {func(_, _ string) error { return nil }, ""},
		"others write it":     {func(_, f string) error { return os.Chmod(f, 0o646) }, "everybody"},
		"a group writes it":   {func(_, f string) error { return errors.Join(os.Chown(f, 0, 1000), os.Chmod(f, 0o664)) }, "group 1000"},
		"of another":          {func(_, f string) error { return os.Chown(f, 1000, 0) }, "belongs to user 1000"},
		"folder of another":   {func(d, _ string) error { return os.Chown(d, 1000, 0) }, "belongs to user 1000"},
		"others write folder": {func(d, _ string) error { return os.Chmod(d, 0o777) }, "everybody"},
		"a link":              {func(d, f string) error { return errors.Join(os.Rename(f, f+"2"), os.Symlink(f+"2", f)) }, "link"},
		"a folder":            {func(d, f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o755)) }, "regular file"},
		"not there":           {func(d, f string) error { return os.Remove(f) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "picket")
			file := filepath.Join(dir, "responses.yaml")
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.WriteFile(file, []byte(whole), 0o644))
			must(t, tc.do(dir, file))
			d, err := Load(file)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, %v", d, err)
			}
			if name == "not there" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is not ErrNotExist", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("format: picket.responses/1\nwipe: {folders: [/srv/work]}\n"))
	f.Add([]byte("format: picket.responses/1\nblock: &a {hook: [*a]}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := Parse(src, "/var/lib/picket")
		if err != nil || d.Wipe == nil {
			return
		}
		for _, folder := range d.Wipe.Folders {
			if !filepath.IsAbs(folder) || within("/var/lib/picket", folder) || within(folder, "/etc") {
				t.Errorf("%q is taken for work data", folder)
			}
		}
	})
}

// TestDataBelongsToAndroid loads a declaration within a root like Android's, where /data is the
// system's and not root's, and within one that only looks alike.
func TestDataBelongsToAndroid(t *testing.T) {
	const file = "/data/adb/picket/responses.yaml"
	if os.Getenv("PICKET_TEST_ANDROID") != "" {
		_, err := Load(file)
		fmt.Println("LOADED", err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("a root of its own needs root")
	}
	t.Parallel()
	self, err := os.ReadFile(os.Args[0])
	must(t, err)
	for _, android := range []bool{true, false} {
		root := t.TempDir()
		must(t, os.MkdirAll(root+filepath.Dir(file), 0o700))
		must(t, os.WriteFile(root+file, []byte(whole), 0o600))
		must(t, os.Chown(root+"/data", androidSystem, androidSystem))
		must(t, os.Chmod(root+"/data", 0o771))
		writeProgram(t, root+"/test", self)
		if android {
			put(t, root, "system/build.prop")
		}
		cmd := exec.Command("/test", "-test.run=^TestDataBelongsToAndroid$")
		cmd.Path, cmd.Dir, cmd.Env = "/test", "/", []string{"PICKET_TEST_ANDROID=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Skipf("this program does not run in a root of its own: %v: %s", err, out)
		}
		if got := strings.Contains(string(out), "LOADED <nil>"); got != android {
			t.Errorf("android is %v: %s", android, out)
		}
	}
}
