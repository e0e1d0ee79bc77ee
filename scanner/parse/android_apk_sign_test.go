package parse

import (
	"bytes"
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 what is verified has to be signed first
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// testKey is a key with a certificate of our own making: its signature is nobody's, which
// Android does not look at, and its serial number may be negative.
type testKey struct {
	private any
	kind    string
	spki    []byte
	cert    []byte
	name    asn1.RawValue
	serial  *big.Int
}

type testKeys struct{ rsa, rsa2, ec, ec2, dsa testKey }

// makeTestKeys makes the keys once for all tests.
var makeTestKeys = sync.OnceValues(func() (testKeys, error) {
	var k testKeys
	for i, to := range []*testKey{&k.rsa, &k.rsa2, &k.ec, &k.ec2, &k.dsa} {
		var err error
		switch {
		case i < 2:
			to.kind = "RSA"
			to.private, err = rsa.GenerateKey(rand.Reader, 1024*(i+1))
		case i < 4:
			to.kind = "EC"
			to.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		default:
			to.kind = "DSA"
			var key dsa.PrivateKey
			if err = dsa.GenerateParameters(&key.Parameters, rand.Reader, dsa.L1024N160); err == nil {
				err = dsa.GenerateKey(&key, rand.Reader)
			}
			to.private = &key
		}
		if err == nil {
			err = to.certify(fmt.Sprintf("signer %d", i), big.NewInt(int64(-1-i)))
		}
		if err != nil {
			return k, err
		}
	}
	return k, nil
})

func keysOf(t testing.TB) testKeys {
	t.Helper()
	k, err := makeTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *testKey) certify(name string, serial *big.Int) error {
	var err error
	if d, ok := k.private.(*dsa.PrivateKey); ok {
		k.spki, err = dsaPublicKey(d)
	} else {
		k.spki, err = x509.MarshalPKIXPublicKey(k.private.(crypto.Signer).Public())
	}
	if err != nil {
		return err
	}
	dn, err := asn1.Marshal(pkix.Name{CommonName: name, Organization: []string{"Example, Inc."}}.ToRDNSequence())
	if err != nil {
		return err
	}
	k.name, k.serial = asn1.RawValue{FullBytes: dn}, serial
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}}
	from := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	type validity struct{ From, To time.Time }
	tbs := struct {
		Version   int `asn1:"explicit,tag:0"`
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		Validity  validity
		Subject   asn1.RawValue
		Key       asn1.RawValue
	}{2, serial, algorithm, k.name, validity{from, from.AddDate(30, 0, 0)}, k.name, asn1.RawValue{FullBytes: k.spki}}
	k.cert, err = asn1.Marshal(struct {
		TBS       any
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{tbs, algorithm, asn1.BitString{Bytes: []byte{1}, BitLength: 8}})
	return err
}

func dsaPublicKey(k *dsa.PrivateKey) ([]byte, error) {
	parameters, err := asn1.Marshal(struct{ P, Q, G *big.Int }{k.P, k.Q, k.G})
	if err != nil {
		return nil, err
	}
	y, err := asn1.Marshal(k.Y)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, Parameters: asn1.RawValue{FullBytes: parameters}},
		asn1.BitString{Bytes: y, BitLength: 8 * len(y)}})
}

