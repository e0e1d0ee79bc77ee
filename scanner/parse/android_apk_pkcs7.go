package parse

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"
)

const (
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidData          = "1.2.840.113549.1.7.1"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"

	maxSignerInfos = 16
	maxSignedAttrs = 64
)

// signedFile is a PKCS#7 SignedData whose content lies elsewhere, as a JAR's signature block
// (.RSA, .DSA or .EC) is one. Format: RFC 2315 and 5652; BER is taken as well as DER.
type signedFile struct {
	certificates []apkCert
	signers      []derValue // SignerInfo
}

func parseSignedFile(b []byte) (signedFile, error) {
	var f signedFile
	outer, _, ok := derNext(b)
	kind, rest, ok2 := derNext(outer.body)
	wrapped, _, ok3 := derNext(rest)
	data, _, ok4 := derNext(wrapped.body)
	if !ok || !ok2 || !ok3 || !ok4 || outer.tag != derSequence || kind.oid() != oidSignedData || wrapped.tag != 0xa0 || data.tag != derSequence {
		return f, errors.New("no PKCS#7 signed data")
	}
	// version, digest algorithms, content, [0] certificates, [1] revocations, signers
	for b, n := data.body, 0; len(b) > 0; n++ {
		var v derValue
		if v, b, ok = derNext(b); !ok {
			return f, fmt.Errorf("PKCS#7: %w", errCutOff)
		}
		switch {
		case n < 3, v.tag == 0xa1:
		case v.tag == 0xa0:
			if err := f.addCertificates(v.body); err != nil {
				return f, err
			}
		case v.tag == derSet:
			for s := v.body; len(s) > 0; {
				if v, s, ok = derNext(s); !ok || len(f.signers) == maxSignerInfos {
					return f, errors.New("PKCS#7: signers are cut off or too many")
				}
				f.signers = append(f.signers, v)
			}
		}
	}
	if len(f.signers) == 0 {
		return f, errors.New("PKCS#7: no signers")
	}
	return f, nil
}

func (f *signedFile) addCertificates(b []byte) error {
	for len(b) > 0 {
		v, rest, ok := derNext(b)
		if !ok || len(f.certificates) == maxAPKCertificates {
			return errors.New("PKCS#7: certificates are cut off or too many")
		}
		b = rest
		if v.tag != derSequence { // other forms that CMS knows
			continue
		}
		c, err := parseAPKCert(v.full)
		if err != nil {
			return fmt.Errorf("PKCS#7: %w", err)
		}
		f.certificates = append(f.certificates, c)
	}
	return nil
}

// verify verifies content against the signers in turn and gives the first that holds, its own
// certificate first.
func (f *signedFile) verify(content []byte) (signer APKSigner, err error) {
	for _, info := range f.signers {
		signer, one := f.verifyInfo(info, content)
		if one == nil {
			signer.State = SignatureVerified
			return signer, nil
		}
		if err == nil || errors.Is(one, errUnsupported) {
			err = one
		}
	}
	for _, c := range f.certificates {
		signer.Certificates = append(signer.Certificates, c.APKCertificate)
	}
	signer.State = stateOf(err)
	return signer, err
}

func (f *signedFile) verifyInfo(info derValue, content []byte) (APKSigner, error) {
	var signer APKSigner
	var part [3]derValue // version, issuer and serial, digest algorithm
	b, ok := info.body, true
	for i := range part {
		if part[i], b, ok = derNext(b); !ok {
			return signer, fmt.Errorf("signer: %w", errCutOff)
		}
	}
	own := f.certificateOf(part[1])
	if own == nil {
		return signer, errors.New("signer: its certificate is not there")
	}
	signer.Certificates = append(signer.Certificates, own.APKCertificate)
	for i := range f.certificates {
		if c := &f.certificates[i]; c != own {
			signer.Certificates = append(signer.Certificates, c.APKCertificate)
		}
	}
	next, b, ok := derNext(b)
	var attributes derValue
	if ok && next.tag == 0xa0 {
		attributes = next
		next, b, ok = derNext(b)
	}
	signature, _, ok2 := derNext(b)
	if !ok || !ok2 || signature.tag != derOctetString {
		return signer, fmt.Errorf("signer: signature: %w", errCutOff)
	}
	algorithm, err := pkcs7Algorithm(firstOID(part[2]), firstOID(next))
	if err != nil {
		return signer, err
	}
	signer.Algorithm = algorithm.String()
	if attributes.full != nil {
		if content, err = signedAttributes(attributes, algorithm.hash, content); err != nil {
			return signer, err
		}
	}
	return signer, algorithm.verify(own.spki, content, signature.body)
}

