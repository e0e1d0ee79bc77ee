package parse

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// PackageDatabase is what the package manager remembers: /data/system/packages.xml.
type PackageDatabase struct {
	Versions    []PackageDatabaseVersion
	Packages    []PackageSetting
	Replaced    []PackageSetting // the system's own copies of apps that an update took the place of
	SharedUsers []SharedUserSetting
	Permissions []PackagePermission
	Renamed     []RenamedPackage
	KeySets     []PackageKeySet
	Links       []LinkDomain
	Certs       int // different certificates in the file
}

// PackageDatabaseVersion says which system wrote the file, for one storage volume.
type PackageDatabaseVersion struct {
	Volume      string // "" internal, primary_physical, or a UUID
	SDK         int
	Fingerprint string // of the build, or of its partitions; as the file has it
	Build       string // build fingerprint; from Android 13
}

// PackageSetting is one package. Which of its attributes exist grew with the releases: what a
// file does not have is zero, or what the field says.
type PackageSetting struct {
	Name      string
	CodePath  string
	UID       int  // the app's part of the uid, without a user; -1 when missing
	Shared    bool // UID is that of a shared user
	Version   int64
	TargetSDK int // 0 before Android 14

	Flags        uint32 // ApplicationInfo.FLAG_*
	PrivateFlags uint32 // ApplicationInfo.PRIVATE_FLAG_*, whose numbers differ between releases
	FlagsKnown   bool   // false when neither flags nor the older "system" are there

	FileTime     int64 // of the code, milliseconds since 1970; 0 unknown
	FirstInstall int64 // as FileTime; kept per user from Android 13
	LastUpdate   int64 // as FileTime

	Installer            string // of record
	Initiator            string // that asked for the installation (Android 11 on)
	Originator           string // that the initiator named (Android 11 on)
	UpdateOwner          string // Android 14 on
	InstallerUID         int    // -1 unknown
	InitiatorUninstalled bool
	Orphaned             bool // the installer is gone
	Source               int  // PackageInstaller.PACKAGE_SOURCE_*: 1 other, 2 store, 3 local file, 4 downloaded file; 0 unspecified
	Volume               string
	ABI                  string
	Debuggable           bool // FLAG_DEBUGGABLE
	Archived             bool // only its icon is left on the device (Android 15 on)

	Scheme        int // of the signature: 1 JAR, 2, 3, 4; 0 unknown
	Signers       []PackageCert
	PastSigners   []PackageCert // oldest first, the current one at the end
	InitiatorCert []PackageCert
	Grants        []GrantEntry // before Android 12 install-time ones; runtime ones are elsewhere from Android 6
	KeySet        int64        // of PackageDatabase.KeySets; 0 none
	UpgradeKeys   []int64      // key sets that may sign updates
	LinkStatus    int          // INTENT_FILTER_DOMAIN_VERIFICATION_STATUS_* of old releases; 0 none
}

// System tells whether the package came with the system. FlagsKnown says whether it can tell.
func (p *PackageSetting) System() bool { return p.Flags&1 != 0 }

// SharedUserSetting is a uid that several packages share.
type SharedUserSetting struct {
	Name    string
	UID     int
	Signers []PackageCert
	Grants  []GrantEntry
}

// PackageCert is a signing certificate.
type PackageCert struct {
	SHA256       string // of the DER form, lower-case hex; "" when the file refers to one it does not have
	SHA1         string
	Subject      string // common name, or the whole name without one; "" when it cannot be read
	Capabilities int    // of past signers: bits that a rotated certificate keeps; 0 otherwise
}

// GrantEntry is a permission that a package or shared user has or was refused.
type GrantEntry struct {
	Name    string
	Granted bool
	Flags   uint32 // PackageManager.FLAG_PERMISSION_*
}

// PackagePermission is a permission and who declares it.
type PackagePermission struct {
	Name       string
	Package    string
	Protection int64 // PermissionInfo.PROTECTION_*
	Dynamic    bool
}

// RenamedPackage is a system package that goes on under its old name.
type RenamedPackage struct{ New, Old string }

// PackageKeySet is a set of public keys, named by the digests of their encoded form.
type PackageKeySet struct {
	ID     int64
	SHA256 []string
}

// LinkDomain says whether a package may open the links of a domain.
type LinkDomain struct {
	Package string
	Domain  string
	State   int // DomainVerificationState.STATE_* (1 verified); -1 in files that keep it per package
}

// PackagesXML reads packages.xml of Android 4 to 16, text or ABX (com.android.server.pm.
// Settings). An error may come with what was read before it.
func PackagesXML(b []byte) (PackageDatabase, error) {
	r := packagesReader{xmlReader: newXMLReader(b), certs: map[int64]PackageCert{}}
	if r.root("packages") {
		for name := range r.children() {
			r.element(name)
		}
	}
	r.db.Certs = len(r.certs)
	return r.db, r.end()
}

