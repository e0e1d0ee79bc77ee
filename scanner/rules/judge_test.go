package rules

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"picket/scanner"
)

type thing struct {
	Name   string   `expr:"name"`
	Size   int      `expr:"size"`
	Path   string   `expr:"path"`
	Group  string   `expr:"group"`
	Starts []string `expr:"starts"`
	Mode   int      `expr:"mode"`
	Where  string   `expr:"where"`
	scanner.Unread
}

var thingCollectors = []scanner.Collector{{Table: "things", Row: thing{}}, {Table: "others", Row: thing{}}}

const ruleHead = `title: T
category: os
severity: medium
fp_risk: low
platforms: [linux]
means: m
fix: look at {name}
false_positives: none
`

// loadRules compiles rules given as "ID\nbody".
func loadRules(t *testing.T, bodies ...string) *Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, b := range bodies {
		id, rest, _ := strings.Cut(b, "\n")
		if !strings.Contains(rest, "subject:") {
			rest += "\nsubject: {kind: thing, name: \"{name}\"}\n"
		}
		fsys[id+".yaml"] = &fstest.MapFile{Data: []byte("id: " + id + "\n" + ruleHead + rest)}
	}
	set, err := Load(fsys, thingCollectors)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func judge(set *Set, profile string, tables ...*scanner.Table) scanner.Verdict {
	f := &scanner.Facts{Tables: map[string]*scanner.Table{}, Ref: time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC),
		Device: scanner.DeviceInfo{Platform: "linux", Profile: profile}}
	for _, t := range tables {
		f.Tables[t.Name] = t
	}
	return set.Judge(context.Background(), f)
}

func things(rows ...thing) *scanner.Table { return &scanner.Table{Name: "things", Rows: rows} }

func TestOutcomes(t *testing.T) {
	t.Parallel()
	big := "OS-001\ntable: things\nwhen: size > 10"
	unreadRow := thing{Name: "hidden"}
	unreadRow.MarkUnread("size", "may not read it")
	for _, c := range []struct {
		name  string
		rule  string
		table *scanner.Table
		want  scanner.Outcome
		why   string
	}{
		{"fires", big, things(thing{Name: "a", Size: 11}), scanner.Failed, ""},
		{"does not fire", big, things(thing{Name: "a", Size: 1}), scanner.Passed, ""},
		{"no rows", big, things(), scanner.Passed, ""},
		{"no rows of a kind", big + "\nempty: not_applicable", things(), scanner.NotApplicable, "nothing of this kind"},
		{"table absent", big, &scanner.Table{Name: "things", Absent: "no such file"}, scanner.Unknown, "no such file"},
		{"table not collected", big, &scanner.Table{Name: "others"}, scanner.Unknown, "not collected"},
		{"table inapplicable", big, &scanner.Table{Name: "things", Inapplicable: "no radio"}, scanner.NotApplicable, "no radio"},
		{"column without meaning", big, &scanner.Table{Name: "things", Rows: []thing{{Size: 11}}, Unknown: map[string]string{"size": "lost in git"}}, scanner.Unknown, "lost in git"},
		{"no deviations, column without meaning", big, &scanner.Table{Name: "things", Rows: []thing{}, Deviations: true, Unknown: map[string]string{"size": "not looked at"}}, scanner.Unknown, "not looked at"},
		{"no deviations, other column without meaning", big, &scanner.Table{Name: "things", Rows: []thing{}, Deviations: true, Unknown: map[string]string{"mode": "not looked at"}}, scanner.Passed, ""},
		{"other column without meaning", big, &scanner.Table{Name: "things", Rows: []thing{{Size: 11}}, Unknown: map[string]string{"mode": "lost"}}, scanner.Failed, ""},
		{"part of the table unread", big, &scanner.Table{Name: "things", Rows: []thing{{Size: 1}}, Partial: []string{"half read"}}, scanner.Unknown, "half read"},
		{"fires in what was read", big, &scanner.Table{Name: "things", Rows: []thing{{Size: 11}}, Partial: []string{"half read"}}, scanner.Failed, "half read"},
		{"row unread", big, things(unreadRow), scanner.Unknown, "may not read it"},
		{"row unread but not chosen", "OS-001\ntable: things\nwhere: name == 'x'\nwhen: size > 10", things(unreadRow), scanner.Passed, ""},
		{"row unread and another fires", big, things(unreadRow, thing{Name: "b", Size: 12}), scanner.Failed, "may not read it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cov := judge(loadRules(t, c.rule), "", c.table).Coverage[0]
			if cov.Outcome != c.want || !strings.Contains(cov.Why, c.why) || c.why == "" && cov.Why != "" {
				t.Errorf("got %s (%s), want %s (%s)", cov.Outcome, cov.Why, c.want, c.why)
			}
		})
	}
}

