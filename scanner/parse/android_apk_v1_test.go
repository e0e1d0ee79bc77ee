package parse

import (
	"bytes"
	"crypto"
	"fmt"
	"testing"
)

func TestJARSignatures(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	files := sampleFiles(t, 28)
	for _, key := range []testKey{k.rsa, k.ec, k.dsa} {
		for _, h := range []crypto.Hash{crypto.MD5, crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			for i, digest := range []string{"SHA1", "SHA-256", "SHA-384", "SHA-512"} {
				o := v1Options{file: "CERT", digest: digest, hash: h, attributes: i%2 == 0, sections: i >= 2}
				what := fmt.Sprintf("%s %s, digests %s", key.kind, h, digest)
				if key.kind == "DSA" && h == crypto.MD5 {
					continue
				}
				s := verifyBytes(t, buildZIP(t, signV1(t, files, key, o), nil, ""))
				expect(t, what, s, "v1", SignatureVerified, "")
				if state, signers, reason := s.At(30); state != SignatureVerified || signers[0].Certificates[0].SHA1 != sha1Hex(key.cert) {
					t.Errorf("%s: %s %q", what, state, reason)
				}
			}
		}
	}
	both := signV1(t, signV1(t, files, k.rsa, v1Options{file: "A", digest: "SHA-256", hash: crypto.SHA256}), k.ec, v1Options{file: "B", digest: "SHA-256", hash: crypto.SHA256})
	if _, signers, reason := verifyBytes(t, buildZIP(t, both, nil, "")).At(30); len(signers) != 2 {
		t.Errorf("two signers: %d, %q", len(signers), reason)
	}
}

