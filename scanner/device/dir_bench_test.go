package device

import (
	"os"
	"testing"

	"picket/scanner"
)

// BenchmarkWalk lists and describes every file below PICKET_WALK (default /usr).
func BenchmarkWalk(b *testing.B) {
	top := os.Getenv("PICKET_WALK")
	if top == "" {
		top = "/usr"
	}
	files := 0
	for b.Loop() {
		t, err := openTree(top)
		if err != nil {
			b.Fatal(err)
		}
		files = countFiles(b, newFS(t), "/")
		t.close()
	}
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*files), "ns/file")
}

func countFiles(b *testing.B, fsys scanner.FS, dir string) int {
	infos, err := fsys.ReadDir(dir)
	if err != nil {
		return 0
	}
	n := len(infos)
	for _, i := range infos {
		if name := join(dir, i.Name); i.Mode.IsDir() && name != "/proc" && name != "/sys" {
			n += countFiles(b, fsys, name)
		}
	}
	return n
}
