package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Sysctl is one kernel setting: its value on the running system, or the one that the
// configuration would give it.
type Sysctl struct {
	Key        string `expr:"key" json:"key" doc:"name with dots: net.ipv4.ip_forward; a dot inside an interface's name is a slash"`
	Value      string `expr:"value" json:"value" doc:"the kernel's value on a live device, else the configured one"`
	Live       bool   `expr:"live" json:"live,omitempty" doc:"value is the kernel's"`
	Configured string `expr:"configured" json:"configured,omitempty" doc:"value that the configuration sets, or empty"`
	Interface  string `expr:"interface" json:"interface,omitempty" doc:"network interface of a net.*.conf key: all, default or a name"`
	Config     string `expr:"config" json:"config,omitempty" doc:"file and line that sets it, or empty"`
	Where      string `expr:"where" json:"-" doc:"file below /proc/sys, or file and line that sets it"`
	scanner.Unread
}

const (
	maxSysctlFiles = 256
	maxSysctlRows  = 4096
	maxInterfaces  = 64 // whose settings are read one by one
)

// sysctlDirs are read by systemd and procps; a file hides those of the same name in later
// directories.
var sysctlDirs = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// sysctlKeys are read on a live device whether or not they are configured.
var sysctlKeys = []string{
	"dev.tty.ldisc_autoload", "fs.protected_fifos", "fs.protected_hardlinks", "fs.protected_regular", "fs.protected_symlinks",
	"fs.suid_dumpable", "kernel.core_pattern", "kernel.core_uses_pid", "kernel.dmesg_restrict", "kernel.hotplug",
	"kernel.kexec_load_disabled", "kernel.kptr_restrict", "kernel.modprobe", "kernel.modules_disabled", "kernel.perf_event_paranoid",
	"kernel.poweroff_cmd", "kernel.randomize_va_space", "kernel.sysrq", "kernel.unprivileged_bpf_disabled",
	"kernel.unprivileged_userns_clone", "kernel.yama.ptrace_scope", "net.core.bpf_jit_harden", "net.ipv4.icmp_echo_ignore_broadcasts",
	"net.ipv4.ip_forward", "net.ipv4.tcp_syncookies", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.all.disable_ipv6",
	"user.max_user_namespaces", "vm.mmap_min_addr", "vm.unprivileged_userfaultfd",
}

// interfaceKeys are read for each interface of net.ipv4.conf and net.ipv6.conf.
var interfaceKeys = []string{"accept_redirects", "secure_redirects", "send_redirects", "accept_source_route", "rp_filter",
	"forwarding", "log_martians", "accept_ra", "arp_ignore", "proxy_arp"}

func sysctlsCollector() scanner.Collector {
	globs := []string{"/etc/sysctl.conf", "/proc/sys/**"}
	for _, d := range sysctlDirs {
		globs = append(globs, d, d+"/*")
	}
	return scanner.Collector{
		Table: "sysctls", Doc: "kernel settings, running and configured", Row: Sysctl{},
		Reads: scanner.Reads{Globs: globs}, Collect: collectSysctls,
	}
}

func collectSysctls(_ context.Context, in *scanner.Input) scanner.Table {
	r := &sysctlReader{fsys: in.Device.FS(), index: map[string]int{}}
	r.configured()
	if in.Device.Identity().Live {
		r.live()
	}
	slices.SortFunc(r.rows, func(a, b Sysctl) int { return strings.Compare(a.Key, b.Key) })
	return scanner.Table{Rows: r.rows, Partial: r.partial}
}

type sysctlReader struct {
	fsys    scanner.FS
	rows    []Sysctl
	index   map[string]int
	partial []string
}

// configured merges the files in the order in which systemd applies them: by base name, the
// first directory's copy of a name only, and sysctl.conf last. The last setting of a key
// counts.
func (r *sysctlReader) configured() {
	byName := map[string]string{}
	for _, d := range sysctlDirs {
		list, err := r.fsys.ReadDir(d)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.partial = append(r.partial, scanner.Reason(err))
			}
			continue
		}
		for _, f := range list {
			if _, hidden := byName[f.Name]; !hidden && strings.HasSuffix(f.Name, ".conf") {
				byName[f.Name] = d + "/" + f.Name
			}
		}
	}
	names := make([]string, 0, len(byName))
	for n := range byName {
		names = append(names, n)
	}
	slices.Sort(names)
	if len(names) > maxSysctlFiles {
		r.partial = append(r.partial, fmt.Sprintf("%d of %d sysctl.d files are not read", len(names)-maxSysctlFiles, len(names)))
		names = names[:maxSysctlFiles]
	}
	for _, n := range names {
		r.file(byName[n])
	}
	r.file("/etc/sysctl.conf")
}

