package store

import (
	"errors"
	"fmt"
	"time"
)

// Held is an event that the upstream refused for good.
type Held struct {
	Event
	Why string
	Set time.Time // aside
}

const maxHeldBytes = 1 << 20

// Quarantine takes an event out of the queue and keeps it with the reason. The oldest go,
// counted, when there are too many; no snapshot is due for them, which might be refused likewise.
func (s *Store) Quarantine(id, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return explain("quarantine", s.take([]string{id}, func(t *tx, ev Event) error {
		var e encoder
		e.milli(t.opts.Now().UnixMilli())
		e.text(clip(why))
		e.buf = append(e.buf, ev.encode()...)
		if err := t.put(quarantine, seqKey(ev.Seq), e.buf); err != nil {
			return err
		}
		n, err := t.trim(quarantine, func(a tally) bool { return a.bytes > maxHeldBytes })
		if err != nil || n == 0 {
			return err
		}
		return t.count("quarantined", n)
	}))
}

// Quarantined lists what is set aside, oldest first.
func (s *Store) Quarantined() ([]Held, error) {
	var out []Held
	err := s.view(func(t *tx) error {
		return t.each(quarantine, nil, func(key, body []byte) error {
			d := decoder{buf: body}
			h := Held{Set: fromMilli(d.milli()), Why: d.text()}
			if d.err != nil {
				return fmt.Errorf("%w: quarantine: %w", ErrDamaged, d.err)
			}
			ev, err := decodeEvent(key, d.buf)
			h.Event = ev
			out = append(out, h)
			return err
		})
	})
	return out, explain("list quarantine", err)
}

// trim deletes the first records of a table while it is over its bound, but keeps the last.
func (t *tx) trim(tb table, over func(tally) bool) (n uint64, err error) {
	var keys [][]byte
	left := t.st.tally[tb]
	err = t.each(tb, nil, func(key, body []byte) error {
		if !over(left) || left.count <= 1 {
			return errStop
		}
		keys = append(keys, append([]byte(nil), key...))
		left.count--
		left.bytes -= min(left.bytes, uint64(len(key)+len(body)+sealSize))
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, t.del(tb, key))
	}
	return uint64(len(keys)), err
}
