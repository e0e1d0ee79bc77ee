// Package fakeca is a small certificate authority that answers as step-ca 0.30.2 does, for tests.
// It checks what step-ca checks of what a device sends: signatures, audiences, names, single use.
package fakeca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// CA is the authority. Its fields may be changed between two requests, under Lock.
type CA struct {
	sync.Mutex
	URL         string
	Fingerprint string // of Root
	Root        *x509.Certificate
	Life        time.Duration           // of a device's certificate
	AfterExpiry bool                    // allowRenewalAfterExpiry
	Shape       func(*x509.Certificate) // changes what is signed
	Fail        int                     // answer every request with this status; 0 does not
	Requests    []string                // method and path of each
	Issued      []*x509.Certificate
	Revoked     map[string]bool // by serial

	now         func() time.Time
	provisioner *ecdsa.PrivateKey
	used        map[string]bool
	rootKey     *ecdsa.PrivateKey
	inter       *x509.Certificate
	interKey    *ecdsa.PrivateKey
	roots       *x509.CertPool
}

// New starts an authority on loopback that lives as long as the test. Its clock is now.
func New(t testing.TB, now func() time.Time) *CA {
	t.Helper()
	ca := &CA{Life: 10 * 24 * time.Hour, AfterExpiry: true, Revoked: map[string]bool{}, now: now, used: map[string]bool{}, roots: x509.NewCertPool()}
	ca.provisioner, ca.rootKey, ca.interKey = newKey(t), newKey(t), newKey(t)
	ca.Root = ca.make(t, "Test Root", nil, ca.rootKey, ca.rootKey, true)
	ca.inter = ca.make(t, "Test Intermediate", ca.Root, ca.rootKey, ca.interKey, true)
	ca.roots.AddCert(ca.Root)
	sum := sha256.Sum256(ca.Root.Raw)
	ca.Fingerprint = hex.EncodeToString(sum[:])
	serverKey := newKey(t)
	server := ca.make(t, "127.0.0.1", ca.inter, ca.interKey, serverKey, false)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /root/{sha}", ca.root)
	mux.HandleFunc("POST /1.0/sign", ca.sign)
	mux.HandleFunc("POST /1.0/renew", ca.renew)
	mux.HandleFunc("POST /1.0/revoke", ca.revoke)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ca.Lock()
		defer ca.Unlock()
		ca.Requests = append(ca.Requests, r.Method+" "+r.URL.Path)
		w.Header().Set("Date", ca.now().UTC().Format(http.TimeFormat))
		if ca.Fail != 0 {
			refuse(w, ca.Fail, "out of order")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw, ca.inter.Raw}, PrivateKey: serverKey}},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: ca.roots, Time: now,
	}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	ca.URL = s.URL
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// make makes a certificate for ten years from five years ago; self-signed without a parent.
func (ca *CA) make(t testing.TB, name string, parent *x509.Certificate, signer, key *ecdsa.PrivateKey, authority bool) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: ca.now().AddDate(-5, 0, 0), NotAfter: ca.now().AddDate(5, 0, 0),
		BasicConstraintsValid: true, IsCA: authority, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if authority {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else {
		c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return n
}

// Claims are what a token says.
type Claims map[string]any

// Token makes a one-time token for a device, good for five minutes; more claims go over its own.
func (ca *CA) Token(device string, sans []string, more Claims) string {
	now := ca.now()
	c := Claims{"iss": "tests", "aud": ca.URL + "/1.0/sign", "sub": device, "sans": sans, "sha": ca.Fingerprint, "jti": serial().Text(16),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for k, v := range more {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return SignToken(ca.provisioner, "tests", c)
}

// SignToken makes a token as `step ca token` does, with the key of a provisioner of step-ca.
func SignToken(key *ecdsa.PrivateKey, kid string, c Claims) string {
	head, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": kid, "typ": "JWT"})
	body, _ := json.Marshal(c)
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	r, s, _ := ecdsa.Sign(rand.Reader, key, sum[:])
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(raw)
}

// unauthorized is all that step-ca says of a token that is not taken, and of a revoked certificate.
const unauthorized = "The request lacked necessary authorization to be completed. Please see the certificate authority logs for more info."

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "message": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func encode(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func (ca *CA) root(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("sha") != ca.Fingerprint {
		refuse(w, http.StatusNotFound, "root certificate was not found")
		return
	}
	answer(w, http.StatusOK, map[string]string{"ca": encode(ca.Root)})
}

// jwt reads a token that key signed, of claims by v.
func jwt(text string, key *ecdsa.PublicKey, v any) error {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return fmt.Errorf("no token")
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return fmt.Errorf("no signature of ES256")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return fmt.Errorf("signature")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func (ca *CA) sign(w http.ResponseWriter, r *http.Request) {
	var body struct{ CSR, OTT string }
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		refuse(w, http.StatusBadRequest, "error reading request body")
		return
	}
	var c struct {
		Sub, Aud, JTI string
		SANs          []string
		Exp, NBF      int64
	}
	now := ca.now().Unix()
	switch err := jwt(body.OTT, &ca.provisioner.PublicKey, &c); {
	case err != nil, c.Aud != ca.URL+"/1.0/sign", now > c.Exp+60, now < c.NBF-60:
		refuse(w, http.StatusUnauthorized, unauthorized)
		return
	case ca.used[c.JTI]:
		refuse(w, http.StatusUnauthorized, unauthorized)
		return
	}
	ca.used[c.JTI] = true
	block, _ := pem.Decode([]byte(body.CSR))
	if block == nil {
		refuse(w, http.StatusBadRequest, "missing csr")
		return
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		refuse(w, http.StatusBadRequest, "invalid csr")
		return
	}
	names := slices.Concat(csr.DNSNames, csr.EmailAddresses)
	for _, u := range csr.URIs {
		names = append(names, u.String())
	}
	for _, ip := range csr.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	slices.Sort(c.SANs)
	if csr.Subject.CommonName != c.Sub || !slices.Equal(names, c.SANs) {
		refuse(w, http.StatusForbidden, "certificate request does not contain the valid names")
		return
	}
	ca.issue(w, &x509.Certificate{Subject: csr.Subject, DNSNames: csr.DNSNames, EmailAddresses: csr.EmailAddresses, URIs: csr.URIs, IPAddresses: csr.IPAddresses}, csr.PublicKey)
}

func (ca *CA) issue(w http.ResponseWriter, c *x509.Certificate, key any) {
	c.SerialNumber, c.KeyUsage, c.ExtKeyUsage = serial(), x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c.NotBefore = ca.now().Add(-time.Minute).UTC().Truncate(time.Second)
	c.NotAfter = c.NotBefore.Add(ca.Life)
	if ca.Shape != nil {
		ca.Shape(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.inter, key, crypto.Signer(ca.interKey))
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	leaf, _ := x509.ParseCertificate(der)
	ca.Issued = append(ca.Issued, leaf)
	answer(w, http.StatusCreated, map[string]any{"crt": encode(leaf), "ca": encode(ca.inter), "certChain": []string{encode(leaf), encode(ca.inter)}})
}

func (ca *CA) renew(w http.ResponseWriter, r *http.Request) {
	old, status, why := ca.holder(r)
	if old == nil {
		refuse(w, status, why)
		return
	}
	if ca.Revoked[old.SerialNumber.String()] {
		refuse(w, http.StatusUnauthorized, unauthorized)
		return
	}
	if ca.now().After(old.NotAfter) && !ca.AfterExpiry {
		refuse(w, http.StatusUnauthorized, "The request lacked necessary authorization to be completed: certificate expired on "+old.NotAfter.String())
		return
	}
	ca.issue(w, &x509.Certificate{Subject: old.Subject, DNSNames: old.DNSNames, EmailAddresses: old.EmailAddresses, URIs: old.URIs, IPAddresses: old.IPAddresses}, old.PublicKey)
}

// holder says whose certificate is to be renewed: by TLS, or by a token with x5cInsecure.
func (ca *CA) holder(r *http.Request) (c *x509.Certificate, status int, why string) {
	if len(r.TLS.PeerCertificates) > 0 {
		return r.TLS.PeerCertificates[0], 0, ""
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, http.StatusBadRequest, "missing client certificate"
	}
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	var h struct {
		Alg   string
		Chain [][]byte `json:"x5cInsecure"`
	}
	if err != nil || json.Unmarshal(head, &h) != nil || h.Alg != "ES256" || len(h.Chain) == 0 {
		return nil, http.StatusUnauthorized, "error validating renew token"
	}
	leaf, err := x509.ParseCertificate(h.Chain[0])
	if err != nil {
		return nil, http.StatusUnauthorized, "error validating renew token"
	}
	between := x509.NewCertPool()
	between.AddCert(ca.inter)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.roots, Intermediates: between, CurrentTime: leaf.NotAfter.Add(-time.Minute), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil, http.StatusUnauthorized, "error validating renew token"
	}
	var c2 struct {
		Iss, Sub string
		Aud      []string
		Exp, IAT int64
	}
	now := ca.now().Unix()
	key, _ := leaf.PublicKey.(*ecdsa.PublicKey)
	if key == nil || jwt(token, key, &c2) != nil || c2.Iss != "step-ca-client/1.0" || c2.Sub != leaf.Subject.CommonName || !slices.Contains(c2.Aud, ca.URL+"/1.0/renew") || now > c2.Exp+60 || now < c2.IAT-60 {
		return nil, http.StatusUnauthorized, "error validating renew token"
	}
	return leaf, 0, ""
}

func (ca *CA) revoke(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Serial     string
		ReasonCode int
		Passive    bool
	}
	switch {
	case json.NewDecoder(r.Body).Decode(&body) != nil, !body.Passive:
		refuse(w, http.StatusBadRequest, "error reading request body")
	case len(r.TLS.PeerCertificates) == 0:
		refuse(w, http.StatusBadRequest, "missing ott or client certificate")
	case r.TLS.PeerCertificates[0].SerialNumber.String() != body.Serial:
		refuse(w, http.StatusForbidden, "request serial number and certificate serial number do not match")
	default:
		ca.Revoked[body.Serial] = true
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	}
}

// RevocationList gives the list of those that were revoked, in DER, good until next. other has it signed by
// an authority of the same name.
func (ca *CA) RevocationList(t testing.TB, next time.Time, other bool) []byte {
	t.Helper()
	ca.Lock()
	defer ca.Unlock()
	l := &x509.RevocationList{Number: serial(), ThisUpdate: next.Add(-time.Hour), NextUpdate: next}
	for s := range ca.Revoked {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			t.Fatalf("serial number %q", s)
		}
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: l.ThisUpdate})
	}
	issuer, key := ca.inter, ca.interKey
	if other {
		key = newKey(t)
		issuer = ca.make(t, ca.inter.Subject.CommonName, ca.Root, ca.rootKey, key, true)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
