package device

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"picket/scanner"
)

// maxRecorded is the longest file whose content is recorded, in bytes.
const maxRecorded = maxKept

// recordTree answers from a store. What the store has not, it asks the device and keeps, so
// that a scan through it sees exactly what a scan of the recording will; without a device it
// says that it is not recorded.
type recordTree struct {
	s      *store
	device scanner.FS
	redact func(name string, content []byte) []byte
}

// known runs get under the store's lock when there is a node for name.
func (t *recordTree) known(name string, get func(id uint32) bool) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	id := t.s.find(name)
	return id != 0 && get(id)
}

// keep runs put under the store's lock with a node for name.
func (t *recordTree) keep(name string, put func(id uint32) error) error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	id, err := t.s.make(name)
	if err != nil {
		return err
	}
	return put(id)
}

// missing is the error for what a recording does not hold. A name that is in no listing of
// its directory is known not to exist.
func (t *recordTree) missing(op, name string) error {
	err := scanner.ErrNotRecorded
	if dir := parent(name); name != "/" {
		t.known(dir, func(id uint32) bool {
			if t.s.extra(id).state&stateListed != 0 && t.s.find(name) == 0 {
				err = fs.ErrNotExist
			}
			return true
		})
	}
	return pathErr(op, name, err)
}

func (t *recordTree) lstat(name string) (info scanner.Info, err error) {
	get := func(id uint32) (ok bool) {
		if ok, err = t.s.answered(id, opLstat, name); ok && err == nil {
			info = t.s.info(id, base(name))
			if name == "/" {
				info.Name = "/"
			}
		}
		return ok
	}
	if t.known(name, get) {
		return info, err
	}
	if t.device == nil {
		return info, t.missing("lstat", name)
	}
	got, asked := t.device.Lstat(name)
	kept := t.keep(name, func(id uint32) error {
		if ok, _ := t.s.answered(id, opLstat, name); !ok && asked != nil {
			t.s.failed(id, opLstat, asked)
		} else if !ok {
			t.s.describe(id, &got)
		}
		get(id)
		return nil
	})
	return info, first(kept, err)
}

func (t *recordTree) readDir(name string) (list []scanner.Info, err error) {
	get := func(id uint32) (ok bool) {
		if ok, err = t.s.answered(id, opReadDir, name); ok {
			list = t.s.listing(id)
		}
		return ok
	}
	if t.known(name, get) {
		return list, err
	}
	if t.device == nil {
		return nil, t.missing("readdir", name)
	}
	got, asked := t.device.ReadDir(name)
	kept := t.keep(name, func(id uint32) error {
		if get(id) {
			return nil
		}
		for i := range got {
			c, err := t.s.entry(id, got[i].Name)
			if err != nil {
				return pathErr("record", name, err)
			}
			t.s.describe(c, &got[i])
			t.s.extra(c).state |= stateEntry
		}
		if asked != nil {
			t.s.failed(id, opReadDir, asked)
		} else {
			t.s.extra(id).state |= stateListed
		}
		get(id)
		return nil
	})
	return list, first(kept, err)
}

// first is the first error of two.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// rareAnswer gives an answer that few files have from the store, or asks the device for it.
func (t *recordTree) rareAnswer(op uint8, word, name string, get func(r *rare), ask func() (put func(r *rare) error, err error)) (err error) {
	recall := func(id uint32) (ok bool) {
		if ok, err = t.s.answered(id, op, name); ok && err == nil {
			get(t.s.rare[id])
		}
		return ok
	}
	if t.known(name, recall) {
		return err
	}
	if t.device == nil {
		return t.missing(word, name)
	}
	put, asked := ask()
	kept := t.keep(name, func(id uint32) error {
		if ok, _ := t.s.answered(id, op, name); !ok && asked != nil {
			t.s.failed(id, op, asked)
		} else if !ok {
			r := t.s.rareOf(id)
			if err := put(r); err != nil {
				return err
			}
			r.have |= 1 << op
		}
		recall(id)
		return nil
	})
	return first(kept, err)
}

func (t *recordTree) readlink(name string) (to string, err error) {
	err = t.rareAnswer(opReadlink, "readlink", name, func(r *rare) { to = r.link }, func() (func(*rare) error, error) {
		got, err := t.device.Readlink(name)
		return func(r *rare) error { r.link = got; return nil }, err
	})
	return to, err
}

func (t *recordTree) head(name string) (head []byte, err error) {
	err = t.rareAnswer(opHead, "open", name, func(r *rare) { head = r.head }, func() (func(*rare) error, error) {
		got, err := t.device.Head(name)
		switch {
		case err != nil || t.redact == nil || isForeignCode(got):
		case bytes.HasPrefix(got, []byte("#!")):
			got, _, _ = bytes.Cut(got, []byte{'\n'}) // what follows is no mark of a script
		case !isCode(got):
			got = textHead(t.redact(name, got))
		}
		return func(r *rare) error { r.head = got[:min(len(got), headSize)]; return nil }, err
	})
	return head, err
}

// isForeignCode tells the first bytes of a program for Windows, and of an archive with a program for
// Android in it. What tells them stands behind the mark of the format, and is nobody's text.
func isForeignCode(head []byte) bool {
	const peOffset, zipNameLength, zipName = 60, 26, 30
	if bytes.HasPrefix(head, []byte("MZ")) && len(head) >= peOffset+4 {
		at := binary.LittleEndian.Uint32(head[peOffset:])
		return at >= headSize && at < 4096
	}
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) || len(head) <= zipName {
		return false
	}
	first := string(head[zipName:min(len(head), zipName+int(binary.LittleEndian.Uint16(head[zipNameLength:])))])
	return slices.ContainsFunc([]string{"AndroidManifest.xml", "resources.arsc", "classes", "META-INF/", "res/", "assets/", "lib/"},
		func(name string) bool { return strings.HasPrefix(first, name) })
}

