package device

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Alias is what stands in the place of a name that is nobody's business: Before, a word and a number,
// and After, which say what Before and After said of the name.
type Alias struct{ Before, After string }

// hiddenName is the word of names that were hidden.
const hiddenName = "name"

// HideNames gives other names to what a listing showed and nothing needs. alias is asked for the
// absolute name of each such file, in which no link is, and gives ok when it is to be hidden. What is
// above a file whose content is held keeps its name. Nothing may be read through the recorder
// afterwards: it is for writing.
func (r *Recorder) HideNames(alias func(name string) (a Alias, ok bool)) {
	s := r.store
	held := map[uint32]bool{}
	for id, rr := range s.rare {
		for rr.body.kept && id != topNode && !held[id] {
			held[id] = true
			id = s.index.node(id).parent
		}
	}
	type hiding struct {
		id uint32
		a  Alias
	}
	byDir := map[uint32][]hiding{}
	links := map[uint32]string{}
	s.walk(func(id uint32, name string) bool {
		if s.extra(id).state&stateEntry != 0 && !held[id] {
			if a, ok := alias(name); ok {
				dir := s.index.node(id).parent
				byDir[dir] = append(byDir[dir], hiding{id, a})
			}
		}
		if rr := s.rare[id]; rr != nil && rr.link != "" {
			links[id] = name
		}
		return true
	})
	s.shown = map[uint32]string{}
	for dir, list := range byDir {
		// Numbers follow what the table tells anyway, so that they do not tell the names' order.
		slices.SortStableFunc(list, func(a, b hiding) int {
			return cmp.Or(cmp.Compare(s.extra(a.id).ino, s.extra(b.id).ino), cmp.Compare(s.index.node(a.id).mtime, s.index.node(b.id).mtime))
		})
		n := 0
		for _, h := range list {
			n++
			for s.index.child(dir, numbered(h.a, n)) != 0 {
				n++
			}
			s.shown[h.id] = numbered(h.a, n)
		}
	}
	for id, name := range links {
		s.rare[id].link = s.shownLink(parent(name), s.rare[id].link, alias)
	}
}

func numbered(a Alias, n int) string {
	return fmt.Sprintf("%s%s-%d%s", a.Before, hiddenName, n, a.After)
}

// shownLink gives a link's target with the names that are shown.
func (s *store) shownLink(dir, target string, alias func(name string) (Alias, bool)) string {
	at, id := dir, s.find(dir)
	if strings.HasPrefix(target, "/") {
		at, id = "/", topNode
	}
	parts := strings.Split(target, "/")
	for i, p := range parts {
		switch p {
		case "", ".":
			continue
		case "..":
			at = parent(at)
			id = s.find(at)
			continue
		}
		at = join(at, p)
		if id != 0 {
			id = s.index.child(id, p)
		}
		if shown := s.shown[id]; shown != "" {
			parts[i] = shown
		} else if id == 0 || s.extra(id).state&stateEntry == 0 {
			if a, ok := alias(at); ok { // leads to what is not there
				parts[i] = numbered(a, 0)
			}
		}
	}
	return strings.Join(parts, "/")
}
