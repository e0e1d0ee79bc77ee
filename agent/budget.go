package agent

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// budget is the processor time that watching files and looks between whole scans may use. It fills
// at a share of one core and holds what an hour brings.
type budget struct {
	awake func() time.Duration

	mu    sync.Mutex
	share float64 // of a core
	left  time.Duration
	at    time.Duration
	spent bool // all was used, and not a tenth has come since
}

func newBudget(share Percent, awake func() time.Duration) *budget {
	b := &budget{awake: awake, at: awake()}
	b.setShare(share)
	b.left = b.most()
	return b
}

func (b *budget) most() time.Duration { return time.Duration(b.share * float64(time.Hour)) }

func (b *budget) setShare(share Percent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share = float64(share) / 100
	b.left = min(b.left, b.most())
}

// wait says how long to wait until there is some left, which is a tenth once all was used.
func (b *budget) wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	if b.left <= 0 {
		b.spent = true
	}
	wait := time.Duration(float64(b.most()/10-b.left) / b.share)
	if !b.spent || wait < time.Millisecond {
		b.spent = false
		return 0
	}
	return wait
}

func (b *budget) spend(cost time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	b.left -= cost
}

func (b *budget) fill() {
	now := b.awake()
	b.left = min(b.most(), b.left+time.Duration(b.share*float64(now-b.at)))
	b.at = now
}

// overBudget warns that the budget is spent.
func (d *daemon) overBudget() {
	d.warn.set(warnOverBudget, "scan", "watching files and looks after changes have used up cpu_budget; they go on as it fills", "find out what changes so often, or raise cpu_budget")
}

// processCPU is the processor time of this process and the programs that it ran.
func processCPU() time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return sum
}
