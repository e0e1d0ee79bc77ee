//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// lab is a few hosts on one switch, each in a network namespace of its own. Nothing leaves it.
type lab struct {
	t    *testing.T
	id   string
	sink string
	out  *lockedBuffer // of the agent
}

// The hosts: the one that the agent runs on, two routers, and a stranger.
var labHosts = []string{"me", "r1", "r2", "bad"}

// newLab builds the hosts and their links: me 10.9.0.5, r1 .1, r2 .2, bad .66; fe80 as they come.
func newLab(t *testing.T, needs ...string) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	for _, program := range append(needs, "ip") {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not here")
		}
	}
	l := &lab{t: t, id: fmt.Sprintf("pk%d", time.Now().UnixNano()%1e9)}
	if out, err := exec.Command("ip", "netns", "add", l.ns("sw")).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %s", out)
	}
	t.Cleanup(func() {
		for _, host := range append(slices.Clone(labHosts), "sw") {
			exec.Command("ip", "netns", "del", l.ns(host)).Run()
		}
	})
	l.ip("sw", "link add br0 type bridge", "link set br0 up")
	for i, host := range labHosts {
		l.must("ip", "netns", "add", l.ns(host))
		l.must("ip", "link", "add", "p"+host, "netns", l.ns("sw"), "type", "veth", "peer", "name", "eth0", "netns", l.ns(host))
		l.ip("sw", "link set p"+host+" master br0 up")
		l.ip(host, "link set lo up", fmt.Sprintf("link set eth0 address 02:00:00:00:09:0%d", i), "link set eth0 up")
	}
	l.ip("r1", "addr add 10.9.0.1/24 dev eth0")
	l.ip("r2", "addr add 10.9.0.2/24 dev eth0")
	l.ip("bad", "addr add 10.9.0.66/24 dev eth0")
	return l
}

// static gives the host its address and its route.
func (l *lab) static() {
	l.ip("me", "addr add 10.9.0.5/24 dev eth0", "route add default via 10.9.0.1")
}

func (l *lab) ns(host string) string { return l.id + host }

func (l *lab) must(args ...string) {
	l.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (l *lab) ip(host string, commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		l.must(append([]string{"ip", "-n", l.ns(host)}, strings.Fields(c)...)...)
	}
}

// on runs a program on a host to its end.
func (l *lab) on(host string, args ...string) {
	l.t.Helper()
	l.must(append([]string{"ip", "netns", "exec", l.ns(host)}, args...)...)
}

// start runs a program on a host until stop, which sends sig and waits.
func (l *lab) start(host string, args ...string) (stop func(sig syscall.Signal)) {
	l.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.ns(host)}, args...)...)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	done := false
	stop = func(sig syscall.Signal) {
		if !done {
			done = true
			cmd.Process.Signal(sig)
			cmd.Wait()
		}
	}
	l.t.Cleanup(func() {
		stop(syscall.SIGKILL)
		if l.t.Failed() {
			l.t.Logf("%s on %s:\n%s", args[0], host, out.String())
		}
	})
	return stop
}

// pings keeps the host talking to its gateway, as hosts do.
func (l *lab) pings() {
	l.start("me", "ping", "-q", "-i", "0.5", "10.9.0.1")
}

// agent runs an agent on the host, with the rules about networks, and waits for its first scan.
func (l *lab) agent() {
	l.t.Helper()
	dir := l.t.TempDir()
	l.sink, l.out = dir+"/events.ndjson", &lockedBuffer{}
	rules := filepath.Join(dir, "rules")
	if err := os.Mkdir(rules, 0o755); err != nil {
		l.t.Fatal(err)
	}
	for _, id := range []string{"NET-001", "NET-001b", "NET-003", "NET-008", "NET-008b", "NET-011", "NET-045", "NET-046", "NET-047"} {
		if err := os.WriteFile(rules+"/"+id+".yaml", []byte(read(l.t, "../scanner/rules/catalogue/"+id+".yaml")), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", l.ns("me"), exe, "-test.run=^TestPlayNetworkAgent$", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), "PICKET_NETWORK_AGENT="+dir)
	cmd.Stdout, cmd.Stderr = l.out, l.out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if l.t.Failed() {
			l.t.Logf("agent:\n%s", l.out.String())
		}
	})
	eventually(l.t, "the first look at the networks", func() bool { return strings.Contains(l.out.String(), "network remembered") })
}

