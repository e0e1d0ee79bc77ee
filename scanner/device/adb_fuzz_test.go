package device

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"picket/scanner"
)

func FuzzADBReplies(f *testing.F) {
	for _, seed := range []string{
		"OKAY00040029", "FAIL0007go away", "FAIL0004\x1b[2J", "OKAYffff", "OKAY+0x1", "FAIL",
		"OKAY003c0A1B                   device usb:1-1 product:p model:M transport_id:1\n",
		"\x01\x05\x00\x00\x00hello\x02\x04\x00\x00\x00oops\x03\x01\x00\x00\x00\x00",
		"\x01\xff\xff\xff\xff", "\x03\x02\x00\x00\x00\x00\x00", "\x09\x01\x00\x00\x00x\x03\x01\x00\x00\x00\x7f",
		"text\r\npicket-status=0\r\n", "picket-status=256\n", "picket-status=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 10
		r := bytes.NewReader(b)
		err := readADBStatus(r)
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n\r\x00") {
			t.Errorf("%q would reach a terminal", err)
		}
		if err == nil {
			if text, err := readADBText(r); err == nil {
				for _, p := range parseADBDevices(text) {
					if p.serial == "" || p.state == "" || strings.ContainsAny(p.serial+p.state+p.model, "\x1b\n\r\x00") {
						t.Errorf("phone %+q", p)
					}
				}
			}
		}
		if out, err := readShell(bytes.NewReader(b), limit); err == nil && (len(out.out) > limit || out.status > 255) {
			t.Errorf("%d bytes, status %d", len(out.out), out.status)
		}
		if out, err := readOldShell(bytes.NewReader(b), limit, true); err == nil && (len(out.out) > limit || bytes.Contains(out.out, []byte("\r\n"))) {
			t.Errorf("%q", out.out)
		}
		userOf(string(b))
		for rows := range 3 {
			bad := ran{out: b, complaint: firstLine(b)}
			if why, kind := bad.failure(rows); (why == "") != (kind == nil) || strings.ContainsAny(why, "\x1b\n\r\x00") {
				t.Errorf("failure %q %v", why, kind)
			}
		}
		dumpsysCutOff(b)
	})
}

func FuzzADBSync(f *testing.F) {
	full := func(word string, n int) []byte { return append([]byte(word), make([]byte, n)...) }
	for _, seed := range [][]byte{
		full("STAT", 12), full("LST2", 68), append([]byte("LST2\x0d"), make([]byte, 67)...),
		[]byte("STAT\xa4\x81\x00\x00\x05\x00\x00\x00\x00\x00\x00\x65"),
		[]byte("DENT\xed\x41\x00\x00\x00\x00\x00\x00\x00\x00\x00\x65\x01\x00\x00\x00.DENT\xa4\x81\x00\x00\x05\x00\x00\x00\x00\x00\x00\x65\x05\x00\x00\x00hostsDONE\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		append(append(full("DNT2", 68), "\x02\x00\x00\x00su"...), full("DONE", 72)...),
		append(full("DNT2", 68), "\x04\x00\x00\x00../x"...),
		[]byte("DATA\x05\x00\x00\x00helloDONE\x00\x00\x00\x00"), []byte("DATA\xff\xff\xff\xff"),
		[]byte("FAIL\x19\x00\x00\x00open failed: Permission denied"), []byte("FAIL\xff\xff\xff\x7f"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, second := range []bool{false, true} {
			if in, err := readSyncStat(bytes.NewReader(b), second); err == nil && in.err == nil {
				checkSyncInfo(t, in.Info)
			}
			list, readable, err := readSyncList(bytes.NewReader(b), second)
			if err != nil {
				var no *adbFail
				if errors.As(err, &no) && failKind(err) == nil {
					t.Error("a refusal became none")
				}
				continue
			}
			if len(list) > 0 && !readable {
				t.Error("entries of a directory that cannot be read")
			}
			for i, in := range list {
				if !plain(in.Name) || strings.ContainsAny(in.Name, "/\x00") || i > 0 && list[i-1].Name >= in.Name {
					t.Errorf("names %q", in.Name)
				}
				checkSyncInfo(t, in.Info)
			}
		}
		r := bytes.NewReader(b)
		for {
			part, err := readSyncData(r)
			if err == io.EOF || err != nil {
				break
			}
			if len(part) > maxSyncMsg {
				t.Errorf("a part of %d bytes", len(part))
			}
		}
	})
}

// checkSyncInfo holds a description to what a recording can keep.
func checkSyncInfo(t *testing.T, in scanner.Info) {
	t.Helper()
	if in.Size < 0 || in.UID < -1 || in.GID < -1 || !in.ModTime.IsZero() && (in.ModTime.Year() < 1970 || in.ModTime.Year() > 9999) {
		t.Errorf("%+v", in)
	}
}
