// Package tuf brings rules, indicators and policy to the device, from a repository as The
// Update Framework (https://theupdateframework.github.io/specification/latest/) describes it, and
// makes such repositories. Who serves the files is not trusted: what is not signed by the keys of
// the pinned root, is older than what is known, or has expired, is refused, and what was last
// accepted stays.
//
// What a file means is the caller's business: it is asked before new files take effect.
package tuf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"picket/transport/flock"
)

// The names of a repository's files that a device takes; a repository may lack any of them.
const (
	Rules      = "rules.zip"
	Indicators = "indicators.zip"
	Policy     = "policy.yaml"
)

// limits are the most bytes of each file, whatever its metadata say.
var limits = map[string]int64{Rules: 16 << 20, Indicators: 128 << 20, Policy: 256 << 10}

// Names gives the files that a device takes.
func Names() []string { return slices.Sorted(maps.Keys(limits)) }

// File is one file of a set.
type File struct {
	SHA256 string `json:"sha256"` // in hex
	Length int64  `json:"length"` // bytes
}

// Set is what was accepted together.
type Set struct {
	Files     map[string]File `json:"files"`     // by name
	Root      int64           `json:"root"`      // versions of the metadata
	Timestamp int64           `json:"timestamp"` //
	Snapshot  int64           `json:"snapshot"`  //
	Targets   int64           `json:"targets"`   //
	Fresh     time.Time       `json:"fresh"`     // until when the repository vouches for it
	Checked   time.Time       `json:"checked"`   // when its metadata were last found to be new
	Changed   time.Time       `json:"changed"`   // when these files took effect
	From      string          `json:"from"`      // the repository's address

	dir string
}

// Stale reports whether the repository no longer vouches for the set. A clock that was set back
// does not make it fresh again.
func (s *Set) Stale(now time.Time) bool { return later(now, s.Checked).After(s.Fresh) }

