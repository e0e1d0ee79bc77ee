package soak

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a resting agent may have more of after hours than at first.
const (
	moreGoroutines = 4
	moreFiles      = 4
	moreHeap       = 8 << 20
	moreResident   = 32 << 20
)

// judge holds the run to its promises, and prints what came of it.
func (r *run) judge(t *testing.T) {
	t.Helper()
	settled := !t.Failed()
	lines, err := r.disks.lines()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.root, "events.ndjson"), append(bytes.Join(lines, []byte("\n")), '\n'), 0o600); err != nil {
		t.Error(err)
	}
	v := check(r.log, lines, settled)
	for i, wrong := range v.Wrong {
		if i == 20 {
			t.Errorf("and %d more", len(v.Wrong)-i)
			break
		}
		t.Error(wrong)
	}
	if settled && len(v.Wrong) == 0 {
		findsFaults(t, r.log, lines)
	}
	output, err := os.ReadFile(r.daemon.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"DATA RACE", "panic", "level=ERROR"} {
		for line := range bytes.Lines(output) {
			if bytes.Contains(line, []byte(bad)) && !bytes.Contains(line, []byte("msg=reload")) {
				t.Errorf("the agent says %s", line)
				break
			}
		}
	}
	if t.Failed() {
		t.Logf("the agent's last words:\n%s", output[max(0, len(output)-8000):])
	}
	r.flat(t)
	fmt.Print(r.result(v, len(output)))
}

// flat holds the measures at rest to what they were at first.
func (r *run) flat(t *testing.T) {
	t.Helper()
	if len(r.quiet) < 2 {
		t.Error("it was not measured twice at rest")
		return
	}
	first, last := r.quiet[0], r.quiet[len(r.quiet)-1]
	if first.PID != last.PID {
		t.Errorf("process %d was measured first, and process %d last", first.PID, last.PID)
	}
	if last.Own.Goroutines > first.Own.Goroutines+moreGoroutines || last.Own.Files > first.Own.Files+moreFiles {
		t.Errorf("at rest the agent had %+v, and later %+v", first.Own, last.Own)
	}
	// Memory has found its size after some load, and may not go on from there.
	if n := len(r.quiet); n > 8 {
		early := r.quiet[n/4].Own
		if last.Own.Heap > early.Heap+moreHeap {
			t.Errorf("at rest the heap had %d bytes, and later %d", early.Heap, last.Own.Heap)
		}
		// What the race detector remembers of each address grows with the addresses that were ever used.
		if last.Own.Resident > early.Resident+moreResident && os.Getenv(raceEnv) == "" {
			t.Errorf("at rest %d bytes were resident, and later %d", early.Resident, last.Own.Resident)
		}
	}
}

func (r *run) result(v *verdict, output int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "changes made         %d\n", len(r.log)-v.Kept)
	fmt.Fprintf(&b, "seen to be known     %d\n", v.Kept)
	fmt.Fprintf(&b, "events delivered     %d, of %d ids; %d came again under their id\n", v.Events, v.Distinct, v.Again)
	fmt.Fprintf(&b, "stories told         %d changes of %d subjects, each once and in order\n", v.Told, v.Subjects)
	fmt.Fprintf(&b, "updates besides      %d of packages that kept their version\n", v.Retold)
	fmt.Fprintf(&b, "wrong                %d\n", len(v.Wrong))
	fmt.Fprintf(&b, "gaps told            %v\n", v.Gaps)
	fmt.Fprintf(&b, "done to the agent    %v\n", r.count)
	fmt.Fprintf(&b, "ended late           %d times\n", r.daemon.late)
	fmt.Fprintf(&b, "connections made     %d\n", r.hammer.asked.Load())
	fmt.Fprintf(&b, "the agent's log      %d bytes\n", output)
	for i, s := range r.quiet {
		if i == 0 || i == len(r.quiet)/4 || i == len(r.quiet)-1 {
			fmt.Fprintf(&b, "at rest, measure %-3d %d goroutines, %d files, %d KiB of heap, %d KiB resident\n", i+1, s.Own.Goroutines, s.Own.Files, s.Own.Heap>>10, s.Own.Resident>>10)
		}
	}
	return b.String()
}
