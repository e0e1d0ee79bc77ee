//go:build linux

package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

func TestChains(t *testing.T) {
	t.Parallel()
	public, other, local := newLabCA(t, "Public"), newLabCA(t, "Other Public"), newLabCA(t, "Inspector")
	store := []*x509.Certificate{public.cert, other.cert, local.cert}
	cannot := errors.New("no package database")
	added := func(_ context.Context, sum string) (bool, error) { return sum == certDigest(local.cert), nil }
	blind := func(context.Context, string) (bool, error) { return false, cannot }
	for _, c := range []struct {
		name   string
		ca     *labCA
		own    []*x509.Certificate
		added  func(context.Context, string) (bool, error)
		known  []string
		host   string // of the certificate
		after  time.Duration
		want   string // chain
		proven bool
		unread bool
	}{
		{name: "first time", ca: public, want: chainExpected, proven: true},
		{name: "another public one", ca: other, known: []string{keyDigest(public.cert)}, want: chainExpected, proven: true},
		{name: "added to the store", ca: local, want: chainLocal},
		{name: "added, and known before that", ca: local, known: []string{keyDigest(local.cert)}, want: chainExpected, proven: true},
		{name: "of nobody", ca: newLabCA(t, "Proxy"), want: chainUntrusted},
		{name: "of another host", ca: public, host: "other.example.org", want: chainUntrusted},
		{name: "too old", ca: public, after: 30 * time.Hour, want: chainExpired},
		{name: "too old, of an added one", ca: local, after: 30 * time.Hour, want: chainLocal},
		{name: "first time, origin not known", ca: local, added: blind, want: chainExpected, proven: true},
		{name: "changed, origin not known", ca: local, added: blind, known: []string{keyDigest(public.cert)}, unread: true},
		{name: "the upstream's own", ca: newLabCA(t, "Public"), want: chainUntrusted, own: []*x509.Certificate{public.cert}},
		{name: "not the upstream's own", ca: other, want: chainUntrusted, own: []*x509.Certificate{public.cert}},
		{name: "the upstream's, posed as by an added one", ca: local, want: chainLocal, own: []*x509.Certificate{public.cert}},
	} {
		host := c.host
		if host == "" {
			host = labHost
		}
		pair := c.ca.issue(t, host)
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if c.added == nil {
			c.added = added
		}
		row := facts.NetworkProbe{Host: labHost}
		st := tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_RSA_WITH_RC4_128_SHA, PeerCertificates: []*x509.Certificate{leaf}}
		anchor := noteTLS(t.Context(), &row, st, c.own, trust{store, c.added}, c.known, time.Now().Add(c.after))
		if row.Chain != c.want || row.Proven != c.proven || (anchor != nil) != c.proven || (row.UnreadColumns()["chain"] != "") != c.unread {
			t.Errorf("%s: chain %q (%s), proven %v, anchor %v, unread %v", c.name, row.Chain, row.ChainWhy, row.Proven, anchor != nil, row.UnreadColumns())
		}
		if row.TLSVersion != "1.2" || !row.WeakCipher || !strings.Contains(row.Issuer, c.ca.cert.Subject.CommonName) {
			t.Errorf("%s: %+v", c.name, row)
		}
	}
}

