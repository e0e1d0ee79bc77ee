package facts

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// packaged is a small dpkg database that owns the programs of the tests.
const packaged = `-- etc/os-release --
ID=debian
-- etc/passwd --
root:x:0:0::/root:/bin/sh
-- var/lib/dpkg/status --
Package: base
Status: install ok installed
Architecture: amd64
Version: 1

-- var/lib/dpkg/info/base.list --
/.
/usr
/usr/bin
/usr/bin/dash
/usr/bin/python3.12
/usr/sbin/sshd
/usr/lib
/usr/lib/libgood.so
/usr/lib/systemd/systemd-coredump
/usr/share/app/main.py
/lib/modules/6.1/kernel/good.ko
/usr/bin/qemu-arm
`

// collectLive runs a collector, and before it those whose tables it needs.
func collectLive(t *testing.T, table, tree string) scanner.Table {
	t.Helper()
	dev, err := device.Txtar([]byte(tree))
	if err != nil {
		t.Fatal(err)
	}
	in := &scanner.Input{Device: dev, Tables: map[string]*scanner.Table{}, Options: &scanner.Options{Now: time.Unix(1767225600, 0)}}
	var run func(name string)
	run = func(name string) {
		for _, c := range Collectors() {
			if c.Table != name || in.Tables[name] != nil {
				continue
			}
			for _, n := range c.Needs {
				run(n)
			}
			got := c.Collect(context.Background(), in)
			in.Tables[name] = &got
		}
	}
	run(table)
	if in.Tables[table] == nil {
		t.Fatalf("no collector fills %s", table)
	}
	return *in.Tables[table]
}

// rowsBy gives a table's rows by a key.
func rowsBy[T any](t *testing.T, tab scanner.Table, key func(*T) string) map[string]*T {
	t.Helper()
	rows, ok := tab.Rows.([]T)
	if !ok {
		t.Fatalf("no rows: absent %q, not applicable %q", tab.Absent, tab.Inapplicable)
	}
	out := map[string]*T{}
	for i := range rows {
		out[key(&rows[i])] = &rows[i]
	}
	return out
}

func process(pid int, more string) string {
	return fmt.Sprintf(`{"pid":%d,"ppid":1,"name":"p%d","state":"S","uid":0,"euid":0,"gid":0,"same_root":true,"same_pidns":true,`+
		`"same_netns":true,"cap_eff":"2000","login_uid":-1%s}`, pid, pid, more)
}

func processTree(sockets string, procs ...string) string {
	return packaged + "-- proc/self/mountinfo --\n23 22 0:21 / /proc rw - proc proc rw\n" +
		"-- probe/processes --\n[" + strings.Join(procs, ",\n") + "]\n-- probe/sockets --\n[" + sockets + "]\n"
}

