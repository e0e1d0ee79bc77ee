package facts

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	maxProgramFiles = 50_000 // files looked at in all program folders
	maxProgramDepth = 8      // folders below a program folder
	shownPrograms   = 5      // names in a row's summary
)

// homePrograms are the folders below a home where people put programs.
var homePrograms = []string{"bin", ".local/bin", "Applications", "Downloads"}

var programMeta = []string{
	"/opt", "/opt/**", "/usr/local", "/usr/local/*", "/usr/local/bin/**", "/usr/local/sbin/**", "/usr/local/lib*/**",
	"/usr/local/games/**", "/usr/local/*/bin", "/usr/local/*/bin/**", "~/bin", "~/bin/*", "~/.local/bin", "~/.local/bin/*",
	"~/Applications", "~/Applications/*", "~/Downloads", "~/Downloads/*",
}

// unpackaged adds programs that no package owns: a row for each AppImage, and one for each
// folder with other programs. Only folders that are meant for such programs are looked at; the
// table of files has the rest.
func (inv *inventory) unpackaged(modesTrusted bool) {
	w := &programWalk{inventory: inv, left: maxProgramFiles, modes: modesTrusted}
	w.free = sync.OnceValue(func() bool { return inv.owners.nothingBelow("/opt/", "/usr/local/") })
	w.dir("/opt", "/opt", "system", maxProgramDepth)
	locals, _ := inv.folders("/usr/local")
	for _, d := range locals {
		switch base := path.Base(d); {
		case base == "bin", base == "sbin", base == "games", strings.HasPrefix(base, "lib"):
			w.dir(d, d, "system", maxProgramDepth)
		default:
			w.dir(d+"/bin", d+"/bin", "system", maxProgramDepth)
		}
	}
	for _, u := range inv.people() {
		for _, sub := range homePrograms {
			top := path.Join(u.Home, sub)
			w.dir(top, top, "user:"+u.Name, 0)
		}
	}
	if w.left < 0 {
		inv.miss(fmt.Sprintf("more than %d files in the folders for unpackaged programs", maxProgramFiles))
	}
	w.rows()
}

// programWalk looks for programs.
type programWalk struct {
	*inventory
	left   int
	modes  bool        // mode bits mean something
	free   func() bool // packages own nothing in the system's folders for such programs
	groups []programGroup
}

// programGroup is the programs of one folder, or one AppImage.
type programGroup struct {
	dir      string // folder, or the AppImage itself
	scope    string
	names    []string
	size     int64
	newest   time.Time
	appImage bool
	doubtful bool // a package may own them
}

// dir looks at the files in a folder below top, and at folders in it down to depth.
func (w *programWalk) dir(top, dir, scope string, depth int) {
	infos, err := w.fs.ReadDir(dir)
	if err != nil {
		if !missing(err) {
			w.missFile(dir, err)
		}
		return
	}
	for _, i := range infos {
		if w.left--; w.left < 0 || w.ctx.Err() != nil {
			return
		}
		name := dir + "/" + i.Name
		switch {
		case i.Mode.IsDir() && depth > 0:
			w.dir(top, name, scope, depth-1)
		case i.Mode.IsRegular() && w.candidate(i):
			w.file(top, name, scope, i)
		}
	}
}

// candidate says whether a file may be a program by what its name and mode tell.
func (w *programWalk) candidate(i scanner.Info) bool {
	return i.Mode&0o111 != 0 || !w.modes || strings.Contains(i.Name, ".so") || isAppImageName(i.Name)
}

func isAppImageName(name string) bool { return strings.EqualFold(path.Ext(name), ".appimage") }

func (w *programWalk) file(top, name, scope string, i scanner.Info) {
	head, err := w.fs.Head(name)
	if err != nil {
		w.missFile(name, err)
		return
	}
	elf := strings.HasPrefix(string(head), "\x7fELF")
	if !elf && !strings.HasPrefix(string(head), "#!") {
		return
	}
	doubtful := false
	if scope == "system" && !w.free() {
		if _, owned := w.owners.Owner(name); owned {
			return
		}
		complete, _ := w.owners.Complete()
		doubtful = !complete && len(w.seen) > 0
	}
	g := w.group(programFolder(top, name), scope)
	if parse.IsAppImage(head) {
		g = w.group(name, scope)
		g.appImage = true
	}
	g.names = append(g.names, i.Name)
	g.size += i.Size
	g.doubtful = g.doubtful || doubtful
	if i.ModTime.After(g.newest) {
		g.newest = i.ModTime
	}
}

// programFolder gives the folder that stands for a program: the one directly below top that holds
// it, or top.
func programFolder(top, name string) string {
	below, _, nested := strings.Cut(name[len(top)+1:], "/")
	if nested {
		return top + "/" + below
	}
	return top
}

func (w *programWalk) group(dir, scope string) *programGroup {
	i := slices.IndexFunc(w.groups, func(g programGroup) bool { return g.dir == dir })
	if i < 0 {
		i = len(w.groups)
		w.groups = append(w.groups, programGroup{dir: dir, scope: scope})
	}
	return &w.groups[i]
}

func (w *programWalk) rows() {
	for _, g := range w.groups {
		if len(g.names) == 0 {
			continue
		}
		p := Package{ID: g.dir, Name: g.dir, Manager: "unpackaged", BundleSize: g.size, DynamicSize: -1,
			InstallTime: when(g.newest), Scope: g.scope, Status: "installed", Where: g.dir}
		if g.doubtful {
			p.Status = "owner unknown"
		}
		if g.appImage {
			p.Name, p.Version, p.Arch = parse.AppImageName(path.Base(g.dir))
			p.ShortVersion, p.Summary = p.Version, "AppImage"
			p.PURL = parse.PURL{Type: "generic", Name: p.Name, Version: p.Version, Qualifiers: [][2]string{{"arch", p.Arch}}}.String()
		} else {
			p.Summary = programSummary(g.names)
		}
		w.add(p)
	}
}

func programSummary(names []string) string {
	n := len(names)
	if n > shownPrograms {
		names = append(names[:shownPrograms:shownPrograms], "...")
	}
	return fmt.Sprintf("%d programs that no package owns: %s", n, strings.ToValidUTF8(strings.Join(names, ", "), "\uFFFD"))
}
