package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// phone is a folder in place of a rooted phone's /, with the module installed.
type phone struct {
	root, module string
	shell        []string
}

func newPhone(t *testing.T, shell []string, picket string) phone {
	t.Helper()
	root := t.TempDir()
	p := phone{root: root, module: filepath.Join(root, "data/adb/modules/picket"), shell: shell}
	for _, dir := range []string{"dev/cpuset/background", "data/adb/modules/picket/bin", "tools"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.write(t, "dev/cpuset/background/cgroup.procs", "")
	p.write(t, "data/adb/modules/picket/bin/picket", picket)
	p.write(t, "tools/getprop", "#!/bin/sh\n[ -e \""+root+"/booted\" ] && echo 1\n")
	for _, name := range []string{"service.sh", "uninstall.sh"} {
		b, err := os.ReadFile(filepath.Join("android/module", name))
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, "data/adb/modules/picket/"+name, string(b))
	}
	return p
}

func (p phone) write(t *testing.T, name, text string) {
	t.Helper()
	writeProgram(t, filepath.Join(p.root, name), text)
}

// writeProgram writes what is then run. Meanwhile this process starts no other: it would be born with
// the file open for writing, and as long as it has that, nobody can run the file.
func writeProgram(t *testing.T, name, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(name, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

func (p phone) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(p.root, name))
	return string(b)
}

// command is a script of the module, as its manager runs it.
func (p phone) command(name string) *exec.Cmd {
	cmd := exec.Command(p.shell[0], append(p.shell[1:], filepath.Join(p.module, name))...)
	cmd.Env = []string{"PATH=" + p.root + "/tools:" + os.Getenv("PATH"), "PICKET_ROOT=" + p.root, "PICKET_WAIT=1", "ROOT_OF_TEST=" + p.root}
	return cmd
}

// start runs service.sh until the test ends; ended gives its result.
func (p phone) start(t *testing.T) (pid int, ended chan error) {
	t.Helper()
	cmd := p.command("service.sh")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		ended <- cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-gone
	})
	return cmd.Process.Pid, ended
}

// eventually waits for something that a script does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("not within five minutes: %s", what)
}

// runningPicket writes its number, once it can be ended in order, and waits.
const runningPicket = `#!/bin/sh
trap 'echo ended >>"$ROOT_OF_TEST/starts"; exit 0' TERM
echo "said $*"
echo $$ >>"$ROOT_OF_TEST/starts"
while :; do sleep 0.1; done
`

