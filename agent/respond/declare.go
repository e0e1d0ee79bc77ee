// Package respond does what a policy may have done beside telling: it runs a hook when access
// changes, and removes work data. What there is to run and to remove is declared on the device,
// in a file that root alone can write; a policy can but trigger that. docs/responses.md.
package respond

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Format is the form of a declaration.
const Format = "picket.responses/1"

// Bounds of a declaration.
const (
	maxDeclaration = 64 << 10 // bytes
	maxEntries     = 64       // of one list
	maxArgument    = 4096     // bytes
)

// Who confirms a wipe.
const (
	ByOrganisation = "organisation" // a policy that names the wipe
	ByDevice       = "device"       // a second whole scan that comes to the same
)

// Declaration says what may be done on this device.
type Declaration struct {
	Format string `yaml:"format"`
	Block  *Block `yaml:"block"`
	Wipe   *Wipe  `yaml:"wipe"`

	// Digest tells one content from another.
	Digest string `yaml:"-"`
}

// Block is the hook that runs when access changes.
type Block struct {
	Hook    []string `yaml:"hook"`    // program and arguments
	Timeout Duration `yaml:"timeout"` // for one run
	// Repeat is how often it runs again while access is blocked, so that a block which ends by itself goes on.
	Repeat Duration `yaml:"repeat"`
}

// Wipe is what work data there is, and what it takes to remove it.
type Wipe struct {
	Delay    Duration  `yaml:"delay"`   // from the announcement
	Confirm  string    `yaml:"confirm"` // ByOrganisation or ByDevice
	Commands []Command `yaml:"commands"`
	Folders  []string  `yaml:"folders"` // what is in them is removed, after the commands
}

// Command destroys a key or removes a work profile.
type Command struct {
	Name    string   `yaml:"name"`
	Run     []string `yaml:"run"` // program and arguments
	Timeout Duration `yaml:"timeout"`
}

// Duration is written as in the configuration: 30s, 12h, 7d.
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a duration such as 12h is needed here", n.Line)
	}
	if days, whole := strings.CutSuffix(n.Value, "d"); whole {
		if v, err := strconv.ParseUint(days, 10, 12); err == nil {
			*d = Duration(time.Duration(v) * 24 * time.Hour)
			return nil
		}
	}
	v, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no duration such as 30s, 12h or 7d", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// Load reads a declaration that root alone can write. It is an fs.ErrNotExist where there is none.
func Load(name string, state ...string) (*Declaration, error) {
	if err := Trusted(name); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxDeclaration+1))
	if err != nil {
		return nil, fmt.Errorf("reading the declaration: %w", err)
	}
	d, err := Parse(src, state...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// Parse reads a declaration. Folders that hold one of keep, or are in it, are refused, as are
// those of the system.
func Parse(src []byte, keep ...string) (*Declaration, error) {
	if len(src) > maxDeclaration {
		return nil, fmt.Errorf("more than %d bytes", maxDeclaration)
	}
	d := &Declaration{}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(d); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if d.Format != Format {
		return nil, fmt.Errorf("format: %q is not %s", d.Format, Format)
	}
	if d.Block != nil {
		if err := d.Block.check(); err != nil {
			return nil, fmt.Errorf("block: %w", err)
		}
	}
	if d.Wipe != nil {
		if err := d.Wipe.check(keep); err != nil {
			return nil, fmt.Errorf("wipe: %w", err)
		}
	}
	sum := sha256.Sum256(src)
	d.Digest = hex.EncodeToString(sum[:])
	return d, nil
}

// within checks a duration, and sets what was not given.
func (d *Duration) within(key string, def, least, most time.Duration) error {
	if *d == 0 {
		*d = Duration(def)
	}
	if v := time.Duration(*d); v < least || v > most {
		return fmt.Errorf("%s: %v is out of range: %v to %v", key, v, least, most)
	}
	return nil
}

func (b *Block) check() error {
	if err := checkArguments("hook", b.Hook); err != nil {
		return err
	}
	return errors.Join(b.Timeout.within("timeout", 30*time.Second, time.Second, 5*time.Minute),
		b.Repeat.within("repeat", time.Hour, time.Minute, 24*time.Hour))
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$`)

func (w *Wipe) check(keep []string) error {
	if err := w.Delay.within("delay", 24*time.Hour, time.Hour, 90*24*time.Hour); err != nil {
		return err
	}
	switch w.Confirm {
	case "":
		w.Confirm = ByOrganisation
	case ByOrganisation, ByDevice:
	default:
		return fmt.Errorf("confirm: %q is neither %s nor %s", w.Confirm, ByOrganisation, ByDevice)
	}
	if len(w.Commands)+len(w.Folders) == 0 {
		return errors.New("neither commands nor folders: there is nothing to remove")
	}
	if len(w.Commands) > maxEntries || len(w.Folders) > maxEntries {
		return fmt.Errorf("more than %d commands or folders", maxEntries)
	}
	names := map[string]bool{}
	for i := range w.Commands {
		c := &w.Commands[i]
		if !namePattern.MatchString(c.Name) || names[c.Name] {
			return fmt.Errorf("commands: %q is no name of letters, digits, spaces, dots and dashes that is there once", c.Name)
		}
		names[c.Name] = true
		if err := checkArguments("run", c.Run); err != nil {
			return fmt.Errorf("commands: %s: %w", c.Name, err)
		}
		if err := c.Timeout.within("timeout", time.Minute, time.Second, time.Hour); err != nil {
			return fmt.Errorf("commands: %s: %w", c.Name, err)
		}
	}
	for i, f := range w.Folders {
		if err := checkFolder(f, keep); err != nil {
			return fmt.Errorf("folders: %w", err)
		}
		for _, other := range w.Folders[:i] {
			if within(f, other) || within(other, f) {
				return fmt.Errorf("folders: %s and %s overlap", other, f)
			}
		}
	}
	return nil
}

func checkArguments(key string, args []string) error {
	if len(args) == 0 || len(args) > maxEntries {
		return fmt.Errorf("%s: a program and its arguments are needed, %d at most", key, maxEntries)
	}
	if !filepath.IsAbs(args[0]) || filepath.Clean(args[0]) != args[0] {
		return fmt.Errorf("%s: %q is no full path of a program", key, args[0])
	}
	for _, a := range args {
		if len(a) > maxArgument || strings.ContainsRune(a, 0) {
			return fmt.Errorf("%s: an argument has a NUL or more than %d bytes", key, maxArgument)
		}
	}
	return nil
}