func TestPlainPages(t *testing.T) {
	t.Parallel()
	to := func(s string) *url.URL { u, _ := url.Parse(s); return u }
	at := func(status int, body string) page { return page{status: status, body: []byte(body), whole: true} }
	sent := func(where string) page { return page{status: 302, location: to(where), whole: true} }
	over := at(404, labPage)
	for _, c := range []struct {
		name  string
		plain page
		over  *page
		row   facts.NetworkProbe
		mem   probeMemory
		want  facts.NetworkProbe // what differs from row
	}{
		{name: "sent on", plain: sent("https://up.example.org/"), over: &over, want: facts.NetworkProbe{Upgrades: true}},
		{name: "sent to www", plain: sent("https://www.up.example.org/"), over: &over, want: facts.NetworkProbe{Upgrades: true}},
		{name: "sent on in clear", plain: sent("http://up.example.org/x"), over: &over},
		{name: "same", plain: at(404, labPage), over: &over, want: facts.NetworkProbe{Same: true}},
		{name: "put in", plain: at(404, strings.Replace(labPage, "</body>", "<b>x</b></body>", 1)), over: &over, want: facts.NetworkProbe{Inserted: 8}},
		{name: "put at the end", plain: at(404, labPage+"x"), over: &over, want: facts.NetworkProbe{Inserted: 1}},
		{name: "different, which it may always be", plain: at(404, "other"), over: &over},
		{name: "different, and was not", plain: at(404, "other"), over: &over, mem: probeMemory{Same: true}, want: facts.NetworkProbe{Inserted: -1}},
		{name: "must send on", plain: at(200, labPage+"x"), over: &over, row: facts.NetworkProbe{MustUpgrade: true}},
		{name: "portal", plain: sent("http://portal.example.net/login?user=x"), want: facts.NetworkProbe{Portal: "redirect", PortalHost: "portal.example.net"}},
		{name: "portal that lets TLS through", plain: sent("http://portal.example.net/"), over: &over, want: facts.NetworkProbe{Portal: "redirect", PortalHost: "portal.example.net"}},
		{name: "moved for good", plain: sent("http://new.example.net/"), mem: probeMemory{Elsewhere: "new.example.net"}},
		{name: "511", plain: at(511, ""), want: facts.NetworkProbe{Portal: "status 511"}},
		{name: "sign-in page", plain: at(200, "<FORM action=/login>"), want: facts.NetworkProbe{Portal: "page"}},
		{name: "WISPr", plain: at(200, "<WISPAccessGatewayParam>"), want: facts.NetworkProbe{Portal: "page"}},
		{name: "a form of the host itself", plain: at(404, "<form>"), over: &over},
		{name: "too long to compare", plain: page{status: 404, body: []byte(labPage + "x")}, over: &over},
	} {
		row := c.row
		row.Host = labHost
		noteHTTP(&row, c.plain, c.over, &c.mem)
		if row.Upgrades != c.want.Upgrades || row.Same != c.want.Same || row.Inserted != c.want.Inserted || row.Portal != c.want.Portal || row.PortalHost != c.want.PortalHost {
			t.Errorf("%s: %+v", c.name, row)
		}
		if blind := row.UnreadColumns()["inserted"] != ""; blind != (c.over == nil && row.Portal == "") {
			t.Errorf("%s: unread %v", c.name, row.UnreadColumns())
		}
	}
}

// TestFetchSendsNothingOfThePerson looks at what arrives, and what is taken of the answer.
func TestFetchSendsNothingOfThePerson(t *testing.T) {
	t.Parallel()
	var got http.Header
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		got = r.Header.Clone()
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Location", "/again")
		w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		w.WriteHeader(http.StatusFound)
		w.Write(make([]byte, 3*maxPage))
	}))
	defer s.Close()
	var d net.Dialer
	p, err := fetch(t.Context(), "http", labHost, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, s.Listener.Addr().String())
	})
	if err != nil || asked != 1 || p.status != http.StatusFound || p.location.String() != "http://"+labHost+"/again" || !p.hsts || p.whole || len(p.body) != maxPage+1 {
		t.Errorf("%v after %d questions: %d %v, hsts %v, %d bytes, whole %v", err, asked, p.status, p.location, p.hsts, len(p.body), p.whole)
	}
	if len(got) != 1 || got.Get("Connection") != "close" {
		t.Errorf("sent %v", got)
	}
}

func TestMemoryOfAHost(t *testing.T) {
	t.Parallel()
	ca := newLabCA(t, "Public")
	var m probeMemory
	row := facts.NetworkProbe{Host: labHost, Network: "a", TLSVersion: "1.3", Address: labAddress, Upgrades: true}
	m.learn(&row, ca.cert)
	m.learnPage(&row, page{status: 301}, page{})
	m.learn(&facts.NetworkProbe{TLSVersion: "1.2", Address: "10.0.0.1"}, ca.cert)
	if m.Best != "1.3" || !m.Public || !m.Private || !m.Upgrades || len(m.Anchors) != 1 {
		t.Errorf("%+v", m)
	}
	// One network in which it does not send on is that network's doing; two are the host's.
	stripped := facts.NetworkProbe{Host: labHost, Network: "b"}
	m.learnPage(&stripped, page{status: 200}, page{})
	m.learnPage(&stripped, page{status: 200}, page{})
	if !m.Upgrades {
		t.Error("one network changed what is known of the host")
	}
	m.learnPage(&facts.NetworkProbe{Host: labHost, Network: "c"}, page{status: 200}, page{hsts: true})
	if !m.Upgrades {
		t.Error("the host itself says that it must send on")
	}
	m.learnPage(&facts.NetworkProbe{Host: labHost, Network: "c"}, page{status: 200}, page{})
	if m.Upgrades {
		t.Error("a host cannot change")
	}
	for i := range 2 * maxAnchors {
		m.learn(&row, newLabCA(t, fmt.Sprint(i)).cert)
	}
	if len(m.Anchors) != maxAnchors {
		t.Errorf("%d authorities", len(m.Anchors))
	}
}

