package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Part of a full snapshot. An upstream that got all parts of one Snapshot, Index 0 to the
// Last, knows all that is open and installed, and may forget what is not in it.
type Part struct {
	Snapshot string // one id for all its parts
	Why      string // first, asked, dropped, damaged, due
	Index    int
	Last     bool
	Findings []OpenFinding
	Packages []Package
}

// partBytes is about how much of findings and packages goes into one part.
const partBytes = 192 << 10

// NeedSnapshot says why a full snapshot should be queued now, or "": the first, asked for,
// after events were dropped (once the outbox has room again) or the file was damaged, or
// every so often. While one is still in the outbox there is no need.
func (s *Store) NeedSnapshot(every time.Duration) (why string, err error) {
	err = s.view(func(t *tx) error {
		why = t.needSnapshot(every)
		return nil
	})
	return why, explain("look for a due snapshot", err)
}

func (t *tx) needSnapshot(every time.Duration) string {
	st := &t.st
	since := t.opts.Now().Sub(fromMilli(st.snapshot))
	switch {
	case st.queued[SnapshotPart] > 0:
		return ""
	case st.need == needDropped && st.tally[outbox].bytes > uint64(t.opts.MaxBytes)/2:
		return ""
	case st.need != noNeed:
		return st.need.String()
	case since >= every || since < 0: // below 0 the clock was set back
		return "due"
	}
	return ""
}

// AskSnapshot makes the next NeedSnapshot say "asked", unless there is a graver reason.
func (s *Store) AskSnapshot() error {
	return explain("ask for a snapshot", s.change(func(t *tx) error {
		if t.st.need < needAsked {
			t.st.need, t.dirty = needAsked, true
		}
		return nil
	}))
}

// QueueSnapshot queues all open findings and packages, in parts, and takes older parts back
// that were not sent. ErrFull where they do not fit into the outbox as it is: nothing was
// queued then.
func (s *Store) QueueSnapshot(encode Encode) (parts int, err error) {
	err = s.change(func(t *tx) error {
		parts = 0
		if err := t.dropOldParts(); err != nil {
			return err
		}
		id, err := newID(t.opts.Now(), t.opts.Rand)
		if err != nil {
			return err
		}
		part := Part{Snapshot: formatID(id), Why: cmp.Or(t.st.need.String(), "due")}
		size := 0
		emit := func(last bool) error {
			part.Last = last
			whole := part
			c := Change{Event: Event{Kind: SnapshotPart, Key: "snapshot", Severity: snapshotSeverity}, Part: &whole}
			if _, err := t.queue(c, encode); err != nil {
				return err
			}
			parts++
			part.Index, part.Findings, part.Packages, size = parts, nil, nil, 0
			return nil
		}
		grown := func(n int) error {
			if size += n; size < partBytes {
				return nil
			}
			return emit(false)
		}
		err = t.each(findings, nil, func(key, body []byte) error {
			f, err := decodeFinding(key, body)
			if err != nil {
				return fmt.Errorf("%w: finding %q: %w", ErrDamaged, key, err)
			}
			part.Findings = append(part.Findings, f)
			return grown(len(key) + len(body))
		})
		if err != nil {
			return err
		}
		err = t.each(packages, nil, func(key, body []byte) error {
			p, err := decodePackage(key, body)
			if err != nil {
				return fmt.Errorf("%w: package %q: %w", ErrDamaged, key, err)
			}
			part.Packages = append(part.Packages, p)
			return grown(len(key) + len(body))
		})
		if err != nil {
			return err
		}
		if err := emit(true); err != nil {
			return err
		}
		if have := t.st.tally[outbox].bytes; have > uint64(t.opts.MaxBytes) {
			return fmt.Errorf("%w: with the snapshot the outbox would have %d bytes, and may have %d", ErrFull, have, t.opts.MaxBytes)
		}
		t.st.need, t.st.snapshot = noNeed, t.opts.Now().UnixMilli()
		return nil
	})
	return parts, explain("queue snapshot", err)
}

// Reassert queues an event of the caller's own, of kind Noted, in the place of a snapshot that is
// due by time alone. The next is due as after a snapshot.
func (s *Store) Reassert(key string, severity uint8, encode Encode) (Event, error) {
	var ev Event
	err := s.change(func(t *tx) error {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		var err error
		if ev, err = t.queue(Change{Event: Event{Kind: Noted, Key: key, Severity: severity}}, encode); err != nil {
			return err
		}
		t.st.snapshot = t.opts.Now().UnixMilli()
		_, err = t.bound()
		return err
	})
	return ev, explain("queue that nothing changed", err)
}

