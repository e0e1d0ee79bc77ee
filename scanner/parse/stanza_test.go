package parse

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const statusSample = `Package: base-files
Status: install ok installed
Priority: required
Installed-Size: 341
Maintainer: Someone Else <someone@example.org>
Architecture: amd64
Version: 12.4+deb12u5
Conffiles:
 /etc/debian_version bba30fa3a9f4b0b4ec1cd5b2ebcc5d3a
 /etc/old 0123456789abcdef0123456789abcdef obsolete
Description: base system files
 More text: with a colon.
 .
 The end.

package: libfoo1
status: install ok unpacked
multi-arch: same
architecture: i386
Source: foo (1.0)
version: 1:1.0-1

`

func TestStanzasReadsFieldsInAnyCase(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	Stanzas([]byte(statusSample), 10, &c, func(s *Stanza) bool {
		got = append(got, fmt.Sprintf("%d %s|%s|%s|%s|%s|%s|%s|%s", s.Line, s.Package, s.Status, s.Version,
			s.Architecture, s.MultiArch, s.Source, s.InstalledSize, s.Description))
		return true
	})
	want := []string{
		"10 base-files|install ok installed|12.4+deb12u5|amd64|||341|base system files",
		"25 libfoo1|install ok unpacked|1:1.0-1|i386|same|foo (1.0)||",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.List) > 0 {
		t.Errorf("complaints: %v", c.List)
	}
}

func TestStanzasKeepsConffiles(t *testing.T) {
	t.Parallel()
	var got []string
	Stanzas([]byte(statusSample), 1, nil, func(s *Stanza) bool {
		Conffiles(s.Conffiles, nil, func(f Conffile) bool {
			got = append(got, fmt.Sprintf("%s %x %v", f.Path, f.Digest, f.Obsolete))
			return true
		})
		return true
	})
	want := []string{
		"/etc/debian_version bba30fa3a9f4b0b4ec1cd5b2ebcc5d3a false",
		"/etc/old 0123456789abcdef0123456789abcdef true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStanzasComplainsOfDamage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		packages   int
		complaint  string // the first; "" for none
	}{
		{"empty", "", 0, ""},
		{"blank lines only", "\n\n\n", 0, ""},
		{"zeroes after a power cut", "Package: a\nVersion: 1\n\x00\x00\x00\x00\n\n", 1, "line 3: not a field"},
		{"cut in the middle of a line", "Package: a\nVersion: 1.2", 1, "line 2: file ends in the middle of a line"},
		{"continuation before a field", " text\nPackage: a\n\n", 1, "line 1: continuation line outside a paragraph"},
		{"no colon", "Package: a\nrubbish\n\n", 1, "line 2: not a field"},
		{"field twice", "Package: a\nPackage: b\n\n", 1, "line 2: field Package twice in one paragraph"},
		{"noise only", "\x7fELF\x02\x01\nabc\n\xff\xfe\n", 0, "line 1: not a field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got Complaints
			n := 0
			Stanzas([]byte(c.text), 1, &got, func(*Stanza) bool { n++; return true })
			if n != c.packages {
				t.Errorf("%d packages, want %d", n, c.packages)
			}
			first := ""
			if len(got.List) > 0 {
				first = got.List[0].Error()
			}
			if first != c.complaint {
				t.Errorf("complaint %q, want %q", first, c.complaint)
			}
		})
	}
}

func TestComplaintsAreBounded(t *testing.T) {
	t.Parallel()
	var c Complaints
	Stanzas([]byte(strings.Repeat("x\n", 1000)), 1, &c, func(*Stanza) bool { return true })
	if len(c.List) != maxComplaints || c.More != 1000-maxComplaints {
		t.Errorf("kept %d, counted %d more", len(c.List), c.More)
	}
}

func FuzzStanzas(f *testing.F) {
	f.Add([]byte(statusSample))
	f.Add([]byte("Package: a\nConffiles:\n /etc/x newconffile\nConffiles:\n"))
	f.Add([]byte("Package: busybox\nVersion: 1.36.1-r2\nStatus: install user installed\nInstalled-Time: 1700000000\n\n"))
	f.Add([]byte(":\n\n :\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append(bytes.Clone(b), "\n\n"...)
		lines := bytes.Count(whole, []byte{'\n'})
		last := 0
		Stanzas(whole, 1, &Complaints{}, func(s *Stanza) bool {
			if s.Line <= last || s.Line > lines {
				t.Fatalf("line %d after %d of %d", s.Line, last, lines)
			}
			last = s.Line
			for _, v := range [][]byte{s.Package, s.Version, s.Status, s.Description} {
				if bytes.IndexByte(v, '\n') >= 0 || !bytes.Contains(whole, v) {
					t.Fatalf("value %q", v)
				}
			}
			Conffiles(s.Conffiles, &Complaints{}, func(c Conffile) bool {
				if c.Path[0] != '/' || len(c.Digest) != 0 && len(c.Digest) != 16 && len(c.Digest) != 32 {
					t.Fatalf("conffile %+v", c)
				}
				return true
			})
			return true
		})
	})
}
