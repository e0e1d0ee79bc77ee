package parse

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Ids of the signing block's pairs, and of attributes of signers.
const (
	blockV2  = 0x7109871a
	blockV3  = 0xf05368c0
	blockV31 = 0x1b93ad61

	attrStripping      = 0xbeeff00d // of v2: the number of a newer scheme that is there too
	attrRotation       = 0x3ba06f8c // of v3 and v3.1: proof of rotation
	attrRotationMinSDK = 0x559f8b02 // of v3: v3.1 is there too, from that API level on
	attrRotationDev    = 0xc2a6b3ba // of v3.1: meant for a release in the making

	signingBlockMagic  = "APK Sig Block 42"
	maxSigningPairs    = 4096
	maxSchemeLen       = 8 << 20
	maxAPKSigners      = 10
	maxAPKCertificates = 64  // of one signer, and of a lineage
	maxSignerList      = 256 // signatures, digests or attributes of one signer
)

// signingBlock is the APK Signing Block, which lies right before the central directory.
type signingBlock struct {
	start    int64 // offset; -1 without one
	size     int64 // with both its own counts
	schemes  map[uint32][]byte
	unread   map[uint32]error
	problems apkProblems
}

// apkSchemes are the schemes of the signing block in the order of their age.
var apkSchemes = [...]struct {
	id   uint32
	name string
	sdk  int // API level of the first release that knows it
}{{blockV2, "v2", 24}, {blockV3, "v3", 28}, {blockV31, "v3.1", 33}}

// findSigningBlock reads the block. A damaged one is none to Android, which then looks at the
// first scheme; the damage becomes a problem.
func (z *apkZip) findSigningBlock() *signingBlock {
	b := &signingBlock{start: -1, schemes: map[uint32][]byte{}, unread: map[uint32]error{}}
	const foot = 8 + len(signingBlockMagic)
	if z.directory < 8+int64(foot) {
		return b
	}
	tail, err := readFullAt(z.r, z.directory-int64(foot), foot)
	if err != nil {
		b.unreadable(err)
		return b
	}
	if string(tail[8:]) != signingBlockMagic {
		return b
	}
	if size := int64(binary.LittleEndian.Uint32(z.eocd[12:])); z.directory+size != z.end {
		b.problems.add("signing block ignored: the central directory does not end at its end record")
		return b
	}
	size := binary.LittleEndian.Uint64(tail)
	if size < uint64(foot) || size > uint64(z.directory-8) {
		b.problems.add("signing block ignored: it claims %d bytes, %d lie before the central directory", size, z.directory)
		return b
	}
	start := z.directory - int64(size) - 8
	head, err := readFullAt(z.r, start, 8)
	if err != nil {
		b.unreadable(err)
		return b
	}
	if binary.LittleEndian.Uint64(head) != size {
		b.problems.add("signing block ignored: %d bytes by its head, %d by its foot", binary.LittleEndian.Uint64(head), size)
		return b
	}
	b.start, b.size = start, int64(size)+8
	b.readPairs(z, z.directory-int64(foot))
	return b
}

func (b *signingBlock) unreadable(err error) {
	for _, s := range apkSchemes {
		b.unread[s.id] = fmt.Errorf("%w: %w", errReading, err)
	}
}

// readPairs reads pairs of id and value up to end. Android takes the first of each id, and does
// not mind damage behind the one that it looks for.
func (b *signingBlock) readPairs(z *apkZip, end int64) {
	at := b.start + 8
	for n := 0; at < end; n++ {
		if n == maxSigningPairs {
			b.unreadableRest(fmt.Errorf("%w: signing block of more than %d pairs", errSkipped, maxSigningPairs))
			return
		}
		if end-at < 12 {
			b.problems.add("offset %d: pair of the signing block is cut off", at)
			return
		}
		head, err := readFullAt(z.r, at, 12)
		if err != nil {
			b.unreadableRest(fmt.Errorf("%w: %w", errReading, err))
			return
		}
		size, id := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint32(head[8:])
		if size < 4 || size > uint64(end-at-8) {
			b.problems.add("offset %d: pair of the signing block claims %d of %d bytes", at, size, end-at-8)
			return
		}
		b.readPair(z, id, at+12, int64(size)-4)
		at += 8 + int64(size)
	}
}

