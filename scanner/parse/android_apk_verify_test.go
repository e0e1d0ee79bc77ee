package parse

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"strings"
	"testing"
)

func verifyBytes(t testing.TB, b []byte) *APKSignatures {
	t.Helper()
	return openTestAPK(t, b).Verify(context.Background(), APKVerifyOptions{})
}

// expect holds one scheme's state and, when it is not verified, what it complains of.
func expect(t *testing.T, what string, s *APKSignatures, scheme string, state SignatureState, problem string) {
	t.Helper()
	got := s.Scheme(scheme)
	if got == nil {
		t.Errorf("%s: no %s; %q", what, scheme, s.Problems)
		return
	}
	if got.State != state || !strings.Contains(strings.Join(got.Problems, "\n"), problem) {
		t.Errorf("%s: %s is %s with %q, want %s with %q", what, scheme, got.State, got.Problems, state, problem)
	}
}

func TestEveryAlgorithmOfTheSigningBlock(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	files := append(sampleFiles(t, 33), zipFile{name: "big", content: bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16*2+100)})
	for _, c := range []struct {
		id  uint32
		key testKey
	}{{0x0101, k.rsa}, {0x0102, k.rsa2}, {0x0103, k.rsa}, {0x0104, k.rsa}, {0x0201, k.ec}, {0x0202, k.ec}, {0x0301, k.dsa}, {0x0421, k.rsa}, {0x0423, k.ec}, {0x0425, k.dsa}} {
		one := testSigner{key: c.key, algorithms: []uint32{c.id}, minSDK: 24, maxSDK: 1<<31 - 1}
		b := signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{one}}, testScheme{id: blockV3, signers: []testSigner{one}})
		what := fmt.Sprintf("%#x", c.id)
		s := verifyBytes(t, b)
		expect(t, what, s, "v2", SignatureVerified, "")
		expect(t, what, s, "v3", SignatureVerified, "")
		state, signers, _ := s.At(34)
		if state != SignatureVerified || len(signers) != 1 || signers[0].Certificates[0].SHA1 != sha1Hex(c.key.cert) ||
			signers[0].Certificates[0].KeyAlgorithm != c.key.kind || signers[0].Certificates[0].KeyBits == 0 {
			t.Errorf("%s: at API level 34 %s by %+v", what, state, signers)
		}
		for _, at := range []int{50, bytes.Index(b, []byte("PK\x01\x02")) + 12, len(b) - 1} {
			changed := bytes.Clone(b)
			changed[at] ^= 1
			s := verifyBytes(t, changed)
			expect(t, what+" changed", s, "v2", SignatureFailed, "the content has been changed")
			expect(t, what+" changed", s, "v3", SignatureFailed, "the content has been changed")
		}
	}
}

func TestDigestTrees(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 4095, 4096, 4097, 2 * 4096, 127*4096 + 1, 128 * 4096, 128*4096 + 1, 300 * 4096} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i>>12 + i)
		}
		tree := newVerityTree()
		for rest := b; len(rest) > 0; {
			c := rest[:min(len(rest), 100_003)]
			tree.write(c)
			rest = rest[len(c):]
		}
		if want := treeByTheBook(pagesByTheBook(b)); !bytes.Equal(tree.root(), want) {
			t.Errorf("%d bytes: another root", n)
		}
	}
	// 128 digests fill a page, 128*128 a page of the level above.
	for _, n := range []int{128, 129, 128*128 - 1, 128 * 128, 128*128 + 1, 128*128*2 + 1} {
		tree := newVerityTree()
		var leaves []byte
		for i := range n {
			digest := sum(crypto.SHA256, word32(uint32(i)))
			leaves = append(leaves, digest...)
			tree.add(0, [verityRootLen]byte(digest))
		}
		if !bytes.Equal(tree.root(), treeByTheBook(leaves)) {
			t.Errorf("%d leaves: another root", n)
		}
	}
}

