package agent

import (
	"context"
	"maps"
	"slices"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/store"
)

// runInventory tells what became of the packages, before all that hangs on them is judged, and
// beside a scan that is under way: it takes a fraction of the time.
func (d *daemon) runInventory(ctx context.Context) error {
	for d.clock.wait(ctx, forever, d.stock) {
		if wait := d.budget.wait(); wait > 0 { // somebody changes packages without end
			d.clock.wait(ctx, min(wait, longestRest), nil)
		}
		d.timed(ctx, []string{"packages"}, func() error { return d.inventory(ctx) })
	}
	return nil
}

func (d *daemon) inventory(ctx context.Context) error {
	j := d.judging
	j.stock.Lock()
	defer j.stock.Unlock()
	inv, now, err := j.inventory(ctx, d.set.Load().criteria)
	j.told = nil // until it is told
	if err != nil || inv == nil {
		return err
	}
	err = d.change(func(st *store.Store, encode store.Encode) error {
		ch, err := st.Apply(store.Scan{Inventory: inv}, encode)
		d.changed(ch)
		return err
	})
	if err != nil {
		d.owe(err) // success would only tell of the packages
		return err
	}
	j.told = now
	return nil
}

// inventory reads the packages alone, or what changed of them since they were told, and puts that into the
// last report. It gives what the store is to compare, nil for nothing, and the database as it
// is now. stock must be held.
func (j *judging) inventory(ctx context.Context, c *criteria) (*store.Inventory, *facts.Stock, error) {
	j.nextTurn()
	defer j.nextTurn()
	since := j.told
	if _, known := j.device(); !known {
		since = nil // there is nothing to put changes into
	}
	r, _, err := j.scanSince(ctx, c, nil, since, []string{"packages"})
	if err != nil {
		return nil, nil, err
	}
	aux := r.Facts.Tables["packages"].Aux
	r.Facts = nil
	news, some := aux.(*facts.Since)
	if some {
		inv, err := toPart(r, news)
		if err == nil {
			j.replace(packagesOf(r), news)
		}
		return inv, news.Stock, err
	}
	var now *facts.Stock
	if o, ok := aux.(*facts.Owners); ok {
		now = o.Stock()
	}
	j.mu.Lock()
	j.late, j.packed = restocked{}, nil // this is all of it
	if j.last != nil {
		merged := *j.last
		merged.Packages, merged.Tables = r.Packages, mergeTables(j.last.Tables, onlyPackages(r.Tables))
		j.last = &merged
	}
	j.mu.Unlock()
	inv, err := toInventory(r)
	return inv, now, err
}

// allTold reports whether the store knows all that was read of the packages.
func (j *judging) allTold() bool {
	j.stock.Lock()
	defer j.stock.Unlock()
	return j.told != nil
}

// samePackages compares two inventories, but for their order and the lines at which databases
// have them.
func samePackages(a, b []facts.Package) bool {
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	rest := map[string]*facts.Package{} // those of b that are not where they are in a
	same := func(a, b *facts.Package) bool {
		x, y := *a, *b
		x.Where, y.Where = "", ""
		return x == y && x.App == nil
	}
	for i := range b {
		if !same(&a[i], &b[i]) {
			rest[b[i].Manager+" "+b[i].ID+" "+b[i].Scope] = &b[i]
		}
	}
	for i := range a {
		if same(&a[i], &b[i]) {
			continue
		}
		key := a[i].Manager + " " + a[i].ID + " " + a[i].Scope
		if other := rest[key]; other == nil || !same(&a[i], other) {
			return false
		}
		delete(rest, key)
	}
	return len(rest) == 0
}

// toPart makes what changed of the packages what the store compares with what it knows.
func toPart(r *scanner.Report, news *facts.Since) (*store.Inventory, error) {
	inv := &store.Inventory{}
	for _, id := range news.Gone {
		gone := facts.Package{Manager: news.Of(), ID: id, Scope: "system"}
		inv.Removed = append(inv.Removed, packageKey(&gone, map[string]int{}))
	}
	var err error
	inv.Packages, err = toPackages(packagesOf(r))
	return inv, err
}

// restocked is what changed of the packages of one manager since the last report was made, by id;
// nil for what is gone. It is put into the report when somebody asks for that: the report has
// thousands of packages, of which a change has one.
type restocked struct {
	manager string
	rows    map[string]*facts.Package
}

// replace notes what changed of the packages for the last report.
func (j *judging) replace(fresh []facts.Package, news *facts.Since) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.late.manager != news.Of() {
		j.restock()
		j.late = restocked{news.Of(), map[string]*facts.Package{}}
	}
	for _, id := range news.Gone {
		j.late.rows[id] = nil
	}
	for i := range fresh {
		j.late.rows[fresh[i].ID] = &fresh[i]
	}
}

// restock puts what changed of the packages into the last report. mu must be held.
func (j *judging) restock() {
	rest, manager := j.late.rows, j.late.manager
	j.late = restocked{}
	if j.last == nil || len(rest) == 0 {
		return
	}
	known := packagesOf(j.last)
	list := make([]facts.Package, 0, len(known)+len(rest))
	for _, p := range known {
		if now, touched := rest[p.ID]; !touched || p.Manager != manager {
			list = append(list, p)
		} else if now != nil {
			list = append(list, *now)
			delete(rest, p.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rest)) {
		if rest[id] != nil {
			list = append(list, *rest[id])
		}
	}
	if j.inPlace(known) {
		j.packed = list
	}
	merged := *j.last
	merged.Packages, merged.Tables = list, slices.Clone(j.last.Tables)
	for i := range merged.Tables {
		if merged.Tables[i].Table == "packages" {
			merged.Tables[i].Rows = len(list)
		}
	}
	j.last = &merged
}
