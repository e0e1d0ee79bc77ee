package parse

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// packageIceCream, packageJellyBean, packageNougat and packageVanilla are what the service prints
// on Android 4.0, 4.3, 7 and 15.
const packageIceCream = `Packages:
  Package [com.example.old] (41a0b8c8):
    userId=10050 gids=[3003, 1015]
    sharedUser=null
    pkg=Package{41f0 com.example.old}
    codePath=/data/app/com.example.old-1.apk
    resourcePath=/data/app/com.example.old-1.apk
    nativeLibraryPath=/data/data/com.example.old/lib
    versionCode=7
    applicationInfo=ApplicationInfo{41f1 com.example.old}
    flags=[ HAS_CODE ALLOW_BACKUP ]
    versionName=1.0
    dataDir=/data/data/com.example.old
    targetSdk=14
    timeStamp=2012-01-02 03:04:05
    firstInstallTime=2012-01-02 03:04:06
    lastUpdateTime=2012-01-02 03:04:07
    signatures=PackageSignatures{41a0 [41a1]}
    permissionsFixed=true haveGids=true
    pkgFlags=0x8044 installStatus=1 User 0:  stopped=true enabled=2
    disabledComponents:
      com.example.old.Part
    grantedPermissions:
      android.permission.INTERNET
      android.permission.SEND_SMS
 ` + `
Hidden system packages:
  Package [com.example.sys] (41a0b8c9):
    codePath=/system/app/Sys.apk
`

const packageJellyBean = `Verifiers:
  Required: com.example.verifier (uid=10020)

Libraries:
  android.test.runner -> /system/framework/android.test.runner.jar

Service Resolver Table:
  Non-Data Actions:
      android.accessibilityservice.AccessibilityService:
        423fc3d8 com.example.a11y/.Service filter 427e4ca8

Packages:
  Package [com.example.a11y] (428c8c10):
    userId=10153 gids=[3003]
    sharedUser=null
    pkg=null
    versionCode=4 targetSdk=22
    versionName=null
    packageOnlyForOwnerUser: false
    signatures=PackageSignatures{419a7e60 [41bb3628]}
    permissionsFixed=true haveGids=true installStatus=1
    pkgFlags=[ HAS_CODE DEBUGGABLE ]
    User 0:  installed=true blocked=true stopped=false notLaunched=false enabled=3
      lastDisabledCaller: shell:0
    User 10:  installed=false blocked=false stopped=true notLaunched=true enabled=0
    disabledComponents:
      com.example.a11y.Boot
    grantedPermissions:
      android.permission.READ_SMS

Shared users:
  SharedUser [com.example.shared] (3341dee):
    userId=10002 gids=[3003, 1028]
    grantedPermissions:
      android.permission.WRITE_SETTINGS
mPackagesOnlyForOwnerUser:
  package : com.example.vendor
`

const packageNougat = `Packages:
  Package [com.example.seven] (1d33a7):
    userId=11261
    pkg=Package{6f61054 com.example.seven}
    codePath=/data/app/com.example.seven-Q3jXaNJMy6AIVnd==
    versionCode=1315613700 minSdk=9 targetSdk=22
    versionName=2 beta
    splits=[base]
    signatures=PackageSignatures{1c350f2 [37b7ecb5]}
    installPermissionsFixed=true installStatus=1
    requested permissions:
      android.permission.READ_SMS: restricted=true
      android.permission.INTERNET
    install permissions:
      android.permission.INTERNET: granted=true
    User 0: ceDataInode=409220 installed=true hidden=false suspended=true stopped=false notLaunched=false enabled=0 instant=false
      suspendingPackage=com.example.dpc
      gids=[3003]
      runtime permissions:
        android.permission.READ_SMS: granted=true, flags=[ USER_SET GRANTED_BY_DEFAULT ]
        android.permission.CAMERA: granted=false
    User 10: ceDataInode=0 installed=true hidden=false suspended=false stopped=true notLaunched=true enabled=0 instant=true
      gids=[3003]
      runtime permissions:

Package Changes:
  Sequence number=45
  User 0:
    seq=6, package=com.example.seven
  User 10:
    seq=9, package=com.example.gone
`

