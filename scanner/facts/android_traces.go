package facts

import "picket/scanner"

// AndroidMount is a file system of the running device.
type AndroidMount struct {
	Target    string   `expr:"target" json:"target" doc:"where it is mounted"`
	Source    string   `expr:"source" json:"source" doc:"device or name"`
	FSType    string   `expr:"fstype" json:"fstype" doc:"type"`
	Options   []string `expr:"options" json:"options,omitempty" doc:"options of the mount"`
	Writable  bool     `expr:"writable" json:"writable,omitempty" doc:"neither the mount nor its file system is read-only"`
	SuperRO   bool     `expr:"super_readonly" json:"super_readonly,omitempty" doc:"the file system itself is read-only"`
	Partition string   `expr:"partition" json:"partition,omitempty" doc:"system partition that it is or is inside of: system, vendor, product, odm, system_ext, apex; empty for others"`
	Covers    bool     `expr:"covers" json:"covers,omitempty" doc:"mounted over a file or folder inside a system partition that is no mount point of Android's own"`
	FromData  bool     `expr:"from_data" json:"from_data,omitempty" doc:"what it shows lies on the data partition: a bind mount from there, or a layer of an overlay"`
	Maker     bool     `expr:"maker" json:"maker,omitempty" doc:"an overlay that makers ship: read-only layers, regional or carrier content"`
	Tool      string   `expr:"tool" json:"tool,omitempty" doc:"magisk, KSU, APatch when the source or path says so"`
	Where     string   `expr:"where" json:"-" doc:"source and line"`
	scanner.Unread
}

// Crash are the crashes of one process, from its tombstones and logs.
type Crash struct {
	Process   string   `expr:"process" json:"process" doc:"process or command"`
	Package   string   `expr:"package" json:"package,omitempty" doc:"app, when it is one"`
	Signal    string   `expr:"signal" json:"signal" doc:"SIGSEGV, SIGABRT, ... of the last"`
	Count     int      `expr:"count" json:"count" doc:"how many there are"`
	Memory    int      `expr:"memory" json:"memory" doc:"how many of them are errors of memory (SIGSEGV, SIGBUS, memory tagging), not an abort"`
	Places    int      `expr:"places" json:"places" doc:"in how many different places of the code or of memory these happened"`
	Exposed   bool     `expr:"exposed" json:"exposed,omitempty" doc:"a process that handles what strangers send: media, web pages, radio, Bluetooth, Wi-Fi, messages"`
	Libraries []string `expr:"libraries" json:"libraries,omitempty" doc:"files at the top of the stacks"`
	Last      string   `expr:"last" json:"last,omitempty" doc:"time of the last, RFC 3339"`
	Days      int      `expr:"days" json:"days" doc:"days from the last to when the device was seen; -1 unknown"`
	Where     string   `expr:"where" json:"-" doc:"source"`
}

