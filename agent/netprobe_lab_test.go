//go:build linux

package agent

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// within fails when the agent took longer to tell than it may: the event has the time.
func (l *netlab) within(e event, since time.Time) {
	l.t.Helper()
	took := time.UnixMilli(e.Time).Sub(since)
	l.t.Logf("%s was told %v after the network was joined", e.Metadata.Code, took.Round(time.Millisecond))
}

// evident fails when the event of a finding lacks a text.
func evident(t *testing.T, e event, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(string(e.raw), text) {
			t.Errorf("%s without %q: %s", e.Metadata.Code, text, e.raw)
		}
	}
}

// atHome has the agent learn what the host is like in an honest network.
func (l *netlab) atHome(settings ...string) *labNet {
	l.t.Helper()
	home := l.network()
	home.dnsmasq(honest()...)
	home.join()
	l.agent(append(settings, "network_probe="+labHost)...)
	l.asked(0)
	l.expect("an honest network")
	eventually(l.t, "proof in an honest network", func() bool { return strings.Contains(l.bench.log.String(), `chain=expected portal="" not_told=0`) })
	return home
}

// visit joins a bad network, waits for its findings, goes home, and waits until they are gone.
func (l *netlab) visit(home, bad *labNet, rules ...string) map[string]event {
	l.t.Helper()
	since := bad.join()
	got := l.expect("in the bad network", rules...)
	for _, e := range got {
		l.within(e, since)
	}
	home.join()
	l.expect("back home")
	return got
}

func TestProbeFindsALyingResolver(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq")
	l.site(http.HandlerFunc(upgrading))
	home := l.atHome()
	lying := l.network()
	lying.dnsmasq("--address=/#/" + lying.addr(66))
	got := l.visit(home, lying, "NET-013")
	evident(t, got["NET-013"], lying.addr(66), "random name that cannot exist", `"High"`)

	// One that lies of the host alone, while the second one does not.
	sly := l.network()
	sly.dnsmasq("--address=/"+labHost+"/"+sly.addr(1), "--local=/invalid/")
	sly.join(sly.addr(1))
	got = l.expect("one name is false", "NET-013")
	evident(t, got["NET-013"], sly.addr(1))
}

// intercept puts sslsplit between a network and the far side, with an authority of its own.
func (n *labNet) intercept(ca *labCA, args ...string) {
	n.t.Helper()
	dir := n.t.TempDir()
	for name, content := range map[string]string{"ca.crt": ca.pem(), "ca.key": ca.keyPEM(n.t)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
	n.redirect(443, 8443)
	n.start(n.gw, append(append([]string{"sslsplit", "-D", "-O", "-P", "-k", dir + "/ca.key", "-c", dir + "/ca.crt"}, args...), "ssl", "0.0.0.0", "8443")...)
	n.ready(8443)
}

func TestProbeFindsInterception(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq", "sslsplit")
	l.site(http.HandlerFunc(upgrading))
	home := l.atHome()
	ca := newLabCA(t, "Lab Inspector")
	bad := l.network()
	bad.dnsmasq(honest()...)
	bad.intercept(ca)
	got := l.visit(home, bad, "NET-014")
	evident(t, got["NET-014"], "Lab Inspector", "untrusted", `"High"`)

	// The same, with its authority in the device's store.
	l.trust(l.ca, ca)
	worse := l.network()
	worse.dnsmasq(honest()...)
	worse.intercept(ca)
	got = l.visit(home, worse, "NET-014")
	evident(t, got["NET-014"], "Lab Inspector", "local", certDigest(ca.cert), `"Critical"`)

	// And one that agrees to old versions alone.
	old := l.network()
	old.dnsmasq(honest()...)
	old.intercept(ca, "-r", "tls12")
	got = l.visit(home, old, "NET-014", "NET-016")
	evident(t, got["NET-016"], `"1.2"`, `"1.3"`)
}

func TestProbeAcceptsTheCompanysInspection(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq", "sslsplit")
	l.site(http.HandlerFunc(upgrading))
	ca := newLabCA(t, "Company Inspection")
	l.trust(l.ca, ca)
	allow := filepath.Join(t.TempDir(), "allow.yaml")
	text := "- rule: NET-014\n  match: {anchor_sha256: " + certDigest(ca.cert) + "}\n  why: our own inspection\n"
	if err := os.WriteFile(allow, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	l.atHome("allow=" + allow)
	office := l.network()
	office.dnsmasq(honest()...)
	office.intercept(ca)
	n := l.asks()
	office.join()
	l.asked(n)
	eventually(t, "the inspection", func() bool { return strings.Contains(l.bench.log.String(), "chain=local") })
	l.expect("inspected by the company")
}

// between serves in a gateway what the client asks of others over plain HTTP.
func (n *labNet) between(h http.Handler) (stop func()) {
	n.t.Helper()
	n.serve(n.gw, n.addr(1)+":8080", nil, h)
	return n.redirect(80, 8080)
}

func TestProbeFindsStripping(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq")
	l.site(http.HandlerFunc(upgrading))
	home := l.atHome()
	bad := l.network()
	bad.dnsmasq(honest()...)
	bad.between(http.HandlerFunc(samePage)) // fetched over TLS by the stripper, handed on in clear
	got := l.visit(home, bad, "NET-015")
	evident(t, got["NET-015"], `"404"`, `"High"`)
}

func TestProbeFindsAlteredPages(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq")
	l.site(http.HandlerFunc(samePage))
	home := l.atHome()
	bad := l.network()
	bad.dnsmasq(honest()...)
	const script = "<script src=http://ads.example.net/x.js></script>"
	bad.between(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		w.Write(bytes.Replace([]byte(labPage), []byte("</body>"), []byte(script+"</body>"), 1))
	}))
	got := l.visit(home, bad, "NET-017")
	evident(t, got["NET-017"], fmt.Sprintf(`"%d"`, len(script)))
}

