package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

// Text is what a rule says to people, in another language than the rule's own English. Means and
// Fix name columns in braces as the rule's do.
type Text struct {
	Title string `yaml:"title"`
	Means string `yaml:"means"`
	Fix   string `yaml:"fix"`
}

const (
	maxTextFile = 1 << 20 // bytes of one file of texts
	maxTexts    = 200     // files of texts
)

// loadTexts reads texts/LANGUAGE/*.yaml: each a mapping of a rule's file, without .yaml, to its
// Text. Rules without a text in a language are told in English there.
func loadTexts(fsys fs.FS, rules []*Rule) (map[string]map[string]Text, error) {
	names, err := fs.Glob(fsys, "texts/*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing texts: %w", err)
	}
	if len(names) > maxTexts {
		return nil, fmt.Errorf("%d files of texts, over the limit of %d", len(names), maxTexts)
	}
	byFile := map[string]*Rule{}
	for _, r := range rules {
		byFile[strings.TrimSuffix(r.File, ".yaml")] = r
	}
	all := map[string]map[string]Text{}
	var errs []error
	for _, name := range names {
		language := path.Base(path.Dir(name))
		if all[language] == nil {
			all[language] = map[string]Text{}
		}
		if err := readTexts(fsys, name, byFile, all[language]); err != nil {
			errs = append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

func readTexts(fsys fs.FS, name string, rules map[string]*Rule, into map[string]Text) error {
	f, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("opening texts: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxTextFile+1))
	if err != nil {
		return fmt.Errorf("reading texts %s: %w", name, err)
	}
	if len(src) > maxTextFile {
		return fmt.Errorf("%s: a file of texts may have %d bytes at most", name, maxTextFile)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(src)).Decode(&doc); err != nil {
		return yamlError(name, err)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%w", name, errAt(root, "a mapping of rules to texts is needed here"))
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		r := rules[key.Value]
		if r == nil {
			return fmt.Errorf("%s:%w", name, errAt(key, "there is no rule file %s.yaml%s", key.Value, DidYouMean(key.Value, slices.Sorted(maps.Keys(rules)))))
		}
		if _, twice := into[key.Value]; twice {
			return fmt.Errorf("%s:%w", name, errAt(key, "%s is there twice", key.Value))
		}
		if err := checkKeys(value, reflect.TypeFor[Text]()); err != nil {
			return fmt.Errorf("%s:%w", name, err)
		}
		var text Text
		if err := value.Decode(&text); err != nil {
			return yamlError(name, err)
		}
		if err := text.check(r, value); err != nil {
			return fmt.Errorf("%s:%w", name, err)
		}
		into[key.Value] = text
	}
	return nil
}

func (t Text) check(r *Rule, n *yaml.Node) error {
	for _, part := range []struct{ key, text string }{{"title", t.Title}, {"means", t.Means}, {"fix", t.Fix}} {
		if strings.TrimSpace(part.text) == "" {
			return errAt(n, "%s: %s is missing", r.ID, part.key)
		}
	}
	for _, columns := range placeholders(t.Title + t.Means + t.Fix) {
		if !slices.Contains(r.named, columns) {
			return errAt(n, "%s: the rule's own texts have no {%s}", r.ID, columns)
		}
	}
	return nil
}

// placeholders gives what a text names in braces, each once.
func placeholders(text string) []string {
	var out []string
	for _, m := range placeholder.FindAllString(text, -1) {
		if columns := m[1 : len(m)-1]; !slices.Contains(out, columns) {
			out = append(out, columns)
		}
	}
	return out
}

// Languages names those that the set has texts in, beside English.
func (s *Set) Languages() []string { return slices.Sorted(maps.Keys(s.texts)) }

// Say gives a finding's texts in a language. ok is false where there are none for its rule, or
// the finding was made by another edition of the rule: its own texts then hold, in English.
func (s *Set) Say(language, platform string, f *scanner.Finding) (t Text, ok bool) {
	i := slices.IndexFunc(s.rules, func(r *Rule) bool { return r.ID == f.Rule && slices.Contains(r.Platforms, platform) })
	if i < 0 {
		return Text{}, false
	}
	t, ok = s.texts[language][strings.TrimSuffix(s.rules[i].File, ".yaml")]
	if !ok {
		return Text{}, false
	}
	for _, columns := range placeholders(t.Title + t.Means + t.Fix) {
		if _, there := f.Words[columns]; !there {
			return Text{}, false
		}
	}
	return Text{Title: fill(t.Title, f.Words), Means: fill(t.Means, f.Words), Fix: fill(t.Fix, f.Words)}, true
}

// Title gives the title of a rule in a language. ok is false where there is none, or where it tells of what was
// found.
func (s *Set) Title(language, platform, id string) (title string, ok bool) {
	i := slices.IndexFunc(s.rules, func(r *Rule) bool { return r.ID == id && slices.Contains(r.Platforms, platform) })
	if i < 0 {
		return "", false
	}
	t, ok := s.texts[language][strings.TrimSuffix(s.rules[i].File, ".yaml")]
	return t.Title, ok && len(placeholders(t.Title)) == 0
}

// Untold names the rule files that have no text in a language.
func (s *Set) Untold(language string) []string {
	var out []string
	for _, r := range s.rules {
		if _, ok := s.texts[language][strings.TrimSuffix(r.File, ".yaml")]; !ok {
			out = append(out, r.File)
		}
	}
	return out
}
