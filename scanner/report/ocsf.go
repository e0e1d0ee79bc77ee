package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"picket/scanner"
)

// OCSFVersion is the version of the Open Cybersecurity Schema Framework that events follow.
const OCSFVersion = "1.8.0"

// The OCSF classes of Picket's events; docs/events.md says what each carries.
const (
	ClassCompliance  = 2003 // a setting or the agent is not as it should be
	ClassDetection   = 2004 // something hostile or foreign is there
	ClassDevice      = 5001 // the device and its threat level
	ClassPatch       = 5004 // how far its updates are
	ClassConfigState = 5019 // its threat level changed
	ClassInventory   = 5020 // what is installed
	ClassLifecycle   = 6002 // a package came, went or changed
)

// MaxEvent bounds the body of an event, in bytes. What would be larger loses evidence and ends
// of long texts, and says so in metadata.is_truncated.
const MaxEvent = 64 << 10

// Event is an encoded event with what transports want to know without reading it.
type Event struct {
	UID      string // metadata.uid
	Class    int
	Severity int    // severity_id: 0 unknown, 1 informational to 5 critical
	Finding  string // finding_info.uid, the finding's key; "" for other events
	Body     []byte // one JSON object in one line, no line end
}

// EventMeta is what every event needs from the caller.
type EventMeta struct {
	// UID names this event for ever: made once, the same whenever the event is sent again.
	UID string
	// Time is when it happened, by the device's clock.
	Time time.Time
	// ClockWrong says that the clock is known to be wrong. Earliest and Latest are bounds that
	// are known from elsewhere (when this program was built, what a server said), zero when
	// none: times outside them are moved to the nearer bound, and the clock counts as wrong.
	ClockWrong       bool
	Earliest, Latest time.Time
	Device           DeviceRef
	// Version is Picket's own.
	Version string
	// Snapshot, when set, says which part of a full snapshot the event is in.
	Snapshot *SnapshotPart
}

// SnapshotPart names a part of a full snapshot: who has all parts of one UID, from Part 0 to the
// Last, knows all that is open and installed, and may forget what is not in it.
type SnapshotPart struct {
	UID  string `json:"uid"`
	Why  string `json:"why"` // first, asked, dropped, damaged, due
	Part int    `json:"part"`
	Last bool   `json:"last,omitempty"`
}

// DeviceRef says which device an event is of.
type DeviceRef struct {
	// UID is the device's identity in the fleet.
	UID  string
	Info scanner.DeviceInfo
}

func (m *EventMeta) check() error {
	switch {
	case m.UID == "":
		return errors.New("an event needs a uid")
	case m.Device.UID == "":
		return errors.New("an event needs a device's uid")
	case m.Time.IsZero():
		return errors.New("an event needs a time")
	}
	return nil
}

// clamp moves a time into the bounds.
func (m *EventMeta) clamp(t time.Time) time.Time {
	if !m.Earliest.IsZero() && t.Before(m.Earliest) {
		return m.Earliest
	}
	if !m.Latest.IsZero() && t.After(m.Latest) {
		return m.Latest
	}
	return t
}

// millis is a time as OCSF writes it; 0, which is left out, for none.
func (m *EventMeta) millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return m.clamp(t).UnixMilli()
}

type (
	ocsfHead struct {
		ActivityID   int            `json:"activity_id"`
		Activity     string         `json:"activity_name"`
		CategoryUID  int            `json:"category_uid"`
		ClassUID     int            `json:"class_uid"`
		Class        string         `json:"class_name"`
		TypeUID      int            `json:"type_uid"`
		SeverityID   int            `json:"severity_id"`
		Severity     string         `json:"severity"`
		StatusID     int            `json:"status_id,omitempty"`
		Status       string         `json:"status,omitempty"`
		StatusDetail string         `json:"status_detail,omitempty"`
		Time         int64          `json:"time"`
		Message      string         `json:"message"`
		Metadata     ocsfMetadata   `json:"metadata"`
		Device       ocsfDevice     `json:"device"`
		Unmapped     map[string]any `json:"unmapped,omitempty"`
	}
	ocsfMetadata struct {
		Version      string      `json:"version"`
		UID          string      `json:"uid"`
		Correlation  string      `json:"correlation_uid,omitempty"`
		Sequence     int         `json:"sequence,omitempty"`
		EventCode    string      `json:"event_code,omitempty"`
		OriginalTime string      `json:"original_time,omitempty"`
		Profiles     []string    `json:"profiles,omitempty"`
		Truncated    bool        `json:"is_truncated,omitempty"`
		Product      ocsfProduct `json:"product"`
	}
	ocsfProduct struct {
		Name    string `json:"name"`
		UID     string `json:"uid,omitempty"`
		Vendor  string `json:"vendor_name,omitempty"`
		Version string `json:"version,omitempty"`
	}
)

// ocsfEvent is any event: a struct that begins with ocsfHead.
type ocsfEvent interface{ head() *ocsfHead }

func (h *ocsfHead) head() *ocsfHead { return h }

var ocsfClasses = map[int]struct {
	name string
	// host events have their device from the profile of that name, the others have it as their own.
	host bool
}{
	ClassCompliance:  {"Compliance Finding", true},
	ClassDetection:   {"Detection Finding", true},
	ClassDevice:      {"Device Inventory Info", false},
	ClassPatch:       {"Operating System Patch State", false},
	ClassConfigState: {"Device Config State Change", false},
	ClassInventory:   {"Software Inventory Info", false},
	ClassLifecycle:   {"Application Lifecycle", true},
}

// caption is a value of OCSF's with its name.
type caption struct {
	id   int
	name string
}

// collected is the activity of events that tell a state.
var collected = caption{2, "Collect"}

// newHead fills what all events have.
func (m *EventMeta) newHead(c *clipper, class int, activity, severity caption) ocsfHead {
	kind := ocsfClasses[class]
	h := ocsfHead{
		ActivityID: activity.id, Activity: activity.name, CategoryUID: class / 1000, ClassUID: class, Class: kind.name, TypeUID: class*100 + activity.id,
		SeverityID: severity.id, Severity: severity.name, Time: m.clamp(m.Time).UnixMilli(),
		Metadata: ocsfMetadata{Version: OCSFVersion, UID: m.UID, Product: m.product()},
		Device:   m.device(c), Unmapped: map[string]any{},
	}
	if kind.host {
		h.Metadata.Profiles = []string{"host"}
	}
	if m.ClockWrong || !m.clamp(m.Time).Equal(m.Time) {
		h.Metadata.OriginalTime = m.Time.UTC().Format(time.RFC3339Nano)
		h.Unmapped["clock_wrong"] = true
	}
	if m.Snapshot != nil {
		h.Unmapped["snapshot"] = m.Snapshot
	}
	return h
}

func (m *EventMeta) product() ocsfProduct {
	return ocsfProduct{Name: "Picket", Vendor: "Picket", Version: m.Version}
}

func severityCaption(s scanner.Severity) caption {
	switch s {
	case scanner.Informational:
		return caption{1, "Informational"}
	case scanner.Low:
		return caption{2, "Low"}
	case scanner.Medium:
		return caption{3, "Medium"}
	case scanner.High:
		return caption{4, "High"}
	case scanner.Critical:
		return caption{5, "Critical"}
	}
	return caption{0, "Unknown"}
}

// clipper bounds the texts and lists of one event, and remembers whether it cut anything.
type clipper struct {
	texts int // bytes of a text
	lists int // pieces of a list
	cut   bool
}

// text cuts a text to times the usual length.
func (c *clipper) text(s string, times int) string {
	limit := times * c.texts
	if len(s) <= limit {
		return s
	}
	c.cut = true
	for back := 1; back < utf8.UTFMax && !utf8.RuneStart(s[limit]); back++ {
		limit--
	}
	return s[:limit] + "…"
}

// list gives how many pieces of n are kept: times the usual number at most.
func (c *clipper) list(n, times int) int {
	if limit := times * c.lists; n > limit {
		c.cut = true
		return limit
	}
	return n
}

// strings keeps the first pieces, each cut.
func (c *clipper) strings(list []string, times int) []string {
	var out []string
	for _, s := range list[:c.list(len(list), times)] {
		out = append(out, c.text(s, 1))
	}
	return out
}

// encode builds an event with narrower and narrower bounds until it fits.
func (m *EventMeta) encode(build func(*clipper) ocsfEvent) (Event, error) {
	if err := m.check(); err != nil {
		return Event{}, err
	}
	for lists, texts := 20, 1024; ; {
		c := &clipper{texts: texts, lists: lists}
		e, err := seal(c, build(c))
		if err != nil || len(e.Body) <= MaxEvent {
			return e, err
		}
		switch {
		case lists > 1:
			lists /= 2
		case texts > 16:
			texts /= 4
		default:
			return Event{}, fmt.Errorf("event %s has %d bytes, more than %d", m.UID, len(e.Body), MaxEvent)
		}
	}
}

// seal writes a built event: maps sorted, nothing escaped for HTML, one line.
func seal(c *clipper, e ocsfEvent) (Event, error) {
	h := e.head()
	h.Metadata.Truncated = c.cut
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return Event{}, fmt.Errorf("encoding event %s: %w", h.Metadata.UID, err)
	}
	out := Event{UID: h.Metadata.UID, Class: h.ClassUID, Severity: h.SeverityID, Body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}
	if f, ok := e.(*ocsfFinding); ok {
		out.Finding = f.Info.UID
	}
	return out, nil
}
