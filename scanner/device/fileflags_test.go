package device

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// setFlags adds flags to a file's until the test ends.
func setFlags(t *testing.T, name string, flags int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	had, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	set := func(v int) error { return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, v) }
	if err == nil {
		err = set(had | flags)
	}
	if err != nil {
		f.Close()
		t.Skipf("flags cannot be set here: %v", err)
	}
	t.Cleanup(func() {
		if err := set(had); err != nil {
			t.Error(err)
		}
		f.Close()
	})
}

func TestFlagsThatBarChanges(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to set flags")
	}
	fsys, top := openDir(t, map[string]string{"etc/fixed": "x", "etc/log": "x", "etc/both": "x", "etc/free": "x", "etc/link": "->fixed", "etc/os-release": "ID=x\n", "usr/bin/x": "x"})
	const immutable, appendOnly = 0x10, 0x20 // FS_IMMUTABLE_FL, FS_APPEND_FL
	setFlags(t, filepath.Join(top, "etc/fixed"), immutable)
	setFlags(t, filepath.Join(top, "etc/log"), appendOnly)
	setFlags(t, filepath.Join(top, "etc/both"), immutable|appendOnly)
	if _, err := fsys.Xattr("/etc/free", scanner.FlagsAttr); errors.Is(err, scanner.ErrUnavailable) {
		t.Skip(err)
	}
	check := func(kind string, fsys scanner.FS) {
		for name, want := range map[string]string{"/etc/fixed": "i", "/etc/log": "a", "/etc/both": "ia", "/etc/free": "", "/etc/link": "", "/etc": ""} {
			got, err := fsys.Xattr(name, scanner.FlagsAttr)
			if string(got) != want || want == "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s: %q, %v", kind, name, got, err)
			}
		}
		if _, err := fsys.Xattr("/etc/none", scanner.FlagsAttr); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a missing file: %v", kind, err)
		}
	}
	check("directory", fsys)
	dev, err := openFor(t, top, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check("recording", replay(t, recordingOf(t, dev, RecordOptions{}, func(d scanner.Device) { check("recorder", d.FS()) })).FS())
}

func TestFlagsOfAnImage(t *testing.T) {
	t.Parallel()
	debugfs, err := exec.LookPath("debugfs")
	if err != nil {
		t.Skip("no debugfs on this machine")
	}
	src := t.TempDir()
	for _, name := range []string{"etc", "usr"} {
		if err := os.Mkdir(filepath.Join(src, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/fixed", "etc/os-release"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte("ID=x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img := makeImage(t, src, "mke2fs -t ext4 -d SRC IMG")
	// EXT4_EXTENTS_FL stays, FS_IMMUTABLE_FL comes.
	if out, err := exec.Command(debugfs, "-w", "-R", "set_inode_field /etc/fixed flags 0x80010", img).CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	d, err := openFor(t, img, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.FS().Xattr("/etc/fixed", scanner.FlagsAttr); string(got) != "i" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := d.FS().Xattr("/etc/os-release", scanner.FlagsAttr); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestArchivesDoNotTellFlags(t *testing.T) {
	t.Parallel()
	d, err := Txtar([]byte("-- etc/a --\n-- etc/b xattr.linux.flags=69 --\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.FS().Xattr("/etc/a", scanner.FlagsAttr); !errors.Is(err, scanner.ErrUnavailable) {
		t.Error(err)
	}
	if got, err := d.FS().Xattr("/etc/b", scanner.FlagsAttr); string(got) != "i" {
		t.Errorf("%q, %v", got, err)
	}
}
