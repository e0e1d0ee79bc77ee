// Package upstream holds configurations of programs that receive what Picket sends. The tests run
// them as they are.
package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/packaging/upstream/program"
)

func TestEventsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	u := start(t, "victorialogs")
	cert := u.devices.give("device-1", x509.ExtKeyUsageClientAuth)
	c := u.client(&cert)
	bodies := []string{
		`{"class_uid":2004,  "spaces":"kept" , "n":1.0, "big":12345678901234567890}`,
		`{"html":"<b>&amp;</b>","escaped":"\u003c\/","unicode":"é\u00e9☃\u2028","tab":"\t"}`,
		`{"long":"` + strings.Repeat("x", 60<<10) + `"}`,
		`{"dup":1,"dup":2,"_msg":"no","_time":"2001-01-01T00:00:00Z","host.id":"other"}`,
	}
	var events []event
	for i, b := range bodies {
		events = append(events, event{fmt.Sprint("uid-", i), b})
	}
	// A name that a client gives itself is not heard.
	if code, said := u.post(c, export("device-1", time.Now(), events...), "X-Device-CN", "somebody-else", "X-Device-Cn", "twice"); code != http.StatusOK {
		t.Fatalf("%d %s", code, said)
	}
	// A phone that comes back after three months, and one whose clock is ahead.
	for i, at := range []time.Time{time.Now().AddDate(0, 0, -89), time.Now().AddDate(0, 0, 300)} {
		if code, said := u.post(c, export("device-1", at, event{fmt.Sprint("far-", i), `{"far":true}`})); code != http.StatusOK {
			t.Fatalf("%d %s", code, said)
		}
	}
	for _, row := range await(t, u.select1, `_time:[2020-01-01Z, 2040-01-01Z] *`, len(bodies)+2) {
		if row["device.cn"] != "device-1" || row["host.id"] != "device-1" {
			t.Errorf("%s came from %q and speaks for %q", row["log.record.uid"], row["device.cn"], row["host.id"])
		}
		for i, e := range events {
			if e.uid == row["log.record.uid"] && row["_msg"] != bodies[i] {
				t.Errorf("sent %.200s\nthere %.200s", bodies[i], row["_msg"])
			}
		}
	}
}

func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	tool(t, "socat")
	tool(t, "curl")
	tool(t, "openssl")
	u := start(t, "victorialogs")
	good, gone := u.devices.give("good", x509.ExtKeyUsageClientAuth), u.devices.give("gone", x509.ExtKeyUsageClientAuth)
	foreign := newAuthority(t, "Devices").give("good", x509.ExtKeyUsageClientAuth)
	server := u.devices.give("server", x509.ExtKeyUsageServerAuth)
	nameless := u.devices.give("", x509.ExtKeyUsageClientAuth)
	refused := func(name string, c *http.Client, want int) {
		t.Helper()
		if code, said := u.post(c, export("x", time.Now(), event{name, "{}"})); code != want {
			t.Errorf("%s: %d %s, want %d", name, code, said, want)
		}
	}
	refused("no certificate", u.client(nil), 0)
	refused("another authority of the same name", u.client(&foreign), 0)
	refused("a server's certificate", u.client(&server), 0)
	refused("no name in the certificate", u.client(&nameless), http.StatusForbidden)
	old := u.client(&good)
	old.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS12
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
	refused("TLS 1.2", old, 0)
	for path, want := range map[string]int{"/v1/traces": 404, "/v1/logs/../metrics": 404, "/": 404, "/v1/logs": 405} {
		resp, err := u.client(&good).Get(u.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	refused("before it is revoked", u.client(&gone), http.StatusOK)
	// The running HAProxy takes the new list from the authority.
	u.devices.revoke(gone)
	list := u.devices.list()
	ca := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/1.0/crl" {
			w.Write(list)
		}
	}))
	defer ca.Close()
	root := &authority{cert: ca.Certificate()}
	write(t, filepath.Join(u.certs, "ca-root.pem"), root.pem())
	refresh := func() error {
		cmd := exec.Command("haproxy/crl-refresh.sh")
		cmd.Env = append(os.Environ(), "CA="+ca.URL, "CERTS="+u.certs, "RUN="+u.run)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	refused("revoked", u.client(&gone), 0)
	refused("still good", u.client(&good), http.StatusOK)
	// A list of somebody else's is not taken.
	list = newAuthority(t, "Devices").list()
	if err := refresh(); err == nil {
		t.Error("a list that the authority did not sign was taken")
	}
	refused("revoked, after a false list", u.client(&gone), 0)
}

