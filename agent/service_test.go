package agent

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/packaging"
)

// TestService runs the command as root of small devices.
func TestService(t *testing.T) {
	t.Parallel()
	built := buildService(t)
	t.Run("leaves nothing", func(t *testing.T) { t.Parallel(); serviceLeavesNothing(t, built) })
	t.Run("scripts run", func(t *testing.T) { t.Parallel(); serviceScriptsRun(t, built) })
	t.Run("commands know the place", func(t *testing.T) { t.Parallel(); serviceCommandsKnowThePlace(t, built) })
	t.Run("refuses", func(t *testing.T) { t.Parallel(); serviceRefuses(t, built) })
}

// serviceLeavesNothing installs, upgrades and removes the service on each init system, and
// holds the device after it against the device before.
func serviceLeavesNothing(t *testing.T, built string) {
	for _, tt := range []struct {
		init, path string
		wants      []string // in the tree while it is installed
	}{
		{"systemd", "/etc/systemd/system/picket.service", []string{"/etc/systemd/system/multi-user.target.wants/picket.service L"}},
		{"openrc", "/etc/init.d/picket", []string{"/etc/runlevels/default/picket L"}},
		{"sysv", "/etc/init.d/picket", []string{"/etc/rc2.d/S50picket L", "/etc/rc5.d/S50picket L", "/etc/rc6.d/K02picket L"}},
		{"busybox", "/etc/init.d/S50picket", nil},
		{"procd", "/etc/init.d/picket", []string{"/etc/rc.d/S50picket L", "/etc/rc.d/K02picket L"}},
	} {
		t.Run(tt.init, func(t *testing.T) {
			t.Parallel()
			r := newServiceRoot(t, built, fakeTools())
			r.must(t, os.Remove(filepath.Join(r.dir, "tools/update-rc.d")))
			for _, dir := range []string{"etc/systemd/system", "etc/init.d", "etc/runlevels/default", "etc/rc.d",
				"etc/rc0.d", "etc/rc1.d", "etc/rc2.d", "etc/rc3.d", "etc/rc4.d", "etc/rc5.d", "etc/rc6.d", "etc/rcS.d"} {
				r.must(t, os.MkdirAll(filepath.Join(r.dir, dir), 0o755))
			}
			r.write(t, "etc/rc.common", fakeRCCommon)
			r.write(t, "etc/picket/kiosk.yaml", "log_level: debug\n")
			r.must(t, os.Chmod(filepath.Join(r.dir, "etc/picket/kiosk.yaml"), 0o644))
			before := r.tree(t)

			// A umask of the person's own must not make the definition unreadable.
			out := r.story(t, strings.NewReplacer("X", tt.init, "FILE", tt.path).Replace(`umask 077
PATH=/tools:/usr/bin:/bin
picket service install --init X
picket service install --init X
picket service install --init X --config /etc/picket/kiosk.yaml
grep -o '^[^#]*PICKET_CONFIG=/.*' FILE
mkdir -p /var/lib/picket /etc/picket/state && echo state | tee /var/lib/picket/picket.db >/etc/picket/state/picket.db
picket service install --init X
: >/etc/picket/config.yaml; chmod 644 /etc/picket/config.yaml
picket service install --init X --config /etc/picket/config.yaml
rm /etc/picket/config.yaml
picket service install --init X --config /etc/picket/none.yaml
`))
			out = strings.ReplaceAll(out, tt.path, "FILE")
			for _, want := range []string{
				"wrote FILE: " + tt.init + " runs /opt/picket/picket when the device starts\n'picket service start' starts it now\n",
				"FILE is up to date; 'picket service restart' makes a new binary run\n",
				"renewed FILE\n'picket service restart' makes it count\n",
				"PICKET_CONFIG=/etc/picket/kiosk.yaml\nthe service keeps its configuration, /etc/picket/kiosk.yaml; --config names another\nFILE is up to date; 'picket service restart' makes a new binary run\nrenewed FILE\n",
				"picket: error: /etc/picket/none.yaml: ",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("the story lacks %q:\n%s", want, out)
				}
			}
			tree := r.tree(t)
			for _, want := range append(tt.wants, "/picket.db -rw------- \"state\\n\"") {
				if !strings.Contains(tree, want) {
					t.Errorf("the installed device lacks %s:\n%s", want, tree)
				}
			}
			s, err := findInit(tt.init)
			r.must(t, err)
			definition, err := s.definition(servicePlace{binary: "/opt/picket/picket"})
			r.must(t, err)
			if have, err := os.ReadFile(filepath.Join(r.dir, tt.path)); err != nil || string(have) != definition {
				t.Errorf("the definition is not the reviewed one: %v\n%s", err, have)
			}
			if st, err := os.Stat(filepath.Join(r.dir, tt.path)); err != nil || st.Mode() != s.mode {
				t.Errorf("the definition: %v, %v", st.Mode(), err)
			}

			out = r.story(t, strings.ReplaceAll("PATH=/tools:/usr/bin:/bin\npicket service uninstall --init X\npicket service status --init X\n", "X", tt.init))
			if !strings.Contains(out, "removed "+tt.path+"\n") || !strings.Contains(out, "left "+s.state+"\n") ||
				!strings.Contains(out, "hint: install it with 'picket service install'\n[1]\n") {
				t.Errorf("uninstalling:\n%s", out)
			}
			if tree := r.tree(t); !strings.Contains(tree, s.state+"/picket.db") {
				t.Errorf("the state is gone without --purge:\n%s", tree)
			}
			out = r.story(t, strings.ReplaceAll("PATH=/tools:/usr/bin:/bin\npicket service uninstall --purge --init X\nrm -rf /var/lib/picket /etc/picket/state\n", "X", tt.init))
			if !strings.Contains(out, "there is no "+tt.path+"\nremoved "+s.state+"\n") {
				t.Errorf("purging:\n%s", out)
			}
			if after := r.tree(t); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// fakeRCCommon runs a script of OpenWrt, and prints what it hands to procd.
const fakeRCCommon = `#!/bin/sh
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() { echo "procd: $*"; }
. "$1"
case "$2" in
start) start_service && touch /run/active ;;
stop) rm -f /run/active ;;
disable) rm -f /etc/rc.d/S??picket /etc/rc.d/K??picket ;;
status) if [ -e /run/active ]; then echo running; else echo inactive; exit 3; fi ;;
esac
`

// serviceScriptsRun starts and stops a stand-in of the agent by the scripts themselves.
func serviceScriptsRun(t *testing.T, built string) {
	for _, init := range []string{"sysv", "busybox"} {
		t.Run(init, func(t *testing.T) {
			t.Parallel()
			r := newServiceRoot(t, built, nil)
			r.must(t, os.MkdirAll(filepath.Join(r.dir, "etc/rc2.d"), 0o755))
			out := r.story(t, strings.ReplaceAll(`PATH=/tools:/usr/bin:/bin
picket service install --init X >/dev/null
# From here on the definition's program is the stand-in, and the command is elsewhere.
mv /opt/picket/picket /opt/cli && cp /opt/picket/standin /opt/picket/picket
picket() { /opt/cli "$@" 2>&1 | grep -v 'another definition'; }
picket service status --init X
picket service start --init X
picket service start --init X
picket service status --init X
kill -9 "$(cat /run/picket.pid)" && sleep 1
picket service status --init X
picket service start --init X
old=$(cat /run/picket.pid)
cp /opt/picket/standin /opt/picket/new && mv /opt/picket/new /opt/picket/picket
picket service restart --init X
[ "$old" != "$(cat /run/picket.pid)" ] && echo another process
grep Umask "/proc/$(cat /run/picket.pid)/status"
cat /var/lib/picket/picket.db
picket service stop --init X
picket service stop --init X
picket service start --init X
picket service uninstall --purge --init X
grep -l standing /proc/[0-9]*/cmdline
ls /run /var/lib /etc/init.d /etc/rc2.d
`, "X", init))
			s, err := findInit(init)
			r.must(t, err)
			want := strings.ReplaceAll(`picket is stopped (INIT, PATH)
picket: error: the service does not run
picket: hint: start it with 'picket service start'
picket is started
picket is started
picket is running (INIT, PATH)
picket is stopped (INIT, PATH)
picket: error: the service does not run
picket: hint: start it with 'picket service start'
picket is started
picket is started again
another process
Umask:	0077
state
picket is stopped
picket is stopped
picket is started
removed PATH
removed /run/picket
removed /var/lib/picket
/etc/init.d:

/etc/rc2.d:

/run:

/var/lib:
`, "PATH", s.path)
			if got := out; got != strings.ReplaceAll(want, "INIT", init) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

// serviceRefuses is what the command does not do.
func serviceRefuses(t *testing.T, built string) {
	r := newServiceRoot(t, built, fakeTools())
	r.must(t, os.MkdirAll(filepath.Join(r.dir, "etc/systemd/system"), 0o755))
	// This machine's own init systems are on the usual path, whatever they are.
	out := r.story(t, `
(PATH=/tools; picket service install)
picket service start --init systemd
picket service install --init launchd
ln -s /dev/null /etc/systemd/system/picket.service
picket service install --init systemd
rm /etc/systemd/system/picket.service; mkdir /etc/systemd/system/picket.service
picket service install --init systemd
rmdir /etc/systemd/system/picket.service
cp /opt/picket/picket /tmp/picket; /tmp/picket service install --init systemd 2>&1
chmod 777 /opt; picket service install --init systemd; chmod 755 /opt
mkdir '/opt/a b'; cp /opt/picket/picket '/opt/a b/'; '/opt/a b/picket' service install --init systemd 2>&1
mkdir /etc/picket; echo 'state_dir: /srv' >/etc/picket/config.yaml; picket service install --init systemd
echo 'state_dir: [' >/etc/picket/config.yaml; picket service install --init systemd
rm -r /etc/picket
printf '#!/bin/sh\necho no bus >&2; exit 1\n' >/tools/systemctl; picket service install --init systemd
ls -R /etc/systemd
setpriv --reuid 1000 --clear-groups /opt/picket/picket service install 2>&1
setpriv --reuid 1000 --clear-groups /opt/picket/picket service status --init systemd 2>&1
touch /usr/x 2>/dev/null; mkdir /system; touch /system/build.prop; picket service install
`)
	for _, want := range []string{
		"error: no init system is known here that could run Picket as a service\n",
		"error: picket is not installed as a service\npicket: hint: install it with 'picket service install'\n[1]\n",
		"error: --init \"launchd\" is none of systemd, openrc, procd, sysv, busybox\n[64]\n",
		"error: the service is masked: nothing may start it\npicket: hint: systemctl unmask picket\n[1]\n",
		"error: /etc/systemd/system/picket.service is not a regular file\n[1]\n",
		"error: /tmp/picket is in a folder that is emptied from time to time\n",
		"error: others may replace /opt/picket/picket, which root is to run: mode 0777 of /opt\n",
		"error: the path \"/opt/a b/picket\" cannot stand in the definition of a service\n",
		"error: the configuration has the agent write to /srv itself, where much else is\n",
		"/etc/picket/config.yaml:1",
		"error: installing /etc/systemd/system/picket.service: ",
		"/etc/systemd/system:\npicket: error: only root", // nothing is left of the installation that failed
		"error: only root may do this\npicket: hint: run it with sudo; ",
		"error: on Android Picket is no service of this kind\npicket: hint: install the module for Magisk, KernelSU or APatch",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// TestServiceSystemdSandbox is what the definition allows when the configuration names other folders.
func TestServiceSystemdSandbox(t *testing.T) {
	t.Parallel()
	c, _, err := parseConfig(systemConfig, []byte("state_dir: /srv/picket\nsink_file: /srv/events/e.ndjson\nsocket: /run/picket/s\n"), true, Env{Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := writtenFolders(c)
	if err != nil || !slices.Equal(dirs, []string{"/srv/picket", "/srv/events"}) {
		t.Fatalf("%v, %v", dirs, err)
	}
	s, err := findInit("systemd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.definition(servicePlace{binary: "/usr/local/bin/picket", config: "/etc/k.yaml", writable: dirs})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nExecStart=/usr/local/bin/picket run\n", "\nExecReload=/usr/local/bin/picket reload\n",
		"\nEnvironment=PICKET_CONFIG=/etc/k.yaml\n", "\nReadWritePaths=/srv/picket /srv/events\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the definition lacks %q", want)
		}
	}
	if got := definedConfig(text); got != "/etc/k.yaml" {
		t.Errorf("the definition's configuration: %q", got)
	}
	for _, bad := range []string{"/a b", "/a%h", "/a;b", "/a\nb", "/a$b", "a", "/a//b", "/a{{b}}", "/a'", "/a@b"} {
		if _, err := s.definition(servicePlace{binary: bad}); err == nil {
			t.Errorf("%q stands in a definition", bad)
		}
	}
}

func TestServiceMakesFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := servicePlace{writable: []string{filepath.Join(dir, "a/state"), filepath.Join(dir, "sockets"), dir}, shared: filepath.Join(dir, "sockets")}
	var out strings.Builder
	if err := makeFolders(&out, p); err != nil {
		t.Fatal(err)
	}
	if want := "made " + p.writable[0] + "\nmade " + p.writable[1] + "\n"; out.String() != want {
		t.Errorf("said %q", out.String())
	}
	for i, mode := range []os.FileMode{0o700, 0o755} {
		if st, err := os.Stat(p.writable[i]); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", p.writable[i], st.Mode(), err)
		}
	}
}

// TestServiceDefinitions holds the files to what the code expects of them.
func TestServiceDefinitions(t *testing.T) {
	t.Parallel()
	for _, s := range initSystems() {
		b, err := packaging.Files.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if strings.Contains(text, "{{") || strings.Contains(text, "\r") {
			t.Errorf("%s: a mark of the library's templates, or an end of line of Windows", s.file)
		}
		have, err := s.definition(servicePlace{binary: usualBinary})
		if err != nil || have != text {
			t.Errorf("%s is not what is installed for a binary in its usual place: %v", s.file, err)
		}
		moved, err := s.definition(servicePlace{binary: "/opt/p", config: "/etc/other.yaml"})
		if err != nil || strings.Contains(moved, usualBinary) || definedConfig(moved) != "/etc/other.yaml" {
			t.Errorf("%s: %v\n%s", s.file, err, moved)
		}
		if definedConfig(text) != "" {
			t.Errorf("%s names a configuration by itself", s.file)
		}
	}
	if _, err := findInit("launchd"); !errors.As(err, new(*usageError)) {
		t.Errorf("an unknown init system: %v", err)
	}
}

// TestRemovalKeepsOthersFiles removes what the agent made from folders that it shares.
func TestRemovalKeepsOthersFiles(t *testing.T) {
	t.Parallel()
	goes := []string{"picket.db", "picket.db.damaged-1", "enrolment.lock", "enrolment-00.key", "p", "p.1", "p.7", "updates/set", "responses/a"}
	stays := []string{"other", "notes.db", "picket.db-mine", "picket.db.d/x", "picket.db.damaged-d/x", "pictures/cat", "private.txt", "p.8", "p.old", "p.2/x", "p.sock"}
	for name, remove := range map[string]func(Config) error{
		"service uninstall --purge": func(c Config) error { return purgeState(io.Discard, initSystem{state: "/none"}, c) },
		"uninstall": func(c Config) error {
			plan, err := planFarewell(c, Origins{}, nil, false)
			if err != nil {
				return err
			}
			plan.Removes = slices.DeleteFunc(plan.Removes, func(r removal) bool { return r.What != "state" }) // not what is this machine's
			_, err = plan.carryOut(t.Context(), func(string, ...any) {})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "a[b]*")
			for _, name := range append(goes, stays...) {
				if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("other", filepath.Join(dir, "p.3")); err != nil {
				t.Fatal(err)
			}
			c := Config{StateDir: dir, SinkFile: filepath.Join(dir, "p"), Socket: filepath.Join(dir, "p.sock")} // which is none
			if err := remove(c); err != nil {
				t.Fatal(err)
			}
			for _, name := range append(goes, "updates", "responses") {
				if there(filepath.Join(dir, name)) {
					t.Errorf("%s is still there", name)
				}
			}
			for _, name := range append(stays, "p.3") {
				if !there(filepath.Join(dir, name)) {
					t.Errorf("%s, which is not Picket's, is gone", name)
				}
			}
		})
	}
}
