package rules_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

const toldRule = `id: CFG-900
title: A user
category: config
severity: low
fp_risk: low
platforms: [linux]
table: users
when: uid == 0
subject: {kind: account, name: "{name}"}
evidence: [name]
means: "{name} has the home {home|shell}."
fix: "Remove {name}."
false_positives: None are known.
tests:
  - name: one
    fires: [{name: a, uid: 0, home: /a}]
    quiet: [{name: b, uid: 1}]
`

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, want string }{
		{"right", "texts/nl/a.yaml", "CFG-900:\n  title: Een gebruiker\n  means: \"De map van {name} is {home|shell}.\"\n  fix: \"Verwijder {name}.\"\n", ""},
		{"no such rule", "texts/nl/a.yaml", "CFG-901:\n  title: x\n  means: y\n  fix: z\n", "texts/nl/a.yaml:1: there is no rule file CFG-901.yaml"},
		{"unknown key", "texts/nl/a.yaml", "CFG-900:\n  titel: x\n", "a.yaml:2: unknown key"},
		{"missing", "texts/nl/a.yaml", "CFG-900:\n  title: x\n  means: y\n", "fix is missing"},
		{"another column", "texts/nl/a.yaml", "CFG-900:\n  title: x\n  means: \"{uid}\"\n  fix: z\n", "the rule's own texts have no {uid}"},
		{"twice", "texts/nl/a.yaml", "CFG-900: {title: x, means: y, fix: z}\nCFG-900: {title: x, means: y, fix: z}\n", "twice"},
		{"no mapping", "texts/nl/a.yaml", "- x\n", "a mapping"},
		{"no YAML", "texts/nl/a.yaml", "{", "a.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, err := rules.Load(fstest.MapFS{"CFG-900.yaml": {Data: []byte(toldRule)}, c.file: {Data: []byte(c.text)}}, facts.Collectors())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f := &scanner.Finding{Rule: "CFG-900", Words: map[string]string{"name": "ann", "home|shell": "/bin/sh"}}
			if got, ok := set.Say("nl", "linux", f); !ok || got != (rules.Text{Title: "Een gebruiker", Means: "De map van ann is /bin/sh.", Fix: "Verwijder ann."}) {
				t.Errorf("said %+v %v", got, ok)
			}
			for name, f := range map[string]*scanner.Finding{"another rule": {Rule: "CFG-901"}, "another edition": {Rule: "CFG-900", Words: map[string]string{"name": "ann"}}} {
				if got, ok := set.Say("nl", "linux", f); ok {
					t.Errorf("%s: said %+v", name, got)
				}
			}
			if _, ok := set.Say("fr", "linux", f); ok {
				t.Error("spoke French")
			}
		})
	}
}

// TestFindingsHaveTheirWords: what is said in another language names the same things.
func TestFindingsHaveTheirWords(t *testing.T) {
	t.Parallel()
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	v := set.Judge(t.Context(), &scanner.Facts{Device: scanner.DeviceInfo{Platform: "linux"}, Tables: map[string]*scanner.Table{
		"trusted_cas": {Rows: []facts.TrustedCA{{SHA256: "aa", Subject: "Intercept {path}", CA: true, Path: "/etc/x.crt"}}}}})
	for _, f := range v.Findings {
		if f.Rule != "CFG-015" {
			continue
		}
		text, ok := set.Say("nl", "linux", &f)
		if !ok || !strings.Contains(text.Means, `"Intercept {path}"`) || !strings.Contains(text.Fix, "/etc/x.crt") {
			t.Errorf("%+v %v", text, ok)
		}
		return
	}
	t.Error("nothing was found")
}

// TestEveryRuleIsToldInDutch: a rule that comes without its Dutch text fails here.
func TestEveryRuleIsToldInDutch(t *testing.T) {
	t.Parallel()
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	if missing := set.Untold("nl"); len(missing) > 0 {
		t.Errorf("texts/nl says nothing of %s", strings.Join(missing, ", "))
	}
}
