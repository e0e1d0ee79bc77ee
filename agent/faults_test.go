package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// mounted mounts a file system of so many bytes on a folder.
func mounted(t *testing.T, dir, size string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// faultBench is a bench with its state on a disk of its own, and its sink elsewhere.
func faultBench(t *testing.T) (b *bench, root string) {
	t.Helper()
	root = smallSystem(t, 2)
	b = newBench(t, root)
	b.volatile = false // as on a device
	b.config.SinkFile = filepath.Join(t.TempDir(), "events.ndjson")
	mounted(t, b.config.StateDir, "4m")
	return b, root
}

func warns(d *daemon, code string) bool {
	return slices.ContainsFunc(d.warn.all(), func(w Warning) bool { return w.Code == code && w.Fix != "" })
}

// spoilDevice has the device change: a password goes, and a package comes.
func spoilDevice(t *testing.T, root string) {
	t.Helper()
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
	replace(t, root, "/var/lib/dpkg/status", stanza("pkg0", "1.0-1")+stanza("pkg1", "1.0-1")+stanza("late", "1"))
}

// wantSpoiled wants the change to be told, once.
func wantSpoiled(t *testing.T, b *bench) {
	t.Helper()
	news := b.news(t)
	for _, want := range []string{"Finding Create: CFG-", "late 1 installed"} {
		n := 0
		for _, line := range news {
			if strings.Contains(line, want) && (strings.Contains(line, "late") || strings.Contains(strings.ToLower(line), "password")) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d events %q in %q\n%s", n, want, news, b.log)
		}
	}
}

// wantRecovered gives a daemon whose store can be used again some minutes, sees what it tells, and stops it.
func wantRecovered(t *testing.T, b *bench, d *daemon, stop func() error) {
	t.Helper()
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	wantSpoiled(t, b)
	if w := d.warn.all(); slices.ContainsFunc(w, func(w Warning) bool { return w.Dependency == "store" }) {
		t.Errorf("still %+v", w)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// firstRun has a daemon run for a minute.
func firstRun(t *testing.T, b *bench) {
	t.Helper()
	_, stop := b.start(t)
	time.Sleep(time.Minute)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestDaemonOnAFullDisk fills the disk of the store: what is found meanwhile is told minutes
// after there is room again.
func TestDaemonOnAFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, root := faultBench(t)
		d, stop := b.start(t)
		time.Sleep(time.Minute)
		ballast := filepath.Join(b.config.StateDir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
		spoilDevice(t, root)
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		if !warns(d, warnStoreFull) {
			t.Errorf("warnings %+v\n%s", d.warn.all(), b.log)
		}
		if !strings.Contains(b.log.String(), "no space left") {
			t.Error("nothing is logged")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		wantRecovered(t, b, d, stop)
	})
}

// TestDaemonOnAReadOnlyDisk starts twice on a state folder that cannot be written. What is
// found is told, and so is the time before the first of these starts.
func TestDaemonOnAReadOnlyDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, root := faultBench(t)
		firstRun(t, b)
		remount := func(flags uintptr) {
			t.Helper()
			if err := syscall.Mount("", b.config.StateDir, "", syscall.MS_REMOUNT|flags, "mode=0700,size=4m"); err != nil {
				t.Fatal(err)
			}
		}
		stopped := time.Now()
		remount(syscall.MS_RDONLY)
		time.Sleep(time.Hour)
		d, stop := b.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !warns(d, warnStoreReadOnly) || d.judging.report() == nil {
			t.Errorf("warnings %+v\n%s", d.warn.all(), b.log)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		spoilDevice(t, root)
		d, stop = b.start(t)
		started := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		remount(0)
		wantRecovered(t, b, d, stop)
		for _, e := range b.delivered(t) {
			if g := e.Unmapped.Gap; g != nil && g.From.Equal(stopped.Truncate(time.Millisecond)) && g.To.Equal(started.Truncate(time.Millisecond)) && g.Why == "stopped" {
				return
			}
		}
		t.Errorf("the gap until %v is not told: %q", started, b.news(t))
	})
}

// TestDaemonOnAnothersStore gives the store's file to another user, and back.
func TestDaemonOnAnothersStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, root := faultBench(t)
		firstRun(t, b)
		file := filepath.Join(b.config.StateDir, storeName)
		before := read(t, file)
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		spoilDevice(t, root)
		d, stop := b.start(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !warns(d, warnStoreUnusable) || d.judging.report() == nil {
			t.Errorf("warnings %+v\n%s", d.warn.all(), b.log)
		}
		if read(t, file) != before {
			t.Error("another's file was written")
		}
		if err := os.Chown(file, 0, 0); err != nil {
			t.Fatal(err)
		}
		wantRecovered(t, b, d, stop)
	})
}
