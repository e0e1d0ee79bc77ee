package device

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
)

// dumpText is a small bugreport's main text.
const dumpText = `========================================================
== dumpstate: 2021-03-04 05:06:07
========================================================

Build: SQ1A.210205.004
Build fingerprint: 'maker/phone/phone:11/SQ1A.210205.004/1:user/release-keys'
Command line: androidboot.slot_suffix=_a

------ UPTIME (uptime) ------
 05:06:07 up 1 day
------ 0.010s was the duration of 'UPTIME' ------
------ SYSTEM PROPERTIES (getprop) ------
[ro.build.version.sdk]: [30]
[ro.build.version.security_patch]: [2021-02-05]
------ 0.020s was the duration of 'SYSTEM PROPERTIES' ------
------ PACKAGE SETTINGS (/data/system/packages.xml: 2021-03-01 10:00:00) ------
<packages></packages>
------ 0.001s was the duration of 'PACKAGE SETTINGS' ------
-------------------------------------------------------------------------------
DUMP OF SERVICE package:
Packages:
  Package [com.example.app] (1234567):
    userId=10100
--------- 0.1s was the duration of dumpsys package, ending at: 2021-03-04 05:06:08
-------------------------------------------------------------------------------
DUMP OF SERVICE HIGH adb:
*** SERVICE 'adb' DUMP TIMEOUT (10000ms) EXPIRED ***
--------- 10.0s was the duration of dumpsys adb, ending at: 2021-03-04 05:06:18
========================================================
== dumpstate: done (id 1)
========================================================
`

type part struct{ name, content string }

func zipFiles(t *testing.T, method uint16, files ...part) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		e, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func folder(t *testing.T, files ...part) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func written(t *testing.T, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func said(t *testing.T, d scanner.Device, s scanner.Source) string {
	t.Helper()
	b, err := d.Probe(t.Context(), s)
	if err != nil {
		t.Errorf("%s: %v", s, err)
	}
	return string(b)
}

func TestBugreportsOfEveryForm(t *testing.T) {
	t.Parallel()
	const name = "bugreport-phone-2021-03-04.txt"
	files := []part{{"version.txt", "2.0"}, {"main_entry.txt", name}, {name, dumpText}, {"dumpstate_log.txt", "log"},
		{"FS/data/tombstones/tombstone_00", "*** ***"}}
	var unnamed, samsung []part
	for _, f := range files {
		if f.name != "main_entry.txt" {
			unnamed = append(unnamed, part{"report/" + f.name, f.content})
		}
		if f.name == name {
			f.name = "dumpState_G900.log"
		}
		if f.name != "main_entry.txt" {
			samsung = append(samsung, f)
		}
	}
	forms := map[string]string{
		"zip":                       written(t, "a.zip", zipFiles(t, zip.Deflate, files...)),
		"stored zip":                written(t, "b.zip", zipFiles(t, zip.Store, files...)),
		"zip without main entry":    written(t, "c.zip", zipFiles(t, zip.Deflate, unnamed...)),
		"zip by Samsung":            written(t, "d.zip", zipFiles(t, zip.Deflate, samsung...)),
		"folder":                    folder(t, files...),
		"folder in a folder":        folder(t, unnamed...),
		"text":                      written(t, "e.txt", []byte(dumpText)),
		"text without an extension": written(t, "f", []byte(strings.ReplaceAll(dumpText, "\n", "\r\n"))),
	}
	for form, path := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			d := opened(t, path, OpenOptions{})
			id := d.Identity()
			if id.Kind != "bugreport" || id.Acquired != "bugreport" || id.Platform != "android" || id.RecordedAt.Format("2006-01-02 15:04:05") != "2021-03-04 05:06:07" || !id.Live || id.Root {
				t.Errorf("%+v", id)
			}
			if got := said(t, d, scanner.SourceGetprop); !strings.HasPrefix(got, "[ro.build.version.sdk]: [30]") || strings.Contains(got, "duration") {
				t.Errorf("getprop: %q", got)
			}
			if got := said(t, d, scanner.Dumpsys("package")); !strings.HasPrefix(got, "Packages:") || strings.Contains(got, "duration") {
				t.Errorf("package: %q", got)
			}
			if got := said(t, d, scanner.SourceDumpstate); !strings.Contains(got, "Build: SQ1A") {
				t.Errorf("head: %q", got)
			}
			if _, err := d.Probe(t.Context(), scanner.Dumpsys("adb")); !errors.Is(err, scanner.ErrUnavailable) || !strings.Contains(err.Error(), "TIMEOUT") {
				t.Errorf("a service that hung: %v", err)
			}
			if _, err := d.Probe(t.Context(), scanner.Dumpsys("wifi")); !errors.Is(err, scanner.ErrNotRecorded) {
				t.Errorf("a service that is not in it: %v", err)
			}
			if b, err := scanner.ReadFile(d.FS(), "/data/system/packages.xml", 1<<20); err != nil || !strings.HasPrefix(string(b), "<packages>") {
				t.Errorf("a file in the text: %q, %v", b, err)
			}
			if _, err := d.FS().Stat("/system/bin/su"); !errors.Is(err, scanner.ErrNotRecorded) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file that nobody looked for: %v", err)
			}
			if b, err := scanner.ReadFile(d.FS(), "/data/tombstones/tombstone_00", 1<<20); !strings.HasPrefix(form, "text") && (err != nil || string(b) != "*** ***") {
				t.Errorf("a file beside it: %q, %v", b, err)
			}
			if !strings.Contains(strings.Join(id.Notes, "\n"), "dumpsys/adb") {
				t.Errorf("notes: %q", id.Notes)
			}
		})
	}
}

