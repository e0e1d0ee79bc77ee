package parse

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// The databases in testdata/rpm were made by rpm itself (make.sh there), and the files
// *.want are what rpm prints of them.
const rpmData = "testdata/rpm/"

func TestRPMDatabaseHoldsWhatRPMListsInEveryForm(t *testing.T) {
	t.Parallel()
	wantPackages, wantFiles := wantRPM(t)
	sqlite := gunzip(t, "rpmdb.sqlite.gz")
	for name, db := range map[string][]byte{
		"sqlite":                   sqlite,
		"Berkeley DB":              readRPMData(t, "Packages.1234"),
		"Berkeley DB, big-endian":  readRPMData(t, "Packages.4321"),
		"ndb":                      ndbFile(headersOf(t, sqlite, nil)...),
		"sqlite, a log of nothing": sqlite,
	} {
		var log RandomAccess
		if strings.Contains(name, "log") {
			log = bytes.NewReader(nil)
		}
		var packages, files []string
		for _, blob := range headersOf(t, db, log) {
			h, err := ParseRPMHeader(blob)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			packages = append(packages, printRPMPackage(h.Package()))
			files = append(files, printRPMFiles(t, h)...)
		}
		compareSets(t, name+": packages", packages, wantPackages)
		compareSets(t, name+": files", files, wantFiles)
	}
}

func TestRPMDatabaseHonoursTheCommittedPartOfItsLog(t *testing.T) {
	t.Parallel()
	db, log := readRPMData(t, "small.sqlite"), readRPMData(t, "small.sqlite-wal")
	const key, app, data, meta = "gpg-pubkey", "kiosk-app", "kiosk-data", "kiosk-meta"
	names := func(log []byte) []string {
		var out []string
		for _, b := range headersOf(t, db, bytes.NewReader(log)) {
			h, err := ParseRPMHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, h.Package().Name)
		}
		return out
	}
	states := [][]string{ // after each transaction
		{key, meta},
		{key, meta, meta},
		{key, meta, meta, data, app},
		{meta, meta, data, app},
	}
	if got := names(log); !slices.Equal(got, states[3]) {
		t.Fatalf("with the whole log: %v, want %v", got, states[3])
	}
	// However much of the log a crash left, what counts is a whole number of transactions,
	// and never fewer than with less of the log.
	reached := 0
	for n := 0; n <= len(log); n += 31 {
		got := names(log[:n])
		i := slices.IndexFunc(states, func(s []string) bool { return slices.Equal(s, got) })
		if i < reached {
			t.Fatalf("with %d bytes of the log: %v, state %d after %d", n, got, i, reached)
		}
		reached = i
	}
	if reached != 3 {
		t.Errorf("reached state %d", reached)
	}
	// A frame damaged in any place ends the log there.
	for n := 40; n < len(log); n += 97 {
		damaged := slices.Clone(log)
		damaged[n] ^= 0x10
		got := names(damaged)
		if !slices.ContainsFunc(states, func(s []string) bool { return slices.Equal(s, got) }) {
			t.Fatalf("log damaged at %d: %v", n, got)
		}
	}
}

