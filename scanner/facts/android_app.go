package facts

import "picket/scanner"

// AppTraits say what an app is to those who judge what it may do.
type AppTraits struct {
	Package    string `expr:"package" json:"package" doc:"package id"`
	Label      string `expr:"label" json:"label,omitempty" doc:"name that people see; empty when no source tells it"`
	System     bool   `expr:"system" json:"system,omitempty" doc:"part of the system image, updated or not"`
	Preload    bool   `expr:"preload" json:"preload,omitempty" doc:"the maker put it on the data partition: no installer, and the platform's or another preload's signer or the date of the first start"`
	Source     string `expr:"source" json:"source" doc:"system, preload, store, oem_store, open_store (F-Droid and others), mdm, adb (before Android 8 such an app is told as installer), browser, messenger, file_manager, installer (the system's own, started by nobody known), moved (from another phone, by the maker's program for that), app (another app), unknown"`
	Sideloaded bool   `expr:"sideloaded" json:"sideloaded,omitempty" doc:"came by none of system, preload, store, oem_store, mdm, moved"`
	SignerKind string `expr:"signer_kind" json:"signer_kind,omitempty" doc:"platform (as the system itself), debug, testkey (published AOSP keys; in dumps by the short hash), leaked (platform keys that became known), own; empty when not told"`
	Known      string `expr:"known" json:"known,omitempty" doc:"what a well-known app of that id is: assistive, browser, store, oem_store, open_store, installer, adb, mdm, remote_access, root_manager, hook_manager, root_hider, vpn, backup, attack_tool, cloner, companion, launcher, keyboard, security, messenger, file_manager, updater, automation, parental, password_manager, mover (takes apps from an old phone to a new one), profile (makes a work profile for the person alone)"`
	Disabled   bool   `expr:"disabled" json:"disabled,omitempty" doc:"switched off for every user that has it"`
	AgeDays    int    `expr:"age_days" json:"age_days" doc:"days from its first installation to when the device was seen; -1 unknown"`
}

