package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// run is a command line with its output and exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	code = exitCode(root.ExecuteContext(t.Context()), &errs)
	return out.String(), errs.String(), code
}

func TestAPICommands(t *testing.T) {
	f := newFakeAgent()
	f.warnings = []Warning{{Code: "watch-limit", Dependency: "inotify", Since: at(), Text: "few \x1b[2J watches", Fix: "allow more"}}
	path, _ := serveAPI(t, f, "", nil)
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"status", []string{"level        High\n", "1 high, 1 low\n", "not checked  4 rules", "not wholly read: /var/lib/snapd", "next scan    one is running", "\nwarning: few \\x1b[2J watches (watch-limit, for ", "\n         allow more\n"}},
		{"status --json", []string{`"level": "High"`, `"pid": 7`}},
		{"threats", []string{"HIGH      CFG-002  title of CFG-002\n", "  subject   file /etc/<x>\\x1b[31m\n", "  key       " + keyC + ", since ", "  shown by  /etc/x:1 mode=0777\n", "  fix       what clears it\n", "level High, 3 open, last scan ", "; 4 rules could not be judged"}},
		{"threats --json", []string{`"count": 3`, `"key": "` + keyC + `"`}},
		{"inventory --from-agent", []string{"p0       1.0      dpkg", "3 packages", "not wholly read: /var/lib/snapd"}},
		{"inventory --from-agent --json", []string{`"schema": "picket.report/1"`, `"name": "p2"`, `"platform": "linux"`}},
		{"rescan", []string{"asked for a scan"}},
		{"rescan --json", []string{`"queued": true`}},
		{"rescan --wait", []string{"scanned in 1s: level High\nfindings: 2 opened"}},
		{"rescan --wait --json", []string{`"opened": 2`}},
		{"history", []string{"opened  high      CFG-002"}},
		{"history --since 2026-03-01T11:30:00Z --json", []string{`"key": "` + keyA}},
		{"events", []string{"<b>&p0"}},
		{"events --json", []string{`{"message":"<b>&p0","time":1}` + "\n" + `{"message":"<b>&p1","time":1}` + "\n"}},
		{"ignore CFG-002 --for 7d --why bench", []string{keyC + " is ignored until "}},
		{"ignores", []string{"cccccc333333  ", "bench\n"}},
		{"ignores --json", []string{`"why": "bench"`}},
		{"threats", []string{"  ignored   until ", ": bench\n"}},
		{"unignore cccccc", []string{keyC + " counts again"}},
		{"reload", []string{"watch: 250ms -> off\n"}},
		{"reload --json", []string{`"changes": [`}},
	} {
		out, errs, code := run(t, append(strings.Fields(tt.args), "--socket", path)...)
		if code != exitDone || errs != "" {
			t.Errorf("%s: exit %d\n%s", tt.args, code, errs)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tt.args, want, out)
			}
		}
		if strings.HasSuffix(tt.args, "--json") && !strings.HasPrefix(tt.args, "events") && !json.Valid([]byte(out)) {
			t.Errorf("%s: no JSON: %s", tt.args, out)
		}
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"ignore nothing --for 7d --why x", exitError, "no open finding is called \"nothing\"\npicket: hint: see 'picket threats'"},
		{"ignore OS-001 --for 7d --why x", exitError, "is the name of 2 findings: " + keyA + ", " + keyB},
		{"ignore OS-001 --for 7d", exitUsage, "needs --for and --why"},
		{"ignore OS-001 --for 7 --why x", exitUsage, "--for: \"7\" is no duration"},
		{"ignore OS-001 --for 1s --why x", exitUsage, "--for: \"1s\" is out of range: 1m to 366d"},
		{"unignore nothing", exitError, "no ignored finding is called \"nothing\"\npicket: hint: see 'picket ignores'"},
		{"posture --token", exitUsage, "--token needs --audience and --nonce"},
		{"history --limit 0", exitUsage, "--limit 0 is out of range"},
		{"history --since tomorrow", exitUsage, "is no time such as"},
		{"inventory --from-agent --image x.tar", exitUsage, "two different devices"},
		{"inventory", exitUsage, "go with --from-agent"},
		{"status extra", exitUsage, "takes no arguments"},
		{"status --format xml", exitUsage, "none of table, json"},
	} {
		_, errs, code := run(t, append(strings.Fields(tt.args), "--socket", path)...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d\n%s", tt.args, code, errs)
		}
	}
}

// Lists that are empty are lists, and one that the store could not take is not taken for none.
func TestEmptyLists(t *testing.T) {
	f := newFakeAgent()
	f.findings, f.history, f.packages, f.events = nil, nil, nil, nil
	f.warnings = []Warning{{Code: warnStoreFull, Text: "no space left for the store", Since: at()}}
	path, _ := serveAPI(t, f, "", nil)
	for args, want := range map[string]string{
		"threats":        "level High, 0 open, last scan ",
		"threats --json": `"findings": []`,
		"ignores --json": "[]\n",
		"history --json": "[]\n",
	} {
		out, errs, code := run(t, append(strings.Fields(args), "--socket", path)...)
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d\n%s%s", args, code, out, errs)
		}
		if strings.HasPrefix(args, "threats") && !strings.Contains(out, "no space left for the store") {
			t.Errorf("%s: the store is full and nothing is said of it:\n%s", args, out)
		}
	}
}

