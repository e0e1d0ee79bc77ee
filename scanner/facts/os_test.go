package facts

import (
	"context"
	"strings"
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

// A system always has a name: reports, bills of materials and events need one.
func TestOSHasAName(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{
		"ID=acme\nNAME=Acme\nPRETTY_NAME=\"Acme 4\"\n": "Acme 4",
		"ID=acme\nNAME=Acme\n":                         "Acme",
		"ID=acme\nVERSION_ID=4\n":                      "acme",
		"VERSION_ID=4\n":                               "Linux",
	} {
		rows, _ := collectFrom(t, osCollector(), "-- etc/os-release --\n"+release).Rows.([]scanner.OS)
		if len(rows) != 1 || rows[0].Name != want {
			t.Errorf("%q: %+v, not %q", release, rows, want)
		}
	}
}

func TestOSWithoutAnyReleaseFileIsAbsent(t *testing.T) {
	t.Parallel()
	if tab := collectFrom(t, osCollector(), "-- etc/passwd --\n"); tab.Absent == "" {
		t.Error("a tree without release files must have no os row")
	}
}

// liveRoot is a live device that Docker left its mark on, with its mount of /.
func liveRoot(mount string, root ...string) string {
	return "live: yes\n-- etc/os-release --\nID=debian\n-- .dockerenv --\n-- proc/self/mountinfo --\n1 0 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 " +
		strings.Join(append(root, "/")[:1], "") + " / rw - " + mount + "\n"
}

func TestProfileIsGuessedOnlyFromClearSigns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ tree, want string }{
		"desktop":                        {"-- etc/os-release --\nID=debian\n-- etc/systemd/system/display-manager.service --\n-- usr/lib/systemd/systemd --\n", "workstation"},
		"phone shell":                    {"-- etc/os-release --\nID=debian\n-- usr/bin/phosh --\n", "phone"},
		"chassis":                        {"-- etc/os-release --\nID=debian\n-- etc/machine-info --\nCHASSIS=handset\n", "phone"},
		"no kernel, init":                {"-- etc/os-release --\nID=debian\n", "container-image"},
		"left over in a machine's image": {"-- etc/os-release --\nID=debian\n-- .dockerenv --\n-- boot/vmlinuz-6.1 --\n-- etc/systemd/system/display-manager.service --\n", "workstation"},
		"boot loader":                    {"-- etc/os-release --\nID=debian\n-- .dockerenv --\n-- boot/grub/grub.cfg --\n-- usr/bin/cage --\n", "kiosk"},
		"units that start":               {"-- etc/os-release --\nID=debian\n-- .dockerenv --\n-- usr/lib/systemd/systemd --\n-- etc/systemd/system/multi-user.target.wants/x.service --\n-- usr/bin/phosh --\n", "phone"},
		"services that start":            {"-- etc/os-release --\nID=alpine\n-- .dockerenv --\n-- sbin/openrc --\n-- etc/runlevels/default/sshd --\n-- usr/bin/phosh --\n", "phone"},
		"container of docker":            {"-- etc/os-release --\nID=debian\n-- .dockerenv --\n-- usr/bin/phosh --\n", "container-image"},
		"container with an idle init":    {"-- etc/os-release --\nID=fedora\n-- run/.containerenv --\n-- usr/lib/systemd/systemd --\n", "container-image"},
		"live container":                 {liveRoot("overlay overlay rw,lowerdir=/l"), "container-image"},
		"live container, directory":      {liveRoot("ext4 /dev/vda1 rw", "/var/lib/docker/vfs/dir/1"), "container-image"},
		"live container by its group":    {liveRoot("ext4 /dev/vda1 rw") + "-- proc/1/cgroup --\n0::/system.slice/docker-" + strings.Repeat("0a", 32) + ".scope\n", "container-image"},
		"live, no mounts told":           {"live: yes\n-- etc/os-release --\nID=debian\n-- .dockerenv --\n", "container-image"},
		"live machine":                   {liveRoot("ext4 /dev/vda1 rw"), ""},
		"live machine from a subvolume":  {liveRoot("btrfs /dev/vda1 rw", "/@") + "-- proc/2/comm --\nkthreadd\n", ""},
		"live medium":                    {liveRoot("overlay overlay rw,lowerdir=/l") + "-- lib/modules/6.1/modules.dep --\n", ""},
		"unsure":                         {"-- etc/os-release --\nID=debian\n-- lib/modules/6.1.0/modules.dep --\n-- usr/lib/systemd/systemd --\n", ""},
	} {
		tab := collectFrom(t, osCollector(), tc.tree)
		if got := tab.Rows.([]scanner.OS)[0].Profile; got != tc.want {
			t.Errorf("%s: profile %q, want %q", name, got, tc.want)
		}
	}
}
