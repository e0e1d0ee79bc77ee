package packaging

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// workLab is this device in a network namespace of its own, with the work network and the rest of
// the world behind one link.
type workLab struct {
	t        *testing.T
	me, work string
}

// Addresses of the lab. The upstream is inside the work network.
const (
	labWork     = "10.20.0.9:8080"
	labUpstream = "10.20.0.5:8443"
	labOther    = "192.0.2.7:8080"
	labSix      = "[fd00:20::9]:8080"
	labNames    = "10.20.0.9:53"
)

func newWorkLab(t *testing.T) *workLab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	var raw [3]byte
	rand.Read(raw[:])
	l := &workLab{t, fmt.Sprintf("pkme%x", raw), fmt.Sprintf("pkwork%x", raw)}
	for _, ns := range []string{l.me, l.work} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces here: %v: %s", err, out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		l.in(ns, "ip", "link", "set", "lo", "up")
	}
	l.sh("ip", "link", "add", "wg-work", "netns", l.me, "type", "veth", "peer", "name", "far", "netns", l.work)
	for _, a := range []string{"10.20.0.2/16", "192.0.2.2/24", "fd00:20::2/48"} {
		l.in(l.me, "ip", "addr", "add", a, "dev", "wg-work", "nodad")
	}
	for _, a := range []string{"10.20.0.9/16", "10.20.0.5/16", "192.0.2.7/24", "fd00:20::9/48"} {
		l.in(l.work, "ip", "addr", "add", a, "dev", "far", "nodad")
	}
	l.in(l.me, "ip", "link", "set", "wg-work", "up")
	l.in(l.work, "ip", "link", "set", "far", "up")
	for _, at := range []string{labWork, labUpstream, labOther, labSix, labNames} {
		var lis net.Listener
		err := inNamespace(l.work, func() (err error) {
			lis, err = net.Listen("tcp", at)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lis.Close() })
		go func() {
			for {
				c, err := lis.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
	}
	for _, at := range []string{labWork, labUpstream, labOther, labSix, labNames} {
		l.until(at, true)
	}
	return l
}

func (l *workLab) sh(args ...string) {
	l.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		l.t.Fatalf("%q: %v: %s", args, err, out)
	}
}

func (l *workLab) in(ns string, args ...string) {
	l.t.Helper()
	l.sh(append([]string{"ip", "netns", "exec", ns}, args...)...)
}

