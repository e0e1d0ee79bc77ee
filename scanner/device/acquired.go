package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	maxSourceText = 64 << 20 // bytes of what one live source said
	maxDumpText   = 12 << 20 // bytes of a compressed dumpstate that are held in memory whole
	maxKeptText   = 24 << 20 // bytes of sections kept of a longer one
	maxWholeText  = 16 << 20 // bytes of a source that another section's start may stand in
	maxDumpStream = 4 << 30  // bytes of a dumpstate that are read at all
	shortAnswer   = 1 << 10  // bytes of a section that are no more than the complaint in it

	maxHeld        = 128 << 20 // bytes unpacked of archives inside and of texts that stay in memory
	maxUnpackedAll = 8 << 30   // bytes unpacked to see what lies inside
	maxArchives    = 256       // that lie inside
	maxDumps       = 64        // texts of dumpstates side by side
)

// acquired is an Android device as tools took it down: texts of commands, and some files.
type acquired struct {
	identity scanner.Identity
	fs       scanner.FS
	texts    map[scanner.Source][]passage
	failed   map[scanner.Source]error // sources that were asked and gave nothing
	files    []io.Closer

	mu   sync.Mutex
	said map[scanner.Source]reply
}

// passage is a part of a text: what one command printed.
type passage struct {
	in        *textFile
	off, size int64
}

// textFile is a text that passages are taken from.
type textFile struct {
	file *bundleFile
	at   io.ReaderAt // nil for a compressed one too large to be held
	kept map[int64][]byte
}

func (d *acquired) Identity() scanner.Identity { return d.identity }
func (d *acquired) FS() scanner.FS             { return d.fs }

// Close gives back the files that texts and contents are read from.
func (d *acquired) Close() error { return closeAll(d.files) }

// Probe gives what a command printed then, all of its passages one after the other.
func (d *acquired) Probe(_ context.Context, s scanner.Source) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, ok := d.said[s]; ok {
		return a.bytes, a.err
	}
	var a reply
	a.bytes, a.err = d.read(s)
	d.said[s] = a
	return a.bytes, a.err
}

func (d *acquired) read(s scanner.Source) ([]byte, error) {
	parts := d.texts[s]
	if len(parts) == 0 {
		if err := d.failed[s]; err != nil {
			return nil, fmt.Errorf("%s: %w: %w", s, scanner.ErrUnavailable, err)
		}
		return nil, fmt.Errorf("%s: %w", s, scanner.ErrNotRecorded)
	}
	total := int64(0)
	for _, p := range parts {
		if p.size > maxSourceText-total {
			return nil, fmt.Errorf("%s: %w", s, &scanner.TooLargeError{Size: max(p.size, maxSourceText+1), Limit: maxSourceText})
		}
		total += p.size
	}
	var stream textStream
	defer stream.close()
	if len(parts) == 1 {
		return parts[0].read(&stream)
	}
	all := make([]byte, 0, total+int64(len(parts)))
	for _, p := range parts {
		b, err := p.read(&stream)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		if all = append(all, b...); len(b) > 0 && b[len(b)-1] != '\n' {
			all = append(all, '\n')
		}
	}
	return all, nil
}

// textStream is where reading a text in order has come to: passages that follow each other are
// unpacked in one go.
type textStream struct {
	of *textFile
	r  io.ReadCloser
	at int64
}

func (t *textStream) close() {
	if t.r != nil {
		t.r.Close()
	}
	t.of, t.r = nil, nil
}

// seek gets to a place of a text that can only be read in order.
func (t *textStream) seek(f *textFile, off int64) error {
	if t.of != f || t.at > off {
		t.close()
		r, err := f.file.open()
		if err != nil {
			return err
		}
		t.of, t.r, t.at = f, r, 0
	}
	n, err := io.CopyN(io.Discard, t.r, off-t.at)
	if t.at += n; err != nil {
		return fmt.Errorf("%s: at %d: %w", f.file.name, t.at, err)
	}
	return nil
}

func (p passage) read(stream *textStream) ([]byte, error) {
	if b, ok := p.in.kept[p.off]; ok && int64(len(b)) == p.size {
		return b, nil
	}
	if m, ok := p.in.at.(*bytesFile); ok {
		return m.part(p.off, p.size), nil
	}
	b := make([]byte, p.size)
	if p.in.at != nil {
		n, err := p.in.at.ReadAt(b, p.off)
		if n < len(b) {
			return nil, fmt.Errorf("%s: at %d: %w", p.in.file.name, p.off+int64(n), err)
		}
		return b, nil
	}
	if err := stream.seek(p.in, p.off); err != nil {
		return nil, err
	}
	n, err := io.ReadFull(stream.r, b)
	if stream.at += int64(n); err != nil {
		return nil, fmt.Errorf("%s: at %d: %w", p.in.file.name, stream.at, err)
	}
	return b, nil
}

