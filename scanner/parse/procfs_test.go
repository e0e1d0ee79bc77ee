package parse

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const statLine = "4242 (a (b) c) S 17 4242 4100 34816 4242 4194560 1 0 0 0 5 6 0 0 20 0 3 0 987654 1000 10 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n"

func TestProcStat(t *testing.T) {
	t.Parallel()
	got, err := ParseProcStat([]byte(statLine))
	want := ProcStat{PID: 4242, PPID: 17, Comm: "a (b) c", State: 'S', Session: 4100, TTY: 34816, Flags: 4194560, Threads: 3, StartTicks: 987654}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got.KernelThread() {
		t.Error("a program taken for a kernel thread")
	}
	k, err := ParseProcStat([]byte(strings.Replace(statLine, "4194560", "69238880", 1)))
	if err != nil || !k.KernelThread() {
		t.Errorf("a kernel thread is not told: %+v, %v", k, err)
	}
	for _, bad := range []string{"", "12", "1 (x", "1 )x(", "1 (x) S 1", "x (y) " + statLine[len("4242 (a (b) c) "):],
		strings.Replace(statLine, "987654", "-", 1)} {
		if s, err := ParseProcStat([]byte(bad)); err == nil {
			t.Errorf("%q gave %+v", bad, s)
		}
	}
}

func FuzzProcStat(f *testing.F) {
	f.Add([]byte(statLine))
	f.Add([]byte("1 (systemd) S 0 1 1 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseProcStat(b)
		if err == nil && !bytes.Contains(b, []byte("("+s.Comm+")")) {
			t.Errorf("name %q is not in %q", s.Comm, b)
		}
	})
}

const statusText = "Name:\tsshd\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t812\nPid:\t812\nPPid:\t1\nTracerPid:\t77\n" +
	"Uid:\t0\t1000\t0\t0\nGid:\t5\t6\t5\t5\nNSpid:\t812\t1\nThreads:\t1\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n"

func TestProcStatus(t *testing.T) {
	t.Parallel()
	got, err := ParseProcStatus([]byte(statusText))
	want := ProcStatus{UID: 0, EUID: 1000, GID: 5, EGID: 6, TGID: 812, Tracer: 77, CapEff: 1<<41 - 1, NoNewPrivs: true, Seccomp: 2, NSPIDs: 2}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "Name:\tx\n", "Uid:\t0\n", "Uid:\tx\tx\nGid:\t0\t0\n", statusText + "CapEff:\tz\n"} {
		if s, err := ParseProcStatus([]byte(bad)); err == nil {
			t.Errorf("%q gave %+v", bad, s)
		}
	}
}

func FuzzProcStatus(f *testing.F) {
	f.Add([]byte(statusText))
	f.Add([]byte("Uid:\t0\t0\nGid:\t0\t0\nTracerPid:\t99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseProcStatus(b); err == nil && s.UID < 0 {
			t.Errorf("no error, and user %d", s.UID)
		}
	})
}

func TestProcArgs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"":                          nil,
		"\x00\x00":                  nil,
		"sh\x00-c\x00echo hi\x00":   {"sh", "-c", "echo hi"},
		"nginx: worker process":     {"nginx: worker process"},
		"a\x00\x00b\x00\x00\x00":    {"a", "", "b"},
		"1\x002\x003\x004\x005\x00": {"1", "2", "3", "4"},
	} {
		if got := ProcArgs([]byte(in), 4); !reflect.DeepEqual(got, want) {
			t.Errorf("%q gave %q, want %q", in, got, want)
		}
	}
}

func TestProcEnvironKeepsOnlyWhatIsWanted(t *testing.T) {
	t.Parallel()
	env := []byte("HOME=/root\x00TOKEN=secret\x00LD_PRELOAD=/tmp/a.so\x00LD_PRELOAD=/tmp/b.so\x00broken\x00LD_PRELOADX=1\x00")
	got := ProcEnviron(env, func(k []byte) bool { return string(k) == "LD_PRELOAD" })
	if want := map[string]string{"LD_PRELOAD": "/tmp/a.so"}; !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func FuzzProcEnviron(f *testing.F) {
	f.Add([]byte("A=1\x00LD_PRELOAD=/x\x00=\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for k := range ProcEnviron(b, func(k []byte) bool { return string(k) == "LD_PRELOAD" }) {
			if k != "LD_PRELOAD" {
				t.Errorf("kept %q", k)
			}
		}
		if args := ProcArgs(b, 8); len(args) > 8 {
			t.Errorf("%d arguments", len(args))
		}
	})
}

