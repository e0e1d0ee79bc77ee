package agent

import (
	"fmt"
	"time"

	"picket/scanner"
)

// What the organisation's requirements come to.
const (
	accessOpen    = "open"
	accessWarned  = "warned"  // they are not met, and there is time left
	accessBlocked = "blocked" // and the time is over
	accessWiped   = "wiped"   // what comes after that
)

// Why requirements are not met.
const (
	reasonLevel   = "level"   // the level is above the policy's
	reasonUnknown = "unknown" // no level is known
	reasonStale   = "stale"   // the last whole scan is too old
	reasonOffline = "offline" // nobody upstream has been reached for too long
	reasonPolicy  = "policy"  // what they are cannot be read
)

// Posture says whether the device meets its organisation's requirements, and why. It is what
// `picket posture`, the local API and the hooks give.
type Posture struct {
	State        string           `json:"state"` // open, warned, blocked; "" without a policy
	Level        scanner.Level    `json:"level"`
	MaxLevel     string           `json:"max_level,omitempty"` // the policy's; absent where any will do
	Reasons      []PostureReason  `json:"reasons"`             // why the requirements are not met
	Findings     []PostureFinding `json:"findings"`            // those that set the level, the first 50
	NotChecked   int              `json:"not_checked"`         // rules that the last scan could not judge
	Scanned      *time.Time       `json:"scanned,omitempty"`   // begin of the last whole scan
	Age          *int64           `json:"age_seconds,omitempty"`
	Expires      *time.Time       `json:"expires,omitempty"` // when that scan is too old
	Since        *time.Time       `json:"since,omitempty"`   // since when the requirements are not met
	Next         string           `json:"next,omitempty"`    // blocked, wiped: what comes if nothing changes
	At           *time.Time       `json:"at,omitempty"`      // and when
	WipeDue      bool             `json:"wipe_due,omitempty"`
	Organisation string           `json:"organisation,omitempty"`
	Support      string           `json:"support,omitempty"`
}

// PostureReason is one reason, for programs and for people.
type PostureReason struct {
	Code string `json:"code"` // level, unknown, stale, offline, policy
	Text string `json:"text"`
}

// PostureFinding is a finding that sets the level.
type PostureFinding struct {
	Key      string           `json:"key"`
	Rule     string           `json:"rule"`
	Title    string           `json:"title"`
	Severity scanner.Severity `json:"severity"`
	// Unchecked says that it was found earlier, and could not be looked at again.
	Unchecked bool `json:"unchecked,omitempty"`
}

const postureFindings = 50

// instant is a moment, and in which boot it is.
type instant struct {
	wall time.Time
	up   time.Duration // since boot, with sleep
	boot string
}

// span measures a time that goes on over restarts. Within one boot it goes by the time since
// boot, which nobody can set. Over a restart of the device the wall clock counts, but never for
// less than the device is on again.
type span struct {
	Passed time.Duration `json:"passed"` // until the mark
	Boot   string        `json:"boot"`   // the mark
	Up     time.Duration `json:"up"`
	Wall   time.Time     `json:"wall"`
}

func begin(now instant) *span { return &span{0, now.boot, now.up, now.wall} }

func (s *span) length(now instant) time.Duration {
	if s.Boot == now.boot && now.up >= s.Up {
		return s.Passed + now.up - s.Up
	}
	return s.Passed + max(now.wall.Sub(s.Wall), now.up)
}

// marked is the same span with its mark now.
func (s *span) marked(now instant) *span {
	if s == nil {
		return nil
	}
	return &span{s.length(now), now.boot, now.up, now.wall}
}

// standing is what posture is made from. The store keeps it.
type standing struct {
	Level   scanner.Level `json:"level"`             // of the last judgement
	Scanned *span         `json:"scanned,omitempty"` // since the begin of the last whole scan
	Contact *span         `json:"contact,omitempty"` // since somebody upstream was reached
	Bad     *span         `json:"bad,omitempty"`     // since the requirements are not met
	Since   time.Time     `json:"since,omitzero"`    // when that began, for people

	lost bool // the policy that asks cannot be read
}

