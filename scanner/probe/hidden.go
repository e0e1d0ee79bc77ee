package probe

import "picket/scanner"

// HiddenPIDs is what the hidden-pids source gives.
type HiddenPIDs struct {
	Hidden []HiddenProcess `json:"hidden"`
	// UpTo is the last id asked for, Max the last that the kernel can give.
	UpTo int `json:"up_to"`
	Max  int `json:"max"`
	// Incomplete says why not every id in use was asked for.
	Incomplete string `json:"incomplete,omitempty"`
}

// HiddenProcess is a process that answers the kernel but is in no listing of /proc.
type HiddenProcess struct {
	PID  int      `expr:"pid" json:"pid" doc:"process id"`
	Name string   `expr:"name" json:"name,omitempty" doc:"its name, where /proc/PID can still be read"`
	Exe  string   `expr:"exe" json:"exe,omitempty" doc:"its program, where it can still be read"`
	Seen []string `expr:"seen" json:"seen" doc:"what still shows it: kill, getsid, stat, cgroup"`
}

// HiddenPorts is what the hidden-ports source gives.
type HiddenPorts struct {
	Hidden []HiddenPort `json:"hidden"`
	// Asked names the second view: "sock_diag", or "bind".
	Asked []string `json:"asked"`
	// Incomplete says what could not be asked.
	Incomplete string `json:"incomplete,omitempty"`
}

// HiddenPort is a port in use that the kernel's socket tables do not list.
type HiddenPort struct {
	Proto string `expr:"proto" json:"proto" doc:"tcp or udp"`
	Port  int    `expr:"port" json:"port" doc:"port number"`
	Seen  string `expr:"seen" json:"seen" doc:"what still shows it: sock_diag or bind"`
}

// BPFProgram is a program loaded into the kernel.
type BPFProgram struct {
	ID      uint32 `expr:"id" json:"id" doc:"number of the program"`
	Type    string `expr:"type" json:"type" doc:"kprobe, tracepoint, xdp, sched_cls, cgroup_skb, lsm, ..."`
	Name    string `expr:"name" json:"name,omitempty" doc:"name the loader gave, at most 15 bytes"`
	Tag     string `expr:"tag" json:"tag,omitempty" doc:"digest of its instructions"`
	UID     int    `expr:"uid" json:"uid" doc:"user who loaded it"`
	Loaded  int64  `expr:"loaded" json:"loaded" doc:"load time, Unix seconds"`
	Tracing bool   `expr:"tracing" json:"tracing,omitempty" doc:"can watch or change what other programs and the kernel do"`
	PIDs    []int  `expr:"pids" json:"pids,omitempty" doc:"processes that hold it open"`
	scanner.Unread
}
