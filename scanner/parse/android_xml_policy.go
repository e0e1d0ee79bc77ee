package parse

import "strings"

// PolicyFile is /data/system/device_policies.xml, or that of /data/system/users/N for a user.
type PolicyFile struct {
	Admins      []PolicyAdmin
	Delegations []PolicyDelegation
	ApprovedCAs []string // aliases of user certificates that an administrator or the user approved
	OwnerCAs    []string // aliases of user certificates that the owner installed
	LockTask    []string // packages that may pin themselves
	Affiliation []string // ids under which the owners of several users work together
	Provisioned int      // DevicePolicyManager.STATE_USER_*: 0 unmanaged, 3 finalised; -1 not written
	SetUp       bool     // the set-up wizard has finished
}

// PolicyAdmin is an active administrator and what it demands. -1 where the file says nothing,
// which means the default.
type PolicyAdmin struct {
	Component        string // package/class
	Policies         uint32 // bits of DeviceAdminInfo.USES_POLICY_*
	Restrictions     []string
	TestOnly         bool
	PasswordQuality  int   // DevicePolicyManager.PASSWORD_QUALITY_*
	PasswordLength   int   // least number of characters
	Complexity       int   // DevicePolicyManager.PASSWORD_COMPLEXITY_* (Android 12 on)
	FailedWipe       int   // wrong passwords until the device is wiped; 0 never
	MaxTimeToLock    int64 // milliseconds
	EncryptionAsked  bool
	CameraDisabled   bool
	CaptureDisabled  bool
	KeyguardDisabled int // DevicePolicyManager.KEYGUARD_DISABLE_* bits
	GlobalProxy      bool
	NetworkLogging   bool
	Accessibility    []string // the only services that are allowed; nil when all are
	AccessLimited    bool     // Accessibility is a limit, even when empty
	InputMethods     []string // as Accessibility
	MeteredDisabled  []string
	Parent           bool // it also has demands of the whole device, as the owner of a profile
}

// PolicyDelegation is an app that acts for an administrator.
type PolicyDelegation struct{ Package, Scope string }

// DevicePoliciesXML reads device_policies.xml of Android 4 to 16 (DevicePolicyData, ActiveAdmin).
func DevicePoliciesXML(b []byte) (PolicyFile, error) {
	x := newXMLReader(b)
	out := PolicyFile{Provisioned: -1}
	if !x.root("policies") {
		return out, x.end()
	}
	out.Provisioned, out.SetUp = x.uid("provisioning-state"), x.bool("setup-complete", false)
	for _, old := range []struct{ attr, scope string }{ // Android 6 and 7: before there were several
		{"delegated-cert-installer", "delegation-cert-install"}, {"application-restrictions-manager", "delegation-app-restrictions"}} {
		if pkg := x.attr(old.attr); pkg != "" {
			out.Delegations = keepXML(x, out.Delegations, PolicyDelegation{pkg, old.scope})
		}
	}
	for name := range x.children() {
		switch name {
		case "admin":
			out.Admins = keepXML(x, out.Admins, policyAdmin(x))
		case "delegation":
			out.Delegations = keepXML(x, out.Delegations, PolicyDelegation{x.attr("delegatePackage"), x.attr("scope")})
		case "accepted-ca-certificate":
			out.ApprovedCAs = keepXML(x, out.ApprovedCAs, x.attr("name"))
		case "owner-installed-ca-cert":
			out.OwnerCAs = keepXML(x, out.OwnerCAs, x.attr("alias"))
		case "affiliation-id":
			out.Affiliation = keepXML(x, out.Affiliation, x.attr("id"))
		case "lock-task-component":
			out.LockTask = keepXML(x, out.LockTask, x.attr("name"))
		}
	}
	return out, x.end()
}

