package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"picket/store"
	"picket/transport/tuf"
)

// outlet lets events upstream as the policy in force has them. Those of an organisation that
// publishes updates wait until its word is known, and what was made under a policy that let more
// leave the device is withdrawn; a snapshot makes up for it.
type outlet struct {
	d  *daemon
	up Sink
}

// gated gives nil for no upstream.
func (d *daemon) gated(up Sink) Sink {
	if up == nil {
		return nil
	}
	return &outlet{d, up}
}

func (o *outlet) Send(ctx context.Context, events []store.Event) Receipt {
	if !o.d.ruled() {
		return Receipt{Err: &failure{err: errors.New("what may leave the device is not known yet: no updates of the organisation have come"), code: warnUpstream, pace: fileLane,
			fix: "see to the network and the address of the updates, or bring them by 'picket update --from'; nothing is lost while the outbox has room"}}
	}
	withdrawn, err := o.d.withdraw()
	if err != nil {
		return Receipt{Err: err}
	}
	if withdrawn {
		return Receipt{Later: true}
	}
	return o.up.Send(ctx, events)
}

// Close closes what is behind it.
func (o *outlet) Close() error {
	if c, ok := o.up.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ruled reports whether the enrolment's updates, if it names any, are in force.
func (d *daemon) ruled() bool {
	id := d.member.identity()
	if id == nil || id.Upstream.Updates == nil {
		return true
	}
	by := d.rules.Load()
	return by != nil && by.Is(id.Upstream.Updates.Root, id.Upstream.Updates.URL)
}

// rule notes whose updates were just put into force. A record of them that is damaged has the
// least leave the device, and so counts.
func (d *daemon) rule() {
	dir := updatesDir(d.set.Load().local)
	set, damaged := tuf.Load(dir)
	by, err := tuf.Trust(dir)
	if err != nil || set == nil && damaged == nil {
		by = nil
	}
	d.rules.Store(by)
}

// modeNote has the mode under which what waits in the outbox was made.
const modeNote = "send"

// withdraw takes out of the outbox what a stricter policy than before does not let go as it is.
func (d *daemon) withdraw() (some bool, err error) {
	mode := d.set.Load().criteria.policy.send()
	err = d.vault.use(func(st *store.Store) error {
		b, err := st.Recall(notesTable, modeNote)
		before := string(b)
		if before == "" {
			before = sendFull
		}
		if err != nil || before == mode {
			return err
		}
		modes := []string{sendFull, sendNoPersonal, sendLevelOnly}
		if slices.Index(modes, mode) > slices.Index(modes, before) {
			n, err := takeBack(st)
			if err != nil {
				return err
			}
			some = n > 0
			d.log.Info("less may leave the device than before: what waited is withdrawn, and a snapshot takes its place", "send", mode, "events", n)
			if err := st.AskSnapshot(); err != nil {
				return err
			}
		}
		return st.Remember(notesTable, modeNote, []byte(mode), keepNotes)
	})
	return some, err
}

// takeBack empties the outbox.
func takeBack(st *store.Store) (n int, err error) {
	for {
		events, err := st.Pending(0, batchEvents)
		if err != nil || len(events) == 0 {
			return n, err
		}
		ids := make([]string, len(events))
		for i, e := range events {
			ids[i] = e.ID
		}
		if err := st.Ack(ids...); err != nil {
			return n, fmt.Errorf("withdrawing events: %w", err)
		}
		n += len(events)
	}
}
