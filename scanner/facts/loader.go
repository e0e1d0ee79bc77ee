package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// LoaderSetting is one thing that changes which libraries programs load.
type LoaderSetting struct {
	Kind  string `expr:"kind" json:"kind" doc:"preload (a library of ld.so.preload), folder (of ld.so.conf), variable (LD_* set for everybody), musl (the search path file of musl)"`
	Path  string `expr:"path" json:"path" doc:"the file that sets it"`
	Name  string `expr:"name" json:"name,omitempty" doc:"the variable's name"`
	Value string `expr:"value" json:"value" doc:"library, folder or value, at most 200 bytes"`
	// ValueOwned and ValueWritableBy are about the library or folder.
	ValueOwned      bool   `expr:"value_owned" json:"value_owned" doc:"a package installed the library"`
	ValueWritableBy string `expr:"value_writable_by" json:"value_writable_by,omitempty" doc:"who besides root may put files into the folder: everybody, group N or user N"`
	Owned           bool   `expr:"owned" json:"owned" doc:"a package installed the file that sets it"`
	Where           string `expr:"where" json:"where" doc:"file and line"`
	scanner.Unread
}

var environmentFiles = []string{"/etc/environment", "/etc/environment.d/*.conf", "/etc/security/pam_env.conf", "/etc/default/locale",
	"/usr/lib/environment.d/*.conf", "/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf", "/etc/login.defs"}

func loaderCollector() scanner.Collector {
	return scanner.Collector{
		Table: "loader", Doc: "settings of the dynamic loader that concern every program", Row: LoaderSetting{},
		Reads: scanner.Reads{Globs: concat([]string{"/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*", "/etc/ld-musl-*.path"}, environmentFiles),
			Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectLoader,
	}
}

type loaderReader struct {
	*treeReader
	p    *provenance
	rows []LoaderSetting
}

func collectLoader(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	l := &loaderReader{treeReader: newReader(in, t), p: newProvenance(in)}
	for _, lib := range parse.ListFile(l.file("/etc/ld.so.preload"), " \t:,") {
		row := LoaderSetting{Kind: "preload", Path: "/etc/ld.so.preload", Value: shown(lib.Text), Where: at("/etc/ld.so.preload", lib.Line)}
		var why string
		if _, row.ValueOwned, why = l.p.owner(lib.Text); why != "" {
			row.MarkUnread("value_owned", why)
		}
		l.rows = append(l.rows, row)
	}
	l.conf("/etc/ld.so.conf", map[string]bool{})
	for _, name := range l.glob("/etc/ld-musl-*.path") {
		l.musl(name)
	}
	for _, name := range l.glob(environmentFiles...) {
		l.environment(name)
	}
	t.Rows = l.rows
	return *t
}

// conf reads ld.so.conf and what it includes.
func (l *loaderReader) conf(name string, seen map[string]bool) {
	if seen[name] || len(seen) > 200 {
		return
	}
	seen[name] = true
	for _, e := range parse.ListFile(l.file(name), "") {
		if pattern, ok := strings.CutPrefix(e.Text, "include "); ok {
			pattern = strings.TrimSpace(pattern)
			if !strings.HasPrefix(pattern, "/") {
				pattern = path.Join(path.Dir(name), pattern)
			}
			if path.Dir(pattern) != "/etc/ld.so.conf.d" {
				l.table.Partial = append(l.table.Partial, name+" includes "+shown(pattern)+", which Picket does not read")
				continue
			}
			for _, n := range l.glob(pattern) {
				l.conf(n, seen)
			}
			continue
		}
		dir, _, _ := strings.Cut(e.Text, "=") // DIR=TYPE of old versions
		l.folder("folder", name, dir, e.Line)
	}
}

func (l *loaderReader) folder(kind, name, dir string, line int) {
	row := LoaderSetting{Kind: kind, Path: name, Value: shown(dir), Where: at(name, line)}
	var why string
	if row.ValueWritableBy, why = l.p.folderWritableBy(dir); why != "" {
		row.MarkUnread("value_writable_by", why)
	}
	if kind == "musl" {
		if _, row.Owned, why = l.p.owner(name); why != "" {
			row.MarkUnread("owned", why)
		}
	}
	l.rows = append(l.rows, row)
}

func (l *loaderReader) musl(name string) {
	for _, e := range parse.ListFile(l.file(name), ":") {
		l.folder("musl", name, e.Text, e.Line)
	}
}

// environment adds LD_ variables of files that set the environment of sessions and services.
func (l *loaderReader) environment(name string) {
	for _, e := range parse.ListFile(l.file(name), "") {
		i := strings.Index(e.Text, "LD_")
		if i < 0 || i > 0 && strings.IndexByte(" \t\"'=", e.Text[i-1]) < 0 {
			continue
		}
		rest := e.Text[i:]
		end := strings.IndexAny(rest, "= \t")
		if end < 0 {
			continue
		}
		value := strings.Trim(rest[end+1:], " \t\"'")
		if value == "" {
			continue
		}
		l.rows = append(l.rows, LoaderSetting{Kind: "variable", Path: name, Name: rest[:end], Value: shown(value), Where: at(name, e.Line)})
	}
}
