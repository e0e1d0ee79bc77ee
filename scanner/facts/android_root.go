package facts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

// rootPath is a file that a tool leaves.
type rootPath struct {
	path, tool, class string
	weight            int
}

// rootPaths are looked up one by one, on a device whose tree can be seen. A su in the path of
// programs says most; a tool's own folders say that it was there.
var rootPaths = []rootPath{
	{"/system/bin/su", "", "root", 70}, {"/system/xbin/su", "", "root", 60}, {"/sbin/su", "", "root", 70}, {"/vendor/bin/su", "", "root", 70}, {"/su/bin/su", "SuperSU", "root", 80},
	{"/system/bin/.ext/.su", "", "root", 90}, {"/system/usr/we-need-root/su-backup", "", "root", 90}, {"/data/local/su", "", "root", 70}, {"/data/local/bin/su", "", "root", 70},
	{"/data/local/xbin/su", "", "root", 70}, {"/data/local/tmp/su", "", "root", 50}, {"/system/app/Superuser.apk", "SuperSU", "root", 70}, {"/system/etc/init.d/99SuperSUDaemon", "SuperSU", "root", 90},
	{"/system/xbin/daemonsu", "SuperSU", "root", 90}, {"/debug_ramdisk/su", "Magisk", "root", 90}, {"/debug_ramdisk/magisk", "Magisk", "root", 90}, {"/debug_ramdisk/.magisk", "Magisk", "root", 90},
	{"/sbin/.magisk", "Magisk", "root", 90}, {"/sbin/magisk", "Magisk", "root", 90}, {"/dev/.magisk.unblock", "Magisk", "root", 90}, {"/data/adb/magisk", "Magisk", "root", 80},
	{"/data/adb/magisk.db", "Magisk", "root", 80}, {"/cache/magisk.log", "Magisk", "root", 40}, {"/data/adb/ksu", "KernelSU", "root", 80}, {"/data/adb/ksud", "KernelSU", "root", 90},
	{"/data/adb/ap", "APatch", "root", 80}, {"/data/adb/apd", "APatch", "root", 90}, {"/data/adb/lspd", "LSPosed", "hook", 60}, {"/data/adb/modules/zygisk_lsposed", "LSPosed", "hook", 60},
	{"/data/adb/modules/riru_lsposed", "LSPosed", "hook", 60}, {"/data/adb/modules/zygisk_shamiko", "Shamiko", "hide", 60}, {"/data/adb/shamiko", "Shamiko", "hide", 60},
	{"/data/adb/modules/zygisksu", "Zygisk", "hook", 50}, {"/data/adb/modules/playintegrityfix", "Play Integrity Fix", "hide", 40}, {"/data/adb/tricky_store", "Tricky Store", "hide", 50},
	{"/data/adb/riru", "Riru", "hook", 60}, {"/system/framework/XposedBridge.jar", "Xposed", "hook", 70}, {"/system/bin/app_process.orig", "Xposed", "hook", 60}, {"/system/bin/app_process32_xposed", "Xposed", "hook", 70},
	{"/system/xbin/busybox", "", "root", 10}, {"/system/bin/busybox", "", "root", 5}, {"/data/local/tmp/frida-server", "Frida", "hook", 40}, {"/system/addon.d/99-magisk.sh", "Magisk", "root", 70},
}

// rootApps are app ids of root managers, by tool; renamed copies are told by their code path and
// signer, which other tables see.
var rootApps = map[string]rootPath{
	"com.topjohnwu.magisk": {"", "Magisk", "root", 40}, "io.github.huskydg.magisk": {"", "Magisk", "root", 40}, "io.github.vvb2060.magisk": {"", "Magisk", "root", 40}, "me.weishu.kernelsu": {"", "KernelSU", "root", 40},
	"com.rifsxd.ksunext": {"", "KernelSU", "root", 40}, "me.bmax.apatch": {"", "APatch", "root", 40}, "eu.chainfire.supersu": {"", "SuperSU", "root", 40}, "com.noshufou.android.su": {"", "Superuser", "root", 40},
	"com.koushikdutta.superuser": {"", "Superuser", "root", 40}, "com.thirdparty.superuser": {"", "Superuser", "root", 40}, "com.kingroot.kinguser": {"", "KingRoot", "root", 40}, "com.kingo.root": {"", "KingoRoot", "root", 40},
	"org.lsposed.manager": {"", "LSPosed", "hook", 40}, "de.robv.android.xposed.installer": {"", "Xposed", "hook", 40}, "org.meowcat.edxposed.manager": {"", "EdXposed", "hook", 40},
	"com.tsng.hidemyapplist": {"", "Hide My Applist", "hide", 40}, "com.devadvance.rootcloak": {"", "RootCloak", "hide", 40}, "com.formyhm.hideroot": {"", "Hide root", "hide", 40}, "com.saurik.substrate": {"", "Substrate", "hook", 40},
}