// certificateOf finds a certificate by issuer and serial number. Some signers write the
// issuer in other string types than the certificate does, so names are compared as texts.
func (f *signedFile) certificateOf(id derValue) *apkCert {
	issuer, rest, ok := derNext(id.body)
	serial, _, ok2 := derNext(rest)
	if !ok || !ok2 || id.tag != derSequence {
		return nil
	}
	for i := range f.certificates {
		if c := &f.certificates[i]; bytes.Equal(c.serial, serial.full) && sameName(c.issuer, issuer.full) {
			return c
		}
	}
	return nil
}

func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	text := distinguishedName(a)
	return text != "" && strings.EqualFold(text, distinguishedName(b))
}

// signedAttributes checks that the attributes speak of content, and gives their bytes, which
// are what is signed: encoded as a set instead of by their tag.
func signedAttributes(attributes derValue, hash crypto.Hash, content []byte) ([]byte, error) {
	digested, typed := false, false
	for b, n := attributes.body, 0; len(b) > 0; n++ {
		a, rest, ok := derNext(b)
		id, values, ok2 := derNext(a.body)
		set, _, ok3 := derNext(values)
		value, more, ok4 := derNext(set.body)
		if !ok || !ok2 || !ok3 || !ok4 || n == maxSignedAttrs {
			return nil, fmt.Errorf("signed attributes: %w", errCutOff)
		}
		b = rest
		switch oid := id.oid(); {
		case oid == oidMessageDigest && !digested && len(more) == 0:
			if digested = true; value.tag != derOctetString || !bytes.Equal(value.body, sum(hash, content)) {
				return nil, errors.New("signed attributes: the digest is another file's")
			}
		case oid == oidContentType && !typed && len(more) == 0:
			if typed = true; value.oid() != oidData {
				return nil, errors.New("signed attributes: other content than data")
			}
		case oid == oidMessageDigest || oid == oidContentType:
			return nil, errors.New("signed attributes: one is there twice")
		}
	}
	if !digested || !typed {
		return nil, errors.New("signed attributes without digest or content type")
	}
	set := bytes.Clone(attributes.full)
	set[0] = derSet
	return set, nil
}

func firstOID(algorithm derValue) string {
	v, _, _ := derNext(algorithm.body)
	return v.oid()
}

// pkcs7Algorithm is the signature that a digest's and a key's (or signature's) object
// identifiers stand for. The hash is the digest's, as Android's provider takes it.
func pkcs7Algorithm(digest, signature string) (s apkSignature, err error) {
	switch digest {
	case "1.2.840.113549.2.5":
		s.hash = crypto.MD5
	case "1.3.14.3.2.26":
		s.hash = crypto.SHA1
	case "2.16.840.1.101.3.4.2.4":
		s.hash = crypto.SHA224
	case "2.16.840.1.101.3.4.2.1":
		s.hash = crypto.SHA256
	case "2.16.840.1.101.3.4.2.2":
		s.hash = crypto.SHA384
	case "2.16.840.1.101.3.4.2.3":
		s.hash = crypto.SHA512
	default:
		return s, fmt.Errorf("%w: digest %q", errUnsupported, digest)
	}
	switch signature {
	case "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.113549.1.1.14",
		"1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13":
		s.key = "RSA"
	case "1.2.840.10040.4.1", "1.2.840.10040.4.3", "2.16.840.1.101.3.4.3.1", "2.16.840.1.101.3.4.3.2":
		s.key = "DSA"
	case "1.2.840.10045.2.1", "1.2.840.10045.4.1", "1.2.840.10045.4.3.1", "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4":
		s.key = "EC"
	default:
		return s, fmt.Errorf("%w: signature %q", errUnsupported, signature)
	}
	return s, nil
}