func TestRootsOfTheDevice(t *testing.T) {
	t.Parallel()
	system, module, person := newLabCA(t, "System"), newLabCA(t, "Module"), newLabCA(t, "Person")
	names := func(platform, text string) string {
		t.Helper()
		dev, err := device.Txtar([]byte("platform: " + platform + "\n" + text))
		if err != nil {
			t.Fatal(err)
		}
		roots, err := readRoots(dev.FS(), platform)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, c := range roots {
			out = append(out, c.Subject.CommonName)
		}
		return strings.Join(out, " ")
	}
	old := "-- system/etc/security/cacerts/1.0 --\n" + system.pem()
	for _, c := range []struct{ platform, text, want string }{
		{"linux", "-- etc/ssl/certs/ca-certificates.crt --\n" + system.pem() + module.pem() + "-- etc/ssl/cert.pem --\n" + person.pem(), "System Module"},
		{"linux", "-- etc/ssl/certs/ca-certificates.crt --\nnothing\n-- etc/ssl/cert.pem --\n" + person.pem(), "Person"},
		{"linux", "-- etc/passwd --\n", "this device has no list of authorities that could be read"},
		{"android", old, "System"},
		{"android", old + "-- apex/com.android.conscrypt/cacerts/2.0 --\n" + module.pem() + "-- data/misc/user/10/cacerts-added/3.0 --\n" + person.pem(), "Module Person"},
		{"android", "-- system/build.prop --\n", "this device has no list of authorities that could be read"},
	} {
		if got := names(c.platform, c.text); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.platform, got, c.want)
		}
	}
}

func TestInsideAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"10.0.0.1": true, "192.168.1.1": true, "127.0.0.1": true, "0.0.0.0": true, "169.254.1.1": true, "100.64.0.1": true,
		"198.18.0.7": true, "fd00::1": true, "fe80::1": true, "::1": true, "203.0.113.10": false, "100.128.0.1": false, "198.20.0.1": false, "2001:db8::1": false} {
		if got := insideAddress(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestSameSite(t *testing.T) {
	t.Parallel()
	for pair, want := range map[string]bool{
		"up.example.org up.example.org": true, "UP.example.org. up.example.org": true, "www.up.example.org up.example.org": true,
		"example.org up.example.org": true, "a.up.example.org up.example.org": true, "org up.example.org": false,
		"downup.example.org up.example.org": false, "portal.example.net up.example.org": false, "10.0.0.1 10.0.0.1": true, "0.1 10.0.0.1": false,
	} {
		a, b, _ := strings.Cut(pair, " ")
		if got := sameSite(a, b); got != want {
			t.Errorf("%s: %v", pair, got)
		}
	}
}

func dnsReply(t testing.TB, name string, id uint16, rcode dnsmessage.RCode, addresses ...string) []byte {
	t.Helper()
	q := dnsmessage.MustNewName(name + ".")
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, Response: true, RCode: rcode}, Questions: []dnsmessage.Question{{Name: q, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	for _, a := range addresses {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()}})
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadDNS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		b    []byte
		want int
		ours bool
		err  string
	}{
		{"two", dnsReply(t, labHost, 7, 0, labAddress, "10.0.0.1"), 2, true, ""},
		{"too many", dnsReply(t, labHost, 7, 0, slices.Repeat([]string{labAddress}, 50)...), maxAddresses, true, ""},
		{"none", dnsReply(t, labHost, 7, dnsmessage.RCodeNameError), 0, true, ""},
		{"refused", dnsReply(t, labHost, 7, dnsmessage.RCodeRefused), 0, true, "Refused"},
		{"another's", dnsReply(t, labHost, 8, 0, labAddress), 0, false, ""},
		{"of another name", dnsReply(t, "example.org", 7, 0, labAddress), 0, false, ""},
		{"cut", dnsReply(t, labHost, 7, 0, labAddress)[:40], 0, true, "reading the answer"},
		{"empty", nil, 0, false, "unpacking"},
	} {
		got, ours, err := readDNS(c.b, 7, labHost, dnsmessage.TypeA)
		if len(got) != c.want && c.err == "" || ours != c.ours || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, ours %v, %v", c.name, got, ours, err)
		}
	}
}

