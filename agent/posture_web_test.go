package agent

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
	"picket/transport/stepca"
)

// gateway runs `picket posture serve` and a service behind the proxy, and writes what the proxy's TLS needs to g.dir.
func (g *guarded) gateway() (verifier, service, front string, roots *x509.CertPool) {
	g.t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %q, token %q", r.Header.Values("X-Device-CN"), r.Header.Values(tokenHeader))
	}))
	g.t.Cleanup(behind.Close)
	tlsServer := httptest.NewTLSServer(nil) // for its certificate
	g.t.Cleanup(tlsServer.Close)
	der, err := x509.MarshalPKCS8PrivateKey(tlsServer.TLS.Certificates[0].PrivateKey)
	if err != nil {
		g.t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	cert := string(stepca.EncodeChain(tlsServer.Certificate()))
	g.file("server.key", key, 0o600)
	g.file("server.pem", cert+key, 0o600)
	g.file("devices.pem", string(stepca.EncodeChain(g.ca.Root, g.id.chain[1])), 0o644)
	g.file("root.pem", string(stepca.EncodeChain(g.ca.Root)), 0o644)
	g.revocations()
	verifier = program.Address(g.t)
	unit := g.recipe("systemd/picket-posture.service", "127.0.0.1:8470", verifier, "/etc/picket-gate", g.dir, "https://work.example.org", testAudience)
	_, unit, _ = strings.Cut(unit, "\nExecStart=/usr/bin/picket ")
	line, _, _ := strings.Cut(unit, "\n")
	g.deaf = program.Run(g.t, verifier, func() *exec.Cmd {
		return exec.Command(filepath.Join(builtPrograms(g.t), "picket"), strings.Fields(line)...)
	}).Kill
	roots = x509.NewCertPool()
	roots.AddCert(tlsServer.Certificate())
	return verifier, behind.Listener.Addr().String(), program.Address(g.t), roots
}

// revocations has the gateway know who is revoked now.
func (g *guarded) revocations() {
	g.t.Helper()
	list := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: g.ca.RevocationList(g.t, time.Now().Add(time.Hour), false)})
	if err := os.Rename(g.file("crl.new", string(list), 0o644), filepath.Join(g.dir, "crl.pem")); err != nil {
		g.t.Fatal(err)
	}
}

// web is a client with a device's certificate.
type web struct {
	t      *testing.T
	url    string
	client *http.Client
}

func (g *guarded) web(front string, roots *x509.CertPool, id *identity) *web {
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	if id != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.certificate() }
	}
	w := &web{g.t, "https://" + front + "/", &http.Client{Transport: &http.Transport{TLSClientConfig: c}, Timeout: patience}}
	g.t.Cleanup(w.client.CloseIdleConnections)
	return w
}