func opened(t *testing.T, path string, opt OpenOptions) scanner.Device {
	t.Helper()
	d, err := Open(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := d.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	return d
}

func TestLongBugreportIsNotHeldWhole(t *testing.T) {
	t.Parallel()
	filler := "------ SYSTEM LOG (logcat -d) ------\n" + strings.Repeat("a line of a long log\n", maxDumpText/21+1) + "------ 1.0s was the duration of 'SYSTEM LOG' ------\n"
	text := strings.Replace(dumpText, "------ UPTIME", filler+"------ UPTIME", 1)
	path := written(t, "a.zip", zipFiles(t, zip.Deflate, part{"bugreport-x.txt", text}))
	wanted := func(s scanner.Source) bool { return s == scanner.SourceGetprop }
	d := opened(t, path, OpenOptions{Sources: wanted, Keep: func(string) bool { return false }})
	held := 0
	for _, ps := range d.(*acquired).texts {
		for _, p := range ps {
			if p.in.at != nil {
				t.Error("the text is held")
			}
			held = len(p.in.kept)
		}
	}
	if held != 1 {
		t.Errorf("%d sections are held", held)
	}
	if got := said(t, d, scanner.SourceGetprop); !strings.HasPrefix(got, "[ro.build.version.sdk]: [30]") {
		t.Errorf("%q", got)
	}
	if got := said(t, d, scanner.Dumpsys("package")); !strings.HasPrefix(got, "Packages:") { // unpacked again
		t.Errorf("%q", got)
	}
	if b, err := scanner.ReadFile(d.FS(), "/data/system/packages.xml", 1<<20); err != nil || !strings.HasPrefix(string(b), "<packages>") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAndroidQFAcquisitions(t *testing.T) {
	t.Parallel()
	report := string(zipFiles(t, zip.Deflate, part{"bugreport-x.txt", strings.Replace(dumpText, "[30]", "[29]", 1)}))
	log := `{"dns_event":{"hostname":"a.example"}}` + "\n"
	files := []part{
		{"acquisition.json", `{"uuid":"1","androidqf_version":"1.6","started":"2022-02-03T04:05:06.123Z"}`},
		{"getprop.txt", "[ro.build.version.sdk]: [30]\n"},
		{"settings_global.txt", "adb_enabled=1\n"},
		{"mounts.json", `["/dev/block/dm-0 on / type ext4 (ro)","tmpfs /dev tmpfs rw 0 0"]`},
		{"root_binaries.json", `[]`},
		{"packages.json", `[]`},
		{"tmp/x", "hello"}, {"logs/data/anr/a", "trace"}, {"apks/com.example.apk", "PK\x03\x04"},
		{"bugreport.zip", report},
		{"intrusion_logs/a.json", log}, {"intrusion_logs/b.zip", string(zipFiles(t, zip.Deflate, part{"c.json", log}, part{"d.txt", "x"}))},
	}
	var below, old []part
	for _, f := range files {
		below = append(below, part{"0a1b/" + f.name, f.content})
		if f.name != "acquisition.json" {
			old = append(old, f)
		}
	}
	for form, path := range map[string]string{
		"folder":                    folder(t, files...),
		"zip":                       written(t, "a.zip", zipFiles(t, zip.Deflate, files...)),
		"zip with a leading folder": written(t, "b.zip", zipFiles(t, zip.Deflate, below...)),
		"folder without its head":   folder(t, old...),
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			d := opened(t, path, OpenOptions{})
			id := d.Identity()
			want := "2022-02-03"
			if strings.Contains(form, "without") {
				want = "2021-03-04" // of the bugreport
			}
			if id.Kind != "androidqf" || id.Acquired != "androidqf" || id.RecordedAt.Format("2006-01-02") != want {
				t.Errorf("%+v", id)
			}
			for s, want := range map[scanner.Source]string{
				scanner.SourceGetprop: "[ro.build.version.sdk]: [30]\n", scanner.SourceSettingsGlobal: "adb_enabled=1\n",
				scanner.SourceMount: "/dev/block/dm-0 on / type ext4 (ro)\ntmpfs /dev tmpfs rw 0 0", scanner.SourceRootBinaries: "",
				scanner.SourceIntrusion: log + log,
			} {
				if got := said(t, d, s); got != want {
					t.Errorf("%s: %q", s, got)
				}
			}
			if got := said(t, d, scanner.Dumpsys("package")); !strings.HasPrefix(got, "Packages:") {
				t.Errorf("of the bugreport inside: %q", got)
			}
			for name, want := range map[string]string{"/data/local/tmp/x": "hello", "/data/anr/a": "trace", "/apks/com.example.apk": "PK\x03\x04"} {
				if b, err := scanner.ReadFile(d.FS(), name, 1<<20); err != nil || string(b) != want {
					t.Errorf("%s: %q, %v", name, b, err)
				}
			}
		})
	}
}