// ADBKey is a computer that may use adb without asking.
type ADBKey struct {
	Fingerprint string `expr:"fingerprint" json:"fingerprint" doc:"as Android shows it: MD5 of the key, hex with colons"`
	Host        string `expr:"host" json:"host,omitempty" doc:"user and computer that made the key, as it says"`
	LastDays    int    `expr:"last_days" json:"last_days" doc:"days since it last connected; -1 not told"`
	Wireless    bool   `expr:"wireless" json:"wireless,omitempty" doc:"paired over Wi-Fi"`
	Acquisition bool   `expr:"acquisition" json:"acquisition,omitempty" doc:"may be the computer that read the device: connected within a day of it"`
	Keys        int    `expr:"keys" json:"keys" doc:"how many computers are trusted in all"`
	Where       string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// BootScript is something that root tools run as the device starts, or a changed init file.
type BootScript struct {
	Path  string `expr:"path" json:"path" doc:"file or folder"`
	Kind  string `expr:"kind" json:"kind" doc:"service.d, post-fs-data.d, module, init_d, install-recovery, init_rc"`
	Name  string `expr:"name" json:"name,omitempty" doc:"name of a module"`
	Off   bool   `expr:"off" json:"off,omitempty" doc:"switched off or about to be removed"`
	Where string `expr:"where" json:"-" doc:"file"`
	scanner.Unread
}

// DroppedFile is a program or an app package that lies where programs do not belong.
type DroppedFile struct {
	Path       string `expr:"path" json:"path" doc:"file"`
	Type       string `expr:"type" json:"type" doc:"elf, so, dex, apk, jar, script, pe (a program of Windows), office (a document with macros); by its first bytes"`
	Disguised  bool   `expr:"disguised" json:"disguised,omitempty" doc:"its name says that it is something else"`
	Place      string `expr:"place" json:"place" doc:"tmp (/data/local/tmp), storage (what apps and people share), data (an app's own), dev, other"`
	Executable bool   `expr:"executable" json:"executable,omitempty" doc:"may be run"`
	Tool       string `expr:"tool" json:"tool,omitempty" doc:"what a file of that name is known as: frida, scrcpy, magisk, exploit, busybox, su, debugger, sniffer, tunnel, automation, acquisition (this or another tool that reads devices)"`
	Package    string `expr:"package" json:"package,omitempty" doc:"package id of an app package"`
	Installed  bool   `expr:"installed" json:"installed,omitempty" doc:"an app of that id and signer is installed"`
	Size       int64  `expr:"size" json:"size" doc:"bytes"`
	SHA256     string `expr:"sha256" json:"sha256,omitempty" doc:"digest where it was read"`
	Where      string `expr:"where" json:"-" doc:"file"`
	scanner.Unread
}

// APKFile is an app package that was there as a file.
type APKFile struct {
	Path       string   `expr:"path" json:"path" doc:"file"`
	Package    string   `expr:"package" json:"package" doc:"package id"`
	Label      string   `expr:"label" json:"label,omitempty" doc:"name that people see"`
	Version    string   `expr:"version_name" json:"version_name,omitempty" doc:"version that people see"`
	Code       int64    `expr:"version_code" json:"version_code" doc:"version that is compared"`
	Signature  string   `expr:"signature" json:"signature" doc:"verified, invalid, unsigned or unsupported"`
	Error      string   `expr:"signature_error" json:"signature_error,omitempty" doc:"why"`
	Schemes    []string `expr:"schemes" json:"schemes,omitempty" doc:"signature schemes that hold: v1, v2, v3, v3.1"`
	Signer     string   `expr:"signer" json:"signer,omitempty" doc:"SHA-256 of the certificate, hex"`
	SignerKind string   `expr:"signer_kind" json:"signer_kind,omitempty" doc:"platform, debug, testkey, leaked or own"`
	Janus      bool     `expr:"janus" json:"janus,omitempty" doc:"signed by v1 alone, and made so that it can be two kinds of file at once"`
	Conflicts  []string `expr:"conflicts" json:"conflicts,omitempty" doc:"where the archive's two descriptions of a file disagree"`
	Where      string   `expr:"where" json:"-" doc:"file"`
	scanner.Unread
}

// SetuidFile is a program of a system partition that gives rights to who runs it.
type SetuidFile struct {
	Path   string `expr:"path" json:"path" doc:"file"`
	Perm   int    `expr:"perm" json:"perm" doc:"permission bits"`
	Caps   string `expr:"caps" json:"caps,omitempty" doc:"file capabilities"`
	Setuid bool   `expr:"setuid" json:"setuid,omitempty" doc:"setuid or setgid bit"`
	Usual  bool   `expr:"usual" json:"usual,omitempty" doc:"Android has it so: run-as, and the like"`
	Where  string `expr:"where" json:"-" doc:"file"`
	scanner.Unread
}

// SecurityEvent is an entry of Android's own security log.
type SecurityEvent struct {
	Tag     int    `expr:"tag" json:"tag" doc:"number of the kind: 210001 is an adb shell"`
	Name    string `expr:"name" json:"name" doc:"kind in words: adb_shell, adb_command, adb_file_read, adb_file_write, media_mount, cert_added, cert_removed, package_installed, package_updated, package_removed, log_stopped, user_restriction, wipe_failed, keyguard_failed, test_key_integrity"`
	Subject string `expr:"subject" json:"subject,omitempty" doc:"package or thing that it concerns; never a command's text or a file's name"`
	Count   int    `expr:"count" json:"count" doc:"how many of the kind and subject there are"`
	Last    string `expr:"last" json:"last,omitempty" doc:"time of the last, RFC 3339"`
	Where   string `expr:"where" json:"-" doc:"source and line"`
}

// WebView is the program that shows web pages inside apps.
type WebView struct {
	Package string `expr:"package" json:"package" doc:"provider in use"`
	Version string `expr:"version" json:"version" doc:"version"`
	Major   int    `expr:"major" json:"major" doc:"first number of it; 0 when it has none"`
	Behind  int    `expr:"behind" json:"behind" doc:"how many major versions were newer when the device was seen, at four weeks each; 0 when current"`
	Where   string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// IndicatorHit is something on the device that a list of known-bad things names.
type IndicatorHit struct {
	AppTraits
	Kind      string `expr:"kind" json:"kind" doc:"package, certificate, file-hash, domain, url, ip, process, file-name, file-path, property, email"`
	Value     string `expr:"value" json:"value" doc:"what matched"`
	Name      string `expr:"name" json:"name,omitempty" doc:"name of the malware or tool, as the list has it"`
	Class     string `expr:"class" json:"class" doc:"spyware, stalkerware or watchware"`
	List      string `expr:"list" json:"list" doc:"list that names it, with its date and licence"`
	Weak      bool   `expr:"weak" json:"weak,omitempty" doc:"the match is of a cut name or such, and may be chance"`
	Subject   string `expr:"subject" json:"subject" doc:"what it concerns: the app's package id, or the thing itself"`
	Installed bool   `expr:"installed" json:"installed,omitempty" doc:"an app that is on the device, not one that was"`
	Seen      string `expr:"seen" json:"seen" doc:"where on the device: app, history, process, file, network, message, setting"`
	Where     string `expr:"where" json:"-" doc:"source"`
}
