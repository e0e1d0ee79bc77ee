package parse

import "bytes"

// DumpedPackage is an entry of "Packages:" or "Hidden system packages:". Times are as printed,
// 2006-01-02 15:04:05 in the device's time zone. "null" is given as the empty string; Says tells
// it from what this Android does not print.
type DumpedPackage struct {
	Name     string
	RealName string // the name in the manifest where the package goes by an older one
	PermissionHolder
	SharedUser  string
	Code        bool // false: the package is gone for every user and only its data is kept
	CodePath    string
	DataDir     string // before Android 14, where it is said for each user
	NativeDir   string
	ABI         string // primaryCpuAbi
	VersionCode int64
	VersionName string
	MinSDK      int // 0 not said, as before Android 7
	TargetSDK   int
	Splits      []string // base and the names of the split APKs
	// AppFlags and AppPrivateFlags are of the application, the others of the package's settings.
	// DEBUGGABLE, SYSTEM, UPDATED_SYSTEM_APP, PRIVILEGED and the like.
	AppFlags, AppPrivateFlags, PkgFlags, PkgPrivateFlags FlagSet
	ForceQueryable                                       bool

	Modified, FirstInstall, LastUpdate string // FirstInstall: before Android 13, then for each user

	Installer, Initiating, Originating string
	UpdateOwner, AttributionTag        string
	InstallerUID                       int // -1 none or not said
	PackageSource                      int // PackageInstaller.PACKAGE_SOURCE_: 1 other, 2 store, 3 local file, 4 downloaded file; -1 not said

	SigningVersion int // APK signature scheme; 0 not said
	// Signers and PastSigners are hashes of certificates (Java's Arrays.hashCode, in hex): equal
	// ones are very likely one certificate, within a dump and between dumps. None before Android
	// 9, which printed addresses.
	Signers, PastSigners []string

	Declared  []DumpedPermission // Package is left empty
	Requested []string           // empty before Android 6, and where the service dumped all packages (see Says)
	Overlay   string             // the package that this one overlays
	Apex      string             // the module it came with

	// Conflicts names what stood more than once, which the service prints once: most likely the
	// package imitates lines. The first is kept of what the service prints before the version's
	// name, the last of the rest.
	Conflicts []string

	said uint64
}

// Says tells whether the dump had a line of that key for the package: "initiatingPackageName",
// "requested permissions".
func (p *DumpedPackage) Says(key string) bool {
	k, ok := packageKeys[key]
	return ok && p.said&(1<<k) != 0
}

// packageKey is a line of a package, in the order of Android's code.
type packageKey uint8

const (
	keyCompatName packageKey = iota
	keyAppID
	keySharedUser
	keyPkg
	keyCodePath
	keyNativeDir
	keyABI
	keyVersionCode
	keyVersionName // from here on text of the app stands before
	keyTargetSDK
	keySplits
	keySigningVersion
	keyFlags
	keyPrivateFlags
	keyForceQueryable
	keyDataDir
	keyTimeStamp
	keyFirstInstall
	keyLastUpdate
	keyInstaller
	keyInstallerUID
	keyInitiating
	keyOriginating
	keyUpdateOwner
	keyAttribution
	keySource
	keySignatures
	keyPkgFlags
	keyPrivatePkgFlags
	keyApex
	keyOverlay
	keyDeclared
	keyRequested
	keyInstall
)

var packageKeys = map[string]packageKey{
	"compat name": keyCompatName, "userId": keyAppID, "appId": keyAppID, "sharedUser": keySharedUser, "pkg": keyPkg, "codePath": keyCodePath,
	"nativeLibraryPath": keyNativeDir, "legacyNativeLibraryDir": keyNativeDir, "primaryCpuAbi": keyABI, "versionCode": keyVersionCode,
	"versionName": keyVersionName, "targetSdk": keyTargetSDK, "splits": keySplits, "apkSigningVersion": keySigningVersion, "flags": keyFlags,
	"privateFlags": keyPrivateFlags, "forceQueryable": keyForceQueryable, "dataDir": keyDataDir, "timeStamp": keyTimeStamp,
	"firstInstallTime": keyFirstInstall, "lastUpdateTime": keyLastUpdate, "installerPackageName": keyInstaller,
	"installerPackageUid": keyInstallerUID, "initiatingPackageName": keyInitiating, "originatingPackageName": keyOriginating,
	"updateOwnerPackageName": keyUpdateOwner, "installerAttributionTag": keyAttribution, "packageSource": keySource,
	"signatures": keySignatures, "pkgFlags": keyPkgFlags, "privatePkgFlags": keyPrivatePkgFlags, "apexModuleName": keyApex,
	"overlayTarget": keyOverlay, "declared permissions": keyDeclared, "requested permissions": keyRequested,
	"install permissions": keyInstall, "grantedPermissions": keyInstall,
}

