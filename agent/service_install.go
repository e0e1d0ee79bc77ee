package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDefinition bounds the definition of a service, in bytes.
const maxDefinition = 64 << 10

// errMasked is a service that somebody switched off for good.
var errMasked = errors.New("the service is masked: nothing may start it")

// installed reads the definition that is installed; found is false when there is none.
func (s initSystem) installed() (text string, found bool, err error) {
	st, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, err
	case st.Mode().Type() == fs.ModeSymlink:
		if to, err := os.Readlink(s.path); err == nil && to == os.DevNull {
			return "", false, &hinted{errMasked, "systemctl unmask picket"}
		}
	}
	if !st.Mode().IsRegular() {
		return "", false, fmt.Errorf("%s is not a regular file", s.path)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDefinition))
	return string(b), err == nil, err
}

// installService puts a definition in place and says what it wrote. What is there and the same
// stays, what is there and differs is replaced; the state is never touched.
func installService(w io.Writer, s initSystem, p servicePlace) error {
	definition, err := s.definition(p)
	if err != nil {
		return err
	}
	old, found, err := s.installed()
	if err != nil {
		return err
	}
	if err := makeFolders(w, p); err != nil {
		return err
	}
	switch {
	case found && old == definition:
		fmt.Fprintf(w, "%s is up to date; 'picket service restart' makes a new binary run\n", s.path)
		return nil
	case found:
		if err := s.replace(definition); err != nil {
			return fmt.Errorf("renewing %s: %w", s.path, err)
		}
		fmt.Fprintf(w, "renewed %s\n'picket service restart' makes it count\n", s.path)
		return nil
	}
	if err := s.installNew(definition); err != nil {
		return fmt.Errorf("installing %s: %w", s.path, err)
	}
	fmt.Fprintf(w, "wrote %s: %s runs %s when the device starts\n'picket service start' starts it now\n", s.path, s.name, p.binary)
	fmt.Fprintf(w, "%s; 'network_probe: off' in the configuration has it send nothing\n", declareProbe(settingOf("network_probe").def))
	return nil
}

// replace writes a new definition over an older one.
func (s initSystem) replace(definition string) error {
	if err := s.write(definition); err != nil {
		return err
	}
	for _, cmd := range s.renew {
		if err := runTool(cmd[0], cmd[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// installNew installs the first definition, or leaves nothing behind.
func (s initSystem) installNew(definition string) error {
	err := s.install(definition)
	if err == nil {
		err = os.Chmod(s.path, s.mode) // whatever the umask was
	}
	var have string
	if err == nil {
		have, _, err = s.installed()
	}
	if err == nil && have != definition {
		err = errors.New("what was written is not what was to be written")
	}
	if err == nil {
		return nil
	}
	undo := s.uninstall()
	if e := os.Remove(s.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
		return errors.Join(err, undo, e)
	}
	return err
}

// makeFolders makes the folders that the configuration names and that are not there yet.
func makeFolders(w io.Writer, p servicePlace) error {
	for _, dir := range p.writable {
		_, err := os.Stat(dir)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		mode := fs.FileMode(0o700)
		if dir == p.shared {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(dir, mode), os.Chmod(dir, mode)); err != nil { // whatever the umask is
			return fmt.Errorf("making a folder that the configuration names: %w", err)
		}
		fmt.Fprintf(w, "made %s\n", dir)
	}
	return nil
}

// uninstallService stops the service, removes its definition and, when purge is set, what the
// agent remembers, and says what it removed and what stays. What the policy forbids it does not do,
// and a key whose certificate is good it does not take away.
// config is the configuration whose folders are meant, "" the one that the definition names.
func uninstallService(w io.Writer, s initSystem, config string, purge bool) error {
	definition, found, err := s.installed()
	if err != nil {
		return err
	}
	c, from, err := Load(cmp.Or(config, definedConfig(definition)), HostEnv(nil))
	if err != nil {
		return &hinted{fmt.Errorf("where the state and the policy are cannot be told, and nothing was touched: %w", err), "put it right, or name a configuration with --config"}
	}
	if err := forbidden(c.StateDir, definedPlace(definition), s.state); err != nil {
		return err
	}
	for _, dir := range []string{c.StateDir, s.state} {
		if purge && !errors.Is(statRecord(dir), fs.ErrNotExist) {
			return &hinted{errors.New("this device is enrolled: --purge would take its key away and leave the certificate good; nothing was touched"),
				"end the enrolment first with 'picket unenrol', or remove all of Picket with 'picket uninstall'"}
		}
	}
	if found {
		// One that cannot be stopped is told, and the definition goes all the same.
		stopped := s.stopped()
		if err := s.uninstall(); err != nil {
			return fmt.Errorf("removing %s: %w", s.path, err)
		}
		fmt.Fprintf(w, "removed %s\n", s.path)
		if stopped != nil {
			return fmt.Errorf("stopping the service: %w", stopped)
		}
	} else {
		fmt.Fprintf(w, "there is no %s\n", s.path)
	}
	for _, name := range append(s.leaves, filepath.Dir(settingOf("socket").def)) {
		if err := removeAll(w, name); err != nil {
			return err
		}
	}
	if purge {
		if err := purgeState(w, s, c); err != nil {
			return err
		}
	}
	left := append([]string{s.state, from.File, c.StateDir, filepath.Dir(c.SinkFile)}, s.own...)
	slices.Sort(left)
	for _, name := range slices.Compact(left) {
		if _, err := os.Lstat(name); err == nil {
			fmt.Fprintf(w, "left %s\n", name)
		}
	}
	return nil
}

// stopped ends the service.
func (s initSystem) stopped() error {
	if state, err := s.running(); err == nil && state == "stopped" {
		return nil
	}
	return s.do("stop")
}

// purgeState removes what the agent remembers. Its default folder goes whole; from one that the
// configuration names only what the agent makes, since that may be a folder of many.
func purgeState(w io.Writer, s initSystem, c Config) error {
	if err := removeAll(w, s.state); err != nil {
		return err
	}
	for _, r := range stateFiles(c) {
		if err := r.remove(); err != nil {
			return fmt.Errorf("removing %s: %w", r.Path, err)
		}
		fmt.Fprintf(w, "removed %s\n", r.Path)
	}
	for _, dir := range []string{c.StateDir, filepath.Dir(c.SinkFile)} {
		if os.Remove(dir) == nil { // only when empty
			fmt.Fprintf(w, "removed %s\n", dir)
		}
	}
	return nil
}

// globQuote writes a path as a pattern that matches it alone.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// removeAll removes a file or folder, and says so when there was one.
func removeAll(w io.Writer, name string) error {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	fmt.Fprintf(w, "removed %s\n", name)
	return nil
}

// writeFileMode replaces name as a whole with text and a mode.
func writeFileMode(name, text string, mode fs.FileMode) error {
	return writeFile(name, func(w io.Writer) error {
		if f, ok := w.(*os.File); ok {
			if err := f.Chmod(mode); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, text)
		return err
	})
}
