package facts

import (
	"fmt"
	"hash/maphash"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"picket/scanner"
)

// Owners answers who owns a path: which package installed it, with which digest, mode and
// owner. It reads the managers' file lists on first use, and keeps a hash of each path, not
// the path: 20 bytes and the digest.
//
// Paths are folded as the tree's own top-level links say: where /bin is a link to usr/bin,
// /bin/ls and /usr/bin/ls are one. Diversions of dpkg are applied. All methods may be called
// from several goroutines.
type Owners struct {
	fs      scanner.FS
	rows    []Package
	found   bool // there is at least one package database
	sources []ownerSource
	trees   []ownedTree
	seed    maphash.Seed
	stock   *Stock

	once    sync.Once
	folds   []fold
	table   ownerTable
	missing []string // why the index is not complete
	// programs are the paths at which programs may be, of which the index has the hashes alone.
	programs []claimedProgram

	digestsOnce sync.Once
	digests     digestSet
}

// ownerSource is one manager's file lists, in units that can be read at the same time.
type ownerSource interface {
	// prepare reads what all units need and gives their number, and what could not be read.
	prepare(o *Owners) (units int, problems []string)
	// read hands each path of a unit to emit until it says stop, and gives what could not be
	// read.
	read(r *listReader, unit int, emit emitFunc) (problems []string)
}

// emitFunc takes an absolute path and what the database says of it, both good only during
// the call.
type emitFunc func(path []byte, c *claim) bool

// claim is what one database says of one path.
type claim struct {
	pkg            int
	algo           scanner.Algo
	digest         []byte
	mode, uid, gid int32
	caps           string
	config, link   bool
}

// listReader is what one worker reads file lists with.
type listReader struct {
	o    *Owners
	fs   scanner.FS
	buf  fileBuffer
	sums sumTable
	path []byte
	// paths means that paths alone are wanted, not what the database says of them.
	paths bool
}

// ownedTree is a folder all of whose content belongs to one package.
type ownedTree struct {
	dir string // ends with "/"
	pkg int
}

func newOwners(fsys scanner.FS) *Owners { return &Owners{fs: fsys, seed: maphash.MakeSeed()} }

func (o *Owners) add(s ownerSource) { o.sources = append(o.sources, s) }

func (o *Owners) addTree(dir string, pkg int) {
	o.trees = append(o.trees, ownedTree{strings.TrimSuffix(dir, "/") + "/", pkg})
}

// lack notes what the inventory of the system's packages could not read: it is missing here
// too.
func (o *Owners) lack(why []string) { o.missing = append(o.missing, why...) }

// seal ends the inventory: the index can be used from now on.
func (o *Owners) seal(rows []Package, found bool) {
	o.rows, o.found = rows, found
	slices.SortFunc(o.trees, func(a, b ownedTree) int { return strings.Compare(a.dir, b.dir) })
}

// Owner says which package owns an absolute path. When it finds none and the index is not
// Complete, nobody knows whether a package owns the path.
func (o *Owners) Owner(name string) (Owned, bool) {
	o.once.Do(o.build)
	var buf [256]byte
	if v := o.table.get(o.hash(o.fold(buf[:0], []byte(name)))); v != nil {
		return o.table.owned(v), true
	}
	if i := o.treeOf(name); i >= 0 {
		return Owned{Package: o.trees[i].pkg, Mode: -1, UID: -1, GID: -1}, true
	}
	return Owned{}, false
}

// treeOf finds the owned folder that path lies in: the last one in order that is not after it.
func (o *Owners) treeOf(path string) int {
	i, _ := slices.BinarySearchFunc(o.trees, path, func(t ownedTree, p string) int { return strings.Compare(t.dir, p) })
	if i--; i >= 0 && strings.HasPrefix(path, o.trees[i].dir) {
		return i
	}
	return -1
}

// Stock is the database as it was read, for a look at what changes; nil where one cannot go by it.
func (o *Owners) Stock() *Stock { return o.stock }

