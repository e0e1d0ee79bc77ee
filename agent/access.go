package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

// accessNote is the name of the note of what posture is made from.
const accessNote = "access"

// remark is how often what the device's grace has come to is written down, while it has any.
const remark = time.Hour

// access follows whether the device meets its organisation's requirements.
type access struct {
	wake    chan struct{} // has room for one
	changed reloads       // told after each change of the state

	mu       sync.Mutex
	standing standing
	findings []PostureFinding // that set the level
	loaded   bool             // what an earlier run knew is known
	noted    bool             // the store has a note of it
	whole    bool             // a whole scan has ended since that was written
	begun    *instant         // of the whole scan that is under way
	alone    bool             // the report by itself comes to the level, without what is open from before
}

func newAccess() *access { return &access{wake: make(chan struct{}, 1)} }

func (a *access) rouse() { rouse(a.wake) }

func (d *daemon) instant() instant {
	return instant{wall: d.calendar.now().Round(0), up: d.clock.boot(), boot: d.boot}
}

// postureNow is the device's posture.
func (d *daemon) postureNow() Posture {
	p, _ := d.posture()
	return p
}

func (d *daemon) posture() (Posture, time.Duration) {
	crit, now := d.set.Load().criteria, d.instant()
	d.access.mu.Lock()
	d.access.standing.lost = crit.lost
	p, next := d.access.standing.judge(crit.policy, now)
	p.Findings = append(p.Findings, d.access.findings...)
	d.access.mu.Unlock()
	d.foretell(&p)
	if r := d.judging.report(); r != nil {
		p.NotChecked = notChecked(r)
	}
	return p, next
}

// scanBegins notes when a whole scan begins: what it saw is no younger.
func (d *daemon) scanBegins() {
	now := d.instant()
	d.access.mu.Lock()
	defer d.access.mu.Unlock()
	d.access.begun = &now
}

// scanEnds makes the whole scan that is under way the last one, with the level that it found.
func (d *daemon) scanEnds(level scanner.Level) {
	d.access.mu.Lock()
	defer d.access.mu.Unlock()
	if begun := d.access.begun; begun != nil && level != scanner.Unjudged {
		d.access.standing.Scanned, d.access.whole = begin(*begun), true
	}
	d.access.begun = nil
}

// contacted notes that somebody upstream was reached.
func (d *daemon) contacted() {
	now := d.instant()
	d.access.mu.Lock()
	d.access.standing.Contact = begin(now)
	d.access.mu.Unlock()
	d.access.rouse()
}

// takeUnstored has the posture go by a judgement that the store did not take: what a device that meets the
// requirements no more may reach does not hang on its disk.
func (d *daemon) takeUnstored(r *scanner.Report) {
	if err := d.vault.use(func(st *store.Store) error { return d.take(st, r) }); err != nil {
		d.log.Debug("the posture without a store", "error", err)
		if err := d.take(nil, r); err != nil {
			d.log.Error("the posture is that of an earlier scan", "error", err)
		}
	}
}

// take has the posture go by a judgement. Of what is open in the store, was not found and could not be looked
// at whole, it is unknown whether it is gone: it counts as before. Without a store those that set
// the level before stand for it.
func (d *daemon) take(st *store.Store, r *scanner.Report) error {
	found, gone := map[string]bool{}, wholeOf(r)
	all := slices.Clone(r.Findings)
	for i := range all {
		found[all[i].Key] = true
	}
	var open []store.OpenFinding
	if st != nil {
		var err error
		if open, err = st.Findings(); err != nil {
			return err
		}
	} else {
		d.access.mu.Lock()
		for _, f := range d.access.findings {
			open = append(open, store.OpenFinding{Finding: store.Finding{Key: f.Key, Rule: f.Rule, Title: f.Title, Severity: uint8(f.Severity)}})
		}
		d.access.mu.Unlock()
	}
	for i := range open {
		if found[open[i].Key] || gone[open[i].Rule] {
			continue
		}
		f, err := openFinding(&open[i])
		if err != nil { // of another version, or of no store: its severity is known all the same
			f = &scanner.Finding{Key: open[i].Key, Rule: open[i].Rule, Title: open[i].Title, Severity: severityOf(open[i].Severity)}
		}
		all = append(all, *f)
	}
	var by scanner.Levels
	if p := d.set.Load().criteria.policy; p != nil {
		by = scanner.Levels{Low: p.Levels.Low, Medium: p.Levels.Medium, High: p.Levels.High}
	}
	level, setBy := by.Level(all)
	alone, _ := by.Level(r.Findings)
	var list []PostureFinding
	for _, f := range all {
		if len(list) < postureFindings && slices.Contains(setBy, f.Key) {
			list = append(list, PostureFinding{f.Key, f.Rule, f.Title, f.Severity, !found[f.Key]})
		}
	}
	if r.Level == scanner.Unjudged {
		level = scanner.Unjudged
	}
	d.access.mu.Lock()
	defer d.access.mu.Unlock()
	d.access.standing.Level, d.access.findings = level, list
	d.access.alone = alone == level // which Unjudged is not
	return nil
}

