package parse

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sharedBugreport gives the main text of the Android 9 emulator's bugreport below the folder that
// PICKET_SHARED_DATA names.
func sharedBugreport(t *testing.T) []byte {
	t.Helper()
	if os.Getenv("PICKET_SHARED_DATA") == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of recordings")
	}
	z, err := zip.OpenReader(filepath.Join(os.Getenv("PICKET_SHARED_DATA"), "android/bugreports/emulator-a9-bugreport.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if strings.HasPrefix(f.Name, "bugreport-") {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b, err := io.ReadAll(io.LimitReader(r, 64<<20))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatal("no main text in the bugreport")
	return nil
}

// lastSection gives the text behind the last heading, up to the next one.
func lastSection(t *testing.T, b []byte, heading, next string) []byte {
	t.Helper()
	at := bytes.LastIndex(b, []byte("\n"+heading))
	if at < 0 {
		t.Fatalf("no %s", heading)
	}
	b = b[at+1+len(heading):]
	if end := bytes.Index(b, []byte("\n"+next)); end >= 0 {
		b = b[:end]
	}
	return b
}

// TestAndroid9Bugreport compares what the parsers find in a real recording with what was counted
// in it by hand.
func TestAndroid9Bugreport(t *testing.T) {
	t.Parallel()
	report := sharedBugreport(t)
	service := func(name string) []byte {
		return lastSection(t, report, "DUMP OF SERVICE "+name+":", "DUMP OF SERVICE ")
	}
	command := func(title string) []byte { return lastSection(t, report, "------ "+title, "------ ") }
	rows := func(what string, got, want int, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: %d, want %d (%v)", what, got, want, err)
		}
	}
	ops, err := AppOps(service("appops"))
	rows("app ops", len(ops), 190, err)
	settings, err := SettingsDump(service("settings"))
	rows("settings", len(settings), 192, err)
	admins, err := DevicePolicies(service("device_policy"))
	rows("device admins", len(admins.Admins), 1, err)
	adb, err := AdbDump(service("usb"))
	rows("adb keys", len(adb.Keys), 1, err)
	users, err := AndroidUsers(service("user"))
	rows("users", len(users), 1, err)
	readers, err := NotificationReaders(service("notification"))
	rows("notification listeners", len(readers.Listeners), 3, err)
	updates, err := BatteryUpdates(service("batterystats"))
	rows("package updates", len(updates), 6, err)
	networks, err := Connectivities(service("connectivity"))
	rows("networks", len(networks.Networks), 2, err)
	wifi, err := WiFiDump(service("wifi"))
	rows("kept Wi-Fi networks", len(wifi.Saved), 1, err)
	if wifi.Current == nil || wifi.Current.Security != "open" {
		t.Errorf("Wi-Fi in use: %+v", wifi.Current)
	}
	processes, err := ActivityProcesses(service("activity"))
	rows("processes", len(processes), 21, err)
	services, err := ActivityServices(service("activity"))
	rows("services", len(services), bytes.Count(lastSection(t, service("activity"), "ACTIVITY MANAGER SERVICES", "ACTIVITY MANAGER "), []byte("\n  * ServiceRecord{")), err)
	databases, err := Databases(service("dbinfo"))
	rows("databases", len(databases), bytes.Count(service("dbinfo"), []byte("\nConnection pool for ")), err)
	exempt, err := PowerExemptions(service("deviceidle"))
	rows("power exemptions", len(exempt), 11, err)
	rules, bad := IPRules(command("IP RULES ("))
	rows("rules", len(rules), 15, nil)
	near, bad2 := IPNeighbours(command("IPv6 ND CACHE ("))
	rows("neighbours", len(near), 6, nil)
	ifs, bad3 := IPAddrs(command("NETWORK INTERFACES ("))
	rows("interfaces", len(ifs), 7, nil)
	t.Log(bad, bad2, bad3) // each has the rest of its heading
	for _, name := range []string{"accessibility", "trust", "webviewupdate", "media_projection", "mount", "telephony.registry", "isub", "jobscheduler", "usagestats", "diskstats", "netstats"} {
		if ServiceCut(service(name)) || ServiceRefusal(service(name)) != nil {
			t.Errorf("%s is said to be cut or refused", name)
		}
	}
}
