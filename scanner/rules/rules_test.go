package rules_test

import (
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
			if r.File != r.ID+".yaml" {
				t.Errorf("rule %s is in %s", r.ID, r.File)
			}
		})
	}
}
