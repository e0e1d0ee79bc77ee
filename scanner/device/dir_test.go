package device

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// plant writes files below a new directory: a name ending in "/" is a directory, a value
// starting with "->" is a link.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range files {
		p := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o755)
		case strings.HasPrefix(content, "->"):
			err = os.Symlink(content[2:], p)
		default:
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func openDir(t *testing.T, files map[string]string) (scanner.FS, string) {
	t.Helper()
	top := plant(t, files)
	d, err := Directory(top)
	if err != nil {
		t.Fatal(err)
	}
	return d.FS(), top
}

func TestDirectoryResolvesLinksInside(t *testing.T) {
	t.Parallel()
	fsys, _ := openDir(t, map[string]string{
		"etc/passwd":      "root:x:0:0::/root:/bin/sh\n",
		"etc/absolute":    "->/etc/passwd",
		"etc/climbing":    "->../../../../../../etc/passwd",
		"etc/outside":     "->/proc/version",
		"etc/loop":        "->loop",
		"lib":             "->usr/lib",
		"usr/lib/libc.so": "\x7fELF",
	})
	for _, name := range []string{"/etc/passwd", "/etc/absolute", "/etc/climbing", "/../etc/./passwd"} {
		b, err := scanner.ReadFile(fsys, name, 1<<20)
		if err != nil || string(b) != "root:x:0:0::/root:/bin/sh\n" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := fsys.Open("/etc/outside"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link out of the root gave %v", err)
	}
	if _, err := fsys.Stat("/etc/loop"); !errors.Is(err, errLinkLoop) {
		t.Errorf("a link loop gave %v", err)
	}
	if got, err := fsys.Resolve("/lib/libc.so"); err != nil || got != "/usr/lib/libc.so" {
		t.Errorf("resolve: %q, %v", got, err)
	}
	if h, err := fsys.Head("/lib/libc.so"); err != nil || string(h) != "\x7fELF" {
		t.Errorf("head: %q, %v", h, err)
	}
	if _, err := fsys.Stat("/etc/passwd/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file used as a directory gave %v", err)
	}
}

func TestDirectoryDescribesAsTheKernelDoes(t *testing.T) {
	t.Parallel()
	fsys, top := openDir(t, map[string]string{"etc/passwd": "x", "usr/bin/su": "su", "usr/bin/link": "->su"})
	want := filepath.Join(top, "usr/bin/su")
	if err := os.Chmod(want, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	if err := os.Chtimes(want, when, when); err != nil {
		t.Fatal(err)
	}
	info, err := fsys.Lstat("/usr/bin/su")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(want, &st); err != nil {
		t.Fatal(err)
	}
	if info.Perm() != 0o4755 || info.Size != 2 || !info.ModTime.Equal(when) || info.Ino != st.Ino ||
		info.UID != os.Getuid() || info.Nlink != 1 || info.Name != "su" || info.ChangeTime.IsZero() {
		t.Errorf("%+v", info)
	}
	infos, err := fsys.ReadDir("/usr/bin")
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 2 || infos[0].Name != "link" || infos[0].Mode&fs.ModeSymlink == 0 || infos[1] != info {
		t.Errorf("%+v", infos)
	}
	if root, err := fsys.Lstat("/"); err != nil || !root.Mode.IsDir() {
		t.Errorf("%+v, %v", root, err)
	}
}

func TestDirectoryOpensOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	fsys, top := openDir(t, map[string]string{"etc/passwd": "x", "tmp/": ""})
	fifo := filepath.Join(top, "tmp/fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/tmp/fifo", "/tmp", "/"} {
		if f, err := fsys.Open(name); !errors.Is(err, errNotRegular) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	// A reader would have let this writer in.
	if fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK, 0); !errors.Is(err, unix.ENXIO) {
		unix.Close(fd)
		t.Errorf("the FIFO has a reader: %v", err)
	}
}

