package page

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"picket/scanner/report"
)

const english = "en"

// Words are the page's own texts in one language, by name. A {0} stands for what is put in.
type Words map[string]string

// LoadWords reads words/*.yaml, a file for each language.
func LoadWords(files embed.FS) (map[string]Words, error) {
	all, err := byLanguage(files, "words")
	for lang, w := range all {
		w["lang"] = lang
	}
	return all, err
}

// byLanguage reads the files of a folder, each of which has texts by name in the language of the file's name.
func byLanguage(files embed.FS, dir string) (map[string]Words, error) {
	all := map[string]Words{}
	names, err := fs.Glob(files, dir+"/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the page's %s: %w", dir, err)
	}
	for _, name := range names {
		src, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the page's %s: %w", dir, err)
		}
		w := Words{}
		if err := yaml.Unmarshal(src, &w); err != nil {
			return nil, fmt.Errorf("the page's %s: %w", name, err)
		}
		all[strings.TrimSuffix(path.Base(name), ".yaml")] = w
	}
	return all, nil
}

// column is what a column is called, and in which language that is where it is not the reader's.
type column struct{ Text, Language string }

// columnNamer names the scanner's columns, which are English words themselves.
func columnNamer(columns map[string]Words) func(w Words, name string) column {
	return func(w Words, name string) column {
		if text, ok := columns[w["lang"]][name]; ok {
			return column{Text: text}
		}
		c := column{Text: report.Clean(strings.ReplaceAll(name, "_", " "))}
		if w["lang"] != english {
			c.Language = english
		}
		return c
	}
}

// Say gives a text with what is put in. Unknown names show as they are, which a test finds.
func (w Words) Say(name string, in ...any) string {
	text, ok := w[name]
	if !ok {
		return "[" + name + "]"
	}
	for i, v := range in {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", fmt.Sprint(v))
	}
	return text
}

// count is say for a number, with the text NAME.one where it is 1.
func (w Words) count(name string, n any) string {
	if fmt.Sprint(n) == "1" {
		name += ".one"
	}
	return w.Say(name, n)
}

// choice gives the text of one of several values, and the value itself where it is another.
func (w Words) choice(name, value string) string {
	if text, ok := w[name+"."+value]; ok {
		return text
	}
	return report.Clean(value)
}

func functions(columns map[string]Words) template.FuncMap {
	return template.FuncMap{
		"column": columnNamer(columns),
		"say":    func(w Words, name string, in ...any) string { return w.Say(name, in...) },
		"clean":  report.Clean,
		"time": func(w Words, t time.Time) string {
			if t.IsZero() {
				return w.Say("never")
			}
			return t.Local().Format("2006-01-02 15:04")
		},
		"clock":      func(t time.Time) string { return t.Local().Format("15:04") },
		"size":       sizeText,
		"count":      Words.count,
		"choice":     Words.choice,
		"kind":       func(w Words, kind string) string { return w.choice("kind", kind) },
		"dict":       with,
		"frame":      frame,
		"paragraphs": paragraphs,
		"sentences":  sentences,
	}
}

// with gives a template's data with more in it.
func with(data map[string]any, more ...any) map[string]any {
	out := maps.Clone(data)
	for i := 0; i+1 < len(more); i += 2 {
		out[fmt.Sprint(more[i])] = more[i+1]
	}
	return out
}

// navItem is a link at the head of every page.
type navItem struct {
	Path, Text string
	Here       bool
}

// frame gives a page its title and the links at its head.
func frame(data map[string]any, name string, title ...string) map[string]any {
	words, _ := data["Words"].(Words)
	var nav []navItem
	for _, path := range []string{"", "apps", "network", "unchecked", "sent"} {
		page := path
		if page == "" {
			page = "overview"
		}
		nav = append(nav, navItem{path, words.Say("nav." + page), data["Page"] == page})
	}
	t := words.Say(name)
	if len(title) > 0 {
		t = title[0]
	}
	return with(data, "Title", t, "Nav", nav)
}

// sizeText writes bytes as people read them, and nothing for what is not known.
func sizeText(w Words, n int64) string {
	if n < 0 {
		return w.Say("unknown")
	}
	f, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for f >= 1000 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[unit]
}
