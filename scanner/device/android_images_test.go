package device

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// Small trees of the partitions of one phone.
func systemPart() []sample {
	return []sample{
		{name: "apex", mode: typeDir | 0o755},
		{name: "bin", mode: typeLink | 0o777, link: "/system/bin"},
		{name: "data", mode: typeDir | 0o771, uid: 1000, gid: 1000},
		{name: "etc", mode: typeLink | 0o777, link: "/system/etc"},
		{name: "odm", mode: typeDir | 0o755},
		{name: "product", mode: typeDir | 0o755},
		{name: "sdcard", mode: typeLink | 0o777, link: "/data/media/0"},
		{name: "system", mode: typeDir | 0o755},
		{name: "system/bin", mode: typeDir | 0o751, gid: 2000},
		{name: "system/bin/toybox", mode: typeReg | 0o755, gid: 2000, content: elfHeader, xattrs: map[string]string{"security.selinux": "u:object_r:toolbox_exec:s0\x00"}},
		{name: "system/build.prop", mode: typeReg | 0o600, content: "ro.build.version.sdk=33\nro.build.date.utc=1700000000\n"},
		{name: "system/etc", mode: typeDir | 0o755},
		{name: "system/etc/hosts", mode: typeReg | 0o644, content: "127.0.0.1 localhost\n"},
		{name: "system/product", mode: typeLink | 0o777, link: "/product"},
		{name: "system/vendor", mode: typeLink | 0o777, link: "/vendor"},
		{name: "vendor", mode: typeDir | 0o755, gid: 2000},
	}
}

// bareSystemPart is the system of a device before Android 9: /system alone.
func bareSystemPart() (out []sample) {
	for _, s := range systemPart() {
		if rest, ok := strings.CutPrefix(s.name, "system/"); ok && rest != "vendor" {
			s.name = rest
			out = append(out, s)
		}
	}
	return append(out, sample{name: "vendor", mode: typeDir | 0o755}, sample{name: "vendor/build.prop", mode: typeReg | 0o644, content: "ro.vendor.build.date.utc=1\n"})
}

func vendorPart() []sample {
	return []sample{
		{name: "bin", mode: typeDir | 0o755},
		{name: "bin/thermal", mode: typeReg | 0o755, content: elfHeader, xattrs: map[string]string{"security.selinux": "u:object_r:vendor_file:s0\x00"}},
		{name: "build.prop", mode: typeReg | 0o600, content: "ro.vendor.build.date.utc=1700000000\n"},
		{name: "up", mode: typeLink | 0o777, link: "../../system/etc/hosts"},
	}
}

func productPart() []sample {
	return []sample{
		{name: "app", mode: typeDir | 0o755},
		{name: "etc", mode: typeDir | 0o755},
		{name: "etc/build.prop", mode: typeReg | 0o600, content: "ro.product.build.date.utc=1700000000\n"},
	}
}

func dataPart() (out []sample) {
	for _, d := range []string{"app", "data", "local", "local/tmp", "media", "media/0", "media/0/Download", "misc", "property", "system"} {
		out = append(out, sample{name: d, mode: typeDir | 0o771, uid: 1000, gid: 1000})
	}
	return append(out, sample{name: "local/tmp/frida-server", mode: typeReg | 0o755, uid: 2000, gid: 2000, content: elfHeader},
		sample{name: "system/packages.list", mode: typeReg | 0o640, uid: 1000, content: "com.example 10100 0 /data/user/0/com.example default\n"})
}

// partImage makes an image of a partition.
func partImage(t *testing.T, list []sample, cmd string) string {
	t.Helper()
	return makeImage(t, writeTree(t, list), cmd)
}

const makeExt4, makeErofs, makeSquashfs = "mke2fs -t ext4 -b 4096 -O ^has_journal -d SRC IMG", "mkfs.erofs -zlz4 IMG SRC", "mksquashfs SRC IMG"

