package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// Snap is one installed snap as snapd's state.json knows it.
type Snap struct {
	Name     string // instance name
	Type     string // app, os, kernel, gadget, base, snapd
	Revision string // of the current one
	SnapID   string // "" when it did not come from the store
	Channel  string
	Active   bool
}

// SnapState reads /var/lib/snapd/state.json: the snaps, by name. With an error, which names the
// offset, it gives what could be read.
func SnapState(b []byte) ([]Snap, error) {
	type side struct {
		SnapID   string `json:"snap-id"`
		Revision string `json:"revision"`
		Channel  string `json:"channel"`
	}
	var state struct {
		Data struct {
			Snaps map[string]struct {
				Type     string `json:"type"`
				Sequence []side `json:"sequence"`
				Active   bool   `json:"active"`
				Current  string `json:"current"`
				Channel  string `json:"channel"`
				Tracking string `json:"tracking-channel"`
			} `json:"snaps"`
		} `json:"data"`
	}
	err := json.Unmarshal(b, &state)
	if err != nil {
		err = jsonError(err)
	}
	var out []Snap
	for name, s := range state.Data.Snaps {
		snap := Snap{Name: name, Type: s.Type, Revision: s.Current, Channel: s.Tracking, Active: s.Active}
		for _, r := range s.Sequence {
			if r.Revision == s.Current {
				snap.SnapID = r.SnapID
				snap.Channel = firstOf(snap.Channel, s.Channel, r.Channel)
			}
		}
		out = append(out, snap)
	}
	slices.SortFunc(out, func(a, b Snap) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// jsonError gives an error of encoding/json its offset.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return &Error{Offset: syntax.Offset, Msg: err.Error()}
	case errors.As(err, &kind):
		return &Error{Offset: kind.Offset, Msg: err.Error()}
	}
	return &Error{Msg: err.Error()}
}

// SnapYAML is what a snap's meta/snap.yaml says of it.
type SnapYAML struct{ Name, Version, Summary, Arch string }

// ParseSnapYAML reads the plain and quoted values of the top level of a snap.yaml; it is no
// YAML reader. Of several architectures the first counts.
func ParseSnapYAML(b []byte) SnapYAML {
	var y SnapYAML
	inArch := false
	eachLine(b, func(text []byte, _ int) bool {
		if inArch {
			item, isItem := bytes.CutPrefix(bytes.TrimSpace(text), []byte("- "))
			if isItem {
				y.Arch, inArch = yamlScalar(item), false
				return true
			}
		}
		key, value, ok := bytes.Cut(text, []byte{':'})
		if !ok || len(key) == 0 || blank(key[0]) || key[0] == '#' {
			return true
		}
		inArch = false
		switch string(key) {
		case "name":
			y.Name = yamlScalar(value)
		case "version":
			y.Version = yamlScalar(value)
		case "summary":
			y.Summary = yamlScalar(value)
		case "architectures":
			list := bytes.Trim(bytes.TrimSpace(value), "[]")
			first, _, _ := bytes.Cut(list, []byte{','})
			y.Arch = yamlScalar(first)
			inArch = y.Arch == ""
		}
		return true
	})
	return y
}

// yamlScalar takes blanks, quotes and a comment off a value.
func yamlScalar(value []byte) string {
	s := strings.TrimSpace(string(bytes.ToValidUTF8(value, []byte("\uFFFD"))))
	switch {
	case s == "" || s[0] == '|' || s[0] == '>':
		return ""
	case s[0] == '\'' || s[0] == '"':
		quote := s[:1]
		if i := strings.LastIndex(s[1:], quote); i >= 0 {
			s = s[1 : 1+i]
		}
		if quote == "'" {
			return strings.ReplaceAll(s, "''", "'")
		}
		return s
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s
}

// AssertionHeader gives a header's value of an assertion in snapd's form: "key: value" lines
// that end with an empty one. It is "" when there is none.
func AssertionHeader(b []byte, key string) string {
	found := ""
	eachLine(b, func(text []byte, _ int) bool {
		k, v, ok := bytes.Cut(text, []byte(": "))
		if ok && string(k) == key {
			found = string(bytes.ToValidUTF8(v, []byte("\uFFFD")))
		}
		return found == "" && len(text) > 0
	})
	return found
}
