package facts

import (
	"bufio"
	"context"
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

const pathsPerPackage = 20 // a quarter of a Debian desktop's

// dpkgTree writes a root filesystem with a dpkg database of n packages.
func dpkgTree(b *testing.B, n int) scanner.Device {
	b.Helper()
	root := b.TempDir()
	info := filepath.Join(root, "var/lib/dpkg/info")
	for _, dir := range []string{info, filepath.Join(root, "etc"), filepath.Join(root, "usr/bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	write(b, filepath.Join(root, "etc/os-release"), func(w *bufio.Writer) { fmt.Fprint(w, "ID=debian\nVERSION_ID=12\n") })
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil {
		b.Fatal(err)
	}
	write(b, filepath.Join(root, "var/lib/dpkg/status"), func(w *bufio.Writer) {
		for i := range n {
			fmt.Fprintf(w, "Package: package-%d\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: %d\n"+
				"Maintainer: Maintainers of group %d <group%d@example.org>\nArchitecture: amd64\nSource: source-%d\nVersion: 1:2.%d-3+b1\n"+
				"Depends: libc6 (>= 2.36), libgcc-s1 (>= 3.0), libstdc++6 (>= 12), package-%d (>= 1.0)\n"+
				"Description: package number %d of a generated database\n It has a longer text, as packages have, that says\n"+
				" what the package is good for and what it is not.\n .\n The text has several lines.\nHomepage: https://example.org/%d\n\n",
				i, 10+i%5000, i%100, i%100, i/3, i%50, i/2, i, i)
		}
	})
	for i := range n {
		name := filepath.Join(info, "package-"+strconv.Itoa(i))
		write(b, name+".list", func(w *bufio.Writer) {
			fmt.Fprintf(w, "/.\n/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc/package-%d\n", i)
			for j := range pathsPerPackage {
				fmt.Fprintf(w, "/usr/share/package-%d/folder-%d/file-number-%d\n", i, j%7, j)
			}
		})
		write(b, name+".md5sums", func(w *bufio.Writer) {
			for j := range pathsPerPackage {
				fmt.Fprintf(w, "%x  usr/share/package-%d/folder-%d/file-number-%d\n", md5.Sum(strconv.AppendInt(nil, int64(i*pathsPerPackage+j), 10)), i, j%7, j)
			}
		})
	}
	d, err := device.Directory(root)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func write(b *testing.B, name string, fill func(w *bufio.Writer)) {
	b.Helper()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fill(w)
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// benchSizes are numbers of packages. The largest takes a minute to write, and is left out
// unless PICKET_BENCH_LARGE is set.
func benchSizes() []int {
	sizes := []int{100, 1000, 10_000}
	if os.Getenv("PICKET_BENCH_LARGE") != "" {
		sizes = append(sizes, 100_000)
	}
	return sizes
}

func inventoryOf(b *testing.B, d scanner.Device) *scanner.Table {
	b.Helper()
	t := collectPackages(context.Background(), &scanner.Input{Device: d, Options: &scanner.Options{}})
	if t.Absent != "" {
		b.Fatal(t.Absent)
	}
	return &t
}

// heldBy measures the memory that what keep gives holds on to.
func heldBy(keep func() any) (bytes uint64, kept any) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept = keep()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - before.HeapAlloc, kept
}

// BenchmarkInventory lists the packages of generated databases, and of the tree that
// PICKET_TREE names.
func BenchmarkInventory(b *testing.B) {
	benchTrees(b, func(b *testing.B, d scanner.Device) {
		rows := 0
		held, kept := heldBy(func() any { return inventoryOf(b, d) })
		b.ReportAllocs()
		for b.Loop() {
			rows = len(inventoryOf(b, d).Rows.([]Package))
		}
		b.ReportMetric(float64(rows), "packages")
		b.ReportMetric(float64(held)/1e6, "MB-held")
		runtime.KeepAlive(kept)
	})
}

// BenchmarkOwners reads all file lists into the ownership index; the inventory before that is
// not counted.
func BenchmarkOwners(b *testing.B) {
	benchTrees(b, func(b *testing.B, d scanner.Device) {
		paths := 0
		held, kept := heldBy(func() any {
			o := inventoryOf(b, d).Aux.(*Owners)
			o.Len()
			return o
		})
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			o := inventoryOf(b, d).Aux.(*Owners)
			b.StartTimer()
			paths = o.Len()
		}
		b.ReportMetric(float64(paths), "paths")
		b.ReportMetric(float64(held)/1e6, "MB-held")
		runtime.KeepAlive(kept)
	})
}

func benchTrees(b *testing.B, run func(b *testing.B, d scanner.Device)) {
	if tree := os.Getenv("PICKET_TREE"); tree != "" {
		b.Run("tree", func(b *testing.B) {
			d, err := device.Directory(tree)
			if err != nil {
				b.Fatal(err)
			}
			run(b, d)
		})
		return
	}
	for _, n := range benchSizes() {
		b.Run(strconv.Itoa(n), func(b *testing.B) { run(b, dpkgTree(b, n)) })
	}
}
