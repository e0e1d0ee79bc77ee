package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/store"
)

// smallSystem writes a small Debian root file system with n packages and gives its folder.
func smallSystem(t testing.TB, n int) string {
	t.Helper()
	root := t.TempDir()
	replace(t, root, "/etc/os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
	replace(t, root, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
	replace(t, root, "/etc/group", "root:x:0:\nann:x:1000:\n")
	replace(t, root, "/etc/shadow", "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
	for _, dir := range []string{"/bin", "/root", "/home/ann", "/etc/cron.d", "/etc/systemd/system", "/var/lib/dpkg/info"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var status strings.Builder
	for i := range n {
		name := fmt.Sprintf("pkg%d", i)
		status.WriteString(stanza(name, "1.0-1"))
		replace(t, root, "/var/lib/dpkg/info/"+name+".list", "/.\n/usr\n/usr/share\n/usr/share/"+name+"\n")
	}
	replace(t, root, "/var/lib/dpkg/status", status.String())
	return root
}

func stanza(name, version string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nPriority: optional\nSection: misc\nInstalled-Size: 12\nMaintainer: Somebody <somebody@example.org>\nArchitecture: amd64\nVersion: %s\nDescription: a package\n\n", name, version)
}

// replace writes a file as package managers do: beside, and then in its place.
func replace(t testing.TB, root, name, content string) {
	t.Helper()
	path := root + name
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"-new", path); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// bench is a daemon's machine in a test.
type bench struct {
	machine
	root   string
	config Config
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newBench makes a machine over a folder. Files are not watched, and time is the test's: inside
// a bubble of synctest it is virtual.
func newBench(t testing.TB, root string) *bench {
	t.Helper()
	state := t.TempDir()
	c, _, err := Load("", Env{Getenv: func(string) string { return "" }, Set: []string{
		"state_dir=" + state + "/state", "socket=" + state + "/s", "watch=off", "sample_interval=off", "digests=none", "log_level=debug"}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{root: root, config: c, log: &lockedBuffer{}}
	level := new(slog.LevelVar)
	base := time.Now()
	since := func() time.Duration { return time.Since(base) + time.Hour }
	b.machine = machine{
		open:  func(context.Context) (scanner.Device, error) { return device.Directory(b.root) },
		root:  root,
		load:  func() (Config, Origins, error) { return b.config, Origins{File: "/none"}, nil },
		level: level,
		log:   slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: level})),
		clock: clock{wall: time.Now, awake: since, boot: since},
		tell:  func(...string) {},
		boot:  "boot-1",
		sink:  func(c Config) Sink { return newFileSink(c.SinkFile, c.SinkSize) },
	}
	return b
}

// start runs a daemon until the test calls stop, which gives how it ended.
func (b *bench) start(t testing.TB) (d *daemon, stop func() error) {
	t.Helper()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	return d, func() error { cancel(); return <-done }
}

// event is what tests look at in an event.
type event struct {
	Class    string `json:"class_name"`
	Activity string `json:"activity_name"`
	Message  string `json:"message"`
	Time     int64  `json:"time"`
	Metadata struct {
		UID  string `json:"uid"`
		Code string `json:"event_code"`
	} `json:"metadata"`
	Device struct {
		UID string `json:"uid"`
	} `json:"device"`
	Unmapped struct {
		Gap      *Gap            `json:"gap"`
		Agent    bool            `json:"agent"`
		Snapshot json.RawMessage `json:"snapshot"`
	} `json:"unmapped"`
}

// delivered reads the file of events, older turns first.
func (b *bench) delivered(t testing.TB) []event {
	t.Helper()
	var out []event
	for i := sinkTurns; i >= 0; i-- {
		name := b.config.SinkFile
		if i > 0 {
			name = fmt.Sprintf("%s.%d", name, i)
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatalf("%s: %v in %q", name, err, lines.Text())
			}
			out = append(out, e)
		}
		f.Close()
	}
	return out
}

// news are the delivered events that are no part of a snapshot, as "class activity: message".
func (b *bench) news(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, e := range b.delivered(t) {
		if e.Unmapped.Snapshot == nil && e.Class != "Device Inventory Info" {
			out = append(out, e.Class+" "+e.Activity+": "+e.Message)
		}
	}
	return out
}

func containsText(list []string, text string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, text) })
}

