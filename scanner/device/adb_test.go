package device

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device/adbtest"
)

// phoneText is a phone as a fixture.
const phoneText = `platform: android
-- system/build.prop mode=0600 denied --
-- system/bin/ mode=0751 gid=2000 --
-- system/bin/toybox elf mode=0755 gid=2000 xattr.security.selinux=753a6f626a6563745f723a746f6f6c626f785f657865633a733000 --
-- system/bin/ls link=toybox --
-- system/bin/it's_$(reboot)_a\b link=toybox --
-- system/etc/hosts --
127.0.0.1       localhost
-- etc link=/system/etc --
-- data/ mode=0771 uid=1000 gid=1000 --
-- data/system/ mode=0775 uid=1000 gid=1000 --
-- data/system/packages.list mode=0640 uid=1000 gid=1032 denied --
-- proc/version size=1 --
Linux version 6.1.0
-- sys/kernel/pipe type=fifo --
-- probe/getprop --
[ro.build.version.sdk]: [34]
-- probe/ps --
USER PID PPID VSZ RSS S LABEL NAME ARGS
root 1 0 10 10 S u:r:init:s0 init /system/bin/init second_stage
-- probe/ip/neigh --
-- probe/netstat denied --
-- probe/dumpsys/package --
Packages:
  Package [org.example] (1234):
`

