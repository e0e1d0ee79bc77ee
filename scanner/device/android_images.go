package device

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

// Android spreads one system over partitions: system, vendor, product and more that its maker
// builds, and userdata with what people add. Their images, in one folder, in a super partition
// or in a dump of the whole disk, are one device.

// androidMounts are the partitions that Android mounts at the folder of their name, in the order
// in which they are told.
var androidMounts = []string{"system", "vendor", "product", "system_ext", "odm", "data", "vendor_dlkm", "odm_dlkm", "system_dlkm", "oem", "cache", "metadata",
	"prism", "optics", "cust", "mi_ext", "my_product", "my_engineering", "my_company", "my_carrier", "my_region", "my_heytap", "my_stock", "my_preload", "my_manifest", "my_bigball"}

// androidMain are those whose absence is told: a device has the first and the last, and the
// others when its system has a place for them.
var androidMain = androidMounts[:6]

// androidPart is an image by the partition that it is of.
type androidPart struct {
	role string // one of androidMounts; "" when it is none of Android's
	slot string // a or b; "" when the partition has no slots
	// sure tells that its content shows Android, and not its name alone.
	sure bool
	top  bool // its folder is "/", with the system below /system
}

// partOf tells what an image is of: by content, and by its name where content does not say.
func partOf(r imageRoot) androidPart {
	stem, slot := partName(r.label)
	p := androidPart{slot: slot}
	named := slices.Contains(androidMounts, stem)
	switch {
	case r.kind == "overlay":
		return p
	case isRegular(r.t, "/system/build.prop"):
		p.role, p.sure, p.top = "system", true, true
	case isData(r.t):
		p.role, p.sure = "data", true
	case named && stem != "system" && stem != "data":
		p.role, p.sure = stem, isRegular(r.t, "/build.prop") || isRegular(r.t, "/etc/build.prop")
	default:
		p.role = propertiesPart(r.t)
		p.sure = p.role != ""
		if p.role == "" && stem == "data" {
			p.role = "data"
		}
	}
	return p
}

// partName gives a partition's name and slot by the name of it or of a file that holds it:
// "vendor_b", "system.img.raw".
func partName(label string) (stem, slot string) {
	stem, _, _ = strings.Cut(strings.ToLower(path.Base(label)), ".")
	for _, s := range []string{"a", "b"} {
		if rest, ok := strings.CutSuffix(stem, "_"+s); ok {
			stem, slot = rest, s
		}
	}
	if stem == "userdata" {
		stem = "data"
	}
	return stem, slot
}

func isRegular(t tree, name string) bool {
	info, err := t.lstat(name)
	return err == nil && info.Mode.IsRegular()
}

// isData tells the partition of apps and settings by folders that only it has side by side.
func isData(t tree) bool {
	have := 0
	for _, d := range []string{"/app", "/data", "/misc", "/system", "/local", "/property", "/dalvik-cache", "/user", "/media", "/app-private"} {
		if isDir(t, d) {
			have++
		}
	}
	return have >= 5 && isDir(t, "/app") && isDir(t, "/data")
}

// maxPartProps is how much of a build.prop is looked at to tell a partition.
const maxPartProps = 256 << 10

// propertiesPart tells a partition by whose properties its build.prop sets.
func propertiesPart(t tree) string {
	fsys := newFS(t)
	for _, name := range []string{"/build.prop", "/etc/build.prop"} {
		if !isRegular(t, name) {
			continue
		}
		text, err := scanner.ReadFile(fsys, name, maxPartProps)
		if err != nil {
			continue
		}
		text = append([]byte("\n"), text...)
		for _, c := range []struct{ mark, role string }{{"\nro.build.", "system"}, {"\nro.system.build.", "system"}, {"\nro.odm.build.", "odm"}, {"\nro.product.odm.", "odm"},
			{"\nro.vendor.build.", "vendor"}, {"\nro.product.vendor.", "vendor"}, {"\nro.system_ext.build.", "system_ext"}, {"\nro.product.build.", "product"}} {
			if bytes.Contains(text, []byte(c.mark)) {
				return c.role
			}
		}
	}
	if isRegular(t, "/build.prop") {
		return "system"
	}
	return ""
}

// composeAndroid makes a device of each slot's partitions. It gives nothing when no image shows
// Android by its content.
func composeAndroid(roots []imageRoot) []imageRoot {
	parts := make([]androidPart, len(roots))
	slots := []string{}
	sure := false
	for i, r := range roots {
		parts[i] = partOf(r)
		sure = sure || parts[i].sure
		if p := parts[i]; p.role != "" && p.slot != "" && !slices.Contains(slots, p.slot) {
			slots = append(slots, p.slot)
		}
	}
	if !sure {
		return nil
	}
	slices.Sort(slots)
	if len(slots) == 0 {
		slots = []string{""}
	}
	var out []imageRoot
	for _, s := range slots {
		c := composition{roots: roots, parts: parts, slot: s, at: map[string]int{}}
		root := c.compose()
		if len(slots) > 1 {
			root.label = "slot_" + s
		}
		out = append(out, root)
	}
	// The slot in use is noted outside of these partitions. One that has a system can be the one;
	// of two, the first is shown.
	if i := slices.IndexFunc(out, func(r imageRoot) bool { return r.system }); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out
}

