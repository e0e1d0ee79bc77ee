package device

import "fmt"

// maxNoteKinds bounds a noteList.
const maxNoteKinds = 32

// noteList counts remarks on how a container was read: each kind once, with how often and
// where first.
type noteList []note

type note struct {
	what, first string
	times       int
}

func (l *noteList) add(what, where string) {
	for i := range *l {
		if (*l)[i].what == what {
			(*l)[i].times++
			return
		}
	}
	if len(*l) < maxNoteKinds {
		*l = append(*l, note{what: what, first: where, times: 1})
	}
}

func (l noteList) strings() []string {
	out := make([]string, 0, len(l))
	for _, n := range l {
		s := n.what
		if n.first != "" {
			s = fmt.Sprintf("%s: %q", s, n.first)
		}
		if n.times > 1 {
			s = fmt.Sprintf("%s (and %d more)", s, n.times-1)
		}
		out = append(out, s)
	}
	return out
}
