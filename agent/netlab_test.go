//go:build linux

package agent

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/device"
)

// netlab is an internet of network namespaces: a client with the agent in it, networks that it can
// join, each with a gateway, and a far side with a host and its authority. No packet leaves it.
type netlab struct {
	t     *testing.T
	id    string
	nets  []*labNet
	ca    *labCA
	bench *bench // of the client's agent, which is a process of its own
}

// labNet is a network that the client can join. Its gateway is 10.0.N.1, the client 10.0.N.2.
type labNet struct {
	*netlab
	n  int
	gw string // namespace
}

// The far side. The addresses are ones that count as public (RFC 5737).
const (
	labHost    = "up.example.org"
	labAddress = "203.0.113.10"
	labEnv     = "PICKET_TEST_LAB"
)

// newNetlab makes the far side and an empty client.
func newNetlab(t *testing.T, programs ...string) *netlab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
	for _, p := range append([]string{"ip", "nft", "sysctl"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
	var raw [3]byte
	rand.Read(raw[:])
	l := &netlab{t: t, id: fmt.Sprintf("pk%x", raw), ca: newLabCA(t, "Lab Public Root")}
	if out, err := exec.Command("ip", "netns", "add", l.ns("far")).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %s", out)
	}
	t.Cleanup(func() { l.sh("ip", "netns", "del", l.ns("far")) })
	l.sh("ip", "netns", "add", l.ns("me"))
	t.Cleanup(func() { l.sh("ip", "netns", "del", l.ns("me")) })
	for _, ns := range []string{"far", "me"} {
		l.in(l.ns(ns), "ip", "link", "set", "lo", "up")
	}
	l.in(l.ns("far"), "ip", "addr", "add", labAddress+"/32", "dev", "lo")
	l.bench = newBench(t, smallSystem(t, 1))
	l.trust(l.ca)
	return l
}

func (l *netlab) ns(name string) string { return l.id + name }

func (l *netlab) sh(args ...string) {
	l.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		l.t.Fatalf("%q: %v: %s", args, err, out)
	}
}

func (l *netlab) in(ns string, args ...string) {
	l.t.Helper()
	l.sh(append([]string{"ip", "netns", "exec", ns}, args...)...)
}

// start runs a program in a namespace; stop ends it, as the end of the test does.
func (l *netlab) start(ns string, args ...string) (stop func()) {
	l.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...)
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = log, log, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // some have helpers that would stay
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	stop = func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-done }
	l.t.Cleanup(func() {
		stop()
		if l.t.Failed() {
			l.t.Logf("%q said: %s", args, log)
		}
	})
	return stop
}

// listen opens a listener in a namespace.
func (l *netlab) listen(ns, address string) net.Listener {
	l.t.Helper()
	type opened struct {
		net.Listener
		error
	}
	c := make(chan opened)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		f, err := os.Open("/run/netns/" + ns)
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		var o opened
		if o.error = err; err == nil {
			o.Listener, o.error = net.Listen("tcp", address)
		}
		c <- o
	}()
	o := <-c
	if o.error != nil {
		l.t.Fatal(o.error)
	}
	l.t.Cleanup(func() { o.Close() })
	return o.Listener
}

// serve answers HTTP, with TLS where a configuration is given, until stop.
func (l *netlab) serve(ns, address string, conf *tls.Config, h http.Handler) (stop func()) {
	l.t.Helper()
	lis := l.listen(ns, address)
	if conf != nil {
		lis = tls.NewListener(lis, conf)
	}
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.Serve(lis)
	l.t.Cleanup(func() { s.Close() })
	return func() { s.Close() }
}

// network makes one more network. Its gateway forwards; servers of names are the test's to start.
func (l *netlab) network() *labNet {
	l.t.Helper()
	n := &labNet{l, len(l.nets) + 1, ""}
	n.gw = l.ns("gw" + strconv.Itoa(n.n))
	l.nets = append(l.nets, n)
	l.sh("ip", "netns", "add", n.gw)
	l.t.Cleanup(func() { l.sh("ip", "netns", "del", n.gw) })
	l.sh("ip", "link", "add", n.iface(), "netns", l.ns("me"), "type", "veth", "peer", "name", "lan", "netns", n.gw)
	l.sh("ip", "link", "add", n.iface(), "netns", l.ns("far"), "type", "veth", "peer", "name", "wan", "netns", n.gw)
	for _, c := range [][]string{
		{n.gw, "ip", "link", "set", "lo", "up"},
		{n.gw, "ip", "link", "set", "lan", "up"},
		{n.gw, "ip", "link", "set", "wan", "up"},
		{n.gw, "ip", "addr", "add", n.addr(1) + "/24", "dev", "lan"},
		{n.gw, "ip", "addr", "add", n.wan(2) + "/24", "dev", "wan"},
		{n.gw, "ip", "route", "add", "default", "via", n.wan(1)},
		{n.gw, "sysctl", "-qw", "net.ipv4.ip_forward=1"},
		{l.ns("far"), "ip", "addr", "add", n.wan(1) + "/24", "dev", n.iface()},
		{l.ns("far"), "ip", "link", "set", n.iface(), "up"},
		{l.ns("far"), "ip", "route", "add", n.addr(0) + "/24", "via", n.wan(2)},
		{l.ns("me"), "ip", "addr", "add", n.addr(2) + "/24", "dev", n.iface()},
	} {
		l.in(c[0], c[1:]...)
	}
	return n
}