// fakePhone is a phone on a server of its own.
func fakePhone(t testing.TB, text string) (*adbtest.Phone, *adbtest.Server) {
	t.Helper()
	dev, err := Txtar([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p := &adbtest.Phone{Serial: "0A1B", Model: "Example_1", UID: shellUID, Files: dev.FS(), Run: adbtest.Recorded(dev, AndroidCommands())}
	return p, adbtest.Start(t, p)
}

// How long a server may be silent: as long as a busy machine may take, or, where silence is the
// point, a moment.
const (
	adbPatience = 5 * time.Minute
	adbMoment   = 300 * time.Millisecond
)

// openPhone opens a phone, patiently.
func openPhone(t testing.TB, s *adbtest.Server, serial string) (scanner.Device, error) {
	t.Helper()
	return openPhoneWithin(t, s, serial, adbPatience)
}

func openPhoneWithin(t testing.TB, s *adbtest.Server, serial string, wait time.Duration) (scanner.Device, error) {
	t.Helper()
	server := &adbServer{s.Address(), wait, 1 << 20}
	dev, err := server.open(t.Context(), serial)
	if c, ok := dev.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	return dev, err
}

func mustOpenPhone(t testing.TB, s *adbtest.Server) scanner.Device {
	t.Helper()
	dev, err := openPhone(t, s, "0A1B")
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestAPhoneOverADBAnswersLikeEveryDevice(t *testing.T) {
	t.Parallel()
	p, s := fakePhone(t, string(txtarOf(samples())))
	p.UID = 0
	dev, err := Open(t.Context(), "adb:0A1B", OpenOptions{ADBServer: s.Address()})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.(io.Closer).Close()
	k := sampleKind{noXattrs: true}
	conform(t, dev.FS(), k)
	checkTree(t, dev.FS())
	rec := recordingOf(t, dev, RecordOptions{}, func(d scanner.Device) { conform(t, d.FS(), k) })
	conform(t, replay(t, rec).FS(), k)
}

func TestPhoneIdentity(t *testing.T) {
	t.Parallel()
	p, s := fakePhone(t, phoneText)
	before := time.Now().Add(-time.Second)
	id := mustOpenPhone(t, s).Identity()
	if id.Origin != "adb 0A1B" || id.Kind != "adb" || id.Platform != "android" || !id.Live || id.Root || id.Acquired != "adb" || len(id.Notes) != 0 {
		t.Errorf("identity %+v", id)
	}
	if id.RecordedAt.Before(before) || id.RecordedAt.After(time.Now()) {
		t.Errorf("recorded at %v", id.RecordedAt)
	}
	p.UID, p.Clock = 0, time.Now().AddDate(-3, 0, 0)
	id = mustOpenPhone(t, s).Identity()
	if !id.Root || id.RecordedAt.Before(before) {
		t.Errorf("as root, with a wrong clock: %+v", id)
	}
	if notes := strings.Join(id.Notes, "\n"); !strings.Contains(notes, "clock") {
		t.Errorf("a clock that is years off is not noted: %q", notes)
	}
	rec := NewRecorder(mustOpenPhone(t, s), RecordOptions{})
	if _, err := rec.FS().Lstat("/system"); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := rec.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	got := replay(t, b.Bytes()).Identity()
	if got.Acquired != "adb" || !got.Live || !got.Root || got.Platform != "android" || !got.RecordedAt.Equal(rec.Identity().RecordedAt) {
		t.Errorf("replayed as %+v", got)
	}
}

// checkPhone holds a phone against phoneText.
func checkPhone(t *testing.T, dev scanner.Device, old bool) {
	t.Helper()
	ctx := t.Context()
	for source, want := range map[scanner.Source]string{
		scanner.SourceGetprop:      "[ro.build.version.sdk]: [34]\n",
		scanner.SourceIPNeigh:      "", // no neighbours is an answer
		scanner.Dumpsys("package"): "Packages:\n  Package [org.example] (1234):\n",
	} {
		if b, err := dev.Probe(ctx, source); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", source, b, err)
		}
	}
	if b, err := dev.Probe(ctx, scanner.SourcePS); err != nil || !strings.Contains(string(b), "second_stage") {
		t.Errorf("ps: %q, %v", b, err)
	}
	if _, err := dev.Probe(ctx, scanner.SourceNetstat); !old && !errors.Is(err, fs.ErrPermission) || err == nil {
		t.Errorf("netstat, refused: %v", err)
	}
	for _, s := range []scanner.Source{scanner.SourceLsmod, scanner.Dumpsys("wifi"), scanner.Dumpsys("meminfo"), scanner.SourceProcesses} {
		if _, err := dev.Probe(ctx, s); !errors.Is(err, scanner.ErrUnavailable) || !strings.Contains(err.Error(), string(s)) {
			t.Errorf("%s: %v", s, err)
		}
	}
	fsys := dev.FS()
	if b, err := scanner.ReadFile(fsys, "/etc/hosts", 1<<10); err != nil || string(b) != "127.0.0.1       localhost\n" {
		t.Errorf("hosts through a link: %q, %v", b, err)
	}
	if b, err := scanner.ReadFile(fsys, "/proc/version", 1<<10); err != nil || string(b) != "Linux version 6.1.0\n" {
		t.Errorf("a file that says it is short: %q, %v", b, err)
	}
	for _, name := range []string{"/system/bin/ls", `/system/bin/it's_$(reboot)_a\b`} {
		if to, err := fsys.Readlink(name); err != nil || to != "toybox" {
			t.Errorf("readlink %s: %q, %v", name, to, err)
		}
	}
	for _, name := range []string{"/system/build.prop", "/data/system/packages.list"} {
		if _, err := fsys.Open(name); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("open %s: %v", name, err)
		}
		if info, err := fsys.Lstat(name); err != nil || !info.Mode.IsRegular() {
			t.Errorf("lstat %s: %+v, %v", name, info, err)
		}
	}
	for _, name := range []string{"/system/xbin/su", "/nothing", "/system/etc/hosts/x"} {
		if _, err := fsys.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("lstat %s: %v", name, err)
		}
	}
	if _, err := fsys.ReadDir("/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("readdir of what is not there: %v", err)
	}
	if _, err := fsys.ReadDir("/system/etc/hosts"); err == nil {
		t.Error("a file was listed")
	}
	if _, err := fsys.Open("/sys/kernel/pipe"); err == nil {
		t.Error("a FIFO was opened")
	}
	info, err := fsys.Lstat("/data/system/packages.list")
	if want := map[bool]int{false: 1032, true: -1}[old]; err != nil || info.GID != want || info.Perm() != 0o640 {
		t.Errorf("packages.list: %+v, %v", info, err)
	}
}

