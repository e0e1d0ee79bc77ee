package agent

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"picket/scanner"
	"picket/scanner/report"
	"picket/transport/keys"
	"picket/transport/stepca"
)

// A posture token is a JSON web token by ES256, with the device's certificates in its header: who knows
// the root of the fleet's CA can verify it. docs/posture.md describes it.
const (
	tokenType = "picket-posture+jwt"
	tokenLife = 5 * time.Minute
	tokenMax  = 16 << 10 // bytes
	chainMax  = 5        // certificates
	nonceMin  = 8        // bytes
	nonceMax  = 200
)

type tokenHead struct {
	Alg   string   `json:"alg"`
	Type  string   `json:"typ"`
	Chain [][]byte `json:"x5c"` // DER: the device's, then those up to the root
	// Crit names parts of the header that must be understood. None is.
	Crit json.RawMessage `json:"crit,omitempty"`
}

// postureClaims is what a token says. Times are in seconds since 1970.
type postureClaims struct {
	Issuer   string        `json:"iss"` // the device, as its certificate names it
	Subject  string        `json:"sub"` // the same
	Audience string        `json:"aud"`
	Nonce    string        `json:"nonce"`
	Issued   int64         `json:"iat"`
	Not      int64         `json:"nbf"` // before
	Expires  int64         `json:"exp"`
	State    string        `json:"state"` // open, warned, blocked; "" where no policy asks for anything
	Level    scanner.Level `json:"level"`
	ScanAge  *int64        `json:"scan_age"`    // seconds; null: no whole scan yet
	Unknown  int           `json:"not_checked"` // rules without a verdict
	Policy   string        `json:"policy,omitempty"`
}

// postureToken signs the posture with the device's key.
func (d *daemon) postureToken(audience, nonce string) (string, error) {
	switch {
	case audience == "" || len(audience) > textMax || report.Clean(audience) != audience:
		return "", apiErrorf(codeInvalid, "audience: a token is for somebody: a text of at most %d bytes", textMax)
	case len(nonce) < nonceMin || len(nonce) > nonceMax || report.Clean(nonce) != nonce:
		return "", apiErrorf(codeInvalid, "nonce: it is the verifier's, a text of %d to %d bytes", nonceMin, nonceMax)
	}
	id := d.member.identity()
	if id == nil {
		if err := d.member.broken(); err != nil {
			return "", fmt.Errorf("the enrolment cannot be used: %w", err)
		}
		return "", &hinted{errors.New("this device is not enrolled: it has no key by which anybody could know it"), "enrol it: 'picket enrol'"}
	}
	now := d.clock.wall()
	if now.After(id.leaf().NotAfter) {
		return "", &hinted{fmt.Errorf("the certificate of this device ended at %s: nobody would take the token", stamp(id.leaf().NotAfter)), "see 'picket status'"}
	}
	p := d.postureNow()
	c := postureClaims{Issuer: id.Device, Subject: id.Device, Audience: audience, Nonce: nonce, State: p.State, Level: p.Level, ScanAge: p.Age, Unknown: p.NotChecked,
		Issued: now.Unix(), Not: now.Unix(), Expires: now.Add(tokenLife).Unix()}
	if policy := d.set.Load().criteria.policy; policy != nil {
		c.Policy = policy.Version
	}
	head := tokenHead{Alg: "ES256", Type: tokenType}
	for _, cert := range id.chain {
		head.Chain = append(head.Chain, cert.Raw)
	}
	token, err := keys.SignJWS(id.key, head, c)
	if err != nil {
		return "", fmt.Errorf("signing the posture: %w", err)
	}
	return token, nil
}

// postureVerifier verifies tokens.
type postureVerifier struct {
	roots    *x509.CertPool
	issuers  []*x509.Certificate // the roots, one by one, for the list
	revoked  *revocations        // nil does not ask whether a certificate is revoked
	audience string
	skew     time.Duration // by how much clocks may differ
	now      func() time.Time
}

