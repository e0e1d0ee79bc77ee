package facts

import (
	"context"
	"sync/atomic"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

func TestParallelPanicsInTheCaller(t *testing.T) {
	t.Parallel()
	var ran atomic.Int32
	defer func() {
		if p := recover(); p != "defect" || ran.Load() != 3 {
			t.Errorf("recovered %v after %d runs", p, ran.Load())
		}
	}()
	parallel(3, func() {
		if ran.Add(1) == 2 {
			panic("defect")
		}
	})
	t.Error("no panic")
}

// defective panics on one directory.
type defective struct{ scanner.FS }

func (d defective) ReadDir(name string) ([]scanner.Info, error) {
	if name == "/usr/lib" {
		panic("defect")
	}
	return d.FS.ReadDir(name)
}

type defectiveDevice struct{ scanner.Device }

func (d defectiveDevice) FS() scanner.FS { return defective{d.Device.FS()} }

func TestDefectInTheWalkLeavesTheScanAlive(t *testing.T) {
	t.Parallel()
	d, err := device.Txtar([]byte(filesBase))
	if err != nil {
		t.Fatal(err)
	}
	view := func(_ string, d scanner.Device) scanner.Device { return defectiveDevice{d} }
	r, err := scanner.Scan(context.Background(), d, scanner.Options{Collectors: Collectors(), Tables: []string{"files"}, View: view})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Facts.Tables["files"].Absent; got != "collector failed: defect" {
		t.Errorf("absent %q", got)
	}
}
