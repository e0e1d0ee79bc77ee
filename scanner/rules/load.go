package rules

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/expr-lang/expr"
	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

//go:embed catalogue/*.yaml catalogue/texts
var catalogue embed.FS

const (
	maxRuleFile  = 256 << 10 // bytes of one rule file
	maxRules     = 5000
	maxCondNodes = 2000 // of one compiled condition
)

// Catalogue loads the embedded rules against the given collectors' tables.
func Catalogue(collectors []scanner.Collector) (*Set, error) {
	sub, err := fs.Sub(catalogue, "catalogue")
	if err != nil {
		return nil, err
	}
	s, err := Load(sub, collectors)
	if err != nil {
		return nil, err
	}
	for _, r := range s.rules {
		r.BuiltIn = true
	}
	return s, nil
}

// Load reads every *.yaml file of fsys as a rule, but for pack.yaml, which says what the rules
// are together. It reports all that is wrong with all of them at once, each with file and line,
// and loads nothing unless everything is right.
func Load(fsys fs.FS, collectors []scanner.Collector) (*Set, error) {
	pack, err := readPack(fsys)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == packFile })
	if len(names) == 0 {
		return nil, errors.New("no rule file (*.yaml) found")
	}
	if len(names) > maxRules {
		return nil, fmt.Errorf("%d rule files, over the limit of %d", len(names), maxRules)
	}
	l := NewLoader(collectors)
	set := &Set{pack: pack}
	seen := map[string]string{} // id and platform -> file
	var errs []error
	for _, name := range names {
		r, err := l.load(fsys, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other := claim(seen, r); other != "" {
			errs = append(errs, fmt.Errorf("%s: rule %s is in %s already", name, r.ID, other))
			continue
		}
		set.rules = append(set.rules, r)
	}
	if pack.Extends != "" {
		if err := set.extend(collectors); err != nil {
			errs = append(errs, err)
		}
	}
	sort.SliceStable(set.rules, func(i, j int) bool { return set.rules[i].ID < set.rules[j].ID })
	ids := set.IDs()
	for _, r := range set.rules {
		for _, id := range r.Absorbs {
			if !slices.Contains(ids, id) {
				errs = append(errs, fmt.Errorf("%s: absorbs %s, which is no rule%s", r.File, id, DidYouMean(id, ids)))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if set.texts, err = loadTexts(fsys, set.rules); err != nil {
		return nil, err
	}
	return set, nil
}

// claim notes a rule's file for its id on each of its platforms. It gives the file that has it
// already: an id names one rule on any device.
func claim(seen map[string]string, r *Rule) (other string) {
	for _, p := range r.Platforms {
		if f := seen[r.ID+" "+p]; f != "" {
			return f
		}
	}
	for _, p := range r.Platforms {
		seen[r.ID+" "+p] = r.File
	}
	return ""
}

// Loader compiles rules against the tables of some collectors.
type Loader struct {
	rows map[string]*rowType
	opts map[string][]expr.Option
}

// NewLoader makes a loader for rules over the collectors' tables.
func NewLoader(collectors []scanner.Collector) *Loader {
	l := &Loader{rows: map[string]*rowType{}, opts: map[string][]expr.Option{}}
	for _, c := range collectors {
		l.rows[c.Table] = newRowType(c.Row)
		l.opts[c.Table] = slices.Clip(append(functions(), expr.Env(c.Row), expr.AsBool(), expr.MaxNodes(maxCondNodes), expr.DisableBuiltin("repeat")))
	}
	return l
}

func (l *Loader) tables() []string {
	names := make([]string, 0, len(l.rows))
	for n := range l.rows {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func (l *Loader) load(fsys fs.FS, name string) (*Rule, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening rule: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxRuleFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading rule %s: %w", name, err)
	}
	return l.Parse(name, src)
}

// Parse reads and compiles one rule. Its errors name file and line.
func (l *Loader) Parse(name string, src []byte) (*Rule, error) {
	r := &Rule{File: name}
	root, err := decode(name, src, r)
	if err != nil {
		return nil, err
	}
	if err := l.check(r, root); err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	r.named = placeholders(r.Means + r.Fix)
	return r, nil
}

// decode reads a file of one document into the struct that v points to, and gives its node.
func decode(name string, src []byte, v any) (*yaml.Node, error) {
	if len(src) > maxRuleFile {
		return nil, fmt.Errorf("%s: a rule file may have %d bytes at most", name, maxRuleFile)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(src))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s:1: the file is empty", name)
	case err != nil:
		return nil, yamlError(name, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document in a rule file", name)
	}
	root := doc.Content[0]
	if err := checkKeys(root, reflect.TypeOf(v).Elem()); err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	if err := root.Decode(v); err != nil {
		return nil, yamlError(name, err)
	}
	return root, nil
}

// yamlError writes the YAML library's error as "file:line: what".
func yamlError(name string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	msg = strings.TrimSpace(strings.TrimPrefix(msg, "unmarshal errors:"))
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		return fmt.Errorf("%s:%s", name, rest)
	}
	return fmt.Errorf("%s: %s", name, msg)
}

// lineError is an error at a line; its text goes behind "file:".
type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.msg) }

func errAt(n *yaml.Node, format string, args ...any) error {
	return &lineError{n.Line, fmt.Sprintf(format, args...)}
}

// checkKeys refuses keys that the struct does not have.
func checkKeys(n *yaml.Node, t reflect.Type) error {
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			if err := checkKeys(c, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[yaml.Node]():
		return checkStruct(n, t)
	}
	return nil
}

func checkStruct(n *yaml.Node, t reflect.Type) error {
	if n.Kind != yaml.MappingNode {
		return errAt(n, "a mapping of keys to values is needed here")
	}
	fields := map[string]reflect.Type{}
	var names []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			fields[tag] = t.Field(i).Type
			names = append(names, tag)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		ft, ok := fields[key.Value]
		if !ok {
			return errAt(key, "unknown key %q%s", key.Value, DidYouMean(key.Value, names))
		}
		if err := checkKeys(n.Content[i+1], ft); err != nil {
			return err
		}
	}
	return nil
}

// at gives the node of a top-level key, or the document's.
func at(root *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == key {
			return root.Content[i+1]
		}
	}
	return root
}

// Source gives the file of a rule of the embedded catalogue.
func Source(r *Rule) ([]byte, error) { return catalogue.ReadFile("catalogue/" + r.File) }
