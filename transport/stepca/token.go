// Package stepca speaks with a step-ca: the root by its fingerprint, a certificate for a one-time
// token, its renewal before and after its end, and its revocation. The protocol is that of
// github.com/smallstep/certificates, packages api and authority, version 0.30.2.
package stepca

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Token is what a one-time token says. Only the CA can tell whether it is genuine.
type Token struct {
	Raw         string // secret
	Device      string // sub: the certificate's common name
	SANs        []string
	Account     string // the first of SANs that is an address of mail or a URI; "" for none
	URL         string // of the CA, from aud; "" where there is none
	Fingerprint string // of the CA's root, from sha, in lower case; "" where there is none
	NotBefore   time.Time
	NotAfter    time.Time
}

const (
	tokenMax = 16 << 10 // bytes
	sansMax  = 16
	nameMax  = 64  // characters of a common name, RFC 5280
	sanMax   = 256 // bytes
)

// ParseToken reads a token. Errors never hold any of its text: it is a secret.
func ParseToken(raw string) (Token, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return Token{}, errors.New("the token is empty")
	}
	if len(raw) > tokenMax {
		return Token{}, fmt.Errorf("the token is longer than %d bytes", tokenMax)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return Token{}, errors.New("the token is no JSON web token: it has not three parts")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return Token{}, errors.New("the token is no JSON web token: a part is not in base64url")
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return Token{}, errors.New("the token is no JSON web token: its claims are no JSON as they should be")
	}
	return c.token(raw)
}

// claims of a token; times are in seconds since 1970.
type claims struct {
	Subject     string   `json:"sub"`
	SANs        []string `json:"sans"`
	Audience    audience `json:"aud"`
	NotBefore   float64  `json:"nbf"`
	NotAfter    float64  `json:"exp"`
	Fingerprint string   `json:"sha"`
}

// audience is one text or a list of them, RFC 7519.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		*a = audience{""}
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func (c claims) token(raw string) (Token, error) {
	t := Token{Raw: raw, Device: c.Subject, SANs: c.SANs, NotBefore: seconds(c.NotBefore), NotAfter: seconds(c.NotAfter)}
	if err := checkDevice(c.Subject); err != nil {
		return Token{}, err
	}
	if len(t.SANs) == 0 {
		t.SANs = []string{c.Subject} // as the CA does
	}
	if len(t.SANs) > sansMax {
		return Token{}, fmt.Errorf("the token has more than %d names", sansMax)
	}
	for _, name := range t.SANs {
		if len(name) > sanMax || strings.ContainsFunc(name, unprintable) {
			return Token{}, errors.New("the token has a name that is too long or not printable")
		}
		kind := sanKind(name)
		if t.Account == "" && (kind == sanEmail || kind == sanURI) {
			t.Account = name
		}
	}
	for _, aud := range c.Audience {
		if u, err := url.Parse(aud); err == nil && u.Scheme == "https" && u.Host != "" {
			t.URL = (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
			break
		}
	}
	if c.Fingerprint != "" {
		sum, err := ParseFingerprint(c.Fingerprint)
		if err != nil {
			return Token{}, fmt.Errorf("the token's fingerprint: %w", err)
		}
		t.Fingerprint = sum
	}
	return t, nil
}

// checkDevice wants a device's id: what is safe in a header, a path and a query, and is no account.
func checkDevice(id string) error {
	switch {
	case id == "":
		return errors.New("the token names no device: it has no subject")
	case strings.Contains(id, "@") || strings.Contains(id, "/"):
		return errors.New("the token names an account where the device should be: its subject is the device's id, and the account one of its names (SAN)")
	case len(id) > nameMax || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "":
		return fmt.Errorf("the token's subject is no device id: letters, digits, dots, dashes and underscores, %d at most", nameMax)
	}
	return nil
}

func unprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

func seconds(s float64) time.Time {
	if s <= 0 || s > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// Kinds of subject alternative names, told apart as step-ca does.
type sanType int

const (
	sanDNS sanType = iota
	sanIP
	sanURI
	sanEmail
)

func sanKind(name string) sanType {
	u, err := url.Parse(name)
	switch {
	case net.ParseIP(name) != nil:
		return sanIP
	case err == nil && u.Scheme != "":
		return sanURI
	case strings.Contains(name, "@"):
		return sanEmail
	}
	return sanDNS
}

// ParseFingerprint reads the SHA-256 of a root certificate: 64 hexadecimal digits, with or without
// colons or dashes between. It gives them in lower case without.
func ParseFingerprint(text string) (string, error) {
	sum := strings.ToLower(strings.NewReplacer(":", "", "-", "", " ", "").Replace(strings.TrimSpace(text)))
	if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
		return "", errors.New("a fingerprint is the SHA-256 of the CA's root certificate, 64 hexadecimal digits")
	}
	return sum, nil
}
