package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

const (
	ticksPerSecond = 100     // of the start time, on every architecture that Picket runs on
	maxArgs        = 64      // arguments kept of one command line
	maxCmdline     = 4096    // bytes read of one command line
	maxEnviron     = 1 << 20 // bytes read of one environment
	maxMaps        = 8 << 20 // bytes read of one memory map
	maxFDs         = 1 << 14 // descriptors looked at of one process
	maxListed      = 64      // descriptors and mappings kept of one process
	maxNamespaces  = 32      // network namespaces whose sockets are read
)

// The reasons of what one process did not let us see.
const (
	otherUser = "belongs to another user (run as root)"
	stronger  = "has privileges that this scan lacks"
	tooMany   = "has more than this scan looks at"
)

// snapshot is what one pass over /proc gave. The sources of processes, sockets, mappings and
// hidden processes share it.
type snapshot struct {
	procs   []probe.Process
	holders map[uint64][]int // socket inode -> processes that have it open
	bpf     map[uint32][]int // BPF program -> processes that have it open
	netns   []netns          // other network namespaces
	maps    mappings
	refused string // why some process could not be looked into, so that holders are not all known
}

// netns is a network namespace, seen through a process that lives in it.
type netns struct {
	inode uint64
	pid   int
}

// reader reads /proc/PID, reusing its buffers.
type reader struct {
	snap   *snapshot
	proc   int   // /proc
	boot   int64 // Unix seconds
	mnt    uint64
	pids   uint64
	net    uint64
	root   [2]uint64 // device and inode of our root directory
	super  bool      // we are root
	places map[string]place
	buf    []byte
}

// look makes one pass over all processes. Those that end meanwhile are left out.
func look(ctx context.Context) (*snapshot, error) {
	proc, err := openat(unix.AT_FDCWD, "/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, pathErr("open", "/proc", err)
	}
	defer unix.Close(proc)
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("/proc lists no process: %w", scanner.ErrUnavailable)
	}
	boot, err := host.BootTimeWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the boot time: %w", err)
	}
	slices.Sort(pids)
	r := newReader(proc, int64(boot))
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p, ok := r.process(int(pid)); ok {
			r.snap.procs = append(r.snap.procs, p)
		}
	}
	return r.snap, nil
}

// threadSelf is the calling thread's folder in /proc. What a thread asks the kernel is about
// its own namespaces, and /proc/self (and with it /proc/net) shows those of the first thread.
// Kernels before 3.17 have no other.
func threadSelf() string {
	const own = "/proc/thread-self"
	if _, err := os.Lstat(own); err != nil {
		return "/proc/self"
	}
	return own
}

func newReader(proc int, boot int64) *reader {
	r := &reader{proc: proc, boot: boot, super: unix.Geteuid() == 0, places: map[string]place{}, buf: make([]byte, 64<<10),
		snap: &snapshot{holders: map[uint64][]int{}, bpf: map[uint32][]int{}, maps: mappings{}}}
	if self, err := openat(unix.AT_FDCWD, threadSelf(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC); err == nil {
		defer unix.Close(self)
		r.mnt, _ = inode(self, "ns/mnt")
		r.pids, _ = inode(self, "ns/pid")
		r.net, _ = inode(self, "ns/net")
		r.root, _ = fileID(self, "root")
	}
	return r
}

// process reads one process. ok is false when it has ended.
func (r *reader) process(pid int) (p probe.Process, ok bool) {
	dir, err := openat(r.proc, strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return p, false
	}
	defer unix.Close(dir)
	b, err := r.read(dir, "stat", 4096)
	if err != nil {
		return p, false
	}
	st, err := parse.ParseProcStat(b)
	if err != nil {
		return p, false
	}
	p = probe.Process{PID: pid, PPID: st.PPID, Name: st.Comm, State: string(rune(st.State)), Threads: st.Threads,
		Session: st.Session, TTY: st.TTY != 0, KernelThread: st.KernelThread(), LoginUID: -1,
		Started: r.boot + int64(st.StartTicks/ticksPerSecond), Self: pid == unix.Getpid()}
	if b, err = r.read(dir, "status", 64<<10); err != nil {
		return p, false
	}
	status, err := parse.ParseProcStatus(b)
	if err != nil {
		return p, false
	}
	p.UID, p.EUID, p.GID, p.Tracer = status.UID, status.EUID, status.GID, r.processOf(status.Tracer)
	p.NoNewPrivs, p.Seccomp = status.NoNewPrivs, status.Seccomp
	p.CapEff = strconv.FormatUint(status.CapEff, 16)
	if p.KernelThread {
		p.SameRoot, p.SamePIDNS, p.SameNetNS = true, true, true
		return p, true
	}
	if b, err = r.read(dir, "cmdline", maxCmdline); err == nil {
		p.Args = parse.RedactArgs(parse.ProcArgs(b, maxArgs))
	}
	if b, err = r.read(dir, "loginuid", 64); err == nil {
		if uid, err := strconv.ParseUint(trim(b), 10, 32); err == nil && uid != 1<<32-1 {
			p.LoginUID = int(uid)
		}
	}
	if p.State == "Z" || p.State == "X" {
		return p, true // ended, and only waits for its parent
	}
	r.namespaces(dir, &p)
	r.container(dir, &p)
	r.exe(dir, &p)
	r.descriptors(dir, &p)
	r.environ(dir, &p)
	r.mappings(dir, &p)
	return p, true
}

// processOf gives the process that a thread belongs to: tracers are told by thread.
func (r *reader) processOf(tid int) int {
	if tid == 0 {
		return 0
	}
	b, err := r.read(r.proc, strconv.Itoa(tid)+"/status", 64<<10)
	if err != nil {
		return tid
	}
	if s, err := parse.ParseProcStatus(b); err == nil && s.TGID != 0 {
		return s.TGID
	}
	return tid
}

// container notes the container of a process that does not see our files.
func (r *reader) container(dir int, p *probe.Process) {
	if p.SameRoot {
		return
	}
	if b, err := r.read(dir, "cgroup", 64<<10); err == nil {
		p.Container = parse.Container(b)
	}
}

// refuse notes why columns of p could not be read. A process that has ended meanwhile has
// nothing to tell.
func (r *reader) refuse(p *probe.Process, err error, columns ...string) {
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return
	}
	why := err.Error()
	var large *scanner.TooLargeError
	switch {
	case errors.As(err, &large):
		why = tooMany
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		if why = otherUser; r.super {
			why = stronger
		}
		r.snap.refused = why
	}
	for _, c := range columns {
		p.MarkUnread(c, "process "+strconv.Itoa(p.PID)+" "+why)
	}
}

