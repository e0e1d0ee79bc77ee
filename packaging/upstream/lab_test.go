package upstream

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
)

// tool finds a program of the upstream: where PICKET_UPSTREAM_TOOLS says, where `make
// upstream-tools` puts it, or on the path.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("PICKET_UPSTREAM_TOOLS"), "../../bin/upstream"} {
		if path, err := filepath.Abs(filepath.Join(dir, name)); dir != "" && err == nil {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not here; `make upstream-tools` builds the upstream's programs, HAProxy is Debian's package haproxy", name)
	}
	return path
}

// tries, a tenth of a second apart, bound the wait for what has to come: they are for what hangs.
const tries = 3000

func run(t *testing.T, address string, env []string, name string, args ...string) *program.Program {
	t.Helper()
	return program.Run(t, address, func() *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), env...)
		return cmd
	})
}

// authority gives certificates, and takes them back.
type authority struct {
	t       *testing.T
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate
	serial  int64
	revoked []x509.RevocationListEntry
	number  int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, serial: 1}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	a.cert = a.sign(template, template, key)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func (a *authority) give(name string, use x509.ExtKeyUsage) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 10),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert := a.sign(template, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) revoke(c tls.Certificate) {
	a.revoked = append(a.revoked, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
}

// list gives the revocation list, as it is sent.
func (a *authority) list() []byte {
	a.t.Helper()
	a.number++
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{RevokedCertificateEntries: a.revoked, Number: big.NewInt(a.number),
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(24 * time.Hour)}, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// upstream is all of it, running.
type upstream struct {
	t                       *testing.T
	devices                 *authority
	server                  *x509.CertPool
	certs, run              string // folders of HAProxy
	url                     string
	haproxy, collector, one *program.Program
	two                     *program.Program // with collector/pair.yaml alone
	select1, select2        string
}

// storeFlags gives the flags that the unit starts VictoriaLogs with, for a folder and an address.
func storeFlags(t *testing.T, data, address string) []string {
	t.Helper()
	unit, err := os.ReadFile("victorialogs/victorialogs.service")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(unit), "ExecStart=/usr/bin/victoria-logs ")
	line, _, _ := strings.Cut(strings.ReplaceAll(rest, "\\\n", ""), "\n")
	flags := strings.Fields(line)
	if len(flags) < 5 {
		t.Fatalf("the unit's flags are %q", flags)
	}
	for i, f := range flags {
		switch name, _, _ := strings.Cut(f, "="); name {
		case "-storageDataPath":
			flags[i] = name + "=" + data
		case "-httpListenAddr":
			flags[i] = name + "=" + address
		}
	}
	return flags
}

// start starts the upstream with one of the Collector's configurations.
func start(t *testing.T, config string) *upstream {
	t.Helper()
	logs, otelcol, haproxy := tool(t, "victoria-logs"), tool(t, "otelcol"), tool(t, "haproxy")
	dir := t.TempDir()
	u := &upstream{t: t, devices: newAuthority(t, "Devices"), certs: dir, run: dir, select1: program.Address(t)}
	u.one = run(t, u.select1, nil, logs, storeFlags(t, filepath.Join(dir, "one"), u.select1)...)
	collector, entry := program.Address(t), program.Address(t)
	env := []string{"PICKET_COLLECTOR=" + collector, "PICKET_VICTORIALOGS=http://" + u.select1}
	if config == "pair" {
		u.select2 = program.Address(t)
		u.two = run(t, u.select2, nil, logs, storeFlags(t, filepath.Join(dir, "two"), u.select2)...)
		env = append(env, "PICKET_VICTORIALOGS_TWO=http://"+u.select2)
	}
	u.collector = run(t, collector, env, otelcol, "--config", "collector/"+config+".yaml")
	servers := newAuthority(t, "Servers")
	cert := servers.give("localhost", x509.ExtKeyUsageServerAuth)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server.pem"), append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...))
	write(t, filepath.Join(dir, "devices.pem"), u.devices.pem())
	write(t, filepath.Join(dir, "crl.pem"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: u.devices.list()}))
	u.server = x509.NewCertPool()
	u.server.AddCert(servers.cert)
	u.url = "https://" + entry
	u.haproxy = run(t, entry, []string{"CERTS=" + dir, "RUN=" + dir, "LISTEN=" + entry, "COLLECTOR=" + collector}, haproxy, "-f", "haproxy/haproxy.cfg")
	return u
}

// client is a device's: nil shows no certificate.
func (u *upstream) client(cert *tls.Certificate) *http.Client {
	conf := &tls.Config{RootCAs: u.server, MinVersion: tls.VersionTLS13}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	t := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	u.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 5 * time.Minute}
}

// event is a body on its way.
type event struct{ uid, body string }

// export makes a request of OTLP's JSON form, as another program than Picket would.
func export(host string, at time.Time, events ...event) []byte {
	text := func(key, value string) map[string]any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	var records []any
	for _, e := range events {
		records = append(records, map[string]any{"timeUnixNano": fmt.Sprint(at.UnixNano()), "body": map[string]any{"stringValue": e.body},
			"attributes": []any{text("log.record.uid", e.uid), text("ocsf.class_uid", "2004")}})
	}
	b, _ := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{"resource": map[string]any{"attributes": []any{text("host.id", host)}},
		"scopeLogs": []any{map[string]any{"logRecords": records}}}}})
	return b
}

// post sends and gives the status, or 0 where there was no answer, and what was said.
func (u *upstream) post(c *http.Client, body []byte, headers ...string) (int, string) {
	r, err := http.NewRequest(http.MethodPost, u.url+"/v1/logs", bytes.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, string(said)
}

// ask puts a query to a VictoriaLogs. Records are seen a moment after they were taken.
func ask(t *testing.T, store, query string) []map[string]string {
	t.Helper()
	resp, err := http.PostForm("http://"+store+"/select/logsql/query", url.Values{"query": {query}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var rows []map[string]string
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			row := map[string]string{}
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatalf("%s: %s", query, line)
			}
			rows = append(rows, row)
		}
		if err != nil {
			return rows
		}
	}
}

// await asks until there are as many rows, for as long as a store may take to show them.
func await(t *testing.T, store, query string, rows int) []map[string]string {
	t.Helper()
	var got []map[string]string
	for range tries {
		if got = ask(t, store, query); len(got) >= rows {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if len(got) != rows {
		t.Fatalf("%s: %d rows, want %d: %v", query, len(got), rows, got)
	}
	return got
}
