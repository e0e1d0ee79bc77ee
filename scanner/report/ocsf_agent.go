package report

import (
	"errors"
	"maps"

	"picket/scanner"
)

// AgentActivity is what became of the agent itself, numbered as in OCSF.
type AgentActivity uint8

// The activities.
const (
	AgentStarted AgentActivity = 3
	AgentStopped AgentActivity = 4
	// AgentTold is anything else that the agent says of itself.
	AgentTold AgentActivity = 99
)

// AgentState is one thing that the agent has to say of itself.
type AgentState struct {
	Activity AgentActivity
	Severity scanner.Severity
	Message  string
	// Failed says that it is about something that went wrong.
	Failed bool
	// Rest is what there is to know: texts, numbers, times as RFC 3339.
	Rest map[string]any
}

// AgentEvent encodes what the agent says of itself as Application Lifecycle of Picket.
func AgentEvent(m EventMeta, s AgentState) (Event, error) {
	names := map[AgentActivity]string{AgentStarted: "Start", AgentStopped: "Stop", AgentTold: "Other"}
	if names[s.Activity] == "" {
		return Event{}, errors.New("an event of the agent needs an activity")
	}
	return m.encode(func(c *clipper) ocsfEvent {
		e := &ocsfLifecycle{ocsfHead: m.newHead(c, ClassLifecycle, caption{int(s.Activity), names[s.Activity]}, severityCaption(s.Severity))}
		e.StatusID, e.Status = 1, "Success"
		if s.Failed {
			e.StatusID, e.Status = 2, "Failure"
		}
		e.App = m.product()
		e.Message = c.text(s.Message, 1)
		maps.Copy(e.Unmapped, s.Rest)
		e.Unmapped["agent"] = true
		return e
	})
}
