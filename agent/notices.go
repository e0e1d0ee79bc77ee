package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

// noticesTable has in the store what was told to whom; of so many findings.
const (
	noticesTable = "notices"
	keepNotices  = 2000
)

// Bounds of what is told at once: who is told forty things reads none.
const (
	noticesAtOnce = 3
	noticeText    = 160 // characters of a text from the device
)

// notice is what a person is told of an open finding, or of More that are not told one by one.
type notice struct {
	Key      string           `json:"key,omitempty"`
	Severity scanner.Severity `json:"severity"`
	Title    string           `json:"title,omitempty"` // in the person's language
	Subject  string           `json:"subject,omitempty"`
	More     int              `json:"more,omitempty"`
	told     map[string]string
}

// noticeRules say what is told, and when. The zero value is a device's without a policy.
type noticeRules struct {
	least    scanner.Severity // 0 tells nothing
	from, to string           // quiet hours, HH:MM
}

func (p *Policy) notices() noticeRules {
	if p == nil {
		return noticeRules{least: scanner.Medium}
	}
	r := noticeRules{from: p.Notifications.From, to: p.Notifications.To}
	_ = r.least.UnmarshalText([]byte(p.Notifications.Least)) // off is 0
	return r
}

// quiet gives the end of the quiet hours that now is in. ok is false outside of them.
func (r noticeRules) quiet(now time.Time) (end time.Time, ok bool) {
	from, okFrom := clockMinutes(r.from)
	to, okTo := clockMinutes(r.to)
	if !okFrom || !okTo || from == to {
		return time.Time{}, false
	}
	at := now.Hour()*60 + now.Minute()
	days := 0
	switch {
	case from < to && (at < from || at >= to), from > to && at < from && at >= to:
		return time.Time{}, false
	case from > to && at >= from:
		days = 1
	}
	return time.Date(now.Year(), now.Month(), now.Day()+days, to/60, to%60, 0, 0, now.Location()), true
}

func clockMinutes(text string) (int, bool) {
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil
}

// notable are the open findings that may be told: grave enough, not set aside, and with nothing in
// them that who watches the person must not read over their shoulder.
func (d *daemon) notable(least scanner.Severity) ([]threat, error) {
	if least == 0 {
		return nil, nil
	}
	open, ignores, err := d.openAndIgnored()
	if err != nil {
		return nil, err
	}
	var all []threat
	secret := map[scanner.Subject]bool{}
	for _, f := range open {
		t := threatOf(f, nil)
		if t.Discreet || t.Unread != "" { // whether it is discreet cannot be told
			secret[t.Subject] = true
			continue
		}
		ignored := slices.ContainsFunc(ignores, func(i store.Ignore) bool { return i.Key == f.Key })
		if t.Severity >= least && !ignored && (t.Policy == nil || !t.Policy.Accepted) {
			all = append(all, t)
		}
	}
	all = slices.DeleteFunc(all, func(t threat) bool { return secret[t.Subject] })
	slices.SortStableFunc(all, func(a, b threat) int { return int(b.Severity) - int(a.Severity) })
	return all, nil
}

// openAndIgnored gives the open findings, and what is set aside.
func (d *daemon) openAndIgnored() (open []store.OpenFinding, ignores []store.Ignore, err error) {
	if open, err = fromStore(d.vault, (*store.Store).Findings); err != nil {
		return nil, nil, fmt.Errorf("reading the open findings: %w", err)
	}
	if ignores, err = fromStore(d.vault, (*store.Store).Ignores); err != nil {
		return nil, nil, fmt.Errorf("reading what is ignored: %w", err)
	}
	return open, ignores, nil
}

// due gives what an audience has not been told yet, and how long it may take until there is more
// without anything new: the rest of the quiet hours.
func (d *daemon) due(audience, language string) (list []notice, wait time.Duration, err error) {
	r := d.set.Load().criteria.policy.notices()
	now := d.clock.wall().In(d.timeZone())
	if end, ok := r.quiet(now); ok {
		return nil, max(time.Second, end.Sub(now)), nil
	}
	all, err := d.notable(r.least)
	if err != nil || len(all) == 0 {
		return nil, forever, err
	}
	notes, err := fromStore(d.vault, func(st *store.Store) ([]store.Note, error) { return st.Notes(noticesTable) })
	if err != nil {
		return nil, forever, fmt.Errorf("reading what was told: %w", err)
	}
	known := map[string]string{}
	for _, n := range notes {
		known[n.Name] = string(n.Body)
	}
	for _, t := range all {
		// One that was resolved and comes again is told again: its time is another.
		name, since := audience+" "+t.Key, strconv.FormatInt(t.Since.UnixMilli(), 10)
		if known[name] == since {
			continue
		}
		if len(list) < noticesAtOnce {
			list = append(list, d.noticeOf(&t.Finding, language, map[string]string{name: since}))
			continue
		}
		if len(list) == noticesAtOnce {
			list = append(list, notice{Severity: t.Severity, told: map[string]string{}})
		}
		list[noticesAtOnce].More++
		list[noticesAtOnce].told[name] = since
	}
	return list, forever, nil
}

