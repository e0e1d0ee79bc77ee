package device

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/probe"
)

// onFirstThread keeps the main goroutine on the thread on which it is only while packages are
// initialised: the parts that are played are told by what that thread does.
var onFirstThread = func() bool {
	plays := os.Getenv("PICKET_PLAY") != ""
	if plays {
		runtime.LockOSThread()
	}
	return plays
}()

// TestMain lets the test binary play the processes that the tests look for.
func TestMain(m *testing.M) {
	// Else each process that a test starts under the race detector sleeps for a second at its end.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !onFirstThread {
		os.Exit(m.Run())
	}
	switch os.Getenv("PICKET_PLAY") {
	case "wait":
		playWait()
	case "kworker":
		name := []byte("kworker/0:1\x00")
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(pointer(name)), 0, 0, 0)
		playWait()
	case "probe":
		if err := playProbe(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "networks":
		if err := playNetworks(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// playWait says that it is there, and waits to be killed or left alone.
func playWait() {
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// playProbe prints what the machine looks like from here.
func playProbe(w io.Writer) error {
	d, err := Live(context.Background(), LiveOptions{})
	if err != nil {
		return err
	}
	out := map[string]any{"root": d.Identity().Root}
	for _, s := range sources() {
		b, err := d.Probe(context.Background(), s)
		if err != nil {
			out[string(s)+" error"] = scanner.Reason(err)
			continue
		}
		out[string(s)] = string(b)
	}
	return json.NewEncoder(w).Encode(out)
}

// start starts a process and ends it with the test. It returns when the process said that it
// is ready.
func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("cannot start %s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ready := make([]byte, 6)
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Fatalf("%s did not start: %v", cmd.Path, err)
	}
	return cmd.Process.Pid
}

// play makes the test binary play a part, from a file and under a name of choice.
func play(part, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path)
	cmd.Args = args
	cmd.Env = append(cleanEnv(), "PICKET_PLAY="+part)
	return cmd
}

func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "LD_") })
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// writeProgram writes what is then run. Meanwhile this process starts no other: it would be born with
// the file open for writing, and as long as it has that, nobody can run the file.
func writeProgram(t *testing.T, name string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(name, content, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

// copyOfSelf copies the test binary to a folder that every user can reach.
func copyOfSelf(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "picket-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	writeProgram(t, path, b)
	return path
}

func ask[T any](t *testing.T, d scanner.Device, s scanner.Source) T {
	t.Helper()
	b, err := d.Probe(context.Background(), s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func liveDevice(t *testing.T) scanner.Device {
	t.Helper()
	d, err := Live(context.Background(), LiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func processNamed(t *testing.T, d scanner.Device, pid int) probe.Process {
	t.Helper()
	for _, p := range ask[[]probe.Process](t, d, scanner.SourceProcesses) {
		if p.PID == pid {
			return p
		}
	}
	t.Fatalf("process %d is not listed", pid)
	return probe.Process{}
}

func TestLiveSeesItself(t *testing.T) {
	t.Parallel()
	d := liveDevice(t)
	p := processNamed(t, d, os.Getpid())
	if !p.Self || p.Exe != self(t) || p.ExeDeleted || !p.SameRoot || !p.SamePIDNS || p.KernelThread || p.PPID != os.Getppid() ||
		p.UID != os.Getuid() || p.Threads < 1 || !slices.Equal(p.Args, os.Args) {
		t.Errorf("%+v", p)
	}
	if age := time.Since(time.Unix(p.Started, 0)); age < -2*time.Second || age > time.Hour {
		t.Errorf("started %v ago", age)
	}
	cwd, err := os.Getwd()
	if err != nil || p.Cwd != cwd {
		t.Errorf("cwd %q, want %q", p.Cwd, cwd)
	}
	id := d.Identity()
	if !id.Live || id.Kind != "live" || id.RecordedAt.IsZero() || id.Root != (os.Geteuid() == 0) {
		t.Errorf("%+v", id)
	}
}

func TestLiveKernelThreadsAreToldByTheKernel(t *testing.T) {
	t.Parallel()
	if b, err := os.ReadFile("/proc/2/comm"); err != nil || string(b) != "kthreadd\n" {
		t.Skip("no kernel threads in this pid namespace")
	}
	d := liveDevice(t)
	if p := processNamed(t, d, 2); !p.KernelThread || p.Exe != "" || len(p.Args) != 0 || len(p.Unread.Unread) != 0 {
		t.Errorf("%+v", p)
	}
	pid := start(t, play("kworker", self(t), "[kworker/0:1]"))
	p := processNamed(t, liveDevice(t), pid)
	if p.KernelThread || p.Name != "kworker/0:1" || p.Args[0] != "[kworker/0:1]" || p.Exe != self(t) {
		t.Errorf("%+v", p)
	}
}

func TestLiveDeletedAndReplacedPrograms(t *testing.T) {
	t.Parallel()
	gone, replaced := copyOfSelf(t, "gone"), copyOfSelf(t, "replaced")
	pid1, pid2 := start(t, play("wait", gone, gone)), start(t, play("wait", replaced, replaced))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copyOfSelf(t, "new"), replaced); err != nil {
		t.Fatal(err)
	}
	d := liveDevice(t)
	if p := processNamed(t, d, pid1); p.Exe != gone || !p.ExeDeleted || p.ExeExists || !p.ExeWritable || p.ExeMemfd {
		t.Errorf("deleted: %+v", p)
	}
	if p := processNamed(t, d, pid2); p.Exe != replaced || !p.ExeDeleted || !p.ExeExists || p.ExePerm != 0o755 {
		t.Errorf("replaced: %+v", p)
	}
}

func TestLiveProgramInMemory(t *testing.T) {
	t.Parallel()
	fd, err := unix.MemfdCreate("payload", 0)
	if err != nil {
		t.Skip(err)
	}
	mem := os.NewFile(uintptr(fd), "memfd")
	defer mem.Close()
	b, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Write(b); err != nil {
		t.Fatal(err)
	}
	cmd := play("wait", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), "payload")
	cmd.ExtraFiles = []*os.File{mem} // this process may have more files open than are listed
	pid := start(t, cmd)
	p := processNamed(t, liveDevice(t), pid)
	if p.Exe != "/memfd:payload" || !p.ExeMemfd || p.ExeDeleted || p.ExeInode == 0 {
		t.Errorf("%+v", p)
	}
	if !slices.Contains(p.FDs, "/memfd:payload (deleted)") {
		t.Errorf("an open memfd is not told: %q", p.FDs)
	}
}

func TestLiveShellOnASocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	f, err := server.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	f.Close()
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	fmt.Fprintln(client, "echo hello")
	hello := make([]byte, 6)
	if _, err := io.ReadFull(client, hello); err != nil || string(hello) != "hello\n" {
		t.Fatalf("%q, %v", hello, err)
	}
	d := liveDevice(t)
	p := processNamed(t, d, cmd.Process.Pid)
	if !strings.HasPrefix(p.Stdin, "socket:[") || p.Stdin != p.Stdout || p.Stderr != p.Stdin {
		t.Fatalf("%+v", p)
	}
	for _, s := range ask[[]probe.Socket](t, d, scanner.SourceSockets) {
		if fmt.Sprintf("socket:[%d]", s.Inode) == p.Stdin {
			if s.Proto != "tcp" || s.State != "ESTABLISHED" || s.LocalAddr != "127.0.0.1" || !slices.Contains(s.PIDs, p.PID) || !s.Loopback {
				t.Errorf("%+v", s)
			}
			return
		}
	}
	t.Error("its socket is not listed")
}

func TestLiveTracedProcess(t *testing.T) {
	t.Parallel()
	started, stop := make(chan int), make(chan bool)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the tracer is a thread; it ends with this goroutine
		cmd := exec.Command("/bin/sleep", "3600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
		if err := cmd.Start(); err != nil {
			failed <- err
			return
		}
		var ws syscall.WaitStatus
		_, _ = syscall.Wait4(cmd.Process.Pid, &ws, 0, nil)
		started <- cmd.Process.Pid
		<-stop
		_ = cmd.Process.Kill()
		_, _ = syscall.Wait4(cmd.Process.Pid, &ws, 0, nil)
		stop <- true
	}()
	select {
	case err := <-failed:
		t.Skipf("cannot trace here: %v", err)
	case pid := <-started:
		p := processNamed(t, liveDevice(t), pid)
		if p.Tracer != os.Getpid() || p.State != "t" {
			t.Errorf("%+v", p)
		}
		stop <- true
		<-stop
	}
}

func TestLiveEnvironmentKeepsOnlyLoaders(t *testing.T) {
	t.Parallel()
	cmd := play("wait", self(t), "x")
	cmd.Env = append(cmd.Env, "LD_PRELOAD=/tmp/picket-none.so", "SECRET=do-not-keep")
	pid := start(t, cmd)
	d := liveDevice(t)
	p := processNamed(t, d, pid)
	if p.Env["LD_PRELOAD"] != "/tmp/picket-none.so" || len(p.Env) != 1 {
		t.Errorf("%v", p.Env)
	}
	b, err := d.Probe(context.Background(), scanner.SourceProcesses)
	if err != nil || bytes.Contains(b, []byte("do-not-keep")) {
		t.Error("a variable that is nobody's business was kept")
	}
}

func TestLiveOtherMountNamespace(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	cmd := play("wait", self(t), "x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	pid := start(t, cmd)
	d := liveDevice(t)
	if p := processNamed(t, d, pid); p.SameRoot || p.SameNetNS || p.SamePIDNS || p.Root != "/" {
		t.Errorf("%+v", p)
	}
	ask[[]probe.Socket](t, d, scanner.SourceSockets)
}

func TestLiveListenersAndPacketSockets(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "0.0.0.0:0")
	if err != nil {
		t.Skip(err)
	}
	defer udp.Close()
	packet, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0300) // ETH_P_ALL in network order
	if err == nil {
		defer unix.Close(packet)
	}
	found := map[string]probe.Socket{}
	for _, s := range ask[[]probe.Socket](t, liveDevice(t), scanner.SourceSockets) {
		if slices.Contains(s.PIDs, os.Getpid()) {
			found[fmt.Sprintf("%s/%d", s.Proto, s.LocalPort)] = s
		}
	}
	if s := found[fmt.Sprintf("tcp/%d", tcp.Addr().(*net.TCPAddr).Port)]; !s.Listening || !s.Loopback || s.Wildcard || s.State != "LISTEN" || s.Family != 4 || !s.SameNetNS {
		t.Errorf("tcp: %+v", s)
	}
	if s := found[fmt.Sprintf("udp/%d", udp.LocalAddr().(*net.UDPAddr).Port)]; !s.Listening || !s.Wildcard || s.Loopback {
		t.Errorf("udp: %+v", s)
	}
	if s := found["packet/0"]; err == nil && (s.Proto != "packet" || s.Inode == 0) {
		t.Errorf("packet: %+v", s)
	}
}

func TestLiveMappingsNameLibraries(t *testing.T) {
	t.Parallel()
	pid := exec.Command("/bin/sleep", "3600")
	if err := pid.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = pid.Process.Kill(); _ = pid.Wait() }()
	for range 30_000 { // the loader needs a moment
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid.Process.Pid))
		if err == nil && bytes.Contains(b, []byte("libc")) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, m := range ask[[]probe.Mapping](t, liveDevice(t), scanner.SourceMappings) {
		if strings.Contains(m.Path, "libc") && m.Processes > 0 && m.Exists && !m.Deleted && m.SameRoot && !m.Writable {
			return
		}
	}
	t.Skip("no process here uses a shared C library")
}

