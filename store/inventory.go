package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Package of the inventory.
type Package struct {
	ID     string
	Digest []byte // as Finding.Digest
	Body   []byte
}

// Inventory is a list of packages, all of them or those that a change touched.
type Inventory struct {
	Packages []Package
	Removed  []string // known to be gone
	Whole    bool     // what is not in Packages is gone
}

// PackageKey is the Event.Key of a package.
func PackageKey(id string) string { return "package " + id }

func (t *tx) applyInventory(inv *Inventory, encode Encode, ch *Changes) error {
	given := make([]Package, 0, len(inv.Packages))
	refused := map[string]bool{}
	for _, p := range inv.Packages {
		if err := p.check(); err != nil {
			t.refuse(fmt.Sprintf("package %.80q", p.ID), err)
			refused[p.ID] = true
			continue
		}
		given = append(given, p)
	}
	slices.SortStableFunc(given, func(a, b Package) int { return strings.Compare(a.ID, b.ID) })
	given = slices.CompactFunc(given, func(a, b Package) bool { return a.ID == b.ID })

	var changed, removed []Package // changed holds new ones too
	var err error
	if inv.Whole {
		changed, removed, err = t.diffWhole(given, refused)
	} else {
		changed, removed, err = t.diffPart(given, inv.Removed)
	}
	if err != nil {
		return err
	}
	for _, p := range changed {
		if err := t.putPackage(p, inv.Whole && t.st.baseline, encode, ch); err != nil {
			return err
		}
	}
	for _, p := range removed {
		c := Change{Event: Event{Kind: PackageRemoved, Key: PackageKey(p.ID), Severity: packageSeverity}, Package: &p}
		if _, err := t.queue(c, encode); err != nil {
			if err := t.notQueued(fmt.Sprintf("package %q", p.ID), err); err != nil {
				return err
			}
			continue
		}
		if err := t.del(packages, []byte(p.ID)); err != nil {
			return err
		}
		ch.Removed++
	}
	if inv.Whole && t.st.baseline {
		t.st.baseline, t.dirty = false, true
	}
	return nil
}

// diffWhole walks the sorted packages and the table side by side.
func (t *tx) diffWhole(given []Package, keep map[string]bool) (changed, removed []Package, err error) {
	i := 0
	err = t.each(packages, nil, func(key, body []byte) error {
		id := string(key)
		for i < len(given) && given[i].ID < id {
			changed = append(changed, given[i])
			i++
		}
		was, err := decodePackage(key, body)
		if err != nil {
			return fmt.Errorf("%w: package %q: %w", ErrDamaged, key, err)
		}
		if i < len(given) && given[i].ID == id {
			if !bytes.Equal(was.Digest, given[i].Digest) {
				changed = append(changed, given[i])
			}
			i++
		} else if !keep[id] {
			removed = append(removed, was)
		}
		return nil
	})
	return append(changed, given[i:]...), removed, err
}

func (t *tx) diffPart(given []Package, gone []string) (changed, removed []Package, err error) {
	for _, p := range given {
		was, err := t.packageOf(p.ID)
		if err != nil {
			return nil, nil, err
		}
		if was == nil || !bytes.Equal(was.Digest, p.Digest) {
			changed = append(changed, p)
		}
	}
	gone = slices.Clone(gone)
	slices.Sort(gone)
	for _, id := range slices.Compact(gone) {
		if _, here := slices.BinarySearchFunc(given, id, func(p Package, id string) int { return strings.Compare(p.ID, id) }); here {
			continue
		}
		was, err := t.packageOf(id)
		if err != nil {
			return nil, nil, err
		}
		if was != nil {
			removed = append(removed, *was)
		}
	}
	return changed, removed, nil
}

func (t *tx) packageOf(id string) (*Package, error) {
	if id == "" {
		return nil, nil
	}
	raw, err := t.get(packages, []byte(id))
	if err != nil || raw == nil {
		return nil, err
	}
	p, err := decodePackage([]byte(id), raw)
	if err != nil {
		return nil, fmt.Errorf("%w: package %q: %w", ErrDamaged, id, err)
	}
	return &p, nil
}

func (t *tx) putPackage(p Package, baseline bool, encode Encode, ch *Changes) error {
	was, err := t.packageOf(p.ID)
	if err != nil {
		return err
	}
	switch {
	case was == nil && t.st.tally[packages].count >= maxPackages:
		t.refuse(fmt.Sprintf("package %.80q", p.ID), fmt.Errorf("%d are known", maxPackages))
		return nil
	case was == nil && baseline:
		ch.Baseline++
		return t.put(packages, []byte(p.ID), p.encode())
	}
	c := Change{Event: Event{Kind: PackageAdded, Key: PackageKey(p.ID), Severity: packageSeverity}, Package: &p, WasPackage: was}
	if was != nil {
		c.Kind = PackageUpdated
	}
	if _, err := t.queue(c, encode); err != nil {
		return t.notQueued(fmt.Sprintf("package %q", p.ID), err)
	}
	if was != nil {
		ch.Changed++
	} else {
		ch.Added++
	}
	return t.put(packages, []byte(p.ID), p.encode())
}

func (p *Package) check() error {
	if err := checkKey(p.ID); err != nil {
		return err
	}
	var err error
	p.Digest, err = digestOf(p.Digest, p.Body)
	return err
}