func TestRuleForAnotherPlatformIsNotApplicable(t *testing.T) {
	t.Parallel()
	set := loadRules(t, "OS-001\ntable: things\nwhen: size > 10")
	set.rules[0].Platforms = []string{"android"}
	if got := judge(set, "", things(thing{Size: 11})).Coverage[0]; got.Outcome != scanner.NotApplicable {
		t.Errorf("got %+v", got)
	}
}

func TestSeverityByProfileAndGrade(t *testing.T) {
	t.Parallel()
	rule := "OS-001\ntable: things\nwhen: size > 10\nprofiles: {phone: high, workstation: info, server: 'off'}\ngrades:\n  - {when: size > 100, severity: critical}"
	for _, c := range []struct {
		profile string
		size    int
		want    scanner.Severity
	}{
		{"phone", 11, scanner.High}, {"router", 11, scanner.Medium}, {"workstation", 11, scanner.Informational},
		{"", 11, scanner.Informational}, {"workstation", 101, scanner.Critical},
	} {
		v := judge(loadRules(t, rule), c.profile, things(thing{Name: "a", Size: c.size}))
		if len(v.Findings) != 1 || v.Findings[0].Severity != c.want {
			t.Errorf("profile %q, size %d: got %+v, want %s", c.profile, c.size, v.Findings, c.want)
		}
	}
	if v := judge(loadRules(t, rule), "server", things(thing{Size: 11})); v.Coverage[0].Outcome != scanner.NotApplicable {
		t.Errorf("off for servers, got %+v", v.Coverage[0])
	}
}

func TestRowsOfOneSubjectMakeOneFinding(t *testing.T) {
	t.Parallel()
	set := loadRules(t, "OS-001\ntable: things\nwhen: size > 10\nevidence: [path]\npaths: [path]")
	rows := []thing{{Name: "other", Size: 11}}
	for i := range maxEvidence + 5 {
		rows = append(rows, thing{Name: "a", Size: 11, Path: fmt.Sprint("/p", i), Where: "w"})
	}
	v := judge(set, "", things(rows...))
	if len(v.Findings) != 2 || v.Coverage[0].Findings != 2 {
		t.Fatalf("got %d findings, want 2", len(v.Findings))
	}
	f := v.Findings[1]
	if len(f.Evidence) != maxEvidence || f.MoreEvidence != 5 || f.Evidence[0].Fields["path"] != "/p0" || f.Evidence[0].Source != "w" {
		t.Errorf("evidence %d and %d more, first %+v", len(f.Evidence), f.MoreEvidence, f.Evidence[0])
	}
	if f.Fix != "look at a" {
		t.Errorf("fix is %q", f.Fix)
	}
	if f.Key != scanner.FindingKey("OS-001", scanner.Subject{Kind: "thing", Name: "a"}) {
		t.Error("the key is not that of rule and subject")
	}
}

func TestFindingsOfOneRuleAreBounded(t *testing.T) {
	t.Parallel()
	rows := make([]thing, maxFindings+7)
	for i := range rows {
		rows[i] = thing{Name: fmt.Sprint(i), Size: 11}
	}
	v := judge(loadRules(t, "OS-001\ntable: things\nwhen: size > 10"), "", things(rows...))
	if len(v.Findings) != maxFindings || v.Coverage[0].Why != "7 more findings left out" {
		t.Errorf("%d findings, %+v", len(v.Findings), v.Coverage[0])
	}
}

func TestOneCauseIsToldOnce(t *testing.T) {
	t.Parallel()
	set := loadRules(t,
		"OS-001\ntable: things\nwhen: size > 10\nabsorbs: [OS-002, OS-003]\npaths: [path]",
		"OS-002\ntable: others\nwhen: size > 0\nsubject: {kind: file, name: \"{path}\"}",
		"OS-003\ntable: others\nwhen: size > 0\nsubject: {kind: dir, name: d}\npaths: [path]")
	v := judge(set, "", things(thing{Name: "a", Size: 11, Path: "/x"}),
		&scanner.Table{Name: "others", Rows: []thing{{Size: 1, Path: "/x"}}})
	if len(v.Findings) != 1 || len(v.Findings[0].Absorbed) != 2 {
		t.Fatalf("got %+v", v.Findings)
	}
	for _, c := range v.Coverage[1:] {
		if c.Outcome != scanner.Failed || c.Findings != 0 || !slices.Equal(c.ToldUnder, []string{"OS-001"}) {
			t.Errorf("absorbed rule: %+v", c)
		}
	}
	v = judge(set, "", things(thing{Name: "a", Size: 11, Path: "/y"}),
		&scanner.Table{Name: "others", Rows: []thing{{Size: 1, Path: "/x"}}})
	if len(v.Findings) != 3 {
		t.Errorf("another file is another cause, got %d findings", len(v.Findings))
	}
}

