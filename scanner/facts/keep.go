package facts

import (
	"strings"

	"picket/scanner"
)

// Keep gives a test for the files whose content some collector reads: what a streamed archive
// has to hold on to.
func Keep(collectors []scanner.Collector) func(path string) bool {
	s := &globSet{exact: map[string]bool{}}
	for _, c := range collectors {
		for _, g := range c.Reads.Globs {
			s.add(g)
		}
	}
	return s.match
}

// Fingerprinted gives a test for the files of which some collector, without reading them,
// wants first bytes or a digest. Patterns for the whole tree are left out: of every program an
// archive keeps those anyway.
func Fingerprinted(collectors []scanner.Collector) func(path string) bool {
	s := &globSet{exact: map[string]bool{}}
	for _, c := range collectors {
		for _, g := range c.Reads.Meta {
			if g != "/**" {
				s.add(g)
			}
		}
	}
	return s.match
}

// Asked gives a test for the live sources that some collector asks: what is worth keeping of a
// long bugreport.
func Asked(collectors []scanner.Collector) func(s scanner.Source) bool {
	asked := map[scanner.Source]bool{}
	for _, c := range collectors {
		for _, s := range c.Reads.Probes {
			asked[s] = true
		}
	}
	return func(s scanner.Source) bool { return asked[s] }
}

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
		s.exact[g] = true
	}
}

func (s *globSet) match(path string) bool {
	if s.exact[path] {
		return true
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, p := range s.patterns {
		if scanner.MatchPath(p, parts) {
			return true
		}
	}
	for _, p := range s.suffixes {
		for i := range parts {
			if scanner.MatchPath(p, parts[i:]) {
				return true
			}
		}
	}
	return false
}
