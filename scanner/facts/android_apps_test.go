package facts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// dumped writes a package as the package service of Android 11 prints it.
func dumped(name string, lines ...string) string {
	return "  Package [" + name + "] (1a2b3c):\n    " + strings.Join(lines, "\n    ") + "\n"
}

func signers(hash string) string {
	return "signatures=PackageSignatures{9a8b version:2, signatures:[" + hash + "], past signatures:[]}"
}

const (
	platformSigner = "d7cdb1c1"
	ownSigner      = "0badcafe"
)

// phone is a device with the given packages, and text of further probes.
func phone(packages, more string) string {
	return "platform: android\nrecorded-at: 2021-06-15T12:00:00Z\nlive: yes\n" +
		"-- probe/getprop --\n[ro.build.version.sdk]: [30]\n[ro.build.version.release]: [11]\n" +
		"-- probe/dumpsys/package --\nPackages:\n" + dumped("android", "userId=1000", "sharedUser=SharedUserSetting{1 android.uid.system/1000}", "codePath=/system/framework",
		"versionCode=30 minSdk=30 targetSdk=30", "versionName=11", "flags=[ SYSTEM HAS_CODE ]", signers(platformSigner)) + packages + more
}

func appsOf(t *testing.T, tree string) map[string]App {
	t.Helper()
	dev, err := device.Txtar([]byte(tree))
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(context.Background(), dev, scanner.Options{Collectors: Collectors(), Tables: []string{"apps"}, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	rows, ok := r.Facts.Tables["apps"].Rows.([]App)
	if !ok {
		t.Fatalf("no apps: %s", r.Facts.Tables["apps"].Absent)
	}
	out := map[string]App{}
	for _, a := range rows {
		out[a.Package] = a
	}
	return out
}

func TestWhereAppsCameFrom(t *testing.T) {
	t.Parallel()
	const data = "codePath=/data/app/~~x==/p-y=="
	for _, c := range []struct {
		name, source string
		sideloaded   bool
		lines        []string
	}{
		{"part of the system", "system", false, []string{"codePath=/product/app/X", "flags=[ SYSTEM HAS_CODE ]", signers(ownSigner)}},
		{"updated part of the system", "system", false, []string{data, "flags=[ SYSTEM HAS_CODE UPDATED_SYSTEM_APP ]", signers(ownSigner)}},
		{"from the store", "store", false, []string{data, "installerPackageName=com.android.vending", "initiatingPackageName=com.android.vending", signers(ownSigner)}},
		{"from a maker's store", "oem_store", false, []string{data, "installerPackageName=com.sec.android.app.samsungapps", signers(ownSigner)}},
		{"from F-Droid", "open_store", true, []string{data, "installerPackageName=org.fdroid.fdroid", signers(ownSigner)}},
		{"by the organisation", "mdm", false, []string{data, "installerPackageName=com.google.android.apps.work.clouddpc", signers(ownSigner)}},
		{"by a cable", "adb", true, []string{data, "installerPackageName=null", "initiatingPackageName=com.android.shell", signers(ownSigner)}},
		{"by a cable, without an installer", "adb", true, []string{data, signers(ownSigner)}},
		{"by hand, from the browser", "browser", true, []string{data, "installerPackageName=com.google.android.packageinstaller", "initiatingPackageName=com.google.android.packageinstaller",
			"originatingPackageName=com.android.chrome", signers(ownSigner)}},
		{"by hand, from anywhere", "installer", true, []string{data, "installerPackageName=com.google.android.packageinstaller", signers(ownSigner)}},
		{"by another app", "app", true, []string{data, "installerPackageName=com.example.dropper", "initiatingPackageName=com.example.dropper", signers(ownSigner)}},
		{"as if by the store", "adb", true, []string{data, "installerPackageName=com.android.vending", "initiatingPackageName=com.android.shell", signers(ownSigner)}},
		{"a maker's preload on the data partition", "preload", false, []string{data, signers(platformSigner)}},
		{"a preload of somebody else's, in a folder that the package manager does not install into", "preload", false, []string{"codePath=/data/hw_init/version/region_comm/app/X", signers(ownSigner)}},
		{"a preload of somebody else's, in a folder that somebody else made", "preload", false, []string{"codePath=/data/app/MusicGlobal", signers(ownSigner)}},
		{"by a cable, before Android 11", "adb", true, []string{"codePath=/data/app/com.example.app-Zk3x1y==", signers(ownSigner)}},
		{"by a cable, not yet moved to its place", "adb", true, []string{"codePath=/data/app/vmdl1234.tmp", signers(ownSigner)}},
		{"from a browser, wherever it lies", "browser", true, []string{"codePath=/data/app/MusicGlobal", "installerPackageName=com.android.chrome", signers(ownSigner)}},
		{"a preload of somebody else's, installed before the clock was set", "preload", false, []string{data, "firstInstallTime=2015-01-01 08:00:41", signers(ownSigner)}},
		{"the same, west of Greenwich", "preload", false, []string{data, "firstInstallTime=2008-12-31 18:00:00", signers(ownSigner)}},
		{"by a cable, on a first day of a later year", "adb", true, []string{data, "firstInstallTime=2021-01-01 08:00:41", signers(ownSigner)}},
		{"by a cable, and the time is not told", "adb", true, []string{data, "firstInstallTime=1970-01-01 05:30:00", signers(ownSigner)}},
		{"by a cable, into a folder of the shell's", "adb", true, []string{"codePath=/data/local/tmp/x", signers(ownSigner)}},
		{"by hand, with an installer of the maker's", "installer", true, []string{data, "installerPackageName=com.acme.packageinstaller", signers(ownSigner)}},
		{"from the old phone", "moved", false, []string{data, "installerPackageName=com.sec.android.easyMover", signers(ownSigner)}},
		{"as if by the store, by somebody else", "app", true, []string{data, "installerPackageName=com.android.vending", "initiatingPackageName=com.example.dropper", signers(ownSigner)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := appsOf(t, phone(dumped("com.example.app", append([]string{"userId=10100", "versionCode=7 minSdk=21 targetSdk=29"}, c.lines...)...), ""))["com.example.app"]
			if a.Source != c.source || a.Sideloaded != c.sideloaded || a.Preload != (c.source == "preload") {
				t.Errorf("source %q, sideloaded %v, preload %v", a.Source, a.Sideloaded, a.Preload)
			}
			if wantMismatch := strings.HasPrefix(c.name, "as if by the store"); a.InstallerMismatch != wantMismatch {
				t.Errorf("mismatch %v", a.InstallerMismatch)
			}
		})
	}
}

func TestAppsThatTakeOthersNames(t *testing.T) {
	t.Parallel()
	const data = "codePath=/data/app/~~x==/p-y=="
	apps := appsOf(t, phone(
		dumped("com.android.systemservice", "userId=10100", data, signers(ownSigner))+
			dumped("com.google.android.youtube", "userId=10101", data, "installerPackageName=com.android.vending", signers("600613"))+
			dumped("com.google.android.gms", "userId=10102", "codePath=/product/priv-app/GmsCore", "flags=[ SYSTEM ]", signers("600613"))+
			dumped("com.google.android.apps.fitness", "userId=10103", data, signers("600613"))+
			dumped("com.samsung.android.oneconnect", "userId=10104", data, "installerPackageName=com.sec.android.app.samsungapps", signers("5a5a")), ""))
	if got := apps["com.android.systemservice"].PosesAs; got != "Android" {
		t.Errorf("a stranger in Android's namespace poses as %q", got)
	}
	for _, p := range []string{"com.google.android.youtube", "com.google.android.apps.fitness", "com.samsung.android.oneconnect", "com.google.android.gms"} {
		if got := apps[p].PosesAs; got != "" {
			t.Errorf("%s poses as %q", p, got)
		}
	}
}

// spy is an app with the permissions that it was given.
func spy(name string, permissions ...string) string {
	lines := []string{"userId=10200", "codePath=/data/app/~~x==/p-y==", "versionCode=1 minSdk=21 targetSdk=29", "installerPackageName=com.google.android.packageinstaller",
		"firstInstallTime=2021-06-10 08:00:00", signers(ownSigner), "User 0: ceDataInode=1 installed=true hidden=false suspended=false stopped=false notLaunched=false enabled=0", "  runtime permissions:"}
	for _, p := range permissions {
		lines = append(lines, "    android.permission."+p+": granted=true, flags=[ USER_SET ]")
	}
	return dumped(name, lines...)
}

func TestPowersOfAnApp(t *testing.T) {
	t.Parallel()
	more := "\nActivity Resolver Table:\n  Non-Data Actions:\n      android.intent.action.MAIN:\n        1a2b3c com.example.plain/.Main\n" +
		"-- probe/dumpsys/deviceidle --\n  Whitelist system apps:\n    com.android.phone\n  Whitelist user apps:\n    com.example.spy\n"
	apps := appsOf(t, phone(spy("com.example.spy", "READ_SMS", "RECORD_AUDIO", "ACCESS_FINE_LOCATION", "ACCESS_BACKGROUND_LOCATION", "READ_CONTACTS", "READ_CALL_LOG")+spy("com.example.plain", "CAMERA"), more))
	a := apps["com.example.spy"]
	if !slices.Equal(a.Groups, []string{"background_location", "call_log", "contacts", "location", "microphone", "sms"}) {
		t.Errorf("groups %q", a.Groups)
	}
	if !a.BatteryExempt || !slices.Contains(a.Special, "battery_exempt") || a.Launcher {
		t.Errorf("exempt %v, special %q, icon %v", a.BatteryExempt, a.Special, a.Launcher)
	}
	if a.SpyScore < 80 || !slices.Contains(a.SpySigns, "no icon") || a.AgeDays != 5 {
		t.Errorf("score %d of %q, age %d", a.SpyScore, a.SpySigns, a.AgeDays)
	}
	if b := apps["com.example.plain"]; b.SpyScore >= 40 || b.Unread.Unread["launcher"] == "" {
		t.Errorf("a camera app scores %d; its icon is known: %v", b.SpyScore, b.Unread.Unread)
	}
	if a.Unread.Unread["accessibility"] == "" || a.Unread.Unread["overlay"] == "" {
		t.Error("powers that no source told of are taken for powers that it does not have")
	}
}

// TestOneInventoryFromEverySource holds the sources against each other: what both tell must agree.
func TestOneInventoryFromEverySource(t *testing.T) {
	t.Parallel()
	const xml = `<?xml version='1.0' encoding='utf-8' standalone='yes' ?>
<packages>
<version sdkVersion="30" databaseVersion="3" fingerprint="x" />
<package name="com.example.app" codePath="/data/app/~~x==/p-y==" publicFlags="948452932" privateFlags="0" ft="17a0" it="179f2d1d400" ut="179f2d1d400" version="7" userId="10100" installer="com.android.vending" installInitiator="com.android.vending" />
<package name="android" codePath="/system/framework" publicFlags="1" privateFlags="8" ft="0" it="0" ut="0" version="30" sharedUserId="1000" />
<shared-user name="android.uid.system" userId="1000" />
</packages>
`
	trees := map[string]string{
		"dump":         phone(dumped("com.example.app", "userId=10100", "codePath=/data/app/~~x==/p-y==", "versionCode=7 minSdk=21 targetSdk=29", "installerPackageName=com.android.vending"), ""),
		"packages.xml": "platform: android\nrecorded-at: 2021-06-15T12:00:00Z\n-- data/system/packages.xml --\n" + xml + "-- system/build.prop --\nro.build.version.sdk=30\n",
		"list":         "platform: android\nlive: yes\n-- probe/pm/packages --\npackage:/data/app/~~x==/p-y==/base.apk=com.example.app versionCode:7  installer=com.android.vending uid:10100\npackage:/system/framework/framework-res.apk=android versionCode:30  installer=null uid:1000\n",
		"acquisition": "platform: android\nlive: yes\n-- probe/androidqf/packages --\n" +
			`[{"name":"com.example.app","files":[{"path":"/data/app/~~x==/p-y==/base.apk","sha256":"AB"}],"installer":"com.android.vending","uid":10100},{"name":"android","installer":"null","uid":1000,"system":true}]` + "\n",
	}
	trees["packages.list"] = "platform: android\n-- data/system/packages.list --\ncom.example.app 10100 0 /data/user/0/com.example.app default:targetSdkVersion=29 none 0 7 1 com.android.vending\n" +
		"android 1000 0 /data/system platform:privapp:targetSdkVersion=30 none 0 30 1 @system\n"
	for name, tree := range trees {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apps := appsOf(t, tree)
			a := apps["com.example.app"]
			_, elsewhere := a.Unread.Unread["code_path"]
			if len(apps) != 2 || a.UID != 10100 || a.Source != "store" || !elsewhere && !strings.HasPrefix(a.CodePath, "/data/app/~~x==/p-y==") || a.System || !apps["android"].System {
				t.Errorf("%d apps; %+v", len(apps), a)
			}
			if _, unread := a.Unread.Unread["version_code"]; !unread && a.VersionCode != 7 {
				t.Errorf("version %d", a.VersionCode)
			}
		})
	}
}

