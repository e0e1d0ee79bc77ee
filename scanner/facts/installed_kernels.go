package facts

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"picket/scanner"
	"picket/scanner/probe"
)

// InstalledKernel is a kernel whose modules are installed, beside the one that runs.
type InstalledKernel struct {
	Release string `expr:"release" json:"release" doc:"kernel release, as the folder below /lib/modules is named"`
	Flavour string `expr:"flavour" json:"flavour,omitempty" doc:"last part of the release: amd64, generic, lts, ..."`
	Running string `expr:"running" json:"running" doc:"release of the kernel that runs"`
	Newer   bool   `expr:"newer" json:"newer,omitempty" doc:"newer than the running kernel and of its flavour"`
	Hours   int    `expr:"age_hours" json:"-" doc:"hours since it was installed, at the reference time"`
	Where   string `expr:"where" json:"-" doc:"folder of its modules"`
}

const modulesDir = "/lib/modules"

func installedKernelsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "installed_kernels", Doc: "kernels whose modules are installed, compared with the running one", Row: InstalledKernel{},
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.SourceUname}, Meta: []string{modulesDir, modulesDir + "/*"}},
		Collect: collectInstalledKernels,
	}
}

// collectInstalledKernels compares only when the running kernel is one of the installed ones:
// another one was built by hand or belongs to the host of a container.
func collectInstalledKernels(ctx context.Context, in *scanner.Input) scanner.Table {
	uname, absent := probed[probe.Uname](ctx, in, scanner.SourceUname)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	entries, err := in.Device.FS().ReadDir(modulesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return scanner.Table{Inapplicable: "no kernel is installed as files"}
	}
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	var rows []InstalledKernel
	known := false
	for i := range entries {
		e := &entries[i]
		if !e.Mode.IsDir() {
			continue
		}
		known = known || e.Name == uname.Release
		_, flavour := kernelVersion(e.Name)
		rows = append(rows, InstalledKernel{Release: e.Name, Flavour: flavour, Running: uname.Release,
			Newer: newerKernel(e.Name, uname.Release), Hours: int(in.Options.Now.Sub(e.ModTime).Hours()), Where: modulesDir + "/" + e.Name})
	}
	if !known {
		return scanner.Table{Inapplicable: "the running kernel is none of those that are installed"}
	}
	return scanner.Table{Rows: rows}
}

// kernelVersion takes a release apart: its numbers in order, and its flavour, the last part
// without a digit in front ("6.1.0-18-amd64": 6 1 0 18, amd64).
func kernelVersion(release string) (numbers []int, flavour string) {
	parts := strings.FieldsFunc(release, func(r rune) bool { return r == '.' || r == '-' || r == '+' || r == '~' })
	for _, p := range parts {
		n, digits := 0, 0
		for digits < len(p) && digits < 9 && p[digits] >= '0' && p[digits] <= '9' {
			n = 10*n + int(p[digits]-'0')
			digits++
		}
		if digits > 0 {
			numbers = append(numbers, n)
		}
	}
	if last := parts[max(0, len(parts)-1):]; len(last) > 0 && (last[0][0] < '0' || last[0][0] > '9') {
		flavour = last[0]
	}
	return numbers, flavour
}

// newerKernel tells whether release a is a later one of the same flavour as b.
func newerKernel(a, b string) bool {
	an, af := kernelVersion(a)
	bn, bf := kernelVersion(b)
	if af != bf {
		return false
	}
	for i := 0; i < len(an) && i < len(bn); i++ {
		if an[i] != bn[i] {
			return an[i] > bn[i]
		}
	}
	return len(an) > len(bn)
}
