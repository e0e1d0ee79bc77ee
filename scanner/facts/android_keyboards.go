package facts

import (
	"context"
	"slices"

	"picket/scanner"
	"picket/scanner/parse"
)

func keyboardsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "keyboards", Doc: "input methods that are switched on", Row: Keyboard{}, Platforms: onAndroid,
		Reads: powerReads([]string{"input_method"}), Needs: []string{"packages"}, Collect: collectKeyboards,
	}
}

// collectKeyboards lists the keyboards of each user. The settings say which can be switched to
// and which is in use; the service tells the latter for the user in front.
func collectKeyboards(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := newPowers(ctx, in, &t)
	rows := []Keyboard{}
	add := func(user int, service, where string, enabled bool) *Keyboard {
		for i := range rows {
			if rows[i].User == user && rows[i].Service == service {
				rows[i].Where = wheres(rows[i].Where, where)
				return &rows[i]
			}
		}
		r := Keyboard{Service: service, User: user, Enabled: enabled, Where: where}
		r.AppTraits = p.traits(componentPackage(service), &r.Unread)
		rows = append(rows, r)
		return &rows[len(rows)-1]
	}
	users, noSettings := p.secure()
	for i := range users {
		s := &users[i]
		for _, c := range components(s.get("enabled_input_methods")) {
			add(s.user, c, s.where, true)
		}
		if full, _, ok := component(s.get("default_input_method")); ok {
			r := add(s.user, full, s.where, true)
			r.Default, r.Enabled = true, true
		}
	}
	m, err := asked(p, "input_method", parse.InputMethodDump)
	if err != nil && len(users) == 0 {
		return scanner.Table{Absent: unavailable(err) + "; settings: " + noSettings}
	}
	if m.Current != "" && len(users) < 2 { // with several users, whose it is is not told
		r := add(0, m.Current, at("dumpsys/input_method", m.Line), true)
		r.Default, r.Enabled = true, true
	}
	if len(users) == 0 {
		for _, c := range m.Installed {
			if r := add(0, c, "dumpsys/input_method", false); !r.Enabled {
				r.MarkUnread("enabled", noSettings)
			}
		}
	}
	slices.SortFunc(rows, func(a, b Keyboard) int {
		return compareUserComponents(userComponent{a.User, a.Service}, userComponent{b.User, b.Service})
	})
	t.Rows = rows
	return t
}
