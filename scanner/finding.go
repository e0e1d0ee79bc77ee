package scanner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
)

// Severity grades a rule or a finding, in ascending order.
type Severity uint8

// The severities. Informational never moves the threat level.
const (
	Informational Severity = iota + 1
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"", "info", "low", "medium", "high", "critical"}

func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return ""
}

// MarshalText writes the lower-case name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a lower-case name.
func (s *Severity) UnmarshalText(b []byte) error {
	for i, n := range severityNames {
		if i > 0 && n == string(b) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("severity %q is none of info, low, medium, high, critical", b)
}

// Outcome of a rule on a device. The zero value is Unknown: what was not looked at is never
// healthy and never resolves a finding.
type Outcome uint8

// The outcomes.
const (
	Unknown Outcome = iota
	Passed
	Failed
	NotApplicable
)

func (o Outcome) String() string {
	return [...]string{"unknown", "passed", "failed", "not_applicable"}[o&3]
}

// MarshalText writes the lower-case name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a lower-case name.
func (o *Outcome) UnmarshalText(b []byte) error {
	for c := Unknown; c <= NotApplicable; c++ {
		if c.String() == string(b) {
			*o = c
			return nil
		}
	}
	return fmt.Errorf("outcome %q is none of unknown, passed, failed, not_applicable", b)
}

// Level is a device's threat level, as device-management services expect it.
type Level uint8

// The levels, ascending. Unjudged is the zero value: nothing was judged, so nothing is said.
const (
	Unjudged Level = iota
	Secured
	LevelLow
	LevelMedium
	LevelHigh
)

var levelNames = [...]string{"Unknown", "Secured", "Low", "Medium", "High"}

func (l Level) String() string { return levelNames[l] }

// MarshalText writes the name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a name in any case.
func (l *Level) UnmarshalText(b []byte) error {
	for i, n := range levelNames {
		if strings.EqualFold(n, string(b)) {
			*l = Level(i)
			return nil
		}
	}
	return fmt.Errorf("level %q is none of secured, low, medium, high", b)
}

// Levels are the least severities that make a device's level Low, Medium and High. The zero
// value stands for those of the same names.
type Levels struct {
	Low    Severity `json:"low"`
	Medium Severity `json:"medium"`
	High   Severity `json:"high"`
}

// of is the level that a severity stands for.
func (by Levels) of(s Severity) Level {
	if by == (Levels{}) {
		by = Levels{Low, Medium, High}
	}
	switch {
	case s >= by.High:
		return LevelHigh
	case s >= by.Medium:
		return LevelMedium
	case s >= by.Low:
		return LevelLow
	}
	return Secured
}

// Subject is what a finding is about.
type Subject struct {
	Kind string `json:"kind"` // account, file, process, package, network, ...
	Name string `json:"name"`
}

// Evidence is one piece of what shows a finding.
type Evidence struct {
	// Source names where it was read: "path", "path:line" or a probe.
	Source string `json:"source"`
	// Fields are the columns that tell, by name.
	Fields map[string]string `json:"fields,omitempty"`
}

// Finding is one problem of one subject.
type Finding struct {
	// Key identifies the problem over time: the same rule and subject give the same key.
	Key      string   `json:"key"`
	Rule     string   `json:"rule"`
	Title    string   `json:"title"`
	Category string   `json:"category"`
	Severity Severity `json:"severity"`
	// FalsePositives is the rule's risk of being wrong: low, medium or high. A high risk
	// never moves the level alone.
	FalsePositives string     `json:"false_positive_risk"`
	Subject        Subject    `json:"subject"`
	Evidence       []Evidence `json:"evidence"`
	// MoreEvidence counts pieces left out of Evidence.
	MoreEvidence int    `json:"more_evidence,omitempty"`
	Means        string `json:"means"`
	Fix          string `json:"fix"`
	// Words are what the texts above have in the place of their rule's {columns}, by what stands
	// between the braces: the texts in other languages need them.
	Words  map[string]string `json:"words,omitempty"`
	Attack []string          `json:"attack,omitempty"`
	// Discreet findings must not be shown where others may see them: in notifications or on the
	// lock screen. Who watches the person may be near, and must not learn of it first.
	Discreet bool `json:"discreet,omitempty"`
	// Absorbed are findings of other rules that have the same cause and are told here.
	Absorbed []Absorbed `json:"absorbed,omitempty"`
	// Policy is what the organisation's policy made of the finding; nil for nothing.
	Policy *PolicyNote `json:"policy,omitempty"`
	// Paths are the files that the finding concerns; absorption goes by them.
	Paths []string `json:"-"`
}

// PolicyNote says that a policy changed how a finding counts.
type PolicyNote struct {
	// Accepted findings stay visible and do not move the level.
	Accepted bool `json:"accepted,omitempty"`
	// Was is the severity before the policy changed it.
	Was     Severity `json:"was,omitzero"`
	Why     string   `json:"why"`
	Expires string   `json:"expires,omitempty"` // the last day, YYYY-MM-DD; "" for none
}

// counts reports whether a finding may move the level.
func (f *Finding) counts() bool {
	return f.FalsePositives != "high" && (f.Policy == nil || !f.Policy.Accepted)
}

// Absorbed names a finding that another one accounts for.
type Absorbed struct {
	Rule    string  `json:"rule"`
	Subject Subject `json:"subject"`
}

// FindingKey is the identity of a finding: 16 bytes in hex of a hash of rule and subject.
func FindingKey(rule string, s Subject) string {
	h := sha256.Sum256([]byte(rule + "\x00" + s.Kind + "\x00" + s.Name))
	return hex.EncodeToString(h[:16])
}

// Coverage is what became of one rule.
type Coverage struct {
	Rule    string  `json:"rule"`
	Title   string  `json:"title"`
	Outcome Outcome `json:"outcome"`
	// Why is set for unknown and not applicable, and for failed rules part of whose table
	// could not be read.
	Why string `json:"why,omitempty"`
	// ToldUnder names rules whose findings account for some of this one's, which are told there.
	ToldUnder []string `json:"told_under,omitempty"`
	// Findings counts what was found.
	Findings int `json:"findings,omitempty"`
}

// Verdict is what a rule set makes of the facts.
type Verdict struct {
	Findings []Finding
	Coverage []Coverage
	Levels   Levels
}

// Level gives the threat level of findings and the keys of those that set it.
func (by Levels) Level(fs []Finding) (Level, []string) {
	l := Secured
	for i := range fs {
		if fs[i].counts() {
			l = max(l, by.of(fs[i].Severity))
		}
	}
	var keys []string
	for i := range fs {
		if l > Secured && fs[i].counts() && by.of(fs[i].Severity) == l {
			keys = append(keys, fs[i].Key)
		}
	}
	return l, keys
}

// sortFindings puts the gravest first, then by category, rule and subject.
func sortFindings(fs []Finding) {
	sort.SliceStable(fs, func(i, j int) bool {
		a, b := &fs[i], &fs[j]
		switch {
		case a.Severity != b.Severity:
			return a.Severity > b.Severity
		case a.Rule != b.Rule:
			return a.Rule < b.Rule
		case a.Subject.Kind != b.Subject.Kind:
			return a.Subject.Kind < b.Subject.Kind
		}
		return a.Subject.Name < b.Subject.Name
	})
}
