package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// retryWatch is how long a machine that gives no watches is left alone.
const retryWatch = 10 * time.Minute

// runWatch has tables looked at when files that they read change. It is a hint: what it misses
// the next whole scan finds.
func (d *daemon) runWatch(ctx context.Context) error {
	for ctx.Err() == nil {
		c := d.config()
		part, stop := context.WithCancel(ctx)
		gone := d.reloads.tell(func() {
			if d.config().Watch != c.Watch {
				stop()
			}
		})
		if c.Watch > 0 && d.root != "" {
			if err := d.watchFiles(part, c.Watch); err != nil && part.Err() == nil {
				d.warn.set(warnWatchOff, "inotify", "files are not watched: "+err.Error(), "raise fs.inotify.max_user_instances; scans by schedule go on")
				d.clock.wait(part, retryWatch, nil)
			}
		} else {
			d.clock.wait(part, forever, nil)
		}
		gone()
		stop()
	}
	return nil
}

// watcher gives notice of what changes in folders: the kernel's on this machine, a replay's own
// of a recorded device.
type watcher interface {
	Add(dir string) error
	Remove(dir string) error
	WatchList() []string
	Close() error
	limit() int // of watches
	// next waits for a notice, for so long at most; without one the name is empty.
	next(ctx context.Context, most time.Duration) (fsnotify.Event, error)
}

// errWatchesEnded is what a watcher gives that goes on no longer.
var errWatchesEnded = errors.New("the watches ended")

// kernelWatcher is inotify.
type kernelWatcher struct{ *fsnotify.Watcher }

func newKernelWatcher() (watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return kernelWatcher{w}, nil
}

func (w kernelWatcher) next(ctx context.Context, most time.Duration) (fsnotify.Event, error) {
	var late <-chan time.Time
	if most < forever {
		t := time.NewTimer(most)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ctx.Done():
	case <-late:
	case e, ok := <-w.Events:
		if !ok {
			return e, errWatchesEnded
		}
		return e, nil
	case err, ok := <-w.Errors:
		if !ok {
			return fsnotify.Event{}, errWatchesEnded
		}
		return fsnotify.Event{}, err
	}
	return fsnotify.Event{}, nil
}

// watching is the watches as they are.
type watching struct {
	d    *daemon
	w    watcher
	plan *watchPlan
	rest *resting
	lost bool          // notices are lost: all that the watches stand for may have changed
	more chan struct{} // the configuration is another, and may give a larger budget
	seen time.Duration // when the last notice was done with
	cpu  time.Duration // of the process, of which all before is charged
}

// watchFiles watches until ctx ends, or until it cannot.
func (d *daemon) watchFiles(ctx context.Context, rest time.Duration) error {
	w, err := d.watcher()
	if err != nil {
		return err
	}
	defer w.Close()
	more, leave := d.reloads.news()
	defer leave()
	v := &watching{d: d, w: w, rest: newResting(rest, d.clock.awake), more: more}
	if _, err := v.replan(ctx); err != nil {
		return err
	}
	d.warn.clear(warnWatchOff)
	for {
		e, err := w.next(ctx, v.rest.left())
		if d.clock.awake()-v.seen > atOnce {
			v.cpu = d.cpu() // what was used meanwhile was for others
		}
		if !v.rest.some { // what has begun is brought to its end, which is near
			v.afford(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errWatchesEnded):
			return err
		case err != nil:
			d.log.Debug("watching", "error", err)
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				v.lost = true
				v.rest.touch(nil, true)
			}
		case e.Name != "":
			v.event(e)
		}
		if v.rest.left() == 0 {
			v.changed(ctx)
		}
		v.charge()
	}
}

// atOnce is how soon a notice comes that was there already: reading it is part of the work.
const atOnce = time.Millisecond

// afford waits until the budget has something left. What changes meanwhile waits in the kernel, as
// much as that has room for.
func (v *watching) afford(ctx context.Context) {
	wait := v.d.budget.wait()
	if wait == 0 {
		return
	}
	v.d.overBudget()
	for ; wait > 0 && v.d.clock.wait(ctx, wait, v.more); wait = v.d.budget.wait() {
	}
	if v.d.budget.wait() == 0 {
		v.d.warn.clear(warnOverBudget)
	}
	v.cpu = v.d.cpu()
}

// charge has the budget pay for what was done since it was last charged.
func (v *watching) charge() {
	now := v.d.cpu()
	v.d.budget.spend(now - v.cpu)
	v.cpu, v.seen = now, v.d.clock.awake()
}