// Package gives the row that an Owned refers to.
func (o *Owners) Package(w Owned) *Package { return &o.rows[w.Package] }

// Complete says whether every path that a package owns is in the index. When not, a path
// without an owner may still have one; why says which file lists are missing.
func (o *Owners) Complete() (ok bool, why []string) {
	o.once.Do(o.build)
	return len(o.missing) == 0, o.missing
}

// All hands on every owned path, folded, with what the database says of it, until yield says
// stop. The lists are read anew: their text is not kept. Folders that belong to one package
// as a whole (Flatpak, Snap) are not listed.
func (o *Owners) All(yield func(path string, w Owned) bool) {
	o.once.Do(o.build)
	r := &listReader{o: o, fs: o.fs, paths: true}
	more := true
	var buf []byte
	emit := func(path []byte, c *claim) bool {
		buf = o.fold(buf[:0], path)
		if v := o.table.get(o.hash(buf)); v != nil && int(v.pkg) == c.pkg {
			more = yield(string(buf), o.table.owned(v))
		}
		return more
	}
	for _, s := range o.sources {
		units, _ := s.prepare(o)
		for u := 0; u < units && more; u++ {
			s.read(r, u, emit)
		}
	}
}

// claimedProgram is a path at which a package has a program, as far as a path can tell.
type claimedProgram struct {
	path string
	pkg  uint32
}

// eachProgram hands on the paths of programs, folded, with what the database says of them.
func (o *Owners) eachProgram(yield func(path string, w Owned) bool) {
	o.once.Do(o.build)
	for _, p := range o.programs {
		if v := o.table.get(o.hash([]byte(p.path))); v != nil && v.pkg == p.pkg && !yield(p.path, o.table.owned(v)) {
			return
		}
	}
}

// nothingBelow tells, without an index, whether packages own nothing in some folders, whose
// names end with a slash. When it cannot tell it says no.
func (o *Owners) nothingBelow(folders ...string) bool {
	within := func(text string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return strings.Contains(text, f) })
	}
	if !o.found || len(o.missing) > 0 || slices.ContainsFunc(o.trees, func(t ownedTree) bool { return within(t.dir) }) {
		return false
	}
	o.findFolds()
	if slices.ContainsFunc(o.folds, func(f fold) bool { return within(f.to) }) {
		return false
	}
	for _, s := range o.sources {
		if l, ok := s.(*dpkgLists); !ok || !l.nothingBelow(o, folders) {
			return false
		}
	}
	return true
}

// Len is the number of owned paths.
func (o *Owners) Len() int {
	o.once.Do(o.build)
	return o.table.n
}

// build reads all file lists.
func (o *Owners) build() {
	o.findFolds()
	if !o.found {
		o.missing = append(o.missing, "no package database found")
	}
	type unit struct {
		s ownerSource
		n int
	}
	var units []unit
	for _, s := range o.sources {
		n, problems := s.prepare(o)
		o.missing = append(o.missing, problems...)
		for i := range n {
			units = append(units, unit{s, i})
		}
	}
	var (
		next     atomic.Int64
		mu       sync.Mutex
		wg       sync.WaitGroup
		problems = make([][]string, len(units)) // by unit: reports do not depend on timing
	)
	o.table.reserve(pathsPerUnit * len(units))
	for range min(runtime.GOMAXPROCS(0), 4, len(units)) {
		wg.Go(func() {
			r := &listReader{o: o, fs: o.fs}
			batch := &claimBatch{o: o, mu: &mu}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(units) {
					break
				}
				problems[i] = readUnit(units[i].s, r, units[i].n, batch.emit)
			}
			batch.flush()
			mu.Lock()
			defer mu.Unlock()
			o.programs = append(o.programs, batch.programs...)
		})
	}
	wg.Wait()
	for _, p := range problems {
		o.missing = append(o.missing, p...)
	}
	if o.table.full {
		o.missing = append(o.missing, fmt.Sprintf("more than %d owned paths", maxOwnedPaths))
	}
	o.missing = shorten(o.missing)
}

