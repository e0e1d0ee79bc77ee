package facts

import "picket/scanner"

// AccessibilityService is a service that may read the screen and act for the person.
type AccessibilityService struct {
	AppTraits
	Service   string `expr:"service" json:"service" doc:"component"`
	User      int    `expr:"user" json:"user" doc:"user"`
	Installed bool   `expr:"installed" json:"installed,omitempty" doc:"is there to be switched on"`
	Enabled   bool   `expr:"enabled" json:"enabled,omitempty" doc:"is switched on"`
	Bound     bool   `expr:"bound" json:"bound,omitempty" doc:"was running"`
	Reads     bool   `expr:"reads_screen" json:"reads_screen,omitempty" doc:"may read what is on the screen"`
	Acts      bool   `expr:"gestures" json:"gestures,omitempty" doc:"may tap and swipe"`
	Where     string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// DeviceAdmin is an app that manages the device or a profile.
type DeviceAdmin struct {
	AppTraits
	Kind      string   `expr:"kind" json:"kind" doc:"admin, profile_owner or device_owner"`
	Receiver  string   `expr:"receiver" json:"receiver" doc:"component"`
	User      int      `expr:"user" json:"user" doc:"user"`
	Policies  []string `expr:"policies" json:"policies,omitempty" doc:"what it may do: wipe-data, reset-password, force-lock, ..."`
	KnownDPC  bool     `expr:"known_dpc" json:"known_dpc,omitempty" doc:"a device manager of a known maker"`
	OrgOwned  bool     `expr:"org_owned" json:"org_owned,omitempty" doc:"the organisation owns the device"`
	TestAdmin bool     `expr:"test_admin" json:"test_admin,omitempty" doc:"made for tests: can be removed over adb"`
	Where     string   `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// NotificationListener reads every notification.
type NotificationListener struct {
	AppTraits
	Service string `expr:"service" json:"service" doc:"component"`
	User    int    `expr:"user" json:"user" doc:"user"`
	Live    bool   `expr:"live" json:"live,omitempty" doc:"was running"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// Keyboard is an input method.
type Keyboard struct {
	AppTraits
	Service string `expr:"service" json:"service" doc:"component"`
	User    int    `expr:"user" json:"user" doc:"user"`
	Default bool   `expr:"default" json:"default,omitempty" doc:"the one in use"`
	Enabled bool   `expr:"enabled" json:"enabled,omitempty" doc:"can be switched to"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// DefaultApp is the app that handles something for the person.
type DefaultApp struct {
	AppTraits
	Role  string `expr:"role" json:"role" doc:"sms, dialer, browser, home, assistant, call_redirection, call_screening, emergency, or the role's own name"`
	User  int    `expr:"user" json:"user" doc:"user"`
	Where string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// TrustAgent keeps the device unlocked where it sees fit.
type TrustAgent struct {
	AppTraits
	Service string `expr:"service" json:"service" doc:"component"`
	User    int    `expr:"user" json:"user" doc:"user"`
	Trusted bool   `expr:"trusting" json:"trusting,omitempty" doc:"kept the device unlocked when it was seen"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// AppOp is a use, or a permission to use, of something that Android keeps count of.
type AppOp struct {
	AppTraits
	UID         int    `expr:"uid" json:"uid" doc:"user id"`
	Op          string `expr:"op" json:"op" doc:"operation: CAMERA, RECORD_AUDIO, FINE_LOCATION, SYSTEM_ALERT_WINDOW, REQUEST_INSTALL_PACKAGES, ..."`
	Mode        string `expr:"mode" json:"mode" doc:"allow, foreground, ignore, deny or default"`
	UsedMinutes int    `expr:"used_minutes" json:"used_minutes" doc:"minutes from the last use to when the device was seen; -1 never or not told"`
	Background  bool   `expr:"background" json:"background,omitempty" doc:"a use while the app was not on the screen was noted"`
	BackMinutes int    `expr:"background_minutes" json:"background_minutes" doc:"minutes since that use; -1 never or not told"`
	Seconds     int    `expr:"seconds" json:"seconds,omitempty" doc:"how long the last use took"`
	Running     bool   `expr:"running" json:"running,omitempty" doc:"in use when the device was seen"`
	ByShell     bool   `expr:"by_shell" json:"by_shell,omitempty" doc:"com.android.shell's own: may be a trace of reading the device"`
	Where       string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// ScreenCapture is somebody who was recording or casting the screen.
type ScreenCapture struct {
	AppTraits
	Kind    string `expr:"kind" json:"kind" doc:"projection, virtual_display or process"`
	Process string `expr:"process" json:"process,omitempty" doc:"process, for tools that are no app"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// VPN is a VPN app that was on, or must be on.
type VPN struct {
	AppTraits
	User      int    `expr:"user" json:"user" doc:"user; -1 not told"`
	Active    bool   `expr:"active" json:"active,omitempty" doc:"was connected"`
	AlwaysOn  bool   `expr:"always_on" json:"always_on,omitempty" doc:"all traffic goes through it, always"`
	Lockdown  bool   `expr:"lockdown" json:"lockdown,omitempty" doc:"nothing goes past it"`
	Interface string `expr:"interface" json:"interface,omitempty" doc:"its network interface"`
	Legacy    bool   `expr:"legacy" json:"legacy,omitempty" doc:"set up in the system's settings, no app"`
	Where     string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// AppEvent is something that happened to an app before the device was seen.
type AppEvent struct {
	AppTraits
	Event     string `expr:"event" json:"event" doc:"updated, downgraded, removed, installed or override (a compatibility switch was forced)"`
	Version   int64  `expr:"version" json:"version,omitempty" doc:"version code after it; 0 for removed"`
	Previous  int64  `expr:"previous" json:"previous,omitempty" doc:"version code before it, 0 when not told"`
	Time      string `expr:"time" json:"time,omitempty" doc:"RFC 3339, or the day, as the source tells"`
	Days      int    `expr:"days" json:"days" doc:"days from it to when the device was seen; -1 unknown"`
	Installed bool   `expr:"still_installed" json:"still_installed,omitempty" doc:"the app is there"`
	Detail    string `expr:"detail" json:"detail,omitempty" doc:"id of the switch and its value"`
	Where     string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}
