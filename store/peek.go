package store

import "maps"

// Peek gives the oldest events: up to n, up to maxBytes of bodies but at least one, and of
// one key only the oldest, so that a sink which takes some and refuses others cannot change
// the order in which a subject's events arrive. They stay until Ack or Quarantine; until the
// next Peek none of them is dropped. A record that cannot be decoded is dropped and counted.
func (s *Store) Peek(n, maxBytes int) ([]Event, error) { return s.peek(0, n, maxBytes) }

// PeekGrave is Peek for what is at least so severe, and for what has to arrive before that: older
// events of the same keys. It goes through the whole outbox.
func (s *Store) PeekGrave(least uint8, n, maxBytes int) ([]Event, error) {
	return s.peek(least, n, maxBytes)
}

func (s *Store) peek(least uint8, n, maxBytes int) ([]Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Event
	var broken [][]byte
	err := s.view(func(t *tx) error {
		keys := map[string]bool{}
		if least > 0 {
			passed, err := t.withoutGrave(least, s.owed)
			if err != nil {
				return err
			}
			keys = passed
		}
		looked, size := 0, 0
		return t.each(outbox, nil, func(key, body []byte) error {
			ev, err := decodeEvent(key, body)
			if _, ok := s.owed[ev.ID]; ok && err == nil {
				return nil
			}
			if looked++; len(out) >= n || least == 0 && looked > 64+8*n {
				return errStop
			}
			switch {
			case err != nil:
				broken = append(broken, append([]byte(nil), key...))
				return nil
			case keys[ev.Key]:
				return nil
			case len(out) > 0 && size+len(ev.Body) > maxBytes:
				return errStop
			}
			keys[ev.Key] = true
			size += len(ev.Body)
			out = append(out, ev)
			return nil
		})
	})
	if err == nil && len(broken) > 0 {
		err = s.shrinkLocked(func(t *tx) error {
			for _, key := range broken {
				if err := t.del(outbox, key); err != nil {
					return err
				}
			}
			return t.drop("undecodable", uint64(len(broken)))
		})
	}
	if err != nil {
		return nil, explain("peek", err)
	}
	s.inFlight = make(map[string]uint64, len(out))
	for _, ev := range out {
		s.inFlight[ev.ID] = ev.Seq
	}
	return out, nil
}

// withoutGrave gives the keys of which no event that waits is so severe.
func (t *tx) withoutGrave(least uint8, owed map[string]uint64) (map[string]bool, error) {
	mild := map[string]bool{}
	err := t.each(outbox, nil, func(key, body []byte) error {
		ev, err := decodeEvent(key, body)
		if _, gone := owed[ev.ID]; err != nil || gone {
			return nil
		}
		before, known := mild[ev.Key]
		mild[ev.Key] = (before || !known) && ev.Severity < least
		return nil
	})
	maps.DeleteFunc(mild, func(_ string, is bool) bool { return !is })
	return mild, err
}

// Pending gives up to n events after a sequence number, for a person to look at. It takes
// part in nothing.
func (s *Store) Pending(after uint64, n int) ([]Event, error) {
	var out []Event
	err := s.view(func(t *tx) error {
		b, err := t.bucket(outbox)
		if err != nil {
			return err
		}
		c := b.Cursor()
		for k, v := c.Seek(seqKey(after + 1)); k != nil && len(out) < n; k, v = c.Next() {
			t.used += len(v)
			body, err := unseal(tableNames[outbox], k, v)
			if err != nil {
				continue // Peek drops and counts it
			}
			if ev, err := decodeEvent(k, body); err == nil {
				out = append(out, ev)
			}
		}
		return nil
	})
	return out, explain("list events", err)
}
