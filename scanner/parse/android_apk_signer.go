package parse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// blockSigner reads and verifies one signer of the signing block.
// Format: source.android.com, "APK Signature Scheme" v2, v3 and v3.1.
type blockSigner struct {
	block   *signingBlock
	id      uint32 // of the scheme
	out     APKSigner
	digests apkDigests // what the best signature says of the content
	odd     []string   // what is odd, without harm
	// strippedFrom is the API level from which on Android misses a newer scheme that this
	// signer tells of; 0 when none is missing.
	strippedFrom int
}

var errCutOff = errors.New("cut off")

func (r *blockSigner) read(b []byte) error {
	signed, b, ok := prefixed(b)
	if !ok {
		return fmt.Errorf("signed data: %w", errCutOff)
	}
	if r.id != blockV2 {
		if len(b) < 8 {
			return fmt.Errorf("API levels: %w", errCutOff)
		}
		r.out.MinSDK, r.out.MaxSDK = sdkRange(binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
	}
	signatures, b, ok := prefixed(b)
	if !ok {
		return fmt.Errorf("signatures: %w", errCutOff)
	}
	key, _, ok := prefixed(b)
	if !ok {
		return fmt.Errorf("public key: %w", errCutOff)
	}
	ids, err := r.signatures(signatures, signed, key)
	if claims := r.signed(signed, key, ids); err == nil {
		err = claims
	}
	return err
}

// signatures verifies the best signature that there is, as Android does, and returns the ids of
// all.
func (r *blockSigner) signatures(b, signed, key []byte) (ids []uint32, err error) {
	var best apkSignature
	var signature []byte
	rank := -1
	for len(b) > 0 {
		id, value, next, ok := idAndPrefixed(b)
		if !ok || len(ids) == maxSignerList {
			return ids, fmt.Errorf("signature %d: %w", len(ids)+1, errCutOff)
		}
		ids, b = append(ids, id), next
		algorithm, digest, known := blockAlgorithm(id)
		if !known {
			r.odd = append(r.odd, fmt.Sprintf("signature of unknown algorithm %#x", id))
			continue
		}
		if strength := digestStrength(digest); strength > rank {
			best, signature, rank = algorithm, value, strength
			r.digests = apkDigests{}
			r.digests[digest] = []byte{} // filled in from the signed data
		}
	}
	if rank < 0 {
		return ids, errors.New("no signature of an algorithm that Android knows")
	}
	r.out.Algorithm = best.String()
	return ids, best.verify(key, signed, signature)
}

// digestStrength is Android's order of preference.
func digestStrength(kind int) int {
	return [apkDigestKinds]int{chunkedSHA256: 0, veritySHA256: 1, chunkedSHA512: 2}[kind]
}

func idAndPrefixed(b []byte) (id uint32, value, rest []byte, ok bool) {
	one, rest, ok := prefixed(b)
	if !ok || len(one) < 8 {
		return 0, nil, nil, false
	}
	value, _, ok = prefixed(one[4:])
	return binary.LittleEndian.Uint32(one), value, rest, ok
}

// signed reads what is signed: digests, certificates, API levels and attributes.
func (r *blockSigner) signed(b, key []byte, ids []uint32) error {
	digests, b, ok := prefixed(b)
	if !ok {
		return fmt.Errorf("digests: %w", errCutOff)
	}
	certificates, b, ok := prefixed(b)
	if !ok {
		return fmt.Errorf("certificates: %w", errCutOff)
	}
	// The certificates first: they are worth showing even when the rest fails.
	own, err := r.certificates(certificates, key)
	if err != nil {
		return err
	}
	if err := r.readDigests(digests, ids); err != nil {
		return err
	}
	if r.id != blockV2 {
		if len(b) < 8 {
			return fmt.Errorf("signed API levels: %w", errCutOff)
		}
		if lowest, highest := sdkRange(binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])); lowest != r.out.MinSDK || highest != r.out.MaxSDK {
			return fmt.Errorf("API levels %d to %d, but %d to %d are signed", r.out.MinSDK, r.out.MaxSDK, lowest, highest)
		}
		b = b[8:]
	}
	attributes, _, ok := prefixed(b)
	if !ok && len(b) > 0 {
		return fmt.Errorf("attributes: %w", errCutOff)
	}
	return r.attributes(attributes, own)
}

func (r *blockSigner) readDigests(b []byte, ids []uint32) error {
	var seen []uint32
	for len(b) > 0 {
		id, value, next, ok := idAndPrefixed(b)
		if !ok || len(seen) == maxSignerList {
			return fmt.Errorf("digest %d: %w", len(seen)+1, errCutOff)
		}
		seen, b = append(seen, id), next
		if _, kind, known := blockAlgorithm(id); known && r.digests[kind] != nil {
			if len(r.digests[kind]) > 0 && !bytes.Equal(r.digests[kind], value) {
				return errors.New("two signed digests of one kind differ")
			}
			r.digests[kind] = value
		}
	}
	if !slices.Equal(seen, ids) {
		return errors.New("signatures and signed digests are of other algorithms")
	}
	return nil
}

