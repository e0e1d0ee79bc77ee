package agent

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWatchTellsRealDpkg installs, upgrades and removes packages with dpkg itself: that of the tree
// that PICKET_TREE names, in a root made of it, or else the machine's in a small root of its own.
// PICKET_CHANGES says how many changes; the log says how long they took to be events.
func TestWatchTellsRealDpkg(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dpkg-deb"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and dpkg")
	}
	root, command := "", []string(nil)
	if tree := os.Getenv("PICKET_TREE"); tree != "" {
		root = overTree(t, tree)
		command = []string{"chroot", root, "dpkg"}
	} else {
		root = smallSystem(t, 1000)
		command = []string{"dpkg", "--root=" + root, "--force-architecture", "--force-script-chrootless"}
	}
	for _, version := range []string{"1.0", "2.0"} {
		replace(t, root, "/"+version+".deb", read(t, makeDeb(t, version)))
	}
	dpkg := func(args ...string) {
		t.Helper()
		cmd := exec.Command(command[0], append(command[1:], args...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %q: %v\n%s", args, err, out)
		}
	}
	watchChanges(t, root, "picket-probe", [2]string{"1.0", "2.0"}, [3]func(){
		func() { dpkg("--install", "1.0.deb") },
		func() { dpkg("--install", "2.0.deb") },
		func() { dpkg("--purge", "picket-probe") },
	})
}

// overTree gives a root file system that is a tree with what the test writes laid over it.
func overTree(t *testing.T, tree string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"/upper", "/work", "/root"} {
		if err := os.Mkdir(dir+part, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("overlay", dir+"/root", "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", tree, dir)); err != nil {
		t.Skipf("no overlay over PICKET_TREE: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir+"/root", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir + "/root"
}

func closeAll(t *testing.T, list ...io.Closer) {
	t.Helper()
	for _, c := range list {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// makeDeb builds an empty package with dpkg-deb.
func makeDeb(t *testing.T, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "picket-probe")
	if err := os.MkdirAll(dir+"/DEBIAN", 0o755); err != nil {
		t.Fatal(err)
	}
	control := "Package: picket-probe\nVersion: " + version + "\nArchitecture: all\nMaintainer: Somebody <somebody@example.org>\nDescription: a package that is empty\n"
	if err := os.WriteFile(dir+"/DEBIAN/control", []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	deb := dir + ".deb"
	if out, err := exec.Command("dpkg-deb", "--build", dir, deb).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	return deb
}
