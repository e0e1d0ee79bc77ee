package device

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const (
	maxKept     = 256 << 20 // bytes of one file whose content is kept
	maxPrograms = 1 << 18   // files of which first bytes and digests are kept
	maxDigested = 4 << 30   // bytes of one file that is hashed
	maxPending  = 1 << 16   // hard links that come before what they name
)

const (
	noteTooLarge = "content not kept: the file is too large"
	noteFull     = "content not kept: more than fits in memory"
	noteKind     = "entries of unknown kind left out"
	noteNoEnd    = "the archive has no end mark and may have been cut off"
	notePrograms = "digests not taken: too many programs"
)

// tarLoader puts the files of tar archives in an index. The content of an archive that can
// be jumped about in stays there; of a stream what keep chooses is kept in a store.
type tarLoader struct {
	index *index
	keep  keeper
	store *contentStore
	// stored is the store's source number in the index, shifted.
	stored uint64
	// ordinal counts regular files over all archives of this loader, so that a second
	// pass knows them again.
	ordinal uint64
	// want are the files that a second pass fetches, by ordinal.
	want map[uint64]uint32
	// layer is set for a layer of an image, where names may be whiteouts.
	layer bool
	// staging is set while a layer is read that is put over others later.
	staging *stagedLayer
	pending []pendingLink
	hash    [3]hash.Hash
	space   []byte
}

type pendingLink struct{ name, target string }

// keeper says what a stream's reader keeps of a regular file.
type keeper struct {
	// content tells whether to keep a file's content.
	content func(name string, size int64) bool
	// meta tells of which other files to take first bytes and digests. Programs' are taken
	// anyway.
	meta func(name string) bool
}

func newTarLoader(x *index, keep keeper) (*tarLoader, error) {
	store := &contentStore{}
	stored, err := x.addSource(store)
	if err != nil {
		return nil, err
	}
	return &tarLoader{index: x, keep: keep, store: store, stored: stored,
		hash: [3]hash.Hash{md5.New(), sha1.New(), sha256.New()}, space: make([]byte, 64<<10)}, nil
}

// load reads one archive. source is the number, shifted, of the source that has the archive
// itself; 0 for a stream.
func (l *tarLoader) load(in *tarInput, source uint64) error {
	r := &tarReader{in: in}
	l.pending = nil
	var h tarHeader
	for {
		err := r.next(&h)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = l.file(in, &h, source)
		}
		if errors.Is(err, errIndexFull) {
			l.index.incomplete = err
			l.index.notes.add(fmt.Sprintf("reading stopped at byte %d: %v", in.off, err), r.last)
			return l.links()
		}
		if err != nil {
			return in.error(r.last, err)
		}
	}
	if !r.ended && !l.layer { // a layer is known to be whole by its digest
		l.index.incomplete = errors.New(noteNoEnd)
		l.index.notes.add(noteNoEnd, r.last)
	}
	if err := in.drain(); err != nil {
		return in.error(r.last, err)
	}
	return l.links()
}

// file puts one file in the index and passes over its content.
func (l *tarLoader) file(in *tarInput, h *tarHeader, source uint64) error {
	e := entry{name: h.name, mode: uint16(h.mode & 0o7777), uid: h.uid, gid: h.gid, mtime: h.mtime, xattrs: h.xattrs}
	end := in.off + h.size + padding(h.size)
	switch h.kind {
	case '0':
		e.mode |= typeReg
		e.size = h.size
		l.ordinal++
		e.where = l.ordinal // of source 0: not kept
		if done, err := l.whiteout(h.name); done || err != nil {
			return errors.Join(err, in.skip(end-in.off))
		}
		if err := l.content(in, h, &e, source); err != nil {
			return err
		}
	case '1':
		ok, err := l.index.hardlink(h.name, h.link)
		if err == nil && !ok {
			l.later(h)
		}
		return err
	case '2':
		e.mode, e.link = typeLink|0o777, h.link
	case '3':
		e.mode |= typeChar
	case '4':
		e.mode |= typeBlock
	case '5', 'D':
		e.mode |= typeDir
	case '6':
		e.mode |= typeFIFO
	default: // volume labels, continued files and what nobody has heard of
		l.index.notes.add(noteKind, h.name)
		return in.skip(end - in.off)
	}
	if err := l.index.add(&e); err != nil {
		return err
	}
	return in.skip(end - in.off)
}

// whiteout takes out what a whiteout entry of a layer names.
func (l *tarLoader) whiteout(name string) (bool, error) {
	if !l.layer {
		return false, nil
	}
	dir, base, ok := l.index.split(name)
	if !ok || !strings.HasPrefix(base, whiteoutPrefix) {
		return false, nil
	}
	w := whiteout{dir, base}
	if l.staging != nil {
		l.staging.whiteouts = append(l.staging.whiteouts, w)
		return true, nil
	}
	return true, l.index.applyWhiteout(w)
}

// later remembers a hard link whose other name may still come.
func (l *tarLoader) later(h *tarHeader) {
	if len(l.pending) >= maxPending || len(h.name)+len(h.link) > maxName+maxLinkTo {
		l.index.notes.add(noteNoTarget, h.name)
		return
	}
	l.pending = append(l.pending, pendingLink{h.name, h.link})
}