// acquisition puts an acquired device together.
type acquisition struct {
	dev   *acquired
	index *index
	notes *noteList
	opt   OpenOptions

	held     int64 // bytes unpacked that stay in memory
	unpacked int64 // bytes unpacked of archives and texts inside
	archives int   // that lie inside
	dumps    int   // texts of dumpstates side by side
}

// hold counts bytes that stay in memory, if there is room for them.
func (a *acquisition) hold(n int64) bool {
	if n > maxHeld-a.held {
		return false
	}
	a.held += n
	return true
}

var errUnpacked = fmt.Errorf("archives inside of more than %d bytes together", int64(maxUnpackedAll))

// random gives a file of the bundle to read at any place, and counts what it takes to unpack it.
func (a *acquisition) random(f *bundleFile) (scanner.File, error) {
	if a.unpacked > maxUnpackedAll {
		return nil, errUnpacked
	}
	file, err := f.random()
	if m, ok := file.(*bytesFile); ok && err == nil {
		a.unpacked += m.size
	}
	return file, err
}

func newAcquisition(kind, name string, opt OpenOptions) *acquisition {
	x := newIndex()
	// What an acquisition does not hold may well have been on the device.
	x.incomplete = scanner.ErrNotRecorded
	x.set(topNode, &entry{mode: typeDir | 0o755, uid: -1, gid: -1, flags: flagImplied})
	return &acquisition{index: x, notes: &x.notes, opt: opt, dev: &acquired{
		identity: scanner.Identity{Origin: kind + " " + path.Base(name), Kind: kind, Platform: "android", Live: true, Acquired: acquiredBy(kind),
			ModesUntrusted: "the acquisition does not keep modes and owners"},
		texts: map[scanner.Source][]passage{}, failed: map[scanner.Source]error{}, said: map[scanner.Source]reply{},
	}}
}

// acquiredBy says how a phone's answers were taken, where the container tells.
func acquiredBy(kind string) string {
	if kind == "bugreport" || kind == "androidqf" {
		return kind
	}
	return ""
}

// device finishes the acquisition.
func (a *acquisition) device() *acquired {
	a.dev.fs = newFS(a.index)
	a.dev.identity.Notes = append(a.dev.identity.Notes, a.notes.strings()...)
	return a.dev
}

// whole makes a file the text of a source, unless that is known already.
func (a *acquisition) whole(s scanner.Source, f *bundleFile) {
	if len(a.dev.texts[s]) > 0 || f == nil {
		return
	}
	t := &textFile{file: f}
	a.dev.texts[s] = []passage{{t, 0, f.size}}
	r, err := f.open()
	if err != nil {
		a.dev.texts[s] = nil
		a.dev.failed[s] = err
		return
	}
	if at, ok := r.(scanner.File); ok {
		t.at = at
		a.dev.files = append(a.dev.files, at)
		return
	}
	r.Close()
}

// place puts a file of the bundle at its place on the device.
func (a *acquisition) place(source uint64, number int, f *bundleFile, at string) error {
	err := a.index.add(&entry{name: at, mode: typeReg | 0o644, uid: -1, gid: -1, size: f.size, mtime: f.mtime, where: source | uint64(number)})
	if errors.Is(err, errIndexFull) {
		a.notes.add(err.Error(), at)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// placeAll puts the files of a bundle at the places that where gives; "" leaves one out.
func (a *acquisition) placeAll(b *bundle, where func(name string) string) error {
	source, err := a.index.addSource(b)
	if err != nil {
		return err
	}
	for i := range b.files {
		at := where(b.files[i].name)
		if at == "" {
			continue
		}
		if _, err := a.index.lstat(at); err == nil {
			continue // a better source had it
		}
		if err := a.place(source, i, &b.files[i], at); err != nil {
			return err
		}
	}
	return nil
}

// dumpstate takes the sections of a dumpstate, or of a dumpsys of all services.
func (a *acquisition) dumpstate(f *bundleFile) (*parse.Dumpstate, error) {
	t := &textFile{file: f}
	d, err := a.indexText(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if len(d.Sections) == 0 {
		return nil, nothingRecognised(f.name + " holds no section of a dumpstate")
	}
	found, whole := map[scanner.Source][]passage{}, map[scanner.Source]int64{}
	add := func(s scanner.Source, p passage) {
		if len(a.dev.texts[s]) == 0 { // another file's text of the source is whole and newer
			found[s] = append(found[s], p)
		}
	}
	add(scanner.SourceDumpstate, passage{t, 0, min(d.Sections[0].Offset, 1<<20)})
	for _, s := range d.Sections {
		name := sourceOf(s.Source())
		if name == "" {
			continue
		}
		if !s.Complete && a.wants(name) {
			a.notes.add("sections that were cut off", cutName(s, name))
		}
		if s.Problem != "" && s.Length < shortAnswer {
			a.dev.failed[name] = fmt.Errorf("when it was asked: %s", noteText(s.Problem))
			continue
		}
		size := s.Length
		if more := s.Whole - s.Length; more > 0 && more <= maxWholeText-whole[name] {
			size, whole[name] = s.Whole, whole[name]+more
		}
		add(name, passage{t, s.Offset, size})
	}
	for s, ps := range found {
		a.dev.texts[s] = ps
	}
	if t.at == nil {
		return d, a.keepSections(t, found)
	}
	return d, a.placeSections(f, t, found)
}

func cutName(s parse.DumpSection, name scanner.Source) string {
	if s.Problem != "" {
		return string(name) + " (" + noteText(s.Problem) + ")"
	}
	return string(name)
}

// noteText is a text of a device for the report's notes.
func noteText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), 160)], "?"))
}

