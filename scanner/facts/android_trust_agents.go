package facts

import (
	"context"
	"slices"

	"picket/scanner"
	"picket/scanner/parse"
)

func trustAgentsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "trust_agents", Doc: "agents that keep the device unlocked", Row: TrustAgent{}, Platforms: onAndroid,
		Reads: powerReads([]string{"trust"}), Needs: []string{"packages"}, Collect: collectTrustAgents,
	}
}

// collectTrustAgents reads the service. Where it cannot be asked, a setting that few releases
// have may name agents; that it does not, says nothing.
func collectTrustAgents(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := newPowers(ctx, in, &t)
	rows := []TrustAgent{}
	agents, err := asked(p, "trust", parse.TrustAgents)
	for _, a := range agents {
		r := TrustAgent{Service: a.Component, User: a.User, Trusted: a.Trusted, Where: at("dumpsys/trust", a.Line)}
		r.AppTraits = p.traits(componentPackage(a.Component), &r.Unread)
		rows = append(rows, r)
	}
	if err != nil {
		users, _ := p.secure()
		for i := range users {
			for _, c := range commaComponents(users[i].get("lockscreen.enabledtrustagents")) {
				r := TrustAgent{Service: c, User: users[i].user, Where: users[i].where}
				r.AppTraits = p.traits(componentPackage(c), &r.Unread)
				r.MarkUnread("trusting", unavailable(err))
				rows = append(rows, r)
			}
		}
		if len(rows) == 0 {
			return scanner.Table{Absent: unavailable(err)}
		}
		t.Partial = append(t.Partial, unavailable(err))
	}
	slices.SortStableFunc(rows, func(a, b TrustAgent) int {
		return compareUserComponents(userComponent{a.User, a.Service}, userComponent{b.User, b.Service})
	})
	t.Rows = rows
	return t
}
