package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/store"
)

// closeDevice gives back what a device holds open.
func closeDevice(dev scanner.Device) {
	if c, ok := dev.(io.Closer); ok {
		c.Close()
	}
}

// settle is how long the tables that hang on the packages wait after these changed: an
// upgrade changes them many times.
const settle = 2 * time.Second

// runScans scans what is in the backlog, one after the other. The first scan leaves out the
// digests of packaged programs, nine tenths of the work: they are the first look, so that the rest is known
// early and the device starts with as little beside it as can be. Who waits for a scan gets all.
func (d *daemon) runScans(ctx context.Context) error {
	for {
		j, err := d.todo.next(ctx)
		if err != nil {
			return nil
		}
		if j.whole == "" && len(j.asked) == 0 && d.judging.report() == nil {
			j.whole = "first" // a look at some tables would read all as well
			d.when.scanned(d.clock.boot())
		}
		switch {
		case j.whole != "":
		case len(j.asked) > 0:
			err := d.lookNow(ctx, j.tables)
			for _, a := range j.asked {
				a <- scanned{err: err}
			}
			d.rest()
			continue
		default:
			d.look(ctx, j.tables)
			d.rest()
			continue
		}
		c := *d.set.Load().criteria
		later := c.digests == scanner.DigestsAll && d.judging.report() == nil && len(j.asked) == 0
		if later {
			c.digests = scanner.DigestsLater
		}
		sum, err := d.scanWhole(ctx, j.whole, &c)
		if later && err == nil {
			d.todo.some([]string{"packaged_files"}, d.clock.awake())
		}
		for _, a := range j.asked {
			a <- scanned{sum, err}
		}
		if err != nil && d.judging.report() == nil {
			d.when.failed(d.clock.boot())
		}
		d.rest()
	}
}

// rest gives back the memory that a scan needed.
func (d *daemon) rest() {
	if err := d.judging.compact(d.set.Load().criteria); err != nil {
		d.log.Error("the report of the last scan is gone", "error", err)
		d.todo.all("the report was lost", nil)
	}
	d.release()
}

// scanWhole scans and remembers. What the store will not take is a warning, and an error: the
// report is there all the same.
func (d *daemon) scanWhole(ctx context.Context, why string, c *criteria) (scanSummary, error) {
	d.scanning.Store(true)
	defer d.scanning.Store(false)
	sum := scanSummary{Why: why, Started: d.now()}
	began, since, cpu := d.clock.awake(), d.clock.boot(), d.cpu()
	d.scanBegins()
	o, err := d.judging.whole(ctx, c)
	if ctx.Err() != nil {
		return sum, ctx.Err()
	}
	if err != nil {
		d.warn.set(warnScanFailed, "scan", err.Error(), "see 'picket scan'")
		return sum, err
	}
	d.warn.clear(warnScanFailed)
	d.when.scanned(d.clock.boot())
	d.probing.wake()
	d.scanEnds(o.report.Level)
	ch, err := d.keep(o)
	if err == nil {
		d.respond.scanned(since)
	}
	d.upkeep(o.report)
	d.seen()
	cost := d.cpu() - cpu
	sum.Finished, sum.CPUSeconds, sum.Level, sum.NotChecked = d.now(), cost.Seconds(), o.report.Level, notChecked(o.report)
	sum.Opened, sum.Updated, sum.Resolved, sum.Added, sum.Changed, sum.Removed = ch.Opened, ch.Updated, ch.Resolved, ch.Added, ch.Changed, ch.Removed
	d.summary.Store(&sum)
	d.scans.Add(1)
	d.tell(notifyStatus(fmt.Sprintf("Threat level %s, %d findings", sum.Level, len(o.report.Findings))))
	d.log.Info("scanned", "why", why, "level", sum.Level.String(), "findings", len(o.report.Findings), "packages", len(packagesOf(o.report)),
		"took", (d.clock.awake() - began).Round(time.Millisecond), "cpu", cost.Round(time.Millisecond))
	return sum, err
}

// look reads and judges some tables again.
func (d *daemon) look(ctx context.Context, tables []string) {
	if wait := d.budget.wait(); wait > 0 {
		d.overBudget()
		d.todo.some(tables, d.clock.awake()+wait)
		return
	}
	d.warn.clear(warnOverBudget)
	d.lookNow(ctx, tables)
}

// lookNow looks whatever it costs: somebody waits, or the budget has it.
func (d *daemon) lookNow(ctx context.Context, tables []string) (err error) {
	d.timed(ctx, tables, func() error {
		var o outcome
		if o, err = d.judging.part(ctx, d.set.Load().criteria, tables); err == nil {
			_, err = d.keep(o)
		}
		return err
	})
	return err
}

// again has tables looked at that a change concerns, and what hangs on them.
func (d *daemon) again(tables []string) {
	at := d.clock.awake()
	if slices.Contains(tables, "packages") {
		rouse(d.stock)
		at += settle
	}
	d.todo.some(tables, at)
}