// imagesIn moves images into one folder under names.
func imagesIn(t *testing.T, images map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range images {
		if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		// mkfs.erofs and mksquashfs make small ones of small trees.
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		} else if info.Size() < minFolderImage {
			if err := os.Truncate(filepath.Join(dir, name), minFolderImage); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func imageBytes(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 4096 && allZero(b[len(b)-4096:]) { // what mke2fs left unused; a sparse end of an image is read as zeros
		b = b[:len(b)-4096]
	}
	return append(b, make([]byte, (4096-len(b)%4096)%4096)...)
}

func allZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// wholePhone checks a device of all four partitions.
func wholePhone(t *testing.T, d scanner.Device) {
	t.Helper()
	id, fsys := d.Identity(), d.FS()
	if id.Kind != "android-images" || id.Platform != "android" || id.Live || !id.Root || !id.RecordedAt.IsZero() || id.ModesUntrusted != "" {
		t.Errorf("identity %+v", id)
	}
	for name, want := range map[string]string{
		"/system/vendor/bin/thermal": "/vendor/bin/thermal", "/vendor/up": "/system/etc/hosts", "/sdcard/Download": "/data/media/0/Download",
		"/system/product/etc/build.prop": "/product/etc/build.prop", "/bin/toybox": "/system/bin/toybox", "/data/local/tmp/frida-server": "/data/local/tmp/frida-server",
		"/vendor/../data/../vendor/bin/..": "/vendor",
	} {
		if got, err := fsys.Resolve(name); err != nil || got != want {
			t.Errorf("resolve %s: %q, %v", name, got, err)
		}
		if _, err := fsys.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if i, err := fsys.Stat("/data/local/tmp/frida-server"); err != nil || rootOnly() && i.UID != 2000 || i.Perm() != 0o755 {
		t.Errorf("owner and mode: %+v, %v", i, err)
	}
	if b, err := fsys.Xattr("/system/vendor/bin/thermal", "security.selinux"); rootOnly() && (err != nil || string(b) != "u:object_r:vendor_file:s0\x00") {
		t.Errorf("label %q, %v", b, err)
	}
	if b, err := fsys.Head("/data/local/tmp/frida-server"); err != nil || !strings.HasPrefix(string(b), "\x7fELF") {
		t.Errorf("head %q, %v", b, err)
	}
	if list, err := fsys.ReadDir("/"); err != nil || !slices.IsSortedFunc(list, func(a, b scanner.Info) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("top %v, %v", list, err)
	}
	_, err := fsys.ReadDir("/odm/app")
	if !errors.Is(err, scanner.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/odm/app") {
		t.Errorf("what no image shows: %v", err)
	}
	if _, err := fsys.Stat("/vendor/nothing"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/vendor/nothing") {
		t.Errorf("what is not there: %v", err)
	}
	devs := map[uint64]bool{}
	for _, name := range []string{"/system", "/vendor", "/product", "/data"} {
		i, err := fsys.Stat(name)
		if err != nil || devs[i.Dev] || i.Name != name[1:] {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
		devs[i.Dev] = true
	}
}

func noted(t *testing.T, d scanner.Device, want ...string) {
	t.Helper()
	notes := strings.Join(d.Identity().Notes, "\n")
	for _, w := range want {
		if !strings.Contains(notes, w) {
			t.Errorf("notes lack %q:\n%s", w, notes)
		}
	}
}

func TestFolderOfPartitionImagesIsOneDevice(t *testing.T) {
	t.Parallel()
	dir := imagesIn(t, map[string]string{
		"system_a.img": partImage(t, systemPart(), makeExt4), "vendor.img.raw": partImage(t, vendorPart(), makeErofs),
		"product.img": partImage(t, productPart(), makeSquashfs), "userdata.img": partImage(t, dataPart(), makeExt4),
	})
	if err := os.WriteFile(filepath.Join(dir, "boot.img"), append([]byte("ANDROID!"), make([]byte, 1<<17)...), 0o600); err != nil {
		t.Fatal(err)
	}
	d := opened(t, dir, OpenOptions{})
	wholePhone(t, d)
	noted(t, d, "mounted: system_a.img (ext4) at /, vendor.img.raw (erofs) at /vendor, product.img (squashfs) at /product, userdata.img (ext4) at /data",
		"nobody knows what is in odm, of which nothing came along", "not read: image boot.img at byte 0: this is an Android boot image")
	if id := d.Identity(); id.Origin != "android-images "+filepath.Base(dir) {
		t.Errorf("origin %q", id.Origin)
	}
	look := func(d scanner.Device) { wholePhone(t, kept{d}) }
	again := replay(t, recordingOf(t, d, RecordOptions{}, look))
	look(again)
}

// kept gives a recording the identity of what was recorded.
type kept struct{ scanner.Device }

func (k kept) Identity() scanner.Identity {
	id := k.Device.Identity()
	id.Kind, id.RecordedAt = "android-images", time.Time{}
	return id
}

func TestSuperImageAndUserdataAreOneDevice(t *testing.T) {
	t.Parallel()
	system, vendor := imageBytes(t, partImage(t, systemPart(), makeExt4)), imageBytes(t, partImage(t, vendorPart(), makeErofs))
	product := imageBytes(t, partImage(t, productPart(), makeErofs))
	super := superImage(2, []superPart{{name: "system_a", data: system, pieces: 7, zeros: (64<<20 - len(system)) / sector}, {name: "vendor_a", data: vendor, pieces: 1},
		{name: "product_a", data: product, pieces: 1}, {name: "system_b"}, {name: "vendor_b"}})
	dir := imagesIn(t, map[string]string{"userdata.img": partImage(t, dataPart(), makeExt4)})
	if err := os.WriteFile(filepath.Join(dir, "super.img"), sparseImage(super), 0o600); err != nil {
		t.Fatal(err)
	}
	d := opened(t, dir, OpenOptions{})
	wholePhone(t, d)
	noted(t, d, "mounted: system_a (ext4) at /, vendor_a (erofs) at /vendor, product_a (erofs) at /product, userdata.img (ext4) at /data", "an Android sparse image")

	alone := opened(t, filepath.Join(dir, "super.img"), OpenOptions{})
	if _, err := alone.FS().Stat("/data/local/tmp"); !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("userdata that is not there: %v", err)
	}
	noted(t, alone, "nobody knows what is in odm, data,")
	one := opened(t, filepath.Join(dir, "super.img"), OpenOptions{Root: "vendor_a"})
	if _, err := one.FS().Stat("/bin/thermal"); err != nil || one.Identity().Kind != "erofs" {
		t.Errorf("a partition that is asked for: %+v, %v", one.Identity(), err)
	}
}

func TestBothSlotsOfADiskCanBeChosen(t *testing.T) {
	t.Parallel()
	other := systemPart()
	for i := range other {
		if other[i].name == "system/etc/hosts" {
			other[i].content = "slot b\n"
		}
	}
	super := superImage(2, []superPart{
		{name: "system_b", data: imageBytes(t, partImage(t, other, makeErofs)), pieces: 2}, {name: "vendor_b", data: imageBytes(t, partImage(t, vendorPart(), makeErofs)), pieces: 1},
		{name: "system_a", data: imageBytes(t, partImage(t, systemPart(), makeErofs)), pieces: 2}, {name: "vendor_a", data: imageBytes(t, partImage(t, vendorPart(), makeErofs)), pieces: 1},
	})
	b := disk(len(super)/sector+4000, map[int][]byte{2048: super})
	gptDisk(b, []gptPart{{"boot_a", 100, 200}, {"super", 2048, 2047 + len(super)/sector}})
	name := inFile(t, b)
	for root, want := range map[string]string{"": "127.0.0.1 localhost\n", "slot_a": "127.0.0.1 localhost\n", "slot_b": "slot b\n"} {
		d := opened(t, name, OpenOptions{Root: root})
		if got, err := scanner.ReadFile(d.FS(), "/etc/hosts", 100); err != nil || string(got) != want {
			t.Errorf("root %q: %q, %v", root, got, err)
		}
		if d.Identity().Kind != "android-images" {
			t.Errorf("root %q: %+v", root, d.Identity())
		}
	}
	noted(t, opened(t, name, OpenOptions{}), "the image also holds", "slot_b (android-images)")
}

func TestOnePartitionAloneIsPutInItsPlace(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		list         []sample
		name, has    string
		unseen, note string
	}{
		"system before Android 9": {bareSystemPart(), "x", "/system/bin/toybox", "/data/app", "at /system"},
		"its links":               {bareSystemPart(), "x", "/etc/hosts", "/data/app", "at /system"},
		"its vendor folder":       {bareSystemPart(), "x", "/vendor/build.prop", "/data/app", "at /system"},
		"system":                  {systemPart(), "x", "/bin/toybox", "/vendor/bin", "x (ext4) at /,"},
		"vendor":                  {vendorPart(), "x", "/vendor/bin/thermal", "/system/bin", "at /vendor"},
		"product":                 {productPart(), "x", "/product/etc/build.prop", "/system/bin", "at /product"},
		"userdata":                {dataPart(), "x", "/data/local/tmp/frida-server", "/system/bin", "at /data"},
		"a partition by name":     {productPart()[:1], "my_product.img", "", "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := imagesIn(t, map[string]string{c.name: partImage(t, c.list, makeExt4)})
			d, err := openFor(t, filepath.Join(dir, c.name), OpenOptions{})
			if c.has == "" {
				if !errors.Is(err, ErrNothingRecognised) {
					t.Errorf("a name alone makes a device: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id := d.Identity(); id.Kind != "ext4" || id.Platform != "android" || id.Live {
				t.Errorf("identity %+v", id)
			}
			if _, err := d.FS().Stat(c.has); err != nil {
				t.Error(err)
			}
			if _, err := d.FS().Stat(c.unseen); !errors.Is(err, scanner.ErrUnavailable) {
				t.Errorf("%s: %v", c.unseen, err)
			}
			noted(t, d, strings.TrimSuffix(c.note, ","), "nobody knows what is in ")
		})
	}
}

// A tree that was pulled from a phone without its data says nothing of the data.
func TestPulledTreeDoesNotAnswerForWhatWasLeftBehind(t *testing.T) {
	t.Parallel()
	below := func(dir string, list []sample) (out []sample) {
		out = []sample{{name: dir, mode: typeDir | 0o755}}
		for _, s := range list {
			s.name = dir + "/" + s.name
			out = append(out, s)
		}
		return out
	}
	whole := append(systemPart()[7:15:15], append(below("vendor", vendorPart()), append(below("data", dataPart()), below("product", productPart())...)...)...)
	for what, c := range map[string]struct {
		list        []sample
		has, unseen string
	}{
		"all":               {whole, "/data/local/tmp/frida-server", ""},
		"system alone":      {systemPart()[7:15], "/system/bin/toybox", "/data/app"},
		"data alone":        {below("data", dataPart()), "/data/local/tmp/frida-server", "/system/bin"},
		"what system holds": {bareSystemPart(), "/system/bin/toybox", "/data/app"},
	} {
		dir := writeTree(t, c.list)
		for kind, path := range map[string]string{"directory": dir, "tar": inFile(t, tarOf(t, c.list))} {
			d, err := Open(context.Background(), path, OpenOptions{})
			if err != nil {
				t.Errorf("%s, %s: %v", what, kind, err)
				continue
			}
			if id := d.Identity(); id.Kind != kind || id.Platform != "android" {
				t.Errorf("%s: %+v", what, id)
			}
			if _, err := d.FS().Head(c.has); err != nil {
				t.Errorf("%s, %s: %v", what, kind, err)
			}
			if _, err := d.FS().Stat(c.unseen); c.unseen != "" && !errors.Is(err, scanner.ErrUnavailable) {
				t.Errorf("%s, %s: %s: %v", what, kind, c.unseen, err)
			}
			if c.unseen == "" && len(d.Identity().Notes) > 0 {
				t.Errorf("%s, %s: notes %q", what, kind, d.Identity().Notes)
			}
		}
	}
}

// After an update the other slot has the system, and the first may keep a partition.
func TestSlotThatHasTheSystemIsTaken(t *testing.T) {
	t.Parallel()
	vendor := imageBytes(t, partImage(t, vendorPart(), makeErofs))
	system := imageBytes(t, partImage(t, systemPart(), makeErofs))
	name := inFile(t, superImage(2, []superPart{{name: "vendor_a", data: vendor, pieces: 1}},
		[]superPart{{name: "vendor_a", data: vendor, pieces: 1}, {name: "vendor_b", data: vendor, pieces: 1}, {name: "system_b", data: system, pieces: 2}}))
	d := opened(t, name, OpenOptions{})
	noted(t, d, "mounted: system_b (erofs) at /, vendor_b (erofs) at /vendor", "that of slot 1 is shown, which maps most")
	if id := d.Identity(); !strings.HasPrefix(id.Origin, "android-images slot_b of ") {
		t.Errorf("identity %+v", id)
	}
}

// A folder that may not be listed may hold files that may be read: nothing hides them.
func TestDeniedFolderIsNotTakenForOneLeftBehind(t *testing.T) {
	t.Parallel()
	m := newMountTree(deniedTree{bareTree{}})
	if missing := m.hideUnseen(); slices.Contains(missing, "data") {
		t.Errorf("hidden: %q", missing)
	}
}

// deniedTree refuses to be listed but at its top.
type deniedTree struct{ bareTree }

func (d deniedTree) lstat(name string) (scanner.Info, error) {
	return scanner.Info{Name: base(name), Mode: fs.ModeDir | 0o771}, nil
}

func (d deniedTree) readDir(name string) ([]scanner.Info, error) {
	return nil, pathErr("readdir", name, fs.ErrPermission)
}

// Partitions of other systems have such names too.
func TestLinuxPartitionsAreNotMadeAndroid(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	b := disk(4000, map[int][]byte{100: images["ext4"], 2000: images["erofs"]})
	gptDisk(b, []gptPart{{"system", 100, 1999}, {"data", 2000, 2999}})
	d := opened(t, inFile(t, b), OpenOptions{})
	if id := d.Identity(); id.Kind != "ext4" || id.Platform != "linux" {
		t.Errorf("identity %+v", id)
	}
}

func TestSecondImageOfAPartitionIsNoted(t *testing.T) {
	t.Parallel()
	dir := imagesIn(t, map[string]string{"system.img": partImage(t, systemPart(), makeErofs), "system_old.img": partImage(t, systemPart(), makeErofs)})
	noted(t, opened(t, dir, OpenOptions{}), "system.img (erofs) at /", "system_old.img (erofs) is another system and was left out")
}
