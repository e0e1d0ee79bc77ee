package device

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"picket/scanner"
)

// txtarTime is the modification time of files that state none.
var txtarTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Txtar makes a device of a text fixture. Its files are the device's tree; the line of each
// may say more than the name:
//
//	-- etc/shadow mode=0640 uid=0 gid=42 --
//	-- bin link=usr/bin --
//	-- usr/bin/vi hardlink=usr/bin/vim --
//	-- tmp/ mode=1777 --
//	-- run/initctl type=fifo --               also char, block, socket
//	-- usr/bin/tool elf mode=4755 --          the content follows a minimal ELF header
//	-- etc/blob base64 mtime=2024-01-02T03:04:05Z --
//	-- usr/bin/ping elf xattr.security.capability=0100000200200000 --
//	-- var/log/huge size=10000000000 --       claims another size than it has
//	-- root/secret denied --                  may be described but not read
//	-- name-hex=746d702fff --                 a name that is not text
//	-- probe/processes --                     what a live source says; with denied: may not ask
//
// Without more, a file is root's with mode 0644 (0755 for elf and directories). The lines
// before the first file are blank, start with #, or are one of
//
//	recorded-at: 2024-05-06T07:08:09Z
//	live: yes             processes and kernel state could be read; yes when there is a probe
//	root: no              the reader could not read everything
//	platform: linux
//	profile: router       instead of what the scan would tell from the tree
//	acquired: adb         how a phone was read
//	modes-untrusted: why
//
// The error names the line of the mistake.
func Txtar(archive []byte) (scanner.Device, error) {
	d, err := readTxtar(archive)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func readTxtar(archive []byte) (*recorded, error) {
	comment, files := splitTxtar(archive)
	d := &recorded{
		identity: scanner.Identity{Origin: "txtar", Kind: "txtar", Platform: "linux", Root: true},
		probes:   map[scanner.Source]reply{},
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("txtar: line 1: holds no file")
	}
	t := &txtarReader{index: newIndex(), device: d}
	// Directories that the fixture does not name are like its top: root's.
	t.index.set(topNode, &entry{mode: typeDir | 0o755, mtime: txtarTime, flags: flagImplied})
	if err := t.comment(comment); err != nil {
		return nil, err
	}
	for _, f := range files {
		if _, err := t.file(f.header, f.data); err != nil {
			return nil, fmt.Errorf("txtar: line %d: %w", f.line, err)
		}
	}
	if err := t.finish(); err != nil {
		return nil, err
	}
	d.fs = newFS(t.index)
	return d, nil
}

// txtarPart is one file as the archive has it.
type txtarPart struct {
	header string // between the marker's dashes
	line   int    // of the marker
	data   []byte
}

// splitTxtar cuts an archive at its marker lines, as golang.org/x/tools/txtar does.
func splitTxtar(archive []byte) (comment []byte, parts []txtarPart) {
	start, pos, line := 0, 0, 0
	end := func() {
		if text := archive[start:pos]; len(parts) > 0 {
			parts[len(parts)-1].data = text
		} else {
			comment = text
		}
	}
	for l := range bytes.Lines(archive) {
		line++
		if header, ok := markerLine(l); ok {
			end()
			parts = append(parts, txtarPart{header: header, line: line})
			start = pos + len(l)
		}
		pos += len(l)
	}
	end()
	return comment, parts
}

// markerLine gives what stands between the dashes of "-- NAME --".
func markerLine(l []byte) (string, bool) {
	s := strings.TrimRight(string(l), "\r\n")
	if !strings.HasPrefix(s, "-- ") || !strings.HasSuffix(s, " --") || len(s) < len("-- x --") {
		return "", false
	}
	s = strings.TrimSpace(s[3 : len(s)-3])
	return s, s != ""
}

type txtarReader struct {
	index    *index
	device   *recorded
	contents bytesSource
	live     bool    // stated
	base     *rooted // what a change is laid over; nil for a whole device
}

func (t *txtarReader) comment(text []byte) error {
	id := &t.device.identity
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "recorded-at":
			id.RecordedAt, err = time.Parse(time.RFC3339, value)
		case "live":
			id.Live, err = yesNo(value)
			t.live = true
		case "root":
			id.Root, err = yesNo(value)
		case "platform":
			if id.Platform = value; value != "linux" && value != "android" {
				err = fmt.Errorf("want linux or android, not %q", value)
			}
		case "profile":
			id.Profile = value
		case "acquired":
			id.Acquired = value
		case "modes-untrusted":
			if id.ModesUntrusted = value; value == "" {
				err = fmt.Errorf("want the reason")
			}
		default:
			err = fmt.Errorf("unknown; known are recorded-at, live, root, platform, profile, acquired, modes-untrusted, and lines that start with #")
		}
		if err != nil {
			return fmt.Errorf("txtar: line %d: %s: %w", line, key, err)
		}
	}
	return nil
}

