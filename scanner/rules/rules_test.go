package rules_test

import (
	"slices"
	"testing"

	"picket/scanner/facts"
	"picket/scanner/rules"
)

func TestEveryRuleOfTheCatalogueProvesItself(t *testing.T) {
	t.Parallel()
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			if err := r.SelfTest(); err != nil {
				t.Error(err)
			}
			want := r.ID + ".yaml"
			if len(set.Rule(r.ID)) > 1 && slices.Contains(r.Platforms, "android") {
				want = r.ID + ".android.yaml" // Linux has a form of its own
			}
			if r.File != want {
				t.Errorf("rule %s is in %s, not in %s", r.ID, r.File, want)
			}
		})
	}
}
