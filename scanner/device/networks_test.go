package device

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/probe"
)

// networksSeen is what a thread saw of a process whose threads are in different networks.
type networksSeen struct {
	Unshared string // why the first thread could not get a network of its own
	Hidden   []int  // listening ports that were taken for hidden
	Own      bool   // the listener of the thread's network is told to be in it
	Other    bool   // a listener of the other network is told to be in this one
}

// playNetworks puts the first thread, whose network /proc/self shows, into a network of its
// own, with a listener in each network, and prints what each side sees.
func playNetworks(w io.Writer) error {
	if unix.Gettid() != os.Getpid() {
		return fmt.Errorf("the main goroutine does not run on the first thread")
	}
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer outside.Close()
	seen := map[string]networksSeen{}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		seen["outside"] = networksSeen{Unshared: err.Error()}
		return json.NewEncoder(w).Encode(seen)
	}
	ports := make([]int, 2)
	for ports[0] = outside.Addr().(*net.TCPAddr).Port; ports[1] == 0 || ports[1] == ports[0]; {
		if ports[1], err = listenAnyhow(); err != nil {
			return err
		}
	}
	if seen["inside"], err = lookFrom(ports[1], ports[0]); err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		s, err := lookFrom(ports[0], ports[1])
		seen["outside"] = s
		done <- err
	}()
	if err := <-done; err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(seen)
}

// listenAnyhow listens on this thread, in a network whose loopback may be down, and gives the
// port.
func listenAnyhow() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		return 0, err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return sa.(*unix.SockaddrInet4).Port, nil
}

// lookFrom looks for hidden ports and at the sockets as the calling thread sees them.
func lookFrom(own, other int) (networksSeen, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var seen networksSeen
	hidden, err := hiddenFrom(context.Background(), portView{"bind", func(context.Context, map[port]bool) ([]port, error) {
		taken, err := isTaken(unix.SOCK_STREAM, own)
		if !taken {
			return nil, err
		}
		return []port{{"tcp", own}}, err
	}})
	if err != nil {
		return seen, err
	}
	for _, p := range hidden {
		seen.Hidden = append(seen.Hidden, p.number)
	}
	d, err := Live(context.Background(), LiveOptions{})
	if err != nil {
		return seen, err
	}
	b, err := d.Probe(context.Background(), scanner.SourceSockets)
	if err != nil {
		return seen, err
	}
	var socks []probe.Socket
	if err := json.Unmarshal(b, &socks); err != nil {
		return seen, err
	}
	for _, s := range socks {
		if s.Listening && s.Proto == "tcp" && s.SameNetNS {
			seen.Own = seen.Own || s.LocalPort == own
			seen.Other = seen.Other || s.LocalPort == other
		}
	}
	return seen, nil
}

// Threads of one process can be in different networks, and /proc/self shows the first one's:
// what a thread asks the kernel has to be held against its own network.
func TestLiveThreadsInDifferentNetworks(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network of its own")
	}
	cmd := play("networks", self(t), "x")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var seen map[string]networksSeen
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	if why := seen["outside"].Unshared; why != "" {
		t.Skip("no network of its own: ", why)
	}
	for _, side := range []string{"inside", "outside"} {
		if s := seen[side]; len(s.Hidden) > 0 || !s.Own || s.Other {
			t.Errorf("from %s: %+v", side, s)
		}
	}
}
