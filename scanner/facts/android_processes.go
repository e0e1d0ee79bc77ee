package facts

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const maxAndroidProcesses = 1 << 16

func androidProcessesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_processes", Doc: "processes", Row: AndroidProcess{}, Platforms: onAndroid,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.SourcePS, scanner.SourceQFProcesses, scanner.Dumpsys("activity")}},
		Needs:   []string{"packages"},
		Collect: collectAndroidProcesses,
	}
}

func collectAndroidProcesses(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	rows, err := qfProcesses(ctx, in)
	if err != nil {
		rows, err = psProcesses(ctx, in, &t)
	}
	if err != nil {
		return scanner.Table{Absent: unavailable(err)}
	}
	if len(rows) == 0 {
		return scanner.Table{Absent: "no process was listed"}
	}
	if len(rows) > maxAndroidProcesses {
		t.Partial = append(t.Partial, "more processes than are read")
		rows = rows[:maxAndroidProcesses]
	}
	relate(rows, appsByUID(androidTables(in).rows))
	nameApps(ctx, in, rows)
	t.Rows = rows
	return t
}

// qfProcess is an element of AndroidQF's processes.json.
type qfProcess struct {
	PID     int      `json:"pid"`
	PPID    int      `json:"ppid"`
	UID     int      `json:"uid"`
	Path    string   `json:"path"`
	Name    string   `json:"filename"`
	Context string   `json:"context"`
	Command []string `json:"command_line"`
}

