package agent

import (
	"bytes"
	"cmp"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keptDays is for how many days the agent's own cost is kept, in memory.
const keptDays = 7

// usage is what the process has used since it started.
type usage struct {
	cpu                    time.Duration
	wakeUps, written, read int64
}

func (u usage) minus(o usage) usage {
	return usage{u.cpu - o.cpu, u.wakeUps - o.wakeUps, u.written - o.written, u.read - o.read}
}

// usageNow asks the kernel; what it does not say is 0.
func usageNow() usage {
	u := usage{cpu: processCPU()}
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) == nil {
		u.wakeUps = int64(r.Nvcsw)
	}
	if b, err := os.ReadFile("/proc/self/io"); err == nil {
		u.written, u.read = ioCount(b, "write_bytes: "), ioCount(b, "rchar: ")
	}
	return u
}

func ioCount(b []byte, name string) int64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n
		}
	}
	return 0
}

// ledger keeps what the agent itself costs, by collector and by day.
type ledger struct {
	ask func() usage

	mu     sync.Mutex
	tables map[string]*CollectorUse
	days   []DayUse // oldest first
	last   usage    // of the last entry by day
}

func newLedger(ask func() usage) *ledger {
	return &ledger{ask: ask, tables: map[string]*CollectorUse{}}
}

// meter charges the time between steps of one scan to what was done in them. Scans beside each
// other are charged for each other's.
func (l *ledger) meter() (step func(name string)) {
	doing, since := "", usage{}
	return func(name string) {
		now := l.ask()
		if doing != "" {
			l.charge(doing, now.minus(since))
		}
		doing, since = name, now
	}
}

func (l *ledger) charge(table string, u usage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.tables[table]
	if c == nil {
		c = &CollectorUse{Table: table}
		l.tables[table] = c
	}
	c.Runs++
	c.CPUSeconds += u.cpu.Seconds()
	c.BytesRead += u.read
}

// enter brings the day up to date.
func (l *ledger) enter(now time.Time) {
	u := l.ask()
	l.mu.Lock()
	defer l.mu.Unlock()
	day := now.UTC().Format(time.DateOnly)
	if n := len(l.days); n == 0 || l.days[n-1].Day != day {
		l.days = append(l.days, DayUse{Day: day})
		l.days = l.days[max(0, len(l.days)-keptDays):]
	}
	d, more := &l.days[len(l.days)-1], u.minus(l.last)
	d.CPUSeconds += more.cpu.Seconds()
	d.WakeUps += more.wakeUps
	d.BytesWritten += more.written
	l.last = u
}

// use gives what is known, with the process as it is now.
func (l *ledger) use(now time.Time) OwnUse {
	l.enter(now)
	out := OwnUse{CPUSeconds: processCPU().Seconds(), Goroutines: runtime.NumGoroutine(), Resident: residentBytes(), Heap: liveHeap()}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		out.Files = len(entries)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out.Days = slices.Clone(l.days)
	slices.Reverse(out.Days)
	for _, c := range l.tables {
		out.Collectors = append(out.Collectors, *c)
	}
	slices.SortFunc(out.Collectors, func(a, b CollectorUse) int {
		return cmp.Or(cmp.Compare(b.CPUSeconds, a.CPUSeconds), cmp.Compare(a.Table, b.Table))
	})
	return out
}

func liveHeap() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(s); s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(s[0].Value.Uint64())
}

func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if f := bytes.Fields(b); err == nil && len(f) > 1 {
		pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}
