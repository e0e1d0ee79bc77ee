// Package store remembers: open findings, the last inventory, what is still to be sent, and
// the agent's own notes, in one bbolt file. It sees encoded bodies only, so that a new kind
// of finding changes nothing here. docs/store.md describes the file.
package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// The errors that a caller tells apart with errors.Is.
var (
	ErrFull     = errors.New("no space left for the store")
	ErrReadOnly = errors.New("the store cannot be written")
	ErrLocked   = errors.New("the store is in use")
	ErrForeign  = errors.New("the store is not ours")
	ErrNewer    = errors.New("the store was written by a newer version")
	// ErrDamaged means that the file went bad while open. Close it and open it again: Open
	// sets a damaged file aside and carries over what can be read.
	ErrDamaged = errors.New("the store is damaged")
	ErrClosed  = errors.New("the store is closed")
	// ErrRefused is about one value (too long, without a key, not encodable). Others given in
	// the same call were taken.
	ErrRefused = errors.New("refused")
)

// What the file has room for beside the outbox, and for each byte of it: pages are not full, and a change copies
// those that it touches. Small events of many severities need 3.5.
const (
	mapMax     = 1 << 30 // bytes of the file: a map of more does not fit a 32-bit process
	fileRest   = 64 << 20
	fileFactor = 4
)

// MaxOutbox is the largest MaxBytes. With more the file would be full before the outbox, and refuse what is new
// where the outbox drops, and counts, what is least grave.
const MaxOutbox = (mapMax - fileRest) / fileFactor