func TestSigningBlocksThatFail(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	good := func() testSigner {
		return testSigner{key: k.ec, algorithms: []uint32{0x0201}, minSDK: 28, maxSDK: 1<<31 - 1}
	}
	for _, c := range []struct {
		name    string
		scheme  uint32
		change  func(*testSigner)
		state   SignatureState
		problem string
	}{
		{"another key signs", blockV3, func(s *testSigner) { s.signAs = &k.ec2 }, SignatureFailed, "does not verify"},
		{"signed data changed", blockV3, func(s *testSigner) { s.change = func(b []byte) { b[len(b)-1] ^= 1 } }, SignatureFailed, "does not verify"},
		{"another certificate", blockV2, func(s *testSigner) { s.certs = func() [][]byte { return [][]byte{k.ec2.cert} } }, SignatureFailed, "another public key"},
		{"no certificate", blockV2, func(s *testSigner) { s.certs = func() [][]byte { return nil } }, SignatureFailed, "no certificates"},
		{"no X.509", blockV2, func(s *testSigner) { s.certs = func() [][]byte { return [][]byte{[]byte("0\x03abc")} } }, SignatureFailed, "no X.509"},
		{"digest of another file", blockV3, func(s *testSigner) { s.digest = func(b []byte) { b[0] ^= 1 } }, SignatureFailed, "content has been changed"},
		{"unknown algorithm alone", blockV2, func(s *testSigner) { s.algorithms = []uint32{0x9999} }, SignatureFailed, "no signature of an algorithm"},
		{"unknown algorithm too", blockV2, func(s *testSigner) { s.algorithms = []uint32{0x9999, 0x0201} }, SignatureVerified, "unknown algorithm 0x9999"},
		{"the stronger one counts", blockV2, func(s *testSigner) { s.algorithms = []uint32{0x0201, 0x0202, 0x0423} }, SignatureVerified, ""},
		{"algorithm of another key", blockV2, func(s *testSigner) {
			s.key.spki = k.rsa.spki
			s.certs = func() [][]byte { return [][]byte{k.rsa.cert} }
		}, SignatureFailed, "signature of an RSA key"},
		{"key of an unknown kind", blockV2, func(s *testSigner) { s.spki = []byte("no key") }, SignatureUnknown, "unsupported algorithm"},
		{"other API levels signed", blockV3, func(s *testSigner) { s.signedMin = 30 }, SignatureFailed, "but 30 to"},
		{"v3 stripped", blockV2, func(s *testSigner) { s.attributes = [][]byte{append(word32(attrStripping), word32(3)...)} }, SignatureFailed, "has been stripped"},
		{"v3.1 stripped", blockV3, func(s *testSigner) { s.attributes = [][]byte{append(word32(attrRotationMinSDK), word32(33)...)} }, SignatureFailed, "has been stripped"},
		{"attribute cut off", blockV3, func(s *testSigner) { s.attributes = [][]byte{{1, 2}} }, SignatureFailed, "cut off"},
		{"unknown attribute", blockV3, func(s *testSigner) { s.attributes = [][]byte{word32(0x12345678)} }, SignatureVerified, "unknown attribute 0x12345678"},
	} {
		s := good()
		c.change(&s)
		got := verifyBytes(t, signBlock(t, sampleFiles(t, 33), testScheme{id: c.scheme, signers: []testSigner{s}}))
		scheme := map[uint32]string{blockV2: "v2", blockV3: "v3"}[c.scheme]
		expect(t, c.name, got, scheme, c.state, c.problem)
		if strings.Contains(c.name, "stripped") {
			before := map[uint32]int{blockV2: 27, blockV3: 32}[c.scheme]
			if state, signers, _ := got.At(before); state != SignatureVerified || len(signers) != 1 {
				t.Errorf("%s: at %d, which does not know the newer scheme, %s", c.name, before, state)
			}
		}
		if state, signers, reason := got.At(34); state != c.state || (state == SignatureVerified) != (len(signers) == 1) || (state == SignatureVerified) != (reason == "") {
			t.Errorf("%s: at 34 %s, %d signers, %q", c.name, state, len(signers), reason)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	algorithms := []uint32{0x0103, 0x0201, 0x0201}
	proof := lineage(t, algorithms, k.rsa, k.ec, k.ec2)
	foreign := lineage(t, algorithms, k.rsa, k.ec, k.ec2)
	copy(foreign[len(foreign)-20:], "no signature of ours")
	old := testSigner{key: k.rsa, algorithms: []uint32{0x0103}, minSDK: 28, maxSDK: 32,
		attributes: [][]byte{append(word32(attrRotationMinSDK), word32(33)...)}}
	fresh := testSigner{key: k.ec2, algorithms: []uint32{0x0201}, minSDK: 33, maxSDK: 1<<31 - 1, attributes: [][]byte{proof}}
	files := sampleFiles(t, 33)
	s := verifyBytes(t, signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{{key: k.rsa, algorithms: []uint32{0x0103}}}},
		testScheme{id: blockV3, signers: []testSigner{old}}, testScheme{id: blockV31, signers: []testSigner{fresh}}))
	for sdk, want := range map[int]testKey{24: k.rsa, 28: k.rsa, 32: k.rsa, 33: k.ec2, 36: k.ec2} {
		state, signers, reason := s.At(sdk)
		if state != SignatureVerified || len(signers) != 1 || !bytes.Equal(signers[0].Certificates[0].DER, want.cert) {
			t.Errorf("at %d: %s, %+v, %q", sdk, state, signers, reason)
			continue
		}
		if sdk >= 33 && (len(signers[0].Lineage) != 3 || !bytes.Equal(signers[0].Lineage[0].DER, k.rsa.cert) || signers[0].Lineage[1].Flags != 17) {
			t.Errorf("at %d: lineage %+v", sdk, signers[0].Lineage)
		}
	}
	if state, _, reason := s.At(23); state != SignatureAbsent || reason == "" {
		t.Errorf("at 23: %s, %q", state, reason)
	}
	for _, c := range []struct {
		name    string
		proof   []byte
		key     testKey
		problem string
	}{
		{"last signature changed", foreign, k.ec2, "certificate 3"},
		{"leads elsewhere", proof, k.rsa2, "leads to another certificate"},
		{"one key twice", lineage(t, algorithms, k.rsa, k.rsa), k.rsa, "twice"},
		{"version", edit(proof, 4, 2), k.ec2, "version 2"},
		{"cut off", proof[:len(proof)-1], k.ec2, "cut off"},
		{"empty", proof[:8], k.ec2, "no certificates"},
		{"signed by another key", lineage(t, algorithms, testKey{private: k.rsa2.private, kind: "RSA", cert: k.rsa.cert}, k.ec, k.ec2), k.ec2, "does not verify"},
	} {
		id := uint32(0x0201)
		if c.key.kind == "RSA" {
			id = 0x0103
		}
		state := SignatureFailed
		if c.name == "version" {
			state = SignatureUnknown
		}
		s := verifyBytes(t, signBlock(t, files, testScheme{id: blockV3, signers: []testSigner{{key: c.key, algorithms: []uint32{id}, minSDK: 28, maxSDK: 40, attributes: [][]byte{c.proof}}}}))
		expect(t, c.name, s, "v3", state, c.problem)
	}
}

