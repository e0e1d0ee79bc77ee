package agent

import (
	"fmt"
	"slices"
	"testing"

	"picket/scanner/facts"
	"picket/store"
)

// TestInventoryOfChangesIsTheWhole tells changes of a package database by themselves, and holds
// the report and the store against what a scan of all gives.
func TestInventoryOfChangesIsTheWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 5))
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	d.arrive()
	defer d.leave(nil)
	if _, err := d.scanWhole(t.Context(), "first", d.set.Load().criteria); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for step, stanzas := range [][]string{
		{"a 1", "b 1", "c 1"}, {"a 1", "b 2", "c 1"}, {"a 1", "c 1"}, {"a 1", "c 1", "d 1"}, {"a 1", "c 1", "d 1"}, {"d 2", "e 1"}, {"a 1", "b 1", "c 1"},
	} {
		status := ""
		var want []string
		for _, s := range stanzas {
			status += stanza(s[:1], s[2:])
			want = append(want, "dpkg "+s)
		}
		replace(t, b.root, "/var/lib/dpkg/status", status)
		known := d.judging.told != nil
		if err := d.inventory(t.Context()); err != nil {
			t.Fatal(err)
		}
		if known && step != 4 { // nothing changed there, and all is read
			parts++
		}
		if got := names(packagesOf(d.judging.report())); !slices.Equal(got, want) {
			t.Errorf("step %d: the report has %q", step, got)
		}
		var stored []string
		err := d.vault.use(func(st *store.Store) error {
			list, err := st.Packages()
			for _, p := range list {
				stored = append(stored, p.ID)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range stanzas {
			if i >= len(stored) || stored[i] != "dpkg "+s[:1] {
				t.Errorf("step %d: the store has %q", step, stored)
				break
			}
		}
		if len(stored) != len(stanzas) {
			t.Errorf("step %d: the store has %q", step, stored)
		}
	}
	if parts != 5 {
		t.Errorf("%d looks were at changes alone", parts)
	}
}

func names(list []facts.Package) (out []string) {
	for _, p := range list {
		out = append(out, fmt.Sprint(p.Manager, " ", p.Name, " ", p.Version))
	}
	slices.Sort(out)
	return out
}
