package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func androidMountsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_mounts", Doc: "file systems of the running device", Row: AndroidMount{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceMountInfo, scanner.SourceMount},
			Globs: []string{"/proc/1/mountinfo", "/proc/self/mountinfo", "/proc/mounts", "/proc/*/mountinfo"}},
		Collect: collectAndroidMounts,
	}
}

func collectAndroidMounts(ctx context.Context, in *scanner.Input) scanner.Table {
	if !in.Device.Identity().Live {
		return scanner.Table{Absent: needsLive}
	}
	var t scanner.Table
	mounts, where, err := mountInfo(ctx, in)
	if len(mounts) == 0 {
		mounts, where, err = mountText(ctx, in, err)
	}
	if len(mounts) == 0 {
		return scanner.Table{Absent: unavailable(err)}
	}
	rows := make([]AndroidMount, 0, len(mounts))
	for _, m := range mounts {
		rows = append(rows, androidMount(m, where))
	}
	markCovers(rows)
	t.Rows = rows
	return t
}

// mountInfo reads the form that has the flags of mounts and of file systems apart: init's view,
// which tools that hide from apps do not change, or else that of any process.
func mountInfo(ctx context.Context, in *scanner.Input) ([]parse.Mount, string, error) {
	b, err := in.Device.Probe(ctx, scanner.SourceMountInfo)
	where := string(scanner.SourceMountInfo)
	for _, name := range []string{"/proc/1/mountinfo", "/proc/self/mountinfo"} {
		if len(b) == 0 {
			if c, e := scanner.ReadFile(in.Device.FS(), name, maxMountInfo); e == nil {
				b, where, err = c, name, nil
			}
		}
	}
	if len(b) == 0 {
		names, _ := scanner.Glob(in.Device.FS(), "/proc/*/mountinfo")
		for _, name := range names {
			if c, e := scanner.ReadFile(in.Device.FS(), name, maxMountInfo); e == nil && len(c) > 0 {
				b, where, err = c, name, nil
				break
			}
		}
	}
	mounts, _ := parse.MountInfo(b)
	return mounts, where, err
}

// mountText reads what mount prints. Its flags are those of mount and file system in one.
func mountText(ctx context.Context, in *scanner.Input, before error) ([]parse.Mount, string, error) {
	b, err := in.Device.Probe(ctx, scanner.SourceMount)
	where := string(scanner.SourceMount)
	if err != nil {
		c, e := scanner.ReadFile(in.Device.FS(), "/proc/mounts", maxMountInfo)
		if e != nil {
			return nil, "", before
		}
		b, where = c, "/proc/mounts"
	}
	mounts, _ := parse.MountCommand(b)
	return mounts, where, nil
}

// systemPartitions are where the parts of the system are mounted.
var systemPartitions = []string{"system", "vendor", "product", "odm", "system_ext", "apex", "vendor_dlkm", "odm_dlkm", "system_dlkm"}

// partitionOf names the system partition that a path is, or is inside of.
func partitionOf(target string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	if first == "system_root" || target == "/" {
		return "system"
	}
	if slices.Contains(systemPartitions, first) {
		return first
	}
	return ""
}

// makerOverlays are folders inside system partitions that makers mount over as the device
// starts: regional and carrier content, settings of a theme, and the modem's data.
var makerOverlays = []string{"/system/etc/hosts", "/product/overlay", "/vendor/overlay", "/system/product/overlay", "/odm/overlay", "/my_", "/mnt/", "/prism", "/optics", "/omr", "/cust",
	"/hw_product", "/vendor/hw_odm", "/product/region_comm", "/version", "/preload", "/preas", "/preavs", "/odm/radio", "/oem", "/system/carrier", "/vendor/firmware", "/vendor/bt_firmware",
	"/vendor/dsp", "/vendor/rfs", "/vendor/vm-system", "/vendor/spunvm", "/vendor/etc/audio", "/product/priv-app", "/product/app", "/product/data-app", "/product/pangu", "/system/app", "/system/priv-app",
	"/system_ext/framework/oplusex", "/system_ext/lib/oplusex", "/system_ext/lib64/oplusex"}

