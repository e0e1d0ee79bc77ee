package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

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
	Err       error             // why the others were not delivered
}

// What is sent at once.
const (
	batchEvents = 256
	batchBytes  = 1 << 20
)

// The shortest and longest time between two tries while the sink fails.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// shipper takes events out of the outbox once they have arrived.
type shipper struct {
	vault  *vault
	log    *slog.Logger
	warn   *warnings
	clock  clock
	chance func() float64 // from 0 to below 1
	wake   chan struct{}  // has room for one; the outbox has grown

	failed int    // tries since the last that succeeded
	told   string // the error that was logged last
}

func newShipper(v *vault, warn *warnings, m machine) *shipper {
	return &shipper{vault: v, log: m.log, warn: warn, clock: m.clock, chance: m.chance, wake: make(chan struct{}, 1)}
}

// more says that the outbox has grown.
func (s *shipper) more() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run ships until ctx ends. Between two events it sleeps.
func (s *shipper) run(ctx context.Context, sink Sink) error {
	for ctx.Err() == nil {
		err := s.all(ctx, sink)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			s.clock.wait(ctx, s.failing(err), nil) // new events do not make a failing sink be tried sooner
			continue
		}
		s.recovered()
		s.clock.wait(ctx, forever, s.wake)
	}
	return nil
}

// all ships until the outbox is empty.
func (s *shipper) all(ctx context.Context, sink Sink) error {
	for {
		n, err := s.batch(ctx, sink)
		if err != nil || n == 0 {
			return err
		}
	}
}

// batch ships once and gives how many events left the outbox.
func (s *shipper) batch(ctx context.Context, sink Sink) (int, error) {
	var events []store.Event
	err := s.vault.use(func(st *store.Store) (err error) {
		events, err = st.Peek(batchEvents, batchBytes)
		return err
	})
	if err != nil || len(events) == 0 {
		return 0, err
	}
	got := sink.Send(ctx, events)
	err = s.vault.use(func(st *store.Store) error {
		if len(got.Delivered) > 0 {
			if err := st.Ack(got.Delivered...); err != nil {
				return err
			}
		}
		for id, why := range got.Refused {
			s.log.Error("an event was refused for good", "id", id, "why", why)
			if err := st.Quarantine(id, why); err != nil {
				return err
			}
		}
		return nil
	})
	left := len(got.Delivered) + len(got.Refused)
	switch {
	case err != nil:
		return left, err
	case got.Err != nil:
		return left, fmt.Errorf("delivering events: %w", got.Err)
	case left == 0:
		return 0, fmt.Errorf("delivering events: none of %d was taken", len(events))
	}
	return left, nil
}

// failing counts a failure, logs it if it is a new one, and says how long to wait.
func (s *shipper) failing(err error) time.Duration {
	s.failed++
	if text := err.Error(); text != s.told {
		s.told = text
		s.warn.set(warnUpstream, "upstream", text, "see to the place that sink_file names; nothing is lost while the outbox has room")
	}
	wait := min(firstRetry<<min(s.failed-1, 16), lastRetry)
	return wait/2 + part(wait/2, s.chance())
}

func (s *shipper) recovered() {
	if s.failed == 0 {
		return
	}
	s.log.Info("recovered", "dependency", "sink", "failures", s.failed)
	s.failed, s.told = 0, ""
	s.warn.clear(warnUpstream)
}
