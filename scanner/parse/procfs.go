package parse

import (
	"bytes"
	"strconv"
	"strings"
)

// ProcStat is what Picket keeps of /proc/PID/stat (proc_pid_stat(5)).
type ProcStat struct {
	PID, PPID  int
	Comm       string // as the kernel cuts it: 15 bytes; any byte may be in it
	State      byte   // R, S, D, Z, T, t, I, X
	Session    int
	TTY        int    // device number of the controlling terminal, 0 none
	Flags      uint32 // PF_ bits
	Threads    int
	StartTicks uint64 // since boot, in 1/100 s
}

// KernelThread tells by the kernel's own flag, which a program cannot set.
func (s ProcStat) KernelThread() bool { return s.Flags&0x00200000 != 0 }

// ParseProcStat reads /proc/PID/stat. The name in parentheses may itself hold parentheses,
// blanks and line ends, so the last one closes it.
func ParseProcStat(b []byte) (ProcStat, error) {
	var s ProcStat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return s, &Error{Msg: "no process name in parentheses"}
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	if err != nil {
		return s, &Error{Msg: "process id is no number"}
	}
	s.PID, s.Comm = pid, string(b[open+1:end])
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return s, &Error{Offset: int64(end) + 1, Msg: "fewer than 22 fields"}
	}
	s.State = f[0][0]
	for _, n := range []struct {
		field int
		to    *int
	}{{1, &s.PPID}, {3, &s.Session}, {4, &s.TTY}, {17, &s.Threads}} {
		if *n.to, err = strconv.Atoi(f[n.field]); err != nil {
			return s, &Error{Offset: int64(end) + 1, Msg: "field " + strconv.Itoa(n.field+3) + " is no number"}
		}
	}
	flags, err := strconv.ParseUint(f[6], 10, 32)
	if err != nil {
		return s, &Error{Offset: int64(end) + 1, Msg: "flags are no number"}
	}
	s.Flags = uint32(flags)
	if s.StartTicks, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return s, &Error{Offset: int64(end) + 1, Msg: "start time is no number"}
	}
	return s, nil
}

// ProcStatus is what Picket keeps of /proc/PID/status (proc_pid_status(5)).
type ProcStatus struct {
	UID, EUID, GID, EGID int
	TGID                 int // id of the process that a thread belongs to
	Tracer               int // process that traces this one, 0 none
	CapEff               uint64
	NoNewPrivs           bool
	Seccomp              int // 0 off, 1 strict, 2 filter
	NSPIDs               int // pid namespaces it is seen in, from ours inwards; 0 unknown
}

// ParseProcStatus reads /proc/PID/status. Lines that old kernels lack keep their zero.
func ParseProcStatus(b []byte) (ProcStatus, error) {
	s := ProcStatus{UID: -1, EUID: -1, GID: -1, EGID: -1}
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		key, val, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		var err error
		switch string(key) {
		case "Uid":
			err = twoIDs(val, &s.UID, &s.EUID)
		case "Gid":
			err = twoIDs(val, &s.GID, &s.EGID)
		case "Tgid":
			s.TGID, err = strconv.Atoi(string(bytes.TrimSpace(val)))
		case "TracerPid":
			s.Tracer, err = strconv.Atoi(string(bytes.TrimSpace(val)))
		case "CapEff":
			s.CapEff, err = strconv.ParseUint(string(bytes.TrimSpace(val)), 16, 64)
		case "NoNewPrivs":
			s.NoNewPrivs = string(bytes.TrimSpace(val)) == "1"
		case "Seccomp":
			s.Seccomp, err = strconv.Atoi(string(bytes.TrimSpace(val)))
		case "NSpid":
			s.NSPIDs = len(bytes.Fields(val))
		}
		if err != nil {
			return s, &Error{Offset: -1, Line: n, Msg: string(key) + " is no number"}
		}
	}
	if s.UID < 0 || s.GID < 0 {
		return s, &Error{Offset: -1, Msg: "no user or group id"}
	}
	return s, nil
}