func TestSingleOutputs(t *testing.T) {
	t.Parallel()
	apk := string(zipFiles(t, zip.Deflate, part{"AndroidManifest.xml", "\x03\x00\x08\x00"}, part{"classes.dex", "dex\n"}))
	abx := "ABX\x00\x10\x32\xff\xff\x00\x08packages"
	for _, c := range []struct {
		name, content, kind string
		source              scanner.Source
		file                string
	}{
		{"a.txt", "[ro.product.model]: [X]\n", "getprop", scanner.SourceGetprop, ""},
		{"a.txt", "Activity Resolver Table:\n  Schemes:\n", "dumpsys package", scanner.Dumpsys("package"), ""},
		{"a.txt", "DUMP OF SERVICE package:\nPackages:\n", "bugreport", scanner.Dumpsys("package"), ""},
		{"a.txt", "Currently running services:\n  package\n-------------------------------------------------------------------------------\nDUMP OF SERVICE package:\nPackages:\n", "bugreport", scanner.Dumpsys("package"), ""},
		{"a.txt", "USER     PID   PPID  VSIZE  RSS     WCHAN    PC         NAME\nroot 1 0 1 1 ffffffff 00000000 S /init\n", "ps", scanner.SourcePS, ""},
		{"a.txt", "package:/data/app/x/base.apk=com.example\n", "package list", scanner.SourcePackageList, ""},
		{"x.xml", "<?xml version='1.0'?>\n<packages>\n</packages>", "packages.xml", "", "/data/system/packages.xml"},
		{"x.xml", abx, "packages.xml", "", "/data/system/packages.xml"},
		{"x.apk", apk, "apk", "", "/apks/x.apk"},
		{"noname", apk, "apk", "", "/apks/noname"},
		{"x.json", `{"connect_event":{"ip":"203.0.113.1"}}` + "\n", "intrusion-log", scanner.SourceIntrusion, ""},
		{"x.zip", string(zipFiles(t, zip.Deflate, part{"1.json", `{"dns_event":{}}` + "\n"})), "intrusion-log", scanner.SourceIntrusion, ""},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{written(t, c.name, []byte(c.content)), folder(t, part{c.name, c.content})} {
				d := opened(t, path, OpenOptions{})
				if id := d.Identity(); id.Kind != c.kind || id.Platform != "android" {
					t.Errorf("%+v", id)
				}
				if c.source != "" {
					said(t, d, c.source)
				}
				if c.file != "" {
					if b, err := scanner.ReadFile(d.FS(), c.file, 1<<20); err != nil || string(b) != c.content {
						t.Errorf("%q, %v", b, err)
					}
				}
			}
		})
	}
}

