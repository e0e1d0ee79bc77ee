package agent

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listenNotify stands in for a service manager.
func listenNotify(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// heard gives the next message to a service manager.
func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8192)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotifyTellsTheServiceManager(t *testing.T) {
	t.Parallel()
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@picket-test-notify-" + strconv.Itoa(os.Getpid())} {
		manager := listenNotify(t, name)
		for _, tt := range []struct {
			state []string
			want  string
		}{
			{[]string{notifyReady}, "READY=1"},
			{[]string{notifyReady, notifyStatus("watching 1,500 packages")}, "READY=1\nSTATUS=watching 1,500 packages"},
			{[]string{notifyStatus("a\nSTOPPING=1\x00\x1b[31m")}, "STATUS=a STOPPING=1  [31m"},
			{[]string{notifyStatus("Öl für São Paulo")}, "STATUS=Öl für São Paulo"},
		} {
			if err := notifyTo(name, tt.state...); err != nil {
				t.Fatal(err)
			}
			if got := heard(t, manager); got != tt.want {
				t.Errorf("%s: heard %q, want %q", name, got, tt.want)
			}
		}
	}
}

func TestNotifyBoundsAStatus(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	manager := listenNotify(t, name)
	if err := notifyTo(name, notifyStatus(strings.Repeat("ä", 1<<20)), notifyAlive); err != nil {
		t.Fatal(err)
	}
	got := heard(t, manager)
	if len(got) > 600 || !strings.HasSuffix(got, "ä\n"+notifyAlive) {
		t.Errorf("heard %d bytes that end with %q", len(got), got[max(0, len(got)-20):])
	}
}

func TestNotifyWithoutAServiceManager(t *testing.T) {
	t.Parallel()
	if err := notifyTo("", notifyReady); err != nil {
		t.Errorf("nobody to tell: %v", err)
	}
	for _, name := range []string{"vsock:2:1234", "relative", filepath.Join(t.TempDir(), "gone")} {
		if err := notifyTo(name, notifyReady); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNotifyDoesNotWait fills the buffer of a service manager that hangs.
func TestNotifyDoesNotWait(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	listenNotify(t, name)
	for range 10_000 {
		if err := notifyTo(name, notifyAlive); err != nil {
			if !os.IsTimeout(unwrapAll(err)) {
				t.Errorf("a manager that does not read: %v", err)
			}
			return
		}
	}
	t.Error("10,000 messages were taken by a socket that nobody reads")
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsTimeout(err) {
			return err
		}
		err = u.Unwrap()
	}
}

func TestNotifyFromTheEnvironment(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	manager := listenNotify(t, name)
	t.Setenv("NOTIFY_SOCKET", name)
	if err := notifyReloading(); err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(heard(t, manager), "\nMONOTONIC_USEC=")
	if usec, err := strconv.ParseInt(rest, 10, 64); first != "RELOADING=1" || err != nil || usec <= 0 {
		t.Errorf("heard %q and %q", first, rest)
	}
	if err := notify(notifyStopping); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, manager); got != "STOPPING=1" {
		t.Errorf("heard %q", got)
	}
}

func TestWatchdogInterval(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"", "", 0, false},
		{"120000000", "", 2 * time.Minute, false},
		{"120000000", "7", 2 * time.Minute, false},
		{"120000000", "8", 0, false},
		{"1", "7", time.Microsecond, false},
		{"0", "7", 0, true},
		{"-1", "7", 0, true},
		{"soon", "7", 0, true},
		{"9223372036854775808", "", 0, true},
		{"99999999999999999999", "", 0, true},
	} {
		env := map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}
		got, err := watchdogInterval(func(k string) string { return env[k] }, 7)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%q for %q: %v, %v", tt.usec, tt.pid, got, err)
		}
	}
}
