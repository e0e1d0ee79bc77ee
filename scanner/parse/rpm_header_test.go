package parse

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rpmEntrySpec is one entry of a header that a test builds: a string, []string, []uint32 or
// []byte.
type rpmEntrySpec struct {
	tag   uint32
	value any
}

// rpmHeaderOf builds a header with name, version and release and more entries.
func rpmHeaderOf(more ...rpmEntrySpec) []byte {
	entries := append([]rpmEntrySpec{{rpmTagName, "a"}, {rpmTagVersion, "1"}, {rpmTagRelease, "2"}}, more...)
	var index, data []byte
	be := binary.BigEndian
	for _, e := range entries {
		kind, count, at := rpmString, 1, len(data)
		switch v := e.value.(type) {
		case string:
			data = append(append(data, v...), 0)
		case []string:
			kind, count = rpmStringArray, len(v)
			for _, s := range v {
				data = append(append(data, s...), 0)
			}
		case []uint32:
			kind, count = rpmInt32, len(v)
			for _, n := range v {
				data = be.AppendUint32(data, n)
			}
		case []uint64:
			kind, count = rpmInt64, len(v)
			for _, n := range v {
				data = be.AppendUint64(data, n)
			}
		case []byte:
			kind, count = rpmBinary, len(v)
			data = append(data, v...)
		}
		for _, n := range []uint32{e.tag, uint32(kind), uint32(at), uint32(count)} {
			index = be.AppendUint32(index, n)
		}
	}
	blob := be.AppendUint32(nil, uint32(len(entries)))
	blob = be.AppendUint32(blob, uint32(len(data)))
	return append(append(blob, index...), data...)
}

