package agent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/store"
)

// sending is what may leave the device, by the policy. It is made for one transaction.
type sending struct {
	mode string
	// names are those of personal apps, the longest first.
	names []string
	// public are the names of all other packages that are installed.
	public map[string]bool
	salt   []byte
}

// notNamed stands for a personal app.
const notNamed = "(personal app)"

// personal reports whether a package is the person's own: on Android an app that did not come with
// the system and that no device owner's profile holds; elsewhere what a user installed for
// himself.
func personal(p *facts.Package) bool {
	if p.App != nil {
		return p.App.OnData && !p.App.Updated
	}
	return strings.HasPrefix(p.Scope, "user:")
}

// sendingBy makes what the mode needs. packages are those that are known.
func sendingBy(mode string, st *store.Store, packages []facts.Package) (sending, error) {
	s := sending{mode: mode, public: map[string]bool{}}
	if mode != sendNoPersonal {
		return s, nil
	}
	if packages == nil { // before the first scan since the start
		known, err := st.Packages()
		if err != nil {
			return s, err
		}
		for i := range known {
			if p, err := keptPackage(&known[i]); err == nil {
				packages = append(packages, *p)
			}
		}
	}
	s.tell(packages)
	var err error
	s.salt, err = privacySalt(st)
	return s, err
}

// tell holds the packages apart: what the personal ones are called, and the others.
func (s *sending) tell(packages []facts.Package) {
	for i := range packages {
		p := &packages[i]
		if !personal(p) {
			s.public[p.ID], s.public[p.Name] = true, true
			continue
		}
		for _, name := range []string{p.ID, p.Name} {
			if len(name) > 2 && !slices.Contains(s.names, name) {
				s.names = append(s.names, name)
			}
		}
	}
	slices.SortFunc(s.names, func(a, b string) int { return len(b) - len(a) })
}

// privacySalt is the device's own: with it the key of a finding does not tell what it is about to
// those who can guess.
func privacySalt(st *store.Store) ([]byte, error) {
	b, err := st.Recall(notesTable, "privacy_salt")
	if err != nil || len(b) > 0 {
		return b, err
	}
	salt := make([]byte, 32)
	rand.Read(salt) // never fails
	return salt, st.Remember(notesTable, "privacy_salt", salt, keepNotes)
}

// holdsPackage says that a package is not told.
func (s *sending) holdsPackage(p *facts.Package) bool {
	return s.mode == sendLevelOnly || s.mode == sendNoPersonal && p != nil && personal(p)
}

// finding gives what may be said of a finding; nil for nothing. Of one that is resolved no more is
// said than that: the app may be gone, and then nobody knows whose it was.
func (s *sending) finding(f *scanner.Finding, resolved bool) (*scanner.Finding, error) {
	switch s.mode {
	case sendLevelOnly:
		return nil, nil
	case sendNoPersonal:
	default:
		return f, nil
	}
	out := *f
	out.Key = s.keyOf(f.Key)
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("a finding that may not be sent whole: %w", err)
	}
	if !resolved && !s.foreign(f.Subject) && !s.mentions(string(body)) {
		return &out, nil
	}
	out.Subject.Name, out.Evidence, out.Absorbed = notNamed, nil, nil
	out.MoreEvidence = f.MoreEvidence + len(f.Evidence)
	hide := func(text string) string { return s.scrub(withoutWords(text, f)) }
	out.Title, out.Means, out.Fix = hide(f.Title), hide(f.Means), hide(f.Fix)
	if resolved {
		out.Means, out.Fix = "resolved", "nothing to do"
	}
	return &out, nil
}

// foreign reports whether a finding is about an app that is not known to be there, and so not whose
// it is: it was removed, and is still told until that is judged, or only its history is left.
func (s *sending) foreign(about scanner.Subject) bool {
	return (about.Kind == "app" || about.Kind == "package") && !s.public[about.Name]
}

// withoutWords takes out of a text what the finding has filled into it.
func withoutWords(text string, f *scanner.Finding) string {
	words := append(slices.Collect(maps.Values(f.Words)), f.Subject.Name)
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	for _, w := range words {
		if len(w) > 2 {
			text = strings.ReplaceAll(text, w, notNamed)
		}
	}
	return text
}

// commLen is what the kernel keeps of a process's name; Android gives it the end of the app's.
const commLen = 15

// mentions reports whether a text in JSON has the name of a personal app.
func (s *sending) mentions(text string) bool {
	return slices.ContainsFunc(s.names, func(n string) bool {
		escaped, err := json.Marshal(n)
		return err != nil || strings.Contains(text, string(escaped[1:len(escaped)-1])) ||
			len(n) > commLen && strings.Contains(text, `"`+n[len(n)-commLen:]+`"`)
	})
}

func (s *sending) scrub(text string) string {
	for _, n := range s.names {
		text = strings.ReplaceAll(text, n, notNamed)
	}
	return text
}

// device is what may be said of the device and its level.
func (s *sending) device(r *scanner.Report) report.DeviceState {
	switch s.mode {
	case sendLevelOnly:
		return report.DeviceState{Level: r.Level}
	case sendNoPersonal:
		out := report.DeviceState{Level: r.Level}
		for _, key := range r.SetBy {
			out.SetBy = append(out.SetBy, s.keyOf(key))
		}
		for _, c := range r.Coverage {
			c.Why = s.scrub(c.Why)
			out.Coverage = append(out.Coverage, c)
		}
		return out
	}
	return report.DeviceState{Level: r.Level, SetBy: r.SetBy, Coverage: r.Coverage}
}

// posture is what may be said of a level.
func (s *sending) posture(p report.Posture) report.Posture {
	if s.mode == sendLevelOnly {
		return report.Posture{Level: p.Level, Access: p.Access}
	}
	return p
}

// keyOf is the identity under which a finding is sent.
func (s *sending) keyOf(key string) string {
	if s.mode != sendNoPersonal {
		return key
	}
	mac := hmac.New(sha256.New, s.salt)
	mac.Write([]byte(key))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
