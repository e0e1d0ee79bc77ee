package parse

import (
	"reflect"
	"strings"
	"testing"
)

const psJellyBean = `USER     PID   PPID  VSIZE  RSS    PCY  WCHAN    PC         NAME
root      1     0     544    408       ffffffff 00000000 S /init
root      2     0     0      0         ffffffff 00000000 S kthreadd
root      3     2     0      0         ffffffff 00000000 S ksoftirqd/0
u0_a49    455   125   501372 49420 fg  ffffffff 00000000 S com.example.home
app_7     460   125   501372 49420 bg  ffffffff 40011384 S com.example.two words
`

const psToolboxThreads = `LABEL                          USER      PID   PPID  VSIZE  RSS  PRIO  NICE  RTPRI SCHED  PCY WCHAN            PC  NAME
u:r:adbd:s0                    shell     135   1     4820   564   20    0     0     0         SyS_epoll_ 0000000000 S /sbin/adbd
u:r:adbd:s0                    shell     136   135   4820   564   20    0     0     0     fg  SyS_epoll_ 0000000000 S adbd
u:r:shell:s0                   shell     140   135   900    200   20    0     0     0     fg  SyS_epoll_ 0000000000 S sh
u:r:platform_app:s0            u10_a3    150   1     99000  8000  20    0     0     0     fg  ep_poll    00000000f7 S e.example.phone
`

const psToybox = `LABEL                          USER           PID   TID  PPID     VSZ    RSS WCHAN            ADDR S PRI  NI RTPRIO SCH PCY     TIME CMD            
u:r:init:s0                    root             1     1     0   17440   1944 0                   0 S  19   0      -   0  fg 00:00:00 init
u:r:init:s0                    root             1    91     0   17440   1944 0                   0 S  19   0      -   0  fg 00:00:00 init worker
u:r:lmkd:s0                    lmkd           155   155     1   17440   2912 0                   0 S  41   0      1   1     00:00:00 lmkd
u:r:isolated_app:s0:c512,c768  u0_i4        12000 12000   300   17440   1944 do_epoll_wait       0 R  19   0      -   0  fg 00:00:00 d.webview:sandb
`

const psQF = `USER           PID  PPID        VSZ    RSS WCHAN            ADDR S NAME
root             1     0   10877468   3744 do_epoll_wait       0 S init
u0_a120       2240   310   14001020 120000 do_epoll_wait       0 S com.example.messenger:push
99123         2300   310   14001020 120000 do_epoll_wait       0 S nameless
`

