package facts

import (
	"context"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// collectFrom runs one collector over a tree written as txtar.
func collectFrom(t *testing.T, c scanner.Collector, tree string, needs ...*scanner.Table) scanner.Table {
	t.Helper()
	dev, err := device.Txtar([]byte(tree))
	if err != nil {
		t.Fatal(err)
	}
	in := &scanner.Input{Device: dev, Tables: map[string]*scanner.Table{}, Options: &scanner.Options{Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}}
	for _, n := range needs {
		in.Tables[n.Name] = n
	}
	return c.Collect(context.Background(), in)
}

func TestOSIsToldFromItsOwnFiles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tree string
		want scanner.OS
	}{
		"debian point release": {"-- etc/os-release --\nID=debian\nVERSION_ID=\"12\"\n-- etc/debian_version --\n12.7\n",
			scanner.OS{ID: "debian", Version: "12.7", SupportEnd: "2026-06-10", LTSEnd: "2028-06-30", DaysPast: 144, LTSPast: -607}},
		"alpine without os-release": {"-- etc/alpine-release --\n3.11.5\n",
			scanner.OS{ID: "alpine", Version: "3.11.5", SupportEnd: "2021-11-01", DaysPast: 1826}},
		"the release says its own end": {"-- etc/os-release --\nID=acme\nVERSION_ID=4\nSUPPORT_END=2026-12-01\n",
			scanner.OS{ID: "acme", Version: "4", SupportEnd: "2026-12-01", DaysPast: -30}},
		"openwrt is a router": {"-- etc/os-release --\nID=openwrt\nVERSION_ID=\"19.07.10\"\n-- etc/openwrt_release --\nDISTRIB_REVISION='r11427'\n",
			scanner.OS{ID: "openwrt", Version: "19.07.10", Build: "r11427", SupportEnd: "2022-04-30", DaysPast: 1646, Profile: "router"}},
		"rolling": {"-- etc/os-release --\nID=arch\n", scanner.OS{ID: "arch", Rolling: true}},
		"a prefix of a number is no release": {"-- etc/os-release --\nID=alpine\nVERSION_ID=3.1\n",
			scanner.OS{ID: "alpine", Version: "3.1", SupportEnd: "2016-11-01", DaysPast: 3652}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tab := collectFrom(t, osCollector(), tc.tree)
			rows, _ := tab.Rows.([]scanner.OS)
			if len(rows) != 1 {
				t.Fatalf("rows: %v, absent %q", rows, tab.Absent)
			}
			got := rows[0]
			if tc.want.Profile == "" {
				got.Profile = ""
			}
			got.Where, got.AgeDays, got.Name, got.Arch = "", 0, "", ""
			if got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestOSWithoutAnyReleaseFileIsAbsent(t *testing.T) {
	t.Parallel()
	if tab := collectFrom(t, osCollector(), "-- etc/passwd --\n"); tab.Absent == "" {
		t.Error("a tree without release files must have no os row")
	}
}

func TestProfileIsGuessedOnlyFromClearSigns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ tree, want string }{
		"desktop":         {"-- etc/os-release --\nID=debian\n-- etc/systemd/system/display-manager.service --\n-- usr/lib/systemd/systemd --\n", "workstation"},
		"phone shell":     {"-- etc/os-release --\nID=debian\n-- usr/bin/phosh --\n", "phone"},
		"chassis":         {"-- etc/os-release --\nID=debian\n-- etc/machine-info --\nCHASSIS=handset\n", "phone"},
		"no kernel, init": {"-- etc/os-release --\nID=debian\n", "container-image"},
		"unsure":          {"-- etc/os-release --\nID=debian\n-- lib/modules/6.1.0/modules.dep --\n-- usr/lib/systemd/systemd --\n", ""},
	} {
		tab := collectFrom(t, osCollector(), tc.tree)
		if got := tab.Rows.([]scanner.OS)[0].Profile; got != tc.want {
			t.Errorf("%s: profile %q, want %q", name, got, tc.want)
		}
	}
}
