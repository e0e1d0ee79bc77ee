package agent

import (
	"fmt"
	"slices"
	"strings"

	"picket/agent/respond"
	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/scanner/rules"
	"picket/store"
)

// privacyStatement is what Picket reads, keeps and sends here, in JSON as `picket privacy` gives it.
type privacyStatement struct {
	Mode sendMode    `json:"mode"`
	Goes []recipient `json:"goes"` // to whom something goes; empty: to nobody
	Read []tableRead `json:"read"`
	Kept []keptThing `json:"kept"`
	Sent []sentClass `json:"sent"`
}

// sendMode is the mode in force.
type sendMode struct {
	Name   string `json:"name"` // full, no-personal-apps, level-only
	Means  string `json:"means"`
	By     string `json:"by"`               // who decided it
	Unsure string `json:"unsure,omitempty"` // why it may be another
}

// recipient is who gets something of the device.
type recipient struct {
	Who  string `json:"who"`
	At   string `json:"at"`
	Gets string `json:"gets"`
}

// tableRead is what a collector declares.
type tableRead struct {
	Table     string         `json:"table"`
	Doc       string         `json:"doc"`
	Probes    []string       `json:"probes"`    // live sources that are asked
	Content   []string       `json:"content"`   // files whose content is read
	Described []string       `json:"described"` // files of which type, mode, owner, size, first bytes and digest are looked at
	Needs     []string       `json:"needs"`     // tables that it is made of
	Columns   []rules.Column `json:"columns"`   // what is taken from them
}

// sentClass is a class of events with what of it leaves the device in the mode in force.
type sentClass struct {
	report.ClassFields
	Sent     string   `json:"sent"`     // yes, no, or with what restriction
	Withheld []string `json:"withheld"` // fields that an event has in full mode only
}

var modeMeans = map[string]string{
	sendFull:       "findings with their evidence, packages, the level",
	sendNoPersonal: "as full, but the person's own apps are neither listed nor named",
	sendLevelOnly:  "the level alone: no findings, no packages",
}

// privacyInputs are what the statement depends on.
type privacyInputs struct {
	config    Config
	mode      string
	policy    string // its version; "" for none
	enrolment EnrolmentState
	unsure    string
}

// privacyNow makes the statement.
func privacyNow(s privacyInputs) privacyStatement {
	out := privacyStatement{
		Mode: sendMode{Name: s.mode, Means: modeMeans[s.mode], By: "no policy is in force", Unsure: s.unsure},
		Goes: recipients(s), Read: declaredReads(), Kept: keptThings(s.config), Sent: sentClasses(s.mode),
	}
	if s.policy != "" {
		out.Mode.By = "policy " + s.policy
		if s.enrolment.Organisation != "" {
			out.Mode.By += " of " + s.enrolment.Organisation
		}
	}
	return out
}

func recipients(s privacyInputs) []recipient {
	out := []recipient{}
	e := s.enrolment
	who := e.Organisation
	if who == "" {
		who = "the organisation that this device is enrolled with"
	}
	if e.Enrolled && e.OTLP != "" {
		out = append(out, recipient{who, e.OTLP, "the events below, and its certificate: " + strings.TrimSpace(e.Device+" "+e.Account)})
	}
	if e.Enrolled {
		out = append(out, recipient{who, e.CA, "the device's certificate, to renew it"})
	}
	if e.Updates != "" {
		out = append(out, recipient{who, e.Updates, "requests for files of the repository; nothing of the device"})
	}
	switch probe := s.config.NetworkProbe; {
	case probe != "off" && probe != "upstream":
		out = append(out, recipient{"the host of network_probe", probe, "a request without content, once per new network"})
	case probe == "upstream" && e.Enrolled:
		out = append(out, recipient{who, "the upstream's host", "a request without content, once per new network"})
	}
	return out
}

// declaredReads lists what the collectors declare.
func declaredReads() []tableRead {
	var out []tableRead
	for _, c := range facts.Collectors() {
		t := tableRead{c.Table, c.Doc, []string{}, append([]string{}, c.Reads.Globs...), append([]string{}, c.Reads.Meta...), append([]string{}, c.Needs...), rules.Columns(c)}
		for _, p := range c.Reads.Probes {
			t.Probes = append(t.Probes, string(p))
		}
		out = append(out, t)
	}
	return out
}

// agentSays is what the agent tells of itself in unmapped, by name, each with a value of its type.
func agentSays() map[string]any {
	return map[string]any{
		"gap": Gap{}, "losses": store.Losses{}, "assertion": assertion{}, "updates": UpdateState{}, "clock_set_seconds": 0,
		"finding": "", "why": "", "by": "", "response": respond.Entry{},
	}
}

// levelOnlyHolds are the fields that no event has under level-only, of those classes that are sent.
var levelOnlyHolds = map[int][]string{
	report.ClassDevice:      {"unmapped.set_by", "unmapped.rules", "unmapped.not_checked"},
	report.ClassConfigState: {"security_states", "prev_security_states"},
	report.ClassLifecycle: {"unmapped.manager", "unmapped.package", "unmapped.purl", "unmapped.prev_", "unmapped.assertion.open",
		"unmapped.finding", "unmapped.why", "unmapped.by"},
}