// rootProcesses are programs of root tools, by the name that processTool gives.
var rootProcesses = map[string]rootPath{
	"magisk": {"", "Magisk", "root", 90}, "kernelsu": {"", "KernelSU", "root", 90}, "apatch": {"", "APatch", "root", 90}, "supersu": {"", "SuperSU", "root", 90}, "su": {"", "", "root", 60},
	"lsposed": {"", "LSPosed", "hook", 80}, "zygisk": {"", "Zygisk", "hook", 70}, "frida": {"", "Frida", "hook", 60},
}

func rootSignsCollector() scanner.Collector {
	globs := []string{"/data/adb", "/data/adb/modules"}
	var meta []string
	for _, p := range rootPaths {
		meta = append(meta, p.path)
	}
	return scanner.Collector{
		Table: "root_signs", Doc: "traces of root, of hiding it and of code put into apps", Row: RootSign{}, Platforms: onAndroid,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.SourceRootBinaries, scanner.SourceQFFiles}, Globs: globs, Meta: meta},
		Needs:   []string{"android_properties", "android", "packages", "android_processes", "android_mounts", "android_listeners"},
		Collect: collectRootSigns,
	}
}

// rootLook gathers signs, and where it could look at all.
type rootLook struct {
	ctx    context.Context
	in     *scanner.Input
	rows   []RootSign
	looked []string
	blind  []string
	seen   map[string]bool
	build  string // build type: engineering builds have a su of their own
	// open is what says that a system may have been put on the device that its maker did not make:
	// the state of its boot loader. Root needs that, and it is no root.
	open      string
	rewritten bool // properties are not what the boot loader passed
}

func collectRootSigns(ctx context.Context, in *scanner.Input) scanner.Table {
	l := &rootLook{ctx: ctx, in: in, seen: map[string]bool{}, rows: []RootSign{}}
	if sys, _ := scanner.Rows[AndroidSystem](in, "android"); len(sys) > 0 {
		l.build = sys[0].BuildType
		if sys[0].Unlocked {
			l.open = "unlocked boot loader"
		}
		l.rewritten = slices.ContainsFunc(sys[0].Inconsistent, func(s string) bool { return strings.Contains(s, bootLoaderSays) })
	}
	l.files()
	l.listed()
	l.apps()
	l.processes()
	l.mounts()
	l.properties()
	l.ports()
	t := scanner.Table{Rows: l.rows, Aux: l}
	if len(l.looked) == 0 {
		return scanner.Table{Absent: strings.Join(l.blind, "; ")}
	}
	if len(l.looked) < 2 { // one place alone says little
		t.Partial = l.blind
	}
	return t
}

func (l *rootLook) add(s RootSign) {
	key := s.Kind + " " + s.Name
	if l.seen[key] {
		return
	}
	l.seen[key] = true
	if s.Tool == "" && (l.build == "userdebug" || l.build == "eng") && (strings.HasSuffix(s.Name, "bin/su") || s.Kind == "process" && s.Name == "su") {
		s.Vendor, s.Weight = true, min(s.Weight, 10)
	}
	if path.Base(s.Name) == "busybox" {
		s.Vendor = true
	}
	l.rows = append(l.rows, s)
}

func (l *rootLook) saw(where string) { l.looked = append(l.looked, where) }
func (l *rootLook) blindTo(where, why string) {
	l.blind = append(l.blind, where+": "+why)
}

