package agent

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/packaging/upstream/program"
	"picket/scanner"
	"picket/transport/stepca/fakeca"
)

// doorPolicy asks for Low at most, at once; what a small system has to be said against it is Secured.
const doorPolicy = "format: picket.policy/1\nversion: doors\nlevels: {low: medium, medium: high, high: high}\nposture: {max_level: low, block_after: 0s}\n"

const (
	goodShadow = "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n"
	badShadow  = "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n" // an account without a password
)

// guarded is a device with a real agent over a small system, enrolled and under a policy.
type guarded struct {
	*bench
	t       *testing.T
	d       *daemon
	ca      *fakeca.CA
	id      *identity
	dir     string // for what a test makes
	command string // picket, asking this agent
	deaf    func() // stops the verifier of a gateway
	stop    func()
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{bench: newBench(t, smallSystem(t, 2)), t: t, dir: t.TempDir()}
	f := newFleet(t)
	f.publish(nil, doorPolicy)
	f.trust(g.config)
	src, err := updatesSource(g.config, time.Now)
	if err == nil {
		_, err = fetchUpdates(t.Context(), g.config, src, time.Now)
	}
	f.must(err)
	g.ca = fakeca.New(t, time.Now)
	if g.id, _, err = (enroller{dir: g.config.StateDir, now: time.Now}).enrol(t.Context(), orderOf(g.ca)); err != nil {
		t.Fatal(err)
	}
	if g.d, err = newDaemon(g.machine); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.d.run(ctx, actor{"serve", g.d.runServe}, actor{"posture", g.d.runPosture}) }()
	g.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(g.stop)
	eventually(t, "the socket", func() bool { _, err := os.Stat(g.config.Socket); return err == nil })
	g.command = g.file("picket", fmt.Sprintf("#!/bin/sh\nexec %s/picket \"$@\" --socket %s\n", builtPrograms(t), g.config.Socket), 0o755)
	return g
}

func (g *guarded) file(name, text string, mode os.FileMode) string {
	g.t.Helper()
	name = filepath.Join(g.dir, name)
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err != nil {
		g.t.Fatal(err)
	}
	writeProgram(g.t, name, []byte(text))
	if err := os.Chmod(name, mode); err != nil {
		g.t.Fatal(err)
	}
	return name
}

// recipe is a file of packaging/posture with what differs here; each must be in it.
func (g *guarded) recipe(name string, differs ...string) string {
	g.t.Helper()
	text := read(g.t, filepath.Join("../packaging/posture", name))
	for i := 0; i < len(differs); i += 2 {
		if !strings.Contains(text, differs[i]) {
			g.t.Fatalf("%s has no %q", name, differs[i])
		}
		text = strings.ReplaceAll(text, differs[i], differs[i+1])
	}
	return text
}

// become has the device put right or wrong, and looked at again.
func (g *guarded) become(shadow string, want scanner.Level, state string) {
	g.t.Helper()
	replace(g.t, g.root, "/etc/shadow", shadow)
	if out, err := exec.Command(g.command, "rescan", "--wait").CombinedOutput(); err != nil {
		g.t.Fatalf("rescan: %v\n%s", err, out)
	}
	if p := g.d.postureNow(); p.Level != want || p.State != state {
		g.t.Fatalf("the device is %+v\n%s", p, g.log)
	}
}

// needs skips where programs, or the right to a mount namespace of one's own, are missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(p + " is not here")
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may do this")
	}
}

// door tells whether somebody is let in, and what he read.
type door struct {
	name  string
	enter func() (in bool, said string)
}

// try has all doors tried by a device that is secured, then at high risk, then put right.
func (g *guarded) try(doors ...door) {
	g.t.Helper()
	each := func(in bool, when string) {
		for _, d := range doors {
			if got, said := d.enter(); got != in {
				g.t.Errorf("%s, %s: let in is %v\n%s", d.name, when, got, said)
			}
		}
	}
	g.become(goodShadow, scanner.Secured, accessOpen)
	each(true, "secured")
	g.become(badShadow, scanner.LevelHigh, accessBlocked)
	each(false, "high")
	g.become(goodShadow, scanner.Secured, accessOpen)
	each(true, "put right")
}

