package parse

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestAPKContainer(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("content "), 100)
	a := openTestAPK(t, buildZIP(t, []zipFile{{name: "a/stored", content: content}, {name: "deflated", content: content, deflate: true}, {name: "empty"}, {name: "empty too", deflate: true}}, nil, strings.Repeat("c", zipMaxComment)))
	for _, e := range a.Entries() {
		b, err := a.Read(e.Name, 800)
		if err != nil || strings.HasPrefix(e.Name, "empty") != (len(b) == 0) || len(b) > 0 && !bytes.Equal(b, content) {
			t.Errorf("%s: %d bytes, %v", e.Name, len(b), err)
		}
	}
	if _, err := a.Read("deflated", 799); !errors.Is(err, errSkipped) {
		t.Errorf("800 bytes under a limit of 799: %v", err)
	}
	if _, err := a.Read("nothing", 1); !errors.Is(err, errNoEntry) {
		t.Error(err)
	}
	if p := a.Problems(); len(p) > 0 || len(a.Entries()) != 4 || !a.Has("empty") || a.Has("none") {
		t.Errorf("problems %q, %d entries", p, len(a.Entries()))
	}
}

func TestAPKContainersThatLie(t *testing.T) {
	t.Parallel()
	axml := buildAXML(node("manifest", []xmlAttr{plainAttr("package", "a.b")}), true)
	method := func(at int) func([]byte) { return func(b []byte) { le.PutUint16(b[at:], 12345) } }
	for _, c := range []struct {
		name  string
		file  zipFile
		extra []zipFile
		msg   string
		reads bool // the manifest, as Android reads it
	}{
		{name: "all well", file: zipFile{}, reads: true},
		{name: "method in the directory", file: zipFile{central: method(10)}, msg: "compression method 12345", reads: true},
		{name: "method in the local header", file: zipFile{local: method(8)}, msg: "local header has method 12345", reads: true},
		{name: "name in the local header", file: zipFile{local: func(b []byte) { b[zipLocalLen] = 'x' }}, msg: `local header has the name "xndroid`, reads: true},
		{name: "encrypted by the directory", file: zipFile{central: func(b []byte) { b[8] |= 1 }}, msg: "marked as encrypted", reads: true},
		{name: "encrypted by the local header", file: zipFile{local: func(b []byte) { b[6] |= 1 }}, msg: "in one of its two headers", reads: true},
		{name: "checksum", file: zipFile{local: func(b []byte) { b[14]++ }}, msg: "other sizes or checksums", reads: true},
		{name: "sizes after the content", file: zipFile{local: func(b []byte) { b[6] |= 8; clear(b[14:26]) }, central: func(b []byte) { b[8] |= 8 }}, reads: true},
		{name: "no local header", file: zipFile{local: func(b []byte) { b[0] = 'x' }}, msg: "no local header"},
		{name: "content beyond the directory", file: zipFile{central: func(b []byte) { le.PutUint32(b[24:], 1<<30) }}, msg: "do not fit before"},
		{name: "local header beyond the directory", file: zipFile{central: func(b []byte) { le.PutUint32(b[42:], 1<<30) }}, msg: "beyond the files' part"},
		{name: "two of a name", extra: []zipFile{{name: "AndroidManifest.xml", content: []byte("decoy")}}, msg: "entries 0 and 1 have this name", reads: true},
		{name: "name that climbs", extra: []zipFile{{name: "../../data/x"}}, msg: "leads out of", reads: true},
		{name: "name that climbs by backslash", extra: []zipFile{{name: `a\..\..\x`}}, msg: "leads out of", reads: true},
		{name: "name from the root", extra: []zipFile{{name: "/etc/x"}}, msg: "leads out of", reads: true},
		{name: "dots that do not climb", extra: []zipFile{{name: "a..b/...c"}}, reads: true},
		{name: "name that is none", extra: []zipFile{{name: "a\x00b"}}, msg: "not a name", reads: true},
	} {
		c.file.name, c.file.content = "AndroidManifest.xml", axml
		a := openTestAPK(t, buildZIP(t, append([]zipFile{c.file}, c.extra...), nil, ""))
		if text := strings.Join(a.Problems(), "\n"); (text == "") != (c.msg == "") || !strings.Contains(text, c.msg) {
			t.Errorf("%s: problems %q, want %q", c.name, text, c.msg)
		}
		if m, err := a.Manifest(); (err == nil) != c.reads || err == nil && m.Package != "a.b" {
			t.Errorf("%s: manifest %+v, %v", c.name, m, err)
		}
	}
}

func TestNoAPKContainers(t *testing.T) {
	t.Parallel()
	good := buildZIP(t, []zipFile{{name: "a", content: []byte("b")}, {name: "c"}}, nil, "")
	end := len(good) - zipEndLen
	directory := bytes.Index(good, []byte("PK\x01\x02"))
	for _, c := range []struct {
		name string
		b    []byte
		msg  string
	}{
		{"empty", nil, "no ZIP file"},
		{"text", bytes.Repeat([]byte("text"), 50_000), "no end of a ZIP"},
		{"cut off", good[:len(good)-1], "no end of a ZIP"},
		{"bytes after the end", append(bytes.Clone(good), 0), "no end of a ZIP"},
		{"second part", edit(good, end+4, 1), "several parts"},
		{"directory beyond its end", edit(good, end+16, 0xff), "does not fit before its end"},
		{"ZIP64", edit(good, end+16, 0xff, 0xff, 0xff, 0xff), "ZIP64"},
		{"more entries than there are", edit(good, end+8, 3, 0, 3, 0), "1 of 3 are missing"},
		{"entry longer than the directory", edit(good, directory+28, 0xff, 0xff), "cut off"},
		{"no entry", edit(good, directory, 'x'), "no central directory entry"},
	} {
		if _, err := OpenAPK(bytes.NewReader(c.b), int64(len(c.b))); err == nil || !strings.Contains(err.Error(), c.msg) {
			t.Errorf("%s: %v, want %q", c.name, err, c.msg)
		}
	}
	fewer := openTestAPK(t, edit(good, end+8, 1, 0, 1, 0))
	if p := fewer.Problems(); len(p) != 1 || !strings.Contains(p[0], "after the last entry") || fewer.Has("c") {
		t.Errorf("an entry beyond the count: %q", p)
	}
	trap := buildZIP(t, []zipFile{{name: "a"}}, nil, "PK\x05\x06 and more than twenty-two bytes")
	if p := openTestAPK(t, trap).Problems(); len(p) != 1 || !strings.Contains(p[0], "does not end the file") {
		t.Errorf("end record within the comment: %q", p)
	}
}

// A small file that inflates to a gigabyte is neither read nor digested.
func TestAPKBomb(t *testing.T) {
	t.Parallel()
	bomb := zipFile{name: "AndroidManifest.xml", content: make([]byte, 64<<20), deflate: true}
	if _, err := openTestAPK(t, buildZIP(t, []zipFile{bomb}, nil, "")).Manifest(); !errors.Is(err, errSkipped) {
		t.Error(err)
	}
	// Nor when the directory makes it small.
	lie := func(at int) func(b []byte) { return func(b []byte) { le.PutUint32(b[at:], 100) } }
	bomb.local, bomb.central = lie(22), lie(24)
	if _, err := openTestAPK(t, buildZIP(t, []zipFile{bomb}, nil, "")).Manifest(); !errors.Is(err, errInflated) {
		t.Error(err)
	}
}
