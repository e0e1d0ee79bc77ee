package parse

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// xmlFile is one kind of file and a parser of it, made alike.
type xmlFile struct {
	name  string
	text  string
	roots bool // several: a cut between them is no damage
	parse func([]byte) (any, error)
}

func xmlFileOf[T any](name, text string, parse func([]byte) (T, error)) xmlFile {
	return xmlFile{name: name, text: text, parse: func(b []byte) (any, error) { return parse(b) }}
}

func adbStore(b []byte) (any, error) {
	keys, networks, err := AdbKeystoreXML(b)
	return fmt.Sprintf("%+v %d", keys, networks), err
}

func xmlFiles() []xmlFile {
	a, b := testCert("Acme"), testCert("Android Debug")
	files := []xmlFile{
		xmlFileOf("packages", fmt.Sprintf(packagesFixture, hex.EncodeToString(a), hex.EncodeToString(b)), PackagesXML),
		xmlFileOf("restrictions", restrictionsFixture, PackageRestrictionsXML),
		xmlFileOf("runtime 9", runtimeOldFixture, RuntimePermissionsXML),
		xmlFileOf("runtime 11", runtimeNewFixture, RuntimePermissionsXML),
		xmlFileOf("roles", rolesFixture, RolesXML),
		xmlFileOf("appops 9", appOpsOldFixture, AppOpsXML),
		xmlFileOf("appops 14", appOpsNewFixture, AppOpsXML),
		xmlFileOf("settings", settingsFixture, SettingsXML),
		xmlFileOf("settings 6", settingsOldFixture, SettingsXML),
		xmlFileOf("userlist", userListFixture, UserListXML),
		xmlFileOf("user", userFixture, UserXML),
		xmlFileOf("policies", policiesFixture, DevicePoliciesXML),
		xmlFileOf("device owner", ownersFixture, OwnersXML),
		xmlFileOf("profile owner", profileOwnerFixture, OwnersXML),
		xmlFileOf("device owner 5", ownersOldFixture, OwnersXML),
		xmlFileOf("wifi", wifiFixture, WifiConfigXML),
		xmlFileOf("adb", adbStoreFixture, adbStore),
		xmlFileOf("adb 10", adbStoreOldFixture, adbStore),
		xmlFileOf("sessions", sessionsFixture, InstallSessionsXML),
		xmlFileOf("compat", compatFixture, CompatXML),
		xmlFileOf("access", accessFixture, AccessABX),
	}
	for i := range files {
		files[i].roots = files[i].name == "device owner 5" || files[i].name == "adb 10"
	}
	return files
}

// testCert makes a certificate that is the same each time.
func testCert(name string) []byte {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(len(name))}, ed25519.SeedSize))
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Unix(4e9, 0)}
	der, err := x509.CreateCertificate(nil, t, t, key.Public(), key)
	if err != nil {
		return nil
	}
	return der
}

// A file says the same in both forms, however its attributes are typed.
func TestAndroidFilesInBothForms(t *testing.T) {
	for _, f := range xmlFiles() {
		want, err := f.parse([]byte(f.text))
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		for seed := range uint64(20) {
			abx := toABX(t, []byte(f.text), rand.New(rand.NewPCG(seed, 2)))
			got, err := f.parse(abx)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s as ABX, seed %d: %v\ngot  %+v\nwant %+v", f.name, seed, err, got, want)
				break
			}
		}
	}
}

// A file that is cut anywhere is never taken for a whole one.
func TestAndroidFilesCut(t *testing.T) {
	for _, f := range xmlFiles() {
		if f.roots {
			continue
		}
		text := []byte(strings.TrimRight(f.text, "\n"))
		abx := toABX(t, text, rand.New(rand.NewPCG(1, 3)))
		for _, whole := range [][]byte{text, abx[:len(abx)-1]} {
			for n := range len(whole) {
				if _, err := f.parse(whole[:n]); err == nil {
					t.Fatalf("%s: no error for %d of %d bytes", f.name, n, len(whole))
				}
			}
		}
	}
}

