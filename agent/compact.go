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
// that makes twice the memory.
func (j *judging) compact(c *criteria) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.restock()
	if j.last == nil {
		return nil
	}
	rest := atRest{Device: j.last.Device, Packages: packagesOf(j.last), Tables: j.last.Tables, Findings: j.apart.Findings, Coverage: j.apart.Coverage}
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
	if listed {
		r.Packages = rest.Packages
	}
	j.apart = scanner.Verdict{Findings: rest.Findings, Coverage: rest.Coverage}
	conclude(c, r, j.apart)
	j.last = r
	return nil
}