// reasons says why a policy's requirements are not met, and after which time more of them will not be.
func (s *standing) reasons(p PolicyPosture, now instant) (out []PostureReason, next time.Duration) {
	next = forever
	add := func(code, format string, args ...any) {
		out = append(out, PostureReason{code, fmt.Sprintf(format, args...)})
	}
	if most := p.level(); most < scanner.LevelHigh {
		switch {
		case s.Level == scanner.Unjudged:
			add(reasonUnknown, "no scan has judged this device yet")
		case s.Level > most:
			add(reasonLevel, "the threat level is %s, and %s is allowed", s.Level, most)
		}
		if s.Scanned != nil {
			if left := p.MaxAge - s.Scanned.length(now); left > 0 {
				next = min(next, left)
			} else {
				add(reasonStale, "the last whole scan is older than %s", formatDuration(p.MaxAge))
			}
		} else if s.Level != scanner.Unjudged {
			add(reasonUnknown, "no whole scan is known")
		}
	}
	if p.Offline > 0 && s.Contact != nil {
		if left := p.Offline - s.Contact.length(now); left > 0 {
			next = min(next, left)
		} else {
			add(reasonOffline, "the organisation has not been reached for %s", formatDuration(p.Offline))
		}
	}
	return out, next
}

// judge gives the posture now, and after which time it will be another if nothing happens. It
// notes when the requirements began not to be met, and that they are again.
func (s *standing) judge(p *Policy, now instant) (Posture, time.Duration) {
	out := Posture{Level: s.Level, Reasons: []PostureReason{}, Findings: []PostureFinding{}}
	if s.Scanned != nil {
		age := s.Scanned.length(now)
		at, seconds := noted(now.wall.Add(-age)), int64(age/time.Second)
		out.Scanned, out.Age = &at, &seconds
	}
	if p == nil {
		s.Bad, s.Since = nil, time.Time{}
		return out, forever
	}
	if s.Contact == nil {
		s.Contact = begin(now) // nobody knows better
	}
	want := p.Posture
	if want.level() < scanner.LevelHigh {
		out.MaxLevel = want.level().String()
		if out.Scanned != nil {
			end := out.Scanned.Add(want.MaxAge)
			out.Expires = &end
		}
	}
	out.Organisation, out.Support = p.Organisation.Name, p.Organisation.support()
	why, next := s.reasons(want, now)
	if s.lost {
		why = append(why, PostureReason{reasonPolicy, "the organisation's policy on this device cannot be read; it is fetched again with the next look for updates"})
	}
	if len(why) == 0 {
		s.Bad, s.Since = nil, time.Time{}
		out.State = accessOpen
		return out, next
	}
	if s.Bad == nil {
		s.Bad, s.Since = begin(now), noted(now.wall)
	}
	since, passed := s.Since, s.Bad.length(now)
	out.Reasons, out.Since = why, &since
	then := func(what string, left time.Duration) {
		at := noted(now.wall.Add(left))
		out.Next, out.At, next = what, &at, min(next, left)
	}
	if left := want.BlockAfter - passed; left > 0 {
		out.State = accessWarned
		then(accessBlocked, left)
		return out, next
	}
	out.State = accessBlocked
	if p.Responses.Wipe {
		if left := want.BlockAfter + want.WipeAfter - passed; left > 0 {
			then(accessWiped, left)
		} else {
			out.WipeDue = true
		}
	}
	return out, next
}

// level is the highest that meets the requirements.
func (p PolicyPosture) level() scanner.Level {
	var l scanner.Level
	_ = l.UnmarshalText([]byte(p.MaxLevel)) // checked when it was read
	return l
}

// support is whom to ask, in one line.
func (o PolicyOrganisation) support() string {
	for _, text := range []string{o.URL, o.Email, o.Phone} {
		if text != "" {
			return text
		}
	}
	return ""
}
