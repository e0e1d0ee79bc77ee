package facts

import (
	"strings"

	"picket/scanner"
)

// ownership answers whether a package owns a path, for collectors that need the table
// packages.
type ownership struct {
	owners *Owners
	// unknown says why a path without an owner may have one all the same; empty when the
	// package databases list every packaged file.
	unknown string
}

func ownershipOf(in *scanner.Input) ownership {
	t := in.Tables["packages"]
	o := scanner.Aux[*Owners](in, "packages")
	switch {
	case t == nil || o == nil && t.Absent == "":
		return ownership{unknown: "no package database was read"}
	case o == nil:
		return ownership{unknown: t.Absent}
	}
	if ok, why := o.Complete(); !ok {
		return ownership{owners: o, unknown: strings.Join(why, "; ")}
	}
	return ownership{owners: o}
}

// of gives the package that owns an absolute path. unknown says why nobody knows.
func (o ownership) of(path string) (pkg string, owned bool, unknown string) {
	if o.owners != nil {
		if w, ok := o.owners.Owner(path); ok {
			return o.owners.Package(w).ID, true, ""
		}
	}
	return "", false, o.unknown
}
