package tuf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// RoleState is how the metadata of one role are.
type RoleState struct {
	Role      string    `json:"role"`
	Staged    bool      `json:"staged,omitempty"` // waits for signatures, or for 'publish refresh'
	Version   int64     `json:"version"`
	Expires   time.Time `json:"expires"`
	Threshold int       `json:"threshold"`
	Signed    []string  `json:"signed"`  // ids of keys that count and have signed
	Missing   []string  `json:"missing"` // ids of keys that count and have not
}

// Enough reports whether enough keys have signed.
func (s RoleState) Enough() bool { return len(s.Signed) >= s.Threshold }

// State describes the metadata of a repository: those that are served, then those that are staged.
func (r *Repository) State() ([]RoleState, error) {
	root, err := r.root()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []RoleState
	next := root
	if b, err := readBounded(r.Staged(metadata.ROOT), maxRoot); err == nil {
		if next, err = metadata.Root().FromBytes(b); err != nil {
			return nil, fmt.Errorf("reading the staged root: %w", err)
		}
	}
	if next == nil {
		return nil, fmt.Errorf("%s is no repository: %w", r.Dir, err)
	}
	if root != nil {
		s, err := stateOf(root, metadata.ROOT, root, root.Signed.Version, root.Signed.Expires)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if out, err = r.served(out, next); err != nil {
		return nil, err
	}
	if next != root {
		s, err := stagedRoot(root, next)
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	if b, err := readBounded(r.Staged(metadata.TARGETS), maxTargets); err == nil {
		m, err := metadata.Targets().FromBytes(b)
		if err != nil {
			return nil, fmt.Errorf("reading the staged targets: %w", err)
		}
		s, err := stateOf(next, metadata.TARGETS, m, m.Signed.Version, m.Signed.Expires)
		if err != nil {
			return nil, err
		}
		s.Staged = true
		out = append(out, s)
	}
	return out, nil
}

// stagedRoot needs signatures twice: by the keys of the root before it, and by its own.
func stagedRoot(old, next *metadata.Metadata[metadata.RootType]) ([]RoleState, error) {
	own, err := stateOf(next, metadata.ROOT, next, next.Signed.Version, next.Signed.Expires)
	if err != nil {
		return nil, err
	}
	own.Staged = true
	if old == nil || slices.Equal(old.Signed.Roles[metadata.ROOT].KeyIDs, next.Signed.Roles[metadata.ROOT].KeyIDs) &&
		old.Signed.Roles[metadata.ROOT].Threshold <= own.Threshold {
		return []RoleState{own}, nil
	}
	before, err := stateOf(old, metadata.ROOT, next, next.Signed.Version, next.Signed.Expires)
	if err != nil {
		return nil, err
	}
	before.Staged, before.Role = true, "root (keys before)"
	return []RoleState{before, own}, nil
}

// served adds the states of targets, snapshot and timestamp, as the keys of root see them.
func (r *Repository) served(out []RoleState, root *metadata.Metadata[metadata.RootType]) ([]RoleState, error) {
	if b, _, err := r.newest(metadata.TARGETS); err == nil {
		m, err := metadata.Targets().FromBytes(b)
		if err != nil {
			return nil, fmt.Errorf("reading the targets: %w", err)
		}
		if out, err = add(out, root, metadata.TARGETS, m, m.Signed.Version, m.Signed.Expires); err != nil {
			return nil, err
		}
	}
	if b, _, err := r.newest(metadata.SNAPSHOT); err == nil {
		m, err := metadata.Snapshot().FromBytes(b)
		if err != nil {
			return nil, fmt.Errorf("reading the snapshot: %w", err)
		}
		if out, err = add(out, root, metadata.SNAPSHOT, m, m.Signed.Version, m.Signed.Expires); err != nil {
			return nil, err
		}
	}
	if b, err := readBounded(filepath.Join(r.Dir, "timestamp.json"), maxTimestamp); err == nil {
		m, err := metadata.Timestamp().FromBytes(b)
		if err != nil {
			return nil, fmt.Errorf("reading the timestamp: %w", err)
		}
		if out, err = add(out, root, metadata.TIMESTAMP, m, m.Signed.Version, m.Signed.Expires); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func add[T metadata.Roles](out []RoleState, root *metadata.Metadata[metadata.RootType], role string, m *metadata.Metadata[T], version int64, expires time.Time) ([]RoleState, error) {
	s, err := stateOf(root, role, m, version, expires)
	return append(out, s), err
}

// stateOf asks of each key of a role by itself whether it has signed.
func stateOf[T metadata.Roles](root *metadata.Metadata[metadata.RootType], role string, m *metadata.Metadata[T], version int64, expires time.Time) (RoleState, error) {
	named := root.Signed.Roles[role]
	if named == nil {
		return RoleState{}, fmt.Errorf("the root does not name %s", role)
	}
	s := RoleState{Role: role, Version: version, Expires: expires, Threshold: named.Threshold, Signed: []string{}, Missing: []string{}}
	for _, id := range named.KeyIDs {
		one := metadata.Metadata[metadata.RootType]{Signed: metadata.RootType{Keys: root.Signed.Keys, Roles: map[string]*metadata.Role{role: {KeyIDs: []string{id}, Threshold: 1}}}}
		if one.VerifyDelegate(role, m) == nil {
			s.Signed = append(s.Signed, id)
		} else {
			s.Missing = append(s.Missing, id)
		}
	}
	return s, nil
}
