package indicators

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadFolder(t *testing.T) {
	t.Parallel()
	bundle := bundleOf(indicatorOf("a", "[app:id='com.a' OR domain-name:value='a.example']", ``))
	dir := writeFiles(t, map[string]string{
		"a/one.stix2": bundle, "b/two.json": bundle, "b/two.json.licence": "MIT\nmore\n", "b/ioc.yaml": echapList, "generated/hosts": "h.example\n",
		"package.json": `{"name": "other"}`, "ci.yml": "on: push\n", "README.md": "# x\n", "requirements.txt": "yaml==1\n", "run.py": "x", ".git/x.json": "{broken",
	})
	x, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range x.Lists() {
		names = append(names, l.Name)
	}
	if got := strings.Join(names, " "); got != "a/one.stix2 b/ioc.yaml b/two.json generated/hosts" {
		t.Errorf("lists are %s", got)
	}
	if got := strings.Join(x.Skipped(), " "); got != strings.Join([]string{filepath.Join(dir, "ci.yml"), filepath.Join(dir, "package.json"), filepath.Join(dir, "requirements.txt")}, " ") {
		t.Errorf("skipped are %s", got)
	}
	got := x.Match(scanner.IndicatorPackage, "com.a")
	if len(got) != 2 || got[0].List != "a/one.stix2" || got[1].List != "b/two.json" || got[1].Licence != "MIT" || got[0].Licence != "" {
		t.Errorf("%+v", got)
	}
	if l := x.Lists(); l[0].Duplicates != 0 || l[2].Duplicates != 2 {
		t.Errorf("%+v", l)
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{"good.stix2": bundleOf(indicatorOf("a", "[app:id='com.a']", ``)), "bad/bad.stix2": `{"type": "bundle", "objects": [{]}`, "other.json": "{}", "empty/README.md": "", "name.bin": "x"})
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{[]string{in("missing")}, "no such file"},
		{[]string{in("other.json")}, "other.json: no list of indicators"},
		{[]string{in("name.bin")}, "ends in none of"},
		{[]string{in("empty")}, "empty: no list of indicators found"},
		{[]string{in("bad")}, "bad.stix2: after byte"},
		{[]string{"/dev/null"}, "neither a file nor a folder"},
	} {
		if _, err := Load(c.paths...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.paths, err, c.want)
		}
	}
	// What could be read is there beside the error.
	x, err := Load(in("bad"), in("good.stix2"), in("empty"))
	if err == nil || !strings.Contains(err.Error(), "bad.stix2: after byte") || !strings.Contains(err.Error(), "empty: no list") || x.Len() != 1 {
		t.Errorf("%d entries, %v", x.Len(), err)
	}
}
