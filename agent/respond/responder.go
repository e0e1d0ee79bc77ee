package respond

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Access, as the hook is told.
const (
	Open    = "open"
	Warned  = "warned"
	Blocked = "blocked"
)

const (
	stateName  = "state.json"
	stateMax   = 4 << 20 // bytes
	saveWaited = 10 * time.Minute
	retryHook  = time.Minute
	retryMost  = time.Hour
	retryWipe  = 10 * time.Minute
	forever    = time.Duration(1<<63 - 1)
)

// Situation is what the agent knows at one time.
type Situation struct {
	Now  time.Time     // by the wall clock, for stamps
	Boot time.Duration // since boot, with sleep: what goes by, nobody can set

	Access  string // by the posture; "" counts as open
	WipeDue bool
	Why     string // the reasons, for the record
	Posture []byte // JSON, for the hook
	// Scanned is when the last whole scan of this process began that alone comes to the same, by Boot; 0 for none.
	Scanned time.Duration

	Block, Wipe bool     // what the policy allows
	Confirmed   []string // ids of wipes that it names

	Declared *Declaration // what the device declares; nil for nothing
	// Keep gives the addresses and ports of what the agent must reach, which no hook may block.
	// Where they are not known nothing is blocked. Nil is none.
	Keep func(context.Context) ([]string, error)
}

// State is what outlives the process.
type State struct {
	Hook Hook     `json:"hook"`
	Wipe *Pending `json:"wipe,omitempty"`
}

// Hook is how the hook stands.
type Hook struct {
	Applied string    `json:"applied,omitempty"` // the access that it last ran with well
	At      time.Time `json:"at,omitzero"`
	Wanted  string    `json:"wanted,omitempty"` // what it does not succeed with
	Error   string    `json:"error,omitempty"`
	// Begun is the access of a run that did not end well, or was cut off: what it did is not known.
	Begun string `json:"begun,omitempty"`
}

// Settled tells that the hook has left all open, or never ran: there is nothing to be undone.
func (h Hook) Settled() bool {
	return (h.Applied == "" || h.Applied == Open) && h.Error == "" && h.Begun == ""
}

// Pending is a wipe from its announcement to its end.
type Pending struct {
	ID        string        `json:"id"`
	Why       string        `json:"why"`
	Declared  string        `json:"declared"` // digest of the declaration
	Announced time.Time     `json:"announced"`
	Delay     time.Duration `json:"delay"`
	Waited    time.Duration `json:"waited"` // of it; by a clock that nobody can set, while the agent runs
	Confirm   string        `json:"confirm"`
	Confirmed string        `json:"confirmed,omitempty"` // by whom
	Begun     time.Time     `json:"begun,omitzero"`
	Steps     []Step        `json:"steps,omitempty"`
	Ended     time.Time     `json:"ended,omitzero"`
}

// Earliest is when the wipe may begin.
func (p *Pending) Earliest(now time.Time) time.Time {
	return now.Add(max(0, p.Delay-p.Waited)).UTC().Truncate(time.Second)
}

// Responder carries responses out. One goroutine calls Look; the others may be called by any.
type Responder struct {
	dir     string
	keep    []string
	entropy io.Reader

	mu     sync.Mutex
	state  State
	record *record
	now    time.Time // of the last look

	// Of Look alone.
	looked  time.Duration // since boot: when it last looked at a wipe
	told    time.Duration // since boot: when the wipe that waits was announced; 0 is by an earlier process
	saved   time.Duration // Waited, as it was last saved
	began   bool          // it has looked
	ranHook time.Duration // since boot: when the hook last ran
	failed  int           // runs of the hook since the last that went well
	ranWipe time.Duration // since boot
	resumed bool          // a wipe that was cut off is noted
}

// New takes up what an earlier process left in a folder of its own. What is in keep is never
// removed by a wipe.
func New(dir string, entropy io.Reader, keep ...string) (*Responder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of responses: %w", err)
	}
	r := &Responder{dir: dir, entropy: entropy, keep: keep}
	var err error
	if r.record, err = openRecord(dir); err != nil {
		return nil, err
	}
	r.state, err = readState(filepath.Join(dir, stateName))
	return r, err
}

// ReadState gives what is known of responses, without a Responder.
func ReadState(dir string) (State, error) { return readState(filepath.Join(dir, stateName)) }

func readState(name string) (s State, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("opening the state of responses: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, stateMax))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return State{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// save wants mu.
func (r *Responder) save() error {
	b, err := json.Marshal(r.state)
	if err == nil {
		err = replaceFile(filepath.Join(r.dir, stateName), b)
	}
	if err != nil {
		return fmt.Errorf("keeping the state of responses: %w", err)
	}
	return nil
}

// State gives a copy.
func (r *Responder) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	if s.Wipe != nil {
		p := *s.Wipe
		p.Steps = slices.Clone(p.Steps)
		s.Wipe = &p
	}
	return s
}

// Since gives the entries of the record after one.
func (r *Responder) Since(seq uint64) ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record.since(seq)
}

