package facts

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

// Kernel is the running kernel, one row.
type Kernel struct {
	Release string   `expr:"release" json:"release" doc:"uname -r"`
	Version string   `expr:"version" json:"version" doc:"uname -v"`
	Machine string   `expr:"machine" json:"machine" doc:"uname -m"`
	Tainted uint64   `expr:"tainted" json:"tainted" doc:"/proc/sys/kernel/tainted, 0 when clean"`
	Taints  []string `expr:"taints" json:"taints,omitempty" doc:"its bits in words: forced module, unsigned module, out-of-tree module, proprietary module, ..."`
	// Unexplained are those of Taints that come with a module which is in no list now.
	Unexplained []string `expr:"unexplained_taints" json:"unexplained_taints,omitempty" doc:"marks of a forced or unsigned module although no loaded module carries them"`
	Cmdline     string   `expr:"cmdline" json:"cmdline,omitempty" doc:"boot command line"`
	Params      []string `expr:"params" json:"params,omitempty" doc:"its words"`
	LSM         []string `expr:"lsm" json:"lsm,omitempty" doc:"security modules in force"`
	SELinux     string   `expr:"selinux" json:"selinux,omitempty" doc:"enforcing, permissive, or empty without SELinux"`
	AppArmor    bool     `expr:"apparmor" json:"apparmor,omitempty" doc:"AppArmor is on"`
	Lockdown    string   `expr:"lockdown" json:"lockdown,omitempty" doc:"none, integrity, confidentiality; empty when the kernel has none"`
	EFI         bool     `expr:"efi" json:"efi,omitempty" doc:"booted by EFI"`
	Secure      bool     `expr:"secure_boot" json:"secure_boot,omitempty" doc:"EFI Secure Boot is on"`
	SetupMode   bool     `expr:"setup_mode" json:"setup_mode,omitempty" doc:"EFI takes new keys from anyone"`
	ShimOff     bool     `expr:"shim_validation_off" json:"shim_validation_off,omitempty" doc:"shim was told not to check signatures"`
	// Vulnerable names what the kernel itself says it is open to.
	Vulnerable  []string `expr:"vulnerable" json:"vulnerable,omitempty" doc:"processor flaws without mitigation, as NAME: TEXT from /sys/devices/system/cpu/vulnerabilities"`
	NoModules   bool     `expr:"modules_disabled" json:"modules_disabled,omitempty" doc:"no more modules can be loaded"`
	UnsignedMod bool     `expr:"unsigned_modules_allowed" json:"unsigned_modules_allowed,omitempty" doc:"the kernel loads modules without a good signature"`
	Where       string   `expr:"where" json:"-" doc:"/proc/sys/kernel"`
	scanner.Unread
}

const (
	vulnerabilities = "/sys/devices/system/cpu/vulnerabilities"
	efivars         = "/sys/firmware/efi/efivars"
	efiGlobal       = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	efiShim         = "-605dab50-e046-4300-abb6-3dd810dd8b23"
)

func kernelCollector() scanner.Collector {
	return scanner.Collector{
		Table: "kernel", Doc: "the running kernel, one row", Row: Kernel{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceUname},
			Globs: []string{"/proc/sys/kernel/tainted", "/proc/sys/kernel/modules_disabled", "/proc/cmdline", "/sys/kernel/security/lsm",
				"/sys/kernel/security/lockdown", "/sys/fs/selinux/enforce", "/sys/module/apparmor/parameters/enabled",
				"/sys/module/module/parameters/sig_enforce", vulnerabilities, vulnerabilities + "/*", efivars + "/SecureBoot-*",
				efivars + "/SetupMode-*", efivars + "/MokSBStateRT-*"},
			Meta: []string{"/sys/firmware/efi", "/proc/modules"}},
		Needs:   []string{"kernel_modules"},
		Collect: collectKernel,
	}
}

func collectKernel(ctx context.Context, in *scanner.Input) scanner.Table {
	u, absent := probed[probe.Uname](ctx, in, scanner.SourceUname)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	k := &kernelReader{fsys: in.Device.FS()}
	k.row = Kernel{Release: u.Release, Version: u.Version, Machine: u.Machine, Where: "/proc/sys/kernel"}
	k.taint()
	k.unexplained(in)
	k.modules()
	k.row.Cmdline, _ = k.text("/proc/cmdline", "cmdline", "params")
	k.row.Params = strings.Fields(k.row.Cmdline)
	k.security()
	k.secureBoot()
	k.flaws()
	return scanner.Table{Rows: []Kernel{k.row}}
}

type kernelReader struct {
	fsys scanner.FS
	row  Kernel
}

// text reads a one-line file. What is not there is not there; what may not be read makes the
// columns unread.
func (k *kernelReader) text(name string, columns ...string) (text string, there bool) {
	b, err := scanner.ReadFile(k.fsys, name, maxSmallFile)
	if err == nil {
		return strings.TrimSpace(string(b)), true
	}
	if !errors.Is(err, fs.ErrNotExist) {
		k.unread(scanner.Reason(err), columns...)
	}
	return "", false
}

