package agent

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	nonceLife   = 10 * time.Minute // from the answer that gives it to the last use of a token with it
	noncesMost  = 100_000          // used ones, kept until they end
	nonceHeader = "Picket-Nonce"
	tokenHeader = "Picket-Posture"
)

// gate answers a proxy that asks whether a request may pass. It keeps nothing but the nonces that were
// used: those that it gives are known by their seal.
type gate struct {
	verifier *postureVerifier
	rule     gateRule
	header   string // names the device by its connection; "" for none
	secret   []byte

	mu   sync.Mutex
	used map[string]time.Time // by nonce: when it ends
}

func newGate(v *postureVerifier, rule gateRule, header string) *gate {
	g := &gate{verifier: v, rule: rule, header: header, secret: make([]byte, 32), used: map[string]time.Time{}}
	rand.Read(g.secret) // never fails
	return g
}

// serve answers until ctx ends.
func (g *gate) serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: g, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	err := s.Serve(l)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("answering: %w", err)
}

// nonceSize is of the time, what chance gives, and the seal.
const nonceSize = 8 + 16 + 16

// nonce gives a new one.
func (g *gate) nonce() string {
	b := make([]byte, 8+16, nonceSize)
	binary.BigEndian.PutUint64(b, uint64(g.verifier.now().Unix()))
	rand.Read(b[8:]) // never fails
	return base64.RawURLEncoding.EncodeToString(append(b, g.seal(b)...))
}

func (g *gate) seal(b []byte) []byte {
	mac := hmac.New(sha256.New, g.secret)
	mac.Write(b)
	return mac.Sum(nil)[:16]
}

// given tells until when a nonce is good, if it is one that was given here.
func (g *gate) given(nonce string) (until time.Time, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != nonceSize || !hmac.Equal(g.seal(b[:24]), b[24:]) {
		return until, errors.New("its nonce was not given here")
	}
	until = time.Unix(int64(binary.BigEndian.Uint64(b)), 0).Add(nonceLife)
	if !g.verifier.now().Before(until) {
		return until, errors.New("its nonce is too old")
	}
	return until, nil
}

// fresh takes the nonce of a genuine token: once, or, for the device whose connection it is, until it ends.
func (g *gate) fresh(c *postureClaims, device string) error {
	until, err := g.given(c.Nonce)
	if err != nil {
		return err
	}
	if g.header != "" {
		if device != c.Subject {
			return errors.New("the connection is another device's")
		}
		return nil
	}
	now := g.verifier.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, again := g.used[c.Nonce]; again {
		return errors.New("it was used already")
	}
	if len(g.used) >= noncesMost {
		for nonce, end := range g.used {
			if !now.Before(end) {
				delete(g.used, nonce)
			}
		}
	}
	if len(g.used) >= noncesMost {
		return errors.New("too many tokens were used within a few minutes")
	}
	g.used[c.Nonce] = until
	return nil
}

// ServeHTTP answers for any path: what was asked for is the proxy's affair.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	token := r.Header.Get(tokenHeader)
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && token == "" {
		token = bearer
	}
	devices := r.Header.Values(g.header)
	if g.header != "" && (len(devices) != 1 || devices[0] == "") {
		http.Error(w, "the connection shows no device's certificate", http.StatusForbidden)
		return
	}
	if token == "" {
		g.challenge(w, "a posture token is needed")
		return
	}
	c, err := g.verifier.verify(token, func(c *postureClaims) error {
		device := ""
		if g.header != "" {
			device = devices[0]
		}
		return g.fresh(c, device)
	})
	if err != nil {
		g.challenge(w, "the token is refused: "+err.Error())
		return
	}
	w.Header().Set("Picket-Device", c.Subject)
	w.Header().Set("Picket-Level", c.Level.String())
	if err := g.rule.admit(c); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// challenge asks for a token with a new nonce.
func (g *gate) challenge(w http.ResponseWriter, why string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="picket"`)
	w.Header().Set(nonceHeader, g.nonce())
	http.Error(w, why, http.StatusUnauthorized)
}
