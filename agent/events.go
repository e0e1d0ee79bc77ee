package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/store"
)

// eventMaker makes the bodies of events as they enter the outbox: OCSF, one JSON object a line.
// It is made for one transaction.
type eventMaker struct {
	meta    report.EventMeta  // without UID and Time
	ignored map[string]string // why, by key of the finding
	send    sending
	made    [][]byte
}

func (m *eventMaker) encode(c store.Change) ([]byte, error) {
	body, err := m.body(c)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.Kind, c.Key, err)
	}
	if body != nil {
		m.made = append(m.made, body)
	}
	return body, nil
}

func (m *eventMaker) body(c store.Change) ([]byte, error) {
	meta := m.of(c.ID, c.At)
	switch c.Kind {
	case store.Opened, store.Updated, store.Resolved:
		return bodyOf(m.finding(meta, c.Kind, c.Finding))
	case store.PackageAdded:
		return m.packageEvent(meta, nil, c.Package)
	case store.PackageUpdated:
		return m.packageEvent(meta, c.WasPackage, c.Package)
	case store.PackageRemoved:
		return m.packageEvent(meta, c.Package, nil)
	case store.Ignored, store.IgnoreEnded:
		return m.ignore(meta, c)
	case store.LossesTold:
		return losses(meta, c.Losses)
	case store.SnapshotPart:
		return m.part(meta, c.Part)
	}
	return nil, errors.New("no event is known for this")
}

func (m *eventMaker) of(id string, at time.Time) report.EventMeta {
	meta := m.meta
	meta.UID, meta.Time = id, at
	return meta
}

func bodyOf(e report.Event, err error) ([]byte, error) { return e.Body, err }

// finding makes the event of a finding; one without a body where it may not be sent.
func (m *eventMaker) finding(meta report.EventMeta, kind store.Kind, open *store.OpenFinding) (report.Event, error) {
	f, err := openFinding(open)
	if err == nil {
		f, err = m.send.finding(f, kind == store.Resolved)
	}
	if err != nil || f == nil {
		return report.Event{}, err
	}
	s := report.FindingState{Activity: report.Updated, FirstSeen: open.Since, LastSeen: meta.Time, Ignored: m.send.scrub(m.ignored[open.Key])}
	switch kind {
	case store.Opened:
		s.Activity, s.FirstSeen = report.Created, meta.Time
	case store.Resolved:
		s.Activity, s.LastSeen = report.Closed, open.Changed
	}
	return report.FindingEvent(meta, s, f)
}

// openFinding reads a finding as it was kept.
func openFinding(open *store.OpenFinding) (*scanner.Finding, error) {
	f := &scanner.Finding{}
	if err := json.Unmarshal(open.Body, f); err != nil {
		return nil, fmt.Errorf("reading a kept finding: %w", err)
	}
	return f, nil
}

func keptPackage(p *store.Package) (*facts.Package, error) {
	if p == nil {
		return nil, nil
	}
	out := &facts.Package{}
	if err := json.Unmarshal(p.Body, out); err != nil {
		return nil, fmt.Errorf("reading a kept package: %w", err)
	}
	return out, nil
}

func (m *eventMaker) packageEvent(meta report.EventMeta, before, after *store.Package) ([]byte, error) {
	was, err := keptPackage(before)
	if err != nil {
		return nil, err
	}
	now, err := keptPackage(after)
	if err != nil {
		return nil, err
	}
	if m.send.holdsPackage(was) || m.send.holdsPackage(now) {
		return nil, nil
	}
	return bodyOf(report.PackageEvent(meta, was, now))
}

// ignore tells the finding anew, set aside or not. Of one that is not open there is only the
// ignore to tell.
func (m *eventMaker) ignore(meta report.EventMeta, c store.Change) ([]byte, error) {
	why := ""
	if c.Kind == store.Ignored {
		why = c.Ignore.Why
		if why == "" {
			why = "no reason given"
		}
	}
	if m.send.mode == sendLevelOnly {
		return nil, nil
	}
	if c.Finding == nil {
		return bodyOf(report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: scanner.Informational,
			Message: c.Kind.String() + ": finding " + m.send.keyOf(c.Key), Rest: map[string]any{"finding": m.send.keyOf(c.Key), "why": m.send.scrub(c.Ignore.Why), "by": c.Ignore.By}}))
	}
	f, err := openFinding(c.Finding)
	if err == nil {
		f, err = m.send.finding(f, false)
	}
	if err != nil {
		return nil, err
	}
	why = m.send.scrub(why)
	return bodyOf(report.FindingEvent(meta, report.FindingState{Activity: report.Updated, FirstSeen: c.Finding.Since, LastSeen: c.Finding.Changed, Ignored: why}, f))
}

func losses(meta report.EventMeta, l *store.Losses) ([]byte, error) {
	dropped := uint64(0)
	for _, n := range l.Dropped {
		dropped += n
	}
	message := strconv.FormatUint(dropped, 10) + " events were dropped before they could be delivered"
	if len(l.Damage) > 0 {
		message += "; the store was damaged"
	}
	return bodyOf(report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: scanner.High, Failed: true, Message: message,
		Rest: map[string]any{"losses": l}}))
}

// part makes a part of a full snapshot: its findings and packages, an event a line.
func (m *eventMaker) part(meta report.EventMeta, p *store.Part) ([]byte, error) {
	meta.Snapshot = &report.SnapshotPart{UID: p.Snapshot, Why: p.Why, Part: p.Index, Last: p.Last}
	uid, lines := meta.UID, [][]byte{}
	for i := range p.Findings {
		meta.UID = uid + "-f" + strconv.Itoa(i+1)
		e, err := m.finding(meta, store.Updated, &p.Findings[i])
		if err != nil {
			return nil, err
		}
		if e.Body != nil {
			lines = append(lines, e.Body)
		}
	}
	meta.UID = uid
	inv := report.Inventory{}
	for i := range p.Packages {
		one, err := keptPackage(&p.Packages[i])
		if err != nil {
			return nil, err
		}
		if !m.send.holdsPackage(one) {
			inv.Packages = append(inv.Packages, *one)
		}
	}
	if len(inv.Packages) > 0 {
		err := report.InventoryEvents(meta, inv, func(e report.Event) error {
			lines = append(lines, e.Body)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(lines) == 0 { // nothing is open and nothing installed: that is worth saying
		return bodyOf(report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: scanner.Informational, Message: "Snapshot part without content"}))
	}
	return bytes.Join(lines, []byte("\n")), nil
}
