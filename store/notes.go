package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ignore sets a finding aside until a time. The finding stays open; what follows from the
// ignore is the caller's to say.
type Ignore struct {
	Key   string
	Why   string
	By    string
	Since time.Time
	Until time.Time
}

func (i *Ignore) encode() []byte {
	var e encoder
	e.milli(i.Since.UnixMilli())
	e.milli(i.Until.UnixMilli())
	e.text(i.Why)
	e.text(i.By)
	return e.buf
}

func decodeIgnore(key, b []byte) (Ignore, error) {
	d := decoder{buf: b}
	i := Ignore{Key: string(key), Since: fromMilli(d.milli()), Until: fromMilli(d.milli()), Why: d.text(), By: d.text()}
	return i, d.finish()
}

const maxIgnores = 1000

// SetIgnore keeps an ignore and queues its event. One that ends in the past is refused.
func (s *Store) SetIgnore(i Ignore, encode Encode) error {
	return explain("ignore finding", s.change(func(t *tx) error {
		i.Since = t.opts.Now().UTC().Truncate(time.Millisecond)
		i.Why, i.By = clip(i.Why), clip(i.By)
		if err := checkKey(i.Key); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if !i.Until.After(i.Since) {
			return fmt.Errorf("%w: it would have ended at %s", ErrRefused, i.Until.UTC().Format(time.RFC3339))
		}
		if t.st.tally[ignores].count >= maxIgnores {
			return fmt.Errorf("%w: %d findings are ignored", ErrRefused, maxIgnores)
		}
		if err := t.put(ignores, []byte(i.Key), i.encode()); err != nil {
			return err
		}
		if err := t.queueIgnore(Ignored, i, encode); err != nil {
			return err
		}
		_, err := t.bound()
		return err
	}))
}

func (t *tx) queueIgnore(kind Kind, i Ignore, encode Encode) error {
	c := Change{Event: Event{Kind: kind, Key: i.Key, Severity: packageSeverity}, Ignore: &i}
	raw, err := t.get(findings, []byte(i.Key))
	if err != nil {
		return err
	}
	if raw != nil {
		f, err := decodeFinding([]byte(i.Key), raw)
		if err != nil {
			return fmt.Errorf("%w: finding %q: %w", ErrDamaged, i.Key, err)
		}
		c.Finding, c.Severity = &f, f.Severity
	}
	_, err = t.queue(c, encode)
	return err
}

// EndIgnore ends an ignore by hand. There was none: nothing happens.
func (s *Store) EndIgnore(key string, encode Encode) error {
	return explain("end ignore", s.change(func(t *tx) error {
		if checkKey(key) != nil {
			return nil
		}
		raw, err := t.get(ignores, []byte(key))
		if err != nil || raw == nil {
			return err
		}
		i, err := decodeIgnore([]byte(key), raw)
		if err != nil {
			return fmt.Errorf("%w: ignore %q: %w", ErrDamaged, key, err)
		}
		if err := t.queueIgnore(IgnoreEnded, i, encode); err != nil {
			return err
		}
		return t.del(ignores, []byte(key))
	}))
}

// Ignores lists what is ignored now, by key. One that has ended is not in it, even before
// Tend took it away.
func (s *Store) Ignores() ([]Ignore, error) {
	var out []Ignore
	err := s.view(func(t *tx) (err error) {
		out, err = t.ignores(func(i Ignore) bool { return !t.opts.Over(i.Until) })
		return err
	})
	return out, explain("list ignores", err)
}

func (t *tx) ignores(which func(Ignore) bool) (out []Ignore, err error) {
	err = t.each(ignores, nil, func(key, body []byte) error {
		i, err := decodeIgnore(key, body)
		if err != nil {
			return fmt.Errorf("%w: ignore %q: %w", ErrDamaged, key, err)
		}
		if which(i) {
			out = append(out, i)
		}
		return nil
	})
	return out, err
}

// Tend does what time alone brings: ignores that ended are told, events that are too old are
// dropped and counted. It writes only where there is some.
func (s *Store) Tend(encode Encode) error {
	return explain("tend store", s.change(func(t *tx) error {
		ended, err := t.ignores(func(i Ignore) bool { return t.opts.Over(i.Until) })
		if err != nil {
			return err
		}
		for _, i := range ended {
			if err := t.queueIgnore(IgnoreEnded, i, encode); err != nil {
				if err := t.notQueued(fmt.Sprintf("ignore of %q", i.Key), err); err != nil {
					return err
				}
				continue
			}
			if err := t.del(ignores, []byte(i.Key)); err != nil {
				return err
			}
		}
		_, err = t.bound()
		return err
	}))
}

// Entry of the history: a finding opened or resolved.
type Entry struct {
	At       time.Time
	Kind     Kind
	Key      string
	Rule     string
	Title    string
	Severity uint8
}

// record adds to the history, which keeps the newest.
func (t *tx) record(ev Event, f Finding) error {
	var e encoder
	e.milli(ev.At.UnixMilli())
	e.uint(uint64(ev.Kind))
	e.uint(uint64(f.Severity))
	e.text(f.Key)
	e.text(f.Rule)
	e.text(f.Title)
	if err := t.put(history, seqKey(ev.Seq), e.buf); err != nil {
		return err
	}
	_, err := t.trim(history, func(a tally) bool { return a.count > maxHistory })
	return err
}

func decodeEntry(b []byte) (Entry, error) {
	d := decoder{buf: b}
	e := Entry{At: fromMilli(d.milli()), Kind: Kind(d.uint()), Severity: uint8(d.uint()), Key: d.text(), Rule: d.text(), Title: d.text()}
	return e, d.finish()
}

