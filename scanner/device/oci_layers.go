package device

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"picket/scanner"
)

// layerLoader puts an image's layers over each other in one index.
type layerLoader struct {
	*tarLoader
	ctx   context.Context
	outer scanner.FS
	files []io.Closer // layers that stay open
}

// openContainer makes a device of the image in the tree outer, an OCI layout or a docker archive.
// again starts reading the outer archive anew when it is a compressed one, whose layers are
// not in outer; it is nil otherwise.
func openContainer(ctx context.Context, outer scanner.FS, origin string, opt OpenOptions, again func() (*tarInput, func(), error)) (*recorded, error) {
	x := newIndex()
	images, err := findImages(outer, &x.notes)
	if err != nil {
		return nil, err
	}
	img, err := chooseImage(images, opt.Root, &x.notes)
	if err != nil {
		return nil, err
	}
	tl, err := newTarLoader(x, keeperOf(opt))
	if err != nil {
		return nil, err
	}
	tl.layer = true
	l := &layerLoader{tarLoader: tl, ctx: ctx, outer: outer}
	if again == nil {
		err = l.loadAll(img, opt.Keep != nil)
	} else {
		err = l.loadStream(img, again, opt.Keep != nil)
	}
	if err == nil && x.count == topNode+1 {
		err = fmt.Errorf("image %s holds no files: %s", img.label(), strings.Join(x.notes.strings(), "; "))
	}
	if err != nil {
		closeAll(l.files)
		return nil, err
	}
	l.store.finish()
	d := x.device(img.kind, fmt.Sprintf("%s %s (%s)", img.kind, origin, img.label()))
	d.identity.Profile, d.files = "container-image", l.files
	return d, nil
}

// failed notes that a layer could not be read, which leaves everything about the tree that
// was not seen unknown.
func (l *layerLoader) failed(n int, err error) error {
	if l.ctx.Err() != nil {
		return l.ctx.Err()
	}
	err = fmt.Errorf("layer %d: %v", n+1, err) // not %w: that a blob does not exist says nothing of the tree
	l.index.incomplete = err
	l.index.notes.add(err.Error(), "")
	return nil
}

// loadAll loads layers that can be opened one by one.
func (l *layerLoader) loadAll(img *image, links bool) error {
	starts := make([]uint64, len(img.layers))
	for n, ly := range img.layers {
		starts[n] = l.ordinal
		l.index.beginLayer()
		err := l.withLayer(ly, l.load)
		if err != nil {
			if err := l.failed(n, err); err != nil {
				return err
			}
		}
	}
	if !links {
		return nil
	}
	l.chooseBehindLinks()
	for n, ly := range img.layers {
		if !l.wantsAfter(starts, n) {
			continue
		}
		err := l.withLayer(ly, func(in *tarInput, _ uint64) error { return l.fetch(in, starts[n]) })
		if err != nil {
			if err := l.failed(n, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantsAfter tells whether a file of layer n is wanted.
func (l *layerLoader) wantsAfter(starts []uint64, n int) bool {
	end := l.ordinal
	if n+1 < len(starts) {
		end = starts[n+1]
	}
	for o := range l.want {
		if o > starts[n] && o <= end {
			return true
		}
	}
	return false
}

var errLayerDigest = errors.New("does not match its digest, left out")

// withLayer opens a layer whose digest is right and lets read have it.
func (l *layerLoader) withLayer(ly layer, read func(in *tarInput, source uint64) error) error {
	f, err := l.outer.Open(ly.name)
	if err != nil {
		return err
	}
	l.files = append(l.files, f)
	head := make([]byte, sniffSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	packed := compression(head[:n])
	if err := ly.verify(f, packed); err != nil {
		return err
	}
	if packed == "" {
		source, err := l.index.addSource(readerAtSource{f})
		if err != nil {
			return err
		}
		return read(fileInput(l.ctx, f, f.Size()), source)
	}
	in, done, err := unpackInput(l.ctx, io.NewSectionReader(f, 0, f.Size()), packed)
	if err != nil {
		return err
	}
	defer done()
	return read(in, 0)
}

// verify compares a layer with its digest, of it as stored or unpacked.
func (ly *layer) verify(f scanner.File, packed string) error {
	var r io.Reader = io.NewSectionReader(f, 0, f.Size())
	want := ly.digest
	if want == "" {
		want = ly.diffID
		u, err := unpack(r, packed)
		if err != nil {
			return err
		}
		defer u.close()
		r = u
	}
	if want == "" {
		return nil
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, r, make([]byte, inputSpace)); err != nil {
		return err
	}
	return matches(h, want)
}

func matches(h hash.Hash, want string) error {
	if fmt.Sprintf("%x", h.Sum(nil)) != want {
		return errLayerDigest
	}
	return nil
}
