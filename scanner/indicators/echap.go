package indicators

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

// echapLoader reads the YAML lists of Echap's stalkerware-indicators: a sequence of applications, each
// with name, type, packages, certificates (SHA-1), websites, distribution and c2 (domains, ips).
type echapLoader struct {
	b      *builder
	list   *List
	number uint16
	full   bool // a value found no room
}

// loadEchap adds the applications of a YAML list. An error names the line.
func loadEchap(b *builder, list *List, number uint16, src []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return err
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.SequenceNode || len(doc.Content[0].Content) == 0 {
		return errOtherFormat
	}
	apps := doc.Content[0].Content
	for _, app := range apps {
		if member(app, "name") == nil {
			return errOtherFormat
		}
	}
	l := &echapLoader{b: b, list: list, number: number}
	for _, app := range apps {
		if l.app(app); l.full {
			return fmt.Errorf("line %d: %w", app.Line, errTooMuch)
		}
	}
	return nil
}

// member gives the value of a mapping's key, nil when there is none. Aliases are not followed.
func member(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (l *echapLoader) app(app *yaml.Node) {
	name := member(app, "name").Value
	class := scanner.ClassStalkerware
	if t := member(app, "type"); t != nil {
		switch t.Value {
		case scanner.ClassStalkerware, scanner.ClassWatchware, scanner.ClassSpyware:
			class = t.Value
		default:
			l.note(name, t, NotUnderstood, "unknown type; taken as stalkerware")
		}
	}
	e := entry{list: l.number, label: l.b.label(name, class)}
	weak := e
	weak.weak = true
	for i := 0; i+1 < len(app.Content); i += 2 {
		key, v := app.Content[i], app.Content[i+1]
		switch key.Value {
		case "name", "names", "type":
		case "packages":
			l.values(name, v, scanner.IndicatorPackage, e)
		case "certificates":
			l.values(name, v, scanner.IndicatorCertificate, e)
		case "websites", "distribution": // who visits the vendor's site need not be watched
			l.values(name, v, scanner.IndicatorDomain, weak)
		case "c2":
			l.servers(name, v, e)
		case "ios_bundles":
			l.unused(name, v, NotApplicable, "applications of iOS")
		case "certificate_organizations", "certificate_cname_re":
			l.unused(name, v, NotSupported, "names in certificates are not compared")
		default:
			l.note(name, key, NotUnderstood, "unknown key")
		}
	}
}

func (l *echapLoader) servers(name string, c2 *yaml.Node, e entry) {
	if c2.Kind != yaml.MappingNode {
		l.note(name, c2, NotUnderstood, "c2 is no mapping")
		return
	}
	for i := 0; i+1 < len(c2.Content); i += 2 {
		key, v := c2.Content[i], c2.Content[i+1]
		switch key.Value {
		case "domains":
			l.values(name, v, scanner.IndicatorDomain, e)
		case "ips", "ip":
			l.values(name, v, scanner.IndicatorIP, e)
		default:
			l.note(name, key, NotUnderstood, "unknown key of c2")
		}
	}
}

func (l *echapLoader) values(name string, v *yaml.Node, kind scanner.IndicatorKind, e entry) {
	l.each(name, v, func(v *yaml.Node) {
		if err := l.b.add(kind, v.Value, e); err != nil {
			l.note(name, v, troubleOf(err), string(kind)+": "+err.Error())
		}
	})
}

func (l *echapLoader) unused(name string, v *yaml.Node, what Trouble, why string) {
	l.each(name, v, func(v *yaml.Node) { l.note(name, v, what, why) })
}

// each calls use for every value of a sequence. An empty key is no value.
func (l *echapLoader) each(name string, v *yaml.Node, use func(*yaml.Node)) {
	if v.Kind == yaml.ScalarNode && v.Tag == "!!null" {
		return
	}
	if v.Kind != yaml.SequenceNode {
		l.note(name, v, NotUnderstood, "no sequence of values")
		return
	}
	for _, item := range v.Content {
		l.list.Indicators++
		switch {
		case l.b.full():
			l.full = true
			return
		case item.Kind != yaml.ScalarNode:
			l.note(name, item, NotUnderstood, "no plain value")
		default:
			use(item)
		}
	}
}

func (l *echapLoader) note(name string, at *yaml.Node, what Trouble, why string) {
	l.list.trouble(Note{ID: name, Line: at.Line, Value: at.Value, What: what, Why: why})
}

// header gives the value of a comment "# key: value" before the first line that is no comment.
func header(src []byte, key string) string {
	for line := range strings.Lines(string(src[:min(len(src), 4096)])) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			return ""
		}
		if k, v, ok := strings.Cut(comment, ":"); ok && strings.EqualFold(strings.TrimSpace(k), key) {
			return clip(strings.TrimSpace(v), 200)
		}
	}
	return ""
}

// classHeader gives the class that the header of a plain list names, or stalkerware: the lists in
// these formats are Echap's.
func classHeader(src []byte) (string, error) {
	switch c := header(src, "class"); c {
	case "":
		return scanner.ClassStalkerware, nil
	case scanner.ClassStalkerware, scanner.ClassWatchware, scanner.ClassSpyware:
		return c, nil
	}
	return "", errors.New("the header's class is none of stalkerware, watchware, spyware")
}
