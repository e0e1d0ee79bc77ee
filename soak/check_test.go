package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The checker knows two things: what the soak did, by its own log, and the lines that reached
// the sink. It knows nothing of the store, nor of the agent's code.

// did is one line of the soak's own log.
type did struct {
	What    string // done: the device was changed; kept: the agent's API showed that it knows
	Subject string // "package soak-7", "plant unit-7"
	State   string // its version, or "there"; "" is gone
}

const (
	done = "done"
	kept = "kept"
)

// sunk is what the checker reads in an event.
type sunk struct {
	Class    string `json:"class_name"`
	Activity string `json:"activity_name"`
	Time     int64  `json:"time"`
	Metadata struct {
		UID string `json:"uid"`
	} `json:"metadata"`
	App struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"app"`
	Resources []struct {
		Name string `json:"name"`
	} `json:"resources"`
	Unmapped struct {
		Before   string          `json:"prev_version"`
		Snapshot json.RawMessage `json:"snapshot"`
		Losses   json.RawMessage `json:"losses"`
		Gap      *struct {
			Why string `json:"why"`
		} `json:"gap"`
	} `json:"unmapped"`
}

// verdict is what the checker found.
type verdict struct {
	Events   int // lines
	Distinct int // ids
	Again    int // lines that came again, the same under the same id
	Subjects int // whose story was told
	Told     int // changes of theirs
	Retold   int // updates of packages that kept their version
	Kept     int // changes that the agent was seen to know
	Gaps     map[string]int
	Wrong    []string
}

func (v *verdict) wrong(format string, args ...any) {
	v.Wrong = append(v.Wrong, fmt.Sprintf(format, args...))
}

// change is a step of a subject's story, as it was told.
type change struct{ state, uid string }

var plantName = regexp.MustCompile(`\b(unit|cron|user)-[0-9]+\b`)

// check says what went wrong. settled tells that the agent had time to tell all.
func check(log []did, lines [][]byte, settled bool) *verdict {
	v := &verdict{Gaps: map[string]int{}}
	told := v.read(lines)
	want, seen, last := map[string][]string{}, map[string][]string{}, map[string]string{}
	for _, d := range log {
		if d.What == done {
			want[d.Subject] = append(want[d.Subject], d.State)
			last[d.Subject] = d.State
		} else {
			seen[d.Subject] = append(seen[d.Subject], d.State)
			v.Kept++
		}
	}
	for subject, story := range told {
		states := statesOf(story)
		v.Subjects++
		v.Told += len(story)
		if _, known := want[subject]; !known {
			v.wrong("told for nothing: %s: %q", subject, states)
			continue
		}
		for i := range story {
			if i > 0 && story[i].state == story[i-1].state {
				v.wrong("told twice: %s is %q under %s and under %s", subject, story[i].state, story[i-1].uid, story[i].uid)
			}
		}
		if rest := missing(slices.Compact(states), want[subject]); rest != "" {
			v.wrong("out of order: %s: told as %q, was %q", subject, states, want[subject])
		}
	}
	for subject, states := range seen {
		if lost := missing(slices.Compact(states), statesOf(told[subject])); lost != "" {
			v.wrong("lost: %s: the agent knew %q, told is %q", subject, states, statesOf(told[subject]))
		}
	}
	for subject, state := range last {
		story := statesOf(told[subject])
		end := ""
		if len(story) > 0 {
			end = story[len(story)-1]
		}
		if settled && end != state {
			v.wrong("lost: %s ends as %q, told is %q", subject, state, story)
		}
	}
	slices.Sort(v.Wrong)
	return v
}

// read takes in the lines and gives the story of each subject, each id once.
func (v *verdict) read(lines [][]byte) map[string][]change {
	told, bodies := map[string][]change{}, map[string][]byte{}
	for _, line := range lines {
		v.Events++
		var e sunk
		if err := json.Unmarshal(line, &e); err != nil || e.Metadata.UID == "" {
			v.wrong("no event: %.80q: %v", line, err)
			continue
		}
		if old, there := bodies[e.Metadata.UID]; there {
			v.Again++
			if !bytes.Equal(old, line) {
				v.wrong("one id for two: %s", e.Metadata.UID)
			}
			continue
		}
		bodies[e.Metadata.UID] = line
		switch {
		case len(e.Unmapped.Losses) > 0:
			v.wrong("the agent says that it lost something: %s", e.Unmapped.Losses)
		case e.Unmapped.Gap != nil:
			v.Gaps[e.Unmapped.Gap.Why]++
		case len(e.Unmapped.Snapshot) > 0:
		default:
			v.story(told, &e)
		}
	}
	v.Distinct = len(bodies)
	return told
}

// story adds an event to its subject's story.
func (v *verdict) story(told map[string][]change, e *sunk) {
	name := e.App.Name
	if e.Class == "Application Lifecycle" && strings.HasPrefix(name, "soak-") {
		subject, before := "package "+name, ""
		if story := told[subject]; len(story) > 0 {
			before = story[len(story)-1].state
		}
		if e.Activity == "Update" && e.Unmapped.Before != before {
			v.wrong("out of order: %s goes from %q to %q, and was %q", subject, e.Unmapped.Before, e.App.Version, before)
		} else if e.Activity == "Update" && e.App.Version == before {
			v.Retold++ // it was read while it was removed, and its file list was gone already
			return
		}
		state := e.App.Version
		if e.Activity == "Remove" {
			state = ""
		}
		told[subject] = append(told[subject], change{state, e.Metadata.UID})
		return
	}
	if len(e.Resources) == 0 {
		return
	}
	plant := plantName.FindString(e.Resources[0].Name)
	if plant == "" {
		return
	}
	subject := "plant " + plant
	switch e.Activity {
	case "Create":
		told[subject] = append(told[subject], change{"there", e.Metadata.UID})
	case "Close":
		told[subject] = append(told[subject], change{"", e.Metadata.UID})
	case "Update":
		if story := told[subject]; len(story) == 0 || story[len(story)-1].state == "" {
			v.wrong("out of order: an update of %s, which is not open", subject)
		}
	}
}

func statesOf(story []change) []string {
	out := make([]string, len(story))
	for i, c := range story {
		out[i] = c.state
	}
	return out
}

// missing gives the first of some that is not in all, in this order; quoted, "" when all are.
func missing(some, all []string) string {
	at := 0
	for _, s := range some {
		i := slices.Index(all[at:], s)
		if i < 0 {
			return fmt.Sprintf("%q", s)
		}
		at += i + 1
	}
	return ""
}
