package agent

import (
	"encoding/json"
	"time"

	"picket/scanner/facts"
	"picket/store"
)

// retention is how long the policy lets what was told, and where the device was, stay on it; 0
// is for as long as there is room, and while the clock is known to be wrong.
func (d *daemon) retention() (age time.Duration, now time.Time) {
	p := d.set.Load().criteria.policy
	if wrong, _ := d.calendar.doubts(); wrong || p == nil {
		return 0, time.Time{}
	}
	return p.Retention, d.now()
}

// forgetOld takes out of the history, the networks that are remembered and the file of delivered
// events what is older than the policy lets it be. The network that the device is on stays.
func (d *daemon) forgetOld(st *store.Store) error {
	age, now := d.retention()
	if age <= 0 {
		return nil
	}
	if f := d.file.Load(); f != nil {
		if err := f.expire(); err != nil {
			d.log.Debug("delivered events that may not stay", "error", err)
		}
	}
	if _, err := st.ForgetHistory(now.Add(-age)); err != nil {
		return err
	}
	notes, err := st.Notes(networksTable)
	for _, note := range notes {
		var n facts.NetworkSeen
		if err != nil || json.Unmarshal(note.Body, &n) != nil || n.Here || n.Last.After(now.Add(-age)) {
			continue
		}
		err = st.Forget(networksTable, note.Name)
	}
	return err
}