// While VictoriaLogs is away nothing is acknowledged, and nothing acknowledged is lost.
func TestEngineDown(t *testing.T) {
	t.Parallel()
	u := start(t, "victorialogs")
	cert := u.devices.give("device-1", x509.ExtKeyUsageClientAuth)
	c := u.client(&cert)
	u.one.Kill()
	if code, said := u.post(c, export("device-1", time.Now(), event{"a", "{}"})); code != http.StatusServiceUnavailable {
		t.Errorf("without its engine: %d %s", code, said)
	}
	u.collector.Kill()
	if code, said := u.post(c, export("device-1", time.Now(), event{"a", "{}"})); code != http.StatusServiceUnavailable {
		t.Errorf("without a Collector: %d %s", code, said)
	}
	u.one.Start()
	u.collector.Start()
	for i := 0; ; i++ {
		if code, said := u.post(c, export("device-1", time.Now(), event{"a", "{}"})); code == http.StatusOK {
			break
		} else if i == tries {
			t.Fatalf("all is back, and still: %d %s", code, said)
		}
		time.Sleep(100 * time.Millisecond)
	}
	await(t, u.select1, "*", 1)
}

// storeForgets is longer than what VictoriaLogs has in memory alone: up to 3 s were seen with a flush
// every second.
const storeForgets = 6 * time.Second

// Four devices send while one program after the other is killed. With two stores every event that
// was acknowledged is in one of them.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	u := start(t, "pair")
	kills := 12
	stop := make(chan struct{})
	var senders sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	refused := 0
	for d := range 4 {
		name := fmt.Sprint("device-", d)
		cert := u.devices.give(name, x509.ExtKeyUsageClientAuth)
		c := u.client(&cert)
		senders.Go(func() {
			for n := 0; ; n++ {
				uid := fmt.Sprintf("%s-%d", name, n)
				body := export(name, time.Now(), event{uid, fmt.Sprintf(`{"n":%d}`, n)})
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
					if code, _ := u.post(c, body); code == http.StatusOK {
						mu.Lock()
						acked[uid] = true
						mu.Unlock()
						break
					}
					mu.Lock()
					refused++
					mu.Unlock()
				}
			}
		})
	}
	time.Sleep(storeForgets)
	order := rand.Perm(kills)
	for _, i := range order {
		time.Sleep(time.Duration(200+rand.IntN(500)) * time.Millisecond)
		p := []*program.Program{u.haproxy, u.collector, u.haproxy, u.collector, u.one, u.two}[i%6]
		p.Kill()
		p.Start()
		if p == u.one || p == u.two {
			time.Sleep(storeForgets) // until the other has written what this one lost
		}
	}
	close(stop)
	senders.Wait()
	there := map[string]bool{}
	for range tries {
		for _, store := range []string{u.select1, u.select2} {
			for _, row := range ask(t, store, "* | fields log.record.uid") {
				there[row["log.record.uid"]] = true
			}
		}
		if len(there) >= len(acked) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for uid := range acked {
		if !there[uid] {
			t.Errorf("%s was acknowledged and is gone", uid)
		}
	}
	t.Logf("%d kills, %d events acknowledged, %d requests refused or unanswered", kills, len(acked), refused)
	if len(acked) < 20 || refused == 0 {
		t.Error("that is no test")
	}
}

// The Collector accepts every configuration.
func TestConfigurationsAreValid(t *testing.T) {
	t.Parallel()
	otelcol := tool(t, "otelcol")
	files, err := filepath.Glob("collector/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no configurations", err)
	}
	for _, f := range files {
		if out, err := exec.Command(otelcol, "validate", "--config", f).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", f, err, out)
		}
	}
}