const mapsText = `55d1c0000000-55d1c0002000 r--p 00000000 fe:00 247278                     /usr/bin/head
55d1c0002000-55d1c0008000 r-xp 00002000 fe:00 247278                     /usr/bin/head
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f0000002000-7f0000003000 r-xp 00000000 00:01 12                         /memfd:x y (deleted)
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
`

func TestProcMaps(t *testing.T) {
	t.Parallel()
	var got []string
	damaged := ProcMaps([]byte(mapsText+"garbage\n12-zz r-xp 0 0 0\n\n"), func(m Mapping) {
		if m.Exec {
			got = append(got, string(m.Path))
		}
	})
	if want := []string{"/usr/bin/head", "", "/memfd:x y (deleted)"}; !slices.Equal(got, want) || damaged != 2 {
		t.Errorf("%q, %d damaged", got, damaged)
	}
	ProcMaps([]byte(mapsText[:90]), func(m Mapping) {
		if m.Start != 0x55d1c0000000 || m.End != 0x55d1c0002000 || m.Inode != 247278 || m.Dev != "fe:00" || !m.Read || m.Write {
			t.Errorf("%+v", m)
		}
	})
}

func FuzzProcMaps(f *testing.F) {
	f.Add([]byte(mapsText))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		damaged := ProcMaps(b, func(m Mapping) {
			n++
			if !bytes.Contains(b, m.Path) {
				t.Errorf("path %q is not in the text", m.Path)
			}
		})
		if n+damaged > bytes.Count(b, []byte("\n"))+1 {
			t.Errorf("%d mappings and %d damaged lines", n, damaged)
		}
	})
}

func TestContainer(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"0::/system.slice/docker-" + id + ".scope\n":                               id,
		"12:pids:/docker/" + id + "\n0::/\n":                                       id,
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope\n": id,
		"0::/machine.slice/libpod-" + id + ".scope/container\n":                    id,
		"0::/lxc.payload.web/init.scope\n":                                         "web",
		"4:cpu:/lxc/mail\n":                                                        "mail",
		"0::/user.slice/user-1000.slice/session-2.scope\n":                         "",
		"0::/system.slice/ssh.service\n":                                           "",
		"garbage":                                                                  "",
		"0::/system.slice/docker-" + strings.Repeat("z", 64) + ".scope":            "",
	} {
		if got := Container([]byte(in)); got != want {
			t.Errorf("%q gave %q, want %q", in, got, want)
		}
	}
}

func FuzzContainer(f *testing.F) {
	f.Add([]byte("0::/system.slice/docker-" + strings.Repeat("a", 64) + ".scope\n"))
	f.Add([]byte("1:name=systemd:/lxc/x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id := Container(b); strings.Contains(id, "/") || !bytes.Contains(b, []byte(id)) {
			t.Errorf("%q from %q", id, b)
		}
	})
}

func TestRedactArgs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"mysql --user root --password hunter2 db": "mysql --user root --password *** db",
		"app --db-password=hunter2 -v":            "app --db-password=*** -v",
		"env API_TOKEN=abc prog":                  "env API_TOKEN=*** prog",
		"curl https://me:pw@host/x?a=b":           "curl https://me:***@host/x?a=b",
		"git clone https://host/me:x@y":           "git clone https://host/me:x@y",
		"sshd -D --key /etc/ssh/key":              "sshd -D --key /etc/ssh/key",
		"tool --password --verbose":               "tool --password --verbose",
		"tool --password":                         "tool --password",
		"curl -s -u admin:hunter2 https://host":   "curl -s -u admin:*** https://host",
		"curl --user=admin:hunter2 https://host":  "curl --user=admin:*** https://host",
		"docker run -u 1000:1000 image":           "docker run -u 1000:1000 image",
		"/usr/bin/mysqldump -phunter2 all":        "/usr/bin/mysqldump -p*** all",
		"ssh -p2222 host":                         "ssh -p2222 host",
		`curl -H "Authorization: Bearer abc" x`:   `curl -H "Authorization: Bearer *** x`,
		"password hunter2":                        "password hunter2",
	} {
		if got := strings.Join(RedactArgs(strings.Split(in, " ")), " "); got != want {
			t.Errorf("%q gave %q, want %q", in, got, want)
		}
	}
}

func FuzzRedactArgs(f *testing.F) {
	f.Add("curl\x00https://a:b@c\x00--token\x00x")
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, "\x00")
		once := RedactArgs(args)
		if len(once) != len(args) || once[0] != args[0] {
			t.Fatalf("%q became %q", args, once)
		}
		if twice := RedactArgs(once); !slices.Equal(once, twice) {
			t.Errorf("%q, and again %q", once, twice)
		}
	})
}
