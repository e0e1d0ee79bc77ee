package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
	"picket/transport"
	"picket/transport/stepca"
	"picket/transport/stepca/fakeca"
)

// realCA is a step-ca that runs with the configuration of packaging/upstream.
type realCA struct {
	t           *testing.T
	url         string
	root        *x509.Certificate
	fingerprint string
	provisioner *ecdsa.PrivateKey
}

// stepCATool finds step-ca: where PICKET_UPSTREAM_TOOLS says, or where `make upstream-tools` puts it.
func stepCATool(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("PICKET_UPSTREAM_TOOLS"), "../bin/upstream"} {
		if path := filepath.Join(dir, "step-ca"); dir != "" {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	t.Skip("step-ca is not here; `make upstream-tools` builds it, or PICKET_UPSTREAM_TOOLS names its folder")
	return ""
}

func savePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// authorities makes a root and an intermediate, and saves what step-ca needs of them in dir.
func authorities(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	make := func(name string, parent *x509.Certificate, signer, own *ecdsa.PrivateKey) *x509.Certificate {
		n, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
		c := &x509.Certificate{SerialNumber: n, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, own.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	rootKey, interKey := key(), key()
	root := make("Test Root", nil, rootKey, rootKey)
	inter := make("Test Intermediate", root, rootKey, interKey)
	der, err := x509.MarshalPKCS8PrivateKey(interKey)
	if err != nil {
		t.Fatal(err)
	}
	savePEM(t, filepath.Join(dir, "root.crt"), "CERTIFICATE", root.Raw)
	savePEM(t, filepath.Join(dir, "inter.crt"), "CERTIFICATE", inter.Raw)
	savePEM(t, filepath.Join(dir, "inter.key"), "PRIVATE KEY", der)
	return root
}

// startStepCA runs step-ca with packaging/upstream/step-ca, changed where a test has to be
// elsewhere: places, addresses, keys. life is how long a certificate lasts; 0 is the file's.
func startStepCA(t *testing.T, life string) *realCA {
	t.Helper()
	stepCA, dir := stepCATool(t), t.TempDir()
	root := authorities(t, dir)
	sum := sha256.Sum256(root.Raw)
	ca := &realCA{t: t, root: root, fingerprint: hex.EncodeToString(sum[:])}
	var err error
	if ca.provisioner, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	address := program.Address(t)
	ca.url = "https://" + address
	ca.configure(dir, address, life)
	program.Run(t, address, func() *exec.Cmd {
		cmd := exec.Command(stepCA, filepath.Join(dir, "ca.json"))
		cmd.Env = append(os.Environ(), "STEPPATH="+dir)
		return cmd
	})
	time.Sleep(1100 * time.Millisecond) // a token must be of a later second than the start of the CA
	return ca
}

func (ca *realCA) configure(dir, address, life string) {
	ca.t.Helper()
	b, err := os.ReadFile("../packaging/upstream/step-ca/ca.json")
	if err != nil {
		ca.t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		ca.t.Fatal(err)
	}
	c["root"], c["crt"], c["key"] = filepath.Join(dir, "root.crt"), filepath.Join(dir, "inter.crt"), filepath.Join(dir, "inter.key")
	c["address"], c["dnsNames"] = address, []string{"127.0.0.1"}
	c["db"].(map[string]any)["dataSource"] = filepath.Join(dir, "db")
	crl := ca.url + "/1.0/crl"
	c["crl"].(map[string]any)["idpURL"] = crl
	p := c["authority"].(map[string]any)["provisioners"].([]any)[0].(map[string]any)
	point, err := ca.provisioner.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		ca.t.Fatal(err)
	}
	jwk := p["key"].(map[string]any)
	jwk["kid"], jwk["x"], jwk["y"] = "tests", base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	if life != "" {
		claims := p["claims"].(map[string]any)
		claims["minTLSCertDuration"], claims["defaultTLSCertDuration"] = life, life
	}
	template, err := filepath.Abs("../packaging/upstream/step-ca/device.tpl")
	if err != nil {
		ca.t.Fatal(err)
	}
	x := p["options"].(map[string]any)["x509"].(map[string]any)
	x["templateFile"] = template
	x["templateData"].(map[string]any)["crl"] = crl
	if b, err = json.Marshal(c); err != nil {
		ca.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.json"), b, 0o600); err != nil {
		ca.t.Fatal(err)
	}
}

// order is an order with a new token.
func (ca *realCA) order() enrolOrder {
	now := time.Now()
	var id [16]byte
	rand.Read(id[:])
	return enrolOrder{key: "file", token: fakeca.SignToken(ca.provisioner, "tests", fakeca.Claims{
		"iss": "picket-devices", "aud": ca.url + "/1.0/sign", "sub": testDevice, "sans": memberNames(), "sha": ca.fingerprint, "jti": hex.EncodeToString(id[:]),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()})}
}

// list fetches the revocation list.
func (ca *realCA) list() []byte {
	ca.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.root)
	client := transport.NewClient(transport.Options{Roots: roots})
	defer client.CloseIdleConnections()
	res, err := client.Get(ca.url + "/1.0/crl")
	if err != nil {
		ca.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		ca.t.Fatalf("the revocation list: %s, %v", res.Status, err)
	}
	return b
}

// lists gives step-ca's revocation list as HAProxy takes it.
func (ca *realCA) lists() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ca.list()})
}

