package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// wipe takes a wipe from one stage to the next: announced, confirmed, begun, ended.
func (r *Responder) wipe(ctx context.Context, see func() Situation) (next time.Duration, err error) {
	s, passed := see(), time.Duration(0) // not under mu, which see may want
	if r.began {
		passed = max(0, s.Boot-r.looked)
	}
	r.looked = s.Boot
	r.mu.Lock()
	r.now = s.Now
	p := r.state.Wipe
	switch {
	case p == nil && r.may(s) && s.WipeDue:
		next, err = r.announce(s)
	case p == nil:
		next = forever
	case !p.Ended.IsZero():
		next, err = forever, r.forget(s)
	case !p.Begun.IsZero() && (p.touched() || r.withdrawn(s) == ""):
		r.mu.Unlock()
		return r.carryOn(ctx, s, see)
	default:
		if why := r.withdrawn(s); why != "" {
			next, err = 0, r.cancel("", why)
			break
		}
		next, err = r.await(s, passed)
		if err == nil && next == 0 { // what is begun is told before it is done
			err = r.begin(s)
		}
	}
	r.mu.Unlock()
	if err != nil {
		next = retryHook
	}
	return next, err
}

// touched tells whether a step was begun: before that, work data is as it was.
func (p *Pending) touched() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.State != "" })
}

// Removed tells whether something of the work data is gone.
func (p *Pending) Removed() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.State == StepDone || s.Removal != nil && s.Removal.Files+s.Removal.Folders > 0
	})
}

// may tells whether both policy and device allow a wipe.
func (r *Responder) may(s Situation) bool {
	return s.Wipe && s.Declared != nil && s.Declared.Wipe != nil
}

// announce wants mu, as all that follow do.
func (r *Responder) announce(s Situation) (next time.Duration, err error) {
	id, err := r.newID()
	if err != nil {
		return 0, err
	}
	w := s.Declared.Wipe
	p := &Pending{ID: id, Why: s.Why, Declared: s.Declared.Digest, Announced: s.Now.UTC().Truncate(time.Millisecond), Delay: time.Duration(w.Delay), Confirm: w.Confirm, Steps: w.steps()}
	how := "once a policy confirms it by this id"
	if p.Confirm == ByDevice {
		how = "once another whole scan comes to the same"
	}
	err = r.record.add(Entry{At: s.Now, What: WipeAnnounced, Wipe: id, Begin: p.Earliest(s.Now), Steps: p.Steps,
		Text: fmt.Sprintf("work data is to be removed after %v, %s: %s", p.Delay, how, s.Why)})
	if err != nil {
		return 0, err
	}
	r.state.Wipe, r.saved, r.told = p, 0, s.Boot
	return min(p.Delay, saveWaited), r.save()
}

// withdrawn says why a wipe that was announced, and has not removed anything, is not to be.
func (r *Responder) withdrawn(s Situation) string {
	switch {
	case !s.Wipe:
		return "the policy does not allow it any more"
	case s.Declared == nil || s.Declared.Wipe == nil:
		return "the device does not declare work data any more"
	case !s.WipeDue:
		return "the device does not call for it any more"
	case s.Declared.Digest != r.state.Wipe.Declared:
		return "what the device declares has changed"
	}
	return ""
}

func (r *Responder) cancel(by, why string) error {
	if err := r.record.add(Entry{At: r.now, What: WipeCancelled, Wipe: r.state.Wipe.ID, By: by, Text: "no work data is removed: " + why}); err != nil {
		return err
	}
	r.state.Wipe = nil
	return r.save()
}

// await counts the delay and looks for the confirmation. 0 is that the wipe may begin.
func (r *Responder) await(s Situation, passed time.Duration) (next time.Duration, err error) {
	p := r.state.Wipe
	p.Waited = min(p.Delay, p.Waited+passed)
	by := ""
	switch {
	case p.Confirmed != "":
	case slices.Contains(s.Confirmed, p.ID): // counts whoever is asked
		by = "the organisation's policy"
	case p.Confirm == ByDevice && s.Scanned > r.told:
		by = "a second scan"
	}
	if by != "" {
		if err := r.confirm(by); err != nil {
			return 0, err
		}
	}
	if p.Waited-r.saved >= saveWaited || p.Waited == p.Delay && r.saved < p.Delay {
		if err := r.save(); err != nil {
			return 0, err
		}
		r.saved = p.Waited
	}
	switch {
	case p.Waited < p.Delay:
		return min(p.Delay-p.Waited, saveWaited), nil
	case p.Confirmed == "":
		return retryWipe, nil // a policy or a scan wakes us earlier
	}
	return 0, nil
}

