package main

import (
	"context"
	"fmt"
	"iter"
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
	next, stop := iter.Pull(func(yield func(string) bool) {
		owners.All(func(path string, w facts.Owned) bool {
			return w.Algo != scanner.MD5 || w.Link || yield(path)
		})
	})
	defer stop()
	scanner.DigestMany(d.FS(), scanner.MD5, func() (string, func([]byte, error)) {
		path, _ := next()
		return path, func(_ []byte, err error) {
			if info, statErr := d.FS().Stat(path); err == nil && statErr == nil {
				files, bytes = files+1, bytes+info.Size
			}
		}
	})
	fmt.Printf("files=%d bytes=%d\n", files, bytes)
	return nil
}
