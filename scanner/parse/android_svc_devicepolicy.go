package parse

import (
	"slices"
	"strconv"
	"strings"
)

// DevicePolicy is who manages a device, and how.
type DevicePolicy struct {
	Owners []PolicyOwner // device owner and profile owners
	Admins []DeviceAdmin // active administrators, per user
}

// PolicyOwner is an app that manages the device or a profile.
type PolicyOwner struct {
	Device            bool // the device's owner; else of the profile (user) below
	User              int
	Package           string
	Component         string // package/class; empty when the release prints only a package
	OrganizationOwned bool   // the device belongs to an organisation, says the owner's enrolment
	Line              int    // 1-based
}

// DeviceAdmin is an active administrator.
type DeviceAdmin struct {
	User              int
	Component         string
	UID               int // -1 when not printed
	TestOnly          bool
	Policies          []string // wipe-data, reset-password, force-lock, ...
	PasswordQuality   int      // android.app.admin.DevicePolicyManager.PASSWORD_QUALITY_*, 0 none, -1 not printed
	MinimumLength     int      // -1 not printed
	Complexity        int      // PASSWORD_COMPLEXITY_* asked for (0, 0x10000, ...), -1 not printed
	MaximumTimeToLock int64    // milliseconds; 0 none, -1 not printed
	FailedBeforeWipe  int      // 0 none, -1 not printed
	EncryptionAsked   bool
	CameraDisabled    bool
	NetworkLogging    bool
	GlobalProxy       bool     // sets a proxy for the whole device
	CrossProfile      []string // packages that may talk across the profile's border, where printed
	Restrictions      []string // user restrictions it set: no_install_unknown_sources, ...
	Line              int      // 1-based
}

// DevicePolicies reads dumpsys device_policy of Android 4.4 to 16.
func DevicePolicies(b []byte) (DevicePolicy, error) {
	if err := ServiceRefusal(b); err != nil {
		return DevicePolicy{}, err
	}
	var p policyReader
	serviceText(b, p.line)
	if !p.header {
		return DevicePolicy{}, ErrOtherFormat
	}
	p.out.Owners = slices.DeleteFunc(p.out.Owners, func(o PolicyOwner) bool { return o.Package == "" && o.Component == "" })
	return p.out, nil
}

type policyReader struct {
	out     DevicePolicy
	header  bool
	part    string // owner, admins or neither
	user    int
	list    string // of an admin: policies, userRestrictions, ...
	listAt  int    // indent of the list's heading
	adminAt int    // indent of an admin's name; -1 before the first
}

func (p *policyReader) line(n int, line string) {
	text, at := strings.TrimSpace(line), indent(line)
	switch {
	case text == "":
	case strings.HasPrefix(text, "Current Device Policy Manager state"), strings.HasPrefix(text, "Device Policy Manager state"):
		p.header = true
	case strings.HasPrefix(text, "Device Owner:"), strings.HasPrefix(text, "Profile Owner (User "), strings.HasPrefix(text, "Profile Owner for User "):
		p.header, p.part = true, "owner"
		o := PolicyOwner{Device: text[0] == 'D', Line: n}
		if !o.Device {
			_, digits, _ := strings.Cut(text, "User ")
			o.User, _ = leadingInt(digits)
		}
		p.out.Owners = append(p.out.Owners, o)
	case strings.HasPrefix(text, "Enabled Device Admins (User "):
		p.header, p.part, p.list, p.adminAt = true, "admins", "", -1
		p.user, _ = leadingInt(strings.TrimPrefix(text, "Enabled Device Admins (User "))
	case p.part == "owner":
		p.owner(text)
	case p.part == "admins":
		p.admin(n, at, text)
	}
}

func leadingInt(s string) (int, bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(s[:i])
	return n, err == nil
}

func (p *policyReader) owner(text string) {
	o := &p.out.Owners[len(p.out.Owners)-1]
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		if user, ok := strings.CutPrefix(text, "User ID:"); ok {
			o.User, _ = leadingInt(strings.TrimSpace(user))
		} else if strings.HasSuffix(text, ":") {
			p.part = ""
		}
		return
	}
	switch key {
	case "admin":
		o.Component, _ = flatComponent(value)
		if o.Package == "" {
			o.Package, _, _ = strings.Cut(o.Component, "/")
		}
	case "package":
		if isPackage(value) && value != "null" {
			o.Package = value
		}
	case "isOrganizationOwnedDevice":
		o.OrganizationOwned = value == "true"
	}
}

func (p *policyReader) admin(n, at int, text string) {
	if c, ok := flatComponent(strings.TrimSuffix(text, ":")); ok && strings.HasSuffix(text, ":") && (p.adminAt < 0 || at <= p.adminAt) {
		p.adminAt, p.list = at, ""
		p.out.Admins = append(p.out.Admins, DeviceAdmin{User: p.user, Component: c, UID: -1, PasswordQuality: -1, MinimumLength: -1,
			Complexity: -1, MaximumTimeToLock: -1, FailedBeforeWipe: -1, Line: n})
		return
	}
	if p.adminAt < 0 || at <= p.adminAt { // what the user's policy has beside its admins
		p.list = ""
		if at < p.adminAt || strings.HasSuffix(text, ":") {
			p.part = ""
		}
		return
	}
	a := &p.out.Admins[len(p.out.Admins)-1]
	if p.list != "" && at > p.listAt {
		p.item(a, text)
		return
	}
	p.list = ""
	if name, ok := strings.CutSuffix(text, ":"); ok {
		p.list, p.listAt = name, at
		return
	}
	a.set(text)
}

// item takes a line of a list of an admin.
func (p *policyReader) item(a *DeviceAdmin, text string) {
	text, _, _ = strings.Cut(text, "=")
	if text == "null" || text == "none" || len(text) > 200 || strings.ContainsAny(text, " \t{}") {
		return
	}
	switch p.list {
	case "policies":
		a.Policies = append(a.Policies, text)
	case "userRestrictions":
		a.Restrictions = append(a.Restrictions, text)
	case "crossProfilePackages", "mCrossProfilePackages", "cross-profile-packages":
		a.CrossProfile = append(a.CrossProfile, text)
	}
}

func (a *DeviceAdmin) set(text string) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return
	}
	number := func(into *int) {
		if n, err := strconv.ParseInt(value, 0, 32); err == nil {
			*into = int(n)
		}
	}
	switch key {
	case "uid":
		number(&a.UID)
	case "testOnlyAdmin":
		a.TestOnly = value == "true"
	case "passwordQuality":
		number(&a.PasswordQuality)
	case "minimumPasswordLength":
		number(&a.MinimumLength)
	case "passwordComplexity", "mPasswordComplexity", "requiredPasswordComplexity", "mRequiredPasswordComplexity":
		number(&a.Complexity)
	case "maximumTimeToUnlock":
		if n, err := strconv.ParseInt(value, 0, 64); err == nil {
			a.MaximumTimeToLock = n
		}
	case "maximumFailedPasswordsForWipe":
		number(&a.FailedBeforeWipe)
	case "encryptionRequested":
		a.EncryptionAsked = value == "true"
	case "disableCamera":
		a.CameraDisabled = value == "true"
	case "isNetworkLoggingEnabled":
		a.NetworkLogging = value == "true"
	case "specifiesGlobalProxy":
		a.GlobalProxy = value == "true"
	case "mCrossProfilePackages", "crossProfilePackages":
		for _, pkg := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune("[]{}, ", r) }) {
			if isPackage(pkg) && pkg != "null" {
				a.CrossProfile = append(a.CrossProfile, pkg)
			}
		}
	}
}
