package agent

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"picket/scanner"
	"picket/transport/keys"
	"picket/transport/stepca/fakeca"
)

const testAudience = "https://work.example.org"

// speaker is an enrolled device that signs what a test wants.
type speaker struct {
	id    *identity
	roots *x509.CertPool
	now   func() time.Time
}

func newSpeaker(t *testing.T, ca *fakeca.CA, now func() time.Time) *speaker {
	t.Helper()
	id, _, err := enroller{dir: filepath.Join(t.TempDir(), "state"), now: now}.enrol(t.Context(), orderOf(ca))
	if err != nil {
		t.Fatal(err)
	}
	return &speaker{id, id.roots, now}
}

// head and claims are as they should be.
func (s *speaker) head() map[string]any {
	var chain [][]byte
	for _, c := range s.id.chain {
		chain = append(chain, c.Raw)
	}
	return map[string]any{"alg": "ES256", "typ": tokenType, "x5c": chain}
}

func (s *speaker) claims(nonce string) map[string]any {
	at := s.now().Unix()
	return map[string]any{"iss": testDevice, "sub": testDevice, "aud": testAudience, "nonce": nonce, "iat": at, "nbf": at, "exp": at + 300,
		"state": "open", "level": "Secured", "scan_age": 60}
}

func (s *speaker) sign(t *testing.T, key crypto.Signer, head, claims map[string]any) string {
	t.Helper()
	token, err := keys.SignJWS(key, head, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s *speaker) verifier(now func() time.Time) *postureVerifier {
	return &postureVerifier{roots: s.roots, audience: testAudience, skew: time.Minute, now: now}
}

func wants(nonce string) func(*postureClaims) error {
	return func(c *postureClaims) error {
		if c.Nonce != nonce {
			return errors.New("it is for another nonce")
		}
		return nil
	}
}

func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	ca := fakeca.New(t, clock.now)
	s := newSpeaker(t, ca, clock.now)
	stranger := newSpeaker(t, fakeca.New(t, clock.now), clock.now)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const nonce = "0123456789"
	good := s.sign(t, s.id.key, s.head(), s.claims(nonce))
	c, err := s.verifier(clock.now).verify(good, wants(nonce))
	if err != nil || c.Subject != testDevice || c.Level != scanner.Secured || c.State != accessOpen || *c.ScanAge != 60 {
		t.Fatalf("a good one: %+v, %v", c, err)
	}
	after := func(d time.Duration) func() time.Time { return func() time.Time { return clock.now().Add(d) } }
	for name, at := range map[string]func() time.Time{"skew back": after(-59 * time.Second), "skew ahead": after(5*time.Minute + 59*time.Second)} {
		if _, err := s.verifier(at).verify(good, wants(nonce)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	part := func(i int, text string) string {
		p := strings.Split(good, ".")
		p[i] = base64.RawURLEncoding.EncodeToString([]byte(text))
		return strings.Join(p, ".")
	}
	with := func(name string, value any) map[string]any {
		c := s.claims(nonce)
		c[name] = value
		return c
	}
	headed := func(name string, value any) map[string]any {
		h := s.head()
		h[name] = value
		return h
	}
	body, err := json.Marshal(with("level", "High"))
	if err != nil {
		t.Fatal(err)
	}
	at := clock.now().Unix()
	for _, c := range []struct {
		name, token string
		now         func() time.Time
		nonce, want string
	}{
		{name: "nothing", token: "", want: "three parts"},
		{name: "too long", token: strings.Repeat("a", tokenMax+1), want: "longer than"},
		{name: "no base64", token: "a.b.!", want: "base64url"},
		{name: "other nonce", token: good, nonce: "9876543210", want: "another nonce"},
		{name: "other audience", token: s.sign(t, s.id.key, s.head(), with("aud", "https://other.example.org")), want: "it is for"},
		{name: "expired", token: good, now: after(6 * time.Minute), want: "it ended at"},
		{name: "not yet", token: good, now: after(-61 * time.Second), want: "it begins at"},
		{name: "long-lived", token: s.sign(t, s.id.key, s.head(), with("exp", at+301)), want: "good for more than"},
		{name: "long-lived by nbf", token: s.sign(t, s.id.key, s.head(), with("nbf", at-100)), want: "good for more than"},
		{name: "good for ever", token: s.sign(t, s.id.key, s.head(), map[string]any{"iss": testDevice, "sub": testDevice, "aud": testAudience, "nonce": nonce,
			"iat": int64(math.MinInt64), "nbf": int64(math.MinInt64), "exp": int64(math.MaxInt64), "state": "open", "level": "Secured"}), want: "good for more than"},
		{name: "the certificate ended", token: good, now: after(30 * day), want: "ended at"},
		{name: "no key", token: s.sign(t, s.id.key, map[string]any{"alg": "ES256", "typ": tokenType}, s.claims(nonce)), want: "0 certificates"},
		{name: "other key", token: s.sign(t, other, s.head(), s.claims(nonce)), want: "signature is wrong"},
		{name: "other fleet", token: stranger.sign(t, stranger.id.key, stranger.head(), stranger.claims(nonce)), want: "not by the CA's root"},
		{name: "another device", token: s.sign(t, s.id.key, s.head(), with("sub", "other")), want: "not for"},
		{name: "of another device", token: s.sign(t, s.id.key, s.head(), with("iss", "other")), want: "one device speaks of another"},
		{name: "alg none", token: part(0, `{"alg":"none","typ":"`+tokenType+`"}`), want: "no posture token signed by ES256"},
		{name: "alg none, no signature", token: strings.Join(append(strings.Split(part(0, `{"alg":"none","typ":"`+tokenType+`"}`), ".")[:2], ""), "."), want: "no posture token signed by ES256"},
		{name: "alg HS256", token: s.sign(t, s.id.key, headed("alg", "HS256"), s.claims(nonce)), want: "no posture token signed by ES256"},
		{name: "another kind of token", token: s.sign(t, s.id.key, headed("typ", "JWT"), s.claims(nonce)), want: "no posture token"},
		{name: "crit", token: s.sign(t, s.id.key, headed("crit", []string{"b64"}), s.claims(nonce)), want: "no posture token"},
		{name: "tampered", token: part(1, string(body)), want: "signature is wrong"},
		{name: "half a signature", token: good[:len(good)-42], want: "signature is wrong"},
		{name: "many certificates", token: s.sign(t, s.id.key, headed("x5c", make([][]byte, 6)), s.claims(nonce)), want: "6 certificates"},
		{name: "no certificate", token: s.sign(t, s.id.key, headed("x5c", [][]byte{{1}}), s.claims(nonce)), want: "cannot be read"},
		{name: "an unknown level", token: s.sign(t, s.id.key, s.head(), with("level", "Splendid")), want: "its claims"},
	} {
		if c.now == nil {
			c.now = clock.now
		}
		if c.nonce == "" {
			c.nonce = nonce
		}
		if got, err := s.verifier(c.now).verify(c.token, wants(c.nonce)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestGateRule(t *testing.T) {
	t.Parallel()
	age := func(s int64) *int64 { return &s }
	for _, c := range []struct {
		rule gateRule
		is   postureClaims
		in   bool
	}{
		{gateRule{}, postureClaims{State: accessOpen}, true},
		{gateRule{}, postureClaims{State: accessWarned, Level: scanner.LevelHigh}, true},
		{gateRule{}, postureClaims{State: accessBlocked}, false},
		{gateRule{}, postureClaims{State: "splendid"}, false},
		{gateRule{}, postureClaims{Level: scanner.Secured}, false},
		{gateRule{level: scanner.LevelLow}, postureClaims{Level: scanner.LevelLow}, true},
		{gateRule{level: scanner.LevelLow}, postureClaims{Level: scanner.LevelMedium, State: accessOpen}, false},
		{gateRule{level: scanner.LevelLow}, postureClaims{State: accessOpen}, false},
		{gateRule{level: scanner.LevelHigh}, postureClaims{State: accessBlocked, Level: scanner.Secured}, false},
		{gateRule{age: time.Hour}, postureClaims{State: accessOpen, ScanAge: age(3600)}, true},
		{gateRule{age: time.Hour}, postureClaims{State: accessOpen, ScanAge: age(3601)}, false},
		{gateRule{age: time.Hour}, postureClaims{State: accessOpen}, false},
		{gateRule{age: time.Hour}, postureClaims{State: accessOpen, ScanAge: age(-1)}, false},
	} {
		if err := c.rule.admit(&c.is); (err == nil) != c.in || err != nil && !errors.As(err, new(*notLetIn)) {
			t.Errorf("%+v with %+v: %v", c.is, c.rule, err)
		}
	}
}

// TestTokenByAnotherLibrary has another library verify what the agent signs, as docs/posture.md says it is done.
func TestTokenByAnotherLibrary(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1))
	ca := fakeca.New(t, time.Now)
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	defer d.leave(nil)
	if _, err := d.postureToken(testAudience, "0123456789"); err == nil || !strings.Contains(err.Error(), "not enrolled") {
		t.Fatalf("not enrolled: %v", err)
	}
	if _, _, err := (enroller{dir: b.config.StateDir, now: time.Now}).enrol(t.Context(), orderOf(ca)); err != nil {
		t.Fatal(err)
	}
	d.member.read()
	for _, c := range [][2]string{{"", "0123456789"}, {testAudience, "short"}, {testAudience, strings.Repeat("n", nonceMax+1)}, {"a\nb", "0123456789"}} {
		if _, err := d.postureToken(c[0], c[1]); err == nil {
			t.Errorf("a token for %q", c)
		}
	}
	if _, err := d.scanWhole(t.Context(), "test", d.set.Load().criteria); err != nil {
		t.Fatal(err)
	}
	text, err := d.postureToken(testAudience, "0123456789")
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(text, func(token *jwt.Token) (any, error) {
		var chain []*x509.Certificate
		for _, one := range token.Header["x5c"].([]any) {
			der, err := base64.StdEncoding.DecodeString(one.(string))
			if err != nil {
				return nil, err
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, err
			}
			chain = append(chain, c)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(ca.Root)
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		if chain[0].Subject.CommonName != testDevice {
			return nil, fmt.Errorf("it is from %s", chain[0].Subject)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return chain[0].PublicKey, err
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(testAudience), jwt.WithIssuer(testDevice), jwt.WithSubject(testDevice), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	if claims["nonce"] != "0123456789" || claims["level"] != "Low" || claims["state"] != "" || claims["exp"].(float64)-claims["iat"].(float64) != 300 || claims["scan_age"] == nil {
		t.Errorf("it says %+v", claims)
	}
}

// TestGate asks as a proxy does.
func TestGate(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	s := newSpeaker(t, fakeca.New(t, clock.now), clock.now)
	ask := func(g *gate, head ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/whatever?a=b", nil)
		for i := 0; i < len(head); i += 2 {
			r.Header.Add(head[i], head[i+1])
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w
	}
	g := newGate(s.verifier(clock.now), gateRule{}, "")
	nonce := ask(g).Header().Get(nonceHeader)
	token := s.sign(t, s.id.key, s.head(), s.claims(nonce))
	if w := ask(g, tokenHeader, token); w.Code != http.StatusNoContent || w.Header().Get("Picket-Device") != testDevice {
		t.Errorf("a good one: %d %s", w.Code, w.Body)
	}
	if w := ask(g, "Authorization", "Bearer "+token); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "used already") || w.Header().Get(nonceHeader) == "" {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
	blocked := s.claims(ask(g).Header().Get(nonceHeader))
	blocked["state"] = accessBlocked
	if w := ask(g, "Authorization", "Bearer "+s.sign(t, s.id.key, s.head(), blocked)); w.Code != http.StatusForbidden {
		t.Errorf("blocked: %d %s", w.Code, w.Body)
	}
	for name, nonce := range map[string]string{"its own": "0123456789", "another gate's": newGate(g.verifier, gateRule{}, "").nonce(), "none": ""} {
		if w := ask(g, tokenHeader, s.sign(t, s.id.key, s.head(), s.claims(nonce))); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "not given here") {
			t.Errorf("a nonce that is %s: %d %s", name, w.Code, w.Body)
		}
	}
	old := ask(g).Header().Get(nonceHeader)
	clock.advance(nonceLife)
	if w := ask(g, tokenHeader, s.sign(t, s.id.key, s.head(), s.claims(old))); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "too old") {
		t.Errorf("an old nonce: %d %s", w.Code, w.Body)
	}
	bound := newGate(s.verifier(clock.now), gateRule{}, "X-Device-CN")
	token = s.sign(t, s.id.key, s.head(), s.claims(bound.nonce()))
	for i, c := range []struct {
		head []string
		want int
	}{
		{[]string{tokenHeader, token, "X-Device-CN", testDevice}, http.StatusNoContent},
		{[]string{tokenHeader, token, "X-Device-CN", testDevice}, http.StatusNoContent},
		{[]string{tokenHeader, token, "X-Device-CN", "other"}, http.StatusUnauthorized},
		{[]string{tokenHeader, token}, http.StatusForbidden},
		{[]string{tokenHeader, token, "X-Device-CN", ""}, http.StatusForbidden},
		{[]string{tokenHeader, token, "X-Device-CN", testDevice, "X-Device-CN", testDevice}, http.StatusForbidden},
		{[]string{"X-Device-CN", testDevice}, http.StatusUnauthorized},
	} {
		if w := ask(bound, c.head...); w.Code != c.want {
			t.Errorf("%d: %d %s", i, w.Code, w.Body)
		}
	}
}

func FuzzPostureToken(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiIsInR5cCI6InBpY2tldC1wb3N0dXJlK2p3dCIsIng1YyI6W119.e30.AA")
	v := &postureVerifier{roots: x509.NewCertPool(), audience: testAudience, now: time.Now}
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := v.verify(token, func(*postureClaims) error { return nil }); err == nil {
			t.Errorf("taken: %+v", c)
		}
	})
}
