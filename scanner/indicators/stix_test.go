package indicators

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"picket/scanner"
)

// bundleOf makes a bundle of objects.
func bundleOf(objects ...string) string {
	return `{"type": "bundle", "id": "bundle--1", "spec_version": "2.0", "objects": [` + strings.Join(objects, ",\n") + `]}`
}

// indicatorOf makes an indicator with more members.
func indicatorOf(id, pattern, more string) string {
	return fmt.Sprintf(`{"type": "indicator", "id": "indicator--%s", "created": "2024-01-02T03:04:05.000Z", "modified": "2024-01-02T03:04:05.000Z", "pattern": %q%s}`, id, pattern, more)
}

func relates(id, target string) string {
	return fmt.Sprintf(`{"type": "relationship", "id": "relationship--%s", "relationship_type": "indicates", "source_ref": "indicator--%s", "target_ref": %q}`, id, id, target)
}

// loadText loads one list from text.
func loadText(format, text string) (*Index, error) {
	b := newBuilder()
	err := b.load(List{Name: "list", Format: format}, strings.NewReader(text))
	return b.finish(), err
}

func mustLoad(t *testing.T, format, text string) (*Index, *List) {
	t.Helper()
	x, err := loadText(format, text)
	if err != nil {
		t.Fatal(err)
	}
	return x, &x.Lists()[0]
}

func TestSTIXNames(t *testing.T) {
	t.Parallel()
	x, list := mustLoad(t, "stix", bundleOf(
		relates("a", "campaign--1"), relates("a", "malware--1"), // before what they relate, the campaign first
		indicatorOf("a", "[app:id='com.a']", `, "valid_from": "2024-05-06T00:00:00Z", "valid_until": "2025-01-01T00:00:00Z", "created_by_ref": "identity--1", "object_marking_refs": ["marking-definition--1"]`),
		indicatorOf("b", "[app:id='com.b']", `, "name": "Own name", "labels": ["malicious-activity", "Stalkerware"]`),
		indicatorOf("c", "[app:id='com.c']", ``),
		indicatorOf("d", "[app:id='com.d']", ``), relates("d", "tool--1"),
		indicatorOf("e", "[app:id='com.e']", ``), relates("e", "malware--gone"),
		`{"type": "malware", "id": "malware--1", "name": "Family"}`,
		`{"type": "tool", "id": "tool--1", "name": "Watcher", "description": "Stalkerware applications"}`,
		`{"type": "campaign", "id": "campaign--1", "name": "Campaign"}`,
		`{"type": "identity", "id": "identity--1", "name": "A lab"}`,
		`{"type": "marking-definition", "id": "marking-definition--1", "definition_type": "statement", "definition": {"statement": "CC-BY-4.0"}}`,
		`{"type": "report", "name": "Other", "object_refs": ["x"], "unknown": {"deep": [1, null, {"a": true}]}}`,
	))
	want := map[string]scanner.IndicatorMatch{
		"com.a": {Name: "Family", Class: "spyware", Date: "2024-05-06", Until: "2025-01-01", ID: "indicator--a"},
		"com.b": {Name: "Own name", Class: "stalkerware", Date: "2024-01-02", ID: "indicator--b"},
		"com.c": {Class: "spyware", Date: "2024-01-02", ID: "indicator--c"},
		"com.d": {Name: "Watcher", Class: "stalkerware", Date: "2024-01-02", ID: "indicator--d"},
		"com.e": {Class: "spyware", Date: "2024-01-02", ID: "indicator--e"},
	}
	for value, w := range want {
		w.Kind, w.Value, w.List, w.Licence = scanner.IndicatorPackage, value, "list", "CC-BY-4.0"
		if got := x.Match(scanner.IndicatorPackage, value); len(got) != 1 || got[0] != w {
			t.Errorf("%s: %+v\nwant %+v", value, got, w)
		}
	}
	if list.Source != "A lab" || list.Indicators != 5 || list.First != "2024-01-02" || list.Last != "2024-05-06" || list.Total() != 5 {
		t.Errorf("%+v", list)
	}
}