// twoIDs reads the real and the effective of four ids.
func twoIDs(val []byte, real, effective *int) error {
	f := bytes.Fields(val)
	if len(f) < 2 {
		return strconv.ErrSyntax
	}
	var err error
	if *real, err = strconv.Atoi(string(f[0])); err != nil {
		return err
	}
	*effective, err = strconv.Atoi(string(f[1]))
	return err
}

// ProcArgs splits /proc/PID/cmdline into at most limit arguments. A process that wrote its own
// title there has one argument.
func ProcArgs(b []byte, limit int) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	var out []string
	for len(out) < limit {
		arg, rest, more := bytes.Cut(b, []byte{0})
		out = append(out, string(arg))
		if !more {
			break
		}
		b = rest
	}
	return out
}

// ProcEnviron gives the values of the wanted variables in /proc/PID/environ, and keeps
// nothing of the others. A variable that is set twice has its first value, as getenv sees it.
func ProcEnviron(b []byte, wanted func(key []byte) bool) map[string]string {
	var out map[string]string
	for len(b) > 0 {
		entry, rest, _ := bytes.Cut(b, []byte{0})
		b = rest
		key, val, ok := bytes.Cut(entry, []byte{'='})
		if !ok || !wanted(key) {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		if _, dup := out[string(key)]; !dup {
			out[string(key)] = string(val)
		}
	}
	return out
}

// Mapping is one line of /proc/PID/maps (proc_pid_maps(5)). Its Path is valid until the
// next one is read.
type Mapping struct {
	Start, End  uint64
	Read, Write bool
	Exec        bool
	Dev         string // major:minor in hex
	Inode       uint64
	Path        []byte // empty for anonymous memory; "[heap]" and the like; may end in " (deleted)"
}

// ProcMaps calls yield for each line of /proc/PID/maps, and gives the number of lines that
// it did not understand.
func ProcMaps(b []byte, yield func(Mapping)) (damaged int) {
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if m, ok := mapping(line); ok {
			yield(m)
		} else if len(line) > 0 {
			damaged++
		}
	}
	return damaged
}

// mapping reads "start-end perms offset dev inode   path".
func mapping(line []byte) (m Mapping, ok bool) {
	span, rest := word(line)
	perms, rest := word(rest)
	_, rest = word(rest)
	dev, rest := word(rest)
	inode, rest := word(rest)
	lo, hi, cut := bytes.Cut(span, []byte{'-'})
	if !cut || len(perms) < 4 {
		return m, false
	}
	if m.Start, ok = hexNumber(lo); !ok {
		return m, false
	}
	if m.End, ok = hexNumber(hi); !ok {
		return m, false
	}
	if m.Inode, ok = unsigned(inode); !ok {
		return m, false
	}
	m.Read, m.Write, m.Exec = perms[0] == 'r', perms[1] == 'w', perms[2] == 'x'
	m.Dev, m.Path = string(dev), bytes.TrimLeft(rest, " ")
	return m, true
}

// hexNumber reads an unsigned hexadecimal number.
func hexNumber(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | uint64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// unsigned reads an unsigned decimal number of up to 64 bits (an inode can use them all).
func unsigned(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// Container gives the id of the container that a process runs in, from /proc/PID/cgroup
// (cgroups(7)): the 64 (docker, podman, containerd, cri-o) or 32 (systemd-nspawn and
// others) hex digits of the innermost group, or the name after "lxc". Empty outside one.
func Container(b []byte) string {
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		f := bytes.SplitN(line, []byte{':'}, 3)
		if len(f) < 3 {
			continue
		}
		parts := strings.Split(string(f[2]), "/")
		for i := len(parts) - 1; i >= 0; i-- {
			if id := containerID(parts[i]); id != "" {
				return id
			}
			if parts[i] == "lxc" && i+1 < len(parts) {
				return parts[i+1]
			}
			if name, ok := strings.CutPrefix(parts[i], "lxc.payload."); ok {
				return name
			}
		}
	}
	return ""
}

// containerID takes "docker-ID.scope", "libpod-ID.scope", "cri-containerd-ID.scope" or "ID".
func containerID(s string) string {
	s = strings.TrimSuffix(s, ".scope")
	s = s[strings.LastIndexAny(s, "-:")+1:]
	if len(s) != 64 && len(s) != 32 {
		return ""
	}
	if strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}
