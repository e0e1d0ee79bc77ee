package facts

import (
	"strings"

	"picket/scanner"
)

// ownerIndex is the ownership index as collectors use it: it may be missing.
type ownerIndex struct {
	owners *Owners
	absent string
}

func newOwnerIndex(in *scanner.Input) ownerIndex {
	x := ownerIndex{owners: scanner.Aux[*Owners](in, "packages")}
	if x.owners == nil {
		if x.absent = "table packages was not collected"; in.Tables["packages"] != nil {
			x.absent = in.Tables["packages"].Absent
		}
	}
	return x
}

func (x ownerIndex) owner(path string) (Owned, bool) {
	if x.owners == nil {
		return Owned{Mode: -1}, false
	}
	return x.owners.Owner(path)
}

func (x ownerIndex) name(w Owned) string { return x.owners.Package(w).ID }

// doubt says why a path without an owner may have one all the same, or nothing.
func (x ownerIndex) doubt() string {
	if x.owners == nil {
		return x.absent
	}
	if ok, why := x.owners.Complete(); !ok {
		return strings.Join(why, "; ")
	}
	return ""
}

// known tells whether a file's bytes are those of some packaged file.
func (x ownerIndex) known(fsys scanner.FS, path string) (bool, error) {
	if x.owners == nil {
		return false, nil
	}
	for _, algo := range x.owners.DigestAlgos() {
		d, err := fsys.Digest(path, algo)
		if err != nil {
			return false, err
		}
		if x.owners.KnownDigest(algo, d) {
			return true, nil
		}
	}
	return false, nil
}
