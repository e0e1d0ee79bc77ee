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

// sharedAndroid gives the folder of recorded Android devices, or skips.
func sharedAndroid(t *testing.T) string {
	t.Helper()
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of recorded devices")
	}
	return filepath.Join(data, "android")
}

// countLines counts the lines that a test accepts, without any of the parsers.
func countLines(text string, accept func(line string) bool) (n int) {
	for line := range strings.Lines(text) {
		if accept(strings.TrimRight(line, " \r\n")) {
			n++
		}
	}
	return n
}

func sectionText(t *testing.T, text string, d *Dumpstate, source string) []byte {
	t.Helper()
	for _, s := range d.Sections {
		if s.Source() == source {
			return []byte(text[s.Offset : s.Offset+s.Length])
		}
	}
	t.Fatalf("no section %s", source)
	return nil
}

// TestSharedBugreport compares a real bug report of Android 9 with plain counts of its lines.
func TestSharedBugreport(t *testing.T) {
	t.Parallel()
	z, err := zip.OpenReader(filepath.Join(sharedAndroid(t), "bugreports", "emulator-a9-bugreport.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var text string
	for _, f := range z.File {
		if strings.HasPrefix(f.Name, "bugreport-") && strings.HasSuffix(f.Name, ".txt") {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
	}
	d, err := IndexDumpstate(strings.NewReader(text))
	if err != nil || !d.Done || d.Header.Time != "2019-08-15 15:08:46" || d.Header.FormatVersion != "2.0" {
		t.Fatalf("%+v, %v", d.Header, err)
	}
	titles := countLines(text, func(l string) bool {
		return strings.HasPrefix(l, "DUMP OF SERVICE ") || strings.HasPrefix(l, "------ ") && strings.HasSuffix(l, " ------") && !strings.Contains(l, "was the duration of")
	})
	if len(d.Sections) != titles {
		t.Errorf("%d sections, the text has %d titles", len(d.Sections), titles)
	}
	for _, s := range d.Sections {
		if s.Service != "" && !s.Complete {
			t.Errorf("%+v", s)
		}
	}

	var c Complaints
	section := sectionText(t, text, d, "dumpsys/package")
	p, err := DumpsysPackage(section, &c)
	if err != nil || len(c.List) > 0 {
		t.Fatalf("%v, %v", err, c.List)
	}
	lines := func(prefix string) int {
		return countLines(string(section), func(l string) bool { return strings.HasPrefix(l, prefix) })
	}
	if n := lines("  Package ["); len(p.Packages) != n || n != 110 {
		t.Errorf("%d packages, the text has %d", len(p.Packages), n)
	}
	if n := lines("  SharedUser ["); len(p.SharedUsers) != n {
		t.Errorf("%d shared users, the text has %d", len(p.SharedUsers), n)
	}
	if n := lines("  Permission ["); len(p.Permissions) != n {
		t.Errorf("%d permissions, the text has %d", len(p.Permissions), n)
	}
	grants, components := 0, 0
	for _, h := range holders(p) {
		grants += len(h.Install)
		for _, u := range h.Users {
			grants += len(u.Runtime)
			components += len(u.Disabled) + len(u.EnabledParts)
		}
	}
	if n := countLines(string(section), func(l string) bool { return strings.Contains(l, ": granted=") }); grants != n {
		t.Errorf("%d grants, the text has %d", grants, n)
	}
	if components == 0 {
		t.Error("no components that are enabled or disabled")
	}
	for _, pkg := range p.Packages {
		if len(pkg.Conflicts) > 0 || !pkg.Code || pkg.AppID < 1000 || pkg.CodePath == "" || pkg.TargetSDK == 0 || len(pkg.Signers) != 1 || len(pkg.Users) != 1 {
			t.Errorf("%+v", pkg)
		}
	}

	rows, err := Ps(sectionText(t, text, d, "ps"), false, &c)
	if err != nil || len(c.List) > 0 {
		t.Fatalf("%v, %v", err, c.List)
	}
	comparePs(t, rows, string(sectionText(t, text, d, "ps")), 2, 3)
	props := Getprop(sectionText(t, text, d, "getprop"), &c)
	if n := countLines(string(sectionText(t, text, d, "getprop")), func(l string) bool { return strings.HasPrefix(l, "[") }); len(props) != n || len(c.List) > 0 {
		t.Errorf("%d properties, the text has %d; %v", len(props), n, c.List)
	}
}

func holders(p *PackageDump) (out []PermissionHolder) {
	for _, pkg := range p.Packages {
		out = append(out, pkg.PermissionHolder)
	}
	for _, su := range p.SharedUsers {
		out = append(out, su.PermissionHolder)
	}
	return out
}

// comparePs counts lines and processes of a listing whose PID and TID stand in the given words.
func comparePs(t *testing.T, rows []PsRow, text string, pid, tid int) {
	t.Helper()
	lines, processes := 0, 0
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 5 && f[pid] != "PID" {
			lines++
			if f[pid] == f[tid] {
				processes++
			}
		}
	}
	got := 0
	for _, r := range rows {
		if r.Process() {
			got++
		}
		if r.UID < 0 && r.User != "" {
			t.Errorf("the user of %+v", r)
		}
	}
	if len(rows) != lines || pid != tid && got != processes {
		t.Errorf("%d rows and %d processes, the text has %d and %d", len(rows), got, lines, processes)
	}
}

func TestSharedDumpstates(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(sharedAndroid(t), "dumpstate")
	for name, want := range map[string]struct{ pid, tid int }{"emulator_api34.minimized.dump": {2, 3}, "emulator_nougat.minimized.with-time-travel.dump": {2, 2}, "galaxy_nexus_jbmr2.minimized.dump": {1, 1}} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		d, err := IndexDumpstate(bytes.NewReader(b))
		if err != nil || d.Header.Time == "" || d.Header.Fingerprint == "" {
			t.Fatalf("%s: %+v, %v", name, d.Header, err)
		}
		listed := map[int]bool{} // process ids of the listings without and with threads
		for _, s := range d.Sections {
			if s.Source() != "ps" {
				continue
			}
			var c Complaints
			text := b[s.Offset : s.Offset+s.Length]
			threads := strings.Contains(s.Command, "-t")
			rows, err := Ps(text, threads, &c)
			if err != nil || len(c.List) > 0 {
				t.Fatalf("%s: %v, %v", name, err, c.List)
			}
			comparePs(t, rows, string(text), want.pid, want.tid)
			processes := 0
			for _, r := range rows {
				if r.Process() {
					processes++
					if threads && len(listed) > 0 && !listed[r.PID] && r.Name != "ps" {
						t.Errorf("%s: %+v is no process in the listing without threads", name, r)
					}
				}
			}
			t.Logf("%s: %s: %d rows, %d processes", name, s.Command, len(rows), processes)
			if !threads {
				for _, r := range rows {
					listed[r.PID] = true
				}
			}
		}
	}
}
