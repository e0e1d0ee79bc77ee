package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// treeOf gives a copy of the tree that an environment variable names, with the command and, for
// an agent that does not run yet, its stand-in.
func treeOf(t *testing.T, variable string) string {
	t.Helper()
	tree := os.Getenv(variable)
	if tree == "" {
		t.Skipf("%s names no tree to start; `make service-boot` makes the trees and sets it", variable)
	}
	dir := filepath.Join(t.TempDir(), "tree")
	do(t, "cp", "-a", tree, dir)
	for name, pkg := range map[string]string{"picket": "picket", "standin": "./testdata/standin"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "usr/bin", name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v: %s", pkg, err, out)
		}
	}
	return dir
}

func do(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// hasRun tells whether the command can run the agent.
func hasRun(tree string) bool {
	out, err := exec.Command(filepath.Join(tree, "usr/bin/picket"), "run", "--help").Output()
	return err == nil && strings.Contains(string(out), "\n  picket run ")
}

// machine is a tree whose own init runs in a container.
type machine struct {
	t    *testing.T
	init int // process, as seen from here
}

func boot(t *testing.T, tree string) machine {
	t.Helper()
	if _, err := exec.LookPath("systemd-nspawn"); err != nil {
		t.Skip("systemd-nspawn is not installed (package systemd-container)")
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/machine-id"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-nspawn", "-D", tree, "--boot", "--register=no", "--keep-unit", "--machine=picket"+strconv.Itoa(os.Getpid()))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("console:\n%s", b)
		}
	})
	m := machine{t: t}
	for range 120 {
		time.Sleep(500 * time.Millisecond)
		out, _ := exec.Command("pgrep", "-P", strconv.Itoa(cmd.Process.Pid)).Output()
		if m.init, err = strconv.Atoi(strings.TrimSpace(string(out))); err != nil {
			continue
		}
		if state, _ := m.command("systemctl", "is-system-running").Output(); strings.HasPrefix(string(state), "running") {
			return m
		}
	}
	t.Skip("this tree does not come up here")
	return m
}

func (m machine) command(args ...string) *exec.Cmd {
	in := []string{"-t", strconv.Itoa(m.init), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	return exec.Command("nsenter", append(in, args...)...)
}

// says runs a command in the machine and gives what it prints and, when it fails, its status.
func (m machine) says(args ...string) string {
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		return string(out) + "[" + err.Error() + "]\n"
	}
	return string(out)
}

func (m machine) expect(want string, args ...string) {
	m.t.Helper()
	if got := m.says(args...); !strings.Contains(got, want) {
		m.t.Errorf("%s: got\n%swant %q", strings.Join(args, " "), got, want)
	}
}

// The capabilities that the unit names, as bits.
const (
	capDacReadSearch = 1 << 2
	unitCaps         = 1<<0 | capDacReadSearch | 1<<12 | 1<<13 | 1<<19 // chown, net_admin, net_raw, sys_ptrace
)

const treeList = "find /etc /var/lib /run /srv /root /usr/bin -xdev ! -path '/run/systemd/*' ! -path '/run/log/*' ! -path '/var/lib/systemd/*' ! -path '/run/credentials/*' ! -name agetty.reload | sort"

