package device

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

// read gives up to limit bytes of a file below dir, in the reader's buffer. A longer file
// gives its start and a TooLargeError.
func (r *reader) read(dir int, name string, limit int) ([]byte, error) {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		k, err := unix.Read(fd, r.buf[n:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return r.buf[:n], err
		case k == 0:
			return r.buf[:n], nil
		}
		if n += k; n > limit {
			return r.buf[:limit], &scanner.TooLargeError{Size: int64(n), Limit: int64(limit)}
		}
	}
}

// link gives a link's text.
func (r *reader) link(dir int, name string) (string, error) {
	n, err := unix.Readlinkat(dir, name, r.buf[:maxName])
	if err != nil {
		return "", err
	}
	return string(r.buf[:n]), nil
}

// fileID gives device and inode of what a link of /proc leads to.
func fileID(dir int, name string) ([2]uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, 0); err != nil {
		return [2]uint64{}, err
	}
	return [2]uint64{uint64(st.Dev), st.Ino}, nil
}

func inode(dir int, name string) (uint64, error) {
	id, err := fileID(dir, name)
	return id[1], err
}

func trim(b []byte) string { return strings.TrimSpace(string(b)) }

// file is a file as a link of /proc/PID/exe or a line of maps names it.
type file struct {
	path           string
	deleted, memfd bool
}

// mappedFile takes the kernel's marks off a name: "/memfd:NAME (deleted)", "/PATH (deleted)".
func mappedFile(name string) file {
	f := file{path: name}
	f.path, f.deleted = strings.CutSuffix(f.path, " (deleted)")
	if strings.HasPrefix(f.path, "/memfd:") {
		f.memfd, f.deleted = true, false
	}
	return f
}

// descriptors notes which sockets a process holds, where its input and output go, and what
// else it has open that is worth a rule.
func (r *reader) descriptors(dir int, p *probe.Process) {
	fds, err := openat(dir, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err == nil {
		defer unix.Close(fds)
		var names []string
		if names, err = entryNames(fds); err == nil && len(names) > maxFDs {
			err = &scanner.TooLargeError{Size: int64(len(names)), Limit: maxFDs}
			names = names[:maxFDs]
		}
		for _, name := range names {
			if e := r.descriptor(dir, fds, name, p); e != nil {
				err = e
			}
		}
	}
	r.refuse(p, err, "fds", "stdin", "stdout", "stderr")
}

func (r *reader) descriptor(dir, fds int, name string, p *probe.Process) error {
	n, err := unix.Readlinkat(fds, name, r.buf[:maxName])
	if errors.Is(err, unix.ENOENT) { // closed meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	to := r.buf[:n]
	switch name {
	case "0":
		p.Stdin = string(to)
	case "1":
		p.Stdout = string(to)
	case "2":
		p.Stderr = string(to)
	}
	if ino, ok := socketInode(to); ok {
		if pids := r.snap.holders[ino]; len(pids) == 0 || pids[len(pids)-1] != p.PID {
			r.snap.holders[ino] = append(pids, p.PID)
		}
		return nil
	}
	if !notable(to, p.PID) || len(p.FDs) == maxListed {
		return nil
	}
	what := string(to)
	if strings.HasPrefix(what, "anon_inode:bpf") {
		r.bpf(dir, name, p.PID)
	}
	if !slices.Contains(p.FDs, what) {
		p.FDs = append(p.FDs, what)
	}
	return nil
}

// bpf notes who holds a BPF program: a descriptor's fdinfo tells the number.
func (r *reader) bpf(dir int, fd string, pid int) {
	b, err := r.read(dir, "fdinfo/"+fd, 4096)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		if num, ok := strings.CutPrefix(line, "prog_id:"); ok {
			if id, err := strconv.ParseUint(strings.TrimSpace(num), 10, 32); err == nil {
				r.snap.bpf[uint32(id)] = append(r.snap.bpf[uint32(id)], pid)
			}
		}
	}
}

func socketInode(to []byte) (uint64, bool) {
	const mark = "socket:["
	if len(to) < len(mark)+2 || string(to[:len(mark)]) != mark {
		return 0, false
	}
	ino, err := strconv.ParseUint(string(to[len(mark):len(to)-1]), 10, 64)
	return ino, err == nil
}

// notableDevices are devices that see, hear or write what belongs to others.
var notableDevices = []string{
	"/dev/input/", "/dev/uinput", "/dev/hidraw", "/dev/mem", "/dev/kmem", "/dev/port", "/dev/video", "/dev/snd/pcm",
	"/dev/fb", "/dev/dri/card", "/dev/uhid", "/dev/cpu/", "/dev/diag",
}

// notable tells whether an open file is worth keeping.
func notable(to []byte, pid int) bool {
	s := string(to) // does not escape
	switch {
	case strings.HasPrefix(s, "/dev/"):
		for _, d := range notableDevices {
			if strings.HasPrefix(s, d) {
				return true
			}
		}
	case strings.HasPrefix(s, "/memfd:"), strings.HasPrefix(s, "anon_inode:bpf"):
		return true
	case strings.HasPrefix(s, "/proc/"):
		return strings.HasSuffix(s, "/mem") && s != "/proc/"+strconv.Itoa(pid)+"/mem"
	}
	return strings.HasSuffix(s, " (deleted)") && (writable(s) || strings.Contains(s, "/."))
}

// writable tells whether a file lies where every user can put files.
func writable(name string) bool {
	for _, d := range []string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/lock/"} {
		if strings.HasPrefix(name, d) {
			return true
		}
	}
	return false
}

