package parse

// RuntimeGrants are the permissions that a user decides on: one entry for a package or a
// shared user, or from Android 15 for an app id.
type RuntimeGrants struct {
	Package string
	Shared  string // name of the shared user
	AppID   int    // -1 unless the file names packages by it
	Grants  []GrantEntry
}

// RuntimePermissionsXML reads runtime-permissions.xml: of /data/system/users/N up to Android 10,
// of /data/misc_de/N/apexdata/com.android.permission from Android 11.
func RuntimePermissionsXML(b []byte) ([]RuntimeGrants, error) {
	x := newXMLReader(b)
	var out []RuntimeGrants
	if x.root("runtime-permissions") {
		for name := range x.children() {
			g, item := RuntimeGrants{AppID: -1}, ""
			switch name {
			case "pkg":
				g.Package, item = x.attr("name"), "item"
			case "package":
				g.Package, item = x.attr("name"), "permission"
			case "shared-user":
				g.Shared = x.attr("name")
			default: // restored-perms are of apps that are not installed
				continue
			}
			for child := range x.children() {
				if child == item || item == "" && (child == "item" || child == "permission") {
					g.Grants = keepXML(x, g.Grants, x.grant())
				}
			}
			out = keepXML(x, out, g)
		}
	}
	return out, x.end()
}

// AccessState is access.abx, in which Android 15 on keeps permissions and app-op modes of a
// user: /data/misc_de/N/apexdata/com.android.permission/access.abx.
type AccessState struct {
	Permissions []RuntimeGrants
	Modes       []AppOpMode
}

// Flags of a permission in access.abx (PermissionFlags) that decide whether it is granted.
const (
	accessInstallGranted = 1 << iota
	accessInstallRevoked
	accessProtectionGranted
	_
	accessRuntimeGranted
	accessLegacyGranted     = 1 << 10
	accessImplicitGranted   = 1 << 11
	accessRestrictionRevoke = 1 << 18
	accessAppOpRevoked      = 1 << 20
)

// accessGranted answers as PermissionFlags.isAppOpGranted does: what the app op holds back is
// not granted.
func accessGranted(flags uint32) bool {
	if flags&accessAppOpRevoked != 0 {
		return false
	}
	switch {
	case flags&accessInstallGranted != 0:
		return true
	case flags&accessInstallRevoked != 0:
		return false
	case flags&(accessProtectionGranted|accessLegacyGranted|accessImplicitGranted) != 0:
		return true
	case flags&accessRestrictionRevoke != 0:
		return false
	}
	return flags&accessRuntimeGranted != 0
}

// AccessABX reads access.abx. The flags of its grants are those of PermissionFlags, not
// of PackageManager.
func AccessABX(b []byte) (AccessState, error) {
	x := newXMLReader(b)
	var out AccessState
	if x.root("access") {
		for name := range x.children() {
			switch name {
			case "app-id-permissions":
				for range x.children() {
					g := RuntimeGrants{AppID: x.uid("id")}
					for range x.children() {
						flags := uint32(x.int("flags", 0))
						g.Grants = keepXML(x, g.Grants, GrantEntry{Name: x.attr("name"), Granted: accessGranted(flags), Flags: flags})
					}
					out.Permissions = keepXML(x, out.Permissions, g)
				}
			case "app-id-app-ops", "package-app-ops":
				for range x.children() {
					mode := AppOpMode{UID: x.uid("id"), Package: x.attr("name"), User: -1, Op: -1}
					for range x.children() {
						mode.Name, mode.Mode = x.attr("name"), int(x.int("mode", -1))
						out.Modes = keepXML(x, out.Modes, mode)
					}
				}
			}
		}
	}
	return out, x.end()
}

// RoleEntry is one role and the packages that hold it.
type RoleEntry struct {
	Role    string // android.app.role.SMS, ...
	Holders []string
}

// RolesXML reads roles.xml (Android 10 on): of /data/system/users/N, and from Android 11 of
// /data/misc_de/N/apexdata/com.android.permission.
func RolesXML(b []byte) ([]RoleEntry, error) {
	x := newXMLReader(b)
	var out []RoleEntry
	if x.root("roles") {
		for name := range x.children() {
			if name == "role" {
				r := RoleEntry{Role: x.attr("name")}
				r.Holders = xmlNames(x)
				out = keepXML(x, out, r)
			}
		}
	}
	return out, x.end()
}
