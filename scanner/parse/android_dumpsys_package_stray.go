package parse

import (
	"bytes"
	"slices"
	"strings"
)

// An app's version may hold line ends, and so a line at the left margin that looks like a title.
// All packages that the service prints behind it would be no packages then.

const (
	titlePackages = "Packages"
	titleHidden   = "Hidden system packages"
)

// packageStray is what is known of lines at the margin that stand where packages are listed.
type packageStray struct {
	resume  func([]byte, int) // reads the entries of "Packages:", nil before there are any
	inside  int               // 1 and the index of the package that the list was left in
	hidden  int               // the same, where "Hidden system packages:" came first
	entries int               // hidden packages that came before the title stood again
	again   bool
}

// strayTitle notes where a line at the margin leaves the list of packages. It says whether the line
// is the list's own title again.
func (p *packageDumper) strayTitle(name string) bool {
	s := &p.stray
	if s.resume == nil {
		return false
	}
	if s.inside == 0 {
		s.inside = len(p.d.Packages)
	}
	switch {
	case name == titlePackages:
		p.c.Add(p.line, "a section stands twice")
		p.section = s.resume
		return true
	case name == titleHidden && s.hidden == 0:
		s.hidden = len(p.d.Packages)
	case name == titleHidden:
		s.entries, s.again = len(p.d.Hidden), true
	}
	return false
}

// strays takes the head of a package's entry that stands in another section.
func (p *packageDumper) strays(text []byte) bool {
	s := &p.stray
	if s.resume == nil || s.inside == 0 || !bytes.HasPrefix(text, []byte("Package [")) {
		return false
	}
	if p.reading != titlePackages && p.reading != titleHidden {
		p.c.Add(p.line, "a package stands outside of its section")
		p.end()
		p.section, p.end, p.log, p.reading = s.resume, func() {}, false, titlePackages
	}
	if p.reading == titlePackages {
		p.d.Packages[s.inside-1].conflict("a title")
		s.inside = 0
	}
	return false
}

// settleHidden gives packages back that are not hidden by an update of the system: those lie in
// the system's image, and the update is among the packages.
func (p *packageDumper) settleHidden() {
	s := &p.stray
	if len(p.d.Hidden) == 0 {
		return
	}
	listed := map[string]bool{}
	for i := range p.d.Packages {
		listed[p.d.Packages[i].Name] = true
	}
	onData := func(h DumpedPackage) bool { return strings.HasPrefix(h.CodePath, "/data/") }
	all := p.d.Hidden
	if !s.again && !slices.ContainsFunc(all, onData) {
		return
	}
	if s.hidden > 0 {
		p.d.Packages[s.hidden-1].conflict("a title")
	}
	p.d.Hidden = nil
	for i, h := range all {
		switch {
		case !listed[h.Name] && len(p.d.Packages) < maxDumpPackages:
			listed[h.Name] = true
			p.d.Packages = append(p.d.Packages, h)
		case !onData(h) && i >= s.entries:
			p.d.Hidden = append(p.d.Hidden, h)
		}
	}
}