// noticeOf says a finding in a few words.
func (d *daemon) noticeOf(f *scanner.Finding, language string, told map[string]string) notice {
	title, platform := f.Title, "linux"
	if info, known := d.judging.device(); known {
		platform = info.Platform
	}
	if t, ok := d.set.Load().criteria.rules.Say(language, platform, f); ok {
		title = t.Title
	}
	return notice{Key: f.Key, Severity: f.Severity, Title: brief(title), Subject: brief(f.Subject.Name), told: told}
}

// brief makes a text of a device's harmless and short.
func brief(s string) string {
	s = report.Clean(s)
	if r := []rune(s); len(r) > noticeText {
		s = strings.TrimSpace(string(r[:noticeText])) + "..."
	}
	return s
}

// told notes what an audience has seen.
func (d *daemon) told(n notice) error {
	return d.vault.use(func(st *store.Store) error {
		for name, since := range n.told {
			if err := st.Remember(noticesTable, name, []byte(since), keepNotices); err != nil {
				return err
			}
		}
		return nil
	})
}

// timeZone is the device's own, as it is now.
func (d *daemon) timeZone() *time.Location {
	if d.zone == nil {
		return time.Local
	}
	return d.zone()
}

// errNobody says that nobody is there to be told.
var errNobody = errors.New("nobody is there to be told")

// tellOne tells an audience what is due, until ctx ends or show fails. show gives errNobody where
// it is to be tried again with the next news.
func (d *daemon) tellOne(ctx context.Context, audience, language string, show func(notice) error) error {
	wake, leave := d.noticed.news()
	defer leave()
	for ctx.Err() == nil {
		list, wait, err := d.due(audience, language)
		if err != nil {
			d.log.Debug("telling the person", "audience", audience, "error", err)
			wait = retryNotices
		}
		for _, n := range list {
			err := show(n)
			if errors.Is(err, errNobody) {
				break
			}
			if err != nil {
				return err
			}
			if err := d.told(n); err != nil {
				d.log.Debug("noting what was told", "audience", audience, "error", err)
			}
		}
		d.clock.wait(ctx, wait, wake)
	}
	return ctx.Err()
}

// keepBoard keeps a board as things are, in quiet hours too: it makes no sound.
func (d *daemon) keepBoard(ctx context.Context, b board) {
	wake, leave := d.noticed.news()
	defer leave()
	last := ""
	for ctx.Err() == nil {
		open, err := d.notable(d.set.Load().criteria.policy.notices().least)
		if err == nil {
			err = b.keep(b.language(), open)
		}
		if err != nil && err.Error() != last {
			last = err.Error()
			d.log.Warn("a notice could not be shown", "where", b.name, "error", err)
		}
		d.clock.wait(ctx, forever, wake)
	}
}

// retryNotices is how long a store that cannot be read is left alone.
const retryNotices = 5 * time.Minute

// runNotices tells those who are at the device itself.
func (d *daemon) runNotices(ctx context.Context) error {
	var actors []actor
	for _, b := range d.boards {
		actors = append(actors, actor{"notices on " + b.name, func(ctx context.Context) error {
			d.runBoard(ctx, b)
			return nil
		}})
	}
	if len(actors) == 0 {
		<-ctx.Done()
		return nil
	}
	return runGroup(ctx, d.log, stopTime, actors...)
}

// board is a place where a person reads what they are told.
type board struct {
	name string
	// language is that of who reads it.
	language func() string
	// show adds a notice. It gives errNobody where nobody reads.
	show func(ctx context.Context, language string, n notice) error
	// keep, in the place of show, puts what is open now in the place of what was there before.
	keep func(language string, open []threat) error
}

// runBoard tells what is due on a board. One that does not work is logged once for each error.
func (d *daemon) runBoard(ctx context.Context, b board) {
	last := ""
	for ctx.Err() == nil {
		language := b.language()
		if b.keep != nil {
			d.keepBoard(ctx, b)
			return
		}
		err := d.tellOne(ctx, b.name, language, func(n notice) error { return b.show(ctx, language, n) })
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != last {
			last = err.Error()
			d.log.Warn("a notice could not be shown", "where", b.name, "error", err)
		}
		d.clock.wait(ctx, retryNotices, nil)
	}
}