func (w *web) get(head ...string) (status int, nonce, body string) {
	req, err := http.NewRequest("GET", w.url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Add(head[i], head[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		return 0, "", err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, res.Header.Get(nonceHeader), string(b)
}

func (g *guarded) token(nonce string) string {
	g.t.Helper()
	out, err := exec.Command(g.command, "posture", "--token", "--audience", testAudience, "--nonce", nonce).Output()
	if err != nil {
		g.t.Fatalf("a token: %v", err)
	}
	return string(bytes.TrimSpace(out))
}

// webDoor tries a proxy as a device does, and then as those who should not get in.
func (g *guarded) webDoor(name, front string, roots *x509.CertPool) {
	g.t.Helper()
	mine := g.web(front, roots, g.id)
	g.try(door{name, func() (bool, string) {
		status, nonce, body := mine.get()
		if status != http.StatusUnauthorized || nonce == "" {
			g.t.Errorf("without a token: %d, nonce %q, %s", status, nonce, body)
			return false, body
		}
		status, _, body = mine.get(tokenHeader, g.token(nonce), "X-Device-CN", "somebody")
		if status != http.StatusOK && status != http.StatusForbidden {
			g.t.Errorf("with a token: %d, %s", status, body)
		}
		if status == http.StatusOK && body != fmt.Sprintf("hello [%q], token []", testDevice) {
			g.t.Errorf("the service is told %s", body)
		}
		return status == http.StatusOK, body
	}})
	_, nonce, _ := mine.get()
	token := g.token(nonce)
	if status, _, body := mine.get("Authorization", "Bearer "+token); status != http.StatusOK {
		g.t.Errorf("by Authorization: %d, %s", status, body)
	}
	order := orderOf(g.ca)
	order.token = g.ca.Token("another", []string{"another"}, nil)
	other, _, err := enroller{dir: filepath.Join(g.t.TempDir(), "state"), now: time.Now}.enrol(g.t.Context(), order)
	if err != nil {
		g.t.Fatal(err)
	}
	for who, w := range map[string]*web{"another device": g.web(front, roots, other), "nobody": g.web(front, roots, nil)} {
		if status, _, body := w.get(tokenHeader, token, "X-Device-CN", testDevice); status == http.StatusOK {
			g.t.Errorf("%s gets in with a token of this one: %s", who, body)
		}
	}
	if status, _, _ := mine.get(tokenHeader, token[:len(token)-50]+token); status != http.StatusUnauthorized {
		g.t.Errorf("no token at all: %d", status)
	}
	revoke := func(change func()) {
		g.ca.Lock()
		change()
		g.ca.Unlock()
		g.revocations()
	}
	revoke(func() { g.ca.Revoked[g.id.leaf().SerialNumber.String()] = true })
	_, nonce, _ = mine.get()
	if status, _, body := mine.get(tokenHeader, g.token(nonce)); status != http.StatusUnauthorized {
		g.t.Errorf("a revoked device: %d, %s", status, body)
	}
	revoke(func() { clear(g.ca.Revoked) })
	if status, _, body := mine.get(tokenHeader, token); status != http.StatusOK {
		g.t.Errorf("revoked no more: %d, %s", status, body)
	}
	g.deaf()
	if status, _, body := mine.get(tokenHeader, token); status < 400 {
		g.t.Errorf("without a verifier: %d, %s", status, body)
	}
}

func TestDoorOfNginx(t *testing.T) {
	t.Parallel()
	needs(t, "nginx")
	g := newGuarded(t)
	verifier, service, front, roots := g.gateway()
	g.file("picket.conf", g.recipe("nginx/picket.conf", "listen 8443", "listen "+front, "127.0.0.1:8470", verifier, "127.0.0.1:8080", service, "/etc/picket-gate", g.dir), 0o644)
	config := g.file("nginx.conf", "daemon off;\nworker_processes 1;\npid "+g.dir+"/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path "+g.dir+"/t1;\nproxy_temp_path "+g.dir+"/t2;\nfastcgi_temp_path "+g.dir+
		"/t3;\nuwsgi_temp_path "+g.dir+"/t4;\nscgi_temp_path "+g.dir+"/t5;\ninclude picket.conf;\n}\n", 0o644)
	program.Run(t, front, func() *exec.Cmd { return exec.Command("nginx", "-p", g.dir, "-e", "stderr", "-c", config) })
	g.webDoor("nginx", front, roots)
}

func TestDoorOfHAProxy(t *testing.T) {
	t.Parallel()
	needs(t, "haproxy")
	g := newGuarded(t)
	verifier, service, front, roots := g.gateway()
	program.Run(t, front, func() *exec.Cmd {
		cmd := exec.Command("haproxy", "-db", "-f", "../packaging/posture/haproxy/haproxy.cfg")
		cmd.Env = append(os.Environ(), "CERTS="+g.dir, "LUA=../packaging/posture/haproxy/picket.lua", "LISTEN="+front, "SERVICE="+service, "VERIFIER="+verifier)
		return cmd
	})
	g.webDoor("haproxy", front, roots)
}
