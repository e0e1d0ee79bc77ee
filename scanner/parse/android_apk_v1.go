package parse

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const (
	maxJARManifest  = 32 << 20
	maxJARSignature = 1 << 20 // a .RSA, .DSA or .EC file
	jarManifestName = "META-INF/MANIFEST.MF"
)

// jarVerifier verifies a v1 signature by the rules of Android's StrictJarVerifier.
type jarVerifier struct {
	z        *apkZip
	manifest jarManifest
	signed   [][]bool // by each signer that holds: whether it has signed the entry
	out      *APKScheme
}

// verifyV1 verifies the JAR signature; nil when the APK has none.
func (z *apkZip) verifyV1(ctx context.Context, o APKVerifyOptions) *APKScheme {
	v := jarVerifier{z: z, out: &APKScheme{Name: "v1"}}
	blocks := v.signatureBlocks()
	if _, ok := z.index[jarManifestName]; !ok {
		if len(blocks) == 0 {
			return nil
		}
		v.out.settle(errors.New("signature files, but no " + jarManifestName))
		return v.out
	}
	raw, err := z.read(jarManifestName, maxJARManifest)
	if err == nil {
		v.manifest, err = parseJARManifest(raw)
	}
	if err != nil {
		v.out.settle(fmt.Errorf("%s: %w", jarManifestName, err))
		return v.out
	}
	if len(blocks) == 0 {
		return nil // a manifest alone is no signature
	}
	if len(blocks) > maxAPKSigners {
		v.out.settle(fmt.Errorf("%d signers, more than Android takes", len(blocks)))
		return v.out
	}
	for _, name := range blocks {
		before := len(v.out.Signers)
		if err := v.signer(name); err != nil {
			v.out.settle(fmt.Errorf("%s: %w", name, err))
			if len(v.out.Signers) == before { // nothing is known of the signer but that there is one
				v.out.Signers = append(v.out.Signers, APKSigner{State: stateOf(err)})
			}
		}
	}
	if len(v.signed) == 0 {
		if len(v.out.Signers) == 0 && v.out.State != SignatureFailed {
			v.out.settle(errors.New("no signature file with its block"))
		}
		return v.out
	}
	err = v.content(ctx, o)
	if err != nil {
		v.out.settle(err)
	}
	for i := range v.out.Signers {
		if s := &v.out.Signers[i]; s.State == SignatureVerified {
			s.State = stateOf(err)
		}
	}
	return v.out
}

// signatureBlocks lists the .RSA, .DSA and .EC files of META-INF.
func (v *jarVerifier) signatureBlocks() []string {
	var names []string
	for _, e := range v.z.entries {
		base, ok := strings.CutPrefix(strings.ToUpper(e.Name), "META-INF/")
		if !ok || strings.Contains(base, "/") {
			continue
		}
		if strings.HasSuffix(base, ".RSA") || strings.HasSuffix(base, ".DSA") || strings.HasSuffix(base, ".EC") {
			names = append(names, e.Name)
		}
	}
	return names
}

// signer verifies one signature file and what it says of the manifest.
func (v *jarVerifier) signer(name string) error {
	fileName := name[:strings.LastIndexByte(name, '.')] + ".SF"
	if _, ok := v.z.index[fileName]; !ok {
		v.out.problem("%s: there is no %s to it; Android skips it", name, fileName)
		return nil
	}
	block, err := v.z.read(name, maxJARSignature)
	if err != nil {
		return err
	}
	raw, err := v.z.read(fileName, maxJARManifest)
	if err != nil {
		return err
	}
	signed, err := parseSignedFile(block)
	if err != nil {
		return err
	}
	signer, err := signed.verify(raw)
	if err == nil {
		if err = v.signatureFile(raw); err != nil {
			signer.State = stateOf(err)
		}
	}
	v.out.Signers = append(v.out.Signers, signer)
	return err
}