func TestDaemonScansRemembersAndDelivers(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n") // no password
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		d, stop := b.start(t)
		synctest.Wait()
		first := b.news(t)
		if !containsText(first, "Finding Create") {
			t.Fatalf("no finding was told: %q\n%s", first, b.log)
		}
		if got := d.judging.report(); got == nil || len(packagesOf(got)) != 3 {
			t.Errorf("the report is %+v", got)
		}
		// A day and a half of nothing: scans come, and tell nothing but a snapshot.
		time.Sleep(36 * time.Hour)
		synctest.Wait()
		if n := d.scans.Load(); n < 6 || n > 8 {
			t.Errorf("%d scans in 36 hours of 6 each", n)
		}
		if again := b.news(t); len(again) != len(first) {
			t.Errorf("without a change there are new events: %q", again[len(first):])
		}
		// The root account gets a password, a package comes and another goes.
		replace(t, root, "/etc/shadow", "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
		replace(t, root, "/var/lib/dpkg/status", stanza("pkg0", "1.0-1")+stanza("pkg1", "2.0-1")+stanza("new", "1"))
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		last := b.news(t)[len(first):]
		for _, want := range []string{"Finding Close", "Application Lifecycle Install: new 1 installed", "Application Lifecycle Update: pkg1 2.0-1 updated", "Application Lifecycle Remove: pkg2 1.0-1 removed"} {
			if !containsText(last, want) {
				t.Errorf("no %q in %q", want, last)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		ids, uid := map[string]bool{}, ""
		for _, e := range b.delivered(t) {
			if ids[e.Metadata.UID] {
				t.Errorf("%s was delivered twice", e.Metadata.UID)
			}
			ids[e.Metadata.UID] = true
			if uid == "" {
				uid = e.Device.UID
			}
			if len(e.Device.UID) != 32 || e.Device.UID != uid {
				t.Errorf("device %q after %q", e.Device.UID, uid)
			}
		}
	})
}

func TestDaemonTellsGaps(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		run := func() {
			t.Helper()
			_, stop := b.start(t)
			time.Sleep(time.Minute)
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		run()
		stopped := time.Now()
		time.Sleep(3 * time.Hour)
		run()
		time.Sleep(time.Hour)
		b.boot = "boot-2"
		run()
		var gaps []Gap
		for _, e := range b.delivered(t) {
			if e.Unmapped.Gap != nil {
				gaps = append(gaps, *e.Unmapped.Gap)
			}
		}
		if len(gaps) != 2 {
			t.Fatalf("gaps %+v\n%s", gaps, b.log)
		}
		if g := gaps[0]; g.Why != "stopped" || !g.From.Equal(stopped.Truncate(time.Millisecond)) || g.To.Sub(g.From) != 3*time.Hour {
			t.Errorf("first gap %+v", g)
		}
		if g := gaps[1]; g.Why != "device-off" || g.To.Sub(g.From) != time.Hour {
			t.Errorf("second gap %+v", g)
		}
	})
}

func TestGapReasons(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	now := runNote{At: at.Add(time.Hour), Boot: "a", Version: "2"}
	for want, last := range map[string]runNote{
		"stopped":        {At: at, Boot: "a", Version: "2", Stopped: "asked to"},
		"killed":         {At: at, Boot: "a", Version: "2"},
		"updated":        {At: at, Boot: "a", Version: "1", Stopped: "asked to"},
		"device-off":     {At: at, Boot: "b", Version: "2"},
		"clock-set-back": {At: at.Add(2 * time.Hour), Boot: "a", Version: "2"},
	} {
		if got := gapAfter(last, time.Time{}, now); got.Why != want {
			t.Errorf("%+v: %s, want %s", last, got.Why, want)
		}
	}
	// One that was killed ran at least until it last wrote.
	if got := gapAfter(runNote{At: at, Boot: "a", Version: "2"}, at.Add(time.Minute), now); !got.From.Equal(at.Add(time.Minute)) {
		t.Errorf("from %v", got.From)
	}
}

func TestDaemonReload(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		d, stop := b.start(t)
		synctest.Wait()
		old := b.config
		b.config.ScanInterval, b.config.OutboxAge = time.Hour, 2*time.Hour
		changes, err := d.reload()
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"scan_interval: 6h -> 1h", "outbox_age: 90d -> 2h (when the agent starts anew)"}; !slices.Equal(changes, want) {
			t.Errorf("changes %q", changes)
		}
		synctest.Wait()
		before := d.scans.Load()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if n := d.scans.Load() - before; n < 4 {
			t.Errorf("%d scans in 5 hours", n)
		}
		good := d.config()
		b.config.RulesDir = filepath.Join(old.StateDir, "nowhere")
		if _, err := d.reload(); err == nil || !strings.Contains(err.Error(), "the old configuration stays") {
			t.Errorf("got %v", err)
		}
		if len(Changes(good, d.config())) > 0 {
			t.Error("a refused configuration is in effect")
		}
		if w := d.warn.all(); len(w) == 0 || w[0].Code != warnConfig {
			t.Errorf("warnings %+v", w)
		}
		b.config = good
		if _, err := d.reload(); err != nil {
			t.Error(err)
		}
		for _, w := range d.warn.all() {
			if w.Code == warnConfig {
				t.Errorf("still %+v", w)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDaemonRefusesASecond(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1))
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.vault.close()
	_, err = newDaemon(b.machine)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("got %v, want the first one's process id", err)
	}
}

// TestDaemonWithoutAStore shows that the agent goes on without a state folder, says so, and
// remembers once it has one.
func TestDaemonWithoutAStore(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		if err := os.WriteFile(b.config.StateDir, []byte("in the way"), 0o600); err != nil {
			t.Fatal(err)
		}
		d, stop := b.start(t)
		synctest.Wait()
		if d.judging.report() == nil {
			t.Fatalf("no report without a store\n%s", b.log)
		}
		if w := d.warn.all(); !slices.ContainsFunc(w, func(w Warning) bool { return w.Dependency == "store" && w.Fix != "" }) {
			t.Errorf("warnings %+v", w)
		}
		if err := os.Remove(b.config.StateDir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		if got := b.delivered(t); len(got) == 0 {
			t.Errorf("nothing was delivered once there was a place\n%s", b.log)
		}
		if w := d.warn.all(); slices.ContainsFunc(w, func(w Warning) bool { return w.Dependency == "store" }) {
			t.Errorf("still %+v", w)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// log0 is the bench's log.
func (b *bench) log0() *slog.Logger { return b.machine.log }
