package agent

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/store"
)

// notesTable has the agent's own notes in the store: device_uid, device, posture, run, member.
const (
	notesTable = "agent"
	keepNotes  = 64 // far more than there are: one that is pushed out, such as the id, is lost
)

// change makes a change of the store, and then publishes and ships the events that it queued.
func (d *daemon) change(do func(st *store.Store, encode store.Encode) error) error {
	return d.vault.use(func(st *store.Store) error {
		m, err := d.maker(st)
		if err != nil {
			return err
		}
		err = do(st, m.encode)
		if err == nil || errors.Is(err, store.ErrRefused) { // of what was refused nothing was made
			d.publish(m)
		}
		d.ship.more()
		return err
	})
}

// publish hands on the events that were made; those of a snapshot part are several lines.
func (d *daemon) publish(m *eventMaker) {
	for _, body := range m.made {
		for line := range bytes.Lines(body) {
			d.feed.publish(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	if len(m.made) > 0 {
		d.noticed.all()
	}
	m.made = nil
}

// maker gives what makes the bodies of the next events.
func (d *daemon) maker(st *store.Store) (*eventMaker, error) {
	uid, err := deviceUID(st, d.entropy)
	if err != nil {
		return nil, err
	}
	if id := d.member.identity(); id != nil {
		uid = id.Device
	}
	ignores, err := st.Ignores()
	if err != nil {
		return nil, err
	}
	wrong, latest := d.calendar.doubts()
	m := &eventMaker{ignored: map[string]string{}, meta: report.EventMeta{Version: d.version, ClockWrong: wrong, Earliest: d.built, Latest: latest, Device: report.DeviceRef{UID: uid, Info: d.device(st)}}}
	mode := d.set.Load().criteria.policy.send()
	var packages []facts.Package
	if mode == sendNoPersonal {
		if r := d.judging.report(); r != nil {
			packages = packagesOf(r)
		}
	}
	if m.send, err = sendingBy(mode, st, packages); err != nil {
		return nil, err
	}
	for _, i := range ignores {
		m.ignored[i.Key] = i.Why
		if i.Why == "" {
			m.ignored[i.Key] = "no reason given"
		}
	}
	return m, nil
}

// own is the Encode of an event of the agent's own.
func (m *eventMaker) own(make func(report.EventMeta) (report.Event, error)) store.Encode {
	return func(c store.Change) ([]byte, error) {
		e, err := make(m.of(c.ID, c.At))
		if err != nil {
			return nil, err
		}
		m.made = append(m.made, e.Body)
		return e.Body, nil
	}
}

// deviceUID gives the device's random id, and makes it when the store is new.
func deviceUID(st *store.Store, entropy io.Reader) (string, error) {
	b, err := st.Recall(notesTable, "device_uid")
	if err != nil || b != nil {
		return string(b), err
	}
	var raw [16]byte
	if _, err := io.ReadFull(entropy, raw[:]); err != nil {
		return "", fmt.Errorf("making the device's id: %w", err)
	}
	uid := hex.EncodeToString(raw[:])
	return uid, st.Remember(notesTable, "device_uid", []byte(uid), keepNotes)
}

// device describes the device as the last scan saw it, or the last before this start.
func (d *daemon) device(st *store.Store) scanner.DeviceInfo {
	if info, known := d.judging.device(); known {
		return info
	}
	info := scanner.DeviceInfo{Platform: "linux"}
	if b, err := st.Recall(notesTable, "device"); err == nil && b != nil {
		if json.Unmarshal(b, &info) != nil {
			d.log.Debug("the note of the device cannot be read")
		}
	}
	return info
}

// runNote is what the agent leaves behind for its next start to find.
type runNote struct {
	At      time.Time `json:"at"` // last known to run
	Boot    string    `json:"boot"`
	Version string    `json:"version"`
	Stopped string    `json:"stopped,omitempty"` // why it ended; empty while it runs
}

// Gap is a time in which the agent did not run.
type Gap struct {
	From    time.Time `json:"from"` // when it was last known to run
	To      time.Time `json:"to"`
	Why     string    `json:"why"` // stopped, killed, updated, device-off, clock-set-back
	Detail  string    `json:"detail,omitempty"`
	Version string    `json:"previous_version,omitempty"`
}

// gapAfter tells what lies between a run and the next.
func gapAfter(last runNote, lastWrite time.Time, now runNote) Gap {
	g := Gap{From: last.At, To: now.At, Version: last.Version, Detail: last.Stopped}
	if last.Stopped == "" && lastWrite.After(g.From) {
		g.From = lastWrite
	}
	switch {
	case g.To.Before(g.From):
		g.Why = "clock-set-back"
	case last.Boot != now.Boot:
		g.Why = "device-off"
	case last.Version != now.Version:
		g.Why = "updated"
	case last.Stopped != "":
		g.Why = "stopped"
	default:
		g.Why = "killed"
	}
	return g
}

// arrive tells the gap since the last run, and notes that the agent runs. Where there is no
// store yet, recover does it later.
func (d *daemon) arrive() {
	err := d.change(func(st *store.Store, _ store.Encode) error { return d.arriveIn(st) })
	if err != nil {
		d.log.Debug("noting the start", "error", err)
	}
}

// arriveIn does once what arrive does.
func (d *daemon) arriveIn(st *store.Store) error {
	d.arriving.Lock()
	defer d.arriving.Unlock()
	if d.arrived {
		return nil
	}
	now := runNote{At: noted(d.started), Boot: d.boot, Version: d.version}
	b, err := st.Recall(notesTable, "run")
	if err != nil {
		return err
	}
	var last runNote
	known := b != nil && json.Unmarshal(b, &last) == nil
	if known {
		d.calendar.begin(last.At)
	}
	d.checkClock()
	if wrong, latest := d.calendar.doubts(); wrong && !latest.IsZero() {
		now.At = noted(latest)
	}
	if known {
		stats, err := st.Stats()
		if err != nil {
			return err
		}
		wrote := stats.Changed
		if wrote.After(now.At) {
			wrote = time.Time{} // that was this process
		}
		if err := d.tellGap(st, gapAfter(last, wrote, now)); err != nil {
			return err
		}
	}
	now.At = d.now()
	if err := remember(st, "run", now); err != nil {
		return err
	}
	d.arrived = true
	return nil
}

// recover makes up for what the store did not take, once it does: the start, and the last report.
func (d *daemon) recover() {
	d.arriving.Lock()
	arrived := d.arrived
	d.arriving.Unlock()
	if !arrived {
		d.arrive()
	}
	if !d.vault.owes.Load() {
		return
	}
	if _, err := d.remember(d.judging.newest); err != nil {
		d.log.Debug("the store still does not take what was found", "error", err)
		return
	}
	d.upkeep(d.judging.report())
	d.seen()
}

func (d *daemon) tellGap(st *store.Store, g Gap) error {
	m, err := d.maker(st)
	if err != nil {
		return err
	}
	severity := scanner.Informational
	if g.Why == "killed" || g.Why == "clock-set-back" {
		severity = scanner.Low
	}
	_, err = st.Queue("gap", uint8(severity), m.own(func(meta report.EventMeta) (report.Event, error) {
		return report.AgentEvent(meta, report.AgentState{Activity: report.AgentStarted, Severity: severity,
			Message: fmt.Sprintf("Picket was not running from %s to %s: %s", stamp(g.From), stamp(g.To), g.Why), Rest: map[string]any{"gap": g}})
	}))
	if err != nil {
		return fmt.Errorf("telling the gap: %w", err)
	}
	d.publish(m)
	d.log.Info("was not running", "from", stamp(g.From), "to", stamp(g.To), "why", g.Why)
	return nil
}

// seen notes that the agent runs, and what device it is on. It is called after whole scans
// only: an idle agent writes nothing.
func (d *daemon) seen() {
	d.note(func(st *store.Store) error {
		if r := d.judging.report(); r != nil {
			info := r.Device
			info.JudgedAsOf, info.RecordedAt, info.Notes = "", "", nil
			if err := remember(st, "device", info); err != nil {
				return err
			}
		}
		if err := d.arriveIn(st); err != nil {
			return err
		}
		return remember(st, "run", runNote{At: d.now(), Boot: d.boot, Version: d.version})
	})
}

// leave notes why the agent ends, and closes the store.
func (d *daemon) leave(why error) error {
	left := make(chan error, 1)
	go func() { left <- d.close(why) }() // a part that hangs may have the store in its hands
	late := time.NewTimer(leaveTime)
	defer late.Stop()
	select {
	case err := <-left:
		if err != nil {
			return fmt.Errorf("closing the store: %w", err)
		}
		return nil
	case <-late.C:
		return errors.New("the store could not be closed in time")
	}
}

func (d *daemon) close(why error) error {
	text := "asked to"
	if why != nil {
		text = why.Error()
	}
	d.note(func(st *store.Store) error {
		if err := d.keepAccess(st, true); err != nil {
			return err
		}
		return remember(st, "run", runNote{At: d.now(), Boot: d.boot, Version: d.version, Stopped: strings.ToValidUTF8(text[:min(len(text), 200)], "")})
	})
	return d.vault.close()
}

// now is the wall clock as it is noted.
func (d *daemon) now() time.Time { return noted(d.calendar.now()) }

func noted(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func (d *daemon) note(do func(*store.Store) error) {
	if err := d.vault.use(do); err != nil {
		d.log.Debug("taking a note", "error", err)
	}
}

func remember(st *store.Store, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("note %s: %w", name, err)
	}
	return st.Remember(notesTable, name, b, keepNotes)
}
