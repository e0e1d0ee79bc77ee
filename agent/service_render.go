package agent

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"picket/packaging"
)

// What a definition says of a binary and configuration in their usual places.
const (
	usualBinary     = "/usr/bin/picket"
	usualConfigLine = "PICKET_CONFIG=" + systemConfig
	usualWriteLine  = "#ReadWritePaths=/srv/picket"
)

// servicePlace is what differs from one device to another in a definition.
type servicePlace struct {
	binary   string   // absolute path
	config   string   // of the configuration, where it is not the platform's own
	writable []string // folders that the agent writes to, outside its usual ones
	shared   string   // the one of them with the socket, which others may enter
}

// plainPath are the paths that need no quoting in any definition: shells, systemd and the
// library's templates each have marks of their own.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._+-]+)+$`)

// definition writes the definition of the service for a place.
func (s initSystem) definition(p servicePlace) (string, error) {
	for _, path := range append([]string{p.binary, p.config}, p.writable...) {
		if path != "" && !plainPath.MatchString(path) {
			return "", &hinted{fmt.Errorf("the path %q cannot stand in the definition of a service", path),
				"use one of letters, digits and . _ + - only"}
		}
	}
	b, err := packaging.Files.ReadFile(s.file)
	if err != nil {
		return "", err
	}
	text := strings.ReplaceAll(string(b), usualBinary, p.binary)
	if p.config != "" {
		for _, prefix := range []string{"Environment=", "export "} {
			text = strings.Replace(text, "#"+prefix+usualConfigLine, prefix+"PICKET_CONFIG="+p.config, 1)
		}
	}
	if len(p.writable) > 0 {
		text = strings.Replace(text, usualWriteLine, "ReadWritePaths="+strings.Join(p.writable, " "), 1)
	}
	return text, nil
}

// definedConfig gives the configuration that an installed definition names, or "".
func definedConfig(definition string) string {
	for line := range strings.Lines(definition) {
		for _, prefix := range []string{"Environment=PICKET_CONFIG=", "export PICKET_CONFIG="} {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok && plainPath.MatchString(path) {
				return path
			}
		}
	}
	return ""
}

// definedState gives the folder of the state that an installed definition hands to the agent, or "".
func definedState(definition string) string {
	for line := range strings.Lines(definition) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			if path, ok := strings.CutPrefix(word, "STATE_DIRECTORY="); ok && plainPath.MatchString(path) {
				return path
			}
		}
	}
	return ""
}

// serviceHere gives the configuration and the folder of the state that the service which is
// installed here hands to its agent, "" for the usual ones. Where none is, it is what one would have.
func serviceHere() (config, state string) {
	for _, s := range initSystems() {
		if text, found, err := s.installed(); err == nil && found {
			return definedConfig(text), definedState(text)
		}
	}
	if s, err := findInit(""); err == nil {
		state = s.state
	}
	return "", state
}

// definedPlace gives the folder of the state that the agent of an installed definition has, "" where
// its configuration does not say.
func definedPlace(definition string) string {
	env := HostEnv(nil)
	env.Getenv, env.State = func(string) string { return "" }, definedState(definition)
	c, _, err := Load(definedConfig(definition), env)
	if err != nil {
		return ""
	}
	return c.StateDir
}

// writtenFolders are the folders that a configuration has the agent write to, outside those that
// every service has. Only systemd needs to know them: there all else is read-only.
func writtenFolders(c Config) ([]string, error) {
	var out []string
	for _, dir := range []string{c.StateDir, filepath.Dir(c.SinkFile), filepath.Dir(c.Socket)} {
		if within(dir, settingOf("state_dir").def) || within(dir, filepath.Dir(settingOf("socket").def)) || slices.Contains(out, dir) {
			continue
		}
		if strings.Count(dir, "/") < 2 {
			return nil, &hinted{fmt.Errorf("the configuration has the agent write to %s itself, where much else is", dir), "give it a folder of its own there"}
		}
		out = append(out, dir)
	}
	return out, nil
}

// within tells whether a clean path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// checkBinary refuses a binary that another than root could replace, since the service runs it
// as root, and one that is gone after the next start of the device.
func checkBinary(path string) error {
	hint := "put it where programs are kept, as in 'install -m 0755 picket /usr/local/bin/', and run it from there"
	for _, dir := range []string{"/tmp", "/var/tmp", "/run", "/dev"} {
		if within(path, dir) {
			return &hinted{fmt.Errorf("%s is in a folder that is emptied from time to time", path), hint}
		}
	}
	for at := path; ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if err := unix.Stat(at, &st); err != nil {
			return fmt.Errorf("looking at %s: %w", at, err)
		}
		if why := writers(&st, 0, at != path); why != "" {
			return &hinted{fmt.Errorf("others may replace %s, which root is to run: %s of %s", path, why, at), hint}
		}
		if at == "/" {
			return nil
		}
	}
}
