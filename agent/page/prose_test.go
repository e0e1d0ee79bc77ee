package page

import (
	"strings"
	"testing"
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
