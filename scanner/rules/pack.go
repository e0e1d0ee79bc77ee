package rules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"picket/scanner"
)

// packFile beside rules says what they are together.
const packFile = "pack.yaml"

// Pack describes rules that are handed out together.
type Pack struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	// MinEngine is the EngineVersion that the pack as a whole needs.
	MinEngine int `yaml:"min_engine"`
	// Extends is "built-in" where the rules come beside the built-in ones, each in the place of
	// that with its id; "" where they come in the place of all.
	Extends string `yaml:"extends"`
}

// Pack gives what the rules are together; the zero value where nothing says it.
func (s *Set) Pack() Pack { return s.pack }

func readPack(fsys fs.FS) (Pack, error) {
	f, err := fsys.Open(packFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Pack{}, nil
	} else if err != nil {
		return Pack{}, fmt.Errorf("opening %s: %w", packFile, err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxRuleFile+1))
	if err != nil {
		return Pack{}, fmt.Errorf("reading %s: %w", packFile, err)
	}
	var p Pack
	root, err := decode(packFile, src, &p)
	switch {
	case err != nil:
		return p, err
	case p.MinEngine > EngineVersion:
		return p, fmt.Errorf("%s:%w", packFile, errAt(at(root, "min_engine"), "needs engine %d, this one is %d", p.MinEngine, EngineVersion))
	case p.Extends != "" && p.Extends != "built-in":
		return p, fmt.Errorf("%s:%w", packFile, errAt(at(root, "extends"), "extends: got %q, want built-in, or nothing", p.Extends))
	}
	return p, nil
}

// extend adds the built-in rules that no rule of the set takes the place of.
func (s *Set) extend(collectors []scanner.Collector) error {
	base, err := Catalogue(collectors)
	if err != nil {
		return err
	}
	own := s.IDs()
	for _, r := range base.rules {
		if !slices.Contains(own, r.ID) {
			s.rules = append(s.rules, r)
		}
	}
	return nil
}

// SelfTest runs the tests inside all rules.
func (s *Set) SelfTest() error {
	var errs []error
	for _, r := range s.rules {
		if !r.BuiltIn {
			errs = append(errs, r.SelfTest())
		}
	}
	return errors.Join(errs...)
}
