package page

import (
	"context"
	"time"

	"picket/scanner"
)

// Source is what the page asks of the agent. Each may be called from several goroutines at once.
type Source struct {
	// View is the device as it is known now.
	View func(context.Context) (*View, error)
	// Apps are the installed ones, by name.
	Apps func(context.Context) ([]App, error)
	// Events are what the organisation has been sent last and what waits, newest first, n of each at most.
	Events func(ctx context.Context, n int) (sent, waiting []Event, err error)
	// Check has all looked at again that decides about a finding, or the whole device for "", and returns when
	// that is done.
	Check func(ctx context.Context, key string) error
	// Text says a finding in a language; false where that cannot be.
	Text func(language string, f *scanner.Finding) (title, means, fix string, ok bool)
	// Title says what a rule looks for, in a language; false where that cannot be.
	Title func(language, rule string) (title string, ok bool)
}

// View is what the page shows of the device.
type View struct {
	Device  string // its name and system
	Level   scanner.Level
	SetBy   []string  // keys of the findings that set the level
	Scanned time.Time // end of the last whole scan; zero before the first
	// Access is what the organisation's requirements come to.
	Access     Access
	Threats    []Threat
	NotChecked []NotChecked
	Networks   []Network
	Member     Membership
	Delivery   Delivery
	Warnings   []Warning
}

// Access says whether the device may reach protected work.
type Access struct {
	State   string    // open, warned, blocked, wiped; "" where no policy says
	Reasons []string  // keys of the findings that set it
	Why     []string  // and what else does: unknown, stale, offline, policy
	Next    string    // what comes next if nothing changes: blocked, wiped
	At      time.Time // and when
}

// Threat is an open finding.
type Threat struct {
	scanner.Finding
	Since        time.Time
	IgnoredUntil time.Time // zero when it counts
	IgnoredWhy   string
}

// NotChecked is a rule without a verdict.
type NotChecked struct{ Rule, Title, Why string }

// Network is one that the device is on, with what is known of it.
type Network struct {
	Name  string
	Facts []Fact
}

// Fact is something known of a network. Name is the last part of a text's name, network.NAME. Where Word is set,
// Value may be one too.
type Fact struct {
	Name, Value string
	Word        bool
}

// Membership says whose the device is in the fleet.
type Membership struct {
	Enrolled                                bool
	Organisation, Account, Support, Subject string
	Until                                   time.Time // of its certificate
}

// Delivery says what the organisation has of what was found.
type Delivery struct {
	Kept    bool // nobody takes it from this device
	Waiting uint64
	Oldest  time.Time // of those that wait
	Trouble string    // why they are not taken, "" when they are
	Where   string    // the upstream, or the file where there is none
}

// Warning is something that keeps the agent from its work. A text named warning.CODE says it in plain
// words; Text and Fix are the agent's own, in English.
type Warning struct{ Code, Text, Fix string }

// App is an installed app or package. Sizes are bytes, -1 when not known.
type App struct {
	Name, ID, Version, ShortVersion, From string
	BundleSize, DynamicSize               int64
}

// Event is one that was or will be sent, as it is.
type Event struct {
	At   time.Time
	Body string
}