func TestDirectoryNothingRecognised(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"empty":     {"./": ""},
		"documents": {"letter.txt": "Dear", "photos/a.jpg": "x"},
	} {
		if d, err := Directory(plant(t, files)); err == nil {
			t.Errorf("%s: %+v", name, d.Identity())
		}
	}
	if _, err := Directory("/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryReadsXattrs(t *testing.T) {
	t.Parallel()
	fsys, top := openDir(t, map[string]string{"etc/passwd": "x", "etc/none": "", "etc/link": "->passwd"})
	if err := unix.Setxattr(filepath.Join(top, "etc/passwd"), "user.test", []byte("value"), 0); err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
	if v, err := fsys.Xattr("/etc/passwd", "user.test"); err != nil || string(v) != "value" {
		t.Errorf("%q, %v", v, err)
	}
	for _, name := range []string{"/etc/none", "/etc/link", "/etc/missing"} {
		if v, err := fsys.Xattr(name, "user.test"); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %q, %v", name, v, err)
		}
	}
}

// A tree whose directory is swapped for a link between two lookups must not be left.
func TestDirectorySwappedForLinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	outside := plant(t, map[string]string{"passwd": "secret"})
	_, top := openDir(t, map[string]string{"etc/passwd": "x", "other/": ""})
	tree, err := openTree(top)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	if err := os.Rename(filepath.Join(top, "etc"), filepath.Join(top, "away")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(top, "etc")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.lstat("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lstat gave %v", err)
	}
	if _, err := tree.open("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open gave %v", err)
	}
	if _, err := tree.readDir("/etc"); err == nil {
		t.Error("listed a link")
	}
	if _, err := tree.open("/other/../../x"); err == nil {
		t.Error("climbed out")
	}
}

func TestDirectoryKeepsFewDescriptors(t *testing.T) {
	files := map[string]string{"etc/passwd": "x"}
	for i := range 3 * maxOpenDirs {
		files[filepath.Join("d", string(rune('a'+i%26)), string(rune('a'+i/26)), "f")] = "x"
	}
	fsys, _ := openDir(t, files)
	before := openDescriptors(t)
	for name := range files {
		if _, err := fsys.Lstat("/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if n := openDescriptors(t) - before; n > maxOpenDirs {
		t.Errorf("%d descriptors", n)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(e)
}

func TestFileReadAt(t *testing.T) {
	t.Parallel()
	fsys, _ := openDir(t, map[string]string{"etc/passwd": "0123456789"})
	f, err := fsys.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 3); n != 4 || err != nil || string(b) != "3456" {
		t.Errorf("%d %v %q", n, err, b)
	}
	if n, err := f.ReadAt(b, 8); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("%d %v", n, err)
	}
	if all, err := io.ReadAll(f); err != nil || string(all) != "0123456789" || f.Size() != 10 {
		t.Errorf("%q %v", all, err)
	}
}

// A full read of a tree leaves every mode, size and time as it was, access times included.
func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/link": "->passwd", "usr/bin/x": "\x7fELF", "home/u/.ssh/key": "k",
	}
	fsys, top := openDir(t, files)
	long := time.Now().Add(-72 * time.Hour) // older than relatime's day
	listing := func() []string {
		var out []string
		err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			var st unix.Stat_t
			if err := unix.Lstat(p, &st); err != nil {
				return err
			}
			line := p + " " + scanner.ModeOf(st.Mode).String() + " " + time.Unix(st.Mtim.Unix()).String() +
				time.Unix(st.Ctim.Unix()).String() + time.Unix(int64(st.Size), 0).String()
			if st.Mode&unix.S_IFMT == unix.S_IFREG {
				line += time.Unix(st.Atim.Unix()).String()
			}
			out = append(out, line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, content := range files {
		if !strings.HasPrefix(content, "->") {
			if err := os.Chtimes(filepath.Join(top, name), long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := listing()
	readAll(t, fsys, "/")
	if after := listing(); !slices.Equal(before, after) {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// readAll does to every file whatever can be done to it.
func readAll(t *testing.T, fsys scanner.FS, dir string) {
	t.Helper()
	infos, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		name := join(dir, i.Name)
		_, _ = fsys.Xattr(name, "security.capability")
		_, _ = fsys.Readlink(name)
		if i.Mode.IsDir() {
			readAll(t, fsys, name)
			continue
		}
		if _, err := fsys.Digest(name, scanner.SHA256); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := fsys.Head(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