// links makes the hard links that came too early. One that names nothing is a file whose
// content nobody has.
func (l *tarLoader) links() error {
	for _, p := range l.pending {
		ok, err := l.index.hardlink(p.name, p.target)
		if err != nil {
			return nil // full, and known to be
		}
		if !ok {
			l.index.notes.add(noteNoTarget, p.name)
			if err := l.index.add(&entry{name: p.name, mode: typeReg, uid: -1, gid: -1, size: 1}); err != nil {
				return nil
			}
		}
	}
	l.pending = nil
	return nil
}

// content says in e where the content of a regular file is, keeping it where that is called
// for.
func (l *tarLoader) content(in *tarInput, h *tarHeader, e *entry, source uint64) error {
	if h.sparse {
		return l.sparse(in, h, e)
	}
	if source != 0 {
		e.where = source | uint64(in.off)
		return nil
	}
	return l.stream(io.LimitReader(in, h.size), e)
}

// sparse reads a file with holes. archive/tar knows its map's three forms.
func (l *tarLoader) sparse(in *tarInput, h *tarHeader, e *entry) error {
	left := h.size + padding(h.size)
	r := tar.NewReader(io.MultiReader(bytes.NewReader(h.raw), io.LimitReader(in, left)))
	hdr, err := r.Next()
	if err != nil {
		return cutOff(err)
	}
	e.name, e.size = hdr.Name, hdr.Size
	return l.stream(r, e)
}

// stream looks at a file's content as it comes by: to keep it, or to take a program's
// first bytes and digests.
func (l *tarLoader) stream(r io.Reader, e *entry) error {
	clean, _ := cleanName(e.name)
	name := "/" + clean
	if l.wanted(name, e.size) {
		e.where = l.stored | uint64(l.store.size)
		n, err := io.CopyBuffer(l.store, r, l.space)
		if err == nil && n != e.size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	head := make([]byte, headSize)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	head = head[:n]
	if e.size == 0 || !isProgram(e, head) && !l.keep.meta(name) {
		return nil
	}
	return l.program(r, e, head)
}

// wanted tells whether to keep a file's content.
func (l *tarLoader) wanted(name string, size int64) bool {
	if size == 0 || !l.keep.content(name, size) {
		return false
	}
	switch {
	case size > maxKept:
		l.index.notes.add(noteTooLarge, name)
	case l.store.full():
		l.index.notes.add(noteFull, name)
	default:
		return true
	}
	return false
}

// keeperOf makes a keeper of what the caller of Open chose. It asks for a name as it stands
// and, for trees with merged /usr, as it can be written through a link: /usr/lib/x as /lib/x.
func keeperOf(opt OpenOptions) keeper {
	merged := func(choose func(string) bool) func(string) bool {
		return func(name string) bool {
			return choose(name) || isMerged(name) && choose(name[len("/usr"):])
		}
	}
	k := keeper{
		content: func(string, int64) bool { return true },
		meta:    func(string) bool { return false },
	}
	if opt.Keep != nil {
		keep := merged(opt.Keep)
		k.content = func(name string, _ int64) bool { return keep(name) }
	}
	if opt.Meta != nil {
		k.meta = merged(opt.Meta)
	}
	return k
}

// isMerged tells whether a name is one that /bin, /lib and the like lead to in trees with
// merged /usr.
func isMerged(name string) bool {
	rest, ok := strings.CutPrefix(name, "/usr/")
	top, _, _ := strings.Cut(rest, "/")
	return ok && isBinDir(top)
}

func isBinDir(name string) bool {
	switch name {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec":
		return true
	}
	return false
}

// isProgram tells what is worth first bytes and digests: what can be run, is ELF or a
// script, or lies where programs do.
func isProgram(e *entry, head []byte) bool {
	return e.mode&0o111 != 0 || isCode(head) || isBinDir(base(parent(e.name)))
}

// isCode tells an ELF file or a script from its first bytes.
func isCode(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\x7fELF")) || bytes.HasPrefix(head, []byte("#!"))
}

// program takes a file's first bytes and digests.
func (l *tarLoader) program(r io.Reader, e *entry, head []byte) error {
	if len(l.index.programs) > maxPrograms {
		l.index.notes.add(notePrograms, e.name)
		return nil
	}
	var p program
	p.length = uint8(copy(p.head[:], head))
	if e.size <= maxDigested {
		for _, h := range l.hash {
			h.Reset()
			h.Write(head)
		}
		n, err := io.CopyBuffer(hashes(l.hash), r, l.space)
		if err == nil && n+int64(len(head)) != e.size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		l.hash[0].Sum(p.md5[:0])
		l.hash[1].Sum(p.sha1[:0])
		l.hash[2].Sum(p.sha256[:0])
		p.hashed = true
	}
	e.prog = uint32(len(l.index.programs))
	l.index.programs = append(l.index.programs, p)
	return nil
}

// hashes writes to several hashes.
type hashes [3]hash.Hash

func (h hashes) Write(p []byte) (int, error) {
	for _, one := range h {
		one.Write(p)
	}
	return len(p), nil
}
