package agent

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func asUser(t *testing.T, uid, gid int, groups []uint32, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		var list unsafe.Pointer
		if len(groups) > 0 {
			list = unsafe.Pointer(&groups[0])
		}
		for _, c := range [][4]uintptr{
			{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno := unix.RawSyscall(c[0], c[1], c[2], c[3]); errno != 0 {
				done <- errno
				return
			}
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAPIOtherUsers(t *testing.T) {
	const nobody, group = 65534, 54321
	f := newFakeAgent()
	path, server := serveAPI(t, f, strconv.Itoa(group), nil)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&0o777 != 0o660 || st.Gid != group {
		t.Fatalf("%v, mode %04o, group %d", err, st.Mode, st.Gid)
	}
	call := func(op string) (err error) {
		_, _, err = ask(t, path, apiRequest{Op: op})
		return err
	}
	asUser(t, nobody, nobody, nil, func() {
		if err := call("status"); !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "may not ask") {
			t.Errorf("a stranger: %v", err)
		}
	})
	for _, groups := range [][]uint32{{group}, {1, 2, group}, manyGroups(group)} {
		asUser(t, nobody, nobody, groups, func() {
			if err := call("threats"); err != nil {
				t.Errorf("a member of the group: %v", err)
			}
			for _, op := range []string{"rescan", "reload", "ignore", "unignore"} {
				if err := call(op); codeOf(err) != codeDenied {
					t.Errorf("a member of the group may %s: %v", op, err)
				}
			}
		})
	}
	asUser(t, nobody, group, nil, func() {
		if err := call("status"); err != nil {
			t.Errorf("who has it as first group: %v", err)
		}
	})
	// The kernel's word counts, not the socket's mode.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	asUser(t, nobody, nobody, []uint32{1}, func() {
		if err := call("status"); codeOf(err) != codeDenied || !strings.Contains(err.Error(), "user 65534") {
			t.Errorf("a stranger: %v", err)
		}
	})
	// Readers cannot keep root out.
	var held []*net.UnixConn
	asUser(t, nobody, group, nil, func() {
		for range 100 {
			held = append(held, dial(t, path))
		}
		if err := call("status"); codeOf(err) != codeBusy {
			t.Errorf("one reader too many: %v", err)
		}
	})
	mustAnswer(t, path)
	for _, c := range held {
		c.Close()
	}
	server.rests(t)
}

func manyGroups(last uint32) (out []uint32) {
	for i := range uint32(300) {
		out = append(out, 1000+i)
	}
	return append(out, last)
}

func TestSocketIsMadeSafely(t *testing.T) {
	dir := socketFolder(t)
	path := filepath.Join(dir, "sub", "s")
	s, err := listenSocket(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Lstat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("without a group, mode %v", st.Mode())
	}
	if _, err := listenSocket(path, ""); err == nil || !strings.Contains(err.Error(), "somebody answers on "+path) {
		t.Errorf("a second agent: %v", err)
	}
	s.Close() // as a crash does: the file stays
	if s, err = listenSocket(path, ""); err != nil {
		t.Fatalf("an old socket: %v", err)
	}
	// Another one in its place is not ours to remove.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.remove()
	if _, err := os.Lstat(path); err != nil {
		t.Error("another's socket was removed")
	}

	refused := func(path, group, want string) {
		t.Helper()
		s, err := listenSocket(path, group)
		if err == nil {
			s.remove()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(file, "", "is no socket")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	refused(link, "", "is no socket")
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("a file was touched")
	}
	refused(filepath.Join(file, "s"), "", "not a directory")
	refused(filepath.Join(dir, "t"), "no-such-group-here", `there is no group "no-such-group-here"`)
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	refused(filepath.Join(open, "s"), "", "others may replace the socket")
	if os.Geteuid() != 0 {
		return
	}
	foreign := filepath.Join(dir, "foreign")
	l, err := net.Listen("unix", foreign)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if err := os.Chown(foreign, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	refused(foreign, "", "a socket of user 65534")
}
