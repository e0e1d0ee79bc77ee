package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"picket/scanner"
)

// Limits of a walk. A hostile tree can be of any size.
const (
	maxWalked     = 1 << 25 // files and directories
	maxWalkDepth  = 128     // directories above a file
	maxWalkErrors = 10_000  // unreadable directories kept by name
)

// place is what a directory says of the files in it. It is worked out once for each
// directory, so that a file costs a few comparisons.
type place struct {
	dir   string
	depth int
	zone  zone
	// zoneTop is the directory at which the zone begins.
	zoneTop string
	// home is the home directory that it lies in, or empty.
	home string
	// noise marks caches of package managers and test data: names there mean nothing.
	noise bool
	// open means that every account may search the directories down to here.
	open bool
	// shared means that every account may put files into this directory.
	shared bool
	// hidden means that this directory or one above it, below its zone, has a hidden name.
	hidden bool
	// nosuid means that the file system is mounted so that set-user-ID bits do nothing.
	nosuid bool
	// system is the top of another operating system's tree (a chroot) that it lies in.
	system string
}

func (p *place) path(name string) string {
	if p.dir == "/" {
		return "/" + name
	}
	return p.dir + "/" + name
}

// treeWalk is one pass over a device's tree. Links are not followed. It stays out of kernel
// file systems, network file systems and the storage of containers.
type treeWalk struct {
	ctx    context.Context
	fs     scanner.FS
	zones  *zoneMap
	mounts walkMounts
	// visit is called for each directory with all its entries, one directory at a time and in
	// no order. The slice is not kept.
	visit func(p *place, entries []scanner.Info)

	mu   sync.Mutex
	turn *sync.Cond
	todo []waiting // for a walker that has none
	busy int       // walkers that are not waiting

	files    int
	systems  []string // tops of other systems' trees
	left     []string // what was left out on purpose
	unread   []string // directories that could not be listed
	failures int
	stopped  string // why the walk ended early
}

// waiting is a directory that was seen and not yet listed. There may be millions.
type waiting struct {
	in   *place // nil for the top
	name string
	mode fs.FileMode
}

// walkers list directories at the same time. Most of a walk is waiting for the kernel.
const walkers = 2

func (w *treeWalk) run() {
	w.turn, w.todo, w.busy = sync.NewCond(&w.mu), []waiting{{}}, walkers
	parallel(walkers, w.work)
	slices.Sort(w.systems)
	slices.Sort(w.left)
	slices.Sort(w.unread)
}

// work lists directories until none is left. Only the listing goes on in parallel. Each
// walker goes on with what it found itself, so that the walkers hardly meet.
func (w *treeWalk) work() {
	var own []waiting
	defer w.leave()
	for {
		p := w.next(&own)
		if p == nil {
			return
		}
		entries, err := w.fs.ReadDir(p.dir)
		w.listed(p, entries, err, &own)
	}
}

// next takes a directory, the last found first, waiting for one while others are being listed.
// There is none left when it gives nil.
func (w *treeWalk) next(own *[]waiting) *place {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.stopped == "" {
		n := len(*own)
		if n == 0 {
			if !w.wait() {
				return nil
			}
			*own, w.todo = w.todo, nil
			continue
		}
		d := (*own)[n-1]
		*own = (*own)[:n-1]
		if p := w.enter(&d); p != nil {
			return p
		}
	}
	return nil
}

// wait waits until another walker hands something on. None does when all are waiting.
func (w *treeWalk) wait() bool {
	w.busy--
	for len(w.todo) == 0 && w.busy > 0 && w.stopped == "" {
		w.turn.Wait()
	}
	w.busy++
	return len(w.todo) > 0
}

// share hands half of a walker's directories on, the first found, when another has none.
func (w *treeWalk) share(own *[]waiting) {
	if n := len(*own) / 2; n > 0 && w.busy < walkers && len(w.todo) == 0 {
		w.todo = slices.Clone((*own)[:n])
		*own = append((*own)[:0], (*own)[n:]...)
		w.turn.Signal()
	}
}

// leave ends a walker, in whatever way: the others no longer wait for it.
func (w *treeWalk) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.turn.Broadcast()
}

