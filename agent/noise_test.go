package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/store"
)

// noisyPlaces is in how many places of the store's file noise is written.
const noisyPlaces = 128

// TestDaemonAfterNoise writes noise into the store between two runs, at one place after the
// other. The agent starts each time, tells what it lost, and knows all again after a scan; the
// start after that is an ordinary one.
func TestDaemonAfterNoise(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 30)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
	b := newBench(t, root)
	b.config.RulesDir = t.TempDir() // one rule is enough, and quick
	rule := read(t, "../scanner/rules/catalogue/CFG-027.yaml")
	if err := os.WriteFile(filepath.Join(b.config.RulesDir, "CFG-027.yaml"), []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(do func(d *daemon)) {
		t.Helper()
		d, err := newDaemon(b.machine)
		if err != nil {
			t.Fatal(err)
		}
		do(d)
		if err := d.leave(nil); err != nil {
			t.Fatal(err)
		}
	}
	scan := func(d *daemon) {
		t.Helper()
		d.arrive()
		if _, err := d.scanWhole(t.Context(), "test", d.set.Load().criteria); err != nil {
			t.Fatal(err)
		}
		if err := d.ship.all(t.Context(), d.sink(b.config)); err != nil {
			t.Fatal(err)
		}
	}
	known := func(d *daemon) (packages, findings int) {
		t.Helper()
		p, err := fromStore(d.vault, (*store.Store).Packages)
		f, err2 := fromStore(d.vault, (*store.Store).Findings)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return len(p), len(f)
	}
	run(scan)
	file := filepath.Join(b.config.StateDir, storeName)
	whole := []byte(read(t, file))
	damaged := 0
	for i := range noisyPlaces {
		spoiled := append([]byte(nil), whole...)
		at := len(whole) / noisyPlaces * i
		for j := range min(64, len(spoiled)-at) {
			spoiled[at+j] ^= byte(j*37 + i + 1)
		}
		if err := os.WriteFile(file, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(b.config.SinkFile); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		run(func(d *daemon) {
			if !warns(d, warnStoreDamaged) {
				if p, f := known(d); p != 30 || f != 1 { // the noise fell where nothing is
					t.Errorf("place %d: %d packages and %d findings are known, and nobody says why", i, p, f)
				}
				return
			}
			damaged++
			scan(d)
			if p, f := known(d); p != 30 || f != 1 {
				t.Errorf("place %d: %d packages and %d findings are known after a scan", i, p, f)
			}
			if got := b.news(t); !containsText(got, "the store was damaged") {
				t.Errorf("place %d: the damage is no event: %q", i, got)
			}
		})
		run(func(d *daemon) {
			if p, f := known(d); warns(d, warnStoreDamaged) || p != 30 || f != 1 {
				t.Errorf("place %d: the next start finds %d packages, %d findings and the warnings %+v", i, p, f, d.warn.all())
			}
		})
	}
	aside, err := filepath.Glob(file + ".damaged-*")
	if err != nil || len(aside) == 0 || len(aside) > 3 {
		t.Errorf("%q are set aside, %v", aside, err)
	}
	if damaged < noisyPlaces/8 {
		t.Errorf("only %d of %d places hurt", damaged, noisyPlaces)
	}
	t.Logf("%d of %d places hurt; %s", damaged, noisyPlaces, strings.Join(aside, " "))
}