func androidMount(m parse.Mount, where string) AndroidMount {
	r := AndroidMount{Target: m.Target, Source: m.Source, FSType: m.FSType, Options: m.Options, Partition: partitionOf(m.Target), Where: at(where, m.Line)}
	r.SuperRO = slices.Contains(m.SuperOptions, "ro")
	r.Writable = slices.Contains(m.Options, "rw") && !r.SuperRO
	if m.SuperOptions == nil && r.Writable {
		// Overlays and images that cannot be written are often said to be mounted "rw".
		switch m.FSType {
		case "squashfs", "erofs", "iso9660":
			r.Writable, r.SuperRO = false, true
		}
	}
	if m.FSType == "overlay" && r.Writable && !hasOption(m, "upperdir=") {
		r.Writable = false // layers below each other alone: nothing can be written
	}
	r.FromData = layersOnData(m)
	text := strings.ToLower(m.Source + " " + m.Root + " " + m.Target + " " + strings.Join(m.SuperOptions, " "))
	for _, tool := range []struct{ word, name string }{{"magisk", "Magisk"}, {"/data/adb/modules", "root module"}, {"/adb/modules", "root module"}, {"ksu", "KernelSU"}, {"apatch", "APatch"}} {
		if containsWord(text, tool.word) {
			r.Tool = tool.name
			break
		}
	}
	r.Maker = r.Tool == "" && slices.ContainsFunc(makerOverlays, func(p string) bool { return strings.HasPrefix(m.Target, p) && m.Target != "/system/etc/hosts" }) && !r.Writable
	return r
}

func hasOption(m parse.Mount, prefix string) bool {
	for _, list := range [][]string{m.Options, m.SuperOptions} {
		if slices.ContainsFunc(list, func(o string) bool { return strings.HasPrefix(o, prefix) }) {
			return true
		}
	}
	return false
}

// containsWord finds a word that no letter or digit touches.
func containsWord(text, word string) bool {
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !letter(text[i-1])) && (end == len(text) || !letter(text[end])) {
			return true
		}
		from = i + 1
	}
}

// markCovers finds what is mounted over parts of a system partition. Android itself mounts
// modules below /apex, and whole partitions below the root.
func markCovers(rows []AndroidMount) {
	data := ""
	for _, r := range rows {
		if r.Target == "/data" {
			data = r.Source
		}
	}
	for i := range rows {
		r := &rows[i]
		r.FromData = r.FromData || strings.HasPrefix(r.Source, "/data/") || data != "" && r.Source == data && r.Target != "/data"
		// A whole partition is covered by what `adb remount` lays over it.
		inside := r.Partition != "" && r.Partition != "apex" && (strings.Count(r.Target, "/") > 1 || r.FSType == "overlay" && r.FromData)
		r.Covers = inside && (r.FSType == "tmpfs" || r.FSType == "overlay" || r.FromData || r.Tool != "")
		r.Maker = r.Maker && !r.FromData
	}
}

// writableFolders are where layers of overlays lie that can be written to: the data partition,
// and where `adb remount` keeps changes of partitions that are read-only.
var writableFolders = []string{"/data/", "/mnt/scratch/", "/cache/overlay/"}

// layersOnData reports whether a folder on the data partition is a layer of an overlay.
func layersOnData(m parse.Mount) bool {
	return slices.ContainsFunc(slices.Concat(m.Options, m.SuperOptions), func(o string) bool {
		key, value, _ := strings.Cut(o, "=")
		return slices.Contains([]string{"lowerdir", "upperdir", "lowerdir+", "datadir+"}, key) &&
			slices.ContainsFunc(strings.Split(value, ":"), func(dir string) bool {
				return slices.ContainsFunc(writableFolders, func(w string) bool { return strings.HasPrefix(dir, w) })
			})
	})
}
