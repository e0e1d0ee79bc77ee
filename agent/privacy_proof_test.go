package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"picket/scanner"
	"picket/scanner/device"
)

// bird is in all personal content, and in every secret, of the devices below testdata/personal.
const bird = "CANARY"

// leaks says where some bytes have the canary, as it is, in base64 or in hexadecimal.
func leaks(b []byte) (out []string) {
	lower := bytes.ToLower(b)
	for _, form := range []string{strings.ToLower(bird), hex.EncodeToString([]byte(bird))} {
		for rest, at := lower, 0; len(out) < 20; {
			i := bytes.Index(rest, []byte(form))
			if i < 0 {
				break
			}
			at += i
			out = append(out, string(b[max(0, at-120):min(len(b), at+60)]))
			rest, at = rest[i+len(form):], at+len(form)
		}
	}
	for shift := range 3 { // base64 in each of the three ways in which it may lie
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + bird))
		if form := text[shift+min(shift, 1) : len(text)-len(text)%4-4+(len(text)%4)]; len(form) >= 4 && bytes.Contains(b, []byte(form)) {
			out = append(out, "base64 "+form)
		}
	}
	return out
}

// personalDevices are a computer and a phone full of canaries, as text of a txtar.
func personalDevices(t testing.TB) map[string][]byte {
	t.Helper()
	phone := read(t, "testdata/android/base/pie.txtar")
	phone = strings.Replace(strings.ReplaceAll(phone, " denied --", " --"), "root: no", "root: yes", 1)
	for header, line := range map[string]string{
		"-- probe/dumpsys/notification --\n":       "    NotificationRecord(0x0: pkg=com.whatsapp user=UserHandle{0} id=1 tag=null tickerText=CANARY message)\n      android.text=String (CANARY text of a message)\n",
		"-- probe/dumpsys/telephony.registry --\n": "  mCallIncomingNumber=CANARY0612345678\n",
		"-- probe/dumpsys/activity --\n":           "    Intent { act=android.intent.action.VIEW dat=https://example.org/CANARY }\n",
	} {
		if !strings.Contains(phone, header) {
			t.Fatalf("the phone has no %s", header)
		}
		phone = strings.Replace(phone, header, header+line, 1)
	}
	return map[string][]byte{"linux": []byte(read(t, "testdata/personal/linux.txtar")), "android": []byte(phone + read(t, "testdata/personal/android.txtar"))}
}

// openings writes down which files' content was read: whole, or first bytes and digest alone.
type openings struct {
	mu          sync.Mutex
	whole, some map[string]bool
}

func (o *openings) note(m map[string]bool, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m[name] = true
}

type watchedDevice struct {
	scanner.Device
	seen *openings
}

func (w watchedDevice) FS() scanner.FS { return watchedFS{w.Device.FS(), w.seen} }

type watchedFS struct {
	scanner.FS
	seen *openings
}

func (f watchedFS) Open(n string) (scanner.File, error) {
	f.seen.note(f.seen.whole, f.real(n))
	return f.FS.Open(n)
}

func (f watchedFS) Head(n string) ([]byte, error) {
	f.seen.note(f.seen.some, f.real(n))
	return f.FS.Head(n)
}

func (f watchedFS) Digest(n string, a scanner.Algo) ([]byte, error) {
	f.seen.note(f.seen.some, f.real(n))
	return f.FS.Digest(n, a)
}

// real follows links: a file is what counts, not the name by which it was reached.
func (f watchedFS) real(n string) string {
	if r, err := f.FS.Resolve(n); err == nil {
		return r
	}
	return n
}

// configured are where configuration lies: it is read as declared, and none of its secrets may come out.
var configured = []string{"/etc/", "/boot/grub/", "/proc/cmdline", "/root/preseed.cfg", "/root/anaconda-ks.cfg", "/var/lib/cloud/", "/var/lib/docker/containers/", "/var/lib/iwd/", "/var/spool/cron/", "/var/www/html/",
	"/data/misc/wifi/", "/home/ann/.bashrc", "/home/ann/.profile", "/home/ann/.npmrc", "/home/ann/.gitconfig", "/home/ann/.wgetrc", "/home/ann/.vault_pass", "/home/ann/.config/autostart/",
	"/home/ann/.config/ngrok/", "/home/ann/.config/pip/", "/home/ann/.config/systemd/user/"}