// inNamespace does something in a network namespace, by a thread that ends with it.
func inNamespace(ns string, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		f, err := os.Open("/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// reaches tells whether this device gets a connection.
func (l *workLab) reaches(at string) bool {
	return inNamespace(l.me, func() error {
		c, err := net.DialTimeout("tcp", at, time.Minute)
		if err == nil {
			c.Close()
		}
		return err
	}) == nil
}

// until waits until a place is reached, or is not.
func (l *workLab) until(at string, want bool) {
	l.t.Helper()
	for range 3000 {
		if l.reaches(at) == want {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.t.Fatalf("%s: reached is not %v", at, want)
}

// hook runs a recipe as the agent does.
func (l *workLab) hook(access, keep string, env []string, args ...string) error {
	l.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.me, args[0]}, args[1:]...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "PICKET_ACCESS=" + access, "PICKET_KEEP=" + keep}, env...)
	cmd.Stdin = strings.NewReader(`{"state":"` + access + `"}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (l *workLab) want(when string, reached map[string]bool) {
	l.t.Helper()
	for at, want := range reached {
		if got := l.reaches(at); got != want {
			l.t.Errorf("%s: %s reached is %v", when, at, got)
		}
	}
}

func recipe(t *testing.T, name string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join("responses", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNftablesRecipe blocks the work networks and nothing else, keeps the way to what Picket must reach
// even inside them, lets go when told to, and by itself.
func TestNftablesRecipe(t *testing.T) {
	t.Parallel()
	l := newWorkLab(t)
	nft := recipe(t, "nftables")
	all := map[string]bool{labWork: true, labUpstream: true, labOther: true, labSix: true, labNames: true}
	blocked := map[string]bool{labWork: false, labUpstream: true, labOther: true, labSix: false, labNames: true}
	run := func(access, hours string) {
		t.Helper()
		if err := l.hook(access, labUpstream+" [fd00:20::5]:443", nil, nft, hours, "10.20.0.0/16", "fd00:20::/48"); err != nil {
			t.Fatal(err)
		}
	}
	run("open", "4") // nothing is there
	run("blocked", "4")
	l.want("blocked", blocked)
	run("blocked", "4") // once more, as every hour
	l.want("blocked twice", blocked)
	run("warned", "4")
	l.want("warned", all)
	run("blocked", "4")
	run("open", "4")
	l.want("open", all)
	if out, err := exec.Command("ip", "netns", "exec", l.me, "nft", "list", "ruleset").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("left behind: %s, %v", out, err)
	}
	// An agent that is gone leaves no block behind.
	run("blocked", "15s")
	l.want("blocked for a time", map[string]bool{labWork: false})
	l.until(labWork, true)
	l.until(labSix, true)
}

func TestNftablesRecipeRefuses(t *testing.T) {
	t.Parallel()
	l := newWorkLab(t)
	nft := recipe(t, "nftables")
	for _, c := range []struct {
		access, keep string
		args         []string
	}{
		{"blocked", "", nil},
		{"blocked", "", []string{"4"}},
		{"blocked", "", []string{"0", "10.20.0.0/16"}},
		{"blocked", "", []string{"4; flush ruleset", "10.20.0.0/16"}},
		{"blocked", "", []string{"4", "10.20.0.0/16 } } ; delete table inet x"}},
		{"blocked", "", []string{"4", "work.example.org"}},
		{"blocked", "up.example.org:443", []string{"4", "10.20.0.0/16"}},
		{"blocked", "10.20.0.5", []string{"4", "10.20.0.0/16"}},
		{"wiped", "", []string{"4", "10.20.0.0/16"}},
		{"", "", []string{"4", "10.20.0.0/16"}},
	} {
		if err := l.hook(c.access, c.keep, nil, append([]string{nft}, c.args...)...); err == nil {
			t.Errorf("%+v: it went through", c)
		}
	}
	l.want("after what was refused", map[string]bool{labWork: true, labSix: true})
}

// TestVPNRecipe has a link stand in for a WireGuard interface, and a script for wg-quick and nmcli.
func TestVPNRecipe(t *testing.T) {
	t.Parallel()
	l := newWorkLab(t)
	dir := t.TempDir()
	tools := map[string]string{
		"wg-quick": "#!/bin/sh\n[ $2 = wg-work ] && ip link set wg-work $1\n",
		"nmcli":    "#!/bin/sh\n[ \"$*\" = \"--wait 20 connection $4 id Work VPN\" ] && ip link set wg-work $4\n",
	}
	for name, text := range tools {
		writeProgram(t, filepath.Join(dir, name), text)
	}
	env := []string{"PATH=" + dir + ":/usr/sbin:/usr/bin:/sbin:/bin", "PICKET_RUN=" + dir}
	isUp := func() bool {
		out, err := exec.Command("ip", "-n", l.me, "link", "show", "dev", "wg-work", "up").Output()
		return err == nil && len(out) > 0
	}
	for _, args := range [][]string{{recipe(t, "vpn"), "wireguard", "wg-work"}, {recipe(t, "vpn"), "networkmanager", "Work VPN", "wg-work"}} {
		step := func(access, keep string, up bool) {
			t.Helper()
			if err := l.hook(access, keep, env, args...); err != nil {
				t.Errorf("%s: %v", args[1], err)
			}
			if isUp() != up {
				t.Errorf("%s, %s: up is not %v", args[1], access, up)
			}
		}
		step("open", "", true)
		if err := l.hook("blocked", labUpstream, env, args...); err == nil || !isUp() {
			t.Errorf("%s: Picket was cut off: %v", args[1], err)
		}
		step("blocked", "198.51.100.1:443", false)
		step("blocked", "198.51.100.1:443", false)
		step("open", "", true)
		// What somebody else took down stays down.
		l.in(l.me, "ip", "link", "set", "wg-work", "down")
		step("blocked", "", false)
		step("open", "", false)
		l.in(l.me, "ip", "link", "set", "wg-work", "up")
	}
	if err := l.hook("blocked", "", env, recipe(t, "vpn"), "wireguard", "-x; reboot"); err == nil {
		t.Error("a name that is no interface went through")
	}
}
