package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kardianos/service"
)

// serviceName is what the agent is called as a service.
const serviceName = "picket"

// initSystem is a way of keeping a service running: what is written where, and how it is begun
// and ended. Where add, remove and control are nil, github.com/kardianos/service does it.
type initSystem struct {
	name    string      // as --init has it; the folder in packaging.Files
	library string      // its name in kardianos/service
	option  string      // the library's key for a definition in place of its own
	file    string      // in packaging.Files
	path    string      // where the definition is installed
	mode    fs.FileMode // of the definition
	state   string      // default folder of the state
	logs    string      // command that shows what the agent said
	leaves  []string    // files that the service makes outside its own folders
	own     []string    // files of the person who runs the device; they are never removed
	add     func() error
	remove  func() error
	renew   [][]string // commands after the definition was replaced
	control func(action string) error
	status  func() (string, error) // running, stopped, failed, or a word of the init system for what is between these
}

// initSystems are all that Picket can be a service of. Upstart is not among them: nothing that is
// still maintained runs it.
func initSystems() []initSystem {
	const (
		state    = "/var/lib/picket"
		script   = "/etc/init.d/picket"
		busybox  = "/etc/init.d/S50picket"
		dropIns  = "/etc/systemd/system/picket.service.d"
		defaults = "/etc/default/picket"
	)
	return []initSystem{
		{name: "systemd", library: "linux-systemd", option: "SystemdScript", file: "systemd/picket.service",
			path: "/etc/systemd/system/picket.service", mode: 0o644, state: state, logs: "journalctl -u picket -n 20",
			own: []string{dropIns}, renew: [][]string{{"systemctl", "daemon-reload"}}, status: systemdStatus},
		// The library adds to the runlevel that is on now, removes the script before the link to it, and
		// keeps what OpenRC says of a failure to itself.
		{name: "openrc", library: "linux-openrc", option: "OpenRCScript", file: "openrc/picket",
			path: script, mode: 0o755, state: state, logs: "tail /var/log/picket.log",
			leaves: []string{"/var/log/picket.log", "/var/log/picket.log.old"}, own: []string{"/etc/conf.d/picket"},
			add:    func() error { return runTool("rc-update", "add", serviceName, "default") },
			remove: removeFromOpenRC, control: func(action string) error { return runTool("rc-service", serviceName, action) }, status: openRCStatus},
		{name: "procd", library: "linux-procd", option: "SysvScript", file: "procd/picket",
			path: script, mode: 0o755, state: "/etc/picket/state", logs: "logread -e picket"},
		// The library leaves the links of the runlevels behind, and does not say when it could make none.
		{name: "sysv", library: "unix-systemv", file: "sysv/picket", path: script, mode: 0o755, state: state,
			logs: "grep picket /var/log/syslog", leaves: []string{"/var/run/picket.pid"}, own: []string{defaults},
			add: addRunlevels, remove: removeRunlevels, control: scriptControl(script), status: scriptStatus(script)},
		// The library links from /etc/rc.d, where BusyBox's rcS does not look.
		{name: "busybox", library: "linux-rcs", file: "sysv/picket", path: busybox, mode: 0o755, state: state,
			logs: "logread | grep picket", leaves: []string{"/var/run/picket.pid"}, own: []string{defaults},
			add: nothing, remove: nothing, control: scriptControl(busybox), status: scriptStatus(busybox)},
	}
}

func nothing() error { return nil }

// removeFromOpenRC takes the service out of the runlevel it was added to, and out of those that a
// person added it to.
func removeFromOpenRC() error {
	failed := runTool("rc-update", "delete", serviceName, "default")
	links, _ := filepath.Glob("/etc/runlevels/*/" + serviceName)
	for _, link := range links {
		failed = os.Remove(link)
	}
	if links, _ = filepath.Glob("/etc/runlevels/*/" + serviceName); len(links) == 0 {
		return nil // whatever rc-update said, as of a link that was not there
	}
	return failed
}