func (b *signingBlock) readPair(z *apkZip, id uint32, at, size int64) {
	if id != blockV2 && id != blockV3 && id != blockV31 {
		return
	}
	if b.has(id) {
		b.problems.add("offset %d: second value of id %#x in the signing block, which Android does not look at", at, id)
		return
	}
	if size > maxSchemeLen {
		b.unread[id] = fmt.Errorf("%w: %d bytes, more than the %d that are read", errSkipped, size, maxSchemeLen)
		return
	}
	value, err := readFullAt(z.r, at, int(size))
	if err != nil {
		b.unread[id] = fmt.Errorf("%w: %w", errReading, err)
		return
	}
	b.schemes[id] = value
}

// unreadableRest marks what has not been found yet: it may be there.
func (b *signingBlock) unreadableRest(err error) {
	for _, s := range apkSchemes {
		if !b.has(s.id) {
			b.unread[s.id] = err
		}
	}
}

func (b *signingBlock) has(id uint32) bool {
	_, read := b.schemes[id]
	return read || b.unread[id] != nil
}

// speaksAt says whether Android of that API level finds a signature in the block.
func (b *signingBlock) speaksAt(sdk int) bool {
	for _, s := range apkSchemes {
		if sdk >= s.sdk && b.has(s.id) {
			return true
		}
	}
	return false
}

// verify verifies the schemes of the block that are asked for.
func (b *signingBlock) verify(ctx context.Context, z *apkZip, o APKVerifyOptions) []APKScheme {
	var out []APKScheme
	var claims [][]apkDigests // of each scheme, of each signer
	for _, s := range apkSchemes {
		if !b.has(s.id) || o.SDK != 0 && !b.lookedAt(s.id, o.SDK) {
			continue
		}
		scheme := APKScheme{Name: s.name}
		var digests []apkDigests
		if err := b.unread[s.id]; err != nil {
			scheme.settle(err)
		} else {
			digests = b.signers(&scheme, s.id)
		}
		out, claims = append(out, scheme), append(claims, digests)
	}
	b.verifyContent(ctx, z, o, out, claims)
	return out
}

// lookedAt says whether Android of that API level may look at the scheme.
func (b *signingBlock) lookedAt(id uint32, sdk int) bool {
	switch id {
	case blockV31:
		return sdk >= 33
	case blockV3:
		return sdk >= 28
	}
	return sdk >= 24 && (sdk < 28 || !b.has(blockV3))
}

// signers verifies the signatures of a scheme, not yet the content that they speak of.
func (b *signingBlock) signers(scheme *APKScheme, id uint32) []apkDigests {
	list, _, ok := prefixed(b.schemes[id])
	if !ok {
		scheme.settle(fmt.Errorf("list of signers: %w", errCutOff))
		return nil
	}
	var digests []apkDigests
	for n := 1; len(list) > 0; n++ {
		raw, next, ok := prefixed(list)
		if !ok || n > maxAPKSigners {
			scheme.broken = true
			scheme.settle(fmt.Errorf("signer %d is cut off or one too many", n))
			return digests
		}
		list = next
		r := blockSigner{block: b, id: id}
		err := r.read(raw)
		r.out.State = stateOf(err)
		if err != nil {
			scheme.settle(fmt.Errorf("signer %d: %w", n, err))
		}
		if r.strippedFrom > 0 {
			scheme.problem("signer %d tells of a newer signature, which has been stripped: not for API level %d and later", n, r.strippedFrom)
			scheme.strippedFrom = r.strippedFrom
		}
		for _, odd := range r.odd {
			scheme.problem("signer %d: %s", n, odd)
		}
		scheme.Signers, digests = append(scheme.Signers, r.out), append(digests, r.digests)
	}
	if len(scheme.Signers) == 0 {
		scheme.settle(errors.New("no signers"))
	}
	return digests
}

