package agent

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wayOf is what two pages of the same way have in common: the headings' depths in order, with the
// commands and rows of tables below each.
func wayOf(page string) []string {
	var out []string
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
			out = append(out, line[:strings.IndexByte(line, ' ')])
		case strings.HasPrefix(line, "|"):
			out = append(out, "|")
		case strings.HasPrefix(line, "    "):
			out = append(out, regexp.MustCompile(`".*"`).ReplaceAllString(strings.TrimSpace(line), "TEXT"))
		}
	}
	return out
}

// TestPagesForPeople: both languages go the same way, step by step.
func TestPagesForPeople(t *testing.T) {
	t.Parallel()
	english, dutch := read(t, "../docs/for-people.md"), read(t, "../docs/voor-mensen.md")
	a, b := wayOf(english), wayOf(dutch)
	if !slices.Equal(a, b) {
		t.Errorf("English goes\n%q\nDutch\n%q", a, b)
	}
	if n := strings.Count(strings.Join(a, " "), "##"); n < 12 {
		t.Errorf("%d steps", n)
	}
	// What they quote stands on the page.
	for name, at := range map[string]string{"for-people.md": "en", "voor-mensen.md": "nl"} {
		shown := read(t, "page/words/"+at+".yaml")
		quoted := 0
		for line := range strings.Lines(map[string]string{"en": english, "nl": dutch}[at]) {
			if strings.HasPrefix(line, "    ") {
				continue
			}
			for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(line, -1) {
				if quoted++; !strings.Contains(shown, m[1]) {
					t.Errorf("%s: %q is not on the page", name, m[1])
				}
			}
		}
		if quoted < 4 {
			t.Errorf("%s quotes %d texts of the page", name, quoted)
		}
	}
	words, err := wordsIn("nl")
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range []string{"Secured", "Low", "Medium", "High"} {
		if !strings.Contains(strings.ToLower(dutch), "| "+words["level."+level]+" |") {
			t.Errorf("voor-mensen.md does not name the level %s as the program does: %s", level, words["level."+level])
		}
	}
}