// apart runs a command with the PAM services of this test in the place of the host's, and its own /run.
func (g *guarded) apart(more string, args ...string) *exec.Cmd {
	script := "mount --make-rprivate / && mount --bind " + g.dir + "/pam.d /etc/pam.d && mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && " + more + ` exec "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, "sh"}, args...)...)
}

// pam has picket asked first, before lines as distributions have them, of which one is enough for a user of this device.
func (g *guarded) pam() {
	g.file("pam.d/others", "account sufficient pam_localuser.so\naccount required pam_permit.so\n", 0o644)
	g.file("pam.d/picket", g.recipe("pam/picket", "/usr/bin/picket", g.command), 0o644)
	for service, auth := range map[string]string{"su": "sufficient pam_rootok.so", "sshd": "required pam_deny.so", "other": "required pam_deny.so"} {
		g.file("pam.d/"+service, "auth "+auth+"\naccount include picket\naccount include others\nsession required pam_permit.so\n", 0o644)
	}
}

func TestDoorsOfPAM(t *testing.T) {
	needs(t, "unshare", "su", "pamtester", "sshd", "ssh", "ssh-keygen", "bash", "dash")
	if out, err := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/run").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace: %v %s", err, out)
	}
	t.Parallel()
	g := newGuarded(t)
	g.pam()
	group := g.file("group", read(t, "/etc/group")+"picket-keep:x:64999:nobody\n", 0o644)
	outcome := func(cmd *exec.Cmd) (bool, string) {
		out, err := cmd.CombinedOutput()
		return err == nil, string(out)
	}
	doors := []door{
		{"su", func() (bool, string) { return outcome(g.apart("", "su", "nobody", "-s", "/bin/sh", "-c", "true")) }},
		{"pamtester", func() (bool, string) { return outcome(g.apart("", "pamtester", "sshd", "root", "acct_mgmt")) }},
		g.sshd("sshd with PAM", "/bin/bash", "UsePAM yes\n"),
		g.sshd("sshd with ForceCommand", "/bin/dash", "UsePAM no\nInclude "+g.file("picket.conf", g.recipe("openssh/picket.conf", "picket-guarded", "root", "/usr/lib/picket/ssh-access",
			// Of who is guarded it must not ask an agent of his own, which commands ask first.
			g.file("ssh-access", g.recipe("openssh/ssh-access", "/usr/bin/picket", builtPrograms(t)+"/picket", "--socket "+settingOf("socket").def, "--socket "+g.config.Socket), 0o755)), 0o644)+"\n"),
	}
	g.try(doors...)

	// What they read, and the account of last resort.
	g.become(badShadow, scanner.LevelHigh, accessBlocked)
	for _, d := range doors {
		if _, said := d.enter(); d.name != "pamtester" && !strings.Contains(said, "access is blocked") {
			t.Errorf("%s does not say why: %q", d.name, said)
		} else if strings.Contains(said, "CFG-") || strings.Contains(said, "password") {
			t.Errorf("%s tells what was found: %q", d.name, said)
		}
	}
	keep := func(user string) bool {
		in, _ := outcome(g.apart("mount --bind "+group+" /etc/group && ", "pamtester", "sshd", user, "acct_mgmt"))
		return in
	}
	if !keep("nobody") || keep("root") {
		t.Errorf("picket-keep: its member is let in: %v, another: %v", keep("nobody"), keep("root"))
	}
	g.become(goodShadow, scanner.Secured, accessOpen)
	g.stop()
	for _, d := range doors {
		if in, said := d.enter(); in {
			t.Errorf("%s lets in without an agent: %s", d.name, said)
		}
	}
}

// sshd starts one that takes a key of its own for root, whose shell finds start files that run at once what was asked for.
func (g *guarded) sshd(name, shell, more string) door {
	g.t.Helper()
	dir := filepath.Join(g.dir, strings.ReplaceAll(name, " ", "-"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		g.t.Fatal(err)
	}
	for _, key := range []string{"host", "own"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			g.t.Fatalf("ssh-keygen: %v %s", err, out)
		}
	}
	const past = "[ -z \"$SSH_ORIGINAL_COMMAND\" ] || exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n"
	for _, file := range []string{".bashrc", ".profile", ".shinit", ".ssh/rc", ".ssh/environment"} {
		g.file("home/"+file, past, 0o644)
	}
	_, others, _ := strings.Cut(read(g.t, "/etc/passwd"), "\n") // root is the first
	passwd := g.file("passwd-"+filepath.Base(shell), "root:x:0:0:root:"+g.dir+"/home:"+shell+"\n"+others, 0o644)
	address := program.Address(g.t)
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(dir, "config")
	text := fmt.Sprintf("ListenAddress %s\nHostKey %s/host\nPidFile none\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile %s/own.pub\n%s", address, dir, dir, more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		g.t.Fatal(err)
	}
	program.Run(g.t, address, func() *exec.Cmd {
		return g.apart("mount --bind "+passwd+" /etc/passwd &&", sshd, "-D", "-e", "-f", config)
	})
	return door{name, func() (bool, string) {
		out, err := exec.Command("ssh", "-F", "none", "-p", port, "-i", filepath.Join(dir, "own"), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
			"root@127.0.0.1", "echo in; echo $((6*7))").CombinedOutput()
		return err == nil && strings.Contains(string(out), "in\n42\n"), string(out)
	}}
}