// What one finding names takes another one only when it tells all of it.
func TestFindingsAreAbsorbedWhole(t *testing.T) {
	t.Parallel()
	many := func(n int) (rows []thing) {
		for i := range n {
			rows = append(rows, thing{Size: 1, Group: "/opt", Path: fmt.Sprint("/opt/", i), Starts: []string{"/lib/x"}})
		}
		return rows
	}
	const group = `subject: {kind: folder, name: "{group}"}` + "\npaths: [path]"
	for _, c := range []struct {
		name     string
		absorber thing
		told     string // the other rule's subject and paths
		others   []thing
		absorbed bool
	}{
		{"a group's only file", thing{Path: "/opt/a"}, group, []thing{{Size: 1, Group: "/opt", Path: "/opt/a"}}, true},
		{"one file of two", thing{Path: "/opt/a"}, group, []thing{{Size: 1, Group: "/opt", Path: "/opt/a"}, {Size: 1, Group: "/opt", Path: "/opt/b"}}, false},
		{"the folder of a group, not its files", thing{Path: "/opt"}, group, []thing{{Size: 1, Group: "/opt", Path: "/opt/a"}}, false},
		{"both files, of a list", thing{Path: "/etc/job", Starts: []string{"/opt/a", "/opt/b"}}, group,
			[]thing{{Size: 1, Group: "/opt", Path: "/opt/a"}, {Size: 1, Group: "/opt", Path: "/opt/b"}}, true},
		{"the file itself, whatever else it names", thing{Path: "/etc/job"}, `subject: {kind: job, name: "{path}"}` + "\npaths: [path, starts]",
			[]thing{{Size: 1, Path: "/etc/job", Starts: []string{"/opt/a"}}}, true},
		{"a file without paths", thing{Path: "/etc/job"}, `subject: {kind: job, name: "{path}"}`, []thing{{Size: 1, Path: "/etc/job"}}, true},
		{"the same subject", thing{Name: "x", Path: "/etc/job"}, `subject: {kind: thing, name: "{name}"}` + "\npaths: [path]",
			[]thing{{Size: 1, Name: "x", Path: "/etc/other"}}, true},
		{"more files than are kept", thing{Starts: filesOf(many(2 * maxEvidence))}, group, many(2 * maxEvidence), false},
		{"more paths than are kept", thing{Path: "/lib/x", Starts: filesOf(many(maxEvidence - 1))},
			`subject: {kind: folder, name: "{group}"}` + "\npaths: [starts, path]", many(maxEvidence), false},
	} {
		c.absorber.Size = 11
		set := loadRules(t, "OS-001\ntable: things\nwhen: size > 10\nabsorbs: [OS-002]\npaths: [path, starts]", "OS-002\ntable: others\nwhen: size > 0\n"+c.told+"\n")
		v := judge(set, "", things(c.absorber), &scanner.Table{Name: "others", Rows: c.others})
		if got := len(v.Findings) == 1 && len(v.Findings[0].Absorbed) == 1; got != c.absorbed {
			t.Errorf("%s: absorbed %v, %+v", c.name, got, v.Findings)
		}
	}
}

func filesOf(rows []thing) (out []string) {
	for _, r := range rows {
		out = append(out, r.Path)
	}
	return out
}

func TestDiscretionIsKeptByWhatAbsorbs(t *testing.T) {
	t.Parallel()
	set := loadRules(t,
		"OS-001\ntable: things\nwhen: size > 10\nabsorbs: [OS-002]",
		"OS-002\ntable: things\nwhen: size > 0\ndiscreet: true",
		"OS-003\ntable: things\nwhen: size > 0")
	v := judge(set, "", things(thing{Name: "loud", Size: 11}, thing{Name: "quiet", Size: 1}))
	got := map[string]bool{}
	for _, f := range v.Findings {
		got[f.Rule+" "+f.Subject.Name] = f.Discreet
	}
	want := map[string]bool{"OS-001 loud": true, "OS-002 quiet": true, "OS-003 loud": false, "OS-003 quiet": false}
	if !maps.Equal(got, want) {
		t.Errorf("discreet: %v, want %v", got, want)
	}
}

