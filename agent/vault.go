package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"picket/store"
)

// retryStore is how long a store that could not be opened is left alone.
const retryStore = time.Minute

// errNoStore is wrapped by what needs a store while there is none.
var errNoStore = errors.New("there is no store")

// vault keeps the store open, as far as that goes: a store that cannot be opened, or that went
// bad, is a warning, and is tried again; the agent goes on without.
type vault struct {
	dir  string
	opts store.Options // with Uptime
	log  *slog.Logger
	warn *warnings
	owes atomic.Bool // what was found could not be remembered yet

	mu    sync.RWMutex // held for reading while st is used
	st    *store.Store
	why   error         // why st is nil
	tried time.Duration // by opts.Uptime
}

// open opens the store. Another process that has it is an error: two agents on one device would
// tell everything twice. All else is a warning.
func (v *vault) open() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reopen()
	if errors.Is(v.why, store.ErrLocked) {
		return v.why
	}
	if v.why != nil {
		v.complain(v.why)
	}
	return nil
}

func (v *vault) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.st == nil {
		return nil
	}
	st := v.st
	v.st, v.why = nil, store.ErrClosed
	return st.Close()
}

// rewrite writes the store's file anew, without what was deleted.
func (v *vault) rewrite() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.st == nil {
		return fmt.Errorf("%w: %w", errNoStore, v.why)
	}
	err := v.st.Close()
	if err == nil {
		err = store.Rewrite(filepath.Join(v.dir, storeName), v.opts)
	}
	if v.reopen(); v.why != nil {
		v.complain(v.why)
	}
	return errors.Join(err, v.why)
}

// reopen wants mu.
func (v *vault) reopen() {
	v.tried = v.opts.Uptime()
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		v.st, v.why = nil, fmt.Errorf("making the state folder: %w", err)
	} else {
		v.st, v.why = store.Open(filepath.Join(v.dir, storeName), v.opts)
	}
	if v.why != nil {
		v.st = nil
		return
	}
	v.warn.clear(warnStoreUnusable)
	if !v.owes.Load() {
		v.warn.clear(warnStoreReadOnly, warnStoreFull)
	}
	if d := v.st.Damage(); d != nil {
		v.warn.set(warnStoreDamaged, "store", "the store was damaged and has been made anew: "+strings.Join(d.What, "; "),
			"look at the disk's health; the damaged file is kept as "+d.Aside)
	}
}

// use calls do with the store. A store that turns out to be damaged is opened again, which sets
// it right, and do is called once more.
func (v *vault) use(do func(*store.Store) error) error {
	err := v.try(do)
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	v.mu.Lock()
	if v.st != nil {
		if err := v.st.Close(); err != nil {
			v.log.Debug("closing a damaged store", "error", err)
		}
		if v.reopen(); v.why != nil {
			v.complain(v.why)
		}
	}
	v.mu.Unlock()
	return v.try(do)
}

func (v *vault) try(do func(*store.Store) error) error {
	v.mu.RLock()
	if v.st == nil && v.opts.Uptime()-v.tried >= retryStore && !errors.Is(v.why, store.ErrClosed) {
		v.mu.RUnlock()
		v.mu.Lock()
		if v.st == nil && v.opts.Uptime()-v.tried >= retryStore {
			if v.reopen(); v.why != nil {
				v.complain(v.why)
			}
		}
		v.mu.Unlock()
		v.mu.RLock()
	}
	defer v.mu.RUnlock()
	if v.st == nil {
		return fmt.Errorf("%w: %w", errNoStore, v.why)
	}
	before, _ := v.st.Stats()
	err := do(v.st)
	if err != nil {
		v.complain(err)
		return err
	}
	// A note that has room says nothing of what found none.
	if after, failed := v.st.Stats(); failed == nil && after.Writes > before.Writes && !v.owes.Load() {
		v.warn.clear(warnStoreFull, warnStoreReadOnly)
	}
	return nil
}

// complain makes an error of the store a warning.
func (v *vault) complain(err error) {
	text := err.Error()
	switch {
	case errors.Is(err, store.ErrFull):
		v.warn.set(warnStoreFull, "store", text, "free space on the file system of "+v.dir+", or lower outbox_size")
	case errors.Is(err, store.ErrReadOnly):
		v.warn.set(warnStoreReadOnly, "store", text, "make "+v.dir+" writable for the agent, or set state_dir")
	case errors.Is(err, store.ErrDamaged):
		v.warn.set(warnStoreDamaged, "store", text, "look at the disk's health")
	case errors.Is(err, store.ErrRefused):
		v.warn.set(warnStoreRefused, "store", text, "tell the makers: a value was too long to be kept")
	case errors.Is(err, store.ErrForeign):
		v.warn.set(warnStoreUnusable, "store", text, "move the file away, or give it to the agent's user")
	case errors.Is(err, store.ErrNewer):
		v.warn.set(warnStoreUnusable, "store", text, "update Picket, or move the file away")
	case errors.Is(err, store.ErrClosed):
	default:
		v.warn.set(warnStoreUnusable, "store", text, "see to "+v.dir)
	}
}
