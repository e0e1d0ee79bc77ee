package parse

import (
	"bytes"
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 APKs of old are signed with it; nothing here signs
	"crypto/ecdsa"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha1"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

const (
	maxRSABits = 16384
	maxDSABits = 8192
)

// errUnsupported marks what Picket cannot verify though Android may: never verified, never
// failed.
var errUnsupported = errors.New("unsupported algorithm")

// APKCertificate is one certificate of an APK's signer. Digests are lower-case hexadecimal, of
// the certificate as it lies in the APK, which is what Android and its tools compare.
type APKCertificate struct {
	SHA256, SHA1, MD5 string
	Subject           string // as Java and apksigner write it, "CN=x, O=y"; empty when it cannot be read
	KeyAlgorithm      string // RSA, EC, DSA, or the key's object identifier
	KeyBits           int    // 0 when the key cannot be read
	DER               []byte
}

// apkCert is a certificate taken apart as far as signatures need it. Certificates in APKs are
// self-made, and crypto/x509 refuses many that Android takes (negative serials, odd times).
type apkCert struct {
	APKCertificate
	serial, issuer []byte // with tag and length
	spki           []byte
}

func parseAPKCert(der []byte) (apkCert, error) {
	c := apkCert{APKCertificate: APKCertificate{
		SHA256: hexSum(crypto.SHA256, der),
		SHA1:   fmt.Sprintf("%x", sha1.Sum(der)),
		MD5:    fmt.Sprintf("%x", md5.Sum(der)),
		DER:    bytes.Clone(der),
	}}
	whole, _, ok := derNext(c.DER)
	tbs, _, ok2 := derNext(whole.body)
	if !ok || !ok2 || whole.tag != derSequence || tbs.tag != derSequence {
		return c, errors.New("certificate is no X.509")
	}
	b := tbs.body
	if v, rest, ok := derNext(b); ok && v.tag == 0xa0 { // version
		b = rest
	}
	var part [6]derValue // serial, algorithm, issuer, validity, subject, key
	for i := range part {
		if part[i], b, ok = derNext(b); !ok || i > 0 && part[i].tag != derSequence {
			return c, errors.New("certificate is cut off or no X.509")
		}
	}
	c.serial, c.issuer, c.spki = part[0].full, part[2].full, part[5].full
	c.Subject = distinguishedName(part[4].full)
	c.KeyAlgorithm, c.KeyBits = describeKey(c.spki)
	return c, nil
}

// distinguishedName writes a name, the last part first.
func distinguishedName(der []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return ""
	}
	var parts []string
	for _, set := range slices.Backward(name) {
		for _, a := range set {
			parts = append(parts, nameOfAttribute(a.Type.String())+"="+quoteName(fmt.Sprint(a.Value)))
		}
	}
	return strings.ToValidUTF8(clip(strings.Join(parts, ", "), 1024), "?")
}

func nameOfAttribute(oid string) string {
	switch oid {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.4":
		return "SURNAME"
	case "2.5.4.5":
		return "SERIALNUMBER"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.9":
		return "STREET"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "1.2.840.113549.1.9.1":
		return "EMAILADDRESS"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	}
	return clip("OID."+oid, 100)
}

func quoteName(s string) string {
	if strings.ContainsAny(s, ",+=<>#;\"\\\r\n") || s != strings.TrimSpace(s) {
		return strconv.Quote(s)
	}
	return s
}

func hexSum(h crypto.Hash, b []byte) string { return hex.EncodeToString(sum(h, b)) }

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

func describeKey(spki []byte) (algorithm string, bits int) {
	key, err := publicKey(spki)
	if err != nil {
		v, _, _ := derNext(spki)
		id, _, _ := derNext(v.body)
		oid, _, _ := derNext(id.body)
		return oid.oid(), 0
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "EC", k.Curve.Params().BitSize
	case *dsa.PublicKey:
		return "DSA", k.P.BitLen()
	}
	return "", 0
}