func yesNo(v string) (bool, error) {
	if v != "yes" && v != "no" {
		return false, fmt.Errorf("want yes or no, not %q", v)
	}
	return v == "yes", nil
}

// file adds a file of a fixture, and gives its name; "" for what a source says.
func (t *txtarReader) file(header string, data []byte) (string, error) {
	f, err := parseTxtarHeader(header)
	if err != nil {
		return "", err
	}
	if f.base64 {
		text := strings.Join(strings.Fields(string(data)), "")
		if data, err = base64.StdEncoding.DecodeString(text); err != nil {
			return "", fmt.Errorf("%s: base64: %w", f.name, err)
		}
	}
	if f.gone && t.base == nil {
		return "", fmt.Errorf("%s: gone is for changes of a device", f.name)
	}
	if name, ok := strings.CutPrefix(f.name, "probe/"); ok {
		return "", t.probe(scanner.Source(name), f, data)
	}
	if t.base != nil {
		if f.name, err = t.place(f.name); err != nil {
			return "", err
		}
	}
	return f.name, t.add(f, data)
}

func (t *txtarReader) add(f *txtarFile, data []byte) error {
	if f.gone {
		if err := t.gone(f); err != nil {
			return err
		}
	}
	kind := f.mode & typeMask
	if kind != typeReg && len(bytes.TrimSpace(data)) > 0 {
		return fmt.Errorf("%s: only a regular file has content", f.name)
	}
	if old := t.find(f.name); old != 0 && t.index.node(old).flags&flagImplied == 0 {
		return fmt.Errorf("%s: is there already", f.name)
	}
	if f.hardlink != "" {
		ok, err := t.index.hardlink(f.name, f.hardlink)
		if !ok && err == nil {
			err = fmt.Errorf("%s: hardlink=%s: no such file above", f.name, f.hardlink)
		}
		return err
	}
	if f.elf {
		data = append([]byte(elfHeader), data...)
	}
	if f.size < 0 {
		f.size = int64(len(data))
	}
	t.contents = append(t.contents, data)
	f.where = 1<<sourceShift | uint64(len(t.contents)-1)
	if err := t.index.add(&f.entry); err != nil {
		return err
	}
	for _, n := range t.index.notes { // what an archive may have wrong, a fixture may not
		return fmt.Errorf("%s: %s", f.name, n.what)
	}
	return nil
}

// find gives the node of a name as written, 0 when there is none.
func (t *txtarReader) find(name string) uint32 {
	clean, _ := cleanName(name)
	id, err := t.index.find("", "/"+clean)
	if err != nil {
		return 0
	}
	return id
}

func (t *txtarReader) probe(s scanner.Source, f *txtarFile, data []byte) error {
	if !isSource(s) {
		return fmt.Errorf("probe/%s: unknown source; known are %s", s, joinSources(sources()))
	}
	a := reply{bytes: data}
	switch {
	case f.flags&flagDenied != 0:
		a = reply{err: fmt.Errorf("%s: %w", s, fs.ErrPermission)}
	case f.gone:
		a = reply{err: fmt.Errorf("%s: %w", s, scanner.ErrUnavailable)}
	}
	t.device.probes[s] = a
	return nil
}