// signatureFile holds a signature file against the manifest: the digest of the whole, or else
// those of all its sections.
func (v *jarVerifier) signatureFile(raw []byte) error {
	f, err := parseJARManifest(raw)
	if err != nil {
		return err
	}
	if _, ok := f.main.attr("signature-version"); !ok {
		return errors.New("signature file without its version")
	}
	newer, _ := f.main.attr("x-android-apk-signed")
	v.announced(newer)
	creator, _ := f.main.attr("created-by")
	signtool := strings.Contains(creator, "signtool")
	if found, good := f.main.holds("-digest-manifest-main-attributes", v.manifest.main.raw); found && !good && !signtool {
		return errors.New("the manifest's main part has been changed")
	}
	whole := "-digest-manifest"
	if signtool {
		whole = "-digest"
	}
	if _, good := f.main.holds(whole, v.manifest.raw); !good {
		for name, s := range f.sections {
			m, ok := v.manifest.sections[name]
			if !ok {
				return fmt.Errorf("%q is signed but not in the manifest", quotable(name))
			}
			part := m.raw
			if signtool && bytes.HasSuffix(part, []byte("\n\n")) {
				part = part[:len(part)-1]
			}
			if _, good := s.holds("-digest", part); !good {
				return fmt.Errorf("the manifest's section for %q has been changed", quotable(name))
			}
		}
	}
	signed := make([]bool, len(v.z.entries))
	for name := range f.sections {
		if i, ok := v.z.index[name]; ok {
			signed[i] = true
		}
	}
	v.signed = append(v.signed, signed)
	return nil
}

// announced notes the newer schemes that a signature file says are there, "2, 3".
func (v *jarVerifier) announced(list string) {
	for word := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(word) {
		case "2":
			v.out.announces = append(v.out.announces, 2)
		case "3":
			v.out.announces = append(v.out.announces, 3)
		}
	}
}

// content holds the APK's files against the manifest. Android asks for every file outside of
// META-INF, signed by the same signers.
func (v *jarVerifier) content(ctx context.Context, o APKVerifyOptions) error {
	if o.SkipContent {
		return fmt.Errorf("%w: the content was left alone", errSkipped)
	}
	limit, total := o.MaxContent, int64(0)
	if limit == 0 {
		limit = defaultMaxContent
	}
	for i := range v.z.entries {
		total += v.z.entries[i].UncompressedSize
	}
	if total > limit {
		return fmt.Errorf("%w: %d bytes of files, more than the %d that are read", errSkipped, total, limit)
	}
	for name := range v.manifest.sections {
		if _, ok := v.z.index[name]; !ok {
			return fmt.Errorf("%q is in the manifest but not in the APK", quotable(name))
		}
	}
	r := jarReader{buf: make([]byte, 128<<10), hashes: map[crypto.Hash]hash.Hash{}}
	for i := range v.z.entries {
		e := &v.z.entries[i]
		if v.z.index[e.Name] != i { // Android does not even open such an archive
			return fmt.Errorf("%q is there twice", quotable(e.Name))
		}
		if strings.HasSuffix(e.Name, "/") || strings.HasPrefix(e.Name, "META-INF/") {
			continue
		}
		if err := v.file(ctx, &r, e); err != nil {
			return fmt.Errorf("%q: %w", quotable(e.Name), err)
		}
	}
	return nil
}

func (v *jarVerifier) file(ctx context.Context, r *jarReader, e *APKEntry) error {
	for _, signed := range v.signed {
		if !signed[v.z.index[e.Name]] {
			return errors.New("not signed, or not by all signers")
		}
	}
	h, want, ok := v.manifest.sections[e.Name].digest("-digest")
	if !ok {
		return errors.New("no digest in the manifest")
	}
	start, lie, err := v.z.data(e)
	switch {
	case err != nil:
		return err
	case lie.fatal:
		return errors.New(lie.text)
	case e.Method != zipStored && e.Method != zipDeflated: // here Android inflates it, in vain
		return fmt.Errorf("compression method %d", e.Method)
	}
	got, err := r.digest(ctx, h, v.z, e, start)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("changed: its digest is another one")
	}
	return nil
}

// jarReader digests files one after another with the same buffers.
type jarReader struct {
	apkInflater
	buf    []byte
	hashes map[crypto.Hash]hash.Hash
}

func (r *jarReader) digest(ctx context.Context, h crypto.Hash, z *apkZip, e *APKEntry, start int64) ([]byte, error) {
	content, err := r.open(z, e, start)
	if err != nil {
		return nil, err
	}
	d := r.hashes[h]
	if d == nil {
		d = h.New()
		r.hashes[h] = d
	}
	d.Reset()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := content.Read(r.buf)
		d.Write(r.buf[:n])
		if errors.Is(err, io.EOF) {
			return d.Sum(nil), nil
		}
		if err != nil {
			return nil, inflating(err)
		}
	}
}