// App is one installed app, over all users of the device.
type App struct {
	AppTraits
	VersionName string `expr:"version_name" json:"version_name" doc:"version that people see"`
	VersionCode int64  `expr:"version_code" json:"version_code" doc:"version that is compared"`
	TargetSDK   int    `expr:"target_sdk" json:"target_sdk" doc:"API level that it was made for"`
	MinSDK      int    `expr:"min_sdk" json:"min_sdk,omitempty" doc:"lowest API level that it runs on"`
	SDK         int    `expr:"sdk" json:"-" doc:"API level of the device; 0 unknown"`
	UID         int    `expr:"uid" json:"uid" doc:"app id (user id of the first user)"`
	SharedUID   string `expr:"shared_uid" json:"shared_uid,omitempty" doc:"name of the user id that it shares with others: android.uid.system"`
	Users       []int  `expr:"users" json:"users,omitempty" doc:"users that have it installed"`
	// ByUser has the users' own states; rules ask the columns that sum them up.
	ByUser     []AppUser `expr:"-" json:"by_user,omitempty"`
	CodePath   string    `expr:"code_path" json:"code_path" doc:"file or folder of its code"`
	OnData     bool      `expr:"on_data" json:"on_data,omitempty" doc:"its code is on the data partition or removable storage"`
	Updated    bool      `expr:"updated_system" json:"updated_system,omitempty" doc:"a system app that was updated"`
	Privileged bool      `expr:"privileged" json:"privileged,omitempty" doc:"may hold permissions that only the system's apps get"`
	Hidden     bool      `expr:"hidden" json:"hidden,omitempty" doc:"hidden by a manager for some user"`
	Suspended  bool      `expr:"suspended" json:"suspended,omitempty" doc:"suspended for some user"`
	Debuggable bool      `expr:"debuggable" json:"debuggable,omitempty" doc:"anyone with adb can look into it and change it as it runs"`
	TestOnly   bool      `expr:"test_only" json:"test_only,omitempty" doc:"made for tests; stores refuse such apps"`
	Backup     bool      `expr:"allow_backup" json:"allow_backup,omitempty" doc:"its data may leave by backup"`
	Cleartext  bool      `expr:"cleartext" json:"cleartext,omitempty" doc:"may speak without encryption"`
	HasCode    bool      `expr:"has_code" json:"has_code,omitempty" doc:"has code of its own"`

	Installer         string `expr:"installer" json:"installer,omitempty" doc:"package that installed it, as it says of itself"`
	Initiator         string `expr:"initiator" json:"initiator,omitempty" doc:"package that really asked for it (API 30)"`
	Originator        string `expr:"originator" json:"originator,omitempty" doc:"package that it came from, as the installer says"`
	InstallerMismatch bool   `expr:"installer_mismatch" json:"installer_mismatch,omitempty" doc:"says that a store installed it, and another package did"`
	SilentInstall     bool   `expr:"silent_install" json:"silent_install,omitempty" doc:"put there by an app that is no store and no manager, with the right to install without asking"`
	FirstInstalled    string `expr:"first_installed" json:"first_installed,omitempty" doc:"RFC 3339 UTC"`
	LastUpdated       string `expr:"last_updated" json:"last_updated,omitempty" doc:"RFC 3339 UTC"`

	Signer         string   `expr:"signer" json:"signer,omitempty" doc:"SHA-256 of its certificate in hex, or the short hash that dumpsys prints"`
	SignerName     string   `expr:"signer_name" json:"signer_name,omitempty" doc:"subject of the certificate where it was read"`
	Certificates   []string `expr:"certificates" json:"-" doc:"all digests of its certificates that were read, SHA-256, SHA-1 and MD5 in hex"`
	FileHashes     []string `expr:"file_hashes" json:"-" doc:"digests of its files that were read, hex"`
	Signature      string   `expr:"signature" json:"signature,omitempty" doc:"verified, invalid or unsigned where the file was there to verify; empty otherwise"`
	SignatureError string   `expr:"signature_error" json:"signature_error,omitempty" doc:"why it is invalid"`

	Launcher     bool     `expr:"launcher" json:"launcher,omitempty" doc:"has an icon that starts it"`
	BootReceiver bool     `expr:"boot_receiver" json:"boot_receiver,omitempty" doc:"is started when the device starts"`
	SMSReceiver  bool     `expr:"sms_receiver" json:"sms_receiver,omitempty" doc:"is told of text messages as they come"`
	VPNService   bool     `expr:"vpn_service" json:"vpn_service,omitempty" doc:"has a VPN service"`
	InputMethod  bool     `expr:"input_method" json:"input_method,omitempty" doc:"has a keyboard"`
	Requested    []string `expr:"requested" json:"requested,omitempty" doc:"permissions that it asks for; android.permission. left off"`
	Granted      []string `expr:"granted" json:"granted,omitempty" doc:"permissions that it has for some user; android.permission. left off"`
	Groups       []string `expr:"groups" json:"groups,omitempty" doc:"kinds of personal data that it may reach: sms, call_log, contacts, calendar, microphone, camera, location, background_location, storage, all_files, phone, sensors"`
	Special      []string `expr:"special" json:"special,omitempty" doc:"powers that settings give: accessibility, device_admin, device_owner, profile_owner, notification_listener, overlay, install_apps, usage_access, battery_exempt, write_settings, all_files, default_sms, default_dialer, default_home, keyboard, vpn, trust_agent, capture, mock_location; for the reader, rules use the columns below"`
	// Each of the following powers can be unread on its own; Special shows those that are known.
	Accessibility bool     `expr:"accessibility" json:"accessibility,omitempty" doc:"an accessibility service of it is switched on"`
	Admin         bool     `expr:"device_admin" json:"device_admin,omitempty" doc:"is a device administrator, or owns the device or a profile"`
	Notifications bool     `expr:"notifications" json:"notifications,omitempty" doc:"reads every notification"`
	Overlay       bool     `expr:"overlay" json:"overlay,omitempty" doc:"may draw over other apps"`
	InstallsApps  bool     `expr:"installs_apps" json:"installs_apps,omitempty" doc:"may install other apps"`
	UsageAccess   bool     `expr:"usage_access" json:"usage_access,omitempty" doc:"sees which apps are used"`
	BatteryExempt bool     `expr:"battery_exempt" json:"battery_exempt,omitempty" doc:"the person or an app exempted it from saving the battery"`
	DefaultSMS    bool     `expr:"default_sms" json:"default_sms,omitempty" doc:"handles text messages"`
	SpyScore      int      `expr:"spy_score" json:"spy_score,omitempty" doc:"how much its data, powers and ways of hiding look like spyware, 0 to 100; 0 for system and store apps without powers"`
	SpySigns      []string `expr:"spy_signs" json:"spy_signs,omitempty" doc:"what makes the score"`
	Takeover      int      `expr:"takeover" json:"takeover,omitempty" doc:"how many of the powers that bank fraud needs it has: accessibility, overlay, install_apps, sms or notifications, no icon, device admin"`
	TakeoverSign  []string `expr:"takeover_signs" json:"takeover_signs,omitempty" doc:"which"`
	PosesAs       string   `expr:"poses_as" json:"poses_as,omitempty" doc:"whose package names or label it takes without being of them: android, google, a maker, or a well-known app"`
	Forges        bool     `expr:"forges" json:"forges,omitempty" doc:"its version or other text of its own holds lines that look like what the system writes of apps"`
	Imitates      string   `expr:"imitates" json:"imitates,omitempty" doc:"well-known app whose label it has under another package id, or whose id it has with another signer"`
	Where         string   `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// AppUser is what one user of the device has of an app.
type AppUser struct {
	User      int      `json:"user"`
	Disabled  bool     `json:"disabled,omitempty"`
	Hidden    bool     `json:"hidden,omitempty"`    // by a manager
	Suspended bool     `json:"suspended,omitempty"` // by a manager or a parent
	Stopped   bool     `json:"stopped,omitempty"`   // never started, or stopped by force
	Granted   []string `json:"granted,omitempty"`   // permissions that this user gave; android.permission. left off
}

// AndroidListener is a port that something on the device listens at.
type AndroidListener struct {
	AppTraits
	Proto   string `expr:"proto" json:"proto" doc:"tcp or udp"`
	Address string `expr:"address" json:"address" doc:"address that it listens at"`
	Port    int    `expr:"port" json:"port" doc:"port"`
	Exposed bool   `expr:"exposed" json:"exposed,omitempty" doc:"reachable from the network: not loopback"`
	UID     int    `expr:"uid" json:"uid" doc:"user id; -1 not told"`
	Process string `expr:"process" json:"process,omitempty" doc:"process, where told"`
	App     bool   `expr:"app" json:"app,omitempty" doc:"user id of an app"`
	Service string `expr:"service" json:"service,omitempty" doc:"what the port is known for: adb, ssh, frida, telnet, vnc"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// AndroidProcess is a process as ps showed it.
type AndroidProcess struct {
	PID     int    `expr:"pid" json:"pid" doc:"process id"`
	PPID    int    `expr:"ppid" json:"ppid" doc:"parent's id"`
	UID     int    `expr:"uid" json:"uid" doc:"user id; -1 when the name says none"`
	User    string `expr:"user" json:"user" doc:"user as printed: root, system, u0_a123"`
	Name    string `expr:"name" json:"name" doc:"name as printed"`
	Args    string `expr:"args" json:"args,omitempty" doc:"command line where it was printed, without secrets"`
	Exe     string `expr:"exe" json:"exe,omitempty" doc:"program's file where it was told"`
	Label   string `expr:"label" json:"label,omitempty" doc:"SELinux label where it was printed"`
	Domain  string `expr:"domain" json:"domain,omitempty" doc:"domain of the label: untrusted_app, su, magisk, shell"`
	Kernel  bool   `expr:"kernel" json:"kernel,omitempty" doc:"a thread of the kernel"`
	App     bool   `expr:"app" json:"app,omitempty" doc:"runs as an app's user"`
	Package string `expr:"package" json:"package,omitempty" doc:"app whose process it is"`
	Parent  string `expr:"parent" json:"parent,omitempty" doc:"parent's name"`
	Zygote  bool   `expr:"zygote_child" json:"zygote_child,omitempty" doc:"started as apps are, by a zygote"`
	Cut     bool   `expr:"cut" json:"cut,omitempty" doc:"the name may be cut at 15 characters"`
	Shell   bool   `expr:"shell" json:"shell,omitempty" doc:"a shell, su, or a tool run from one"`
	Place   string `expr:"place" json:"place,omitempty" doc:"where its program is: system, data_app, data_local, storage, memory, deleted, other; empty when not told"`
	Tool    string `expr:"tool" json:"tool,omitempty" doc:"frida, scrcpy, screenrecord, magisk, tor, ... by its name"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}
