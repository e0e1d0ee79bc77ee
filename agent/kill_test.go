package agent

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv names the folder of a child's system and, after a colon, that of its state.
const childEnv = "PICKET_TEST_DAEMON"

// TestDaemonChild is no test: it is the daemon that others start as a process of its own.
func TestDaemonChild(t *testing.T) {
	root, state, ok := strings.Cut(os.Getenv(childEnv), ":")
	if !ok {
		t.Skip("started by the tests that kill it")
	}
	b := newBench(t, root)
	c, _, err := Load("", Env{Getenv: func(string) string { return "" }, Set: []string{
		"state_dir=" + state, "socket=" + state + "-socket", "watch=10ms", "sample_interval=off", "digests=none", "sink_size=1GiB"}})
	if err != nil {
		t.Fatal(err)
	}
	b.config, b.volatile = c, false
	b.machine.log = slog.New(slog.NewTextHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.run(ctx, actor{"serve", d.runServe}, actor{"signals", func(ctx context.Context) error { return d.runSignals(ctx, hup) }}); err != nil {
		t.Fatal(err)
	}
}

// child starts a daemon process and waits until it watches.
func child(t *testing.T, root, state string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDaemonChild$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), childEnv+"="+root+":"+state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) // it writes no more when its folders are removed
	lines, ready := bufio.NewScanner(out), make(chan bool, 1)
	go func() {
		for lines.Scan() {
			if strings.Contains(lines.Text(), "msg=scanned") {
				select {
				case ready <- true:
				default:
				}
			}
		}
		close(ready)
	}()
	if !<-ready {
		t.Fatalf("the child ended: %v", cmd.Wait())
	}
	return cmd
}

// TestKillsLoseNothing kills the daemon at random moments while packages come, and shows that
// each is told once, in order, under one id.
func TestKillsLoseNothing(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 5)
	b := newBench(t, root)
	status := read(t, root+"/var/lib/dpkg/status")
	const kills, each = 6, 12
	rng := rand.New(rand.NewPCG(1, 2))
	n := 0
	for k := range kills {
		cmd := child(t, root, b.config.StateDir)
		for range each {
			status += stanza(fmt.Sprintf("fresh%03d", n), "1")
			replace(t, root, "/var/lib/dpkg/status", status)
			n++
			time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		}
		if k == kills-1 {
			break
		}
		eventually(t, "an event in the file", func() bool { return there(b.config.SinkFile) })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if k > 0 {
			continue
		}
		// What a kill in the middle of a write leaves.
		f, err := os.OpenFile(b.config.SinkFile, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"cut`); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	eventually(t, "the last package", func() bool {
		return strings.Contains(read(t, b.config.SinkFile), fmt.Sprintf("fresh%03d 1 installed", n-1))
	})
	told, ids, gaps := map[string]string{}, map[string]string{}, 0
	for _, e := range b.delivered(t) {
		if m, again := ids[e.Metadata.UID]; again && m != e.Message {
			t.Errorf("%s is %q and %q", e.Metadata.UID, m, e.Message)
		}
		ids[e.Metadata.UID] = e.Message
		if e.Unmapped.Gap != nil {
			gaps++
			if e.Unmapped.Gap.Why != "killed" {
				t.Errorf("gap %+v", e.Unmapped.Gap)
			}
		}
		if !strings.HasSuffix(e.Message, "installed") {
			continue
		}
		if id, again := told[e.Message]; again && id != e.Metadata.UID {
			t.Errorf("%q was told under two ids", e.Message)
		}
		told[e.Message] = e.Metadata.UID
	}
	if len(told) != n || gaps != kills-1 {
		t.Errorf("%d of %d packages were told, %d gaps after %d kills", len(told), n, gaps, kills-1)
	}
}

// TestSignals shows that SIGHUP reloads, that a second daemon is refused by name, and that
// SIGTERM ends the first in time and in order.
func TestSignals(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	b := newBench(t, root)
	cmd := child(t, root, b.config.StateDir)
	if _, err := newDaemon(b.machine); err == nil || !strings.Contains(err.Error(), fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("a second one: %v, want the process id %d", err, cmd.Process.Pid)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	d, stop := b.start(t)
	eventually(t, "a scan", func() bool { return d.scans.Load() > 0 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, e := range b.delivered(t) {
		if g := e.Unmapped.Gap; g != nil && g.Why == "stopped" {
			return
		}
	}
	t.Errorf("no gap of one that was stopped in %q", b.news(t))
}