func (k testKey) sign(t testing.TB, s apkSignature, data []byte) []byte {
	t.Helper()
	digest := sum(s.hash, data)
	var signature []byte
	var err error
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		if s.pss {
			signature, err = rsa.SignPSS(rand.Reader, p, s.hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, err = rsa.SignPKCS1v15(rand.Reader, p, s.hash, digest)
		}
	case *ecdsa.PrivateKey:
		signature, err = ecdsa.SignASN1(rand.Reader, p, digest)
	case *dsa.PrivateKey:
		var r, v *big.Int
		if r, v, err = dsa.Sign(rand.Reader, p, digest[:20]); err == nil {
			signature, err = asn1.Marshal(struct{ R, S *big.Int }{r, v})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// lp puts a value's length before it.
func lp(parts ...[]byte) []byte {
	b := bytes.Join(parts, nil)
	return append(le.AppendUint32(nil, uint32(len(b))), b...)
}

func word32(n uint32) []byte { return le.AppendUint32(nil, n) }

// testSigner is one signer of a signing block that a test builds.
type testSigner struct {
	key            testKey
	algorithms     []uint32
	minSDK, maxSDK uint32 // for v3 and v3.1
	attributes     [][]byte
	signedMin      uint32          // when not 0: the API level that is signed
	change         func(b []byte)  // of the signed data, after it was signed
	digest         func(b []byte)  // of the digests, before they are signed
	spki           []byte          // instead of the key's
	signAs         *testKey        // signs instead of key
	certs          func() [][]byte // instead of the key's
}

func (s testSigner) build(t testing.TB, scheme uint32, digests apkDigests) []byte {
	t.Helper()
	var listed, signatures []byte
	for _, id := range s.algorithms {
		_, kind, _ := blockAlgorithm(id)
		d := bytes.Clone(digests[kind])
		if s.digest != nil {
			s.digest(d)
		}
		listed = append(listed, lp(word32(id), lp(d))...)
	}
	certs := [][]byte{s.key.cert}
	if s.certs != nil {
		certs = s.certs()
	}
	var listedCerts []byte
	for _, c := range certs {
		listedCerts = append(listedCerts, lp(c)...)
	}
	signed := append(lp(listed), lp(listedCerts)...)
	var levels []byte
	if scheme != blockV2 {
		levels = append(word32(s.minSDK), word32(s.maxSDK)...)
		signed = append(signed, levels...)
		if s.signedMin != 0 {
			le.PutUint32(signed[len(signed)-8:], s.signedMin)
		}
	}
	var attributes []byte
	for _, a := range s.attributes {
		attributes = append(attributes, lp(a)...)
	}
	signed = append(signed, lp(attributes)...)
	by := s.key
	if s.signAs != nil {
		by = *s.signAs
	}
	for _, id := range s.algorithms {
		algorithm, _, known := blockAlgorithm(id)
		signature := []byte("unknown")
		if known {
			signature = by.sign(t, algorithm, signed)
		}
		signatures = append(signatures, lp(word32(id), lp(signature))...)
	}
	if s.change != nil {
		s.change(signed)
	}
	spki := s.key.spki
	if s.spki != nil {
		spki = s.spki
	}
	return lp(lp(signed), levels, lp(signatures), lp(spki))
}

// testScheme is one scheme of a signing block.
type testScheme struct {
	id      uint32
	signers []testSigner
	tail    []byte // after the signers
}

// signBlock appends a signing block with these schemes to the files.
func signBlock(t testing.TB, files []zipFile, schemes ...testScheme) []byte {
	t.Helper()
	plain := buildZIP(t, files, nil, "a comment")
	a := openTestAPK(t, plain)
	// The block begins at a page's border and fills pages, as trees need it.
	gap := (verityPageLen - int(a.zip.directory)%verityPageLen) % verityPageLen
	plain = buildZIP(t, files, make([]byte, gap), "a comment")
	digests := digestsByTheBook(plain, int(a.zip.directory)+gap, int(a.zip.end)+gap)
	var pairs []byte
	for _, s := range schemes {
		var signers []byte
		for _, one := range s.signers {
			signers = append(signers, one.build(t, s.id, digests)...)
		}
		pairs = append(pairs, pair(s.id, lp(signers, s.tail))...)
	}
	fill := verityPageLen - (len(blockOf(pairs))+12)%verityPageLen
	pairs = append(pairs, pair(0x42726577, make([]byte, fill))...)
	return buildZIP(t, files, append(make([]byte, gap), blockOf(pairs)...), "a comment")
}

func pair(id uint32, value []byte) []byte {
	return append(append(le.AppendUint64(nil, uint64(4+len(value))), word32(id)...), value...)
}

func blockOf(pairs []byte) []byte {
	size := le.AppendUint64(nil, uint64(len(pairs)+24))
	return bytes.Join([][]byte{size, pairs, size, []byte(signingBlockMagic)}, nil)
}

// digestsByTheBook digests an APK without signing block in the plainest way, all in memory.
func digestsByTheBook(b []byte, directory, end int) apkDigests {
	var out apkDigests
	for kind, h := range map[int]crypto.Hash{chunkedSHA256: crypto.SHA256, chunkedSHA512: crypto.SHA512} {
		var sums []byte
		n := 0
		for _, section := range [][]byte{b[:directory], b[directory:end], b[end:]} {
			for len(section) > 0 {
				c := section[:min(len(section), 1<<20)]
				section = section[len(c):]
				sums = append(sums, sum(h, append(append([]byte{0xa5}, word32(uint32(len(c)))...), c...))...)
				n++
			}
		}
		out[kind] = sum(h, append(append([]byte{0x5a}, word32(uint32(n))...), sums...))
	}
	out[veritySHA256] = le.AppendUint64(treeByTheBook(pagesByTheBook(b)), uint64(len(b)))
	return out
}

// treeByTheBook is the root over digests of pages: the digest of the one page that is left.
func treeByTheBook(digests []byte) []byte {
	for {
		if digests = pagesByTheBook(digests); len(digests) == verityRootLen {
			return digests
		}
	}
}

func pagesByTheBook(b []byte) (digests []byte) {
	for len(b) > 0 {
		page := make([]byte, 8+4096)
		b = b[copy(page[8:], b):]
		digests = append(digests, sum(crypto.SHA256, page)...)
	}
	return digests
}

// lineage builds a proof of rotation over keys, all of which sign with algorithms of their own.
func lineage(t testing.TB, algorithms []uint32, keys ...testKey) []byte {
	t.Helper()
	out := append(word32(attrRotation), word32(1)...)
	for i, k := range keys {
		before := uint32(0)
		signature := []byte{}
		if i > 0 {
			before = algorithms[i-1]
		}
		signed := append(lp(k.cert), word32(before)...)
		if i > 0 {
			s, _, _ := blockAlgorithm(before)
			signature = keys[i-1].sign(t, s, signed)
		}
		out = append(out, lp(lp(signed), word32(uint32(17)), word32(algorithms[i]), lp(signature))...)
	}
	return out
}

// v1Options say how a JAR signature is made.
type v1Options struct {
	file       string // of the signer, without ending
	digest     string // in the manifest and the signature file
	hash       crypto.Hash
	announce   string
	attributes bool   // signed ones
	sections   bool   // no digest of the whole manifest
	omit       string // file that the signature file leaves out
	change     func(manifest, file, block []byte) (m, f, b []byte)
}

// signV1 adds a JAR signature to files.
func signV1(t testing.TB, files []zipFile, k testKey, o v1Options) []zipFile {
	t.Helper()
	h := map[string]crypto.Hash{"SHA1": crypto.SHA1, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}[o.digest]
	b64 := func(b []byte) string { return base64.StdEncoding.EncodeToString(sum(h, b)) }
	head := "Manifest-Version: 1.0\r\nCreated-By: test\r\n\r\n"
	manifest := head
	var sections string
	for _, f := range files {
		if strings.HasPrefix(f.name, "META-INF/") || strings.HasSuffix(f.name, "/") {
			continue
		}
		section := folded("Name: "+f.name) + o.digest + "-Digest: " + b64(f.content) + "\r\n\r\n"
		manifest += section
		if f.name != o.omit {
			sections += folded("Name: "+f.name) + o.digest + "-Digest: " + b64([]byte(section)) + "\r\n\r\n"
		}
	}
	file := "Signature-Version: 1.0\r\n" + o.digest + "-Digest-Manifest-Main-Attributes: " + b64([]byte(head)) + "\r\n"
	if !o.sections {
		file += o.digest + "-Digest-Manifest: " + b64([]byte(manifest)) + "\r\n"
	}
	if o.announce != "" {
		file += "X-Android-APK-Signed: " + o.announce + "\r\n"
	}
	file += "\r\n" + sections
	m, f := []byte(manifest), []byte(file)
	b := pkcs7(t, k, o.hash, f, o.attributes)
	if o.change != nil {
		m, f, b = o.change(m, f, b)
	}
	out := append([]zipFile(nil), files...)
	if !strings.Contains(fmt.Sprint(names(files)), jarManifestName) {
		out = append(out, zipFile{name: jarManifestName, content: m, deflate: true})
	}
	return append(out, zipFile{name: "META-INF/" + o.file + ".SF", content: f, deflate: true},
		zipFile{name: "META-INF/" + o.file + "." + k.kind, content: b})
}

func names(files []zipFile) (out []string) {
	for _, f := range files {
		out = append(out, f.name)
	}
	return out
}

// folded breaks a line after 70 bytes, as manifests must.
func folded(line string) string {
	out := ""
	for len(line) > 70 {
		out += line[:70] + "\r\n"
		line = " " + line[70:]
	}
	return out + line + "\r\n"
}

// pkcs7 signs content that lies elsewhere.
func pkcs7(t testing.TB, k testKey, h crypto.Hash, content []byte, attributes bool) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	raw := func(tag int, class int, parts ...[]byte) asn1.RawValue {
		return asn1.RawValue{Tag: tag, Class: class, IsCompound: true, Bytes: bytes.Join(parts, nil)}
	}
	digestOID := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.MD5: {1, 2, 840, 113549, 2, 5}, crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA224: {2, 16, 840, 1, 101, 3, 4, 2, 4},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}[h]
	keyOID := map[string]asn1.ObjectIdentifier{"RSA": {1, 2, 840, 113549, 1, 1, 1}, "EC": {1, 2, 840, 10045, 2, 1}, "DSA": {1, 2, 840, 10040, 4, 1}}[k.kind]
	toSign, attribute := content, []byte(nil)
	if attributes {
		contentType := marshal(struct {
			ID  asn1.ObjectIdentifier
			Set []asn1.ObjectIdentifier `asn1:"set"`
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 7, 1}}})
		digest := marshal(struct {
			ID  asn1.ObjectIdentifier
			Set [][]byte `asn1:"set"`
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, [][]byte{sum(h, content)}})
		toSign = marshal(raw(17, 0, contentType, digest))
		attribute = marshal(raw(0, 2, contentType, digest))
	}
	signature := k.sign(t, apkSignature{key: k.kind, hash: h}, toSign)
	info := raw(16, 0, marshal(1),
		marshal(struct {
			Issuer asn1.RawValue
			Serial *big.Int
		}{k.name, k.serial}),
		marshal(pkix.AlgorithmIdentifier{Algorithm: digestOID}), attribute,
		marshal(pkix.AlgorithmIdentifier{Algorithm: keyOID}), marshal(signature))
	data := raw(16, 0, marshal(1), marshal(raw(17, 0, marshal(pkix.AlgorithmIdentifier{Algorithm: digestOID}))),
		marshal(raw(16, 0, marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}))),
		marshal(raw(0, 2, k.cert)), marshal(raw(17, 0, marshal(info))))
	return marshal(raw(16, 0, marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}), marshal(raw(0, 2, marshal(data)))))
}

func sampleFiles(t testing.TB, sdk uint32) []zipFile {
	t.Helper()
	manifest := node("manifest", []xmlAttr{plainAttr("package", "org.example")},
		node("uses-sdk", []xmlAttr{intAttr(attrMinSDK, 21), intAttr(attrTargetSDK, sdk)}), node("application", nil))
	return []zipFile{
		{name: "AndroidManifest.xml", content: buildAXML(manifest, true), deflate: true},
		{name: "classes.dex", content: bytes.Repeat([]byte("dex\n"), 1000), deflate: true},
		{name: "assets/" + strings.Repeat("a long name ", 12), content: []byte("folded in the manifest")},
		{name: "lib/", content: nil},
	}
}

func sha1Hex(b []byte) string { return fmt.Sprintf("%x", sha1.Sum(b)) }