func TestProcessesTellOwnersAndSockets(t *testing.T) {
	t.Parallel()
	const inet = `{"proto":"tcp","family":4,"local_addr":"10.0.0.2","local_port":4444,"remote_addr":"10.0.0.9","remote_port":80,"state":"ESTABLISHED","uid":0,"inode":77,"pids":[10],"same_netns":true}`
	tab := collectLive(t, "processes", processTree(inet,
		process(1, `,"exe":"/usr/sbin/sshd"`),
		process(10, `,"args":["sh","-i"],"exe":"/usr/bin/dash","stdin":"socket:[77]","stdout":"socket:[77]"`),
		process(11, `,"exe":"/usr/bin/dash","stdin":"socket:[77]","stdout":"socket:[78]"`),
		process(12, `,"exe":"/usr/bin/dash","stdin":"socket:[99]","stdout":"socket:[99]"`),
		process(13, `,"exe":"/opt/x","tracer":10,"env":{"LD_PRELOAD":"/usr/lib/libgood.so:/tmp/evil.so libplain.so"}`),
		process(14, `,"exe":"/memfd:x","exe_memfd":true`),
		process(15, `,"args":["python3","-u","/usr/share/app/main.py","-c"],"exe":"/usr/bin/python3.12","cwd":"/"`),
		process(16, `,"args":["python3","run.py"],"exe":"/usr/bin/python3.12","cwd":"/home/u"`),
		process(17, `,"args":["sh","-c","echo"],"exe":"/usr/bin/dash"`),
		process(18, `,"unread":{"exe":"process 18 belongs to another user","env":"no","stdin":"no"}`),
	))
	if len(tab.Partial) > 0 {
		t.Error(tab.Partial)
	}
	p := rowsBy(t, tab, func(p *Process) string { return fmt.Sprint(p.PID) })
	if s := p["10"]; !s.ExeOwned || s.ExePackage != "base" || s.ExeName != "dash" || s.Argv0 != "sh" || s.Cmdline != "sh -i" ||
		s.StdioSocket != "tcp 10.0.0.2:4444 10.0.0.9:80" || s.ParentExe != "/usr/sbin/sshd" || !slices.Equal(s.Caps, []string{"net_raw"}) {
		t.Errorf("%+v", s)
	}
	if p["11"].StdioSocket != "" || p["12"].StdioSocket != "" {
		t.Errorf("two sockets, and a local one, pass for a network shell: %q, %q", p["11"].StdioSocket, p["12"].StdioSocket)
	}
	if s := p["13"]; s.ExeOwned || s.TracerExe != "/usr/bin/dash" ||
		!slices.Equal(s.Preload, []string{"/usr/lib/libgood.so", "/tmp/evil.so", "libplain.so"}) ||
		!slices.Equal(s.PreloadUnowned, []string{"/tmp/evil.so"}) {
		t.Errorf("%+v", s)
	}
	if s := p["14"]; s.ExeOwned || len(s.Unread.Unread) != 0 {
		t.Errorf("a program in memory has no owner, and that is known: %+v", s)
	}
	for pid, want := range map[string]string{"15": "/usr/share/app/main.py true", "16": "/home/u/run.py false", "17": " false", "1": " false"} {
		if got := fmt.Sprint(p[pid].Script, " ", p[pid].ScriptOwned); got != want {
			t.Errorf("process %s runs script %q, want %q", pid, got, want)
		}
	}
	for _, c := range []string{"exe_owned", "exe_name", "script", "preload", "stdio_socket"} {
		if p["18"].Unread.Unread[c] == "" {
			t.Errorf("column %s follows from one that was not read, and is told as if it were", c)
		}
	}
}

func TestProcessesOfContainersAreNotJudgedByOurPackages(t *testing.T) {
	t.Parallel()
	inside := strings.Replace(process(20, `,"exe":"/usr/sbin/sshd","container":"c1"`), `"same_root":true`, `"same_root":false`, 1)
	p := rowsBy(t, collectLive(t, "processes", processTree("", inside)), func(p *Process) string { return fmt.Sprint(p.PID) })
	if s := p["20"]; s.ExeOwned || !strings.Contains(s.Unread.Unread["exe_owned"], "container") {
		t.Errorf("%+v", s)
	}
}

func TestProcessesWithoutPackagesHaveNoKnownOwner(t *testing.T) {
	t.Parallel()
	tree := "-- etc/os-release --\nID=x\n-- proc/self/mountinfo --\n-- probe/sockets --\n[]\n-- probe/processes --\n[" + process(1, `,"exe":"/opt/x"`) + "]\n"
	p := rowsBy(t, collectLive(t, "processes", tree), func(p *Process) string { return fmt.Sprint(p.PID) })
	if p["1"].Unread.Unread["exe_owned"] == "" {
		t.Errorf("no package database, and yet: %+v", p["1"])
	}
}

func TestLiveTablesAreAbsentOnTrees(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"processes", "mappings", "sockets", "interfaces", "routes", "neighbours", "mounts", "kernel",
		"kernel_modules", "hidden_processes", "hidden_ports", "bpf_programs"} {
		if tab := collectLive(t, table, packaged); tab.Absent != needsLive || tab.Rows != nil {
			t.Errorf("%s: absent %q, rows %v", table, tab.Absent, tab.Rows)
		}
	}
}

func TestDamagedAndDeniedProbesAreAbsent(t *testing.T) {
	t.Parallel()
	for name, probe := range map[string]string{
		"damaged": "-- probe/processes --\n[{\"pid\":\n",
		"denied":  "-- probe/processes denied --\n",
		"missing": "-- probe/uname --\n{}\n",
	} {
		if tab := collectLive(t, "processes", packaged+probe); tab.Absent == "" || tab.Rows != nil {
			t.Errorf("%s: absent %q, rows %v", name, tab.Absent, tab.Rows)
		}
	}
}

