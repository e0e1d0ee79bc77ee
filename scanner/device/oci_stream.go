package device

import (
	"crypto/sha256"
	"errors"
	"io"
)

var errLayerMissing = errors.New("is not in the archive")

// stagedLayer is a layer read before its turn: in a compressed archive layers come in any
// order, and it is read once for all of them.
type stagedLayer struct {
	index     *index
	whiteouts []whiteout
	start     uint64 // ordinal
	err       error
}

// loadStream loads the layers of an image from a compressed archive in one pass, and in a
// second one what links lead to.
func (l *layerLoader) loadStream(img *image, again func() (*tarInput, func(), error), links bool) error {
	staged := map[string]*stagedLayer{}
	for _, ly := range img.layers {
		if name, err := l.outer.Resolve(ly.name); err == nil {
			staged[name] = nil
		}
	}
	err := l.eachLayer(again, func(name string, r io.Reader) error {
		if _, ok := staged[name]; !ok {
			return nil
		}
		s := &stagedLayer{index: newIndex(), start: l.ordinal}
		s.err = l.stage(s, r, img.named(l, name))
		staged[name] = s
		return l.ctx.Err()
	})
	if err != nil {
		return err
	}
	for n, ly := range img.layers {
		name, err := l.outer.Resolve(ly.name)
		if err == nil {
			err = l.merge(staged[name])
		}
		if err != nil {
			if err := l.failed(n, err); err != nil {
				return err
			}
		}
	}
	if !links {
		return nil
	}
	if l.chooseBehindLinks(); len(l.want) == 0 {
		return nil
	}
	return l.eachLayer(again, func(name string, r io.Reader) error {
		s := staged[name]
		if s == nil || s.err != nil {
			return nil
		}
		return l.unpacked(r, func(in *tarInput) error { return l.fetch(in, s.start) })
	})
}

// named finds the layer with a name in the outer tree.
func (i *image) named(l *layerLoader, name string) layer {
	for _, ly := range i.layers {
		if real, err := l.outer.Resolve(ly.name); err == nil && real == name {
			return ly
		}
	}
	return layer{}
}

// eachLayer reads the outer archive and calls read with each regular file in it.
func (l *layerLoader) eachLayer(again func() (*tarInput, func(), error), read func(name string, r io.Reader) error) error {
	in, done, err := again()
	if err != nil {
		return err
	}
	defer done()
	r := &tarReader{in: in}
	var h tarHeader
	for {
		err := r.next(&h)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return in.error(r.last, err)
		}
		end := in.off + h.size + padding(h.size)
		if h.kind == '0' && !h.sparse {
			clean, _ := cleanName(h.name)
			if err := read("/"+clean, io.LimitReader(in, h.size)); err != nil {
				return err
			}
		}
		if err := in.skip(end - in.off); err != nil {
			return in.error(r.last, err)
		}
	}
}

// stage reads a layer into an index of its own.
func (l *layerLoader) stage(s *stagedLayer, r io.Reader, ly layer) error {
	stored := sha256.New()
	raw := io.TeeReader(r, stored)
	main := l.index
	defer func() {
		main.programs, s.index.programs = s.index.programs, nil
		l.index, l.staging = main, nil
	}()
	s.index.programs = main.programs
	l.index, l.staging = s.index, s
	diff := sha256.New()
	err := l.unpacked(raw, func(in *tarInput) error {
		if next := in.next; ly.digest == "" {
			in.next = func() ([]byte, error) {
				b, err := next()
				diff.Write(b)
				return b, err
			}
		}
		return l.load(in, 0)
	})
	// What can be read of a damaged layer is of use, of a changed one it is not.
	if _, err2 := io.Copy(io.Discard, raw); err2 != nil {
		return first(err, err2)
	}
	switch {
	case ly.digest != "":
		return first(matches(stored, ly.digest), err)
	case ly.diffID != "" && err == nil:
		return matches(diff, ly.diffID)
	}
	return err
}

// unpacked lets read have a layer that may be compressed.
func (l *layerLoader) unpacked(r io.Reader, read func(in *tarInput) error) error {
	head := make([]byte, blockSize)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	in, done, err := unpackInput(l.ctx, io.MultiReader(newBytesFile(head[:n], 0), r), compression(head[:n]))
	if err != nil {
		return err
	}
	defer done()
	return read(in)
}

// merge puts a staged layer over what is in the index.
func (l *layerLoader) merge(s *stagedLayer) error {
	if s == nil {
		return errLayerMissing
	}
	if errors.Is(s.err, errLayerDigest) {
		return s.err
	}
	x, from := l.index, s.index
	x.beginLayer()
	for _, w := range s.whiteouts {
		if err := x.applyWhiteout(w); err != nil {
			return err
		}
	}
	x.notes = append(x.notes, from.notes...)
	if from.incomplete != nil {
		x.incomplete = from.incomplete
	}
	for _, hardlinks := range []bool{false, true} {
		for id := uint32(topNode); id < from.count; id++ {
			n := from.node(id)
			if n.flags&flagImplied != 0 || n.flags&flagHardlink != 0 != hardlinks {
				continue
			}
			name, ok := from.path(id)
			if !ok {
				continue
			}
			if err := x.mergeNode(from, id, name); err != nil {
				return err
			}
		}
	}
	return s.err
}

// mergeNode copies one node of another index.
func (x *index) mergeNode(from *index, id uint32, name string) error {
	n := from.node(id)
	if n.flags&flagHardlink != 0 {
		if target, ok := from.path(uint32(n.where)); ok {
			_, err := x.hardlink(name, target)
			return err
		}
		n = from.node(uint32(n.where)) // its other names are gone
	}
	o := &from.owners[n.owner]
	e := entry{name: name, mode: n.mode, uid: o.uid, gid: o.gid, size: n.size,
		mtime: unpackTime(n.mtime), where: n.where, prog: n.prog, flags: n.flags}
	if name == "" {
		e.name = "/"
	}
	if n.mode&typeMask == typeLink {
		e.link = string(from.names.get(uint32(n.where)))
	}
	unpackXattrs(o.xattrs, func(k, v string) bool {
		e.xattrs = append(e.xattrs, xattr{k, v})
		return true
	})
	return x.add(&e)
}
