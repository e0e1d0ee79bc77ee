package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/store"
)

// healthyExaminer looks at a folder of the test's own, in which all is well.
func healthyExaminer(t *testing.T) *examiner {
	t.Helper()
	dir := socketFolder(t)
	x := &examiner{uid: os.Geteuid(), reader: os.Geteuid(), now: time.Now(), proc: filepath.Join(dir, "proc"), from: Origins{Keys: map[string]Origin{}}}
	x.cfg = Config{StateDir: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "run", "s"), OutboxSize: 1 << 20, Watch: time.Second, Digests: "all"}
	x.cfg.SinkFile = filepath.Join(x.cfg.StateDir, sinkName)
	for _, d := range []string{"state", "run", "proc/sys/fs/inotify", "proc/self"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeTest(t, filepath.Join(x.proc, "sys/fs/inotify/max_user_watches"), "65536\n")
	writeTest(t, filepath.Join(x.proc, "sys/fs/inotify/max_user_instances"), "128\n")
	writeTest(t, filepath.Join(x.proc, "self/status"), "Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n")
	s, err := store.Open(filepath.Join(x.cfg.StateDir, storeName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return x
}

func writeTest(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// found gives the checks that are not well, as "code outcome".
func found(all []check) (out []string) {
	for _, c := range all {
		// What the machine that tests cannot change: its clock's upkeep and the user.
		if c.Outcome == checkOK || c.Code == "clock" && c.Outcome == checkUnknown || c.Code == "privileges" && os.Geteuid() != 0 {
			continue
		}
		out = append(out, c.Code+" "+c.Outcome)
	}
	return out
}

func TestDoctorHealthy(t *testing.T) {
	t.Parallel()
	x := healthyExaminer(t)
	if got := found(x.hostChecks()); len(got) > 0 {
		t.Errorf("%s: %+v", got, x.hostChecks())
	}
	// Before the first start there is nothing.
	x.cfg.StateDir, x.cfg.Socket = filepath.Join(x.cfg.StateDir, "a/b"), filepath.Join(x.cfg.StateDir, "c/s")
	x.cfg.SinkFile = filepath.Join(x.cfg.StateDir, sinkName)
	if got := found(x.surroundings()); len(got) > 0 {
		t.Errorf("before the first start: %s: %+v", got, x.surroundings())
	}
}

func TestDoctorFinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want, text string
		spoil      func(t *testing.T, x *examiner)
	}{
		{"rules failed", "allow", func(t *testing.T, x *examiner) { x.cfg.Allow = []string{"/nonexistent/allow.yaml"} }},
		{"rules failed", "", func(t *testing.T, x *examiner) { x.cfg.RulesDir = "/nonexistent/rules" }},
		{"state-dir failed", "others may write", func(t *testing.T, x *examiner) { chmod(t, x.cfg.StateDir, 0o777) }},
		{"state-dir failed", "is no folder", func(t *testing.T, x *examiner) {
			x.cfg.StateDir = filepath.Join(x.proc, "self/status")
			x.cfg.SinkFile = filepath.Join(x.proc, "e")
		}},
		{"store warning", "does not begin as a store", func(t *testing.T, x *examiner) { writeTest(t, filepath.Join(x.cfg.StateDir, storeName), "short") }},
		{"store warning", "does not begin as a store", func(t *testing.T, x *examiner) {
			writeTest(t, filepath.Join(x.cfg.StateDir, storeName), strings.Repeat("x", 8192))
		}},
		{"store failed", "is a link", func(t *testing.T, x *examiner) {
			path := filepath.Join(x.cfg.StateDir, storeName)
			if err := errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)); err != nil {
				t.Fatal(err)
			}
		}},
		{"store failed", "no regular file", func(t *testing.T, x *examiner) {
			path := filepath.Join(x.cfg.StateDir, storeName)
			if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}},
		{"clock warning", "the clock was set back", func(t *testing.T, x *examiner) {
			later := x.now.Add(time.Hour)
			if err := os.Chtimes(filepath.Join(x.cfg.StateDir, storeName), later, later); err != nil {
				t.Fatal(err)
			}
		}},
		{"clock failed", "this program was made on", func(t *testing.T, x *examiner) { x.now = time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC) }},
		{"clock warning", "ten years", func(t *testing.T, x *examiner) { x.now = x.now.AddDate(20, 0, 0) }},
		{"space warning", "less than outbox_size", func(t *testing.T, x *examiner) { x.cfg.OutboxSize = 1 << 60 }},
		{"sink failed", "no folder", func(t *testing.T, x *examiner) { x.cfg.SinkFile = "/nonexistent/events" }},
		{"sink failed", "not a regular file", func(t *testing.T, x *examiner) { x.cfg.SinkFile = x.cfg.StateDir }},
		{"sink warning", "mode 0777", func(t *testing.T, x *examiner) { openSink(t, x, 0o777) }},
		{"sink warning", "mode 1777", func(t *testing.T, x *examiner) { openSink(t, x, 0o777|os.ModeSticky) }},
		{"socket failed", "no group", func(t *testing.T, x *examiner) { x.cfg.SocketGroup = "no-such-group-here" }},
		{"socket failed", "others may replace", func(t *testing.T, x *examiner) { chmod(t, filepath.Dir(x.cfg.Socket), 0o777) }},
		{"watch-limit warning", "100 watches", func(t *testing.T, x *examiner) {
			writeTest(t, filepath.Join(x.proc, "sys/fs/inotify/max_user_watches"), "100\n")
		}},
		{"watch-limit warning", "1 watchers", func(t *testing.T, x *examiner) {
			writeTest(t, filepath.Join(x.proc, "sys/fs/inotify/max_user_instances"), "1\n")
		}},
		{"watch-limit unknown", "cannot be looked at", func(t *testing.T, x *examiner) { os.RemoveAll(filepath.Join(x.proc, "sys")) }},
		{"watch-limit unknown", "invalid syntax", func(t *testing.T, x *examiner) {
			writeTest(t, filepath.Join(x.proc, "sys/fs/inotify/max_user_watches"), "many")
		}},
		{"privileges warning", "CAP_SYS_PTRACE", func(t *testing.T, x *examiner) {
			x.uid, x.reader = os.Geteuid(), 0
			writeTest(t, filepath.Join(x.proc, "self/status"), "Name:\tx\nCapEff:\t00000000a80425fb\n")
		}},
		{"privileges unknown", "no capabilities", func(t *testing.T, x *examiner) { writeTest(t, filepath.Join(x.proc, "self/status"), "") }},
	} {
		x := healthyExaminer(t)
		if os.Geteuid() != 0 && strings.HasPrefix(tt.want, "privileges") {
			continue
		}
		tt.spoil(t, x)
		all := x.surroundings()
		if strings.HasPrefix(tt.want, "rules") {
			all = []check{x.rules()}
		}
		hit := false
		for _, c := range all {
			if c.Code+" "+c.Outcome != tt.want {
				continue
			}
			hit = hit || strings.Contains(c.Text, tt.text)
			if c.Outcome != checkUnknown && c.Fix == "" {
				t.Errorf("%s: it says not what to do", tt.want)
			}
		}
		if !hit {
			t.Errorf("%s (%s) was not found: %+v", tt.want, tt.text, all)
		}
	}
}

