//go:build linux

package rules_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

// TestRulesOnLiveProcesses starts processes as intruders do, and their benign twins, and
// looks for both in one scan of the machine.
func TestRulesOnLiveProcesses(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep on this machine")
	}
	sleep, err = filepath.EvalSymlinks(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dropped := dropIn(t, "/tmp", sleep)
	gone := dropIn(t, "/tmp", sleep)
	network, local := tcpConn(t), unixConn(t)
	planted := map[string]int{
		"OS-011 dropped": start(t, &exec.Cmd{Path: dropped, Args: []string{"sleep", "3600"}}),
		"OS-011 deleted": start(t, &exec.Cmd{Path: gone, Args: []string{"sleep", "3600"}}),
		"OS-012 network": start(t, &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 3600; :"}, Stdin: network, Stdout: network}),
		"OS-039 posing":  start(t, &exec.Cmd{Path: sleep, Args: []string{"[kworker/0:1]", "3600"}}),
	}
	benign := map[string]int{
		"OS-012 local":  start(t, &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 3600; :"}, Stdin: local, Stdout: local}),
		"OS-039 login":  start(t, &exec.Cmd{Path: sleep, Args: []string{"-sleep", "3600"}}),
		"OS-011 system": start(t, &exec.Cmd{Path: sleep, Args: []string{"sleep", "3600"}}),
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	pids := firingPIDs(t)
	for what, pid := range planted {
		rule, _, _ := strings.Cut(what, " ")
		if !slices.Contains(pids[rule], pid) {
			t.Errorf("%s: process %d is not found", what, pid)
		}
	}
	for what, pid := range benign {
		rule, _, _ := strings.Cut(what, " ")
		if slices.Contains(pids[rule], pid) {
			t.Errorf("%s: process %d fires %s", what, pid, rule)
		}
	}
}

// firingPIDs scans the machine's processes and gives those that each rule names.
func firingPIDs(t *testing.T) map[string][]int {
	t.Helper()
	dev, err := device.Live(t.Context(), device.LiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Tables: []string{"processes"}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]int{}
	for _, f := range set.Judge(t.Context(), r.Facts).Findings {
		for _, e := range f.Evidence {
			if pid, err := strconv.Atoi(e.Fields["pid"]); err == nil {
				out[f.Rule] = append(out[f.Rule], pid)
			}
		}
	}
	return out
}

// dropIn copies a program into a folder of temporary files.
func dropIn(t *testing.T, dir, program string) string {
	t.Helper()
	tmp, err := os.MkdirTemp(dir, "picket-test-")
	if err != nil {
		t.Skipf("no folder for temporary files: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(tmp, "sleep")
	syscall.ForkLock.RLock() // what is born meanwhile would have it open for writing, and nobody could run it
	err = os.WriteFile(name, b, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// start runs a command until the test ends and gives its process id.
func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with what a shell runs
		cmd.Wait()
	})
	// The process is still a copy of this one until it has called execve.
	for range 60_000 {
		exe, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe"))
		if self, _ := os.Executable(); exe != self {
			return cmd.Process.Pid
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the process did not start")
	return 0
}

// tcpConn gives one end of a network connection.
func tcpConn(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no network: %v", err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := out.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, in, out, f)
	return f
}

// unixConn gives one end of a local connection.
func unixConn(t *testing.T) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	closeAtEnd(t, a, b)
	return a
}

func closeAtEnd(t *testing.T, cs ...io.Closer) {
	t.Cleanup(func() {
		for _, c := range cs {
			c.Close()
		}
	})
}
