package parse

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
)

const (
	ipAddrText = `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
3: wlan0@if2: <BROADCAST,UP> mtu 1400 state UP qlen 1000
    link/ether 02:AB:cd:00:00:01 brd ff:ff:ff:ff:ff:ff
    inet6 fe80::1/64 scope link 
    inet nonsense scope global
9: tun0: <POINTOPOINT,UP> mtu 1500 state UNKNOWN
    inet 10.0.0.1 peer 10.0.0.2/32 scope global tun0
nonsense
------ 0.021s was the duration of 'IPv4 ADDRESSES' ------
-------------------------------------------------------------------------------
`
	ipRouteText = `default via 192.0.2.1 dev wlan0 table 1003 proto static metric 10
192.0.2.0/24 dev wlan0 proto kernel scope link src 192.0.2.9
unreachable default dev lo table 0 metric 4294967295 error -101 pref medium
local fe80::1 dev lo proto unspec metric 0
10/8 dev eth0
default via fe80::9 dev wlan0
default via inet6 fe80::9 dev wlan0
default
	nexthop via 192.0.2.3 dev wlan0 weight 1
what is this
`
	ipRuleText = "0:\tfrom all lookup local \n10500:\tfrom all iif lo oif wlan0 uidrange 0-0 lookup wlan0\n13000:\tfrom all fwmark 0x0/0x20000 iif lo uidrange 10123-10123 lookup tun0\n" +
		"14000:\tnot from 10.0.0.0/8 to 192.0.2.1 lookup 99\n32000:\tfrom all unreachable\nbroken\n"
	ipNeighText = "192.0.2.1 dev wlan0 lladdr 02:AB:00:00:00:01 router REACHABLE\n192.0.2.7 dev wlan0  FAILED\nfe80::1 dev wlan0 lladdr 02:ab:00:00:00:01 STALE\nx dev y z\n"
	netstatText = `Active Internet connections (established and servers)
Proto Recv-Q Send-Q Local Address           Foreign Address         State       User       Inode      PID/Program Name
tcp        0      0 0.0.0.0:5555            0.0.0.0:*               LISTEN      2000       12345      999/adbd
tcp6       0      0 ::ffff:192.0.2.9:443    2001:db8::1:52000       ESTABLISHED u0_a123    54321      -
udp        0      0 127.0.0.1:53            0.0.0.0:*                           root       7          12/dns masq
udp6       0      0 :::5353                 :::*                                1020       8          -
tcp        0      0 localhost:80            0.0.0.0:*               LISTEN      0          1          -
Active UNIX domain sockets (servers and established)
Proto RefCnt Flags       Type       State           I-Node Path
unix  2      [ ]         DGRAM                       11824 /dev/socket/wpa_wlan0
`
	netstatToolbox = "Proto Recv-Q Send-Q Local Address          Foreign Address        State\n tcp       0      0 127.0.0.1:5037         0.0.0.0:*              LISTEN\n udp       0      0 0.0.0.0:68             0.0.0.0:*              CLOSE\n"
	mountText      = `/dev/block/dm-0 on / type ext4 (ro,seclabel,relatime)
tmpfs on /mnt/my\040dir type tmpfs (rw,seclabel)
/dev/block/platform/by-name/system /system ext4 ro,seclabel,relatime 0 0
overlay on /product/overlay type overlay (ro,lowerdir=/a:/b)
nonsense here
x on /y type
`
	logText = `--------- beginning of main
08-14 21:22:18.650  root     0     0 I auditd  : type=2000 private
08-14 21:22:19.000 u0_a123  1234  1240 F libc    : Fatal signal 11 private words
--------- beginning of system
2024-08-14 21:22:20.283 +0200  1867  1868 F wtf_tag: private
free text without a head
08-14 21:22:21.000  1867  1868 Q odd: priority
--------- switch to main
08-14 21:22:22.000  1867  1868 D x: y
`
)

func TestIPAddrs(t *testing.T) {
	t.Parallel()
	got, bad := IPAddrs([]byte(ipAddrText))
	pre, addr := netip.MustParsePrefix, netip.MustParseAddr
	want := []IPInterface{
		{Index: 1, Name: "lo", Flags: []string{"LOOPBACK", "UP", "LOWER_UP"}, MTU: 65536, State: "UNKNOWN", Kind: "loopback", Addresses: []IPAddress{{Prefix: pre("127.0.0.1/8"), Scope: "host"}}, Line: 1},
		{Index: 3, Name: "wlan0", Parent: "if2", Flags: []string{"BROADCAST", "UP"}, MTU: 1400, State: "UP", Kind: "ether", MAC: "02:ab:cd:00:00:01", Addresses: []IPAddress{{Prefix: pre("fe80::1/64"), Scope: "link"}}, Line: 5},
		{Index: 9, Name: "tun0", Flags: []string{"POINTOPOINT", "UP"}, MTU: 1500, State: "UNKNOWN", Addresses: []IPAddress{{Prefix: pre("10.0.0.1/32"), Peer: addr("10.0.0.2"), Scope: "global"}}, Line: 9},
	}
	if !reflect.DeepEqual(got, want) || len(bad) != 2 {
		t.Errorf("%v\ngot  %+v\nwant %+v", bad, got, want)
	}
}