func TestSignersByAPILevel(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	signer := func(key testKey, id, lowest, highest uint32) testSigner {
		return testSigner{key: key, algorithms: []uint32{id}, minSDK: lowest, maxSDK: highest}
	}
	files := sampleFiles(t, 30)
	s := verifyBytes(t, signBlock(t, files, testScheme{id: blockV3, signers: []testSigner{signer(k.rsa, 0x0103, 28, 30), signer(k.ec, 0x0201, 30, 31)}}))
	for sdk, want := range map[int]SignatureState{28: SignatureVerified, 30: SignatureFailed, 31: SignatureVerified, 33: SignatureFailed} {
		if state, _, reason := s.At(sdk); state != want {
			t.Errorf("at %d: %s, %q", sdk, state, reason)
		}
	}
	several := verifyBytes(t, signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{signer(k.rsa, 0x0103, 0, 0), signer(k.ec, 0x0201, 0, 0)}}))
	if state, signers, _ := several.At(30); state != SignatureVerified || len(signers) != 2 {
		t.Errorf("two signers of v2: %s, %d", state, len(signers))
	}
	for _, scheme := range []uint32{blockV2, blockV3} {
		cut := verifyBytes(t, signBlock(t, files, testScheme{id: scheme, signers: []testSigner{signer(k.rsa, 0x0103, 28, 40)}, tail: []byte{1, 2, 3}}))
		if state, signers, reason := cut.At(30); state != SignatureFailed || signers != nil || !strings.Contains(reason, "signer 2 is cut off") {
			t.Errorf("list of signers cut off: %s, %d, %q", state, len(signers), reason)
		}
	}
	oneBad := signer(k.ec, 0x0201, 0, 0)
	oneBad.signAs = &k.ec2
	several = verifyBytes(t, signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{signer(k.rsa, 0x0103, 0, 0), oneBad}}))
	if state, signers, _ := several.At(30); state != SignatureFailed || signers != nil {
		t.Errorf("one of two signers of v2 fails: %s, %d", state, len(signers))
	}
}