// packages reads the entries of a section into list.
func (p *packageDumper) packages(list *[]DumpedPackage) func([]byte, int) {
	seen := map[string]bool{}
	var pkg *DumpedPackage
	h := holderReader{p: p}
	return func(text []byte, indent int) {
		if indent == 2 {
			pkg, h.to = nil, nil
			name, ok := bracketed(bytes.TrimRight(text, " "), "Package [")
			switch {
			case !ok:
				return
			case len(*list) >= maxDumpPackages:
				p.c.Add(p.line, "too many packages")
				return
			case seen[string(name)]:
				p.c.Add(p.line, "a package stands twice")
			}
			*list = append(*list, DumpedPackage{Name: p.names.intern(name), Code: true, InstallerUID: -1, PackageSource: -1})
			pkg = &(*list)[len(*list)-1]
			pkg.AppID = -1
			seen[pkg.Name] = true
			h.start(&pkg.PermissionHolder, pkg)
			return
		}
		if pkg == nil || h.line(text, indent) {
			return
		}
		if key, value, ok := bytes.Cut(text, []byte{'='}); ok && indent == 4 {
			if k, ok := packageKeys[string(key)]; ok && pkg.takes(k, key) {
				p.field(pkg, k, value)
			}
		}
	}
}

// takes notes that the package has a line of that key, and says whether its value counts.
func (p *DumpedPackage) takes(k packageKey, key []byte) bool {
	if k == keySplits || k == keyFlags {
		p.forget()
	}
	const lists = 1<<keyDeclared | 1<<keyRequested | 1<<keyInstall
	if k >= keyTimeStamp && k < keyDeclared && p.said&lists != 0 && p.said&(1<<keySplits) != 0 { // since Android 5 lists are last
		p.conflict("lines out of order")
	}
	again := p.said&(1<<k) != 0
	p.said |= 1 << k
	if again {
		p.conflict(string(key))
	}
	return !again || k >= keyVersionName
}

// forget drops what the service prints behind the line that has come now. It stood before it, so it
// is of the version's name, which may hold line ends.
func (p *DumpedPackage) forget() {
	const behind = 1<<(keyInstall+1) - 1<<keyTimeStamp
	if p.said&behind == 0 && len(p.Users) == 0 && len(p.Install) == 0 {
		return
	}
	p.conflict("lines out of order")
	p.said &^= behind
	p.Users, p.Install, p.Declared, p.Requested = nil, nil, nil, nil
	p.Modified, p.FirstInstall, p.LastUpdate = "", "", ""
	p.Installer, p.Initiating, p.Originating, p.UpdateOwner, p.AttributionTag = "", "", "", "", ""
	p.InstallerUID, p.PackageSource = -1, -1
	p.Signers, p.PastSigners, p.PkgFlags, p.PkgPrivateFlags = nil, nil, "", ""
	p.Apex, p.Overlay = "", ""
}

func (p *DumpedPackage) conflict(what string) {
	if len(p.Conflicts) < 16 {
		p.Conflicts = append(p.Conflicts, what)
	}
}