func TestTextsTakeTheFirstColumnThatIsFilled(t *testing.T) {
	t.Parallel()
	set := loadRules(t, "OS-001\ntable: things\nwhen: size > 0\nsubject: {kind: thing, name: \"{name|path} of {size}\"}")
	v := judge(set, "", things(thing{Name: "a", Size: 1, Path: "/x"}, thing{Size: 2, Path: "/y"}))
	if len(v.Findings) != 2 || v.Findings[0].Subject.Name != "a of 1" || v.Findings[1].Subject.Name != "/y of 2" {
		t.Errorf("got %+v", v.Findings)
	}
	l := NewLoader(thingCollectors)
	_, err := l.Parse("x.yaml", []byte("id: OS-001\n"+ruleHead+"table: things\nwhen: size > 0\nsubject: {kind: thing, name: \"{name|pathh}\"}\n"))
	if err == nil || !strings.Contains(err.Error(), `did you mean "path"`) {
		t.Errorf("a column that is not there: %v", err)
	}
}

func TestAllowLists(t *testing.T) {
	t.Parallel()
	rule := "OS-001\ntable: things\nwhen: size > 10\nallow:\n  - {match: {name: 'vendor-*'}, why: ships like this}"
	rows := things(thing{Name: "vendor-x", Size: 11}, thing{Name: "mine", Size: 11}, thing{Name: "old", Size: 11})
	set := loadRules(t, rule)
	list := "- {rule: OS-001, match: {name: mine, size: '11'}, why: ours}\n- {rule: OS-001, match: {name: old}, why: was fine, expires: 2026-01-14}\n"
	set, err := set.WithAllow("allow.yaml", []byte(list))
	if err != nil {
		t.Fatal(err)
	}
	v := judge(set, "", rows)
	if len(v.Findings) != 1 || v.Findings[0].Subject.Name != "old" {
		t.Errorf("got %+v, want only the expired one", v.Findings)
	}
}

func TestAllowListMistakes(t *testing.T) {
	t.Parallel()
	set := loadRules(t, "OS-001\ntable: things\nwhen: size > 10")
	for src, want := range map[string]string{
		"- {rule: OS-002, match: {name: a}, why: w}":                     `allow.yaml:1: no rule "OS-002" (did you mean "OS-001"?)`,
		"- {rule: OS-001, why: w}":                                       "would switch the whole rule off",
		"- {rule: OS-001, match: {name: a}}":                             "why is this allowed",
		"- {rule: OS-001, match: {nam: a}, why: w}":                      `no column "nam" (did you mean "name"?)`,
		"- {rule: OS-001, match: {name: a}, why: w, expires: tomorrow}":  "is no date",
		"- {rule: OS-001, match: {name: a}, why: w, expire: 2027-01-01}": `unknown key "expire" (did you mean "expires"?)`,
		"rule: OS-001": "allow.yaml:1",
		"- [":          "allow.yaml:",
	} {
		if _, err := set.WithAllow("allow.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"*", "", true},
		{"a*a", "a", false}, {"a*b*c", "axbxc", true}, {"a*b*c", "axcxb", false}, {"", "", true}, {"", "x", false},
	} {
		if got := wildcard(c.pattern, c.s); got != c.want {
			t.Errorf("wildcard(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func FuzzRule(f *testing.F) {
	f.Add([]byte("id: OS-001\n" + ruleHead + "table: things\nwhen: size > 10\nsubject: {kind: thing, name: x}\ntests:\n - name: a\n   fires: [{size: 11}]\n   quiet: [{size: 1}]\n"))
	f.Add([]byte("id: OS-001\n" + ruleHead + "table: things\nwhen: any(1..9, # == size)\nsubject: {kind: thing, name: x}\n"))
	f.Add([]byte("a: &a [*a, *a]"))
	l := NewLoader(thingCollectors)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := l.Parse("x.yaml", b)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x.yaml:") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		_ = r.SelfTest()
	})
}

func TestConditionsWithoutBoundAreRefused(t *testing.T) {
	t.Parallel()
	l := NewLoader(thingCollectors)
	for _, when := range []string{"any(1..999999, # == size)", "repeat(name, 1000000) == ''", "size in 1..10", "len(1..9) > 1"} {
		src := "id: OS-001\n" + ruleHead + "table: things\nsubject: {kind: thing, name: x}\nwhen: " + when + "\n"
		if _, err := l.Parse("x.yaml", []byte(src)); err == nil {
			t.Errorf("%s was accepted", when)
		}
	}
}