// recallAccess takes up what an earlier run of the agent knew.
func (d *daemon) recallAccess(st *store.Store) error {
	d.access.mu.Lock()
	defer d.access.mu.Unlock()
	if d.access.loaded {
		return nil
	}
	b, err := st.Recall(notesTable, accessNote)
	if err != nil {
		return err
	}
	d.access.loaded, d.access.noted = true, b != nil
	if b == nil {
		return nil
	}
	var was standing
	if err := json.Unmarshal(b, &was); err != nil {
		d.log.Warn("what was known of the device's access cannot be read", "error", err)
		return nil
	}
	now := &d.access.standing
	if now.Scanned == nil {
		now.Level, now.Scanned = was.Level, was.Scanned
	}
	if was.Contact != nil {
		now.Contact = was.Contact
	}
	if was.Bad != nil {
		now.Bad, now.Since = was.Bad, was.Since
	}
	if open, err := st.Findings(); err == nil && len(d.access.findings) == 0 {
		d.access.findings = setLevels(open, now.Level)
	}
	return nil
}

// setLevels names the findings that may have set a level, before they are judged anew.
func setLevels(open []store.OpenFinding, level scanner.Level) (out []PostureFinding) {
	for i := range open {
		f, err := openFinding(&open[i])
		if err != nil || len(out) == postureFindings {
			continue
		}
		if l, _ := (scanner.Levels{}).Level([]scanner.Finding{*f}); level > scanner.Secured && l >= level {
			out = append(out, PostureFinding{f.Key, f.Rule, f.Title, f.Severity, true})
		}
	}
	return out
}

// keepAccess writes down what posture is made from, with what time has added when marked and after a
// whole scan. Without a policy there is nothing to be written down.
func (d *daemon) keepAccess(st *store.Store, mark bool) error {
	if err := d.recallAccess(st); err != nil {
		return err
	}
	now, asked := d.instant(), d.set.Load().criteria.policy != nil
	a := d.access
	a.mu.Lock()
	noted := a.noted
	if mark || a.whole {
		s := &a.standing
		s.Scanned, s.Contact, s.Bad = s.Scanned.marked(now), s.Contact.marked(now), s.Bad.marked(now)
	}
	kept := a.standing
	a.whole, a.noted = false, asked
	a.mu.Unlock()
	switch {
	case asked:
		return remember(st, accessNote, kept)
	case noted:
		return st.Forget(notesTable, accessNote)
	}
	return nil
}

// tellPosture tells a change of the level or of the state, and writes down where the device
// stands. It is called inside change; r is nil where only time has passed.
func (d *daemon) tellPosture(st *store.Store, r *scanner.Report) error {
	if err := d.recallAccess(st); err != nil { // before it is judged
		return err
	}
	old, err := st.Recall(notesTable, "posture")
	if err != nil {
		return err
	}
	var before report.Posture
	known := old != nil && json.Unmarshal(old, &before) == nil
	now := before
	if r != nil {
		now = report.PostureOf(r.Level, r.Findings)
		if err := d.take(st, r); err != nil {
			return err
		}
	}
	now.Access = d.postureNow().State
	body, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := d.keepAccess(st, false); err != nil || string(old) == string(body) {
		return err
	}
	if known && (before.Level != now.Level || before.Access != now.Access) || !known && now.Access != "" && now.Access != accessOpen {
		m, err := d.maker(st)
		if err != nil {
			return err
		}
		// Whoever waits for access waits for this: it goes at once, as a grave finding does.
		_, err = st.Queue("posture", uint8(scanner.High), m.own(func(meta report.EventMeta) (report.Event, error) {
			return report.PostureEvent(meta, m.send.posture(before), m.send.posture(now))
		}))
		if err != nil {
			return fmt.Errorf("telling the level: %w", err)
		}
		d.publish(m)
	}
	return st.Remember(notesTable, "posture", body, keepNotes)
}

// runPosture has time bring what it brings: grace ends, a scan grows old. Whoever wants to know of
// changes is told by it alone.
func (d *daemon) runPosture(ctx context.Context) error {
	defer d.reloads.tell(d.access.rouse)()
	state, due, written := "", false, d.clock.boot()
	for ctx.Err() == nil {
		p, next := d.posture()
		if p.State != state || p.WipeDue != due {
			d.log.Info("access", "state", p.State, "before", state, "level", p.Level.String(), "reasons", p.Reasons)
			if err := d.change(func(st *store.Store, _ store.Encode) error { return d.tellPosture(st, nil) }); err != nil && !errors.Is(err, errNoStore) {
				d.log.Debug("telling the posture", "error", err)
			}
			state, due = p.State, p.WipeDue
			d.access.changed.all()
			continue
		}
		if now := d.clock.boot(); p.State != "" && p.State != accessOpen && now-written >= remark {
			written = now
			d.note(func(st *store.Store) error { return d.keepAccess(st, true) })
		}
		if p.State != "" && p.State != accessOpen {
			next = min(next, remark)
		}
		d.clock.wait(ctx, next, d.access.wake)
	}
	return nil
}
