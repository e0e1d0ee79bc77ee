package scanner_test

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// noDevice is a device with nothing in it; the collectors of these tests do not look at it.
type noDevice struct{ id scanner.Identity }

func (d noDevice) Identity() scanner.Identity {
	d.id.Platform = cmp.Or(d.id.Platform, "linux")
	return d.id
}
func (noDevice) FS() scanner.FS { return nil }
func (noDevice) Probe(context.Context, scanner.Source) ([]byte, error) {
	return nil, scanner.ErrUnavailable
}

type row struct{}

// tables is a judge that ranges over some tables and passes everything.
type tables []string

func (j tables) Tables(string) []string { return j }
func (j tables) Judge(_ context.Context, f *scanner.Facts) scanner.Verdict {
	var v scanner.Verdict
	for _, t := range j {
		o := scanner.Passed
		if f.Tables[t].Absent != "" {
			o = scanner.Unknown
		}
		v.Coverage = append(v.Coverage, scanner.Coverage{Rule: t, Outcome: o})
	}
	return v
}

// findings is a judge that finds what it is told.
type findings []scanner.Finding

func (findings) Tables(string) []string { return []string{"a"} }
func (j findings) Judge(context.Context, *scanner.Facts) scanner.Verdict {
	return scanner.Verdict{Findings: j, Coverage: []scanner.Coverage{{Rule: "R", Outcome: scanner.Failed}}}
}

func collector(name string, ran *[]string, needs ...string) scanner.Collector {
	return scanner.Collector{Table: name, Row: row{}, Needs: needs, Collect: func(_ context.Context, in *scanner.Input) scanner.Table {
		*ran = append(*ran, name)
		for _, n := range needs {
			if in.Tables[n] == nil {
				return scanner.Table{Absent: "missing " + n}
			}
		}
		return scanner.Table{Rows: []row{{}}}
	}}
}

