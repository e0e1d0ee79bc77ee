package agent

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Cost is what the agent itself has used since it started, and the memory that it has now.
type Cost struct {
	CPU      time.Duration `json:"cpu_ns"`
	ScanCPU  time.Duration `json:"last_scan_cpu_ns"` // of the last whole scan
	LooksCPU time.Duration `json:"looks_cpu_ns"`     // of all looks after changes
	Scans    int64         `json:"scans"`            // whole ones
	Looks    int64         `json:"looks"`
	Wakeups  int64         `json:"wakeups"`       // times that a thread waited and was woken
	RSS      int64         `json:"rss_bytes"`     // 0 where the kernel does not say
	Peak     int64         `json:"peak_bytes"`    // most that RSS ever was
	Written  int64         `json:"written_bytes"` // to storage; -1 where the kernel does not say
}

// cost asks the kernel.
func (d *daemon) cost() Cost {
	c := Cost{CPU: processCPU(), Scans: d.count.scans.Load(), Looks: d.count.looks.Load(),
		ScanCPU: time.Duration(d.count.scanCPU.Load()), LooksCPU: time.Duration(d.count.looksCPU.Load()), Written: -1}
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) == nil {
		c.Wakeups, c.Peak = int64(r.Nvcsw), int64(r.Maxrss)*1024
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := bytes.Fields(b); len(f) > 1 {
			pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
			c.RSS = pages * int64(os.Getpagesize())
		}
	}
	if b, err := os.ReadFile("/proc/self/io"); err == nil {
		for line := range bytes.Lines(b) {
			if rest, ok := bytes.CutPrefix(line, []byte("write_bytes: ")); ok {
				c.Written, _ = strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			}
		}
	}
	return c
}
