// Package keys holds a device's private key, behind crypto.Signer: in a file, in a TPM, or in the
// hands of another program. All keys are ECDSA on P-256.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const pemType = "PRIVATE KEY"

// NewFile makes a key and its PKCS #8 form in PEM, to be kept in a file that its owner alone may read.
func NewFile() (crypto.Signer, []byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key: %w", err)
	}
	return k, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParseFile reads what NewFile made. Errors hold nothing of the text.
func ParseFile(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New("there is no private key in PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	ec, ok := k.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("the private key is none of P-256")
	}
	return ec, nil
}

// parsePublic reads a public key as RFC 5280 encodes it.
func parsePublic(der []byte) (*ecdsa.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	ec, ok := k.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("the public key is none of P-256")
	}
	return ec, nil
}
