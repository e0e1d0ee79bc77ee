package parse

import (
	"bytes"
	"strconv"
	"strings"
)

// KernelModule is one line of /proc/modules.
type KernelModule struct {
	Name  string
	Size  int64    // bytes
	Refs  int      // users; -1 when the kernel does not count
	Users []string // modules that use it
	State string   // Live, Loading, Unloading
	Taint string   // letters, as in "(OE)"; empty when it does not taint
	Line  int      // 1-based
}

// KernelModules reads /proc/modules (proc_modules(5)).
func KernelModules(b []byte) (mods []KernelModule, bad []error) {
	lines(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) == 0 {
			return
		}
		if len(f) < 5 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not a module line"})
			return
		}
		m := KernelModule{Name: f[0], Refs: -1, State: f[4], Line: n}
		var err error
		if m.Size, err = strconv.ParseInt(f[1], 10, 64); err != nil {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "module size is no number"})
			return
		}
		if refs, err := strconv.Atoi(f[2]); err == nil {
			m.Refs = refs
		}
		if f[3] != "-" {
			m.Users = strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
		}
		for _, w := range f[5:] {
			if strings.HasPrefix(w, "(") && strings.HasSuffix(w, ")") {
				m.Taint = w[1 : len(w)-1]
			}
		}
		mods = append(mods, m)
	})
	return mods, bad
}

// ModuleName gives a module's name from its file: "kernel/fs/fat/vfat.ko.xz" is "vfat".
// The kernel writes "_" where files may have "-".
func ModuleName(file string) string {
	name := file[strings.LastIndexByte(file, '/')+1:]
	if i := strings.Index(name, ".ko"); i >= 0 {
		name = name[:i]
	}
	return strings.ReplaceAll(name, "-", "_")
}

// ModuleFiles gives, from modules.dep or modules.builtin, the files of those modules that
// are wanted, by module name.
func ModuleFiles(b []byte, wanted func(name string) bool) map[string]string {
	out := map[string]string{}
	eachLine(b, func(line []byte, _ int) bool {
		file, _, _ := bytes.Cut(line, []byte{':'})
		name := ModuleName(string(file))
		if name != "" && wanted(name) {
			out[name] = string(file)
		}
		return true
	})
	return out
}

// taints are the bits of /proc/sys/kernel/tainted, lowest first (the kernel's
// admin-guide/tainted-kernels).
var taints = [...]string{
	"proprietary module", "forced module", "kernel out of specification", "forced unload", "machine check",
	"bad page", "requested by user", "died", "overridden ACPI table", "warning", "staging driver", "firmware workaround",
	"out-of-tree module", "unsigned module", "soft lockup", "live patch", "auxiliary", "randstruct", "in-kernel test", "fwctl",
}

// Taints names the bits of /proc/sys/kernel/tainted.
func Taints(mask uint64) []string {
	var out []string
	for bit := range 64 {
		switch {
		case mask&(1<<bit) == 0:
		case bit < len(taints):
			out = append(out, taints[bit])
		default:
			out = append(out, "bit "+strconv.Itoa(bit))
		}
	}
	return out
}

// capabilities are the bits of a capability set, lowest first (linux/capability.h).
var capabilities = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
	"linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
	"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
	"checkpoint_restore",
}

// Capabilities names the bits of a capability set, without "cap_".
func Capabilities(mask uint64) []string {
	var out []string
	for bit := range 64 {
		switch {
		case mask&(1<<bit) == 0:
		case bit < len(capabilities):
			out = append(out, capabilities[bit])
		default:
			out = append(out, strconv.Itoa(bit))
		}
	}
	return out
}

// SysctlSetting is one assignment of sysctl.conf(5) or sysctl.d(5).
type SysctlSetting struct {
	Key    string // with dots: net.ipv4.ip_forward; a * stands for any one component
	Value  string
	Ignore bool // the line starts with "-": errors are ignored
	Except bool // a "-key" without value: systemd leaves the key alone in wildcards
	Line   int  // 1-based
}

// Sysctls reads a sysctl.conf or a file of sysctl.d. Lines of another form are told in bad.
func Sysctls(b []byte) (settings []SysctlSetting, bad []error) {
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			return
		}
		s := SysctlSetting{Line: n}
		key, val, ok := strings.Cut(line, "=")
		key, s.Ignore = strings.CutPrefix(strings.TrimSpace(key), "-")
		s.Key, s.Value = SysctlKey(strings.TrimSpace(key)), strings.TrimSpace(val)
		if !ok {
			s.Except = s.Ignore
		}
		if s.Key == "" || !ok && !s.Except {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not key = value"})
			return
		}
		settings = append(settings, s)
	})
	return settings, bad
}

// SysctlKey writes a key with dots. Where the first separator is a slash the key is a path
// below /proc/sys, and a dot in it (of an interface's name) becomes a slash.
func SysctlKey(s string) string {
	s = strings.TrimPrefix(s, "/proc/sys/")
	i := strings.IndexAny(s, "./")
	if i < 0 || s[i] == '.' {
		return s
	}
	return swapSeparators(s)
}

// SysctlPath gives the file below /proc/sys of a key.
func SysctlPath(key string) string {
	return "/proc/sys/" + swapSeparators(key)
}

// swapSeparators writes dots for slashes and slashes for dots.
func swapSeparators(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch c {
		case '/':
			b[i] = '.'
		case '.':
			b[i] = '/'
		}
	}
	return string(b)
}