// Options of Open. The zero value is usable.
type Options struct {
	MaxBytes int64         // outbox, bytes of keys and values; default 16 MiB, at most MaxOutbox
	MaxAge   time.Duration // of an event in the outbox, in time that the agent ran; default 30 days
	MaxSize  int64         // the file, in bytes; default 4*MaxBytes + 64 MiB
	// Now stamps. It may jump: no interval is computed from it but that of snapshots.
	Now func() time.Time
	// Over tells whether the time has come at which an ignore ends. Default: by Now.
	Over func(time.Time) bool
	// Uptime is monotonic time since any fixed point, for ages. Default: since Open.
	Uptime func() time.Duration
	// Rand gives the random part of event ids. Default: the system's.
	Rand io.Reader
	// LockWait is how long Open waits for another process; default just under a second.
	LockWait time.Duration
	// Volatile syncs nothing: for a store that need not outlive a crash of the machine.
	Volatile bool
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	o.MaxBytes = min(o.MaxBytes, MaxOutbox)
	if o.MaxAge <= 0 {
		o.MaxAge = 30 * 24 * time.Hour
	}
	if o.MaxSize <= 0 {
		o.MaxSize = fileFactor*o.MaxBytes + fileRest
	}
	o.MaxSize = min(o.MaxSize, mapMax)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Over == nil {
		o.Over = func(t time.Time) bool { return !t.After(o.Now()) }
	}
	if o.Uptime == nil {
		start := time.Now()
		o.Uptime = func() time.Duration { return time.Since(start) }
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.LockWait <= 0 {
		o.LockWait = 900 * time.Millisecond
	}
	return o
}

// Store is an open store. Its methods may be called from several goroutines.
type Store struct {
	opts   Options
	path   string
	lock   *os.File
	db     *bbolt.DB
	damage *Damage

	used atomic.Int64 // bytes of records that were used since the process last gave back their pages

	mu       sync.Mutex        // held by every write and by Peek
	inFlight map[string]uint64 // event id -> sequence, of the last Peek
	owed     map[string]uint64 // acknowledged, but the disk did not let them be removed yet
	age      time.Duration     // the store's age clock when it was opened
	opened   time.Duration     // Uptime then
}

const (
	pageSize  = 4096      // of every file we make, whatever the machine's
	allocStep = 1 << 20   // how a file grows once it is larger than that
	reserve   = 8 << 20   // what deleting may use beyond MaxSize: bbolt copies pages to delete
	compactAt = 512 << 10 // a smaller file is not worth compacting
)

// Open opens the store at path, or makes one. A second process is refused with ErrLocked
// and the name of the first. Every page is read once: a damaged file is moved aside, what
// could be read is carried over, and Damage says what was lost. A file that is mostly empty
// is compacted.
//
// Errors: ErrLocked, ErrForeign (owner, link, not a regular file), ErrNewer, ErrFull,
// ErrReadOnly.
func Open(path string, opts Options) (*Store, error) {
	s := &Store{opts: opts.withDefaults(), path: path}
	if err := s.open(); err != nil {
		if s.db != nil {
			_ = s.db.Close() // the first error is the one to tell
		}
		if s.lock != nil {
			_ = unlock(s.lock)
		}
		return nil, explain("open store "+path, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if err := makeFolder(filepath.Dir(s.path)); err != nil {
		return err
	}
	lock, before, err := takeLock(s.path+".lock", s.opts.LockWait)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.settle(before); err != nil {
		return err
	}
	if s.db, err = openBolt(s.path, int(s.opts.MaxSize)); err != nil {
		return err
	}
	s.db.NoSync, s.db.NoGrowSync = s.opts.Volatile, s.opts.Volatile
	s.opened = s.opts.Uptime()
	err = s.view(func(t *tx) error {
		s.age = t.st.age
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.migrate(migrations()); err != nil {
		return err
	}
	return markKept(s.lock)
}

// settle leaves a healthy file of this version at s.path.
func (s *Store) settle(before bool) error {
	if err := os.Remove(s.path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := openOurs(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return s.create(before)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	found := survey(f, info.Size(), nil)
	switch {
	case found.format > formatVersion:
		return fmt.Errorf("%w: format %d, and this one knows %d", ErrNewer, found.format, formatVersion)
	case !found.healthy():
		return s.carryOver(f, info.Size(), found)
	case info.Size() >= compactAt && found.live*pageSize < info.Size()/2:
		// A disk too full for a copy is no reason not to open.
		if err := s.compact(f, info.Size(), found); err != nil {
			_ = os.Remove(s.path + ".new")
		}
	}
	return nil
}

// openBolt opens a bbolt file. The list of free pages is not kept in the file: it would be
// one more thing to write and to be damaged, and is computed from the pages at open.
func openBolt(path string, maxSize int) (*bbolt.DB, error) {
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:        500 * time.Millisecond,
			PageSize:       pageSize,
			MaxSize:        maxSize,
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				return os.OpenFile(name, flag|syscall.O_NOFOLLOW, mode)
			},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = allocStep
	return db, nil
}

// Close releases the file. It waits for calls that are under way.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.db.Close(), unlock(s.lock))
}

// Damage says what this Open found damaged and what was lost by it; nil for a healthy file.
// The same is kept in Losses until it is told.
func (s *Store) Damage() *Damage { return s.damage }

// Stats is the store in numbers.
type Stats struct {
	FileBytes   int64
	Findings    uint64 // open
	Packages    uint64
	Outbox      uint64 // events
	OutboxBytes int64
	Quarantined uint64
	LastSeq     uint64            // of the newest event
	Queued      map[string]uint64 // events in the outbox by kind
	Known       string            // another one whenever the open findings or the packages are not the same
	Changed     time.Time         // last write; zero before the first
	Writes      int64             // write calls on the file since Open
}

// Stats reads nothing but one record.
func (s *Store) Stats() (Stats, error) {
	var out Stats
	err := s.view(func(t *tx) error {
		st := &t.st
		out = Stats{
			FileBytes: t.b.Size(), Findings: st.tally[findings].count, Packages: st.tally[packages].count,
			Outbox: st.tally[outbox].count, OutboxBytes: int64(st.tally[outbox].bytes),
			Known:       fmt.Sprintf("%d-%x-%d-%x", st.tally[findings].count, st.tally[findings].sum, st.tally[packages].count, st.tally[packages].sum),
			Quarantined: st.tally[quarantine].count, LastSeq: st.seq, Queued: map[string]uint64{}, Changed: fromMilli(st.changed),
		}
		for k, n := range st.queued {
			if n > 0 {
				out.Queued[Kind(k).String()] = n
			}
		}
		return nil
	})
	if err == nil {
		st := s.db.Stats()
		out.Writes = st.TxStats.GetWrite()
	}
	return out, err
}
