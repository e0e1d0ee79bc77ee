package facts

import (
	"strings"
	"testing"
)

// An app with the short hash of the platform's certificate, which anybody can make a certificate
// for, is no preload when it came on its own, long after the device was set up.
func TestWhoVouchesForAnApp(t *testing.T) {
	t.Parallel()
	const data, id, code = "codePath=/data/app/~~x==/p-y==", "userId=10100", "versionCode=7 minSdk=21 targetSdk=29"
	const flags = "flags=[ HAS_CODE ]"
	const early, late = "firstInstallTime=2021-01-02 10:00:00", "firstInstallTime=2021-05-02 10:00:00"
	others := dumped("com.example.other", "userId=10150", data, code, early, "installerPackageName=com.android.vending", signers("5a5a"))
	ota := dumped("com.maker.new", "userId=10151", "codePath=/product/app/new", code, "flags=[ SYSTEM ]", "firstInstallTime=2021-05-01 20:00:00", signers("5a5b"))
	maker := dumped("com.maker.setup", "userId=10152", "codePath=/product/app/setup", code, "flags=[ SYSTEM ]", signers("5a5c")) +
		dumped("com.maker.packageinstaller", "userId=10153", "codePath=/product/app/pi", code, "flags=[ SYSTEM ]", signers("5a5c"))
	hidden := "\nHidden system packages:\n" + dumped("com.example.updated", "codePath=/product/app/u", "pkgFlags=[ SYSTEM ]") + "\nShared users:\n"
	for _, c := range []struct {
		name, source, signer string
		lines                []string
		more, further        string
	}{
		{"a preload of the first day", "preload", "platform", []string{flags, early, signers(platformSigner)}, others, ""},
		{"a preload that an update of the system brought", "preload", "platform", []string{flags, late, signers(platformSigner)}, others + ota, ""},
		{"the platform's short hash, long after", "adb", "own", []string{flags, late, signers(platformSigner)}, others, ""},
		{"the platform's short hash, by a cable", "adb", "own", []string{flags, early, "initiatingPackageName=com.android.shell", signers(platformSigner)}, others, ""},
		{"the platform's short hash, by another app", "app", "own", []string{flags, late, "installerPackageName=com.example.dropper", signers(platformSigner)}, others, ""},
		{"the platform's short hash, from a maker's store", "oem_store", "platform", []string{flags, late, "installerPackageName=com.sec.android.app.samsungapps", signers(platformSigner)}, others, ""},
		{"the platform's short hash, and debuggable", "adb", "own", []string{"flags=[ HAS_CODE DEBUGGABLE ]", early, signers(platformSigner)}, others, ""},
		{"as if set up, long after", "adb", "own", []string{flags, late, signers(ownSigner), "User 0: installed=true enabled=0", "  installReason=3"}, others, ""},
		{"as it was set up", "preload", "own", []string{flags, early, signers(ownSigner), "User 0: installed=true enabled=0", "  installReason=3"}, others, ""},
		{"the flags of an updated part of the system, of which there is no older one", "adb", "own", []string{"flags=[ SYSTEM UPDATED_SYSTEM_APP ]", late, signers(ownSigner)}, others, hidden},
		{"an updated part of the system", "system", "own", []string{"flags=[ SYSTEM UPDATED_SYSTEM_APP ]", late, signers(ownSigner)}, others, strings.ReplaceAll(hidden, "com.example.updated", "com.example.app")},
		{"flags that stand twice", "app", "", []string{flags, early, signers(ownSigner), "flags=[ SYSTEM ]"}, others, ""},
		{"an installer among the permissions", "app", "own", []string{"splits=[base]", flags, early, signers(ownSigner), "install permissions:", "  x", "installerPackageName=com.android.vending"}, others, ""},
		{"another's entry in its version", "app", "", []string{"versionName=1\n  Package [com.example.decoy] (1):", "flags=[ HAS_CODE ]", signers(ownSigner)}, others, ""},
		{"by a maker's own installer", "installer", "own", []string{flags, late, "installerPackageName=com.maker.packageinstaller", signers(ownSigner)}, others + maker, ""},
		{"by a maker's service", "preload", "own", []string{flags, late, "installerPackageName=com.maker.setup", "initiatingPackageName=com.maker.setup", signers(ownSigner)}, others + maker, ""},
		{"as if by a maker's service", "app", "own", []string{flags, late, "installerPackageName=com.maker.setup", "initiatingPackageName=com.example.dropper", signers(ownSigner)}, others + maker, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := appsOf(t, phone(dumped("com.example.app", append([]string{id, data, code, "versionName=1"}, c.lines...)...)+c.more, c.further))["com.example.app"]
			if a.Source != c.source || a.SignerKind != c.signer {
				t.Errorf("source %q, signer %q; want %q, %q", a.Source, a.SignerKind, c.source, c.signer)
			}
			if want := c.source == "adb" || c.source == "app"; a.Sideloaded != (want || c.source == "installer") || a.System != (c.source == "system") {
				t.Errorf("sideloaded %v, system %v", a.Sideloaded, a.System)
			}
			if why := a.Unread.Unread["system"] + a.Unread.Unread["sideloaded"]; why != "" {
				t.Errorf("unread: %s", why)
			}
		})
	}
}
