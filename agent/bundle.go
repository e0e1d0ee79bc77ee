package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"filippo.io/age"
)

// bundleWords are 256 short words that are hard to mistake for each other on the phone.
//
//go:embed bundle_words.txt
var bundleWords string

// bundlePart is a file in a bundle.
type bundlePart struct {
	name string
	body []byte
}

// bundle is what a person hands to support.
type bundle struct {
	id    string // words, to be read out
	parts []bundlePart
}

// newBundleID makes an id of four words: 32 bits, enough to tell one bundle from another.
func newBundleID(entropy io.Reader) (string, error) {
	var raw [4]byte
	if _, err := io.ReadFull(entropy, raw[:]); err != nil {
		return "", fmt.Errorf("making the bundle's id: %w", err)
	}
	words, id := strings.Fields(bundleWords), []string{}
	for _, b := range raw {
		id = append(id, words[int(b)%len(words)])
	}
	return strings.Join(id, "-"), nil
}

// add puts a part in. What went wrong is a part as well, so that support sees it.
func (b *bundle) add(name string, make func(io.Writer) error) {
	var out bytes.Buffer
	if err := safeWrite(&out, make); err != nil {
		b.parts = append(b.parts, bundlePart{name + ".error.txt", []byte(err.Error() + "\n")})
		return
	}
	b.parts = append(b.parts, bundlePart{name, out.Bytes()})
}

// safeWrite turns a panic into an error: a bundle is for when things are broken.
func safeWrite(w io.Writer, do func(io.Writer) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a fault in Picket: %v", p)
		}
	}()
	return do(w)
}

// redact takes personal names out of every part.
func (b *bundle) redact(r *redactor) {
	for i := range b.parts {
		b.parts[i].body = r.bytes(b.parts[i].name, b.parts[i].body)
	}
}

// preview writes every byte that is inside, with a head before each part.
func (b *bundle) preview(w io.Writer) error {
	for _, p := range b.parts {
		if _, err := fmt.Fprintf(w, "==> %s (%d bytes)\n", p.name, len(p.body)); err != nil {
			return err
		}
		if _, err := w.Write(p.body); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// pack writes a gzipped tar of the parts, in their order: the same parts give the same bytes.
func (b *bundle) pack(w io.Writer) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, p := range b.parts {
		err := t.WriteHeader(&tar.Header{Name: "picket-" + b.id + "/" + p.name, Mode: 0o600, Size: int64(len(p.body)), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = t.Write(p.body)
		}
		if err != nil {
			return fmt.Errorf("packing %s: %w", p.name, err)
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// seal packs for whoever has the key of the recipient; nil is for everybody.
func (b *bundle) seal(w io.Writer, to age.Recipient) error {
	if to == nil {
		return b.pack(w)
	}
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return fmt.Errorf("encrypting the bundle: %w", err)
	}
	if err := b.pack(sealed); err != nil {
		return err
	}
	return sealed.Close()
}

// fileName is what the bundle is called where nobody says otherwise.
func (b *bundle) fileName(sealed bool) string {
	name := "picket-" + b.id + ".tar.gz"
	if sealed {
		name += ".age"
	}
	return name
}

// mailTo is a link that begins a message to support. The file is for the person to attach.
func (b *bundle) mailTo(address, file string) string {
	q := url.Values{"subject": {"Picket bundle " + b.id}, "body": {"The bundle " + b.id + " is attached: " + file}}
	return "mailto:" + address + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// newBundle makes an empty one.
func newBundle() (*bundle, error) {
	id, err := newBundleID(rand.Reader)
	return &bundle{id: id}, err
}
