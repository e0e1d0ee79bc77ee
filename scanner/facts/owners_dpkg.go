package facts

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const maxDpkgTable = 16 << 20 // bytes of diversions or statoverride

// dpkgLists is dpkg's share of the ownership index: one unit a package.
type dpkgLists struct {
	first int // row of the first package
	files []dpkgFiles
	users []User

	diversions map[uint64]parse.Diversion // by hash of From without the slash
	overrides  map[uint64]claim           // by hash of the path without the slash
}

func (l *dpkgLists) prepare(o *Owners) (int, []string) {
	if l.diversions != nil {
		return len(l.files), nil
	}
	var problems []string
	l.diversions = map[uint64]parse.Diversion{}
	l.overrides = map[uint64]claim{}
	table := func(name string, read func(b []byte, c *parse.Complaints)) {
		b, err := scanner.ReadFile(o.fs, name, maxDpkgTable)
		if err != nil {
			if !missing(err) {
				problems = append(problems, scanner.Reason(err))
			}
			return
		}
		var c parse.Complaints
		read(b, &c)
		problems = append(problems, complaints(name, &c)...)
	}
	table("/var/lib/dpkg/diversions", func(b []byte, c *parse.Complaints) {
		for _, d := range parse.DpkgDiversions(b, c) {
			l.diversions[maphash.String(o.seed, d.From[1:])] = d
		}
	})
	table("/var/lib/dpkg/statoverride", func(b []byte, c *parse.Complaints) {
		for _, s := range parse.DpkgStatOverrides(b, c) {
			l.overrides[maphash.String(o.seed, s.Path[1:])] = claim{mode: s.Mode,
				uid: l.uid(s.User), gid: groupID(o.fs, s.Group)}
		}
	})
	return len(l.files), append(problems, l.withoutList(o)...)
}

// uid gives the number of a user name, or -1.
func (l *dpkgLists) uid(name string) int32 {
	for _, u := range l.users {
		if u.Name == name {
			return int32(u.UID)
		}
	}
	return numericID(name)
}

// groupID gives the number of a group name, or -1. There are few overrides: the group file is
// read for each.
func groupID(fsys scanner.FS, name string) int32 {
	b, err := scanner.ReadFile(fsys, "/etc/group", maxAccountFile)
	if err != nil {
		return numericID(name)
	}
	for line := range bytes.Lines(b) {
		if f := bytes.SplitN(line, []byte{':'}, 4); len(f) == 4 && string(f[0]) == name {
			if n, ok := parse.Decimal(f[2]); ok && n < 1<<31 {
				return int32(n)
			}
		}
	}
	return numericID(name)
}

// numericID reads the "#123" form; root is 0 in every tree.
func numericID(name string) int32 {
	if name == "root" {
		return 0
	}
	if n, ok := parse.Decimal([]byte(strings.TrimPrefix(name, "#"))); ok && n < 1<<31 {
		return int32(n)
	}
	return -1
}

// nothingBelow looks for the names of folders in the lists. Reading them as text takes a tenth
// of what the index does.
func (l *dpkgLists) nothingBelow(o *Owners, folders []string) bool {
	if _, problems := l.prepare(o); len(problems) > 0 {
		l.diversions = nil // the index will say them
		return false
	}
	for _, d := range l.diversions {
		if slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(d.To, f) }) {
			return false
		}
	}
	var buf fileBuffer
	for i := range l.files {
		f := &l.files[i]
		if f.statusDir || f.noList {
			return false
		}
		b, err := buf.read(o.fs, dpkgInfo+f.name+".list")
		if err != nil {
			return false
		}
		for _, folder := range folders {
			if bytes.HasPrefix(b, []byte(folder)) || bytes.Contains(b, []byte("\n"+folder)) {
				return false
			}
		}
	}
	return true
}

// lacksLists tells whether a package of dpkg is without the file list that it should have.
func (o *Owners) lacksLists() bool {
	for _, s := range o.sources {
		if l, ok := s.(*dpkgLists); ok && slices.ContainsFunc(l.files, func(f dpkgFiles) bool { return f.noList }) {
			return true
		}
	}
	return false
}

