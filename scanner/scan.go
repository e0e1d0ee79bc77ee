package scanner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ReportSchema names the report's format and its version.
const ReportSchema = "picket.report/1"

// Options of a scan.
type Options struct {
	// Collectors fill the tables. Those that no rule and no output needs are not run.
	Collectors []Collector
	// Judge turns tables into findings; nil collects only.
	Judge Judge
	// Tables are collected whether or not a rule needs them ("packages" for an inventory).
	Tables []string
	// Profile is the device's role (phone, router, kiosk, ...); "" lets the os collector guess.
	Profile string
	// Now is the reference time for devices that do not know when they were recorded.
	Now time.Time
	// Digests chooses which packaged programs are compared with what their package recorded.
	Digests DigestMode
	// Compared has the packaged programs that need not be hashed again; nil for none.
	Compared *Compared
	// Since is a *facts.Stock: where it can, the collector of packages then gives what changed
	// since it was taken, and nothing else, with a *facts.Since as the table's Aux, and brings it up to date.
	Since any
	// Indicators of compromise to compare with; nil when none were given.
	Indicators Matcher
	// View, when set, wraps the device that each collector sees. Tests observe with it.
	View func(collector string, d Device) Device
	// Progress, when set, is told what is being done.
	Progress func(step string)
}

// DigestMode says which packaged programs are hashed.
type DigestMode string

// The modes.
const (
	DigestsAll  DigestMode = "all"  // every packaged program and library
	DigestsNone DigestMode = "none" // none; the rules that need digests end Unknown
	// DigestsLater leaves out the packaged programs, which are many, and not the few files
	// that stand out: the first scan of an agent that compares them next.
	DigestsLater DigestMode = "later"
)

// Judge is a rule set.
type Judge interface {
	// Tables names the tables that the rules for a platform range over.
	Tables(platform string) []string
	// Judge applies the rules. ref is the reference time.
	Judge(ctx context.Context, f *Facts) Verdict
}

// Facts is what the collectors found.
type Facts struct {
	Tables map[string]*Table
	// Ref is the time that ages are measured against: when the device was recorded.
	Ref time.Time
	// Device is the header of the report.
	Device DeviceInfo
}

// Report is what a scan says. Its JSON form is documented in docs/report.md.
type Report struct {
	Schema string     `json:"schema"`
	Device DeviceInfo `json:"device"`
	Level  Level      `json:"level"`
	// SetBy are the keys of the findings that set the level.
	SetBy    []string    `json:"set_by,omitempty"`
	Packages any         `json:"packages"`
	Findings []Finding   `json:"findings"`
	Coverage []Coverage  `json:"coverage"`
	Tables   []TableInfo `json:"tables"`
	// Facts are the tables themselves, for programs that embed the scanner.
	Facts *Facts `json:"-"`
}

// DeviceInfo describes the device in a report.
type DeviceInfo struct {
	// Origin is the only line in which a scan of a recording differs from the scan that made it.
	Origin         string   `json:"origin"`
	Platform       string   `json:"platform"`
	Live           bool     `json:"live"`
	Root           bool     `json:"root"`
	RecordedAt     string   `json:"recorded_at,omitempty"` // RFC 3339 UTC; absent when unknown
	JudgedAsOf     string   `json:"judged_as_of"`          // RFC 3339 UTC
	OS             *OS      `json:"os,omitempty"`
	Profile        string   `json:"profile"`
	ModesUntrusted string   `json:"modes_untrusted,omitempty"`
	Notes          []string `json:"notes,omitempty"`
}

