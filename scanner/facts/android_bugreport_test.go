package facts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// rowsOf gives a table's rows.
func rowsOf[T any](t *testing.T, f *scanner.Facts, table string) []T {
	t.Helper()
	rows, ok := f.Tables[table].Rows.([]T)
	if !ok {
		t.Errorf("%s: absent: %s", table, f.Tables[table].Absent)
	}
	return rows
}

// TestEmulatorBugreport compares the tables with what was read in the report by hand, and with
// those of a recording.
func TestEmulatorBugreport(t *testing.T) {
	t.Parallel()
	if os.Getenv("PICKET_SHARED_DATA") == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of recordings")
	}
	dev, err := device.Open(t.Context(), filepath.Join(os.Getenv("PICKET_SHARED_DATA"), "android/bugreports/emulator-a9-bugreport.zip"), device.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := scanPowers(t, dev)
	t.Log(tell(t, f))
	rec := device.NewRecorder(dev, device.RecordOptions{Redact: facts.Redact})
	if got, want := tell(t, scanPowers(t, rec)), tell(t, f); got != want {
		t.Errorf("the recorder gives other tables:\n%s", firstDifference(got, want))
	}
	if on := rowsOf[facts.AccessibilityService](t, f, "accessibility_services"); len(on) > 0 && on[0].Enabled {
		t.Errorf("a service is on: %+v", on[0])
	}
	users := rowsOf[facts.AndroidUser](t, f, "android_users")
	if len(users) != 1 || users[0].Type != "system" || !users[0].Running {
		t.Errorf("users %+v", users)
	}
	networks := rowsOf[facts.AndroidNetwork](t, f, "android_networks")
	if len(networks) == 0 || networks[0].Transport != "wifi" || networks[0].Gateway != "192.168.232.1" || strings.Join(networks[0].DNS, " ") != "fec0::3 10.0.2.3" || !networks[0].Default {
		t.Errorf("networks %+v", networks)
	}
	gateway := false
	for _, n := range rowsOf[facts.AndroidNeighbour](t, f, "android_neighbours") {
		gateway = gateway || n.Address == "192.168.232.1" && n.Gateway && n.MAC == "02:15:b2:00:01:00"
	}
	if !gateway {
		t.Error("the gateway is not among the neighbours")
	}
	tunnels := map[string]bool{}
	for _, r := range rowsOf[facts.AndroidTunnel](t, f, "android_tunnels") {
		if !r.Carrier || r.Up {
			t.Errorf("%+v is the kernel's own and off", r)
		}
		tunnels[r.Interface] = true
	}
	for _, name := range []string{"ip_vti0", "ip6_vti0", "sit0", "ip6tnl0"} {
		if !tunnels[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if agents := rowsOf[facts.TrustAgent](t, f, "trust_agents"); len(agents) != 0 {
		t.Errorf("trust agents %+v", agents)
	}
}
