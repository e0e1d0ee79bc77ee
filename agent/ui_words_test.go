package agent

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// warningCodes reads the codes of warnings out of the package's own source.
func warningCodes(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && regexp.MustCompile(`^warn[A-Z]`).MatchString(v.Names[0].Name) {
				if text, ok := v.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
					code, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					codes = append(codes, code)
				}
			}
			return true
		})
	}
	return codes
}

// TestWarningsAreToldInPlainWords: each warning has a text on the page and a line in docs/api.md, and
// there is none for what is no warning. That all languages have it is a test of the page.
func TestWarningsAreToldInPlainWords(t *testing.T) {
	t.Parallel()
	codes := warningCodes(t)
	if len(codes) < 30 {
		t.Fatalf("only %d codes were found", len(codes))
	}
	src, err := os.ReadFile("page/words/en.yaml")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	if err := yaml.Unmarshal(src, &words); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(words, func(name, _ string) bool { return name == "warnings.title" })
	docs, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		if words["warning."+code] == "" {
			t.Errorf("the page has no text for the warning %s", code)
		}
		if !strings.Contains(string(docs), "| `"+code+"` |") {
			t.Errorf("docs/api.md does not list the warning %s", code)
		}
	}
	for name := range words {
		if code, ok := strings.CutPrefix(name, "warning."); ok && !slices.Contains(codes, code) {
			t.Errorf("the page has a text for %s, which is no warning", code)
		}
	}
}