// OS is the one row of the table "os": what the device says that it runs.
type OS struct {
	ID         string `expr:"id" json:"id" doc:"os-release ID: debian, alpine, openwrt, ..."`
	IDLike     string `expr:"id_like" json:"id_like,omitempty" doc:"os-release ID_LIKE"`
	Name       string `expr:"name" json:"name" doc:"os-release PRETTY_NAME, NAME or ID"`
	Version    string `expr:"version" json:"version,omitempty" doc:"os-release VERSION_ID, made precise by the distribution's own version file"`
	Codename   string `expr:"codename" json:"codename,omitempty" doc:"os-release VERSION_CODENAME"`
	Variant    string `expr:"variant" json:"variant,omitempty" doc:"os-release VARIANT_ID"`
	Build      string `expr:"build" json:"build,omitempty" doc:"os-release BUILD_ID or IMAGE_VERSION"`
	SupportEnd string `expr:"support_end" json:"support_end,omitempty" doc:"end of free support, YYYY-MM-DD, from os-release SUPPORT_END or Picket's table; empty unknown"`
	LTSEnd     string `expr:"lts_end" json:"lts_end,omitempty" doc:"end of paid or long-term support, YYYY-MM-DD, or empty"`
	DaysPast   int    `expr:"days_past_end" json:"-" doc:"days since support_end at the reference time; negative before it; 0 when unknown"`
	LTSPast    int    `expr:"days_past_lts" json:"-" doc:"days since lts_end at the reference time; negative before it; 0 when unknown"`
	AgeDays    int    `expr:"age_days" json:"-" doc:"days since the system's files or packages last changed, at the reference time; -1 unknown"`
	Rolling    bool   `expr:"rolling" json:"rolling,omitempty" doc:"a distribution without releases"`
	Kernel     string `expr:"kernel" json:"kernel,omitempty" doc:"running kernel release; empty for images"`
	Arch       string `expr:"arch" json:"arch,omitempty" doc:"machine: x86_64, aarch64, ..."`
	Model      string `expr:"model" json:"model,omitempty" doc:"product name from DMI or device tree"`
	Profile    string `expr:"profile" json:"-" doc:"role given by policy or guessed: phone, handheld, kiosk, router, iot, workstation, server, container-image; empty unknown"`
	Where      string `expr:"where" json:"-" doc:"file and line"`
}

// TableInfo says how a table's collection went.
type TableInfo struct {
	Table        string   `json:"table"`
	Rows         int      `json:"rows"`
	Absent       string   `json:"absent,omitempty"`
	Inapplicable string   `json:"not_applicable,omitempty"`
	Partial      []string `json:"partial,omitempty"`
	Notes        []string `json:"notes,omitempty"`
}

// ErrNothing says that a device gave no fact at all, so nothing can be said of it.
var ErrNothing = errors.New("nothing on this device could be read")

// Scan collects the facts that the rules need, judges them and reports. It fails when the
// context ends or when the device gave nothing at all; a part that could not be read is said
// in the report.
func Scan(ctx context.Context, dev Device, opts Options) (*Report, error) {
	id := dev.Identity()
	order, err := plan(&opts, id.Platform)
	if err != nil {
		return nil, err
	}
	facts := &Facts{Tables: map[string]*Table{}, Ref: id.RecordedAt}
	if facts.Ref.IsZero() {
		facts.Ref = opts.Now
	}
	opts.Now = facts.Ref
	for _, c := range order {
		if opts.Progress != nil {
			opts.Progress("reading " + c.Table)
		}
		t, err := collect(ctx, dev, c, &opts, facts)
		if err != nil {
			return nil, err
		}
		facts.Tables[c.Table] = t
	}
	if nothingRead(facts) {
		return nil, ErrNothing
	}
	r := &Report{Schema: ReportSchema, Device: describe(id, facts), Facts: facts, Packages: []struct{}{}, Findings: []Finding{}, Coverage: []Coverage{}}
	facts.Device = r.Device
	if t := facts.Tables["packages"]; t != nil && t.Rows != nil {
		r.Packages = t.Rows
	}
	for _, c := range order {
		r.Tables = append(r.Tables, facts.Tables[c.Table].Info())
	}
	if opts.Judge == nil {
		return r, nil
	}
	if opts.Progress != nil {
		opts.Progress("judging")
	}
	v := opts.Judge.Judge(ctx, facts)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.Conclude(v)
	return r, nil
}