func parseRPM(t *testing.T, more ...rpmEntrySpec) RPMHeader {
	t.Helper()
	h, err := ParseRPMHeader(rpmHeaderOf(more...))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRPMHeaderPackageFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		with []rpmEntrySpec
		want RPMPackage
	}{
		{"the least", nil, RPMPackage{Size: -1}},
		{"an epoch of zero is one", []rpmEntrySpec{{rpmTagEpoch, []uint32{0}}}, RPMPackage{Epoch: "0", Size: -1}},
		{"the long size wins", []rpmEntrySpec{{rpmTagSize, []uint32{7}}, {rpmTagLongSize, []uint64{1 << 33}}}, RPMPackage{Size: 1 << 33}},
		{"a size over 2 GiB", []rpmEntrySpec{{rpmTagSize, []uint32{1 << 31}}}, RPMPackage{Size: 1 << 31}},
		{"a size that is no length", []rpmEntrySpec{{rpmTagLongSize, []uint64{1 << 63}}}, RPMPackage{Size: -1}},
		{"what was added at installation wins", []rpmEntrySpec{{rpmTagVendor, "old"}, {rpmTagVendor, "new"}}, RPMPackage{Vendor: "new", Size: -1}},
		{"a number where a string belongs", []rpmEntrySpec{{rpmTagVendor, []uint32{1}}}, RPMPackage{Size: -1}},
		{"a module", []rpmEntrySpec{{rpmTagModularityLabel, "perl:5.30:1:abc"}}, RPMPackage{Modularity: "perl:5.30:1:abc", Size: -1}},
		{"the first of several languages", []rpmEntrySpec{{rpmTagSummary, []string{"Words", "Wörter"}}}, RPMPackage{Summary: "Words", Size: -1}},
	} {
		c.want.Name, c.want.Version, c.want.Release = "a", "1", "2"
		if got := parseRPM(t, c.with...).Package(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestRPMPackageNames(t *testing.T) {
	t.Parallel()
	p := RPMPackage{Name: "n", Version: "1", Release: "2", Arch: "noarch", Epoch: "3", SourceRPM: "lib-n-1-2.src.rpm"}
	if p.NVRA() != "n-1-2.noarch" || p.EVR() != "3:1-2" || p.SourceName() != "lib-n" {
		t.Errorf("%s %s %s", p.NVRA(), p.EVR(), p.SourceName())
	}
	p = RPMPackage{Name: "gpg-pubkey", Version: "1", Release: "2", SourceRPM: "odd"}
	if p.NVRA() != "gpg-pubkey-1-2" || p.EVR() != "1-2" || p.SourceName() != "odd" {
		t.Errorf("%s %s %s", p.NVRA(), p.EVR(), p.SourceName())
	}
}

func TestRPMHeaderRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	good := rpmHeaderOf()
	for _, c := range []struct {
		name   string
		blob   []byte
		offset int64
	}{
		{"nothing", nil, 0},
		{"cut off", good[:len(good)-1], 0},
		{"longer than it says", append(bytes.Clone(good), 0), 0},
		{"no entries", make([]byte, 8), 0},
		{"more entries than bytes", edit(good, 0, 0xff, 0xff, 0xff, 0xff), 0},
		{"a type that does not exist", edit(good, 8+16+7, 10), 24},
		{"data beyond the end", edit(good, 8+10, 1), 8},
		{"negative offset", edit(good, 8+8, 0xff), 8},
		{"more values than data", edit(good, 8+15, 100), 8},
		{"no name", edit(good, 8+3, 1), 0},
		{"a name without end", edit(good, len(good)-6, 'x', 'x', 'x', 'x', 'x', 'x'), 0},
	} {
		_, err := ParseRPMHeader(c.blob)
		var e *Error
		if !errors.As(err, &e) || e.Offset != c.offset {
			t.Errorf("%s: %v, want an error at %d", c.name, err, c.offset)
		}
	}
}

func TestRPMHeaderFilesOfOldHeadersHaveWholeNames(t *testing.T) {
	t.Parallel()
	h := parseRPM(t, rpmEntrySpec{rpmTagOldFileNames, []string{"/bin/a", "/bin/b"}},
		rpmEntrySpec{rpmTagFileDigests, []string{"", "000102030405060708090a0b0c0d0e0f"}})
	var got []string
	err := h.Files(func(f RPMFile) bool {
		got = append(got, fmt.Sprintf("%s %d %x", f.Path, f.DigestAlgo, f.Digest))
		return true
	})
	if want := []string{"/bin/a 1 ", "/bin/b 1 000102030405060708090a0b0c0d0e0f"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRPMHeaderFilesStopWhenAsked(t *testing.T) {
	t.Parallel()
	n := 0
	err := parseRPM(t, rpmEntrySpec{rpmTagOldFileNames, []string{"/a", "/b"}}).Files(func(RPMFile) bool {
		n++
		return false
	})
	if n != 1 || err != nil {
		t.Errorf("%d files, %v", n, err)
	}
}

func TestRPMHeaderFilesSayWhichListIsWrong(t *testing.T) {
	t.Parallel()
	names := rpmEntrySpec{rpmTagBaseNames, []string{"a", "b"}}
	dirs := rpmEntrySpec{rpmTagDirNames, []string{"/"}}
	for _, c := range []struct {
		with []rpmEntrySpec
		want string
	}{
		{[]rpmEntrySpec{names, dirs}, "2 file names with 0 folder numbers"},
		{[]rpmEntrySpec{names, dirs, {rpmTagDirIndexes, []uint32{0, 1}}}, "file 1 is in folder 1 of 1"},
		{[]rpmEntrySpec{names, dirs, {rpmTagDirIndexes, []uint32{0, 0}}, {rpmTagFileFlags, []uint32{1}}}, "one value for each of 2"},
		{[]rpmEntrySpec{{rpmTagOldFileNames, []string{strings.Repeat("x", 5000)}}}, "too long"},
		{[]rpmEntrySpec{
			{rpmTagDirNames, []string{strings.Repeat("x", 4000)}},
			{rpmTagBaseNames, make([]string, 5000)}, {rpmTagDirIndexes, make([]uint32, 5000)},
		}, "all together are"},
	} {
		err := parseRPM(t, c.with...).Files(func(RPMFile) bool { return true })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestSignatureKeyID(t *testing.T) {
	t.Parallel()
	const id = "0a2c0c2d71b03551"
	fingerprint4 := "21" + "04" + strings.Repeat("ee", 12) + id
	fingerprint6 := "21" + "06" + id + strings.Repeat("ee", 24)
	for _, c := range []struct{ name, packet, want string }{
		{"version 3, old packet header", "88" + "11" + "03" + "05" + "00" + "5f000000" + id + "0108", id},
		{"version 3, two bytes of length", "89" + "0011" + "03" + "05" + "00" + "5f000000" + id + "0108", id},
		{"shorter than its parts", "c2" + "17" + "04000108" + "0006" + "05025f000000" + "000a" + "0910" + id[:16], ""},
		{"version 4, issuer after a time", "c2" + "18" + "04000108" + "0006" + "05025f000000" + "000a" + "0910" + id, id},
		{"version 4, fingerprint", "c2" + "1f" + "04000108" + "0017" + "16" + fingerprint4 + "0000", id},
		{"version 6, fingerprint", "c2" + "2f" + "06000108" + "00000023" + "22" + fingerprint6 + "00000000", id},
		{"no issuer", "c2" + "08" + "04000108" + "0000" + "0000", ""},
		{"another packet", "c6" + "08" + "04000108" + "0000" + "0000", ""},
		{"cut off", "c2" + "18" + "04000108", ""},
		{"nothing", "", ""},
	} {
		packet, err := hex.DecodeString(c.packet)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if got := signatureKeyID(packet); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRPMMacros(t *testing.T) {
	t.Parallel()
	var m RPMMacros
	m.Read([]byte("# %_dbpath /comment\n%_dbpath\t\t%{_var}/lib/rpm\n%_db_backend bdb\n%other x\n"))
	m.Read([]byte("%_dbpath %{_usr}/lib/sysimage/rpm\n%_db_backend\t  ndb\n%_dbpath %(pwd)/rpm\n"))
	if want := (RPMMacros{DBPath: "/usr/lib/sysimage/rpm", Backend: "ndb"}); m != want {
		t.Errorf("%+v, want %+v", m, want)
	}
}

func FuzzRPMHeader(f *testing.F) {
	f.Add(rpmHeaderOf(rpmEntrySpec{rpmTagOldFileNames, []string{"/bin/a", "/bin/b"}}))
	f.Add(rpmHeaderOf(rpmEntrySpec{rpmTagEpoch, []uint32{1}}, rpmEntrySpec{rpmTagDirNames, []string{"/etc/"}},
		rpmEntrySpec{rpmTagBaseNames, []string{"a", "b"}}, rpmEntrySpec{rpmTagDirIndexes, []uint32{0, 0}},
		rpmEntrySpec{rpmTagFileDigests, []string{"000102030405060708090a0b0c0d0e0f", ""}}))
	f.Fuzz(func(t *testing.T, blob []byte) {
		h, err := ParseRPMHeader(blob)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset > int64(len(blob)) {
				t.Fatalf("error %v of %d bytes", err, len(blob))
			}
			return
		}
		p := h.Package()
		if !bytes.Contains(blob, []byte(p.Name)) || p.Size < -1 || len(p.KeyID) != 0 && len(p.KeyID) != 16 {
			t.Errorf("%+v", p)
		}
		paths, files := 0, 0
		_ = h.Files(func(f RPMFile) bool {
			files++
			paths += len(f.Path)
			return true
		})
		if files > len(blob) || paths > 16*len(blob)+maxRPMPath {
			t.Errorf("%d files with %d bytes of paths out of %d", files, paths, len(blob))
		}
	})
}

func FuzzSignatureKeyID(f *testing.F) {
	for _, s := range []string{"881103050005f0000000a2c0c2d71b035510108", "c21804000108000605025f000000000a09100a2c0c2d71b03551"} {
		b, _ := hex.DecodeString(s[:len(s)&^1])
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		id, err := hex.DecodeString(signatureKeyID(packet))
		if err != nil || len(id) != 0 && (len(id) != 8 || !bytes.Contains(packet, id)) {
			t.Errorf("key id %x", id)
		}
	})
}
