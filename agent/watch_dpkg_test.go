package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestWatchTellsRealDpkg installs, upgrades and removes packages with dpkg itself, in a root of
// its own. PICKET_CHANGES says how many changes; the log says how long they took to be events.
func TestWatchTellsRealDpkg(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dpkg"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and dpkg")
	}
	changes := 3
	if n, err := strconv.Atoi(os.Getenv("PICKET_CHANGES")); err == nil {
		changes = n
	}
	b := newBench(t, smallSystem(t, 1000))
	b.config.Watch = 250 * time.Millisecond // the default
	d, stop := b.start(t)
	eventually(t, "the first scan", func() bool { return d.scans.Load() > 0 })
	debs := [2]string{makeDeb(t, "1.0"), makeDeb(t, "2.0")}
	dpkg := func(args ...string) {
		t.Helper()
		out, err := exec.Command("dpkg", append([]string{"--root=" + b.root, "--force-architecture", "--force-script-chrootless"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("dpkg %q: %v\n%s", args, err, out)
		}
	}
	var took []time.Duration
	seen := func() int { return len(b.news(t)) }
	for i := range changes {
		before := seen()
		want := ""
		switch i % 3 {
		case 0:
			dpkg("--install", debs[0])
			want = "picket-probe 1.0 installed"
		case 1:
			dpkg("--install", debs[1])
			want = "picket-probe 2.0 updated"
		case 2:
			dpkg("--purge", "picket-probe")
			want = "picket-probe 2.0 removed"
		}
		began := time.Now()
		eventually(t, fmt.Sprint(i, " ", want), func() bool { return containsText(b.news(t)[before:], want) })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d changes: median %v, p99 %v, longest %v after dpkg ended", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	if err := stop(); err != nil {
		t.Error(err)
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
