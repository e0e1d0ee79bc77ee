package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

// maxListFile bounds the files that a person names on the command line.
const maxListFile = 4 << 20

// sourceFlags are the flags of all commands that look at a device.
type sourceFlags struct {
	image   string
	root    string
	profile string
	at      string
	digests string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.image, "image", "i", "", "another device than this one: `PATH` of a directory, archive, disk image or recording, or adb:SERIAL for a phone on this computer's adb server")
	cmd.Flags().StringVar(&f.root, "root", "", "which root file system of an image that holds several (`LABEL`, as the report's notes name them)")
	cmd.Flags().StringVar(&f.profile, "profile", "", "the device's `ROLE` instead of a guess: "+strings.Join(rules.Profiles(), ", "))
	cmd.Flags().StringVar(&f.at, "at", "", "judge as of this `DATE` (2026-01-31) when the recording has none of its own")
	cmd.Flags().StringVar(&f.digests, "digests", "all", "compare packaged programs with their recorded digests: `all or none`")
}

// options checks the flags and makes the scan's options.
func (f *sourceFlags) options() (scanner.Options, error) {
	o := scanner.Options{Collectors: facts.Collectors(), Profile: f.profile, Now: time.Now(), Digests: scanner.DigestMode(f.digests)}
	if f.profile != "" && !slices.Contains(rules.Profiles(), f.profile) {
		return o, usagef("--profile %q is none of %s", f.profile, strings.Join(rules.Profiles(), ", "))
	}
	if o.Digests != scanner.DigestsAll && o.Digests != scanner.DigestsNone {
		return o, usagef("--digests %q is neither all nor none", f.digests)
	}
	if f.at != "" {
		t, err := time.Parse(time.DateOnly, f.at)
		if err != nil {
			return o, usagef("--at %q is no date like 2026-01-31", f.at)
		}
		o.Now = t
	}
	if f.root != "" && f.image == "" {
		return o, usagef("--root goes with --image")
	}
	return o, nil
}

// open opens the device that the flags name.
func (f *sourceFlags) open(ctx context.Context) (scanner.Device, error) {
	if f.image == "" {
		return device.Live(ctx, device.LiveOptions{})
	}
	all := facts.Collectors()
	opt := device.OpenOptions{Root: f.root, Keep: facts.Keep(all), Meta: facts.Fingerprinted(all), Sources: facts.Asked(all)}
	if strings.HasPrefix(f.image, device.ADBPrefix) {
		var err error
		if opt.ADBServer, err = device.ADBServer(os.Getenv); err != nil {
			return nil, fmt.Errorf("finding the adb server: %w", err)
		}
	}
	dev, err := device.Open(ctx, f.image, opt)
	if err != nil {
		err = fmt.Errorf("opening the device: %w", err)
		if help := (*device.HintError)(nil); errors.As(err, &help) {
			err = &hinted{err, help.Hint}
		}
		return nil, err
	}
	return dev, nil
}

// ruleFlags choose the rules.
type ruleFlags struct {
	only  []string
	dir   string
	allow []string
}

func (f *ruleFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "judge these categories only: `LIST` of "+strings.Join(rules.Categories(), ", "))
	cmd.Flags().StringVar(&f.dir, "rules", "", "rules from this `DIR` in place of the built-in ones")
	cmd.Flags().StringArrayVar(&f.allow, "allow", nil, "allow list `FILE` (YAML) of findings that the owner accepts; repeatable")
}

func (f *ruleFlags) load() (*rules.Set, error) {
	set, err := loadRules(f.dir)
	if err != nil {
		return nil, err
	}
	if set, err = withAllow(set, f.allow); err != nil {
		return nil, err
	}
	for _, c := range f.only {
		if !slices.Contains(rules.Categories(), c) {
			return nil, usagef("--only %q is none of %s", c, strings.Join(rules.Categories(), ", "))
		}
	}
	if len(f.only) > 0 {
		set = set.Only(f.only)
	}
	return set, nil
}

// withAllow gives the rules with allow lists.
func withAllow(set *rules.Set, files []string) (*rules.Set, error) {
	for _, name := range files {
		b, err := readSmall(name)
		if err != nil {
			return nil, fmt.Errorf("reading the allow list: %w", err)
		}
		if set, err = set.WithAllow(name, b); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// builtIn compiles the embedded catalogue once: it stays what it is while the program runs, and
// nobody changes a Set.
var builtIn = sync.OnceValues(func() (*rules.Set, error) { return rules.Catalogue(facts.Collectors()) })

// loadRules loads the rules of a folder, or the embedded catalogue.
func loadRules(dir string) (*rules.Set, error) {
	if dir == "" {
		return builtIn()
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("loading rules from %s: %w", dir, plainPathError(err))
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("loading rules from %s: this is no folder", dir)
	}
	set, err := rules.Load(os.DirFS(dir), facts.Collectors())
	if err != nil {
		return nil, fmt.Errorf("loading rules from %s: %w", dir, err)
	}
	return set, nil
}

// readSmall reads a file that a person named.
func readSmall(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxListFile {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", name, maxListFile)
	}
	return os.ReadFile(name)
}
