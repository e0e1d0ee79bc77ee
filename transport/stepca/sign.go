package stepca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"picket/transport/keys"
)

// request makes a certificate signing request, in PEM, with the names that the token has. The CA
// takes no others.
func request(t Token, key crypto.Signer) (string, error) {
	want := &x509.CertificateRequest{Subject: pkix.Name{CommonName: t.Device}}
	for _, name := range t.SANs {
		switch sanKind(name) {
		case sanIP:
			want.IPAddresses = append(want.IPAddresses, net.ParseIP(name))
		case sanURI:
			u, err := url.Parse(name)
			if err != nil {
				return "", errors.New("the token has a name that is no URI")
			}
			want.URIs = append(want.URIs, u)
		case sanEmail:
			want.EmailAddresses = append(want.EmailAddresses, name)
		default:
			want.DNSNames = append(want.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, want, key)
	if err != nil {
		return "", fmt.Errorf("making the request for a certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// Check says why a certificate is not one for this device: not for its key, not by this root, not
// in its name, or for more than being a client.
func Check(chain []*x509.Certificate, roots *x509.CertPool, key crypto.PublicKey, device, account string) error {
	leaf := chain[0]
	own, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !own.Equal(key):
		return errors.New("the certificate is for another key")
	case leaf.Subject.CommonName != device:
		return fmt.Errorf("the certificate is for %q, not for %q", leaf.Subject.CommonName, device)
	case account != "" && !hasAccount(leaf, account):
		return fmt.Errorf("the certificate does not name the account %q", account)
	case leaf.IsCA || len(leaf.UnknownExtKeyUsage) > 0 || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth:
		return ErrUsage
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	// Its own time: whether it is valid now is the caller's question, on a clock that may be wrong.
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: leaf.NotAfter.Add(-time.Second),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("the certificate is not by the CA's root: %w", err)
	}
	return nil
}

// ErrUsage says that a certificate is good for more than a device's should be.
var ErrUsage = errors.New("the certificate is good for more than client authentication")

func hasAccount(leaf *x509.Certificate, account string) bool {
	for _, m := range leaf.EmailAddresses {
		if m == account {
			return true
		}
	}
	for _, u := range leaf.URIs {
		if u.String() == account {
			return true
		}
	}
	return false
}

// renewToken makes the token by which the holder of an expired certificate asks for another
// (authority.AuthorizeRenewToken): ES256, with the certificates in the header x5cInsecure.
func renewToken(audience string, chain []*x509.Certificate, key crypto.Signer, now time.Time) (string, error) {
	var certs []string
	for _, c := range chain {
		certs = append(certs, base64.StdEncoding.EncodeToString(c.Raw))
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	return keys.SignJWS(key, map[string]any{"alg": "ES256", "typ": "JWT", "x5cInsecure": certs}, map[string]any{
		"iss": "step-ca-client/1.0", "sub": chain[0].Subject.CommonName, "aud": []string{audience}, "jti": hex.EncodeToString(id[:]),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
}
