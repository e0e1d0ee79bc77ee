package agent

import (
	"os"
	"runtime/debug"
)

// memoryTarget is what the garbage collector works to keep the process under, in bytes:
// a scan is meant to run beside other work on small devices. It is a target, not a cap; data
// that is needed at once may exceed it.
const memoryTarget = 48 << 20

// tuneMemory lets the heap grow freely up to the target, so that short runs hardly collect at
// all. The usual Go variables, when set, win.
func tuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(memoryTarget)
	}
}
