package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"picket/scanner"
	"picket/store"
)

// Sink is where events are delivered to.
type Sink interface {
	// Send delivers events, in order, as far as it can. It may be handed an event again that
	// it has taken: the id is the same then.
	Send(ctx context.Context, events []store.Event) Receipt
}

// Receipt says what became of events that were sent. Those that it does not name are sent again.
type Receipt struct {
	Delivered []string          // ids
	Refused   map[string]string // never to be sent again, and why, by id
	Err       error             // why the others were not delivered; a *failure says how long to wait
	Note      string            // something to log
	Later     bool              // there is nothing that may be taken yet
	Sent      int64             // bytes that it cost on the way, about; 0 for a file
}

// What is sent at once.
const (
	batchEvents = 512
	batchBytes  = 1 << 20
)

// batchAge is how long what is not urgent waits for more of its kind, at most; up to half of it is
// left out by chance.
const batchAge = 5 * time.Minute

// remarkEvery is how often what an upstream remarks is logged, though it does so with each batch.
const remarkEvery = time.Hour

// shipper takes events out of the outbox once they have arrived. Without an upstream that is when
// they are in the file. With one they are written to the file first, and leave the outbox
// when the upstream has them; how far the file has got is a note in the store.
type shipper struct {
	vault  *vault
	log    *slog.Logger
	warn   *warnings
	clock  clock
	chance func() float64 // from 0 to below 1
	wake   chan struct{}  // has room for one; the outbox has grown

	hurried atomic.Bool // what waits may not wait any longer
	moved   atomic.Bool // the networks have changed
	reached func()      // called when the upstream took something; may be nil

	filing chan struct{} // holds one while events are read and written to the file, or the file is removed

	file, up *lane
	meter    *meter // nil bounds nothing
	held     bool   // only what is grave may go upstream

	// What waits for the upstream, as far as it was looked at.
	filed   uint64        // sequence number that the file has got to
	looked  uint64        // sequence number
	urgent  bool          // something may not wait
	bytes   int           // of bodies
	due     time.Duration // since boot: when the oldest has waited long enough; 0 while nothing waits
	missed  uint64        // events that left while the file could not be written
	refused time.Duration // since boot: when the upstream last refused events for good

	remarked time.Duration // since boot: when a remark of the upstream was last logged
}

func newShipper(v *vault, warn *warnings, m machine) *shipper {
	return &shipper{vault: v, log: m.log, warn: warn, clock: m.clock, chance: m.chance, wake: make(chan struct{}, 1), filing: make(chan struct{}, 1),
		file: newLane(dependFile, warn, m), up: newLane(dependUpstream, warn, m)}
}

// more says that the outbox has grown.
func (s *shipper) more() { rouse(s.wake) }

// hurry has all that waits sent now: somebody has just enrolled the device and wants to see it.
func (s *shipper) hurry() {
	s.hurried.Store(true)
	s.more()
}

// network says that the device's networks have changed: one of them may lead to the upstream.
func (s *shipper) network() {
	s.moved.Store(true)
	s.more()
}

// run ships until ctx ends. Between two events it sleeps. New events do not make a failing
// sink be tried sooner. up may be nil.
func (s *shipper) run(ctx context.Context, file, up Sink) error {
	for ctx.Err() == nil {
		next := s.round(ctx, file, up)
		if ctx.Err() != nil {
			break
		}
		most := forever
		if next != 0 {
			most = max(next-s.clock.boot(), 0)
		}
		s.clock.wait(ctx, most, s.wake)
	}
	return nil
}

// round does what is to be done now, and gives when there is more to do, since boot; 0 is not
// before the outbox grows.
func (s *shipper) round(ctx context.Context, file, up Sink) time.Duration {
	if up == nil {
		s.held = false
		s.try(ctx, s.file, func() error { return s.allFiled(ctx, file) })
		return s.file.until
	}
	if s.moved.Swap(false) {
		s.up.network()
		s.meter.moved()
	}
	s.try(ctx, s.file, func() error { return s.record(ctx, file) })
	s.urgent = s.hurried.Swap(false) || s.urgent
	s.held = s.meter.holds(ctx)
	if err := s.look(); err == nil && s.ripe() {
		s.try(ctx, s.up, func() error { return s.all(ctx, s.after(up)) })
	}
	next := max(s.due, s.up.until)
	if s.ripe() && s.up.until != 0 { // it failed: what is grave does not wait for the rest
		next = s.up.until
	}
	if s.ripe() && s.up.until == 0 { // what is left waits for the file
		next = max(next, s.file.until)
	}
	if s.held && s.due != 0 && !s.ripe() {
		s.meter.holding()
		next = s.clock.boot() + meteredLook
	}
	if f := s.file.until; f != 0 && (next == 0 || f < next) {
		next = f
	}
	return next
}

// errIdle says that a sink was not used, and so has shown nothing.
var errIdle = errors.New("nothing to do")

// try uses a sink unless it is left alone.
func (s *shipper) try(ctx context.Context, l *lane, do func() error) {
	if !l.ready() {
		return
	}
	err := do()
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errNoStore): // for which the sink is not to blame, and which is a warning already
		l.until = s.clock.boot() + retryStore
	case errors.Is(err, errIdle):
		l.until = 0
	case err != nil:
		l.failing(err)
	default:
		l.works()
	}
}

// all ships until the outbox is empty.
func (s *shipper) all(ctx context.Context, sink Sink) error {
	return untilNone(func() (int, error) { return s.batch(ctx, sink) })
}

// allFiled ships to the file alone.
func (s *shipper) allFiled(ctx context.Context, file Sink) error {
	return untilNone(func() (int, error) {
		defer s.alone()()
		return s.batch(ctx, file)
	})
}