// Open gives a file of the set whose content is what was signed. It is nil when the set has none
// of that name.
func (s *Set) Open(name string) (*os.File, error) {
	want, ok := s.Files[name]
	if !ok {
		return nil, nil
	}
	f, err := os.Open(packPath(s.dir, want.SHA256))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	sum, n, err := digest(f)
	if err == nil && (sum != want.SHA256 || n != want.Length) {
		err = errors.New("it is damaged: its digest is not the signed one")
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	return f, nil
}

// Load gives the set in effect that is kept in a folder, nil when none ever was accepted.
func Load(dir string) (*Set, error) {
	b, err := readBounded(filepath.Join(dir, "current.json"), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s := &Set{}
	if err == nil {
		err = json.Unmarshal(b, s)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what updates are in effect: %w", err)
	}
	for name, f := range s.Files {
		if !validSum(f.SHA256) {
			return nil, fmt.Errorf("reading what updates are in effect: %s: %q is no digest", name, f.SHA256)
		}
	}
	s.dir = dir
	return s, nil
}

// Client fetches into a folder. Several processes may have one on the same folder.
type Client struct {
	Dir    string
	Source Source
	Now    func() time.Time
}

// Result says what came of a fetch.
type Result struct {
	Set     *Set // in effect now
	Changed bool // it is another one than before
}

// Fetch brings what is new. Before other files than those in effect take their place, accept is
// asked; its error refuses all of them. What was refused is a *Refused; every other error is about
// the way there, or this device's disk, and worth another try. Whatever fails, the set that was in
// effect stays.
func (c *Client) Fetch(ctx context.Context, accept func(*Set) error) (Result, error) {
	unlock, err := lock(c.Dir)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	old, err := Load(c.Dir)
	if err != nil { // it is written anew
		old = nil
	}
	next, err := c.refresh(ctx, old)
	if err != nil {
		return Result{Set: old}, err
	}
	same := old != nil && maps.Equal(old.Files, next.Files) && c.whole(old)
	if !same {
		c.sweep(old, next) // of what was refused before, the disk would fill up
		if err := c.bring(ctx, next); err != nil {
			return Result{Set: old}, err
		}
		if err := accept(next); err != nil {
			return Result{Set: old}, &Refused{Rejected, fmt.Sprintf("targets %d", next.Targets), err}
		}
	} else {
		next.Changed = old.Changed
	}
	if err := c.write("current.json", next); err != nil {
		return Result{Set: old}, err
	}
	c.sweep(next)
	return Result{next, !same}, nil
}

// whole reports whether all files of a set are there, undamaged.
func (c *Client) whole(s *Set) bool {
	for name := range s.Files {
		f, err := s.Open(name)
		if err != nil {
			return false
		}
		f.Close()
	}
	return true
}

// bring downloads what of a set is not there yet.
func (c *Client) bring(ctx context.Context, s *Set) error {
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		if err := c.download(ctx, name, s.Files[name]); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes all files but those of some sets, nil ones passed over, and what a crash left behind. What of a
// set came only in part stays with it.
func (c *Client) sweep(sets ...*Set) {
	left, _ := filepath.Glob(filepath.Join(c.Dir, ".new-*"))
	for _, name := range left {
		os.Remove(name)
	}
	entries, err := os.ReadDir(filepath.Join(c.Dir, packs))
	if err != nil {
		return
	}
	keep := map[string]bool{}
	for _, s := range sets {
		if s == nil {
			continue
		}
		for _, f := range s.Files {
			keep[f.SHA256], keep[f.SHA256+".part"] = true, true
		}
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			os.Remove(filepath.Join(c.Dir, packs, e.Name()))
		}
	}
}

// Pinned is the trust of a device: where its repository is. The root beside it says by whom.
type Pinned struct {
	From string    `json:"from"`
	Root string    `json:"root"` // digest of the root that was pinned
	At   time.Time `json:"at"`
	// Enrolled says that it came with an enrolment, and goes with it.
	Enrolled bool `json:"enrolled,omitempty"`
}

// Is reports whether this root and this address are what was pinned.
func (p *Pinned) Is(root []byte, from string) bool { return p.Root == sumOf(root) && p.From == from }

// Forget gives up what was pinned, and all that it vouched for.
func Forget(dir string) error {
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := forget(dir); err != nil {
		return err
	}
	(&Client{Dir: dir}).sweep(&Set{})
	return nil
}

func forget(dir string) error {
	for _, name := range []string{"current.json", "pinned.json", "root.json", "timestamp.json", "snapshot.json", "targets.json"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting the old root: %w", err)
		}
	}
	return nil
}

// Trust gives what was pinned in a folder, nil when nothing was.
func Trust(dir string) (*Pinned, error) {
	b, err := readBounded(filepath.Join(dir, "pinned.json"), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p := &Pinned{}
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose updates are trusted: %w", err)
	}
	return p, nil
}

// Pin has a folder trust a root and fetch from an address. Another root than the pinned one
// forgets all that the old one vouched for; the same root leaves what is known, so that pinning
// again opens no way back to older files.
func Pin(dir string, root []byte, from string, enrolled bool, now time.Time) error {
	if err := checkRoot(root); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	c := &Client{Dir: dir}
	p := Pinned{from, sumOf(root), now.UTC().Truncate(time.Second), enrolled}
	old, err := Trust(dir)
	if err != nil || old == nil || old.Root != p.Root {
		if err := forget(dir); err != nil {
			return err
		}
		if err := c.writeBytes("root.json", root); err != nil {
			return err
		}
	}
	return c.write("pinned.json", p)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lock holds a folder against other processes.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, packs), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of updates: %w", err)
	}
	unlock, err = flock.Take(filepath.Join(dir, "lock"))
	if errors.Is(err, flock.ErrHeld) {
		err = ErrBusy
	}
	if err != nil {
		return nil, fmt.Errorf("locking the folder of updates: %w", err)
	}
	return unlock, nil
}

// ErrBusy says that another process fetches into the folder.
var ErrBusy = errors.New("another process fetches updates")
