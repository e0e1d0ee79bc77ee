package device

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"picket/scanner"
)

// sample is one file of the tree that every kind of device is tried with.
type sample struct {
	name    string
	mode    uint16 // as st_mode
	uid     int
	gid     int
	content string
	link    string
	same    string // the other name of a hard link
	xattrs  map[string]string
}

var sampleTime = time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)

const sampleCaps = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// samples is a small root filesystem with merged /usr, parents before children.
func samples() []sample {
	return []sample{
		{name: "bin", mode: typeLink | 0o777, link: "usr/bin"},
		{name: "dev", mode: typeDir | 0o755},
		{name: "dev/initctl", mode: typeFIFO | 0o600},
		{name: "etc", mode: typeDir | 0o755},
		{name: "etc/empty", mode: typeReg | 0o644},
		{name: "etc/loop", mode: typeLink | 0o777, link: "loop2"},
		{name: "etc/loop2", mode: typeLink | 0o777, link: "/etc/loop"},
		{name: "etc/mtab", mode: typeLink | 0o777, link: "../../../../proc/mounts"},
		{name: "etc/os-release", mode: typeLink | 0o777, link: "../usr/lib/os-release"},
		{name: "etc/passwd", mode: typeReg | 0o644, content: "root:x:0:0::/root:/bin/sh\n"},
		{name: "etc/shadow", mode: typeReg | 0o640, gid: 42, content: "root:*:19000::::::\n"},
		{name: "home", mode: typeDir | 0o755},
		{name: "home/me", mode: typeDir | 0o700, uid: 1000, gid: 1000},
		{name: "home/me/n\u00e4me with space", mode: typeReg | 0o600, uid: 1000, gid: 1000, content: "x"},
		{name: "home/me/\xff\xfe", mode: typeReg | 0o600, uid: 1000, gid: 1000, content: "not UTF-8"},
		{name: "lib", mode: typeLink | 0o777, link: "/usr/lib"},
		{name: "tmp", mode: typeDir | 0o1777},
		{name: "usr", mode: typeDir | 0o755},
		{name: "usr/bin", mode: typeDir | 0o755},
		{name: "usr/bin/ping", mode: typeReg | 0o755, content: elfHeader + "ping", xattrs: map[string]string{"security.capability": sampleCaps}},
		{name: "usr/bin/su", mode: typeReg | 0o4755, content: elfHeader + strings.Repeat("su", 50000)},
		{name: "usr/bin/sudo", mode: typeReg | 0o4755, same: "usr/bin/su"},
		{name: "usr/lib", mode: typeDir | 0o755},
		{name: "usr/lib/os-release", mode: typeReg | 0o644, content: "ID=sample\nVERSION_ID=1\n"},
		{name: "usr/lib/" + strings.Repeat("long", 50), mode: typeReg | 0o644, content: "long name"},
	}
}

// fewSamples is the tree without long content, for fuzzing.
func fewSamples() []sample {
	list := samples()
	for i := range list {
		list[i].content = list[i].content[:min(len(list[i].content), 70)]
	}
	return list
}

// rootOnly tells whether the test may make files of other users.
func rootOnly() bool { return os.Geteuid() == 0 }

