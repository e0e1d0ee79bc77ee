package rules_test

import (
	"strings"
	"testing"

	"picket/scanner/rules"
)

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	names := []string{"path", "name", "version"}
	for got, want := range map[string]string{
		"nam":     ` (did you mean "name"?)`,
		"versoin": ` (did you mean "version"?)`,
		"zzzzzz":  "",
		"":        "",
	} {
		if have := rules.DidYouMean(got, names); have != want {
			t.Errorf("%q: %q, want %q", got, have, want)
		}
	}
	// The cost grows with both lengths, and got comes from files: what is longer than any name is
	// compared with none.
	long := strings.Repeat("n", 41)
	if have := rules.DidYouMean(long, []string{long[:40]}); have != "" {
		t.Errorf("%d bytes are compared: %s", len(long), have)
	}
}
