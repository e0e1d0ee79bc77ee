package device

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"picket/scanner"
)

func TestZipWithoutModesIsNotTrusted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by    uint16
		attrs uint32
		extra []byte
		want  string
	}{
		"made on Windows":  {0, 0x20, nil, "the zip archive does not keep modes"},
		"without owners":   {3 << 8, (typeReg | 0o644) << 16, nil, "the zip archive does not keep owners"},
		"garbled owners":   {3 << 8, (typeReg | 0o644) << 16, []byte{0x75, 0x78, 3, 0, 1, 200, 0}, "the zip archive does not keep owners"},
		"an unknown type":  {3 << 8, 0xd1a4 << 16, nil, "the zip archive does not keep modes"},
		"with all of them": {3 << 8, (typeReg | 0o644) << 16, []byte{0x75, 0x78, 7, 0, 1, 2, 1, 2, 2, 3, 4}, ""},
	} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.CreateHeader(&zip.FileHeader{Name: "etc/passwd", CreatorVersion: c.by, ExternalAttrs: c.attrs, Extra: c.extra})
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("root"))
		w.Close()
		d, err := openArchive(b.Bytes(), OpenOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := d.Identity().ModesUntrusted; got != c.want {
			t.Errorf("%s: %q", name, got)
		}
		in, err := d.FS().Lstat("/etc/passwd")
		if err != nil || !in.Mode.IsRegular() {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
		if c.want == "" && (in.UID != 0x201 || in.GID != 0x403) {
			t.Errorf("%s: owner %#x:%#x", name, in.UID, in.GID)
		}
	}
}

func TestZipThatClaimsTenGigabytes(t *testing.T) {
	t.Parallel()
	b := zipOf(t, []sample{{name: "etc/passwd", mode: typeReg | 0o644, content: "root"}})
	at := bytes.LastIndex(b, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(b[at+24:], 0xfffffff0)
	d, err := openArchive(b, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var large *scanner.TooLargeError
	if _, err := d.FS().Open("/etc/passwd"); !errors.Is(err, scanner.ErrUnavailable) || !errors.As(err, &large) {
		t.Errorf("%v", err)
	}
}

func TestZipDirectoryIsBounded(t *testing.T) {
	t.Parallel()
	// A directory of a million equal headers, as its end does not admit.
	one := zipOf(t, []sample{{name: strings.Repeat("n", 60), mode: typeReg | 0o644}})
	at := bytes.LastIndex(one, []byte("PK\x01\x02"))
	end := bytes.LastIndex(one, []byte("PK\x05\x06"))
	b := append(bytes.Clone(one[:at]), bytes.Repeat(one[at:end], 1<<19)...)
	tail := bytes.Clone(one[end:])
	binary.LittleEndian.PutUint32(tail[12:], uint32(len(b)-at))
	b = append(b, tail...)
	if _, err := openArchive(b, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "directory of more than") {
		t.Errorf("%v", err)
	}
}

func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, fewSamples()))
	f.Add(zipOf(f, []sample{{name: "../etc/passwd", mode: typeReg | 0o644, content: "x"}, {name: "etc\\x", mode: typeLink, link: "/"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isZip(b) {
			return
		}
		if d, err := openArchive(b, OpenOptions{}); err == nil {
			checkTree(t, d.FS())
		}
	})
}