func TestHostileAcquisitions(t *testing.T) {
	t.Parallel()
	inside := zipFiles(t, zip.Deflate, part{"1.json", `{"dns_event":{}}`})
	for range 10 {
		inside = zipFiles(t, zip.Deflate, part{"1.zip", string(inside)})
	}
	for name, b := range map[string][]byte{
		"names that lead out":        zipFiles(t, zip.Deflate, part{"../../etc/passwd", "x"}, part{"main_entry.txt", "../../../etc/passwd"}, part{"/abs/bugreport-1.txt", "x"}),
		"main entry names itself":    zipFiles(t, zip.Deflate, part{"main_entry.txt", "main_entry.txt"}),
		"archives without end":       zipFiles(t, zip.Deflate, part{"acquisition.json", "{}"}, part{"intrusion_logs/1.zip", string(inside)}),
		"acquisition of noise":       zipFiles(t, zip.Deflate, part{"acquisition.json", "\x00\xff"}, part{"getprop.txt", "\x00"}, part{"mounts.json", "[1,2"}, part{"bugreport.zip", "PK\x03\x04"}),
		"package without a manifest": zipFiles(t, zip.Deflate, part{"classes.dex", "dex"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Open(context.Background(), written(t, "x.zip", b), OpenOptions{})
			if err != nil {
				if !strings.Contains(err.Error(), "x.zip") {
					t.Errorf("the error does not name the file: %v", err)
				}
				return
			}
			if b, err := scanner.ReadFile(d.FS(), "/etc/passwd", 1<<20); err == nil && string(b) != "x" { // put inside the tree
				t.Errorf("read %q", b)
			}
			t.Log(d.Identity().Notes)
			d.(io.Closer).Close()
		})
	}
}

// A report that is cut off anywhere is read up to there.
func TestBugreportCutAtAnyByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n := 0; n <= len(dumpText); n += 7 {
		name := filepath.Join(dir, fmt.Sprintf("%04d.txt", n))
		if err := os.WriteFile(name, []byte(dumpText[:n]), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := Open(t.Context(), name, OpenOptions{})
		if err != nil {
			if !errors.Is(err, ErrNothingRecognised) {
				t.Errorf("%d bytes: %v", n, err)
			}
			continue
		}
		for _, s := range []scanner.Source{scanner.SourceGetprop, scanner.Dumpsys("package"), scanner.Dumpsys("adb")} {
			b, err := d.Probe(t.Context(), s)
			if err != nil && !errors.Is(err, scanner.ErrNotRecorded) && !errors.Is(err, scanner.ErrUnavailable) || len(b) > n {
				t.Errorf("%d bytes: %s: %d, %v", n, s, len(b), err)
			}
		}
		d.(io.Closer).Close()
	}
}
