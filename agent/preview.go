package agent

import (
	"bufio"
	"fmt"
	"io"

	"picket/scanner/device"
	"picket/scanner/report"
)

// preview lists content and live sources one by one; files of which only the description is
// saved are counted, for there are as many as files on the device.
type preview struct {
	w                         *bufio.Writer
	described, content, probe int
	bytes                     int64
}

func newPreview(w io.Writer) *preview {
	p := &preview{w: bufio.NewWriter(w)}
	fmt.Fprintf(p.w, "%-8s %12s  %s\n", "KIND", "BYTES", "NAME")
	return p
}

func (p *preview) line(i device.RecordedItem) {
	switch i.Kind {
	case "content":
		p.content++
	case "probe":
		p.probe++
	default:
		p.described++
		return
	}
	p.bytes += i.Size
	fmt.Fprintf(p.w, "%-8s %12d  %s\n", i.Kind, i.Size, report.Clean(i.Name))
}

func (p *preview) end() error {
	fmt.Fprintf(p.w, "\n%d files and %d live sources with %d bytes of content; of %d more files the description alone\n(name, type, mode, owner, times, and of programs the first bytes and digests).\n", p.content, p.probe, p.bytes, p.described)
	return p.w.Flush()
}