// files looks up the paths, where the device's tree can be seen: one that is not recorded tells
// nothing.
func (l *rootLook) files() {
	fsys, known := l.in.Device.FS(), 0
	var why error
	for _, p := range rootPaths {
		_, err := fsys.Lstat(p.path)
		switch {
		case err == nil:
			known++
			l.add(RootSign{Kind: "file", Name: p.path, Tool: p.tool, Class: p.class, Weight: p.weight, Where: p.path})
		case missing(err):
			known++
		default:
			why = err
		}
	}
	switch {
	case known > len(rootPaths)/2:
		l.saw("files")
	case why != nil:
		l.blindTo("files", scanner.Reason(why))
	}
	modules, err := fsys.ReadDir("/data/adb/modules")
	if err != nil {
		return
	}
	for _, m := range modules {
		if m.Mode.IsDir() {
			l.add(RootSign{Kind: "module", Name: "/data/adb/modules/" + m.Name, Class: "root", Weight: 50, Where: "/data/adb/modules"})
		}
	}
}

// listed takes the lists that an acquisition made of its own: found binaries, and all files.
func (l *rootLook) listed() {
	b, err := l.in.Device.Probe(l.ctx, scanner.SourceRootBinaries)
	if err != nil {
		return
	}
	l.saw("binaries")
	for line := range strings.Lines(string(b)) {
		name := strings.TrimSpace(line)
		if name == "" || !strings.HasPrefix(name, "/") {
			continue
		}
		s := RootSign{Kind: "binary", Name: name, Class: "root", Weight: 50, Where: string(scanner.SourceRootBinaries)}
		for _, p := range rootPaths {
			if p.path == name || path.Base(p.path) == path.Base(name) && p.tool != "" {
				s.Tool, s.Class, s.Weight = p.tool, p.class, p.weight
				break
			}
		}
		if path.Base(name) == "busybox" {
			s.Weight = 10
		}
		l.add(s)
	}
}

func (l *rootLook) apps() {
	if _, why := scanner.Rows[Package](l.in, "packages"); why != "" {
		l.blindTo("apps", why)
		return
	}
	l.saw("apps")
	for _, a := range androidTables(l.in).rows {
		if p, ok := rootApps[a.Package]; ok {
			l.add(RootSign{Kind: "app", Name: a.Package, Tool: p.tool, Class: p.class, Weight: p.weight, Where: a.Where})
		}
	}
}

func (l *rootLook) processes() {
	rows, why := scanner.Rows[AndroidProcess](l.in, "android_processes")
	if why != "" {
		l.blindTo("processes", why)
		return
	}
	l.saw("processes")
	for _, p := range rows {
		if r, ok := rootProcesses[p.Tool]; ok {
			l.add(RootSign{Kind: "process", Name: or(programBase(p), p.Name), Tool: r.tool, Class: r.class, Weight: r.weight, Active: true, Where: p.Where})
		}
		if slices.Contains([]string{"su", "magisk", "magisk_client", "ksu", "supersu", "sudaemon"}, p.Domain) && l.build != "eng" && l.build != "userdebug" {
			l.add(RootSign{Kind: "label", Name: p.Domain, Class: "root", Weight: 80, Active: true, Where: p.Where})
		}
	}
}

func programBase(p AndroidProcess) string { return path.Base(or(p.Exe, p.Name)) }

func (l *rootLook) mounts() {
	rows, why := scanner.Rows[AndroidMount](l.in, "android_mounts")
	if why != "" {
		l.blindTo("mounts", why)
		return
	}
	l.saw("mounts")
	for _, m := range rows {
		switch {
		case m.Tool != "":
			tool := m.Tool
			if tool == "root module" {
				tool = ""
			}
			l.add(RootSign{Kind: "mount", Name: m.Target, Tool: tool, Class: "root", Weight: 80, Active: true, Where: m.Where})
		case m.Covers && !m.Maker && m.FSType == "tmpfs":
			l.add(RootSign{Kind: "mount", Name: m.Target, Class: "root", Weight: 40, Active: true, Where: m.Where})
		}
	}
}

