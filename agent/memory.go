package agent

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
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

// releaseMemory gives back to the system what a scan needed and the agent at rest does not:
// the heap, and the parts of the program that have run. The latter are read from their file
// again, or rather from the kernel's cache of it, when they next run.
func releaseMemory() {
	runtime.GC() // empties pools into their second chance, which the next collection takes
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if len(f) != 6 || f[5] != exe || f[1] != "r-xp" && f[1] != "r--p" {
			continue // what may be written is not in the file
		}
		from, to, ok := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if ok && err1 == nil && err2 == nil && start < end {
			unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
		}
	}
}

// packed does what makes things to keep for long, and lets the collector run often meanwhile:
// what stays then lies close together, and not one in each page of what was garbage a moment
// later. It gives what do gives.
func packed[T any](do func() (T, error)) (T, error) {
	if packing.TryLock() { // else who packs already puts the collector back
		defer packing.Unlock()
		defer debug.SetGCPercent(debug.SetGCPercent(packedGC))
	}
	return do()
}

// packing is held by who has changed the collector's setting, which is the process's.
var packing sync.Mutex

// packedGC is by how much, in percent, the heap may grow then between two collections.
const packedGC = 20
