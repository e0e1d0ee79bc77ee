package facts

import (
	"context"
	"os"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

func benchTree(b *testing.B) string {
	tree := os.Getenv("PICKET_TREE")
	if tree == "" {
		b.Skip("PICKET_TREE names no root filesystem")
	}
	return tree
}

func BenchmarkTreeInventory(b *testing.B) {
	tree := benchTree(b)
	b.ReportAllocs()
	for b.Loop() {
		d, err := device.Directory(tree)
		if err != nil {
			b.Fatal(err)
		}
		t := collectPackages(context.Background(), &scanner.Input{Device: d, Options: &scanner.Options{}})
		if t.Absent != "" {
			b.Fatal(t.Absent)
		}
		b.ReportMetric(float64(len(t.Rows.([]Package))), "packages")
	}
}

func BenchmarkTreeOwners(b *testing.B) {
	d, err := device.Directory(benchTree(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		t := collectPackages(context.Background(), &scanner.Input{Device: d, Options: &scanner.Options{}})
		o := t.Aux.(*Owners)
		b.ReportMetric(float64(o.Len()), "paths")
		if _, why := o.Complete(); len(why) > 0 {
			b.Log(why)
		}
	}
}
