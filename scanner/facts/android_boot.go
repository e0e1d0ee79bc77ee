package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// bootScriptGlobs are what root tools and old modified systems run as the device starts.
var bootScriptGlobs = map[string]string{
	"/data/adb/service.d/*": "service.d", "/data/adb/post-fs-data.d/*": "post-fs-data.d", "/data/adb/boot-completed.d/*": "service.d", "/data/adb/modules/*": "module",
	"/system/etc/init.d/*": "init_d", "/system/su.d/*": "service.d", "/su/su.d/*": "service.d", "/system/addon.d/*": "addon.d",
	"/system/bin/install-recovery.sh": "install-recovery", "/system/etc/install-recovery.sh": "install-recovery", "/vendor/bin/install-recovery.sh": "install-recovery",
}

func bootScriptsCollector() scanner.Collector {
	var meta []string
	for g := range bootScriptGlobs {
		meta = append(meta, g)
	}
	slices.Sort(meta)
	return scanner.Collector{
		Table: "boot_scripts", Doc: "scripts and modules that root tools run at the start", Row: BootScript{}, Platforms: onAndroid,
		Reads: scanner.Reads{Globs: []string{"/data/adb/modules/*/module.prop", "/data/adb/*"}, Meta: append(meta, "/data/adb", "/data/adb/modules/*/disable", "/data/adb/modules/*/remove")}, Collect: collectBootScripts,
	}
}

func collectBootScripts(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	rows := []BootScript{}
	patterns := make([]string, 0, len(bootScriptGlobs))
	for g := range bootScriptGlobs {
		patterns = append(patterns, g)
	}
	slices.Sort(patterns)
	for _, g := range patterns {
		for _, name := range r.glob(g) {
			row := BootScript{Path: name, Kind: bootScriptGlobs[g], Name: path.Base(name), Where: name}
			switch row.Kind {
			case "module":
				if p := parse.Assignments(r.file(name + "/module.prop")); p.Get("", "name") != "" {
					row.Name = p.Get("", "name")
				}
				row.Off = r.exists(name+"/disable") || r.exists(name+"/remove")
			case "install-recovery":
				row.Kind = "install-recovery"
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 && len(t.Partial) > 0 {
		return scanner.Table{Absent: strings.Join(t.Partial[:1], "; ")}
	}
	t.Rows = rows
	return t
}

// setuidDirs are the folders of programs of the system's partitions.
var setuidDirs = []string{"/system/bin", "/system/xbin", "/system/sbin", "/system/system/bin", "/system/system/xbin", "/vendor/bin", "/vendor/xbin", "/product/bin", "/system_ext/bin", "/odm/bin", "/sbin",
	"/data/local", "/data/local/tmp", "/data/local/bin"}

// usualSetuid are programs that Android itself, or a Linux file system under it, gives rights to.
var usualSetuid = []string{"run-as", "su_daemon_test", "netcfg", "ping", "ping6", "tcpdump", "procmem", "procrank", "simpleperf_app_runner", "dumpstate", "bootanimation"}

func setuidFilesCollector() scanner.Collector {
	var globs, meta []string
	for _, d := range setuidDirs {
		globs, meta = append(globs, d), append(meta, d+"/*")
	}
	return scanner.Collector{
		Table: "setuid_files", Doc: "programs of system partitions that give rights to who runs them", Row: SetuidFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Globs: globs, Meta: meta}, Collect: collectSetuidFiles,
	}
}

func collectSetuidFiles(_ context.Context, in *scanner.Input) scanner.Table {
	if why := in.Device.Identity().ModesUntrusted; why != "" {
		return scanner.Table{Absent: why}
	}
	var t scanner.Table
	rows := []SetuidFile{}
	looked := 0
	fsys := in.Device.FS()
	seen := map[string]bool{}
	for _, dir := range setuidDirs {
		real, err := fsys.Resolve(dir)
		if err != nil && !missing(err) {
			t.Partial = append(t.Partial, scanner.Reason(err))
		}
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		entries, err := fsys.ReadDir(real)
		if err != nil {
			t.Partial = append(t.Partial, scanner.Reason(err))
			continue
		}
		looked++
		for _, e := range entries {
			if !e.Mode.IsRegular() {
				continue
			}
			name := real + "/" + e.Name
			row := SetuidFile{Path: name, Perm: int(e.Perm()), Setuid: e.Perm()&0o6000 != 0, Usual: slices.Contains(usualSetuid, e.Name), Where: name}
			if row.Setuid {
				rows = append(rows, row)
			}
		}
	}
	if looked == 0 {
		return scanner.Table{Absent: "no folder of programs could be listed"}
	}
	t.Rows = rows
	return t
}
