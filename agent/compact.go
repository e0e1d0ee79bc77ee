package agent

import (
	"encoding/json"
	"fmt"
	"runtime"

	"picket/scanner"
	"picket/scanner/facts"
)

// atRest is all of judging that outlives a scan.
type atRest struct {
	Device   scanner.DeviceInfo
	Packages []facts.Package
	Tables   []scanner.TableInfo
	Findings []scanner.Finding
	Paths    [][]string // of the findings, which leave them out of their JSON
	Coverage []scanner.Coverage
}

// compact moves what a scan left behind to one place. It lies scattered among what the scan
// needed and nobody needs now, and a page of which one byte is in use stays with the process:
// that makes twice the memory. Packages that were moved before stay: most looks leave them as they were.
func (j *judging) compact(c *criteria) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.restock()
	if j.last == nil {
		return nil
	}
	packages := packagesOf(j.last)
	moved := j.inPlace(packages)
	rest := atRest{Device: j.last.Device, Tables: j.last.Tables, Findings: j.apart.Findings, Coverage: j.apart.Coverage}
	if !moved {
		rest.Packages, packages, j.packed = packages, nil, nil
	}
	for _, f := range rest.Findings {
		rest.Paths = append(rest.Paths, f.Paths)
	}
	b, err := json.Marshal(rest)
	if err != nil {
		return fmt.Errorf("compacting the report: %w", err)
	}
	schema := j.last.Schema
	_, listed := j.last.Packages.([]facts.Package)
	j.last, j.apart, rest = nil, scanner.Verdict{}, atRest{}
	runtime.GC() // only now is there one place
	if err := json.Unmarshal(b, &rest); err != nil || len(rest.Paths) != len(rest.Findings) {
		return fmt.Errorf("compacting the report: it cannot be read back: %w", err)
	}
	for i := range rest.Findings {
		rest.Findings[i].Paths = rest.Paths[i]
	}
	r := &scanner.Report{Schema: schema, Device: rest.Device, Tables: rest.Tables, Packages: []struct{}{}}
	if !moved {
		packages = rest.Packages
	}
	if listed {
		r.Packages, j.packed = packages, packages
	}
	j.apart = scanner.Verdict{Findings: rest.Findings, Coverage: rest.Coverage}
	conclude(c, r, j.apart)
	j.last = r
	return nil
}

// inPlace tells packages that a compaction moved, or that are those but for a few. mu must be held.
func (j *judging) inPlace(list []facts.Package) bool {
	return len(list) > 0 && len(list) == len(j.packed) && &list[0] == &j.packed[0]
}
