package report

import (
	"fmt"
	"path"
	"strings"
	"time"

	"picket/scanner"
)

// Activity is what became of a finding.
type Activity uint8

// The activities, numbered as in OCSF.
const (
	Created Activity = iota + 1
	Updated
	// Closed findings are gone under a whole verdict; what could not be looked at is not closed.
	Closed
)

// FindingState is what the caller remembers of a finding.
type FindingState struct {
	Activity Activity
	// FirstSeen and LastSeen are zero when not remembered.
	FirstSeen, LastSeen time.Time
	// Ignored is why the owner accepts it for a time; "" when nobody does.
	Ignored string
}

// FindingClass tells how findings of a category are sent: what is set wrongly on the device or
// keeps the agent from working is a Compliance Finding, what is a sign of somebody or something
// foreign a Detection Finding. It goes by the category alone, so that a finding keeps its class
// for life and a rule pack decides it.
func FindingClass(category string) int {
	if category == "config" || category == "agent" {
		return ClassCompliance
	}
	return ClassDetection
}

type (
	ocsfFinding struct {
		ocsfHead
		IsAlert      *bool           `json:"is_alert,omitempty"`
		ConfidenceID int             `json:"confidence_id,omitempty"`
		Confidence   string          `json:"confidence,omitempty"`
		Comment      string          `json:"comment,omitempty"`
		Info         ocsfFindingInfo `json:"finding_info"`
		Compliance   *ocsfCompliance `json:"compliance,omitempty"`
		Resources    []ocsfResource  `json:"resources"`
		Evidences    []ocsfEvidence  `json:"evidences,omitempty"`
		Remediation  struct {
			Desc string `json:"desc"`
		} `json:"remediation"`
	}
	ocsfFindingInfo struct {
		UID       string       `json:"uid"`
		Title     string       `json:"title"`
		Desc      string       `json:"desc"`
		Types     []string     `json:"types"`
		FirstSeen int64        `json:"first_seen_time,omitempty"`
		LastSeen  int64        `json:"last_seen_time,omitempty"`
		Analytic  ocsfAnalytic `json:"analytic"`
		Attacks   []ocsfAttack `json:"attacks,omitempty"`
	}
	ocsfAnalytic struct {
		TypeID   int    `json:"type_id"`
		Type     string `json:"type"`
		UID      string `json:"uid"`
		Name     string `json:"name"`
		Category string `json:"category"`
	}
	ocsfUID struct {
		UID string `json:"uid"`
	}
	ocsfAttack struct {
		Technique    ocsfUID  `json:"technique"`
		SubTechnique *ocsfUID `json:"sub_technique,omitempty"`
	}
	ocsfCompliance struct {
		Category string `json:"category"`
		Control  string `json:"control"`
		StatusID int    `json:"status_id"`
		Status   string `json:"status"`
	}
	ocsfResource struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	ocsfEvidence struct {
		File *ocsfFile        `json:"file,omitempty"`
		Data ocsfEvidenceData `json:"data"`
	}
	ocsfFile struct {
		Name   string `json:"name"`
		Path   string `json:"path"`
		TypeID int    `json:"type_id"`
	}
	ocsfEvidenceData struct {
		Source string            `json:"source"`
		Fields map[string]string `json:"fields,omitempty"`
	}
	ocsfSubject struct {
		Rule string `json:"rule"`
		Kind string `json:"kind"`
		Name string `json:"name"`
	}
)

// FindingEvent encodes a finding as a Detection or Compliance Finding.
func FindingEvent(m EventMeta, s FindingState, f *scanner.Finding) (Event, error) {
	if s.Activity < Created || s.Activity > Closed {
		return Event{}, fmt.Errorf("finding %s: %d is no activity", f.Key, s.Activity)
	}
	return m.encode(func(c *clipper) ocsfEvent { return m.finding(c, &s, f) })
}

