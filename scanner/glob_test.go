package scanner_test

import (
	"strings"
	"testing"

	"picket/scanner"
)

func TestMatchPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"etc/*.conf", "etc/a.conf", true},
		{"etc/*.conf", "etc/a/b.conf", false},
		{"etc/**", "etc/a/b", true},
		{"etc/**/x", "etc/x", true},
		{"etc/**/x", "etc/a/b/x", true},
		{"etc/**/x", "etc/a/b/y", false},
		{"etc", "etc/a", false},
	} {
		if got := scanner.MatchPath(strings.Split(c.pattern, "/"), strings.Split(c.path, "/")); got != c.want {
			t.Errorf("%s, %s: %v", c.pattern, c.path, got)
		}
	}
}