func (k *kernelReader) unread(why string, columns ...string) {
	for _, c := range columns {
		k.row.MarkUnread(c, why)
	}
}

func (k *kernelReader) taint() {
	text, there := k.text("/proc/sys/kernel/tainted", "tainted", "taints")
	if !there {
		k.unread("/proc/sys/kernel/tainted does not exist", "tainted", "taints")
		return
	}
	mask, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		k.unread("/proc/sys/kernel/tainted is no number", "tainted", "taints")
	}
	k.row.Tainted, k.row.Taints = mask, parse.Taints(mask)
}

// unexplained compares the kernel's marks with the modules that it lists.
func (k *kernelReader) unexplained(in *scanner.Input) {
	mods, absent := scanner.Rows[KernelModule](in, "kernel_modules")
	if absent != "" {
		k.unread(absent, "unexplained_taints")
		return
	}
	for _, c := range []struct {
		mark string
		of   func(m KernelModule) bool
	}{
		{"forced module", func(m KernelModule) bool { return m.Forced }},
		{"unsigned module", func(m KernelModule) bool { return m.Unsigned }},
	} {
		if slices.Contains(k.row.Taints, c.mark) && !slices.ContainsFunc(mods, c.of) {
			k.row.Unexplained = append(k.row.Unexplained, c.mark)
		}
	}
	if why, ok := k.row.Unread.Unread["taints"]; ok {
		k.unread(why, "unexplained_taints")
	}
}

func (k *kernelReader) modules() {
	off, there := k.text("/proc/sys/kernel/modules_disabled", "modules_disabled", "unsigned_modules_allowed")
	_, err := k.fsys.Lstat("/proc/modules")
	k.row.NoModules = there && off != "0" || errors.Is(err, fs.ErrNotExist)
	enforced, _ := k.text("/sys/module/module/parameters/sig_enforce", "unsigned_modules_allowed")
	k.row.UnsignedMod = !k.row.NoModules && enforced != "Y"
}

func (k *kernelReader) security() {
	lsm, there := k.text("/sys/kernel/security/lsm", "lsm")
	if there {
		k.row.LSM = strings.Split(lsm, ",")
	}
	if enforce, there := k.text("/sys/fs/selinux/enforce", "selinux"); there {
		k.row.SELinux = "permissive"
		if enforce == "1" {
			k.row.SELinux = "enforcing"
		}
	}
	on, _ := k.text("/sys/module/apparmor/parameters/enabled", "apparmor")
	k.row.AppArmor = on == "Y"
	if !there { // securityfs is not mounted, or the kernel is older than 4.11
		switch {
		case k.row.SELinux != "":
			k.row.LSM = []string{"selinux"}
		case k.row.AppArmor:
			k.row.LSM = []string{"apparmor"}
		case k.row.Unread.Unread["lsm"] == "":
			k.unread("/sys/kernel/security/lsm does not exist", "lsm")
		}
	}
	// "none [integrity] confidentiality": brackets mark the one in force.
	states, _ := k.text("/sys/kernel/security/lockdown", "lockdown")
	if _, rest, ok := strings.Cut(states, "["); ok {
		k.row.Lockdown, _, _ = strings.Cut(rest, "]")
	}
	if slices.Contains(k.row.Params, "apparmor=0") {
		k.row.AppArmor = false
	}
}

func (k *kernelReader) secureBoot() {
	_, err := k.fsys.Lstat("/sys/firmware/efi")
	k.row.EFI = err == nil
	if !k.row.EFI {
		if !errors.Is(err, fs.ErrNotExist) {
			k.unread(scanner.Reason(err), "efi", "secure_boot", "setup_mode", "shim_validation_off")
		}
		return
	}
	k.row.Secure = k.efiFlag("SecureBoot"+efiGlobal, "secure_boot")
	k.row.SetupMode = k.efiFlag("SetupMode"+efiGlobal, "setup_mode")
	k.row.ShimOff = k.efiFlag("MokSBStateRT"+efiShim, "shim_validation_off")
}

// efiFlag reads an EFI variable: four bytes of attributes, then the value.
func (k *kernelReader) efiFlag(name, column string) bool {
	b, err := scanner.ReadFile(k.fsys, efivars+"/"+name, maxSmallFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.unread(scanner.Reason(err), column)
	}
	return err == nil && len(b) > 4 && b[4] == 1
}

func (k *kernelReader) flaws() {
	list, err := k.fsys.ReadDir(vulnerabilities)
	if err != nil {
		k.unread(scanner.Reason(err), "vulnerable")
		return
	}
	for _, f := range list {
		text, _ := k.text(vulnerabilities+"/"+f.Name, "vulnerable")
		if strings.HasPrefix(text, "Vulnerable") {
			k.row.Vulnerable = append(k.row.Vulnerable, f.Name+": "+text)
		}
	}
}
