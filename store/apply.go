package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Finding as a scan gives it. Body is the caller's encoding and is kept as it is.
type Finding struct {
	Key      string // identity over time
	Rule     string
	Title    string // one line for the history
	Severity uint8  // higher is graver; the outbox drops the lowest first
	// Digest changes when there is something new to tell. Default: of Body. It lets a body
	// carry what changes with every scan.
	Digest []byte
	Body   []byte
}

// OpenFinding is a finding that the store holds as open.
type OpenFinding struct {
	Finding
	ID      string    // of this opening: the id of the event that told it
	Since   time.Time // opened
	Changed time.Time // last opened or updated
	rawID   [16]byte
}

// Scan is what one scan, whole or of a part, has to say.
type Scan struct {
	Findings []Finding
	// Whole names the rules whose verdict covers all that they range over: their open
	// findings that are not in Findings are resolved. A rule that is unknown or partial is
	// not in it. A rule that no longer exists may be, and takes its findings with it.
	Whole map[string]bool
	// Gone are keys that a partial scan knows to be resolved.
	Gone      []string
	Inventory *Inventory // nil where packages were not read
}

// Changes counts what Apply did.
type Changes struct {
	Opened, Updated, Resolved int
	Added, Changed, Removed   int
	Baseline                  int    // packages of a first inventory, told by the next snapshot
	Dropped                   uint64 // events that had to go to keep the outbox within its bounds
}

const (
	maxKey      = 1024
	maxText     = 300
	maxBody     = 1 << 20
	maxFindings = 10_000
	maxPackages = 100_000
	maxHistory  = 4096 // entries
)

// Apply compares a scan with what is known and, in one transaction, changes that and queues
// the events: new is Opened, changed is Updated, gone under a whole verdict is Resolved; of
// packages likewise. Nothing changed writes nothing.
//
// A value that is refused (ErrRefused: no key, too long, encode failed) is left as it was
// known, to be tried again with the next scan; the rest is done.
func (s *Store) Apply(scan Scan, encode Encode) (Changes, error) {
	var ch Changes
	err := s.change(func(t *tx) error {
		ch = Changes{}
		if err := t.applyFindings(scan, encode, &ch); err != nil {
			return err
		}
		if scan.Inventory != nil {
			if err := t.applyInventory(scan.Inventory, encode, &ch); err != nil {
				return err
			}
		}
		var err error
		ch.Dropped, err = t.bound()
		return err
	})
	if err != nil && !errors.Is(err, ErrRefused) {
		return Changes{}, explain("store scan", err)
	}
	return ch, explain("store scan", err)
}

func (t *tx) applyFindings(scan Scan, encode Encode, ch *Changes) error {
	seen := make(map[string]bool, len(scan.Findings))
	for _, f := range scan.Findings {
		if seen[f.Key] {
			continue
		}
		seen[f.Key] = true
		if err := f.check(); err != nil {
			t.refuse(fmt.Sprintf("finding %.80q of %.80q", f.Key, f.Rule), err)
			continue
		}
		if err := t.applyFinding(f, encode, ch); err != nil {
			return err
		}
	}
	gone := make(map[string]bool, len(scan.Gone))
	for _, key := range scan.Gone {
		gone[key] = true
	}
	var resolved []OpenFinding
	err := t.each(findings, nil, func(key, body []byte) error {
		if seen[string(key)] {
			return nil
		}
		f, err := decodeFinding(key, body)
		if err != nil {
			return fmt.Errorf("%w: finding %q: %w", ErrDamaged, key, err)
		}
		if scan.Whole[f.Rule] || gone[f.Key] {
			resolved = append(resolved, f)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range resolved {
		if err := t.resolve(f, encode, ch); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) applyFinding(f Finding, encode Encode, ch *Changes) error {
	raw, err := t.get(findings, []byte(f.Key))
	if err != nil {
		return err
	}
	c := Change{Event: Event{Kind: Opened, Key: f.Key, Severity: f.Severity}}
	next := OpenFinding{Finding: f}
	if raw == nil {
		if t.st.tally[findings].count >= maxFindings {
			t.refuse(fmt.Sprintf("finding %.80q of %.80q", f.Key, f.Rule), fmt.Errorf("%d are open", maxFindings))
			return nil
		}
	} else {
		was, err := decodeFinding([]byte(f.Key), raw)
		if err != nil {
			return fmt.Errorf("%w: finding %q: %w", ErrDamaged, f.Key, err)
		}
		if was.Severity == f.Severity && bytes.Equal(was.Digest, f.Digest) {
			return nil
		}
		c.Kind, c.Was = Updated, &was
		next.rawID, next.ID, next.Since = was.rawID, was.ID, was.Since
	}
	c.Finding = &next
	ev, err := t.queue(c, encode)
	if err != nil {
		return t.notQueued(fmt.Sprintf("finding %q", f.Key), err)
	}
	if err := t.put(findings, []byte(f.Key), next.encode()); err != nil {
		return err
	}
	if c.Kind == Updated {
		ch.Updated++
		return nil
	}
	ch.Opened++
	return t.record(ev, f)
}

func (t *tx) resolve(f OpenFinding, encode Encode, ch *Changes) error {
	ev, err := t.queue(Change{Event: Event{Kind: Resolved, Key: f.Key, Severity: f.Severity}, Finding: &f}, encode)
	if err != nil {
		return t.notQueued(fmt.Sprintf("finding %q", f.Key), err)
	}
	if err := t.del(findings, []byte(f.Key)); err != nil {
		return err
	}
	ch.Resolved++
	return t.record(ev, f.Finding)
}

// notQueued passes on what stops the transaction, and notes what is about one value.
func (t *tx) notQueued(what string, err error) error {
	if !errors.Is(err, ErrRefused) {
		return err
	}
	t.refuse(what, err)
	return nil
}

// check also fills in the digest.
func (f *Finding) check() error {
	if err := checkKey(f.Key); err != nil {
		return err
	}
	if len(f.Rule) > maxText {
		return fmt.Errorf("a rule's name of %d bytes", len(f.Rule))
	}
	f.Title = clip(f.Title)
	var err error
	f.Digest, err = digestOf(f.Digest, f.Body)
	return err
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("a key of %d bytes", len(key))
	}
	return nil
}

func digestOf(given, body []byte) ([]byte, error) {
	if len(body) > maxBody || len(given) > maxText {
		return nil, fmt.Errorf("a body of %d bytes with a digest of %d", len(body), len(given))
	}
	if len(given) > 0 {
		return given, nil
	}
	sum := sha256.Sum256(body)
	return sum[:16], nil
}

func clip(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