// findInit gives the init system of a name, or the one that runs here.
func findInit(name string) (initSystem, error) {
	var names []string
	running := service.Platform()
	for _, s := range initSystems() {
		names = append(names, s.name)
		switch {
		case s.name == name, name == "" && s.library == running && (s.name != "sysv" || hasRunlevels()):
			return s, nil
		}
	}
	if name != "" {
		return initSystem{}, usagef("--init %q is none of %s", name, strings.Join(names, ", "))
	}
	return initSystem{}, &hinted{errors.New("no init system is known here that could run Picket as a service"),
		"have whatever starts programs here run 'picket run', which stays in the foreground; --init names one of " + strings.Join(names, ", ")}
}

// service gives the service as kardianos/service sees it, with a definition of ours.
func (s initSystem) service(definition string) (service.Service, error) {
	for _, sys := range service.AvailableSystems() {
		if sys.String() == s.library {
			return sys.New(nil, &service.Config{Name: serviceName, Option: service.KeyValue{s.option: definition}})
		}
	}
	return nil, fmt.Errorf("%s: %w", s.name, service.ErrNoServiceSystemDetected)
}

// install registers the service: the definition is there afterwards, and the device starts it.
func (s initSystem) install(definition string) error {
	if s.add == nil {
		lib, err := s.service(definition)
		if err != nil {
			return err
		}
		return lib.Install()
	}
	if err := s.write(definition); err != nil {
		return err
	}
	return s.add()
}

// write replaces the definition as a whole.
func (s initSystem) write(definition string) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	return writeFileMode(s.path, definition, s.mode)
}

// uninstall removes the definition and every link to it.
func (s initSystem) uninstall() error {
	if s.remove == nil {
		lib, err := s.service("")
		if err != nil {
			return err
		}
		return lib.Uninstall()
	}
	return errors.Join(s.remove(), os.Remove(s.path))
}

// do starts, stops or restarts the service.
func (s initSystem) do(action string) error {
	if s.control != nil {
		return s.control(action)
	}
	lib, err := s.service("")
	if err != nil {
		return err
	}
	return service.Control(lib, action)
}

// running asks for the state of the service.
func (s initSystem) running() (string, error) {
	if s.status != nil {
		return s.status()
	}
	return s.libraryStatus()
}

func (s initSystem) libraryStatus() (string, error) {
	lib, err := s.service("")
	if err != nil {
		return "", err
	}
	switch state, err := lib.Status(); {
	case state == service.StatusRunning:
		return "running", nil
	case state == service.StatusStopped:
		return "stopped", nil
	case err != nil && !errors.Is(err, service.ErrNotInstalled):
		return "", err
	}
	return "neither running nor stopped", nil
}

// systemdStatus asks systemd itself: to the library a service that ends again and again runs.
func systemdStatus() (string, error) {
	text, err := toolOutput("systemctl", "is-active", serviceName+".service")
	switch exit := (*exec.ExitError)(nil); {
	case text == "active":
		return "running", nil
	case text == "inactive":
		return "stopped", nil
	case err != nil && !errors.As(err, &exit), strings.ContainsAny(text, " \n") || text == "":
		return "", err
	}
	return text, nil // failed, activating, deactivating, reloading
}

// openRCStatus is what the library says of OpenRC's service, but for one whose supervisor runs and
// has no process to look after.
func openRCStatus() (string, error) {
	state, err := initSystem{name: "openrc", library: "linux-openrc"}.libraryStatus()
	if state != "running" {
		return state, err
	}
	for _, dir := range []string{"/run/openrc", "/lib/rc/init.d"} {
		b, err := os.ReadFile(dir + "/options/" + serviceName + "/child_pid")
		if err != nil {
			continue // not started, or by an OpenRC that does not tell
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && pid > 0 {
			if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); errors.Is(err, fs.ErrNotExist) {
				return "waiting to be started again", nil
			}
		}
	}
	return state, nil
}

// toolTime is how long a program of the init system may take; a service may use two minutes to start.
const toolTime = 3 * time.Minute

// runTool runs a program of the init system, and gives its complaint as the error.
func runTool(name string, args ...string) error {
	_, err := toolOutput(name, args...)
	return err
}

func toolOutput(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	return toolOutputWithin(ctx, name, args...)
}

// toolOutputWithin is toolOutput until ctx ends.
func toolOutputWithin(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second // what it started may hold on to the pipe
	b, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(b[:min(len(b), 4<<10)]))
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, err
}
