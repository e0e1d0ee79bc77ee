package facts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// powerTables are the tables of what apps and people may do on Android, and of its networks.
var powerTables = []string{"accessibility_services", "device_admins", "notification_listeners", "keyboards", "default_apps", "trust_agents", "app_ops",
	"screen_captures", "vpns", "app_events", "android_users", "android_networks", "android_proxies", "android_cas", "android_neighbours", "android_tunnels", "android_hosts", "wifi_profiles"}

func scanPowers(t *testing.T, dev scanner.Device) *scanner.Facts {
	t.Helper()
	r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Tables: powerTables})
	if err != nil {
		t.Fatal(err)
	}
	return r.Facts
}

// tell writes tables as lines: what is missing first, then the rows.
func tell(t *testing.T, f *scanner.Facts) string {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, name := range powerTables {
		table := f.Tables[name]
		fmt.Fprintf(&out, "-- %s\n", name)
		if table.Absent != "" {
			fmt.Fprintln(&out, "absent:", table.Absent)
			continue
		}
		for _, gap := range table.Partial {
			fmt.Fprintln(&out, "partial:", gap)
		}
		for i := range reflect.ValueOf(table.Rows).Len() {
			row := reflect.ValueOf(table.Rows).Index(i)
			fmt.Fprintf(&out, "%s: ", row.FieldByName("Where"))
			if err := enc.Encode(row.Interface()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out.String()
}

// TestPowerTablesHoldWhatIsThere compares every row of three devices with golden files, which
// are read by people before they are accepted.
func TestPowerTablesHoldWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"android-powers-14", "android-powers-9", "android-powers-tree"} {
		b, err := os.ReadFile("testdata/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		dev, err := device.Txtar(b)
		if err != nil {
			t.Fatal(err)
		}
		text := tell(t, scanPowers(t, dev))
		golden := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		got, wanted := strings.Split(text, "\n"), strings.Split(string(want), "\n")
		for i, line := range got {
			if i >= len(wanted) || line != wanted[i] {
				t.Errorf("%s: line %d is\n%s\nwant\n%s", name, i+1, line, append(wanted, make([]string, len(got))...)[i])
				break
			}
		}
		if len(got) != len(wanted) {
			t.Errorf("%s: %d lines, want %d", name, len(got), len(wanted))
		}
		for _, word := range []string{"Private", "private ", "deadbeef", "Anna", "secretword", "privatepass"} {
			if strings.Contains(strings.ReplaceAll(text, `"name":"Private clinic"`, ""), word) { // a network with a proxy is named
				t.Errorf("%s: rows hold %q, which is personal", name, word)
			}
		}
	}
}