func (n *labNet) iface() string        { return "net" + strconv.Itoa(n.n) }
func (n *labNet) addr(host int) string { return fmt.Sprintf("10.0.%d.%d", n.n, host) }
func (n *labNet) wan(host int) string  { return fmt.Sprintf("172.16.%d.%d", n.n, host) }
func (n *labNet) dnsmasq(args ...string) (stop func()) {
	stop = n.start(n.gw, append([]string{"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
		"--listen-address=" + n.addr(1), "--pid-file", "--log-facility=-", "--user=root"}, args...)...)
	n.ready(dnsPort)
	return stop
}

// honest are the answers of a name server that says what is so.
func honest() []string {
	return []string{"--host-record=" + labHost + "," + labAddress, "--local=/example.org/", "--local=/invalid/"}
}

// ready waits until somebody listens on a port of the gateway.
func (n *labNet) ready(port int) {
	n.t.Helper()
	eventually(n.t, "a listener on port "+strconv.Itoa(port), func() bool {
		out, _ := exec.Command("ip", "netns", "exec", n.gw, "cat", "/proc/net/tcp").Output()
		return strings.Contains(string(out), fmt.Sprintf(":%04X 00000000:0000 0A", port))
	})
}

// redirect has the gateway take what the client sends to a port of others.
func (n *labNet) redirect(from, to int) (stop func()) {
	n.t.Helper()
	table := "t" + strconv.Itoa(from)
	n.in(n.gw, "nft", "add table ip "+table+"; add chain ip "+table+" pre { type nat hook prerouting priority dstnat; }; add rule ip "+table+
		" pre iifname lan tcp dport "+strconv.Itoa(from)+" redirect to :"+strconv.Itoa(to))
	return func() { n.in(n.gw, "nft", "delete table ip "+table) }
}

// join makes this the client's only network, with the gateway or others to ask for names.
func (n *labNet) join(resolvers ...string) time.Time {
	n.t.Helper()
	if len(resolvers) == 0 {
		resolvers = []string{n.addr(1)}
	}
	for _, other := range n.nets {
		n.in(n.ns("me"), "ip", "link", "set", other.iface(), "down")
	}
	replace(n.t, n.bench.root, "/etc/resolv.conf", "nameserver "+strings.Join(resolvers, "\nnameserver ")+"\n")
	n.in(n.ns("me"), "ip", "link", "set", n.iface(), "up")
	n.in(n.ns("me"), "ip", "route", "add", "default", "via", n.addr(1))
	return time.Now()
}

// trust puts authorities into the client's store, the lab's own in a file of a package.
func (l *netlab) trust(cas ...*labCA) {
	l.t.Helper()
	const packaged = "/usr/share/ca-certificates/mozilla/Lab.crt"
	root, own := l.bench.root, l.ca.pem()
	replace(l.t, root, packaged, own)
	replace(l.t, root, "/var/lib/dpkg/info/ca-certificates.list", "/.\n"+packaged+"\n")
	replace(l.t, root, "/var/lib/dpkg/info/ca-certificates.md5sums", fmt.Sprintf("%x  %s\n", md5.Sum([]byte(own)), packaged[1:]))
	replace(l.t, root, "/var/lib/dpkg/status", stanza("pkg0", "1.0-1")+stanza("ca-certificates", "2023"))
	var bundle strings.Builder
	for i, ca := range cas {
		bundle.WriteString(ca.pem())
		if ca != l.ca {
			replace(l.t, root, fmt.Sprintf("/usr/local/share/ca-certificates/own%d.crt", i), ca.pem())
		}
	}
	replace(l.t, root, "/etc/ssl/certs/ca-certificates.crt", bundle.String())
}

// site serves the host on the far side: a page over TLS, and what plain answers on port 80.
func (l *netlab) site(plain http.Handler) (stop func()) {
	over := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, labPage)
	})
	cert := l.ca.issue(l.t, labHost)
	a := l.serve(l.ns("far"), labAddress+":443", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}, over)
	b := l.serve(l.ns("far"), labAddress+":80", nil, plain)
	return func() { a(); b() }
}

const labPage = "<html><body><h1>There is nothing here</h1></body></html>\n"

