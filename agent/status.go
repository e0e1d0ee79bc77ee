package agent

import (
	"time"

	"picket/scanner"
)

// Status is the agent in numbers, as the local API and `picket status` give it.
type Status struct {
	Version    string     `json:"version"`
	PID        int        `json:"pid"`
	Since      time.Time  `json:"since"` // start of this process
	Config     ConfigUse  `json:"config"`
	Privileges Privileges `json:"privileges"`
	// Device as the last whole scan saw it; nil before the first.
	Device *scanner.DeviceInfo `json:"device,omitempty"`
	// Level is that of the open findings; unjudged before the first scan.
	Level scanner.Level `json:"level"`
	// Access is the state of the posture; "" without a policy.
	Access   string         `json:"access,omitempty"`
	Findings map[string]int `json:"findings"` // open, by severity
	Ignored  int            `json:"ignored"`  // of them, set aside for a time
	// NotChecked counts the rules that the last whole scan could not judge.
	NotChecked int            `json:"not_checked"`
	LastScan   *scanSummary   `json:"last_scan,omitempty"` // whole; nil before the first
	NextScan   *time.Time     `json:"next_scan,omitempty"` // nil while one runs
	Packages   InventoryState `json:"packages"`
	Enrolment  EnrolmentState `json:"enrolment"`
	Updates    UpdateState    `json:"updates"`
	Responses  ResponseState  `json:"responses"`
	Send       string         `json:"send"` // what leaves the device: full, no-personal-apps, level-only
	Outbox     OutboxState    `json:"outbox"`
	Store      StoreState     `json:"store"`
	Warnings   []Warning      `json:"warnings"`
	Own        OwnUse         `json:"own"`
}

// ConfigUse says which configuration is in force.
type ConfigUse struct {
	File string `json:"file"`
	Read bool   `json:"read"` // false when there is no such file
	// Refused says why the last reload was not taken; "" when it was.
	Refused string `json:"refused,omitempty"`
}

// Privileges say what the agent may look at.
type Privileges struct {
	UID  int  `json:"uid"`
	Root bool `json:"root"`
	// Missing are rights that the agent lacks, in words.
	Missing []string `json:"missing,omitempty"`
}

// InventoryState is how the known inventory came about.
type InventoryState struct {
	Count   int      `json:"count"`
	Absent  string   `json:"absent,omitempty"`  // why there is none
	Partial []string `json:"partial,omitempty"` // what could not be read
}

// OutboxState is what waits to be delivered.
type OutboxState struct {
	Events      uint64     `json:"events"`
	Bytes       int64      `json:"bytes"`
	Limit       int64      `json:"limit"` // bytes
	Oldest      *time.Time `json:"oldest,omitempty"`
	Quarantined uint64     `json:"quarantined"` // refused for good
	Dropped     uint64     `json:"dropped"`     // not told yet
	Upstream    string     `json:"upstream"`    // where events go
	// Metered is there where some of today was sent over a metered network.
	Metered *MeteredState `json:"metered,omitempty"`
}

// StoreState is the store's file.
type StoreState struct {
	File    string    `json:"file"`
	Bytes   int64     `json:"bytes"`
	Changed time.Time `json:"changed,omitzero"`
}

// OwnUse is what the agent itself costs.
type OwnUse struct {
	CPUSeconds float64        `json:"cpu_seconds"` // since start, user and system
	Resident   int64          `json:"resident"`    // bytes
	Heap       int64          `json:"heap"`        // bytes that the last collection of garbage left
	Goroutines int            `json:"goroutines"`
	Files      int            `json:"files"` // open descriptors
	Collectors []CollectorUse `json:"collectors,omitempty"`
	Days       []DayUse       `json:"days,omitempty"` // newest first
}

// CollectorUse is what one collector cost since the start.
type CollectorUse struct {
	Table      string  `json:"table"`
	Runs       int64   `json:"runs"`
	CPUSeconds float64 `json:"cpu_seconds"`
	BytesRead  int64   `json:"bytes_read"`
}

// DayUse is what the agent cost on one day.
type DayUse struct {
	Day          string  `json:"day"` // YYYY-MM-DD
	CPUSeconds   float64 `json:"cpu_seconds"`
	WakeUps      int64   `json:"wake_ups"`
	BytesWritten int64   `json:"bytes_written"`
}

// Codes of health warnings, beside those of doctor's checks. docs/api.md says what each means.
const (
	warnStoreDamaged   = "store-damaged"
	warnOutboxDropping = "outbox-dropping"
	warnUpstream       = "upstream-unreachable"
	warnRulesStale     = "rules-stale"
	warnProbeDenied    = "probe-denied"
	warnWatchLimit     = "watch-limit"
	warnClock          = "clock"
	warnOverBudget     = "over-budget"
	warnConfigRefused  = "config-refused"
	warnSocket         = "socket"
)

// Warning is something that keeps the agent from its work, with the step that helps.
type Warning struct {
	Code       string    `json:"code"`
	Dependency string    `json:"dependency"` // what is at fault: config, store, socket, upstream, ...
	Since      time.Time `json:"since"`
	Text       string    `json:"text"`
	Fix        string    `json:"fix,omitempty"`
}

// scanSummary is what a whole scan came to.
type scanSummary struct {
	Why        string        `json:"why,omitempty"` // start, schedule, asked
	Started    time.Time     `json:"started,omitzero"`
	Finished   time.Time     `json:"finished,omitzero"`
	CPUSeconds float64       `json:"cpu_seconds"`
	Level      scanner.Level `json:"level"`
	NotChecked int           `json:"not_checked"`
	Opened     int           `json:"opened"`
	Updated    int           `json:"updated"`
	Resolved   int           `json:"resolved"`
	Added      int           `json:"added"` // packages
	Changed    int           `json:"changed"`
	Removed    int           `json:"removed"`
}