func TestOtherUsersProcessesHiddenByTheMount(t *testing.T) {
	t.Parallel()
	tree := "root: no\nlive: yes\n" + packaged + "-- proc/self/mountinfo --\n23 22 0:21 / /proc rw - proc proc rw,hidepid=invisible\n" +
		"-- probe/processes --\n[]\n-- probe/sockets --\n[]\n"
	if tab := collectLive(t, "processes", tree); len(tab.Partial) != 1 || !strings.Contains(tab.Partial[0], "hidepid") {
		t.Errorf("partial %v, absent %q", tab.Partial, tab.Absent)
	}
}

func TestSocketsTellTheirHolders(t *testing.T) {
	t.Parallel()
	sock := func(port int, more string) string {
		return fmt.Sprintf(`{"proto":"tcp","family":4,"local_addr":"0.0.0.0","local_port":%d,"state":"LISTEN","listening":true,"wildcard":true,"uid":0,"inode":%d,"same_netns":true%s}`, port, port, more)
	}
	tab := collectLive(t, "sockets", processTree(
		sock(22, `,"pids":[1]`)+","+sock(23, `,"pids":[1,2]`)+","+sock(24, "")+","+sock(25, `,"unread":{"pids":"run as root"}`)+","+sock(26, `,"pids":[3]`),
		process(1, `,"exe":"/usr/sbin/sshd"`), process(2, `,"exe":"/tmp/x"`), process(3, `,"unread":{"exe":"run as root"}`)))
	s := rowsBy(t, tab, func(s *Socket) string { return fmt.Sprint(s.LocalPort) })
	if s["22"].Exe != "/usr/sbin/sshd" || !s["22"].ExeOwned || s["22"].Where != "/proc/net/tcp" {
		t.Errorf("%+v", s["22"])
	}
	if s["23"].ExeOwned {
		t.Error("one of two holders has no package, and the socket passes for a packaged one")
	}
	for _, port := range []string{"24", "25", "26"} {
		if s[port].Unread.Unread["exe_owned"] == "" || s[port].Unread.Unread["exe"] == "" {
			t.Errorf("nobody knows who holds port %s, and yet: %+v", port, s[port])
		}
	}
}

