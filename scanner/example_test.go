package scanner_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

// A harness judges a device of its own: here a few files written as text.
func Example() {
	dev, err := device.Txtar([]byte(`
-- etc/os-release --
ID=debian
VERSION_ID="13"
PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
-- etc/passwd --
root:x:0:0:root:/root:/bin/bash
support:x:0:0::/root:/bin/sh
`))
	if err != nil {
		log.Fatal(err)
	}
	collectors := facts.Collectors()
	set, err := rules.Catalogue(collectors)
	if err != nil {
		log.Fatal(err)
	}
	r, err := scanner.Scan(context.Background(), dev, scanner.Options{
		Collectors: collectors,
		Judge:      set.Only([]string{"config"}),
		Now:        time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Level)
	for _, f := range r.Findings {
		fmt.Println(f.Severity, f.Rule, f.Subject.Name, f.Evidence[0].Source)
	}
	// Output:
	// High
	// critical CFG-028 support /etc/passwd:2
}

// The inventory needs no rules. Recorded devices of every kind open the same way.
func Example_inventory() {
	ctx := context.Background()
	collectors := facts.Collectors()
	dev, err := device.Open(ctx, "testdata/alpine.txtar", device.OpenOptions{Keep: facts.Keep(collectors)})
	if err != nil {
		log.Fatal(err)
	}
	r, err := scanner.Scan(ctx, dev, scanner.Options{Collectors: collectors, Tables: []string{"packages"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range r.Packages.([]facts.Package) {
		fmt.Println(p.Manager, p.Name, p.Version, p.ShortVersion, p.BundleSize)
	}
	// Output:
	// apk musl 1.2.4-r2 1.2.4 634880
	// apk busybox 1.36.1-r5 1.36.1 946176
}

// What could not be looked at is said, rule by rule: nothing is healthy for want of data.
func Example_coverage() {
	dev, err := device.Txtar([]byte("root: no\n-- etc/passwd --\nroot:x:0:0:root:/root:/bin/sh\n-- etc/shadow denied --\n"))
	if err != nil {
		log.Fatal(err)
	}
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		log.Fatal(err)
	}
	r, err := scanner.Scan(context.Background(), dev, scanner.Options{Collectors: facts.Collectors(), Judge: set, Now: time.Unix(0, 0)})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range r.Coverage {
		if c.Rule == "CFG-027" {
			fmt.Println(c.Outcome, "-", c.Why)
		}
	}
	// Output:
	// unknown - may not read /etc/shadow (run as root)
}
