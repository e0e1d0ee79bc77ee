package agent

import (
	"encoding/json"
	"fmt"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

// fullEvery is the longest time between two whole snapshots of a device on which nothing
// changes. In between, as often as snapshots are due, one event says that all is as it was told.
const fullEvery = 30 * 24 * time.Hour

// assertMost bounds the findings that are named in such an event.
const assertMost = 200

// snapshotNote is the name of the note of the last whole snapshot.
const snapshotNote = "snapshot"

// toldWhole is the last whole snapshot, and what was known then.
type toldWhole struct {
	UID   string    `json:"uid"`
	At    time.Time `json:"at"`
	Known string    `json:"known"`
}

// assertion is what the agent says of itself while nothing changes: who has the snapshot has all.
type assertion struct {
	Level    scanner.Level  `json:"level"`
	Snapshot string         `json:"snapshot"` // uid of the last whole one
	Told     time.Time      `json:"told"`     // when that was
	Findings int            `json:"findings"` // open
	Packages uint64         `json:"packages"`
	Open     []assertedOpen `json:"open,omitempty"` // the first 200
}

type assertedOpen struct {
	UID      string    `json:"uid"` // finding_info.uid
	Rule     string    `json:"rule"`
	Severity uint8     `json:"severity_id"`
	Since    time.Time `json:"since"`
}

// unchanged gives the last whole snapshot where nothing has changed since then, and that is not
// too long ago.
func (d *daemon) unchanged(st *store.Store) (last toldWhole, stats store.Stats, same bool, err error) {
	if stats, err = st.Stats(); err != nil {
		return last, stats, false, err
	}
	b, err := st.Recall(notesTable, snapshotNote)
	if err != nil || b == nil || json.Unmarshal(b, &last) != nil {
		return last, stats, false, err
	}
	age := d.now().Sub(last.At)
	return last, stats, last.Known == stats.Known && age >= 0 && age < fullEvery, nil
}

// reassert tells that all is as the last snapshot has it. Nothing is said of findings that may
// not be sent.
func (d *daemon) reassert(st *store.Store, m *eventMaker, level scanner.Level, last toldWhole, stats store.Stats) error {
	open, err := st.Findings()
	if err != nil {
		return err
	}
	a := assertion{Level: level, Snapshot: last.UID, Told: last.At, Packages: stats.Packages}
	if m.send.mode == sendLevelOnly {
		a.Packages, open = 0, nil
	}
	a.Findings = len(open)
	for _, f := range open[:min(len(open), assertMost)] {
		a.Open = append(a.Open, assertedOpen{m.send.keyOf(f.Key), f.Rule, f.Severity, f.Since})
	}
	_, err = st.Reassert("assertion", uint8(scanner.Low), m.own(func(meta report.EventMeta) (report.Event, error) {
		return report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: scanner.Informational,
			Message: "All is as the last snapshot has it", Rest: map[string]any{"assertion": a}})
	}))
	if err != nil {
		return fmt.Errorf("telling that nothing changed: %w", err)
	}
	d.publish(m)
	return nil
}

// toldAll notes the whole snapshot that was just queued.
func (d *daemon) toldAll(st *store.Store, uid string) error {
	stats, err := st.Stats()
	if err != nil {
		return err
	}
	return remember(st, snapshotNote, toldWhole{uid, d.now(), stats.Known})
}
