package agent

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// crlMax bounds a file of revocation lists, bytes: some 200,000 revoked certificates.
const crlMax = 16 << 20

// revocations are the certificate revocation lists (RFC 5280, 5) of a file that others replace while it is
// in use. A list that is missing, of another authority or past its time lets nobody in.
type revocations struct {
	path string
	now  func() time.Time

	mu    sync.Mutex
	seen  fileStamp // of the file when it was read
	lists []revocationList
}

type revocationList struct {
	*x509.RevocationList
	serials map[string]bool // revoked, as decimal numbers
}

// check says why a certificate is not good any more. among holds its issuer.
func (r *revocations) check(c *x509.Certificate, among []*x509.Certificate) error {
	lists, err := r.load()
	if err != nil {
		return err
	}
	for _, issuer := range among {
		if c.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, l := range lists {
			if !bytes.Equal(l.RawIssuer, issuer.RawSubject) || l.CheckSignatureFrom(issuer) != nil {
				continue
			}
			switch {
			case l.serials[c.SerialNumber.String()]:
				return errors.New("the certificate is revoked")
			case r.now().After(l.NextUpdate):
				return fmt.Errorf("the revocation list ended at %s", stamp(l.NextUpdate))
			}
			return nil
		}
	}
	return errors.New("there is no revocation list of the authority that the certificate is from")
}

// load gives the lists, read anew when the file has changed.
func (r *revocations) load() ([]revocationList, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.Open(r.path)
	if err != nil {
		return nil, fmt.Errorf("reading the revocation list: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the revocation list: %w", err)
	}
	now := stampFrom(info)
	if r.seen.same(now) {
		return r.lists, nil
	}
	b, err := readBounded(f, crlMax)
	if err != nil {
		return nil, fmt.Errorf("reading the revocation list: %w", err)
	}
	lists, err := parseRevocations(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	r.seen, r.lists = now, lists
	return lists, nil
}

// parseRevocations reads lists in PEM, one after the other, or one in DER.
func parseRevocations(b []byte) ([]revocationList, error) {
	var lists []revocationList
	add := func(der []byte) error {
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("list %d: %w", len(lists)+1, err)
		}
		serials := map[string]bool{}
		for _, e := range l.RevokedCertificateEntries {
			serials[e.SerialNumber.String()] = true
		}
		lists = append(lists, revocationList{l, serials})
		return nil
	}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN")) {
		return lists, add(b)
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("it holds a %s", quoted(block.Type))
		}
		if err := add(block.Bytes); err != nil {
			return nil, err
		}
	}
	if len(lists) == 0 {
		return nil, errors.New("it holds no revocation list")
	}
	return lists, nil
}