func TestVerifyWithinLimits(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	files := signV1(t, sampleFiles(t, 28), k.rsa, v1Options{file: "CERT", digest: "SHA-256", hash: crypto.SHA256})
	a := openTestAPK(t, signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{{key: k.rsa, algorithms: []uint32{0x0103}}}},
		testScheme{id: blockV3, signers: []testSigner{{key: k.rsa, algorithms: []uint32{0x0103}, minSDK: 28, maxSDK: 40}}}))
	all := func(o APKVerifyOptions) (text string) {
		for _, s := range a.Verify(context.Background(), o).Schemes {
			text += s.Name + " " + s.State.String() + ";"
		}
		return text
	}
	for want, o := range map[string]APKVerifyOptions{
		"v1 verified;v2 verified;v3 verified;": {},
		"v3 verified;":                         {SDK: 34},
		"v2 verified;":                         {SDK: 24},
		"v1 verified;":                         {SDK: 23},
		"v1 unknown;v2 unknown;v3 unknown;":    {SkipContent: true},
		"v1 unknown;v2 verified;v3 verified;":  {MaxContent: 100},
	} {
		if got := all(o); got != want {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := a.Verify(ctx, APKVerifyOptions{})
	for _, scheme := range s.Schemes {
		if scheme.State != SignatureUnknown {
			t.Errorf("cancelled: %s is %s", scheme.Name, scheme.State)
		}
	}
	if state, signers, reason := s.At(34); state != SignatureUnknown || signers != nil || !strings.Contains(reason, "canceled") {
		t.Errorf("cancelled: %s, %d signers, %q", state, len(signers), reason)
	}
}

func TestDamagedSigningBlocks(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	files := sampleFiles(t, 28)
	v2 := testSigner{key: k.ec, algorithms: []uint32{0x0201}}
	good := signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{v2}})
	directory := bytes.Index(good, []byte("PK\x01\x02"))
	size := int(le.Uint64(good[directory-24:]))
	start := directory - size - 8
	whole := func(pairs []byte) []byte { return buildZIP(t, files, blockOf(pairs), "") }
	for _, c := range []struct {
		name   string
		b      []byte
		absent bool // as Android has it
		msg    string
	}{
		{"magic alone", buildZIP(t, files, []byte(signingBlockMagic), ""), true, "ignored"},
		{"size by the foot", edit(good, directory-24, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), true, "ignored: it claims"},
		{"size of nothing", edit(good, directory-24, 0, 0), true, "ignored: it claims"},
		{"size by the head", edit(good, start, good[start]+1), true, "by its head"},
		{"pair beyond the block", edit(good, start+8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), true, "pair of the signing block claims"},
		{"pair of no size", edit(good, start+8, 0, 0), true, "claims 0 of"},
		{"pair cut off", whole(make([]byte, 7)), true, "cut off"},
		{"too many pairs", whole(bytes.Repeat(pair(1, nil), maxSigningPairs+1)), false, "more than 4096 pairs"},
		{"huge pair", whole(pair(blockV2, make([]byte, maxSchemeLen+1))), false, "more than the"},
		{"empty scheme", whole(pair(blockV2, nil)), false, "list of signers"},
		{"no signers", whole(pair(blockV2, lp())), false, "no signers"},
		{"signer of nothing", whole(pair(blockV2, lp(lp()))), false, "signed data: cut off"},
		{"too many signers", whole(pair(blockV2, lp(bytes.Repeat(lp(), 11)))), false, "one too many"},
		{"bytes before the end record", bytes.Replace(good, []byte("PK\x05\x06"), []byte("xPK\x05\x06"), 1), true, "does not end at its end record"},
		{"second scheme of one id", signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{v2}}, testScheme{id: blockV2, signers: nil}), false, "second value"},
	} {
		s := verifyBytes(t, c.b)
		text := strings.Join(s.Problems, "\n")
		if v := s.Scheme("v2"); v != nil {
			text += strings.Join(v.Problems, "\n")
		}
		if (s.Scheme("v2") == nil) != c.absent || !strings.Contains(text, c.msg) {
			t.Errorf("%s: %+v, want a complaint with %q", c.name, *s, c.msg)
		}
		if state, _, _ := s.At(28); state == SignatureVerified && c.msg != "second value" {
			t.Errorf("%s: verified", c.name)
		}
	}
}

