package agent

import (
	"slices"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// TestAndroidSourcesHaveCommands sees that a phone can be asked for what collectors read, but for
// what only recordings have.
func TestAndroidSourcesHaveCommands(t *testing.T) {
	t.Parallel()
	recorded := []scanner.Source{scanner.SourceDumpstate, scanner.SourceRootBinaries, scanner.SourceQFPackages, scanner.SourceQFProcesses, scanner.SourceQFFiles, scanner.SourceIntrusion,
		scanner.SourceNeighbours, scanner.SourceInterfaces, "ip/link"} // the kernel's own answers, and what bugreports have beside addresses
	commands := device.AndroidCommands()
	for _, c := range facts.Collectors() {
		if !slices.Contains(c.Platforms, "android") || slices.Contains(c.Platforms, "linux") {
			continue
		}
		for _, s := range c.Reads.Probes {
			if commands[s] == nil && !slices.Contains(recorded, s) {
				t.Errorf("table %s reads %s, which no phone is asked for", c.Table, s)
			}
		}
	}
}
