package store

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Kind of an event. The numbers are in the file: add at the end.
type Kind uint8

// The kinds.
const (
	Opened Kind = iota + 1
	Updated
	Resolved
	PackageAdded
	PackageUpdated
	PackageRemoved
	SnapshotPart // of all open findings and packages
	Ignored      // a person set a finding aside, for a time
	IgnoreEnded  // by time or by hand
	LossesTold   // what the store lost or dropped
	Noted        // what the agent says of itself: see Queue
	kinds
)

var kindNames = [kinds]string{"", "opened", "updated", "resolved", "package_added", "package_updated", "package_removed",
	"snapshot", "ignored", "ignore_ended", "losses", "noted"}

func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Where events without a finding stand when the outbox has to drop some.
const (
	snapshotSeverity = 0 // another one can be made
	packageSeverity  = 1
)

// Event in the outbox. Its ID is made once, a UUID of version 7; Seq grows by one for each.
type Event struct {
	ID       string
	Seq      uint64
	Kind     Kind
	Key      string // what it is about: order is kept per key
	Severity uint8
	At       time.Time // queued
	Body     []byte    // as Encode gave it
	rawID    [16]byte
	born     time.Duration // on the age clock
}

// Change is what Encode makes an event's body of. Beside the event, without Body, it has
// what the kind is about.
type Change struct {
	Event
	Finding    *OpenFinding // opened, updated, resolved (as last known)
	Was        *OpenFinding // updated: before
	Package    *Package     // added, updated, removed (as last known)
	WasPackage *Package     // updated: before
	Ignore     *Ignore
	Losses     *Losses
	Part       *Part
}

// Encode makes the body of an event, once, as it enters the outbox. It runs inside the
// transaction and must not call the store. A nil body is not to be sent: what changed is known all
// the same, and nothing enters the outbox.
type Encode func(Change) ([]byte, error)

// queue gives the event its id and puts it into the outbox. An ErrRefused has changed nothing.
func (t *tx) queue(c Change, encode Encode) (Event, error) {
	now := t.opts.Now()
	id, err := newID(now, t.opts.Rand)
	if err != nil {
		return Event{}, err
	}
	ev := &c.Event
	ev.rawID, ev.ID, ev.Seq, ev.At, ev.born = id, formatID(id), t.st.seq+1, now.UTC().Truncate(time.Millisecond), t.age
	if c.Finding != nil && c.Kind != Resolved {
		c.Finding.Changed = ev.At
		if c.Kind == Opened {
			c.Finding.rawID, c.Finding.ID, c.Finding.Since = id, ev.ID, ev.At
		}
	}
	body, err := safely(encode, c)
	if err != nil {
		return Event{}, fmt.Errorf("%w: encode: %w", ErrRefused, err)
	}
	if body == nil { // its number is taken all the same: the history goes by it
		t.st.seq, t.dirty = ev.Seq, true
		return *ev, nil
	}
	if len(body) > maxBody {
		return Event{}, fmt.Errorf("%w: an event of %d bytes", ErrRefused, len(body))
	}
	ev.Body = body
	if err := t.put(outbox, seqKey(ev.Seq), ev.encode()); err != nil {
		return Event{}, err
	}
	t.st.seq = ev.Seq
	t.st.queued[ev.Kind]++
	return *ev, nil
}

// safely keeps the caller's panic apart from those of a damaged file.
func safely(encode Encode, c Change) (body []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return encode(c)
}

// Queue puts an event of the agent's own into the outbox, of kind Noted.
func (s *Store) Queue(key string, severity uint8, encode Encode) (Event, error) {
	var ev Event
	err := s.change(func(t *tx) error {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		var err error
		if ev, err = t.queue(Change{Event: Event{Kind: Noted, Key: key, Severity: severity}}, encode); err != nil {
			return err
		}
		_, err = t.bound()
		return err
	})
	return ev, explain("queue event", err)
}

// Ack forgets events that arrived. Ids that are not in the outbox are passed over. Where the
// disk does not let it (ErrFull, ErrReadOnly) the next Ack tries again, and this process does
// not peek at them any more, so that what comes after them is delivered.
func (s *Store) Ack(ids ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := slices.Concat(ids, slices.Collect(maps.Keys(s.owed)))
	err := s.take(due, func(*tx, Event) error { return nil })
	if err == nil {
		s.owed = nil
		return nil
	}
	for _, id := range ids {
		if seq, ok := s.inFlight[id]; ok && len(s.owed) < maxOwed {
			if s.owed == nil {
				s.owed = map[string]uint64{}
			}
			s.owed[id] = seq
		}
	}
	return explain("ack", err)
}

