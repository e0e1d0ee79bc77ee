package facts

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

// Limits of the look at what lies about.
const (
	maxDropEntries = 200_000 // names in all folders together
	maxDropDepth   = 8       // folders inside a place
	maxDropped     = 10_000
	maxDropDigest  = 64 << 20  // bytes of one file
	maxDropDigests = 512 << 20 // bytes of all
)

// dropPlace is a folder where programs do not belong, and how much of it may be looked at. First
// bytes are taken of every file only where files come from elsewhere: what else people keep is
// nobody's business, and is told by its name alone.
type dropPlace struct {
	top   string
	place string
	depth int  // folders inside it that are looked into
	heads bool // of every file, not only of those with a program's name
}

// dropFolders are looked at in this order.
var dropFolders = []dropPlace{{"/data/local/tmp", "tmp", maxDropDepth, true}, {"/data/local", "other", maxDropDepth, true}, {"/dev", "dev", 2, true}}

// storageTops are the names of shared storage: where it is, and what apps see of it. The first
// that can be listed is looked at.
var storageTops = []string{"/data/media/*", "/storage/emulated/*", "/sdcard"}

// storageFolders are looked at in shared storage.
var storageFolders = []dropPlace{{"", "storage", 0, false}, {"/Download", "storage", maxDropDepth, true}, {"/Documents", "storage", maxDropDepth, false},
	{"/Android/media", "storage", maxDropDepth, false}}

// notDropPlaces are folders that are not entered: people's pictures and recordings, and files
// that the kernel and Android themselves keep in /dev.
var notDropPlaces = map[string]bool{
	"dcim": true, "pictures": true, "music": true, "movies": true, "podcasts": true, "ringtones": true, "alarms": true, "notifications": true, "audiobooks": true, "recordings": true, "screenshots": true,
	"__properties__": true, "cpuset": true, "cpuctl": true, "memcg": true, "blkio": true, "stune": true, "cg2_bpf": true, "cgroup_info": true, "fscklogs": true, "usb-ffs": true, "pts": true, "binderfs": true,
}

// programNames are endings of programs' names.
var programNames = []string{"apk", "apks", "apkm", "xapk", "dex", "jar", "so", "sh", "elf", "exe", "dll", "docm", "xlsm", "pptm", "dotm"}

func droppedFilesCollector() scanner.Collector {
	places := slices.Clone(dropFolders)
	for _, top := range storageTops {
		for _, p := range storageFolders {
			p.top = top + p.top
			places = append(places, p)
		}
	}
	var globs, meta []string
	for _, p := range places {
		below := p.top + "/**/"
		if p.depth == 0 {
			below = p.top + "/"
		}
		globs = append(globs, below+"*.apk")
		if p.heads {
			meta = append(meta, p.top+"/**")
			continue
		}
		for _, ext := range programNames {
			meta = append(meta, below+"*."+ext)
		}
	}
	return scanner.Collector{
		Table: "dropped_files", Doc: "programs and app packages where they do not belong", Row: DroppedFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceQFFiles}, Globs: globs, Meta: meta},
		Needs: []string{"packages", "apk_files"}, Collect: collectDroppedFiles,
	}
}

// dropLook gathers rows.
type dropLook struct {
	in      *scanner.Input
	fs      scanner.FS
	t       scanner.Table
	r       *treeReader
	apks    *dropAPKs
	rows    []DroppedFile
	seen    map[string]bool // files and folders by their real names
	looked  map[string]bool // places of which some folder was listed
	entries int
	digests int64 // bytes that may yet be read
}

func collectDroppedFiles(ctx context.Context, in *scanner.Input) scanner.Table {
	l := &dropLook{in: in, fs: in.Device.FS(), rows: []DroppedFile{}, seen: map[string]bool{}, looked: map[string]bool{}}
	l.r, l.apks = newReader(in, &l.t), newDropAPKs(ctx, in)
	if in.Options.Digests != scanner.DigestsNone {
		l.digests = maxDropDigests
	}
	for _, p := range dropFolders {
		l.top(p)
	}
	for _, top := range storageTops {
		if l.storage(top); l.looked["storage"] {
			break
		}
	}
	listed := l.acquired(ctx)
	tmp, storage := l.looked["tmp"] || l.looked["other"] || listed, l.looked["storage"] || listed
	switch {
	case !tmp && !storage && len(l.rows) == 0:
		return scanner.Table{Absent: cmp.Or(strings.Join(l.t.Partial, "; "), "neither /data/local, nor shared storage, nor a list of files came along")}
	case !tmp && len(l.t.Partial) == 0:
		l.t.Partial = append(l.t.Partial, "/data/local did not come along")
	case !storage && len(l.t.Partial) == 0:
		l.t.Partial = append(l.t.Partial, "shared storage did not come along")
	}
	if why := in.Device.Identity().ModesUntrusted; why != "" {
		l.t.Unknown = map[string]string{"executable": why}
	}
	slices.SortFunc(l.rows, func(a, b DroppedFile) int { return strings.Compare(a.Path, b.Path) })
	l.t.Rows = l.rows
	return l.t
}

