package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"picket/store/forktest"
)

// TestMain lets the test binary be a process of its own: one that holds a store open, or one
// that is killed while it works.
func TestMain(m *testing.M) {
	// Else each process that a test starts under the race detector sleeps for a second at its end.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch os.Getenv("STORE_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "hold":
		os.Exit(holdOpen(os.Getenv("STORE_TEST_PATH")))
	case "crash":
		os.Exit(crashChild())
	}
	os.Exit(3)
}

func child(t testing.TB, what, path string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+what, "STORE_TEST_PATH="+path)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

func holdOpen(path string) int {
	s, err := Open(path, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("open")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if s.Close() != nil {
		return 1
	}
	return 0
}

func TestSecondProcessIsRefusedAndNamesTheFirst(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	cmd := child(t, "hold", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatal(line, err)
	}
	_, err = Open(path, Options{LockWait: 50 * time.Millisecond})
	name := filepath.Base(cmd.Path)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (%q)", cmd.Process.Pid, name)) {
		t.Errorf("%v", err)
	}
	if o := (Options{}).withDefaults(); o.LockWait >= time.Second {
		t.Errorf("a second process waits for %s", o.LockWait)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, Options{})
	if s.Damage() != nil {
		t.Errorf("%+v", s.Damage())
	}
}

func TestLockNoteIsNotTrusted(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	defer s.Close()
	for _, note := range []string{"", "x", "-1\nroot\n", "12\n", "\x1b[31m\n\x00\n", strings.Repeat("9", 5000), "7\n\x1b[2Jevil\n"} {
		if err := os.WriteFile(path+".lock", []byte(note), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, Options{LockWait: time.Millisecond})
		if !errors.Is(err, ErrLocked) || strings.ContainsAny(err.Error(), "\x1b\x00") || len(err.Error()) > 500 {
			t.Errorf("note %q: %v", note, err)
		}
	}
}

func TestFileAndFolderAreClosedToOthers(t *testing.T) {
	t.Parallel()
	path := tempPath(t)
	s := open(t, path, Options{})
	mode := func(p string) os.FileMode {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if mode(filepath.Dir(path)) != 0o700 || mode(path) != 0o600 || mode(path+".lock") != 0o600 {
		t.Errorf("modes %o, %o, %o", mode(filepath.Dir(path)), mode(path), mode(path+".lock"))
	}
	if err := errors.Join(s.Close(), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	open(t, path, Options{})
	if mode(path) != 0o600 {
		t.Errorf("a file open to others stayed %o", mode(path))
	}
}

func TestWhatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	link := func(p string) error { return os.Symlink("/dev/null", p) }
	fifo := func(p string) error { return syscall.Mkfifo(p, 0o600) }
	folder := func(p string) error { return os.Mkdir(p, 0o700) }
	foreign := func(p string) error {
		return errors.Join(os.WriteFile(p, []byte("x"), 0o600), os.Chown(p, 12345, 12345))
	}
	for name, tc := range map[string]struct {
		make func(string) error
		path string // beside the store
		root bool
	}{
		"store is a link":      {link, "", false},
		"store is a FIFO":      {fifo, "", false},
		"store is a folder":    {folder, "", false},
		"lock is a link":       {link, ".lock", false},
		"lock is a FIFO":       {fifo, ".lock", false},
		"store of another":     {foreign, "", true},
		"lock of another":      {foreign, ".lock", true},
		"folder of another":    {func(p string) error { return os.Chown(filepath.Dir(p), 12345, -1) }, "", true},
		"folder open to group": {func(p string) error { return os.Chmod(filepath.Dir(p), 0o770) }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.root && os.Geteuid() != 0 {
				t.Skip("needs root to give a file away")
			}
			path := tempPath(t)
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tc.make(path + tc.path); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, Options{LockWait: time.Millisecond}); !errors.Is(err, ErrForeign) {
				t.Errorf("%v", err)
			}
		})
	}
}

