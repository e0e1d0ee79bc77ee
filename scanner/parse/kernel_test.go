package parse

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

const modulesText = `nf_tables 286720 2 nft_chain_nat,nft_compat, Live 0x0000000000000000
vboxdrv 614400 0 - Live 0x0000000000000000 (OE)
dead 4096 - - Unloading 0x0
`

func TestKernelModules(t *testing.T) {
	t.Parallel()
	got, bad := KernelModules([]byte(modulesText + "short\nx big 0 - Live 0x0\n"))
	want := []KernelModule{
		{Name: "nf_tables", Size: 286720, Refs: 2, Users: []string{"nft_chain_nat", "nft_compat"}, State: "Live", Line: 1},
		{Name: "vboxdrv", Size: 614400, State: "Live", Taint: "OE", Line: 2},
		{Name: "dead", Size: 4096, Refs: -1, State: "Unloading", Line: 3},
	}
	if !reflect.DeepEqual(got, want) || len(bad) != 2 {
		t.Errorf("%+v, %v", got, bad)
	}
}

func FuzzKernelModules(f *testing.F) {
	f.Add([]byte(modulesText))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := KernelModules(b)
		for _, m := range got {
			if m.Name == "" || strings.ContainsAny(m.Name, " \n") {
				t.Errorf("%+v", m)
			}
		}
	})
}

func TestModuleFiles(t *testing.T) {
	t.Parallel()
	dep := []byte("kernel/fs/fat/vfat.ko.xz: kernel/fs/fat/fat.ko.xz\nupdates/dkms/v4l2-loop.ko:\nkernel/net/other.ko.zst:\n\n")
	got := ModuleFiles(dep, func(n string) bool { return n != "other" })
	want := map[string]string{"vfat": "kernel/fs/fat/vfat.ko.xz", "v4l2_loop": "updates/dkms/v4l2-loop.ko"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestTaintsAndCapabilities(t *testing.T) {
	t.Parallel()
	if got := Taints(1<<1 | 1<<12 | 1<<13 | 1<<60); !slices.Equal(got, []string{"forced module", "out-of-tree module", "unsigned module", "bit 60"}) {
		t.Errorf("%v", got)
	}
	if got := Capabilities(1<<13 | 1<<21 | 1<<40 | 1<<63); !slices.Equal(got, []string{"net_raw", "sys_admin", "checkpoint_restore", "63"}) {
		t.Errorf("%v", got)
	}
	if Taints(0) != nil || Capabilities(0) != nil {
		t.Error("nothing is not nothing")
	}
}

func TestSysctls(t *testing.T) {
	t.Parallel()
	got, bad := Sysctls([]byte("# c\n; c\nnet.ipv4.ip_forward = 1\n-kernel/core_pattern=|/bin/x %p\n-net.ipv4.conf.*.rp_filter\nnet/ipv4/conf/eth0.1/rp_filter=2\nnonsense\n= 1\n"))
	want := []SysctlSetting{
		{Key: "net.ipv4.ip_forward", Value: "1", Line: 3},
		{Key: "kernel.core_pattern", Value: "|/bin/x %p", Ignore: true, Line: 4},
		{Key: "net.ipv4.conf.*.rp_filter", Ignore: true, Except: true, Line: 5},
		{Key: "net.ipv4.conf.eth0/1.rp_filter", Value: "2", Line: 6},
	}
	if !reflect.DeepEqual(got, want) || len(bad) != 2 {
		t.Errorf("%+v, %v", got, bad)
	}
	if p := SysctlPath("net.ipv4.conf.eth0/1.rp_filter"); p != "/proc/sys/net/ipv4/conf/eth0.1/rp_filter" {
		t.Error(p)
	}
}

func FuzzSysctls(f *testing.F) {
	f.Add([]byte("a.b=1\n-c/d.e = 2\n-x.*\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := Sysctls(b)
		for _, s := range got {
			if s.Key == "" || s.Line < 1 {
				t.Errorf("%+v", s)
			}
			// A key of plain components and its path name each other.
			path := strings.TrimPrefix(SysctlPath(s.Key), "/proc/sys/")
			if first := strings.IndexAny(path, "./"); first > 0 && path[first] == '/' && SysctlKey(path) != s.Key {
				t.Errorf("%q came back as %q", s.Key, SysctlKey(path))
			}
		}
	})
}

func TestBinfmt(t *testing.T) {
	t.Parallel()
	e := BinfmtEntry([]byte("enabled\ninterpreter /usr/bin/qemu-arm\nflags: OCF\noffset 0\nmagic 7f454c46\n"))
	if !e.Enabled || e.Interpreter != "/usr/bin/qemu-arm" || e.Flags != "OCF" {
		t.Errorf("%+v", e)
	}
	if BinfmtEntry([]byte("disabled\ninterpreter /x\n")).Enabled {
		t.Error("enabled")
	}
	got, bad := BinfmtFile([]byte("# c\n:wine:M::MZ::/usr/bin/wine:\n,x,E,,foo,,/opt/x,C\nshort\n"))
	want := []Binfmt{{Name: "wine", Interpreter: "/usr/bin/wine", Enabled: true, Line: 2},
		{Name: "x", Interpreter: "/opt/x", Flags: "C", Enabled: true, Line: 3}}
	if !reflect.DeepEqual(got, want) || len(bad) != 1 {
		t.Errorf("%+v, %v", got, bad)
	}
}

func FuzzBinfmt(f *testing.F) {
	f.Add([]byte("enabled\ninterpreter /x\nflags: C\n"))
	f.Add([]byte(":wine:M::MZ::/usr/bin/wine:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		BinfmtEntry(b)
		got, _ := BinfmtFile(b)
		for _, e := range got {
			if strings.Contains(e.Interpreter, "\n") {
				t.Errorf("%+v", e)
			}
		}
	})
}