// place is what a file's name tells now, in our root.
type place struct {
	exists   bool
	perm     int  // permission bits as in stat(2)
	writable bool // any user could have put it there
}

// place looks at a name once for all processes.
func (r *reader) place(name string) place {
	if p, ok := r.places[name]; ok {
		return p
	}
	p := place{writable: writable(name)}
	var st unix.Stat_t
	if fstatat(unix.AT_FDCWD, name, &st) == nil {
		p.exists, p.perm = st.Mode&unix.S_IFMT == unix.S_IFREG, int(st.Mode&0o7777)
	}
	if fstatat(unix.AT_FDCWD, parent(name), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&0o002 != 0 {
		p.writable = true
	}
	r.places[name] = p
	return p
}

// mappings are the files that processes have mapped as code.
type mappings map[mapKey]*probe.Mapping

// mapKey tells files apart: those of another root are other files.
type mapKey struct {
	path      string
	sameRoot  bool
	container string
}

const (
	maxMappings = 1 << 15 // files in the table
	maxMapPIDs  = 16      // processes named for one
)

func (r *reader) mappings(dir int, p *probe.Process) {
	b, err := r.read(dir, "maps", maxMaps)
	r.refuse(p, err, "maps", "anon_rwx")
	last := ""
	parse.ProcMaps(b, func(m parse.Mapping) {
		if !m.Exec {
			return
		}
		if m.Inode == 0 || !isFile(m.Path) {
			if m.Write {
				p.AnonRWX++
			}
			return
		}
		if string(m.Path) == last { // the same file again
			return
		}
		last = string(m.Path)
		f := mappedFile(last)
		if f.path == p.Exe && f.deleted == p.ExeDeleted {
			return
		}
		r.mapped(f, p)
	})
}

// isFile tells a file from memory that the kernel gives a name and an inode.
func isFile(path []byte) bool {
	s := string(path)
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "/SYSV") && !strings.HasPrefix(s, "/dev/zero") &&
		!strings.HasPrefix(s, "/[aio]")
}

func (r *reader) mapped(f file, p *probe.Process) {
	if (f.deleted || f.memfd || p.SameRoot && r.place(f.path).writable || writable(f.path)) && len(p.Maps) < maxListed {
		p.Maps = append(p.Maps, f.path)
	}
	k := mapKey{path: f.path, sameRoot: p.SameRoot, container: p.Container}
	if f.deleted {
		k.path += " (deleted)"
	}
	m := r.snap.maps[k]
	if m == nil {
		if len(r.snap.maps) == maxMappings {
			return
		}
		m = &probe.Mapping{Path: f.path, Deleted: f.deleted, Memfd: f.memfd, SameRoot: p.SameRoot,
			Writable: writable(f.path), Container: p.Container, Program: p.Exe, Name: p.Name, EUID: p.EUID}
		if p.SameRoot && !f.memfd {
			at := r.place(f.path)
			m.Exists, m.Writable = at.exists, at.writable
		}
		r.snap.maps[k] = m
	}
	if n := len(m.PIDs); n > 0 && m.PIDs[n-1] == p.PID {
		return
	}
	m.Processes++
	if len(m.PIDs) < maxMapPIDs {
		m.PIDs = append(m.PIDs, p.PID)
	}
}

// rows gives the mappings in a fixed order.
func (m mappings) rows() []probe.Mapping {
	out := make([]probe.Mapping, 0, len(m))
	for _, row := range m {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b probe.Mapping) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.PIDs[0], b.PIDs[0]))
	})
	return out
}