// verifyContent holds the APK against what verified signatures say of it.
func (b *signingBlock) verifyContent(ctx context.Context, z *apkZip, o APKVerifyOptions, schemes []APKScheme, claims [][]apkDigests) {
	var want [apkDigestKinds]bool
	for i := range schemes {
		for j, signer := range schemes[i].Signers {
			for kind, d := range claims[i][j] {
				want[kind] = want[kind] || d != nil && signer.State == SignatureVerified
			}
		}
	}
	var actual apkDigests
	var failed error
	switch {
	case o.SkipContent:
		failed = fmt.Errorf("%w: the content was left alone", errSkipped)
	case slices.Contains(want[:], true):
		if actual, failed = z.contentDigests(ctx, b.start, want); failed != nil {
			failed = fmt.Errorf("%w: %w", errReading, failed)
		}
	}
	for i := range schemes {
		s := &schemes[i]
		for j := range s.Signers {
			signer := &s.Signers[j]
			if signer.State != SignatureVerified {
				continue
			}
			err := failed
			if err == nil {
				err = b.compare(claims[i][j], actual)
			}
			if signer.State = stateOf(err); err != nil {
				s.settle(fmt.Errorf("signer %d: %w", j+1, err))
			}
		}
		s.conclude()
	}
}

func (b *signingBlock) compare(claimed, actual apkDigests) error {
	if claimed[veritySHA256] != nil && (b.start|b.size)%verityPageLen != 0 {
		return fmt.Errorf("signing block of %d bytes at %d, no whole pages as its digest needs", b.size, b.start)
	}
	for kind := range claimed {
		if claimed[kind] != nil && !bytes.Equal(claimed[kind], actual[kind]) {
			return errors.New("the content has been changed: its digest is another one")
		}
	}
	return nil
}

// overall is a scheme's state: failed when anything failed, verified when everything holds.
func overall(s *APKScheme) SignatureState {
	if s.State == SignatureFailed || len(s.Signers) == 0 {
		return s.State
	}
	state := SignatureVerified
	for _, signer := range s.Signers {
		switch signer.State {
		case SignatureFailed:
			return SignatureFailed
		case SignatureVerified:
		default:
			state = SignatureUnknown
		}
	}
	return state
}

// prefixed splits off a value that has its length before it.
func prefixed(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// blockAlgorithm is the signature and the digest that an id of the signing block stands for.
func blockAlgorithm(id uint32) (s apkSignature, digest int, ok bool) {
	switch id {
	case 0x0101:
		return apkSignature{"RSA", crypto.SHA256, true}, chunkedSHA256, true
	case 0x0102:
		return apkSignature{"RSA", crypto.SHA512, true}, chunkedSHA512, true
	case 0x0103:
		return apkSignature{"RSA", crypto.SHA256, false}, chunkedSHA256, true
	case 0x0104:
		return apkSignature{"RSA", crypto.SHA512, false}, chunkedSHA512, true
	case 0x0201:
		return apkSignature{"EC", crypto.SHA256, false}, chunkedSHA256, true
	case 0x0202:
		return apkSignature{"EC", crypto.SHA512, false}, chunkedSHA512, true
	case 0x0301:
		return apkSignature{"DSA", crypto.SHA256, false}, chunkedSHA256, true
	case 0x0421:
		return apkSignature{"RSA", crypto.SHA256, false}, veritySHA256, true
	case 0x0423:
		return apkSignature{"EC", crypto.SHA256, false}, veritySHA256, true
	case 0x0425:
		return apkSignature{"DSA", crypto.SHA256, false}, veritySHA256, true
	}
	return apkSignature{}, 0, false
}
