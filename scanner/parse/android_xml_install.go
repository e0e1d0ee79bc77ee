package parse

// SessionEntry is an installation that was begun, and perhaps finished, by an installer.
type SessionEntry struct {
	ID          int
	User        int
	Installer   string // of record
	Initiator   string // that asked (Android 11 on)
	Originator  string // that the initiator named (Android 11 on)
	UpdateOwner string // Android 14 on
	UID         int    // of the installer; -1 unknown
	Package     string // being installed, where the installer said so
	Origin      string // address it came from, without user, password and query
	Referrer    string // as Origin
	Created     int64  // milliseconds since 1970; 0 unknown
	Updated     int64  // as Created
	CommittedAt int64  // as Created
	Committed   bool
	Sealed      bool
	Staged      bool  // waits for a restart
	Failed      bool  // staged, and did not go well
	Flags       int64 // PackageManager.INSTALL_*
	Reason      int   // PackageManager.INSTALL_REASON_*: 4 the user
	Source      int   // PackageInstaller.PACKAGE_SOURCE_*: 2 store, 3 local file, 4 downloaded file; 0 unspecified
	Parent      int   // session that this is a part of; -1 none
	Dir         string
	Granted     []string // permissions that the installer granted along the way
}

// InstallSessionsXML reads /data/system/install_sessions.xml of Android 5 to 16
// (PackageInstallerSession).
func InstallSessionsXML(b []byte) ([]SessionEntry, error) {
	x := newXMLReader(b)
	var out []SessionEntry
	if x.root("sessions") {
		for name := range x.children() {
			if name == "session" {
				out = keepXML(x, out, sessionEntry(x))
			}
		}
	}
	return out, x.end()
}

func sessionEntry(x *xmlReader) SessionEntry {
	s := SessionEntry{
		ID: x.uid("sessionId"), User: x.uid("userId"), UID: x.uid("installerUid"), Parent: x.uid("parentSessionId"),
		Installer: x.attr("installerPackageName"), Initiator: x.attr("installInitiatingPackageName"),
		Originator:  x.attr("installOriginatingPackageName"),
		UpdateOwner: x.attr("updateOwnererPackageName"), // spelt so by Android
		Package:     x.attr("appPackageName"), Origin: bareURL(x.attr("originatingUri")), Referrer: bareURL(x.attr("referrerUri")),
		Created: x.int("createdMillis", 0), Updated: x.int("updatedMillis", 0), CommittedAt: x.int("committedMillis", 0),
		Committed: x.bool("committed", false), Sealed: x.bool("sealed", false), Staged: x.bool("stagedSession", false),
		Failed: x.bool("isFailed", false), Flags: x.int("installFlags", 0), Source: int(x.int("packageSource", 0)),
		Reason: int(x.int("installRason", 0)), // spelt so by Android
		Dir:    x.attr("sessionStageDir"),
	}
	for name := range x.children() {
		if name == "granted-runtime-permission" || name == "grant-permission" {
			s.Granted = keepXML(x, s.Granted, x.attr("name"))
		}
	}
	return s
}

// CompatFileEntry switches a change of the platform's behaviour on or off for one package.
type CompatFileEntry struct {
	Change   int64
	Package  string
	Enabled  bool
	Kind     string // validated: in force; deferred: the package is not there yet; raw: as it was asked for
	From, To int64  // version codes of the package that a raw one is for
}

// CompatXML reads /data/misc/appcompat/compat_framework_overrides.xml (Android 12 on).
func CompatXML(b []byte) ([]CompatFileEntry, error) {
	x := newXMLReader(b)
	var out []CompatFileEntry
	if x.root("overrides") {
		for range x.children() {
			change := x.int("changeId", 0)
			for kind := range x.children() {
				for range x.children() {
					out = keepXML(x, out, CompatFileEntry{Change: change, Package: x.attr("packageName"), Enabled: x.bool("enabled", false),
						Kind: kind, From: x.int("minVersionCode", 0), To: x.int("maxVersionCode", 0)})
				}
			}
		}
	}
	return out, x.end()
}
