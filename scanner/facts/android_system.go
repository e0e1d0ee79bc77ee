package facts

import "picket/scanner"

// AndroidSystem is the one row that says what Android runs on a device and how it was started.
type AndroidSystem struct {
	SDK                int      `expr:"sdk" json:"sdk" doc:"API level: 28 is Android 9"`
	Release            string   `expr:"release" json:"release" doc:"version that people know: 9, 14"`
	Patch              string   `expr:"patch" json:"patch,omitempty" doc:"security patch level, YYYY-MM-DD"`
	PatchAgeDays       int      `expr:"patch_age_days" json:"patch_age_days" doc:"days from the patch level to when the device was seen"`
	VendorPatch        string   `expr:"vendor_patch" json:"vendor_patch,omitempty" doc:"patch level of the vendor's part"`
	VendorPatchAgeDays int      `expr:"vendor_patch_age_days" json:"vendor_patch_age_days" doc:"days from it to when the device was seen"`
	EndOfLifeDays      int      `expr:"end_of_life_days" json:"end_of_life_days" doc:"days since this release last got security patches from AOSP; negative while it still does"`
	ReleasesBehind     int      `expr:"releases_behind" json:"releases_behind" doc:"how many yearly releases newer than this one were out when the device was seen"`
	Exploited          []string `expr:"exploited" json:"exploited,omitempty" doc:"vulnerabilities known to be used by attackers that the patch level leaves open, of those whose patch was out when the device was seen"`
	Manufacturer       string   `expr:"manufacturer" json:"manufacturer" doc:"ro.product.manufacturer"`
	Model              string   `expr:"model" json:"model" doc:"ro.product.model"`
	Fingerprint        string   `expr:"fingerprint" json:"fingerprint" doc:"build fingerprint"`
	Build              string   `expr:"build" json:"build" doc:"display id of the build"`
	BuildType          string   `expr:"build_type" json:"build_type" doc:"user, userdebug or eng"`
	BuildTags          string   `expr:"build_tags" json:"build_tags" doc:"release-keys, test-keys, dev-keys"`
	Debuggable         bool     `expr:"debuggable" json:"debuggable,omitempty" doc:"ro.debuggable=1: every app can be debugged, adb can become root"`
	Insecure           bool     `expr:"insecure" json:"insecure,omitempty" doc:"ro.secure=0 or ro.adb.secure=0: adb is root, or asks nobody"`
	VerifiedBoot       string   `expr:"verified_boot" json:"verified_boot,omitempty" doc:"green, yellow (locked, owner's key), orange (unlocked) or red; empty when the device does not tell"`
	Unlocked           bool     `expr:"unlocked" json:"unlocked,omitempty" doc:"the boot loader is unlocked"`
	Verity             string   `expr:"verity" json:"verity,omitempty" doc:"enforcing, logging, disabled, eio; empty when not told"`
	BootKey            string   `expr:"boot_key" json:"boot_key,omitempty" doc:"digest of the verified-boot key, hex"`
	CustomOS           string   `expr:"custom_os" json:"custom_os,omitempty" doc:"name of an operating system that is not the maker's: LineageOS, GrapheneOS, ..."`
	TrustedOS          bool     `expr:"trusted_os" json:"trusted_os,omitempty" doc:"a custom system whose verified-boot key is on the list of known ones, on a locked boot loader"`
	OEMUnlockAllowed   bool     `expr:"oem_unlock_allowed" json:"oem_unlock_allowed,omitempty" doc:"the owner may unlock the boot loader"`
	SELinux            string   `expr:"selinux" json:"selinux,omitempty" doc:"enforcing, permissive or disabled; empty when not told"`
	Encryption         string   `expr:"encryption" json:"encryption,omitempty" doc:"file, block, none; empty when not told"`
	Emulator           bool     `expr:"emulator" json:"emulator,omitempty" doc:"a virtual device"`
	EmulatorSigns      []string `expr:"emulator_signs" json:"emulator_signs,omitempty" doc:"what tells so"`
	Inconsistent       []string `expr:"inconsistent" json:"inconsistent,omitempty" doc:"properties that disagree on model, build or lock state"`
	Mainline           string   `expr:"mainline" json:"mainline,omitempty" doc:"version of the module metadata package: date of the Google Play system update, YYYY-MM-DD"`
	MainlineAgeDays    int      `expr:"mainline_age_days" json:"mainline_age_days" doc:"days from it to when the device was seen"`
	Kernel             string   `expr:"kernel" json:"kernel,omitempty" doc:"kernel version line"`
	WrapProps          []string `expr:"wrap_props" json:"wrap_props,omitempty" doc:"wrap.* properties and others that load code into programs as they start"`
	DalvikDebug        []string `expr:"debug_props" json:"debug_props,omitempty" doc:"properties that switch protections off: checkjni, persist.sys.* test switches, disabled verifier"`
	TCPADB             int      `expr:"adb_tcp_port" json:"adb_tcp_port,omitempty" doc:"port that adb listens on for the network; 0 none"`
	USB                string   `expr:"usb" json:"usb,omitempty" doc:"functions of the USB connection"`
	LogSize            string   `expr:"log_size" json:"log_size,omitempty" doc:"size of the log buffers where it is set; 0 or off means none"`
	Where              string   `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// RootState weighs all the signs that a device is rooted, one row.
type RootState struct {
	Score  int      `expr:"score" json:"score" doc:"sum of the signs' weights: 100 is proof, one weak sign 10 to 40"`
	Kinds  int      `expr:"kinds" json:"kinds" doc:"how many kinds of signs there are"`
	Signs  []string `expr:"signs" json:"signs,omitempty" doc:"the signs, in words"`
	Names  []string `expr:"names" json:"-" doc:"the signs by name alone: paths, processes, packages"`
	Tools  []string `expr:"tools" json:"tools,omitempty" doc:"Magisk, KernelSU, APatch, SuperSU, Zygisk, LSPosed, Frida, ..."`
	Looked []string `expr:"looked" json:"looked,omitempty" doc:"where was looked: binaries, processes, mounts, properties, apps, files"`
	Hidden bool     `expr:"hidden" json:"hidden,omitempty" doc:"a program that hides root from apps is there"`
	Where  string   `expr:"where" json:"-" doc:"sources"`
	scanner.Unread
}

// RootSign is one trace of root, hooking or hiding.
type RootSign struct {
	Kind   string `expr:"kind" json:"kind" doc:"binary, process, mount, property, app, file, module, port or label"`
	Name   string `expr:"name" json:"name" doc:"what it is: path, process, property, package"`
	Tool   string `expr:"tool" json:"tool,omitempty" doc:"tool that leaves it; empty when many do"`
	Class  string `expr:"class" json:"class" doc:"root, hide (root is kept from apps' sight) or hook (code is put into apps)"`
	Weight int    `expr:"weight" json:"weight" doc:"how much it says of being rooted, 0 to 100"`
	Vendor bool   `expr:"vendor" json:"vendor,omitempty" doc:"such a thing is known to be left by makers: a busybox, a su of an engineering build"`
	Active bool   `expr:"active" json:"active,omitempty" doc:"running or mounted when the device was seen, not only lying there"`
	Where  string `expr:"where" json:"-" doc:"source"`
}

// DeviceSettings are the switches of the primary user and the device, one row. A switch that
// was not told is unread.
type DeviceSettings struct {
	SDK                 int    `expr:"sdk" json:"sdk" doc:"API level, for switches whose meaning changed"`
	ADB                 bool   `expr:"adb" json:"adb,omitempty" doc:"USB debugging is on"`
	ADBByAcquisition    bool   `expr:"adb_by_acquisition" json:"adb_by_acquisition,omitempty" doc:"the device was read through adb or a bugreport, which needs USB debugging or developer options"`
	ADBWiFi             bool   `expr:"adb_wifi" json:"adb_wifi,omitempty" doc:"wireless debugging is on"`
	Developer           bool   `expr:"developer" json:"developer,omitempty" doc:"developer options are on"`
	UnknownSources      bool   `expr:"unknown_sources" json:"unknown_sources,omitempty" doc:"apps from anywhere may be installed; means something below API 26 only"`
	VerifierOff         bool   `expr:"verifier_off" json:"verifier_off,omitempty" doc:"apps are not checked when they are installed (Play Protect)"`
	VerifierConsent     string `expr:"verifier_consent" json:"verifier_consent,omitempty" doc:"package_verifier_user_consent: 1 yes, -1 refused"`
	VerifyADBOff        bool   `expr:"verify_adb_off" json:"verify_adb_off,omitempty" doc:"apps installed over adb are not checked"`
	ScreenTimeout       int    `expr:"screen_timeout" json:"screen_timeout,omitempty" doc:"seconds until the screen goes off"`
	LockDelay           int    `expr:"lock_delay" json:"lock_delay,omitempty" doc:"seconds from then until it locks"`
	LockNone            bool   `expr:"lock_none" json:"lock_none,omitempty" doc:"no screen lock is set"`
	ShowPassword        bool   `expr:"show_password" json:"show_password,omitempty" doc:"letters of passwords are shown as they are typed"`
	StayAwake           bool   `expr:"stay_awake" json:"stay_awake,omitempty" doc:"the screen never goes off while charging"`
	OTAOff              bool   `expr:"ota_off" json:"ota_off,omitempty" doc:"system updates are not installed by themselves"`
	AutoTimeOff         bool   `expr:"auto_time_off" json:"auto_time_off,omitempty" doc:"the clock is set by hand"`
	MockLocation        bool   `expr:"mock_location" json:"mock_location,omitempty" doc:"apps may invent the location (before API 23)"`
	PrivateDNS          string `expr:"private_dns" json:"private_dns,omitempty" doc:"off, opportunistic or hostname"`
	PrivateDNSHost      string `expr:"private_dns_host" json:"private_dns_host,omitempty" doc:"resolver of the mode hostname"`
	AlwaysOnVPN         string `expr:"always_on_vpn" json:"always_on_vpn,omitempty" doc:"package that all traffic must go through"`
	VPNLockdown         bool   `expr:"vpn_lockdown" json:"vpn_lockdown,omitempty" doc:"nothing goes past it"`
	HiddenAPI           bool   `expr:"hidden_api" json:"hidden_api,omitempty" doc:"the limits on private interfaces are switched off"`
	AdvancedProtection  bool   `expr:"advanced_protection" json:"advanced_protection,omitempty" doc:"Advanced Protection is on (API 36)"`
	BackupTransport     string `expr:"backup_transport" json:"backup_transport,omitempty" doc:"where the device's backup goes: component of the transport"`
	InstallerRestricted bool   `expr:"installer_restricted" json:"installer_restricted,omitempty" doc:"a manager forbids installing from unknown sources"`
	Emulator            bool   `expr:"emulator" json:"emulator,omitempty" doc:"a virtual device, whose switches are set for tests"`
	Where               string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// AndroidUser is one user or profile. Its name is personal and is not read.
type AndroidUser struct {
	ID      int    `expr:"id" json:"id" doc:"0 is the first"`
	Type    string `expr:"type" json:"type" doc:"system, full, secondary, guest, restricted, managed (work profile), clone (dual apps), private, communal, or the maker's word"`
	Managed bool   `expr:"managed" json:"managed,omitempty" doc:"a work profile"`
	Profile bool   `expr:"profile" json:"profile,omitempty" doc:"a profile of another user, not one that people switch to"`
	Running bool   `expr:"running" json:"running,omitempty" doc:"was running when the device was seen"`
	Admin   bool   `expr:"admin" json:"admin,omitempty" doc:"may manage other users"`
	OEM     bool   `expr:"oem" json:"oem,omitempty" doc:"a profile that makers create for dual apps or a secure folder"`
	Owner   string `expr:"owner" json:"owner,omitempty" doc:"package that manages it (profile owner)"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}
