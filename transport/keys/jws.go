package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
)

// SignJWS makes a compact JSON web signature (RFC 7515) by ES256; head needs "alg" to say so.
func SignJWS(key crypto.Signer, head, payload any) (string, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return "", errors.New("only keys of P-256 can do that")
	}
	h, err := json.Marshal(head)
	if err != nil {
		return "", err
	}
	p, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(p)
	sum := sha256.Sum256([]byte(text))
	der, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) > 0 || sig.R.Sign() < 0 || sig.S.Sign() < 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
		return "", errors.New("the key's signature is none of ECDSA")
	}
	raw := make([]byte, 64)
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(raw), nil
}

// JWS is a compact signature as it came: nothing in it is to be believed before it was verified.
type JWS struct {
	Head, Payload []byte
	signed        string
	signature     []byte
}

// ParseJWS takes a compact signature apart. Errors hold nothing of its text.
func ParseJWS(text string) (*JWS, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, errors.New("it has not three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, errors.New("a part is not in base64url")
		}
	}
	return &JWS{raw[0], raw[1], parts[0] + "." + parts[1], raw[2]}, nil
}

// SignedBy tells whether a key signed it, by ES256.
func (j *JWS) SignedBy(key *ecdsa.PublicKey) bool {
	if key.Curve != elliptic.P256() || len(j.signature) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(j.signed))
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(j.signature[:32]), new(big.Int).SetBytes(j.signature[32:]))
}