// sourceOf is the scanner's name of what a section holds. Files keep their path.
func sourceOf(name string) scanner.Source {
	if name == "selinux" {
		return scanner.SourceGetenforce
	}
	return scanner.Source(name)
}

func (a *acquisition) wants(s scanner.Source) bool {
	if strings.HasPrefix(string(s), "/") {
		return a.opt.Keep == nil || a.opt.Keep(string(s))
	}
	return a.opt.Sources == nil || a.opt.Sources(s)
}

// indexText reads a text through once. A compressed one that is not too long stays in memory, so
// that it need not be unpacked again.
func (a *acquisition) indexText(t *textFile) (*parse.Dumpstate, error) {
	if a.unpacked > maxUnpackedAll {
		return nil, errUnpacked
	}
	r, err := t.file.open()
	if err != nil {
		return nil, err
	}
	if at, ok := r.(scanner.File); ok {
		t.at = at
		a.dev.files = append(a.dev.files, at)
	} else {
		defer r.Close()
		if t.file.size <= maxDumpText {
			b, err := readUpTo(r, t.file.size, maxDumpText)
			if err != nil && len(b) == 0 {
				return nil, err
			}
			m := newBytesFile(b, int64(len(b)))
			if r = m; a.hold(m.size) {
				t.at = m
			}
		}
	}
	limited := &io.LimitedReader{R: r, N: maxDumpStream}
	d, err := parse.IndexDumpstate(limited)
	if _, plain := t.at.(*bytesFile); plain || t.at == nil {
		a.unpacked += maxDumpStream - limited.N
	}
	if err != nil {
		if len(d.Sections) == 0 {
			return nil, err
		}
		a.notes.add("texts that could not be read to their end: "+err.Error(), t.file.name)
	}
	if limited.N == 0 {
		a.notes.add(fmt.Sprintf("texts longer than %d bytes, read up to there", int64(maxDumpStream)), t.file.name)
	}
	return d, nil
}

// keepSections unpacks a long text once more and keeps the sections that will be asked for, as
// far as they fit. The others are unpacked when they are asked for.
func (a *acquisition) keepSections(t *textFile, found map[scanner.Source][]passage) error {
	var want []passage
	total := int64(0)
	for s, ps := range found {
		for _, p := range ps {
			if a.wants(s) && total+p.size <= maxKeptText && a.hold(p.size) {
				want = append(want, p)
				total += p.size
			}
		}
	}
	sortPassages(want)
	r, err := t.file.open()
	if err != nil {
		return err
	}
	defer r.Close()
	t.kept = map[int64][]byte{}
	at := int64(0)
	for _, p := range want {
		if p.off < at {
			continue
		}
		if _, err := io.CopyN(io.Discard, r, p.off-at); err != nil {
			return fmt.Errorf("%s: at %d: %w", t.file.name, at, err)
		}
		b := make([]byte, p.size)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("%s: at %d: %w", t.file.name, p.off, err)
		}
		t.kept[p.off], at = b, p.off+p.size
	}
	return a.placeSections(t.file, t, found)
}

// placeSections makes files of the device of the sections that hold files' contents.
func (a *acquisition) placeSections(f *bundleFile, t *textFile, found map[scanner.Source][]passage) error {
	var texts passageFiles
	source, err := a.index.addSource(&texts)
	if err != nil {
		return err
	}
	for s, ps := range found {
		name := string(s)
		if !strings.HasPrefix(name, "/") || len(ps) == 0 {
			continue
		}
		if clean, outside := cleanName(name); outside || clean == "" || len(name) > maxName {
			continue
		}
		if _, err := a.index.lstat(path.Clean(name)); err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, scanner.ErrNotRecorded) {
			continue
		}
		texts = append(texts, ps[0])
		e := bundleFile{name: f.name, size: ps[0].size}
		if err := a.place(source, len(texts)-1, &e, name); err != nil {
			return err
		}
	}
	return nil
}

// passageFiles are the contents of files that stand in a text.
type passageFiles []passage

func (p *passageFiles) file(off, size int64) (scanner.File, error) {
	var stream textStream
	defer stream.close()
	b, err := (*p)[off].read(&stream)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", scanner.ErrUnavailable, err)
	}
	return newBytesFile(b, size), nil
}

func sortPassages(ps []passage) {
	slices.SortFunc(ps, func(x, y passage) int { return cmp.Compare(x.off, y.off) })
}
