package respond

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes files below dir; a name that ends in / is a folder.
func put(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		p := filepath.Join(dir, n)
		if strings.HasSuffix(n, "/") {
			must(t, os.MkdirAll(p, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, []byte("content of "+n), 0o644))
	}
}

// there lists all names below dir.
func there(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if p != dir {
			out = append(out, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	}))
	return strings.Join(out, " ")
}

// bothKernels runs a test as on a kernel with openat2(2) and as on one without.
func bothKernels(t *testing.T, do func(t *testing.T, old bool)) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old=%v", old), func(t *testing.T) { do(t, old) })
	}
}

func (w *walker) must(t *testing.T, folder string) Removal {
	t.Helper()
	r, err := w.run(t.Context(), folder)
	must(t, err)
	return r
}

func TestEmptyRemovesWhatIsInTheFolderAndNothingElse(t *testing.T) {
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := t.TempDir()
		put(t, dir, "work/a", "work/sub/deep/b", "work/.hidden", "work/none/", "work/new\nline", "outside/keep", "outside/twin", "workshop/keep")
		must(t, os.Symlink("../outside", filepath.Join(dir, "work/link")))
		must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "work/sub/abs")))
		must(t, os.Symlink("..", filepath.Join(dir, "work/sub/up")))
		must(t, os.Link(filepath.Join(dir, "outside/twin"), filepath.Join(dir, "work/twin")))
		must(t, unix.Mkfifo(filepath.Join(dir, "work/fifo"), 0o600))

		look := (&walker{keep: true, old: old}).must(t, filepath.Join(dir, "work"))
		if got := there(t, filepath.Join(dir, "work")); !strings.Contains(got, "sub/deep/b") {
			t.Fatalf("the dry run removed something: %s", got)
		}
		got := (&walker{old: old}).must(t, filepath.Join(dir, "work"))
		if fmt.Sprint(got) != fmt.Sprint(look) {
			t.Errorf("the dry run said %+v, and it was %+v", look, got)
		}
		if got.Files != 9 || got.Folders != 3 || got.Shared != 1 || got.Left != 0 || len(got.Why) != 0 {
			t.Errorf("%+v", got)
		}
		if got, want := there(t, dir), "outside outside/keep outside/twin work workshop workshop/keep"; got != want {
			t.Errorf("left: %s, want %s", got, want)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "outside/twin")); err != nil || string(b) != "content of outside/twin" {
			t.Errorf("the other name of a hard link: %q, %v", b, err)
		}
	})
}

func TestEmptyRefusesAFolderBehindALink(t *testing.T) {
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := t.TempDir()
		put(t, dir, "real/work/keep", "file")
		must(t, os.Symlink("real", filepath.Join(dir, "by")))
		must(t, os.Symlink("real/work", filepath.Join(dir, "last")))
		for _, name := range []string{"by/work", "last", "file"} {
			if r, err := (&walker{old: old}).run(t.Context(), filepath.Join(dir, name)); err == nil {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if got := there(t, dir); !strings.Contains(got, "real/work/keep") {
			t.Errorf("left: %s", got)
		}
	})
}

func TestEmptyGoesDeepAndWideInBoundedDescriptors(t *testing.T) {
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := filepath.Join(t.TempDir(), "work")
		must(t, os.Mkdir(dir, 0o755))
		at, err := unix.Open(dir, openFlags, 0)
		must(t, err)
		const deep = 1000 // far beyond the folders held open
		for range deep {
			must(t, unix.Mkdirat(at, "d", 0o755))
			next, err := unix.Openat(at, "d", openFlags, 0)
			must(t, err)
			unix.Close(at)
			at = next
			fd, err := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
			must(t, err)
			unix.Close(fd)
		}
		unix.Close(at)
		const wide = 4200
		for i := range wide {
			put(t, dir, fmt.Sprintf("w/%d", i))
		}
		most := 0
		w := &walker{old: old, every: 500, report: func(Removal) {
			fds, err := os.ReadDir("/proc/self/fd")
			if err == nil {
				most = max(most, len(fds))
			}
		}}
		r := w.must(t, dir)
		if r.Files != deep+wide || r.Folders != deep+1 || r.Left != 0 {
			t.Errorf("%+v", r)
		}
		if got := there(t, dir); got != "" {
			t.Errorf("left: %.200s", got)
		}
		if most > 1000 {
			t.Errorf("%d descriptors open", most)
		}
	})
}

// TestEmptyStaysOnTheMount has other mounts in the folder, of which one is a bind mount from the
// same file system.
func TestEmptyStaysOnTheMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := t.TempDir()
		put(t, dir, "work/a", "work/sub/tmp/", "work/bind/", "work/file", "work/deep/er/b", "outside/keep", "declared/", "single")
		mount := func(from, to, kind string, flags uintptr) {
			t.Helper()
			if err := unix.Mount(from, filepath.Join(dir, to), kind, flags, ""); err != nil {
				t.Skipf("mount %s: %v", to, err)
			}
			t.Cleanup(func() { unix.Unmount(filepath.Join(dir, to), unix.MNT_DETACH) })
		}
		mount("none", "work/sub/tmp", "tmpfs", 0)
		put(t, dir, "work/sub/tmp/keep", "work/sub/tmp/d/keep")
		mount(filepath.Join(dir, "outside"), "work/bind", "", unix.MS_BIND)
		mount(filepath.Join(dir, "single"), "work/file", "", unix.MS_BIND)
		mount("none", "declared", "tmpfs", 0)
		put(t, dir, "declared/a", "declared/d/b")

		r := (&walker{old: old}).must(t, filepath.Join(dir, "work"))
		if got, want := there(t, filepath.Join(dir, "work")), "bind bind/keep file sub sub/tmp sub/tmp/d sub/tmp/d/keep sub/tmp/keep"; got != want {
			t.Errorf("left: %s, want %s", got, want)
		}
		if r.Files != 2 || r.Left == 0 || r.Why["bind"] != "another mount" || r.Why["sub/tmp"] != "another mount" || r.Why["file"] != "another mount" {
			t.Errorf("%+v", r)
		}
		if got := there(t, filepath.Join(dir, "outside")); got != "keep" {
			t.Errorf("behind the bind mount: %s", got)
		}
		// One that is declared itself is emptied.
		if r := (&walker{old: old}).must(t, filepath.Join(dir, "declared")); r.Files != 2 || r.Left != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestNoLinkIsOpened has what was a folder a moment ago be a link when it is opened.