// timed does a look, counts what it took, and makes its failure a warning.
func (d *daemon) timed(ctx context.Context, tables []string, do func() error) {
	began, cpu := d.clock.awake(), d.cpu()
	err := do()
	cost := d.cpu() - cpu
	d.budget.spend(cost)
	d.looks.Add(1)
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errNoStore):
	case err != nil:
		d.warn.set(warnScanFailed, "scan", err.Error(), "see 'picket scan'")
	default:
		d.log.Debug("looked", "tables", tables, "took", (d.clock.awake() - began).Round(time.Millisecond), "cpu", cost.Round(time.Millisecond))
	}
}

// keep remembers a report, and tells what changed.
func (d *daemon) keep(o outcome) (store.Changes, error) {
	return d.remember(func() outcome { return o })
}

// remember keeps the outcome that which gives while nobody else remembers one. What the store
// does not take it owes: recover tries again.
func (d *daemon) remember(which func() outcome) (ch store.Changes, err error) {
	d.judging.stock.Lock()
	defer d.judging.stock.Unlock()
	o := which()
	if o.report == nil {
		return ch, nil
	}
	defer func() { d.owe(err); d.access.rouse() }()
	if o.stocks {
		told := d.judging.told
		d.judging.told = nil // until the store knows what else of the packages is new
		defer func() {
			if err == nil && d.judging.news(o) {
				d.judging.told = told
			}
		}()
	}
	r := o.report
	set := d.set.Load().criteria.rules
	err = d.change(func(st *store.Store, encode store.Encode) error {
		open, err := st.Findings()
		if err != nil {
			return err
		}
		ids := set.IDs()
		var gone []string
		for _, f := range open {
			if _, there := slices.BinarySearch(ids, f.Rule); !there {
				gone = append(gone, f.Rule)
			}
		}
		scan, err := toStore(r, gone)
		if err != nil {
			return err
		}
		if d.judging.news(o) {
			if scan.Inventory, err = toInventory(r); err != nil {
				return err
			}
		}
		ch, err = st.Apply(scan, encode)
		d.changed(ch)
		if err != nil {
			return err
		}
		return d.tellPosture(st, r)
	})
	if err != nil {
		d.takeUnstored(r)
	}
	return ch, err
}

// owe notes whether the store took what was found. Of what it refused it takes no more later.
func (d *daemon) owe(err error) {
	owes := err != nil && !errors.Is(err, store.ErrRefused) && !errors.Is(err, store.ErrClosed)
	if d.vault.owes.Swap(owes) && !owes {
		d.warn.clear(warnStoreFull, warnStoreReadOnly)
	}
}

// changed logs what a scan changed.
func (d *daemon) changed(ch store.Changes) {
	if ch.Dropped > 0 {
		d.warn.set(warnOutboxDropping, "outbox", "the outbox is full: the least severe events are dropped and counted", "see to the sink, or raise outbox_size")
	}
	if ch != (store.Changes{}) {
		d.log.Info("changed", "opened", ch.Opened, "updated", ch.Updated, "resolved", ch.Resolved, "added", ch.Added, "upgraded", ch.Changed, "removed", ch.Removed)
	}
}

// upkeep does what time brings: ignores end, losses are told, a full snapshot is due.
func (d *daemon) upkeep(r *scanner.Report) {
	err := d.change(func(st *store.Store, encode store.Encode) error {
		if err := st.Tend(encode); err != nil {
			return err
		}
		if err := d.forgetOld(st); err != nil {
			return err
		}
		if _, err := st.TellLosses(encode); err != nil {
			return err
		}
		why, err := st.NeedSnapshot(d.config().SnapshotInterval)
		if err != nil || r == nil {
			return err
		}
		if why == "" {
			return d.tellPatches(st, r, false)
		}
		m, err := d.maker(st)
		if err != nil {
			return err
		}
		if why == "due" {
			if last, stats, same, err := d.unchanged(st); err != nil || same {
				if err != nil {
					return err
				}
				if err := d.reassert(st, m, r.Level, last, stats); err != nil {
					return err
				}
				return d.tellPatches(st, r, false)
			}
		}
		_, err = st.Queue("device", uint8(scanner.Low), m.own(func(meta report.EventMeta) (report.Event, error) {
			return report.DeviceEvent(meta, m.send.device(r))
		}))
		if err != nil {
			return err
		}
		d.publish(m)
		if err := d.tellPatches(st, r, true); err != nil {
			return err
		}
		uid := ""
		parts, err := st.QueueSnapshot(func(c store.Change) ([]byte, error) {
			uid = c.Part.Snapshot
			return encode(c)
		})
		if err != nil {
			return err
		}
		d.log.Info("snapshot queued", "why", why, "parts", parts)
		return d.toldAll(st, uid)
	})
	if err != nil && !errors.Is(err, errNoStore) {
		d.log.Debug("upkeep", "error", err)
	}
}
