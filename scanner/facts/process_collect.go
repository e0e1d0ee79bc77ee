package facts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func processesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "processes", Doc: "running processes", Row: Process{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceProcesses, scanner.SourceSockets},
			Globs: []string{"/proc/self/mountinfo"}},
		Needs:   []string{"packages"},
		Collect: collectProcesses,
	}
}

func collectProcesses(ctx context.Context, in *scanner.Input) scanner.Table {
	rows, absent := probed[[]Process](ctx, in, scanner.SourceProcesses)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	socks, noSockets := probed[[]Socket](ctx, in, scanner.SourceSockets)
	ps := &processes{rows: rows, byPID: map[int]int{}, inet: map[string]*Socket{}, owners: ownershipOf(in), noSockets: noSockets,
		caps: map[string][]string{}}
	for i := range rows {
		ps.byPID[rows[i].PID] = i
	}
	for i := range socks {
		if s := &socks[i]; s.Proto != "packet" && s.Inode != 0 {
			ps.inet["socket:["+strconv.FormatUint(s.Inode, 10)+"]"] = s
		}
	}
	for i := range rows {
		ps.complete(&rows[i])
	}
	return scanner.Table{Rows: rows, Partial: hiddenByMount(in), Aux: ps}
}

// processes is what the collectors of live tables share.
type processes struct {
	rows      []Process
	byPID     map[int]int
	inet      map[string]*Socket // by the text of a descriptor's link
	noSockets string             // why there are no sockets
	owners    ownership
	caps      map[string][]string // by hex mask
}

// get finds a process, or nil.
func (ps *processes) get(pid int) *Process {
	if ps == nil {
		return nil
	}
	if i, ok := ps.byPID[pid]; ok {
		return &ps.rows[i]
	}
	return nil
}

// complete works out the columns that the live device does not encode.
func (ps *processes) complete(p *Process) {
	p.Where = fmt.Sprintf("/proc/%d", p.PID)
	p.Cmdline = strings.Join(p.Args, " ")
	if len(p.Args) > 0 {
		p.Argv0 = p.Args[0]
	}
	var known bool
	if p.Caps, known = ps.caps[p.CapEff]; !known {
		mask, err := strconv.ParseUint(p.CapEff, 16, 64)
		if err != nil {
			p.MarkUnread("caps", p.Where+"/status gives no capabilities")
		}
		p.Caps = parse.Capabilities(mask)
		ps.caps[p.CapEff] = p.Caps
	}
	p.derived("exe", "exe_name", "exe_owned", "exe_package", "script", "script_owned")
	p.derived("env", "preload", "preload_unowned")
	p.derived("stdin", "stdio_socket")
	if p.Exe != "" {
		p.ExeName = path.Base(p.Exe)
		p.ExePackage, p.ExeOwned = ps.own(p, p.Exe, "exe_owned", "exe_package")
	}
	ps.script(p)
	ps.preload(p)
	ps.stdio(p)
	ps.relatives(p)
}

// derived marks columns that follow from one that could not be read.
func (p *Process) derived(from string, columns ...string) {
	if why, ok := p.Unread.Unread[from]; ok {
		for _, c := range columns {
			p.MarkUnread(c, why)
		}
	}
}

// own asks for the package of a file that a process uses. Files of another root are not in
// our package databases.
func (ps *processes) own(p *Process, name string, columns ...string) (pkg string, owned bool) {
	var unknown string
	switch {
	case p.ExeMemfd && name == p.Exe:
		return "", false
	case p.Unread.Unread["same_root"] != "":
		unknown = p.Unread.Unread["same_root"]
	case !p.SameRoot:
		unknown = fmt.Sprintf("process %d runs in another root (container)", p.PID)
	default:
		pkg, owned, unknown = ps.owners.of(name)
	}
	if unknown != "" {
		for _, c := range columns {
			p.MarkUnread(c, unknown)
		}
	}
	return pkg, owned
}

// interpreters run a file that is named on their command line.
var interpreters = []string{
	"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox", "python", "perl", "ruby", "node", "nodejs", "lua", "luajit",
	"php", "tclsh", "wish", "gjs", "awk", "gawk", "mawk", "deno", "bun",
}

// interpreter tells whether a program's name, without a version, is that of an interpreter.
func interpreter(name string) bool {
	return slices.Contains(interpreters, strings.TrimRight(name, "0123456789.-"))
}

