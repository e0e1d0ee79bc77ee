package facts

import (
	"context"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// PolkitRule is one answer that polkit gives without asking the administrator: a rule file
// of JavaScript that returns YES, or a section of a local authority file (.pkla).
type PolkitRule struct {
	Kind string `expr:"kind" json:"kind" doc:"rules (JavaScript) or pkla"`
	// Grants and Tested are read from the text; what JavaScript does in the end cannot be told.
	Grants string `expr:"grants" json:"grants" doc:"what it may answer: yes, or empty for nothing but questions"`
	Tested bool   `expr:"tested" json:"tested" doc:"the answer depends on the person: a group, a user or a local session is looked at"`
	Action string `expr:"action" json:"action,omitempty" doc:"actions it is for; * for all, empty when the text does not tell"`
	Path   string `expr:"path" json:"path" doc:"the file"`
	Where  string `expr:"where" json:"where" doc:"file and line"`
	Origin
}

var (
	polkitRules = []string{"/etc/polkit-1/rules.d/*.rules", "/run/polkit-1/rules.d/*.rules", "/usr/local/share/polkit-1/rules.d/*.rules", "/usr/share/polkit-1/rules.d/*.rules"}
	polkitPkla  = []string{"/etc/polkit-1/localauthority/*/*.pkla", "/var/lib/polkit-1/localauthority/*/*.pkla"}
)

func polkitCollector() scanner.Collector {
	return scanner.Collector{
		Table: "polkit_rules", Doc: "polkit rules that answer without the administrator, those of packages left as they were excepted", Row: PolkitRule{},
		Reads: scanner.Reads{Globs: concat(polkitRules, polkitPkla), Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectPolkit,
	}
}

func collectPolkit(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r, p := newReader(in, &t), newProvenance(in)
	rows := []PolkitRule{}
	for _, name := range r.glob(polkitRules...) {
		b := r.file(name)
		o := p.origin(name, b)
		if b == nil || o.Pristine {
			continue
		}
		js := parse.PolkitJS(b)
		row := PolkitRule{Kind: "rules", Tested: js.Tested, Action: strings.Join(js.Actions, " "), Path: name, Where: at(name, js.Line), Origin: o}
		if js.Yes {
			row.Grants = "yes"
		}
		rows = append(rows, row)
	}
	for _, name := range r.glob(polkitPkla...) {
		b := r.file(name)
		o := p.origin(name, b)
		if b == nil || o.Pristine {
			continue
		}
		for _, s := range parse.Pkla(b) {
			row := PolkitRule{Kind: "pkla", Tested: !s.Everybody, Action: s.Action, Path: name, Where: at(name, s.Line), Origin: o.clone()}
			if s.Yes {
				row.Grants = "yes"
			}
			rows = append(rows, row)
		}
	}
	t.Rows = rows
	return t
}
