package report_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"picket/scanner/report"
)

// TestClassesNameEveryField: no event has a field that Classes does not tell of, and there is no
// class without events.
func TestClassesNameEveryField(t *testing.T) {
	t.Parallel()
	declared := map[int][]string{}
	for _, c := range report.Classes(map[string]any{"gap": map[string]string{}}) {
		if c.Name == "" || c.When == "" || len(c.Fields) < 10 {
			t.Errorf("%+v", c)
		}
		declared[c.Class] = c.Fields
	}
	seen := map[int]map[string]bool{}
	for _, e := range allEvents(t) {
		var v any
		if err := json.Unmarshal(e.Body, &v); err != nil {
			t.Fatal(err)
		}
		if seen[e.Class] == nil {
			seen[e.Class] = map[string]bool{}
		}
		paths(v, "", seen[e.Class])
	}
	for class, fields := range declared {
		for path := range seen[class] {
			if !told(fields, path) {
				t.Errorf("%d: %s is not declared", class, path)
			}
		}
		if len(seen[class]) == 0 {
			t.Errorf("%d: no event of this class", class)
		}
	}
}

// paths collects the paths of all values in a JSON value.
func paths(v any, path string, into map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		for k, v := range x {
			paths(v, strings.TrimPrefix(path+"."+k, "."), into)
		}
	case []any:
		for _, v := range x {
			paths(v, path+"[]", into)
		}
	default:
		into[path] = true
	}
}

// told reports whether a path is one of the declared, whose "*" stands for any name.
func told(fields []string, path string) bool {
	return slices.ContainsFunc(fields, func(f string) bool {
		before, _, any := strings.Cut(f, "*")
		return f == path || any && strings.HasPrefix(path, before)
	})
}