type packagesReader struct {
	*xmlReader
	db    PackageDatabase
	certs map[int64]PackageCert // by the number that the whole file shares
	keys  map[int64]string      // digests by the key's number
}

func (r *packagesReader) element(name string) {
	switch name {
	case "package":
		r.db.Packages = keepXML(r.xmlReader, r.db.Packages, r.pkg())
	case "updated-package":
		r.db.Replaced = keepXML(r.xmlReader, r.db.Replaced, r.pkg())
	case "shared-user":
		r.db.SharedUsers = keepXML(r.xmlReader, r.db.SharedUsers, r.sharedUser())
	case "version":
		r.db.Versions = keepXML(r.xmlReader, r.db.Versions, PackageDatabaseVersion{Volume: r.attr("volumeUuid"),
			SDK: int(r.int("sdkVersion", 0)), Fingerprint: r.attr("fingerprint"), Build: r.attr("buildFingerprint")})
	case "last-platform-version": // before Android 6
		v := PackageDatabaseVersion{SDK: int(r.int("internal", 0)), Fingerprint: r.attr("fingerprint")}
		r.db.Versions = keepXML(r.xmlReader, r.db.Versions, v)
		v.Volume, v.SDK = "primary_physical", int(r.int("external", 0))
		r.db.Versions = keepXML(r.xmlReader, r.db.Versions, v)
	case "permissions":
		for range r.children() {
			r.db.Permissions = keepXML(r.xmlReader, r.db.Permissions, PackagePermission{Name: r.attr("name"), Package: r.attr("package"),
				Protection: r.int("protection", 0), Dynamic: r.attr("type") == "dynamic"})
		}
	case "renamed-package":
		r.db.Renamed = keepXML(r.xmlReader, r.db.Renamed, RenamedPackage{r.attr("new"), r.attr("old")})
	case "keyset-settings":
		r.keySets()
	case "domain-verifications", "domain-verifications-legacy":
		r.domains()
	}
}

// maxStoredPackages bounds the packages of one file, which weigh more than other entries.
const maxStoredPackages = 20000

func (r *packagesReader) pkg() PackageSetting {
	if len(r.db.Packages)+len(r.db.Replaced) >= maxStoredPackages {
		r.fail(r.at, "more than 20000 packages")
		return PackageSetting{}
	}
	p := PackageSetting{
		Name: r.attr("name"), CodePath: r.attr("codePath"), Version: r.int("version", 0), TargetSDK: int(r.int("targetSdkVersion", 0)),
		FileTime: r.hex("ft", 0), FirstInstall: r.hex("it", 0), LastUpdate: r.hex("ut", 0),
		Installer: r.attr("installer"), Initiator: r.attr("installInitiator"), Originator: r.attr("installOriginator"),
		UpdateOwner: r.attr("updateOwner"), InstallerUID: r.uid("installerUid"),
		InitiatorUninstalled: r.bool("installInitiatorUninstalled", false), Orphaned: r.bool("isOrphaned", false),
		Source: int(r.int("packageSource", 0)), Volume: r.attr("volumeUuid"), ABI: r.attr("primaryCpuAbi"), UID: r.uid("userId"),
	}
	if p.Name == "" {
		r.complain(r.at, "package without a name")
	}
	if p.ABI == "" {
		p.ABI = r.attr("requiredCpuAbi") // Android 5 and older
	}
	if p.FileTime == 0 {
		p.FileTime = r.int("ts", 0)
	}
	if r.has("sharedUserId") {
		p.UID, p.Shared = r.uid("sharedUserId"), true
	}
	r.flags(&p)
	for name := range r.children() {
		switch name {
		case "sigs":
			p.Scheme = int(r.int("schemeVersion", 0))
			p.Signers, p.PastSigners = r.signers()
		case "install-initiator-sigs":
			p.InitiatorCert, _ = r.signers()
		case "perms":
			p.Grants = r.grants("item")
		case "proper-signing-keyset":
			p.KeySet = r.int("identifier", 0)
		case "upgrade-keyset":
			p.UpgradeKeys = keepXML(r.xmlReader, p.UpgradeKeys, r.int("identifier", 0))
		case "archive-state":
			p.Archived = true
		case "domain-verification":
			p.LinkStatus = int(r.int("status", 0))
			r.legacyDomains(p.Name)
		}
	}
	return p
}