func (r *sysctlReader) file(name string) {
	b, err := scanner.ReadFile(r.fsys, name, maxSmallFile)
	if err != nil {
		// A link to /dev/null hides the file of that name in the distribution's directory.
		if real, e := r.fsys.Resolve(name); !errors.Is(err, fs.ErrNotExist) && (e != nil || real != "/dev/null") {
			r.partial = append(r.partial, scanner.Reason(err))
		}
		return
	}
	settings, bad := parse.Sysctls(b)
	r.partial = append(r.partial, damaged(name, bad)...)
	for _, s := range settings {
		if s.Except || secretSysctl(s.Key) {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, s.Line)
		if i, ok := r.index[s.Key]; ok {
			r.rows[i].Value, r.rows[i].Configured, r.rows[i].Config, r.rows[i].Where = s.Value, s.Value, where, where
			continue
		}
		r.add(Sysctl{Key: s.Key, Value: s.Value, Configured: s.Value, Config: where, Where: where})
	}
}

func (r *sysctlReader) add(s Sysctl) {
	if len(r.rows) == maxSysctlRows {
		if !slices.Contains(r.partial, tooManySysctls) {
			r.partial = append(r.partial, tooManySysctls)
		}
		return
	}
	s.Interface = sysctlInterface(s.Key)
	r.index[s.Key] = len(r.rows)
	r.rows = append(r.rows, s)
}

const tooManySysctls = "more kernel settings are configured than are looked at"

// secretSysctl tells keys whose values are secrets.
func secretSysctl(key string) bool {
	return strings.HasSuffix(key, ".stable_secret") || strings.Contains(key, "tcp_fastopen_key")
}

// live reads the running values: of the keys that are always wanted, of those of each network
// interface, and of what is configured.
func (r *sysctlReader) live() {
	keys := slices.Clone(sysctlKeys)
	for _, family := range []string{"ipv4", "ipv6"} {
		list, err := r.fsys.ReadDir("/proc/sys/net/" + family + "/conf")
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.partial = append(r.partial, scanner.Reason(err))
			}
			continue
		}
		for i, f := range list {
			if i >= maxInterfaces && f.Name != "all" && f.Name != "default" {
				continue
			}
			for _, k := range interfaceKeys {
				keys = append(keys, "net."+family+".conf."+strings.ReplaceAll(f.Name, ".", "/")+"."+k)
			}
		}
	}
	for _, s := range r.rows {
		keys = append(keys, s.Key)
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		r.running(k)
	}
}

func (r *sysctlReader) running(key string) {
	name := parse.SysctlPath(key)
	if path.Clean(name) != name || strings.Contains(key, "*") {
		return // a configured key that leads nowhere, or a pattern
	}
	b, err := scanner.ReadFile(r.fsys, name, maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return // this kernel has no such setting
	}
	i, known := r.index[key]
	if !known {
		r.add(Sysctl{Key: key})
		if i, known = r.index[key]; !known {
			return
		}
	}
	s := &r.rows[i]
	s.Live, s.Where = true, name
	if err != nil {
		s.Value = ""
		s.MarkUnread("value", scanner.Reason(err))
		return
	}
	s.Value = strings.Join(strings.Fields(strings.TrimSpace(string(b))), " ")
	if key == "kernel.core_pattern" {
		s.Value = strings.TrimRight(string(b), "\n")
	}
}

// sysctlInterface gives the NAME of net.ipv4.conf.NAME.key.
func sysctlInterface(key string) string {
	for _, p := range []string{"net.ipv4.conf.", "net.ipv6.conf."} {
		if rest, ok := strings.CutPrefix(key, p); ok {
			name, _, _ := strings.Cut(rest, ".")
			return strings.ReplaceAll(name, "/", ".")
		}
	}
	return ""
}