func (t *tx) dropOldParts() error {
	if t.st.queued[SnapshotPart] == 0 {
		return nil
	}
	var old []Event
	err := t.each(outbox, nil, func(key, body []byte) error {
		if ev, err := decodeEvent(key, body); err == nil && ev.Kind == SnapshotPart && !t.stays(ev) {
			ev.Body = nil
			old = append(old, ev)
		}
		return nil
	})
	for _, ev := range old {
		err = errors.Join(err, t.remove(ev))
	}
	return err
}

// Losses is what the store could not keep, since it was last told.
type Losses struct {
	Since time.Time `json:"since"` // the first of them
	// Dropped events by kind; "undecodable" and "quarantined" (set aside, then pushed out) too.
	Dropped map[string]uint64 `json:"dropped,omitempty"`
	Damage  []Damage          `json:"damage,omitempty"`
}

// Damage that an Open found.
type Damage struct {
	At    time.Time `json:"at"`
	What  []string  `json:"what"`            // the first faults
	Aside string    `json:"aside,omitempty"` // where the damaged file is now; a bounded number is kept
	// Lost records by table; -1 where it cannot be told how many.
	Lost    map[string]int64  `json:"lost,omitempty"`
	Carried map[string]uint64 `json:"carried,omitempty"` // records that were saved
}

// Any tells whether something was lost.
func (l Losses) Any() bool { return len(l.Dropped) > 0 || len(l.Damage) > 0 }

const maxDamage = 8 // reports kept until told

var lossesKey = []byte("_store\x00losses")

func (t *tx) readLosses() (Losses, error) {
	raw, err := t.get(notes, lossesKey)
	if err != nil || raw == nil {
		return Losses{}, err
	}
	var l Losses
	d := decoder{buf: raw}
	d.uint()
	d.milli()
	if err := errors.Join(json.Unmarshal(d.bytes(), &l), d.finish()); err != nil {
		return Losses{}, fmt.Errorf("%w: record of losses: %w", ErrDamaged, err)
	}
	return l, nil
}

// lost gives the losses to add to; commit writes them.
func (t *tx) lost() (*Losses, error) {
	if t.losses == nil {
		l, err := t.readLosses()
		if err != nil {
			return nil, err
		}
		if !l.Any() {
			l.Since = t.opts.Now().UTC().Truncate(time.Second)
		}
		t.losses = &l
	}
	return t.losses, nil
}

// drop counts what was dropped, and has a snapshot make up for it.
func (t *tx) drop(what string, n uint64) error {
	if n > 0 {
		t.st.need = max(t.st.need, needDropped)
	}
	return t.count(what, n)
}

// count counts what was dropped.
func (t *tx) count(what string, n uint64) error {
	l, err := t.lost()
	if err != nil || n == 0 {
		return err
	}
	if l.Dropped == nil {
		l.Dropped = map[string]uint64{}
	}
	l.Dropped[what] += n
	return nil
}

func (t *tx) writeLosses() error {
	if !t.losses.Any() {
		return t.del(notes, lossesKey)
	}
	raw, err := json.Marshal(t.losses)
	if err != nil {
		return err
	}
	return t.put(notes, lossesKey, encodeNote(0, 0, raw))
}

// Losses gives what was lost and not yet told.
func (s *Store) Losses() (l Losses, err error) {
	err = s.view(func(t *tx) error {
		l, err = t.readLosses()
		return err
	})
	return l, explain("read losses", err)
}

// TellLosses queues the losses as one event, of the highest severity and never dropped
// itself, and starts to count anew. It queues none where there are none, or while the last
// such event is still in the outbox.
func (s *Store) TellLosses(encode Encode) (told bool, err error) {
	err = s.change(func(t *tx) error {
		told = false
		l, err := t.readLosses()
		if err != nil || !l.Any() || t.st.queued[LossesTold] > 0 {
			return err
		}
		c := Change{Event: Event{Kind: LossesTold, Key: "losses", Severity: 255}, Losses: &l}
		if _, err := t.queue(c, encode); err != nil {
			return err
		}
		told = true
		return t.del(notes, lossesKey)
	})
	return told && err == nil, explain("tell losses", err)
}
