package parse

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
)

const maxCertificates = 5000 // of one file

// Certificate is one certificate of a PEM or DER file.
type Certificate struct {
	SHA256 string // of the DER form, lower-case hex
	DER    []byte // part of the input's decoded form
	Line   int    // 1-based line of a PEM block; 1 for DER
}

// Describe gives the subject as one line and whether the certificate may sign others; ok is
// false when it cannot be read. A self-signed certificate of the first version counts as a CA.
func (c Certificate) Describe() (subject string, ca, ok bool) {
	x, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return "", false, false
	}
	subject = x.Subject.CommonName
	if subject == "" {
		subject = x.Subject.String()
	}
	ca = x.IsCA || x.Version == 1 && bytes.Equal(x.RawSubject, x.RawIssuer)
	return strings.ToValidUTF8(subject, "?"), ca, true
}

// Certificates reads the certificates of a PEM file (among other text, as p11-kit has them) or
// of a single DER certificate; hasKey tells that a private key lies in the same file.
func Certificates(b []byte) (certs []Certificate, hasKey bool) {
	if len(b) > 4 && b[0] == 0x30 && b[1]&0x80 != 0 {
		return []Certificate{certificate(b, 1)}, false
	}
	rest, line := b, 1
	for len(certs) < maxCertificates {
		start := bytes.Index(rest, []byte("-----BEGIN "))
		if start < 0 {
			break
		}
		line += bytes.Count(rest[:start], []byte{'\n'})
		rest = rest[start:]
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" || block.Type == "X509 CERTIFICATE":
			certs = append(certs, certificate(block.Bytes, line))
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			hasKey = true
		}
		line += bytes.Count(rest[:len(rest)-len(after)], []byte{'\n'})
		rest = after
	}
	return certs, hasKey
}

// certificate cuts a DER sequence to its own length: OpenSSL's trusted form has more behind.
func certificate(der []byte, line int) Certificate {
	der = der[:derLength(der)]
	sum := sha256.Sum256(der)
	return Certificate{SHA256: hex.EncodeToString(sum[:]), DER: der, Line: line}
}

// derLength gives the length of the first DER element, or that of all when it makes no sense.
func derLength(b []byte) int {
	if len(b) < 2 {
		return len(b)
	}
	n, head := int(b[1]), 2
	if b[1]&0x80 != 0 {
		k := int(b[1] & 0x7f)
		if k == 0 || k > 3 || len(b) < 2+k {
			return len(b)
		}
		n, head = 0, 2+k
		for _, c := range b[2:head] {
			n = n<<8 | int(c)
		}
	}
	return min(head+n, len(b))
}
