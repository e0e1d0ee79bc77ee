package main

import (
	"context"
	"fmt"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// work is what this program does when it runs itself, so that what the scanner's packages use
// can be measured as a process of its own.
func work(what, image string) error {
	ctx := context.Background()
	d, err := device.Open(ctx, image, device.OpenOptions{})
	if err != nil {
		return err
	}
	report, err := scanner.Scan(ctx, d, scanner.Options{Collectors: facts.Collectors(), Tables: []string{"packages"}, Now: time.Now()})
	if err != nil {
		return err
	}
	table := report.Facts.Tables["packages"]
	owners, ok := table.Aux.(*facts.Owners)
	if !ok {
		return fmt.Errorf("no packages: %s", table.Absent)
	}
	rows, _ := table.Rows.([]facts.Package)
	if what == "worker-owners" {
		fmt.Printf("packages=%d paths=%d\n", len(rows), owners.Len())
		return nil
	}
	var files, bytes int64
	owners.All(func(path string, w facts.Owned) bool {
		if w.Algo == 0 || w.Link {
			return true
		}
		if info, err := d.FS().Stat(path); err == nil {
			if _, err := d.FS().Digest(path, w.Algo); err == nil {
				files, bytes = files+1, bytes+info.Size
			}
		}
		return true
	})
	fmt.Printf("files=%d bytes=%d\n", files, bytes)
	return nil
}