// sentClasses says what of each class is sent.
func sentClasses(mode string) []sentClass {
	var out []sentClass
	for _, c := range report.Classes(agentSays()) {
		s := sentClass{ClassFields: c, Sent: "yes", Withheld: []string{}}
		finding := c.Class == report.ClassCompliance || c.Class == report.ClassDetection
		switch {
		case mode == sendLevelOnly && (finding || c.Class == report.ClassInventory || c.Class == report.ClassPatch):
			s.Sent, s.Withheld, s.Fields = "no", c.Fields, []string{}
		case mode == sendLevelOnly:
			s.Fields = slices.DeleteFunc(slices.Clone(c.Fields), func(f string) bool {
				return slices.ContainsFunc(levelOnlyHolds[c.Class], func(held string) bool { return strings.HasPrefix(f, held) })
			})
			s.Withheld = slices.DeleteFunc(slices.Clone(c.Fields), func(f string) bool { return slices.Contains(s.Fields, f) })
			if c.Class == report.ClassLifecycle {
				s.Sent = "of the agent itself; not of packages"
			}
		case mode == sendNoPersonal && finding:
			s.Sent = "yes; of a finding that mentions a personal app neither its name nor evidence, and uids are keyed"
		case mode == sendNoPersonal && (c.Class == report.ClassInventory || c.Class == report.ClassLifecycle):
			s.Sent = "yes, but not of personal apps"
		case mode == sendNoPersonal:
			s.Sent = "yes; personal apps are not named"
		}
		out = append(out, s)
	}
	return out
}

// keptThing is something that stays on the device between scans.
type keptThing struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Where  string   `json:"where"`
	Until  string   `json:"until"`
	Fields []string `json:"fields,omitempty"`
	Erase  string   `json:"erase"` // what of `picket privacy erase` removes it, or what else does
}

func keptThings(c Config) []keptThing {
	db, rescan := "store", "the next scan makes it anew; 'picket uninstall --purge' removes all"
	return []keptThing{
		{"findings", "open findings with their evidence", db, "until they are resolved; 10,000 at most", report.FieldsOf(scanner.Finding{}), rescan},
		{"packages", "the last inventory", db, "until the next one; 100,000 at most", report.FieldsOf(facts.Package{}), rescan},
		{"waiting", "events that wait to be delivered, byte for byte as they will be sent", db,
			fmt.Sprintf("until they are delivered, %s or %s at most", formatDuration(c.OutboxAge), formatSize(c.OutboxSize)), nil, "waiting"},
		{"refused", "events that the upstream refused for good", db, "1 MiB at most, the newest", nil, "refused"},
		{"history", "what was found and what was resolved, by title, without evidence", db, "the newest 4,096; no longer than a policy's retention", report.FieldsOf(historyItem{}), "history"},
		{"ignores", "findings that somebody set aside, with the reason and who", db, "until it ends, 366 days at most", report.FieldsOf(ignoreItem{}), "ignores"},
		{"networks", "networks that the device was on: a keyed hash of the name, gateways, name servers, times", db,
			fmt.Sprintf("the last %d; not longer than a policy's retention after the device was last on them", facts.MaxNetworks), report.FieldsOf(facts.NetworkSeen{}), "networks"},
		{"network-probe", "what the host of network_probe proved in networks so far", db, fmt.Sprintf("the last %d hosts", keepHosts), report.FieldsOf(probeMemory{}), "networks"},
		{"notes", "the agent's own: its random id, when it last ran, the last level, a digest of how far updates were, since when requirements are not met, and keys that keep hashes from being guessed", db, "replaced as they change", nil,
			"'picket uninstall --purge'"},
		{"notices", "which findings were told by notices, and on which terminal, Android or user's desktop: keys and times", db, fmt.Sprintf("the last %d", keepNotices), nil,
			"'picket uninstall'"},
		{"delivered", "events that were delivered", "sink_file: " + c.SinkFile, formatSize(c.SinkSize) + " at most, the newest; no longer than a policy's retention", nil, "delivered"},
		{"enrolment", "the organisation, the work account, the device's certificate and its key", c.StateDir, "until 'picket unenrol'", report.FieldsOf(enrolment{}), "'picket unenrol'"},
		{"updates", "signed rules, indicators and policy; nothing of the device", updatesDir(c), "until newer ones come", nil, "'picket unenrol'"},
		{"responses", "what a policy's responses have still to do, and the record of what was done to block access and to remove work data, when and by whom; names of some files that could not be removed", responsesDir(c),
			"of the record 8 MiB at most, the newest", report.FieldsOf(respond.Entry{}), "'picket uninstall'"},
		{"damaged", "a store that was damaged, set aside", c.StateDir, "the newest three", nil, "damaged"},
		{"log", "what the agent logs, which names files and packages but no content", "standard error: where the service manager keeps it", "as it is set there", nil, "the service manager's own means"},
	}
}
