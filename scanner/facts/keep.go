package facts

import (
	"strings"
	"sync"

	"picket/scanner"
)

// Keep reports whether some collector reads the content of a file: what a streamed archive
// has to hold on to.
func Keep(path string) bool { return keepSet().match(path) }

var keepSet = sync.OnceValue(func() *globSet {
	s := &globSet{}
	for _, c := range Collectors() {
		for _, g := range c.Reads.Globs {
			s.add(g)
		}
	}
	return s
})

// globSet is a set of path patterns (scanner.Reads).
type globSet struct {
	exact    map[string]bool
	patterns [][]string
	suffixes [][]string // of patterns below ~: any directory may be somebody's home
}

func (s *globSet) add(g string) {
	switch {
	case strings.HasPrefix(g, "~/"):
		s.suffixes = append(s.suffixes, strings.Split(g[2:], "/"))
	case strings.ContainsAny(g, "*?["):
		s.patterns = append(s.patterns, strings.Split(strings.TrimPrefix(g, "/"), "/"))
	default:
		if s.exact == nil {
			s.exact = map[string]bool{}
		}
		s.exact[g] = true
	}
}

func (s *globSet) match(path string) bool {
	if s.exact[path] {
		return true
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, p := range s.patterns {
		if matchParts(p, parts) {
			return true
		}
	}
	for _, p := range s.suffixes {
		for i := range parts {
			if matchParts(p, parts[i:]) {
				return true
			}
		}
	}
	return false
}

// matchParts matches path components with pattern components; ** stands for any number.
func matchParts(pattern, parts []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(parts) + 1 {
				if matchParts(pattern[1:], parts[i:]) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 || !scanner.MatchName(pattern[0], parts[0]) {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0
}