func TestPs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text    string
		threads bool
		want    []PsRow
	}{
		"4.x": {psJellyBean, false, []PsRow{
			{User: "root", PID: 1, TID: 1, State: "S", Name: "/init"},
			{User: "root", PID: 2, TID: 2, State: "S", Name: "kthreadd"},
			{User: "root", PID: 3, TID: 3, PPID: 2, State: "S", Name: "ksoftirqd/0"},
			{User: "u0_a49", UID: 10049, PID: 455, TID: 455, PPID: 125, State: "S", Name: "com.example.home"},
			{User: "app_7", UID: 10007, PID: 460, TID: 460, PPID: 125, State: "S", Name: "com.example.two words"},
		}},
		"7 threads": {psToolboxThreads, true, []PsRow{
			{User: "shell", UID: 2000, PID: 135, TID: 135, PPID: 1, State: "S", Label: "u:r:adbd:s0", Name: "/sbin/adbd"},
			{User: "shell", UID: 2000, PID: 135, TID: 136, PPID: 1, State: "S", Label: "u:r:adbd:s0", Name: "adbd"},
			{User: "shell", UID: 2000, PID: 140, TID: 140, PPID: 135, State: "S", Label: "u:r:shell:s0", Name: "sh"},
			{User: "u10_a3", UID: 1010003, PID: 150, TID: 150, PPID: 1, State: "S", Label: "u:r:platform_app:s0", Name: "e.example.phone", Truncated: true},
		}},
		"9": {psToybox, false, []PsRow{
			{User: "root", PID: 1, TID: 1, State: "S", Label: "u:r:init:s0", Name: "init"},
			{User: "root", PID: 1, TID: 91, State: "S", Label: "u:r:init:s0", Name: "init worker"},
			{User: "lmkd", UID: 1069, PID: 155, TID: 155, PPID: 1, State: "S", Label: "u:r:lmkd:s0", Name: "lmkd"},
			{User: "u0_i4", UID: 99004, PID: 12000, TID: 12000, PPID: 300, State: "R", Label: "u:r:isolated_app:s0:c512,c768", Name: "d.webview:sandb", Truncated: true},
		}},
		"ps -A": {psQF, false, []PsRow{
			{User: "root", PID: 1, TID: 1, State: "S", Name: "init"},
			{User: "u0_a120", UID: 10120, PID: 2240, TID: 2240, PPID: 310, State: "S", Name: "com.example.messenger:push"},
			{User: "99123", UID: 99123, PID: 2300, TID: 2300, PPID: 310, State: "S", Name: "nameless"},
		}},
		"ps -Z of 4.4": {"LABEL                          USER     PID   PPID  NAME\nu:r:init:s0                    root      1     0     /init\n", false, []PsRow{
			{User: "root", PID: 1, TID: 1, Label: "u:r:init:s0", Name: "/init"}}},
		"ps -f": {"UID            PID  PPID C STIME TTY          TIME CMD\nu0_a5         9000     1 0 09:10:11 ?     00:00:01 sh -c x y\n", false, []PsRow{
			{User: "u0_a5", UID: 10005, PID: 9000, TID: 9000, PPID: 1, Name: "sh", Args: "sh -c x y"}}},
	} {
		for _, text := range []string{tt.text, strings.ReplaceAll(tt.text, "\n", "\r\n")} {
			var c Complaints
			got, err := Ps([]byte(text), tt.threads, &c)
			if err != nil || len(c.List) > 0 || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: %v %v\ngot  %+v\nwant %+v", name, err, c.List, got, tt.want)
			}
		}
	}
}

func TestPsWithoutThreadsKeepsChildren(t *testing.T) {
	t.Parallel()
	rows, err := Ps([]byte(psToolboxThreads), false, nil)
	if err != nil || len(rows) != 4 || !rows[1].Process() {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestPsDamage(t *testing.T) {
	t.Parallel()
	if rows, err := Ps([]byte("/system/bin/sh: ps: not found\n"), false, nil); err == nil {
		t.Errorf("%+v", rows)
	}
	var c Complaints
	rows, err := Ps([]byte(psJellyBean+"u0_a5 x y\nroot 77 1 0 0"), false, &c)
	if err != nil || len(rows) != 5 || len(c.List) != 2 {
		t.Errorf("%d rows, %v, %v", len(rows), c.List, err)
	}
}

func TestPsUserUID(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"root": 0, "system": 1000, "radio": 1001, "nfc": 1027, "shared_relro": 1037, "lmkd": 1069,
		"network_stack": 1073, "sdk_sandbox": 1090, "shell": 2000, "nobody": 9999, "u0_a0": 10000, "u11_a200": 1110200, "u0_i9": 99009,
		"u0_ai1": 90001, "u10_system": 1001000, "app_3": 10003, "10012": 10012, "": -1, "u": -1, "u_a1": -1, "u0_a": -1, "u0_a10000": -1,
		"u0_x": -1, "ux_a1": -1, "-": -1, "app_": -1, "app_x": -1, "x0_system": -1, "-1": -1} {
		if got := (psUsers{}).uid(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

func FuzzAndroidPs(f *testing.F) {
	for _, s := range []string{psJellyBean, psToolboxThreads, psToybox, psQF} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, threads bool) {
		rows, _ := Ps(b, threads, nil)
		if len(rows) > len(b)/4 {
			t.Errorf("%d rows of %d bytes", len(rows), len(b))
		}
		for _, r := range rows {
			if r.PID <= 0 || r.TID <= 0 || r.Name == "" || r.UID < -1 {
				t.Errorf("%+v", r)
			}
		}
	})
}