func TestIPRoutes(t *testing.T) {
	t.Parallel()
	got, bad := IPRoutes([]byte(ipRouteText))
	pre, addr := netip.MustParsePrefix, netip.MustParseAddr
	zero4, zero6 := pre("0.0.0.0/0"), pre("::/0")
	want := []IPRoute{
		{Type: "unicast", To: zero4, Default: true, Gateway: addr("192.0.2.1"), Dev: "wlan0", Table: "1003", Proto: "static", Metric: 10, Line: 1},
		{Type: "unicast", To: pre("192.0.2.0/24"), Dev: "wlan0", Source: addr("192.0.2.9"), Proto: "kernel", Line: 2},
		{Type: "unreachable", To: zero4, Default: true, Dev: "lo", Table: "0", Metric: 4294967295, Line: 3},
		{Type: "local", To: pre("fe80::1/128"), Dev: "lo", Proto: "unspec", Line: 4},
		{Type: "unicast", To: pre("10.0.0.0/8"), Dev: "eth0", Line: 5},
		{Type: "unicast", To: zero6, Default: true, Gateway: addr("fe80::9"), Dev: "wlan0", Line: 6},
		{Type: "unicast", To: zero6, Default: true, Gateway: addr("fe80::9"), Dev: "wlan0", Line: 7},
		{Type: "unicast", To: zero4, Default: true, Line: 8},
	}
	if !reflect.DeepEqual(got, want) || len(bad) != 1 {
		t.Errorf("%v\ngot  %+v\nwant %+v", bad, got, want)
	}
}

func TestIPRulesAndNeighbours(t *testing.T) {
	t.Parallel()
	rules, bad := IPRules([]byte(ipRuleText))
	want := []IPRule{
		{From: "all", Action: "lookup", Table: "local", Line: 1},
		{Priority: 10500, From: "all", IIf: "lo", OIf: "wlan0", UIDs: "0-0", Action: "lookup", Table: "wlan0", Line: 2},
		{Priority: 13000, From: "all", Mark: "0x0/0x20000", IIf: "lo", UIDs: "10123-10123", Action: "lookup", Table: "tun0", Line: 3},
		{Priority: 14000, From: "10.0.0.0/8", To: "192.0.2.1", Not: true, Action: "lookup", Table: "99", Line: 4},
		{Priority: 32000, From: "all", Action: "unreachable", Line: 5},
	}
	if !reflect.DeepEqual(rules, want) || len(bad) != 1 {
		t.Errorf("%v\ngot  %+v\nwant %+v", bad, rules, want)
	}
	near, bad := IPNeighbours([]byte(ipNeighText))
	wantNear := []IPNeighbour{
		{Addr: netip.MustParseAddr("192.0.2.1"), Dev: "wlan0", MAC: "02:ab:00:00:00:01", Router: true, State: "REACHABLE", Line: 1},
		{Addr: netip.MustParseAddr("192.0.2.7"), Dev: "wlan0", State: "FAILED", Line: 2},
		{Addr: netip.MustParseAddr("fe80::1"), Dev: "wlan0", MAC: "02:ab:00:00:00:01", State: "STALE", Line: 3},
	}
	if !reflect.DeepEqual(near, wantNear) || len(bad) != 1 {
		t.Errorf("%v\ngot  %+v\nwant %+v", bad, near, wantNear)
	}
}

func TestNetstat(t *testing.T) {
	t.Parallel()
	got, bad, err := Netstat([]byte(netstatText))
	ap := netip.MustParseAddrPort
	want := []NetstatSocket{
		{Proto: "tcp", Local: ap("0.0.0.0:5555"), Remote: ap("0.0.0.0:0"), State: "LISTEN", UID: 2000, Inode: 12345, PID: 999, Program: "adbd", Line: 3},
		{Proto: "tcp6", Local: ap("192.0.2.9:443"), Remote: ap("[2001:db8::1]:52000"), State: "ESTABLISHED", UID: 10123, Inode: 54321, Line: 4},
		{Proto: "udp", Local: ap("127.0.0.1:53"), Remote: ap("0.0.0.0:0"), UID: 0, Inode: 7, PID: 12, Program: "dns masq", Line: 5},
		{Proto: "udp6", Local: ap("[::]:5353"), Remote: ap("[::]:0"), UID: 1020, Inode: 8, Line: 6},
	}
	if err != nil || !reflect.DeepEqual(got, want) || len(bad) != 1 {
		t.Errorf("%v %v\ngot  %+v\nwant %+v", err, bad, got, want)
	}
	old, bad, err := Netstat([]byte(netstatToolbox))
	if err != nil || len(bad) != 0 || len(old) != 2 || old[0].State != "LISTEN" || old[1].UID != -1 {
		t.Errorf("%v %v %+v", err, bad, old)
	}
	if _, _, err := Netstat([]byte("netstat: not found\n")); err == nil {
		t.Error("a failed command was read")
	}
}

