//go:build linux

package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLabARPSpoofer(t *testing.T) {
	t.Parallel()
	l := newLab(t, "arpspoof", "ping")
	l.static()
	l.pings()
	l.agent()
	stop := l.start("bad", "arpspoof", "-i", "eth0", "-t", "10.9.0.5", "10.9.0.1")
	l.expect("NET-008b", "High", "10.9.0.1", "02:00:00:00:09:03", "02:00:00:00:09:01")
	stop(syscall.SIGINT)
	l.gone("NET-008b")
}

// dnsmasq runs a DHCP server on a host, which hands out a router and a resolver.
func (l *lab) dnsmasq(host, first, last, router string, more ...string) (stop func(syscall.Signal)) {
	return l.start(host, append([]string{"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--no-ping",
		"--dhcp-range=" + first + "," + last + ",2m", "--dhcp-option=3," + router, "--dhcp-option=6," + router,
		"--dhcp-leasefile=" + filepath.Join(l.t.TempDir(), "leases"), "--pid-file=", "--user=root"}, more...)...)
}

// asks has the host look for DHCP servers and take a lease, which changes nothing on it.
func (l *lab) asks() {
	l.t.Helper()
	dir := l.t.TempDir()
	stop := l.start("me", "dhclient", "-1", "-d", "-sf", "/bin/true", "-lf", dir+"/leases", "-pf", dir+"/pid", "eth0")
	defer stop(syscall.SIGKILL)
	eventually(l.t, "a lease", func() bool {
		b, err := os.ReadFile(dir + "/leases")
		return err == nil && strings.Contains(string(b), "dhcp-server-identifier")
	})
}

func TestLabRogueDHCPServer(t *testing.T) {
	t.Parallel()
	l := newLab(t, "dnsmasq", "dhclient", "ping")
	l.static()
	l.pings()
	l.dnsmasq("r1", "10.9.0.100", "10.9.0.110", "10.9.0.1")
	l.agent()
	l.asks()
	eventually(t, "the server being known", func() bool { return l.remembers("dhcp", "10.9.0.1") })
	for range 3 { // renewals
		l.asks()
	}
	stop := l.dnsmasq("bad", "10.9.0.200", "10.9.0.210", "10.9.0.66", "--dhcp-option-force=252,http://10.9.0.66/wpad.dat")
	asking := func(open string) func() bool {
		return func() bool { // as hosts do, again and again
			l.asks()
			for end := time.Now().Add(11 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // a server may answer for 10
				if s, _ := l.open("NET-045"); s == open {
					return true
				}
			}
			return false
		}
	}
	eventually(t, "the rogue server", asking("High"))
	l.expect("NET-045", "High", "10.9.0.66", "http://10.9.0.66/wpad.dat")
	stop(syscall.SIGKILL)
	eventually(t, "the end of the rogue server", asking(""))
}

// radvd runs a router advertiser on a host.
func (l *lab) radvd(host, prefix string) (stop func(syscall.Signal)) {
	l.t.Helper()
	dir := l.t.TempDir()
	conf := fmt.Sprintf("interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 30; prefix %s { }; };\n", prefix)
	if err := os.WriteFile(dir+"/conf", []byte(conf), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.on(host, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
	return l.start(host, "radvd", "-n", "-m", "stderr", "-C", dir+"/conf", "-p", dir+"/pid")
}

func TestLabRogueRouterAdvertiser(t *testing.T) {
	t.Parallel()
	l := newLab(t, "radvd", "ping", "sysctl")
	l.static()
	l.pings()
	l.radvd("r1", "2001:db8:1::/64")
	eventually(t, "the router", func() bool {
		out, _ := exec.Command("ip", "-6", "-n", l.ns("me"), "route", "show", "default").Output()
		return strings.Contains(string(out), "fe80::ff:fe00:901")
	})
	l.agent()
	eventually(t, "the router being known", func() bool { return l.remembers("router", "fe80::ff:fe00:901") })
	stop := l.radvd("bad", "2001:db8:66::/64")
	l.expect("NET-046", "Medium", "fe80::ff:fe00:903")
	stop(syscall.SIGTERM)
	l.gone("NET-046")
}

// remembers reads what the agent logs of what it keeps.
func (l *lab) remembers(kind, value string) bool {
	return strings.Contains(l.out.String(), kind+"=["+value) // a list of the log
}

// keepalived runs one of two routers that share 10.9.0.254.
func (l *lab) keepalived(host string, priority int) (stop func(syscall.Signal)) {
	l.t.Helper()
	dir := l.t.TempDir()
	conf := fmt.Sprintf("vrrp_instance v {\n state BACKUP\n interface eth0\n virtual_router_id 7\n priority %d\n advert_int 1\n virtual_ipaddress {\n 10.9.0.254/24\n }\n}\n", priority)
	if err := os.WriteFile(dir+"/conf", []byte(conf), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return l.start(host, "keepalived", "-n", "-l", "-D", "-P", "-f", dir+"/conf", "-p", dir+"/pid", "-r", dir+"/vrrp")
}

// TestLabBenign has a network do what networks do.
func TestLabBenign(t *testing.T) {
	t.Parallel()
	l := newLab(t, "keepalived", "ping", "dnsmasq", "dhclient")
	l.ip("me", "addr add 10.9.0.5/24 dev eth0", "route add default via 10.9.0.254")
	first := l.keepalived("r1", 150)
	eventually(t, "a master", func() bool {
		return exec.Command("ip", "netns", "exec", l.ns("me"), "ping", "-c1", "-W1", "10.9.0.254").Run() == nil
	})
	l.start("me", "ping", "-q", "-i", "0.5", "10.9.0.254")
	l.agent()
	second := l.keepalived("r2", 100)
	l.dnsmasq("r1", "10.9.0.100", "10.9.0.110", "10.9.0.254")
	for range 3 {
		l.asks()
	}
	l.start("me", "ping", "-q", "-i", "0.5", "10.9.0.2") // so that one host has both addresses
	first(syscall.SIGTERM)
	l.expect("NET-008b", "Low", "10.9.0.254", "02:00:00:00:09:02")
	back := l.keepalived("r1", 150)
	l.gone("NET-008b")
	for i := range 5 { // a VPN, and containers
		l.ip("me", "tuntap add tun0 mode tun", "addr add 10.77.0.2/32 dev tun0", "link set tun0 up", "route add 0.0.0.0/1 dev tun0", "route add default dev tun0 metric 5",
			"link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up", "link add v0 type veth peer name v1", "link set v0 master docker0 up", "link set v1 up")
		time.Sleep(time.Second)
		l.ip("me", "link del tun0", "link del v0", "link del docker0")
		l.ip("me", fmt.Sprintf("addr add 10.9.0.%d/24 dev eth0", 40+i))
	}
	time.Sleep(3 * time.Second)
	l.quiet()
	second(syscall.SIGTERM)
	back(syscall.SIGTERM)
}
