package facts

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	sessionsFile = "/data/system/install_sessions.xml"
	compatFile   = "/data/misc/appcompat/compat_framework_overrides.xml"
	maxAppEvents = 50000
)

func appEventsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "app_events", Doc: "updates, downgrades and removals of apps before the device was seen", Row: AppEvent{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("batterystats"), scanner.Dumpsys("platform_compat")}, Globs: []string{sessionsFile, compatFile}},
		Needs: []string{"packages"}, Collect: collectAppEvents,
	}
}

// eventReader gathers what several memories of the system keep, each for its own time.
type eventReader struct {
	*powers
	rows []AppEvent
}

func collectAppEvents(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &eventReader{powers: newPowers(ctx, in, &t), rows: []AppEvent{}}
	told := 0
	var errs []error
	for _, read := range []func() error{r.battery, r.sessionsOfService, r.sessionsOfFile, r.overrides} {
		err := read()
		if err == nil {
			told++
		}
		errs = append(errs, err)
	}
	if told == 0 {
		return scanner.Table{Absent: why(errs...)}
	}
	if errs[0] != nil { // the others tell of installs and switches alone
		r.partial(errs[0])
	}
	t.Rows = r.rows
	return t
}

// add completes a row; days are counted from when.
func (r *eventReader) add(row AppEvent, pkg string, when time.Time) {
	if len(r.rows) >= maxAppEvents || !parse.IsPackageName([]byte(pkg)) {
		return
	}
	row.AppTraits = r.traits(pkg, &row.Unread)
	row.Installed = r.apps.get(pkg) != nil
	if r.absent != "" {
		row.MarkUnread("still_installed", r.absent)
	}
	if row.Days = -1; !when.IsZero() {
		row.Days = max(int(r.in.Options.Now.Sub(when).Hours())/24, 0)
	}
	r.rows = append(r.rows, row)
}

// battery takes the changes of packages that the battery service remembers per day, from the
// oldest day on.
func (r *eventReader) battery() error {
	list, err := asked(r.powers, "batterystats", parse.BatteryUpdates)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b parse.PackageUpdate) int { return a.From.Compare(b.From) })
	before := map[string]int64{}
	for _, u := range list {
		row := AppEvent{Event: "updated", Version: u.Version, Previous: before[u.Package], Where: at("dumpsys/batterystats", u.Line)}
		if !u.From.IsZero() {
			row.Time = u.From.Format(time.DateOnly)
		}
		switch {
		case u.Removed:
			row.Event, row.Version = "removed", 0
		case u.Down || row.Previous > u.Version:
			row.Event = "downgraded"
		}
		if !u.Removed {
			before[u.Package] = u.Version
		}
		r.add(row, u.Package, u.From)
	}
	return nil
}

// sessionsOfService takes from the package service's dump the last installations, what it
// removed by itself, and what is gone since the device started.
func (r *eventReader) sessionsOfService() error {
	d := r.apps.dump
	if d == nil {
		return fmt.Errorf("dumpsys/package: %w", scanner.ErrUnavailable)
	}
	for _, s := range d.Sessions {
		if s.Package != "" && s.FinalStatus == 1 {
			r.session(s.Package, s.Created, or(s.Initiating, s.Installer), "dumpsys/package")
		}
	}
	for _, m := range d.Messages {
		if pkg, when, ok := removedByItself(m); ok {
			row := AppEvent{Event: "removed", Detail: "its files were gone as the device started", Where: "dumpsys/package"}
			if !when.IsZero() {
				row.Time = when.Format(time.DateOnly)
			}
			r.add(row, pkg, when)
		}
	}
	if len(r.apps.rows) == 0 {
		return nil
	}
	gone := map[string]bool{}
	for _, c := range d.Changes {
		if r.apps.get(c.Package) == nil && !gone[c.Package] {
			gone[c.Package] = true
			r.add(AppEvent{Event: "removed", Detail: "since the device started", Where: "dumpsys/package"}, c.Package, time.Time{})
		}
	}
	return nil
}

func (r *eventReader) session(pkg string, created int64, by, where string) {
	row := AppEvent{Event: "installed", Time: millis(created), Where: where}
	if by != "" {
		row.Detail = "by " + by
	}
	row.MarkUnread("version", "sessions do not keep it")
	row.MarkUnread("previous", "sessions do not keep it")
	var when time.Time
	if row.Time != "" {
		when = time.UnixMilli(created).UTC()
	}
	r.add(row, pkg, when)
}

var goneMessage = regexp.MustCompile(`^(.{6,40}?): .*[Pp]ackage ([A-Za-z][A-Za-z0-9_.]*) no longer exists`)

// removedByItself reads a line of the package manager's own log: the date as the device's
// language at the time wrote it, which may not be readable.
func removedByItself(message string) (pkg string, when time.Time, ok bool) {
	m := goneMessage.FindStringSubmatch(message)
	if m == nil {
		return "", time.Time{}, false
	}
	date := strings.ReplaceAll(m[1], "\u202f", " ")
	for _, layout := range []string{"1/2/06 3:04 PM", "1/2/06, 3:04 PM", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, date); err == nil {
			return m[2], t, true
		}
	}
	return m[2], time.Time{}, true
}

// sessionsOfFile takes installations that were committed from the installer's own file.
func (r *eventReader) sessionsOfFile() error {
	list, err := fromFile(r.powers, sessionsFile, parse.InstallSessionsXML)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Package != "" && s.Committed && !s.Failed {
			r.session(s.Package, s.Created, or(s.Initiator, s.Installer), sessionsFile)
		}
	}
	return nil
}

// overrides are behaviours of the platform that somebody switched for one app.
func (r *eventReader) overrides() error {
	list, err := asked(r.powers, "platform_compat", parse.CompatOverrides)
	if err == nil {
		for _, o := range list {
			detail := fmt.Sprintf("%d=%t", o.Change, o.Enabled)
			if o.Name != "" {
				detail = o.Name + " " + detail
			}
			r.add(AppEvent{Event: "override", Detail: detail, Where: at("dumpsys/platform_compat", o.Line)}, o.Package, time.Time{})
		}
		return nil
	}
	entries, fileErr := fromFile(r.powers, compatFile, parse.CompatXML)
	if fileErr != nil {
		return err
	}
	for _, o := range entries {
		r.add(AppEvent{Event: "override", Detail: fmt.Sprintf("%d=%t", o.Change, o.Enabled), Where: compatFile}, o.Package, time.Time{})
	}
	return nil
}