func TestPhonesOfAllAges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*adbtest.Phone){
		"Android 8 and later": func(p *adbtest.Phone) {},
		"Android 5 and 6":     func(p *adbtest.Phone) { p.Old = true },
		"Android 4":           func(p *adbtest.Phone) { p.Old, p.Terminal = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := fakePhone(t, phoneText)
			change(p)
			dev := mustOpenPhone(t, s)
			checkPhone(t, dev, p.Old)
			label, err := dev.FS().Xattr("/system/bin/toybox", "security.selinux")
			if err != nil || string(label) != "u:object_r:toolbox_exec:s0\x00" {
				t.Errorf("label %q, %v", label, err)
			}
			if _, err := dev.FS().Xattr("/system/bin/toybox", "security.capability"); !errors.Is(err, scanner.ErrUnavailable) {
				t.Errorf("capabilities: %v", err)
			}
			replayed := replay(t, recordingOf(t, dev, RecordOptions{}, func(d scanner.Device) { checkPhone(t, d, p.Old) }))
			for _, s := range []scanner.Source{scanner.SourceGetprop, scanner.Dumpsys("package"), scanner.SourceNetstat} {
				want, asked := dev.Probe(t.Context(), s)
				if got, err := replayed.Probe(t.Context(), s); string(got) != string(want) || errors.Is(err, fs.ErrPermission) != errors.Is(asked, fs.ErrPermission) {
					t.Errorf("%s replayed: %q, %v; was %q, %v", s, got, err, want, asked)
				}
			}
		})
	}
}

// A phone is sent nothing that could change it.
func TestAPhoneIsOnlyRead(t *testing.T) {
	t.Parallel()
	_, s := fakePhone(t, phoneText)
	dev := mustOpenPhone(t, s)
	checkPhone(t, dev, false)
	for source := range AndroidCommands() {
		_, _ = dev.Probe(t.Context(), source)
	}
	allowed := []string{"host:version", "host:devices-l", "host-serial:0A1B:features", "host:transport:0A1B", "sync:"}
	for _, lines := range AndroidCommands() {
		for _, l := range lines {
			allowed = append(allowed, "shell,v2,raw:"+l)
		}
	}
	for _, asked := range s.Asked() {
		ok := slices.Contains(allowed, asked)
		for _, prefix := range []string{"shell,v2,raw:/system/bin/id", "shell,v2,raw:/system/bin/date +%s", "shell,v2,raw:/system/bin/readlink '/",
			"shell,v2,raw:/system/bin/stat -c %C '/", "sync:LST2 /", "sync:LIS2 /", "sync:RECV /"} {
			ok = ok || strings.HasPrefix(asked, prefix)
		}
		if !ok {
			t.Errorf("the phone was sent %q", asked)
		}
	}
}

func TestWhichPhone(t *testing.T) {
	t.Parallel()
	dev, err := Txtar([]byte(phoneText))
	if err != nil {
		t.Fatal(err)
	}
	run := adbtest.Recorded(dev, AndroidCommands())
	s := adbtest.Start(t,
		&adbtest.Phone{Serial: "GOOD", Model: "Example_1", Files: dev.FS(), Run: run},
		&adbtest.Phone{Serial: "NEW", State: "unauthorized"},
		&adbtest.Phone{Serial: "OFF", State: "offline", Model: "\x1b[2JX"},
		&adbtest.Phone{Serial: "USB", State: "no permissions (user in plugdev group; are your udev rules wrong?); see [http://example.org]"},
		&adbtest.Phone{Serial: "REC", State: "recovery"})
	for serial, want := range map[string]string{
		"":     "which phone? connected:\n  GOOD  device  Example_1\n  NEW  unauthorized",
		"NEW":  `phone NEW is in state "unauthorized"`,
		"OFF":  `state "offline"`,
		"USB":  `state "no permissions"`,
		"REC":  `state "recovery"`,
		"NONE": "no phone with serial number NONE; connected:",
	} {
		_, err := openPhone(t, s, serial)
		var help *HintError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &help) || help.Hint == "" || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %q, %+v", serial, err, help)
		}
	}
	if _, err := openPhone(t, s, "GOOD"); err != nil {
		t.Error(err)
	}
	none := adbtest.Start(t)
	if _, err := openPhone(t, none, ""); err == nil || !strings.Contains(err.Error(), "no phone is connected") {
		t.Errorf("without any phone: %v", err)
	}
	none.Stop()
	_, err = openPhone(t, none, "GOOD")
	var help *HintError
	if !errors.As(err, &help) || !strings.Contains(help.Hint, "adb start-server") {
		t.Errorf("without a server: %v, %+v", err, help)
	}
}

