package facts

import (
	"context"
	"path"

	"picket/scanner"
	"picket/scanner/parse"
)

// ModuleConfig is one line that tells the kernel's module loader what to load or to run.
type ModuleConfig struct {
	Verb   string `expr:"verb" json:"verb" doc:"install, remove, softdep, blacklist, alias, options, or load for a module loaded at boot"`
	Module string `expr:"module" json:"module" doc:"module name or pattern"`
	// Stub lines switch a module off, or only call modprobe again.
	Stub  bool   `expr:"stub" json:"stub,omitempty" doc:"the command is true, false, or modprobe alone"`
	Path  string `expr:"path" json:"path" doc:"the file"`
	Where string `expr:"where" json:"where" doc:"file and line"`
	CommandLine
	Origin
}

var (
	modprobeFiles = []string{"/etc/modprobe.conf", "/etc/modprobe.d/*.conf", "/run/modprobe.d/*.conf", "/usr/local/lib/modprobe.d/*.conf", "/usr/lib/modprobe.d/*.conf", "/lib/modprobe.d/*.conf"}
	modulesFiles  = []string{"/etc/modules", "/etc/modules.conf", "/etc/modules-load.d/*.conf", "/run/modules-load.d/*.conf", "/usr/lib/modules-load.d/*.conf", "/etc/modules.d/*", "/etc/modules-boot.d/*"}
)

func moduleConfigCollector() scanner.Collector {
	return scanner.Collector{
		Table: "module_config", Doc: "lines of modprobe.d and modules-load.d, those of packages left as they were excepted", Row: ModuleConfig{},
		Reads: scanner.Reads{Globs: concat(modprobeFiles, modulesFiles), Meta: everyProgram()},
		Needs: []string{"packages"}, Collect: collectModuleConfig,
	}
}

func collectModuleConfig(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r, p := newReader(in, &t), newProvenance(in)
	rows := []ModuleConfig{}
	seen := map[string]bool{}
	read := func(patterns []string, parser func([]byte) []parse.ModuleLine) {
		for _, name := range r.glob(patterns...) {
			real := p.real(name)
			b := r.file(name)
			if b == nil || seen[real] {
				continue
			}
			seen[real] = true
			o := p.origin(name, b)
			if o.Pristine {
				continue
			}
			for _, l := range parser(b) {
				rows = append(rows, moduleRow(p, name, l, o))
			}
		}
	}
	read(modprobeFiles, parse.Modprobe)
	read(modulesFiles, parse.ModulesLoad)
	t.Rows = rows
	return t
}

func moduleRow(p *provenance, name string, l parse.ModuleLine, o Origin) ModuleConfig {
	row := ModuleConfig{Verb: l.Verb, Module: l.Module, Path: name, Where: at(name, l.Line), Origin: o.clone()}
	if l.Command != "" {
		row.CommandLine = p.commandOf(l.Command, &row.Unread)
		row.Stub = true
		for _, prog := range programs(l.Command) {
			switch path.Base(prog) {
			case "true", "false", "modprobe", ":":
			default:
				row.Stub = false
			}
		}
	}
	return row
}