func qfProcesses(ctx context.Context, in *scanner.Input) ([]AndroidProcess, error) {
	b, err := in.Device.Probe(ctx, scanner.SourceQFProcesses)
	if err != nil {
		return nil, err
	}
	var list []qfProcess
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	rows := make([]AndroidProcess, 0, len(list))
	for _, p := range list {
		row := AndroidProcess{PID: p.PID, PPID: p.PPID, UID: p.UID, User: androidUserName(p.UID), Name: p.Name, Exe: p.Path, Label: strings.TrimRight(p.Context, "\x00\n"),
			Where: string(scanner.SourceQFProcesses)}
		if len(p.Command) > 0 {
			row.Name = or(strings.TrimSpace(p.Command[0]), p.Name)
			row.Args = shown(strings.Join(p.Command, " "))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func psProcesses(ctx context.Context, in *scanner.Input, t *scanner.Table) ([]AndroidProcess, error) {
	b, err := in.Device.Probe(ctx, scanner.SourcePS)
	if err != nil {
		return nil, err
	}
	var c parse.Complaints
	list, err := parse.Ps(b, false, &c)
	if err != nil {
		return nil, err
	}
	t.Partial = append(t.Partial, complaints(string(scanner.SourcePS), &c)...)
	var rows []AndroidProcess
	seen := map[int]bool{}
	for _, p := range list {
		if !p.Process() || seen[p.PID] { // a bugreport may list them twice, with and without threads
			continue
		}
		seen[p.PID] = true
		rows = append(rows, AndroidProcess{PID: p.PID, PPID: p.PPID, UID: p.UID, User: p.User, Name: p.Name, Args: shown(p.Args), Label: p.Label, Cut: p.Truncated,
			Where: string(scanner.SourcePS)})
	}
	return rows, nil
}

// androidUserName is the name that Android gives a user id, as ps prints it.
func androidUserName(uid int) string {
	switch uid {
	case 0:
		return "root"
	case 1000:
		return "system"
	case 2000:
		return "shell"
	}
	return ""
}

// appsByUID gives the packages by their app id.
func appsByUID(apps []App) map[int][]*App {
	out := make(map[int][]*App, len(apps))
	for i := range apps {
		if apps[i].UID > 0 {
			out[apps[i].UID] = append(out[apps[i].UID], &apps[i])
		}
	}
	return out
}

// First and last user ids of apps, for the first user; others have theirs 100,000 apart.
const (
	firstAppUID      = 10000
	lastAppUID       = 19999
	firstIsolatedUID = 90000
	perUser          = 100000
)

func isAppUID(uid int) bool {
	id := uid % perUser
	return uid >= 0 && (id >= firstAppUID && id <= lastAppUID || id >= firstIsolatedUID)
}

// relate fills in what the rows say together: parents, apps and places.
func relate(rows []AndroidProcess, apps map[int][]*App) {
	byPID := make(map[int]*AndroidProcess, len(rows))
	for i := range rows {
		byPID[rows[i].PID] = &rows[i]
	}
	for i := range rows {
		r := &rows[i]
		if l := strings.Split(r.Label, ":"); len(l) >= 3 {
			r.Domain = l[2]
		}
		p := byPID[r.PPID]
		r.Kernel = r.PID == 2 || r.PPID == 2
		r.App = isAppUID(r.UID)
		r.Package = packageOf(r, apps)
		r.Tool = processTool(r)
		r.Place = placeOf(or(r.Exe, programOf(r)))
		r.Shell = slices.Contains([]string{"sh", "su", "bash", "toybox", "toolbox", "busybox", "nc", "curl", "wget", "mksh"}, path.Base(programOf(r)))
		switch {
		case p != nil:
			r.Parent = p.Name
			r.Zygote = isZygote(p)
		default:
			r.MarkUnread("parent", "the parent is not in the list")
			r.MarkUnread("zygote_child", "the parent is not in the list")
		}
		if r.UID < 0 {
			r.MarkUnread("uid", "the listing does not tell it")
			r.MarkUnread("app", "the listing does not tell the user")
		}
		if r.Place == "" && r.Exe == "" && ofSystem(r) {
			r.Place = "system"
		}
		if r.Place == "" {
			r.MarkUnread("place", "the listing does not tell the program's file")
		}
		if r.Label == "" {
			r.MarkUnread("domain", "the listing has no labels")
		}
	}
}

// ofSystem reports whether a program whose file no listing tells can only be the system's: zygotes
// name themselves, and what the shell starts by a bare name it finds in folders of the system.
func ofSystem(r *AndroidProcess) bool {
	if r.Domain == "zygote" || r.Domain == "webview_zygote" {
		return true
	}
	return r.UID == shellUID && r.Domain == "shell" && r.Args != "" && !strings.Contains(programOf(r), "/")
}

const shellUID = 2000

// nameApps takes from the activity manager whose a process is where its name does not say.
func nameApps(ctx context.Context, in *scanner.Input, rows []AndroidProcess) {
	b, err := in.Device.Probe(ctx, scanner.Dumpsys("activity"))
	if err != nil {
		return
	}
	list, _ := parse.ActivityProcesses(b)
	owner := make(map[int]parse.AppProcess, len(list))
	for _, p := range list {
		owner[p.PID] = p
	}
	for i := range rows {
		p, ok := owner[rows[i].PID]
		if ok && p.PID > 0 && rows[i].Package == "" && rows[i].App && len(p.Packages) > 0 {
			rows[i].Package = p.Packages[0]
		}
	}
}

// isZygote tells the process that all apps are forked from. Listings of threads call it main, as
// its first thread is called; its label then tells.
func isZygote(p *AndroidProcess) bool {
	if l := strings.Split(p.Label, ":"); len(l) >= 3 && (l[2] == "zygote" || strings.HasSuffix(l[2], "_zygote")) {
		return true
	}
	return strings.Contains(p.Name, "zygote") || strings.HasPrefix(p.Name, "app_process")
}

// programOf is the first word of the command line, or the name.
func programOf(r *AndroidProcess) string {
	if f := strings.Fields(r.Args); len(f) > 0 {
		return f[0]
	}
	return r.Name
}

// packageOf names the app of a process: its name is the package's, or starts as it does.
func packageOf(r *AndroidProcess, apps map[int][]*App) string {
	if r.UID < firstAppUID && r.UID != -1 && !strings.Contains(r.Name, ".") {
		return ""
	}
	name, _, _ := strings.Cut(programOf(r), ":")
	candidates := apps[r.UID%perUser]
	for _, a := range candidates {
		if a.Package == name || r.Cut && strings.HasSuffix(a.Package, name) {
			return a.Package
		}
	}
	if len(candidates) == 1 {
		return candidates[0].Package
	}
	return ""
}

// placeOf tells where a program lies; "" for a name that is no path.
func placeOf(file string) string {
	under := func(dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(file, d) })
	}
	switch {
	case strings.Contains(file, "memfd:"):
		return "memory"
	case strings.HasSuffix(file, " (deleted)"):
		return "deleted"
	case !strings.HasPrefix(file, "/"):
		return ""
	case under("/data/local/"):
		return "data_local"
	case under("/sdcard/", "/storage/", "/mnt/", "/data/media/"):
		return "storage"
	case under("/data/app/", "/data/app-lib/", "/data/priv-app/"):
		return "data_app"
	case under("/data/", "/dev/", "/tmp/", "/cache/", "/metadata/"):
		return "other"
	}
	return "system"
}

// processTools are programs that are known by their names.
var processTools = map[string]string{
	"frida-server": "frida", "frida-helper-32": "frida", "frida-helper-64": "frida", "re.frida.server": "frida", "frida-agent": "frida", "frida-portal": "frida",
	"scrcpy": "scrcpy", "scrcpy-server": "scrcpy", "screenrecord": "screenrecord", "minicap": "minicap", "magiskd": "magisk", "magisk": "magisk", "magisk32": "magisk", "magisk64": "magisk",
	"ksud": "kernelsu", "apd": "apatch", "kpatch": "apatch", "daemonsu": "supersu", "su": "su", "tor": "tor", "obfs4proxy": "tor", "lspd": "lsposed", "zygiskd": "zygisk", "zygiskd32": "zygisk", "zygiskd64": "zygisk",
	"gdbserver": "debugger", "gdbserver64": "debugger", "lldb-server": "debugger", "strace": "debugger", "android_server": "debugger", "android_server64": "debugger",
	"tcpdump": "sniffer", "sshd": "ssh", "dropbear": "ssh", "telnetd": "telnet", "ngrok": "tunnel", "frpc": "tunnel", "chisel": "tunnel", "xmrig": "miner",
	"androidqf": "acquisition", "collector": "acquisition",
}

func processTool(r *AndroidProcess) string {
	base := path.Base(programOf(r))
	if tool := processTools[base]; tool != "" {
		return tool
	}
	if strings.Contains(r.Args, "com.genymobile.scrcpy") {
		return "scrcpy"
	}
	return processTools[path.Base(r.Name)]
}
