package rules

import (
	"strings"
	"testing"
	"testing/fstest"

	"picket/scanner"
)

func packFS(pack string, rules map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	if pack != "" {
		fsys[packFile] = &fstest.MapFile{Data: []byte(pack)}
	}
	for name, src := range rules {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}

func TestPack(t *testing.T) {
	t.Parallel()
	one := map[string]string{"one.yaml": "id: OS-001\n" + ruleHead + "table: things\nwhen: size > 10\nsubject: {kind: thing, name: \"{name}\"}\n"}
	for name, c := range map[string]struct {
		pack string
		want string // in the error
	}{
		"none":         {"", ""},
		"whole":        {"name: Example\nversion: \"7\"\nmin_engine: 1\n", ""},
		"newer engine": {"name: Example\nmin_engine: 99\n", "pack.yaml:2: needs engine 99, this one is "},
		"unknown key":  {"name: Example\nmin_engin: 1\n", `pack.yaml:2: unknown key "min_engin"`},
		"extends":      {"extends: nothing\n", "pack.yaml:1: extends: got"},
		"empty":        {"\n", "pack.yaml:1: the file is empty"},
	} {
		set, err := Load(packFS(c.pack, one), thingCollectors)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		case err == nil && len(set.Rules()) != 1:
			t.Errorf("%s: %d rules", name, len(set.Rules()))
		}
	}
}

func TestPolicyOnFindings(t *testing.T) {
	t.Parallel()
	set := loadRules(t, "OS-001\ntable: things\nwhen: size > 10\nevidence: [size]\nsubject: {kind: group, name: \"{group}\"}")
	report := func(levels scanner.Levels, list []Override, rows ...thing) scanner.Report {
		t.Helper()
		s, idle := set.WithPolicy(list, levels)
		if len(idle) > 0 {
			t.Fatalf("of no use: %q", idle)
		}
		var r scanner.Report
		r.Conclude(judge(s, "", things(rows...)))
		return r
	}
	row := thing{Name: "bolt", Group: "g", Size: 11, Where: "/a"}
	if r := report(scanner.Levels{}, nil, row); len(r.Findings) != 1 || r.Level != scanner.LevelMedium || r.Findings[0].Policy != nil {
		t.Fatalf("without a policy: %+v", r)
	}
	for name, c := range map[string]struct {
		over  Override
		level scanner.Level
		note  *scanner.PolicyNote
	}{
		"accepted":       {Override{Why: "known"}, scanner.Secured, &scanner.PolicyNote{Accepted: true, Why: "known"}},
		"last day":       {Override{Why: "known", Expires: "2026-01-15"}, scanner.Secured, &scanner.PolicyNote{Accepted: true, Why: "known", Expires: "2026-01-15"}},
		"expired":        {Override{Why: "known", Expires: "2026-01-14"}, scanner.LevelMedium, nil},
		"lower":          {Override{Severity: scanner.Low, Why: "known"}, scanner.LevelLow, &scanner.PolicyNote{Was: scanner.Medium, Why: "known"}},
		"higher":         {Override{Severity: scanner.Critical, Why: "known"}, scanner.LevelHigh, &scanner.PolicyNote{Was: scanner.Medium, Why: "known"}},
		"these rows":     {Override{Match: map[string]string{"name": "b*"}, Why: "known"}, scanner.Secured, &scanner.PolicyNote{Accepted: true, Why: "known"}},
		"not these rows": {Override{Match: map[string]string{"name": "x*"}, Why: "known"}, scanner.LevelMedium, nil},
	} {
		c.over.Rule = "OS-001"
		r := report(scanner.Levels{}, []Override{c.over}, row)
		if len(r.Findings) != 1 {
			t.Errorf("%s: %d findings: what a policy accepts must stay visible", name, len(r.Findings))
			continue
		}
		got := r.Findings[0].Policy
		if r.Level != c.level || (got == nil) != (c.note == nil) || got != nil && *got != *c.note {
			t.Errorf("%s: level %v, note %+v, want %v, %+v", name, r.Level, got, c.level, c.note)
		}
	}
	// One row that nobody accepted makes the finding count, and is what it shows.
	accept := []Override{{Rule: "OS-001", Match: map[string]string{"name": "bolt"}, Why: "known"}}
	nut := thing{Name: "nut", Group: "g", Size: 12, Where: "/b"}
	for _, rows := range [][]thing{{row, nut}, {nut, row}} {
		r := report(scanner.Levels{}, accept, rows...)
		if r.Level != scanner.LevelMedium || len(r.Findings) != 1 || r.Findings[0].Policy != nil || len(r.Findings[0].Evidence) != 1 ||
			r.Findings[0].Evidence[0].Source != "/b" || r.Findings[0].Fix != "look at nut" {
			t.Errorf("with a row that is not accepted: %+v", r)
		}
	}
	if r := report(scanner.Levels{Low: scanner.Low, Medium: scanner.High, High: scanner.Critical}, nil, row); r.Level != scanner.LevelLow {
		t.Errorf("with raised thresholds: %v", r.Level)
	}
	if _, idle := set.WithPolicy([]Override{{Rule: "CFG-999"}, {Rule: "OS-001", Match: map[string]string{"colour": "x"}}}, scanner.Levels{}); len(idle) != 2 {
		t.Errorf("of no use: %q, want both", idle)
	}
}

func TestWhatIsAcceptedHidesNothing(t *testing.T) {
	t.Parallel()
	set := loadRules(t, "OS-001\ntable: things\nwhen: size > 10\nabsorbs: [OS-002]", "OS-002\ntable: things\nwhen: size > 5")
	s, _ := set.WithPolicy([]Override{{Rule: "OS-001", Why: "known"}}, scanner.Levels{})
	v := judge(s, "", things(thing{Name: "a", Size: 11}))
	if len(v.Findings) != 2 {
		t.Errorf("%d findings: one that is accepted took away one that is not", len(v.Findings))
	}
}
