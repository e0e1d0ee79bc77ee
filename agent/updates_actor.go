package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
	"picket/transport/tuf"
)

const (
	updateInterval = 6 * time.Hour   // without a policy
	updateRetry    = 5 * time.Minute // after the first failure; then twice that, and so on
	updateSpread   = 10              // percent by which a look comes earlier or later
)

// runUpdates looks for updates in intervals, at the start, and when the device is enrolled.
func (d *daemon) runUpdates(ctx context.Context) error {
	wake, leave := d.reloads.news()
	defer leave()
	defer d.member.changed.tell(func() { rouse(wake) })()
	due, failures, from := d.clock.boot()+d.scatter(updateRetry), 0, ""
	for ctx.Err() == nil {
		d.checkStale()
		woken := d.clock.wait(ctx, min(upkeepEvery, max(0, due-d.clock.boot())), wake)
		if woken && d.updatesFrom() == from || !woken && d.clock.boot() < due {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		from = d.updatesFrom()
		wait := updateInterval
		if p := d.set.Load().criteria.policy; p != nil {
			wait = p.lookEvery()
		}
		if d.update(ctx) {
			failures = 0
		} else {
			wait = min(wait, updateRetry<<min(failures, 10))
			failures++
		}
		due = d.clock.boot() + wait + d.scatter(wait/(100/updateSpread)) - wait/(200/updateSpread)
	}
	return nil
}

// scatter is a part of a time, by chance: a fleet must not move in step.
func (d *daemon) scatter(most time.Duration) time.Duration {
	return time.Duration(d.chance() * float64(most))
}

// updatesFrom names where updates come from.
func (d *daemon) updatesFrom() string {
	if src, err := updatesSource(d.set.Load().local, d.clock.wall); err == nil && src != nil {
		return src.String()
	}
	return ""
}

// update fetches once. What goes wrong is a warning, and false.
func (d *daemon) update(ctx context.Context) bool {
	c := d.set.Load().local
	src, err := updatesSource(c, d.clock.wall)
	if err == nil && src == nil {
		d.warn.clear(warnUpdatesRefused, warnUpdatesUnreachable)
		d.abandon()
		return true
	}
	var r tuf.Result
	if err == nil {
		r, err = fetchUpdates(ctx, c, src, d.clock.wall)
	}
	var refused *tuf.Refused
	switch {
	case ctx.Err() != nil || errors.Is(err, tuf.ErrBusy):
		return false
	case errors.As(err, &refused):
		d.warn.clear(warnUpdatesUnreachable)
		d.warn.set(warnUpdatesRefused, "updates", "updates are refused, and what was accepted last stays: "+err.Error(), refusedFix(refused))
		return false
	case err != nil:
		d.warn.set(warnUpdatesUnreachable, "updates", "updates cannot be fetched, and what was accepted last stays: "+err.Error(), "see to the network, the disk, or the address of the updates")
		return false
	}
	d.warn.clear(warnUpdatesUnreachable, warnUpdatesRefused)
	d.contacted()
	if r.Changed || r.Set.Targets != d.set.Load().criteria.updates.Targets {
		return d.adopt()
	}
	d.renew(r.Set)
	d.rule()
	return true
}

// refusedFix says who can help.
func refusedFix(r *tuf.Refused) string {
	switch r.Why {
	case tuf.Expired:
		return "the publisher has to sign anew ('picket publish refresh'); if that was done, look at this device's clock, or at who serves old files"
	case tuf.Rejected, tuf.Malformed, tuf.TooLarge:
		return "the publisher has to correct what was published"
	}
	return "who serves the files is not to be trusted, or the publisher signed with other keys: ask the publisher"
}

// adopt puts what was accepted last into effect.
func (d *daemon) adopt() bool {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	now := d.set.Load()
	crit, lost, err := criteriaNow(now.local)
	d.lostUpdates(errors.Join(lost, err))
	if err != nil {
		return false
	}
	c := crit.policy.bound(now.local)
	c.OutboxAge = now.config.OutboxAge
	d.settle(settled{now.local, c, now.from, crit})
	d.rule()
	d.tellUpdates(crit)
	d.todo.all("updates", nil)
	return lost == nil
}

// abandon goes on without updates when nobody's are trusted any more.
func (d *daemon) abandon() {
	if c := d.set.Load().criteria; len(c.updates.Files) > 0 || c.policy != nil {
		d.adopt()
	}
}

// renew notes that the same files are vouched for longer.
func (d *daemon) renew(set *tuf.Set) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	now := *d.set.Load()
	crit := *now.criteria
	crit.updates = set
	now.criteria = &crit
	d.set.Store(&now)
}