func TestNothingIsNoInventory(t *testing.T) {
	t.Parallel()
	for _, tree := range []string{
		"platform: android\nlive: yes\n-- probe/getprop --\n[ro.build.version.sdk]: [30]\n",
		"platform: android\nlive: yes\n-- probe/dumpsys/package --\nnothing here\n-- probe/getprop --\n[a]: [b]\n",
		"platform: android\nlive: yes\n-- probe/androidqf/packages --\n[{\"name\":\n-- probe/getprop --\n[a]: [b]\n",
	} {
		dev, err := device.Txtar([]byte(tree))
		if err != nil {
			t.Fatal(err)
		}
		r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: Collectors(), Tables: []string{"packages", "apps"}, Now: time.Unix(1700000000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"packages", "apps"} {
			if tab := r.Facts.Tables[table]; tab.Absent == "" || tab.Rows != nil {
				t.Errorf("%s of nothing: %+v", table, tab)
			}
		}
	}
}

func TestRootIsWeighed(t *testing.T) {
	t.Parallel()
	root := func(tree string) RootState {
		dev, err := device.Txtar([]byte(tree))
		if err != nil {
			t.Fatal(err)
		}
		r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: Collectors(), Tables: []string{"root_state"}, Now: time.Unix(1700000000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := r.Facts.Tables["root_state"].Rows.([]RootState)
		if len(rows) != 1 {
			t.Fatalf("no state of root: %s", r.Facts.Tables["root_state"].Absent)
		}
		return rows[0]
	}
	const ps = "-- probe/ps --\nUSER PID PPID VSZ RSS WCHAN ADDR S NAME\nroot 1 0 1 1 0 0 S init\n"
	clean := phone("", ps)
	if got := root(clean); got.Score != 0 || len(got.Signs) != 0 {
		t.Errorf("a clean phone: %+v", got)
	}
	magisk := phone(dumped("com.topjohnwu.magisk", "userId=10100", "codePath=/data/app/m", signers(ownSigner)), ps+"root 300 1 1 1 0 0 S magiskd\n"+
		"-- probe/mountinfo --\n30 1 0:20 / /debug_ramdisk rw,relatime - tmpfs magisk rw\n")
	if got := root(magisk); got.Score < 150 || got.Kinds != 3 || !slices.Equal(got.Tools, []string{"Magisk"}) {
		t.Errorf("Magisk: %+v", got)
	}
	engineering := strings.Replace(phone("", ps+"-- system/xbin/su --\nx\n"), "[30]\n", "[30]\n[ro.build.type]: [userdebug]\n", 1)
	if got := root(engineering); got.Score > 10 {
		t.Errorf("the su of an engineering build: %+v", got)
	}
	if got := root(phone("", ps+"-- system/xbin/busybox --\nx\n")); got.Score > 10 || got.Kinds != 1 {
		t.Errorf("a maker's busybox: %+v", got)
	}
}

func TestAndroidMountFlags(t *testing.T) {
	t.Parallel()
	tree := phone("", "-- probe/mountinfo --\n"+
		"10 1 253:0 / / ro,seclabel - ext4 /dev/block/dm-0 ro\n"+
		"11 10 253:5 / /product/overlay rw,relatime - overlay overlay ro,lowerdir=/a:/b\n"+
		"12 10 253:6 / /system ro,relatime - ext4 /dev/block/dm-1 rw\n"+
		"13 10 253:7 / /vendor rw,relatime - ext4 /dev/block/dm-2 rw\n"+
		"14 10 0:30 / /system/bin rw,relatime - tmpfs tmpfs rw\n"+
		"15 10 7:1 / /apex/com.android.adbd rw - ext4 /dev/block/loop1 ro\n")
	tab := collectFrom(t, androidMountsCollector(), tree)
	got := map[string]string{}
	for _, m := range tab.Rows.([]AndroidMount) {
		got[m.Target] = fmt.Sprintf("writable=%v covers=%v maker=%v", m.Writable, m.Covers, m.Maker)
	}
	for target, want := range map[string]string{
		"/": "writable=false covers=false maker=false", "/product/overlay": "writable=false covers=true maker=true", "/system": "writable=false covers=false maker=false",
		"/vendor": "writable=true covers=false maker=false", "/system/bin": "writable=true covers=true maker=false", "/apex/com.android.adbd": "writable=false covers=false maker=false",
	} {
		if got[target] != want {
			t.Errorf("%s: %s, want %s", target, got[target], want)
		}
	}
}

func TestSwitchesThatWereNotToldAreUnread(t *testing.T) {
	t.Parallel()
	tree := phone("", "-- probe/settings/global --\nadb_enabled=1\nverifier_verify_adb_installs=0\nprivate_dns_mode=hostname\nprivate_dns_specifier=dns.example\n"+
		"-- probe/dumpsys/lock_settings --\nUser 0\n  Quality: 0\n  CredentialType: NONE\n")
	tab := collectFrom(t, deviceSettingsCollector(), tree)
	row := tab.Rows.([]DeviceSettings)[0]
	if !row.ADB || !row.VerifyADBOff || row.PrivateDNSHost != "dns.example" || !row.LockNone || row.Developer {
		t.Errorf("%+v", row)
	}
	for _, column := range []string{"always_on_vpn", "screen_timeout", "unknown_sources"} {
		if row.Unread.Unread[column] == "" && column != "unknown_sources" {
			t.Errorf("%s is told though its settings were not read", column)
		}
	}
	if row.Unread.Unread["developer"] != "" {
		t.Error("a global setting that is not set has its default")
	}
}

// A maker's program that is no part of the system, but has its signer, may act for a store. A key
// that is published makes nobody the maker, though the system is signed with it.
func TestSignersOfMakers(t *testing.T) {
	t.Parallel()
	const data = "codePath=/data/app/~~x==/p-y=="
	packages := func(signer string) string {
		return dumped("com.maker.mover", "userId=10100", data, signers(signer)) +
			dumped("com.example.app", "userId=10101", data, "installerPackageName=com.android.vending", "initiatingPackageName=com.maker.mover", signers(ownSigner)) +
			dumped("com.android.extra", "userId=10102", data, signers(signer))
	}
	apps := appsOf(t, phone(packages(platformSigner), ""))
	if a := apps["com.example.app"]; a.InstallerMismatch || a.Source != "store" {
		t.Errorf("restored by the maker's program: source %q, mismatch %v", a.Source, a.InstallerMismatch)
	}
	if a := apps["com.android.extra"]; a.Source != "preload" || a.PosesAs != "" {
		t.Errorf("the maker's own: source %q, poses as %q", a.Source, a.PosesAs)
	}
	const published = "b4addb29"
	apps = appsOf(t, strings.ReplaceAll(phone(packages(published), ""), platformSigner, published))
	if a := apps["com.example.app"]; !a.InstallerMismatch {
		t.Error("anybody's program may act for the store where the system has a published key")
	}
	if a := apps["com.android.extra"]; a.Source != "adb" || a.PosesAs != "Android" {
		t.Errorf("signed with a published key: source %q, poses as %q", a.Source, a.PosesAs)
	}
}