// upgrading sends plain HTTP on to HTTPS, as most hosts do.
func upgrading(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
}

// samePage serves over plain HTTP what TLS has.
func samePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, labPage)
}

// labCA is an authority.
type labCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newLabCA(t *testing.T, name string) *labCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &labCA{c, key}
}

func (ca *labCA) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
}

func (ca *labCA) keyPEM(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// issue makes a certificate of a host. Like other authorities, it keeps within the dates of a year.
func (ca *labCA) issue(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		c.DNSNames, c.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// partlyLive is a device of which some sources are the machine's.
type partlyLive struct {
	scanner.Device
	live    scanner.Device
	sources []scanner.Source
}

func (p partlyLive) Identity() scanner.Identity {
	id := p.Device.Identity()
	id.Live = true
	return id
}

func (p partlyLive) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	if slices.Contains(p.sources, s) {
		return p.live.Probe(ctx, s)
	}
	return p.Device.Probe(ctx, s)
}

func (p partlyLive) Close() error {
	closeDevice(p.Device)
	closeDevice(p.live)
	return nil
}

// TestDaemonInLab is no test: it is the agent that a lab starts inside its client.
func TestDaemonInLab(t *testing.T) {
	args := strings.Split(os.Getenv(labEnv), "\n")
	if len(args) < 3 {
		t.Skip("started by the tests of networks")
	}
	root, state, settings := args[0], args[1], args[2:]
	b := newBench(t, root)
	c, _, err := Load("", Env{Getenv: func(string) string { return "" }, Set: append(settings,
		"state_dir="+state, "socket="+state+"-socket", "watch=off", "sample_interval=off", "digests=none")})
	if err != nil {
		t.Fatal(err)
	}
	b.config = c
	b.machine.log = slog.New(slog.NewTextHandler(os.Stdout, nil))
	b.machine.dial, b.machine.listen = (&net.Dialer{}).DialContext, device.OpenEar
	b.machine.open = func(ctx context.Context) (scanner.Device, error) {
		folder, err := device.Directory(root)
		if err != nil {
			return nil, err
		}
		live, err := device.Live(ctx, device.LiveOptions{})
		if err != nil {
			closeDevice(folder)
			return nil, err
		}
		return partlyLive{folder, live, []scanner.Source{scanner.SourceRoutes, scanner.SourceNeighbours, scanner.SourceInterfaces}}, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.run(ctx, actor{"serve", d.runServe}); err != nil {
		t.Fatal(err)
	}
}

// agent starts the agent in the client, and waits for its first scan.
func (l *netlab) agent(settings ...string) {
	l.t.Helper()
	state := l.t.TempDir() + "/state"
	l.bench.config.StateDir, l.bench.config.SinkFile = state, state+"/"+sinkName
	cmd := exec.Command("ip", "netns", "exec", l.ns("me"), os.Args[0], "-test.run=^TestDaemonInLab$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), labEnv+"="+strings.Join(append([]string{l.bench.root, state}, settings...), "\n"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd.Stderr = l.bench.log
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	lines, done := bufio.NewScanner(out), make(chan struct{})
	go func() {
		for lines.Scan() {
			fmt.Fprintln(l.bench.log, lines.Text())
		}
		cmd.Wait()
		close(done)
	}()
	l.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if l.t.Failed() {
			l.t.Logf("the agent said:\n%s", l.bench.log)
		}
	})
	eventually(l.t, "the first scan", func() bool { return strings.Contains(l.bench.log.String(), "msg=scanned") })
}

// told gives the findings of the rules of networks that are open, as the delivered events say: by
// rule, the severity and the whole event.
func (l *netlab) told() map[string]event {
	open := map[string]event{}
	for _, e := range l.bench.delivered(l.t) {
		code := e.Metadata.Code
		if e.Unmapped.Snapshot != nil || !strings.HasPrefix(code, "NET-") {
			continue
		}
		if e.Activity == "Close" {
			delete(open, code)
		} else {
			open[code] = e
		}
	}
	return open
}

// expect waits until exactly these rules have open findings.
func (l *netlab) expect(what string, rules ...string) map[string]event {
	l.t.Helper()
	began := time.Now()
	var now map[string]event
	for deadline := began.Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now = l.told()
		if len(now) == len(rules) && !slices.ContainsFunc(rules, func(r string) bool { _, ok := now[r]; return !ok }) {
			break
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: open are %v, want %q", what, now, rules)
		}
	}
	l.t.Logf("%s: %q after %v", what, rules, time.Since(began).Round(time.Millisecond))
	return now
}

// asked waits until the agent has asked once more than before.
func (l *netlab) asked(before int) {
	l.t.Helper()
	eventually(l.t, "asking through the network", func() bool { return l.asks() > before })
}

func (l *netlab) asks() int {
	return strings.Count(l.bench.log.String(), `msg="asked through the network"`)
}
