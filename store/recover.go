package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// keepAside is how many damaged files stay beside the store.
const keepAside = 3

// create makes an empty store. before tells that there was one: then it was taken away, and
// that is a loss to report.
func (s *Store) create(before bool) error {
	var damage *Damage
	if before {
		damage = &Damage{At: s.stamp(), What: []string{"the file is gone: a store was open here before"}, Lost: map[string]int64{"all": -1}}
	}
	if err := s.rebuild(nil, 0, s.freshState(), formatVersion, damage); err != nil {
		return err
	}
	s.damage = damage
	return s.swapIn()
}

// freshState is that of a store which knows nothing. Sequence numbers start at the clock's
// seconds, so that they go on growing where an earlier store was lost.
func (s *Store) freshState() state {
	return state{seq: uint64(max(s.opts.Now().Unix(), 0)), need: needFirst, baseline: true}
}

func (s *Store) stamp() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }

// compact writes the records of a healthy file into a new one, which has no free pages.
func (s *Store) compact(f io.ReaderAt, size int64, was *found) error {
	if err := s.rebuild(f, size, *was.state, was.format, nil); err != nil {
		return err
	}
	return s.swapIn()
}

// carryOver writes what holds of a damaged file into a new one, with a report, and moves the
// damaged file aside.
func (s *Store) carryOver(f io.ReaderAt, size int64, was *found) error {
	damage := &Damage{At: s.stamp(), What: was.faults, Lost: map[string]int64{}, Carried: map[string]uint64{}}
	if more := was.bad - len(was.faults); more > 0 {
		damage.What = append(damage.What, fmt.Sprintf("and %d more", more))
	}
	st := s.freshState()
	if was.state != nil {
		st = *was.state
		st.seq += 1000 // numbers may have been given since
	}
	for tb := range tables {
		carried := was.tally[tb].count
		if carried > 0 {
			damage.Carried[tableNames[tb]] = carried
		}
		switch {
		case was.state == nil:
			damage.Lost[tableNames[tb]] = -1
		case was.state.tally[tb].count > carried:
			damage.Lost[tableNames[tb]] = int64(was.state.tally[tb].count - carried)
			st.baseline = st.baseline || tb == packages
		}
	}
	st.need = needDamaged
	aside, err := s.asideName()
	if err != nil {
		return err
	}
	damage.Aside = filepath.Base(aside)
	if err := s.rebuild(f, size, st, cmp.Or(was.format, formatVersion), damage); err != nil {
		return err
	}
	// By a link the store has a file at its name at every moment. Not every file system has
	// links; there a crash between the two renames leaves no store, which Open reports.
	if err := os.Link(s.path, aside); err != nil {
		if err := os.Rename(s.path, aside); err != nil {
			return err
		}
	}
	s.damage = damage
	return s.swapIn()
}

// swapIn puts the new file in the store's place and makes that last.
func (s *Store) swapIn() error {
	if err := os.Rename(s.path+".new", s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

// asideName gives a free name for a damaged file, after removing the oldest of those there.
func (s *Store) asideName() (string, error) {
	dir, prefix := filepath.Dir(s.path), filepath.Base(s.path)+".damaged-"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var old []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Type().IsRegular() {
			old = append(old, e.Name())
		}
	}
	for len(old) >= keepAside {
		oldest := slices.MinFunc(old, func(a, b string) int { return modTime(dir, a).Compare(modTime(dir, b)) })
		if err := os.Remove(filepath.Join(dir, oldest)); err != nil {
			return "", err
		}
		old = slices.DeleteFunc(old, func(n string) bool { return n == oldest })
	}
	name := prefix + s.stamp().Format("20060102T150405Z")
	for i := 2; slices.Contains(old, name); i++ {
		name = fmt.Sprintf("%s%s-%d", prefix, s.stamp().Format("20060102T150405Z"), i)
	}
	return filepath.Join(dir, name), nil
}

func modTime(dir, name string) time.Time {
	info, err := os.Lstat(filepath.Join(dir, name))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// rebuild makes a file of a format at s.path+".new" with the records of f that hold; f may be
// nil. It is on the disk when rebuild returns.
func (s *Store) rebuild(f io.ReaderAt, size int64, st state, format uint64, damage *Damage) (err error) {
	path := s.path + ".new"
	db, err := openBolt(path, 0)
	if err != nil {
		return errors.Join(err, removeIfThere(path))
	}
	defer func() {
		err = errors.Join(err, db.Close())
		if err != nil {
			err = errors.Join(err, removeIfThere(path))
		}
	}()
	db.NoSync = true // until it is whole
	c := &copier{s: s, db: db, format: format}
	st.tally, st.queued = [tables]tally{}, [kinds]uint64{}
	if err := c.begin(st); err != nil {
		return err
	}
	if f != nil {
		if survey(f, size, c.take); c.err != nil {
			return errors.Join(c.err, c.t.b.Rollback())
		}
	}
	if err := c.end(damage); err != nil {
		return err
	}
	return db.Sync()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	return nil
}

// copier takes records into a new file, a transaction for about every MiB.
type copier struct {
	s      *Store
	db     *bbolt.DB
	format uint64
	t      *tx
	size   int
	err    error
}

func (c *copier) begin(st state) error {
	b, err := c.db.Begin(true)
	if err != nil {
		return err
	}
	c.t = &tx{b: b, st: st, dirty: true, opts: c.s.opts, age: st.age}
	if err := makeTables(b, c.format); err != nil {
		return errors.Join(err, b.Rollback())
	}
	for _, name := range tableNames {
		b.Bucket([]byte(name)).FillPercent = 0.9 // they come in order
	}
	return nil
}

func (c *copier) take(tb table, key, frame []byte) error {
	c.err = c.copy(tb, key, frame)
	return c.err
}

func (c *copier) copy(tb table, key, frame []byte) error {
	if tb == outbox {
		ev, err := decodeEvent(key, frame[sealSize:])
		if err != nil {
			return c.t.drop("undecodable", 1)
		}
		c.t.st.queued[ev.Kind]++
		c.t.st.seq = max(c.t.st.seq, ev.Seq)
	}
	// bbolt keeps the slices until it commits, and these are of the page that was read.
	if err := c.t.putFrame(tb, bytes.Clone(key), bytes.Clone(frame)); err != nil {
		return err
	}
	if c.size += len(key) + len(frame); c.size < 1<<20 {
		return nil
	}
	c.size = 0
	if err := c.t.commit(); err != nil {
		return err
	}
	return c.begin(c.t.st)
}

// end adds the report and commits.
func (c *copier) end(damage *Damage) error {
	defer func() { _ = c.t.b.Rollback() }()
	if damage != nil {
		l, err := c.t.lost()
		if err != nil {
			return err
		}
		l.Damage = append(l.Damage, *damage)
		l.Damage = l.Damage[max(0, len(l.Damage)-maxDamage):]
	}
	return c.t.commit()
}
