package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// InterpreterHook is code that an interpreter runs at every start, or a setting that names it.
type InterpreterHook struct {
	Kind string `expr:"kind" json:"kind" doc:"pth (a line of a .pth file that imports), customize (sitecustomize, usercustomize), git (a hook path or program for every repository)"`
	Text string `expr:"text" json:"text,omitempty" doc:"the first 200 bytes of the line"`
	// Acts lists what in the code is more than path handling.
	Acts  []string `expr:"acts" json:"acts,omitempty" doc:"words of the code that run, fetch or decode: exec, eval, subprocess, urllib, base64, ..."`
	Path  string   `expr:"path" json:"path" doc:"the file"`
	Where string   `expr:"where" json:"where" doc:"file and line"`
	Origin
}

var (
	pythonDirs = []string{"/usr/lib/python3*/dist-packages", "/usr/lib/python3*/site-packages", "/usr/lib64/python3*/site-packages", "/usr/lib/python2*/dist-packages",
		"/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages"}
	pythonUserDirs = "~/.local/lib/python3*/site-packages"
	gitConfigs     = []string{"/etc/gitconfig"}
	// pythonActs are words that a line which only extends the module path does not need.
	pythonActs = []string{"exec(", "eval(", "compile(", "os.system", "os.popen", "subprocess", "urllib", "requests.", "socket", "base64", "b64decode", "marshal", "zlib", "ctypes"}
)

func interpreterHooksCollector() scanner.Collector {
	var globs []string
	for _, d := range append(slices.Clone(pythonDirs), pythonUserDirs) {
		globs = append(globs, d+"/*.pth", d+"/sitecustomize.py", d+"/usercustomize.py")
	}
	return scanner.Collector{
		Table: "interpreter_hooks", Doc: "what Python and git run at every start, files left as their package put them excepted", Row: InterpreterHook{},
		Reads: scanner.Reads{Globs: concat(globs, gitConfigs), Meta: everyProgram()},
		Needs: []string{"packages", "users"}, Collect: collectInterpreterHooks,
	}
}

func collectInterpreterHooks(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	h := &hookReader{treeReader: newReader(in, &t), p: newProvenance(in)}
	dirs := slices.Clone(pythonDirs)
	users, _ := scanner.Rows[User](in, "users")
	for _, home := range homes(users) {
		dirs = append(dirs, home+strings.TrimPrefix(pythonUserDirs, "~"))
	}
	for _, d := range dirs {
		for _, name := range h.glob(d + "/*.pth") {
			h.python("pth", name)
		}
		for _, name := range h.glob(d+"/sitecustomize.py", d+"/usercustomize.py") {
			h.python("customize", name)
		}
	}
	for _, name := range gitConfigs {
		h.git(name)
	}
	t.Rows = h.rows
	return t
}

type hookReader struct {
	*treeReader
	p    *provenance
	rows []InterpreterHook
}

// python adds the lines of a .pth file that are code (those that begin with import), or a
// customize module as one row.
func (h *hookReader) python(kind, name string) {
	b := h.file(name)
	if b == nil {
		return
	}
	o := h.p.origin(name, b)
	if o.Pristine {
		return
	}
	if kind == "customize" {
		h.rows = append(h.rows, InterpreterHook{Kind: kind, Acts: actsIn(string(b)), Path: name, Where: at(name, 1), Origin: o, Text: shown(firstCode(string(b)))})
		return
	}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, "import ") || strings.HasPrefix(line, "import\t") {
			h.rows = append(h.rows, InterpreterHook{Kind: kind, Text: shown(line), Acts: actsIn(line), Path: name, Where: at(name, i+1), Origin: o.clone()})
		}
	}
}

func actsIn(code string) []string {
	var out []string
	for _, a := range pythonActs {
		if strings.Contains(code, a) {
			out = append(out, strings.TrimSuffix(a, "("))
		}
	}
	return out
}

// firstCode gives the first line that is neither blank nor a comment.
func firstCode(s string) string {
	for line := range strings.Lines(s) {
		if l := strings.TrimSpace(line); l != "" && l[0] != '#' {
			return l
		}
	}
	return ""
}

func (h *hookReader) git(name string) {
	b := h.file(name)
	if b == nil {
		return
	}
	o := h.p.origin(name, b)
	ini := parse.INI(b)
	for _, key := range []string{"hooksPath", "fsmonitor", "sshCommand", "pager", "editor"} {
		value, ok := ini.Find("core", key)
		if ok && strings.HasPrefix(value.Value, "/") {
			row := InterpreterHook{Kind: "git", Text: shown("core." + key + " = " + value.Value), Path: name, Where: at(name, value.Line), Origin: o.clone()}
			if _, owned, why := h.p.owner(path.Clean(value.Value)); why == "" && !owned {
				row.Acts = []string{key}
			}
			h.rows = append(h.rows, row)
		}
	}
}