// storage looks into the shared storage of every user below a top.
func (l *dropLook) storage(top string) {
	if list, err := l.fs.ReadDir(strings.TrimSuffix(top, "/*")); err == nil && len(list) == 0 {
		return // nothing is mounted there
	}
	users := l.r.glob(top)
	for _, user := range users {
		for _, p := range storageFolders {
			p.top = user + p.top
			l.top(p)
		}
	}
}

func (l *dropLook) top(p dropPlace) {
	real, err := l.fs.Resolve(p.top)
	if err != nil {
		l.r.note(err)
		return
	}
	l.folder(real, p, p.depth)
}

func (l *dropLook) folder(dir string, p dropPlace, depth int) {
	if l.seen[dir] {
		return
	}
	entries, err := l.fs.ReadDir(dir)
	if err != nil {
		l.r.note(err)
		return
	}
	l.seen[dir], l.looked[p.place] = true, true
	if l.entries += len(entries); l.entries > maxDropEntries {
		l.miss("more than %d files lie about; the rest was not looked at", maxDropEntries)
		return
	}
	for i := range entries {
		e := &entries[i]
		name := dir + "/" + e.Name
		switch {
		case e.Mode.IsRegular():
			l.file(name, e, p)
		case !e.Mode.IsDir() || notDropPlaces[strings.ToLower(e.Name)]:
		case depth > 0:
			l.folder(name, p, depth-1)
		case p.depth == maxDropDepth:
			l.miss("folders more than %d deep were not looked into", maxDropDepth)
		}
	}
}

func (l *dropLook) miss(format string, args ...any) {
	if why := fmt.Sprintf(format, args...); !slices.Contains(l.t.Partial, why) {
		l.t.Partial = append(l.t.Partial, why)
	}
}

// file makes a row of a file that is a program.
func (l *dropLook) file(name string, e *scanner.Info, p dropPlace) {
	ext := extension(e.Name)
	if l.seen[name] || e.Size == 0 || !p.heads && !slices.Contains(programNames, ext) {
		return
	}
	l.seen[name] = true
	head, err := l.fs.Head(name)
	row := DroppedFile{Path: name, Place: p.place, Size: e.Size, Executable: p.place != "storage" && e.Perm()&0o111 != 0, Tool: dropTool(e.Name), Where: name}
	if err != nil {
		l.r.note(err)
		if row.Type = typeByName(e.Name); row.Type == "" || missing(err) {
			return
		}
		row.MarkUnread("disguised", scanner.Reason(err))
	} else if row.Type, row.Disguised = programType(head, ext, p.place); row.Type == "" {
		return
	}
	if len(l.rows) >= maxDropped {
		l.miss("more than %d programs lie about", maxDropped)
		return
	}
	if row.Type == "apk" {
		l.apks.fill(&row)
	}
	l.digest(&row)
	l.rows = append(l.rows, row)
}

func (l *dropLook) digest(row *DroppedFile) {
	if row.SHA256 != "" || row.Size > maxDropDigest || row.Size > l.digests {
		return
	}
	l.digests -= row.Size
	if sum, err := l.fs.Digest(row.Path, scanner.SHA256); err == nil {
		row.SHA256 = hex.EncodeToString(sum)
	}
}

// acquired adds what AndroidQF's list of files names. It has no first bytes, so that what a file
// is can be told by its name alone. It reports whether there is such a list.
func (l *dropLook) acquired(ctx context.Context) bool {
	b, err := l.in.Device.Probe(ctx, scanner.SourceQFFiles)
	if err != nil {
		return false
	}
	byPath := map[string]int{}
	for i := range l.rows {
		byPath[l.rows[i].Path] = i
	}
	err = eachQFFile(b, func(f qfFile) {
		place := listedPlace(f.Path)
		executable, regular, known := qfMode(f.Mode)
		if place == "" || !regular || len(l.rows) >= maxDropped {
			return
		}
		if i, ok := byPath[f.Path]; ok {
			l.rows[i].SHA256 = cmp.Or(l.rows[i].SHA256, f.SHA256)
			l.rows[i].Executable = place != "storage" && executable // a copy has modes of its own
			return
		}
		row := DroppedFile{Path: f.Path, Place: place, Size: f.Size, SHA256: f.SHA256, Executable: place != "storage" && executable, Tool: dropTool(path.Base(f.Path)),
			Type: typeByName(path.Base(f.Path)), Where: string(scanner.SourceQFFiles)}
		if row.Type == "" && !row.Executable && row.Tool == "" || row.Type == "" && place == "storage" {
			return
		}
		for _, column := range []string{"type", "disguised", "package", "installed"} {
			row.MarkUnread(column, "a list of files has not what is in them")
		}
		if !known {
			row.MarkUnread("executable", "the list does not tell modes")
		}
		byPath[f.Path] = len(l.rows)
		l.rows = append(l.rows, row)
	})
	if err != nil {
		l.miss("%s", err)
	}
	return true
}
