package facts

import (
	"slices"
	"strings"
	"time"

	"picket/scanner"
)

// systemPaths are where apps of the system image lie.
var systemPaths = []string{"/system/", "/product/", "/vendor/", "/odm/", "/system_ext/", "/apex/", "/oem/", "/my_", "/prism/", "/cust/", "/preload/", "/preas/", "/hw_product/", "/version/", "/system_root/", "/india/", "/carrier/", "/omr/"}

// classify tells of each app where it came from, who signed it, and what it poses as.
func (r *appReader) classify() {
	rows := r.apps.rows
	if a := r.apps.get("android"); a != nil {
		r.platform = r.raw["android"].signers
	}
	for i := range rows {
		a := &rows[i]
		if !a.System && inSystem(a.CodePath) && !a.OnData {
			a.System = true
		}
		a.OnData = strings.HasPrefix(a.CodePath, "/data/") || strings.HasPrefix(a.CodePath, "/mnt/")
		if a.System {
			for _, s := range r.raw[a.Package].signers {
				r.system[s] = true
			}
		}
	}
	r.arrive()
	for i := range rows {
		a := &rows[i]
		a.Known = knownApps[a.Package]
		a.SignerKind = r.signerKind(a)
		r.origin(a)
		r.age(a)
		a.Groups = dataGroups(a.Granted)
		r.poses(a)
	}
	r.blind()
}

func inSystem(file string) bool {
	return slices.ContainsFunc(systemPaths, func(p string) bool { return strings.HasPrefix(file, p) })
}

// blind marks what a source without signers or grants cannot tell.
func (r *appReader) blind() {
	for i := range r.apps.rows {
		a := &r.apps.rows[i]
		if len(r.raw[a.Package].signers) == 0 {
			r.unread(a, "no source tells its signer", "signer", "signer_kind")
			if r.mayPose(a) {
				r.unread(a, "no source tells its signer", "poses_as")
			}
		}
		if a.Signature == "" {
			r.unread(a, "its file was not there to verify", "signature", "signature_error")
		}
		if a.Label == "" {
			r.unread(a, "its file was not there to read", "label")
			if r.mayPose(a) {
				r.unread(a, "its file was not there to read", "imitates")
			}
		}
		if r.apps.dump != nil && len(a.Requested) == 0 {
			r.unread(a, "the dump does not list what apps ask for", "requested")
		}
		if r.apps.sdk > 0 && r.apps.sdk < 30 && a.Initiator == "" {
			r.unread(a, "Android tells it from API level 30 on", "installer_mismatch")
		}
	}
}

func (r *appReader) signerKind(a *App) string {
	for _, c := range a.Certificates {
		if k := keyKind(c, c, ""); k != "" {
			return k
		}
	}
	if k := keyKind("", "", a.SignerName); k != "" {
		return k
	}
	signers := r.raw[a.Package].signers
	switch {
	case len(signers) == 0:
		return ""
	case slices.ContainsFunc(signers, func(s string) bool { return shortTestKeys[s] != "" }):
		return "testkey"
	case r.signedLike(a, func(s string) bool { return slices.Contains(r.platform, s) }):
		return "platform"
	}
	return "own"
}

// sharesSystemSigner reports whether an app is signed by a key that also signs apps of the system.
func (r *appReader) sharesSystemSigner(a *App) bool {
	return r.signedLike(a, func(s string) bool { return r.system[s] })
}