// maxOwed bounds memory while a disk is full. Beyond it events come again, under their ids.
const maxOwed = 10_000

// take removes events from the outbox after with has seen each. s.mu is held.
func (s *Store) take(ids []string, with func(*tx, Event) error) error {
	err := s.shrinkLocked(func(t *tx) error {
		seqs, err := t.seqsOf(ids, s.owed)
		if err != nil {
			return err
		}
		for _, seq := range seqs {
			raw, err := t.get(outbox, seqKey(seq))
			if err != nil {
				return err
			}
			if raw == nil {
				continue
			}
			ev, err := decodeEvent(seqKey(seq), raw)
			if err != nil {
				return fmt.Errorf("%w: event %d: %w", ErrDamaged, seq, err)
			}
			if err := with(t, ev); err != nil {
				return err
			}
			if err := t.remove(ev); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, id := range ids {
			delete(s.inFlight, id)
		}
	}
	return err
}

// seqsOf finds events by id: those of the last Peek at once, others by looking through.
func (t *tx) seqsOf(ids []string, owed map[string]uint64) ([]uint64, error) {
	var seqs []uint64
	others := map[string]bool{}
	for _, id := range ids {
		if seq, ok := t.held[id]; ok {
			seqs = append(seqs, seq)
		} else if seq, ok := owed[id]; ok {
			seqs = append(seqs, seq)
		} else {
			others[id] = true
		}
	}
	if len(others) == 0 {
		return seqs, nil
	}
	err := t.each(outbox, nil, func(key, body []byte) error {
		if ev, err := decodeEvent(key, body); err == nil && others[ev.ID] {
			seqs = append(seqs, ev.Seq)
			delete(others, ev.ID)
		}
		if len(others) == 0 {
			return errStop
		}
		return nil
	})
	return seqs, err
}

func (t *tx) remove(ev Event) error {
	if t.st.queued[ev.Kind] > 0 {
		t.st.queued[ev.Kind]--
	}
	return t.del(outbox, seqKey(ev.Seq))
}

// bound drops events that are too old, and then, where the outbox is too large, the least
// grave and of those the oldest, down to nine tenths so that it does not run with each event.
// What a sink may be taking right now stays, and so does the report of losses.
func (t *tx) bound() (dropped uint64, err error) {
	var old []Event
	err = t.each(outbox, nil, func(key, body []byte) error {
		ev, err := decodeEvent(key, body)
		if err == nil && ev.born+t.opts.MaxAge >= t.age {
			return errStop
		}
		if err == nil && !t.stays(ev) {
			ev.Body = nil
			old = append(old, ev)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := t.evict(old, 0); err != nil {
		return 0, err
	}
	if t.st.tally[outbox].bytes <= uint64(t.opts.MaxBytes) {
		return uint64(len(old)), nil
	}
	before := t.st.tally[outbox].count
	var all []Event
	err = t.each(outbox, nil, func(key, body []byte) error {
		if ev, err := decodeEvent(key, body); err == nil && !t.stays(ev) {
			ev.Body = nil
			all = append(all, ev)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.Severity, b.Severity) })
	err = t.evict(all, uint64(t.opts.MaxBytes)/10*9)
	return uint64(len(old)) + before - t.st.tally[outbox].count, err
}

func (t *tx) stays(ev Event) bool {
	_, held := t.held[ev.ID]
	return held || ev.Kind == LossesTold
}

// evict drops events in their order until the outbox has at most that many bytes.
func (t *tx) evict(events []Event, atMost uint64) error {
	for _, ev := range events {
		if t.st.tally[outbox].bytes <= atMost {
			return nil
		}
		if err := t.remove(ev); err != nil {
			return err
		}
		if err := t.drop(ev.Kind.String(), 1); err != nil {
			return err
		}
	}
	return nil
}

// newID makes a UUID of version 7 (RFC 9562): milliseconds, then the fraction of the
// millisecond in 12 bits, then 62 random bits.
func newID(now time.Time, random io.Reader) (id [16]byte, err error) {
	if _, err := io.ReadFull(random, id[8:]); err != nil {
		return id, fmt.Errorf("make an event's id: %w", err)
	}
	ms := uint64(max(now.UnixMilli(), 0))
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	fraction := uint16(uint64(now.Nanosecond()) % 1e6 * 4096 / 1e6)
	id[6], id[7] = 0x70|byte(fraction>>8), byte(fraction)
	id[8] = 0x80 | id[8]&0x3f
	return id, nil
}

func formatID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
