package agent

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/indicators"
	"picket/scanner/rules"
	"picket/transport/tuf"
)

// criteria is what a configuration says about how the device is judged. It is replaced as a
// whole.
type criteria struct {
	rules      *rules.Set
	indicators *indicators.Index // nil when none are named
	profile    string
	digests    scanner.DigestMode
	localRules bool     // a folder of the configuration
	policy     *Policy  // nil when there is none
	lost       bool     // policy stands for one that cannot be read
	idle       []string // what of the policy says nothing here
	updates    *tuf.Set // accepted; never nil
}

// judging scans the device, the whole of it or some tables, and keeps the last report up to date.
type judging struct {
	open       func(context.Context) (scanner.Device, error)
	collectors []scanner.Collector
	now        func() time.Time
	meter      func() (step func(string)) // follows what a scan does
	inputs     inputs                     // what the agent knows and the device does not
	seen       []func(*scanner.Facts)     // are told what each scan saw, after it was judged

	// compared has the programs that were the same in the last whole scan or since. Only
	// whole and part use it.
	compared *scanner.Compared

	// stock is held while the packages alone are read and remembered, and while the outcome
	// of a scan is.
	stock sync.Mutex
	// told is the package database as it was when all that it says had been told; nil when not
	// known. stock guards it.
	told *facts.Stock

	mu   sync.Mutex // guards what follows; scans themselves come one after the other
	last *scanner.Report
	late restocked // is not in last yet
	// packed are the packages of the last report if they lie where a compaction put them.
	packed []facts.Package
	// turn grows when the packages begin to be read alone, and when that is done. A scan that
	// saw another turn at its start may have an older inventory than is known.
	turn int
	// apart has what each rule said by itself, so that what one tells for another is right
	// even when only one of the two was judged again.
	apart scanner.Verdict
}

// report gives the last report, nil before the first. Nobody may change it.
func (j *judging) report() *scanner.Report {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.restock()
	return j.last
}

// device is that of the last report, if there is one.
func (j *judging) device() (info scanner.DeviceInfo, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last == nil {
		return info, false
	}
	return j.last.Device, true
}

// apartJudge keeps the findings of each rule apart.
type apartJudge struct {
	set *rules.Set
	got scanner.Verdict
}

func (a *apartJudge) Tables(platform string) []string { return a.set.Tables(platform) }

func (a *apartJudge) Judge(ctx context.Context, f *scanner.Facts) scanner.Verdict {
	a.got = a.set.JudgeApart(ctx, f)
	return scanner.Verdict{}
}

func (j *judging) scan(ctx context.Context, c *criteria, set *rules.Set, tables []string) (*scanner.Report, scanner.Verdict, error) {
	return j.scanSince(ctx, c, set, nil, tables)
}

// scanSince gives of the packages, where it can, only what changed since they were told.
func (j *judging) scanSince(ctx context.Context, c *criteria, set *rules.Set, since *facts.Stock, tables []string) (*scanner.Report, scanner.Verdict, error) {
	dev, err := j.open(ctx)
	if err != nil {
		return nil, scanner.Verdict{}, fmt.Errorf("opening the device: %w", err)
	}
	if d, ok := dev.(io.Closer); ok {
		defer d.Close()
	}
	opts := scanner.Options{Collectors: j.collectors, Profile: c.profile, Digests: c.digests, Now: j.now(), Tables: tables}
	if since != nil {
		opts.Since = since
	}
	if c.indicators != nil {
		opts.Indicators = c.indicators
	}
	if len(j.inputs) > 0 {
		dev = informed{dev, j.inputs}
	}
	step := j.meter()
	opts.Progress = func(doing string) { step(strings.TrimPrefix(doing, "reading ")) }
	defer step("")
	judge := &apartJudge{set: set}
	if set != nil {
		opts.Judge, opts.Compared = judge, j.compared
	}
	r, err := scanner.Scan(ctx, dev, opts)
	if err != nil {
		return nil, scanner.Verdict{}, fmt.Errorf("scanning: %w", err)
	}
	for _, tell := range j.seen {
		tell(r.Facts)
	}
	return r, judge.got, nil
}

// outcome is what came of a scan.
type outcome struct {
	report *scanner.Report // without Facts
	stocks bool            // its packages are news
	turn   int             // when it began
}