// event notes the tables that a change touches.
func (v *watching) event(e fsnotify.Event) {
	name, ok := v.inDevice(e.Name)
	if !ok {
		return
	}
	if gone := v.plan.byReal[name]; gone != nil && e.Has(fsnotify.Remove|fsnotify.Rename) {
		v.rest.touch(gone.tables, true) // a directory that was watched itself
	}
	dir := v.plan.byReal[path.Dir(name)]
	if dir == nil {
		return
	}
	if tables := v.plan.touched(dir, path.Base(name)); len(tables) > 0 {
		v.rest.touch(tables, false)
	}
	if e.Has(fsnotify.Create) {
		if tables := v.plan.leads(dir, path.Base(name)); len(tables) > 0 {
			v.rest.touch(nil, true)
		}
	}
}

// inDevice turns a path of the machine into one of the device.
func (v *watching) inDevice(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(v.d.root, "/"))
	return rest, ok && strings.HasPrefix(rest, "/")
}

// changed hands on what has come to rest.
func (v *watching) changed(ctx context.Context) {
	tables, dirs := v.rest.take()
	if v.lost {
		tables = slices.Collect(maps.Keys(v.plan.patterns))
	}
	if dirs {
		more, err := v.replan(ctx)
		if err != nil && ctx.Err() == nil {
			v.d.log.Debug("watching anew", "error", err)
		}
		tables = append(tables, more...)
	}
	if len(tables) == 0 {
		return
	}
	tables = v.plan.withDependents(tables)
	v.d.log.Debug("files changed", "tables", tables)
	v.d.again(tables)
}

// replan watches what is to be watched now, and gives the tables of directories that are new.
func (v *watching) replan(ctx context.Context) (tables []string, err error) {
	dev, err := v.d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeDevice(dev)
	plan := planWatches(dev.FS(), dev.Identity().Platform, v.d.judging.collectors, v.w.limit())
	watched := map[string]bool{}
	for _, name := range v.w.WatchList() {
		watched[name] = true
	}
	refused := ""
	left := plan.left
	for _, dir := range plan.dirs {
		name := filepath.Join(v.d.root, dir.real)
		if watched[name] {
			delete(watched, name)
			if v.plan != nil && v.plan.byReal[dir.real] != nil && !v.lost { // else it may be another by now
				continue
			}
		}
		switch err := v.w.Add(name); {
		case err == nil:
			if v.plan != nil {
				tables = append(tables, dir.tables...)
			}
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
			left++
			refused = err.Error()
		case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		default:
			v.d.log.Debug("watching a directory", "dir", name, "error", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(watched)) {
		if err := v.w.Remove(name); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
			v.d.log.Debug("no longer watching", "dir", name, "error", err)
		}
	}
	v.plan, v.lost = plan, false
	if left > 0 {
		text := fmt.Sprintf("%d of %d directories are not watched", left, len(plan.dirs)+plan.left)
		if refused != "" {
			text += ": " + refused
		}
		v.d.warn.set(warnWatchLimit, "inotify", text, "raise fs.inotify.max_user_watches; scans by schedule go on")
	} else {
		v.d.warn.clear(warnWatchLimit)
	}
	v.d.log.Debug("watching", "directories", len(plan.dirs)-left)
	return tables, nil
}

// limit is how many directories are watched at most: half of what the kernel allows this
// user. Android often does not say.
func (kernelWatcher) limit() int {
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return maxWatched
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return maxWatched
	}
	return min(n/2, maxWatched)
}

// resting gathers what changes until it rests, or has waited for twice that time.
type resting struct {
	rest  time.Duration
	awake func() time.Duration

	some   bool          // something has changed
	since  time.Duration // when the first did
	until  time.Duration // when it will have rested
	tables map[string]bool
	dirs   bool
}

func newResting(rest time.Duration, awake func() time.Duration) *resting {
	return &resting{rest: rest, awake: awake, tables: map[string]bool{}}
}

// left is how long it still has to rest: forever when nothing changed.
func (r *resting) left() time.Duration {
	if !r.some {
		return forever
	}
	return max(0, r.until-r.awake())
}

// touch notes tables, or that directories are to be looked for.
func (r *resting) touch(tables []string, dirs bool) {
	now := r.awake()
	if !r.some {
		r.some, r.since = true, now
	}
	for _, t := range tables {
		r.tables[t] = true
	}
	r.dirs = r.dirs || dirs
	r.until = min(now+r.rest, r.since+2*r.rest)
}

func (r *resting) take() (tables []string, dirs bool) {
	tables, dirs = slices.Sorted(maps.Keys(r.tables)), r.dirs
	clear(r.tables)
	r.some, r.dirs = false, false
	return tables, dirs
}