// Content that is large, read at any place, and then not read to its end.
func TestLargeFileOverADB(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789abcdef", 200_000)
	p, s := fakePhone(t, "-- system/build.prop --\n-- data/app/base.apk --\n"+content+"\n")
	dev := mustOpenPhone(t, s)
	f, err := dev.FS().Open("/data/app/base.apk")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	for _, off := range []int64{3_199_984, 0, 16, 1_600_000} {
		if n, err := f.ReadAt(b, off); n != 16 || err != nil || string(b) != "0123456789abcdef" {
			t.Errorf("at %d: %q, %d, %v", off, b, n, err)
		}
	}
	if n, err := f.ReadAt(b, f.Size()-4); n != 4 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := f.ReadAt(b, -1); err == nil {
		t.Error("read before the start")
	}
	all, err := io.ReadAll(f)
	if err != nil || string(all) != content+"\n" {
		t.Errorf("%d bytes, %v", len(all), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(b); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if head, err := dev.FS().Head("/data/app/base.apk"); err != nil || len(head) != headSize {
		t.Errorf("head %q, %v", head, err)
	}
	sent := func(prefix string) int {
		return len(slices.DeleteFunc(s.Asked(), func(r string) bool { return !strings.HasPrefix(r, prefix) }))
	}
	want, moved := sha512Of(content+"\n"), sent("sync:RECV")
	if sum, err := dev.FS().Digest("/data/app/base.apk", scanner.SHA512); err != nil || !bytes.Equal(sum, want) {
		t.Errorf("digest %x, %v", sum, err)
	}
	if sent("sync:RECV") != moved || sent("shell,v2,raw:/system/bin/sha512sum '/data/app/base.apk'") != 1 {
		t.Errorf("the digest of a large file was not left to the phone: %q", s.Asked())
	}
	p.Old = true // has no such program
	if sum, err := mustOpenPhone(t, s).FS().Digest("/data/app/base.apk", scanner.SHA512); err != nil || !bytes.Equal(sum, want) || sent("sync:RECV") != moved+1 {
		t.Errorf("digest of a phone that computes none: %x, %v", sum, err)
	}
}

func TestADBServerOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"":                             "127.0.0.1:5037",
		"ANDROID_ADB_SERVER_PORT=5999": "127.0.0.1:5999",
		"ANDROID_ADB_SERVER_ADDRESS=box ANDROID_ADB_SERVER_PORT=5999":        "box:5999",
		"ANDROID_ADB_SERVER_ADDRESS=localhost":                               "127.0.0.1:5037",
		"ADB_SERVER_SOCKET=tcp:5038 ANDROID_ADB_SERVER_PORT=5999":            "127.0.0.1:5038",
		"ADB_SERVER_SOCKET=tcp:host.example:5038":                            "host.example:5038",
		"ADB_SERVER_SOCKET=tcp:[::1]:5038":                                   "[::1]:5038",
		"ADB_SERVER_SOCKET=localfilesystem:/run/adb.sock":                    "/run/adb.sock",
		"ADB_SERVER_SOCKET=localabstract:adb":                                "@adb",
		"ADB_SERVER_SOCKET=tcp:99999":                                        "error",
		"ADB_SERVER_SOCKET=tcp:host:0":                                       "error",
		"ADB_SERVER_SOCKET=vsock:2:5037":                                     "error",
		"ANDROID_ADB_SERVER_PORT=x":                                          "error",
		"ADB_SERVER_SOCKET=localfilesystem:run/adb ANDROID_ADB_SERVER_PORT=": "error",
	} {
		got, err := ADBServer(func(name string) string {
			for _, pair := range strings.Fields(env) {
				if k, v, _ := strings.Cut(pair, "="); k == name {
					return v
				}
			}
			return ""
		})
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", env, got, err, want)
		}
	}
}