func (r *reader) exe(dir int, p *probe.Process) {
	link, err := r.link(dir, "exe")
	if err != nil {
		r.refuse(p, err, "exe", "exe_deleted", "exe_memfd", "exe_dev", "exe_inode", "exe_exists", "exe_perm", "exe_writable")
		return
	}
	f := mappedFile(link)
	p.Exe, p.ExeDeleted, p.ExeMemfd = f.path, f.deleted, f.memfd
	if id, err := fileID(dir, "exe"); err == nil {
		p.ExeDev, p.ExeInode = id[0], id[1]
	}
	p.ExeWritable = writable(p.Exe)
	if p.SameRoot && !p.ExeMemfd {
		at := r.place(p.Exe)
		p.ExeExists, p.ExePerm, p.ExeWritable = at.exists, at.perm, at.writable
	}
}

func (r *reader) namespaces(dir int, p *probe.Process) {
	var err error
	if p.Cwd, err = r.link(dir, "cwd"); err != nil {
		r.refuse(p, err, "cwd")
	}
	if p.Root, err = r.link(dir, "root"); err != nil {
		r.refuse(p, err, "root", "same_root", "same_pidns", "same_netns")
		return
	}
	mnt, err := inode(dir, "ns/mnt")
	root, err2 := fileID(dir, "root")
	p.SameRoot = mnt == r.mnt && root == r.root
	if err = errors.Join(err, err2); err != nil {
		r.refuse(p, err, "same_root")
	}
	ns, err := inode(dir, "ns/pid")
	if p.SamePIDNS = ns == r.pids; err != nil {
		r.refuse(p, err, "same_pidns")
	}
	ns, err = inode(dir, "ns/net")
	if p.SameNetNS = ns == r.net; err != nil {
		r.refuse(p, err, "same_netns")
		return
	}
	known := slices.ContainsFunc(r.snap.netns, func(n netns) bool { return n.inode == ns })
	if !p.SameNetNS && !known && len(r.snap.netns) < maxNamespaces {
		r.snap.netns = append(r.snap.netns, netns{inode: ns, pid: p.PID})
	}
}

// loaders are the variables that make a program load or run code of others. No value of
// another variable is kept.
var loaders = []string{
	"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "NODE_OPTIONS", "PYTHONSTARTUP", "PYTHONPATH", "PERL5OPT", "PERL5LIB",
	"RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "BASH_ENV", "ENV", "PROMPT_COMMAND", "GCONV_PATH",
}

func (r *reader) environ(dir int, p *probe.Process) {
	b, err := r.read(dir, "environ", maxEnviron)
	if err != nil {
		r.refuse(p, err, "env")
	}
	p.Env = parse.ProcEnviron(b, func(key []byte) bool {
		for _, l := range loaders {
			if string(key) == l {
				return true
			}
		}
		return false
	})
}
