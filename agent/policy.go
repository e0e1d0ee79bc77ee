package agent

import (
	"slices"
	"time"

	"picket/scanner"
	"picket/scanner/rules"
)

// Policy is what an organisation decides for its devices: a signed document that comes with rules
// and indicators. docs/policy.md is written from the tags.
type Policy struct {
	Format  string `key:"format" kind:"picket.policy/1" json:"format" need:"yes" doc:"form of the document"`
	Version string `key:"version" kind:"text" json:"version" doc:"for people, who compare what is in force; which is newer is the repository's to say"`

	Organisation  PolicyOrganisation  `key:"organisation" json:"organisation" doc:"whose policy it is"`
	Levels        PolicyLevels        `key:"levels" json:"levels" doc:"least severity that makes a device's level so"`
	Rules         []PolicyRule        `key:"rules" json:"rules" doc:"rules, or rows of theirs, that are accepted or graded otherwise"`
	Allow         []PolicyAllow       `key:"allow" json:"allow" doc:"rows that are accepted; as in an allow list, but the finding stays visible"`
	Intervals     PolicyIntervals     `key:"intervals" json:"intervals" doc:"bounds of the device's own configuration"`
	Send          string              `key:"send" kind:"full no-personal-apps level-only" default:"full" json:"send" doc:"what leaves the device"`
	Metered       PolicyMetered       `key:"metered" json:"metered" doc:"what goes upstream over a network that costs by volume"`
	Retention     time.Duration       `key:"retention" min:"1d" max:"366d" json:"retention" doc:"how long at most what is not delivered stays on the device"`
	Posture       PolicyPosture       `key:"posture" json:"posture" doc:"what a device must be like for access"`
	Responses     PolicyResponses     `key:"responses" json:"responses" doc:"what may be done beside telling; all off unless set"`
	Notifications PolicyNotifications `key:"notifications" json:"notifications" doc:"what the person is told, and when"`
	Uninstall     string              `key:"uninstall" kind:"allowed forbidden" default:"allowed" json:"uninstall" doc:"whether the person may remove Picket"`
}

// PolicyOrganisation names the organisation to the person.
type PolicyOrganisation struct {
	Name       string `key:"name" kind:"text" json:"name,omitempty" doc:"its name"`
	Email      string `key:"email" kind:"email" json:"email,omitempty" doc:"support: address of mail"`
	Phone      string `key:"phone" kind:"phone" json:"phone,omitempty" doc:"support: number to call"`
	URL        string `key:"url" kind:"url" json:"url,omitempty" doc:"support: page, https"`
	SupportKey string `key:"support_key" kind:"age" json:"support_key,omitempty" doc:"age key that bundles for support are encrypted to"`
}

// PolicyLevels are thresholds.
type PolicyLevels struct {
	Low    scanner.Severity `key:"low" kind:"severity" default:"low" json:"low" doc:"of the level Low"`
	Medium scanner.Severity `key:"medium" kind:"severity" default:"medium" json:"medium" doc:"of the level Medium"`
	High   scanner.Severity `key:"high" kind:"severity" default:"high" json:"high" doc:"of the level High"`
}

// PolicyRule accepts or regrades the findings of a rule.
type PolicyRule struct {
	Rule    string            `key:"rule" kind:"rule" need:"yes" json:"rule" doc:"its id"`
	Action  string            `key:"action" kind:"off info low medium high critical" need:"yes" json:"action" doc:"off: its findings stay visible as accepted by policy and do not count; or the severity that they have"`
	Match   map[string]string `key:"match" json:"match,omitempty" doc:"only rows whose columns are so; \\* stands for anything"`
	Why     string            `key:"why" kind:"text" need:"yes" json:"why" doc:"reason, which the person reads"`
	Expires string            `key:"expires" kind:"date" json:"expires,omitempty" doc:"last day, YYYY-MM-DD"`
}

// PolicyAllow accepts rows of a rule.
type PolicyAllow struct {
	Rule    string            `key:"rule" kind:"rule" need:"yes" json:"rule" doc:"its id"`
	Match   map[string]string `key:"match" need:"yes" json:"match" doc:"columns of the rule's table; \\* stands for anything"`
	Why     string            `key:"why" kind:"text" need:"yes" json:"why" doc:"reason, which the person reads"`
	Expires string            `key:"expires" kind:"date" json:"expires,omitempty" doc:"last day, YYYY-MM-DD"`
}

// PolicyIntervals bound what the device's owner may set.
type PolicyIntervals struct {
	ScanMin     time.Duration `key:"scan_min" min:"1m" max:"31d" json:"scan_min" doc:"scan_interval at least"`
	ScanMax     time.Duration `key:"scan_max" min:"1m" max:"31d" json:"scan_max" doc:"scan_interval at most"`
	SampleMax   time.Duration `key:"sample_max" min:"1s" max:"1d" json:"sample_max" doc:"sample_interval at most; off is then this"`
	SnapshotMax time.Duration `key:"snapshot_max" min:"1h" max:"31d" json:"snapshot_max" doc:"snapshot_interval at most"`
	Update      time.Duration `key:"update" min:"15m" max:"7d" default:"6h" json:"update" doc:"time from one look for updates to the next"`
}

