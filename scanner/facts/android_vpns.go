package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func vpnsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "vpns", Doc: "VPNs that were on or must be on", Row: VPN{}, Platforms: onAndroid,
		Reads: powerReads([]string{"connectivity", "vpn_management"}), Needs: []string{"packages"}, Collect: collectVPNs,
	}
}

// vpnReader joins what is up, what holds the slot of a user, and what has to be on.
type vpnReader struct {
	*powers
	rows  []VPN
	byUID map[int][]*App
	seen  bool // which networks are up is told
}

func collectVPNs(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &vpnReader{powers: newPowers(ctx, in, &t), rows: []VPN{}}
	r.byUID = appsByUID(r.apps.rows)
	c, connErr := asked(r.powers, "connectivity", parse.Connectivities)
	r.seen = connErr == nil
	for i := range c.Networks {
		if c.Networks[i].VPN {
			r.network(&c.Networks[i])
		}
	}
	slots, slotErr := asked(r.powers, "vpn_management", parse.VPNManagement)
	for _, s := range slots {
		r.slot(s)
	}
	users, noSettings := r.secure()
	for i := range users {
		r.alwaysOn(&users[i])
	}
	if connErr != nil && slotErr != nil && len(users) == 0 {
		return scanner.Table{Absent: unavailable(connErr) + "; settings: " + noSettings}
	}
	if connErr != nil && slotErr != nil {
		r.partial(connErr)
		for i := range r.rows {
			r.rows[i].MarkUnread("active", unavailable(connErr))
		}
	}
	if len(users) == 0 {
		for i := range r.rows {
			r.rows[i].MarkUnread("always_on", noSettings)
			r.rows[i].MarkUnread("lockdown", noSettings)
		}
		t.Partial = append(t.Partial, "settings: "+noSettings)
	}
	slices.SortStableFunc(r.rows, func(a, b VPN) int {
		return compareUserComponents(userComponent{a.User, a.Package}, userComponent{b.User, b.Package})
	})
	t.Rows = r.rows
	return t
}

// network takes a VPN that is up. Who runs it is told by its owner's user id from Android 10 on.
func (r *vpnReader) network(n *parse.AndroidNetwork) {
	row := VPN{User: -1, Active: true, Interface: n.Link.Interface, Where: at("dumpsys/connectivity", n.Line)}
	switch apps := r.byUID[n.OwnerUID%perUser]; {
	case n.OwnerUID == systemUID:
		row.User, row.Legacy = 0, true
		row.AppTraits = r.traits("android", &row.Unread)
	case n.OwnerUID >= firstAppUID && len(apps) > 0:
		row.User = n.OwnerUID / perUser
		row.AppTraits = r.traits(vpnApp(apps).Package, &row.Unread)
	default:
		row.AppTraits = unnamed(&row.Unread, "the service does not tell whose this VPN is")
	}
	r.rows = append(r.rows, row)
}

const systemUID = 1000

// vpnApp picks of the apps that share a user id the one that has a VPN service.
func vpnApp(apps []*App) *App {
	for _, a := range apps {
		if a.VPNService {
			return a
		}
	}
	return apps[0]
}

// slot takes who holds a user's slot. It is the VPN that is up when that one is not named.
func (r *vpnReader) slot(s parse.AndroidVPN) {
	where := at("dumpsys/vpn_management", s.Line)
	legacy := s.Package == "" || s.Package == "[Legacy VPN]"
	if legacy && !s.Active {
		return
	}
	for i := range r.rows {
		row := &r.rows[i]
		switch {
		case legacy && row.Legacy, !legacy && row.Package == s.Package && (row.User == s.User || row.User < 0):
			row.User, row.Where = s.User, wheres(row.Where, where)
			row.Active = row.Active || s.Active
			return
		case row.Package == "" && s.Active && !legacy:
			row.Unread = scanner.Unread{}
			row.AppTraits = r.traits(s.Package, &row.Unread)
			row.User, row.Where = s.User, wheres(row.Where, where)
			return
		}
	}
	if r.seen && !s.Active {
		return // it may be switched on, and was not
	}
	row := VPN{User: s.User, Active: s.Active, Legacy: legacy, Where: where}
	if legacy {
		row.AppTraits = r.traits("android", &row.Unread)
	} else {
		row.AppTraits = r.traits(s.Package, &row.Unread)
	}
	r.rows = append(r.rows, row)
}

func (r *vpnReader) alwaysOn(s *secureSettings) {
	pkg := strings.TrimSpace(s.get("always_on_vpn_app"))
	if !parse.IsPackageName([]byte(pkg)) {
		return
	}
	lockdown := s.get("always_on_vpn_lockdown") == "1"
	for i := range r.rows {
		row := &r.rows[i]
		if row.Package == pkg && (row.User == s.user || row.User < 0) {
			row.AlwaysOn, row.Lockdown, row.User, row.Where = true, lockdown, s.user, wheres(row.Where, s.where)
			return
		}
	}
	row := VPN{User: s.user, AlwaysOn: true, Lockdown: lockdown, Where: s.where}
	row.AppTraits = r.traits(pkg, &row.Unread)
	r.rows = append(r.rows, row)
}
