package parse

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

func newPackageCert(der []byte) PackageCert {
	long, short := sha256.Sum256(der), sha1.Sum(der) // SHA-1 only because indicators name certificates by it
	subject, _, _ := Certificate{DER: der}.Describe()
	return PackageCert{SHA256: hex.EncodeToString(long[:]), SHA1: hex.EncodeToString(short[:]), Subject: subject}
}

// PackageListEntry is one line of /data/system/packages.list.
type PackageListEntry struct {
	Name       string
	UID        int
	Debuggable bool
	DataPath   string
	SEInfo     string
	GIDs       []int
	Profileable,
	ShellProfileable bool // Android 10, 12 on
	Version int64  // 0 before Android 10
	Source  string // @system, @product, @null or the installer; "" before Android 12
	Line    int    // 1-based
}

// PackagesList reads packages.list: a package per line in ten fields, of which old releases
// write the first six or fewer (com.android.server.pm.Settings). Lines that are none are told
// in bad.
func PackagesList(b []byte) (out []PackageListEntry, bad *Complaints) {
	bad = &Complaints{}
	eachLine(b, func(text []byte, n int) bool {
		f := bytes.Fields(text)
		if len(f) == 0 {
			return true
		}
		if len(out) >= maxXMLItems {
			bad.Add(n, "more than 200000 packages")
			return false
		}
		var uid int64
		ok := len(f) >= 4
		if ok {
			uid, ok = Decimal(f[1])
		}
		if !ok || uid > 1<<31-1 {
			bad.Add(n, "not NAME UID DEBUGGABLE PATH ...")
			return true
		}
		field := func(i int) string {
			if i < len(f) {
				return strings.ToValidUTF8(string(f[i]), "\uFFFD")
			}
			return ""
		}
		e := PackageListEntry{Name: field(0), UID: int(uid), Debuggable: field(2) == "1", DataPath: field(3), SEInfo: field(4),
			ShellProfileable: field(6) == "1", Profileable: field(8) == "1", Source: field(9), Line: n}
		for g := range strings.SplitSeq(field(5), ",") {
			if id, ok := Decimal([]byte(g)); ok && id < 1<<31 && len(e.GIDs) < 1000 {
				e.GIDs = append(e.GIDs, int(id))
			}
		}
		if len(f) > 7 {
			e.Version, _ = Decimal(f[7])
		}
		out = append(out, e)
		return true
	})
	return out, bad
}

// UserPackage is what one user has set, or had set, for one package.
type UserPackage struct {
	Name         string
	Installed    bool
	Stopped      bool // never started, or stopped by force
	NeverStarted bool
	Hidden       bool // by an administrator
	Suspended    bool
	SuspendedBy  []string
	Enabled      int    // PackageManager.COMPONENT_ENABLED_STATE_*: 0 default, 1 enabled, 2 disabled, 3 by the user, 4 until used
	EnabledBy    string // that changed it
	Reason       int    // PackageManager.INSTALL_REASON_*: 1 policy, 2 device restore, 3 device setup, 4 user; 0 unknown
	FirstInstall int64  // milliseconds since 1970; 0 unknown (before Android 13)
	Instant      bool
	Harmful      string   // warning that a verifier attached (Android 9 on)
	Disabled     []string // components
	EnabledParts []string // components
	NoUninstall  bool     // an administrator blocks it (Android 5 to 6)
}

// UserPackages is /data/system/users/N/package-restrictions.xml.
type UserPackages struct {
	Packages    []UserPackage
	NoUninstall []string // packages that an administrator keeps from being removed (Android 7 on)
	Browser     string   // default one, as this file has it until Android 9
	Dialer      string
}

// PackageRestrictionsXML reads package-restrictions.xml. Packages it does not list are as they
// were installed.
func PackageRestrictionsXML(b []byte) (UserPackages, error) {
	x := newXMLReader(b)
	var out UserPackages
	if x.root("package-restrictions", "stopped-packages") {
		for name := range x.children() {
			switch name {
			case "pkg":
				out.Packages = keepXML(x, out.Packages, userPackage(x))
			case "block-uninstall-packages":
				for range x.children() {
					out.NoUninstall = keepXML(x, out.NoUninstall, x.attr("packageName"))
				}
			case "default-apps":
				for app := range x.children() {
					switch app {
					case "default-browser":
						out.Browser = x.attr("packageName")
					case "default-dialer":
						out.Dialer = x.attr("packageName")
					}
				}
			}
		}
	}
	return out, x.end()
}

func userPackage(x *xmlReader) UserPackage {
	p := UserPackage{Name: x.attr("name"), Installed: x.bool("inst", true), Stopped: x.bool("stopped", false),
		NeverStarted: x.bool("nl", false), Suspended: x.bool("suspended", false), Enabled: int(x.int("enabled", 0)),
		EnabledBy: x.attr("enabledCaller"), Reason: int(x.int("install-reason", 0)), FirstInstall: x.hex("first-install-time", 0),
		Instant: x.bool("instant-app", false), Harmful: x.attr("harmful-app-warning"), NoUninstall: x.bool("blockUninstall", false)}
	p.Hidden = x.bool("hidden", x.bool("blocked", false)) // the older name
	if by := x.attr("suspending-package"); by != "" {
		p.SuspendedBy = keepXML(x, p.SuspendedBy, by)
	}
	for name := range x.children() {
		switch name {
		case "disabled-components":
			p.Disabled = xmlNames(x)
		case "enabled-components":
			p.EnabledParts = xmlNames(x)
		case "suspend-params": // Android 11 on: one for each that suspends it
			p.SuspendedBy = keepXML(x, p.SuspendedBy, x.attr("suspending-package"))
		}
	}
	return p
}

func xmlNames(x *xmlReader) (out []string) {
	for range x.children() {
		out = keepXML(x, out, x.attr("name"))
	}
	return out
}