func (l *rootLook) properties() {
	p, why := propertiesOf(l.in)
	if why != "" {
		l.blindTo("properties", why)
		return
	}
	if p.live {
		l.saw("properties")
	}
	if p.get("ro.boot.warranty_bit", "ro.warranty_bit") == "1" { // Samsung's fuse, which blows as a foreign system starts
		l.open = or(l.open, "warranty bit")
	}
	if l.open != "" {
		l.add(RootSign{Kind: "property", Name: l.open, Class: "root", Weight: 20, Where: string(scanner.SourceGetprop)})
	}
	if l.rewritten {
		l.add(RootSign{Kind: "property", Name: "rewritten ro.boot", Class: "hide", Weight: 60, Where: string(scanner.SourceGetprop)})
	}
	for _, row := range p.rows {
		name := row.Name
		switch {
		case strings.HasPrefix(name, "init.svc.") && (strings.Contains(name, "magisk") || strings.HasSuffix(name, ".ksud") || strings.Contains(name, "daemonsu") || strings.HasSuffix(name, ".su_daemon")):
			l.add(RootSign{Kind: "property", Name: name, Class: "root", Weight: 70, Active: row.Value == "running", Where: row.Where})
		case name == "ro.debuggable" && row.Value == "1" && l.build == "user":
			l.add(RootSign{Kind: "property", Name: "ro.debuggable=1 on a user build", Class: "root", Weight: 30, Where: row.Where})
		case name == "service.adb.root" && row.Value == "1" && l.build == "user":
			l.add(RootSign{Kind: "property", Name: "service.adb.root=1 on a user build", Class: "root", Weight: 60, Active: true, Where: row.Where})
		case strings.Contains(name, "zygisk") || strings.Contains(name, "lsposed") || name == "ro.dalvik.vm.native.bridge" && strings.Contains(row.Value, "riru"):
			l.add(RootSign{Kind: "property", Name: name, Class: "hook", Weight: 50, Where: row.Where})
		}
	}
}

func (l *rootLook) ports() {
	rows, why := scanner.Rows[AndroidListener](l.in, "android_listeners")
	if why != "" {
		return
	}
	for _, r := range rows {
		if r.Service == "frida" {
			l.add(RootSign{Kind: "port", Name: fmt.Sprintf("%s/%d", r.Proto, r.Port), Tool: "Frida", Class: "hook", Weight: 40, Active: true, Where: r.Where})
		}
	}
}

func rootStateCollector() scanner.Collector {
	return scanner.Collector{
		Table: "root_state", Doc: "all signs of root together, one row", Row: RootState{}, Platforms: onAndroid,
		Needs: []string{"root_signs", "android"}, Collect: collectRootState,
	}
}

// collectRootState adds the signs up: the heaviest of each kind counts, so that ten files of one
// tool weigh no more than one.
func collectRootState(_ context.Context, in *scanner.Input) scanner.Table {
	signs, why := scanner.Rows[RootSign](in, "root_signs")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	look := scanner.Aux[*rootLook](in, "root_signs")
	row := RootState{Where: "root_signs"}
	heaviest := map[string]int{}
	for _, s := range signs {
		if s.Class == "hide" {
			row.Hidden = true
		}
		if s.Tool != "" && !slices.Contains(row.Tools, s.Tool) {
			row.Tools = append(row.Tools, s.Tool)
		}
		if len(row.Signs) < 20 {
			row.Signs = append(row.Signs, s.Kind+" "+s.Name)
		}
		row.Names = append(row.Names, s.Name)
		if s.Class == "root" {
			heaviest[s.Kind] = max(heaviest[s.Kind], s.Weight)
		}
		if row.Where == "root_signs" {
			row.Where = s.Where
		}
	}
	for _, w := range heaviest {
		row.Score += w
	}
	row.Kinds = len(heaviest)
	slices.Sort(row.Tools)
	t := scanner.Table{Rows: []RootState{row}}
	if look != nil {
		row.Looked = look.looked
		t.Rows = []RootState{row}
		if len(look.looked) < 2 {
			t.Partial = look.blind
		}
	}
	return t
}
