package device

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// run runs a tool that makes images, and skips the test where there is none.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/sbin/", "/usr/sbin/"} {
		if err != nil {
			path, err = exec.LookPath(dir + name)
		}
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out[max(0, len(out)-500):])
	}
}

// blank makes a file of size bytes without content.
func blank(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// sourceTree makes a tree with every kind of file that images treat in a way of its own.
// What needs root is left out without it.
func sourceTree(t *testing.T, many int) string {
	t.Helper()
	top := t.TempDir()
	rng := rand.New(rand.NewSource(7))
	noise := func(n int) []byte {
		b := make([]byte, n)
		rng.Read(b)
		return b
	}
	file := func(name string, data []byte, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	asRoot := os.Geteuid() == 0
	root := func(err error) {
		t.Helper()
		if err != nil && asRoot {
			t.Fatal(err)
		}
	}
	file("etc/os-release", []byte("ID=test\n"), 0o644)
	file("bin/su", noise(5000), 0o755|os.ModeSetuid)
	file("bin/wall", []byte("wall"), 0o755|os.ModeSetgid)
	file("usr/bin/ping", noise(30), 0o755)
	// version 2 of the attribute, effective, CAP_NET_RAW permitted
	root(unix.Lsetxattr(filepath.Join(top, "usr/bin/ping"), "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	for i := range 20 {
		file(fmt.Sprintf("labelled/%d", i), []byte{byte(i)}, 0o644)
		root(unix.Lsetxattr(filepath.Join(top, fmt.Sprintf("labelled/%d", i)), "security.selinux", []byte("u:object_r:system_file:s0\x00"), 0))
	}
	file("labelled/long", []byte("x"), 0o644)
	root(unix.Lsetxattr(filepath.Join(top, "labelled/long"), "user.long", bytes.Repeat([]byte("0123456789"), 50), 0))
	root(unix.Lsetxattr(filepath.Join(top, "labelled/long"), "user.empty", nil, 0))
	root(unix.Lsetxattr(filepath.Join(top, "labelled/long"), "trusted.mine", []byte("1"), 0))
	root(unix.Mkfifo(filepath.Join(top, "fifo"), 0o600))
	root(unix.Mknod(filepath.Join(top, "char"), unix.S_IFCHR|0o640, int(unix.Mkdev(5, 1))))
	root(unix.Mknod(filepath.Join(top, "block"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 300))))
	root(unix.Mknod(filepath.Join(top, "whiteout"), unix.S_IFCHR, 0))
	file("owned", []byte("mine"), 0o640)
	root(os.Lchown(filepath.Join(top, "owned"), 100_000, 70_000))
	file("names/\xff\xfe\x01", []byte("not UTF-8"), 0o644)
	file("names/"+strings.Repeat("n", 250), []byte("long"), 0o644)
	file("names/two\nlines", nil, 0o644)
	for name, to := range map[string]string{
		"absolute": "/etc/os-release", "etc/up": "../../../../etc/os-release", "loop": "pool", "pool": "loop",
		"link59": strings.Repeat("a", 59), "link60": strings.Repeat("a", 60), "link900": strings.Repeat("/abcdefgh", 100),
	} {
		if err := os.Symlink(to, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range many {
		file(fmt.Sprintf("many/file-%05d", i), fmt.Append(nil, i)[:i%3], 0o644)
	}
	sparse := filepath.Join(top, "sparse")
	blank(t, sparse, 3<<20)
	f, err := os.OpenFile(sparse, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < 2<<20; at += 12 << 10 { // many extents
		if _, err := f.WriteAt(noise(4096), at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt([]byte("end"), 3<<20-3); err != nil { // mke2fs loses a hole at the end
		t.Fatal(err)
	}
	f.Close()
	file("noise", noise(300_017), 0o644)
	file("zeros", make([]byte, 300_000), 0o644)
	file("text", bytes.Repeat([]byte("a line of text that packs well\n"), 20_000), 0o644)
	for _, n := range []int{1, 59, 60, 61, 160, 4095, 4096, 4097, 12_289, 131_071, 131_072, 131_073} {
		file(fmt.Sprintf("sizes/text-%d", n), bytes.Repeat([]byte("0123456789 "), n/11+1)[:n], 0o644)
		file(fmt.Sprintf("sizes/noise-%d", n), noise(n), 0o644)
	}
	for _, name := range []string{"hard", "etc/hard"} {
		if err := os.Link(filepath.Join(top, "owned"), filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	deep := "deep" + strings.Repeat("/er", 40)
	file(deep+"/leaf", []byte("leaf"), 0o644)
	if err := os.Mkdir(filepath.Join(top, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(top, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_234_567_890, 0)
	// mksquashfs takes hard links for files of their own when a reader changes the access time
	// meanwhile, as the first to read them would.
	if err := os.Chtimes(filepath.Join(top, "owned"), time.Now().Add(time.Hour), old); err != nil {
		t.Fatal(err)
	}
	return top
}

// openImg opens an image file and gives its roots.
func openImg(t *testing.T, name string) ([]imageRoot, error) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return openImage(filepath.Base(name), f, info.Size())
}

// sameTree compares every file of two trees in everything that a tree tells.
func sameTree(t *testing.T, want, got tree, dir string) {
	t.Helper()
	list, err := want.readDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	have, err := got.readDir(dir)
	if err != nil {
		t.Error(err)
		return
	}
	byName := map[string]scanner.Info{}
	for _, info := range have {
		byName[info.Name] = info
	}
	delete(byName, "lost+found") // mke2fs makes one
	if len(byName) != len(list) {
		t.Errorf("%s: %d entries, want %d", dir, len(byName), len(list))
	}
	for _, w := range list {
		name := join(dir, w.Name)
		g, ok := byName[w.Name]
		if !ok {
			t.Errorf("%s is not there", name)
			continue
		}
		sameFile(t, want, got, name, w, g)
		if w.Mode.IsDir() {
			sameTree(t, want, got, name)
		}
	}
}

func sameFile(t *testing.T, want, got tree, name string, w, g scanner.Info) {
	t.Helper()
	if again, err := got.lstat(name); err != nil || again != g {
		t.Errorf("lstat %s: %+v, %v; listed as %+v", name, again, err, g)
	}
	if !w.Mode.IsRegular() && w.Mode&fs.ModeSymlink == 0 {
		w.Size, g.Size = 0, 0 // of directories and devices each filesystem says its own
	}
	if g.Mode != w.Mode || g.UID != w.UID || g.GID != w.GID || g.Size != w.Size || g.Nlink != w.Nlink || g.ModTime.Unix() != w.ModTime.Unix() {
		t.Errorf("%s: %+v, want %+v", name, g, w)
	}
	for _, attr := range []string{"security.selinux", "security.capability", "user.long", "user.empty", "trusted.mine"} {
		wv, werr := want.xattr(name, attr)
		gv, gerr := got.xattr(name, attr)
		if werr != nil && !errors.Is(werr, fs.ErrNotExist) {
			continue
		}
		if (werr == nil) != (gerr == nil) || !bytes.Equal(wv, gv) || gerr != nil && !errors.Is(gerr, fs.ErrNotExist) {
			t.Errorf("%s: %s is %q, %v; want %q, %v", name, attr, gv, gerr, wv, werr)
		}
	}
	switch {
	case w.Mode&fs.ModeSymlink != 0:
		wl, _ := want.readlink(name)
		if gl, err := got.readlink(name); err != nil || gl != wl {
			t.Errorf("%s: links to %q, %v; want %q", name, gl, err, wl)
		}
	case w.Mode.IsRegular():
		sameContent(t, want, got, name)
	default:
		if _, err := got.open(name); err == nil {
			t.Errorf("%s: opened, but is no regular file", name)
		}
	}
}

func sameContent(t *testing.T, want, got tree, name string) {
	t.Helper()
	wf, err := want.open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer wf.Close()
	w, err := io.ReadAll(wf)
	if err != nil {
		t.Fatal(err)
	}
	gf, err := got.open(name)
	if err != nil {
		t.Error(err)
		return
	}
	defer gf.Close()
	g, err := io.ReadAll(gf)
	if err != nil || !bytes.Equal(g, w) {
		at := 0
		for at < min(len(g), len(w)) && g[at] == w[at] {
			at++
		}
		t.Errorf("%s: %d bytes that differ from %d on, %v; want %d", name, len(g), at, err, len(w))
		return
	}
	for _, at := range []int{len(w) / 3, len(w) - 7} {
		part := make([]byte, 20)
		n, err := gf.ReadAt(part, int64(max(at, 0)))
		if !bytes.Equal(part[:n], w[max(at, 0):min(max(at, 0)+20, len(w))]) || n < 20 && !errors.Is(err, io.EOF) {
			t.Errorf("%s: ReadAt %d: %q, %v", name, at, part[:n], err)
		}
	}
}

// openBytes opens an image that is in memory.
func openBytes(b []byte) ([]imageRoot, error) {
	return openImage("test.img", bytes.NewReader(b), int64(len(b)))
}

// firstBytes gives what isImage is asked with.
func firstBytes(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b[:min(len(b), imageHead)]
}
