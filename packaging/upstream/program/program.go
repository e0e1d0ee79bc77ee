// Package program runs other people's servers for tests: they listen, can be killed and started
// again, and end with the test.
package program

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for a server: it is for one that hangs, not for one that is slow.
const patience = 5 * time.Minute

// Program is a server that runs.
type Program struct {
	t       testing.TB
	address string // listens when it is ready
	command func() *exec.Cmd
	log     string // file of what it writes

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// Run starts a server and waits until it listens at an address: of TCP, or a path. Its command is made
// anew for each start. What it has said is logged if the test fails.
func Run(t testing.TB, address string, command func() *exec.Cmd) *Program {
	t.Helper()
	p := &Program{t: t, address: address, command: command, log: filepath.Join(t.TempDir(), "log")}
	p.Start()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%q: %.8000s", p.cmd.Args, p.Output())
		}
	})
	return p
}

// Start starts it again, and waits until it listens.
func (p *Program) Start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	if err := StartWithUs(cmd); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	network := "tcp"
	if filepath.IsAbs(p.address) {
		network = "unix"
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if c, err := net.Dial(network, p.address); err == nil {
			c.Close()
			return
		}
		select {
		case <-done:
			p.t.Fatalf("%q ended: %s", cmd.Args, p.Output())
		case <-time.After(20 * time.Millisecond):
		}
	}
	p.t.Fatalf("%q does not listen on %s", cmd.Args, p.address)
}

// Kill ends it and its children at once, as a loss of power would.
func (p *Program) Kill() { p.end(syscall.SIGKILL) }

// End lets it save what it has.
func (p *Program) End() { p.end(syscall.SIGTERM) }

func (p *Program) end(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done: // its number may be another's by now
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, sig)
		<-p.done
	}
}

// PID is the number of its process.
func (p *Program) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Output gives what the program has written.
func (p *Program) Output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	return string(b)
}

// StartWithUs starts a command, as the head of its own group, that dies when this process does. The
// kernel goes by the thread that started it, and Go ends a thread with the goroutine that is locked to
// it: so the command has one of its own, for as long as it runs.
func StartWithUs(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		for err == nil { // until it has ended; whoever waits for it still finds it
			if err = unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err == nil {
				return
			}
			if err == unix.EINTR {
				err = nil
			}
		}
	}()
	return <-started
}

var ports atomic.Uint32

// Address gives one of this machine that is free. It is none of those that the kernel gives to
// whoever asks for any, so that nobody takes it before the server does; and each is given once.
func Address(t testing.TB) string {
	t.Helper()
	const first, count = 10_000, 20_000
	ports.CompareAndSwap(0, 1+rand.Uint32N(count))
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", first+ports.Add(1)%count)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no address is free")
	return ""
}