func (m *EventMeta) finding(c *clipper, s *FindingState, f *scanner.Finding) *ocsfFinding {
	class := FindingClass(f.Category)
	e := &ocsfFinding{ocsfHead: m.newHead(c, class, activityCaption(s.Activity), severityCaption(f.Severity))}
	state := *s
	if p := f.Policy; p != nil && p.Accepted && state.Ignored == "" {
		state.Ignored = "accepted by policy: " + p.Why
	}
	s = &state
	status := findingStatus(s)
	e.StatusID, e.Status, e.Comment = status.id, status.name, c.text(s.Ignored, 1)
	e.Metadata.EventCode = c.text(f.Rule, 1)
	e.Message = c.text(fmt.Sprintf("%s %s: %s %s", f.Rule, f.Title, f.Subject.Kind, f.Subject.Name), 1)
	confidence := confidenceOf(f.FalsePositives)
	e.ConfidenceID, e.Confidence = confidence.id, confidence.name
	e.Info = ocsfFindingInfo{
		UID: f.Key, Title: c.text(f.Title, 1), Desc: c.text(strings.TrimSpace(f.Means), 4), Types: []string{c.text(f.Category, 1)},
		FirstSeen: m.millis(s.FirstSeen), LastSeen: m.millis(s.LastSeen),
		Analytic: ocsfAnalytic{1, "Rule", c.text(f.Rule, 1), c.text(f.Title, 1), c.text(f.Category, 1)},
		Attacks:  attacks(c.strings(f.Attack, 1)),
	}
	if class == ClassCompliance {
		e.Compliance = &ocsfCompliance{c.text(f.Category, 1), c.text(f.Rule, 1), 3, "Fail"}
		if s.Activity == Closed {
			e.Compliance.StatusID, e.Compliance.Status = 1, "Pass"
		}
	} else {
		alert := s.Activity != Closed && s.Ignored == "" && f.Severity > scanner.Informational && f.FalsePositives != "high"
		e.IsAlert = &alert
	}
	e.Resources = []ocsfResource{{c.text(f.Subject.Kind, 1), c.text(f.Subject.Name, 1)}}
	e.Remediation.Desc = c.text(strings.TrimSpace(f.Fix), 4)
	kept := f.Evidence[:c.list(len(f.Evidence), 1)]
	for i := range kept {
		e.Evidences = append(e.Evidences, evidence(c, &kept[i]))
	}
	findingRest(c, f, e.Unmapped, len(kept))
	return e
}

// findingRest keeps what OCSF has no place for.
func findingRest(c *clipper, f *scanner.Finding, rest map[string]any, evidence int) {
	rest["false_positive_risk"] = c.text(f.FalsePositives, 1)
	if f.Discreet {
		rest["discreet"] = true
	}
	if p := f.Policy; p != nil {
		note := *p
		note.Why = c.text(p.Why, 1)
		rest["policy"] = note
	}
	if more := f.MoreEvidence + len(f.Evidence) - evidence; more > 0 {
		rest["more_evidence"] = more
	}
	if n := c.list(len(f.Absorbed), 1); n > 0 {
		var list []ocsfSubject
		for _, a := range f.Absorbed[:n] {
			list = append(list, ocsfSubject{c.text(a.Rule, 1), c.text(a.Subject.Kind, 1), c.text(a.Subject.Name, 1)})
		}
		rest["absorbed"] = list
		if more := len(f.Absorbed) - n; more > 0 {
			rest["more_absorbed"] = more
		}
	}
}

func activityCaption(a Activity) caption {
	return caption{int(a), [...]string{Created: "Create", Updated: "Update", Closed: "Close"}[a]}
}

// findingStatus is New until somebody upstream has looked at it: the device cannot know.
func findingStatus(s *FindingState) caption {
	switch {
	case s.Activity == Closed:
		return caption{4, "Resolved"}
	case s.Ignored != "":
		return caption{3, "Suppressed"}
	}
	return caption{1, "New"}
}

// confidenceOf turns the risk of a false alarm around.
func confidenceOf(risk string) caption {
	switch risk {
	case "low":
		return caption{3, "High"}
	case "medium":
		return caption{2, "Medium"}
	case "high":
		return caption{1, "Low"}
	}
	return caption{0, "Unknown"}
}

// attacks splits ids of ATT&CK into technique and sub-technique. Tactics are left to the
// reader: one technique serves several.
func attacks(ids []string) []ocsfAttack {
	var out []ocsfAttack
	for _, id := range ids {
		technique, _, sub := strings.Cut(id, ".")
		a := ocsfAttack{Technique: ocsfUID{technique}}
		if sub {
			a.SubTechnique = &ocsfUID{id}
		}
		out = append(out, a)
	}
	return out
}

func evidence(c *clipper, e *scanner.Evidence) ocsfEvidence {
	out := ocsfEvidence{Data: ocsfEvidenceData{Source: c.text(e.Source, 1)}}
	if strings.HasPrefix(e.Source, "/") {
		file, _ := splitLine(e.Source)
		file = c.text(file, 1)
		out.File = &ocsfFile{Name: path.Base(file), Path: file} // type 0: what kind of file it is was not said
	}
	if len(e.Fields) > 0 {
		out.Data.Fields = make(map[string]string, len(e.Fields))
		for k, v := range e.Fields {
			out.Data.Fields[c.text(k, 1)] = c.text(v, 1)
		}
	}
	return out
}
