package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Where roles, and what came before them, are kept.
var roleFiles = []string{"/data/misc_de/*/apexdata/com.android.permission/roles.xml", "/data/system/users/*/roles.xml"}

const restrictionFiles = "/data/system/users/*/package-restrictions.xml"

func defaultAppsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "default_apps", Doc: "apps that handle messages, calls, pages and the like", Row: DefaultApp{}, Platforms: onAndroid,
		Reads: powerReads([]string{"role"}, append([]string{restrictionFiles}, roleFiles...)...), Needs: []string{"packages"}, Collect: collectDefaultApps,
	}
}

// roleNames are android.app.role.* by the words of the table.
var roleNames = map[string]string{"SMS": "sms", "DIALER": "dialer", "BROWSER": "browser", "HOME": "home", "ASSISTANT": "assistant", "CALL_REDIRECTION": "call_redirection",
	"CALL_SCREENING": "call_screening", "EMERGENCY": "emergency"}

func roleName(role string) string {
	short := strings.TrimPrefix(role, "android.app.role.")
	return or(roleNames[short], short)
}

// defaultSettings are where Android kept default apps before there were roles (Android 10), and
// still repeats some of them.
var defaultSettings = []struct{ setting, role string }{
	{"sms_default_application", "sms"}, {"dialer_default_application", "dialer"}, {"assistant", "assistant"}, {"emergency_assistance_application", "emergency"},
}

type defaultReader struct {
	*powers
	rows  []DefaultApp
	roles map[int]bool // users whose roles a source listed
}

func collectDefaultApps(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &defaultReader{powers: newPowers(ctx, in, &t), rows: []DefaultApp{}, roles: map[int]bool{}}
	holders, err := asked(r.powers, "role", parse.RoleHolders)
	for _, h := range holders {
		r.roles[h.User] = true
		r.add(roleName(h.Role), h.User, h.Package, at("dumpsys/role", h.Line))
	}
	if err != nil {
		for _, pattern := range roleFiles {
			r.eachUser(pattern, r.roleFile)
		}
	}
	users, noSettings := r.secure()
	for i := range users {
		s := &users[i]
		if r.roles[s.user] {
			continue
		}
		for _, d := range defaultSettings {
			if pkg := componentPackage(s.get(d.setting)); pkg != "" && parse.IsPackageName([]byte(pkg)) {
				r.add(d.role, s.user, pkg, s.where)
			}
		}
	}
	if len(r.roles) == 0 {
		if err != nil && len(users) == 0 {
			return scanner.Table{Absent: unavailable(err) + "; settings: " + noSettings}
		}
		r.beforeRoles()
	}
	slices.SortStableFunc(r.rows, func(a, b DefaultApp) int {
		return compareUserComponents(userComponent{a.User, a.Role}, userComponent{b.User, b.Role})
	})
	t.Rows = r.rows
	return t
}

const maxDefaults = 4000 // of all users; each has some dozens of roles

func (r *defaultReader) add(role string, user int, pkg, where string) {
	for i := range r.rows {
		if row := &r.rows[i]; row.Role == role && row.User == user && row.Package == pkg {
			row.Where = wheres(row.Where, where)
			return
		}
	}
	if len(r.rows) >= maxDefaults {
		if len(r.t.Partial) == 0 {
			r.t.Partial = append(r.t.Partial, "more default apps than are kept")
		}
		return
	}
	row := DefaultApp{Role: role, User: user, Where: where}
	row.AppTraits = r.traits(pkg, &row.Unread)
	r.rows = append(r.rows, row)
}

func (r *defaultReader) roleFile(name string, user int) {
	if r.roles[user] { // the newer place goes before the older
		return
	}
	list, err := fromFile(r.powers, name, parse.RolesXML)
	if err != nil {
		r.partial(err)
		return
	}
	for _, e := range list {
		r.roles[user] = true
		for _, h := range e.Holders {
			r.add(roleName(e.Role), user, h, name)
		}
	}
}

// beforeRoles reads what the package manager knew of browsers, dialers and home screens.
func (r *defaultReader) beforeRoles() {
	told := false
	r.eachUser(restrictionFiles, func(name string, user int) {
		u, err := fromFile(r.powers, name, parse.PackageRestrictionsXML)
		if err != nil {
			r.partial(err)
			return
		}
		told = true
		for _, d := range []struct{ role, pkg string }{{"browser", u.Browser}, {"dialer", u.Dialer}} {
			if d.pkg != "" {
				r.add(d.role, user, d.pkg, name)
			}
		}
	})
	if d := r.apps.dump; d != nil && d.Preferred != nil {
		told = true
		for user, table := range d.Preferred {
			for _, h := range table.Actions["android.intent.action.MAIN"] {
				if h.Filter != nil && slices.Contains(h.Filter.Categories, "android.intent.category.HOME") {
					r.add("home", user, h.Package, "dumpsys/package")
				}
			}
		}
	}
	if !told {
		r.t.Notes = append(r.t.Notes, "no source tells which apps open pages and make the home screen")
	}
}