const packageVanilla = `DUMP OF SERVICE package:
Database versions:
  Internal:
    sdkVersion=35 databaseVersion=3

Known Packages:
  System:
    android
  Setup Wizard:
    none

Features:
  android.hardware.camera
  android.hardware.nfc version=2

Activity Resolver Table:
  Full MIME Types:
      image/*:
        797c103 com.example.new/.Main filter 3be4880
          Action: "android.intent.action.SEND"
          Category: "android.intent.category.DEFAULT"
          Type: "image/*"
          mPriority=-5, mOrder=0, mHasStaticPartialTypes=false, mHasDynamicPartialTypes=false

  Base MIME Types:
      image:
        797c103 com.example.new/.Main filter 3be4880

  Non-Data Actions:
      android.intent.action.MAIN:
        797c103 com.example.new/.Main filter 3be4881
          Action: "android.intent.action.MAIN"
          Category: "android.intent.category.LAUNCHER"
          AutoVerify=true

Receiver Resolver Table:
  Schemes:
      package:
        51c0eb9 com.example.new/com.other.Watcher (4 filters)

  Non-Data Actions:
      android.provider.Telephony.SMS_RECEIVED:
        51c0eb9 com.example.new/com.other.Sms
        51c0eba com.example.two/.Sms

Preferred Activities User 10:
  Non-Data Actions:
      android.intent.action.MAIN:
        58f3765 com.example.home/.Home
         mMatch=0x100000 mAlways=true
          Selected from:
            com.example.home/.Home
          Action: "android.intent.action.MAIN"
          Category: "android.intent.category.HOME"

Permissions:
  Permission [com.example.new.P] (fefb99b):
    sourcePackage=com.example.new
    uid=10197 gids=[] type=0 prot=signature|privileged
    perm=PermissionInfo{c817138 com.example.new.P}
    flags=0x0

AppOp Permissions:
  AppOp Permission android.permission.SYSTEM_ALERT_WINDOW:
    com.example.new
    com.example.two

Packages:
  Package [com.example.new] (292ed35):
    appId=10197
    sharedUser=SharedUserSetting{203afe7 com.example.shared/10197}
    pkg=Package{6065477 com.example.new}
    codePath=/data/app/~~oZ0lNhDd==/com.example.new-ttBy==
      oldCodePath=/data/app/old
    legacyNativeLibraryDir=/data/app/~~oZ0lNhDd==/com.example.new-ttBy==/lib
    extractNativeLibs=false
    primaryCpuAbi=arm64-v8a
    secondaryCpuAbi=null
    versionCode=4294967297 minSdk=31 targetSdk=35
    minExtensionVersions=[]
    versionName=1.0
    splits=[base, config.en:12]
    apkSigningVersion=3
    flags=[ SYSTEM HAS_CODE UPDATED_SYSTEM_APP ]
    privateFlags=[ PRIVILEGED PRODUCT ]
    forceQueryable=true
    queriesIntents=[Intent { act=android.intent.action.VIEW }]
    usesLibraries:
      installerPackageName=com.android.vending
    timeStamp=2025-05-22 04:17:19
    lastUpdateTime=2025-05-22 04:17:19
    installerPackageName=com.example.store
    installerPackageUid=10248
    initiatingPackageName=com.android.shell
    originatingPackageName=null
    updateOwnerPackageName=com.example.owner
    installerAttributionTag=tag
    packageSource=4
    appMetadataFilePath=null
    signatures=PackageSignatures{fec21ff version:3, signatures:[fa41615], past signatures:[7d3bce25 flags: 17, fa41615 flags: 17]}
    installPermissionsFixed=true
    pkgFlags=[ SYSTEM ]
    privatePkgFlags=[ PRIVILEGED ]
    apexModuleName=com.android.wifi
    overlayTarget=android
    declared permissions:
      com.example.new.P: prot=signature|privileged, INSTALLED
    install permissions:
      android.permission.INTERNET: granted=true
      android.permission.NFC: granted=false, flags=[ REVOKED_COMPAT], userId=10
    User 0: ceDataInode=344151 deDataInode=1 installed=true hidden=false suspended=true distractionFlags=1 stopped=false notLaunched=false enabled=0 instant=false virtual=false quarantined=true
      installReason=4
      dataDir=/data/user/0/com.example.new
      firstInstallTime=2025-05-20 04:17:19
      uninstallReason=0
    Suspend params:
      suspendingPackage=com.example.dpc dialogInfo=null quarantined=false

      overlay paths:
        /product/overlay/X.apk
      lastDisabledCaller: com.example.store
      gids=[3002, 3003]
      runtime permissions:
        android.permission.READ_SMS: granted=true, flags=[ USER_SET|USER_SENSITIVE_WHEN_GRANTED]
        harmfulAppWarning: bad app
      disabledComponents:
        com.example.new.Off
      enabledComponents:
        com.example.new.On

Renamed packages:
  com.example.renamed,com.example.before

Shared users:
  SharedUser [com.example.shared] (31a0427):
    appId=10197
    Packages
      PackageSetting{6a5f com.example.new/10197}
    install permissions:
      android.permission.WAKE_LOCK: granted=true
    User 0: ` + `
      gids=[2001]
      runtime permissions:
        android.permission.CAMERA: granted=true, flags=[ SYSTEM_FIXED|GRANTED_BY_DEFAULT]

Service permissions:
    com.example.new/.Tunnel: android.permission.BIND_VPN_SERVICE

Dexopt state:
  [com.example.new]
    path: /data/app/~~oZ0lNhDd==/com.example.new-ttBy==/base.apk
      arm64: [status=verify] [reason=install]
    known secondary dex files:
      /data/user/0/com.example.new/files/a b.jar (public)
        class loader context: PCL[]
        arm64: [status=run-from-apk] [reason=unknown]
  [com.example.nine]
    path: /data/app/nine.apk
      x86: [status=quicken] [reason=prebuilt]
      known secondary dex files:
        /data/user/0/com.example.nine/x.jar
          class loader context: PCL[/data/app/nine.apk]

Package warning messages:
1/2/25 3:04 PM: Adding duplicate shared id: 1000 name=android

Active install sessions:
  Active Session 24:
    userId=0 mOriginalInstallerUid=10050 mOriginalInstallerPackageName=com.example.store installerPackageName=com.exampl
    e.store installInitiatingPackageName=com.example.file installOriginatingPackageName=com.example.browser mInstallerUi
    d=10050 createdMillis=1719595345907 updatedMillis=1719595364364 stageDir=/data/app/vmdl24.tmp stageCid=null ` + `
    mode=1 installFlags=0x404012 sizeBytes=42928 appPackageName=com.example.fresh appIcon=false appLabel=My mFinalStatus
    =1 App originatingUri=https://example.org/a.apk originatingUid=10085 packageSource=4 mFinalStatus=-103 ` + `
    mFinalMessage=No certificate found ` + `
    params.isMultiPackage=false

Historical install sessions:
  Session 9:
      userId=0 mOriginalInstallerUid=2000 mInstallerPackageName=null mInstallerUid=2000 createdMillis=1565789075266 stag
  eDir=/data/app/vmdl9.tmp stageCid=null ` + `
      mode=1 appPackageName=null appIcon=false appLabel=null originatingUid=-1 mFinalStatus=1 mFinalMessage=null ` + `
  ` + `
APEX session state:

Active APEX packages:

  com.example.module
    Version: 340724004
    Path: /system/apex/com.example.module.apex
    IsActive: true
    IsFactory: false
    ApplicationInfo:
      packageName=com.example.module

Factory APEX packages:

  com.example.module
    Version: 1
`