// A plain user sees other users' processes in part, and is told so.
func TestLiveAsPlainUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	exe := copyOfSelf(t, "probe")
	cmd := play("probe", exe, exe)
	cmd.Dir = "/"
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got["root"] != false {
		t.Error("taken for root")
	}
	var procs []probe.Process
	if err := json.Unmarshal([]byte(got["processes"].(string)), &procs); err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		switch {
		case p.Self:
			if p.UID != nobody || p.Exe != exe || len(p.Unread.Unread) != 0 {
				t.Errorf("itself: %+v", p)
			}
		case p.PID == os.Getpid():
			for _, c := range []string{"exe", "cwd", "same_root", "stdin", "env", "maps"} {
				if !strings.Contains(p.Unread.Unread[c], "another user") {
					t.Errorf("column %s of another user's process: %q", c, p.Unread.Unread[c])
				}
			}
			if p.UID != 0 || p.Name == "" || len(p.Args) == 0 {
				t.Errorf("what everybody may see is missing: %+v", p)
			}
		}
	}
	var socks []probe.Socket
	if err := json.Unmarshal([]byte(got["sockets"].(string)), &socks); err != nil {
		t.Fatal(err)
	}
	for _, s := range socks {
		if s.UID == 0 && s.Inode != 0 && s.Unread.Unread["pids"] == "" {
			t.Errorf("nobody cannot know who holds %+v", s)
		}
	}
	for _, s := range []string{"bpf", "nftables"} {
		if why, _ := got[s+" error"].(string); !strings.Contains(why, "run as root") && !strings.Contains(why, "not available") {
			t.Errorf("%s: %q, %v", s, why, got[s])
		}
	}
}

func TestLiveProbesAreRememberedAndBounded(t *testing.T) {
	t.Parallel()
	d := liveDevice(t)
	a, err := d.Probe(context.Background(), scanner.SourceProcesses)
	if err != nil {
		t.Fatal(err)
	}
	start(t, play("wait", self(t), "later"))
	b, err := d.Probe(context.Background(), scanner.SourceProcesses)
	if err != nil || !bytes.Equal(a, b) {
		t.Error("one scan saw two different moments")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := liveDevice(t).Probe(ctx, scanner.SourceProcesses); err == nil {
		t.Error("a cancelled probe gave something")
	}
	if _, err := d.Probe(context.Background(), "no such source"); err == nil {
		t.Error("an unknown source gave something")
	}
}

func BenchmarkLook(b *testing.B) {
	n := 0
	for b.Loop() {
		s, err := look(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		n = len(s.procs)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/process")
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }
