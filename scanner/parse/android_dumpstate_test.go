package parse

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const (
	dumpBanner = "========================================================\n"
	dumpRule   = "-------------------------------------------------------------------------------\n"
)

const dumpPie = dumpBanner + "== dumpstate: 2024-05-06 07:08:09\n" + dumpBanner + `
Build: ABC.123
Build fingerprint: 'example/phone/phone:14/ABC.123/1:user/release-keys'
Bootloader: b1
Network: Example: Mobile
Android SDK version: 34
Kernel: Linux version 6.1.0
Command line: quiet
Bootconfig: androidboot.hardware = "x"
androidboot.verifiedbootstate = "green"
Uptime: up 0 weeks, 1 day
Bugreport format version: 2.0
Dumpstate info: id=1 pid=2 args=-S

------ DUMPSYS CRITICAL (/system/bin/dumpsys) ------
` + dumpRule + `DUMP OF SERVICE CRITICAL activity:
top
--------- 0.250s was the duration of dumpsys activity, ending at: 2024-05-06 07:08:10
` + dumpRule + `DUMP OF SERVICE CRITICAL window:
half
*** SERVICE 'window' DUMP TIMEOUT (10000ms) EXPIRED ***

--------- 10.000s was the duration of dumpsys window, ending at: 2024-05-06 07:08:20
------ 10.300s was the duration of 'DUMPSYS CRITICAL' ------
------ 0.025s was the duration of 'DUMP TRACES' ------
------ PROCESS TIMES (pid cmd user system iowait+percentage) ------
1 init
------ 0.012s was the duration of 'for_each_pid(PROCESS TIMES (pid cmd user system iowait+percentage))' ------
------ SYSTEM PROPERTIES (getprop) ------
[a]: [b]
------ 0.500s was the duration of 'SYSTEM PROPERTIES' ------
------ LSMOD (lsmod) ------
*** command 'lsmod' failed: exit code 1
------ 0.001s was the duration of 'LSMOD' ------
` + dumpBanner + "== Android Framework Services\n" + dumpBanner + `------ DUMPSYS (/system/bin/dumpsys) ------
` + dumpRule + `DUMP OF SERVICE notification:
text of an app
------ A HEADING ------
` + dumpRule + `DUMP OF SERVICE package:
the app's own
--------- 0.001s was the duration of dumpsys notification, ending at: 2024-05-06 07:08:21
` + dumpRule + `DUMP OF SERVICE package:
Packages:
--------- 0.100s was the duration of dumpsys package, ending at: 2024-05-06 07:08:22
------ 9.000s was the duration of 'DUMPSYS' ------
` + dumpBanner + "== dumpstate: done (id 1)\n" + dumpBanner

const dumpJellyBean = dumpBanner + "== dumpstate: 2013-05-06 07:08:09\n" + dumpBanner + `
Build: JWR66Y

------ UPTIME (uptime) ------
up time: 8 days
[uptime: 0.1s elapsed]

------ LAST KMSG (/proc/last_kmsg: 2013-05-01 01:02:03) ------
boot
------ DUMPSYS (dumpsys) ------
Currently running services:
  package
  wifi
` + dumpRule + `DUMP OF SERVICE package:
Packages:
` + dumpRule + `DUMP OF SERVICE wifi:
Wi-Fi is enabled
[dumpsys: 8.2s elapsed]

` + dumpBanner + "== dumpstate: done\n" + dumpBanner

// described is a section without its place, and the text at that place.
func described(text string, s DumpSection) string {
	return fmt.Sprintf("%s|%s|%s|%s|%v|%v|%s|%q", s.Title, s.Command, s.Priority, s.Service, s.Duration, s.Complete, s.Problem, text[s.Offset:s.Offset+s.Length])
}