// revoked gives the serial numbers of the revocation list.
func (ca *realCA) revoked() []string {
	ca.t.Helper()
	list, err := x509.ParseRevocationList(ca.list())
	if err != nil {
		ca.t.Fatal(err)
	}
	var out []string
	for _, e := range list.RevokedCertificateEntries {
		out = append(out, e.SerialNumber.String())
	}
	return out
}

func TestStepCA(t *testing.T) {
	t.Parallel()
	ca := startStepCA(t, "")
	e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: time.Now}

	wrong := ca.order()
	wrong.place.CA.Fingerprint = strings.Repeat("0f", 32)
	if _, _, err := e.enrol(t.Context(), wrong); !errors.As(err, new(*enrolRefused)) {
		t.Errorf("a fingerprint that the token contradicts: %v", err)
	}
	order := ca.order()
	err := e.fetchRoot(t.Context(), &upstream{CA: caPlace{URL: ca.url, Fingerprint: strings.Repeat("0f", 32)}})
	if !errors.As(err, new(*enrolRefused)) || !errors.Is(err, stepca.ErrFingerprint) {
		t.Errorf("a root that is not there: %v", err)
	}

	id, _, err := e.enrol(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	leaf := id.leaf()
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if !slices.Equal(leaf.CRLDistributionPoints, []string{ca.url + "/1.0/crl"}) || !slices.Equal(leaf.EmailAddresses, memberNames()) || life < 7*day || life > 14*day {
		t.Errorf("certificate for %v, %v, revocation list at %q", leaf.EmailAddresses, life, leaf.CRLDistributionPoints)
	}
	order.again = true
	_, _, err = e.enrol(t.Context(), order)
	if !errors.As(err, new(*enrolRefused)) || !strings.Contains(fixOf(err, ""), "a token works once") {
		t.Errorf("a token used twice: %v", err)
	}
	t.Logf("a token used twice: %v", err)

	next, err := e.renew(t.Context(), id)
	if err != nil || next.leaf().Equal(leaf) {
		t.Fatalf("renewal: %v", err)
	}
	if _, left, err := e.unenrol(t.Context(), false); err != nil || left != nil {
		t.Fatalf("unenrol: %v, %v", err, left)
	}
	if got := ca.revoked(); !slices.Equal(got, []string{next.leaf().SerialNumber.String()}) {
		t.Errorf("revoked: %v", got)
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stolen := next.enrolment
	restoreKey(t, e.dir, &stolen, next)
	_, err = e.renew(t.Context(), next)
	if !errors.As(err, new(*enrolRefused)) {
		t.Errorf("a revoked certificate was renewed: %v", err)
	}
	t.Logf("a revoked certificate: %v", err)
}

// restoreKey puts back what unenrol removed, as somebody would who had copied the folder.
func restoreKey(t *testing.T, dir string, record *enrolment, id *identity) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	savePEM(t, filepath.Join(dir, record.Key.File), "PRIVATE KEY", der)
	if err := saveEnrolment(dir, *record); err != nil {
		t.Fatal(err)
	}
}

// TestStepCAKeys enrols, renews, and renews after the end, with each kind of key.
func TestStepCAKeys(t *testing.T) {
	t.Parallel()
	ca := startStepCA(t, "4s")
	for name, key := range map[string]func(*testing.T) string{
		"file": func(*testing.T) string { return "file" }, "tpm": startTPM, "external": startSigner,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: time.Now}
			order := ca.order()
			order.key = key(t)
			if _, _, err := e.enrol(t.Context(), order); err != nil {
				t.Fatal(err)
			}
			id, err := loadIdentity(e.dir)
			if err != nil || id.Key.kind() != name {
				t.Fatalf("%v, key %s", err, id.Key.kind())
			}
			next, err := e.renew(t.Context(), id)
			if err != nil || next.leaf().Equal(id.leaf()) {
				t.Fatalf("renewal: %v", err)
			}
			time.Sleep(time.Until(next.leaf().NotAfter) + 1500*time.Millisecond)
			last, err := e.renew(t.Context(), next)
			if err != nil || last.leaf().Equal(next.leaf()) {
				t.Fatalf("renewal after the end: %v", err)
			}
			if err := e.revoke(t.Context(), last, "test"); err != nil {
				t.Errorf("revoking: %v", err)
			}
		})
	}
}

// startTPM runs an emulator of a TPM 2.0.
func startTPM(t *testing.T) string {
	t.Helper()
	swtpm, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is not here (Debian's package swtpm)")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm")
	program.Run(t, socket, func() *exec.Cmd {
		return exec.Command(swtpm, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	})
	return "tpm:" + socket
}
