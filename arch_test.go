package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
}

func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,GoFiles,Dir", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	pkgs := map[string]goPackage{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
}

// part names the part of the house that an import path of ours belongs to.
func part(path string) string {
	rest, ours := strings.CutPrefix(path, "picket")
	if !ours || rest != "" && rest[0] != '/' {
		return ""
	}
	segs := strings.Split(strings.Trim(rest, "/"), "/")
	if segs[0] == "scanner" && len(segs) > 1 {
		return "scanner/" + segs[1]
	}
	if segs[0] == "" {
		return "main"
	}
	return segs[0]
}

// mayImport is the whole law: who imports whom inside the module.
var mayImport = map[string][]string{
	"main":               {"agent"},
	"agent":              {"scanner", "scanner/device", "scanner/facts", "scanner/parse", "scanner/rules", "scanner/indicators", "scanner/report", "store", "transport", "packaging"},
	"scanner":            {},
	"scanner/parse":      {},
	"scanner/probe":      {"scanner"},
	"scanner/device":     {"scanner", "scanner/probe", "scanner/parse"},
	"scanner/facts":      {"scanner", "scanner/probe", "scanner/parse"},
	"scanner/rules":      {"scanner", "scanner/parse"},
	"scanner/indicators": {"scanner", "scanner/parse"},
	"scanner/report":     {"scanner", "scanner/facts", "scanner/rules"},
	"store":              {},
	"transport":          {},
	"bench":              {"scanner", "scanner/device", "scanner/facts"}, // a program around the library
	"packaging":          {},
	"soak":               {}, // tests of the agent as a process
}

func TestImportsFollowTheDesign(t *testing.T) {
	t.Parallel()
	pkgs := listPackages(t)
	for path, p := range pkgs {
		from := part(path)
		if from == "" {
			continue
		}
		allowed, known := mayImport[from]
		if !known {
			t.Errorf("%s belongs to no part of the design", path)
		}
		for _, imp := range p.Imports {
			if to := part(imp); to != "" && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", path, imp)
			}
		}
		if from == "scanner" || strings.HasPrefix(from, "scanner/") {
			checkScanner(t, path, p)
		}
	}
}

// checkScanner holds the scanner to what it must never reach.
func checkScanner(t *testing.T, path string, p goPackage) {
	t.Helper()
	for _, d := range p.Deps {
		if d == "net/http" || strings.HasPrefix(d, "go.etcd.io/bbolt") {
			t.Errorf("%s depends on %s", path, d)
		}
	}
	if part(path) == "scanner/device" {
		return
	}
	for _, d := range p.Imports {
		if d == "os/exec" || strings.HasPrefix(d, "github.com/shirou/gopsutil") {
			t.Errorf("%s imports %s; only scanner/device may", path, d)
		}
	}
}

// TestForbiddenCalls reads the sources: no panic, os.Exit or init() anywhere but in main, no
// clock in the scanner outside scanner/device, no discarded build-time state.
func TestForbiddenCalls(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.ContainsAny(d.Name()[:1], "._") && path != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == "main.go" || strings.HasPrefix(path, "bench/") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if what := forbidden(n, path); what != "" {
				t.Errorf("%s: %s", fset.Position(n.Pos()), what)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func forbidden(n ast.Node, path string) string {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name == "init" && n.Recv == nil {
			return "init function"
		}
	case *ast.CallExpr:
		// facts/parallel.go hands a goroutine's panic on to the caller, where the scan catches it.
		if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && path != filepath.Join("scanner", "facts", "parallel.go") {
			return "panic"
		}
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok {
			return ""
		}
		call := pkg.Name + "." + sel.Sel.Name
		inScanner := strings.HasPrefix(path, "scanner"+string(filepath.Separator))
		inDevice := strings.HasPrefix(path, filepath.Join("scanner", "device"))
		switch {
		case call == "os.Exit" || call == "log.Fatal" || call == "log.Fatalf":
			return call
		case inScanner && !inDevice && (call == "time.Now" || call == "time.Since"):
			return call + " in the scanner: the reference time is the recording's"
		}
	}
	return ""
}
