package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ForgetHistory takes the entries that are not later than a time out of the history.
func (s *Store) ForgetHistory(until time.Time) (n uint64, err error) {
	err = s.shrink(func(t *tx) error {
		n, err = t.clear(history, nil, func(body []byte) bool {
			e, err := decodeEntry(body)
			return err == nil && !e.At.After(until)
		})
		return err
	})
	return n, explain("forget the history", err)
}

// ForgetWaiting takes all events out of the outbox but the report of losses. A snapshot is due
// then: who is told of the device learns from it what is so.
func (s *Store) ForgetWaiting() (n uint64, err error) {
	err = s.shrink(func(t *tx) error {
		n = 0
		var all []Event
		err := t.each(outbox, nil, func(key, body []byte) error {
			if ev, err := decodeEvent(key, body); err == nil && ev.Kind != LossesTold {
				ev.Body = nil
				all = append(all, ev)
			}
			return nil
		})
		for _, ev := range all {
			if err == nil {
				err = t.remove(ev)
				n++
			}
		}
		if n > 0 && t.st.need < needAsked {
			t.st.need, t.dirty = needAsked, true
		}
		return err
	})
	return n, explain("forget what waits", err)
}

// ForgetRefused empties the quarantine.
func (s *Store) ForgetRefused() (n uint64, err error) {
	err = s.shrink(func(t *tx) error {
		n, err = t.clear(quarantine, nil, func([]byte) bool { return true })
		return err
	})
	return n, explain("forget what was refused", err)
}

// ForgetNotes removes the notes of a table.
func (s *Store) ForgetNotes(tableName string) (n uint64, err error) {
	err = s.shrink(func(t *tx) error {
		if _, err := noteKey(tableName, ""); err != nil {
			return err
		}
		n, err = t.clear(notes, []byte(tableName+"\x00"), func([]byte) bool { return true })
		return err
	})
	return n, explain("forget "+tableName, err)
}

// NoteTables lists the tables that have notes.
func (s *Store) NoteTables() (out []string, err error) {
	err = s.view(func(t *tx) error {
		return t.each(notes, nil, func(key, _ []byte) error {
			name, _, _ := strings.Cut(string(key), "\x00")
			if !strings.HasPrefix(name, "_") && (len(out) == 0 || out[len(out)-1] != name) {
				out = append(out, name)
			}
			return nil
		})
	})
	return out, explain("list the tables of notes", err)
}

func (s *Store) shrink(fn func(*tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shrinkLocked(fn)
}

// clear deletes the records of a table that which names.
func (t *tx) clear(tb table, prefix []byte, which func(body []byte) bool) (n uint64, err error) {
	var keys [][]byte
	err = t.each(tb, prefix, func(key, body []byte) error {
		if which(body) {
			keys = append(keys, append([]byte(nil), key...))
		}
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = t.del(tb, key)
			n++
		}
	}
	return n, err
}

// Rewrite writes the store at path anew, with what is in it and nothing of what was deleted: pages
// that became free keep their content otherwise. It is for a store that nobody has open.
func Rewrite(path string, opts Options) error {
	s := &Store{opts: opts.withDefaults(), path: path}
	err := s.rewrite()
	if s.lock != nil {
		err = errors.Join(err, unlock(s.lock))
	}
	return explain("rewrite store "+path, err)
}

func (s *Store) rewrite() (err error) {
	if s.lock, _, err = takeLock(s.path+".lock", s.opts.LockWait); err != nil {
		return err
	}
	f, err := openOurs(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	was := survey(f, info.Size(), nil)
	if was.format > formatVersion || !was.healthy() {
		return fmt.Errorf("%w: it is to be opened first", ErrDamaged)
	}
	if err := s.compact(f, info.Size(), was); err != nil {
		return errors.Join(err, removeIfThere(s.path+".new"))
	}
	return nil
}

// ForgetDamaged removes the damaged files that were set aside beside the store at path.
func ForgetDamaged(path string) (n uint64, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+".damaged-") && e.Type().IsRegular() {
			if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
				return n, explain("forget damaged stores", err)
			}
			n++
		}
	}
	return n, explain("forget damaged stores", err)
}