// TestSTIXTroubles proves that nothing that is not used goes unsaid.
func TestSTIXTroubles(t *testing.T) {
	t.Parallel()
	later := func(id, pattern, more string) string {
		return strings.Replace(indicatorOf(id, pattern, more), `"modified": "2024`, `"modified": "2025`, 1)
	}
	text := bundleOf(
		indicatorOf("syntax", "[app:id=", ``),
		indicatorOf("property", "[app:colour='x']", ``),
		indicatorOf("negation", "[app:id!='x']", ``),
		indicatorOf("broad", "[domain-name:value='co.uk' OR domain-name:value='fine.example']", ``),
		indicatorOf("revoked", "[app:id='com.revoked']", `, "revoked": true`),
		indicatorOf("yara", "rule x {}", `, "pattern_type": "yara"`),
		indicatorOf("typed", "[app:id='com.typed']", `, "labels": "no array"`),
		`{"type": "course-of-action", "id": "course-of-action--1", "name": "x", "labels": {"not": "an array"}}`, // about no indicator
		indicatorOf("profile", "[configuration-profile:id='x']", ``),
		indicatorOf("relative", "[file:path='Library/x']", ``),
		indicatorOf("old", "[app:id='com.old']", ``), later("old", "[app:id='com.new']", ``), indicatorOf("old", "[app:id='com.older']", ``),
		indicatorOf("withdrawn", "[app:id='com.withdrawn']", ``), later("withdrawn", "[app:id='com.withdrawn']", `, "revoked": true`),
		indicatorOf("twice", "[app:id='com.twice' OR app:id='com.twice']", ``),
	)
	x, list := mustLoad(t, "stix", text)
	var have []string
	for _, n := range list.Notes {
		have = append(have, strings.TrimPrefix(n.ID, "indicator--")+": "+string(n.What))
		if n.ID == "indicator--withdrawn" {
			continue // two versions, of which the second is revoked
		}
		if at := strings.Index(text, `"id": "`+n.ID); int(n.At) > at || at-int(n.At) > 40 {
			t.Errorf("%s is said to be at byte %d, and is at %d", n.ID, n.At, at)
		}
	}
	want := "syntax: not understood, property: not understood, negation: not supported, broad: rejected, revoked: revoked, yara: not supported, typed: not understood, profile: not applicable, relative: not applicable"
	if got := strings.Join(have, ", "); !strings.HasPrefix(got, want) {
		t.Errorf("notes are %s\nwant      %s", got, want)
	}
	if list.Troubles[NotUnderstood] != 3 || list.Troubles[Revoked] != 2 || list.Duplicates != 4 || list.Indicators != 15 {
		t.Errorf("%+v", list)
	}
	var values []string
	for m := range x.All() {
		values = append(values, m.Value)
	}
	if got := strings.Join(values, " "); got != "com.new com.twice fine.example" {
		t.Errorf("entries are %s", got)
	}
}

