package agent

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
	"picket/transport"
	"picket/transport/stepca"
)

// TestRevokedDeviceIsRefused: HAProxy, with the configuration of packaging/upstream and step-ca's
// revocation list, lets an enrolled device in and a revoked one not, and says who it is.
func TestRevokedDeviceIsRefused(t *testing.T) {
	t.Parallel()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not here (Debian's package haproxy)")
	}
	ca := startStepCA(t, "")
	names := make(chan string, 16)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- strings.Join(r.Header.Values("X-Device-CN"), ",")
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer behind.Close()
	e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: time.Now}
	dir, entry := t.TempDir(), program.Address(t)
	front := httptest.NewTLSServer(nil) // for its certificate
	defer front.Close()
	order := ca.order()
	order.place.OTLP = &otlpPlace{URL: "https://" + entry, Roots: string(stepca.EncodeChain(front.Certificate()))}
	id, _, err := e.enrol(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"server.pem": serverPEM(t, front), "devices.pem": stepca.EncodeChain(ca.root, id.chain[1]), "crl.pem": ca.lists(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	proxy := program.Run(t, entry, func() *exec.Cmd {
		cmd := exec.Command(haproxy, "-db", "-f", "../packaging/upstream/haproxy/haproxy.cfg")
		cmd.Env = append(os.Environ(), "CERTS="+dir, "RUN="+dir, "LISTEN="+entry, "COLLECTOR="+behind.Listener.Addr().String())
		return cmd
	})
	send := func(id *identity) transport.Answer {
		x, err := id.exporter(clock{wall: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		return x.Send(t.Context(), []transport.Record{{UID: "1", Body: []byte("{}")}})
	}
	if a := send(id); a.Verdict != transport.Taken {
		t.Errorf("an enrolled device: %v, %v", a.Verdict, a.Err)
	} else if name := <-names; name != testDevice {
		t.Errorf("the device is %q", name)
	}
	proxy.Kill()
	if err := e.revoke(t.Context(), id, "stolen"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "crl.pem"), ca.lists(), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy.Start()
	if a := send(id); a.Verdict != transport.Denied {
		t.Errorf("a revoked device: %v, %v", a.Verdict, a.Err)
	}
	again := ca.order()
	again.again, again.place.OTLP = true, order.place.OTLP
	next, _, err := e.enrol(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if a := send(next); a.Verdict != transport.Taken {
		t.Errorf("enrolled again: %v, %v", a.Verdict, a.Err)
	}
}

// serverPEM gives a test server's certificate and key as HAProxy takes them.
func serverPEM(t *testing.T, s *httptest.Server) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return append(stepca.EncodeChain(s.Certificate()), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
}
