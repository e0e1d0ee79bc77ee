package parse

import "bytes"

// PermissionHolder is what packages and shared users have in common. The permissions of a package
// with a shared user are those of the shared user.
type PermissionHolder struct {
	AppID   int               // user id within each user; -1 not said
	GIDs    []int             // before Android 6
	Install []PermissionGrant // granted at install, and before Android 6 all
	Users   []PackageUser
}

// PermissionGrant is a permission that a package or shared user has, or was denied.
type PermissionGrant struct {
	Name    string
	Granted bool
	User    int     // of an install permission that differs for this user; -1 all
	Flags   FlagSet // USER_SET, USER_FIXED, POLICY_FIXED, SYSTEM_FIXED, GRANTED_BY_DEFAULT, ...
}

// PackageUser is the state of a package for one user. A flag that this Android does not have is
// false; Installed is then true, since Android before 4.2 has one user.
type PackageUser struct {
	ID             int
	Installed      bool
	Hidden         bool // by a device's policy; "blocked" before Android 5
	Suspended      bool
	Stopped        bool
	NotLaunched    bool
	Instant        bool
	VirtualPreload bool
	Quarantined    bool
	Enabled        int // PackageManager.COMPONENT_ENABLED_STATE_: 0 default, 1 enabled, 2 disabled, 3 by the user, 4 until used; -1 not said
	Distraction    int // flags; -1 not said
	InstallReason  int // PackageManager.INSTALL_REASON_: 0 unknown, 1 policy, 2 restore, 3 setup, 4 user; -1 not said
	FirstInstall   string
	DataDir        string
	Archived       string // when, of an app whose code was archived
	DisabledBy     string // the caller that changed Enabled last
	SuspendedBy    []string
	HarmfulWarning string
	GIDs           []int
	Runtime        []PermissionGrant
	Disabled       []string // components, in full
	EnabledParts   []string // components that the manifest has disabled and somebody enabled
}

// DumpedSharedUser is an entry of "Shared users:".
type DumpedSharedUser struct {
	Name string
	PermissionHolder
	Packages []string // from Android 11 on
}

// holderList is a list of lines within a package or shared user.
type holderList int

const (
	listNone holderList = iota
	listOther
	listDeclared
	listRequested
	listInstall
	listRuntime
	listDisabled
	listEnabled
	listSuspended
	listPackages
)

var holderLists = map[string]holderList{
	"declared permissions:": listDeclared, "requested permissions:": listRequested, "install permissions:": listInstall,
	"grantedPermissions:": listInstall, "runtime permissions:": listRuntime, "disabledComponents:": listDisabled,
	"enabledComponents:": listEnabled, "Suspend params:": listSuspended, "Packages": listPackages,
}

// holderReader reads the lists and users of a package or shared user. Indentation tells what
// belongs to what: entries 2, their lines 4, lines of a user 6, items two more than their list.
type holderReader struct {
	p      *packageDumper
	to     *PermissionHolder
	pkg    *DumpedPackage    // nil in a shared user
	shared *DumpedSharedUser // nil in a package
	list   holderList
	depth  int // indentation of the list's title
}

func (h *holderReader) start(to *PermissionHolder, pkg *DumpedPackage) {
	h.to, h.pkg, h.shared, h.list = to, pkg, nil, listNone
}

// user is the one that lines belong to, nil before the first.
func (h *holderReader) user() *PackageUser {
	if n := len(h.to.Users); n > 0 {
		return &h.to.Users[n-1]
	}
	return nil
}