// mayFingerprint are the places of which the first bytes, and of programs a digest, are looked at:
// to tell programs and keys that others may read. Neither has anything of what is in them.
var mayFingerprint = []string{"/home/ann/Documents/", "/home/ann/Downloads/", "/home/ann/.ssh/id_", "/tmp/", "/data/local/tmp/", "/data/media/0/Download/"}

func below(places []string, name string) bool {
	return slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(name, p) })
}

func TestPersonalContentIsNotOpened(t *testing.T) {
	t.Parallel()
	for name, archive := range personalDevices(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := scanPersonal(t, archive)
			planted := plantedIn(archive)
			if len(planted) < 15 {
				t.Fatalf("%d files have a canary", len(planted))
			}
			for _, p := range planted {
				if seen.whole[p] && !below(configured, p) {
					t.Errorf("opened: %s", p)
				}
				if seen.some[p] && !below(mayFingerprint, p) && !below(configured, p) {
					t.Errorf("looked into: %s", p)
				}
			}
		})
	}
}

// plantedIn lists the files with a canary in them.
func plantedIn(archive []byte) (out []string) {
	name := ""
	for line := range strings.Lines(string(archive)) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
			name = rest[:strings.LastIndex(rest, " --")]
			for _, attr := range []string{" mode=", " uid=", " gid=", " elf", " link="} {
				name, _, _ = strings.Cut(name, attr)
			}
			continue
		}
		if strings.Contains(line, bird) && !strings.HasPrefix(name, "probe/") && !slices.Contains(out, "/"+name) {
			out = append(out, "/"+name)
		}
	}
	return out
}

func scanPersonal(t *testing.T, archive []byte) *openings {
	t.Helper()
	seen := &openings{whole: map[string]bool{}, some: map[string]bool{}}
	dev, err := device.Txtar(archive)
	if err != nil {
		t.Fatal(err)
	}
	source := sourceFlags{digests: "all"}
	opts, err := source.options()
	if err != nil {
		t.Fatal(err)
	}
	opts.Judge = catalogue(t)
	for _, c := range opts.Collectors {
		opts.Tables = append(opts.Tables, c.Table)
	}
	if _, err := scanner.Scan(t.Context(), watchedDevice{dev, seen}, opts); err != nil {
		t.Fatal(err)
	}
	return seen
}

// TestNoCanaryInReportsAndRecordings runs the commands over the devices.
func TestNoCanaryInReportsAndRecordings(t *testing.T) {
	t.Parallel()
	for name, archive := range personalDevices(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			image := filepath.Join(dir, "device.txtar")
			if err := os.WriteFile(image, archive, 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) []byte {
				var out, errs bytes.Buffer
				if code := Main(append([]string{"picket"}, args...), strings.NewReader(""), &out, &errs); code != 0 {
					t.Fatalf("%q: %d: %s", args, code, errs.String())
				}
				return append(out.Bytes(), errs.Bytes()...)
			}
			for _, f := range scanFormats {
				for _, leak := range leaks(run("scan", "--image", image, "--format", f.name, "--verbose")) {
					t.Errorf("a report as %s: %s", f.name, leak)
				}
			}
			file := filepath.Join(dir, "device.tar.zst")
			run("record", "--image", image, file)
			z, err := zstd.NewReader(strings.NewReader(read(t, file)))
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			b, err := io.ReadAll(z)
			if err != nil || len(b) < 10_000 {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			recordingKeeps(t, b)
			if held := bytes.Count(b, []byte("xxxxxxxx")); name == "linux" && held < 120 {
				t.Errorf("no more than %d secrets were found: the recording does not hold what was planted", held)
			}
			sameReport(t, archive, file)
		})
	}
}

