package facts

import (
	"cmp"
	"path"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	snapState    = "/var/lib/snapd/state.json"
	maxSnapState = 64 << 20

	snapDeclarations = "/var/lib/snapd/assertions/asserts-v0/snap-declaration/16"
)

// snapMounts are the places where snaps are mounted: Fedora and others have no /snap.
var snapMounts = []string{"/snap", "/var/lib/snapd/snap"}

var (
	snapReads = []string{snapState, "/snap/*/*/meta/snap.yaml", "/var/lib/snapd/snap/*/*/meta/snap.yaml",
		snapDeclarations + "/*", snapDeclarations + "/*/*"}
	snapMeta = []string{"/var/lib/snapd/snaps/*.snap", "/var/snap/**", "~/snap/**"}
)

func (inv *inventory) snap() {
	b, err := scanner.ReadFile(inv.fs, snapState, maxSnapState)
	if missing(err) {
		return
	}
	if err != nil {
		inv.there(snapState)
		inv.missFile(snapState, err)
		return
	}
	snaps, err := parse.SnapState(b)
	if err != nil {
		inv.missFile(snapState, err)
	}
	if len(snaps) > 0 {
		inv.there(snapState)
	}
	for _, s := range snaps {
		inv.snapPackage(s)
	}
}

func (inv *inventory) snapPackage(s parse.Snap) {
	if s.Name != path.Base(s.Name) || s.Revision == "" || s.Revision != path.Base(s.Revision) {
		inv.miss(snapState + ": not a snap: " + s.Name)
		return
	}
	y := inv.snapYAML(s)
	p := Package{
		ID: s.Name, Name: s.Name, Version: cmp.Or(y.Version, "revision "+s.Revision), Manager: "snap",
		Arch: y.Arch, Source: cmp.Or(y.Name, s.Name), BundleSize: -1,
		Installer: "snap store", Scope: "system", Status: "installed", Summary: y.Summary, Where: snapState,
	}
	if s.Channel != "" {
		p.Installer += " (" + s.Channel + ")"
	}
	if s.SnapID == "" {
		p.Installer = "local file"
	} else {
		p.Origin, p.Signer = inv.snapPublisher(s.SnapID)
	}
	if !s.Active {
		p.Status = "disabled"
	}
	if info, err := inv.fs.Stat("/var/lib/snapd/snaps/" + s.Name + "_" + s.Revision + ".snap"); err == nil {
		p.BundleSize, p.InstallTime = info.Size, when(info.ModTime)
	}
	dirs := []string{"/var/snap/" + s.Name}
	for _, u := range inv.people() {
		dirs = append(dirs, path.Join(u.Home, "snap", s.Name))
	}
	p.DynamicSize = inv.stateSize(dirs)
	if y.Version != "" {
		p.ShortVersion = parse.ShortVersion("snap", p.Version)
	}
	p.PURL = parse.PURL{Type: "snap", Name: s.Name, Version: y.Version,
		Qualifiers: [][2]string{{"arch", y.Arch}, {"channel", s.Channel}, {"revision", s.Revision}}}.String()
	if row, ok := inv.add(p); ok {
		for _, m := range snapMounts {
			inv.owners.addTree(m+"/"+s.Name+"/"+s.Revision, row)
		}
	}
}

// snapPublisher gives the store's account that publishes a snap and the key that signed its
// declaration, as the assertion in snapd's own database says.
func (inv *inventory) snapPublisher(id string) (publisher, key string) {
	dir := path.Join(snapDeclarations, path.Base(id))
	infos, err := inv.fs.ReadDir(dir)
	if err != nil || len(infos) == 0 {
		return "", ""
	}
	// "active", or "active.N" for format N: the last one is the newest.
	b, err := scanner.ReadFile(inv.fs, dir+"/"+infos[len(infos)-1].Name, maxSmallFile)
	if err != nil {
		return "", ""
	}
	return parse.AssertionHeader(b, "publisher-id"), parse.AssertionHeader(b, "sign-key-sha3-384")
}

// snapYAML reads a mounted snap's own description. In an image snaps are not mounted: the
// version is then not known, and the revision stands for it.
func (inv *inventory) snapYAML(s parse.Snap) parse.SnapYAML {
	for _, m := range snapMounts {
		b, err := scanner.ReadFile(inv.fs, path.Join(m, s.Name, s.Revision, "meta/snap.yaml"), maxSmallFile)
		if err == nil {
			return parse.ParseSnapYAML(b)
		}
	}
	return parse.SnapYAML{}
}