// History lists what opened and was resolved, newest first, up to limit; of one finding if
// key is not "".
func (s *Store) History(key string, limit int) ([]Entry, error) {
	var out []Entry
	err := s.view(func(t *tx) error {
		b, err := t.bucket(history)
		if err != nil {
			return err
		}
		c := b.Cursor()
		for k, v := c.Last(); k != nil && len(out) < limit; k, v = c.Prev() {
			body, err := unseal(tableNames[history], k, v)
			if err != nil {
				return fmt.Errorf("%w: history: %w", ErrDamaged, err)
			}
			e, err := decodeEntry(body)
			if err != nil {
				return fmt.Errorf("%w: history: %w", ErrDamaged, err)
			}
			if key == "" || e.Key == key {
				out = append(out, e)
			}
		}
		return nil
	})
	return out, explain("read history", err)
}

// Findings lists the open findings by key.
func (s *Store) Findings() ([]OpenFinding, error) {
	var out []OpenFinding
	err := s.view(func(t *tx) error {
		return t.each(findings, nil, func(key, body []byte) error {
			f, err := decodeFinding(key, body)
			if err != nil {
				return fmt.Errorf("%w: finding %q: %w", ErrDamaged, key, err)
			}
			out = append(out, f)
			return nil
		})
	})
	return out, explain("list findings", err)
}

// Packages lists the last known inventory by id.
func (s *Store) Packages() ([]Package, error) {
	var out []Package
	err := s.view(func(t *tx) error {
		return t.each(packages, nil, func(key, body []byte) error {
			p, err := decodePackage(key, body)
			if err != nil {
				return fmt.Errorf("%w: package %q: %w", ErrDamaged, key, err)
			}
			out = append(out, p)
			return nil
		})
	})
	return out, explain("list packages", err)
}

// Note is a record of the agent's own, under a table and a name.
type Note struct {
	Name    string
	Body    []byte
	Changed time.Time
	seq     uint64
}

func encodeNote(seq uint64, at int64, body []byte) []byte {
	var e encoder
	e.uint(seq)
	e.milli(at)
	e.bytes(body)
	return e.buf
}

func decodeNote(name string, b []byte) (Note, error) {
	d := decoder{buf: b}
	n := Note{Name: name, seq: d.uint(), Changed: fromMilli(d.milli()), Body: d.bytes()}
	return n, d.finish()
}

// noteKey refuses names that would reach into another table.
func noteKey(tableName, name string) ([]byte, error) {
	if tableName == "" || strings.ContainsRune(tableName, 0) || strings.HasPrefix(tableName, "_") || len(tableName)+len(name) > maxKey {
		return nil, fmt.Errorf("%w: note %.80q of table %.80q", ErrRefused, name, tableName)
	}
	return []byte(tableName + "\x00" + name), nil
}

// Remember keeps body under a name of a table: a value of the agent's state, a network's
// history. Of a table the keep (at least 1) last changed stay. The same body again writes
// nothing.
func (s *Store) Remember(tableName, name string, body []byte, keep int) error {
	return explain("remember "+tableName, s.change(func(t *tx) error {
		key, err := noteKey(tableName, name)
		if err != nil {
			return err
		}
		if len(body) > maxBody {
			return fmt.Errorf("%w: a note of %d bytes", ErrRefused, len(body))
		}
		all, err := t.notesOf(tableName)
		if err != nil {
			return err
		}
		newest := uint64(0)
		all = slices.DeleteFunc(all, func(n Note) bool {
			newest = max(newest, n.seq)
			return n.Name == name && string(n.Body) != string(body)
		})
		if slices.ContainsFunc(all, func(n Note) bool { return n.Name == name }) {
			return nil
		}
		slices.SortFunc(all, func(a, b Note) int { return int(min(max(int64(a.seq-b.seq), -1), 1)) })
		for len(all) > 0 && len(all) >= keep {
			if err := t.del(notes, []byte(tableName+"\x00"+all[0].Name)); err != nil {
				return err
			}
			all = all[1:]
		}
		return t.put(notes, key, encodeNote(newest+1, t.opts.Now().UnixMilli(), body))
	}))
}

// Forget removes a note; there was none: nothing happens.
func (s *Store) Forget(tableName, name string) error {
	return explain("forget "+tableName, s.change(func(t *tx) error {
		key, err := noteKey(tableName, name)
		if err != nil {
			return err
		}
		return t.del(notes, key)
	}))
}

// Recall gives a note's body, nil where there is none.
func (s *Store) Recall(tableName, name string) (body []byte, err error) {
	err = s.view(func(t *tx) error {
		key, err := noteKey(tableName, name)
		if err != nil {
			return err
		}
		raw, err := t.get(notes, key)
		if err != nil || raw == nil {
			return err
		}
		n, err := decodeNote(name, raw)
		body = n.Body
		if err != nil {
			err = fmt.Errorf("%w: note %q: %w", ErrDamaged, name, err)
		}
		return err
	})
	return body, explain("recall "+tableName, err)
}

// Notes lists a table by name.
func (s *Store) Notes(tableName string) (out []Note, err error) {
	err = s.view(func(t *tx) error {
		if _, err := noteKey(tableName, ""); err != nil {
			return err
		}
		out, err = t.notesOf(tableName)
		return err
	})
	return out, explain("list "+tableName, err)
}

func (t *tx) notesOf(tableName string) (out []Note, err error) {
	prefix := tableName + "\x00"
	err = t.each(notes, []byte(prefix), func(key, body []byte) error {
		n, err := decodeNote(strings.TrimPrefix(string(key), prefix), body)
		if err != nil {
			return errors.Join(ErrDamaged, fmt.Errorf("note %q: %w", key, err))
		}
		out = append(out, n)
		return nil
	})
	return out, err
}