func TestSTIXErrors(t *testing.T) {
	t.Parallel()
	good := bundleOf(indicatorOf("a", "[app:id='com.a']", ``))
	for name, c := range map[string]struct{ text, want string }{
		"empty":    {"", "after byte 0: unexpected EOF"},
		"cut":      {good[:len(good)-10], "byte "},
		"more":     {good + "x", "byte "},
		"second":   {good + good, "more after the bundle's end"},
		"array":    {"[]", "no list of indicators"},
		"other":    {`{"a": 1}`, "no list of indicators"},
		"objects":  {`{"type": "bundle", "objects": {}}`, "objects is no array"},
		"broken":   {`{"type": "bundle", "objects": [{"type": }]}`, "after byte 31"},
		"utf16":    {"\xff\xfe{\x00", "byte "},
		"large":    {`{"type": "bundle", "objects": [{"type": "` + strings.Repeat("x", maxObject+1) + `"}]}`, "an object of more than"},
		"member":   {`{"type": "bundle", "x": "` + strings.Repeat("x", maxObject+1) + `"}`, "an object of more than"},
		"deep":     {`{"type": "bundle", "objects": [` + strings.Repeat("[", 20_000) + `]}`, "exceeded max depth"},
		"unclosed": {`{"type": "bundle", "objects": [`, "unexpected EOF"},
	} {
		x, err := loadText("stix", c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if x.Len() > 0 || len(x.Lists()) > 0 {
			t.Errorf("%s: a broken list leaves %d entries", name, x.Len())
		}
	}
	if _, err := loadText("stix", "\xef\xbb\xbf"+good); err != nil {
		t.Errorf("a byte order mark: %v", err)
	}
	if _, err := loadText("stix", `{"type": "bundle"}`); err != nil {
		t.Errorf("a bundle without objects: %v", err)
	}
}

// bundleReader gives a bundle of n indicators with relationships, made as it is read.
type bundleReader struct {
	n, next int
	rest    []byte
}

func (r *bundleReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		switch {
		case r.next == 0:
			r.rest = []byte(`{"type": "bundle", "objects": [{"type": "malware", "id": "malware--1", "name": "F"}`)
		case r.next <= r.n:
			id := fmt.Sprintf("%08d-0000-0000-0000-000000000000", r.next)
			r.rest = []byte(",\n" + indicatorOf(id, fmt.Sprintf("[domain-name:value='n%d.evil.example']", r.next), `, "valid_from": "2024-05-06T00:00:00Z"`) + ",\n" + relates(id, "malware--1"))
		case r.next == r.n+1:
			r.rest = []byte("]}")
		default:
			return 0, io.EOF
		}
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestLargeBundle(t *testing.T) {
	t.Parallel()
	b := newBuilder()
	if err := b.load(List{Name: "large", Format: "stix"}, &bundleReader{n: 5000}); err != nil {
		t.Fatal(err)
	}
	x := b.finish()
	if got := x.Match(scanner.IndicatorDomain, "www.n4999.evil.example"); x.Len() != 5000 || len(got) != 1 || got[0].Name != "F" {
		t.Errorf("%d entries, %+v", x.Len(), got)
	}
}

// TestLimits holds every format to the bounds of an index, and a list that passes them to leaving
// nothing behind.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits       limits
		format, text string
		want         string
	}{
		"entries":       {limits{2, 1000, 1000}, "stix", "", "after byte "},
		"bytes":         {limits{1000, 100, 1000}, "stix", "", errTooMuch.Error()},
		"objects":       {limits{1000, 1000, 3}, "stix", "", "more than 3 objects"},
		"applications":  {limits{2, 1000, 0}, "echap", echapList, "line "},
		"application":   {limits{1, 1000, 0}, "echap", "- name: A\n  packages: [com.a, com.b]\n", "line 1"},
		"rows":          {limits{1, 1000, 0}, "csv", "type,indicator,app\ndomain,a.example,A\ndomain,b.example,A\n", "line 3"},
		"lines":         {limits{1, 1000, 0}, "hosts", "a.example\nb.example\n", "line 2"},
		"within limits": {limits{6, 1000, 11}, "stix", "", ""},
	} {
		b := newBuilder()
		b.limits = c.limits
		var r io.Reader = strings.NewReader(c.text)
		if c.text == "" {
			r = &bundleReader{n: 5}
		}
		err := b.load(List{Name: "list", Format: c.format}, r)
		if err == nil {
			err = errors.New("")
		}
		if !strings.Contains(err.Error(), c.want) || c.want == "" && err.Error() != "" {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if c.want != "" && len(b.finish().entries) > 0 {
			t.Errorf("%s: entries are left", name)
		}
	}
}

func FuzzSTIX(f *testing.F) {
	f.Add(bundleOf(indicatorOf("a", "[app:id='com.a']", `, "valid_from": "2024-05-06T00:00:00Z"`), relates("a", "malware--1"), `{"type": "malware", "id": "malware--1", "name": "Family", "labels": ["stalkerware"]}`))
	f.Add(bundleOf(indicatorOf("a", "[process:name='com.long.process.name' AND a:b='x']", `, "revoked": true`), `{"labels": 3}`))
	f.Add(`{"objects": [{}], "type": "bundle", "x": [{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		x, err := loadText("stix", text)
		if err != nil {
			if x.Len() > 0 {
				t.Errorf("a broken list leaves %d entries", x.Len())
			}
			return
		}
		checkList(t, x)
	})
}

// checkList holds a loaded index to saying what became of every indicator.
func checkList(t *testing.T, x *Index) {
	t.Helper()
	l := x.Lists()[0]
	said := l.Total() + l.Duplicates
	for _, n := range l.Troubles {
		said += n
	}
	if said < l.Indicators {
		t.Errorf("of %d indicators %d are accounted for: %+v", l.Indicators, said, l)
	}
	for m := range x.All() {
		x.Match(m.Kind, m.Value)
		if m.Class == "" || m.List == "" {
			t.Errorf("%+v", m)
		}
	}
}
