package parse

import (
	"slices"
	"strings"
)

// ManifestFlag is a yes or no of a manifest.
type ManifestFlag uint8

// The values of a ManifestFlag.
const (
	FlagUnset   ManifestFlag = iota // the framework's default holds
	FlagFalse                       //
	FlagTrue                        //
	FlagUnknown                     // refers to a resource that could not be resolved
)

// Or is the flag's value, def when it is not set. Unknown counts as not set.
func (f ManifestFlag) Or(def bool) bool {
	switch f {
	case FlagTrue:
		return true
	case FlagFalse:
		return false
	}
	return def
}

// AndroidManifest is what an AndroidManifest.xml says. Numbers are 0 and texts empty when it
// does not say; a reference that could not be resolved stays as text, "@0x7f010002".
type AndroidManifest struct {
	Package      string
	VersionCode  int64 // with versionCodeMajor in its upper half
	VersionName  string
	SharedUserID string
	Split        string // name of the split this is; empty for the base
	ConfigFor    string // split that this one configures
	FeatureSplit bool

	MinSDK, TargetSDK, MaxSDK, CompileSDK int
	// MinCodename and TargetCodename stand for a version that was not released then ("S").
	MinCodename, TargetCodename string
	PlatformBuildVersion        string // versionCode of the framework it was built against

	UsesPermissions []UsesPermission
	Permissions     []DeclaredPermission
	Features        []UsesFeature

	HasApplication        bool
	Label, Icon           string // icon: path in the APK
	NetworkSecurityConfig string // path in the APK
	ApplicationClass      string
	Debuggable, TestOnly  ManifestFlag // default false
	AllowBackup, HasCode  ManifestFlag // default true
	UsesCleartext         ManifestFlag // default true up to target SDK 27, then false
	ApplicationEnabled    ManifestFlag // default true
	ApplicationPermission string       // asked of callers where a component asks for none
	Components            []ManifestComponent

	// Problems are contradictions and oddities that did not stop the reading.
	Problems []string
}

// UsesPermission is one permission asked for.
type UsesPermission struct {
	Name   string
	MaxSDK int  // last API level at which it is asked for; 0 no limit
	SDK23  bool // asked for on Android 6 and later alone
}

// DeclaredPermission is a permission that the app itself defines.
type DeclaredPermission struct {
	Name            string
	ProtectionLevel uint32 // base level in the lowest four bits: 0 normal, 1 dangerous, 2 signature
}

// UsesFeature is hardware or software that the app uses.
type UsesFeature struct {
	Name     string
	Required bool
}

// ManifestComponent is an activity, activity-alias, service, receiver or provider.
type ManifestComponent struct {
	Kind            string
	Name            string // class, with its package
	Target          string // of an alias: the activity it stands for
	Label           string
	Exported        ManifestFlag // unset: exported when it has intent filters (a provider: up to target SDK 16)
	Enabled         ManifestFlag // default true
	Permission      string
	ReadPermission  string
	WritePermission string
	Filters         []ManifestFilter
}

// ManifestFilter is what a component answers to.
type ManifestFilter struct {
	Actions, Categories, Schemes []string
}

// Has says whether a filter of the component has that action.
func (c *ManifestComponent) Has(action string) bool {
	return slices.ContainsFunc(c.Filters, func(f ManifestFilter) bool { return slices.Contains(f.Actions, action) })
}

// Role names the system role that the component offers itself for: "accessibility",
// "device-admin", "vpn", "notification-listener" or "input-method"; empty for none.
func (c *ManifestComponent) Role() string {
	for _, r := range [...]struct{ kind, action, role string }{
		{"service", "android.accessibilityservice.AccessibilityService", "accessibility"},
		{"receiver", "android.app.action.DEVICE_ADMIN_ENABLED", "device-admin"},
		{"service", "android.net.VpnService", "vpn"},
		{"service", "android.service.notification.NotificationListenerService", "notification-listener"},
		{"service", "android.view.InputMethod", "input-method"},
	} {
		if c.Kind == r.kind && c.Has(r.action) {
			return r.role
		}
	}
	return ""
}

// Launcher says whether a home screen (or a television's) shows the app, unless the app has
// changed its components since.
func (m *AndroidManifest) Launcher() bool {
	return slices.ContainsFunc(m.Components, func(c ManifestComponent) bool {
		return strings.HasPrefix(c.Kind, "activity") && c.Enabled.Or(true) && slices.ContainsFunc(c.Filters, func(f ManifestFilter) bool {
			return slices.Contains(f.Actions, "android.intent.action.MAIN") &&
				(slices.Contains(f.Categories, "android.intent.category.LAUNCHER") || slices.Contains(f.Categories, "android.intent.category.LEANBACK_LAUNCHER"))
		})
	})
}
