package store

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

// table is one bucket of records.
type table int

const (
	findings   table = iota // finding key -> open finding
	packages                // package id -> package
	outbox                  // sequence -> event
	quarantine              // sequence -> event and why
	history                 // sequence -> what became of a finding
	ignores                 // finding key -> ignore
	notes                   // table, 0, name -> body
	tables                  // how many there are
)

var tableNames = [tables]string{"findings", "packages", "outbox", "quarantine", "history", "ignores", "notes"}

// The bucket that holds formatKey and stateKey. It is not in the tally, the two are required.
const metaName = "meta"

var (
	formatKey = []byte("format")
	stateKey  = []byte("state")
)

// tx is one transaction, and the state record as it will be when it commits.
type tx struct {
	b      *bbolt.Tx
	st     state
	dirty  bool
	losses *Losses // read when first needed, written at commit
	opts   Options
	age    time.Duration // the age clock
	held   map[string]uint64
	failed []error // values that were refused, each named
	used   int     // bytes of records that were looked at or written
}

// guard runs fn and turns the fault of a damaged or truncated file, which bbolt meets as a
// panic or a bad memory access, into ErrDamaged.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

// view reads. What it reads of a record must be copied to outlive fn.
func (s *Store) view(fn func(*tx) error) error {
	return guard(func() error {
		b, err := s.db.Begin(false)
		if err != nil {
			return err
		}
		defer func() { _ = b.Rollback() }()
		t := &tx{b: b, opts: s.opts}
		if err := t.readState(); err != nil {
			return err
		}
		defer s.rest(t)
		return fn(t)
	})
}

// change writes, all or nothing, and nothing at all where fn changed nothing. Values that
// were refused one by one are an error too, and the others stay taken.
func (s *Store) change(fn func(*tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeLocked(fn)
}

func (s *Store) changeLocked(fn func(*tx) error) error {
	s.db.MaxSize = int(s.opts.MaxSize)
	var t *tx
	err := guard(func() error {
		b, err := s.db.Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = b.Rollback() }() // after a commit it does nothing
		defer func() { s.used.Add(int64(t.used)) }()
		t = &tx{b: b, opts: s.opts, held: s.inFlight, age: s.age + s.opts.Uptime() - s.opened}
		if err := t.readState(); err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
		return t.commit()
	})
	if err != nil {
		return err
	}
	return errors.Join(t.failed...)
}

// shrink is change for what only removes: it may use the reserve, so that a store which is
// full can still be emptied.
func (s *Store) shrinkLocked(fn func(*tx) error) error {
	return s.changeLocked(func(t *tx) error {
		s.db.MaxSize = int(s.opts.MaxSize) + reserve
		return fn(t)
	})
}

func (t *tx) commit() error {
	if t.losses != nil {
		if err := t.writeLosses(); err != nil {
			return err
		}
	}
	if !t.dirty {
		return nil
	}
	t.st.age = t.age
	t.st.changed = t.opts.Now().UnixMilli()
	meta := t.b.Bucket([]byte(metaName))
	if err := meta.Put(stateKey, seal(metaName, stateKey, t.st.encode())); err != nil {
		return err
	}
	return t.b.Commit()
}

func (t *tx) readState() error {
	meta := t.b.Bucket([]byte(metaName))
	if meta == nil {
		return fmt.Errorf("%w: no bucket %q", ErrDamaged, metaName)
	}
	body, err := unseal(metaName, stateKey, meta.Get(stateKey))
	if err != nil {
		return fmt.Errorf("%w: state record: %w", ErrDamaged, err)
	}
	t.st, err = decodeState(body)
	if err != nil {
		return fmt.Errorf("%w: state record: %w", ErrDamaged, err)
	}
	return nil
}

func (t *tx) bucket(tb table) (*bbolt.Bucket, error) {
	b := t.b.Bucket([]byte(tableNames[tb]))
	if b == nil {
		return nil, fmt.Errorf("%w: no bucket %q", ErrDamaged, tableNames[tb])
	}
	return b, nil
}

// get gives a record's body, nil for none.
func (t *tx) get(tb table, key []byte) ([]byte, error) {
	b, err := t.bucket(tb)
	if err != nil {
		return nil, err
	}
	frame := b.Get(key)
	if frame == nil {
		return nil, nil
	}
	t.used += len(frame)
	body, err := unseal(tableNames[tb], key, frame)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %q: %w", ErrDamaged, tableNames[tb], key, err)
	}
	return body, nil
}

// put writes a record unless it is there as it is.
func (t *tx) put(tb table, key, body []byte) error {
	return t.putFrame(tb, key, seal(tableNames[tb], key, body))
}

func (t *tx) putFrame(tb table, key, frame []byte) error {
	b, err := t.bucket(tb)
	if err != nil {
		return err
	}
	if old := b.Get(key); old != nil {
		if bytes.Equal(old, frame) {
			return nil
		}
		t.st.tally[tb].remove(key, old)
	}
	t.dirty = true
	t.used += len(frame)
	t.st.tally[tb].add(key, frame)
	return b.Put(key, frame)
}

func (t *tx) del(tb table, key []byte) error {
	b, err := t.bucket(tb)
	if err != nil {
		return err
	}
	old := b.Get(key)
	if old == nil {
		return nil
	}
	t.dirty = true
	t.used += len(old)
	t.st.tally[tb].remove(key, old)
	return b.Delete(key)
}

// errStop ends each early.
var errStop = errors.New("stop")

// each goes through the records with a prefix in the order of their keys. body is nil for a
// record that does not hold. fn must not change the table.
func (t *tx) each(tb table, prefix []byte, fn func(key, body []byte) error) error {
	b, err := t.bucket(tb)
	if err != nil {
		return err
	}
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		t.used += len(v)
		body, err := unseal(tableNames[tb], k, v)
		if err != nil {
			body = nil
		}
		if err := fn(k, body); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// refuse notes that one value was not taken.
func (t *tx) refuse(what string, err error) {
	const most = 20 // a report of thousands helps nobody
	if len(t.failed) < most {
		t.failed = append(t.failed, fmt.Errorf("%s: %w: %w", what, ErrRefused, err))
	}
}

// makeTables makes the buckets of a new file and says its format.
func makeTables(b *bbolt.Tx, format uint64) error {
	for _, name := range append([]string{metaName}, tableNames[:]...) {
		if _, err := b.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return putFormat(b, format)
}

func putFormat(b *bbolt.Tx, format uint64) error {
	var e encoder
	e.uint(format)
	return b.Bucket([]byte(metaName)).Put(formatKey, seal(metaName, formatKey, e.buf))
}

// migrations bring a file from format i+1 to i+2, each in one transaction with the new
// number. There is none yet: format 1 is the first.
func migrations() []func(*tx) error { return nil }

func (s *Store) migrate(steps []func(*tx) error) error {
	format := uint64(0)
	err := s.view(func(t *tx) error {
		body, err := unseal(metaName, formatKey, t.b.Bucket([]byte(metaName)).Get(formatKey))
		d := decoder{buf: body}
		format = d.uint()
		return errors.Join(err, d.finish())
	})
	if err != nil {
		return err
	}
	for ; format <= uint64(len(steps)); format++ {
		err := s.change(func(t *tx) error {
			if err := steps[format-1](t); err != nil {
				return err
			}
			t.dirty = true
			return putFormat(t.b, format+1)
		})
		if err != nil {
			return fmt.Errorf("bring the file from format %d to %d: %w", format, format+1, err)
		}
	}
	return nil
}
