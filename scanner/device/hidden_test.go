package device

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/probe"
)

func TestHiddenProcessesNoneHere(t *testing.T) {
	t.Parallel()
	start(t, play("wait", self(t), "visible")) // with threads of its own
	got, err := hiddenPIDs(context.Background(), time.Hour)
	if err != nil {
		t.Skip(err)
	}
	if len(got.Hidden) != 0 || got.Incomplete != "" {
		t.Errorf("%+v", got)
	}
	if got.UpTo < os.Getpid() || got.Max < got.UpTo {
		t.Errorf("asked up to %d of %d", got.UpTo, got.Max)
	}
}

func TestHiddenProcessAnswersThoughNotListed(t *testing.T) {
	t.Parallel()
	pid := start(t, play("wait", self(t), "hidden"))
	listed, err := listIDs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !listed[pid] || !listed[os.Getpid()] {
		t.Fatal("running processes are not listed")
	}
	delete(listed, pid)
	out := probe.HiddenPIDs{UpTo: pid}
	if got := suspectIDs(context.Background(), listed, nil, time.Hour, &out); !slices.Contains(got, pid) {
		t.Errorf("%v", got)
	}
	if got := suspectIDs(context.Background(), listed, map[int]bool{1 << 30: true}, time.Hour, &out); !slices.Contains(got, 1<<30) {
		t.Errorf("a process that only a control group names is missed: %v", got)
	}
	if seen := seenBy(pid, nil); !slices.Equal(seen, []string{"kill", "getsid", "stat"}) {
		t.Errorf("%v", seen)
	}
	if seen := seenBy(1<<30, nil); len(seen) != 0 {
		t.Errorf("nobody is seen by %v", seen)
	}
	if h := hiddenProcess(pid, nil); h.Name == "" || h.Exe != self(t) {
		t.Errorf("%+v", h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out = probe.HiddenPIDs{UpTo: 1 << 20}
	if suspectIDs(ctx, listed, nil, time.Hour, &out); out.Incomplete == "" {
		t.Error("an unfinished search passes for a whole one")
	}
}

func TestHiddenPortsNoneHere(t *testing.T) {
	t.Parallel()
	got, err := hiddenPorts(context.Background(), false)
	if errors.Is(err, scanner.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil || len(got.Hidden) != 0 || !slices.Equal(got.Asked, []string{"sock_diag"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHiddenPortIsToldOnlyWhenItStays(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	listed := port{"tcp", l.Addr().(*net.TCPAddr).Port}
	looks := 0
	view := portView{"test", func(context.Context, map[port]bool) ([]port, error) {
		looks++
		shown := []port{listed, {"tcp", 1}}
		if looks == 1 {
			shown = append(shown, port{"tcp", 2}) // gone at the second look
		}
		return shown, nil
	}}
	got, err := hiddenFrom(context.Background(), view)
	if err != nil || !slices.Equal(got, []port{{"tcp", 1}}) || looks != 2 {
		t.Errorf("%v after %d looks, %v", got, looks, err)
	}
}

func TestTakenPorts(t *testing.T) {
	t.Parallel()
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skip(err)
		}
		number := l.Addr().(*net.TCPAddr).Port
		if taken, err := isTaken(unix.SOCK_STREAM, number); err != nil || !taken {
			t.Errorf("a listening port is free: %v", err)
		}
		l.Close()
		if taken, err := isTaken(unix.SOCK_STREAM, number); err == nil && !taken {
			return
		} else if err != nil || try == 20 { // else somebody else may have it by now
			t.Fatalf("a closed port is taken: %v", err)
		}
	}
}

func TestPromiscuousInterface(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network of its own")
	}
	done := make(chan bool)
	go func() { // the thread ends with this goroutine, and its network with it
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Logf("no network of its own: %v", err)
			return
		}
		lo := func() probe.Interface {
			list, err := interfaces(context.Background())
			if err != nil || len(list) == 0 || list[0].Name != "lo" {
				t.Errorf("%+v, %v", list, err)
				return probe.Interface{}
			}
			return list[0]
		}
		if i := lo(); i.Promiscuous || !i.Loopback {
			t.Errorf("before: %+v", i)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: 1, Type: unix.PACKET_MR_PROMISC}); err != nil {
			t.Error(err)
			return
		}
		if i := lo(); !i.Promiscuous {
			t.Errorf("sniffed: %+v", i)
		}
	}()
	<-done
}

func TestCommandsAreBounded(t *testing.T) {
	t.Parallel()
	var large *scanner.TooLargeError
	if _, err := runFile(context.Background(), "/usr/bin/yes", nil); !errors.As(err, &large) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("endless output gave %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := runFile(ctx, "/bin/sleep", []string{"60"}); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("endless time gave %v", err)
	}
	if out, err := runFile(context.Background(), "/bin/echo", []string{"hello"}); err == nil && string(out) != "hello\n" {
		t.Errorf("%q", out)
	}
	none := command{paths: []string{"/nonexistent/tool"}}
	if _, err := none.run(context.Background()); !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("a missing program gave %v", err)
	}
}
