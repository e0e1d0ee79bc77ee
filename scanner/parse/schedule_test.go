package parse

import (
	"reflect"
	"strings"
	"testing"
)

const crontabSample = `# system jobs
SHELL=/bin/sh
PATH = "/usr/bin:/bin"
17 *	* * *	root	cd / && run-parts --report /etc/cron.hourly
@reboot ann /home/ann/bin/start
*/5 1,2 * jan-mar mon www-data echo 50\% done%input for it
0 3 * *
`

func TestCrontabReadsJobsUsersAndSettings(t *testing.T) {
	t.Parallel()
	settings := map[string]string{}
	jobs, bad := Crontab([]byte(crontabSample), true, func(name, value string, _ int) { settings[name] = value })
	want := []CronJob{
		{"17 * * * *", "root", "cd / && run-parts --report /etc/cron.hourly", 4},
		{"@reboot", "ann", "/home/ann/bin/start", 5},
		{"*/5 1,2 * jan-mar mon", "www-data", "echo 50% done", 6},
	}
	if !reflect.DeepEqual(jobs, want) {
		t.Errorf("jobs %+v, want %+v", jobs, want)
	}
	if len(bad) != 1 || !strings.Contains(bad[0].Error(), "line 7") {
		t.Errorf("complaints %v, want one about line 7", bad)
	}
	if want := map[string]string{"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}; !reflect.DeepEqual(settings, want) {
		t.Errorf("settings %v, want %v", settings, want)
	}
}

func TestCrontabOfAUserHasNoUserField(t *testing.T) {
	t.Parallel()
	jobs, bad := Crontab([]byte("*/10 * * * * /usr/bin/x a=b\n"), false, nil)
	if len(jobs) != 1 || jobs[0].User != "" || jobs[0].Command != "/usr/bin/x a=b" || len(bad) > 0 {
		t.Errorf("got %+v, %v", jobs, bad)
	}
}

func TestAnacrontabReadsNameAndCommand(t *testing.T) {
	t.Parallel()
	got := Anacrontab([]byte("START_HOURS_RANGE=3-22\n1 5 cron.daily run-parts /etc/cron.daily\n@monthly 45 cron.monthly nice run-parts /etc/cron.monthly\n"))
	want := []CronJob{{"1 5 cron.daily", "", "run-parts /etc/cron.daily", 2}, {"@monthly 45 cron.monthly", "", "nice run-parts /etc/cron.monthly", 3}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzCrontab(f *testing.F) {
	f.Add([]byte(crontabSample), true)
	f.Add([]byte("@daily x\n* * * * * y%z\\%\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, withUser bool) {
		jobs, _ := Crontab(b, withUser, nil)
		for _, j := range append(jobs, Anacrontab(b)...) {
			if j.Line < 1 || j.Line > 1+strings.Count(string(b), "\n") || j.Schedule == "" {
				t.Fatalf("job %+v", j)
			}
		}
	})
}

const unitSample = `# comment
[Unit]
Description = A thing

[Service]
User=ann
ExecStart=-/usr/bin/thing --one \
  # a comment in between
  --two "a b"
; another
ExecStart=
ExecStart=+/bin/sh -c 'x=1; run'
Environment="A=b c" LD_LIBRARY_PATH=/x
[Install]
WantedBy=multi-user.target
nonsense
`

func TestUnitJoinsLinesAndKeepsResets(t *testing.T) {
	t.Parallel()
	got := Unit([]byte(unitSample))
	want := Settings{
		{"Unit", "Description", "A thing", 3},
		{"Service", "User", "ann", 6},
		{"Service", "ExecStart", `-/usr/bin/thing --one  --two "a b"`, 7},
		{"Service", "ExecStart", "", 11},
		{"Service", "ExecStart", "+/bin/sh -c 'x=1; run'", 12},
		{"Service", "Environment", `"A=b c" LD_LIBRARY_PATH=/x`, 13},
		{"Install", "WantedBy", "multi-user.target", 15},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestUnitCommandTakesPrefixesOff(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"-/bin/a b": "/bin/a b", "@-/bin/a a b": "/bin/a a b", "!!/bin/a": "/bin/a", "+:/bin/a": "/bin/a", "/bin/a -x": "/bin/a -x"} {
		got, privileged := UnitCommand(value)
		if got != want || privileged != strings.ContainsAny(value[:2], "+!") {
			t.Errorf("UnitCommand(%q) = %q, %v", value, got, privileged)
		}
	}
}

func FuzzUnit(f *testing.F) {
	f.Add([]byte(unitSample))
	f.Add([]byte("a=\\\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		last := 0
		for _, s := range Unit(b) {
			if s.Line < last || s.Line < 1 || strings.ContainsAny(s.Key+s.Value, "\n") {
				t.Fatalf("setting %+v after line %d", s, last)
			}
			last = s.Line
			UnitCommand(s.Value)
		}
	})
}

const udevSample = `# rules
ACTION=="add", SUBSYSTEM=="usb", RUN+="/usr/local/bin/x --dev \"%k\"", MODE="0660"
KERNEL=="sd*", PROGRAM="/usr/bin/id", IMPORT{program}="probe %p", IMPORT{builtin}="path_id", RUN{builtin}+="kmod load"
SUBSYSTEM=="net", \
  RUN{program}="/bin/y"
RUN=="not an assignment"
ENV{ID}="RUN+=1", TAG+="systemd"
`

func TestUdevProgramsGivesWhatRulesRun(t *testing.T) {
	t.Parallel()
	got := UdevPrograms([]byte(udevSample))
	want := []UdevProgram{{"RUN", `/usr/local/bin/x --dev "%k"`, 2}, {"PROGRAM", "/usr/bin/id", 3}, {"IMPORT", "probe %p", 3}, {"RUN", "/bin/y", 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzUdevPrograms(f *testing.F) {
	f.Add([]byte(udevSample))
	f.Add([]byte("RUN+=\"a\\\"b\nRUN=\"\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range UdevPrograms(b) {
			if p.Command == "" || p.Key != "RUN" && p.Key != "PROGRAM" && p.Key != "IMPORT" {
				t.Fatalf("program %+v", p)
			}
		}
	})
}

func TestListFileDropsCommentsAndSplits(t *testing.T) {
	t.Parallel()
	got := ListFile([]byte("# none\n/lib/a.so /lib/b.so:/lib/c.so # why\n\n  x y\r\n"), " :")
	want := []ListItem{{"/lib/a.so", 2}, {"/lib/b.so", 2}, {"/lib/c.so", 2}, {"x", 4}, {"y", 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := ListFile([]byte("include a b\n"), ""); !reflect.DeepEqual(got, []ListItem{{"include a b", 1}}) {
		t.Errorf("without separators: %+v", got)
	}
}

func FuzzListFile(f *testing.F) {
	f.Add([]byte("a b:c # d\n"), " :")
	f.Add([]byte("include x\n"), "")
	f.Fuzz(func(t *testing.T, b []byte, separators string) {
		for _, i := range ListFile(b, separators) {
			if i.Text == "" || i.Text != strings.TrimSpace(i.Text) || strings.ContainsAny(i.Text, "#\n") {
				t.Fatalf("item %+v", i)
			}
		}
	})
}
