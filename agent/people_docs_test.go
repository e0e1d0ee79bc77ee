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

// TestPagesForPeople: both languages go the same way, step by step, and every command they name is there.
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
	command := regexp.MustCompile("(?:^    |`)(?:sudo )?picket ([^`\n]*)")
	for name, page := range map[string]string{"for-people.md": english, "voor-mensen.md": dutch} {
		named := 0
		for line := range strings.Lines(page) {
			for _, m := range command.FindAllStringSubmatch(line, -1) {
				named++
				args := strings.Fields(regexp.MustCompile(`".*"`).ReplaceAllString(m[1], "TEXT"))
				cmd, rest, err := newRoot().Find(args)
				if err != nil || cmd.Name() != args[0] {
					t.Errorf("%s: there is no command %q: %v", name, m[1], err)
					continue
				}
				if err := cmd.ParseFlags(rest); err != nil {
					t.Errorf("%s: picket %s: %v", name, m[1], err)
				} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
					t.Errorf("%s: picket %s: %v", name, m[1], err)
				}
			}
		}
		if named < 12 {
			t.Errorf("%s names %d commands", name, named)
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
