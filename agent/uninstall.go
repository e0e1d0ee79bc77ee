package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner/report"
	"picket/transport/tuf"
)

// removal is a file or folder that goes.
type removal struct {
	Path   string `json:"path"`
	What   string `json:"what"` // service, state, settings, notice, key, manual, program
	folder bool   // goes with all that is in it
}

// remove takes it away: never a folder where a file was listed.
func (r removal) remove() error {
	if r.folder {
		return os.RemoveAll(r.Path)
	}
	if err := unix.Unlink(r.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// farewell is all that uninstalling removes, in order, and what it leaves.
type farewell struct {
	system *initSystem // nil where there is no service
	cfg    Config
	from   Origins
	bound  []string // folders of state whose policy counts

	Removes  []removal `json:"removes"`
	Leaves   []removal `json:"leaves,omitempty"`
	Enrolled string    `json:"enrolled,omitempty"` // the device's id in the fleet, which it leaves
	Program  string    `json:"program,omitempty"`  // how the program itself goes, where not by us
}

// planFarewell looks for everything that Picket has left on this device. purge has the settings go too.
func planFarewell(c Config, from Origins, system *initSystem, purge bool) (*farewell, error) {
	f := &farewell{system: system, cfg: c, from: from, bound: []string{c.StateDir}}
	settings := []string{from.File}
	if system != nil {
		definition, found, err := system.installed()
		if err != nil {
			return nil, err
		}
		if found {
			f.add("service", append(serviceLinks(*system), system.path)...)
			f.bound = append(f.bound, definedPlace(definition))
		}
		if file := definedConfig(definition); file != "" {
			settings = append(settings, file)
		}
		f.add("service", system.leaves...)
		f.add("service", kernelDropIn)
		f.add("notice", autostartFile, motdFile)
		settings = append(settings, system.own...)
		f.add("state", system.state, filepath.Dir(settingOf("socket").def))
	}
	for _, r := range stateFiles(c) {
		f.list(r)
	}
	f.add("manual", manuals()...)
	slices.Sort(settings)
	for _, name := range slices.Compact(settings) {
		switch {
		case purge:
			f.add("settings", name)
		case there(name) && !(name == filepath.Dir(kernelDropIn) && onlyIn(name, kernelDropIn)):
			f.Leaves = append(f.Leaves, removal{Path: name, What: "settings"})
		}
	}
	if id, err := loadIdentity(c.StateDir); err == nil {
		f.Enrolled = id.Device
	}
	return f, f.program()
}

func there(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// onlyIn tells whether a folder holds one file and nothing else.
func onlyIn(dir, file string) bool {
	names, err := os.ReadDir(dir)
	return err == nil && len(names) == 1 && names[0].Name() == filepath.Base(file)
}

// add lists what is there.
func (f *farewell) add(what string, names ...string) {
	for _, name := range names {
		if st, err := os.Lstat(name); err == nil {
			f.list(removal{name, what, st.IsDir()})
		}
	}
}

// list lists what is not in a folder that is listed already.
func (f *farewell) list(r removal) {
	if !slices.ContainsFunc(f.Removes, func(other removal) bool { return within(r.Path, other.Path) }) {
		f.Removes = append(f.Removes, r)
	}
}

// serviceLinks are what enabling the service made.
func serviceLinks(s initSystem) []string {
	var out []string
	for _, pattern := range []string{"/etc/systemd/system/*.wants/" + serviceName + ".service", "/etc/runlevels/*/" + serviceName, "/etc/rc?.d/[SK][0-9][0-9]" + serviceName} {
		found, _ := filepath.Glob(pattern) // the patterns are right
		for _, link := range found {
			if to, err := filepath.EvalSymlinks(link); err == nil && to == s.path {
				out = append(out, link)
			}
		}
	}
	return out
}

// stateFiles are what the agent makes where the configuration says, by its exact name and kind: the
// folders may hold more, and a name that begins as one of Picket's is not Picket's.
func stateFiles(c Config) []removal {
	var out []removal
	add := func(kind fs.FileMode, names ...string) {
		for _, name := range names {
			if st, err := os.Lstat(name); err == nil && st.Mode().Type() == kind {
				out = append(out, removal{name, "state", st.IsDir()})
			}
		}
	}
	store := filepath.Join(c.StateDir, storeName)
	add(0, store, store+".new")
	for _, pattern := range []string{globQuote(store) + ".damaged-*", filepath.Join(globQuote(c.StateDir), keyPrefix+"*"+keySuffix)} {
		found, _ := filepath.Glob(pattern) // the patterns are right
		add(0, found...)
	}
	add(0, filepath.Join(c.StateDir, enrolmentName), filepath.Join(c.StateDir, enrolmentLock))
	add(fs.ModeDir, updatesDir(c), responsesDir(c))
	for turn := range sinkTurns {
		add(0, turnName(c.SinkFile, turn))
	}
	add(fs.ModeSocket, c.Socket)
	return out
}

// manuals are the manual page and completions where docs/install.md has them put, if they are Picket's.
func manuals() []string {
	var out []string
	for name, mark := range map[string]string{
		"/usr/local/share/man/man1/picket.1": ".TH", "/etc/bash_completion.d/picket": "bash completion",
		"/usr/share/bash-completion/completions/picket": "bash completion", "/usr/local/share/zsh/site-functions/_picket": "#compdef picket", "/etc/fish/completions/picket.fish": "fish completion for picket",
	} {
		if b, err := readSmall(name); err == nil && bytes.Contains(b[:min(len(b), 400)], []byte(mark)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// program has the binary go last, unless it is a package manager's to remove or nobody's to keep.
func (f *farewell) program() error {
	binary, err := ownBinary()
	if err != nil {
		return err
	}
	switch {
	case os.Geteuid() != 0:
		f.Program = "the program stays, for it is not only this user's: " + binary
	case within(binary, "/usr/local") || within(binary, "/opt") || within(binary, "/root") || within(binary, "/home"):
		f.add("program", binary)
	default:
		f.Program = "remove the program as it came, with the package manager or by 'rm " + binary + "'"
	}
	return nil
}

// forbidden refuses where a policy that was accepted forbids a person to remove Picket.
func forbidden(stateDirs ...string) error {
	for _, dir := range stateDirs {
		if dir == "" {
			continue
		}
		set, _ := tuf.Load(updatesDir(Config{StateDir: dir}))
		if set == nil {
			continue
		}
		p, err := policyOf(set)
		if err != nil || p == nil || p.Uninstall != "forbidden" {
			continue
		}
		return refused("ask "+report.Clean(p.Organisation.contact())+"; root can remove files by hand all the same, and the organisation sees that the device no longer reports",
			"the policy of your organisation forbids removing Picket; nothing was touched")
	}
	return nil
}

// contact is whom a policy names for help.
func (o PolicyOrganisation) contact() string {
	parts := slices.DeleteFunc([]string{o.Name, o.Email, o.Phone, o.URL}, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return "your organisation, which the policy does not name"
	}
	return strings.Join(parts, ", ")
}

// carryOut removes all that was planned, and says what it did and what it could not. The service
// stops first, then the device leaves its fleet, and the program goes last.
func (f *farewell) carryOut(ctx context.Context, say func(format string, args ...any)) (notices []string, err error) {
	if f.system != nil {
		if err := f.endService(); err != nil {
			return nil, err
		}
	}
	var status Status
	if err := callAPI(ctx, f.cfg.Socket, apiRequest{Op: "status"}, nil, &status); err == nil {
		return nil, &hinted{fmt.Errorf("an agent still runs, as process %d", status.PID), "stop it first, then run this again"}
	}
	if err := openAccess(ctx, f.cfg, f.from); err != nil {
		notices = append(notices, fmt.Sprintf("access is blocked by a hook, and could not be opened: %v", err))
	}
	if f.Enrolled != "" {
		id, left, err := enroller{dir: f.cfg.StateDir, now: time.Now}.unenrol(ctx, true)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if left != nil && id != nil {
			notices = append(notices, fmt.Sprintf("the certificate was not revoked: %v; who runs the CA can revoke it: serial %s", left, id.leaf().SerialNumber))
		}
	}
	var failed []error
	for _, r := range f.Removes {
		if err := r.remove(); err != nil {
			failed = append(failed, fmt.Errorf("removing %s: %w", r.Path, err))
			continue
		}
		say("removed %s", r.Path)
	}
	for _, r := range f.Removes { // folders that held nothing else
		for dir := filepath.Dir(r.Path); ours(dir, f.cfg) && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
			say("removed %s", dir)
		}
	}
	return notices, errors.Join(failed...)
}

// ours are the folders that were made for Picket alone.
func ours(dir string, c Config) bool {
	return filepath.Base(dir) == "picket" && !within(dir, "/home") || dir == filepath.Dir(kernelDropIn) || dir == c.StateDir || dir == filepath.Dir(c.SinkFile) || dir == filepath.Dir(c.Socket)
}

// endService stops the service and takes its definition away.
func (f *farewell) endService() error {
	_, found, err := f.system.installed()
	if err != nil || !found {
		return err
	}
	if err := f.system.stopped(); err != nil {
		return &hinted{fmt.Errorf("stopping the service: %w", err), "see what it said with '" + f.system.logs + "'; nothing was removed"}
	}
	if err := f.system.uninstall(); err != nil {
		return fmt.Errorf("removing %s: %w", f.system.path, err)
	}
	return nil
}