// flags reads the flags in the three ways that files have had them.
func (r *packagesReader) flags(p *PackageSetting) {
	p.FlagsKnown = true
	switch {
	case r.has("publicFlags"):
		p.Flags, p.PrivateFlags = uint32(r.int("publicFlags", 0)), uint32(r.int("privateFlags", 0))
	case r.has("flags"): // Android 5 and older: the private ones are among its high bits
		old := uint32(r.int("flags", 0))
		p.Flags = old &^ (1<<27 | 1<<28 | 1<<30)
		p.PrivateFlags = old>>27&1 | old>>28&1<<1 | old>>30&1<<3
	case r.has("system"): // Android 2
		if r.bool("system", false) {
			p.Flags = 1
		}
	default:
		p.FlagsKnown = false
	}
	p.Debuggable = p.Flags&2 != 0
}

func (r *packagesReader) sharedUser() SharedUserSetting {
	u := SharedUserSetting{Name: r.attr("name"), UID: r.uid("userId")}
	for name := range r.children() {
		switch name {
		case "sigs":
			u.Signers, _ = r.signers()
		case "perms":
			u.Grants = r.grants("item")
		}
	}
	return u
}

// signers reads the certificates of <sigs>, and the earlier ones in it.
func (r *packagesReader) signers() (now, past []PackageCert) {
	for name := range r.children() {
		switch name {
		case "cert":
			now = keepXML(r.xmlReader, now, r.cert())
		case "pastSigs":
			for range r.children() {
				past = keepXML(r.xmlReader, past, r.cert())
			}
		}
	}
	return now, past
}

// cert reads a certificate: its bytes where the file has it for the first time, and its number
// alone wherever it comes again.
func (r *packagesReader) cert() PackageCert {
	index, at := r.int("index", -1), r.at
	c, known := r.certs[index]
	if r.has("key") {
		der := r.bytes("key")
		if len(der) == 0 {
			r.complain(at, "certificate without bytes")
			return PackageCert{}
		}
		c = newPackageCert(der)
		r.certs[index] = c
	} else if !known {
		r.complain(at, "reference to a certificate that the file does not have")
	}
	c.Capabilities = int(r.int("flags", 0))
	return c
}

// grants reads <item> or <permission> elements.
func (x *xmlReader) grants(tag string) (out []GrantEntry) {
	for name := range x.children() {
		if name == tag {
			out = keepXML(x, out, x.grant())
		}
	}
	return out
}

func (x *xmlReader) grant() GrantEntry {
	return GrantEntry{Name: x.attr("name"), Granted: x.bool("granted", true), Flags: uint32(x.hex("flags", 0))}
}

// keySets reads the public keys, and the sets made of them.
func (r *packagesReader) keySets() {
	r.keys = map[int64]string{}
	for name := range r.children() {
		switch name {
		case "keys":
			for range r.children() {
				id, at := r.int("identifier", -1), r.at
				der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(r.attr("value")), ""))
				if err != nil || len(der) == 0 {
					r.complain(at, "public key is not base64")
					continue
				}
				if r.work += len(der); r.work > maxAndroidXML {
					r.fail(at, "attributes decode to more than 32 MiB")
					return
				}
				sum := sha256.Sum256(der)
				r.keys[id] = hex.EncodeToString(sum[:])
			}
		case "keysets":
			for range r.children() {
				set := PackageKeySet{ID: r.int("identifier", -1)}
				for range r.children() {
					set.SHA256 = keepXML(r.xmlReader, set.SHA256, r.keys[r.int("identifier", -1)])
				}
				r.db.KeySets = keepXML(r.xmlReader, r.db.KeySets, set)
			}
		}
	}
}

// domains reads the states of link domains: those of Android 12 on, and the older ones that
// it keeps for packages to come.
func (r *packagesReader) domains() {
	for name := range r.children() {
		switch name {
		case "active", "restored":
			for range r.children() {
				r.packageDomains(name == "active")
			}
		case "domain-verification":
			r.legacyDomains(r.attr("packageName"))
		}
	}
}

// packageDomains reads one <package-state>; what was restored for a package that is not
// installed does not count.
func (r *packagesReader) packageDomains(active bool) {
	pkg := r.attr("packageName")
	for name := range r.children() {
		if name != "state" || !active {
			continue
		}
		for range r.children() {
			r.db.Links = keepXML(r.xmlReader, r.db.Links, LinkDomain{Package: pkg, Domain: r.attr("name"), State: int(r.int("state", 0))})
		}
	}
}

func (r *packagesReader) legacyDomains(pkg string) {
	for name := range r.children() {
		if name == "domain" {
			r.db.Links = keepXML(r.xmlReader, r.db.Links, LinkDomain{Package: pkg, Domain: r.attr("name"), State: -1})
		}
	}
}