func TestMountCommand(t *testing.T) {
	t.Parallel()
	got, bad := MountCommand([]byte(mountText))
	want := []Mount{
		{Source: "/dev/block/dm-0", Target: "/", FSType: "ext4", Options: []string{"ro", "seclabel", "relatime"}, Line: 1},
		{Source: "tmpfs", Target: "/mnt/my dir", FSType: "tmpfs", Options: []string{"rw", "seclabel"}, Line: 2},
		{Source: "/dev/block/platform/by-name/system", Target: "/system", FSType: "ext4", Options: []string{"ro", "seclabel", "relatime"}, Line: 3},
		{Source: "overlay", Target: "/product/overlay", FSType: "overlay", Options: []string{"ro", "lowerdir=/a:/b"}, Line: 4},
	}
	if !reflect.DeepEqual(got, want) || len(bad) != 2 {
		t.Errorf("%v\ngot  %+v\nwant %+v", bad, got, want)
	}
}

func TestEnforcing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"Enforcing\n": "enforcing", "Permissive": "permissive", "Disabled\r\n": "disabled", "1": "enforcing", "0": "permissive", "getenforce: not found": "", "": ""} {
		if got, ok := Enforcing([]byte(text)); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", text, got, ok)
		}
	}
}

func TestBootArguments(t *testing.T) {
	t.Parallel()
	got := BootArguments([]byte("console=ttyMSM0 androidboot.serialno=ABC123  quiet dm=\"1 vroot none\" androidboot.verifiedbootstate=orange\n"))
	want := []BootArgument{{"console", "ttyMSM0", true}, {"androidboot.serialno", "", true}, {"quiet", "", false}, {"dm", "1 vroot none", true}, {"androidboot.verifiedbootstate", "orange", true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	config := BootConfig([]byte("# comment\nandroidboot.hardware = \"x\"\nandroidboot.serialno = \"ABC\"\n\nflag\n"))
	if !reflect.DeepEqual(config, []BootArgument{{"androidboot.hardware", "x", true}, {"androidboot.serialno", "", true}, {"flag", "", false}}) {
		t.Errorf("%+v", config)
	}
}

func TestLogcat(t *testing.T) {
	t.Parallel()
	got := Logcat([]byte(logText))
	want := []LogBuffer{
		{Name: "main", Lines: 3, First: "08-14 21:22:18.650", Last: "08-14 21:22:22.000", Fatal: 1, Line: 1,
			Failures: []LogFailure{{Time: "08-14 21:22:19.000", UID: 10123, PID: 1234, Tag: "libc", Line: 3}}},
		{Name: "system", Lines: 1, Other: 2, First: "08-14 21:22:20.283", Last: "08-14 21:22:20.283", Fatal: 1, Line: 4,
			Failures: []LogFailure{{Time: "08-14 21:22:20.283", UID: -1, PID: 1867, Tag: "wtf_tag", Line: 5}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
}

func FuzzCommands(f *testing.F) {
	for _, s := range []string{ipAddrText, ipRouteText, ipRuleText, ipNeighText, netstatText, netstatToolbox, mountText, logText, "a=\"b c\" d"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ifs, _ := IPAddrs(b)
		for _, i := range ifs {
			for _, a := range i.Addresses {
				if !a.Prefix.IsValid() {
					t.Errorf("%+v", i)
				}
			}
		}
		routes, _ := IPRoutes(b)
		for _, r := range routes {
			if !r.To.IsValid() || r.Type == "" {
				t.Errorf("%+v", r)
			}
		}
		near, _ := IPNeighbours(b)
		for _, n := range near {
			if !n.Addr.IsValid() {
				t.Errorf("%+v", n)
			}
		}
		IPRules(b)
		socks, _, _ := Netstat(b)
		for _, s := range socks {
			if !s.Local.IsValid() || !s.Remote.IsValid() {
				t.Errorf("%+v", s)
			}
		}
		mounts, _ := MountCommand(b)
		for _, m := range mounts {
			if m.FSType == "" || m.Target == "" {
				t.Errorf("%+v", m)
			}
		}
		for _, l := range Logcat(b) {
			if len(l.Failures) > l.Fatal || l.Fatal > l.Lines {
				t.Errorf("%+v", l)
			}
		}
		Enforcing(b)
		BootArguments(b)
		BootConfig(b)
	})
}

func TestCommandsAreBounded(t *testing.T) {
	t.Parallel()
	_, bad := IPRoutes(bytes.Repeat([]byte("x\n"), 5000))
	mounts, _ := MountCommand(bytes.Repeat([]byte("a /b c d\n"), maxIPRows+5))
	if len(bad) != maxBadLines || len(mounts) != maxIPRows {
		t.Errorf("%d complaints, %d mounts", len(bad), len(mounts))
	}
}
