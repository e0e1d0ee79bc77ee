package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"

	"picket/scanner"
	"picket/store"
)

// TestQuietHours is by the device's own clock: across midnight, to the minute, and when the clocks change.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	for _, tt := range []struct{ from, to, now, end string }{
		{"", "", "2026-11-24 03:00", ""},
		{"22:00", "", "2026-11-24 23:00", ""},
		{"22:00", "22:00", "2026-11-24 22:00", ""},
		{"22:00", "07:00", "2026-11-24 21:59", ""},
		{"22:00", "07:00", "2026-11-24 22:00", "2026-11-25 07:00"},
		{"22:00", "07:00", "2026-12-31 23:59", "2027-01-01 07:00"},
		{"22:00", "07:00", "2026-11-25 00:00", "2026-11-25 07:00"},
		{"22:00", "07:00", "2026-11-25 06:59", "2026-11-25 07:00"},
		{"22:00", "07:00", "2026-11-25 07:00", ""},
		{"12:30", "13:15", "2026-11-24 12:29", ""},
		{"12:30", "13:15", "2026-11-24 12:30", "2026-11-24 13:15"},
		{"12:30", "13:15", "2026-11-24 13:15", ""},
		{"00:00", "06:00", "2026-11-24 00:00", "2026-11-24 06:00"},
		{"20:00", "00:00", "2026-11-24 20:00", "2026-11-25 00:00"},
		{"20:00", "00:00", "2026-11-24 00:00", ""},
		{"22:00", "07:00", "2026-03-29 01:30", "2026-03-29 07:00"}, // an hour is missing
		{"22:00", "07:00", "2026-10-24 23:00", "2026-10-25 07:00"}, // an hour comes twice
	} {
		now, err := time.ParseInLocation("2006-01-02 15:04", tt.now, amsterdam)
		if err != nil {
			t.Fatal(err)
		}
		end, ok := noticeRules{from: tt.from, to: tt.to}.quiet(now)
		if got := end.Format("2006-01-02 15:04"); ok != (tt.end != "") || ok && got != tt.end {
			t.Errorf("%s to %s at %s: %s, %v; want %q", tt.from, tt.to, tt.now, got, ok, tt.end)
		}
	}
	spring, _ := time.ParseInLocation("2006-01-02 15:04", "2026-03-29 01:30", amsterdam)
	if end, _ := (noticeRules{from: "22:00", to: "07:00"}).quiet(spring); end.Sub(spring) != 4*time.Hour+30*time.Minute {
		t.Errorf("in the night of the missing hour there are %v to wait", end.Sub(spring))
	}
}

// shown is a board that a test reads.
type shown struct {
	mu   sync.Mutex
	list []notice
	fail error
}

func (s *shown) board() board {
	return board{name: "test", language: func() string { return "" }, show: func(_ context.Context, _ string, n notice) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fail != nil {
			return s.fail
		}
		s.list = append(s.list, n)
		return nil
	}}
}

// take gives what was shown since the last time, in short.
func (s *shown) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, n := range s.list {
		if n.More > 0 {
			out = append(out, fmt.Sprintf("+%d", n.More))
		} else {
			out = append(out, n.Subject)
		}
	}
	s.list = nil
	return strings.Join(out, " ")
}

const noticeRule = `id: %s
title: A package that should not be here
category: app
severity: %s
fp_risk: low
platforms: [linux]
table: packages
when: name startsWith "%s"
discreet: %v
subject: {kind: package, name: "{name}"}
evidence: [name]
means: |
  It is here.
fix: |
  Remove it.
attack: []
false_positives: |
  None.
tests:
  - name: it is here
    severity: %s
    fires:
      - {name: %s-one}
    quiet:
      - {name: other}
`