// withoutList names the packages whose file list is not there.
func (l *dpkgLists) withoutList(o *Owners) []string {
	var names []string
	for i, f := range l.files {
		p := &o.rows[l.first+i]
		if (f.noList || f.statusDir) && p.Status != "config-files" {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	n := len(names)
	if n > 5 {
		names = append(names[:5], "...")
	}
	return []string{"no file list of " + strconv.Itoa(n) + " packages (" + strings.Join(names, ", ") + ")"}
}

func (l *dpkgLists) read(r *listReader, unit int, emit emitFunc) (problems []string) {
	f := &l.files[unit]
	r.sums.reset(0)
	if f.statusDir || !r.paths {
		problems = l.digests(r, unit, emit)
	}
	if f.statusDir || f.noList {
		return problems
	}
	return append(problems, l.list(r, unit, emit)...)
}

// digests reads those of a package, and of its configuration files. Without a list they are
// all there is to tell the package's paths.
func (l *dpkgLists) digests(r *listReader, unit int, emit emitFunc) (problems []string) {
	f := &l.files[unit]
	config := bytes.Count(f.conffiles, []byte{'\n'}) + 1
	r.sums.reset(config)
	sums := dpkgInfo + f.name + ".md5sums"
	if f.statusDir {
		sums = f.file + ".md5sums"
	}
	b, err := r.buf.read(r.fs, sums)
	if err == nil {
		var c parse.Complaints
		r.sums.reset(config + bytes.Count(b, []byte{'\n'}) + 1)
		parse.DpkgMD5Sums(b, &c, func(path []byte, sum [16]byte) bool {
			kept := r.sums.put(maphash.Bytes(r.o.seed, path), dpkgSum{sum: sum})
			return !f.statusDir || emit(r.absolute(path), &claim{pkg: l.first + unit,
				algo: scanner.MD5, digest: kept.sum[:], mode: -1, uid: -1, gid: -1})
		})
		problems = append(problems, complaints(sums, &c)...)
	} else if !missing(err) {
		problems = append(problems, scanner.Reason(err))
	}
	if f.statusDir || f.noList {
		return problems
	}
	parse.Conffiles(f.conffiles, nil, func(c parse.Conffile) bool {
		s := dpkgSum{config: true, none: len(c.Digest) != 16}
		copy(s.sum[:], c.Digest)
		r.sums.put(maphash.Bytes(r.o.seed, c.Path[1:]), s)
		return true
	})
	return problems
}

// list reads a package's list of paths, and joins it with the digests. Digests of paths that
// are not in the list are of no use: another package has taken those over.
func (l *dpkgLists) list(r *listReader, unit int, emit emitFunc) []string {
	name := dpkgInfo + l.files[unit].name + ".list"
	b, err := r.buf.read(r.fs, name)
	if err != nil {
		return []string{scanner.Reason(err)}
	}
	var c parse.Complaints
	own := claim{pkg: l.first + unit}
	parse.DpkgList(b, &c, func(path []byte) bool {
		own.mode, own.uid, own.gid = -1, -1, -1
		own.algo, own.digest, own.config = 0, nil, false
		hash := maphash.Bytes(r.o.seed, path[1:])
		if s := r.sums.get(hash); s != nil {
			own.config = s.config
			if !s.none {
				own.algo, own.digest = scanner.MD5, s.sum[:]
			}
		}
		if d, ok := l.diversions[hash]; ok && d.By != r.o.rows[own.pkg].Name {
			path = append(r.path[:0], d.To...)
			r.path = path
		} else if s, ok := l.overrides[hash]; ok {
			own.mode, own.uid, own.gid = s.mode, s.uid, s.gid
		}
		return emit(path, &own)
	})
	return complaints(name, &c)
}

// absolute puts a slash before a path.
func (r *listReader) absolute(path []byte) []byte {
	r.path = append(append(r.path[:0], '/'), path...)
	return r.path
}

// sumTable maps hashes of one package's paths to digests. It is used for one package after
// the other, each time as large as that package needs.
type sumTable struct {
	hashes []uint64 // 0 marks a free place
	sums   []dpkgSum
	mask   int
}

type dpkgSum struct {
	sum    [16]byte
	config bool // a configuration file
	none   bool // without a digest
}

// reset empties the table and makes room for n paths.
func (t *sumTable) reset(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	if size > len(t.hashes) {
		t.hashes, t.sums = make([]uint64, size), make([]dpkgSum, size)
	}
	clear(t.hashes[:size])
	t.mask = size - 1
}

func (t *sumTable) place(hash uint64) int {
	i := int(hash) & t.mask
	for t.hashes[i] != 0 && t.hashes[i] != hash {
		i = (i + 1) & t.mask
	}
	return i
}

// put enters a digest. There is room for as many as reset was told of.
func (t *sumTable) put(hash uint64, s dpkgSum) *dpkgSum {
	hash = max(hash, 1)
	i := t.place(hash)
	t.hashes[i], t.sums[i] = hash, s
	return &t.sums[i]
}

func (t *sumTable) get(hash uint64) *dpkgSum {
	hash = max(hash, 1)
	if i := t.place(hash); t.hashes[i] == hash {
		return &t.sums[i]
	}
	return nil
}
