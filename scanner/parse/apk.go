package parse

import (
	"bytes"
	"encoding/base64"
)

// ApkPackage is the head of one package in an installed database (text form, as apk-tools 2
// and 3 write it). Slices point into the input.
type ApkPackage struct {
	Line                      int // of its first field, 1-based
	Name, Version, Arch       []byte
	Description               []byte
	Origin, Maintainer        []byte
	RepositoryTag             []byte // "s:", the @tag the package was pinned to
	InstalledSize             int64  // "I:" in bytes; -1 when absent
	BrokenFiles, BrokenScript bool   // "f:" flags of an unfinished installation
	shortSHA256               bool   // "f:S": 20-byte digests are cut SHA-256
}

// ApkFile is one file or directory of a package.
type ApkFile struct {
	Path     []byte // absolute; only good during the call
	Dir      bool
	Mode     int32 // permission bits as in stat(2)
	UID, GID int32
	// Digest of the content (of the target for links) and its algorithm: "sha1" of 20 bytes,
	// "sha256" of 32, or of 20 when apk-tools 3 kept only the first 20. Empty when absent.
	Algo   string
	Digest []byte
}

// ApkInstalled reads whole paragraphs of an installed database. It hands each package's head
// to pkg, and, when pkg says true and file is not nil, the package's files to file. line is
// the number of b's first line.
func ApkInstalled(b []byte, line int, c *Complaints, pkg func(*ApkPackage) bool, file func(*ApkFile)) {
	r := apkReader{c: c, pkg: pkg, file: file}
	r.reset()
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			c.Add(line, "file ends in the middle of a line")
			break
		}
		r.line(b[:end], line)
		b = b[end+1:]
		line++
	}
	r.endPackage()
}

type apkReader struct {
	c    *Complaints
	pkg  func(*ApkPackage) bool
	file func(*ApkFile)

	p      ApkPackage
	told   bool // pkg has been called
	wanted bool // its files are wanted
	dir    []byte
	f      ApkFile
	have   bool // f is to be handed on
	path   []byte
	digest [32]byte
}

func (r *apkReader) reset() {
	r.p = ApkPackage{InstalledSize: -1}
	r.told, r.wanted, r.have, r.dir = false, false, false, nil
}

func (r *apkReader) line(text []byte, n int) {
	if len(text) == 0 {
		r.endPackage()
		return
	}
	if len(text) < 2 || text[1] != ':' || bytes.IndexByte(text, 0) >= 0 {
		r.c.Add(n, "not a field")
		return
	}
	if r.p.Line == 0 {
		r.p.Line = n
	}
	key, value := text[0], text[2:]
	switch key {
	case 'F', 'M', 'R', 'a', 'Z':
		r.endHead()
		if r.wanted {
			r.fileLine(key, value, n)
		}
	default:
		r.headLine(key, value, n)
	}
}

func (r *apkReader) headLine(key byte, value []byte, n int) {
	p := &r.p
	switch key {
	case 'P':
		p.Name = value
	case 'V':
		p.Version = value
	case 'A':
		p.Arch = value
	case 'T':
		p.Description = value
	case 'o':
		p.Origin = value
	case 'm':
		p.Maintainer = value
	case 's':
		p.RepositoryTag = value
	case 'I':
		size, ok := number(value, 10)
		if !ok {
			r.c.Add(n, "I: not a size")
			return
		}
		p.InstalledSize = size
	case 'f':
		p.BrokenFiles = bytes.IndexByte(value, 'f') >= 0
		p.BrokenScript = bytes.IndexByte(value, 's') >= 0
		p.shortSHA256 = bytes.IndexByte(value, 'S') >= 0
	}
}

func (r *apkReader) fileLine(key byte, value []byte, n int) {
	switch key {
	case 'F':
		r.endFile()
		r.dir = value
		r.begin(value, nil)
		r.f.Dir, r.f.Mode = true, 0o755
	case 'R':
		r.endFile()
		if r.dir == nil || len(value) == 0 || bytes.IndexByte(value, '/') >= 0 {
			r.c.Add(n, "R: not a file in a folder")
			return
		}
		r.begin(r.dir, value)
		r.f.Mode = 0o644
	case 'M', 'a':
		if !r.have || r.f.Dir != (key == 'M') || !r.acl(value) {
			r.c.Add(n, string(key)+": not an owner and mode")
		}
	case 'Z':
		if !r.have || r.f.Dir || !r.sum(value) {
			r.c.Add(n, "Z: not a digest")
		}
	}
}

func (r *apkReader) begin(dir, base []byte) {
	r.path = append(append(r.path[:0], '/'), dir...)
	if base != nil {
		if len(dir) > 0 {
			r.path = append(r.path, '/')
		}
		r.path = append(r.path, base...)
	}
	r.f = ApkFile{Path: r.path}
	r.have = true
}

// acl reads "UID:GID:MODE" with an optional ":" and digest of extended attributes.
func (r *apkReader) acl(value []byte) bool {
	var n [3]int64
	for i := range n {
		end := bytes.IndexByte(value, ':')
		if end < 0 {
			end = len(value)
		}
		base := int64(10)
		if i == 2 {
			base = 8
		}
		v, ok := number(value[:end], base)
		if !ok || v > 1<<31-1 {
			return false
		}
		n[i] = v
		value = value[min(end+1, len(value)):]
	}
	r.f.UID, r.f.GID, r.f.Mode = int32(n[0]), int32(n[1]), int32(n[2]&0o7777)
	return true
}

// sum reads "Q1" and base64 of SHA-1, or "Q2" and base64 of SHA-256.
func (r *apkReader) sum(value []byte) bool {
	if len(value) < 3 || value[0] != 'Q' || base64.StdEncoding.DecodedLen(len(value)-2) > len(r.digest)+2 {
		return false
	}
	var buf [36]byte
	n, err := base64.StdEncoding.Decode(buf[:], value[2:])
	switch {
	case err != nil:
		return false
	case value[1] == '1' && n == 20:
		r.f.Algo = "sha1"
		if r.p.shortSHA256 {
			r.f.Algo = "sha256"
		}
	case value[1] == '2' && n == 32:
		r.f.Algo = "sha256"
	default:
		return false
	}
	copy(r.digest[:], buf[:n])
	r.f.Digest = r.digest[:n]
	return true
}

func (r *apkReader) endFile() {
	if r.have && len(r.path) > 1 { // the root itself is everyone's
		r.file(&r.f)
	}
	r.have = false
}

func (r *apkReader) endHead() {
	if r.told || r.p.Line == 0 {
		return
	}
	r.told = true
	r.wanted = r.pkg(&r.p) && r.file != nil
}

func (r *apkReader) endPackage() {
	r.endHead()
	r.endFile()
	r.reset()
}

// ApkTaggedRepository finds the address that /etc/apk/repositories gives a tag ("@edge
// https://..."), or "@" and the tag when there is none.
func ApkTaggedRepository(b []byte, tag string) string {
	found := "@" + tag
	eachLine(b, func(text []byte, _ int) bool {
		first, rest := word(text)
		if string(first) == "@"+tag && len(rest) > 0 {
			address, _ := word(rest)
			found = string(bytes.ToValidUTF8(address, []byte("\uFFFD")))
			return false
		}
		return true
	})
	return found
}
