package facts

import (
	"context"

	"picket/scanner"
	"picket/scanner/parse"
)

func screenCapturesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "screen_captures", Doc: "who was recording or casting the screen", Row: ScreenCapture{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("media_projection"), scanner.Dumpsys("display")}},
		Needs: []string{"packages", "android_processes"}, Collect: collectScreenCaptures,
	}
}

// captureTools are programs that copy the screen without being apps.
var captureTools = map[string]bool{"scrcpy": true, "screenrecord": true, "minicap": true}

func collectScreenCaptures(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := newPowers(ctx, in, &t)
	rows := []ScreenCapture{}
	add := func(kind, pkg, process, where string) {
		row := ScreenCapture{Kind: kind, Process: process, Where: where}
		row.AppTraits = p.traits(pkg, &row.Unread)
		rows = append(rows, row)
	}
	captures, projectionErr := asked(p, "media_projection", parse.ScreenCaptures)
	for _, c := range captures {
		add("projection", c.Package, "", at("dumpsys/media_projection", c.Line))
	}
	displays, displayErr := asked(p, "display", parse.VirtualDisplays)
	for _, d := range displays {
		if !d.OwnContent {
			add("virtual_display", d.Package, "", at("dumpsys/display", d.Line))
		}
	}
	processes, noProcesses := scanner.Rows[AndroidProcess](in, "android_processes")
	for i := range processes {
		if r := &processes[i]; captureTools[r.Tool] {
			add("process", r.Package, or(r.Tool, r.Name), r.Where)
		}
	}
	if projectionErr != nil && displayErr != nil && noProcesses != "" {
		return scanner.Table{Absent: why(projectionErr, displayErr)}
	}
	if projectionErr != nil { // the other two do not see every projection
		p.partial(projectionErr)
	}
	t.Rows = rows
	return t
}