func TestNeighboursWithTheGatewaysAddress(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- probe/routes --
[{"family":4,"dst":"0.0.0.0/0","default":true,"gateway":"10.0.0.1","interface":"eth0","table":254}]
-- probe/neighbours --
[{"family":4,"ip":"10.0.0.1","mac":"02:00:00:00:00:01","interface":"eth0","state":"reachable"},
{"family":4,"ip":"10.0.0.66","mac":"02:00:00:00:00:01","interface":"eth0","state":"stale"},
{"family":4,"ip":"10.0.0.67","mac":"02:00:00:00:00:01","interface":"wlan0","state":"permanent"},
{"family":6,"ip":"fe80::1","mac":"02:00:00:00:00:01","interface":"eth0","state":"stale"},
{"family":4,"ip":"10.0.0.9","interface":"eth0","state":"failed"},
{"family":4,"ip":"10.0.0.10","interface":"eth0","state":"failed"}]
`
	n := rowsBy(t, collectLive(t, "neighbours", tree), func(n *Neighbour) string { return n.IP })
	if g := n["10.0.0.1"]; !g.Gateway || !slices.Equal(g.SameMAC, []string{"10.0.0.66"}) {
		t.Errorf("%+v", g)
	}
	if x := n["10.0.0.67"]; x.Gateway || len(x.SameMAC) != 0 || !x.Static {
		t.Errorf("another interface: %+v", x)
	}
	if len(n["fe80::1"].SameMAC) != 0 || len(n["10.0.0.9"].SameMAC) != 0 {
		t.Error("the two families of one host, or unresolved addresses, pass for duplicates")
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- probe/uname --
{}
-- etc/fstab --
UUID=1 / ext4 defaults 0 1
tmpfs /var/log tmpfs size=10m 0 0
-- etc/systemd/system/srv-my\x2ddata.mount --
[Mount]
-- etc/hosts --
127.0.0.1 localhost
-- proc/self/mountinfo --
1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw
2 1 0:5 / /var/log rw,nosuid,nodev,noexec - tmpfs tmpfs rw
3 1 8:2 / /srv/my-data rw - ext4 /dev/sdb1 rw
4 1 0:6 / /proc/4242 rw - tmpfs tmpfs rw
5 1 8:1 /x /etc/hosts rw - ext4 /dev/sda1 ro
damaged
-- proc/1/mountinfo --
1 0 8:1 / / ro,relatime - ext4 /dev/sda1 rw
9 1 0:9 / /proc/1 rw - tmpfs tmpfs rw
`
	tab := collectLive(t, "mounts", tree)
	if len(tab.Partial) != 1 || !strings.Contains(tab.Partial[0], "mountinfo") {
		t.Errorf("partial %v", tab.Partial)
	}
	m := rowsBy(t, tab, func(m *Mount) string { return m.Target })
	got := map[string]string{}
	for target, r := range m {
		got[target] = fmt.Sprintf("declared=%v pid=%d file=%v ro=%v/%v/%v nosuid=%v init=%v", r.Declared, r.PID, r.File, r.MountReadOnly, r.SuperReadOnly, r.ReadOnly, r.NoSuid, r.Init)
	}
	want := map[string]string{
		"/":            "declared=true pid=0 file=false ro=true/false/true nosuid=false init=false",
		"/var/log":     "declared=true pid=0 file=false ro=false/false/false nosuid=true init=false",
		"/srv/my-data": "declared=true pid=0 file=false ro=false/false/false nosuid=false init=false",
		"/proc/4242":   "declared=false pid=4242 file=false ro=false/false/false nosuid=false init=false",
		"/etc/hosts":   "declared=false pid=0 file=true ro=false/true/true nosuid=false init=false",
		"/proc/1":      "declared=false pid=1 file=false ro=false/false/false nosuid=false init=true",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestMountUnitNames(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{"/": "-.mount", "/var/log": "var-log.mount", "/srv/my-data": `srv-my\x2ddata.mount`,
		"/.hidden": `\x2ehidden.mount`, "/a b": `a\x20b.mount`} {
		if got := mountUnit(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestKernelModulesInBothLists(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- probe/uname --
{"release":"6.1"}
-- proc/modules --
good 16384 0 - Live 0x0
built 4096 1 good, Live 0x0 (OE)
shy 4096 0 - Live 0x0
-- sys/module/good/initstate --
live
-- sys/module/built/initstate --
live
-- sys/module/rootkit/initstate --
live
-- sys/module/rootkit/taint --
OE
-- sys/module/printk/parameters/time --
Y
-- lib/modules/6.1/modules.dep --
kernel/good.ko:
updates/dkms/built.ko: kernel/good.ko
`
	tab := collectLive(t, "kernel_modules", tree)
	got := map[string]string{}
	for name, m := range rowsBy(t, tab, func(m *KernelModule) string { return m.Name }) {
		got[name] = fmt.Sprintf("proc=%v sys=%v out=%v unsigned=%v file=%s owned=%v", m.InProc, m.InSys, m.OutOfTree, m.Unsigned, m.File, m.FileOwned)
	}
	want := map[string]string{
		"good":    "proc=true sys=true out=false unsigned=false file=/lib/modules/6.1/kernel/good.ko owned=true",
		"built":   "proc=true sys=true out=true unsigned=true file=/lib/modules/6.1/updates/dkms/built.ko owned=false",
		"shy":     "proc=true sys=false out=false unsigned=false file= owned=false",
		"rootkit": "proc=false sys=true out=true unsigned=true file= owned=false",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if tab := collectLive(t, "kernel_modules", packaged+"-- probe/uname --\n{}\n"); tab.Inapplicable == "" {
		t.Errorf("a kernel without modules: %+v", tab)
	}
}

func TestKernel(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- probe/uname --
{"release":"6.1","machine":"x86_64"}
-- proc/sys/kernel/tainted --
12289
-- proc/cmdline --
BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet
-- proc/modules --
-- proc/sys/kernel/modules_disabled --
0
-- sys/kernel/security/lsm --
lockdown,capability,yama,apparmor
-- sys/kernel/security/lockdown --
none [integrity] confidentiality
-- sys/module/apparmor/parameters/enabled --
Y
-- sys/devices/system/cpu/vulnerabilities/meltdown --
Not affected
-- sys/devices/system/cpu/vulnerabilities/mds --
Vulnerable: no microcode
-- sys/firmware/efi/x --
-- sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c --
` + "\x06\x00\x00\x00\x01"
	tab := collectLive(t, "kernel", tree)
	k := rowsBy(t, tab, func(k *Kernel) string { return k.Release })["6.1"]
	if k == nil || len(k.Unread.Unread) != 0 {
		t.Fatalf("%+v", k)
	}
	if !slices.Equal(k.Taints, []string{"proprietary module", "out-of-tree module", "unsigned module"}) || k.Params[2] != "quiet" ||
		!slices.Contains(k.LSM, "apparmor") || !k.AppArmor || k.Lockdown != "integrity" || k.SELinux != "" || k.NoModules || !k.UnsignedMod ||
		!slices.Equal(k.Vulnerable, []string{"mds: Vulnerable: no microcode"}) || !k.EFI || !k.Secure || k.SetupMode {
		t.Errorf("%+v", k)
	}
	bare := collectLive(t, "kernel", packaged+"-- probe/uname --\n{\"release\":\"3.4\"}\n-- sys/kernel/security/lockdown denied --\n")
	k = rowsBy(t, bare, func(k *Kernel) string { return k.Release })["3.4"]
	for _, c := range []string{"tainted", "lsm", "vulnerable", "lockdown"} {
		if k.Unread.Unread[c] == "" {
			t.Errorf("nobody could read column %s, and yet: %+v", c, k)
		}
	}
}

func TestSysctlsMergeInOrder(t *testing.T) {
	t.Parallel()
	conf := packaged + `-- usr/lib/sysctl.d/10-a.conf --
kernel.kptr_restrict = 0
kernel.sysrq = 1
-- etc/sysctl.d/10-a.conf --
kernel.kptr_restrict = 2
-- run/sysctl.d/90-z.conf --
net/ipv4/ip_forward=1
net.ipv6.conf.eth0.stable_secret=abc
damaged
-- etc/sysctl.d/95-off.conf link=/dev/null --
-- usr/lib/sysctl.d/95-off.conf --
kernel.sysrq = 7
-- etc/sysctl.conf --
net.ipv4.ip_forward=0
kernel/../../../etc/passwd = 1
net.ipv4.conf.*.rp_filter = 1
`
	tab := collectLive(t, "sysctls", conf)
	if len(tab.Partial) != 1 || !strings.Contains(tab.Partial[0], "90-z.conf") {
		t.Errorf("partial %v", tab.Partial)
	}
	s := rowsBy(t, tab, func(s *Sysctl) string { return s.Key })
	for key, want := range map[string]string{"kernel.kptr_restrict": "2 /etc/sysctl.d/10-a.conf:1", "net.ipv4.ip_forward": "0 /etc/sysctl.conf:1"} {
		if got := s[key]; got == nil || got.Value+" "+got.Where != want || got.Live {
			t.Errorf("%s: %+v", key, got)
		}
	}
	if s["kernel.sysrq"] != nil || s["net.ipv6.conf.eth0.stable_secret"] != nil {
		t.Error("a hidden file, or a secret, was read")
	}

	live := collectLive(t, "sysctls", conf+`-- probe/uname --
{}
-- proc/sys/kernel/kptr_restrict --
1
-- proc/sys/kernel/core_pattern --
|/usr/lib/x %P
-- proc/sys/net/ipv4/conf/eth0.1/accept_redirects --
1
-- proc/sys/kernel/yama/ptrace_scope denied --
`)
	s = rowsBy(t, live, func(s *Sysctl) string { return s.Key })
	if r := s["kernel.kptr_restrict"]; r.Value != "1" || !r.Live || r.Configured != "2" || r.Config != "/etc/sysctl.d/10-a.conf:1" {
		t.Errorf("%+v", r)
	}
	if r := s["net.ipv4.conf.eth0/1.accept_redirects"]; r == nil || r.Value != "1" || r.Interface != "eth0.1" {
		t.Errorf("%+v", r)
	}
	if r := s["kernel.yama.ptrace_scope"]; r == nil || r.Unread.Unread["value"] == "" {
		t.Errorf("%+v", r)
	}
	for _, r := range s {
		if strings.Contains(r.Value, "root:") {
			t.Errorf("a setting led out of /proc/sys: %+v", r)
		}
	}
}

func TestKernelHelpers(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- probe/uname --
{}
-- usr/lib/systemd/systemd-coredump --
x
-- proc/sys/kernel/core_pattern --
|/usr/lib/systemd/systemd-coredump %P
-- proc/sys/kernel/modprobe --
/tmp/modprobe
-- sys/kernel/uevent_helper --

-- sys/fs/cgroup/memory/release_agent --
/tmp/agent
-- proc/sys/fs/binfmt_misc/status --
enabled
-- proc/sys/fs/binfmt_misc/arm --
enabled
interpreter /usr/bin/qemu-arm
flags: OC
-- proc/sys/fs/binfmt_misc/off --
disabled
interpreter /tmp/x
`
	got := map[string]string{}
	for k, h := range rowsBy(t, collectLive(t, "kernel_helpers", tree), func(h *KernelHelper) string { return h.Kind + h.Name }) {
		got[k] = fmt.Sprint(h.Program, " ", h.Owned, h.Exists, h.Live, h.Flags, " ", h.Where)
	}
	want := map[string]string{
		"core_pattern":  "/usr/lib/systemd/systemd-coredump true true true /proc/sys/kernel/core_pattern",
		"modprobe":      "/tmp/modprobe false false true /proc/sys/kernel/modprobe",
		"release_agent": "/tmp/agent false false true /sys/fs/cgroup/memory/release_agent",
		"binfmtarm":     "/usr/bin/qemu-arm true false trueOC /proc/sys/fs/binfmt_misc/arm",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	image := packaged + "-- etc/sysctl.d/a.conf --\nkernel.core_pattern = |/opt/x %p\n-- etc/binfmt.d/w.conf --\n:wine:M::MZ::/opt/wine:C\n-- usr/lib/binfmt.d/w.conf --\n:hidden:M::MZ::/opt/no:\n"
	got = map[string]string{}
	for k, h := range rowsBy(t, collectLive(t, "kernel_helpers", image), func(h *KernelHelper) string { return h.Kind + h.Name }) {
		got[k] = fmt.Sprint(h.Program, " ", h.Owned, h.Live, h.Flags, " ", h.Where)
	}
	want = map[string]string{"core_pattern": "/opt/x false false /etc/sysctl.d/a.conf:1", "binfmtwine": "/opt/wine false falseC /etc/binfmt.d/w.conf:1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestHiddenTablesSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- probe/hidden-pids --
{"hidden":[{"pid":666,"name":"x","seen":["kill"]}],"up_to":10,"max":20,"incomplete":"out of time"}
-- probe/hidden-ports --
{"hidden":[{"proto":"tcp","port":31337,"seen":"bind"}],"asked":["bind"]}
`
	p := collectLive(t, "hidden_processes", tree)
	if rows := p.Rows.([]HiddenProcess); len(rows) != 1 || rows[0].PID != 666 || rows[0].Where != "/proc/666" || len(p.Partial) != 1 {
		t.Errorf("%+v", p)
	}
	q := collectLive(t, "hidden_ports", tree)
	if rows := q.Rows.([]HiddenPort); len(rows) != 1 || rows[0].Port != 31337 || len(q.Partial) != 0 {
		t.Errorf("%+v", q)
	}
}

func TestBPFProgramsTellTheirHolder(t *testing.T) {
	t.Parallel()
	tree := processTree("", process(1, `,"exe":"/tmp/spy"`)) + "-- probe/bpf --\n[{\"id\":7,\"type\":\"kprobe\",\"uid\":0,\"tracing\":true,\"pids\":[1]},{\"id\":8,\"type\":\"xdp\",\"uid\":0}]\n"
	b := rowsBy(t, collectLive(t, "bpf_programs", tree), func(b *BPFProgram) string { return fmt.Sprint(b.ID) })
	if b["7"].Exe != "/tmp/spy" || b["7"].ExeOwned || b["8"].Exe != "" {
		t.Errorf("%+v", b)
	}
}
