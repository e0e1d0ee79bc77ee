package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// KernelHelper is a program that the kernel runs by itself, as root.
type KernelHelper struct {
	Kind    string `expr:"kind" json:"kind" doc:"core_pattern, modprobe, hotplug, poweroff_cmd, uevent_helper, release_agent or binfmt"`
	Name    string `expr:"name" json:"name,omitempty" doc:"name of a binfmt entry"`
	Program string `expr:"program" json:"program" doc:"absolute path of the program"`
	Command string `expr:"command" json:"command" doc:"the setting as written"`
	Owned   bool   `expr:"owned" json:"owned" doc:"a package owns the program"`
	Package string `expr:"package" json:"package,omitempty" doc:"package that owns it, or empty"`
	Exists  bool   `expr:"exists" json:"exists" doc:"the program exists"`
	Flags   string `expr:"flags" json:"flags,omitempty" doc:"of a binfmt entry; C runs the program with the rights of the file it is given"`
	Live    bool   `expr:"live" json:"live,omitempty" doc:"in force on the running system, not only configured"`
	Where   string `expr:"where" json:"-" doc:"file, and line where there is one"`
	scanner.Unread
}

// helperKeys are the kernel settings that name a program.
var helperKeys = []string{"core_pattern", "modprobe", "hotplug", "poweroff_cmd"}

var binfmtDirs = []string{"/etc/binfmt.d", "/run/binfmt.d", "/usr/local/lib/binfmt.d", "/usr/lib/binfmt.d"}

const binfmtMisc = "/proc/sys/fs/binfmt_misc"

func kernelHelpersCollector() scanner.Collector {
	globs := []string{"/sys/kernel/uevent_helper", "/sys/fs/cgroup", "/sys/fs/cgroup/*/release_agent", binfmtMisc, binfmtMisc + "/*"}
	for _, d := range binfmtDirs {
		globs = append(globs, d, d+"/*")
	}
	return scanner.Collector{
		Table: "kernel_helpers", Doc: "programs that the kernel itself runs", Row: KernelHelper{},
		Reads: scanner.Reads{Globs: globs, Meta: []string{"/**"}},
		Needs: []string{"sysctls", "packages"}, Collect: collectKernelHelpers,
	}
}

func collectKernelHelpers(_ context.Context, in *scanner.Input) scanner.Table {
	r := &helperReader{fsys: in.Device.FS(), owners: ownershipOf(in), live: in.Device.Identity().Live}
	settings, absent := scanner.Rows[Sysctl](in, "sysctls")
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	for i := range settings {
		r.setting(&settings[i])
	}
	if t := in.Tables["sysctls"]; t != nil {
		r.partial = append(r.partial, t.Partial...)
	}
	if r.live {
		r.single("uevent_helper", "/sys/kernel/uevent_helper")
		r.releaseAgents()
		r.registered()
	} else {
		r.binfmtFiles()
	}
	return scanner.Table{Rows: r.rows, Partial: r.partial}
}

type helperReader struct {
	fsys    scanner.FS
	owners  ownership
	live    bool
	rows    []KernelHelper
	partial []string
}

// fail notes what could not be read. What does not exist names no program.
func (r *helperReader) fail(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.partial = append(r.partial, scanner.Reason(err))
	}
}

func (r *helperReader) setting(s *Sysctl) {
	for _, k := range helperKeys {
		if s.Key != "kernel."+k {
			continue
		}
		if why, ok := s.Unread.Unread["value"]; ok {
			r.partial = append(r.partial, why)
		}
		command := s.Value
		if k == "core_pattern" { // only a pipe names a program
			pipe, ok := strings.CutPrefix(command, "|")
			if !ok {
				continue
			}
			command = pipe
		}
		where := s.Where
		if s.Live && s.Config != "" && s.Configured == s.Value {
			where = s.Config
		}
		r.add(KernelHelper{Kind: k, Command: s.Value, Live: s.Live, Where: where}, command)
	}
}

// add takes the program off a command and asks who owns it.
func (r *helperReader) add(h KernelHelper, command string) {
	f := strings.Fields(command)
	if len(f) == 0 || !strings.HasPrefix(f[0], "/") {
		return // off: empty, or no path
	}
	h.Program = f[0]
	_, err := r.fsys.Stat(h.Program)
	h.Exists = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.MarkUnread("exists", scanner.Reason(err))
	}
	var unknown string
	if h.Package, h.Owned, unknown = r.owners.of(h.Program); unknown != "" {
		h.MarkUnread("owned", unknown)
		h.MarkUnread("package", unknown)
	}
	r.rows = append(r.rows, h)
}

// single reads a file that holds one command.
func (r *helperReader) single(kind, name string) {
	b, err := scanner.ReadFile(r.fsys, name, maxSmallFile)
	if err != nil {
		r.fail(err)
		return
	}
	command := strings.TrimSpace(string(b))
	r.add(KernelHelper{Kind: kind, Command: command, Live: true, Where: name}, command)
}

// releaseAgents reads what cgroup version 1 runs when a group is empty.
func (r *helperReader) releaseAgents() {
	list, err := r.fsys.ReadDir("/sys/fs/cgroup")
	r.fail(err)
	for _, d := range list {
		if d.Mode.IsDir() {
			r.single("release_agent", "/sys/fs/cgroup/"+d.Name+"/release_agent")
		}
	}
}

// registered reads the interpreters that the kernel knows for foreign programs.
func (r *helperReader) registered() {
	list, err := r.fsys.ReadDir(binfmtMisc)
	r.fail(err)
	for _, f := range list {
		if f.Name == "register" || f.Name == "status" {
			continue
		}
		name := binfmtMisc + "/" + f.Name
		b, err := scanner.ReadFile(r.fsys, name, maxSmallFile)
		if err != nil {
			r.fail(err)
			continue
		}
		e := parse.BinfmtEntry(b)
		if e.Enabled {
			r.add(KernelHelper{Kind: "binfmt", Name: f.Name, Command: e.Interpreter, Flags: e.Flags, Live: true, Where: name}, e.Interpreter)
		}
	}
}

// binfmtFiles reads what would be registered at boot.
func (r *helperReader) binfmtFiles() {
	hidden := map[string]bool{}
	for _, d := range binfmtDirs {
		list, err := r.fsys.ReadDir(d)
		r.fail(err)
		for _, f := range list {
			if hidden[f.Name] || !strings.HasSuffix(f.Name, ".conf") {
				continue
			}
			hidden[f.Name] = true
			b, err := scanner.ReadFile(r.fsys, d+"/"+f.Name, maxSmallFile)
			if err != nil {
				r.fail(err)
				continue
			}
			entries, bad := parse.BinfmtFile(b)
			r.partial = append(r.partial, damaged(d+"/"+f.Name, bad)...)
			for _, e := range entries {
				r.add(KernelHelper{Kind: "binfmt", Name: e.Name, Command: e.Interpreter, Flags: e.Flags,
					Where: fmt.Sprintf("%s/%s:%d", d, f.Name, e.Line)}, e.Interpreter)
			}
		}
	}
}
