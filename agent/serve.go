package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"picket/scanner"
	"picket/store"
)

// retrySocket is how long a socket that could not be made is left alone.
const retrySocket = time.Minute

// runServe answers the local API. A socket that cannot be made is a warning: the agent's work
// does not hang on who asks about it.
func (d *daemon) runServe(ctx context.Context) error {
	for ctx.Err() == nil {
		up := time.AfterFunc(time.Second, func() { d.warn.clear(warnSocket) }) // it has not failed by then
		err := serveLocal(ctx, d.config(), d.apiDeps())
		up.Stop()
		if err == nil || ctx.Err() != nil {
			continue
		}
		fix := "see 'picket doctor'"
		if h := (*hinted)(nil); errors.As(err, &h) {
			fix = h.hint
		}
		d.warn.set(warnSocket, "socket", "the local API is not there: "+err.Error(), fix)
		d.clock.wait(ctx, retrySocket, nil)
	}
	return nil
}

// apiDeps is what the local API may do.
func (d *daemon) apiDeps() apiDeps {
	return apiDeps{
		Now:      d.now,
		Status:   d.status,
		Findings: func() ([]store.OpenFinding, error) { return fromStore(d.vault, (*store.Store).Findings) },
		Packages: func() ([]store.Package, error) { return fromStore(d.vault, (*store.Store).Packages) },
		Ignores:  func() ([]store.Ignore, error) { return fromStore(d.vault, (*store.Store).Ignores) },
		History: func(key string, limit int) ([]store.Entry, error) {
			return fromStore(d.vault, func(st *store.Store) ([]store.Entry, error) { return st.History(key, limit) })
		},
		Pending: func(after uint64, n int) ([]store.Event, error) {
			return fromStore(d.vault, func(st *store.Store) ([]store.Event, error) { return st.Pending(after, n) })
		},
		Ignore: func(i store.Ignore) error {
			return d.change(func(st *store.Store, encode store.Encode) error { return st.SetIgnore(i, encode) })
		},
		Unignore: func(key string) error {
			return d.change(func(st *store.Store, encode store.Encode) error { return st.EndIgnore(key, encode) })
		},
		Subscribe: d.feed.subscribe,
		Rescan:    d.rescan,
		Reload:    func(context.Context) ([]string, error) { return d.reload() },
		Enrolment: func() (EnrolmentState, error) {
			err := d.member.read()
			d.member.rouse()
			return d.member.state(), err
		},
		Page:      d.openPage,
		Posture:   d.postureNow,
		Token:     d.postureToken,
		Log:       d.log,
		Responses: d.responseState,
		Decide:    d.decideWipe,
		Export:    d.export,
		Erase:     d.erase,
		Notices: func(ctx context.Context, uid uint32, language string, show func(notice) error) error {
			return d.tellOne(ctx, "uid:"+strconv.FormatUint(uint64(uid), 10), language, show)
		},
	}
}

// fromStore reads something of the store.
func fromStore[T any](v *vault, read func(*store.Store) (T, error)) (out T, err error) {
	err = v.use(func(st *store.Store) (err error) {
		out, err = read(st)
		return err
	})
	return out, err
}

// status is the agent in numbers. What the store cannot tell is left out, and a warning says why.
func (d *daemon) status() Status {
	c, from := d.config(), d.set.Load().from
	s := Status{Version: d.version, PID: os.Getpid(), Since: d.started, Config: ConfigUse{File: full(from.File), Read: from.Read},
		Privileges: Privileges{UID: os.Geteuid(), Root: os.Geteuid() == 0}, Findings: map[string]int{}, Own: d.ledger.use(d.clock.wall()),
		Outbox: OutboxState{Limit: int64(c.OutboxSize), Upstream: c.SinkFile}, Store: StoreState{File: filepath.Join(c.StateDir, storeName)}}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		s.Privileges.Missing, _ = missingRights(string(b))
	}
	if r := d.judging.report(); r != nil {
		s.Device, s.Level, s.NotChecked = &r.Device, r.Level, notChecked(r)
		i := slices.IndexFunc(r.Tables, func(t scanner.TableInfo) bool { return t.Table == "packages" })
		if i >= 0 {
			s.Packages.Absent, s.Packages.Partial = r.Tables[i].Absent, r.Tables[i].Partial
		}
	}
	crit := d.set.Load().criteria
	s.Updates, s.Send = updatesState(crit, d.clock.wall()), crit.policy.send()
	s.LastScan, s.NextScan = d.scanTimes(c)
	d.storeStatus(&s)
	s.Outbox.Metered = d.ship.meter.state(d.clock.wall())
	s.Enrolment, s.Access = d.member.state(), d.postureNow().State
	if s.Enrolment.OTLP != "" {
		s.Outbox.Upstream = s.Enrolment.OTLP
	}
	s.Responses = d.responseState()
	s.Warnings = d.warn.all()
	for _, w := range s.Warnings {
		if w.Code == warnConfigRefused {
			s.Config.Refused = w.Text
		}
	}
	return s
}

// scanTimes says when the last scan was and when the next one comes.
func (d *daemon) scanTimes(c Config) (last *scanSummary, next *time.Time) {
	if now := d.summary.Load(); now != nil {
		last = now
	}
	if !d.scanning.Load() {
		at := d.clock.wall().Add(max(0, d.when.due(c)-d.clock.boot())).UTC().Truncate(time.Second)
		next = &at
	}
	return last, next
}

func (d *daemon) storeStatus(s *Status) {
	err := d.vault.use(func(st *store.Store) error {
		stats, err := st.Stats()
		if err != nil {
			return err
		}
		open, err := st.Findings()
		if err != nil {
			return err
		}
		for _, f := range open {
			s.Findings[scanner.Severity(f.Severity).String()]++
		}
		ignores, err := st.Ignores()
		if err != nil {
			return err
		}
		for _, i := range ignores {
			if slices.ContainsFunc(open, func(f store.OpenFinding) bool { return f.Key == i.Key }) {
				s.Ignored++
			}
		}
		losses, err := st.Losses()
		if err != nil {
			return err
		}
		for _, n := range losses.Dropped {
			s.Outbox.Dropped += n
		}
		oldest, err := st.Pending(0, 1)
		if err != nil {
			return err
		}
		if len(oldest) > 0 {
			s.Outbox.Oldest = &oldest[0].At
		}
		s.Packages.Count = int(stats.Packages)
		s.Outbox.Events, s.Outbox.Bytes, s.Outbox.Quarantined = stats.Outbox, stats.OutboxBytes, stats.Quarantined
		s.Store.Bytes, s.Store.Changed = stats.FileBytes, stats.Changed
		return nil
	})
	if err != nil {
		d.log.Debug("status of the store", "error", err)
	}
}

// notChecked counts the rules without a verdict.
func notChecked(r *scanner.Report) int {
	n := 0
	for _, c := range r.Coverage {
		if c.Outcome == scanner.Unknown {
			n++
		}
	}
	return n
}