func TestAndroidFilesOfAnotherKind(t *testing.T) {
	for _, f := range xmlFiles() {
		for _, in := range []string{"", "<html><body/></html>", "\x00\x00\x00\x00", abxHeader, "plain text"} {
			if _, err := f.parse([]byte(in)); err == nil {
				t.Errorf("%s: %q passes", f.name, in)
			}
		}
	}
}

func TestPackagesXML(t *testing.T) {
	a, b := testCert("Acme"), testCert("Android Debug")
	db, err := PackagesXML(fmt.Appendf(nil, packagesFixture, hex.EncodeToString(a), hex.EncodeToString(b)))
	if err != nil {
		t.Fatal(err)
	}
	cert := func(der []byte, name string, caps int) PackageCert {
		long, short := sha256.Sum256(der), sha1.Sum(der)
		return PackageCert{SHA256: hex.EncodeToString(long[:]), SHA1: hex.EncodeToString(short[:]), Subject: name, Capabilities: caps}
	}
	acme, debug := cert(a, "Acme", 0), cert(b, "Android Debug", 0)
	keyPrint := sha256.Sum256([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00})
	want := PackageDatabase{
		Versions: []PackageDatabaseVersion{{SDK: 35, Fingerprint: "f1", Build: "acme/one/one:15/A/1:user/release-keys"},
			{Volume: "primary_physical", SDK: 35, Fingerprint: "f2"}},
		Packages: []PackageSetting{
			{Name: "org.example.reader", CodePath: "/data/app/~~a==/org.example.reader-b==", UID: 10123, Version: 4294967301, TargetSDK: 34,
				Flags: 814267974, PrivateFlags: 4096, FlagsKnown: true, Debuggable: true, FileTime: 0x18c1a2b3c40, LastUpdate: 0x18c1a2b3d50,
				Installer: "com.android.vending", Initiator: "com.android.vending", Originator: "com.android.browser",
				UpdateOwner: "com.android.vending", InstallerUID: 10088, Source: 2, Archived: true, Scheme: 3,
				Signers: []PackageCert{acme}, PastSigners: []PackageCert{cert(b, "Android Debug", 11), acme}, InitiatorCert: []PackageCert{debug},
				Grants: []GrantEntry{{"android.permission.INTERNET", true, 0}, {"android.permission.REORDER_TASKS", false, 0x80a0}},
				KeySet: 1, UpgradeKeys: []int64{2}},
			{Name: "android", CodePath: "/system/framework", UID: 1000, Shared: true, Version: 35, Flags: 0x80000005, PrivateFlags: 8,
				FlagsKnown: true, FileTime: 0x11e8f7d4c00, FirstInstall: 0x11e8f7d4c01, LastUpdate: 0x11e8f7d4c02, InstallerUID: -1,
				Orphaned: true, InitiatorUninstalled: true, Volume: "v", ABI: "arm64-v8a", Scheme: 3, Signers: []PackageCert{debug}, LinkStatus: 2},
			{Name: "org.example.old", CodePath: "/data/app/old.apk", UID: 10001, Version: 7, Flags: 1476935237 &^ (1<<27 | 1<<28 | 1<<30),
				PrivateFlags: 1 | 2 | 8, FlagsKnown: true, FileTime: 1300000000000, InstallerUID: -1, ABI: "armeabi"},
			{Name: "org.example.bare", CodePath: "/x", UID: 10002, InstallerUID: -1},
		},
		Replaced:    []PackageSetting{{Name: "org.example.reader", CodePath: "/product/app/Reader", UID: 10123, Version: 3, FileTime: 1, InstallerUID: -1}},
		SharedUsers: []SharedUserSetting{{"android.uid.system", 1000, []PackageCert{debug}, []GrantEntry{{"android.permission.REBOOT", true, 0}}}},
		Permissions: []PackagePermission{{"org.example.READ", "org.example.reader", 2, false}, {"org.example.DYN", "org.example.reader", 0, true}},
		Renamed:     []RenamedPackage{{"org.example.new", "org.example.old"}},
		KeySets:     []PackageKeySet{{1, []string{hex.EncodeToString(keyPrint[:])}}},
		Links: []LinkDomain{{"android", "example.net", -1}, {"org.example.reader", "example.org", 1},
			{"org.example.reader", "example.com", 1024}},
		Certs: 2,
	}
	if !reflect.DeepEqual(db, want) {
		t.Errorf("got  %+v\nwant %+v", db, want)
	}
	if db.Packages[0].System() || !db.Packages[1].System() {
		t.Error("the system's packages are mistaken")
	}
}

