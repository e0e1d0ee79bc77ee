package device

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// files makes a tree: a name that ends in "/" is a directory, content "whiteout" makes one.
func files(t *testing.T, tree map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range tree {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case content == "whiteout":
			err = unix.Mknod(path, unix.S_IFCHR, 0)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func mark(t *testing.T, path, attr, value string) {
	t.Helper()
	if err := unix.Lsetxattr(path, attr, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// overlayLayers makes the two trees of an OpenWrt device.
func overlayLayers(t *testing.T) (lower, upper string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("whiteouts need root")
	}
	lower = files(t, map[string]string{
		"etc/passwd": "lower", "etc/hosts": "lower", "etc/gone": "lower", "etc/opaque/old": "lower", "etc/plain/old": "lower",
		"etc/moved/inside": "lower", "etc/a": "lower", "bin/sh": "lower", "bin/meta": "content", "rom/": "", "overlay/": "", "usr/lib/x": "lower",
	})
	upper = files(t, map[string]string{
		"upper/etc/passwd": "upper", "upper/etc/gone": "whiteout", "upper/etc/opaque/new": "upper", "upper/etc/plain/new": "upper",
		"upper/etc/there/": "", "upper/usr": "whiteout", "upper/bin/meta": "\x00\x00\x00\x00\x00\x00\x00", "upper/etc/a/b": "upper", "upper/etc/moved": "whiteout", "work/work/": "",
	})
	mark(t, filepath.Join(upper, "upper/etc/opaque"), "trusted.overlay.opaque", "y")
	mark(t, filepath.Join(upper, "upper/etc/there"), "trusted.overlay.redirect", "/etc/moved")
	mark(t, filepath.Join(upper, "upper/bin/meta"), "trusted.overlay.metacopy", "")
	return lower, upper
}

func checkOverlay(t *testing.T, fsys scanner.FS) {
	t.Helper()
	for name, want := range map[string]string{
		"/etc/passwd": "upper", "/etc/hosts": "lower", "/etc/opaque/new": "upper", "/etc/plain/old": "lower",
		"/etc/plain/new": "upper", "/bin/sh": "lower", "/etc/there/inside": "lower", "/etc/a/b": "upper", "/bin/meta": "content",
	} {
		if b, err := scanner.ReadFile(fsys, name, 100); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	for _, name := range []string{"/etc/gone", "/etc/opaque/old", "/usr", "/usr/lib/x", "/etc/moved", "/etc/moved/inside", "/upper"} {
		if info, err := fsys.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v; want none", name, info, err)
		}
	}
	for dir, want := range map[string]string{
		"/": "bin etc overlay rom", "/etc": "a hosts opaque passwd plain there", "/etc/opaque": "new", "/etc/plain": "new old", "/etc/there": "inside",
	} {
		var names []string
		list, err := fsys.ReadDir(dir)
		for _, info := range list {
			if info.Name != "lost+found" {
				names = append(names, info.Name)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s holds %q, %v; want %q", dir, got, err, want)
		}
	}
}

func TestOverlayInAPartitionOfItsOwn(t *testing.T) {
	t.Parallel()
	lower, upper := overlayLayers(t)
	low, err := os.ReadFile(makeImage(t, lower, "mksquashfs SRC IMG -comp xz"))
	if err != nil {
		t.Fatal(err)
	}
	up, err := os.ReadFile(makeImage(t, upper, "mke2fs -t ext4 -d SRC IMG"))
	if err != nil {
		t.Fatal(err)
	}
	b := disk(1000+len(up)/sector+100, map[int][]byte{64: low, 1000: up})
	gptDisk(b, []gptPart{{"rootfs", 64, 999}, {"data", 1000, 999 + len(up)/sector}})
	roots, err := openBytes(b)
	if err != nil || labels(roots) != "rootfs+overlay overlay, rootfs squashfs, data ext4" {
		t.Fatalf("roots %s, %v", labels(roots), err)
	}
	checkOverlay(t, newFS(roots[0].t))
	checkTree(t, newFS(roots[0].t))
}

func TestOverlayBehindTheSquashfsItBelongsTo(t *testing.T) {
	t.Parallel()
	lower, upper := overlayLayers(t)
	low, err := os.ReadFile(makeImage(t, lower, "mksquashfs SRC IMG"))
	if err != nil {
		t.Fatal(err)
	}
	up, err := os.ReadFile(makeImage(t, upper, "mke2fs -t ext4 -b 1024 -d SRC IMG"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := openBytes(disk(128+len(up)/sector, map[int][]byte{0: low, 128: up}))
	if err != nil || labels(roots) != "overlay overlay,  squashfs, data ext4" {
		t.Fatalf("roots %q, %v", labels(roots), err)
	}
	checkOverlay(t, newFS(roots[0].t))
}

func TestUnreadableOverlayIsTold(t *testing.T) {
	t.Parallel()
	b := disk(300, map[int][]byte{0: fixtures(t)["squashfs-xz"], 130: []byte("\x10\x20\xf5\xf2")}) // 64 KiB and 1024 bytes
	roots, err := openBytes(b)
	if err != nil || len(roots) != 1 {
		t.Fatalf("roots %s, %v", labels(roots), err)
	}
	if notes := strings.Join(roots[0].notes, "\n"); !strings.Contains(notes, "what the device changed since it was installed is not seen") || !strings.Contains(notes, "f2fs") {
		t.Errorf("notes %q", notes)
	}
}
