package device

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"picket/scanner"
)

// recorded is a device that was seen earlier: a tree, and maybe what live sources said.
type recorded struct {
	identity scanner.Identity
	fs       scanner.FS
	probes   map[scanner.Source]reply
	// missing is why other sources give nothing: scanner.ErrUnavailable when nil.
	missing error
	files   []io.Closer // that contents are read from
}

// reply is what a live source said.
type reply struct {
	bytes []byte
	err   error
}

// reading says that d came from f, and may need it. Without d, f is left to the caller.
func (d *recorded) reading(f io.Closer, needed bool) scanner.Device {
	switch {
	case d == nil:
		return nil
	case needed:
		d.files = append(d.files, f)
	default:
		f.Close()
	}
	return d
}

// Close gives back the files that contents were read from.
func (d *recorded) Close() error { return closeAll(d.files) }

func closeAll(files []io.Closer) (err error) {
	for _, f := range files {
		err = first(err, f.Close())
	}
	return err
}

func (d *recorded) Identity() scanner.Identity { return d.identity }
func (d *recorded) FS() scanner.FS             { return d.fs }

func (d *recorded) Probe(_ context.Context, s scanner.Source) ([]byte, error) {
	a, ok := d.probes[s]
	if ok {
		return a.bytes, a.err
	}
	if d.missing != nil {
		return nil, fmt.Errorf("%s: %w", s, d.missing)
	}
	return nil, fmt.Errorf("%s: %w", s, scanner.ErrUnavailable)
}

// isSource tells a source that a device may be asked for. Android's services are too many to
// list, and makers add their own.
func isSource(s scanner.Source) bool {
	if service, ok := strings.CutPrefix(string(s), "dumpsys/"); ok {
		return service != "" && !strings.ContainsAny(service, "/ \t")
	}
	return slices.Contains(sources(), s)
}

// sources are all that a device may be asked for, but for the services of Android.
func sources() []scanner.Source {
	return append(linuxSources(),
		scanner.SourceDumpstate, scanner.SourceGetprop, scanner.SourcePS, scanner.SourceGetenforce,
		scanner.SourceSettingsSystem, scanner.SourceSettingsSecure, scanner.SourceSettingsGlobal,
		scanner.SourceIPAddr, scanner.SourceIPLink, scanner.SourceIPRoute, scanner.SourceIPRule, scanner.SourceIPNeigh,
		scanner.SourceNetstat, scanner.SourceLsmod, scanner.SourceMount, scanner.SourceMountInfo, scanner.SourceCmdline,
		scanner.SourcePackageList, scanner.SourceRootBinaries, scanner.SourceQFPackages, scanner.SourceQFProcesses,
		scanner.SourceQFFiles, scanner.SourceIntrusion)
}

// linuxSources are those of any Linux.
func linuxSources() []scanner.Source {
	return []scanner.Source{
		scanner.SourceProcesses, scanner.SourceSockets, scanner.SourceMappings, scanner.SourceHiddenPIDs, scanner.SourceHiddenPorts,
		scanner.SourceNftables, scanner.SourceIptables, scanner.SourceRoutes, scanner.SourceNeighbours,
		scanner.SourceInterfaces, scanner.SourceUname, scanner.SourceBPF, scanner.SourceNetworkProbe, scanner.SourceNetworkHistory, scanner.SourceNetworkHeard, scanner.SourceWiFi,
	}
}