func TestIndexDumpstate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"9 and newer": {dumpPie, []string{
			`DUMPSYS CRITICAL|/system/bin/dumpsys|||10.3s|true||""`,
			`||CRITICAL|activity|250ms|true||"top\n"`,
			`||CRITICAL|window|10s|false|*** SERVICE 'window' DUMP TIMEOUT (10000ms) EXPIRED ***|"half\n*** SERVICE 'window' DUMP TIMEOUT (10000ms) EXPIRED ***\n\n"`,
			`PROCESS TIMES|pid cmd user system iowait+percentage|||12ms|true||"1 init\n"`,
			`SYSTEM PROPERTIES|getprop|||500ms|true||"[a]: [b]\n"`,
			`LSMOD|lsmod|||1ms|true|*** command 'lsmod' failed: exit code 1|"*** command 'lsmod' failed: exit code 1\n"`,
			`DUMPSYS|/system/bin/dumpsys|||9s|true||""`,
			`||NORMAL|notification|0s|false||"text of an app\n------ A HEADING ------\n"`,
			`||NORMAL|package|0s|false||"the app's own\n--------- 0.001s was the duration of dumpsys notification, ending at: 2024-05-06 07:08:21\n"`,
			`||NORMAL|package|100ms|true||"Packages:\n"`,
		}},
		"4.x": {dumpJellyBean, []string{
			`UPTIME|uptime|||100ms|true||"up time: 8 days\n"`,
			`LAST KMSG|/proc/last_kmsg|||0s|true||"boot\n"`,
			`DUMPSYS|dumpsys|||8.2s|true||"Currently running services:\n  package\n  wifi\n"`,
			`||NORMAL|package|0s|true||"Packages:\n"`,
			`||NORMAL|wifi|0s|true||"Wi-Fi is enabled\n"`,
		}},
		"bare dumpsys": {"Currently running services:\n  package\n  wifi (skipped)\n" + dumpRule + "DUMP OF SERVICE package:\nPackages:\n", []string{
			`||NORMAL|package|0s|false||"Packages:\n"`,
		}},
		"a file that is none": {"hello\nworld\n", nil},
	} {
		for _, ends := range []string{"\n", "\r\n"} {
			text := strings.ReplaceAll(tt.text, "\n", ends)
			d, err := IndexDumpstate(iotest.HalfReader(strings.NewReader(text)))
			if err != nil || d.Size != int64(len(text)) {
				t.Fatalf("%s: %v, %d bytes", name, err, d.Size)
			}
			var got []string
			for _, s := range d.Sections {
				got = append(got, strings.ReplaceAll(described(text, s), `\r\n`, `\n`))
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		}
	}
}

func TestDumpstateHeader(t *testing.T) {
	t.Parallel()
	d, err := IndexDumpstate(strings.NewReader(dumpPie))
	want := DumpHeader{Time: "2024-05-06 07:08:09", Build: "ABC.123", Fingerprint: "example/phone/phone:14/ABC.123/1:user/release-keys",
		Bootloader: "b1", Network: "Example: Mobile", SDK: "34", Kernel: "Linux version 6.1.0", CommandLine: "quiet",
		Bootconfig: []string{`androidboot.hardware = "x"`, `androidboot.verifiedbootstate = "green"`}, Uptime: "up 0 weeks, 1 day",
		FormatVersion: "2.0", Info: "id=1 pid=2 args=-S"}
	if err != nil || !reflect.DeepEqual(d.Header, want) || !d.Done {
		t.Errorf("%+v, done %v, %v", d.Header, d.Done, err)
	}
	if d, _ := IndexDumpstate(strings.NewReader(dumpJellyBean)); !reflect.DeepEqual(d.Services, []string{"package", "wifi"}) {
		t.Errorf("services %q", d.Services)
	}
}

// TestDumpstateCut cuts a report at every byte: no section reaches beyond the cut, none but the
// last loses its text, and the last is not complete.
func TestDumpstateCut(t *testing.T) {
	t.Parallel()
	whole, _ := IndexDumpstate(strings.NewReader(dumpPie))
	for n := range dumpPie {
		d, err := IndexDumpstate(strings.NewReader(dumpPie[:n]))
		if err != nil || d.Done && n < strings.LastIndex(dumpPie, "== dumpstate: done") {
			t.Fatalf("%d: %v, done %v", n, err, d.Done)
		}
		for i, s := range d.Sections {
			if s.Offset+s.Length > int64(n) {
				t.Fatalf("%d: %+v", n, s)
			}
			if full := whole.Sections[i]; i < len(d.Sections)-1 && (s.Length != full.Length || s.Complete != full.Complete && i != 0 && i != 6) {
				t.Fatalf("%d: %+v, whole %+v", n, s, full)
			}
		}
	}
}

func TestDumpstateReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	d, err := IndexDumpstate(io.MultiReader(strings.NewReader(dumpJellyBean[:300]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(d.Sections) == 0 || d.Sections[0].Duration != 100*time.Millisecond {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDumpSectionSource(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{
		"SYSTEM PROPERTIES": "getprop", "SYSTEM PROPERTIES (getprop)": "getprop",
		"PROCESSES (ps -P)": "ps", "PROCESSES AND THREADS (ps -A -T -Z -O pri,nice,rtprio,sched,pcy,time)": "ps", "PROCESSES (SELINUX LABELS) (ps -Z)": "ps",
		"LSMOD (lsmod)": "lsmod", "KERNEL LOG (dmesg)": "dmesg", "KERNEL LOG (/system/bin/dmesg)": "dmesg", "UPTIME (uptime)": "uptime",
		"FILESYSTEMS & FREE SPACE (df)": "df", "NETSTAT (netstat -nW)": "netstat", "DETAILED SOCKET STATE (ss -eionptu)": "ss", "PRINTENV (printenv)": "env",
		"NETWORK INTERFACES (ip link)": "ip/link", "NETWORK INTERFACES (ip -s link)": "ip/link", "IPv6 ADDRESSES (ip -6 addr show)": "ip/addr",
		"IP RULES v6 (ip -6 rule show)": "ip/rule", "ROUTE TABLE IPv4 (ip -4 route show table 1011)": "ip/route", "ARP CACHE (ip -4 neigh show)": "ip/neigh",
		"MULTICAST ADDRESSES (ip maddr)": "ip/maddr", "ARP CACHE (/proc/net/arp)": "/proc/net/arp", "IP XFRM POLICY (ip xfrm policy)": "ip/xfrm",
		"IPTABLES (su root iptables -L -nvx)": "iptables/filter", "IPTABLE NAT (/system/xbin/su root iptables -t nat -L -nvx)": "iptables/nat", "IP6TABLES RAW (ip6tables -t raw -L -nvx)": "ip6tables/raw",
		"SYSTEM LOG (logcat -v threadtime -d *:v)": "logcat/main", "EVENT LOG (logcat -b events -v threadtime -d *:v)": "logcat/events",
		"LAST LOGCAT (logcat -L -b all -v threadtime -d *:v)": "logcat/last", "LOG STATISTICS (logcat -b all -S)": "logcat/statistics",
		"LAST KMSG (/sys/fs/pstore/console-ramoops-0: 2024-01-01 00:00:00)": "last-kmsg", "KERNEL COMMAND LINE (/proc/cmdline)": "cmdline",
		"PACKAGE SETTINGS (/data/system/packages.xml: 2013-05-01 01:02:03)": "/data/system/packages.xml", "MEMORY INFO (/proc/meminfo)": "/proc/meminfo",
		"MOUNT POINTS (mount)": "mount", "X (/proc/mounts)": "mount",
		"DUMPSYS (/system/bin/dumpsys -T 10000 wifi)": "dumpsys/wifi", "DUMPSYS NETWORK_SERVICE_LIMITED (/system/bin/dumpsys -T 10000 wifi -a)": "dumpsys/wifi",
		"CHECKIN PACKAGE (/system/bin/dumpsys -T 30000 package --checkin)": "", "DUMPSYS (dumpsys)": "", "DUMPSYS HIGH (/system/bin/dumpsys)": "",
		"HARDWARE HALS (lshal)": "", "BLOCKED PROCESS WAIT-CHANNELS": "", "X (ip)": "", "X (su root)": "", "X (dumpsys -t)": "",
	} {
		if got := dumpTitle(title).Source(); got != want {
			t.Errorf("%s: %q, want %q", title, got, want)
		}
	}
	if got := (DumpSection{Service: "package", Priority: "HIGH"}).Source(); got != "dumpsys/package" {
		t.Error(got)
	}
}

func TestDumpstateBounds(t *testing.T) {
	t.Parallel()
	d, err := IndexDumpstate(strings.NewReader(strings.Repeat("------ A (b) ------\n", maxDumpSections+5) + strings.Repeat("x", 1<<20) + "\n------ B (c) ------"))
	if err != nil || len(d.Sections) != maxDumpSections || d.More != 6 {
		t.Errorf("%d sections, %d more, %v", len(d.Sections), d.More, err)
	}
	long := strings.Repeat("y", 1<<17) + "\n------ GOOD (g) ------\nz\n"
	if d, _ := IndexDumpstate(strings.NewReader("------ LONG (l) ------\n" + long)); len(d.Sections) != 2 || d.Sections[0].Length != 1<<17+1 {
		t.Errorf("%+v", d.Sections)
	}
}

func FuzzDumpstate(f *testing.F) {
	f.Add([]byte(dumpPie))
	f.Add([]byte(dumpJellyBean))
	f.Add([]byte(dumpRule + "DUMP OF SERVICE HIGH x:\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := IndexDumpstate(iotest.HalfReader(strings.NewReader(string(b))))
		if err != nil || d.Size != int64(len(b)) {
			t.Fatal(err)
		}
		var last int64
		for _, s := range d.Sections {
			if s.Offset < last || s.Length < 0 || s.Offset+s.Length > d.Size || s.Title == "" && s.Service == "" && s.Command == "" {
				t.Errorf("%+v after %d of %d", s, last, d.Size)
			}
			last = s.Offset + s.Length
			s.Source()
		}
	})
}
