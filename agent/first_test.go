package agent

import (
	"context"
	"crypto/md5"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// TestFirstScanLeavesDigestsForLater has a changed program found, right after the first scan, and
// what was open from an earlier run stay open meanwhile.
func TestFirstScanLeavesDigestsForLater(t *testing.T) {
	t.Parallel()
	root := systemWithTool(t, "\x7fELF as changed")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.Digests = string(scanner.DigestsAll)
		for run := range 2 {
			before := len(b.news(t))
			d, stop := b.start(t)
			synctest.Wait()
			if s := d.summary.Load(); d.scans.Load() != 1 || d.looks.Load() != 1 || s == nil {
				t.Fatalf("%d scans and %d looks\n%s", d.scans.Load(), d.looks.Load(), b.log)
			}
			for _, c := range d.judging.report().Coverage {
				if strings.Contains(c.Why, "after the first scan") {
					t.Errorf("rule %s still waits for digests: %s", c.Rule, c.Why)
				}
			}
			var told []string
			for _, n := range b.news(t)[before:] {
				if strings.Contains(n, "Finding") && strings.Contains(n, "tool") {
					told = append(told, n)
				}
			}
			if run == 0 && len(told) != 1 || run == 1 && len(told) != 0 {
				t.Errorf("run %d told %q of the changed program", run, told)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		}
	})
}

// systemWithTool is a small system with a packaged program, /usr/bin/tool, of some content.
func systemWithTool(t *testing.T, content string) (root string) {
	t.Helper()
	root = smallSystem(t, 3)
	replace(t, root, "/var/lib/dpkg/info/pkg0.list", "/.\n/usr\n/usr/bin\n/usr/bin/tool\n")
	replace(t, root, "/var/lib/dpkg/info/pkg0.md5sums", fmt.Sprintf("%x  usr/bin/tool\n", md5.Sum([]byte("\x7fELF as packaged"))))
	replace(t, root, "/usr/bin/tool", content)
	if err := os.Chmod(root+"/usr/bin/tool", 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestLooksReadWhatChanged has a look after a whole scan hash only the program that is not the
// same any more, though its size and time of modification are.
func TestLooksReadWhatChanged(t *testing.T) {
	t.Parallel()
	root := systemWithTool(t, "\x7fELF as packaged")
	tool := root + "/usr/bin/tool"
	c, err := loadCriteria(Config{Digests: "all"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hashed := 0
	j := &judging{collectors: facts.Collectors(), meter: newLedger(usageNow).meter,
		open: func(context.Context) (scanner.Device, error) {
			dev, err := device.Directory(root)
			return hashing{dev, &hashed}, err
		},
		now: func() time.Time { return time.Now().Add(time.Hour) }} // the tool is older than a moment
	differs := func(do func() (outcome, error)) bool {
		t.Helper()
		hashed = 0
		o, err := do()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(o.report.Findings, func(f scanner.Finding) bool { return f.Rule == "OS-008" })
	}
	whole := func() (outcome, error) { return j.whole(t.Context(), c) }
	look := func() (outcome, error) { return j.part(t.Context(), c, []string{"packaged_files"}) }
	if differs(whole) || hashed != 1 {
		t.Errorf("the whole scan hashed %d programs", hashed)
	}
	if differs(look) || hashed != 0 {
		t.Errorf("a look hashed %d programs that are as they were", hashed)
	}
	if differs(whole) || hashed != 1 {
		t.Errorf("the next whole scan hashed %d programs", hashed)
	}
	info, err := os.Stat(tool)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tool, []byte("\x7fELF as PACKAGED"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(tool, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if !differs(look) || hashed != 1 {
		t.Errorf("a look after the change hashed %d programs and found nothing, or hashed more than it", hashed)
	}
}

// hashing counts the digests that are made of files.
type hashing struct {
	scanner.Device
	n *int
}

func (h hashing) FS() scanner.FS { return hashingFS{h.Device.FS(), h.n} }

type hashingFS struct {
	scanner.FS
	n *int
}

func (h hashingFS) Digest(name string, algo scanner.Algo) ([]byte, error) {
	*h.n++
	return h.FS.Digest(name, algo)
}

// TestLookBeforeTheFirstScan has a change come before the first scan is due: it becomes the first scan, and
// there is no second.
func TestLookBeforeTheFirstScan(t *testing.T) {
	t.Parallel()
	root := systemWithTool(t, "\x7fELF as packaged")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.Digests = string(scanner.DigestsAll)
		b.delay = time.Hour
		d, stop := b.start(t)
		d.todo.some([]string{"users"}, 0)
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if d.scans.Load() != 1 || d.looks.Load() != 1 {
			t.Errorf("%d scans and %d looks, not one of each\n%s", d.scans.Load(), d.looks.Load(), b.log)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
