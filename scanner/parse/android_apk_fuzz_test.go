package parse

import (
	"bytes"
	"context"
	"crypto"
	"testing"
)

func FuzzJARManifest(f *testing.F) {
	f.Add([]byte("Manifest-Version: 1.0\r\n\r\nName: a\r\n b\r\nSHA1-Digest: x\r\n\r\n"))
	f.Add([]byte("A: b\n\n\n\nName: c\n\nName: c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseJARManifest(b)
		if err != nil {
			return
		}
		for name, s := range m.sections {
			if got, ok := s.attr("name"); !ok || got != name || !bytes.Contains(b, s.raw) {
				t.Errorf("section %q has the name %q", name, got)
			}
		}
	})
}

func FuzzSignedFile(f *testing.F) {
	k := keysOf(f)
	f.Add(pkcs7(f, k.ec, crypto.SHA256, []byte("content"), true))
	f.Add(pkcs7(f, k.dsa, crypto.SHA1, []byte("content"), false))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseSignedFile(b)
		if err != nil {
			return
		}
		if signer, err := p.verify([]byte("other content")); err == nil || signer.State == SignatureVerified {
			t.Error("a signature over something else verifies")
		}
	})
}

// FuzzSigningBlock puts a block of any bytes before the directory of an APK.
func FuzzSigningBlock(f *testing.F) {
	k := keysOf(f)
	files := sampleFiles(f, 28)
	one := testSigner{key: k.ec, algorithms: []uint32{0x0201, 0x0423}, minSDK: 28, maxSDK: 40}
	rotated := testSigner{key: k.ec, algorithms: []uint32{0x0201}, minSDK: 33, maxSDK: 40, attributes: [][]byte{lineage(f, []uint32{0x0103, 0x0201}, k.rsa, k.ec)}}
	good := signBlock(f, files, testScheme{id: blockV2, signers: []testSigner{one}}, testScheme{id: blockV3, signers: []testSigner{one}}, testScheme{id: blockV31, signers: []testSigner{rotated}})
	directory := bytes.Index(good, []byte("PK\x01\x02"))
	f.Add(good[directory-int(le.Uint64(good[directory-24:]))-8 : directory])
	f.Add(blockOf(pair(blockV2, lp(lp(lp())))))
	other := append(sampleFiles(f, 29), zipFile{name: "other"})
	f.Fuzz(func(t *testing.T, block []byte) {
		b := buildZIP(t, other, block, "")
		s := verifyBytes(t, b)
		for sdk := range 40 {
			if state, _, _ := s.At(sdk); state == SignatureVerified {
				t.Errorf("verified at %d, though the block is of another APK", sdk)
			}
		}
	})
}

func FuzzAPK(f *testing.F) {
	k := keysOf(f)
	files := signV1(f, sampleFiles(f, 28), k.ec, v1Options{file: "CERT", digest: "SHA-256", hash: crypto.SHA256})
	f.Add(signBlock(f, files, testScheme{id: blockV2, signers: []testSigner{{key: k.ec, algorithms: []uint32{0x0201}}}}))
	f.Add(buildZIP(f, files, nil, "comment"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := OpenAPK(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		s := a.Verify(context.Background(), APKVerifyOptions{MaxContent: 1 << 20})
		for sdk := 20; sdk < 40; sdk++ {
			if state, signers, reason := s.At(sdk); (state == SignatureVerified) != (len(signers) > 0) || (state == SignatureVerified) != (reason == "") {
				t.Errorf("at %d: %s, %d signers, %q", sdk, state, len(signers), reason)
			}
		}
	})
}
