package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	userListFile = "/data/system/users/userlist.xml"
	userFiles    = "/data/system/users/*.xml"
)

func androidUsersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_users", Doc: "users and profiles; never a name", Row: AndroidUser{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("user"), scanner.Dumpsys("device_policy")},
			Globs: append([]string{userListFile, userFiles, "/data/system"}, policyFiles...)},
		Needs: []string{"android_properties"}, Collect: collectAndroidUsers,
	}
}

func collectAndroidUsers(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := newPowers(ctx, in, &t)
	rows := []AndroidUser{}
	list, err := asked(p, "user", parse.AndroidUsers)
	for _, u := range list {
		rows = append(rows, AndroidUser{ID: u.ID, Type: or(userTypes[u.Kind], u.Kind), Running: u.Running || u.ID == 0, Admin: u.Admin || u.ID == 0, Where: at("dumpsys/user", u.Line)})
	}
	if len(rows) == 0 {
		var fileErr error
		if rows, fileErr = storedUsers(p); len(rows) == 0 {
			return scanner.Table{Absent: why(err, fileErr)}
		}
	}
	owners, noOwners := profileOwners(p)
	brand := makerOf(in)
	for i := range rows {
		r := &rows[i]
		if r.Owner = owners[r.ID]; noOwners != "" {
			r.MarkUnread("owner", noOwners)
		}
		makerProfile(r, brand)
		r.Managed = r.Type == "managed"
		r.Profile = slices.Contains([]string{"managed", "clone", "private", "communal", "profile", "secure_folder"}, r.Type)
	}
	slices.SortFunc(rows, func(a, b AndroidUser) int { return a.ID - b.ID })
	t.Rows = rows
	return t
}

// userTypes are the parser's kinds by the words of the table.
var userTypes = map[string]string{"managed profile": "managed", "clone profile": "clone", "private profile": "private", "communal profile": "communal", "full": "secondary"}

// storedUsers reads the files of users. Which of them run, files do not tell.
func storedUsers(p *powers) ([]AndroidUser, error) {
	list, err := fromFile(p, userListFile, parse.UserListXML)
	if err != nil {
		return nil, err
	}
	rows := []AndroidUser{}
	found := map[int]bool{}
	p.eachUser(userFiles, func(name string, id int) {
		u, err := fromFile(p, name, parse.UserXML)
		if err != nil || u.ID != id || found[id] || !slices.Contains(list.Users, id) {
			return
		}
		found[id] = true
		row := AndroidUser{ID: id, Type: storedType(&u), Running: id == 0, Admin: u.Flags&2 != 0 || id == 0, Where: name}
		if id != 0 {
			row.MarkUnread("running", "read from files, which do not tell it")
		}
		rows = append(rows, row)
	})
	for _, id := range list.Users {
		if !found[id] {
			p.t.Partial = append(p.t.Partial, userListFile+": the file of a user that it lists cannot be read")
			break
		}
	}
	return rows, nil
}

// storedType names android.os.usertype.* (Android 11 on), or the flags that were before it.
func storedType(u *parse.UserEntry) string {
	switch u.Type {
	case "android.os.usertype.full.SYSTEM", "android.os.usertype.system.HEADLESS":
		return "system"
	case "android.os.usertype.full.SECONDARY":
		return "secondary"
	case "android.os.usertype.full.GUEST":
		return "guest"
	case "android.os.usertype.full.RESTRICTED":
		return "restricted"
	case "android.os.usertype.profile.MANAGED":
		return "managed"
	case "android.os.usertype.profile.CLONE":
		return "clone"
	case "android.os.usertype.profile.PRIVATE":
		return "private"
	case "android.os.usertype.profile.COMMUNAL":
		return "communal"
	case "":
		switch {
		case u.ID == 0 || u.Flags&0x801 != 0:
			return "system"
		case u.Flags&0x20 != 0:
			return "managed"
		case u.Flags&4 != 0:
			return "guest"
		case u.Flags&8 != 0:
			return "restricted"
		}
		return "secondary"
	}
	return u.Type
}

// makerOf gives the maker by which profiles of fixed numbers are known; "" when not told.
func makerOf(in *scanner.Input) string {
	p, _ := propertiesOf(in)
	return p.get("ro.product.manufacturer", "ro.product.system.manufacturer", "ro.product.vendor.manufacturer")
}

// makerProfiles are users of fixed numbers that makers create: for a second copy of a messenger,
// or a locked folder.
var makerProfiles = []struct {
	maker       string // "" any
	first, last int
	kind        string
}{
	{"samsung", 95, 99, "clone"},           // Dual Messenger
	{"samsung", 150, 160, "secure_folder"}, // Secure Folder and Knox containers
	{"", 999, 999, "clone"},                // MIUI, ColorOS, OxygenOS, Funtouch
	{"huawei", 128, 138, "clone"}, {"honor", 128, 138, "clone"},
	{"oppo", 998, 998, "clone"}, {"realme", 998, 998, "clone"}, {"oneplus", 998, 998, "clone"}, // a second copy beside 999
}

// makerProfile tells a profile that the maker's system made. A work profile that somebody else
// manages is one, whatever its number.
func makerProfile(r *AndroidUser, maker string) {
	own := r.Owner == "" || strings.HasPrefix(r.Owner, "com.samsung.") || strings.HasPrefix(r.Owner, "com.sec.")
	if r.ID == 0 || r.Type == "managed" && !own {
		return
	}
	for _, m := range makerProfiles {
		if r.ID < m.first || r.ID > m.last || m.maker != "" && !strings.EqualFold(m.maker, maker) {
			continue
		}
		if r.OEM = true; r.Type != "clone" && r.Type != "private" {
			r.Type = m.kind
		}
		return
	}
}

// profileOwners gives the package that owns each user, by the service or the files; why says why
// neither could be read.
func profileOwners(p *powers) (owners map[int]string, why string) {
	out := map[int]string{}
	d, err := asked(p, "device_policy", parse.DevicePolicies)
	if err == nil {
		for _, o := range d.Owners {
			out[o.User] = or(out[o.User], o.Package)
		}
		return out, ""
	}
	if _, dirErr := p.in.Device.FS().ReadDir("/data/system"); dirErr != nil {
		return out, unavailable(err)
	}
	take := func(name string, user int) {
		f, err := fromFile(p, name, parse.OwnersXML)
		if err != nil {
			return
		}
		for _, o := range f.Owners {
			if o.User >= 0 {
				user = o.User
			}
			out[user] = or(out[user], o.Package)
		}
	}
	take(policyFiles[2], 0)
	take(policyFiles[3], 0)
	p.eachUser(policyFiles[4], take)
	return out, ""
}