// composition puts the partitions of one slot together.
type composition struct {
	roots []imageRoot
	parts []androidPart
	slot  string
	at    map[string]int // image of each partition
	twice []string
}

func (c *composition) compose() imageRoot {
	for i, p := range c.parts {
		if p.role == "" || p.slot != "" && p.slot != c.slot {
			continue
		}
		if _, ok := c.at[p.role]; ok {
			c.twice = append(c.twice, named(c.roots[i])+" is another "+p.role+" and was left out")
			continue
		}
		c.at[p.role] = i
	}
	top, mounted := c.top()
	m := newMountTree(top)
	out := imageRoot{kind: "android-images", t: m, android: true, parts: mounted}
	told := []string{}
	if len(mounted) > 0 {
		told = append(told, named(c.roots[mounted[0]])+" at /")
		out.system = true
	}
	for _, role := range androidMounts {
		i, ok := c.at[role]
		if !ok || slices.Contains(mounted, i) {
			continue
		}
		m.mount("/"+role, c.roots[i].t)
		out.parts = append(out.parts, i)
		told = append(told, named(c.roots[i])+" at /"+role)
		if role == "system" {
			out.system = true
		}
	}
	if len(out.parts) == 1 {
		out.kind = c.roots[out.parts[0]].kind
	}
	out.notes = append(out.notes, "mounted: "+strings.Join(told, ", "))
	if missing := m.hideUnseen(); len(missing) > 0 {
		out.notes = append(out.notes, unseenNote(missing))
	}
	out.notes = append(out.notes, c.twice...)
	for _, i := range out.parts {
		for _, n := range c.roots[i].notes {
			if !slices.Contains(out.notes, n) {
				out.notes = append(out.notes, n)
			}
		}
	}
	return out
}

// top gives the tree of "/": the system's own since Android 9, and links as Android makes them
// at the start where the image is of /system alone.
func (c *composition) top() (top tree, mounted []int) {
	i, ok := c.at["system"]
	if ok && c.parts[i].top {
		return c.roots[i].t, []int{i}
	}
	links := map[string]string{"etc": "/system/etc", "bin": "/system/bin"}
	if ok {
		for _, role := range []string{"vendor", "product", "system_ext", "odm"} {
			if _, ok := c.at[role]; !ok && isDir(c.roots[i].t, "/"+role) {
				links[role] = "/system/" + role
			}
		}
	}
	return bareTree{links}, nil
}

// hideUnseen marks the partitions that a device has and its tree does not show, and names them.
// A system that has no such partition has no place for it, or holds its files itself.
func (m *mountTree) hideUnseen() (missing []string) {
	fsys := newFS(m)
	system, _ := fsys.ReadDir("/system")
	for _, role := range androidMain {
		at := "/" + role
		list, err := fsys.ReadDir(at)
		switch {
		case len(list) > 0:
			continue
		case err == nil: // a place to mount it at
		case !errors.Is(err, fs.ErrNotExist):
			continue // it is there, and who looks into it learns why that is not possible
		case role != "data" && len(system) > 0 && !isLink(m, "/system"+at):
			continue
		}
		if !slices.ContainsFunc(m.mounts, func(mt mountedTree) bool { return mt.at == at }) {
			m.mount(at, unseenTree{role})
			missing = append(missing, role)
		}
	}
	return missing
}

func unseenNote(missing []string) string {
	return "nobody knows what is in " + strings.Join(missing, ", ") + ", of which nothing came along"
}

// wholeAndroid gives a tree that was taken of an Android device, where what was left behind is
// not taken for empty: it says so of itself. What is one partition alone is put in its place.
func wholeAndroid(t tree, kind string) (whole tree, notes []string) {
	if platformOf(newFS(t)) != "android" {
		return t, nil
	}
	if isRegular(t, "/build.prop") && !isDir(t, "/system") {
		alone := composeAndroid([]imageRoot{{label: "the tree", kind: kind, t: t}})
		return alone[0].t, alone[0].notes
	}
	m := newMountTree(t)
	missing := m.hideUnseen()
	if len(missing) == 0 {
		return t, nil
	}
	return m, []string{unseenNote(missing)}
}

func isLink(t tree, name string) bool {
	info, err := t.lstat(name)
	return err == nil && info.Mode&fs.ModeSymlink != 0
}
