package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

const (
	maxModulesFile = 8 << 20 // bytes of modules.dep
	maxModules     = 1 << 12 // modules looked at in /sys
)

// KernelModule is a module loaded into the kernel.
type KernelModule struct {
	Name      string   `expr:"name" json:"name" doc:"name"`
	Size      int64    `expr:"size" json:"size" doc:"bytes in memory; 0 when only /sys shows it"`
	UsedBy    []string `expr:"used_by" json:"used_by,omitempty" doc:"modules that use it"`
	State     string   `expr:"state" json:"state,omitempty" doc:"Live, Loading or Unloading"`
	InProc    bool     `expr:"in_proc" json:"in_proc,omitempty" doc:"listed in /proc/modules"`
	InSys     bool     `expr:"in_sys" json:"in_sys,omitempty" doc:"live in /sys/module"`
	OutOfTree bool     `expr:"out_of_tree" json:"out_of_tree,omitempty" doc:"not part of the kernel's own sources"`
	Unsigned  bool     `expr:"unsigned" json:"unsigned,omitempty" doc:"without a signature the kernel knows"`
	Forced    bool     `expr:"forced" json:"forced,omitempty" doc:"loaded by force"`
	File      string   `expr:"file" json:"file,omitempty" doc:"file that it is loaded from, by modules.dep; empty when there is none"`
	FileOwned bool     `expr:"file_owned" json:"file_owned,omitempty" doc:"a package owns that file"`
	Package   string   `expr:"package" json:"package,omitempty" doc:"package that owns it, or empty"`
	Where     string   `expr:"where" json:"-" doc:"/proc/modules and line, or the folder in /sys/module"`
	scanner.Unread
}

func kernelModulesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "kernel_modules", Doc: "loaded kernel modules, by both of the kernel's lists", Row: KernelModule{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceUname},
			Globs: []string{"/proc/modules", "/sys/module", "/sys/module/*/initstate", "/sys/module/*/taint", "/lib/modules/*/modules.dep"}},
		Needs: []string{"packages"}, Collect: collectKernelModules,
	}
}

func collectKernelModules(ctx context.Context, in *scanner.Input) scanner.Table {
	if !in.Device.Identity().Live {
		return scanner.Table{Absent: needsLive}
	}
	fsys := in.Device.FS()
	b, err := scanner.ReadFile(fsys, "/proc/modules", maxModulesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return scanner.Table{Inapplicable: "the kernel loads no modules"}
	}
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	mods, bad := parse.KernelModules(b)
	t := scanner.Table{Partial: damaged("/proc/modules", bad)}
	rows := make([]KernelModule, 0, len(mods))
	index := map[string]int{}
	for _, m := range mods {
		index[m.Name] = len(rows)
		rows = append(rows, KernelModule{Name: m.Name, Size: m.Size, UsedBy: m.Users, State: m.State, InProc: true,
			OutOfTree: strings.Contains(m.Taint, "O"), Unsigned: strings.Contains(m.Taint, "E"), Forced: strings.Contains(m.Taint, "F"),
			Where: fmt.Sprintf("/proc/modules:%d", m.Line)})
	}
	rows, noSys := sysModules(fsys, rows, index)
	if noSys != "" {
		t.Unknown = map[string]string{"in_sys": noSys}
	}
	moduleFiles(ctx, in, rows)
	t.Rows = rows
	return t
}

// sysModules adds what /sys/module tells. Only modules that were loaded have an initstate
// there; parts that are built in have a folder without one.
func sysModules(fsys scanner.FS, rows []KernelModule, index map[string]int) ([]KernelModule, string) {
	dirs, err := fsys.ReadDir("/sys/module")
	if err != nil {
		return rows, scanner.Reason(err)
	}
	if len(dirs) > maxModules {
		return rows, "/sys/module has more folders than a kernel has modules"
	}
	for _, d := range dirs {
		state := firstLine(fsys, "/sys/module/"+d.Name+"/initstate")
		if state != "live" {
			continue
		}
		i, ok := index[d.Name]
		if !ok {
			taint := firstLine(fsys, "/sys/module/"+d.Name+"/taint")
			i = len(rows)
			rows = append(rows, KernelModule{Name: d.Name, OutOfTree: strings.Contains(taint, "O"), Unsigned: strings.Contains(taint, "E"),
				Forced: strings.Contains(taint, "F"), Where: "/sys/module/" + d.Name})
		}
		rows[i].InSys = true
	}
	return rows, ""
}

// moduleFiles finds each module's file and the package that owns it.
func moduleFiles(ctx context.Context, in *scanner.Input, rows []KernelModule) {
	owners := ownershipOf(in)
	uname, why := probed[probe.Uname](ctx, in, scanner.SourceUname)
	var files map[string]string
	dir := "/lib/modules/" + uname.Release + "/"
	if why == "" {
		b, err := scanner.ReadFile(in.Device.FS(), dir+"modules.dep", maxModulesFile)
		if err != nil {
			why = scanner.Reason(err)
		}
		loaded := make(map[string]bool, len(rows))
		for i := range rows {
			loaded[rows[i].Name] = true
		}
		files = parse.ModuleFiles(b, func(name string) bool { return loaded[name] })
	}
	for i := range rows {
		m := &rows[i]
		if why != "" {
			for _, c := range []string{"file", "file_owned", "package"} {
				m.MarkUnread(c, why)
			}
			continue
		}
		file, ok := files[m.Name]
		if !ok {
			continue
		}
		if m.File = file; !strings.HasPrefix(file, "/") {
			m.File = dir + file
		}
		var unknown string
		if m.Package, m.FileOwned, unknown = owners.of(m.File); unknown != "" {
			m.MarkUnread("file_owned", unknown)
			m.MarkUnread("package", unknown)
		}
	}
}
