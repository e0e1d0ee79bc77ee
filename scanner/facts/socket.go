package facts

import "picket/scanner/probe"

// Socket is a row of the table.
type Socket struct {
	probe.Socket
	Name      string `expr:"name" json:"-" doc:"name of the first process that holds it"`
	Exe       string `expr:"exe" json:"-" doc:"program of the first process that holds it"`
	ExeOwned  bool   `expr:"exe_owned" json:"-" doc:"a package owns every program that holds it"`
	Cmdline   string `expr:"cmdline" json:"-" doc:"command line of the first process that holds it"`
	Container string `expr:"container" json:"-" doc:"container of the first process, or empty"`
	SameRoot  bool   `expr:"same_root" json:"-" doc:"the first process sees the same files as this scan"`
	Where     string `expr:"where" json:"-" doc:"/proc/net file"`
}