// PolicyMetered bounds what is sent over metered networks.
type PolicyMetered struct {
	Network string `key:"network" kind:"auto always never" default:"auto" json:"network" doc:"whether the device's network is metered; auto: as NetworkManager or Android says, and not where nobody does"`
	Daily   Size   `key:"daily" min:"100kB" max:"100GB" default:"5MB" json:"daily" doc:"bytes a day (UTC); beyond them only what is high or critical goes, and the rest waits for another network or day"`
}

// Whether a network is metered, where a policy says it.
const (
	meteredAuto   = "auto"
	meteredAlways = "always"
	meteredNever  = "never"
)

// PolicyPosture is what access hangs on.
type PolicyPosture struct {
	MaxLevel   string        `key:"max_level" kind:"secured low medium high" default:"high" json:"max_level" doc:"highest level that meets the requirements; high: all do"`
	MaxAge     time.Duration `key:"max_age" min:"1h" max:"31d" default:"1d" json:"max_age" doc:"how old the last whole scan may be"`
	BlockAfter time.Duration `key:"block_after" min:"0s" max:"90d" json:"block_after" doc:"how long a device that does not meet them is only warned"`
	WipeAfter  time.Duration `key:"wipe_after" min:"1h" max:"366d" json:"wipe_after" doc:"how long one that is blocked keeps its work data; not set: for ever"`
	Offline    time.Duration `key:"offline" min:"1h" max:"366d" json:"offline" doc:"how long a device may be out of touch before it does not meet them; not set: for ever"`
}

// PolicyResponses are off unless a policy turns them on.
type PolicyResponses struct {
	Block bool `key:"block" json:"block" doc:"block access, by the device's hook"`
	Wipe  bool `key:"wipe" json:"wipe" doc:"remove work data; needs block and posture.wipe\\_after"`
	// Confirmed are wipes that devices have announced and that are meant.
	Confirmed []PolicyWipe `key:"confirmed" json:"confirmed,omitempty" doc:"wipes that devices have announced, and that are to be done"`
}

// PolicyWipe confirms one wipe.
type PolicyWipe struct {
	ID  string `key:"wipe" kind:"wipe" need:"yes" json:"wipe" doc:"its id, as the device's event wipe-announced has it"`
	Why string `key:"why" kind:"text" need:"yes" json:"why" doc:"reason, for people"`
}

// PolicyNotifications say when the person is told.
type PolicyNotifications struct {
	Least string `key:"least" kind:"off info low medium high critical" default:"medium" json:"least" doc:"least severity that is notified; off: none"`
	From  string `key:"quiet_from" kind:"clock" json:"quiet_from,omitempty" doc:"begin of the quiet hours, HH:MM of the device's own time"`
	To    string `key:"quiet_to" kind:"clock" json:"quiet_to,omitempty" doc:"end of the quiet hours"`
}

// What leaves the device.
const (
	sendFull       = "full"
	sendNoPersonal = "no-personal-apps"
	sendLevelOnly  = "level-only"
)

// overrides is what the policy says of rules, as the engine takes it. Rows come before rules.
func (p *Policy) overrides() []rules.Override {
	var rows, whole []rules.Override
	for _, a := range p.Allow {
		rows = append(rows, rules.Override{Rule: a.Rule, Match: a.Match, Why: a.Why, Expires: a.Expires})
	}
	for _, r := range p.Rules {
		o := rules.Override{Rule: r.Rule, Match: r.Match, Why: r.Why, Expires: r.Expires}
		if r.Action != "off" {
			_ = o.Severity.UnmarshalText([]byte(r.Action)) // checked when it was read
		}
		if len(r.Match) > 0 {
			rows = append(rows, o)
		} else {
			whole = append(whole, o)
		}
	}
	return slices.Concat(rows, whole)
}

// bound gives a configuration within what the policy sets. A nil policy sets nothing.
func (p *Policy) bound(c Config) Config {
	if p == nil {
		return c
	}
	i := p.Intervals
	c.ScanInterval = max(c.ScanInterval, i.ScanMin)
	atMost := func(d *time.Duration, most time.Duration) {
		if most > 0 && (*d > most || *d == 0) {
			*d = most
		}
	}
	atMost(&c.ScanInterval, i.ScanMax)
	atMost(&c.SampleInterval, i.SampleMax)
	atMost(&c.SnapshotInterval, i.SnapshotMax)
	atMost(&c.OutboxAge, p.Retention)
	return c
}

// lookEvery is the time from one look for updates to the next. A device that is there must not
// count as out of touch.
func (p *Policy) lookEvery() time.Duration {
	if most := p.Posture.Offline / 2; most > 0 {
		return min(p.Intervals.Update, most)
	}
	return p.Intervals.Update
}

// send is the mode in which events leave the device.
func (p *Policy) send() string {
	if p == nil {
		return sendFull
	}
	return p.Send
}

// metered is what is sent over metered networks.
func (p *Policy) metered() PolicyMetered {
	if p == nil {
		return PolicyMetered{meteredAuto, meteredDaily}
	}
	return p.Metered
}