func FuzzReadDNS(f *testing.F) {
	f.Add(dnsReply(f, labHost, 7, 0, labAddress, "10.0.0.1"))
	f.Add(dnsReply(f, labHost, 7, dnsmessage.RCodeNameError))
	f.Add([]byte{0, 7, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ours, _ := readDNS(b, 7, labHost, dnsmessage.TypeA)
		if len(got) > maxAddresses || len(got) > 0 && !ours {
			t.Errorf("%v, ours %v", got, ours)
		}
	})
}

// TestProbeKeepsToItsMeasure counts what is dialled over a day: a network is asked through once,
// and a few times more while nobody answers; one that the device comes back to is not.
func TestProbeKeepsToItsMeasure(t *testing.T) {
	t.Parallel()
	gateway := atomic.Pointer[string]{}
	set := func(s string) { gateway.Store(&s) }
	set("192.0.2.1")
	b := newBench(t, "")
	b.machine.open = func(context.Context) (scanner.Device, error) {
		text := "live: yes\n-- etc/os-release --\nID=debian\nVERSION_ID=12\n-- etc/resolv.conf --\nnameserver 192.0.2.53\n-- probe/neighbours --\n[]\n-- probe/routes --\n"
		if g := *gateway.Load(); g != "" {
			text += `[{"family":4,"dst":"0.0.0.0/0","default":true,"gateway":"` + g + `","interface":"eth0","type":"unicast"}]` + "\n"
		} else {
			text += "[]\n"
		}
		return device.Txtar([]byte(text))
	}
	var asked atomic.Int64
	b.machine.dial = func(context.Context, string, string) (net.Conn, error) {
		asked.Add(1)
		return nil, errors.New("no way")
	}
	const each = 4 // one server is asked for two names, of two kinds
	b.config.NetworkProbe = labHost
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		since := func() time.Duration { return time.Since(base) + time.Hour }
		b.machine.clock = clock{wall: time.Now, awake: since, boot: since, wait: pause}
		d, stop := b.start(t)
		day := func(what string, questions int64) {
			t.Helper()
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			if got := asked.Swap(0); got != questions*each {
				t.Errorf("%s: %d questions of %d", what, got/each, questions)
			}
		}
		day("a network in which nobody answers", 1+probeRetries)
		day("the same on the second day", 0)
		set("")
		day("no network", 0)
		set("192.0.2.254")
		day("another network", 1+probeRetries)
		b.config.NetworkProbe = "off"
		if _, err := d.reload(); err != nil {
			t.Error(err)
		}
		set("192.0.2.1")
		day("switched off", 0)
		r := d.judging.report()
		i := slices.IndexFunc(r.Coverage, func(c scanner.Coverage) bool { return c.Rule == "NET-014" })
		if i < 0 || r.Coverage[i].Outcome != scanner.Unknown || r.Coverage[i].Why != "switched off by network_probe" {
			t.Errorf("coverage %+v", r.Coverage)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestUpstreamIsAsked(t *testing.T) {
	t.Parallel()
	ca := newLabCA(t, "Own")
	for _, c := range []struct {
		name string
		up   upstream
		want string
		why  string
	}{
		{"events", upstream{CA: caPlace{URL: "https://ca.example.org"}, OTLP: &otlpPlace{URL: "https://up.example.org:4318/x", Roots: ca.pem()}}, "up.example.org:4318", ""},
		{"events, by the CA's roots", upstream{CA: caPlace{URL: "https://ca.example.org", Roots: ca.pem()}, OTLP: &otlpPlace{URL: "https://up.example.org"}}, "up.example.org:443", ""},
		{"the CA alone", upstream{CA: caPlace{URL: "https://ca.example.org:9000", Roots: ca.pem()}}, "ca.example.org:9000", ""},
		{"through a proxy", upstream{CA: caPlace{URL: "https://ca.example.org", Roots: ca.pem()}, Proxy: "http://10.0.0.1:3128"}, "", "proxy"},
		{"without roots", upstream{CA: caPlace{URL: "https://ca.example.org"}}, "", "authorities"},
	} {
		got, why := c.up.probeTarget()
		if c.why == "" && (got.String() != c.want || why != "" || len(got.own) != 1) || !strings.Contains(why, c.why) {
			t.Errorf("%s: %v, %q", c.name, got, why)
		}
	}
}
