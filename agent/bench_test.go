package agent

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
		open:     func(context.Context) (scanner.Device, error) { return device.Directory(b.root) },
		root:     root,
		load:     func() (Config, Origins, error) { return b.config, Origins{File: "/none"}, nil },
		level:    level,
		log:      slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: level})),
		clock:    clock{wall: time.Now, awake: since, boot: since, wait: pause},
		chance:   rand.Float64,
		entropy:  cryptorand.Reader,
		cpu:      processCPU,
		usage:    usageNow,
		release:  func() {}, // for each of hundreds of daemons, it would collect the garbage of all
		watcher:  newKernelWatcher,
		tell:     func(...string) {},
		boot:     "boot-1",
		version:  version(),
		volatile: true, // nobody takes the machine's power away
		sink:     func(c Config) Sink { return newFileSink(c.SinkFile, c.SinkSize) },
		upstream: func(Config) Sink { return nil },
	}
	return b
}

// setsClock has the wall clock go wrong by what set is told, while agents run too.
func (b *bench) setsClock() (set func(by time.Duration)) {
	var off atomic.Int64
	b.machine.clock.wall = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
	return func(by time.Duration) { off.Store(int64(by)) }
}

// scanned gives an agent that has scanned all once and whose parts do not run; the test has it leave.
func (b *bench) scanned(t testing.TB) *daemon {
	t.Helper()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	d.begin()
	if _, err := d.scanWhole(t.Context(), "once", d.set.Load().criteria); err != nil {
		t.Fatal(err)
	}
	return d
}

// vault opens the bench's store, for what makes do without a daemon.
func (b *bench) vault(t testing.TB) (*vault, *warnings) {
	t.Helper()
	warn := newWarnings(b.log0(), time.Now)
	v := &vault{dir: b.config.StateDir, log: b.log0(), warn: warn, opts: store.Options{Uptime: b.clock.awake, Volatile: b.volatile}}
	if err := v.open(); err != nil {
		t.Fatal(err)
	}
	return v, warn
}

// start runs a shipper until the test calls stop, which gives how it ended.
func (s *shipper) start(t testing.TB, file, up Sink) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, file, up) }()
	return func() error { cancel(); return <-done }
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
		Losses   json.RawMessage `json:"losses"`
		// Assertion stands in the place of a snapshot that would say the same again.
		Assertion json.RawMessage `json:"assertion"`
	} `json:"unmapped"`
	raw []byte
}

// delivered reads the file of events, older turns first. The agent may be writing it: a line that has no end
// yet is none.
func (b *bench) delivered(t testing.TB) []event {
	t.Helper()
	var out []event
	for i := sinkTurns; i >= 0; i-- {
		name := b.config.SinkFile
		if i > 0 {
			name = fmt.Sprintf("%s.%d", name, i)
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			line, whole := bytes.CutSuffix(line, []byte("\n"))
			if !whole {
				break
			}
			e := event{raw: line}
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s: %v in %q", name, err, line)
			}
			out = append(out, e)
		}
	}
	return out
}

const patchClass = "Operating System Patch State"

// news are the delivered events that are neither part of a snapshot, nor in its place, nor beside it, as "class activity: message".
func (b *bench) news(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, e := range b.delivered(t) {
		if e.Unmapped.Snapshot == nil && e.Unmapped.Assertion == nil && e.Class != "Device Inventory Info" && e.Class != patchClass {
			out = append(out, e.Class+" "+e.Activity+": "+e.Message)
		}
	}
	return out
}

func containsText(list []string, text string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, text) })
}

// log0 is the bench's log.
func (b *bench) log0() *slog.Logger { return b.machine.log }

// awakeSince is a clock's awake that stood at 0 then.
func awakeSince(base time.Time) func() time.Duration {
	return func() time.Duration { return time.Since(base) }
}
