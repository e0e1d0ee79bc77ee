package agent

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serviceRoot is a small device of its own: this machine's programs below /usr, and its own
// folders for all else. What runs in it ends with the story.
type serviceRoot struct{ dir string }

// buildService gives the command and a stand-in for the agent it runs, where a root of its own can be had.
func buildService(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a root of its own needs root")
	}
	if out, err := exec.Command("unshare", "-m", "-p", "-f", "true").CombinedOutput(); err != nil {
		t.Skipf("no namespaces of its own here: %v: %s", err, out)
	}
	return builtPrograms(t)
}

// inNamespaces runs a script as the first process of its own mounts and processes.
const inNamespaces = `mount --make-rprivate / && mount --rbind -o ro /usr "$1/usr" && mount --rbind /dev "$1/dev" &&
mount -t proc proc "$1/proc" && exec chroot "$1" /usr/bin/env -i PATH=/tools:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh /tools/story`

func newServiceRoot(t *testing.T, built string, tools map[string]string) serviceRoot {
	t.Helper()
	r := serviceRoot{t.TempDir()}
	for _, dir := range []string{"usr", "dev", "proc", "run", "tmp", "root", "etc", "var/lib", "opt/picket", "tools"} {
		r.must(t, os.MkdirAll(filepath.Join(r.dir, dir), 0o755))
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if to, err := os.Readlink("/" + name); err == nil {
			r.must(t, os.Symlink(to, filepath.Join(r.dir, name)))
		} else if _, err := os.Stat("/" + name); err == nil {
			t.Skip("programs of this machine are not all below /usr")
		}
	}
	r.must(t, os.Symlink("../run", filepath.Join(r.dir, "var/run")))
	for _, name := range []string{"picket", "standin"} {
		copyProgram(t, filepath.Join(built, name), filepath.Join(r.dir, "opt/picket", name))
	}
	for name, text := range tools {
		r.write(t, name, text)
	}
	return r
}

func (r serviceRoot) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r serviceRoot) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.dir, name)
	r.must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	writeProgram(t, path, []byte(text))
}

// story runs lines of shell and gives what they print. `picket` is the command under test; the
// status of each that fails is printed.
func (r serviceRoot) story(t *testing.T, script string) string {
	t.Helper()
	r.write(t, "tools/story", "picket() { /opt/picket/picket \"$@\" 2>&1 || echo \"[$?]\"; }\n"+script)
	cmd := exec.Command("unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", inNamespaces, "sh", r.dir)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// tree lists what is on the device: path, type, mode and content or target.
func (r serviceRoot) tree(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, r.dir)
		if name == "/opt" || name == "/tools" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var what string
		switch {
		case d.Type() == fs.ModeSymlink:
			what, err = os.Readlink(path)
		case d.Type().IsRegular():
			var content []byte
			content, err = os.ReadFile(path)
			what = fmt.Sprintf("%q", content)
		}
		fmt.Fprintln(&b, name, info.Mode(), what)
		return err
	})
	r.must(t, err)
	return b.String()
}

// fakeTools stand in for the programs of init systems that do not run in a test: each does to the
// file system what the real one does, and keeps count of what is running in /run.
func fakeTools() map[string]string {
	return map[string]string{
		"tools/systemctl": `#!/bin/sh
wants=/etc/systemd/system/multi-user.target.wants
case "$1" in
enable) mkdir -p $wants && ln -sf /etc/systemd/system/$2 $wants/$2 ;;
disable) rm -f $wants/$2; rmdir $wants 2>/dev/null ;;
start | restart) [ -e /etc/systemd/system/$2 ] && touch /run/active ;;
stop) rm -f /run/active ;;
is-active) [ -e /run/active ] && echo active || { echo inactive; exit 3; } ;;
daemon-reload) echo reloaded >>/tools/log ;;
*) echo "systemctl $*: not known"; exit 1 ;;
esac
`,
		"tools/rc-update": `#!/bin/sh
case "$1" in
add) mkdir -p /etc/runlevels/$3 && ln -s /etc/init.d/$2 /etc/runlevels/$3/$2 ;;
delete) [ -e /etc/runlevels/$3/$2 ] && rm /etc/runlevels/$3/$2 ;;
*) exit 1 ;;
esac
`,
		"tools/rc-service": `#!/bin/sh
case "$2" in
start | restart) touch /run/active ;;
stop) rm -f /run/active ;;
status) [ -e /run/active ] || exit 3 ;;
esac
`,
		"tools/update-rc.d": "#!/bin/sh\nexit 127\n",
	}
}