func policyAdmin(x *xmlReader) PolicyAdmin {
	a := PolicyAdmin{Component: x.attr("name"), PasswordQuality: -1, PasswordLength: -1, Complexity: -1, FailedWipe: -1,
		MaxTimeToLock: -1, KeyguardDisabled: -1}
	for name := range x.children() {
		switch name {
		case "policies":
			a.Policies = uint32(x.int("flags", 0))
		case "user-restrictions":
			a.Restrictions = restrictionNames(x, a.Restrictions)
		case "test-only-admin":
			a.TestOnly = x.bool("value", false)
		case "password-quality":
			a.PasswordQuality = x.uid("value")
		case "min-password-length":
			a.PasswordLength = x.uid("value")
		case "password-complexity":
			a.Complexity = x.uid("value")
		case "max-failed-password-wipe":
			a.FailedWipe = x.uid("value")
		case "max-time-to-unlock":
			a.MaxTimeToLock = x.int("value", -1)
		case "encryption-requested":
			a.EncryptionAsked = x.bool("value", false)
		case "disable-camera":
			a.CameraDisabled = x.bool("value", false)
		case "disable-screen-capture":
			a.CaptureDisabled = x.bool("value", false)
		case "disable-keyguard-features":
			a.KeyguardDisabled = x.uid("value")
		case "specifies-global-proxy":
			a.GlobalProxy = x.bool("value", false)
		case "is_network_logging_enabled":
			a.NetworkLogging = x.bool("value", false)
		case "permitted-accessiblity-services": // spelt so by Android
			a.AccessLimited, a.Accessibility = true, policyItems(x)
		case "permitted-imes":
			a.InputMethods = policyItems(x)
		case "metered_data_disabled_packages":
			a.MeteredDisabled = policyItems(x)
		case "parent-admin":
			a.Parent = true
		}
	}
	return a
}

// policyItems reads <item value="..."/>.
func policyItems(x *xmlReader) (out []string) {
	for range x.children() {
		if v := x.attr("value"); v != "" {
			out = keepXML(x, out, v)
		}
	}
	return out
}

// PolicyOwners says who owns the device and its profiles.
type PolicyOwners struct {
	Owners       []OwnerEntry
	SystemUpdate string // policy for system updates, as the file has it: 1 at once, 2 in a window, 3 postponed; "" none
}

// OwnerEntry is the owner of the device or of one profile.
type OwnerEntry struct {
	Device       bool
	User         int // -1 where the file's place says it: profile_owner.xml of a user
	Package      string
	Component    string // "" before Android 6
	Organization bool   // the owner of a profile on a device that an organisation owns
	Type         int    // DevicePolicyManager.DEVICE_OWNER_TYPE_*: 0 default, 1 financed
}

// OwnersXML reads /data/system/device_owner_2.xml and users/N/profile_owner.xml (Android 6 on),
// and device_owner.xml before, which has several roots.
func OwnersXML(b []byte) (PolicyOwners, error) {
	x := newXMLReader(b)
	var out PolicyOwners
	for name := range x.roots("root", "device-owner", "profile-owner", "device-initializer", "system-update-policy") {
		if name != "root" {
			out.element(x, name)
			continue
		}
		for child := range x.children() {
			out.element(x, child)
		}
	}
	return out, x.end()
}

func (o *PolicyOwners) element(x *xmlReader, name string) {
	switch name {
	case "device-owner", "profile-owner":
		o.Owners = keepXML(x, o.Owners, ownerEntry(x, name == "device-owner"))
	case "device-owner-context": // these two follow the owner that they tell more of
		if n := len(o.Owners); n > 0 && x.has("userId") {
			o.Owners[n-1].User = x.uid("userId")
		}
	case "device-owner-type":
		if n := len(o.Owners); n > 0 && o.Owners[n-1].Package == x.attr("package") {
			o.Owners[n-1].Type = x.uid("value")
		}
	case "system-update-policy":
		o.SystemUpdate = x.attr("policy_type")
	}
}

func ownerEntry(x *xmlReader, device bool) OwnerEntry {
	e := OwnerEntry{Device: device, User: x.uid("userId"), Package: x.attr("package"), Component: x.attr("component"),
		Organization: x.bool("isPoOrganizationOwnedDevice", false) || x.bool("canAccessDeviceIds", false)}
	if device && e.User < 0 {
		e.User = 0
	}
	if e.Package == "" {
		e.Package, _, _ = strings.Cut(e.Component, "/")
	}
	return e
}