// script finds the file that an interpreter runs: the first argument that is no option. One
// that stands behind an option with its own argument ("-c CODE", "-m MODULE") is none.
func (ps *processes) script(p *Process) {
	if !interpreter(p.ExeName) {
		return
	}
	for _, a := range p.Args[min(1, len(p.Args)):] {
		switch {
		case a == "-c" || a == "-e" || a == "-m" || a == "-":
			return
		case strings.HasPrefix(a, "-"):
			continue
		}
		if p.ExeName == "busybox" && !strings.Contains(a, "/") {
			continue // the applet
		}
		if !strings.HasPrefix(a, "/") {
			if p.Cwd == "" {
				p.MarkUnread("script", fmt.Sprintf("working directory of process %d is not known", p.PID))
				p.MarkUnread("script_owned", fmt.Sprintf("working directory of process %d is not known", p.PID))
				return
			}
			a = path.Join(p.Cwd, a)
		}
		p.Script = path.Clean(a)
		_, p.ScriptOwned = ps.own(p, p.Script, "script_owned")
		return
	}
}

// preload lists the files that the environment makes the loader load. A name without a slash
// is looked up in the loader's own directories.
func (ps *processes) preload(p *Process) {
	for _, key := range []string{"LD_PRELOAD", "LD_AUDIT"} {
		for _, f := range strings.FieldsFunc(p.Env[key], func(r rune) bool { return r == ' ' || r == ':' }) {
			p.Preload = append(p.Preload, f)
			if !strings.HasPrefix(f, "/") {
				continue
			}
			if _, owned := ps.own(p, f, "preload_unowned"); !owned {
				p.PreloadUnowned = append(p.PreloadUnowned, f)
			}
		}
	}
}

// stdio finds the network socket that serves as input and output at once.
func (ps *processes) stdio(p *Process) {
	if !strings.HasPrefix(p.Stdin, "socket:") || p.Stdin != p.Stdout {
		return
	}
	s := ps.inet[p.Stdin]
	switch {
	case ps.noSockets != "":
		p.MarkUnread("stdio_socket", ps.noSockets)
	case s != nil:
		p.StdioSocket = fmt.Sprintf("%s %s:%d %s:%d", s.Proto, s.LocalAddr, s.LocalPort, s.RemoteAddr, s.RemotePort)
	}
}

// relatives fills what is told of the parent and the tracer.
func (ps *processes) relatives(p *Process) {
	if up := ps.get(p.PPID); up != nil {
		p.ParentName, p.ParentExe = up.Name, up.Exe
		if why, ok := up.Unread.Unread["exe"]; ok {
			p.MarkUnread("parent_exe", why)
		}
	}
	if t := ps.get(p.Tracer); t != nil {
		p.TracerExe = t.Exe
		if why, ok := t.Unread.Unread["exe"]; ok {
			p.MarkUnread("tracer_exe", why)
		}
	}
}

// hiddenByMount tells whether /proc keeps other users' processes from us.
func hiddenByMount(in *scanner.Input) []string {
	if in.Device.Identity().Root {
		return nil
	}
	b, err := scanner.ReadFile(in.Device.FS(), "/proc/self/mountinfo", maxMountInfo)
	if err != nil {
		return []string{"cannot tell whether other users' processes are hidden: " + scanner.Reason(err)}
	}
	mounts, _ := parse.MountInfo(b)
	for _, m := range mounts {
		if m.Target != "/proc" {
			continue
		}
		for _, o := range m.SuperOptions {
			if v, ok := strings.CutPrefix(o, "hidepid="); ok && v != "0" && v != "off" {
				return []string{"other users' processes are hidden (/proc is mounted with " + o + "); run as root"}
			}
		}
	}
	return nil
}

func mappingsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "mappings", Doc: "files that processes have mapped as code, besides their program", Row: Mapping{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceMappings}},
		Needs: []string{"packages", "processes"}, Collect: collectMappings,
	}
}

func collectMappings(ctx context.Context, in *scanner.Input) scanner.Table {
	rows, absent := probed[[]Mapping](ctx, in, scanner.SourceMappings)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	procs, _ := scanner.Rows[Process](in, "processes")
	owners := ownershipOf(in)
	for i := range rows {
		m := &rows[i]
		if len(m.PIDs) > 0 {
			m.Where = fmt.Sprintf("/proc/%d/maps", m.PIDs[0])
		}
		var unknown string
		switch {
		case m.Memfd:
		case !m.SameRoot:
			unknown = m.Where + " is of another root (container)"
		default:
			m.Package, m.Owned, unknown = owners.of(m.Path)
		}
		if unknown != "" {
			m.MarkUnread("owned", unknown)
			m.MarkUnread("package", unknown)
		}
	}
	return scanner.Table{Rows: rows, Partial: unreadOf(procs, "maps", "memory maps")}
}

// unreadOf says of how many processes a column could not be read, and why that of the first.
func unreadOf(procs []Process, column, what string) []string {
	n, text := 0, ""
	for i := range procs {
		if why, ok := procs[i].Unread.Unread[column]; ok {
			if n++; n == 1 {
				text = what + " could not be read: " + why
			}
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		return []string{text}
	}
	return []string{fmt.Sprintf("%s; and those of %d more", text, n-1)}
}