// openSink has events written to a folder of that mode.
func openSink(t *testing.T, x *examiner, mode os.FileMode) {
	t.Helper()
	dir := t.TempDir()
	chmod(t, dir, mode)
	x.cfg.SinkFile = filepath.Join(dir, sinkName)
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorForAnotherUser has another user look at root's agent: what may not be seen is unknown.
func TestDoctorForAnotherUser(t *testing.T) {
	x := healthyExaminer(t)
	asUser(t, 65534, 65534, nil, func() {
		x.reader = 65534
		for _, c := range x.surroundings() {
			if c.Code == "store" && (c.Outcome != checkUnknown || !strings.Contains(c.Fix, "as root")) {
				t.Errorf("%+v", c)
			}
		}
	})
	if os.Geteuid() != 0 {
		return
	}
	x = healthyExaminer(t)
	x.uid = 65534 // and this is an agent of that user, whose folder belongs to root
	got := strings.Join(found(x.surroundings()), ", ")
	if !strings.Contains(got, "state-dir failed, store failed") || !strings.Contains(got, "privileges warning") {
		t.Error(got)
	}
}

func TestDoctorAsksTheAgent(t *testing.T) {
	f := newFakeAgent()
	path, _ := serveAPI(t, f, "", nil)
	state := t.TempDir()
	chmod(t, state, 0o700)
	args := []string{"doctor", "--set", "state_dir=" + state, "--socket", path}
	out, errs, code := run(t, args...)
	if code != exitDone || !strings.Contains(out, "ok       agent") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	f.warnings = []Warning{{Code: "outbox", Dependency: "upstream", Since: at(), Text: "dropping", Fix: "look"}}
	out, _, code = run(t, append(args, "--json")...)
	var got examination
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDone || !got.OK {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	last := got.Checks[len(got.Checks)-1]
	if last.Code != "outbox" || last.Outcome != checkWarning || last.Fix != "look" {
		t.Errorf("%+v", last)
	}
	if out, _, code = run(t, append(args, "--set", "watch=5")...); code != exitError || !strings.Contains(out, "failed   config") || !strings.Contains(out, "ok       agent") {
		t.Errorf("exit %d\n%s", code, out)
	}
	// The agent's own file, called by another name.
	t.Chdir(state)
	writeTest(t, "c.yaml", "watch: off\n")
	f.config = ConfigUse{File: filepath.Join(state, "c.yaml"), Read: true}
	if out, _, _ = run(t, append(args, "--config", "./c.yaml")...); !strings.HasPrefix(out, "ok       config      c.yaml\n") {
		t.Errorf("%s", out)
	}
	f.config.File = "/etc/picket/other.yaml"
	if out, _, _ = run(t, append(args, "--config", "./c.yaml")...); !strings.HasPrefix(out, "warning  config      the agent uses /etc/picket/other.yaml, and this looked at "+filepath.Join(state, "c.yaml")+"\n") {
		t.Errorf("%s", out)
	}
	chmod(t, state, 0o777)
	if out, _, code = run(t, args...); code != exitError || !strings.Contains(out, "failed   state-dir") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestDoctorWithoutAgent(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	chmod(t, state, 0o700)
	socket := filepath.Join(socketFolder(t), "s")
	args := []string{"doctor", "--set", "state_dir=" + state, "--socket", socket}
	if out, errs, code := run(t, args...); code != exitNotRunning || !strings.Contains(out, "failed   not-running") || !strings.Contains(errs, "no agent is running; nothing else failed\n") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	// One that takes connections and never answers is not "not running".
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if out, _, code := run(t, args...); code != exitError || !strings.Contains(out, "failed   agent") || strings.Contains(out, "not-running") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestStoreMagic holds the constant to the store's real file.
func TestStoreMagic(t *testing.T) {
	t.Parallel()
	x := healthyExaminer(t)
	b, err := os.ReadFile(filepath.Join(x.cfg.StateDir, storeName))
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.NativeEndian.Uint32(b[16:]); got != boltMagic {
		t.Errorf("%x", got)
	}
}