func TestPackagesXMLDamage(t *testing.T) {
	for in, want := range map[string]string{
		`<packages><package name="a"><sigs count="1"><cert index="3"/></sigs></package></packages>`:                       "reference to a certificate",
		`<packages><package name="a"><sigs count="1"><cert index="3" key="zz"/></sigs></package></packages>`:              "not hexadecimal",
		`<packages><package name="a"><sigs count="1"><cert index="3" key=""/></sigs></package></packages>`:                "without bytes",
		`<packages><package codePath="/x"/></packages>`:                                                                   "without a name",
		`<packages><package name="a" ft="never"/></packages>`:                                                             `"ft" is not a number`,
		`<packages><package name="a" userId="4294977296"/></packages>`:                                                    "does not fit 32 bits",
		`<packages><keyset-settings><keys><public-key identifier="1" value="*"/></keys></keyset-settings></packages>`:     "not base64",
		`<packages><package name="a"/></packages><packages>`:                                                              "file ends inside",
		`<packages><last-platform-version internal="22" external="x" fingerprint="f"/><package name="a"/></packages>`:     `"external" is not a number`,
		`<packages><package name="a"/>` + strings.Repeat(`<renamed-package new="" old=""/>`, maxXMLItems) + `</packages>`: "more than 200000 entries",
	} {
		db, err := PackagesXML([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: error %v, want %s", in, err, want)
		}
		if strings.Contains(in, `name="a"`) && (len(db.Packages) != 1 || db.Packages[0].Name != "a") {
			t.Errorf("%.80s: what is sound is lost", in)
		}
	}
}

func TestPackagesList(t *testing.T) {
	in := "com.a 10001 0 /data/user/0/com.a default:targetSdkVersion=34 3003,1015 0 42 1 @system\n" +
		"com.b 10002 1 /data/data/com.b platform none\n\nbad line\ncom.c x 0 /d\ncom.d 10004 0 /data/data/com.d default none 1 4294967301 0 org.example.store\n"
	got, bad := PackagesList([]byte(in))
	want := []PackageListEntry{
		{Name: "com.a", UID: 10001, DataPath: "/data/user/0/com.a", SEInfo: "default:targetSdkVersion=34", GIDs: []int{3003, 1015}, Profileable: true, Version: 42, Source: "@system", Line: 1},
		{Name: "com.b", UID: 10002, Debuggable: true, DataPath: "/data/data/com.b", SEInfo: "platform", Line: 2},
		{Name: "com.d", UID: 10004, DataPath: "/data/data/com.d", SEInfo: "default", ShellProfileable: true, Version: 4294967301, Source: "org.example.store", Line: 6},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(bad.List) != 2 || bad.List[0].Line != 4 || bad.List[1].Line != 5 {
		t.Errorf("complaints %v", bad.List)
	}
}

// checkXML compares what a parser gives for a sound fixture.
func checkXML[T any](t *testing.T, name string, parse func([]byte) (T, error), in string, want T) {
	t.Helper()
	got, err := parse([]byte(in))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
	}
}

func TestAndroidFileContents(t *testing.T) {
	checkXML(t, "restrictions", PackageRestrictionsXML, restrictionsFixture, UserPackages{
		Packages: []UserPackage{
			{Name: "org.example.reader", Stopped: true, NeverStarted: true, SuspendedBy: []string{"com.example.dpc"}, Enabled: 3, EnabledBy: "shell:0",
				Reason: 4, FirstInstall: 0x18c1a2b3c40, Disabled: []string{"org.example.A", "org.example.B"}, EnabledParts: []string{"org.example.C"}},
			{Name: "org.example.old", Installed: true, Hidden: true, Suspended: true, SuspendedBy: []string{"root"}, Instant: true, Harmful: "bad & worse", NoUninstall: true},
		},
		NoUninstall: []string{"com.example.dpc"}, Browser: "org.example.browser", Dialer: "org.example.dialer"})
	checkXML(t, "runtime 9", RuntimePermissionsXML, runtimeOldFixture, []RuntimeGrants{
		{Package: "org.example.reader", AppID: -1, Grants: []GrantEntry{{"android.permission.CAMERA", true, 0x20300}}},
		{Shared: "android.uid.phone", AppID: -1, Grants: []GrantEntry{{"android.permission.READ_SMS", false, 1}}}})
	checkXML(t, "runtime 11", RuntimePermissionsXML, runtimeNewFixture, []RuntimeGrants{
		{Package: "org.example.reader", AppID: -1, Grants: []GrantEntry{{"android.permission.CAMERA", true, 0x301}}},
		{Shared: "android.uid.phone", AppID: -1, Grants: []GrantEntry{{"android.permission.READ_SMS", false, 0x8000}}}})
	checkXML(t, "access", AccessABX, accessFixture, AccessState{
		Permissions: []RuntimeGrants{{AppID: 10123, Grants: []GrantEntry{{"android.permission.INTERNET", true, 1}, {"android.permission.CAMERA", true, 48},
			{"android.permission.RECORD_AUDIO", false, 1048624}, {"android.permission.READ_SMS", false, 262160}, {"android.permission.READ_LOGS", true, 4},
			{"android.permission.VIBRATE", false, 2}, {"android.permission.READ_CONTACTS", true, 1024}}}},
		Modes: []AppOpMode{{UID: 10123, User: -1, Op: -1, Name: "android:camera", Mode: 4},
			{Package: "org.example.reader", UID: -1, User: -1, Op: -1, Name: "android:system_alert_window"}}})
	checkXML(t, "roles", RolesXML, rolesFixture, []RoleEntry{{"android.app.role.SMS", []string{"org.example.sms"}}, {"android.app.role.ASSISTANT", nil}})
	checkXML(t, "appops 9", AppOpsXML, appOpsOldFixture, []AppOpMode{
		{Package: "org.example.reader", UID: 10123, User: -1, Op: 24, Name: "SYSTEM_ALERT_WINDOW", Mode: 1},
		{Package: "org.example.reader", UID: 10123, User: -1, Op: 26, Name: "CAMERA", Mode: -1, Accessed: 1500000000000, Rejected: 1400000000000},
		{Package: "org.example.reader", UID: 10123, User: -1, Op: 27, Name: "RECORD_AUDIO", Mode: -1, Accessed: 1600000000001, Rejected: 9}})
	checkXML(t, "appops 14", AppOpsXML, appOpsNewFixture, []AppOpMode{
		{UID: 10123, User: -1, Op: 43, Name: "GET_USAGE_STATS"},
		{Package: "org.example.reader", UID: 10123, User: -1, Op: 26, Name: "CAMERA", Mode: -1, Accessed: 1700000000000, Rejected: 1700000000005},
		{Package: "org.example.reader", UID: 10123, User: -1, Op: 0, Name: "COARSE_LOCATION", Mode: 4, Accessed: 1700000000007},
		{Package: "org.example.reader", UID: -1, User: 10, Op: 66, Name: "REQUEST_INSTALL_PACKAGES"},
		{Package: "org.example.reader", UID: -1, User: 10, Op: 9999, Mode: 1}})
	checkXML(t, "settings", SettingsXML, settingsFixture, []SettingEntry{
		{Name: "adb_enabled", Value: "1", Set: true, Package: "com.android.settings", Default: "0", FromSystem: true},
		{Name: "device_name", Value: "X\nY\U0001F84A", Set: true, Package: "android", Default: "A"},
		{Name: "none", Package: "android"}, {Name: "null", Value: "null", Set: true, Package: "android"},
		{Name: "empty", Set: true, Package: "android"}})
	checkXML(t, "settings 6", SettingsXML, settingsOldFixture, []SettingEntry{{Name: "http_proxy", Package: "android"}})
	checkXML(t, "userlist", UserListXML, userListFixture, UserList{Users: []int{0, 10}, Restrictions: []string{"no_config_wifi", "no_sms"}})
	checkXML(t, "user", UserXML, userFixture, UserEntry{ID: 10, Serial: 10, Flags: 4144, Type: "android.os.usertype.profile.MANAGED", Created: 1700000000000,
		LastLoggedIn: 1700000001000, Parent: 0, Removing: true, Restrictions: []string{"no_install_unknown_sources"},
		Policy: []string{"no_debugging_features", "no_config_vpn"}})
	checkXML(t, "policies", DevicePoliciesXML, policiesFixture, PolicyFile{
		Admins: []PolicyAdmin{
			{Component: "com.example.dpc/.Receiver", Policies: 991, Restrictions: []string{"no_install_unknown_sources"}, TestOnly: true, PasswordQuality: 131072,
				PasswordLength: 6, Complexity: 196608, FailedWipe: 10, MaxTimeToLock: 300000, EncryptionAsked: true, CameraDisabled: true, CaptureDisabled: true,
				KeyguardDisabled: 24, GlobalProxy: true, NetworkLogging: true, AccessLimited: true, InputMethods: []string{"org.example.ime"},
				MeteredDisabled: []string{"org.example.m"}, Parent: true},
			{Component: "org.example.plain/org.example.plain.Admin", Policies: 8, PasswordQuality: -1, PasswordLength: -1, Complexity: -1, FailedWipe: -1,
				MaxTimeToLock: -1, KeyguardDisabled: -1}},
		Delegations: []PolicyDelegation{{"org.example.certs", "delegation-cert-install"}, {"org.example.net", "delegation-network-logging"}},
		ApprovedCAs: []string{"user:abc.0"}, OwnerCAs: []string{"user:def.0"}, LockTask: []string{"org.example.kiosk"}, Affiliation: []string{"acme"},
		Provisioned: 3, SetUp: true})
	checkXML(t, "device owner", OwnersXML, ownersFixture, PolicyOwners{SystemUpdate: "2", Owners: []OwnerEntry{
		{Device: true, User: 10, Package: "com.example.dpc", Component: "com.example.dpc/.Receiver", Type: 1}}})
	checkXML(t, "profile owner", OwnersXML, profileOwnerFixture, PolicyOwners{Owners: []OwnerEntry{
		{User: -1, Package: "com.example.dpc", Component: "com.example.dpc/.Receiver", Organization: true}}})
	checkXML(t, "device owner 5", OwnersXML, ownersOldFixture, PolicyOwners{Owners: []OwnerEntry{
		{Device: true, Package: "com.example.dpc"}, {User: 10, Package: "com.example.work", Component: "com.example.work/.R"}}})
	checkXML(t, "sessions", InstallSessionsXML, sessionsFixture, []SessionEntry{{ID: 1337, User: 10, Installer: "org.example.store", Initiator: "org.example.init",
		Originator: "org.example.orig", UpdateOwner: "org.example.owner", UID: 10123, Package: "org.example.new", Origin: "https://dl.example/new.apk",
		Referrer: "https://ref.example/", Created: 1700000000000, Updated: 1700000000001, CommittedAt: 1700000000002, Committed: true, Sealed: true,
		Staged: true, Failed: true, Flags: 4194354, Reason: 4, Source: 4, Parent: -1, Dir: "/data/app/vmdl1337.tmp", Granted: []string{"android.permission.READ_SMS"}}})
	checkXML(t, "compat", CompatXML, compatFixture, []CompatFileEntry{{135634846, "org.example.reader", false, "validated", 0, 0},
		{135634846, "org.example.later", true, "deferred", 0, 0}, {135634846, "org.example.reader", false, "raw", -1 << 63, 1<<63 - 1}})
}

func TestWifiConfigStore(t *testing.T) {
	plain := func(ssid, security string) SavedNetwork {
		return SavedNetwork{SSID: ssid, Security: security, AutoJoin: true, MACRandomization: -1, CreatorUID: -1}
	}
	wep, sae := plain("wep", "wep"), plain("sae", "wpa3")
	wep.Secret, sae.Secret, sae.WPA3 = true, true, true
	checkXML(t, "wifi", WifiConfigXML, wifiFixture, []SavedNetwork{
		{SSID: "Home & Co", Security: "wpa3", WPA3: true, Hidden: true, Secret: true, EverConnected: true, MACRandomization: 3, Creator: "org.example.wifi",
			CreatorUID: 10123, LastUpdater: "com.android.settings", Proxy: "static", ProxyHost: "proxy.example", ProxyPort: 8080, StaticIP: true, DNS: []string{"192.0.2.53"}},
		{SSID: "café", BSSID: "02:00:5e:00:53:01", Security: "enterprise", Secret: true, AutoJoin: true, MACRandomization: -1, CreatorUID: -1, Proxy: "pac",
			ProxyPAC: "http://pac.example/a.pac", EAP: "peap", Phase2: "mschapv2", CA: true, ServerName: true, Identity: true},
		wep, plain("free", "open"), plain("tkip", "wpa"), plain("owe", "owe"), sae, plain("?", "")})
	got, _ := WifiConfigXML([]byte(wifiFixture))
	if strings.Contains(fmt.Sprintf("%+v", got), "t0p-s3cret") {
		t.Error("a secret is kept")
	}
}

func TestUserXMLKeepsNoName(t *testing.T) {
	u, err := UserXML([]byte(userFixture))
	if s := fmt.Sprintf("%+v", u); err != nil || strings.Contains(s, "Alice") || strings.Contains(s, "alice") {
		t.Errorf("%v %s", err, s)
	}
}

func TestAdbFiles(t *testing.T) {
	raw := append([]byte{0x40}, make([]byte, 69)...)
	sum := sha256.Sum256(raw)
	keys, bad := AdbKeysFile([]byte(adbKeysFixture + "\nnot a key\n"))
	if len(keys) != 2 || keys[0].SHA256 != hex.EncodeToString(sum[:]) || keys[0].Host != "alice@laptop" || keys[1].SHA256 != "" || len(bad.List) != 1 || bad.List[0].Line != 3 {
		t.Fatalf("%+v %v", keys, bad.List)
	}
	if len(keys[0].MD5) != 47 || keys[0].MD5[2] != ':' || strings.ToUpper(keys[0].MD5) != keys[0].MD5 {
		t.Errorf("MD5 %q", keys[0].MD5)
	}
	for _, in := range []string{adbStoreFixture, adbStoreOldFixture} {
		got, _, err := AdbKeystoreXML([]byte(in))
		if err != nil || got[0].SHA256 != keys[0].SHA256 || got[0].LastConnection == 0 {
			t.Errorf("%v %+v", err, got)
		}
	}
	if got, networks, err := AdbKeystoreXML([]byte(adbStoreFixture)); err != nil || networks != 1 || len(got) != 1 {
		t.Errorf("%v %d networks, %d keys", err, networks, len(got))
	}
}

// FuzzAndroidFiles hands any bytes to every parser, and sees that a secret of a Wi-Fi file
// never comes out of it.
func FuzzAndroidFiles(f *testing.F) {
	files := xmlFiles()
	for i, file := range files {
		f.Add(byte(i), []byte(file.text))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		file := files[int(which)%len(files)]
		_, err := file.parse(b)
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
		PackagesList(b)
		AdbKeysFile(b)
	})
}
