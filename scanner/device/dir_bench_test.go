package device

import (
	"io/fs"
	"os"
	"testing"
)

// BenchmarkWalk lists and describes every file below PICKET_WALK (default /usr).
func BenchmarkWalk(b *testing.B) {
	top := os.Getenv("PICKET_WALK")
	if top == "" {
		top = "/usr"
	}
	b.ResetTimer()
	for range b.N {
		t, err := openTree(top)
		if err != nil {
			b.Fatal(err)
		}
		files := 0
		fsys := newFS(t)
		var walk func(dir string)
		walk = func(dir string) {
			infos, err := fsys.ReadDir(dir)
			if err != nil {
				b.Log(err)
			}
			files += len(infos)
			for _, i := range infos {
				if i.Mode&fs.ModeDir != 0 && i.Dev != 4 {
					walk(join(dir, i.Name))
				}
			}
		}
		walk("/")
		t.close()
		b.ReportMetric(float64(files), "files")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(files), "ns/file")
	}
}
