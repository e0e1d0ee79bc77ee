package facts

import (
	"context"
	"os"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

// BenchmarkFiles walks the tree named by PICKET_TREE ("/" is the machine itself).
func BenchmarkFiles(b *testing.B) {
	root := os.Getenv("PICKET_TREE")
	if root == "" {
		b.Skip("PICKET_TREE names no tree")
	}
	open := func() (scanner.Device, error) { return device.Directory(root) }
	if root == "/" {
		open = func() (scanner.Device, error) { return device.Live(context.Background(), device.LiveOptions{}) }
	}
	for b.Loop() {
		d, err := open()
		if err != nil {
			b.Fatal(err)
		}
		r, err := scanner.Scan(context.Background(), d, scanner.Options{Collectors: Collectors(), Tables: []string{"files"}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(r.Facts.Tables["files"].Rows.([]File))), "rows")
	}
}