// listed visits a directory and adds those in it to the walker's own.
func (w *treeWalk) listed(p *place, entries []scanner.Info, err error, own *[]waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed(p.dir, err)
		return
	}
	if w.ctx.Err() != nil {
		w.stopped = "out of time at " + p.dir
		return
	}
	if w.files += len(entries); w.files > maxWalked {
		w.stopped = fmt.Sprintf("more than %d files, at %s", maxWalked, p.dir)
		return
	}
	if p.system == "" && p.dir != "/" && w.isSystem(p, entries) {
		p.system = p.dir
		w.systems = append(w.systems, p.dir)
	}
	w.visit(p, entries)
	for i := len(entries) - 1; i >= 0; i-- {
		if e := &entries[i]; e.Mode.IsDir() {
			*own = append(*own, waiting{p, strings.Clone(e.Name), e.Mode})
		}
	}
	w.share(own)
}

func (w *treeWalk) failed(dir string, err error) {
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, scanner.ErrNotRecorded) {
		return // removed while we walked
	}
	w.failures++
	if len(w.unread) < maxWalkErrors {
		w.unread = append(w.unread, dir)
	}
}

// partial says what could not be walked.
func (w *treeWalk) partial() []string {
	var out []string
	if w.failures > 0 {
		const shown = 3
		s := fmt.Sprintf("%d directories could not be listed: %s", w.failures, strings.Join(w.unread[:min(shown, len(w.unread))], ", "))
		if w.failures > shown {
			s += ", ..."
		}
		out = append(out, s)
	}
	if w.stopped != "" {
		out = append(out, "the walk over all files ended early: "+w.stopped)
	}
	return out
}

// notes says what the walk left out on purpose.
func (w *treeWalk) notes() []string {
	const shown = 10
	var out []string
	for i, s := range w.systems {
		if i == shown {
			out = append(out, fmt.Sprintf("and %d more trees of other systems", len(w.systems)-shown))
			break
		}
		out = append(out, s+" is another system's tree: scan it with --image")
	}
	return append(out, w.left...)
}

// isSystem tells whether a directory is the top of another operating system: a chroot or an
// unpacked image. Its files have owners of their own, which we do not know.
func (w *treeWalk) isSystem(p *place, entries []scanner.Info) bool {
	etc, usr := false, false
	for i := range entries {
		etc = etc || entries[i].Name == "etc"
		usr = usr || entries[i].Name == "usr"
	}
	if !etc || !usr {
		return false
	}
	for _, mark := range []string{"/etc/os-release", "/usr/lib/os-release", "/etc/alpine-release", "/etc/openwrt_release"} {
		if _, err := w.fs.Lstat(p.dir + mark); err == nil {
			return true
		}
	}
	return false
}

// enter gives the place of a directory, or nil when the walk stays out of it.
func (w *treeWalk) enter(d *waiting) *place {
	p := d.in
	if p == nil {
		return w.top()
	}
	c := *p
	c.dir = p.path(d.name)
	c.depth++
	c.open = p.open && d.mode&0o001 != 0
	c.shared = worldWritable(d.mode)
	if c.depth > maxWalkDepth {
		w.failed(c.dir, errTooDeep)
		return nil
	}
	if m, ok := w.mounts[c.dir]; ok {
		if m.skip {
			if m.note != "" {
				w.left = append(w.left, m.note)
			}
			return nil
		}
		c.nosuid = m.nosuid
	}
	if p.system != "" {
		return &c
	}
	if z, ok := w.zones.at[c.dir]; ok {
		if z.skip != "" {
			w.left = append(w.left, c.dir+": "+z.skip)
			return nil
		}
		c.zone, c.zoneTop, c.hidden, c.home = z.zone, c.dir, false, z.home
		return &c
	}
	c.hidden = p.hidden || d.name[0] == '.'
	c.noise = p.noise || noisy(d.name, p.dir)
	if c.home != "" && strings.HasSuffix(c.dir, "/.local/share/containers") {
		w.left = append(w.left, c.dir+": storage of containers, not looked into")
		return nil
	}
	return &c
}

func (w *treeWalk) top() *place {
	root := &place{dir: "/", open: true}
	if info, err := w.fs.Lstat("/"); err == nil {
		root.shared = worldWritable(info.Mode)
	}
	return root
}

var errTooDeep = errors.New("too many directories above it")

func worldWritable(m fs.FileMode) bool { return m&0o002 != 0 }