// writeTree makes the sample on disk.
func writeTree(t testing.TB, list []sample) string {
	t.Helper()
	top := t.TempDir()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range list {
		name := filepath.Join(top, s.name)
		switch {
		case s.same != "":
			try(os.Link(filepath.Join(top, s.same), name))
			continue
		case s.mode&typeMask == typeDir:
			try(os.Mkdir(name, 0o700))
		case s.mode&typeMask == typeLink:
			try(os.Symlink(s.link, name))
		case s.mode&typeMask == typeFIFO:
			try(mkfifo(name))
		default:
			try(os.WriteFile(name, []byte(s.content), 0o600))
		}
		if rootOnly() {
			try(os.Lchown(name, s.uid, s.gid))
		}
		if s.mode&typeMask != typeLink {
			try(chmod(name, uint32(s.mode&0o7777)))
		}
		for k, v := range s.xattrs {
			if rootOnly() {
				try(setxattr(name, k, v))
			}
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		try(lutimes(filepath.Join(top, list[i].name), sampleTime))
	}
	try(chmod(top, 0o755))
	return top
}

// tarOf writes samples as a tar archive.
func tarOf(t testing.TB, list []sample) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, s := range list {
		h := tarHeaderOf(s)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(s.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarHeaderOf(s sample) tar.Header {
	h := tar.Header{Name: s.name, Mode: int64(s.mode & 0o7777), Uid: s.uid, Gid: s.gid, ModTime: sampleTime, Linkname: s.link, Size: int64(len(s.content))}
	switch s.mode & typeMask {
	case typeDir:
		h.Typeflag, h.Name = tar.TypeDir, s.name+"/"
	case typeLink:
		h.Typeflag = tar.TypeSymlink
	case typeFIFO:
		h.Typeflag = tar.TypeFifo
	case typeChar:
		h.Typeflag = tar.TypeChar
	default:
		h.Typeflag = tar.TypeReg
	}
	if s.same != "" {
		h.Typeflag, h.Linkname = tar.TypeLink, s.same
	}
	for k, v := range s.xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+k] = v
	}
	return h
}

func gzOf(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstOf(b []byte) []byte {
	var out bytes.Buffer
	w, _ := zstd.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// xzOf writes the xz format with nothing compressed: one block of LZMA2 chunks of plain
// bytes. https://tukaani.org/xz/xz-file-format.txt
func xzOf(b []byte) []byte {
	le := binary.LittleEndian
	withCRC := func(p []byte) []byte { return le.AppendUint32(p, crc32.ChecksumIEEE(p)) }
	flags := []byte{0, 1} // CRC32
	out := append([]byte("\xfd7zXZ\x00"), flags...)
	out = le.AppendUint32(out, crc32.ChecksumIEEE(flags))
	block := len(out)
	out = append(out, withCRC([]byte{2, 0, 0x21, 1, 8, 0, 0, 0})...) // LZMA2, dictionary of 64 KiB
	reset := byte(1)
	for rest := b; len(rest) > 0; reset = 2 {
		n := min(len(rest), 1<<16)
		out = append(out, reset, byte((n-1)>>8), byte(n-1))
		out = append(out, rest[:n]...)
		rest = rest[n:]
	}
	out = append(out, 0)
	unpadded := len(out) - block + 4
	for (len(out)-block)%4 != 0 {
		out = append(out, 0)
	}
	out = le.AppendUint32(out, crc32.ChecksumIEEE(b))
	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(b)))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = withCRC(index)
	out = append(out, index...)
	foot := le.AppendUint32(nil, uint32(len(index)/4-1))
	foot = append(foot, flags...)
	out = le.AppendUint32(out, crc32.ChecksumIEEE(foot))
	return append(append(out, foot...), "YZ"...)
}

// zipOf writes samples as Info-ZIP does, hard links as copies.
func zipOf(t testing.TB, list []sample) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	contents := map[string]string{}
	for _, s := range list {
		if s.mode&typeMask == typeFIFO {
			continue
		}
		content := s.content + s.link
		if s.same != "" {
			content = contents[s.same]
		}
		contents[s.name] = content
		h := &zip.FileHeader{Name: s.name, Method: zip.Deflate, Modified: sampleTime, CreatorVersion: 3 << 8, ExternalAttrs: uint32(s.mode) << 16}
		if s.mode&typeMask == typeDir {
			h.Name += "/"
			h.Method = zip.Store
		}
		h.Extra = binary.LittleEndian.AppendUint32([]byte{0x75, 0x78, 11, 0, 1, 4}, uint32(s.uid))
		h.Extra = binary.LittleEndian.AppendUint32(append(h.Extra, 4), uint32(s.gid))
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// txtarOf writes samples as a text fixture.
func txtarOf(list []sample) []byte {
	var b strings.Builder
	for _, s := range list {
		if s.same != "" {
			fmt.Fprintf(&b, "-- %s hardlink=%s --\n", s.name, s.same)
			continue
		}
		name := s.name
		if s.mode&typeMask == typeDir {
			name += "/"
		}
		fmt.Fprintf(&b, "-- name-hex=%x mode=%o uid=%d gid=%d mtime=%s", name, s.mode&0o7777, s.uid, s.gid, sampleTime.Format(time.RFC3339))
		for k, v := range s.xattrs {
			fmt.Fprintf(&b, " xattr.%s=%x", k, v)
		}
		switch s.mode & typeMask {
		case typeLink:
			fmt.Fprintf(&b, " link=%s", s.link)
		case typeFIFO:
			b.WriteString(" type=fifo")
		case typeReg:
			b.WriteString(" base64")
		}
		b.WriteString(" --\n")
		if s.content != "" {
			text, _ := json.Marshal([]byte(s.content))
			fmt.Fprintf(&b, "%s\n", strings.Trim(string(text), `"`))
		}
	}
	return []byte(b.String())
}

// blobs are files of an image archive by name.
type blobs map[string][]byte

func (b blobs) put(content []byte) (digest string) {
	digest = fmt.Sprintf("%x", sha256.Sum256(content))
	b["blobs/sha256/"+digest] = content
	return digest
}

// ociOf makes an OCI layout of layers as they are stored.
func ociOf(layers ...[]byte) blobs {
	b := blobs{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	config := b.put([]byte(`{"os":"linux","architecture":"arm64"}`))
	var list []string
	for _, l := range layers {
		list = append(list, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}`, b.put(l), len(l)))
	}
	manifest := b.put(fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":"sha256:%s"},"layers":[%s]}`, config, strings.Join(list, ",")))
	b["index.json"] = fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"digest":"sha256:%s","annotations":{"org.opencontainers.image.ref.name":"sample:1"}}]}`, manifest)
	return b
}

// dockerOf makes what `docker save` writes of layers.
func dockerOf(layers ...[]byte) blobs {
	b := blobs{}
	var names, diffs []string
	for n, l := range layers {
		name := fmt.Sprintf("%064x/layer.tar", n+1)
		b[name] = l
		names = append(names, fmt.Sprintf("%q", name))
		diffs = append(diffs, fmt.Sprintf(`"sha256:%x"`, sha256.Sum256(l)))
	}
	b["config.json"] = fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%s]}}`, strings.Join(diffs, ","))
	b["manifest.json"] = fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":["sample:2"],"Layers":[%s]}]`, strings.Join(names, ","))
	return b
}

// tar packs an image archive. Its documents come last, as in no order that helps.
func (b blobs) tar(t testing.TB) []byte {
	var list []sample
	for name, content := range b {
		list = append(list, sample{name: name, mode: typeReg | 0o644, content: string(content)})
	}
	return tarOf(t, list)
}

func (b blobs) dir(t testing.TB) string {
	top := t.TempDir()
	for name, content := range b {
		full := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// inFile writes b to a file whose name says nothing.
func inFile(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// openFor opens a device for as long as a test runs.
func openFor(t testing.TB, path string, opt OpenOptions) (scanner.Device, error) {
	d, err := Open(context.Background(), path, opt)
	if c, ok := d.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	return d, err
}
