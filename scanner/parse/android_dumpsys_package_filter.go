package parse

import "bytes"

// ResolverTable is what the package manager looks intents up in: the components of one kind by
// the actions, schemes and types of their intent filters. A filter with a scheme and no type
// stands under its schemes alone, so a receiver of PACKAGE_ADDED is in Schemes["package"] and
// whether it listens to that action is known only where the dump shows filters.
type ResolverTable struct {
	Actions map[string][]IntentHandler // of filters without data, and of filters with types
	Schemes map[string][]IntentHandler
	Types   map[string][]IntentHandler // MIME types in full
	// Filters: the dump shows what is in filters, as it does for one package and with -f. Else
	// categories are unknown: an activity of the action MAIN may not be in the launcher.
	Filters bool
	// Cut: some handlers were left out, because there are too many.
	Cut bool
}

// IntentHandler is a component that filters of it make eligible.
type IntentHandler struct {
	Package, Class string // the class in full
	Count          int    // of its filters that match
	Filter         *IntentFilter
}

// IntentFilter is what the dump shows of a filter.
type IntentFilter struct {
	Actions, Categories, Schemes, Types []string
	Priority                            int
	Always                              bool // of a preferred activity: the user chose it for good
}

// resolver reads a table:
//
//	Non-Data Actions:
//	    android.intent.action.MAIN:
//	      91e4ab1 com.example/.Main (2 filters)
//	      91e4ab1 com.example/.Main filter 3be4880
//	        Action: "android.intent.action.MAIN"
func (p *packageDumper) resolver(to **ResolverTable) func([]byte, int) {
	if *to == nil {
		*to = &ResolverTable{Actions: map[string][]IntentHandler{}, Schemes: map[string][]IntentHandler{}, Types: map[string][]IntentHandler{}}
	}
	t := *to
	var kind map[string][]IntentHandler
	var key string
	inside := false // of a handler, whose filter may follow
	return func(text []byte, indent int) {
		text = bytes.TrimRight(text, " ")
		switch {
		case indent == 2:
			kind, key, inside = t.kind(string(text)), "", false
		case kind == nil:
		case indent == 6:
			key, inside = p.names.intern(bytes.TrimSuffix(text, []byte{':'})), false
		case indent == 8 && key != "":
			h, ok := p.handler(text)
			if inside = ok && p.handlers < maxDumpHandlers; inside {
				p.handlers++
				kind[key] = append(kind[key], h)
			} else if ok {
				t.Cut = true
			} else {
				p.c.Add(p.line, "not a component")
			}
		case indent >= 9 && inside:
			h := &kind[key][len(kind[key])-1]
			f := h.Filter
			if f == nil {
				f = &IntentFilter{}
			}
			if p.filterLine(f, text) {
				h.Filter, t.Filters = f, true
			}
		}
	}
}

func (t *ResolverTable) kind(title string) map[string][]IntentHandler {
	switch title {
	case "Non-Data Actions:", "MIME Typed Actions:":
		return t.Actions
	case "Schemes:":
		return t.Schemes
	case "Full MIME Types:":
		return t.Types
	}
	return nil // Base and Wild MIME Types repeat the full ones
}

// handler reads "HASH PACKAGE/.CLASS (2 filters)".
func (p *packageDumper) handler(text []byte) (h IntentHandler, ok bool) {
	_, rest := word(text)
	name, rest := word(rest)
	h.Package, h.Class, ok = p.component(name)
	h.Count = 1
	rest = bytes.TrimLeft(rest, " ")
	if count, is := bytes.CutSuffix(rest, []byte(" filters)")); is && len(count) > 1 {
		h.Count, _ = smallNumber(count[1:])
	}
	return h, ok
}

// filterLine reads a line of a filter (IntentFilter.dump), and says whether it is one.
func (p *packageDumper) filterLine(f *IntentFilter, text []byte) bool {
	key, value, ok := bytes.Cut(text, []byte(": "))
	quoted := ok && len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"'
	var to *[]string
	switch {
	case quoted && string(key) == "Action":
		to = &f.Actions
	case quoted && string(key) == "Category":
		to = &f.Categories
	case quoted && string(key) == "Scheme":
		to = &f.Schemes
	case quoted && string(key) == "Type":
		to = &f.Types
	case bytes.HasPrefix(text, []byte("mPriority=")):
		n, _, _ := bytes.Cut(text[len("mPriority="):], []byte{','})
		f.Priority, _ = smallNumber(n)
		return true
	case bytes.HasPrefix(text, []byte("mMatch=")):
		f.Always = string(pairValue(text, "mAlways")) == "true"
		return true
	default:
		return false
	}
	if p.room() && len(*to) < 1024 {
		*to = append(*to, p.names.intern(value[1:len(value)-1]))
	}
	return true
}

// preferred reads what a user chose, a table of the same form with the filters always shown.
func (p *packageDumper) preferred(user int) func([]byte, int) {
	if p.d.Preferred == nil {
		p.d.Preferred = map[int]*ResolverTable{}
	}
	if len(p.d.Preferred) >= 1024 {
		return func([]byte, int) {}
	}
	t := p.d.Preferred[user]
	section := p.resolver(&t)
	p.d.Preferred[user] = t
	return section
}
