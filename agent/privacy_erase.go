package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"picket/store"
)

// erasure is a part of what is kept that the person may have erased.
type erasure struct {
	name string
	what string
	// held says why it may not be; "" where it may.
	held func(*daemon) string
	// erase does it, and gives how much there was.
	erase func(*daemon) (uint64, error)
}

// erased is what became of a part.
type erased struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Gone   uint64 `json:"gone"`             // records, events or files
	Held   string `json:"held,omitempty"`   // why it stays
	Failed string `json:"failed,omitempty"` // why it could not be done
}

func erasures() []erasure {
	return []erasure{
		{"history", "what was found and resolved", nil, func(d *daemon) (uint64, error) {
			return fromStore(d.vault, func(st *store.Store) (uint64, error) { return st.ForgetHistory(forgetAll) })
		}},
		{"networks", "the networks that the device was on", nil, (*daemon).eraseNetworks},
		{"ignores", "what is set aside; it counts again, which is told", nil, (*daemon).eraseIgnores},
		{"refused", "events that the upstream refused", nil, func(d *daemon) (uint64, error) { return fromStore(d.vault, (*store.Store).ForgetRefused) }},
		{"waiting", "events that wait to be delivered", (*daemon).holdsWaiting, func(d *daemon) (uint64, error) { return fromStore(d.vault, (*store.Store).ForgetWaiting) }},
		{"delivered", "the file of delivered events, which stay where they went", nil, (*daemon).eraseDelivered},
		{"damaged", "damaged stores that were set aside", nil, func(d *daemon) (uint64, error) {
			return store.ForgetDamaged(filepath.Join(d.config().StateDir, storeName))
		}},
	}
}

// forgetAll is later than every entry.
var forgetAll = time.Unix(1<<40, 0)

func erasureNames() (names []string) {
	for _, e := range erasures() {
		names = append(names, e.name)
	}
	return names
}

// holdsWaiting says why an organisation's events stay.
func (d *daemon) holdsWaiting() string {
	s := d.privacyInputs()
	who := s.enrolment.Organisation
	if who == "" {
		who = "the organisation"
	}
	if p := d.set.Load().criteria.policy; p != nil && p.Uninstall == "forbidden" {
		return "the policy forbids it: " + who + " is to be told what this device is like as long as Picket is here"
	}
	if s.enrolment.Enrolled {
		return "they are for " + who + "; 'picket unenrol' comes first"
	}
	return ""
}

// erase erases the named parts, or all; what may not be erased stays, and says why. The store is
// written anew, so that nothing of what was erased is left in its file.
func (d *daemon) erase(names []string) ([]erased, error) {
	out, any := []erased{}, false
	for _, e := range erasures() {
		if len(names) > 0 && !slices.Contains(names, e.name) {
			continue
		}
		done := erased{Name: e.name, What: e.what}
		if e.held != nil {
			done.Held = e.held(d)
		}
		if done.Held == "" {
			var err error
			if done.Gone, err = e.erase(d); err != nil {
				done.Failed = err.Error()
			}
			any = any || done.Gone > 0
		}
		out = append(out, done)
	}
	if !any {
		return out, nil
	}
	d.log.Info("erased what the person asked for", "parts", len(out))
	if err := d.vault.rewrite(); err != nil {
		return out, fmt.Errorf("it is erased, but its bytes are still in the store's file: %w", err)
	}
	return out, nil
}

// eraseNetworks forgets networks and the key of their hashes, so that what was told of them before
// cannot be held beside what comes.
func (d *daemon) eraseNetworks() (n uint64, err error) {
	err = d.vault.use(func(st *store.Store) error {
		n = 0
		for _, table := range []string{networksTable, probeTable} {
			some, err := st.ForgetNotes(table)
			if err != nil {
				return err
			}
			n += some
		}
		return st.Forget(notesTable, "network_key")
	})
	return n, err
}

func (d *daemon) eraseIgnores() (n uint64, err error) {
	err = d.change(func(st *store.Store, encode store.Encode) error {
		ignores, err := st.Ignores()
		for _, i := range ignores {
			if err == nil {
				err = st.EndIgnore(i.Key, encode)
				n++
			}
		}
		return err
	})
	return n, err
}

func (d *daemon) eraseDelivered() (uint64, error) {
	defer d.ship.alone()()
	return removeTurns(d.config().SinkFile)
}

// removeTurns removes a file and its older turns, where they are plain files.
func removeTurns(path string) (n uint64, err error) {
	for i := range sinkTurns {
		name := turnName(path, i)
		info, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !info.Mode().IsRegular():
			err = fmt.Errorf("%s is no regular file", name)
		case err == nil:
			err = os.Remove(name)
		}
		if err != nil {
			return n, fmt.Errorf("removing delivered events: %w", err)
		}
		n++
	}
	return n, nil
}
