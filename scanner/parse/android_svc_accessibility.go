package parse

import (
	"strconv"
	"strings"
)

// AccessibilityUser is the state of accessibility for one user. That a service is installed,
// that the user enabled it, and that it runs (is bound) are three things.
type AccessibilityUser struct {
	User      int
	Installed []string       // components, package/class
	Enabled   []string       // components
	Binding   []string       // components that are being started
	Crashed   []string       // components
	Bound     []BoundService // those that run
	Line      int            // 1-based
}

// BoundService is a running accessibility service. Android prints its label, not its component.
type BoundService struct {
	Label        string
	Component    string // package/class when the release prints it
	Capabilities int    // android.accessibilityservice.AccessibilityServiceInfo.CAPABILITY_*, -1 when not printed
	ReadsWindows bool   // may read what is on the screen
	Gestures     bool   // may touch for the user
	FiltersKeys  bool   // sees what is typed on keys
}

// The capabilities, from android.accessibilityservice.AccessibilityServiceInfo.
const (
	capReadWindows = 1
	capFilterKeys  = 8
	capGestures    = 32
)

// Accessibility reads dumpsys accessibility of Android 4.2 to 16. Up to 9 it prints only the
// services that are bound (services:{...}); later ones print bound, enabled, binding and
// crashed ones; some print a numbered list of installed ones.
func Accessibility(b []byte) ([]AccessibilityUser, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var p accessibilityReader
	serviceText(b, p.line)
	p.block("}") // one that the output was cut in
	if !p.header && len(p.users) == 0 {
		return nil, ErrOtherFormat
	}
	return p.users, nil
}

type accessibilityReader struct {
	users  []AccessibilityUser
	header bool
	name   string // of the list being read; empty for none
	body   strings.Builder
	depth  int
}

// maxAccessibilityList bounds the text of one list of services.
const maxAccessibilityList = 256 << 10

func (p *accessibilityReader) line(n int, line string) {
	text := strings.TrimSpace(line)
	if p.name != "" {
		p.block(" " + text)
		return
	}
	if strings.HasPrefix(text, "ACCESSIBILITY MANAGER") {
		p.header = true
	}
	if at := strings.Index(text, "attributes:{id="); at >= 0 || strings.HasPrefix(text, "User state[") {
		if at >= 0 {
			digits := text[at+len("attributes:{id="):]
			if end := strings.IndexAny(digits, ",}"); end >= 0 {
				digits = digits[:end]
			}
			if user, err := strconv.Atoi(digits); err == nil {
				p.users = append(p.users, AccessibilityUser{User: user, Line: n})
			}
		}
		return
	}
	for _, list := range []string{"bound services", "enabled services", "binding services", "crashed services", "installed services", "services"} {
		rest, ok := cutFold(text, list)
		if !ok {
			continue
		}
		if rest = strings.TrimLeft(rest, " :"); strings.HasPrefix(rest, "{") {
			p.name, p.depth = list, 0
			p.block(rest)
		}
		return
	}
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// block takes text of the list being read until its brace is closed.
func (p *accessibilityReader) block(text string) {
	if p.name == "" {
		return
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			p.depth++
		case '}':
			p.depth--
		}
		if p.body.Len() < maxAccessibilityList {
			p.body.WriteByte(text[i])
		}
		if p.depth <= 0 {
			break
		}
	}
	if p.depth > 0 {
		p.body.WriteByte('\n')
		return
	}
	if p.depth <= 0 {
		p.store(p.body.String())
	}
	p.name = ""
	p.body.Reset()
}

func (p *accessibilityReader) store(body string) {
	if len(p.users) == 0 {
		p.users = append(p.users, AccessibilityUser{})
	}
	u := &p.users[len(p.users)-1]
	switch p.name {
	case "bound services", "services":
		u.Bound = boundServices(body)
	case "enabled services":
		u.Enabled = components(body)
	case "binding services":
		u.Binding = components(body)
	case "crashed services":
		u.Crashed = components(body)
	case "installed services":
		u.Installed = components(body)
	}
}

// components gives every component in a list, whatever stands between them.
func components(body string) (found []string) {
	for _, word := range strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune("{}, \n\t", r) }) {
		if c, ok := flatComponent(word); ok {
			found = append(found, c)
		}
	}
	return found
}

func boundServices(body string) (bound []BoundService) {
	for i, part := range strings.Split(body, "Service[") {
		if i == 0 {
			continue
		}
		s := BoundService{Capabilities: -1}
		s.Label, _ = between(part, "label=", ", ")
		s.Label = clip(strings.TrimSpace(s.Label), 200)
		if n, err := strconv.Atoi(valueOf(part, "capabilities")); err == nil {
			s.Capabilities = n
			s.ReadsWindows, s.Gestures, s.FiltersKeys = n&capReadWindows != 0, n&capGestures != 0, n&capFilterKeys != 0
		}
		if valueOf(part, "canRetrieveScreenContent") == "true" {
			s.ReadsWindows = true
		}
		for _, key := range []string{"id", "component", "componentName"} {
			if c, ok := flatComponent(valueOf(part, key)); ok {
				s.Component = c
			}
		}
		bound = append(bound, s)
	}
	if len(bound) == 0 { // some releases print bound services as components
		for _, c := range components(body) {
			bound = append(bound, BoundService{Component: c, Capabilities: -1})
		}
	}
	return bound
}