// line reads a line of the entry, and says whether it was one of a list or user.
func (h *holderReader) line(text []byte, indent int) bool {
	text = bytes.TrimRight(text, " ")
	// This one is indented like the items of a list that may stand before it.
	if warning, ok := bytes.CutPrefix(text, []byte("harmfulAppWarning: ")); ok && indent == 8 && h.user() != nil {
		h.user().HarmfulWarning = string(warning)
		return true
	}
	// Lines of the user follow the list of who suspended the package, indented like its items.
	ended := h.list == listSuspended && indent == 6 && !bytes.HasPrefix(text, []byte("suspendingPackage="))
	if h.list != listNone && indent > h.depth && !ended {
		h.item(text)
		return true
	}
	h.list = listNone
	if indent != 4 && indent != 6 {
		return true
	}
	if list, ok := holderLists[string(text)]; ok {
		h.list, h.depth = list, indent
		if h.pkg != nil && indent == 4 {
			h.says(bytes.TrimSuffix(text, []byte{':'}))
		}
		return true
	}
	if text[len(text)-1] == ':' && bytes.IndexByte(text, '=') < 0 && !bytes.HasPrefix(text, []byte("User ")) {
		h.list, h.depth = listOther, indent
		return true
	}
	if indent == 4 && bytes.HasPrefix(text, []byte("User ")) {
		h.to.Users = appendUser(h.p, h.to.Users, text, h.pkg)
		return true
	}
	if indent == 6 {
		if u := h.user(); u != nil {
			h.p.userField(u, text)
		}
		return true
	}
	return false
}

func (h *holderReader) says(title []byte) {
	if k, ok := packageKeys[string(title)]; ok {
		h.pkg.takes(k, title)
	}
}

// item reads a line of the present list.
func (h *holderReader) item(text []byte) {
	if h.list == listOther || !h.p.room() {
		return
	}
	switch h.list {
	case listDeclared:
		name, rest, ok := bytes.Cut(text, []byte(": prot="))
		if ok && h.pkg != nil {
			level, _, _ := bytes.Cut(rest, []byte{','})
			h.pkg.Declared = append(h.pkg.Declared, DumpedPermission{Name: h.p.names.intern(name), Protection: h.p.flagSet(level)})
		}
	case listRequested:
		name, _, _ := bytes.Cut(text, []byte(": ")) // restricted=true
		if h.pkg != nil {
			h.pkg.Requested = append(h.pkg.Requested, h.p.names.intern(name))
		}
	case listInstall:
		h.to.Install = append(h.to.Install, h.p.grant(text))
	case listPackages:
		if h.shared != nil {
			h.shared.Packages = append(h.shared.Packages, h.p.names.intern(objectName(text)))
		}
	case listRuntime, listDisabled, listEnabled, listSuspended:
		if u := h.user(); u != nil {
			h.userItem(u, text)
		}
	}
}

func (h *holderReader) userItem(u *PackageUser, text []byte) {
	switch h.list {
	case listRuntime:
		u.Runtime = append(u.Runtime, h.p.grant(text))
	case listDisabled:
		u.Disabled = append(u.Disabled, h.p.names.intern(text))
	case listEnabled:
		u.EnabledParts = append(u.EnabledParts, h.p.names.intern(text))
	case listSuspended:
		h.p.userField(u, text)
	}
}

// grant reads "NAME: granted=true, flags=[ A|B], userId=10". Before Android 6 there is the name
// alone, of permissions that are granted.
func (p *packageDumper) grant(text []byte) PermissionGrant {
	name, rest, ok := bytes.Cut(text, []byte(": granted="))
	g := PermissionGrant{Name: p.names.intern(name), Granted: true, User: -1}
	if !ok {
		return g
	}
	g.Granted = bytes.HasPrefix(rest, []byte("true"))
	if _, flags, ok := bytes.Cut(rest, []byte(", flags=")); ok {
		list, after, _ := bytes.Cut(flags, []byte{']'})
		g.Flags, rest = p.flagSet(list), after
	}
	if _, id, ok := bytes.Cut(rest, []byte(", userId=")); ok {
		g.User, _ = smallNumber(id)
	}
	return g
}