// newest is the last report once more, for a store that did not take it. stock must be held.
func (j *judging) newest() outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.restock()
	return outcome{j.last, true, j.turn}
}

// news tells whether its packages are the newest that were read. stock must be held.
func (j *judging) news(o outcome) bool { return o.stocks && o.turn == j.turns() }

// whole scans all.
func (j *judging) whole(ctx context.Context, c *criteria) (outcome, error) {
	turn := j.turns()
	j.compared = scanner.NewCompared() // a whole scan takes nothing for granted
	r, apart, err := j.scan(ctx, c, c.rules, []string{"packages"})
	if err != nil {
		return outcome{}, err
	}
	return j.conclude(c, r, apart, turn, true), nil
}

// part scans and judges some tables and puts what came of it into the last report.
func (j *judging) part(ctx context.Context, c *criteria, tables []string) (outcome, error) {
	turn := j.turns() // before the report, so that what is told meanwhile counts as newer
	last := j.report()
	if last == nil {
		return j.whole(ctx, c)
	}
	set := c.rules.OnlyTables(last.Device.Platform, tables)
	if len(set.Rules()) == 0 {
		return outcome{report: last}, nil
	}
	r, fresh, err := j.scan(ctx, c, set, nil)
	if err != nil {
		return outcome{}, err
	}
	merged := *last
	merged.Device.JudgedAsOf, merged.Device.RecordedAt = r.Device.JudgedAsOf, r.Device.RecordedAt
	merged.Tables = mergeTables(last.Tables, r.Tables)
	stocks := r.Facts.Tables["packages"] != nil
	if stocks && samePackages(packagesOf(last), packagesOf(r)) {
		stocks = !j.allTold() // what was told is not compared with the store again, nor kept anew
	} else if stocks {
		merged.Packages = r.Packages
	}
	return j.conclude(c, &merged, mergeVerdicts(j.apart, fresh), turn, stocks), nil
}

func (j *judging) turns() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.turn
}

func (j *judging) nextTurn() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.turn++
}

// conclude absorbs, and keeps the report and what each rule said.
func (j *judging) conclude(c *criteria, r *scanner.Report, apart scanner.Verdict, turn int, stocks bool) outcome {
	r.Facts = nil
	conclude(c, r, apart)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.turn != turn && j.last != nil {
		j.restock()
		stocks = false
		r.Packages, r.Tables = j.last.Packages, mergeTables(r.Tables, onlyPackages(j.last.Tables))
	}
	if !j.inPlace(packagesOf(r)) {
		j.packed = nil
	}
	j.last, j.late, j.apart = r, restocked{}, apart
	return outcome{r, stocks, turn}
}

// conclude makes what each rule said by itself the report's verdict.
func conclude(c *criteria, r *scanner.Report, apart scanner.Verdict) {
	r.Conclude(c.rules.Absorb(scanner.Verdict{Findings: slices.Clone(apart.Findings), Coverage: slices.Clone(apart.Coverage)}))
}

func onlyPackages(all []scanner.TableInfo) []scanner.TableInfo {
	return slices.DeleteFunc(slices.Clone(all), func(t scanner.TableInfo) bool { return t.Table != "packages" })
}

// mergeVerdicts puts what fresh says of its rules in the place of what was said before.
func mergeVerdicts(old, fresh scanner.Verdict) scanner.Verdict {
	again := map[string]scanner.Coverage{}
	for _, c := range fresh.Coverage {
		again[c.Rule] = c
	}
	var out scanner.Verdict
	for _, f := range old.Findings {
		if _, ok := again[f.Rule]; !ok {
			out.Findings = append(out.Findings, f)
		}
	}
	out.Findings = append(out.Findings, fresh.Findings...)
	for _, c := range old.Coverage {
		if now, ok := again[c.Rule]; ok {
			c = now
		}
		out.Coverage = append(out.Coverage, c)
	}
	return out
}

func mergeTables(old, fresh []scanner.TableInfo) []scanner.TableInfo {
	out := slices.Clone(old)
	for _, t := range fresh {
		if i := slices.IndexFunc(out, func(o scanner.TableInfo) bool { return o.Table == t.Table }); i >= 0 {
			out[i] = t
		} else {
			out = append(out, t)
		}
	}
	return out
}

// packagesOf gives a report's inventory.
func packagesOf(r *scanner.Report) []facts.Package {
	list, _ := r.Packages.([]facts.Package)
	return list
}