func TestJARSignaturesThatFail(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	files := sampleFiles(t, 28)
	standard := v1Options{file: "CERT", digest: "SHA-256", hash: crypto.SHA256}
	sign := func(change func(o *v1Options)) []zipFile {
		o := standard
		if change != nil {
			change(&o)
		}
		return signV1(t, files, k.rsa, o)
	}
	replaced := func(name string, content []byte, deflate bool) []zipFile {
		out := sign(nil)
		for i := range out {
			if out[i].name == name {
				out[i].content, out[i].deflate = content, deflate
			}
		}
		return out
	}
	without := func(name string) []zipFile {
		var out []zipFile
		for _, f := range sign(nil) {
			if f.name != name {
				out = append(out, f)
			}
		}
		return out
	}
	signed := sign(nil)
	lying := append([]zipFile(nil), signed...)
	lying[1].local = func(b []byte) { copy(b[zipLocalLen:], "clasSes") }
	method := append([]zipFile(nil), signed...)
	method[2].central = func(b []byte) { b[10] = 99 }
	otherMethod := append([]zipFile(nil), signed...)
	otherMethod[1].local = func(b []byte) { b[8] = 99 }
	long := append([]zipFile(nil), signed...)
	long[1].central = func(b []byte) { le.PutUint32(b[24:], 3999) }
	long[1].local = func(b []byte) { le.PutUint32(b[22:], 3999) }
	for _, c := range []struct {
		name    string
		files   []zipFile
		state   SignatureState
		problem string
	}{
		{"file changed", replaced("classes.dex", []byte("other"), true), SignatureFailed, `"classes.dex": changed`},
		{"file added", append(signed[:len(signed):len(signed)], zipFile{name: "extra", content: nil}), SignatureFailed, `"extra": not signed`},
		{"file in META-INF added", append(signed[:len(signed):len(signed)], zipFile{name: "META-INF/x", content: nil}), SignatureVerified, ""},
		{"file twice", append(signed[:len(signed):len(signed)], zipFile{name: "classes.dex", content: []byte("other")}), SignatureFailed, "twice"},
		{"file in META-INF twice", append(signed[:len(signed):len(signed)], zipFile{name: jarManifestName, content: []byte("other")}), SignatureFailed, "twice"},
		{"file gone", without("classes.dex"), SignatureFailed, "not in the APK"},
		{"no manifest", without(jarManifestName), SignatureFailed, "no META-INF/MANIFEST.MF"},
		{"no signature file", without("META-INF/CERT.SF"), SignatureFailed, "there is no META-INF/CERT.SF"},
		{"local header has another name", lying, SignatureFailed, "local header has the name"},
		{"method that there is not", method, SignatureFailed, "compression method 99"},
		{"other method in the local header, which Android does not look at", otherMethod, SignatureVerified, ""},
		{"longer than it claims", long, SignatureFailed, "longer than the central directory says"},
		{"file that is not signed", sign(func(o *v1Options) { o.omit = "classes.dex" }), SignatureFailed, `"classes.dex": not signed`},
		{"manifest changed", sign(func(o *v1Options) {
			o.change = func(m, f, b []byte) ([]byte, []byte, []byte) {
				return bytes.Replace(m, []byte("Digest: "), []byte("Digest:  "), 1), f, b
			}
		}), SignatureFailed, "section for"},
		{"manifest's main part changed", sign(func(o *v1Options) {
			o.change = func(m, f, b []byte) ([]byte, []byte, []byte) {
				return bytes.Replace(m, []byte("test"), []byte("tset"), 1), f, b
			}
		}), SignatureFailed, "main part"},
		{"section added to the manifest", sign(func(o *v1Options) {
			o.change = func(m, f, b []byte) ([]byte, []byte, []byte) {
				return append(m, "Name: more\r\nSHA-256-Digest: aGVsbG8=\r\n\r\n"...), f, b
			}
		}), SignatureFailed, `"more" is in the manifest but not in the APK`},
		{"signature file changed", sign(func(o *v1Options) {
			o.change = func(m, f, b []byte) ([]byte, []byte, []byte) { return m, append(f, "\r\n"...), b }
		}), SignatureFailed, "does not verify"},
		{"signature file changed under signed attributes", sign(func(o *v1Options) {
			o.attributes = true
			o.change = func(m, f, b []byte) ([]byte, []byte, []byte) { return m, append(f, "\r\n"...), b }
		}), SignatureFailed, "digest is another file's"},
		{"no PKCS#7", sign(func(o *v1Options) {
			o.change = func(m, f, _ []byte) ([]byte, []byte, []byte) { return m, f, []byte("nothing") }
		}), SignatureFailed, "no PKCS#7"},
		{"manifest that is none", sign(func(o *v1Options) {
			o.change = func(_, f, b []byte) ([]byte, []byte, []byte) { return []byte("nothing\n"), f, b }
		}), SignatureFailed, "line without a name"},
	} {
		s := verifyBytes(t, buildZIP(t, c.files, nil, ""))
		expect(t, c.name, s, "v1", c.state, c.problem)
		if state, signers, _ := s.At(28); state != c.state || state != SignatureVerified && signers != nil {
			t.Errorf("%s: at 28 %s, %d signers", c.name, state, len(signers))
		}
	}
	if s := verifyBytes(t, buildZIP(t, files, nil, "")); len(s.Schemes) != 0 {
		t.Errorf("unsigned: %+v", s.Schemes)
	}
}

func TestStrippedAndOutdatedJARSignatures(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	for _, c := range []struct {
		announce string
		target   uint32
		want     map[int]SignatureState
	}{
		{"", 28, map[int]SignatureState{23: SignatureVerified, 24: SignatureVerified, 34: SignatureVerified}},
		{"2", 28, map[int]SignatureState{23: SignatureVerified, 24: SignatureFailed, 34: SignatureFailed}},
		{"3", 28, map[int]SignatureState{23: SignatureVerified, 27: SignatureVerified, 28: SignatureFailed}},
		{"2, 3", 28, map[int]SignatureState{23: SignatureVerified, 24: SignatureFailed}},
		{"", 30, map[int]SignatureState{29: SignatureVerified, 30: SignatureFailed}},
	} {
		files := signV1(t, sampleFiles(t, c.target), k.rsa, v1Options{file: "CERT", digest: "SHA-256", hash: crypto.SHA256, announce: c.announce})
		s := verifyBytes(t, buildZIP(t, files, nil, ""))
		for sdk, want := range c.want {
			if state, _, reason := s.At(sdk); state != want {
				t.Errorf("announces %q, target %d: at %d %s, %q", c.announce, c.target, sdk, state, reason)
			}
		}
		s = verifyBytes(t, signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{{key: k.rsa, algorithms: []uint32{0x0103}}}}))
		if state, _, reason := s.At(34); state != SignatureVerified {
			t.Errorf("announces %q, and v2 is there: %s, %q", c.announce, state, reason)
		}
	}
}