// verify gives what a token says, once it is genuine, for this audience, of now, and fresh takes its
// nonce. Errors hold nothing of a token that is not genuine.
func (v *postureVerifier) verify(token string, fresh func(c *postureClaims) error) (*postureClaims, error) {
	if len(token) > tokenMax {
		return nil, fmt.Errorf("it is longer than %d bytes", tokenMax)
	}
	jws, err := keys.ParseJWS(token)
	if err != nil {
		return nil, err
	}
	var head tokenHead
	if err := json.Unmarshal(jws.Head, &head); err != nil {
		return nil, errors.New("its header is none of a posture token")
	}
	if head.Alg != "ES256" || head.Type != tokenType || head.Crit != nil {
		return nil, errors.New("it is no posture token signed by ES256")
	}
	if len(head.Chain) == 0 || len(head.Chain) > chainMax {
		return nil, fmt.Errorf("it has %d certificates, not 1 to %d", len(head.Chain), chainMax)
	}
	chain := make([]*x509.Certificate, len(head.Chain))
	for i, der := range head.Chain {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, errors.New("a certificate in it cannot be read")
		}
	}
	leaf := chain[0]
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !jws.SignedBy(key) {
		return nil, errors.New("the signature is wrong")
	}
	var c postureClaims
	if err := json.Unmarshal(jws.Payload, &c); err != nil {
		return nil, errors.New("its claims are none of a posture token")
	}
	if err := stepca.Check(chain, v.roots, key, c.Subject, ""); err != nil {
		return nil, err
	}
	if err := v.current(&c, leaf); err != nil {
		return nil, err
	}
	switch {
	case c.Issuer != c.Subject:
		return nil, errors.New("one device speaks of another")
	case c.Audience != v.audience:
		return nil, fmt.Errorf("it is for %s", quoted(c.Audience))
	}
	if v.revoked != nil {
		if err := v.revoked.check(leaf, slices.Concat(chain[1:], v.issuers)); err != nil {
			return nil, err
		}
	}
	return &c, fresh(&c)
}

// current says why a token is not of now.
func (v *postureVerifier) current(c *postureClaims, leaf *x509.Certificate) error {
	now := v.now()
	switch {
	case c.Expires > c.Not+int64(tokenLife/time.Second) || c.Expires <= c.Not || c.Issued != c.Not:
		return fmt.Errorf("it is good for more than %s", formatDuration(tokenLife))
	case now.Add(v.skew).Unix() < c.Not:
		return fmt.Errorf("it begins at %s: the device's clock or this one is wrong", stamp(time.Unix(c.Not, 0)))
	case now.Add(-v.skew).Unix() >= c.Expires:
		return fmt.Errorf("it ended at %s", stamp(time.Unix(c.Expires, 0)))
	case now.Add(v.skew).Before(leaf.NotBefore):
		return fmt.Errorf("the certificate begins at %s", stamp(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate ended at %s", stamp(leaf.NotAfter))
	}
	return nil
}

// gateRule is whom a gateway lets in.
type gateRule struct {
	level scanner.Level // at most; Unjudged: the device's own policy decides alone
	age   time.Duration // of its last whole scan, at most; 0: any
}

// admit says why a device is not let in: by its own policy, or by the gateway's rule.
func (g gateRule) admit(c *postureClaims) error {
	switch {
	case c.State == accessBlocked:
		return &notLetIn{"blocked by the device's policy"}
	case c.State != accessOpen && c.State != accessWarned && c.State != "":
		return &notLetIn{"unknown"}
	case g.level == scanner.Unjudged && c.State == "":
		return &notLetIn{"for devices with a policy"}
	case g.level != scanner.Unjudged && (c.Level == scanner.Unjudged || c.Level > g.level):
		return &notLetIn{fmt.Sprintf("for level %s at most, and the device's is %s", g.level, c.Level)}
	case g.age > 0 && (c.ScanAge == nil || *c.ScanAge < 0 || time.Duration(*c.ScanAge) > g.age/time.Second):
		return &notLetIn{"for devices scanned within " + formatDuration(g.age)}
	}
	return nil
}