// TestSystemdRunsTheService is a whole life of the service under a real systemd.
func TestSystemdRunsTheService(t *testing.T) {
	tree := treeOf(t, "PICKET_SYSTEMD_TREE")
	m := boot(t, tree)
	before := m.says("sh", "-c", treeList)
	m.expect("wrote /etc/systemd/system/picket.service", "picket", "service", "install")
	if have, err := os.ReadFile(filepath.Join(tree, "etc/systemd/system/picket.service")); err != nil || string(have) != unit(t) {
		t.Errorf("the unit that is installed is not the reviewed one: %v", err)
	}
	if !hasRun(tree) {
		m.says("mkdir", "-p", "/run/systemd/system/picket.service.d")
		m.says("sh", "-c", `printf '[Service]\nExecStart=\nExecStart=/usr/bin/standin run\n' >/run/systemd/system/picket.service.d/standin.conf; systemctl daemon-reload`)
	}
	m.expect("enabled", "systemctl", "is-enabled", "picket")
	m.expect("picket is stopped (systemd, ", "picket", "service", "status")
	m.expect("picket is started\n", "picket", "service", "start")
	m.expect("picket is running (systemd, ", "picket", "service", "status")
	m.expect("notify\n", "systemctl", "show", "-p", "Type", "--value", "picket")
	m.expect("/var/lib/picket/picket.db\n", "sh", "-c", "ls /var/lib/picket/*")

	// What the sandbox gives is what the kernel enforces.
	status := m.says("sh", "-c", "cat /proc/$(systemctl show -p MainPID --value picket)/status")
	for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Umask:\t0077\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the agent's process lacks %q:\n%s", want, status)
		}
	}

	_, rest, _ := strings.Cut(status, "CapBnd:\t")
	rest, _, _ = strings.Cut(rest, "\n")
	if caps, err := strconv.ParseUint(rest, 16, 64); err != nil || caps&^unitCaps != 0 || caps&capDacReadSearch == 0 {
		t.Errorf("the agent's process may have the capabilities %s, want %x or, as a container lacks some, fewer", rest, uint64(unitCaps))
	}

	m.says("systemctl", "kill", "-s", "KILL", "picket")
	eventually(t, "systemd waits before it starts the killed agent", func() bool { // it may not have noticed yet
		return strings.HasPrefix(m.says("picket", "service", "status"), "picket is activating")
	})
	eventually(t, "the killed agent is back", func() bool {
		return strings.HasPrefix(m.says("picket", "service", "status"), "picket is running")
	})

	// An upgrade: another binary and another configuration, the same state.
	m.says("sh", "-c", "mkdir /etc/picket && echo 'sink_file: /srv/events/e.ndjson' >/etc/picket/kiosk.yaml && touch /var/lib/picket/kept && cp /usr/bin/picket /usr/bin/p && mv /usr/bin/p /usr/bin/picket")
	m.expect("renewed /etc/systemd/system/picket.service", "picket", "service", "install", "--config", "/etc/picket/kiosk.yaml")
	m.expect("picket is started again\n", "picket", "service", "restart")
	m.expect("picket is running (systemd, ", "picket", "service", "status")
	m.expect("/var/lib/picket/kept\n", "ls", "/var/lib/picket/kept")

	m.expect("left /var/lib/picket\n", "picket", "service", "uninstall")
	m.expect("not installed as a service", "picket", "service", "status")
	m.expect("inactive", "systemctl", "is-active", "picket")
	m.expect("removed /var/lib/picket\n", "picket", "service", "uninstall", "--purge", "--config", "/etc/picket/kiosk.yaml")
	m.says("rm", "-r", "/etc/picket")
	if after := m.says("sh", "-c", treeList); after != before {
		t.Errorf("the device is not as it was before:\n%s", differences(before, after))
	}
	m.expect("running\n", "systemctl", "is-system-running")
}

