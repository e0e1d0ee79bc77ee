package facts

import "picket/scanner/probe"

// Process is a row of the table.
type Process struct {
	probe.Process
	Caps        []string `expr:"caps" json:"-" doc:"effective capabilities by name, without cap_"`
	Cmdline     string   `expr:"cmdline" json:"-" doc:"args joined with blanks"`
	Argv0       string   `expr:"argv0" json:"-" doc:"first argument: what it says it is"`
	ExeName     string   `expr:"exe_name" json:"-" doc:"last component of exe"`
	ExeOwned    bool     `expr:"exe_owned" json:"-" doc:"a package owns exe"`
	ExePackage  string   `expr:"exe_package" json:"-" doc:"package that owns exe, or empty"`
	Script      string   `expr:"script" json:"-" doc:"file that an interpreter runs; empty for other programs"`
	ScriptOwned bool     `expr:"script_owned" json:"-" doc:"a package owns script"`
	ParentName  string   `expr:"parent_name" json:"-" doc:"parent's name"`
	ParentExe   string   `expr:"parent_exe" json:"-" doc:"parent's program"`
	TracerExe   string   `expr:"tracer_exe" json:"-" doc:"program that traces it"`
	StdioSocket string   `expr:"stdio_socket" json:"-" doc:"network socket that is both its input and its output, as tcp LOCAL REMOTE; empty for none and for local sockets"`
	Preload     []string `expr:"preload" json:"-" doc:"files named by LD_PRELOAD and LD_AUDIT"`
	// PreloadUnowned are those of Preload that no package owns.
	PreloadUnowned []string `expr:"preload_unowned" json:"-" doc:"those of preload that no package owns"`
	Where          string   `expr:"where" json:"-" doc:"/proc/PID"`
}

// Mapping is a row of the table.
type Mapping struct {
	probe.Mapping
	Owned   bool   `expr:"owned" json:"-" doc:"a package owns the file"`
	Package string `expr:"package" json:"-" doc:"package that owns it, or empty"`
	Where   string `expr:"where" json:"-" doc:"/proc/PID/maps of the first process"`
}
