package facts

import (
	"context"

	"picket/scanner"
)

func unwritten(context.Context, *scanner.Input) scanner.Table {
	return scanner.Table{Absent: "not collected"}
}

func droppedFilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "dropped_files", Doc: "programs and app packages where they do not belong", Row: DroppedFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}
