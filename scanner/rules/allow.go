package rules

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// AllowEntry is one line of an allow list: findings of a rule that the owner of the device
// accepts, with the reason and, at will, a last day.
type AllowEntry struct {
	Rule    string            `yaml:"rule"`
	Match   map[string]string `yaml:"match"` // column -> value; * stands for any run of bytes
	Why     string            `yaml:"why"`
	Expires string            `yaml:"expires"` // YYYY-MM-DD, or empty
}

// WithAllow gives the set with an allow list: a YAML sequence of AllowEntry.
func (s *Set) WithAllow(name string, src []byte) (*Set, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(src)).Decode(&doc); err == io.EOF {
		return s, nil
	} else if err != nil {
		return nil, yamlError(name, err)
	}
	root := doc.Content[0]
	if err := checkKeys(root, reflect.TypeFor[[]AllowEntry]()); err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	var entries []AllowEntry
	if err := root.Decode(&entries); err != nil {
		return nil, yamlError(name, err)
	}
	for i, e := range entries {
		if err := s.checkAllow(e, root.Content[i]); err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
	}
	out := s.with(s.rules)
	out.allow = slices.Concat(s.allow, entries)
	return out, nil
}

func (s *Set) checkAllow(e AllowEntry, n *yaml.Node) error {
	variants := s.Rule(e.Rule)
	switch {
	case len(variants) == 0:
		return errAt(n, "no rule %q%s", e.Rule, DidYouMean(e.Rule, s.IDs()))
	case len(e.Match) == 0:
		return errAt(n, "an entry without match would switch the whole rule off")
	case strings.TrimSpace(e.Why) == "":
		return errAt(n, "why is this allowed? (key why)")
	}
	for col := range e.Match {
		if r := variants[0]; !slices.ContainsFunc(variants, func(v *Rule) bool { return v.has(col) }) {
			return errAt(n, "table %s has no column %q%s", r.Table, col, DidYouMean(col, r.row.names))
		}
	}
	if e.Expires != "" {
		if _, err := time.Parse(time.DateOnly, e.Expires); err != nil {
			return errAt(n, "expires %q is no date like 2027-01-31", e.Expires)
		}
	}
	return nil
}

// allowed reports whether the owner's list accepts the row at the reference time.
func (s *Set) allowed(r *Rule, row reflect.Value, ref time.Time) bool {
	for _, e := range s.allow {
		if e.Rule != r.ID || e.Expires != "" && ref.UTC().Format(time.DateOnly) > e.Expires {
			continue
		}
		if r.matches(e.Match, row) {
			return true
		}
	}
	return false
}

// allowed reports whether the rule's own list accepts the row.
func (r *Rule) allowed(row reflect.Value) bool {
	for _, a := range r.Allow {
		if r.matches(a.Match, row) {
			return true
		}
	}
	return false
}

func (r *Rule) has(column string) bool {
	_, ok := r.row.columns[column]
	return ok
}

func (r *Rule) matches(want map[string]string, row reflect.Value) bool {
	for col, pattern := range want {
		if !r.has(col) { // the entry is for the rule's form on another platform
			return false
		}
		if !wildcard(pattern, r.row.value(row, col)) {
			return false
		}
	}
	return true
}

// wildcard matches s with a pattern in which * stands for any run of bytes.
func wildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return s == pattern
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