func dumped(t *testing.T, text string) *PackageDump {
	t.Helper()
	var c Complaints
	d, err := DumpsysPackage([]byte(text), &c)
	if err != nil || len(c.List) > 0 {
		t.Fatalf("%v, %v", err, c.List)
	}
	for i := range d.Packages {
		d.Packages[i].said = 0
	}
	for i := range d.Hidden {
		d.Hidden[i].said = 0
	}
	return d
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestDumpsysPackageOld(t *testing.T) {
	t.Parallel()
	for _, text := range []string{packageIceCream, strings.ReplaceAll(packageIceCream, "\n", "\r\n")} {
		d := dumped(t, text)
		diff(t, "4.0", d.Packages, []DumpedPackage{{Name: "com.example.old", Code: true, CodePath: "/data/app/com.example.old-1.apk", DataDir: "/data/data/com.example.old",
			NativeDir: "/data/data/com.example.old/lib", VersionCode: 7, VersionName: "1.0", TargetSDK: 14, AppFlags: "HAS_CODE|ALLOW_BACKUP", PkgFlags: "0x8044",
			Modified: "2012-01-02 03:04:05", FirstInstall: "2012-01-02 03:04:06", LastUpdate: "2012-01-02 03:04:07", InstallerUID: -1, PackageSource: -1,
			PermissionHolder: PermissionHolder{AppID: 10050, GIDs: []int{3003, 1015},
				Install: []PermissionGrant{{Name: "android.permission.INTERNET", Granted: true, User: -1}, {Name: "android.permission.SEND_SMS", Granted: true, User: -1}},
				Users:   []PackageUser{{Installed: true, Stopped: true, Enabled: 2, Distraction: -1, InstallReason: -1, Disabled: []string{"com.example.old.Part"}}}}}})
		diff(t, "4.0 hidden", d.Hidden, []DumpedPackage{{Name: "com.example.sys", Code: true, CodePath: "/system/app/Sys.apk", InstallerUID: -1, PackageSource: -1, PermissionHolder: PermissionHolder{AppID: -1}}})
	}
	d := dumped(t, packageJellyBean)
	diff(t, "4.3", d.Packages, []DumpedPackage{{Name: "com.example.a11y", VersionCode: 4, TargetSDK: 22, PkgFlags: "HAS_CODE|DEBUGGABLE", InstallerUID: -1, PackageSource: -1,
		PermissionHolder: PermissionHolder{AppID: 10153, GIDs: []int{3003}, Install: []PermissionGrant{{Name: "android.permission.READ_SMS", Granted: true, User: -1}},
			Users: []PackageUser{{Installed: true, Hidden: true, Enabled: 3, Distraction: -1, InstallReason: -1, DisabledBy: "shell:0"},
				{ID: 10, Stopped: true, NotLaunched: true, Distraction: -1, InstallReason: -1, Disabled: []string{"com.example.a11y.Boot"}}}}}})
	diff(t, "4.3 shared users", d.SharedUsers, []DumpedSharedUser{{Name: "com.example.shared", PermissionHolder: PermissionHolder{AppID: 10002, GIDs: []int{3003, 1028},
		Install: []PermissionGrant{{Name: "android.permission.WRITE_SETTINGS", Granted: true, User: -1}}}}})
	diff(t, "4.3 services", d.Services.Actions, map[string][]IntentHandler{"android.accessibilityservice.AccessibilityService": {{Package: "com.example.a11y", Class: "com.example.a11y.Service", Count: 1}}})
	diff(t, "4.3 verifiers", d.RequiredVerifiers, []string{"com.example.verifier"})
	diff(t, "4.3 libraries", d.Libraries, []DumpedLibrary{{Name: "android.test.runner", Target: "/system/framework/android.test.runner.jar"}})
}

func TestDumpsysPackageRuntimePermissions(t *testing.T) {
	t.Parallel()
	d := dumped(t, packageNougat)
	p := d.Packages[0]
	diff(t, "requested", p.Requested, []string{"android.permission.READ_SMS", "android.permission.INTERNET"})
	diff(t, "users", p.Users, []PackageUser{
		{Installed: true, Suspended: true, Distraction: -1, InstallReason: -1, SuspendedBy: []string{"com.example.dpc"}, GIDs: []int{3003},
			Runtime: []PermissionGrant{{Name: "android.permission.READ_SMS", Granted: true, User: -1, Flags: "USER_SET|GRANTED_BY_DEFAULT"}, {Name: "android.permission.CAMERA", User: -1}}},
		{ID: 10, Installed: true, Stopped: true, NotLaunched: true, Instant: true, Distraction: -1, InstallReason: -1, GIDs: []int{3003}},
	})
	if p.VersionCode != 1315613700 || p.MinSDK != 9 || p.TargetSDK != 22 || p.VersionName != "2 beta" || p.Signers != nil {
		t.Errorf("%+v", p)
	}
	if !p.Users[0].Runtime[0].Flags.Has("USER_SET") || p.Users[0].Runtime[0].Flags.Has("USER") {
		t.Error("flags")
	}
	diff(t, "changes", d.Changes, []PackageChange{{0, 6, "com.example.seven"}, {10, 9, "com.example.gone"}})
}

func TestDumpsysPackageNew(t *testing.T) {
	t.Parallel()
	d := dumped(t, packageVanilla)
	diff(t, "package", d.Packages, []DumpedPackage{{Name: "com.example.new", SharedUser: "com.example.shared", Code: true, CodePath: "/data/app/~~oZ0lNhDd==/com.example.new-ttBy==",
		NativeDir: "/data/app/~~oZ0lNhDd==/com.example.new-ttBy==/lib", ABI: "arm64-v8a", VersionCode: 4294967297, VersionName: "1.0", MinSDK: 31, TargetSDK: 35,
		Splits: []string{"base", "config.en"}, AppFlags: "SYSTEM|HAS_CODE|UPDATED_SYSTEM_APP", AppPrivateFlags: "PRIVILEGED|PRODUCT", PkgFlags: "SYSTEM", PkgPrivateFlags: "PRIVILEGED",
		ForceQueryable: true, Modified: "2025-05-22 04:17:19", LastUpdate: "2025-05-22 04:17:19", Installer: "com.example.store", Initiating: "com.android.shell",
		UpdateOwner: "com.example.owner", AttributionTag: "tag", InstallerUID: 10248, PackageSource: 4, SigningVersion: 3, Signers: []string{"fa41615"},
		PastSigners: []string{"7d3bce25", "fa41615"}, Declared: []DumpedPermission{{Name: "com.example.new.P", Protection: "signature|privileged"}}, Overlay: "android", Apex: "com.android.wifi",
		PermissionHolder: PermissionHolder{AppID: 10197,
			Install: []PermissionGrant{{Name: "android.permission.INTERNET", Granted: true, User: -1}, {Name: "android.permission.NFC", User: 10, Flags: "REVOKED_COMPAT"}},
			Users: []PackageUser{{Installed: true, Suspended: true, Quarantined: true, Distraction: 1, InstallReason: 4, FirstInstall: "2025-05-20 04:17:19", DataDir: "/data/user/0/com.example.new",
				DisabledBy: "com.example.store", SuspendedBy: []string{"com.example.dpc"}, HarmfulWarning: "bad app", GIDs: []int{3002, 3003},
				Runtime:  []PermissionGrant{{Name: "android.permission.READ_SMS", Granted: true, User: -1, Flags: "USER_SET|USER_SENSITIVE_WHEN_GRANTED"}},
				Disabled: []string{"com.example.new.Off"}, EnabledParts: []string{"com.example.new.On"}}}}}})
	diff(t, "shared users", d.SharedUsers, []DumpedSharedUser{{Name: "com.example.shared", Packages: []string{"com.example.new"}, PermissionHolder: PermissionHolder{AppID: 10197,
		Install: []PermissionGrant{{Name: "android.permission.WAKE_LOCK", Granted: true, User: -1}},
		Users: []PackageUser{{Installed: true, Enabled: -1, Distraction: -1, InstallReason: -1, GIDs: []int{2001},
			Runtime: []PermissionGrant{{Name: "android.permission.CAMERA", Granted: true, User: -1, Flags: "SYSTEM_FIXED|GRANTED_BY_DEFAULT"}}}}}}})
	diff(t, "sections", d.Sections, []string{"Database versions", "Known Packages", "Features", "Activity Resolver Table", "Receiver Resolver Table", "Preferred Activities User 10",
		"Permissions", "AppOp Permissions", "Packages", "Renamed packages", "Shared users", "Service permissions", "Dexopt state", "Package warning messages", "Active install sessions", "Historical install sessions",
		"APEX session state", "Active APEX packages", "Factory APEX packages"})
	diff(t, "services", d.ServicePermissions, []ServicePermission{{"com.example.new", "com.example.new.Tunnel", "android.permission.BIND_VPN_SERVICE"}})
	diff(t, "secondary dex", d.SecondaryDex, []SecondaryDex{{"com.example.new", "/data/user/0/com.example.new/files/a b.jar"}, {"com.example.nine", "/data/user/0/com.example.nine/x.jar"}})
	diff(t, "modules", d.Apexes, []DumpedApex{{Name: "com.example.module", Version: 340724004, Path: "/system/apex/com.example.module.apex", Active: true}})
	diff(t, "permissions", d.Permissions, []DumpedPermission{{"com.example.new.P", "com.example.new", "signature|privileged"}})
	diff(t, "app-ops", d.AppOpPermissions, map[string][]string{"android.permission.SYSTEM_ALERT_WINDOW": {"com.example.new", "com.example.two"}})
	diff(t, "known", d.KnownPackages, map[string][]string{"System": {"android"}})
	diff(t, "features", d.Features, []string{"android.hardware.camera", "android.hardware.nfc"})
	diff(t, "renamed", d.Renamed, map[string]string{"com.example.renamed": "com.example.before"})
	diff(t, "messages", d.Messages, []string{"1/2/25 3:04 PM: Adding duplicate shared id: 1000 name=android"})
	diff(t, "sessions", d.Sessions, []InstallSession{
		{ID: 24, State: "Active", Package: "com.example.fresh", Installer: "com.example.store", Initiating: "com.example.file", Originating: "com.example.browser", InstallerUID: 10050,
			OriginatingUID: 10085, Created: 1719595345907, PackageSource: 4, StageDir: "/data/app/vmdl24.tmp", FinalStatus: -103, FinalMessage: "No certificate found"},
		{ID: 9, State: "Historical", InstallerUID: 2000, OriginatingUID: -1, Created: 1565789075266, PackageSource: -1, StageDir: "/data/app/vmdl9.tmp", FinalStatus: 1},
	})
}

func TestDumpsysPackageFilters(t *testing.T) {
	t.Parallel()
	d := dumped(t, packageVanilla)
	launcher := &IntentFilter{Actions: []string{"android.intent.action.MAIN"}, Categories: []string{"android.intent.category.LAUNCHER"}}
	send := &IntentFilter{Actions: []string{"android.intent.action.SEND"}, Categories: []string{"android.intent.category.DEFAULT"}, Types: []string{"image/*"}, Priority: -5}
	diff(t, "activities", d.Activities, &ResolverTable{Filters: true, Schemes: map[string][]IntentHandler{},
		Actions: map[string][]IntentHandler{"android.intent.action.MAIN": {{"com.example.new", "com.example.new.Main", 1, launcher}}},
		Types:   map[string][]IntentHandler{"image/*": {{"com.example.new", "com.example.new.Main", 1, send}}}})
	diff(t, "receivers", d.Receivers, &ResolverTable{Types: map[string][]IntentHandler{},
		Schemes: map[string][]IntentHandler{"package": {{"com.example.new", "com.other.Watcher", 4, nil}}},
		Actions: map[string][]IntentHandler{"android.provider.Telephony.SMS_RECEIVED": {{"com.example.new", "com.other.Sms", 1, nil}, {"com.example.two", "com.example.two.Sms", 1, nil}}}})
	home := &IntentFilter{Actions: []string{"android.intent.action.MAIN"}, Categories: []string{"android.intent.category.HOME"}, Always: true}
	diff(t, "preferred", d.Preferred[10].Actions, map[string][]IntentHandler{"android.intent.action.MAIN": {{"com.example.home", "com.example.home.Home", 1, home}}})
	if d.Services != nil || d.Providers != nil {
		t.Error("tables that the dump has not")
	}
}

func TestDumpedPackageSays(t *testing.T) {
	t.Parallel()
	d, err := DumpsysPackage([]byte(packageVanilla), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &d.Packages[0]
	for key, want := range map[string]bool{"originatingPackageName": true, "targetSdk": true, "requested permissions": false, "install permissions": true, "dataDir": false, "nonsense": false} {
		if p.Says(key) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
}

// TestDumpsysPackageImitation has an app write lines of its own into its version's name and into
// a permission's.
func TestDumpsysPackageImitation(t *testing.T) {
	t.Parallel()
	text := `Packages:
  Package [com.example.liar] (1):
    appId=10100
    codePath=/data/app/liar
    versionCode=1 minSdk=1 targetSdk=1
    versionName=1.0
    codePath=/system/app/liar
    installerPackageName=com.android.vending
    pkgFlags=[ SYSTEM ]
    installerPackageName=com.example.file
    initiatingPackageName=com.example.file
    pkgFlags=[ HAS_CODE ]
    requested permissions:
      x
    User 0: installed=false
    User 0: installed=true enabled=0
  Package [com.example.liar] (2):
    appId=10101
Packages:
`
	var c Complaints
	d, err := DumpsysPackage([]byte(text), &c)
	if err != nil || len(d.Packages) != 2 || len(c.List) != 2 {
		t.Fatalf("%+v, %v, %v", d, c.List, err)
	}
	p := d.Packages[0]
	if p.CodePath != "/data/app/liar" || p.Installer != "com.example.file" || p.PkgFlags != "HAS_CODE" || len(p.Users) != 1 || !p.Users[0].Installed {
		t.Errorf("%+v", p)
	}
	diff(t, "conflicts", p.Conflicts, []string{"codePath", "installerPackageName", "pkgFlags", "User 0"})
}

// Lines that the service prints behind the flags count for nothing before them: an app that no
// store installed has no line that would overwrite its own.
func TestDumpsysPackageLinesOutOfOrder(t *testing.T) {
	t.Parallel()
	d, err := DumpsysPackage([]byte(`Packages:
  Package [com.example.liar] (1):
    userId=10100
    codePath=/data/app/liar
    versionCode=1 minSdk=1 targetSdk=1
    versionName=1.0
    installerPackageName=com.android.vending
    packageSource=2
    firstInstallTime=2009-01-01 00:00:00
    splits=[base]
    flags=[ HAS_CODE ]
    timeStamp=2019-06-16 18:20:00
    signatures=PackageSignatures{1 version:2, signatures:[5a5a], past signatures:[]}
`), nil)
	if err != nil || len(d.Packages) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	p := d.Packages[0]
	if p.Installer != "" || p.Says("installerPackageName") || p.PackageSource != -1 || p.FirstInstall != "" || p.Modified != "2019-06-16 18:20:00" || len(p.Signers) != 1 {
		t.Errorf("%+v", p)
	}
	diff(t, "conflicts", p.Conflicts, []string{"lines out of order"})
}

func TestDumpsysPackageBounds(t *testing.T) {
	t.Parallel()
	var c Complaints
	text := "Packages:\n" + strings.Repeat("  Package [a] (1):\n    User 0: installed=true\n", maxDumpPackages+3) +
		"Receiver Resolver Table:\n  Non-Data Actions:\n      a:\n" + strings.Repeat("        1 a/.B\n", maxDumpHandlers+3) + "Hidden system packages:\n  " + strings.Repeat("x", maxDumpLine+1) + "\n  Package [b] (1):\n"
	d, err := DumpsysPackage([]byte(text), &c)
	if err != nil || len(d.Packages) != maxDumpPackages || len(d.Hidden) != 1 || len(d.Receivers.Actions["a"]) != maxDumpHandlers || !d.Receivers.Cut {
		t.Errorf("%d packages, %d hidden, %v", len(d.Packages), len(d.Hidden), err)
	}
	if len(c.List)+c.More != maxDumpPackages-1+3+1 {
		t.Errorf("%d complaints", len(c.List)+c.More)
	}
	users := "  Package [a] (1):\n"
	for id := range 300 {
		users += "    User " + strconv.Itoa(id) + ":\n"
	}
	d, err = DumpsysPackage([]byte("Packages:\n"+strings.Repeat(users, 260)), nil)
	total := 0
	for _, p := range d.Packages {
		total += len(p.Users)
	}
	if err != nil || total > maxDumpUsers || len(d.Packages[0].Users) != 256 {
		t.Errorf("%d users, %v", total, err)
	}
}

func TestDumpsysPackageIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Can't find service: package\n", "Permission Denial: can't dump PackageManager from from pid=1, uid=2\n", "Error:\n  x\n"} {
		if d, err := DumpsysPackage([]byte(text), nil); err == nil {
			t.Errorf("%q: %+v", text, d)
		}
	}
}

func TestPmListPackages(t *testing.T) {
	t.Parallel()
	var c Complaints
	got := PmListPackages([]byte("package:/data/app/~~x==/com.example.a-y==/base.apk=com.example.a versionCode:12  installer=com.example.store uid:10123,1010123\r\n"+
		"package:com.example.b\npackage:/system/app/C.apk=com.example.c  installer=null\n\nWARNING: x\npackage:\n"), &c)
	diff(t, "packages", got, []ListedPackage{
		{Name: "com.example.a", Path: "/data/app/~~x==/com.example.a-y==/base.apk", Installer: "com.example.store", UIDs: []int{10123, 1010123}, VersionCode: 12},
		{Name: "com.example.b", VersionCode: -1},
		{Name: "com.example.c", Path: "/system/app/C.apk", VersionCode: -1},
	})
	if len(c.List) != 2 {
		t.Errorf("%v", c.List)
	}
}

func FuzzDumpsysPackage(f *testing.F) {
	for _, s := range []string{packageIceCream, packageJellyBean, packageNougat, packageVanilla, "package:/a=b  installer=c uid:1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		PmListPackages(b, nil)
		d, err := DumpsysPackage(b, nil)
		if err != nil {
			return
		}
		if n := len(d.Packages) + len(d.Hidden) + len(d.SharedUsers) + len(d.Permissions) + len(d.Sessions); n > len(b)/8 {
			t.Errorf("%d entries of %d bytes", n, len(b))
		}
		for _, p := range d.Packages {
			if p.Name == "" || len(p.Conflicts) > 16 {
				t.Errorf("%+v", p)
			}
		}
	})
}
