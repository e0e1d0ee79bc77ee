package page

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

func TestProse(t *testing.T) {
	t.Parallel()
	show := func(text string) string {
		var out []string
		for _, paragraph := range sentences(text) {
			var lines []string
			for _, sentence := range paragraph {
				line := ""
				for _, s := range sentence {
					if s.Code {
						line += "<" + s.Text + ">"
					} else {
						line += s.Text
					}
				}
				lines = append(lines, line)
			}
			out = append(out, strings.Join(lines, " | "))
		}
		return strings.Join(out, " || ")
	}
	for text, want := range map[string]string{
		"":                                  "",
		"\n\n":                              "",
		"One":                               "One",
		"One thing.\nGoes on. Then two.":    "One thing. | Goes on. | Then two.",
		"A.\n\nB. C.":                       "A. || B. | C.",
		"Run `apt update`. Restart.":        "Run <apt update>. | Restart.",
		"Run `sh -c 'a. B'` now. Then end.": "Run <sh -c 'a. B'> now. | Then end.",
		"Debian, i.e. this one. (So it is.) Go on.": "Debian, i.e. this one. (So it is.) | Go on.",
		"A lone ` stays. Yes.":                      "A lone ` stays. Yes.",
		"`a``b`":                                    "<a><b>",
		"v1.2. 3 of them":                           "v1.2. 3 of them",
	} {
		if got := show(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What tells of somebody who watches is named on its own page alone, below how to get help, and nowhere where a bystander reads.
func TestDiscreet(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.view.Threats[0].Discreet = true
	b := open(t, serve(t, w), Grant{Act: true})
	for _, p := range []string{"", "apps", "network", "unchecked"} {
		if body := b.do("GET", b.base+p, "").Body.String(); strings.Contains(body, "A bad app") || strings.Contains(body, "onerror") && p == "" {
			t.Errorf("%q names it", p)
		}
	}
	body := b.do("GET", b.base+pages[1], "").Body.String()
	title, _, _ := strings.Cut(body, "</title>")
	help, named, steps := strings.Index(body, "helpline"), strings.Index(body, "A bad app"), strings.Index(body, "<details>")
	if strings.Contains(title, "A bad app") || help < 0 || named < help || steps < named || !strings.Contains(body[steps:], "Remove ") {
		t.Errorf("help at %d, its name at %d, the steps at %d: %s", help, named, steps, body)
	}
}

// Nothing is said of an organisation that is not so: one whose servers take no results does not have the latest, and what may
// be removed at some time is not said to be.
func TestPromisesNothingOfTheOrganisation(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.view.Member = Membership{Enrolled: true, Organisation: "Example"}
	w.view.Delivery = Delivery{Kept: true, Where: "/events"}
	w.view.Access = Access{State: "blocked", Why: []string{"stale"}, Next: "wiped", At: w.now}
	s := serve(t, w)
	b := open(t, s, Grant{Act: true})
	for _, lang := range []string{"en", "nl"} {
		words := s.words[lang]
		first, sent := b.do("GET", b.base+"?lang="+lang, "").Body.String(), b.do("GET", b.base+"sent", "").Body.String()
		for _, c := range []struct{ in, want, not string }{
			{first, words["delivery.kept"], words["delivery.done"]},
			{sent, words.Say("sent.kept", "/events"), words.Say("sent.to", "/events")},
			{first, words.Say("access.next.wiped", w.now.Local().Format("2006-01-02 15:04")), words["access.wiped"]},
		} {
			if !strings.Contains(c.in, c.want) || strings.Contains(c.in, c.not) {
				t.Errorf("%s: not %q, or %q: %s", lang, c.want, c.not, c.in)
			}
		}
	}
}

func TestReasonKinds(t *testing.T) {
	t.Parallel()
	for kind, errs := range map[string][]error{
		"rights": {&fs.PathError{Op: "open", Path: "/etc/shadow", Err: fs.ErrPermission}},
		"absent": {scanner.ErrUnavailable, fmt.Errorf("network-history: %w", scanner.ErrUnavailable)},
		"unread": {&fs.PathError{Op: "read", Path: "/x", Err: errors.New("input/output error")}},
	} {
		for _, err := range errs {
			if got := reasonKind(scanner.Reason(err)); got != kind {
				t.Errorf("%q is of the kind %s, want %s", scanner.Reason(err), got, kind)
			}
		}
	}
}

// Those who read Dutch are told in Dutch why something was not checked, and what keeps the agent from its work.
func TestReasonsAndWarningsInDutch(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.view.NotChecked = []NotChecked{{"APP-002", "One", "may not read /x (run as root)"}, {"APP-003", "Two", "may not read /y (run as root)"}, {"APP-004", "Three", "it is compressed"}}
	w.view.Warnings = []Warning{{"clock", "the clock was set back", "set the clock"}}
	s := serve(t, w)
	b := open(t, s, Grant{Act: true})
	b.do("GET", b.base+"?lang=nl", "")
	body := b.do("GET", b.base+"unchecked", "").Body.String()
	for text, n := range map[string]int{s.words["nl"]["unchecked.why.rights"]: 1, s.words["nl"]["unchecked.why.unread"]: 1, "may not read /x": 1, "may not read /y": 1} {
		if strings.Count(body, text) != n {
			t.Errorf("%q is there %d times: %s", text, strings.Count(body, text), body)
		}
	}
	if body := b.do("GET", b.base, "").Body.String(); !strings.Contains(body, s.words["nl"]["warning.clock"]) || !strings.Contains(body, `lang="en">the clock was set back: set the clock`) {
		t.Errorf("no warning in Dutch: %s", body)
	}
}

// TestEvidenceIsNamedInDutch: every column that a rule shows has a name, and no name is of too many.
func TestEvidenceIsNamedInDutch(t *testing.T) {
	t.Parallel()
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	columns, err := byLanguage(files, "columns")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, r := range set.Rules() {
		for _, name := range r.Evidence {
			shown[name] = true
			if strings.TrimSpace(columns["nl"][name]) == "" {
				t.Errorf("%s shows %s, which has no name in Dutch", r.ID, name)
			}
		}
	}
	for name := range columns["nl"] {
		if !shown[name] {
			t.Errorf("no rule shows %s, which has a name in Dutch", name)
		}
	}
	named := columnNamer(columns)
	for _, c := range []struct {
		lang, name string
		want       column
	}{{"nl", "first_installed", column{"eerst geïnstalleerd", ""}}, {"nl", "of_a_new_rule", column{"of a new rule", "en"}}, {"en", "first_installed", column{"first installed", ""}}} {
		if got := named(Words{"lang": c.lang}, c.name); got != c.want {
			t.Errorf("%s in %s: %v", c.name, c.lang, got)
		}
	}
}