// TestPlayNetworkAgent is the agent of a lab.
func TestPlayNetworkAgent(t *testing.T) {
	dir := os.Getenv("PICKET_NETWORK_AGENT")
	if dir == "" {
		t.Skip("is run by other tests")
	}
	which := configFlags{set: []string{"state_dir=" + dir + "/state", "socket=" + dir + "/s", "sink_file=" + dir + "/events.ndjson", "rules_dir=" + dir + "/rules",
		"sample_interval=off", "digests=none", "log_level=debug", "cpu_budget=100%", "network_probe=off"}}
	m := hostMachine(&which, os.Stderr)
	m.delay = 0
	m.open = func(ctx context.Context) (scanner.Device, error) {
		dev, err := device.Live(ctx, device.LiveOptions{})
		return shallow{dev}, err
	}
	d, err := newDaemon(m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() { <-end; stop() }()
	if err := d.run(ctx); err != nil {
		t.Fatal(err)
	}
}

// toldFinding is a finding as an event tells it.
type toldFinding struct {
	at       time.Time
	state    string // Create, Update, Close
	severity string
	text     string
}

// findings are the events of a rule, in order.
func (l *lab) findings(rule string) (out []toldFinding) {
	l.t.Helper()
	b, err := os.ReadFile(l.sink)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var e struct {
			Activity string `json:"activity_name"`
			Severity string `json:"severity"`
			Time     int64  `json:"time"`
			Info     struct {
				Analytic struct {
					UID string `json:"uid"`
				} `json:"analytic"`
			} `json:"finding_info"`
			Unmapped struct {
				Snapshot json.RawMessage `json:"snapshot"`
			} `json:"unmapped"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			l.t.Fatal(err)
		}
		if e.Unmapped.Snapshot == nil && e.Info.Analytic.UID == rule {
			out = append(out, toldFinding{time.UnixMilli(e.Time), e.Activity, e.Severity, string(line)})
		}
	}
	return out
}

// open is the last state of a rule's finding; "" when it has none that is open.
func (l *lab) open(rule string) (severity, text string) {
	all := l.findings(rule)
	if len(all) == 0 || all[len(all)-1].state == "Close" {
		return "", ""
	}
	return all[len(all)-1].severity, all[len(all)-1].text
}

// expect waits until a rule has an open finding of a severity whose evidence has all texts.
func (l *lab) expect(rule, severity string, texts ...string) {
	l.t.Helper()
	began := time.Now()
	eventually(l.t, rule+" of severity "+severity, func() bool { s, _ := l.open(rule); return s == severity })
	_, text := l.open(rule)
	for _, want := range texts {
		if !strings.Contains(text, want) {
			l.t.Errorf("%s lacks %q: %s", rule, want, text)
		}
	}
	l.t.Logf("%s after %v", rule, time.Since(began).Round(100*time.Millisecond))
}

// gone waits until a rule has no open finding.
func (l *lab) gone(rule string) {
	l.t.Helper()
	began := time.Now()
	eventually(l.t, "the end of "+rule, func() bool { s, _ := l.open(rule); return s == "" })
	l.t.Logf("%s ended after %v", rule, time.Since(began).Round(100*time.Millisecond))
}

// quiet fails when anything above Low was ever told.
func (l *lab) quiet() {
	l.t.Helper()
	for _, rule := range []string{"NET-001b", "NET-003", "NET-008", "NET-008b", "NET-011", "NET-045", "NET-046", "NET-047"} {
		for _, f := range l.findings(rule) {
			if f.state != "Close" && f.severity != "Low" && f.severity != "Informational" {
				l.t.Errorf("%s of severity %s: %s", rule, f.severity, f.text)
			}
		}
	}
}
