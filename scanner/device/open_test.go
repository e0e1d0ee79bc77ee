package device

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
)

// openBytes opens an archive in memory as Open does a file.
func openArchive(b []byte, opt OpenOptions) (scanner.Device, error) {
	f := nopCloser{bytes.NewReader(b)}
	head := b[:min(len(b), sniffSize)]
	var d *recorded
	var err error
	switch packed := compression(head); {
	case packed != "" || isTar(head):
		d, err = openTar(context.Background(), &archiveFile{f: f, name: "archive", size: int64(len(b)), packed: packed}, opt)
	case isZip(head):
		d, err = openZip(f, "archive", int64(len(b)), opt)
	default:
		err = nothingRecognised("neither tar nor zip")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

func TestNothingRecognisedSaysWhatWasLookedAt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"empty file":            nil,
		"noise":                 bytes.Repeat([]byte("\x00\x9d\xfe"), 5000),
		"zeros":                 make([]byte, 10240),
		"text":                  []byte("hello\n"),
		"gzip of text":          gzOf([]byte("hello\n")),
		"gzip of nothing":       gzOf(nil),
		"zstd of noise":         zstOf(bytes.Repeat([]byte("\x00\x9d\xfe"), 5000)),
		"tar without a system":  tarOf(t, []sample{{name: "notes.txt", mode: typeReg | 0o644, content: "hello"}}),
		"zip without a system":  zipOf(t, []sample{{name: "notes.txt", mode: typeReg | 0o644, content: "hello"}}),
		"empty tar, compressed": zstOf(tarOf(t, nil)),
		"empty zip":             zipOf(t, nil),
	}
	for name, b := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := openFor(t, file, OpenOptions{})
		if !errors.Is(err, ErrNothingRecognised) || !strings.HasPrefix(err.Error(), file+": nothing recognised: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{filepath.Join(dir, "empty"), os.DevNull} {
		if _, err := openFor(t, name, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "nothing recognised") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openFor(t, filepath.Join(dir, "nothing"), OpenOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// smallArchives are one small archive of each kind.
func smallArchives(t testing.TB) map[string][]byte {
	list := []sample{
		{name: "etc/passwd", mode: typeReg | 0o644, content: "root:x:0:0\n"},
		{name: "bin/sh", mode: typeReg | 0o755, content: elfHeader + strings.Repeat("code", 400)},
		{name: "etc/caps", mode: typeReg | 0o644, xattrs: map[string]string{"security.selinux": "x"}, content: "y"},
	}
	plain := tarOf(t, list)
	d, err := openArchive(plain, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec := recordingOf(t, d, RecordOptions{}, func(d scanner.Device) {
		checkTree(t, d.FS())
		scanner.ReadFile(d.FS(), "/etc/passwd", 100)
		d.FS().Lstat("/etc/nothing")
		d.Probe(context.Background(), scanner.SourceUname)
	})
	return map[string][]byte{
		"tar":         plain,
		"tar.gz":      gzOf(plain),
		"tar.xz":      xzOf(plain),
		"tar.zst":     zstOf(plain),
		"zip":         zipOf(t, list),
		"oci":         ociOf(gzOf(plain)).tar(t),
		"oci, packed": zstOf(ociOf(zstOf(plain)).tar(t)),
		"docker save": dockerOf(plain).tar(t),
		"recording":   rec,
	}
}

// step is how many bytes lie between two that are tried. PICKET_LONG_TESTS tries every one,
// which takes half a minute.
func step() int {
	if os.Getenv("PICKET_LONG_TESTS") != "" {
		return 1
	}
	return 5
}

// An archive that was cut off is an error, or its device does not say of anything that it
// does not exist.
func TestAnArchiveCutOffAnywhereIsNeverWhole(t *testing.T) {
	t.Parallel()
	for name, b := range smallArchives(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := b
			if strings.HasPrefix(name, "tar") || name == "docker save" || name == "oci" {
				whole = bytes.TrimRight(b, "\x00") // what follows is the end mark
			}
			for n := 0; n < len(whole); n += step() {
				d, err := openArchive(b[:n], OpenOptions{})
				if err != nil {
					if err.Error() == "" || strings.Contains(err.Error(), "%!") {
						t.Fatalf("cut at %d: error %q", n, err)
					}
					continue
				}
				if _, err := d.FS().Lstat("/var/nothing"); !errors.Is(err, scanner.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("cut at %d of %d: %v, notes %q", n, len(b), err, d.Identity().Notes)
				}
				if len(d.Identity().Notes) == 0 {
					t.Fatalf("cut at %d: nothing is noted", n)
				}
			}
		})
	}
}

// A damaged archive is an error or a tree whose answers hang together. Damage to what a
// checksum guards is always an error.
func TestADamagedArchiveDoesNoHarm(t *testing.T) {
	t.Parallel()
	for name, b := range smallArchives(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 0; n < len(b); n += step() {
				bad := bytes.Clone(b)
				bad[n] ^= 0x55
				d, err := openArchive(bad, OpenOptions{})
				if err == nil {
					checkTree(t, d.FS())
				}
			}
		})
	}
}

func TestErrorsOfArchivesNameThePlace(t *testing.T) {
	t.Parallel()
	plain := tarOf(t, samples())
	damaged := bytes.Clone(plain)
	damaged[3*512+10] ^= 0xff
	garbledPAX := tarOf(t, []sample{{name: "etc/x", mode: typeReg, xattrs: map[string]string{"user.x": "y"}}})
	i := bytes.Index(garbledPAX, []byte("SCHILY"))
	garbledPAX[i-2] = 'x'
	hugePAX := bytes.Clone(garbledPAX)
	copy(hugePAX[124:], "77777777777\x00")
	fixChecksum(hugePAX)
	negative := bytes.Clone(plain)
	copy(negative[124:], strings.Repeat("\xff", 12))
	fixChecksum(negative)
	// A window of 512 MiB: magic, descriptor without a checksum, window descriptor, then
	// one empty last block.
	wide, _ := hex.DecodeString("28b52ffd0098010000")
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"cut in a header":     {plain[:3*512+100], `tar: at byte 1636, after "dev/initctl": cut off`},
		"cut in content":      {gzOf(plain[:len(plain)-3000]), "tar: at byte "},
		"cut in gzip":         {gzOf(plain)[:200], "gz: near byte 200: unexpected EOF"},
		"damaged header":      {damaged, `tar: at byte 2048, after "dev/initctl": no header where one should be`},
		"garbled pax":         {garbledPAX, "an extended header is garbled"},
		"huge pax":            {hugePAX, "an extended header is longer than 1048576 bytes"},
		"negative size":       {negative, "size of a file is not a number"},
		"damaged checksum":    {flipped(gzOf(plain), -6), "gz: near byte"},
		"damaged zstd":        {flipped(zstOf(plain), 200), "zst: near byte"},
		"damaged xz":          {flipped(xzOf(plain), -8), "xz: near byte"},
		"a window too large":  {wide, "window"},
		"zip without its end": {zipOf(t, samples())[:300], "zip: not a valid zip file"},
	} {
		if _, err := openArchive(c.b, OpenOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// flipped damages one byte, counted from the end when at is negative.
func flipped(b []byte, at int) []byte {
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0xff
	return b
}

func fixChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header[:512] {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
