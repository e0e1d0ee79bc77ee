package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// AuthModule is one line of PAM or one source of the name-service switch, with the library
// that serves it.
type AuthModule struct {
	Kind    string `expr:"kind" json:"kind" doc:"pam or nss"`
	Path    string `expr:"path" json:"path" doc:"the file"`
	Service string `expr:"service" json:"service" doc:"PAM service, or name-service database such as passwd"`
	Type    string `expr:"type" json:"type,omitempty" doc:"auth, account, password or session"`
	Control string `expr:"control" json:"control,omitempty" doc:"required, sufficient, ... or the text in brackets"`
	Module  string `expr:"module" json:"module" doc:"module or source as written"`
	Library string `expr:"library" json:"library,omitempty" doc:"the library that serves it; empty when there is none"`
	// LibraryOwned is meaningful when Library is set.
	LibraryOwned bool   `expr:"library_owned" json:"library_owned" doc:"a package installed the library"`
	Outside      bool   `expr:"outside" json:"outside,omitempty" doc:"the module is named by a path outside the security folders"`
	First        bool   `expr:"first" json:"first,omitempty" doc:"the first line of its type in the file"`
	Program      string `expr:"program" json:"program,omitempty" doc:"the program or script that pam_exec, pam_script or pam_python runs"`
	Text         string `expr:"text" json:"text" doc:"the line, at most 200 bytes"`
	Where        string `expr:"where" json:"where" doc:"file and line"`
	Origin
}

var (
	securityDirs = []string{"/lib/security", "/lib64/security", "/usr/lib/security", "/usr/lib64/security", "/lib/*-linux-*/security", "/usr/lib/*-linux-*/security",
		"/usr/local/lib/security"}
	libraryDirs = []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/lib/*-linux-*", "/usr/lib/*-linux-*", "/usr/local/lib"}
)

func authModulesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "auth_modules", Doc: "lines of PAM and of the name-service switch, with their libraries", Row: AuthModule{},
		Reads: scanner.Reads{Globs: []string{"/etc/pam.d/*", "/usr/lib/pam.d/*", "/etc/pam.conf", "/etc/nsswitch.conf"}, Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectAuthModules,
	}
}

type authReader struct {
	*treeReader
	p         *provenance
	security  []string          // folders of PAM modules
	system    []string          // folders of libraries
	libraries map[string]string // found before
	rows      []AuthModule
}

func collectAuthModules(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := &authReader{treeReader: newReader(in, t), p: newProvenance(in), libraries: map[string]string{}}
	a.security, a.system = a.glob(securityDirs...), a.glob(libraryDirs...)
	for _, name := range a.glob("/etc/pam.d/*", "/usr/lib/pam.d/*") {
		a.pam(name, false)
	}
	a.pam("/etc/pam.conf", true)
	a.nss("/etc/nsswitch.conf")
	t.Rows = a.rows
	return *t
}

func (a *authReader) pam(name string, withService bool) {
	if info, err := a.fs.Stat(name); err != nil || !info.Mode.IsRegular() {
		a.note(err)
		return
	}
	b := a.file(name)
	lines, bad := parse.PAM(b, withService)
	a.table.Partial = append(a.table.Partial, damaged(name, bad)...)
	o := a.p.origin(name, b)
	seen := map[string]bool{}
	for _, l := range lines {
		service := l.Service
		if !withService {
			service = path.Base(name)
		}
		first := !seen[service+" "+l.Type]
		seen[service+" "+l.Type] = true
		if l.Control == "include" || l.Control == "substack" {
			continue
		}
		row := AuthModule{Kind: "pam", Path: name, Service: service, Type: l.Type, Control: l.Control, Module: l.Module, First: first,
			Text: shown(strings.Join(append([]string{l.Type, l.Control, l.Module}, l.Args...), " ")), Where: at(name, l.Line), Origin: o.clone()}
		a.module(&row, l)
		a.rows = append(a.rows, row)
	}
}

// module finds the file of a PAM module and what it runs.
func (a *authReader) module(row *AuthModule, l parse.PAMLine) {
	if strings.HasPrefix(l.Module, "/") {
		row.Library = path.Clean(l.Module)
		row.Outside = path.Base(path.Dir(row.Library)) != "security"
		if _, err := a.fs.Stat(row.Library); err != nil {
			a.note(err)
			row.Library = ""
		}
		row.Library = a.p.real(row.Library)
	} else {
		row.Library = a.library(a.security, l.Module)
	}
	a.owned(row)
	switch path.Base(l.Module) {
	case "pam_exec.so", "pam_script.so", "pam_python.so", "pam_python3.so":
		for _, arg := range l.Args {
			if strings.HasPrefix(arg, "/") {
				row.Program = arg
				break
			}
		}
	}
}

func (a *authReader) owned(row *AuthModule) {
	if row.Library == "" {
		return
	}
	var why string
	if _, row.LibraryOwned, why = a.p.owner(row.Library); why != "" {
		row.MarkUnread("library_owned", why)
	}
}

// library looks for a library file in folders, "" when none has it.
func (a *authReader) library(dirs []string, base string) string {
	if found, ok := a.libraries[base]; ok {
		return found
	}
	found := ""
	for _, dir := range dirs {
		if a.exists(dir + "/" + base) {
			found = a.p.real(dir + "/" + base)
			break
		}
	}
	a.libraries[base] = found
	return found
}

func (a *authReader) nss(name string) {
	b := a.file(name)
	if b == nil {
		return
	}
	o := a.p.origin(name, b)
	for _, l := range parse.NSSwitch(b) {
		for i, source := range l.Sources {
			if strings.ContainsAny(source, "/*?") {
				continue
			}
			row := AuthModule{Kind: "nss", Path: name, Service: l.Database, Module: source, First: i == 0,
				Text: shown(l.Database + ": " + strings.Join(l.Sources, " ")), Where: at(name, l.Line), Origin: o.clone(),
				Library: a.library(a.system, "libnss_"+source+".so.2")}
			a.owned(&row)
			a.rows = append(a.rows, row)
		}
	}
}