// publicKey reads a SubjectPublicKeyInfo, of a size that takes bounded time.
func publicKey(spki []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsupported, err)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 1024 || n > maxRSABits { // crypto/rsa takes no smaller ones
			return nil, fmt.Errorf("%w: RSA key of %d bits", errUnsupported, n)
		}
	case *dsa.PublicKey:
		if n := k.P.BitLen(); n > maxDSABits || k.Q.BitLen() > 512 || k.G.Cmp(k.P) >= 0 {
			return nil, fmt.Errorf("%w: DSA key of %d bits", errUnsupported, n)
		}
	case *ecdsa.PublicKey:
	default:
		return nil, fmt.Errorf("%w: key of type %T", errUnsupported, key)
	}
	return key, nil
}

// apkSignature is a way to sign: a kind of key, a hash and, for RSA, the padding.
type apkSignature struct {
	key  string // RSA, EC or DSA
	hash crypto.Hash
	pss  bool
}

func (s apkSignature) String() string {
	if s.pss {
		return s.key + "-PSS with " + s.hash.String()
	}
	return s.key + " with " + s.hash.String()
}

var errSignature = errors.New("signature does not verify")

// verify checks a signature over data with the key of a SubjectPublicKeyInfo.
func (s apkSignature) verify(spki, data, signature []byte) error {
	key, err := publicKey(spki)
	if err != nil {
		return err
	}
	digest := sum(s.hash, data)
	good := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		if s.key != "RSA" {
			return fmt.Errorf("%s signature of an RSA key", s)
		}
		if s.pss {
			err = rsa.VerifyPSS(k, s.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			err = rsa.VerifyPKCS1v15(k, s.hash, digest, signature)
		}
		if err != nil && !errors.Is(err, rsa.ErrVerification) {
			return fmt.Errorf("%w: %w", errUnsupported, err)
		}
		good = err == nil
	case *ecdsa.PublicKey:
		if s.key != "EC" {
			return fmt.Errorf("%s signature of an EC key", s)
		}
		good = ecdsa.VerifyASN1(k, digest, signature)
	case *dsa.PublicKey:
		if s.key != "DSA" {
			return fmt.Errorf("%s signature of a DSA key", s)
		}
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(signature, &rs); err != nil || len(rest) > 0 {
			return fmt.Errorf("%s: %w", s, errSignature)
		}
		good = dsa.Verify(k, digest[:min(len(digest), (k.Q.BitLen()+7)/8)], rs.R, rs.S)
	}
	if !good {
		return fmt.Errorf("%s: %w", s, errSignature)
	}
	return nil
}

const (
	derInteger     = 0x02
	derOctetString = 0x04
	derOID         = 0x06
	derSequence    = 0x30
	derSet         = 0x31
	maxBERDepth    = 16
)

// derValue is one value of DER, or of BER as some signers write it: lengths need not be
// minimal, and may be indefinite.
type derValue struct {
	tag  byte
	body []byte
	full []byte // with tag and length
}

func derNext(b []byte) (v derValue, rest []byte, ok bool) { return berNext(b, maxBERDepth) }

func berNext(b []byte, depth int) (v derValue, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f || depth == 0 {
		return v, nil, false
	}
	v.tag = b[0]
	head, n := 2, int64(b[1])
	switch {
	case n == 0x80: // up to an end mark of two zeros
		inner := b[2:]
		for {
			if len(inner) >= 2 && inner[0] == 0 && inner[1] == 0 {
				break
			}
			if _, inner, ok = berNext(inner, depth-1); !ok {
				return v, nil, false
			}
		}
		end := len(b) - len(inner)
		v.body, v.full = b[2:end], b[:end+2]
		return v, b[end+2:], v.tag&0x20 != 0
	case n > 0x80:
		size := int(n & 0x7f)
		if size > 4 || len(b) < 2+size {
			return v, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+size] {
			n = n<<8 | int64(c)
		}
		head += size
	}
	if n > int64(len(b)-head) {
		return v, nil, false
	}
	end := head + int(n)
	v.body, v.full = b[head:end], b[:end]
	return v, b[end:], true
}

// oid is an object identifier with dots; empty when the value is none.
func (v derValue) oid() string {
	var id asn1.ObjectIdentifier
	if v.tag != derOID {
		return ""
	}
	if rest, err := asn1.Unmarshal(v.full, &id); err != nil || len(rest) > 0 {
		return ""
	}
	return clip(id.String(), 200)
}