// settle puts a configuration and what it names into effect. It wants reloading.
func (d *daemon) settle(s settled) {
	before := d.set.Swap(&s)
	if before.criteria.policy.send() != s.criteria.policy.send() {
		d.note((*store.Store).AskSnapshot) // so that the upstream has what it may have, and nothing else counts
	}
	d.budget.setShare(s.config.CPUBudget)
	setLevel(d.level, s.config.LogLevel)
	d.reloads.all()
	d.noticed.all()
}

// lostUpdates says that what was accepted is not in effect.
func (d *daemon) lostUpdates(lost error) {
	if lost != nil {
		d.warn.set(warnUpdatesRefused, "updates", "updates that were accepted cannot be used, and the built-in rules judge: "+lost.Error(), "ask the publisher for rules for this version of Picket")
	}
}

// checkStale says when nobody vouches any more for what is in effect.
func (d *daemon) checkStale() {
	set := d.set.Load().criteria.updates
	if len(set.Files) > 0 && set.Stale(d.clock.wall()) {
		d.warn.set(warnRulesStale, "updates", fmt.Sprintf("rules, indicators and policy are old: their publisher vouched for them until %s", stamp(set.Fresh)),
			"see to the network, or ask the publisher; 'picket update' tries now")
		return
	}
	d.warn.clear(warnRulesStale)
}

// tellUpdates tells upstream what is in effect now.
func (d *daemon) tellUpdates(crit *criteria) {
	u := updatesState(crit, d.clock.wall())
	d.log.Info("updates in effect", "targets", u.Targets, "rules", u.RulesVersion, "policy", u.PolicyVersion, "from", u.From)
	for _, text := range crit.idle {
		d.log.Warn("a part of the policy says nothing here", "why", text)
	}
	err := d.vault.use(func(st *store.Store) error {
		m, err := d.maker(st)
		if err != nil {
			return err
		}
		_, err = st.Queue("updates", uint8(scanner.Informational), m.own(func(meta report.EventMeta) (report.Event, error) {
			return report.AgentEvent(meta, report.AgentState{Activity: report.AgentTold, Severity: scanner.Informational,
				Message: fmt.Sprintf("Updates in effect: targets %d", u.Targets), Rest: map[string]any{"updates": u}})
		}))
		if err == nil {
			d.publish(m)
			d.ship.more()
		}
		return err
	})
	if err != nil {
		d.log.Debug("telling the updates", "error", err)
	}
}

// UpdateState is what of updates is in effect.
type UpdateState struct {
	From          string     `json:"from"` // "" for none
	Root          int64      `json:"root"` // versions of the metadata
	Targets       int64      `json:"targets"`
	Snapshot      int64      `json:"snapshot"`
	Timestamp     int64      `json:"timestamp"`
	Rules         string     `json:"rules"` // built-in, local or the pack's name
	RulesVersion  string     `json:"rules_version,omitempty"`
	Indicators    int        `json:"indicators"` // entries
	PolicyVersion string     `json:"policy_version,omitempty"`
	Checked       *time.Time `json:"checked,omitempty"`
	Fresh         *time.Time `json:"fresh_until,omitempty"`
	Stale         bool       `json:"stale,omitempty"`
}

func updatesState(crit *criteria, now time.Time) UpdateState {
	set := crit.updates
	u := UpdateState{From: set.From, Root: set.Root, Targets: set.Targets, Snapshot: set.Snapshot, Timestamp: set.Timestamp, Rules: "built-in"}
	switch {
	case crit.localRules:
		u.Rules = "local"
	case set.Files[tuf.Rules] != tuf.File{}:
		u.Rules, u.RulesVersion = crit.rules.Pack().Name, crit.rules.Pack().Version
	}
	if crit.indicators != nil {
		u.Indicators = crit.indicators.Len()
	}
	if crit.policy != nil {
		u.PolicyVersion = crit.policy.Version
	}
	if len(set.Files) > 0 {
		u.Checked, u.Fresh, u.Stale = &set.Checked, &set.Fresh, set.Stale(now)
	}
	return u
}
