package device

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"picket/scanner"
)

// zipEntry is a file of an archive; claim is the size that a stored one says it has, if not its own.
type zipEntry struct {
	name  string
	data  []byte
	store bool
	claim uint64
}

func hostileZip(t *testing.T, entries ...zipEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.store {
			h.Method = zip.Store
			h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE(e.data), max(e.claim, uint64(len(e.data))), max(e.claim, uint64(len(e.data)))
			f, err := w.CreateRaw(h)
			if err == nil {
				_, err = f.Write(e.data)
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write(e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openHostile(t *testing.T, b []byte) (scanner.Device, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(context.Background(), name, OpenOptions{})
	if c, ok := d.(io.Closer); ok && err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return d, err
}

const intrusionLine = `{"dns_event":{"host":"example.com"}}` + "\n"

// A stored file that claims more bytes than a number holds is no more than it is.
func TestIntrusionLogsOfImpossibleSizes(t *testing.T) {
	t.Parallel()
	for _, claims := range [][]uint64{{1 << 62, 1 << 62, 1 << 62, 1 << 62}, {1<<64 - 5}, {1 << 63}} {
		entries := []zipEntry{{name: "acquisition.json", data: []byte("{}")}}
		for i, c := range claims {
			entries = append(entries, zipEntry{name: fmt.Sprintf("intrusion_logs/%d.json", i), data: []byte(intrusionLine), store: true, claim: c})
		}
		d, err := openHostile(t, hostileZip(t, entries...))
		if err != nil {
			continue
		}
		if b, err := d.Probe(context.Background(), scanner.SourceIntrusion); err == nil {
			t.Errorf("claims %v: %d bytes", claims, len(b))
		}
	}
}

// Archives inside archives and logs in them together take no more memory than the limit for all.
func TestArchivesInsideTakeLittleTogether(t *testing.T) {
	big := bytes.Repeat([]byte(intrusionLine), (20<<20)/len(intrusionLine))
	var entries []zipEntry
	for i := range 40 {
		entries = append(entries, zipEntry{name: fmt.Sprintf("logs/%d.json", i), data: big})
	}
	b := hostileZip(t, entries...)
	before := heapInUse()
	d, err := openHostile(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if more := int64(heapInUse()) - int64(before); more > 200<<20 {
		t.Errorf("%d MiB are held of an archive of %d bytes", more>>20, len(b))
	}
	if !strings.Contains(strings.Join(d.Identity().Notes, "\n"), "could not be read") {
		if _, err := d.Probe(context.Background(), scanner.SourceIntrusion); err == nil {
			t.Errorf("nothing is said of what was left out: %q", d.Identity().Notes)
		}
	}
}

// Passages of a long text that was packed are read in one go, not each from its start.
func TestPassagesAreUnpackedOnce(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 1000)
	opened := 0
	f := &textFile{file: &bundleFile{name: "x", size: int64(len(text)), open: func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader(text)), nil
	}}}
	d := &acquired{texts: map[scanner.Source][]passage{}, said: map[scanner.Source]reply{}}
	for i := range 900 {
		d.texts["a"] = append(d.texts["a"], passage{f, int64(i * 10), 5})
	}
	d.texts["b"] = []passage{{f, 100, 10}, {f, 50, 10}, {f, int64(len(text)) - 2, 5}}
	if b, err := d.Probe(context.Background(), "a"); err != nil || string(b) != strings.Repeat("01234\n", 900) || opened != 1 {
		t.Errorf("%d bytes, opened %d times, %v", len(b), opened, err)
	}
	if b, err := d.Probe(context.Background(), "b"); err == nil {
		t.Errorf("%q is read beyond the text's end", b)
	}
}

// Of many files of the name that one has, a few are looked at. What is held open does not grow with the archive.
func TestManyFilesOfOneName(t *testing.T) {
	t.Parallel()
	b := &bundle{name: "x"}
	opened, open := 0, 0
	for i := range 20_000 {
		content := "nothing\n"
		for _, name := range []string{"getprop.txt", "main_entry.txt", "dumpstate-x.txt"} {
			b.files = append(b.files, bundleFile{name: fmt.Sprintf("%d/%s", i, name), size: int64(len(content)), open: func() (io.ReadCloser, error) {
				opened++
				open++
				return countedFile{strings.NewReader(content), &open}, nil
			}})
		}
	}
	if _, ok := acquisitionFolder(b); ok {
		t.Error("an acquisition of nothing")
	}
	if _, main := bugreportMain(b); main != nil {
		t.Errorf("%s is a bugreport", main.name)
	}
	if opened > 3*maxCandidates || open != 0 {
		t.Errorf("%d files were opened, %d are open", opened, open)
	}
}

type countedFile struct {
	io.Reader
	open *int
}

func (f countedFile) Close() error { *f.open--; return nil }

// A line in an app's text that looks like the start of another service hides nothing behind it.
func TestServiceThatIsCutOffByItsText(t *testing.T) {
	t.Parallel()
	text := strings.Replace(dumpText, "    userId=10100\n", "    userId=10100\n    versionName=1\nDUMP OF SERVICE wifi:\n  Package [com.example.victim] (2):\n", 1)
	d, err := openHostile(t, hostileZip(t, zipEntry{name: "bugreport-x.txt", data: []byte(text)}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Probe(context.Background(), scanner.Dumpsys("package"))
	if err != nil || !strings.Contains(string(b), "com.example.victim") {
		t.Errorf("%q, %v", b, err)
	}
}

// heapInUse is what is held after a collection of garbage, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