// noticeBench is a device with packages that rules of the test find.
func noticeBench(t testing.TB) *bench {
	t.Helper()
	b := newBench(t, smallSystem(t, 0))
	b.config.RulesDir = t.TempDir()
	b.config.ScanInterval = time.Hour
	for _, r := range []struct {
		id, severity, prefix string
		discreet             bool
	}{{"APP-901", "high", "bad", false}, {"APP-902", "critical", "spy", true}, {"APP-903", "low", "odd", false}, {"APP-904", "medium", "spy", false}} {
		text := fmt.Sprintf(noticeRule, r.id, r.severity, r.prefix, r.discreet, r.severity, r.prefix)
		if err := os.WriteFile(filepath.Join(b.config.RulesDir, r.id+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bench) packages(t testing.TB, names ...string) {
	t.Helper()
	status := stanza("calm", "1")
	for _, name := range names {
		status += stanza(name, "1")
	}
	replace(t, b.root, "/var/lib/dpkg/status", status)
}

// setPolicy puts notifications of a policy into effect.
func setPolicy(t testing.TB, d *daemon, notifications string) {
	t.Helper()
	p, err := ParsePolicy("policy.yaml", []byte("format: picket.policy/1\nnotifications: "+notifications+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	d.reloading.Lock()
	defer d.reloading.Unlock()
	s := *d.set.Load()
	c := *s.criteria
	c.policy, s.criteria = p, &c
	d.settle(s)
}

// TestNotices: each finding once, again when it comes back, never in quiet hours or below the
// policy's grade, never what is set aside, and nothing at all of what is discreet.
func TestNotices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, s := noticeBench(t), &shown{}
		b.boards = []board{s.board()}
		b.zone = func() *time.Location { return time.UTC } // the bubble begins at midnight
		b.packages(t, "bad-one", "spy-one", "odd-one")
		run := func() (d *daemon, stop func()) {
			d, err := newDaemon(b.machine)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- d.run(ctx, actor{"notices", d.runNotices}) }()
			return d, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		next := func() string {
			time.Sleep(time.Hour + 10*time.Minute)
			synctest.Wait()
			return s.take()
		}
		want := func(what, want string) {
			t.Helper()
			if got := next(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		_, stop := run()
		want("the first scan", "bad-one")
		want("nothing new", "")
		stop()
		var d *daemon
		d, stop = run()
		want("after a new start", "")
		b.packages(t, "bad-one", "bad-two")
		want("a new one", "bad-two")
		b.packages(t, "bad-two")
		want("one is gone", "")
		b.packages(t, "bad-one", "bad-two")
		want("it is back", "bad-one")
		b.packages(t, "bad-1", "bad-2", "bad-3", "bad-4", "bad-5")
		if got := next(); len(strings.Fields(got)) != 4 || !strings.HasSuffix(got, " +2") {
			t.Errorf("many at once: %q", got)
		}

		// It is about noon now. What comes in quiet hours is told at their end, if it is still there.
		setPolicy(t, d, `{quiet_from: "00:00", quiet_to: "23:00"}`)
		b.packages(t, "bad-night", "bad-gone")
		want("in quiet hours", "")
		b.packages(t, "bad-night")
		want("still in quiet hours", "")
		now := time.Now().UTC()
		time.Sleep(time.Date(now.Year(), now.Month(), now.Day(), 23, 0, 1, 0, time.UTC).Sub(now))
		synctest.Wait()
		if got := s.take(); got != "bad-night" {
			t.Errorf("at the end of the quiet hours: %q", got)
		}
		setPolicy(t, d, `{least: off}`)
		b.packages(t, "bad-off")
		want("nothing is to be told", "")
		setPolicy(t, d, `{least: low}`)
		b.packages(t, "bad-off", "odd-two")
		if got := strings.Fields(next()); len(got) != 2 || !slices.Contains(got, "odd-two") || !slices.Contains(got, "bad-off") {
			t.Errorf("from low on: %q", got)
		}

		// Set aside before it was told, and after it was set aside no more.
		s.mu.Lock()
		s.fail = errNobody
		s.mu.Unlock()
		b.packages(t, "bad-aside")
		want("nobody is there", "")
		key := scanner.FindingKey("APP-901", scanner.Subject{Kind: "package", Name: "bad-aside"})
		err := d.change(func(st *store.Store, encode store.Encode) error {
			return st.SetIgnore(store.Ignore{Key: key, Why: "test", By: "test", Until: time.Now().Add(90 * time.Minute)}, encode)
		})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		want("set aside", "")
		want("set aside no more", "bad-aside")
		b.packages(t, "spy-one", "spy-two")
		want("only what is discreet", "")
		stop()
		open, err := newDaemon(b.machine)
		if err != nil {
			t.Fatal(err)
		}
		found, err := fromStore(open.vault, (*store.Store).Findings)
		if err != nil || len(found) < 2 {
			t.Errorf("the discreet findings are not there to be kept back: %v, %v", found, err)
		}
		if err := open.leave(nil); err != nil {
			t.Error(err)
		}
	})
}

// hostile is what an app may call itself.
const hostile = "x\x1b[2J\x1b]0;owned\a\r\n<b>&\u202eevil"

// TestConsoleNotices: on a real terminal of somebody who is logged in and takes messages, as plain
// text whatever a device's texts hold, and as a line for those who log in.
func TestConsoleNotices(t *testing.T) {
	t.Parallel()
	master, slave := terminal(t)
	line := strings.TrimPrefix(slave.Name(), "/dev/")
	dir := t.TempDir()
	c := console{filepath.Join(dir, "sessions"), filepath.Join(dir, "utmp"), "/dev", filepath.Join(dir, "motd.d", "picket")}
	n := notice{Key: "k", Severity: scanner.High, Title: brief(hostile + strings.Repeat("y", 400)), Subject: "s"}
	if err := c.show(t.Context(), "nl", n); !errors.Is(err, errNobody) {
		t.Errorf("with nobody logged in: %v", err)
	}
	record := make([]byte, 384)
	binary.NativeEndian.PutUint16(record, 7)
	copy(record[8:], line)
	bad := slices.Clone(record)
	clear(bad[8:40])
	copy(bad[8:], "../../etc/shadow")
	if err := os.WriteFile(c.utmp, append(bad, record...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.terminals(); !slices.Equal(got, []string{line}) {
		t.Errorf("terminals by utmp: %v", got)
	}
	if err := os.Remove(c.utmp); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(c.sessions, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"1": "TYPE=tty\nTTY=" + line + "\n", "2": "TYPE=wayland\nTTY=tty2\n", "3": "TTY=../mem\n", "4.ref": "", "5": strings.Repeat("x", 20<<10)} {
		if err := os.WriteFile(filepath.Join(c.sessions, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.terminals(); !slices.Equal(got, []string{line}) {
		t.Errorf("terminals by sessions: %v", got)
	}
	if err := slave.Chmod(0o600); err != nil { // mesg n
		t.Fatal(err)
	}
	if err := c.show(t.Context(), "nl", n); !errors.Is(err, errNobody) {
		t.Errorf("with mesg n: %v", err)
	}
	if err := slave.Chmod(0o620); err != nil {
		t.Fatal(err)
	}
	if err := c.show(t.Context(), "nl", n); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for !strings.Contains(string(got), "picket ui") {
		b := make([]byte, 4096)
		k, err := master.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:k]...)
	}
	if strings.ContainsAny(string(got), "\x1b\a") || strings.Contains(string(got), "\u202e") || strings.Count(string(got), "\n") > 4 {
		t.Errorf("not inert: %q", got)
	}
	if !strings.Contains(string(got), `Picket: x\x1b[2J`) || !strings.Contains(string(got), "... (hoog)") {
		t.Errorf("shown: %q", got)
	}

	open := []threat{{Finding: scanner.Finding{Severity: scanner.High, Title: hostile}}, {Finding: scanner.Finding{Severity: scanner.Medium}}}
	if err := c.leave("en", open); err != nil {
		t.Errorf("without a folder: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.motd), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.leave("en", open); err != nil {
		t.Fatal(err)
	}
	if text := read(t, c.motd); text != "Picket found something on this device: 1 high, 1 medium. Read what it means and how to fix it: picket ui\n" {
		t.Errorf("at the next login: %q", text)
	}
	if err := c.leave("en", nil); err != nil || there(c.motd) {
		t.Errorf("nothing is open: %v", err)
	}
}

// TestAndroidNotices: the texts are arguments, never a shell's.
func TestAndroidNotices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := filepath.Join(dir, "cmd")
	writeProgram(t, cmd, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >"+dir+"/args\n[ ! -e "+dir+"/no ] || { echo 'not allowed'; exit 1; }\n"))
	n := notice{Key: "abc", Title: "$(touch " + dir + "/owned)", Subject: brief(hostile)}
	if err := postAndroid(t.Context(), cmd, "nl", n); err != nil {
		t.Fatal(err)
	}
	args := strings.Split(read(t, dir+"/args"), "\n")
	if len(args) != 9 || args[5] != "Picket: "+n.Title || args[6] != "picket-abc" || !strings.HasPrefix(args[7], `x\x1b[2J`) || there(dir+"/owned") {
		t.Errorf("arguments: %q", args)
	}
	replace(t, dir, "/no", "")
	if err := postAndroid(t.Context(), cmd, "nl", n); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("refused: %v", err)
	}
}

// TestLanguageOfTheDevice is for texts that are nobody's in particular.
func TestLanguageOfTheDevice(t *testing.T) {
	t.Parallel()
	etc := t.TempDir()
	env := func(v string) func(string) string {
		return func(name string) string { return map[string]string{"LANG": v}[name] }
	}
	if got := systemLanguage(env(""), etc); got != "" {
		t.Errorf("nothing says: %q", got)
	}
	replace(t, etc, "/default/locale", "# by hand\nLANG=\"nl_NL.UTF-8\"\n")
	if got := systemLanguage(env(""), etc); got != "nl" {
		t.Errorf("by /etc/default/locale: %q", got)
	}
	if got := systemLanguage(env("en_GB.UTF-8"), etc); got != "en" {
		t.Errorf("by the environment: %q", got)
	}
}

// fakeServer shows notices on a bus as a desktop does.
type fakeServer struct {
	can  atomic.Pointer[[]string]
	seen chan []any
	conn *dbus.Conn
}

func (f *fakeServer) GetCapabilities() ([]string, *dbus.Error) { return *f.can.Load(), nil }

func (f *fakeServer) Notify(app string, replaces uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, expire int32) (uint32, *dbus.Error) {
	f.seen <- []any{app, summary, body, actions, hints["urgency"].Value()}
	return 7, nil
}

// TestDesktopNotices: a real bus, a real agent and its socket, and what shows notices on the bus.
func TestDesktopNotices(t *testing.T) {
	t.Parallel()
	address, endBus := busOfTests(t)
	env := func(name string) string {
		return map[string]string{"DBUS_SESSION_BUS_ADDRESS": address + ",guid=0123"}[name]
	}
	checked, err := sessionBus(env)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	server := &fakeServer{seen: make(chan []any, 8), conn: conn}
	server.can.Store(&[]string{"body", "actions", "body-markup"})
	if err := conn.Export(server, notifyPath, notifyName); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(notifyName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}

	b := noticeBench(t)
	b.packages(t, "bad-one", "spy-one")
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx, actor{"serve", d.runServe}) }()
	t.Cleanup(func() { cancel(); <-ended })
	if _, err := d.rescan(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	open, err := d.notable(scanner.Medium)
	if err != nil || len(open) != 1 {
		t.Fatalf("%d findings may be told: %v\n%s", len(open), err, b.log)
	}
	for !there(b.config.Socket) {
		pause(t.Context(), time.Millisecond, nil)
	}

	desk, err := openDesktop(t.Context(), checked, "nl")
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{}, 8)
	desk.open = func() { opened <- struct{}{} }
	followed := make(chan error, 1)
	go func() { followed <- desk.follow(ctx, b.config.Socket) }()
	got := fmt.Sprintf("%q", <-server.seen)
	for _, want := range []string{`"Picket" "Picket: A package that should not be here" "bad-one. Open om te lezen`, `["default" "Openen"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("the notice lacks %s: %s", want, got)
		}
	}
	click := func(id uint32) {
		t.Helper()
		if err := conn.Emit(notifyPath, notifyName+".ActionInvoked", id, "default"); err != nil {
			t.Fatal(err)
		}
	}
	click(99) // of another program
	click(7)
	<-opened

	// One more that is new; the discreet ones never come.
	b.packages(t, "bad-one", "bad-two", "spy-one", "spy-two")
	if _, err := d.rescan(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q", <-server.seen); !strings.Contains(got, `"bad-two. Open`) {
		t.Errorf("the second notice: %s", got)
	}
	other, err := openDesktop(t.Context(), checked, "nl")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	// What a device calls things is text, whether marks are read or not.
	for can, want := range map[string]string{"body-markup": `\\x1b]0;owned\\x07\\x0d\\x0a&lt;b&gt;&amp;\\u202eevil`, "body": `\\x1b]0;owned\\x07\\x0d\\x0a<b>&\\u202eevil`} {
		server.can.Store(&[]string{can})
		if err := other.show(t.Context(), notice{Title: hostile, Subject: hostile}); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%q", <-server.seen); !strings.Contains(got, want) || !strings.Contains(got, " [] ") || strings.Contains(got, `\u202e`) && !strings.Contains(got, `\\u202e`) {
			t.Errorf("with %s the notice lacks %s: %s", can, want, got)
		}
	}
	if len(server.seen) > 0 || len(opened) > 0 {
		t.Errorf("more was shown or opened: %d, %d", len(server.seen), len(opened))
	}
	endBus() // the session ends
	if err := <-followed; err != nil {
		t.Errorf("the end of the session: %v", err)
	}
	desk.close()
}

// TestSessionBusOfOthers: a bus that is not this user's is not spoken to.
func TestSessionBusOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace(t, dir, "/file", "")
	for address, want := range map[string]string{
		"":                                  "no session bus",
		"tcp:host=127.0.0.1,port=1":         "no Unix socket",
		"unixexec:path=/bin/sh":             "no Unix socket",
		"unix:path=" + dir + "/file":        "no socket of this user's own",
		"unix:path=" + dir + "/none;unix:x": "no such file",
	} {
		_, err := sessionBus(func(name string) string {
			return map[string]string{"DBUS_SESSION_BUS_ADDRESS": address}[name]
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("giving a socket to another user needs root")
	}
	l, err := net.Listen("unix", dir+"/bus")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chown(dir+"/bus", 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := sessionBus(func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": dir}[name] }); err == nil {
		t.Error("another user's socket is taken for one's own")
	}
}