// textHead cuts the first bytes of a file that is no program to what tells its format: the
// rest may be somebody's own text. A PEM header is kept, for it says what follows.
func textHead(head []byte) []byte {
	const magicSize = 8
	if bytes.HasPrefix(head, []byte("-----BEGIN ")) {
		return head
	}
	head = head[:min(len(head), magicSize)]
	if bytes.HasPrefix(head, []byte("#!")) || bytes.HasPrefix(head, []byte("PuTTY-Us")) || !isWords(head) {
		return head
	}
	return bytes.Repeat([]byte{'x'}, len(head)) // somebody's words
}

// isWords tells text from the marks of formats, which have bytes that no text has.
func isWords(head []byte) bool {
	for cut := 0; cut < utf8.UTFMax && cut < len(head) && !utf8.Valid(head); cut++ {
		head = head[:len(head)-1] // a letter that was cut off
	}
	return utf8.Valid(head) && !bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' })
}

func (t *recordTree) digest(name string, algo scanner.Algo) (sum []byte, err error) {
	if algo < scanner.MD5 || algo > scanner.SHA512 {
		return nil, pathErr("digest", name, errors.ErrUnsupported)
	}
	err = t.rareAnswer(opHead+uint8(algo), "digest", name, func(r *rare) { sum = r.digests[algo] }, func() (func(*rare) error, error) {
		got, err := t.device.Digest(name, algo)
		return func(r *rare) error { r.digests[algo] = got; return nil }, err
	})
	return sum, err
}

// held tells whether a file has a digest that was asked for. A recorder keeps the digest then and only
// then: that of a file with a secret in it would let the secret be guessed.
func (t *recordTree) held(name string, algo scanner.Algo, digest []byte) bool {
	if t.device != nil {
		if sum, err := t.device.Digest(name, algo); err != nil || !bytes.HasPrefix(sum, digest) {
			return false
		}
	}
	sum, err := t.digest(name, algo)
	return err == nil && bytes.HasPrefix(sum, digest)
}

func (t *recordTree) xattr(name, attr string) (value []byte, err error) {
	get := func(id uint32) (ok bool) {
		value, ok, err = t.s.xattr(id, attr, name)
		return ok
	}
	if t.known(name, get) {
		return value, err
	}
	if t.device == nil {
		return nil, t.missing("getxattr", name)
	}
	got, asked := t.device.Xattr(name, attr)
	kept := t.keep(name, func(id uint32) error {
		if !get(id) {
			t.s.keepXattr(id, attr, got, asked)
			value, err = got, asked
		}
		return nil
	})
	return value, first(kept, err)
}

func (t *recordTree) open(name string) (scanner.File, error) {
	var b body
	err := t.rareAnswer(opOpen, "open", name, func(r *rare) { b = r.body }, func() (func(*rare) error, error) {
		content, claimed, err := t.read(name)
		return func(r *rare) error { r.body = t.s.putBody(content, claimed); return nil }, err
	})
	if err != nil {
		return nil, err
	}
	if !b.kept {
		return &unrecordedFile{name: name, size: b.claimed}, nil
	}
	return &recordedFile{io.NewSectionReader(t.s, b.off, b.size), b.claimed}, nil
}

// read reads a whole file of the device; nil content means that it is not to be recorded.
func (t *recordTree) read(name string) (content []byte, claimed int64, err error) {
	f, err := t.device.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	claimed = f.Size()
	if claimed > maxRecorded {
		return nil, claimed, nil
	}
	content, err = io.ReadAll(io.LimitReader(f, maxRecorded+1))
	if err != nil {
		return nil, 0, err
	}
	if len(content) > maxRecorded {
		return nil, claimed, nil
	}
	if t.redact != nil {
		content = t.redact(name, content)
	}
	return append([]byte{}, content...), claimed, nil
}

// putBody keeps a file's content if there is room for it.
func (s *store) putBody(content []byte, claimed int64) body {
	b := body{claimed: claimed, off: s.bodies.size, size: int64(len(content)), kept: content != nil && !s.bodies.full()}
	if b.kept {
		s.bodies.Write(content)
	}
	return b
}

// ReadAt reads of the kept contents, which grow while a recording is made.
func (s *store) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies.ReadAt(p, off)
}

// recordedFile is a file whose content was recorded. Its size is what the device claimed.
type recordedFile struct {
	*io.SectionReader
	claimed int64
}

func (f *recordedFile) Size() int64  { return f.claimed }
func (f *recordedFile) Close() error { return nil }

// unrecordedFile is a file that could be opened but was too large to record.
type unrecordedFile struct {
	name string
	size int64
}

func (f *unrecordedFile) err() error                        { return pathErr("read", f.name, scanner.ErrNotRecorded) }
func (f *unrecordedFile) Size() int64                       { return f.size }
func (f *unrecordedFile) Close() error                      { return nil }
func (f *unrecordedFile) Read([]byte) (int, error)          { return 0, f.err() }
func (f *unrecordedFile) ReadAt([]byte, int64) (int, error) { return 0, f.err() }