func TestRPMDatabaseSaysWhereItIsDamaged(t *testing.T) {
	t.Parallel()
	sqlite, small := gunzip(t, "rpmdb.sqlite.gz"), readRPMData(t, "small.sqlite")
	bdb := readRPMData(t, "Packages.1234")
	ndb := ndbFile(headersOf(t, sqlite, nil)...)
	page := int64(512) // the first page of a chain
	for bdb[page+25] != bdbOverflow {
		page += 512
	}
	for _, c := range []struct {
		name   string
		db     []byte
		offset int64
		msg    string
	}{
		{"noise", bytes.Repeat([]byte("noise"), 1000), 0, "not an rpm database"},
		{"empty", nil, 0, "not an rpm database"},
		{"sqlite without packages", edit(small, bytes.Index(small, []byte("Packages")), 'Q', 'Q'), 0, "no table Packages"},
		{"sqlite cut off", sqlite[:len(sqlite)/2], -1, "page "},
		{"sqlite page size", edit(sqlite, 16, 3, 3), 16, "page size 771"},
		{"sqlite table page of another type", edit(sqlite, 100, 10), 100, "page of type 10"},
		{"ndb version", edit(ndb, 4, 9), 4, "version 9"},
		{"ndb slot pages", edit(ndb, 12, 0xff, 0xff), 12, "pages of slots"},
		{"ndb slot", edit(ndb, 48, 'X'), 48, "no slot"},
		{"ndb blob elsewhere", edit(ndb, 32+8, 0xff, 0xff), 0xffff * 16, "outside the file"},
		{"ndb header changed", edit(ndb, 4096+100, ndb[4196]+1), -1, "checksum"},
		{"ndb two slots of one package", edit(ndb, 48, ndb[32:48]...), 48, "two slots"},
		{"Berkeley DB page size", edit(bdb, 20, 1), 20, "page size"},
		{"Berkeley DB version", edit(bdb, 16, 99), 16, "hash version 99"},
		{"Berkeley DB buckets", edit(bdb, 72, 0xff, 0xff), 72, "buckets"},
		{"Berkeley DB chain in a circle", edit(bdb, int(page)+16, bdb[page+8:page+12]...), page, "used twice"},
		{"Berkeley DB chain of another page type", edit(bdb, int(page)+25, 1), page + 22, "page of type 1"},
		{"Berkeley DB chain to nowhere", edit(bdb, int(page)+16, 0xff, 0xff, 0xff), 0xffffff * 512, "beyond the last"},
		{"Berkeley DB cut off", bdb[:len(bdb)-5000], -1, "beyond the last"},
	} {
		var found []string
		ok := false
		for _, err := range RPMDatabase(bytes.NewReader(c.db), nil) {
			if err == nil {
				continue
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%s: %v is no *Error", c.name, err)
				continue
			}
			found = append(found, err.Error())
			ok = ok || (c.offset < 0 || e.Offset == c.offset) && strings.Contains(e.Msg, c.msg)
		}
		if !ok {
			t.Errorf("%s: complaints %q, want %q at %d", c.name, found, c.msg, c.offset)
		}
	}
}

func TestRPMDatabaseReadsTheRestPastDamage(t *testing.T) {
	t.Parallel()
	ndb := ndbFile(headersOf(t, gunzip(t, "rpmdb.sqlite.gz"), nil)...)
	ndb[4096+100]++
	headers, failed := 0, 0
	for _, err := range RPMDatabase(bytes.NewReader(ndb), nil) {
		if err != nil {
			failed++
		} else {
			headers++
		}
	}
	if headers != 4 || failed != 1 {
		t.Errorf("%d headers and %d errors, want 4 and 1", headers, failed)
	}
}

func TestRPMDatabaseStopsWhenAsked(t *testing.T) {
	t.Parallel()
	for _, db := range [][]byte{gunzip(t, "rpmdb.sqlite.gz"), readRPMData(t, "Packages.1234"), ndbFile([]byte{1}, []byte{2})} {
		n := 0
		for range RPMDatabase(bytes.NewReader(db), nil) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d headers before the stop", n)
		}
	}
}

func TestRPMDatabaseGivesUpOnADatabaseOfComplaints(t *testing.T) {
	t.Parallel()
	ndb := ndbFile(slices.Repeat([][]byte{{1}}, 240)...)
	for i := range 240 {
		ndb[32+16*i+8] = 0 // every blob would begin in the slots
	}
	n := 0
	var last error
	for _, err := range RPMDatabase(bytes.NewReader(ndb), nil) {
		if err != nil {
			n, last = n+1, err
		}
	}
	if n != maxRPMErrors || !strings.Contains(last.Error(), "no further") {
		t.Errorf("%d complaints, the last %v", n, last)
	}
}

func TestRPMDatabaseReadsHeadersOfAnyLength(t *testing.T) {
	t.Parallel()
	for n := 1; n < 3000; n += 7 {
		want := [][]byte{bytes.Repeat([]byte{0xd}, n+8), []byte("a short one")}
		for name, db := range map[string][]byte{"sqlite": sqliteFile(want...), "ndb": ndbFile(want...),
			"Berkeley DB": bdbFile(binary.LittleEndian, want...)} {
			if got := headersOf(t, db, nil); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("%s, %d bytes: %d headers", name, n, len(got))
			}
		}
	}
}

