package agent

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/device/adbtest"
	"picket/scanner/facts"
	"picket/scanner/report"
)

// fakePhone puts a phone on an adb server that the commands find in their environment.
func fakePhone(t *testing.T, text string) *adbtest.Phone {
	t.Helper()
	dev, err := device.Txtar([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p := &adbtest.Phone{Serial: "0A1B", Model: "Example_1", UID: 2000, Files: dev.FS(), Run: adbtest.Recorded(dev, device.AndroidCommands())}
	s := adbtest.Start(t, p, &adbtest.Phone{Serial: "NEW1", State: "unauthorized"})
	_, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ADB_SERVER_SOCKET", "")
	t.Setenv("ANDROID_ADB_SERVER_ADDRESS", "")
	t.Setenv("ANDROID_ADB_SERVER_PORT", port)
	return p
}

// picket runs a command line.
func picket(args ...string) (code int, stdout, stderr string) {
	var out, complaints bytes.Buffer
	code = Main(append([]string{"picket"}, args...), strings.NewReader(""), &out, &complaints)
	return code, out.String(), complaints.String()
}

const phoneText = `platform: android
-- system/build.prop --
ro.build.version.sdk=34
-- system/etc/hosts --
127.0.0.1       localhost
-- etc link=/system/etc --
-- probe/getprop --
[ro.build.version.sdk]: [34]
-- probe/dumpsys/package --
Packages:
`

func TestCommandsOverADB(t *testing.T) {
	fakePhone(t, phoneText)
	code, _, stderr := picket("scan", "--image", "adb:")
	if code != exitError || !strings.Contains(stderr, "which phone? connected:\n  0A1B  device  Example_1\n  NEW1  unauthorized") ||
		!strings.Contains(stderr, "picket: hint: name one by its serial number: --image adb:0A1B") {
		t.Errorf("without a serial number: %d, %s", code, stderr)
	}
	code, _, stderr = picket("inventory", "--image", "adb:NEW1")
	if code != exitError || !strings.Contains(stderr, "picket: hint: unlock the phone and accept") {
		t.Errorf("unauthorized: %d, %s", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "phone.tar.zst")
	code, _, stderr = picket("record", "--image", "adb:0A1B", file)
	if !slices.ContainsFunc(facts.Collectors(), func(c scanner.Collector) bool { return c.On("android") }) {
		// Without a table for Android nothing is read, which is never called clean.
		if code != exitError || !strings.Contains(stderr, "nothing on this device could be read") {
			t.Errorf("record: %d, %s", code, stderr)
		}
		return
	}
	if code != exitDone {
		t.Fatalf("record: %d, %s", code, stderr)
	}
	for _, image := range []string{"adb:0A1B", file} {
		code, stdout, stderr := picket("scan", "--image", image, "--json")
		if code != exitDone || !strings.Contains(stdout, `"platform": "android"`) {
			t.Errorf("scan %s: %d, %s", image, code, stderr)
		}
	}
	if code, _, stderr = picket("scan", "--image", file); code != exitDone {
		t.Errorf("scan of the recording: %d, %s", code, stderr)
	}
}

func TestWrongADBEnvironment(t *testing.T) {
	t.Setenv("ANDROID_ADB_SERVER_PORT", "none")
	code, _, stderr := picket("scan", "--image", "adb:0A1B")
	if code != exitError || !strings.Contains(stderr, `ANDROID_ADB_SERVER_PORT: "none" is no port`) {
		t.Errorf("%d, %s", code, stderr)
	}
	// Nothing but a phone needs it.
	if _, _, stderr := picket("scan", "--image", t.TempDir()); !strings.Contains(stderr, "nothing recognised") {
		t.Errorf("another kind of device: %s", stderr)
	}
}

// sourcesTable reads what a phone answers into rows, and says what it does not answer.
func sourcesTable(list ...scanner.Source) scanner.Collector {
	type row struct {
		Source string `expr:"source" json:"source"`
		Text   string `expr:"text" json:"text"`
	}
	return scanner.Collector{Table: "packages", Row: row{}, Platforms: []string{"android"}, Reads: scanner.Reads{Probes: list, Globs: []string{"/etc/hosts"}},
		Collect: func(ctx context.Context, in *scanner.Input) scanner.Table {
			var t scanner.Table
			rows := []row{}
			for _, s := range list {
				b, err := in.Device.Probe(ctx, s)
				if err != nil {
					t.Partial = append(t.Partial, scanner.Reason(err))
					continue
				}
				rows = append(rows, row{string(s), string(b)})
			}
			b, err := scanner.ReadFile(in.Device.FS(), "/etc/hosts", 1<<20)
			if err != nil {
				t.Partial = append(t.Partial, scanner.Reason(err))
			}
			t.Rows = append(rows, row{"/etc/hosts", string(b)})
			return t
		}}
}

// A phone, the recorder that looks at it, and the recording give the same report; a command
// that did not end is named in all three.
func TestRecordingAPhoneGivesTheSameReport(t *testing.T) {
	p := fakePhone(t, phoneText)
	run := p.Run
	p.Run = func(line string) adbtest.Output {
		if strings.HasSuffix(line, " appops") {
			return adbtest.Output{Stdout: "Current\n\n*** SERVICE 'appops' DUMP TIMEOUT (20000ms) EXPIRED ***\n\n"}
		}
		return run(line)
	}
	collectors := []scanner.Collector{sourcesTable(scanner.SourceGetprop, scanner.Dumpsys("package"), scanner.Dumpsys("appops"), scanner.SourceLsmod)}
	reportOf := func(dev scanner.Device) string {
		t.Helper()
		r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: collectors, Tables: []string{"packages"}})
		if err != nil {
			t.Fatal(err)
		}
		r.Device.Origin, r.Device.RecordedAt, r.Device.JudgedAsOf = "", "", ""
		var b bytes.Buffer
		if err := report.JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	source := sourceFlags{image: "adb:0A1B"}
	dev, err := source.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer dev.(io.Closer).Close()
	rec := device.NewRecorder(dev, device.RecordOptions{Redact: facts.Redact})
	recorded := reportOf(rec)
	file := filepath.Join(t.TempDir(), "phone.tar.zst")
	if err := writeFile(file, func(w io.Writer) error { return rec.Write(t.Context(), w) }); err != nil {
		t.Fatal(err)
	}
	source.image = file
	replay, err := source.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	direct, replayed := reportOf(dev), reportOf(replay)
	if direct != recorded || direct != replayed {
		t.Errorf("reports differ:\n%s\n%s", firstDifference(direct, recorded), firstDifference(direct, replayed))
	}
	for _, want := range []string{"SERVICE 'appops' DUMP TIMEOUT (20000ms) EXPIRED", "lsmod: /system/bin/lsmod: this Android has no such program",
		"127.0.0.1       localhost", "ro.build.version.sdk"} {
		if !strings.Contains(direct, want) {
			t.Errorf("the report does not have %q:\n%s", want, direct)
		}
	}
	if id := replay.Identity(); id.Acquired != "adb" || id.Kind != "adb" || id.Origin != "recording phone.tar.zst of adb 0A1B" {
		t.Errorf("identity %+v", id)
	}
}