// mounted gives a folder on a tmpfs of its own, of so many bytes.
func mounted(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "m")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := mounted(t, "4m")
	path := filepath.Join(dir, "s.db")
	s := open(t, path, Options{})
	apply(t, s, Scan{Findings: []Finding{finding("first", "R", 5, "x"), finding("next", "R", 5, "x")}})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	big := Scan{Findings: []Finding{{Key: "second", Rule: "R", Body: make([]byte, 200<<10)}}}
	keep := func(c Change) ([]byte, error) { return c.Finding.Body, nil }
	for range 3 {
		if _, err := s.Apply(big, keep); !errors.Is(err, ErrFull) {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	// What was found first can still be delivered, and the store opens again.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	for _, key := range []string{"first", "next"} {
		evs := peek(t, s, 1, 1)
		if len(evs) != 1 || evs[0].Key != key || s.Damage() != nil {
			t.Fatalf("%+v, %+v", evs, s.Damage())
		}
		err := s.Ack(evs[0].ID)
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		t.Logf("ack of %s on a full disk: %v", key, err)
	}
	if _, err := Open(filepath.Join(dir, "other.db"), Options{}); !errors.Is(err, ErrFull) {
		t.Errorf("a new store on a full disk: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "other.db*")); len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("it left %q", left)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if ch, err := s.Apply(big, keep); err != nil || ch.Opened != 1 {
		t.Errorf("with room again: %+v, %v", ch, err)
	}
	if got := drain(t, s); len(got) != 1 {
		t.Errorf("%d events", len(got))
	}
	if st, _ := s.Stats(); st.Outbox != 0 {
		t.Errorf("%d events stay", st.Outbox)
	}
	// Damage on a full disk: nothing is lost by trying.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[:pageSize])
	_ = os.WriteFile(path, content, 0o600)
	_ = os.WriteFile(ballast, make([]byte, 8<<20), 0o600)
	_, err = Open(path, Options{})
	if now, _ := os.ReadFile(path); !errors.Is(err, ErrFull) || string(now) != string(content) {
		t.Errorf("carrying over on a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	if fs, _ := s.Findings(); len(fs) != 3 || s.Damage() == nil {
		t.Errorf("%d findings, damage %+v", len(fs), s.Damage())
	}
}

func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	dir := mounted(t, "1m")
	path := filepath.Join(dir, "s.db")
	s := open(t, path, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot remount: %v", err)
	}
	for _, p := range []string{path, filepath.Join(dir, "new.db"), filepath.Join(dir, "sub", "new.db")} {
		if _, err := Open(p, Options{}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestUnwritableFolderWithoutRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root writes anywhere; TestReadOnlyFolder shows it for root")
	}
	path := tempPath(t)
	if err := os.Mkdir(filepath.Dir(path), 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("%v", err)
	}
}

// TestOwnBoundIsFullToo: a store at MaxSize refuses more, and can still be emptied.
func TestOwnBoundIsFullToo(t *testing.T) {
	t.Parallel()
	s := open(t, tempPath(t), Options{MaxSize: 8 << 20})
	body := func(Change) ([]byte, error) { return make([]byte, 100<<10), nil }
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		_, err = s.Queue(fmt.Sprint(i), 1, body)
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	st, _ := s.Stats()
	if got := drain(t, s); uint64(len(got)) != st.Outbox || len(got) < 5 {
		t.Errorf("%d events of %d", len(got), st.Outbox)
	}
	if _, err := s.Queue("again", 1, body); err != nil {
		t.Errorf("emptied, and still full: %v", err)
	}
}

// TestLockIsNotInherited: what another goroutine starts meanwhile does not go on holding the lock.
func TestLockIsNotInherited(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	for range 2 {
		s, err := Open(path, Options{LockWait: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		forktest.Hold(t, path+".lock")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rewrite(path, Options{LockWait: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
}
