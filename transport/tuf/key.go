package tuf

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// NewKey makes a key that signs, as PEM of its PKCS #8 form, and the public one as PEM.
func NewKey() (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	pubDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pubDER}), nil
}

// Key signs metadata.
type Key struct{ private ed25519.PrivateKey }

// ParseKey reads a key that signs. Its errors do not show what was read.
func ParseKey(b []byte) (Key, error) {
	block, _ := pem.Decode(b)
	switch {
	case block == nil:
		return Key{}, errors.New("this is no key in PEM; one that is encrypted must be decrypted first")
	case block.Type == "PUBLIC KEY":
		return Key{}, errors.New("this is a public key; the private one signs")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return Key{}, errors.New("this is no Ed25519 key in PKCS #8 form")
	}
	return Key{key}, nil
}

// PublicKey is a key that checks signatures.
type PublicKey struct {
	key *metadata.Key
	id  string
}

// ParsePublicKey reads the public part of a key.
func ParsePublicKey(b []byte) (PublicKey, error) {
	block, _ := pem.Decode(b)
	switch {
	case block == nil:
		return PublicKey{}, errors.New("this is no key in PEM")
	case block.Type != "PUBLIC KEY":
		return PublicKey{}, errors.New("this is not a public key; only public keys go into a root")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return PublicKey{}, errors.New("this is no Ed25519 public key")
	}
	return newPublicKey(key)
}

func newPublicKey(key ed25519.PublicKey) (PublicKey, error) {
	k, err := metadata.KeyFromPublicKey(key)
	if err != nil {
		return PublicKey{}, err
	}
	id, err := k.ID()
	return PublicKey{k, id}, err
}

// Public is the key that checks what k signs.
func (k Key) Public() (PublicKey, error) {
	return newPublicKey(k.private.Public().(ed25519.PublicKey))
}

// ID names a key in metadata: 64 hexadecimal digits.
func (k PublicKey) ID() string { return k.id }

// sign puts the key's signature on metadata, in the place of an older one of the same key.
func sign[T metadata.Roles](m *metadata.Metadata[T], k Key) error {
	pub, err := k.Public()
	if err != nil {
		return err
	}
	kept := m.Signatures[:0]
	for _, s := range m.Signatures {
		if s.KeyID != pub.id {
			kept = append(kept, s)
		}
	}
	m.Signatures = kept
	signer, err := signature.LoadSigner(k.private, crypto.Hash(0))
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	if _, err := m.Sign(signer); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return nil
}