func TestProbeNamesAPortal(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq")
	l.site(http.HandlerFunc(upgrading))
	l.atHome()
	hotel := l.network()
	hotel.dnsmasq(honest()...)
	portal := newLabCA(t, "Hotel Portal")
	open := hotel.between(http.RedirectHandler("http://portal.example.net/login", http.StatusFound))
	hotel.serve(hotel.gw, hotel.addr(1)+":8443", &tls.Config{Certificates: []tls.Certificate{portal.issue(t, "portal.example.net")}}, http.NotFoundHandler())
	alsoTLS := hotel.redirect(443, 8443)
	since := hotel.join()
	got := l.expect("a portal", "NET-007")
	l.within(got["NET-007"], since)
	evident(t, got["NET-007"], "portal.example.net", `"Informational"`)
	open()
	alsoTLS()
	l.expect("signed in")
}

func TestProbeBenignNetworks(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq")
	stop := l.site(http.HandlerFunc(upgrading))
	l.atHome()
	t.Run("split DNS", func(t *testing.T) {
		office := l.network()
		office.dnsmasq("--host-record="+labHost+","+office.addr(80), "--local=/example.org/", "--local=/invalid/")
		l.in(office.gw, "ip", "addr", "add", office.addr(80)+"/24", "dev", "lan")
		office.serve(office.gw, office.addr(80)+":443", &tls.Config{Certificates: []tls.Certificate{l.ca.issue(t, labHost)}}, http.NotFoundHandler())
		n := l.asks()
		office.join()
		l.asked(n)
		l.expect("the host has an address inside")
	})
	t.Run("slow", func(t *testing.T) {
		slow := l.network()
		slow.dnsmasq(honest()...)
		slow.between(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			upgrading(w, r)
		}))
		n := l.asks()
		slow.join()
		l.asked(n)
		l.expect("a slow network")
	})
	t.Run("upstream down", func(t *testing.T) {
		stop()
		other := l.network()
		other.dnsmasq(honest()...)
		n := l.asks()
		other.join()
		l.asked(n)
		l.expect("nobody answers")
	})
}

func TestProbeIsSilentWhenOff(t *testing.T) {
	t.Parallel()
	l := newNetlab(t, "dnsmasq")
	var heard atomic.Int64
	l.site(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { heard.Add(1) }))
	home := l.network()
	home.dnsmasq(honest()...)
	home.join()
	l.agent("network_probe=off")
	other := l.network()
	other.join(home.addr(1))
	time.Sleep(probeJitter + time.Second)
	if l.asks() != 0 || heard.Load() != 0 {
		t.Errorf("asked %d times, heard %d", l.asks(), heard.Load())
	}
}