func untilNone(ship func() (int, error)) error {
	for {
		if n, err := ship(); err != nil || n == 0 {
			return err
		}
	}
}

// alone is for who reads events and writes them to the file, or removes the file, until done: else what
// was erased would be written anew by whoever had read it before.
func (s *shipper) alone() (done func()) {
	s.filing <- struct{}{}
	return func() { <-s.filing }
}

// flush delivers all there is, to the file and upstream.
func (s *shipper) flush(ctx context.Context, file, up Sink) error {
	if up == nil {
		return s.allFiled(ctx, file)
	}
	s.try(ctx, s.file, func() error { return s.record(ctx, file) })
	return s.all(ctx, s.after(up))
}

// after gives a sink that takes only what the file has, as long as that can be written.
func (s *shipper) after(up Sink) Sink { return &second{s, up} }

type second struct {
	s  *shipper
	up Sink
}

func (a *second) Send(ctx context.Context, events []store.Event) Receipt {
	if a.s.file.failed == 0 {
		events = slices.DeleteFunc(events, func(e store.Event) bool { return e.Seq > a.s.filed })
	}
	if len(events) == 0 {
		return Receipt{Later: true}
	}
	got := a.up.Send(ctx, events)
	gone := map[string]bool{}
	for _, id := range got.Delivered {
		gone[id] = true
	}
	if len(got.Delivered) > 0 {
		a.s.up.took()
		if a.s.reached != nil {
			a.s.reached()
		}
	}
	for _, e := range events {
		if e.Seq > a.s.filed && gone[e.ID] {
			a.s.missed++
		}
	}
	return got
}

// batch ships once and gives how many events left the outbox.
func (s *shipper) batch(ctx context.Context, sink Sink) (int, error) {
	events, left, err := s.peek()
	if err != nil {
		return 0, err
	}
	if len(events) == 0 {
		s.urgent = false
		if !left {
			s.bytes, s.due = 0, 0
			s.meter.emptied()
		}
		return 0, nil
	}
	got := sink.Send(ctx, events)
	if got.Sent > 0 {
		s.meter.spent(ctx, got.Sent)
		s.held = s.meter.holds(ctx)
	}
	if got.Later {
		return 0, nil
	}
	if got.Note != "" && (s.remarked == 0 || s.clock.boot()-s.remarked > remarkEvery) {
		s.remarked = s.clock.boot()
		s.log.Warn(got.Note)
	}
	err = s.vault.use(func(st *store.Store) error {
		if len(got.Delivered) > 0 {
			if err := st.Ack(got.Delivered...); err != nil {
				return err
			}
		}
		if len(got.Refused) > 0 { // so that the next snapshot is a whole one
			if err := st.Forget(notesTable, snapshotNote); err != nil {
				return err
			}
		}
		whys := map[string]int{}
		for _, id := range slices.Sorted(maps.Keys(got.Refused)) {
			why := got.Refused[id]
			if whys[why]++; whys[why] == 1 {
				s.log.Error("an event was refused for good", "id", id, "why", why)
			}
			if err := st.Quarantine(id, why); err != nil {
				return err
			}
		}
		for _, why := range slices.Sorted(maps.Keys(whys)) {
			if n := whys[why]; n > 1 {
				s.log.Error("more events were refused for good", "events", n-1, "why", why)
			}
		}
		return nil
	})
	s.refusing(got.Refused)
	gone := len(got.Delivered) + len(got.Refused)
	switch {
	case err != nil:
		return gone, err
	case got.Err != nil:
		return gone, fmt.Errorf("delivering events: %w", got.Err)
	case gone == 0:
		return 0, fmt.Errorf("delivering events: none of %d was taken", len(events))
	}
	return gone, nil
}

// peek gives what may go next, and whether anything waits beside it.
func (s *shipper) peek() (events []store.Event, left bool, err error) {
	err = s.vault.use(func(st *store.Store) (err error) {
		if !s.held {
			events, err = st.Peek(batchEvents, batchBytes)
			return err
		}
		stats, err := st.Stats()
		if err != nil {
			return err
		}
		left = stats.Outbox > 0
		events, err = st.PeekGrave(uint8(scanner.High), batchEvents, batchBytes)
		return err
	})
	return events, left, err
}

// refusing makes it a warning that events were refused, for a day.
func (s *shipper) refusing(events map[string]string) {
	switch {
	case len(events) > 0:
		s.refused = s.clock.boot()
		s.warn.put(warnUpstreamRejecting, "upstream", "the upstream refused events for good; they are set aside", "see why in the log, and the events with 'picket status'; a full snapshot makes up for them", true)
	case s.refused != 0 && s.clock.boot()-s.refused > 24*time.Hour:
		s.refused = 0
		s.warn.clear(warnUpstreamRejecting)
	}
}

// look finds out what has come since it last looked, and how long that may wait.
func (s *shipper) look() error {
	for {
		var events []store.Event
		err := s.vault.use(func(st *store.Store) (err error) {
			events, err = st.Pending(s.looked, batchEvents)
			return err
		})
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			s.urgent = s.urgent || e.Severity >= uint8(scanner.High)
			s.bytes += len(e.Body)
		}
		if s.due == 0 {
			s.due = s.clock.boot() + jittered(batchAge, s.chance())
		}
		s.looked = events[len(events)-1].Seq
		if s.ripe() {
			return nil
		}
	}
}

// ripe tells whether what waits is to be sent.
func (s *shipper) ripe() bool {
	return s.urgent || !s.held && (s.bytes >= batchBytes || s.due != 0 && s.clock.boot() >= s.due)
}