func (r *blockSigner) certificates(b, key []byte) (own apkCert, err error) {
	for n := 0; len(b) > 0; n++ {
		der, next, ok := prefixed(b)
		if !ok || n == maxAPKCertificates {
			return own, fmt.Errorf("certificate %d: %w", n+1, errCutOff)
		}
		b = next
		c, err := parseAPKCert(der)
		if err != nil {
			return own, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		if n == 0 {
			own = c
		}
		r.out.Certificates = append(r.out.Certificates, c.APKCertificate)
	}
	switch {
	case len(r.out.Certificates) == 0:
		return own, errors.New("no certificates")
	case !bytes.Equal(own.spki, key):
		return own, errors.New("the certificate has another public key than the signer")
	}
	return own, nil
}

func (r *blockSigner) attributes(b []byte, own apkCert) error {
	for n := 0; len(b) > 0; n++ {
		one, next, ok := prefixed(b)
		if !ok || len(one) < 4 || n == maxSignerList {
			return fmt.Errorf("attribute %d: %w", n+1, errCutOff)
		}
		b = next
		if err := r.attribute(binary.LittleEndian.Uint32(one), one[4:], own); err != nil {
			return err
		}
	}
	return nil
}

func (r *blockSigner) attribute(id uint32, value []byte, own apkCert) error {
	switch {
	case r.id == blockV2 && id == attrStripping:
		if len(value) < 4 {
			return fmt.Errorf("attribute about newer schemes: %w", errCutOff)
		}
		if binary.LittleEndian.Uint32(value) == 3 && !r.block.has(blockV3) {
			r.strippedFrom = 28
		}
	case r.id == blockV3 && id == attrRotationMinSDK:
		if len(value) < 4 {
			return fmt.Errorf("attribute about v3.1: %w", errCutOff)
		}
		if !r.block.has(blockV31) {
			r.strippedFrom = max(33, int(min(binary.LittleEndian.Uint32(value), math.MaxInt32)))
		}
	case r.id != blockV2 && id == attrRotation:
		if r.out.Lineage != nil {
			return errors.New("two proofs of rotation")
		}
		lineage, last, err := readLineage(value)
		if err != nil {
			return fmt.Errorf("proof of rotation: %w", err)
		}
		if !bytes.Equal(last, own.DER) {
			return errors.New("proof of rotation: it leads to another certificate")
		}
		r.out.Lineage = lineage
	case r.id == blockV31 && id == attrRotationDev:
	default:
		r.odd = append(r.odd, fmt.Sprintf("unknown attribute %#x", id))
	}
	return nil
}

// readLineage verifies a proof of rotation: each certificate but the first is signed with the
// key of the one before. last is the newest certificate as it lies there.
func readLineage(b []byte) (lineage []APKLineage, last []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errCutOff
	}
	if v := binary.LittleEndian.Uint32(b); v != 1 {
		return nil, nil, fmt.Errorf("%w: version %d", errUnsupported, v)
	}
	var before apkCert
	var beforeAlgorithm uint32
	for b = b[4:]; len(b) > 0; {
		level, next, ok := prefixed(b)
		if !ok || len(lineage) == maxAPKCertificates {
			return nil, nil, errCutOff
		}
		b = next
		signed, rest, ok := prefixed(level)
		if !ok || len(rest) < 8 {
			return nil, nil, errCutOff
		}
		flags, algorithm := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
		signature, _, ok := prefixed(rest[8:])
		if !ok {
			return nil, nil, errCutOff
		}
		der, rest, ok := prefixed(signed)
		if !ok || len(rest) < 4 {
			return nil, nil, errCutOff
		}
		if len(lineage) > 0 {
			if binary.LittleEndian.Uint32(rest) != beforeAlgorithm {
				return nil, nil, fmt.Errorf("certificate %d names another algorithm than the one before", len(lineage)+1)
			}
			by, _, known := blockAlgorithm(beforeAlgorithm)
			if !known {
				return nil, nil, fmt.Errorf("%w %#x", errUnsupported, beforeAlgorithm)
			}
			if err := by.verify(before.spki, signed, signature); err != nil {
				return nil, nil, fmt.Errorf("certificate %d: %w", len(lineage)+1, err)
			}
		}
		c, err := parseAPKCert(der)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %d: %w", len(lineage)+1, err)
		}
		if slices.ContainsFunc(lineage, func(l APKLineage) bool { return l.SHA256 == c.SHA256 }) {
			return nil, nil, fmt.Errorf("certificate %d is there twice", len(lineage)+1)
		}
		lineage = append(lineage, APKLineage{APKCertificate: c.APKCertificate, Flags: flags})
		before, beforeAlgorithm = c, algorithm
	}
	if len(lineage) == 0 {
		return nil, nil, errors.New("no certificates")
	}
	return lineage, before.DER, nil
}
