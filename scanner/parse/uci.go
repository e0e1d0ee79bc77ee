package parse

import "strings"

// UCISection is one section of an OpenWrt configuration file (/etc/config).
type UCISection struct {
	Type, Name string
	Options    map[string][]string // option has one value, list any number
	Line       int                 // 1-based
}

// Get gives the value of an option, or "".
func (s UCISection) Get(option string) string {
	if v := s.Options[option]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// On reports whether a boolean option is set.
func (s UCISection) On(option string) bool {
	switch s.Get(option) {
	case "1", "on", "true", "yes", "enabled":
		return true
	}
	return false
}

// UCI reads an OpenWrt configuration file: config TYPE [NAME], option KEY VALUE, list KEY VALUE.
func UCI(b []byte) []UCISection {
	var out []UCISection
	for _, d := range Directives(b) {
		switch d.Words[0] {
		case "config":
			out = append(out, UCISection{Type: d.Arg(0), Name: d.Arg(1), Options: map[string][]string{}, Line: d.Line})
		case "option", "list":
			if len(out) == 0 || len(d.Words) < 3 {
				continue
			}
			o := out[len(out)-1].Options
			if d.Words[0] == "option" {
				o[d.Words[1]] = []string{d.Words[2]}
			} else {
				o[d.Words[1]] = append(o[d.Words[1]], strings.Join(d.Words[2:], " "))
			}
		}
	}
	return out
}