func TestNoLinkIsOpened(t *testing.T) {
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := t.TempDir()
		put(t, dir, "outside/keep", "work/real/")
		for name, to := range map[string]string{"abs": filepath.Join(dir, "outside"), "rel": "../outside", "up": "..", "self": ".", "in": "real", "magic": "/proc/self/cwd"} {
			must(t, os.Symlink(to, filepath.Join(dir, "work", name)))
		}
		top, err := openFolder(filepath.Join(dir, "work"), old)
		must(t, err)
		defer top.Close()
		w := &walker{old: old, top: top}
		w.mount, err = mountOf(int(top.Fd()))
		must(t, err)
		for _, name := range []string{"abs", "rel", "up", "self", "in", "magic"} {
			if f, err := w.open(top, name); err == nil {
				f.Close()
				t.Errorf("the link %s was opened", name)
			}
		}
		if f, err := w.open(top, "real"); err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
	})
}

// TestEmptyWhileItsFoldersAreSwapped puts links in the place of the folder that is being emptied, and of
// others that have been read and not been come to.
func TestEmptyWhileItsFoldersAreSwapped(t *testing.T) {
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := t.TempDir()
		names := []string{"a", "b", "c", "d"} // whichever comes first
		for i := range 20 {
			for _, name := range names {
				put(t, dir, fmt.Sprintf("work/%s/sub/%d", name, i))
			}
		}
		put(t, dir, "outside/keep", "outside/sub/keep", "aside/")
		swapped := 0
		w := &walker{old: old, every: 10, report: func(Removal) {
			if swapped++; swapped > 1 {
				return
			}
			for _, name := range names {
				must(t, os.Rename(filepath.Join(dir, "work", name), filepath.Join(dir, "aside", name)))
				must(t, os.Symlink(filepath.Join(dir, "outside"), filepath.Join(dir, "work", name)))
			}
		}}
		r := w.must(t, filepath.Join(dir, "work"))
		if got := there(t, filepath.Join(dir, "outside")); got != "keep sub sub/keep" || swapped == 0 {
			t.Errorf("outside: %s; swapped %d times", got, swapped)
		}
		if got := there(t, filepath.Join(dir, "work")); got != "" || r.Left != 0 {
			t.Errorf("left: %s, %+v", got, r)
		}
	})
}

// TestEmptyUnderAttack swaps folders for links to what is not to be removed, again and again, while
// the folder is emptied.
func TestEmptyUnderAttack(t *testing.T) {
	t.Parallel()
	bothKernels(t, func(t *testing.T, old bool) {
		dir := t.TempDir()
		const folders = 40
		for i := range folders {
			put(t, dir, fmt.Sprintf("outside/%d", i), fmt.Sprintf("work/%d/%d", i, i))
		}
		before := there(t, filepath.Join(dir, "outside"))
		must(t, os.Symlink(filepath.Join(dir, "outside"), filepath.Join(dir, "evil")))
		stop := make(chan struct{})
		var attack sync.WaitGroup
		attack.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default: // the one that comes next is a link for a moment
					name := filepath.Join(dir, "work", strconv.Itoa(i%folders))
					for range 20 {
						unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, filepath.Join(dir, "evil"), unix.RENAME_EXCHANGE)
					}
				}
			}
		})
		for range 3 {
			if _, err := (&walker{old: old}).run(t.Context(), filepath.Join(dir, "work")); err != nil {
				t.Error(err)
			}
			for i := range folders {
				if err := os.Mkdir(filepath.Join(dir, "work", strconv.Itoa(i)), 0o755); err == nil {
					os.WriteFile(filepath.Join(dir, "work", strconv.Itoa(i), strconv.Itoa(i)), nil, 0o644) // follows a link, as the attacker may
				}
			}
		}
		close(stop)
		attack.Wait()
		if got := there(t, filepath.Join(dir, "outside")); got != before {
			t.Errorf("outside has lost something:\n%s\nof\n%s", got, before)
		}
	})
}

func TestEmptyTellsWhatItCannotRemove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making files immutable needs root")
	}
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "work/d/stays", "work/d/goes")
	stays := filepath.Join(dir, "work/d/stays")
	if out, err := exec.Command("chattr", "+i", stays).CombinedOutput(); err != nil {
		t.Skipf("chattr: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("chattr", "-i", stays).Run() })
	r, err := Empty(t.Context(), filepath.Join(dir, "work"), nil)
	if err != nil || r.Files != 1 || r.Left != 2 || r.Why["d/stays"] == "" {
		t.Errorf("%+v, %v", r, err)
	}
	if got := there(t, filepath.Join(dir, "work")); got != "d d/stays" {
		t.Errorf("left: %s", got)
	}
}

func TestEmptyStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "work/a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Empty(ctx, filepath.Join(dir, "work"), nil); err == nil {
		t.Error("it went on")
	}
	if got := there(t, dir); got != "work work/a" {
		t.Errorf("left: %s", got)
	}
}