func (r *Responder) confirm(by string) error {
	p := r.state.Wipe
	if err := r.record.add(Entry{At: r.now, What: WipeConfirmed, Wipe: p.ID, By: by, Text: "the removal of work data is confirmed by " + by}); err != nil {
		return err
	}
	p.Confirmed = by
	return r.save()
}

func (r *Responder) begin(s Situation) error {
	p := r.state.Wipe
	if err := r.record.add(Entry{At: s.Now, What: WipeBegun, Wipe: p.ID, Text: "work data is being removed: " + p.Why}); err != nil {
		return err
	}
	p.Begun, p.Steps = s.Now.UTC().Truncate(time.Millisecond), s.Declared.Wipe.steps()
	r.resumed, r.ranWipe = true, s.Boot-retryWipe
	if err := r.save(); err != nil {
		p.Begun = time.Time{}
		return err
	}
	return nil
}

// forget lets an ended wipe go once the device no longer calls for one; until then it is not
// done again.
func (r *Responder) forget(s Situation) error {
	if s.WipeDue {
		return nil
	}
	r.state.Wipe = nil
	return r.save()
}

// carryOn does what is left of a wipe whose first step was begun: it is finished, whatever the posture says
// by then, since half of the data is of no use to anybody. Only a policy that no longer allows it
// stops it, between two steps too. It does not hold mu while it works.
func (r *Responder) carryOn(ctx context.Context, s Situation, see func() Situation) (next time.Duration, err error) {
	if wait := retryWipe - (s.Boot - r.ranWipe); r.resumed && wait > 0 {
		return wait, nil
	}
	p := r.State().Wipe
	if !s.Wipe {
		return forever, r.end(s, p, WipeIncomplete, wipeStopped)
	}
	if !r.may(s) {
		return retryWipe, errUndeclared
	}
	if !r.resumed {
		r.resumed = true
		if err := r.note(Entry{At: s.Now, What: WipeResumed, Wipe: p.ID, Text: "the removal of work data was cut off, and goes on"}); err != nil {
			return retryHook, err
		}
	}
	allowed := func() *Wipe {
		if s = see(); !r.may(s) {
			return nil
		}
		return s.Declared.Wipe
	}
	err = carryOut(ctx, allowed, p.Steps, r.keep, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.state.Wipe.Steps = slices.Clone(p.Steps)
		return r.save()
	})
	s = see()
	r.ranWipe = s.Boot
	if err != nil {
		return retryWipe, err
	}
	bad := 0
	for i := range p.Steps {
		if !p.Steps[i].over() {
			switch {
			case !s.Wipe:
				return forever, r.end(s, p, WipeIncomplete, wipeStopped)
			case !r.may(s):
				return retryWipe, errUndeclared
			}
			return retryWipe, fmt.Errorf("removing work data: %s %s: %s", p.Steps[i].Kind, p.Steps[i].Name, p.Steps[i].Error)
		}
		if p.Steps[i].State == StepFailed {
			bad++
		}
	}
	if bad > 0 {
		return forever, r.end(s, p, WipeIncomplete, fmt.Sprintf("%d of %d steps failed", bad, len(p.Steps)))
	}
	return forever, r.end(s, p, WipeDone, "all that was declared is gone")
}

const wipeStopped = "it was stopped: the policy does not allow it any more"

var errUndeclared = errors.New("removing work data: it was begun, and there is no declaration of it any more")

func (r *Responder) end(s Situation, p *Pending, what, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.record.add(Entry{At: s.Now, What: what, Wipe: p.ID, Text: "removal of work data: " + text, Steps: p.Steps}); err != nil {
		return err
	}
	r.state.Wipe.Ended = s.Now.UTC().Truncate(time.Millisecond)
	return r.save()
}

func (r *Responder) note(e Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record.add(e)
}

// ErrNoWipe is that there is no such wipe that could still be cancelled or confirmed.
var ErrNoWipe = errors.New("no such wipe waits")

// Cancel calls a wipe off that has not begun. While the device still calls for one, another is
// announced, with its whole delay.
func (r *Responder) Cancel(now time.Time, id, by, why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
	if !r.waits(id) {
		return ErrNoWipe
	}
	return r.cancel(by, why)
}

// Approve confirms a wipe in the organisation's place. It still waits for its delay.
func (r *Responder) Approve(now time.Time, id, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
	if !r.waits(id) {
		return ErrNoWipe
	}
	if r.state.Wipe.Confirmed != "" {
		return nil
	}
	return r.confirm(by)
}

func (r *Responder) waits(id string) bool {
	p := r.state.Wipe
	return p != nil && p.ID == id && p.Begun.IsZero()
}