// differences gives the lines that are in one of two lists alone.
func differences(before, after string) string {
	var b strings.Builder
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range old {
		if !slices.Contains(now, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}

func unit(t *testing.T) string {
	t.Helper()
	b, err := Files.ReadFile("systemd/picket.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSystemdSandboxHidesNothing scans once as root and once as the service does: no table may
// be missing in the second but those named here.
func TestSystemdSandboxHidesNothing(t *testing.T) {
	tree := treeOf(t, "PICKET_SYSTEMD_TREE")
	var lines []string
	for line := range strings.Lines(unit(t)) {
		key, _, _ := strings.Cut(line, "=")
		switch key {
		case "Type":
			line = "Type=oneshot\nRuntimeDirectoryPreserve=yes\n"
		case "ExecStart":
			line = "ExecStart=/usr/bin/picket scan --format json --output /run/picket/report.json\n"
		case "Restart", "RestartSec", "ExecReload", "WatchdogSec", "NotifyAccess":
			continue
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/systemd/system/once.service"), []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	m := boot(t, tree)
	if out := m.says("systemctl", "start", "once"); out != "" {
		t.Fatalf("%s%s", out, m.says("journalctl", "-u", "once", "--no-pager"))
	}
	absent := func(report string) []string {
		var r struct {
			Tables []struct{ Table, Absent string }
		}
		if err := json.Unmarshal([]byte(report), &r); err != nil || len(r.Tables) < 20 {
			t.Fatalf("%v: %.300s", err, report)
		}
		var out []string
		for _, table := range r.Tables {
			if table.Absent != "" {
				out = append(out, table.Table+": "+table.Absent)
			}
		}
		return out
	}
	bare, boxed := absent(m.says("picket", "scan", "--format", "json")), absent(m.says("cat", "/run/picket/report.json"))
	for _, table := range boxed {
		// The kernel tells its BPF programs to CAP_SYS_ADMIN alone, which is too much to give.
		if !slices.Contains(bare, table) && !strings.HasPrefix(table, "bpf_programs: ") {
			t.Errorf("the service does not see %s", table)
		}
	}
	t.Logf("%d tables are absent for root, %d for the service", len(bare), len(boxed))
}

// openRCStory is a whole life of the service under a real OpenRC. The program of the service
// becomes the stand-in where the agent itself does not run yet.
const openRCStory = `export PATH=/usr/sbin:/usr/bin:/sbin:/bin
for d in starting started stopping inactive failed exclusive options daemons scheduled wasinactive hotplugged tmp; do mkdir -p /run/openrc/$d; done
echo default >/run/openrc/softlevel
main() { for e in /proc/[0-9]*; do [ "$(readlink $e/exe)" != /usr/bin/picket ] || echo ${e#/proc/}; done; }
picket() { /root/picket "$@" 2>&1 | grep -v 'another definition'; }
find /etc /var/lib /var/log /root /run/picket 2>/dev/null | sort >/tmp/before
/usr/bin/picket service install
cp /usr/bin/picket /root/picket
/usr/bin/picket run --help | grep -q '^  picket run ' || cp /usr/bin/standin /usr/bin/picket
ls /etc/runlevels/default
picket service status
picket service start
picket service status
sleep 1
grep -h NoNewPrivs /proc/$(main)/status
old=$(main); kill -9 $old; sleep 2
picket service status
sleep 11
picket service status
[ "$old" != "$(main)" ] && echo another process
picket service restart
picket service stop
picket service start
picket service uninstall
main
picket service uninstall --purge
rm /root/picket
find /etc /var/lib /var/log /root /run/picket 2>/dev/null | sort >/tmp/after
diff /tmp/before /tmp/after
`

func TestOpenRCRunsTheService(t *testing.T) {
	tree := treeOf(t, "PICKET_OPENRC_TREE")
	if err := os.WriteFile(filepath.Join(tree, "root/story"), []byte(openRCStory), 0o644); err != nil {
		t.Fatal(err)
	}
	const mounts = `mount --make-rprivate / && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/run" && mount -t tmpfs tmpfs "$1/tmp" &&
mount --rbind /dev "$1/dev" && exec chroot "$1" /bin/sh /root/story 2>&1`
	got := do(t, "unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", mounts, "sh", tree)
	const want = `wrote /etc/init.d/picket: openrc runs /usr/bin/picket when the device starts
'picket service start' starts it now
picket
picket is stopped (openrc, /etc/init.d/picket)
picket: error: the service does not run
picket: hint: start it with 'picket service start'
picket is started
picket is running (openrc, /etc/init.d/picket)
NoNewPrivs:	1
picket is waiting to be started again (openrc, /etc/init.d/picket)
picket: error: the service is waiting to be started again
picket: hint: see what it said with 'tail /var/log/picket.log'
picket is running (openrc, /etc/init.d/picket)
another process
picket is started again
picket is stopped
picket is started
removed /etc/init.d/picket
removed /var/log/picket.log
removed /run/picket
left /var/lib/picket
there is no /etc/init.d/picket
removed /var/lib/picket
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}
