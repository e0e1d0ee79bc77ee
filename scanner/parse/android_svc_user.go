package parse

import (
	"slices"
	"strconv"
	"strings"
)

// AndroidUser is one user or profile of the device. Its name is dropped.
type AndroidUser struct {
	ID           int
	Serial       int // -1 when not printed
	Flags        int64
	Kind         string // system, full, guest, restricted, managed profile, clone profile, private profile, profile, demo, communal profile
	Disabled     bool   // switched off
	Quiet        bool   // a profile that is paused
	Ephemeral    bool   // goes away at the end of the session
	Admin        bool
	Running      bool
	ProfileOwner bool     // an app manages it
	Restrictions []string // that hold for it, by whoever set them
	Line         int      // 1-based
}

// Flags of android.content.pm.UserInfo.
const (
	userPrimary    = 0x1
	userAdmin      = 0x2
	userGuest      = 0x4
	userRestricted = 0x8
	userManaged    = 0x20
	userDisabled   = 0x40
	userQuiet      = 0x80
	userEphemeral  = 0x100
	userDemo       = 0x200
	userSystem     = 0x800
	userProfile    = 0x1000
)

// AndroidUsers reads dumpsys user, pm list users and cmd user list, of Android 4.2 to 16.
func AndroidUsers(b []byte) ([]AndroidUser, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var users []AndroidUser
	known, list := false, ""
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "Users:") || strings.HasSuffix(text, "users:") && indent(line) == 0 {
			known = true
			return
		}
		if at := strings.Index(text, "UserInfo{"); at >= 0 && (at == 0 || strings.Contains(text[:at], ":")) {
			u, ok := androidUser(text[at:])
			if ok && len(users) < 4096 && !slices.ContainsFunc(users, func(o AndroidUser) bool { return o.ID == u.ID }) {
				u.Line = n
				users, known = append(users, u), true
			}
			list = ""
			return
		}
		if indent(line) <= 2 && text != "" { // below all users
			list = "other"
		}
		if len(users) == 0 || list == "other" {
			return
		}
		users[len(users)-1].detail(text, &list)
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return users, nil
}

// androidUser reads "UserInfo{10:Work:1030} serialNo=10 isPrimary=false" or "... running".
func androidUser(text string) (u AndroidUser, ok bool) {
	text = clip(text, 4096)
	in, rest, ok := strings.Cut(strings.TrimPrefix(text, "UserInfo{"), "}")
	for ok && strings.Contains(rest, "} ") && !isHexTail(in) { // a brace in the name
		more := ""
		more, rest, _ = strings.Cut(rest, "}")
		in += "}" + more
	}
	id, _, _ := strings.Cut(in, ":")
	flags := in[strings.LastIndexByte(in, ':')+1:]
	var err1, err2 error
	u.ID, err1 = strconv.Atoi(id)
	u.Flags, err2 = strconv.ParseInt(flags, 16, 64)
	if !ok || err1 != nil || err2 != nil || u.ID < 0 {
		return u, false
	}
	u.Serial = -1
	if n, err := strconv.Atoi(valueOf(rest, "serialNo")); err == nil {
		u.Serial = n
	}
	u.Running = strings.Contains(rest, " running")
	u.Admin, u.Disabled, u.Quiet, u.Ephemeral = u.Flags&userAdmin != 0, u.Flags&userDisabled != 0, u.Flags&userQuiet != 0, u.Flags&userEphemeral != 0
	u.Kind = userKind(u.Flags, u.ID)
	return u, true
}

func isHexTail(s string) bool {
	tail := s[strings.LastIndexByte(s, ':')+1:]
	_, err := strconv.ParseInt(tail, 16, 64)
	return err == nil
}

func userKind(flags int64, id int) string {
	switch {
	case id == 0 || flags&(userPrimary|userSystem) != 0:
		return "system"
	case flags&userManaged != 0:
		return "managed profile"
	case flags&userGuest != 0:
		return "guest"
	case flags&userRestricted != 0:
		return "restricted"
	case flags&userDemo != 0:
		return "demo"
	case flags&userProfile != 0:
		return "profile"
	}
	return "full"
}

// userTypes names android.os.UserManager.USER_TYPE_* (Android 11 on).
var userTypes = map[string]string{"android.os.usertype.full.SYSTEM": "system", "android.os.usertype.system.HEADLESS": "system", "android.os.usertype.full.SECONDARY": "full",
	"android.os.usertype.full.GUEST": "guest", "android.os.usertype.full.DEMO": "demo", "android.os.usertype.full.RESTRICTED": "restricted",
	"android.os.usertype.profile.MANAGED": "managed profile", "android.os.usertype.profile.CLONE": "clone profile",
	"android.os.usertype.profile.PRIVATE": "private profile", "android.os.usertype.profile.COMMUNAL": "communal profile"}

func (u *AndroidUser) detail(text string, list *string) {
	key, value, ok := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	switch {
	case key == "Type" && ok:
		if kind, known := userTypes[value]; known {
			u.Kind = kind
		}
	case key == "State" && ok:
		u.Running = strings.HasPrefix(value, "RUNNING")
	case key == "Has profile owner" && ok:
		u.ProfileOwner = value == "true"
	case ok && value == "":
		*list = key
		return
	case *list == "Effective restrictions":
		if text != "" && text != "none" && text != "null" && len(text) <= 80 && !strings.ContainsAny(text, " =") {
			u.Restrictions = append(u.Restrictions, text)
		}
		return
	}
	if ok {
		*list = ""
	}
}

// RoleHolder is a package that holds a role for a user.
type RoleHolder struct {
	User    int
	Role    string // android.app.role.SMS, ...
	Package string
	Line    int // 1-based
}

// RoleHolders reads dumpsys role of Android 10 to 16.
func RoleHolders(b []byte) ([]RoleHolder, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []RoleHolder
	user, role, known := 0, "", false
	serviceText(b, func(n int, line string) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case strings.HasPrefix(key, "ROLE "), key == "user_states":
			known = true
		case key == "user_id" && ok:
			user, _ = strconv.Atoi(value)
			role = ""
		case key == "name" && ok:
			role = clip(value, 200)
		case key == "holders" && ok && role != "":
			for _, pkg := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("[], ", r) }) {
				if isPackage(pkg) && len(all) < 20000 {
					all = append(all, RoleHolder{User: user, Role: role, Package: pkg, Line: n})
				}
			}
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