func joinSources(list []scanner.Source) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func (t *txtarReader) finish() error {
	if !t.live {
		t.device.identity.Live = len(t.device.probes) > 0
	}
	_, err := t.index.addSource(t.contents)
	return err
}

// txtarFile is one file of a fixture.
type txtarFile struct {
	entry
	hardlink    string
	elf, base64 bool
	gone        bool // of a change: there is no such file any more
}

// parseTxtarHeader reads a name and the attributes after it.
func parseTxtarHeader(header string) (*txtarFile, error) {
	name, rest, _ := strings.Cut(header, " ")
	f := &txtarFile{entry: entry{name: name, mtime: txtarTime, size: -1}}
	kind, perm := uint16(typeReg), int64(-1)
	if hexed, ok := strings.CutPrefix(name, "name-hex="); ok {
		b, err := hex.DecodeString(hexed)
		if err != nil || len(b) == 0 {
			return nil, fmt.Errorf("%s: want the bytes of a name in hex", name)
		}
		f.name = string(b)
	} else if !utf8.ValidString(name) {
		return nil, fmt.Errorf("name %q is not UTF-8: write it as name-hex=%x", name, name)
	}
	if strings.HasSuffix(f.name, "/") {
		kind = typeDir
	}
	for attr := range strings.FieldsSeq(rest) {
		if err := f.attribute(attr, &kind, &perm); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if perm < 0 {
		perm = 0o644
		if f.elf || kind == typeDir {
			perm = 0o755
		} else if kind == typeLink {
			perm = 0o777
		}
	}
	f.mode = kind | uint16(perm)
	return f, nil
}

func (f *txtarFile) attribute(attr string, kind *uint16, perm *int64) (err error) {
	key, value, hasValue := strings.Cut(attr, "=")
	want := ""
	switch key {
	case "elf":
		f.elf = true
	case "base64":
		f.base64 = true
	case "denied":
		f.flags |= flagDenied
	case "gone":
		f.gone = true
	case "mode":
		want = "octal up to 7777"
		if *perm, err = strconv.ParseInt(value, 8, 16); *perm > 0o7777 || *perm < 0 {
			err = strconv.ErrRange
		}
	case "uid":
		want = "a number"
		f.uid, err = strconv.ParseInt(value, 10, 32)
	case "gid":
		want = "a number"
		f.gid, err = strconv.ParseInt(value, 10, 32)
	case "size":
		want = "bytes"
		var n uint64
		n, err = strconv.ParseUint(value, 10, 63)
		f.size = int64(n)
	case "mtime":
		want = "a time as 2024-01-02T03:04:05Z"
		f.mtime, err = time.Parse(time.RFC3339Nano, value)
	case "link":
		want = "where it leads"
		*kind, f.link = typeLink, value
	case "hardlink":
		want = "the other name"
		f.hardlink = value
	case "type":
		want = "fifo, char, block or socket"
		kinds := map[string]uint16{"fifo": typeFIFO, "char": typeChar, "block": typeBlock, "socket": typeSocket}
		var ok bool
		if *kind, ok = kinds[value]; !ok {
			err = strconv.ErrSyntax
		}
	default:
		name, ok := strings.CutPrefix(key, "xattr.")
		if !ok {
			return fmt.Errorf("unknown attribute %q; known are mode, uid, gid, link, hardlink, type, elf, base64, denied, size, mtime, xattr.NAME", key)
		}
		want = "hex"
		var b []byte
		b, err = hex.DecodeString(value)
		f.xattrs = append(f.xattrs, xattr{name, string(b)})
	}
	if err != nil || hasValue != (want != "") || want != "" && value == "" {
		if want == "" {
			return fmt.Errorf("%s takes no value", key)
		}
		return fmt.Errorf("%s=%s: want %s", key, value, want)
	}
	return nil
}

// elfHeader is the start of a 64-bit position-independent program without anything in it.
const elfHeader = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + // class, order, version
	"\x03\x00\x3e\x00\x01\x00\x00\x00" + // ET_DYN, x86-64
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + // entry, tables
	"\x00\x00\x00\x00\x40\x00\x38\x00\x00\x00\x40\x00\x00\x00\x00\x00"
