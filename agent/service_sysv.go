package agent

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// runlevelDirs are the folders of System V runlevels, as Debian and as Red Hat name them.
func runlevelDirs() []string { return []string{"/etc/rc?.d", "/etc/rc.d/rc?.d"} }

// hasRunlevels tells whether System V scripts are run here at all.
func hasRunlevels() bool {
	for _, dir := range runlevelDirs() {
		if found, _ := filepath.Glob(dir); len(found) > 0 {
			return true
		}
	}
	return false
}

// addRunlevels has the script started in runlevels 2 to 5, with the device's own tool where it has one.
func addRunlevels() error {
	switch {
	case hasTool("update-rc.d"):
		if err := runTool("update-rc.d", serviceName, "defaults"); err != nil {
			return err
		}
	case hasTool("chkconfig"):
		if err := runTool("chkconfig", "--add", serviceName); err != nil {
			return err
		}
	default:
		if err := linkRunlevels(); err != nil {
			return err
		}
	}
	for _, link := range runlevelLinks() {
		if strings.HasPrefix(filepath.Base(link), "S") {
			return nil
		}
	}
	return errors.New("no runlevel starts it: there is no link to the script in /etc/rc2.d or a folder like it")
}

// linkRunlevels makes the links itself.
func linkRunlevels() error {
	for _, pattern := range runlevelDirs() {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			name, level := "K02"+serviceName, dir[len(dir)-len("?.d")]
			switch {
			case level >= '2' && level <= '5':
				name = "S50" + serviceName
			case level != '0' && level != '1' && level != '6':
				continue
			}
			target, err := filepath.Rel(dir, "/etc/init.d/"+serviceName)
			if err != nil {
				return err
			}
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// removeRunlevels removes every link to the script.
func removeRunlevels() error {
	var failed error
	switch {
	case hasTool("update-rc.d"):
		failed = runTool("update-rc.d", "-f", serviceName, "remove")
	case hasTool("chkconfig"):
		failed = runTool("chkconfig", "--del", serviceName)
	}
	for _, link := range runlevelLinks() {
		failed = errors.Join(failed, os.Remove(link))
	}
	return failed
}

// runlevelLinks are the links that start and stop the script.
func runlevelLinks() []string {
	var out []string
	for _, dir := range runlevelDirs() {
		found, _ := filepath.Glob(dir + "/[SK][0-9][0-9]" + serviceName)
		out = append(out, found...)
	}
	return out
}

func hasTool(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// scriptControl runs the script with an action.
func scriptControl(script string) func(action string) error {
	return func(action string) error { return runTool(script, action) }
}

// scriptStatus asks the script: 0 is running and 3 stopped, as the Linux Standard Base has it.
func scriptStatus(script string) func() (string, error) {
	return func() (string, error) {
		err := runTool(script, "status")
		var exit *exec.ExitError
		switch {
		case err == nil:
			return "running", nil
		case errors.As(err, &exit) && exit.ExitCode() == 3:
			return "stopped", nil
		}
		return "", err
	}
}
