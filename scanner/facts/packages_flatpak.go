package facts

import (
	"cmp"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	flatpakSystem = "/var/lib/flatpak"
	flatpakUser   = ".local/share/flatpak" // below a home directory
	flatpakState  = ".var/app"             // below a home directory: what applications keep
)

var (
	flatpakReads = concat(flatpakGlobs(flatpakSystem), flatpakGlobs("~/"+flatpakUser))
	flatpakMeta  = []string{"~/" + flatpakState + "/**"}
)

func flatpakGlobs(top string) []string {
	var out []string
	for _, kind := range []string{"/app", "/runtime"} {
		dir := top + kind
		out = append(out, dir, dir+"/*", dir+"/*/*", dir+"/*/*/*", dir+"/*/*/*/active", dir+"/*/*/*/*/deploy", dir+"/*/*/*/*/metadata")
	}
	return append(out, top+"/repo/config")
}

func (inv *inventory) flatpak() {
	inv.flatpakIn(flatpakSystem, "system")
	for _, u := range inv.people() {
		inv.flatpakIn(path.Join(u.Home, flatpakUser), "user:"+u.Name)
	}
}

// flatpakIn reads one installation: TOP/KIND/ID/ARCH/BRANCH/active leads to the deployed
// commit's folder.
func (inv *inventory) flatpakIn(top, scope string) {
	remotes := map[string]string{}
	found := false
	for _, kind := range []string{"app", "runtime"} {
		ids, ok := inv.folders(path.Join(top, kind))
		if ok && !found {
			found = true
			inv.there(top)
			remotes = inv.flatpakRemotes(top + "/repo/config")
		}
		for _, id := range ids {
			arches, _ := inv.folders(id)
			for _, arch := range arches {
				branches, _ := inv.folders(arch)
				for _, branch := range branches {
					inv.flatpakRef(branch, kind, scope, remotes)
				}
			}
		}
	}
}

// folders gives the folders in a folder, by full name. ok is false when there is no such.
func (inv *inventory) folders(dir string) (out []string, ok bool) {
	infos, err := inv.fs.ReadDir(dir)
	if err != nil {
		if !missing(err) {
			inv.missFile(dir, err)
		}
		return nil, false
	}
	for _, i := range infos {
		if i.Mode.IsDir() {
			out = append(out, dir+"/"+i.Name)
		}
	}
	return out, true
}

// flatpakRef adds the application or runtime of one branch folder.
func (inv *inventory) flatpakRef(branch, kind, scope string, remotes map[string]string) {
	commit, err := inv.fs.Readlink(branch + "/active")
	if missing(err) {
		return // nothing deployed
	}
	if err != nil {
		inv.missFile(branch+"/active", err)
		return
	}
	if commit = path.Base(commit); commit == ".." || commit == "." {
		inv.miss(branch + "/active leads to no folder beside it")
		return
	}
	deployed := branch + "/" + commit
	b, err := scanner.ReadFile(inv.fs, deployed+"/deploy", maxSmallFile)
	if err != nil {
		inv.missFile(deployed+"/deploy", err)
		return
	}
	d, err := parse.ParseFlatpakDeploy(b)
	if err != nil {
		inv.missFile(deployed+"/deploy", err)
	}
	arch := path.Dir(branch)
	id := path.Base(path.Dir(arch))
	p := Package{
		ID: path.Join(kind, id, path.Base(arch), path.Base(branch)), Name: id, Manager: "flatpak",
		Version: cmp.Or(d.AppVersion, path.Base(branch)), Arch: path.Base(arch), Source: inv.flatpakName(deployed, id),
		BundleSize: d.InstalledSize, DynamicSize: -1, Installer: d.Origin, Origin: remotes[d.Origin],
		Scope: scope, Status: "installed", Summary: cmp.Or(d.AppSummary, d.AppName), Where: deployed + "/deploy",
	}
	if err != nil {
		p.BundleSize, p.Status = -1, "damaged"
	}
	if info, err := inv.fs.Lstat(deployed + "/deploy"); err == nil {
		p.InstallTime = when(info.ModTime)
	}
	if kind == "app" {
		p.DynamicSize = inv.flatpakState(id, scope)
	}
	p.ShortVersion = parse.ShortVersion("flatpak", p.Version)
	p.PURL = parse.PURL{Type: "flatpak", Name: id, Version: p.Version,
		Qualifiers: [][2]string{{"arch", p.Arch}, {"branch", path.Base(branch)}}}.String()
	if row, ok := inv.add(p); ok {
		inv.owners.addTree(deployed, row)
	}
}

// flatpakName gives the name that the deployed metadata states, which should be the folder's.
func (inv *inventory) flatpakName(deployed, id string) string {
	file := deployed + "/metadata"
	b, err := scanner.ReadFile(inv.fs, file, maxSmallFile)
	if err != nil {
		inv.missFile(file, err)
		return id
	}
	var c parse.Complaints
	name := id
	parse.Keyfile(b, &c, func(group, key, value []byte) {
		if (string(group) == "Application" || string(group) == "Runtime") && string(key) == "name" {
			name = text(value)
		}
	})
	inv.complain(file, &c)
	return name
}

// flatpakRemotes gives the addresses of an installation's remotes by name.
func (inv *inventory) flatpakRemotes(file string) map[string]string {
	out := map[string]string{}
	b, err := scanner.ReadFile(inv.fs, file, maxSmallFile)
	if err != nil {
		if !missing(err) {
			inv.missFile(file, err)
		}
		return out
	}
	var c parse.Complaints
	parse.Keyfile(b, &c, func(group, key, value []byte) {
		name, ok := strings.CutPrefix(string(group), `remote "`)
		if ok && string(key) == "url" {
			out[strings.TrimSuffix(name, `"`)] = text(value)
		}
	})
	inv.complain(file, &c)
	return out
}

// flatpakState sums what an application keeps in the homes of those who can run it.
func (inv *inventory) flatpakState(id, scope string) int64 {
	var dirs []string
	for _, u := range inv.people() {
		if scope == "system" || scope == "user:"+u.Name {
			dirs = append(dirs, path.Join(u.Home, flatpakState, id))
		}
	}
	return inv.stateSize(dirs)
}