func TestCollectorsRunOnceAndInOrderAndOnlyWhenNeeded(t *testing.T) {
	t.Parallel()
	var ran []string
	r, err := scanner.Scan(t.Context(), noDevice{}, scanner.Options{
		Collectors: []scanner.Collector{collector("c", &ran, "b", "a"), collector("b", &ran, "a"), collector("a", &ran), collector("unneeded", &ran)},
		Judge:      tables{"c", "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ran, " "); got != "a b c" {
		t.Errorf("ran %s", got)
	}
	if r.Level != scanner.Secured || len(r.Tables) != 3 {
		t.Errorf("level %s, tables %+v", r.Level, r.Tables)
	}
}

func TestPlanMistakes(t *testing.T) {
	t.Parallel()
	var ran []string
	for want, cs := range map[string][]scanner.Collector{
		`the scan needs table "a"`:       {},
		`table a needs table "b", which`: {collector("a", &ran, "b")},
		`table "a" needs itself`:         {collector("a", &ran, "b"), collector("b", &ran, "a")},
	} {
		_, err := scanner.Scan(t.Context(), noDevice{}, scanner.Options{Collectors: cs, Judge: tables{"a"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAPanicInACollectorMakesItsTableAbsent(t *testing.T) {
	t.Parallel()
	var ran []string
	bad := scanner.Collector{Table: "bad", Row: row{}, Collect: func(context.Context, *scanner.Input) scanner.Table {
		panic("a defect")
	}}
	r, err := scanner.Scan(t.Context(), noDevice{}, scanner.Options{Collectors: []scanner.Collector{bad, collector("a", &ran)}, Judge: tables{"bad", "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if why := r.Facts.Tables["bad"].Absent; !strings.Contains(why, "collector failed") {
		t.Errorf("absent: %q", why)
	}
	if r.Coverage[0].Outcome != scanner.Unknown || r.Coverage[1].Outcome != scanner.Passed {
		t.Errorf("coverage %+v", r.Coverage)
	}
}

func TestNothingReadIsAnErrorAndNothingJudgedIsNotSecured(t *testing.T) {
	t.Parallel()
	absent := func(name, why string) scanner.Collector {
		return scanner.Collector{Table: name, Row: row{}, Collect: func(context.Context, *scanner.Input) scanner.Table {
			return scanner.Table{Absent: why}
		}}
	}
	_, err := scanner.Scan(t.Context(), noDevice{}, scanner.Options{Collectors: []scanner.Collector{absent("a", "gone")}, Judge: tables{"a"}})
	if !errors.Is(err, scanner.ErrNothing) {
		t.Errorf("got %v, want ErrNothing", err)
	}
	var ran []string
	r, err := scanner.Scan(t.Context(), noDevice{}, scanner.Options{
		Collectors: []scanner.Collector{absent("a", "gone"), collector("b", &ran)}, Judge: tables{"a"}, Tables: []string{"b"}})
	if err != nil || r.Level != scanner.Unjudged {
		t.Errorf("level %v, %v; want unknown", r, err)
	}
}

func TestLevelIsSetByFindingsThatMaySetIt(t *testing.T) {
	t.Parallel()
	f := func(sev scanner.Severity, risk string) scanner.Finding {
		return scanner.Finding{Key: sev.String() + risk, Rule: "R", Severity: sev, FalsePositives: risk}
	}
	var ran []string
	for _, c := range []struct {
		name string
		fs   findings
		want scanner.Level
		by   []string
	}{
		{"none", nil, scanner.Secured, nil},
		{"informational", findings{f(scanner.Informational, "low")}, scanner.Secured, nil},
		{"low", findings{f(scanner.Low, "low")}, scanner.LevelLow, []string{"lowlow"}},
		{"high but doubtful", findings{f(scanner.High, "high"), f(scanner.Low, "low")}, scanner.LevelLow, []string{"lowlow"}},
		{"critical and high", findings{f(scanner.Medium, "low"), f(scanner.High, "medium"), f(scanner.Critical, "low")}, scanner.LevelHigh, []string{"criticallow", "highmedium"}},
	} {
		r, err := scanner.Scan(t.Context(), noDevice{}, scanner.Options{Collectors: []scanner.Collector{collector("a", &ran)}, Judge: c.fs})
		if err != nil {
			t.Fatal(err)
		}
		if r.Level != c.want || !slices.Equal(r.SetBy, c.by) {
			t.Errorf("%s: %s set by %v, want %s by %v", c.name, r.Level, r.SetBy, c.want, c.by)
		}
	}
}

func TestReferenceTimeIsTheRecordings(t *testing.T) {
	t.Parallel()
	old, now := time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var got time.Time
	c := scanner.Collector{Table: "a", Row: row{}, Collect: func(_ context.Context, in *scanner.Input) scanner.Table {
		got = in.Options.Now
		return scanner.Table{Rows: []row{}}
	}}
	for _, d := range []struct{ recorded, want time.Time }{{old, old}, {time.Time{}, now}} {
		r, err := scanner.Scan(t.Context(), noDevice{scanner.Identity{RecordedAt: d.recorded}}, scanner.Options{Collectors: []scanner.Collector{c}, Tables: []string{"a"}, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(d.want) || r.Device.JudgedAsOf != d.want.Format(time.RFC3339) || (r.Device.RecordedAt == "") != d.recorded.IsZero() {
			t.Errorf("recorded %v: collectors saw %v, report says %q and %q", d.recorded, got, r.Device.JudgedAsOf, r.Device.RecordedAt)
		}
	}
}

func TestScanStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var ran []string
	stop := scanner.Collector{Table: "a", Row: row{}, Collect: func(context.Context, *scanner.Input) scanner.Table {
		cancel()
		return scanner.Table{Rows: []row{}}
	}}
	_, err := scanner.Scan(ctx, noDevice{}, scanner.Options{Collectors: []scanner.Collector{stop, collector("b", &ran)}, Judge: tables{"a", "b"}})
	if !errors.Is(err, context.Canceled) || len(ran) != 0 {
		t.Errorf("got %v after running %v", err, ran)
	}
}

func TestSeverityOutcomeAndLevelNamesRoundTrip(t *testing.T) {
	t.Parallel()
	for s := scanner.Informational; s <= scanner.Critical; s++ {
		var back scanner.Severity
		if b, _ := s.MarshalText(); back.UnmarshalText(b) != nil || back != s {
			t.Errorf("severity %d", s)
		}
	}
	for o := scanner.Unknown; o <= scanner.NotApplicable; o++ {
		var back scanner.Outcome
		if b, _ := o.MarshalText(); back.UnmarshalText(b) != nil || back != o {
			t.Errorf("outcome %d", o)
		}
	}
	for l := scanner.Unjudged; l <= scanner.LevelHigh; l++ {
		var back scanner.Level
		if b, _ := l.MarshalText(); back.UnmarshalText(b) != nil || back != l {
			t.Errorf("level %d", l)
		}
	}
	var s scanner.Severity
	if s.UnmarshalText([]byte("")) == nil {
		t.Error("no severity was accepted as one")
	}
}

func TestPermBitsAreThoseOfStat(t *testing.T) {
	t.Parallel()
	for _, st := range []uint32{0o104755, 0o102755, 0o041777, 0o120777, 0o010644, 0o140600, 0o060660, 0o020620} {
		if got := (scanner.Info{Mode: scanner.ModeOf(st)}).Perm(); got != st&0o7777 {
			t.Errorf("%o: got %o", st, got)
		}
	}
	if m := scanner.ModeOf(0o120777); m&fs.ModeSymlink == 0 {
		t.Errorf("a link is %v", m)
	}
}

func TestMatchName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "x", true}, {"*.list", "a.list", true}, {"*.list", "a.lists", false}, {"a?c", "abc", true},
		{"a?c", "ac", false}, {"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false}, {"", "", true}, {"a", "", false},
		{"**", "anything", true}, {strings.Repeat("a*", 50) + "b", strings.Repeat("a", 200), false},
	} {
		if got := scanner.MatchName(c.pattern, c.name); got != c.want {
			t.Errorf("MatchName(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestATableOfAnotherPlatformIsInapplicable(t *testing.T) {
	t.Parallel()
	ran := false
	c := scanner.Collector{Table: "a", Platforms: []string{"android"}, Needs: []string{"b"}, Collect: func(context.Context, *scanner.Input) scanner.Table {
		ran = true
		return scanner.Table{Rows: []struct{}{}}
	}}
	other := scanner.Collector{Table: "c", Collect: func(context.Context, *scanner.Input) scanner.Table { return scanner.Table{Rows: []struct{}{}} }}
	opts := scanner.Options{Collectors: []scanner.Collector{c, other}, Tables: []string{"a", "c"}}
	r, err := scanner.Scan(t.Context(), noDevice{}, opts)
	if err != nil || ran || r.Facts.Tables["a"].Inapplicable == "" {
		t.Errorf("on linux: %v, ran %v", err, ran)
	}
	opts.Tables = []string{"a"}
	if _, err := scanner.Scan(t.Context(), noDevice{}, opts); !errors.Is(err, scanner.ErrNothing) {
		t.Errorf("a device with no table of its own is said to be read: %v", err)
	}
}