// field sets what a "key=value" line says. Some lines hold further pairs behind the first.
func (p *packageDumper) field(pkg *DumpedPackage, k packageKey, value []byte) {
	first, rest := word(value)
	set := func(to *string, v []byte) {
		if *to = ""; string(v) != "null" {
			*to = p.names.intern(v)
		}
	}
	var ok = true
	switch k {
	case keyCompatName:
		pkg.RealName = pkg.Name
		set(&pkg.Name, value)
	case keyAppID:
		pkg.AppID, ok = smallNumber(first)
		if gids, has := bytes.CutPrefix(rest, []byte(" gids=")); has {
			pkg.GIDs = idList(gids)
		}
	case keySharedUser: // SharedUserSetting{hash name/uid}
		set(&pkg.SharedUser, objectName(value))
	case keyPkg:
		pkg.Code = string(value) != "null"
	case keyCodePath:
		set(&pkg.CodePath, value)
	case keyNativeDir:
		set(&pkg.NativeDir, value)
	case keyABI:
		set(&pkg.ABI, value)
	case keyVersionCode:
		pkg.VersionCode, ok = number(first, 10)
		pkg.MinSDK, _ = smallNumber(pairValue(rest, "minSdk"))
		if target := pairValue(rest, "targetSdk"); len(target) > 0 {
			pkg.TargetSDK, _ = smallNumber(target)
			pkg.said |= 1 << keyTargetSDK
		}
	case keyVersionName:
		set(&pkg.VersionName, value)
	case keyTargetSDK:
		pkg.TargetSDK, ok = smallNumber(first)
	case keySplits:
		pkg.Splits = p.splitNames(value)
	case keySigningVersion:
		pkg.SigningVersion, ok = smallNumber(first)
	case keyFlags:
		pkg.AppFlags = p.flagSet(value)
	case keyPrivateFlags:
		pkg.AppPrivateFlags = p.flagSet(value)
	case keyForceQueryable:
		pkg.ForceQueryable = string(first) == "true"
	case keyDataDir:
		set(&pkg.DataDir, value)
	case keyTimeStamp:
		set(&pkg.Modified, value)
	case keyFirstInstall:
		set(&pkg.FirstInstall, value)
	case keyLastUpdate:
		set(&pkg.LastUpdate, value)
	case keyInstaller:
		set(&pkg.Installer, value)
	case keyInstallerUID:
		pkg.InstallerUID, ok = smallNumber(first)
	case keyInitiating:
		set(&pkg.Initiating, value)
	case keyOriginating:
		set(&pkg.Originating, value)
	case keyUpdateOwner:
		set(&pkg.UpdateOwner, value)
	case keyAttribution:
		set(&pkg.AttributionTag, value)
	case keySource:
		pkg.PackageSource, ok = smallNumber(first)
	case keySignatures:
		p.signatures(pkg, value)
	case keyPkgFlags:
		p.packageFlags(pkg, value)
	case keyPrivatePkgFlags:
		pkg.PkgPrivateFlags = p.flagSet(value)
	case keyApex:
		set(&pkg.Apex, value)
	case keyOverlay:
		set(&pkg.Overlay, value)
	}
	if !ok {
		p.c.Add(p.line, "a number was expected")
	}
}

// splitNames reads "[base, config.en:12]", where numbers are revisions.
func (p *packageDumper) splitNames(value []byte) (out []string) {
	value = bytes.Trim(value, "[] ")
	for len(value) > 0 && len(out) < 1024 && p.room() {
		var one []byte
		one, value, _ = bytes.Cut(value, []byte(", "))
		one, _, _ = bytes.Cut(one, []byte{':'})
		out = append(out, p.names.intern(one))
	}
	return out
}

// signatures reads "PackageSignatures{hash version:3, signatures:[h1, h2], past signatures:[h3
// flags: 17]}"; the form of Android 4 to 8, "PackageSignatures{hash [h1]}", tells nothing.
func (p *packageDumper) signatures(pkg *DumpedPackage, value []byte) {
	_, rest, ok := bytes.Cut(value, []byte(" version:"))
	if !ok {
		return
	}
	version, rest, _ := bytes.Cut(rest, []byte{','})
	pkg.SigningVersion, _ = smallNumber(version)
	list := func(after string) (out []string) {
		_, text, _ := bytes.Cut(rest, []byte(after))
		text, _, _ = bytes.Cut(text, []byte{']'})
		for len(text) > 0 && len(out) < 64 {
			var one []byte
			one, text, _ = bytes.Cut(text, []byte(", "))
			hash, _ := word(one)
			out = append(out, p.names.intern(hash))
		}
		return out
	}
	pkg.Signers, pkg.PastSigners = list(" signatures:["), list("past signatures:[")
}

// packageFlags reads the list; Android 4.0 and 4.1 print a number, and the user on the same line:
// "0x8001 installStatus=1 User 0:  stopped=false enabled=0".
func (p *packageDumper) packageFlags(pkg *DumpedPackage, value []byte) {
	if len(value) > 0 && value[0] == '[' {
		pkg.PkgFlags = p.flagSet(value)
		return
	}
	first, rest := word(value)
	pkg.PkgFlags = p.flagSet(first)
	if at := bytes.Index(rest, []byte("User ")); at >= 0 {
		pkg.Users = appendUser(p, pkg.Users, rest[at:], pkg)
	}
}

// objectName gives the name in "PackageSetting{5b76f9f com.example/10040}", and null as it is.
func objectName(text []byte) []byte {
	_, rest, ok := bytes.Cut(text, []byte{'{'})
	if !ok {
		return text
	}
	_, rest = word(rest)
	rest, _, _ = bytes.Cut(bytes.TrimLeft(rest, " "), []byte{'/'})
	return rest
}

// pairValue gives the value of " key=value" in text.
func pairValue(text []byte, key string) []byte {
	for len(text) > 0 {
		var pair []byte
		pair, text = word(text)
		if k, v, ok := bytes.Cut(pair, []byte{'='}); ok && string(k) == key {
			return v
		}
	}
	return nil
}