func FuzzRPMSQLite(f *testing.F) {
	f.Add(sqliteFile([]byte("first"), bytes.Repeat([]byte("second"), 200)), []byte{})
	f.Add(sqliteFile(), []byte{})
	f.Add(readRPMData(f, "small.sqlite"), readRPMData(f, "small.sqlite-wal")[:3000])
	f.Fuzz(fuzzRPMDatabase)
}

func FuzzRPMBerkeley(f *testing.F) {
	f.Add(bdbFile(binary.LittleEndian, []byte("a first one"), bytes.Repeat([]byte("second"), 150)))
	f.Add(bdbFile(binary.BigEndian, []byte("a first one")))
	f.Fuzz(func(t *testing.T, db []byte) { fuzzRPMDatabase(t, db, nil) })
}

func FuzzRPMNDB(f *testing.F) {
	f.Add(ndbFile([]byte("first"), bytes.Repeat([]byte("second"), 9)))
	f.Add(ndbFile())
	f.Fuzz(func(t *testing.T, db []byte) { fuzzRPMDatabase(t, db, nil) })
}

// fuzzRPMDatabase checks that a database cannot make more work than it has bytes: no page
// counts twice.
func fuzzRPMDatabase(t *testing.T, db, log []byte) {
	total, failed := 0, 0
	for b, err := range RPMDatabase(bytes.NewReader(db), bytes.NewReader(log)) {
		if err != nil {
			failed++
		}
		total += len(b)
	}
	if total > len(db)+len(log) {
		t.Errorf("%d bytes of headers out of %d", total, len(db)+len(log))
	}
	if failed > maxRPMErrors {
		t.Errorf("%d complaints", failed)
	}
}

// headersOf gives copies of a database's headers, which must be whole.
func headersOf(t testing.TB, db []byte, log RandomAccess) [][]byte {
	t.Helper()
	var out [][]byte
	for b, err := range RPMDatabase(bytes.NewReader(db), log) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(b))
	}
	return out
}

// edit gives a copy of b with other bytes at i.
func edit(b []byte, i int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[i:], with)
	return b
}

// wantRPM reads what rpm printed: the packages with the key id taken out of its sentence.
func wantRPM(t *testing.T) (packages, files []string) {
	for line := range strings.Lines(string(readRPMData(t, "packages.want"))) {
		f := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), "(none)", ""), "|")
		if _, id, ok := strings.Cut(f[8], "Key ID "); ok {
			f[8] = id
		}
		packages = append(packages, strings.Join(f, "|"))
	}
	for line := range strings.Lines(string(readRPMData(t, "files.want"))) {
		files = append(files, strings.ReplaceAll(strings.TrimSpace(line), "(none)", ""))
	}
	return packages, files
}

func printRPMPackage(p RPMPackage) string {
	return fmt.Sprintf("%s|%s|%s|%d|%d|%s|%s|%s|%s|%s", p.NVRA(), p.EVR(), p.Arch, p.Size, p.InstallTime,
		p.Vendor, p.Packager, p.SourceRPM, p.KeyID, p.Summary)
}

func printRPMFiles(t *testing.T, h RPMHeader) (out []string) {
	id := h.Package().NVRA()
	err := h.Files(func(f RPMFile) bool {
		out = append(out, fmt.Sprintf("%s|%s|%o|%s|%s|%x|%d|%d|%d|%s", id, f.Path, f.Mode, f.User, f.Group,
			f.Digest, f.Flags, f.Verify, f.State, f.Caps))
		return true
	})
	if err != nil {
		t.Errorf("%s: %v", id, err)
	}
	return out
}

func compareSets(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	for _, g := range got {
		if _, ok := slices.BinarySearch(want, g); !ok {
			t.Errorf("%s: not with rpm: %s", what, g)
		}
	}
	for _, w := range want {
		if _, ok := slices.BinarySearch(got, w); !ok {
			t.Errorf("%s: missing: %s", what, w)
		}
	}
	if len(want) == 0 || len(got) != len(want) {
		t.Errorf("%s: %d, want %d", what, len(got), len(want))
	}
}

func readRPMData(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(rpmData + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gunzip(t testing.TB, name string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(readRPMData(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
