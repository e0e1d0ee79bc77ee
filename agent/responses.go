package agent

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"picket/agent/respond"
	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

// Codes of warnings about responses.
const (
	warnResponse    = "response-failing"
	warnDeclaration = "responses-unusable"
	warnWipe        = "wipe-pending"
)

// toldNote is how far the record of responses was told upstream: a sequence number.
const toldNote = "responses"

// retryResponses is how long what cannot be taken up is left alone.
const retryResponses = time.Minute

// declarationName is the file, beside the configuration, that says what may be done on this device.
const declarationName = "responses.yaml"

func responsesDir(c Config) string { return filepath.Join(c.StateDir, "responses") }

// declaration reads what the device declares, nil for nothing. What Picket itself needs is kept
// out of it.
func declaration(c Config, from Origins) (*respond.Declaration, error) {
	d, err := respond.Load(declarationFile(from), keptPaths(c, from)...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return d, err
}

func declarationFile(from Origins) string {
	return full(filepath.Join(filepath.Dir(from.File), declarationName))
}

// full gives a path from the root on.
func full(name string) string {
	out, err := filepath.Abs(name)
	if name == "" || err != nil {
		return name // which is then refused, or nothing
	}
	return out
}

// keptPaths are Picket's own, which no wipe touches.
func keptPaths(c Config, from Origins) []string {
	out := []string{full(c.StateDir), full(from.File), declarationFile(from), full(c.SinkFile), full(c.Socket)}
	if exe, err := os.Executable(); err == nil {
		out = append(out, exe)
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// responding is what the daemon knows of responses.
type responding struct {
	wake chan struct{}                     // has room for one
	at   atomic.Pointer[respond.Responder] // nil until its folder can be used
	// whole is when the last whole scan began whose outcome the posture goes by: nanoseconds since boot, 0 for none.
	whole atomic.Int64

	places keptPlaces
}

func newResponding() *responding { return &responding{wake: make(chan struct{}, 1)} }

func (r *responding) rouse() { rouse(r.wake) }

// scanned notes a whole scan, after the posture has changed by it: it may confirm a wipe.
func (r *responding) scanned(began time.Duration) {
	r.whole.Store(int64(began))
	r.rouse()
}

// scannedSame is when the last whole scan began, since boot, if it alone comes to what the posture
// says: what could not be looked at again, or has still to be, confirms nothing. 0 is that none does.
func (d *daemon) scannedSame() time.Duration {
	began := d.respond.whole.Load() // before the posture: of a scan meanwhile it has at least this one
	d.access.mu.Lock()
	defer d.access.mu.Unlock()
	if !d.access.alone {
		return 0
	}
	return time.Duration(began)
}

// runResponses carries out what a policy allows and the device declares.
func (d *daemon) runResponses(ctx context.Context) error {
	defer d.reloads.tell(d.respond.rouse)()
	defer d.access.changed.tell(d.respond.rouse)()
	for ctx.Err() == nil {
		next := d.lookAtResponses(ctx)
		if ctx.Err() != nil {
			return nil
		}
		d.clock.wait(ctx, next, d.respond.wake)
	}
	return nil
}

// lookAtResponses looks once, and gives when to look again.
func (d *daemon) lookAtResponses(ctx context.Context) time.Duration {
	if d.set.Load().criteria.lost {
		return forever // what was done stays until a policy says otherwise
	}
	r, err := d.responder()
	if err != nil {
		d.warn.set(warnResponse, "responses", "what the policy wants done cannot be done: "+err.Error(), "see to the folder responses in the state folder")
		return retryResponses
	}
	next, err := r.Look(ctx, d.situation)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		d.warn.set(warnResponse, "responses", err.Error(), "see the hook or command that "+declarationFile(d.set.Load().from)+" names; it is tried again")
	} else {
		d.warn.clear(warnResponse)
	}
	d.warnOfWipe(r.State().Wipe)
	if err := d.tellResponses(r); err != nil {
		d.log.Debug("telling responses", "error", err)
		next = min(next, retryResponses)
	}
	return next
}

// responder is taken up once its folder can be used.
func (d *daemon) responder() (*respond.Responder, error) {
	if r := d.respond.at.Load(); r != nil {
		return r, nil
	}
	c := d.config()
	r, err := respond.New(responsesDir(c), d.entropy, keptPaths(c, d.set.Load().from)...)
	if err == nil {
		d.respond.at.Store(r)
	}
	return r, err
}

// openAccess undoes a block that an agent which has ended left behind, and calls off what waits.
func openAccess(ctx context.Context, c Config, from Origins) error {
	s, err := respond.ReadState(responsesDir(c))
	if err != nil || s.Hook.Settled() {
		return err
	}
	declared, err := declaration(c, from)
	if err != nil {
		return err
	}
	r, err := respond.New(responsesDir(c), cryptorand.Reader)
	if err == nil {
		_, err = r.Look(ctx, func() respond.Situation {
			return respond.Situation{Now: time.Now(), Access: respond.Open, Block: true, Declared: declared}
		})
	}
	return err
}

// situation is what responses go by.
func (d *daemon) situation() respond.Situation {
	set := d.set.Load()
	s := respond.Situation{Now: d.now(), Boot: d.clock.boot(), Access: respond.Open, Scanned: d.scannedSame()}
	declared, err := declaration(set.config, set.from)
	if err != nil {
		d.warn.set(warnDeclaration, "responses", "no response is made: "+err.Error(), "see docs/responses.md for what the file may say and who may write it")
	} else {
		d.warn.clear(warnDeclaration)
	}
	s.Declared = declared
	p := set.criteria.policy
	if p == nil {
		return s
	}
	s.Block, s.Wipe = p.Responses.Block, p.Responses.Wipe
	for _, w := range p.Responses.Confirmed {
		s.Confirmed = append(s.Confirmed, w.ID)
	}
	now := d.postureNow()
	s.Access, s.WipeDue = now.State, now.WipeDue
	var why []string
	for _, r := range now.Reasons {
		why = append(why, r.Text)
	}
	s.Why = strings.Join(why, "; ")
	if s.Posture, err = json.Marshal(now); err != nil {
		d.log.Debug("the posture for the hook", "error", err)
	}
	s.Keep = d.keepWay
	return s
}

// foretell adds when a wipe that is due may begin: after its announcement it has a time of its own.
func (d *daemon) foretell(p *Posture) {
	if r := d.respond.at.Load(); p.WipeDue && r != nil {
		if w := r.State().Wipe; w != nil && w.Begun.IsZero() {
			at := w.Earliest(d.now())
			p.Next, p.At = accessWiped, &at
		}
	}
}

// warnOfWipe has everybody who asks after the agent's health read that a wipe is coming.
func (d *daemon) warnOfWipe(p *respond.Pending) {
	switch {
	case p == nil || !p.Ended.IsZero():
		d.warn.clear(warnWipe)
	case !p.Begun.IsZero():
		d.warn.set(warnWipe, "responses", "work data is being removed from this device, as its organisation's policy says: "+p.Why, "ask your organisation")
	default:
		text := "work data is to be removed from this device not before " + stamp(p.Earliest(d.now())) + ": " + p.Why
		if p.Confirmed == "" {
			text += "; it is not confirmed yet"
		}
		fix := "do what 'picket threats' says, and scan again: once the requirements are met nothing is removed"
		d.warn.put(warnWipe, "responses", text, fix, !d.warn.stands(warnWipe))
	}
}

// tellResponses tells upstream what is new on the record. What was told and could not be noted is
// told once more, with the same number.
func (d *daemon) tellResponses(r *respond.Responder) error {
	return d.vault.use(func(st *store.Store) error {
		note, err := st.Recall(notesTable, toldNote)
		if err != nil {
			return err
		}
		told, _ := strconv.ParseUint(string(note), 10, 64) // none is 0
		entries, err := r.Since(told)
		if err != nil || len(entries) == 0 {
			return err
		}
		m, err := d.maker(st)
		if err != nil {
			return err
		}
		for _, e := range entries {
			d.log.Warn("response", "what", e.What, "text", e.Text, "wipe", e.Wipe)
			if _, err := st.Queue("response", uint8(responseSeverity(e)), m.own(func(meta report.EventMeta) (report.Event, error) { return responseEvent(meta, e) })); err != nil {
				return fmt.Errorf("telling a response: %w", err)
			}
			if err := st.Remember(notesTable, toldNote, strconv.AppendUint(nil, e.Seq, 10), keepNotes); err != nil {
				return err
			}
		}
		d.publish(m)
		d.ship.more()
		return nil
	})
}

// responseSeverity is High, which goes upstream at once, for what somebody has to know now.
func responseSeverity(e respond.Entry) scanner.Severity {
	switch e.What {
	case respond.HookApplied:
		return scanner.Informational
	case respond.WipeCancelled:
		return scanner.Medium
	}
	return scanner.High
}

// responseEvent tells an entry. Names of what is in work folders stay on the device.
func responseEvent(meta report.EventMeta, e respond.Entry) (report.Event, error) {
	e.Steps = slices.Clone(e.Steps)
	for i := range e.Steps {
		if r := e.Steps[i].Removal; r != nil {
			counts := *r
			counts.Why = nil
			e.Steps[i].Removal = &counts
		}
	}
	failed := e.What == respond.HookFailed || e.What == respond.WipeIncomplete
	return report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: responseSeverity(e), Failed: failed, Message: e.Text,
		Rest: map[string]any{"response": e}})
}