// appendUser reads "User 0: ceDataInode=4028 installed=true hidden=false ... enabled=0 ...". A
// user that stands twice in a package is kept as it stands last.
func appendUser(p *packageDumper, users []PackageUser, text []byte, pkg *DumpedPackage) []PackageUser {
	number, pairs, ok := bytes.Cut(bytes.TrimPrefix(text, []byte("User ")), []byte{':'})
	id, numeric := smallNumber(number)
	if !ok || !numeric {
		p.c.Add(p.line, "not the state of a user")
		return users
	}
	if p.users++; p.users > maxDumpUsers || len(users) >= 256 {
		p.c.Add(p.line, "too many users")
		return users
	}
	u := PackageUser{ID: id, Installed: true, Enabled: -1, Distraction: -1, InstallReason: -1}
	for len(pairs) > 0 {
		var pair []byte
		pair, pairs = word(pairs)
		key, value, _ := bytes.Cut(pair, []byte{'='})
		u.pair(key, value)
	}
	for i := range users {
		if users[i].ID != id {
			continue
		}
		if pkg != nil {
			pkg.conflict("User " + string(number))
		}
		users = append(users[:i], users[i+1:]...)
		break
	}
	return append(users, u)
}

func (u *PackageUser) pair(key, value []byte) {
	set := string(value) == "true"
	switch string(key) {
	case "installed":
		u.Installed = set
	case "hidden", "blocked":
		u.Hidden = set
	case "suspended":
		u.Suspended = set
	case "stopped":
		u.Stopped = set
	case "notLaunched":
		u.NotLaunched = set
	case "instant":
		u.Instant = set
	case "virtual":
		u.VirtualPreload = set
	case "quarantined":
		u.Quarantined = set
	case "enabled":
		u.Enabled, _ = smallNumber(value)
	case "distractionFlags":
		u.Distraction, _ = smallNumber(value)
	}
}

// userField reads a line of its own below a user.
func (p *packageDumper) userField(u *PackageUser, text []byte) {
	key, value, ok := bytes.Cut(text, []byte{'='})
	if caller, is := bytes.CutPrefix(text, []byte("lastDisabledCaller: ")); is {
		u.DisabledBy = p.names.intern(caller)
		return
	}
	if !ok {
		return
	}
	switch string(key) {
	case "installReason":
		u.InstallReason, _ = smallNumber(value)
	case "dataDir":
		u.DataDir = string(value)
	case "firstInstallTime":
		u.FirstInstall = p.names.intern(value)
	case "archiveTime":
		u.Archived = string(value)
	case "gids":
		u.GIDs = idList(value)
	case "suspendingPackage":
		name, _ := word(value)
		if len(u.SuspendedBy) < 64 {
			u.SuspendedBy = append(u.SuspendedBy, p.names.intern(name))
		}
	}
}

// idList reads "[3003, 1028]".
func idList(text []byte) (out []int) {
	text = bytes.Trim(text, "[] ")
	for len(text) > 0 && len(out) < 256 {
		var one []byte
		one, text, _ = bytes.Cut(text, []byte(", "))
		if id, ok := smallNumber(one); ok {
			out = append(out, id)
		}
	}
	return out
}

// sharedUsers reads the entries "SharedUser [android.uid.system] (31a0427):".
func (p *packageDumper) sharedUsers() func([]byte, int) {
	h := holderReader{p: p}
	return func(text []byte, indent int) {
		if indent == 2 {
			h.to = nil
			name, ok := bracketed(bytes.TrimRight(text, " "), "SharedUser [")
			if !ok || len(p.d.SharedUsers) >= maxDumpItems {
				return
			}
			p.d.SharedUsers = append(p.d.SharedUsers, DumpedSharedUser{Name: p.names.intern(name)})
			su := &p.d.SharedUsers[len(p.d.SharedUsers)-1]
			su.AppID = -1
			h.start(&su.PermissionHolder, nil)
			h.shared = su
			return
		}
		if h.to == nil || h.line(text, indent) {
			return
		}
		for _, key := range []string{"userId=", "appId="} {
			if rest, ok := bytes.CutPrefix(text, []byte(key)); ok {
				id, rest := word(rest)
				h.to.AppID, _ = smallNumber(id)
				if gids, has := bytes.CutPrefix(rest, []byte(" gids=")); has {
					h.to.GIDs = idList(gids)
				}
			}
		}
	}
}
