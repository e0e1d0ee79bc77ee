package parse

import (
	"slices"
)

// UserList is /data/system/users/userlist.xml: which users the device has.
type UserList struct {
	Users        []int
	Restrictions []string // of guests
	DeviceOwner  int      // user of the device's owner as this file has it; -1 none or not known
}

// UserEntry is /data/system/users/N.xml without the user's name, picture and accounts.
type UserEntry struct {
	ID           int
	Serial       int
	Flags        uint32 // UserInfo.FLAG_*: 1 primary, 2 administrator, 4 guest, 0x20 managed profile, 0x40 disabled, ...
	Type         string // android.os.usertype.*; "" before Android 11
	Created      int64  // milliseconds since 1970; 0 unknown
	LastLoggedIn int64  // as Created
	Parent       int    // user whose profile this is; -1 none
	Partial      bool   // being created or removed
	Removing     bool   // a guest to be removed
	Restrictions []string
	Policy       []string // restrictions that an owner or administrator set
}

// UserListXML reads userlist.xml of Android 4.2 to 16 (UserManagerService).
func UserListXML(b []byte) (UserList, error) {
	x := newXMLReader(b)
	out := UserList{DeviceOwner: -1}
	if x.root("users") {
		for name := range x.children() {
			switch name {
			case "user":
				out.Users = keepXML(x, out.Users, x.uid("id"))
			case "deviceOwnerUserId", "globalRestrictionOwnerUserId":
				if id := x.uid("id"); id >= 0 { // -10000 is no user
					out.DeviceOwner = id
				}
			case "guestRestrictions":
				for child := range x.children() {
					if child == "restrictions" {
						out.Restrictions = restrictionNames(x, out.Restrictions)
					}
				}
			}
		}
	}
	return out, x.end()
}

// UserXML reads N.xml of Android 4.2 to 16.
func UserXML(b []byte) (UserEntry, error) {
	x := newXMLReader(b)
	out := UserEntry{ID: -1, Parent: -1}
	if x.root("user") {
		out = UserEntry{ID: x.uid("id"), Serial: x.uid("serialNumber"), Flags: uint32(x.int("flags", 0)), Type: x.attr("type"),
			Created: x.int("created", 0), LastLoggedIn: x.int("lastLoggedIn", 0), Partial: x.bool("partial", false),
			Removing: x.bool("guestToRemove", false), Parent: -1}
		for _, name := range []string{"profileGroupId", "restrictedProfileParentId"} {
			if p := x.uid(name); p >= 0 && p != out.ID {
				out.Parent = p
			}
		}
		for name := range x.children() {
			switch name {
			case "restrictions":
				out.Restrictions = restrictionNames(x, out.Restrictions)
			case "device_policy_restrictions", "device_policy_global_restrictions":
				out.Policy = restrictionNames(x, out.Policy)
			case "device_policy_local_restrictions": // Android 11 on: by the user of who set them
				for child := range x.children() {
					if child == "restrictions_user" {
						for range x.children() {
							out.Policy = restrictionNames(x, out.Policy)
						}
						continue
					}
					out.Policy = restrictionNames(x, out.Policy)
				}
			}
		}
	}
	return out, x.end()
}

// restrictionNames adds the names of the restrictions that the attributes of the current element
// switch on. Names come from the file; what does not look like one is left out.
func restrictionNames(x *xmlReader, out []string) []string {
	for i := range x.attrs {
		a := &x.attrs[i]
		if len(out) < maxXMLAttrs && a.value() == "true" && len(a.name) <= 100 && !slices.Contains(out, a.name) {
			out = keepXML(x, out, a.name)
		}
	}
	return out
}
