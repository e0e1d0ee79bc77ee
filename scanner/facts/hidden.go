package facts

import "picket/scanner/probe"

// HiddenProcess is a row of the table.
type HiddenProcess struct {
	probe.HiddenProcess
	Where string `expr:"where" json:"-" doc:"/proc/PID"`
}

// HiddenPort is a row of the table.
type HiddenPort struct {
	probe.HiddenPort
	Where string `expr:"where" json:"-" doc:"/proc/net file that lacks it"`
}

// BPFProgram is a row of the table.
type BPFProgram struct {
	probe.BPFProgram
	Exe      string `expr:"exe" json:"-" doc:"program of the first process that holds it"`
	ExeOwned bool   `expr:"exe_owned" json:"-" doc:"a package owns that program"`
	Where    string `expr:"where" json:"-" doc:"bpf(2) program number"`
}
