package device

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"picket/scanner"
)

// rawFile is a file that an archive can be read of at any place.
type rawFile interface {
	io.ReaderAt
	io.Closer
}

// archiveFile is a tar archive, compressed or not, that can be read more than once.
type archiveFile struct {
	f      rawFile
	name   string
	size   int64
	packed string // compression, "" none
}

func (a *archiveFile) kind() string {
	if a.packed == "" {
		return "tar"
	}
	return "tar." + a.packed
}

// input starts reading the archive. close ends it, and need not be called for an
// uncompressed one.
func (a *archiveFile) input(ctx context.Context) (in *tarInput, done func(), err error) {
	if a.packed == "" {
		return fileInput(ctx, a.f, a.size), func() {}, nil
	}
	return unpackInput(ctx, io.NewSectionReader(a.f, 0, a.size), a.packed)
}

// unpackInput starts reading a compressed archive.
func unpackInput(ctx context.Context, r io.Reader, packed string) (in *tarInput, done func(), err error) {
	u, err := unpack(r, packed)
	if err != nil {
		return nil, nil, err
	}
	ahead := newReadAhead(u)
	return streamInput(ctx, ahead), func() { ahead.close(); u.close() }, nil
}

// openTar opens a tar archive: of a root filesystem, of an image's layers, or a recording.
func openTar(ctx context.Context, a *archiveFile, opt OpenOptions) (*recorded, error) {
	in, done, err := a.input(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := in.more(); err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case !isTar(in.buf):
		return nil, nothingRecognised("the " + a.packed + " data in it is no tar archive")
	case isRecording(in.buf):
		return openRecording(in, a.name)
	}
	x := newIndex()
	l, err := newTarLoader(x, keeperOf(opt).orImageJSON())
	if err != nil {
		return nil, err
	}
	source := uint64(0)
	if a.packed == "" {
		if source, err = x.addSource(readerAtSource{a.f}); err != nil {
			return nil, err
		}
	}
	if err := l.load(in, source); err != nil {
		return nil, err
	}
	if outer := newFS(x); isImageArchive(outer) {
		l.store.finish()
		var again func() (*tarInput, func(), error)
		if source == 0 {
			again = func() (*tarInput, func(), error) { return a.input(ctx) }
		}
		return openContainer(ctx, outer, filepath.Base(a.name), opt, again)
	}
	where, err := x.chooseTop(opt.Root)
	if err != nil {
		return nil, err
	}
	if !hasRootMark(newFS(x)) {
		return nil, nothingRecognised("the tar archive holds no root filesystem and no image")
	}
	if source == 0 && opt.Keep != nil {
		if err := l.fetchBehindLinks(ctx, a); err != nil {
			return nil, err
		}
	}
	l.store.finish()
	d := x.device("tar", a.kind()+" "+filepath.Base(a.name))
	d.startsAt(where)
	return d, nil
}

// fetchBehindLinks reads an archive again for what is to be kept because a link leads to it.
func (l *tarLoader) fetchBehindLinks(ctx context.Context, a *archiveFile) error {
	if l.chooseBehindLinks(); len(l.want) == 0 {
		return nil
	}
	in, done, err := a.input(ctx)
	if err != nil {
		return err
	}
	defer done()
	return l.fetch(in, 0)
}

// startsAt notes the leading folders of an archive.
func (d *recorded) startsAt(where string) {
	if where != "" {
		d.identity.Notes = append(d.identity.Notes, "the tree starts at "+where)
	}
}

// device makes a device of a whole index.
func (x *index) device(kind, origin string) *recorded {
	x.byWho, x.touched = nil, nil
	d := &recorded{fs: newFS(x)}
	d.identity = scanner.Identity{Origin: origin, Kind: kind, Platform: platformOf(d.fs), Root: true,
		ModesUntrusted: untrustedModes(d.fs), Notes: x.notes.strings()}
	d.identity.Acquired = acquiredAsImage(d.identity.Platform)
	if whole, notes := wholeAndroid(x, kind); len(notes) > 0 {
		d.fs, d.identity.Notes = newFS(whole), append(d.identity.Notes, notes...)
	}
	return d
}

// maxLeading is how many leading folders an archive of a root filesystem may have.
const maxLeading = 3

// chooseTop lets the tree start at the folder root, or below a few leading folders when
// nothing else is in the archive. It gives where that is, "" for the archive's own top.
func (x *index) chooseTop(root string) (string, error) {
	if root != "" {
		clean, _ := cleanName(root)
		id, err := x.dir(clean, false)
		if err != nil || id == 0 {
			return "", fmt.Errorf("holds no folder %q to start at", root)
		}
		x.top = id
		return clean, nil
	}
	where := ""
	for range maxLeading {
		if hasRootMark(newFS(x)) {
			return strings.TrimPrefix(where, "/"), nil
		}
		only := uint32(0)
		for id := uint32(x.node(x.top).where); id != 0; id = x.node(id).next {
			if n := x.node(id); n.flags&flagDead == 0 {
				if only != 0 || n.mode&typeMask != typeDir {
					x.top = topNode
					return "", nil
				}
				only = id
			}
		}
		if only == 0 {
			break
		}
		x.top = only
		where = join(where, string(x.names.get(x.node(only).name)))
	}
	if !hasRootMark(newFS(x)) {
		x.top, where = topNode, ""
	}
	return strings.TrimPrefix(where, "/"), nil
}

// orImageJSON keeps the documents of an image archive too, and none of its layers.
func (k keeper) orImageJSON() keeper {
	keep := k.content
	k.content = func(name string, size int64) bool {
		if strings.HasPrefix(name, "/blobs/sha256/") {
			return size <= maxImageJSON
		}
		dir := parent(name)
		if dir == "/" && strings.HasSuffix(name, ".json") {
			return true
		}
		return !(strings.HasSuffix(name, "/layer.tar") && parent(dir) == "/") && keep(name, size)
	}
	return k
}