// What the agent says of a wrong configuration is told as it says it.
func TestRefusedReload(t *testing.T) {
	f := newFakeAgent()
	f.reload = func(context.Context) ([]string, error) {
		return nil, &hinted{errors.New("the old configuration stays: c.yaml:1: wrong"), "see"}
	}
	path, _ := serveAPI(t, f, "", nil)
	if _, errs, code := run(t, "reload", "--socket", path); code != exitError || errs != "picket: error: the old configuration stays: c.yaml:1: wrong\npicket: hint: see\n" {
		t.Errorf("exit %d\n%s", code, errs)
	}
}

// Where the configuration is wrong, its mistakes come first, and then how to ask the agent all the same.
func TestWrongConfigurationHidesTheSocket(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "c.yaml")
	writeTest(t, file, "foo: 1\n")
	for _, command := range []string{"status", "reload"} {
		_, errs, code := run(t, command, "--config", file)
		if code != exitError || !strings.HasPrefix(errs, "picket: error: "+file+":1: unknown key \"foo\"; ") || !strings.Contains(errs, "hint: put that right, or name the socket with --socket") {
			t.Errorf("%s: exit %d\n%s", command, code, errs)
		}
	}
}

// A mistake in --set is one in the command line, and the keys are what helps.
func TestSetOfNoKeyIsUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"status --set foo=1", "rescan --set watch=5", "config check --set foo=1 --set bar=2"} {
		_, errs, code := run(t, strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(errs, "hint: see 'picket config example' for the keys") || strings.Contains(errs, "--socket") {
			t.Errorf("%s: exit %d\n%s", args, code, errs)
		}
	}
}

func TestAPICommandsWithoutAgent(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "none")
	for _, args := range []string{"status", "threats", "inventory --from-agent", "rescan", "history", "ignores", "ignore a --for 1d --why x", "unignore a", "events", "events --follow", "reload"} {
		out, errs, code := run(t, append(strings.Fields(args), "--socket", socket)...)
		if code != exitNotRunning || out != "" || !strings.Contains(errs, "no agent is running: there is no socket "+socket+"\npicket: hint: start it") {
			t.Errorf("%s: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestEventsFollowEndsWell(t *testing.T) {
	f := newFakeAgent()
	path, _ := serveAPI(t, f, "", nil)
	ctx, stop := context.WithCancel(t.Context())
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs([]string{"events", "--follow", "--json", "--socket", path})
	root.SetOut(&out)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	eventually(t, "a follower", func() bool { return f.feed.followers() == 1 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSocketOfUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	env := Env{UID: 1000, Getenv: func(string) string { return "" }}
	if got := socketOf(own, true, env); got != own {
		t.Errorf("set in the configuration: %s", got)
	}
	if err := os.WriteFile(own, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := socketOf(own, false, env); got != own {
		t.Errorf("the user's own agent: %s", got)
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "12h": "2026-03-01T00:00:00Z", "1d12h": "2026-02-28T00:00:00Z", "2026-01-31T12:00:00+02:00": "2026-01-31T10:00:00Z"} {
		if got, err := parseSince(text, at()); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "2026-13-01", "-1h", "999999999d"} {
		if got, err := parseSince(text, at()); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestShowStatusInFull(t *testing.T) {
	t.Parallel()
	next, oldest := at().Add(time.Hour), at().Add(-49*time.Hour)
	s := Status{
		Version: "1", PID: 1, Since: at().Add(-30 * time.Hour), Level: scanner.Secured, NextScan: &next, Ignored: 1,
		Config:     ConfigUse{File: "/c", Read: true, Refused: "line 1"},
		Privileges: Privileges{UID: 1000, Missing: []string{"CAP_SYS_PTRACE"}},
		Packages:   InventoryState{Absent: "no package manager"},
		Outbox:     OutboxState{Events: 5, Bytes: 2048, Limit: 64 << 20, Oldest: &oldest, Quarantined: 1, Dropped: 2, Upstream: "/e.ndjson"},
		Own:        OwnUse{CPUSeconds: 1.5, Resident: 20 << 20, Files: 9, Days: []DayUse{{"2026-03-01", 0.25, 100, 4096}}, Collectors: []CollectorUse{{"files", 1, 0.1, 1}, {"packages", 1, 0.9, 1}}},
	}
	var b bytes.Buffer
	if err := showStatus(&b, s, at()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"none open, of them 1 ignored", "not known: no package manager", "none yet", "for 1d6h", "user 1000, who does not see everything; without CAP_SYS_PTRACE",
		"/c; the last reload was refused: line 1", "5 events, 2.0 KiB of 64.0 MiB, the oldest from 2d1h ago, 1 refused for good, 2 dropped, to /e.ndjson",
		"1.50 s of CPU, 20.0 MiB of memory, 9 files; on 2026-03-01 0.25 s, 100 wake-ups, 4.0 KiB written; most by packages, 0.90 s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestWarningsOf holds that what could not be looked at is no warning, and no health either.
func TestWarningsOf(t *testing.T) {
	t.Parallel()
	got := warningsOf([]check{{Code: "a", Outcome: checkOK}, {Code: "b", Outcome: checkWarning}, {Code: "c", Outcome: checkFailed}, {Code: "d", Outcome: checkUnknown}}, func(string) time.Time { return at() })
	if len(got) != 2 || got[0].Code != "b" || got[1].Code != "c" || !got[0].Since.Equal(at()) {
		t.Errorf("%+v", got)
	}
}

func TestAgoText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1s", 90 * time.Minute: "1h30m", 26*time.Hour + time.Second: "1d2h", -time.Minute: "-1m", 0: "0s"} {
		if got := agoText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	if got := bytesText(1 << 31); got != "2.0 GiB" {
		t.Error(got)
	}
}
