package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// logLine is one line of the log: a scan about to be applied, one that was, or a delivery.
type logLine struct {
	Scan     int               `json:"scan,omitempty"`
	Findings map[string]string `json:"findings,omitempty"` // key -> content
	Whole    []string          `json:"whole,omitempty"`    // rules
	Packages map[string]string `json:"packages,omitempty"`
	Applied  int               `json:"applied,omitempty"`
	Got      *delivery         `json:"got,omitempty"`
}

type delivery struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Key  string `json:"key"`
	Scan int    `json:"scan"` // that found it
	Pad  string `json:"pad,omitempty"`
}

func readLog(r io.Reader) (lines []logLine, err error) {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		var l logLine
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, sc.Err()
}

// told is what happened to a subject, as it should arrive: once, in order.
type told struct {
	Kind string
	Scan int
}

// checkLog says what went wrong. It knows the rules (new: opened; changed: updated; gone
// under a whole verdict: resolved; the first inventory is not told) and reads the log.
func checkLog(lines []logLine) (wrong []string, events int) {
	applied := map[int]bool{}
	for _, l := range lines {
		switch {
		case l.Applied > 0:
			applied[l.Applied] = true
		case l.Got != nil:
			applied[l.Got.Scan] = true // killed after it was kept, before that was written down
		}
	}
	want := map[string][]told{}
	open, installed := map[string]string{}, map[string]string(nil)
	for _, l := range lines {
		if l.Scan == 0 || !applied[l.Scan] {
			continue
		}
		diff(want, l.Scan, open, l.Findings, [3]string{"opened", "updated", "resolved"}, func(key string) bool { return slices.Contains(l.Whole, ruleOf(key)) })
		if installed == nil {
			installed = map[string]string{}
			diff(map[string][]told{}, l.Scan, installed, l.Packages, [3]string{}, nil)
		} else {
			diff(want, l.Scan, installed, l.Packages, [3]string{"package_added", "package_updated", "package_removed"}, func(string) bool { return true })
		}
	}

	got := map[string][]told{}
	byID, byEvent := map[string]string{}, map[string]string{}
	for _, l := range lines {
		if l.Got == nil {
			continue
		}
		name := fmt.Sprintf("%s of %s in scan %d", l.Got.Kind, l.Got.Key, l.Got.Scan)
		if other, ok := byEvent[name]; ok && other != l.Got.ID {
			wrong = append(wrong, fmt.Sprintf("two ids: %s came as %s and as %s", name, other, l.Got.ID))
		}
		if other, ok := byID[l.Got.ID]; ok && other != name {
			wrong = append(wrong, fmt.Sprintf("one id for two: %s is %s and %s", l.Got.ID, other, name))
		}
		if byEvent[name] == "" {
			got[l.Got.Key] = append(got[l.Got.Key], told{l.Got.Kind, l.Got.Scan})
		}
		byEvent[name], byID[l.Got.ID] = l.Got.ID, name
	}
	for key, list := range want {
		events += len(list)
		for _, ev := range list {
			if !slices.Contains(got[key], ev) {
				wrong = append(wrong, fmt.Sprintf("lost: %s of %s in scan %d", ev.Kind, key, ev.Scan))
			}
		}
	}
	for key, list := range got {
		for _, ev := range list {
			if !slices.Contains(want[key], ev) {
				wrong = append(wrong, fmt.Sprintf("told for nothing: %s of %s in scan %d", ev.Kind, key, ev.Scan))
			}
		}
		if !slices.IsSortedFunc(list, func(a, b told) int { return a.Scan - b.Scan }) {
			wrong = append(wrong, fmt.Sprintf("out of order: %s: %v", key, list))
		}
	}
	slices.Sort(wrong)
	return wrong, events
}

func diff(want map[string][]told, scan int, known, now map[string]string, kind [3]string, gone func(string) bool) {
	for key, content := range now {
		was, ok := known[key]
		known[key] = content
		switch {
		case !ok:
			want[key] = append(want[key], told{kind[0], scan})
		case was != content:
			want[key] = append(want[key], told{kind[1], scan})
		}
	}
	for key := range known {
		if _, here := now[key]; !here && gone(key) {
			delete(known, key)
			want[key] = append(want[key], told{kind[2], scan})
		}
	}
}