// Conclude makes a verdict the report's: its findings, the gravest first, its coverage, and
// the level that follows from them.
func (r *Report) Conclude(v Verdict) {
	sortFindings(v.Findings)
	r.Findings = append([]Finding{}, v.Findings...)
	r.Coverage = append([]Coverage{}, v.Coverage...)
	r.Level, r.SetBy = v.Levels.Level(v.Findings)
	if !judged(v.Coverage) {
		r.Level = Unjudged
	}
}

// judged reports whether any rule came to a verdict: without one the device is not Secured,
// it is unknown.
func judged(cs []Coverage) bool {
	for _, c := range cs {
		if c.Outcome == Passed || c.Outcome == Failed {
			return true
		}
	}
	return false
}

// plan orders the collectors that are needed, each after those whose tables it needs.
func plan(opts *Options, platform string) ([]Collector, error) {
	byName := make(map[string]Collector, len(opts.Collectors))
	for _, c := range opts.Collectors {
		byName[c.Table] = c
	}
	var order []Collector
	state := map[string]int{} // 1 being visited, 2 done
	var visit func(name, by string) error
	visit = func(name, by string) error {
		c, ok := byName[name]
		switch {
		case !ok:
			return fmt.Errorf("%s needs table %q, which no collector fills", by, name)
		case state[name] == 1:
			return fmt.Errorf("table %q needs itself", name)
		case state[name] == 2:
			return nil
		}
		state[name] = 1
		if c.On(platform) {
			for _, n := range c.Needs {
				if err := visit(n, "table "+name); err != nil {
					return err
				}
			}
		}
		state[name] = 2
		order = append(order, c)
		return nil
	}
	want := append([]string{}, opts.Tables...)
	if opts.Judge != nil {
		want = append(want, opts.Judge.Tables(platform)...)
	}
	if _, ok := byName["os"]; ok {
		want = append(want, "os")
	}
	for _, name := range want {
		if err := visit(name, "the scan"); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// collect runs one collector. A panic in it is a defect of ours, or hostile input that found
// one: the table is then absent, and the rest of the scan goes on.
func collect(ctx context.Context, dev Device, c Collector, opts *Options, facts *Facts) (t *Table, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if platform := dev.Identity().Platform; !c.On(platform) {
		return &Table{Name: c.Table, Inapplicable: platform + " has no such table"}, nil
	}
	if opts.View != nil {
		dev = opts.View(c.Table, dev)
	}
	in := &Input{Device: dev, Tables: map[string]*Table{}, Options: opts}
	for _, n := range c.Needs {
		in.Tables[n] = facts.Tables[n]
	}
	defer func() {
		if p := recover(); p != nil {
			t, err = &Table{Name: c.Table, Absent: fmt.Sprintf("collector failed: %v", p)}, nil
		}
	}()
	got := c.Collect(ctx, in)
	got.Name = c.Table
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &got, nil
}

func nothingRead(f *Facts) bool {
	for _, t := range f.Tables {
		if t.Absent == "" && t.Inapplicable == "" {
			return false
		}
	}
	return true
}

func describe(id Identity, f *Facts) DeviceInfo {
	d := DeviceInfo{Origin: id.Origin, Platform: id.Platform, Live: id.Live, Root: id.Root,
		JudgedAsOf: f.Ref.UTC().Format(time.RFC3339), ModesUntrusted: id.ModesUntrusted, Notes: id.Notes}
	if !id.RecordedAt.IsZero() {
		d.RecordedAt = id.RecordedAt.UTC().Format(time.RFC3339)
	}
	if t := f.Tables["os"]; t != nil {
		if rows, _ := t.Rows.([]OS); len(rows) > 0 {
			d.OS = &rows[0]
			d.Profile = rows[0].Profile
		}
	}
	return d
}