// sameReport holds that nothing that was taken out of a recording was needed.
func sameReport(t *testing.T, archive []byte, recording string) {
	t.Helper()
	dev, err := device.Txtar(archive)
	if err != nil {
		t.Fatal(err)
	}
	again, err := device.Open(t.Context(), recording, device.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := again.(io.Closer); ok {
		defer c.Close()
	}
	if want, got := scanJSON(t, dev, catalogue(t)), scanJSON(t, again, catalogue(t)); want != got {
		t.Errorf("reports differ:\n%s", firstDifference(want, got))
	}
}

// recordingKeeps holds that a recording has no canary, in whatever form: none of what is in files, no secret
// of a configuration or a command, and no name of a personal file.
func recordingKeeps(t *testing.T, recording []byte) {
	t.Helper()
	for _, leak := range leaks(recording) {
		t.Errorf("a recording has %q", leak)
	}
}

// TestNothingPersonalIsSent runs an agent over the devices, in each mode, and looks at every byte
// that it keeps, logs and sends.
func TestNothingPersonalIsSent(t *testing.T) {
	t.Parallel()
	for name, archive := range personalDevices(t) {
		for _, mode := range []string{sendFull, sendNoPersonal, sendLevelOnly} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { sendPersonal(t, archive, mode) })
			})
		}
	}
}

func sendPersonal(t *testing.T, archive []byte, mode string) {
	b, f := newBench(t, t.TempDir()), newFleet(t)
	f.publish(nil, "format: picket.policy/1\nsend: "+mode+"\n")
	f.trust(b.config)
	f.fetch(b.config)
	b.open = func(context.Context) (scanner.Device, error) { return device.Txtar(archive) }
	b.watcher = nil
	up := newOtelServer(t)
	var sent bytes.Buffer // what is sent, unpacked
	up.answer = func(w io.Writer, r *http.Request) bool {
		packed, err := io.ReadAll(r.Body)
		if err == nil {
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(packed)); err == nil {
				_, err = sent.ReadFrom(z)
			}
		}
		fmt.Fprint(&sent, r.Method, r.URL, r.Header)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(packed))
		return up.take(w, r)
	}
	sink := up.sink(t)
	defer sink.Close()
	b.upstream = func(Config) Sink { return sink }
	d, stop := b.start(t)
	time.Sleep(time.Hour)
	synctest.Wait()
	// The root account gets a password: a finding is resolved, and the level may change.
	closed := bytes.Replace(archive, []byte("\nroot::19000"), []byte("\nroot:!:19000"), 1)
	b.open = func(context.Context) (scanner.Device, error) { return device.Txtar(closed) }
	time.Sleep(8 * time.Hour)
	synctest.Wait()
	_, text := exportedBy(t, d)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if sent.Len() < 1000 || len(up.got()) == 0 {
		t.Fatalf("%d bytes were sent, %d events\n%s", sent.Len(), len(up.got()), b.log)
	}
	where := map[string][]byte{"what was sent": sent.Bytes(), "events": []byte(strings.Join(up.got(), "\n")), "the log": []byte(b.log.String()), "the export": []byte(text)}
	if err := filepath.WalkDir(filepath.Dir(b.config.StateDir), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			where[path], err = os.ReadFile(path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for place, b := range where {
		for _, leak := range leaks(b) {
			t.Errorf("%s has: %q", filepath.Base(place), leak)
		}
	}
	fieldsAsDeclared(t, mode, up.got())
}

// fieldsAsDeclared holds what was sent against what `picket privacy` says of the mode.
func fieldsAsDeclared(t *testing.T, mode string, events []string) {
	t.Helper()
	declared := map[int]sentClass{}
	for _, c := range sentClasses(mode) {
		declared[c.Class] = c
	}
	for _, body := range events {
		var e struct {
			Class int `json:"class_uid"`
		}
		var all any
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(body), &all); err != nil {
			t.Fatal(err)
		}
		c := declared[e.Class]
		for _, path := range valuePaths(all, "") {
			if !slices.ContainsFunc(c.Fields, func(f string) bool {
				before, _, any := strings.Cut(f, "*")
				return f == path || any && strings.HasPrefix(path, before)
			}) {
				t.Errorf("%s: an event of class %d has %s, which is not declared", mode, e.Class, path)
			}
		}
	}
}

// valuePaths are the paths of a JSON value, as report.ClassFields has them.
func valuePaths(v any, path string) (out []string) {
	switch x := v.(type) {
	case map[string]any:
		for k, v := range x {
			out = append(out, valuePaths(v, strings.TrimPrefix(path+"."+k, "."))...)
		}
	case []any:
		for _, v := range x {
			out = append(out, valuePaths(v, path+"[]")...)
		}
	default:
		out = append(out, path)
	}
	return out
}