// Look does what is to be done now and gives after which time it is to be called again if
// nothing happens; 0 is at once, after what is new on the record was told. What went wrong is for a warning; it is tried again.
// What takes its time may change what is to be done: see is asked anew after it.
func (r *Responder) Look(ctx context.Context, see func() Situation) (next time.Duration, err error) {
	hook, hookErr := r.hook(ctx, see)
	if ctx.Err() != nil {
		return forever, errors.Join(hookErr, ctx.Err())
	}
	wipe, wipeErr := r.wipe(ctx, see)
	r.began = true
	return min(hook, wipe), errors.Join(hookErr, wipeErr)
}

// hook runs the hook where access is not what it last ran with. It runs once with each start,
// since the device may have started anew, and again and again while access is blocked, so that
// the hook may let a block end by itself.
func (r *Responder) hook(ctx context.Context, see func() Situation) (next time.Duration, err error) {
	s, was := see(), r.State().Hook
	want := s.Access
	if want == "" || !s.Block {
		want = Open
	}
	if s.Declared == nil || s.Declared.Block == nil {
		if was.Applied == Blocked || was.Applied == Warned || was.Begun != "" {
			return forever, errors.New("access was blocked by a hook that is no longer declared: it cannot be opened by it")
		}
		return forever, nil
	}
	if !s.Block && was.Settled() {
		return forever, nil
	}
	b := s.Declared.Block
	since := s.Boot - r.ranHook
	switch {
	case r.failed > 0 && was.Wanted == want:
		if wait := hookPause(r.failed); since < wait {
			return wait - since, errors.New(was.Error)
		}
	case was.Applied != want || was.Error != "" || was.Begun != "" || !r.began:
	case want == Open:
		return forever, nil
	case since < time.Duration(b.Repeat):
		return time.Duration(b.Repeat) - since, nil
	}
	var (
		keep []string
		out  string
	)
	if want == Blocked && s.Keep != nil {
		keep, err = s.Keep(ctx)
	}
	if err == nil && want != Open {
		err = r.hookBegins(want)
	}
	if err == nil {
		out, err = Run(ctx, b.Hook, time.Duration(b.Timeout), []string{"PICKET_ACCESS=" + want, "PICKET_KEEP=" + strings.Join(keep, " ")}, s.Posture)
	}
	if ctx.Err() != nil {
		return forever, ctx.Err()
	}
	s = see()
	r.ranHook = s.Boot
	return r.hookRan(s.Now, b, want, out, err)
}

func hookPause(failed int) time.Duration { return min(retryHook<<min(failed-1, 6), retryMost) }

// hookBegins has on disk that there may be something to undo, before there is.
func (r *Responder) hookBegins(want string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.state.Hook
	if h.Applied == want || h.Begun == want {
		return nil
	}
	before := h.Begun
	h.Begun = want
	err := r.save()
	if err != nil {
		h.Begun = before
	}
	return err
}

// hookRan notes what came of a run.
func (r *Responder) hookRan(now time.Time, b *Block, want, out string, err error) (next time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.state.Hook
	if err != nil {
		if out != "" {
			err = fmt.Errorf("%w: %s", err, out)
		}
		err = fmt.Errorf("the hook for access %s: %w", want, err)
		if h.Wanted != want {
			r.failed = 0
		}
		r.failed++
		if h.Wanted != want || h.Error == "" {
			err = errors.Join(err, r.record.add(Entry{At: now, What: HookFailed, Access: want, Text: err.Error()}))
		}
		h.Wanted, h.Error = want, err.Error()
		return hookPause(r.failed), errors.Join(err, r.save())
	}
	changed := h.Applied != want || h.Error != "" || h.Begun != ""
	r.failed = 0
	*h = Hook{Applied: want, At: now.UTC().Truncate(time.Second)}
	next = forever
	if want != Open {
		next = time.Duration(b.Repeat)
	}
	if !changed {
		return next, nil
	}
	err = r.record.add(Entry{At: now, What: HookApplied, Access: want, Text: strings.TrimSpace("the hook ran for access " + want + ". " + out)})
	return next, errors.Join(err, r.save())
}

// newID names a wipe. It cannot be guessed, so that nobody can confirm one before it is announced.
func (r *Responder) newID() (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.entropy, b[:]); err != nil {
		return "", fmt.Errorf("naming a wipe: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
