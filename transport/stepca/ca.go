package stepca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
)

const (
	answerMax   = 256 << 10 // bytes
	requestTime = time.Minute
	chainMax    = 8 // certificates
)

// CA is a step-ca at a URL. Client is how it is reached; what it trusts is its own business.
type CA struct {
	URL    string // without a path
	Client *http.Client
}

// ErrFingerprint is wrapped where the CA has no root, or shows another root, than the one expected.
var ErrFingerprint = errors.New("the CA's root has another fingerprint")

// Refusal is an answer of the CA other than what was asked for.
type Refusal struct {
	Status int
	Text   string    // the CA's own words, printable and bounded; "" for none
	Date   time.Time // the CA's clock; zero when it does not say
}

func (e *Refusal) Error() string {
	text := "the CA answered " + fmt.Sprint(e.Status)
	if name := http.StatusText(e.Status); name != "" {
		text += " " + name
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// Final tells whether the CA has understood and said no: trying again changes nothing.
func (e *Refusal) Final() bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Root fetches the root certificate with this fingerprint, which client need not trust yet: the
// certificate itself is held against the fingerprint.
func (ca CA) Root(ctx context.Context, fingerprint string) (*x509.Certificate, error) {
	var answer struct {
		Root string `json:"ca"`
	}
	err := ca.do(ctx, http.MethodGet, "/root/"+fingerprint, nil, "", &answer)
	if no := (*Refusal)(nil); errors.As(err, &no) && no.Status == http.StatusNotFound {
		return nil, fmt.Errorf("%w: it knows none with %s", ErrFingerprint, fingerprint)
	}
	if err != nil {
		return nil, fmt.Errorf("fetching the CA's root: %w", err)
	}
	chain, err := ParseChain([]byte(answer.Root))
	if err != nil {
		return nil, fmt.Errorf("the CA's root: %w", err)
	}
	sum := sha256.Sum256(chain[0].Raw)
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(fingerprint)) != 1 {
		return nil, fmt.Errorf("%w: expected %s, got %x", ErrFingerprint, fingerprint, sum)
	}
	if !chain[0].IsCA {
		return nil, errors.New("the CA's root is no certificate of an authority")
	}
	return chain[0], nil
}

// Sign has a certificate made for key, as the token says. The token is spent then.
func (ca CA) Sign(ctx context.Context, t Token, key crypto.Signer) ([]*x509.Certificate, error) {
	csr, err := request(t, key)
	if err != nil {
		return nil, err
	}
	return ca.certificate(ctx, "/1.0/sign", map[string]string{"csr": csr, "ott": t.Raw}, "")
}

// Renew has the certificate made anew that the client shows.
func (ca CA) Renew(ctx context.Context) ([]*x509.Certificate, error) {
	return ca.certificate(ctx, "/1.0/renew", nil, "")
}

// RenewExpired has a certificate made anew that is past its end: key proves whose it is. The CA
// must allow it (allowRenewalAfterExpiry). The client must show no certificate.
func (ca CA) RenewExpired(ctx context.Context, chain []*x509.Certificate, key crypto.Signer, now time.Time) ([]*x509.Certificate, error) {
	token, err := renewToken(ca.URL+"/1.0/renew", chain, key, now)
	if err != nil {
		return nil, fmt.Errorf("signing the request for renewal: %w", err)
	}
	return ca.certificate(ctx, "/1.0/renew", nil, token)
}

// Revoke has the certificate revoked that the client shows.
func (ca CA) Revoke(ctx context.Context, leaf *x509.Certificate, reason string) error {
	const cessationOfOperation = 5 // RFC 5280, 5.3.1
	return ca.do(ctx, http.MethodPost, "/1.0/revoke", map[string]any{
		"serial": leaf.SerialNumber.String(), "reasonCode": cessationOfOperation, "reason": reason, "passive": true,
	}, "", &struct{}{})
}

func (ca CA) certificate(ctx context.Context, path string, body any, bearer string) ([]*x509.Certificate, error) {
	var answer struct {
		Leaf  string   `json:"crt"`
		CA    string   `json:"ca"`
		Chain []string `json:"certChain"`
	}
	if err := ca.do(ctx, http.MethodPost, path, body, bearer, &answer); err != nil {
		return nil, err
	}
	text := strings.Join(answer.Chain, "\n")
	if text == "" {
		text = answer.Leaf + "\n" + answer.CA
	}
	chain, err := ParseChain([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the CA's answer: %w", err)
	}
	return chain, nil
}

// do asks, and reads the answer into out. Errors hold neither body nor bearer.
func (ca CA) do(ctx context.Context, method, path string, body any, bearer string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, ca.URL+path, send)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := ca.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, answerMax+1))
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return refusal(res, b)
	case err != nil:
		return fmt.Errorf("reading the CA's answer: %w", err)
	case len(b) > answerMax:
		return fmt.Errorf("the CA's answer is longer than %d bytes", answerMax)
	}
	if json.Unmarshal(b, out) != nil {
		return errors.New("the CA's answer is no JSON as step-ca gives it")
	}
	return nil
}

func refusal(res *http.Response, body []byte) *Refusal {
	e := &Refusal{Status: res.StatusCode}
	e.Date, _ = http.ParseTime(res.Header.Get("Date"))
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) == nil {
		text := strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, said.Message)
		e.Text = strings.ToValidUTF8(text[:min(len(text), 300)], "")
	}
	return e
}

// ParseChain reads certificates in PEM: the leaf, then those between it and the root.
func ParseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %q where a certificate should be", strings.ToValidUTF8(block.Type[:min(len(block.Type), 40)], ""))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading a certificate: %w", err)
		}
		if chain = append(chain, c); len(chain) > chainMax {
			return nil, fmt.Errorf("there are more than %d certificates", chainMax)
		}
	}
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate in PEM")
	}
	return chain, nil
}

// EncodeChain is the reverse of ParseChain.
func EncodeChain(chain ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}