// readUnit reads a unit. A panic is a defect of ours that hostile input found: the unit's
// paths are then missing, and the rest goes on.
func readUnit(s ownerSource, r *listReader, unit int, emit emitFunc) (problems []string) {
	defer func() {
		if p := recover(); p != nil {
			problems = append(problems, fmt.Sprintf("reading file lists failed: %v", p))
		}
	}()
	return s.read(r, unit, emit)
}

// shorten keeps a list of reasons readable.
func shorten(why []string) []string {
	const shown = 10
	if len(why) <= shown {
		return why
	}
	return append(why[:shown:shown], fmt.Sprintf("%d more", len(why)-shown))
}

// hash is never 0, which marks a free place in the table.
func (o *Owners) hash(path []byte) uint64 { return max(maphash.Bytes(o.seed, path), 1) }

// fold is a directory that is a link in this tree.
type fold struct{ from, to string }

// foldable are the directories that distributions have turned into links. Package databases
// may use either name.
var foldable = []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32",
	"/usr/sbin", "/usr/lib64", "/var/run", "/var/lock"}

func (o *Owners) findFolds() {
	o.folds = nil
	for _, from := range foldable {
		target, err := o.fs.Readlink(from)
		if err != nil {
			continue
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(from), target)
		}
		if target = path.Clean(target); target != "/" && target != from {
			o.folds = append(o.folds, fold{from + "/", target + "/"})
		}
	}
	// A link may lead to another: /lib64 to /usr/lib64, and that to /usr/lib.
	for i := range o.folds {
		o.folds[i].to = string(o.fold(nil, []byte(o.folds[i].to+"x")))
		o.folds[i].to = strings.TrimSuffix(o.folds[i].to, "x")
	}
}

// fold appends to buf the one name that stands for a path and its aliases.
func (o *Owners) fold(buf, path []byte) []byte {
	for i := range o.folds {
		f := &o.folds[i]
		if len(path) > len(f.from) && path[1] == f.from[1] && string(path[:len(f.from)]) == f.from {
			return append(append(buf, f.to...), path[len(f.from):]...)
		}
	}
	return append(buf, path...)
}

// claimBatch gathers claims without a lock and adds them to the table many at a time.
type claimBatch struct {
	o       *Owners
	mu      *sync.Mutex
	claims  []hashedClaim
	digests []byte
	// programs are told by their paths.
	programs []claimedProgram
	path     []byte
	full     bool
}

type hashedClaim struct {
	claim
	hash uint64
}

const (
	batchSize    = 2048
	pathsPerUnit = 100 // of an average Debian package
)

func (b *claimBatch) emit(path []byte, c *claim) bool {
	b.path = b.o.fold(b.path[:0], path)
	if programPlace(b.path) && !c.config && !c.link && len(b.programs) <= maxPackagedCompare {
		p := claimedProgram{string(b.path), uint32(c.pkg)}
		if kind, _ := programKind(p.path); kind != "" {
			b.programs = append(b.programs, p)
		}
	}
	h := hashedClaim{*c, b.o.hash(b.path)}
	if len(c.digest) > 0 {
		n := len(b.digests)
		b.digests = append(b.digests, c.digest...)
		h.digest = b.digests[n:len(b.digests):len(b.digests)]
	}
	b.claims = append(b.claims, h)
	if len(b.claims) == batchSize {
		b.flush()
	}
	return !b.full
}

func (b *claimBatch) flush() {
	b.mu.Lock()
	for i := range b.claims {
		b.o.table.add(b.claims[i].hash, &b.claims[i].claim)
	}
	b.full = b.o.table.full
	b.mu.Unlock()
	b.claims, b.digests = b.claims[:0], b.digests[:0]
}
