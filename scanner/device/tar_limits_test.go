package device

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"picket/scanner"
)

// endless is a tar archive of any number of entries, made as it is read.
type endless struct {
	left, n int
	buf     bytes.Buffer
	w       *tar.Writer
}

func (e *endless) Read(p []byte) (int, error) {
	for e.buf.Len() < len(p) && e.left > 0 {
		if e.w == nil {
			e.w = tar.NewWriter(&e.buf)
		}
		e.w.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/bin/d%d/f%d", e.n/100, e.n), Typeflag: tar.TypeReg, Mode: 0o644})
		e.n++
		if e.left--; e.left == 0 {
			e.w.Close()
		}
	}
	return e.buf.Read(p)
}

func TestTooManyEntriesAreSaidToBeMissing(t *testing.T) {
	t.Parallel()
	x := newIndex()
	x.limit = 5000
	l, err := newTarLoader(x, keeperOf(OpenOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	in, done, err := unpackInput(context.Background(), &endless{left: 10_000_000}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if err := l.load(in, 0); err != nil {
		t.Fatal(err)
	}
	if in.off > 5100*512 {
		t.Errorf("read on to byte %d", in.off)
	}
	d := x.device("tar", "test")
	if len(d.Identity().Notes) != 1 || !strings.Contains(d.Identity().Notes[0], "reading stopped at byte") {
		t.Errorf("notes %q", d.Identity().Notes)
	}
	if _, err := d.FS().Lstat("/usr/bin/d0/f7"); err != nil {
		t.Error(err)
	}
	if _, err := d.FS().Lstat("/etc/passwd"); !errors.Is(err, scanner.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what may be missing: %v", err)
	}
	if list, err := d.FS().ReadDir("/usr/bin/d0"); len(list) != 100 || !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("%d entries, %v", len(list), err)
	}
}

// BenchmarkTarEntries indexes an archive of b.N entries, and of ten million where that is
// asked for: go test -bench TarEntries -benchtime 10000000x.
func BenchmarkTarEntries(b *testing.B) {
	b.ReportAllocs()
	x := newIndex()
	l, err := newTarLoader(x, keeperOf(OpenOptions{}))
	if err != nil {
		b.Fatal(err)
	}
	in, done, err := unpackInput(context.Background(), &endless{left: b.N}, "")
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	if err := l.load(in, 0); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/float64(min(b.N, maxEntries)), "kept-B/entry")
	b.ReportMetric(peakMemory(), "peak-MB")
	runtime.KeepAlive(x)
}

// peakMemory is the most that this process has had resident, in MB.
func peakMemory() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb float64
	fmt.Sscan(rest, &kb)
	return kb / 1024
}

func TestABombIsNotUnpacked(t *testing.T) {
	t.Parallel()
	// 1.5 GB of zeros after a good start, in a few kB.
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	head := tar.Header{Name: "etc/bomb", Typeflag: tar.TypeReg, Size: 3 << 29}
	tar.NewWriter(w).WriteHeader(&head)
	zeros := make([]byte, 1<<20)
	for range 3 << 9 {
		w.Write(zeros)
	}
	w.Close()
	_, err = openArchive(b.Bytes(), OpenOptions{})
	if !errors.Is(err, errBomb) || !strings.Contains(err.Error(), `after "etc/bomb": zst: at byte `) {
		t.Errorf("%v", err)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("odd input") }

func TestADecodersPanicIsAnError(t *testing.T) {
	t.Parallel()
	ahead := newReadAhead(&unpacker{r: panicking{}, kind: "xz"})
	defer ahead.close()
	if _, err := ahead.next(); err == nil || err.Error() != "xz: near byte 0: decoder failed: odd input" {
		t.Errorf("%v", err)
	}
}

func TestCancellingStopsReading(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := zstOf(tarOf(t, samples()))
	_, err := openTar(ctx, &archiveFile{f: nopCloser{bytes.NewReader(b)}, size: int64(len(b)), packed: "zst"}, OpenOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzTar(f *testing.F) {
	f.Add(tarOf(f, fewSamples()))
	f.Add(append(oldSparse("etc/small", 8192), rawTar(f, reg("etc/after"))...))
	f.Add(rawTar(f, link("a", "b"), link("b", "a"), reg("a/x"), hard("h", "a/x"), reg("etc/passwd")))
	f.Add(rawTar(f, tar.Header{Name: strings.Repeat("long/", 60), Linkname: strings.Repeat("l", 200), Typeflag: tar.TypeSymlink, Format: tar.FormatGNU}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = repaired(b)
		plain, err1 := openArchive(b, OpenOptions{})
		// The same as a stream: the same tree, or an error too.
		stream, err2 := openTar(context.Background(), &archiveFile{f: nopCloser{bytes.NewReader(b)}, name: "archive", size: int64(len(b)), packed: "none"}, OpenOptions{})
		if err1 != nil {
			return
		}
		if !isTar(b) {
			return
		}
		checkTree(t, plain.FS())
		if err2 != nil {
			t.Fatalf("stream: %v", err2)
		}
		if a, b := listAll(plain.FS()), listAll(stream.FS()); !slices.Equal(a, b) {
			t.Errorf("plain %q\nstream %q", a, b)
		}
	})
}

// repaired makes the checksums of a tar archive's headers right, so that fuzzing gets
// behind them.
func repaired(b []byte) []byte {
	b = bytes.Clone(b)
	for at := int64(0); at >= 0 && at+blockSize <= int64(len(b)); {
		h := b[at : at+blockSize]
		if isZero(h) {
			break
		}
		fixChecksum(h)
		size, ok := tarNumber(h[124:136])
		if !ok || size < 0 || size > int64(len(b)) {
			break
		}
		at += blockSize + size + padding(size)
	}
	return b
}