func TestAndroidServiceKeepsTheAgentRunning(t *testing.T) {
	t.Parallel()
	for _, sh := range shells(t) {
		t.Run(strings.Join(sh, " "), func(t *testing.T) {
			t.Parallel()
			p := newPhone(t, sh, runningPicket)
			starts := func() []string { return strings.Fields(p.read("starts")) }
			keeper, ended := p.start(t)
			eventually(t, "the script is there", func() bool { return p.read("data/adb/picket/service.pid") != "" })
			if len(starts()) > 0 {
				t.Fatal("started before the phone was")
			}
			p.write(t, "booted", "")
			eventually(t, "the agent is started", func() bool { return len(starts()) == 1 })
			if got := strings.TrimSpace(p.read("dev/cpuset/background/cgroup.procs")); got != strconv.Itoa(keeper) {
				t.Errorf("in the background group: %q", got)
			}
			if st, err := os.Stat(filepath.Join(p.root, "data/adb/picket")); err != nil || st.Mode().Perm() != 0o700 {
				t.Errorf("the folder: %v, %v", st, err)
			}

			// A second one, as of a manager that runs it again, leaves at once.
			if out, err := p.command("service.sh").CombinedOutput(); err != nil || !strings.Contains(string(out), "running already") {
				t.Errorf("a second one: %v: %s", err, out)
			}

			pid, err := strconv.Atoi(starts()[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the agent is started again", func() bool { return len(starts()) == 2 })
			log := p.read("data/adb/picket/picket.log")
			if strings.Count(log, "said run\n") != 2 || !strings.Contains(log, "service.sh: the agent ended with status 137 after ") ||
				!strings.Contains(log, " s; it starts again in 1 s\n") {
				t.Errorf("the log:\n%s", log)
			}

			if out, err := p.command("uninstall.sh").CombinedOutput(); err != nil {
				t.Errorf("uninstall.sh: %v: %s", err, out)
			}
			<-ended
			if got := starts(); len(got) != 3 || got[2] != "ended" {
				t.Errorf("the agent was not ended in order: %v", got)
			}
			if _, err := os.Stat(filepath.Join(p.root, "data/adb/picket")); !os.IsNotExist(err) {
				t.Errorf("left behind: %v", err)
			}
		})
	}
}

// TestAndroidServiceWaitsLonger has an agent that ends at once, and a log that is full.
func TestAndroidServiceWaitsLonger(t *testing.T) {
	t.Parallel()
	for _, sh := range shells(t) {
		t.Run(strings.Join(sh, " "), func(t *testing.T) {
			t.Parallel()
			p := newPhone(t, sh, "#!/bin/sh\nexit 3\n")
			p.write(t, "booted", "")
			if err := os.MkdirAll(filepath.Join(p.root, "data/adb/picket"), 0o700); err != nil {
				t.Fatal(err)
			}
			p.write(t, "data/adb/picket/picket.log", strings.Repeat("x", 300_000))
			p.write(t, "data/adb/picket/service.pid", "1\n") // another process since the phone was started
			_, ended := p.start(t)
			log := func() string { return p.read("data/adb/picket/picket.log") }
			eventually(t, "two tries", func() bool { return strings.Contains(log(), "starts again in 2 s") })
			if !strings.Contains(log(), "status 3 ") || !strings.Contains(log(), "starts again in 1 s") {
				t.Errorf("the log:\n%s", log())
			}
			if n := len(p.read("data/adb/picket/picket.log.old")); n != 300_000 {
				t.Errorf("the older turn of the log has %d bytes", n)
			}
			p.write(t, "data/adb/modules/picket/disable", "")
			if err := <-ended; err != nil {
				t.Errorf("switched off: %v", err)
			}
			if !strings.HasSuffix(log(), "service.sh: the module is switched off\n") {
				t.Errorf("the log:\n%s", log())
			}
		})
	}
}

func TestAndroidModuleInstalls(t *testing.T) {
	t.Parallel()
	const functions = `abort() { echo "$1"; exit 1; }; ui_print() { echo "$1"; }; set_perm() { chmod "$4" "$1"; }; . ./android/module/customize.sh`
	for _, tt := range []struct{ arch, api, picket, want string }{
		{"arm64", "34", "exit 0", "- The agent starts with the next start of the device"},
		{"arm", "34", "exit 0", "! Picket runs on 64-bit ARM devices; this one is arm"},
		{"x64", "34", "exit 0", "! Picket runs on 64-bit ARM devices; this one is x64"},
		{"arm64", "19", "exit 0", "! Picket needs Android 5.0 or later"},
		{"arm64", "34", "exit 1", "! The program does not run on this device"},
	} {
		for _, sh := range shells(t) {
			p := newPhone(t, sh, "#!/bin/sh\n"+tt.picket+"\n")
			if err := os.Chmod(filepath.Join(p.module, "bin/picket"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(sh[0], append(sh[1:], "-c", functions)...)
			cmd.Env = append(os.Environ(), "ARCH="+tt.arch, "API="+tt.api, "MODPATH="+p.module)
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), tt.want) || (err == nil) == strings.HasPrefix(tt.want, "!") {
				t.Errorf("%v: %s with Android API %s: %v: %s", sh, tt.arch, tt.api, err, out)
			}
		}
	}
}

// TestAndroidModuleDescribesItself holds module.prop and init's file to their forms.
func TestAndroidModuleDescribesItself(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("android/module/module.prop")
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^id=[a-zA-Z][a-zA-Z0-9._-]+\nname=[^\n]+\nversion=@VERSION@\nversionCode=@CODE@\nauthor=[^\n]+\ndescription=[^\n]+\n$`)
	if !form.Match(b) {
		t.Errorf("module.prop:\n%s", b)
	}
	if b, err = os.ReadFile("android/module/META-INF/com/google/android/updater-script"); err != nil || string(b) != "#MAGISK\n" {
		t.Errorf("updater-script: %q, %v", b, err)
	}
	if b, err = os.ReadFile("android/picket.rc"); err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`^(on|service|import) `)
	option := regexp.MustCompile(`^    (mkdir|class|disabled|user|group|capabilities|priority|ioprio|task_profiles|restart_period|start)\b`)
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") && !section.MatchString(line) && !option.MatchString(line) {
			t.Errorf("picket.rc: %q is neither a section nor one of the options", line)
		}
	}
}
