// Package probe holds what the live sources of a device encode: one struct a row, as JSON, with
// the tags that make it a table's columns. What collectors work out beside it is in package
// facts. It knows nothing of how a source is read.
package probe

import "picket/scanner"

// Process is one process, as the live device encodes it; what the collector works out from
// other tables is not in that encoding.
type Process struct {
	PID        int      `expr:"pid" json:"pid" doc:"process id"`
	PPID       int      `expr:"ppid" json:"ppid" doc:"parent's process id"`
	Name       string   `expr:"name" json:"name" doc:"the kernel's name for it (comm), at most 15 bytes; a process can set it"`
	State      string   `expr:"state" json:"state" doc:"R running, S sleeping, D waiting for a device, Z ended, T stopped, t traced, I idle"`
	UID        int      `expr:"uid" json:"uid" doc:"real user id"`
	EUID       int      `expr:"euid" json:"euid" doc:"effective user id"`
	GID        int      `expr:"gid" json:"gid" doc:"real group id"`
	Args       []string `expr:"args" json:"args,omitempty" doc:"command line, at most 64 arguments and 4096 bytes; empty for kernel threads"`
	Exe        string   `expr:"exe" json:"exe,omitempty" doc:"program file; empty for kernel threads and ended processes"`
	ExeDeleted bool     `expr:"exe_deleted" json:"exe_deleted,omitempty" doc:"the program file was deleted or replaced since it started"`
	ExeMemfd   bool     `expr:"exe_memfd" json:"exe_memfd,omitempty" doc:"the program runs from memory (memfd), not from a file"`
	ExeDev     uint64   `expr:"exe_dev" json:"exe_dev,omitempty" doc:"device number of the program file"`
	ExeInode   uint64   `expr:"exe_inode" json:"exe_inode,omitempty" doc:"inode number of the program file"`
	// ExeExists, ExePerm and ExeWritable tell of the name as it is now, in our root.
	ExeExists    bool   `expr:"exe_exists" json:"exe_exists,omitempty" doc:"a file of that name exists now"`
	ExePerm      int    `expr:"exe_perm" json:"exe_perm,omitempty" doc:"permission bits of the file of that name, as in stat(2)"`
	ExeWritable  bool   `expr:"exe_writable" json:"exe_writable,omitempty" doc:"any user could have put the program there: below /tmp, /var/tmp, /dev/shm, /run/user, /run/lock, or in a directory that others may write to"`
	Cwd          string `expr:"cwd" json:"cwd,omitempty" doc:"working directory"`
	Root         string `expr:"root" json:"root,omitempty" doc:"root directory as seen from ours"`
	SameRoot     bool   `expr:"same_root" json:"same_root" doc:"it sees the same files as this scan: same root directory and mount namespace"`
	SamePIDNS    bool   `expr:"same_pidns" json:"same_pidns" doc:"same pid namespace as ours"`
	SameNetNS    bool   `expr:"same_netns" json:"same_netns" doc:"same network namespace as ours"`
	Container    string `expr:"container" json:"container,omitempty" doc:"id of the container that it runs in, or empty"`
	KernelThread bool   `expr:"kernel_thread" json:"kernel_thread,omitempty" doc:"a thread of the kernel, by the kernel's own flag"`
	Self         bool   `expr:"self" json:"self,omitempty" doc:"this scan itself"`
	Started      int64  `expr:"started" json:"started" doc:"start time, Unix seconds"`
	Threads      int    `expr:"threads" json:"threads" doc:"number of threads"`
	Session      int    `expr:"session" json:"session" doc:"session id"`
	TTY          bool   `expr:"tty" json:"tty,omitempty" doc:"has a controlling terminal"`
	Tracer       int    `expr:"tracer" json:"tracer,omitempty" doc:"process that traces it, 0 none"`
	CapEff       string `expr:"cap_eff" json:"cap_eff" doc:"effective capabilities, hex"`
	NoNewPrivs   bool   `expr:"no_new_privs" json:"no_new_privs,omitempty" doc:"can gain no privileges by exec"`
	Seccomp      int    `expr:"seccomp" json:"seccomp,omitempty" doc:"0 off, 1 strict, 2 filter"`
	LoginUID     int    `expr:"login_uid" json:"login_uid" doc:"user who logged in to start it; -1 none or not told"`
	Stdin        string `expr:"stdin" json:"stdin,omitempty" doc:"what descriptor 0 is: a path, socket:[INODE], pipe:[INODE]"`
	Stdout       string `expr:"stdout" json:"stdout,omitempty" doc:"what descriptor 1 is"`
	Stderr       string `expr:"stderr" json:"stderr,omitempty" doc:"what descriptor 2 is"`
	// FDs are descriptors worth a rule, not all.
	FDs []string `expr:"fds" json:"fds,omitempty" doc:"open devices of input, memory, capture and screen, memfds, other processes' memory, BPF objects, deleted files"`
	// Env holds the values of variables that make a program load code, and of no others.
	Env map[string]string `expr:"env" json:"env,omitempty" doc:"LD_PRELOAD and other variables that load code into a program; no others are read"`
	// Maps are executable mappings worth a rule; the table mappings has all files.
	Maps    []string `expr:"maps" json:"maps,omitempty" doc:"files mapped as code that are deleted, in memory only or in a world-writable place"`
	AnonRWX int      `expr:"anon_rwx" json:"anon_rwx,omitempty" doc:"anonymous mappings that are writable and executable at once"`
	scanner.Unread
}

// Mapping is one file that processes have mapped as code.
type Mapping struct {
	Path      string `expr:"path" json:"path" doc:"file as the kernel names it, without the mark of a deleted one"`
	Deleted   bool   `expr:"deleted" json:"deleted,omitempty" doc:"the file was deleted or replaced since it was mapped"`
	Memfd     bool   `expr:"memfd" json:"memfd,omitempty" doc:"memory only (memfd)"`
	SameRoot  bool   `expr:"same_root" json:"same_root" doc:"mapped by a process that sees the same files as this scan"`
	Container string `expr:"container" json:"container,omitempty" doc:"container of the first process, or empty"`
	Exists    bool   `expr:"exists" json:"exists,omitempty" doc:"a file of that name exists now"`
	Writable  bool   `expr:"writable" json:"writable,omitempty" doc:"any user could have put the file there, as exe_writable of processes"`
	PIDs      []int  `expr:"pids" json:"pids" doc:"processes that map it, at most 16"`
	Processes int    `expr:"processes" json:"processes" doc:"how many processes map it"`
	Program   string `expr:"program" json:"program" doc:"program of the first process"`
	Name      string `expr:"name" json:"name" doc:"name of the first process"`
	EUID      int    `expr:"euid" json:"euid" doc:"effective user id of the first process"`
	scanner.Unread
}