func TestReasonIsTheFailure(t *testing.T) {
	t.Parallel()
	files := sampleFiles(t, 33)
	b := signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{{key: keysOf(t).ec, algorithms: []uint32{0x9901, 0x0201}}}})
	b[40] ^= 1
	if _, _, reason := verifyBytes(t, b).At(34); !strings.Contains(reason, "content has been changed") {
		t.Errorf("reason %q", reason)
	}
}

// A digest by tree is only good for a signing block of whole pages.
func TestTreesNeedWholePages(t *testing.T) {
	t.Parallel()
	files := sampleFiles(t, 28)
	good := signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{{key: keysOf(t).ec, algorithms: []uint32{0x0423}}}})
	directory := bytes.Index(good, []byte("PK\x01\x02"))
	start := directory - int(le.Uint64(good[directory-24:])) - 8
	expect(t, "whole pages", verifyBytes(t, good), "v2", SignatureVerified, "")
	pairs := good[start+8 : directory-24]
	for name, block := range map[string][]byte{
		"moved":  append(make([]byte, 100), good[start:directory]...),
		"longer": blockOf(append(bytes.Clone(pairs), pair(1, make([]byte, 88))...)),
	} {
		padding := make([]byte, start-bytesBefore(t, files))
		expect(t, name, verifyBytes(t, buildZIP(t, files, append(padding, block...), "a comment")), "v2", SignatureFailed, "no whole pages")
	}
}

// bytesBefore is where the directory of an unsigned APK begins.
func bytesBefore(t *testing.T, files []zipFile) int {
	return int(openTestAPK(t, buildZIP(t, files, nil, "")).zip.directory)
}

// A reader that fails makes the result unknown: the device could not be read, nobody cheated.
func TestUnreadableAPK(t *testing.T) {
	t.Parallel()
	k := keysOf(t)
	files := signV1(t, append(sampleFiles(t, 28), zipFile{name: "big", content: make([]byte, 1<<20)}), k.rsa, v1Options{file: "CERT", digest: "SHA-256", hash: crypto.SHA256})
	b := signBlock(t, files, testScheme{id: blockV2, signers: []testSigner{{key: k.rsa, algorithms: []uint32{0x0103}}}})
	a, err := OpenAPK(brokenReader{bytes.NewReader(b), 600_000}, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	s := a.Verify(context.Background(), APKVerifyOptions{})
	expect(t, "broken", s, "v1", SignatureUnknown, "could not be read")
	expect(t, "broken", s, "v2", SignatureUnknown, "could not be read")
}

type brokenReader struct {
	*bytes.Reader
	bad int64
}

func (r brokenReader) ReadAt(b []byte, off int64) (int, error) {
	if off <= r.bad && r.bad < off+int64(len(b)) {
		return 0, fmt.Errorf("input/output error")
	}
	return r.Reader.ReadAt(b, off)
}

// BenchmarkContentDigests measures what verifying v2 or v3 costs: the digest of the whole APK.
func BenchmarkContentDigests(b *testing.B) {
	apk := buildZIP(b, []zipFile{{name: "big", content: make([]byte, 64<<20)}}, nil, "")
	z := openTestAPK(b, apk).zip
	for name, kind := range map[string]int{"sha256": chunkedSHA256, "sha512": chunkedSHA512, "verity": veritySHA256} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(apk)))
			b.ReportAllocs()
			for b.Loop() {
				var want [apkDigestKinds]bool
				want[kind] = true
				if _, err := z.contentDigests(context.Background(), z.directory, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
