package stepca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// tokenOf makes a token with these claims and no signature worth the name.
func tokenOf(t testing.TB, claims string) string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"ES256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	got, err := ParseToken(" " + tokenOf(t, `{"sub":"d-1","sans":["d-1","10.0.0.1","alice@example.org","urn:x:y"],"aud":["https://ca.example.org:9000/1.0/sign#x"],"nbf":1700000000,"exp":1700000300,"sha":"`+strings.ToUpper(sum)+`"}`) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.Device != "d-1" || got.Account != "alice@example.org" || got.URL != "https://ca.example.org:9000" || got.Fingerprint != sum || got.NotAfter.Sub(got.NotBefore) != 5*time.Minute {
		t.Errorf("%+v", got)
	}
	alone, err := ParseToken(tokenOf(t, `{"sub":"d-1","aud":"https://ca/1.0/sign"}`))
	if err != nil || !slices.Equal(alone.SANs, []string{"d-1"}) || alone.Account != "" || alone.URL != "https://ca" || !alone.NotAfter.IsZero() {
		t.Errorf("%+v, %v", alone, err)
	}
	many, err := json.Marshal(make([]string, 17))
	if err != nil {
		t.Fatal(err)
	}
	for claims, want := range map[string]string{
		`{}`:                          "no subject",
		`{"sub":"alice@example.org"}`: "names an account where the device should be",
		`{"sub":"https://x"}`:         "names an account where the device should be",
		`{"sub":"a b"}`:               "no device id",
		`{"sub":"` + strings.Repeat("x", 65) + `"}`: "no device id",
		`{"sub":"d","sans":["a\u0000b"]}`:           "not printable",
		`{"sub":"d","sha":"12"}`:                    "64 hexadecimal digits",
		`{"sub":1}`:                                 "no JSON as they should be",
		`{"sub":"d","aud":7}`:                       "no JSON as they should be",
		`[]`:                                        "no JSON as they should be",
		`{"sub":"d","sans":` + string(many) + `}`:   "more than 16 names",
	} {
		if _, err := ParseToken(tokenOf(t, claims)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", claims, err)
		}
	}
	for _, raw := range []string{"", "a.b", "a.b.c.d", "!.!.!", strings.Repeat("A", tokenMax+1)} {
		if _, err := ParseToken(raw); err == nil {
			t.Errorf("%.20q is a token", raw)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(tokenOf(f, `{"sub":"d-1","sans":["alice@example.org"],"aud":"https://ca/1.0/sign","exp":1e300}`))
	f.Add(tokenOf(f, `{"sub":"d-1","sans":["http://[::1","\u0000"],"aud":[null]}`))
	f.Add("..")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := ParseToken(raw)
		if err != nil {
			if len(raw) > 20 && strings.Contains(err.Error(), raw) {
				t.Errorf("the error holds the token: %v", err)
			}
			return
		}
		if checkDevice(token.Device) != nil || len(token.SANs) == 0 {
			t.Errorf("%+v", token)
		}
		request(token, key) // may refuse, must not panic
	})
}

func FuzzChain(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := ParseChain(text)
		if err == nil && (len(chain) == 0 || len(chain) > chainMax) {
			t.Errorf("%d certificates", len(chain))
		}
	})
}

// TestHostileCA: whatever answers, the errors are bounded and printable and hold no token.
func TestHostileCA(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	token, err := ParseToken(tokenOf(t, `{"sub":"d-1"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   http.HandlerFunc
		want string
	}{
		"endless": {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 4*answerMax)) }, "longer than"},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "no JSON"},
		"nothing": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, "no certificate"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound)
		}, "302"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "reading the CA's answer"},
		"escapes": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"a\u001b[31mb\n`+strings.Repeat("é", 500)+`"}`)
		}, "403 Forbidden: a [31mb"},
		"odd status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) }, "no JSON"},
		"key": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"crt":"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"}`)
		}, "where a certificate should be"},
	} {
		s := httptest.NewTLSServer(c.do)
		client := s.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		_, err := CA{URL: s.URL, Client: client}.Sign(t.Context(), token, key)
		s.Close()
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), token.Raw) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRootIsHeldAgainstItsFingerprint(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"ca": string(EncodeChain(s.Certificate()))})
	})
	s.StartTLS()
	defer s.Close()
	ca := CA{URL: s.URL, Client: s.Client()}
	if _, err := ca.Root(context.Background(), strings.Repeat("ab", 32)); !errors.Is(err, ErrFingerprint) {
		t.Errorf("another root: %v", err)
	}
	if root, err := ca.Root(context.Background(), fmt.Sprintf("%x", sha256.Sum256(s.Certificate().Raw))); err != nil || !root.Equal(s.Certificate()) {
		t.Errorf("the root: %v", err)
	}
}
