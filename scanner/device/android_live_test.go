package device

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// Every command only prints, and no word of one means anything to a shell.
func TestAndroidCommandsOnlyPrint(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[A-Za-z0-9_./,-]+$`)
	programs := []string{"getprop", "ps", "getenforce", "settings list", "ip addr", "ip route show", "ip rule", "ip neigh", "netstat", "lsmod",
		"cat /proc/", "pm list packages", "dumpsys"}
	seen := map[scanner.Source]bool{}
	for _, c := range androidCommands() {
		if seen[c.source] || len(c.lines) == 0 || c.time <= 0 || c.time > time.Minute {
			t.Errorf("%+v", c)
		}
		seen[c.source] = true
		for _, line := range c.lines {
			for _, w := range strings.Split(line, " ") {
				if !word.MatchString(w) {
					t.Errorf("%q: word %q", line, w)
				}
			}
			known := line == "mount" // without arguments it lists
			for _, p := range programs {
				known = known || line == p || strings.HasPrefix(line, p)
			}
			if !known || len(androidBin+line) > 256 {
				t.Errorf("%q is not known to only print", line)
			}
		}
	}
	for _, s := range []scanner.Source{scanner.SourceGetprop, scanner.SourcePS, scanner.SourceGetenforce, scanner.SourceSettingsSystem,
		scanner.SourceSettingsSecure, scanner.SourceSettingsGlobal, scanner.SourceIPAddr, scanner.SourceIPRoute, scanner.SourceIPRule,
		scanner.SourceIPNeigh, scanner.SourceNetstat, scanner.SourceLsmod, scanner.SourceMount, scanner.SourceMountInfo,
		scanner.SourceCmdline, scanner.SourcePackageList, scanner.Dumpsys("package"), scanner.Dumpsys("activity")} {
		if !seen[s] || !isAndroidSource(s) {
			t.Errorf("%s has no command", s)
		}
	}
	if seen[scanner.Dumpsys("procstats")] || isAndroidSource(scanner.SourceSockets) {
		t.Error("a source too many")
	}
}

// fakeBin is a folder of programs in place of Android's.
func fakeBin(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		writeProgram(t, filepath.Join(dir, name), []byte("#!/bin/sh\n"+script))
	}
	return dir + "/"
}

func TestProbesOnThePhoneItself(t *testing.T) {
	t.Parallel()
	dir := fakeBin(t, map[string]string{
		"getprop": `echo "[a]: [$ANDROID_ROOT $ANDROID_DATA $BOOTCLASSPATH $SECRET]"`,
		"ps":      `echo USER PID NAME; [ $# -gt 1 ] && exit; echo root 1 init`, // a toolbox: knows no -o
		"dumpsys": `case "$*" in "-t 20 package -f") echo Packages: ;; *) echo "Can't find service: $3" >&2 ;; esac`,
		"cat":     `echo "cat: $1: Permission denied" >&2; exit 1`,
		"netstat": `echo Proto; exit 3`,
		"lsmod":   ``,
		"mount":   `echo "/dev/block/dm-0 on / type ext4 (ro)"`,
		"ip":      `exec /bin/sleep 60`,
	})
	run := phoneShell(dir, func(name string) string {
		return map[string]string{"BOOTCLASSPATH": "/apex/core.jar", "SECRET": "leak"}[name]
	})
	ctx := t.Context()
	for s, want := range map[scanner.Source]string{
		scanner.SourceGetprop:      "[a]: [/system /data /apex/core.jar ]\n",
		scanner.SourcePS:           "USER PID NAME\nroot 1 init\n",
		scanner.Dumpsys("package"): "Packages:\n",
		scanner.SourceLsmod:        "",
		scanner.SourceMount:        "/dev/block/dm-0 on / type ext4 (ro)\n",
	} {
		if b, err := androidProbe(ctx, run, s); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", s, b, err)
		}
	}
	for s, want := range map[scanner.Source]error{
		scanner.Dumpsys("wifi"):       scanner.ErrUnavailable,
		scanner.SourceMountInfo:       fs.ErrPermission,
		scanner.SourceNetstat:         scanner.ErrUnavailable,
		scanner.SourceGetenforce:      scanner.ErrUnavailable, // no such program
		scanner.Dumpsys("invented"):   scanner.ErrUnavailable, // not in the table
		scanner.SourceSettingsGlobal:  scanner.ErrUnavailable,
		scanner.SourceQFFiles:         scanner.ErrUnavailable,
		scanner.Source("../../bin/x"): scanner.ErrUnavailable,
	} {
		if b, err := androidProbe(ctx, run, s); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), string(s)) {
			t.Errorf("%s: %q, %v", s, b, err)
		}
	}
	cmd, _ := androidCommandFor(scanner.SourceIPAddr)
	cmd.time = 100 * time.Millisecond
	if _, err := cmd.try(ctx, run, androidBin+"ip addr"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off after 100ms") {
		t.Errorf("a command that hangs: %v", err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := androidProbe(stopped, run, scanner.SourceMount); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// The live device asks Android's programs where it runs on Android, and only there.
func TestLiveAndroidSources(t *testing.T) {
	t.Parallel()
	dir := fakeBin(t, map[string]string{"getprop": `echo "[a]: [b]"; echo x >> "` + filepath.Join(t.TempDir(), "n") + `"`})
	l := &live{probes: map[scanner.Source]*answer{}, phone: &phoneAsker{run: phoneShell(dir, os.Getenv)}}
	for range 2 {
		if b, err := l.Probe(t.Context(), scanner.SourceGetprop); err != nil || string(b) != "[a]: [b]\n" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if _, err := l.Probe(t.Context(), scanner.SourceUname); err != nil {
		t.Errorf("a Linux source: %v", err)
	}
	l.phone.kept.Store(maxPhoneAnswers)
	if _, err := l.Probe(t.Context(), scanner.SourcePS); !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("no ps: %v", err)
	}
	l.probes = map[scanner.Source]*answer{}
	var large *scanner.TooLargeError
	if _, err := l.Probe(t.Context(), scanner.SourceGetprop); !errors.As(err, &large) {
		t.Errorf("beyond what all may say: %v", err)
	}
	l = &live{probes: map[scanner.Source]*answer{}}
	if _, err := l.Probe(t.Context(), scanner.SourceGetprop); !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("on Linux: %v", err)
	}
	if acquiredOnPhone(0) != "root" || acquiredOnPhone(shellUID) != "adb" || acquiredOnPhone(10123) != "" {
		t.Error("how a phone was acquired")
	}
	var names []string
	for s := range AndroidCommands() {
		names = append(names, string(s))
	}
	if slices.Contains(names, "processes") {
		t.Error("a Linux source is asked with a command of Android")
	}
}

func TestTxtarKnowsAndroidSources(t *testing.T) {
	t.Parallel()
	dev, err := Txtar([]byte("platform: android\nacquired: bugreport\n-- system/build.prop --\n-- probe/dumpsys/adb --\nx\n-- probe/intrusion-log --\n"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := dev.Probe(t.Context(), scanner.Dumpsys("adb")); err != nil || string(b) != "x\n" || dev.Identity().Acquired != "bugreport" {
		t.Errorf("%q, %v, %+v", b, err, dev.Identity())
	}
	if _, err := Txtar([]byte("-- a --\n-- probe/dumpsy/adb --\n")); err == nil {
		t.Error("an unknown source")
	}
}

func TestAnImageOfAPhoneSaysSo(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"system/build.prop": "image", "etc/passwd": ""} {
		list := []sample{{name: name[:strings.LastIndexByte(name, '/')], mode: typeDir | 0o755}, {name: name, mode: typeReg | 0o644, content: "x"}}
		for _, path := range []string{inFile(t, tarOf(t, list)), writeTree(t, list)} {
			d, err := openFor(t, path, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if id := d.Identity(); id.Acquired != want {
				t.Errorf("%s: %+v", name, id)
			}
		}
	}
}

// The page that says what is read from a phone names every command.
func TestAndroidPageNamesEveryCommand(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/android.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, c := range androidCommands() {
		name := strings.Fields(c.lines[0])
		what := name[0]
		if service, ok := strings.CutPrefix(string(c.source), "dumpsys/"); ok {
			what = service
		}
		if !strings.Contains(page, what) {
			t.Errorf("docs/android.md does not name %s of %q", what, c.lines[0])
		}
	}
}
