package parse

import "strings"

// TrustAgent is an app that may keep the device unlocked.
type TrustAgent struct {
	User      int
	Component string
	Bound     bool
	Managing  bool // decides now
	Trusted   bool // says now that the lock need not ask
	Line      int  // 1-based
}

// TrustAgents reads the enabled agents in dumpsys trust of Android 5 to 16.
func TrustAgents(b []byte) ([]TrustAgent, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []TrustAgent
	user, known, agents := -1, false, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "Trust manager state"):
			known = true
		case strings.HasPrefix(text, "User ") && strings.Contains(text, "(id="):
			agents = false
			user, _ = leadingInt(text[strings.LastIndex(text, "(id=")+len("(id="):])
		case strings.HasPrefix(text, "Enabled agents"):
			agents = user >= 0
		case strings.HasSuffix(text, ":"):
			agents = false
		case !agents:
		default:
			if c, ok := flatComponent(text); ok && len(all) < 4096 {
				all = append(all, TrustAgent{User: user, Component: c, Line: n})
			} else if strings.HasPrefix(text, "bound=") && len(all) > 0 {
				a := &all[len(all)-1]
				a.Bound, a.Managing, a.Trusted = valueOf(text, "bound") == "1", valueOf(text, "managingTrust") == "1", valueOf(text, "trusted") == "1"
			}
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
