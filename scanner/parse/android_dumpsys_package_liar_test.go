package parse

import (
	"slices"
	"strings"
	"testing"
)

// liarDump is a dump of three packages, the second of which chose the text as its version's name.
func liarDump(text string) string {
	entry := func(name, version string) string {
		return "  Package [" + name + "] (1a2b):\n    userId=10100\n    pkg=Package{1 " + name + "}\n    codePath=/data/app/" + name + "\n    versionCode=1 minSdk=1 targetSdk=1\n" +
			"    versionName=" + version + "\n    splits=[base]\n    flags=[ HAS_CODE ]\n    timeStamp=2019-06-16 18:20:00\n    signatures=PackageSignatures{1 version:2, signatures:[5a5a], past signatures:[]}\n" +
			"    pkgFlags=[ HAS_CODE ]\n    User 0: ceDataInode=1 installed=true hidden=false stopped=false enabled=0\n"
	}
	return "Packages:\n" + entry("com.example.first", "1") + entry("com.example.liar", text) + entry("com.example.victim", "1") +
		"\nHidden system packages:\n" + strings.ReplaceAll(entry("com.example.system", "1"), "/data/app", "/system/app") + "\nShared users:\n"
}

// An app's text may hold line ends, and so what looks like a title or an entry. It must not hide
// the packages behind it, nor make them part of the system.
func TestDumpsysPackageImitatedTitles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"1\nNothing that anybody knows:", "1\nHidden system packages:", "1\nQueries:\n  x", "1\nCompiler stats:", "1\nShared users:",
		"1\nHidden system packages:\n  Package [com.example.liar] (1):\n    codePath=/system/app/liar\n    pkgFlags=[ SYSTEM ]",
		"1\nDUMP OF SERVICE wifi:", "1\nPackages:", "1\nnot even a title",
	} {
		var c Complaints
		d, err := DumpsysPackage([]byte(liarDump(text)), &c)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		names := []string{}
		for _, p := range d.Packages {
			names = append(names, p.Name)
		}
		for _, want := range []string{"com.example.first", "com.example.liar", "com.example.victim"} {
			if !slices.Contains(names, want) {
				t.Errorf("%q: %s is not among the packages: %q", text, want, names)
			}
		}
		for _, p := range d.Hidden {
			if p.Name != "com.example.system" {
				t.Errorf("%q: %s counts as hidden by an update of the system", text, p.Name)
			}
		}
		for _, p := range d.Packages {
			if doubted := len(p.Conflicts) > 0; doubted != (p.Name == "com.example.liar") {
				t.Errorf("%q: conflicts of %s: %q", text, p.Name, p.Conflicts)
			}
		}
	}
}

// What the service prints last of a package are users and permissions. Their names are text of
// apps too, and an imitated user may say how the app was installed.
func TestDumpsysPackageImitatedUsers(t *testing.T) {
	t.Parallel()
	d, err := DumpsysPackage([]byte(liarDump("1\n    User 77: installed=true\n      installReason=3")), nil)
	if err != nil || len(d.Packages) != 3 {
		t.Fatalf("%+v, %v", d, err)
	}
	p := d.Packages[1]
	if len(p.Users) != 1 || p.Users[0].ID != 0 || len(p.Conflicts) == 0 {
		t.Errorf("%+v", p)
	}
	// A permission of one's own can have such a name, and is granted when the app is installed.
	text := strings.Replace(liarDump("1"), "enabled=0\n  Package [com.example.victim]",
		"enabled=0\n    install permissions:\n      x\n    installerPackageName=com.android.vending\n    pkgFlags=[ SYSTEM ]: granted=true\n  Package [com.example.victim]", 1)
	d, err = DumpsysPackage([]byte(text), nil)
	if err != nil || len(d.Packages) != 3 {
		t.Fatalf("%d packages, %v", len(d.Packages), err)
	}
	if p := d.Packages[1]; len(p.Conflicts) == 0 {
		t.Errorf("%+v", p)
	}
}
