package facts

import (
	"bytes"
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

// pristine reports whether a package owns path and the content, read under name, is what the
// package brought, as far as the database can tell.
func (o ownership) pristine(fsys scanner.FS, path, name string) bool {
	if o.owners == nil {
		return false
	}
	w, ok := o.owners.Owner(path)
	if !ok || len(w.Digest) == 0 {
		return ok
	}
	got, err := fsys.Digest(name, w.Algo)
	return err != nil || bytes.Equal(got, w.Digest)
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

// owner gives what the package databases say of an absolute path.
func (o ownership) owner(path string) (Owned, bool) {
	if o.owners == nil {
		return Owned{Mode: -1}, false
	}
	return o.owners.Owner(path)
}

// knownBytes tells whether the content of a file is that of some packaged file.
func (o ownership) knownBytes(fsys scanner.FS, path string) (bool, error) {
	if o.owners == nil {
		return false, nil
	}
	for _, algo := range o.owners.DigestAlgos() {
		d, err := fsys.Digest(path, algo)
		if err != nil {
			return false, err
		}
		if o.owners.KnownDigest(algo, d) {
			return true, nil
		}
	}
	return false, nil
}
