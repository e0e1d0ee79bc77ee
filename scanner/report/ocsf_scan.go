package report

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
)

// notEnrolled stands for a device's identity where none was given: a scan by hand knows of no fleet.
const notEnrolled = "not-enrolled"

// OCSF writes a scan's events, one a line: the device, its updates where they were looked at,
// every finding as created, the inventory. The uids are made from what the report says, so that
// the same report gives the same events wherever it is written.
func OCSF(w io.Writer, r *scanner.Report, version string) error {
	at, err := time.Parse(time.RFC3339, r.Device.JudgedAsOf)
	if err != nil {
		return fmt.Errorf("time of the report: %w", err)
	}
	id, err := reportID(r, version)
	if err != nil {
		return err
	}
	meta := func(part string) EventMeta {
		return EventMeta{UID: id + "-" + part, Time: at, Device: DeviceRef{UID: notEnrolled, Info: r.Device}, Version: version}
	}
	b := bufio.NewWriterSize(w, 64<<10)
	put := func(e Event) error {
		b.Write(e.Body)
		return b.WriteByte('\n') // an error of a bufio.Writer stays
	}
	e, err := DeviceEvent(meta("device"), DeviceState{Level: r.Level, SetBy: r.SetBy, Coverage: r.Coverage})
	if err != nil {
		return err
	}
	put(e)
	if p, ok := PatchStateOf(r.Facts); ok {
		e, err := PatchEvent(meta("patch"), p)
		if err != nil && !errors.Is(err, ErrNoOSVersion) {
			return err
		}
		if err == nil {
			put(e)
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		e, err := FindingEvent(meta(f.Key), FindingState{Activity: Created, FirstSeen: at, LastSeen: at}, f)
		if err != nil {
			return err
		}
		put(e)
	}
	if inv, ok := inventoryOf(r); ok {
		if err := InventoryEvents(meta("inventory"), inv, put); err != nil {
			return err
		}
	}
	return b.Flush()
}

// reportID is made from all that the report says but where it was read from.
func reportID(r *scanner.Report, version string) (string, error) {
	same := *r
	same.Device.Origin = version
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(&same); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// inventoryOf finds the packages, or why there are none; not ok when nobody asked for them.
func inventoryOf(r *scanner.Report) (Inventory, bool) {
	for _, t := range r.Tables {
		if t.Table == "packages" {
			inv := Inventory{Packages: packages(r), Partial: t.Partial, Absent: t.Absent}
			return inv, len(inv.Packages) > 0 || inv.Absent != ""
		}
	}
	return Inventory{Packages: packages(r)}, len(packages(r)) > 0
}

// PatchStateOf finds what a scan saw of updates; not ok when it did not look.
func PatchStateOf(f *scanner.Facts) (p PatchState, ok bool) {
	if f == nil {
		return p, false
	}
	var unread []string
	for _, name := range []string{"android", "updates"} {
		t := f.Tables[name]
		if t == nil || t.Inapplicable != "" {
			continue
		}
		ok = true
		if t.Absent != "" {
			unread = append(unread, t.Absent)
		}
		unread = append(unread, t.Partial...)
		switch rows := t.Rows.(type) {
		case []facts.AndroidSystem:
			if len(rows) > 0 {
				p.Android = &rows[0]
			}
		case []facts.UpdateState:
			p.Updates = rows
		}
	}
	p.Unread = strings.Join(unread, "; ")
	return p, ok
}
