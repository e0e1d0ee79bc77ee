package agent

import (
	"context"
	"fmt"
	"strconv"

	"picket/store"
)

// fileNote is how far the file has got, while there is an upstream: a sequence number.
const fileNote = "filed"

// record brings the file up to date with the outbox. A crash between the file and the note has
// the last of it written again.
func (s *shipper) record(ctx context.Context, file Sink) error {
	for some := false; ctx.Err() == nil; some = true {
		n, err := s.write(ctx, file)
		if err != nil {
			return fmt.Errorf("writing events: %w", &failure{err: err, code: warnSinkFile, pace: fileLane, fix: "see to the place that sink_file names; the upstream is sent events all the same"})
		}
		if n == 0 && !some {
			return errIdle
		}
		if n == 0 {
			break
		}
	}
	if s.missed > 0 {
		s.log.Warn("events went upstream while the file could not be written", "missing", s.missed)
		s.missed = 0
	}
	return nil
}

// filedUpTo reads how far the file has got; no note is 0: without an upstream what is in the file is delivered.
func filedUpTo(st *store.Store) (uint64, error) {
	note, err := st.Recall(notesTable, fileNote)
	if err != nil {
		return 0, err
	}
	n, _ := strconv.ParseUint(string(note), 10, 64)
	return n, nil
}

// write writes the events that come next in the file, and gives how many.
func (s *shipper) write(ctx context.Context, file Sink) (int, error) {
	defer s.alone()()
	var events []store.Event
	err := s.vault.use(func(st *store.Store) error {
		filed, err := filedUpTo(st)
		if err != nil {
			return err
		}
		s.filed = filed
		events, err = st.Pending(s.filed, batchEvents)
		return err
	})
	if err != nil || len(events) == 0 {
		return 0, err
	}
	if got := file.Send(ctx, events); got.Err != nil {
		return 0, got.Err
	}
	last := events[len(events)-1].Seq
	err = s.vault.use(func(st *store.Store) error {
		return st.Remember(notesTable, fileNote, strconv.AppendUint(nil, last, 10), keepNotes)
	})
	if err != nil {
		return 0, err
	}
	s.filed = last
	return len(events), nil
}
