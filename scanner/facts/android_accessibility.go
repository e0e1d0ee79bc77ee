package facts

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func accessibilityServicesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "accessibility_services", Doc: "services that read the screen and act for the person", Row: AccessibilityService{}, Platforms: onAndroid,
		Reads: powerReads([]string{"accessibility"}), Needs: []string{"packages"}, Collect: collectAccessibility,
	}
}

// accessibilityReader merges what the service, the settings and the list of apps know.
type accessibilityReader struct {
	*powers
	rows map[userComponent]*AccessibilityService
	// enabled are the users whose switched-on services some source listed.
	enabled map[int]bool
	running map[int]bool // users whose running services the service listed
}

func collectAccessibility(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &accessibilityReader{powers: newPowers(ctx, in, &t), rows: map[userComponent]*AccessibilityService{}, enabled: map[int]bool{}, running: map[int]bool{}}
	r.installed()
	users, err := asked(r.powers, "accessibility", r.read)
	secure, noSettings := r.secure()
	for i := range secure {
		s := &secure[i]
		if r.enabled[s.user] { // the service itself goes first
			continue
		}
		r.enabled[s.user] = true
		for _, c := range components(s.get("enabled_accessibility_services")) {
			r.row(s.user, c, s.where).Enabled = true
		}
	}
	if err != nil && len(r.enabled) == 0 {
		return scanner.Table{Absent: fmt.Sprintf("%s; settings: %s", unavailable(err), noSettings)}
	}
	for i := range users {
		r.bound(&users[i])
	}
	if len(r.enabled) == 0 {
		return scanner.Table{Absent: "this release's service lists only what runs; settings: " + noSettings}
	}
	rows := make([]AccessibilityService, 0, len(r.rows))
	for _, row := range r.rows {
		rows = append(rows, *r.finish(row, err))
	}
	slices.SortFunc(rows, func(a, b AccessibilityService) int {
		return compareUserComponents(userComponent{a.User, a.Service}, userComponent{b.User, b.Service})
	})
	t.Rows = rows
	return t
}

// read takes the service's lists of what is switched on and installed.
func (r *accessibilityReader) read(b []byte) ([]parse.AccessibilityUser, error) {
	users, err := parse.Accessibility(b)
	if len(users) > maxUsers {
		users = users[:maxUsers]
		r.t.Partial = append(r.t.Partial, "dumpsys/accessibility: more users than are read")
	}
	listed := bytes.Contains(bytes.ToLower(b), []byte("enabled services")) // from Android 10 on
	for _, u := range users {
		where := at("dumpsys/accessibility", u.Line)
		r.running[u.User] = true
		if listed {
			r.enabled[u.User] = true
			for _, c := range append(slices.Clone(u.Enabled), u.Binding...) {
				r.row(u.User, c, where).Enabled = true
			}
		}
		for _, c := range u.Crashed {
			r.row(u.User, c, where)
		}
		for _, c := range u.Installed {
			r.row(u.User, c, where).Installed = true
		}
	}
	return users, err
}

// installed takes from the list of apps which have such a service.
func (r *accessibilityReader) installed() {
	if r.apps.dump == nil {
		return
	}
	for _, s := range r.apps.dump.ServicePermissions {
		if s.Permission != "android.permission.BIND_ACCESSIBILITY_SERVICE" {
			continue
		}
		users := []int{0}
		if a := r.apps.get(s.Package); a != nil && len(a.Users) > 0 {
			users = a.Users
		}
		for _, u := range users {
			if full, _, ok := component(s.Package + "/" + s.Class); ok {
				r.row(u, full, "dumpsys/package").Installed = true
			}
		}
	}
}

const maxServices = 10000 // of all users; phones have dozens

func (r *accessibilityReader) row(user int, service, where string) *AccessibilityService {
	key := userComponent{user, service}
	row := r.rows[key]
	if row == nil {
		if len(r.rows) == maxServices {
			r.t.Partial = append(r.t.Partial, "more services than are kept")
		}
		row = &AccessibilityService{Service: service, User: user}
		row.AppTraits = r.traits(componentPackage(service), &row.Unread)
		row.Installed = r.apps.get(row.Package) != nil
		if len(r.rows) <= maxServices {
			r.rows[key] = row
		}
	}
	row.Where = wheres(row.Where, where)
	return row
}

// bound tells which services ran. Most releases print a label in place of the service's name:
// when as many ran as were switched on they are the same, and else labels of apps have to tell.
func (r *accessibilityReader) bound(u *parse.AccessibilityUser) {
	var on []*AccessibilityService
	for _, row := range r.rows {
		if row.User == u.User && row.Enabled {
			on = append(on, row)
		}
	}
	where := at("dumpsys/accessibility", u.Line)
	all := len(on) == len(u.Bound)
	for _, b := range u.Bound[:min(len(u.Bound), 64)] {
		var row *AccessibilityService
		switch {
		case b.Component != "":
			row = r.row(u.User, b.Component, where)
		case len(on) == 1 && all:
			row = on[0]
		default:
			row = labelled(on, b.Label)
		}
		if row == nil && !all {
			r.unnamed(u, b.Label)
		}
		if row == nil {
			continue
		}
		row.Bound, row.Enabled = true, true
		if b.Capabilities >= 0 {
			row.Reads, row.Acts = b.ReadsWindows, b.Gestures
			row.Where = wheres(row.Where, where)
		} else {
			noCapabilities(row)
		}
	}
	if all {
		for _, row := range on {
			if !row.Bound {
				row.Bound = true
				noCapabilities(row)
			}
		}
	}
}

// unnamed notes a running service that could be any of those that are switched on, or one that
// no source says is.
func (r *accessibilityReader) unnamed(u *parse.AccessibilityUser, label string) {
	candidates := 0
	for _, row := range r.rows {
		if row.User == u.User && row.Enabled && !row.Bound {
			row.MarkUnread("bound", "the service prints labels, not names, of what runs")
			candidates++
		}
	}
	if candidates == 0 {
		r.t.Partial = append(r.t.Partial, fmt.Sprintf("dumpsys/accessibility: the service %.60q runs, and nothing tells whose it is", label))
	}
}

func labelled(on []*AccessibilityService, label string) *AccessibilityService {
	var found *AccessibilityService
	for _, row := range on {
		if label != "" && strings.EqualFold(row.Label, label) {
			if found != nil {
				return nil
			}
			found = row
		}
	}
	return found
}

func noCapabilities(row *AccessibilityService) {
	for _, c := range []string{"reads_screen", "gestures"} {
		row.MarkUnread(c, "this release does not print what the service may do")
	}
}

// finish marks what no source told of a row.
func (r *accessibilityReader) finish(row *AccessibilityService, err error) *AccessibilityService {
	if !row.Bound {
		for _, c := range []string{"reads_screen", "gestures"} {
			row.MarkUnread(c, "what a service may do is told while it runs")
		}
	}
	if !r.enabled[row.User] && !row.Bound {
		row.MarkUnread("enabled", "no source tells which services this user has switched on")
	}
	if !r.running[row.User] && !row.Bound {
		why := "the service does not tell of this user"
		if err != nil {
			why = unavailable(err)
		}
		row.MarkUnread("bound", why)
	}
	return row
}