// origin tells where an app came from. What an installer says of itself is believed unless
// Android noted that somebody else asked for the installation.
func (r *appReader) origin(a *App) {
	raw := r.raw[a.Package]
	installer := knownApps[a.Installer]
	if installer == "" && strings.HasSuffix(a.Installer, ".packageinstaller") { // makers have their own
		installer = "installer"
	}
	a.InstallerMismatch = slices.Contains([]string{"store", "oem_store", "mdm"}, installer) && a.Initiator != "" && a.Initiator != a.Installer && !r.trustedInitiator(a.Initiator)
	switch {
	case a.System:
		a.Source = "system"
	case a.InstallerMismatch && byShell(a.Initiator):
		a.Source = "adb"
	case a.InstallerMismatch:
		a.Source = "app"
	case installer == "store", installer == "oem_store", installer == "open_store", installer == "mdm":
		a.Source = installer
	case r.isManager(a.Installer):
		a.Source = "mdm"
	case byShell(a.Installer), byShell(a.Initiator):
		a.Source = "adb"
	case installer == "installer":
		a.Source = r.byHand(a)
	case installer == "browser", installer == "messenger", installer == "file_manager":
		a.Source = installer
	case a.Installer != "":
		a.Source = "app"
		if i := r.apps.get(a.Installer); i != nil && i.System && (a.Initiator == "" || a.Initiator == a.Installer || r.trustedInitiator(a.Initiator)) {
			a.Source = "preload" // a set-up wizard or a maker's service
		}
	case r.isPreload(a, raw):
		a.Source = "preload"
	case raw.told && r.apps.sdk > 0:
		a.Source = "adb" // an installation without an installer is one by adb, or by root
	default:
		a.Source = "unknown"
	}
	if raw.doubt && slices.Contains([]string{"preload", "store", "oem_store", "mdm", "unknown"}, a.Source) {
		a.Source = "app"
	}
	a.Preload = a.Source == "preload"
	a.Sideloaded = !slices.Contains([]string{"system", "preload", "store", "oem_store", "mdm", "unknown"}, a.Source)
	a.SilentInstall = a.Source == "app" && a.Installer != "" && a.Initiator == a.Installer && !a.InstallerMismatch && raw.initAsk && r.mayInstall(a.Installer)
	if a.Source == "unknown" {
		r.unread(a, "no source tells who installed it", "source", "sideloaded")
	}
	if r.apps.source != "" && strings.HasSuffix(r.apps.source, ".apk") {
		a.Sideloaded = false
	}
}

// trustedInitiator is an installer that may act for a store: the store's own parts, the system's
// installer on behalf of a person, and set-up.
func (r *appReader) trustedInitiator(pkg string) bool {
	switch knownApps[pkg] {
	case "store", "oem_store", "mdm":
		return true
	}
	if a := r.apps.get(pkg); a != nil && (a.System || inSystem(a.CodePath)) {
		return knownApps[pkg] != "installer" && pkg != "com.android.shell"
	}
	return false
}

// isManager reports whether a package owns the device or a profile, by its kind or rights.
func (r *appReader) isManager(pkg string) bool { return knownApps[pkg] == "mdm" }

// mayInstall reports whether an app holds the right to install without asking, which only the
// system's apps get.
func (r *appReader) mayInstall(pkg string) bool {
	a := r.apps.get(pkg)
	return a != nil && !a.System && slices.Contains(a.Granted, "INSTALL_PACKAGES")
}

// byHand tells what handed an app to the system's installer.
func (r *appReader) byHand(a *App) string {
	for _, p := range []string{a.Originator, a.Initiator} {
		switch knownApps[p] {
		case "browser", "messenger", "file_manager", "open_store":
			return knownApps[p]
		}
	}
	return "installer"
}

// isPreload recognises what makers put on the data partition: it says no installer, and its
// signer also signs apps of the system, or it came as the device was set up.
func (r *appReader) isPreload(a *App, raw rawApp) bool {
	const installReasonDeviceSetup = 3
	if a.Installer != "" || a.Initiator != "" {
		return false
	}
	return a.SignerKind == "platform" || r.sharesSystemSigner(a) || raw.reason == installReasonDeviceSetup && !r.suspect(a)
}

func (r *appReader) age(a *App) {
	t, err := time.Parse(time.RFC3339, a.FirstInstalled)
	if err != nil || r.now.IsZero() {
		r.unread(a, "no source tells when it was installed", "age_days")
		return
	}
	a.AgeDays = max(0, int(r.now.Sub(t).Hours())/24)
}

