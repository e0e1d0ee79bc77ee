package agent

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// BenchmarkChange upgrades one package of many, and measures what it costs to tell it and then
// to judge what hangs on the packages and to go to rest. Times are processor time, bytes those that were read;
// both are medians.
func BenchmarkChange(b *testing.B) {
	for _, manager := range []string{"dpkg", "apk"} {
		for _, n := range []int{1000, 10_000} {
			b.Run(manager+"-"+strconv.Itoa(n), func(b *testing.B) {
				m := newBench(b, b.TempDir())
				m.config.Digests = string(scanner.DigestsAll)
				change := packageDatabase(b, m.root, manager, n)
				d, err := newDaemon(m.machine)
				if err != nil {
					b.Fatal(err)
				}
				d.arrive()
				defer d.leave(nil)
				if _, err := d.scanWhole(b.Context(), "first", d.set.Load().criteria); err != nil {
					b.Fatal(err)
				}
				d.rest()
				dev, err := d.open(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				tables := planWatches(dev.FS(), "linux", d.judging.collectors, maxWatched).withDependents([]string{"packages"})
				closeDevice(dev)
				change(n - 1)
				if err := d.inventory(b.Context()); err != nil { // the first one reads all
					b.Fatal(err)
				}
				var tell, judge expense
				for i := range b.N {
					change(i)
					tell.add(b, func() {
						if err := d.inventory(b.Context()); err != nil {
							b.Fatal(err)
						}
					})
					judge.add(b, func() {
						d.look(b.Context(), tables)
						d.rest()
					})
				}
				tell.report(b, "tell")
				judge.report(b, "judge")
			})
		}
	}
}

// expense is what was used, each time.
type expense struct {
	cpu   []time.Duration
	bytes []int64
}

func (e *expense) add(t testing.TB, do func()) {
	cpu, bytes := processCPU(), readBytes(t)
	do()
	e.cpu = append(e.cpu, processCPU()-cpu)
	e.bytes = append(e.bytes, readBytes(t)-bytes)
}

func (e *expense) report(b *testing.B, what string) {
	b.ReportMetric(float64(median(e.cpu).Microseconds())/1000, what+"-cpu-ms/op")
	b.ReportMetric(float64(median(e.bytes))/1000, what+"-kB-read/op")
}

func median[T cmp.Ordered](list []T) T { return slices.Sorted(slices.Values(list))[len(list)/2] }

// readBytes is what this process has read, from whatever.
func readBytes(t testing.TB) int64 {
	for line := range strings.Lines(read(t, "/proc/self/io")) {
		if n, ok := strings.CutPrefix(line, "rchar: "); ok {
			v, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatal("no rchar in /proc/self/io")
	return 0
}

const (
	filesOfPackage = 10
	programSize    = 20_000
)

// packageDatabase writes a root file system with n packages, each with a program, and paragraphs
// and lists about as long as distributions'. It gives what upgrades one of them.
func packageDatabase(t testing.TB, root, manager string, n int) (change func(i int)) {
	t.Helper()
	program := []byte("\x7fELF" + strings.Repeat("x", programSize))
	sum := md5.Sum(program)
	if err := os.MkdirAll(root+"/usr/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	replace(t, root, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	for i := range n {
		if err := os.WriteFile(fmt.Sprintf("%s/usr/bin/program-%06d", root, i), program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if manager == "apk" {
		replace(t, root, "/etc/os-release", "ID=alpine\nVERSION_ID=3.21\nPRETTY_NAME=\"Alpine Linux v3.21\"\n")
		return apkDatabase(t, root, n, sha1.Sum(program))
	}
	replace(t, root, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
	stanzas := make([]string, n)
	lists := func(i int) {
		name := fmt.Sprintf("package-%06d", i)
		list, sums := "/.\n/usr\n/usr/bin\n/usr/bin/program-"+name[8:]+"\n/usr/share\n", fmt.Sprintf("%x  usr/bin/program-%s\n", sum, name[8:])
		for j := range filesOfPackage {
			list += fmt.Sprintf("/usr/share/%s/file-%d\n", name, j)
			sums += fmt.Sprintf("%032x  usr/share/%s/file-%d\n", i*filesOfPackage+j, name, j)
		}
		replace(t, root, "/var/lib/dpkg/info/"+name+".list", list)
		replace(t, root, "/var/lib/dpkg/info/"+name+".md5sums", sums)
	}
	paragraph := func(i, version int) string {
		return fmt.Sprintf("Package: package-%06d\nStatus: install ok installed\nPriority: optional\nSection: utils\nInstalled-Size: %d\n"+
			"Maintainer: Maintainers of the benchmark <bench@example.org>\nArchitecture: amd64\nVersion: 1:%d.%d-2\nDepends: libc6 (>= 2.34), package-%06d (>= 1:0.1)\n"+
			"Description: package number %d of a generated database\n The text of a paragraph is mostly description: a few lines of words that nobody reads,\n"+
			" which a reader of the file has to go past all the same. This package does nothing, and\n does it as slowly as the others.\nHomepage: https://example.org/package-%06d\n\n",
			i, 100+i%5000, i%30, version, i/2, i, i)
	}
	for i := range n {
		stanzas[i] = paragraph(i, 0)
		lists(i)
	}
	replace(t, root, "/var/lib/dpkg/status", strings.Join(stanzas, ""))
	return func(i int) {
		k := i * 7 % n
		stanzas[k] = paragraph(k, i+1)
		lists(k)
		replace(t, root, "/var/lib/dpkg/status", strings.Join(stanzas, ""))
	}
}

func apkDatabase(t testing.TB, root string, n int, sum [20]byte) (change func(i int)) {
	t.Helper()
	digest := base64.StdEncoding.EncodeToString(sum[:])
	records := make([]string, n)
	record := func(i, version int) string {
		r := fmt.Sprintf("C:Q1%027d=\nP:package-%06d\nV:%d.%d-r2\nA:x86_64\nS:%d\nI:%d\nT:package number %d of a generated database\nU:https://example.org/%d\nL:MIT\n"+
			"o:package-%06d\nm:Maintainers of the benchmark <bench@example.org>\nt:1700000000\nc:%040d\nD:so:libc.musl-x86_64.so.1\nF:usr\nF:usr/bin\nR:program-%06d\na:0:0:755\nZ:Q1%s\nF:usr/share/package-%06d\n",
			version, i, i%30, version, 100+i, 1000+i, i, i, i, i, i, digest, i)
		for j := range filesOfPackage {
			r += fmt.Sprintf("R:file-%d\nZ:Q1%027d=\n", j, i*filesOfPackage+j)
		}
		return r + "\n"
	}
	for i := range n {
		records[i] = record(i, 0)
	}
	replace(t, root, "/lib/apk/db/installed", strings.Join(records, ""))
	return func(i int) {
		k := i * 7 % n
		records[k] = record(k, i+1)
		replace(t, root, "/lib/apk/db/installed", strings.Join(records, ""))
	}
}