// dataPermissions are the permissions that reach personal data, by kind.
var dataPermissions = map[string]string{
	"READ_SMS": "sms", "RECEIVE_SMS": "sms", "SEND_SMS": "sms", "RECEIVE_MMS": "sms", "READ_CALL_LOG": "call_log", "PROCESS_OUTGOING_CALLS": "call_log", "WRITE_CALL_LOG": "call_log",
	"READ_CONTACTS": "contacts", "READ_CALENDAR": "calendar", "RECORD_AUDIO": "microphone", "CAMERA": "camera", "ACCESS_FINE_LOCATION": "location", "ACCESS_COARSE_LOCATION": "location",
	"ACCESS_BACKGROUND_LOCATION": "background_location", "READ_EXTERNAL_STORAGE": "storage", "WRITE_EXTERNAL_STORAGE": "storage", "READ_MEDIA_IMAGES": "storage", "READ_MEDIA_VIDEO": "storage",
	"READ_MEDIA_AUDIO": "storage", "READ_PHONE_STATE": "phone", "READ_PHONE_NUMBERS": "phone", "BODY_SENSORS": "sensors", "MANAGE_EXTERNAL_STORAGE": "all_files", "CAPTURE_AUDIO_OUTPUT": "microphone",
}

func dataGroups(granted []string) []string {
	var out []string
	for _, p := range granted {
		if g := dataPermissions[p]; g != "" && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	slices.Sort(out)
	return out
}

// namespaces are beginnings of package ids that only their owners use.
var namespaces = []struct{ prefix, owner string }{
	{"com.android.", "Android"}, {"android.", "Android"}, {"com.google.android.", "Google"}, {"com.samsung.android.", "Samsung"}, {"com.sec.android.", "Samsung"}, {"com.miui.", "Xiaomi"},
	{"com.huawei.", "Huawei"}, {"com.hihonor.", "Honor"}, {"com.coloros.", "Oppo"}, {"com.oppo.", "Oppo"}, {"com.oneplus.", "OnePlus"}, {"com.vivo.", "Vivo"}, {"com.motorola.", "Motorola"},
	{"com.qualcomm.", "Qualcomm"}, {"com.mediatek.", "MediaTek"}, {"com.lge.", "LG"}, {"com.sonymobile.", "Sony"}, {"com.sonyericsson.", "Sony"},
}

// wellKnownLabels are names that people trust, with the package that has them.
var wellKnownLabels = map[string][]string{
	"whatsapp": {"com.whatsapp"}, "telegram": {"org.telegram.messenger", "org.telegram.messenger.web"}, "signal": {"org.thoughtcrime.securesms"}, "chrome": {"com.android.chrome"},
	"google chrome": {"com.android.chrome"}, "google play store": {"com.android.vending"}, "google play services": {"com.google.android.gms"}, "play protect": {"com.google.android.gms"},
	"google play protect": {"com.google.android.gms"}, "youtube": {"com.google.android.youtube"}, "facebook": {"com.facebook.katana"}, "instagram": {"com.instagram.android"}, "messenger": {"com.facebook.orca"},
	"tiktok": {"com.zhiliaoapp.musically", "com.ss.android.ugc.trill"}, "netflix": {"com.netflix.mediaclient"}, "paypal": {"com.paypal.android.p2pmobile"}, "gmail": {"com.google.android.gm"},
	"system update": {}, "android system": {"android"}, "system service": {}, "sync service": {}, "device health": {}, "wi-fi service": {}, "wifi service": {}, "update service": {}, "google services": {}, "system settings": {},
}

// mayPose reports whether an app could take a name that is not its own. Those of a store, the
// maker or a manager are let be, whatever their label is.
func (r *appReader) mayPose(a *App) bool {
	return (a.Sideloaded || a.Source == "unknown") && a.SignerKind != "platform" && !r.sharesSystemSigner(a)
}

// poses finds apps that take the names of others. Makers ship apps of their own namespaces in
// many ways, so system, preload, store and maker-signed ones are let be.
func (r *appReader) poses(a *App) {
	if !r.mayPose(a) {
		return
	}
	for _, n := range namespaces {
		if strings.HasPrefix(a.Package, n.prefix) && knownApps[a.Package] == "" {
			a.PosesAs = n.owner
			break
		}
	}
	label := strings.ToLower(strings.TrimSpace(a.Label))
	if ids, ok := wellKnownLabels[label]; ok && label != "" && !slices.Contains(ids, a.Package) {
		a.Imitates = a.Label
	}
}

// androidTables gives tables of powers the apps that they describe.
func androidTables(in *scanner.Input) *androidApps {
	if a := scanner.Aux[*androidApps](in, "packages"); a != nil {
		return a
	}
	return &androidApps{index: map[string]int{}}
}
